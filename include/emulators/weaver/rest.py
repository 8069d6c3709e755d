"""E9's workflow interface, /api/workflow/paService/…: every answer has HTTP 200, failures too."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from include.emulators.weaver import actions, lists, render
from include.emulators.weaver.company import INTEGRATION_USER, SYSTEM_ADMIN
from include.emulators.weaver.forms import ARCHIVE, START, Workflow
from include.emulators.weaver.rest_search import bad_condition, where_of
from include.emulators.weaver.world import World

Json = dict[str, Any]
PREFIX = "/api/workflow/paService"
CODES = {"SUCCESS": 1, "PARAM_ERROR": 2, "NO_PERMISSION": 3, "SYSTEM_INNER_ERROR": 4, "USER_EXCEPTION": 5}
DEFAULT_PAGE = 10
NO_SUBMIT = "NO_REQUEST_SUBMIT_PERMISSION"


@dataclass(frozen=True, slots=True)
class RestCall:
    """One call: its user, its parameters (query, form or JSON body alike), and the OA's time."""

    world: World
    user: int
    params: Mapping[str, Any]
    now: int

    def text(self, *names: str) -> str:
        """The first of some parameters that is there."""
        for name in names:
            value = self.params.get(name)
            if value is not None:
                return str(value)
        return ""

    def number(self, *names: str) -> int:
        """As `text`, 0 for what is no number."""
        text = self.text(*names).strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0

    def structure(self, name: str, kind: type) -> Any:
        """A parameter that holds JSON, as text or as itself; empty for an absent one, None for a wrong one."""
        value = self.params.get(name)
        if value is None or value == "":
            return kind()
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                return None
        return value if isinstance(value, kind) else None


Handler = Callable[[RestCall], Any]


def _code(world: World, name: str) -> Any:
    return name if world.options.code_shape == "name" else {"name": name, "statusCode": CODES[name]}


def reply(call: RestCall, code: str, data: Any = None, errors: Mapping[str, Any] | None = None) -> Json:
    """The usual answer."""
    body: Json = {"code": _code(call.world, code), "errMsg": dict(errors or {})}
    if data is not None:
        body["data"] = data
    return body


def broken(world: World, reason: str) -> Json:
    """程序异常: what the product answers where it fell over."""
    return {
        "code": _code(world, "SYSTEM_INNER_ERROR"),
        "errMsg": {"exception": reason.encode(errors="replace").decode()},
    }


def _refused(call: RestCall, errors: Mapping[str, Any]) -> Json:
    body = reply(call, "NO_PERMISSION", errors=errors)
    empty: Json = {"keyParameters": {}, "msgInfo": {}, "msgType": NO_SUBMIT, "otherParams": {}}
    return body | {"reqFailMsg": empty}


def _ended(call: RestCall, result: actions.Result) -> Json:
    if result.outcome is actions.Outcome.NO_PERMISSION:
        return _refused(call, result.errors)
    if result.outcome is actions.Outcome.PARAM_ERROR:
        return reply(call, "PARAM_ERROR", errors=result.errors)
    return reply(call, "SUCCESS")


# -- reading ------------------------------------------------------------------------------------------


def _list(kind: str) -> Handler:
    def handler(call: RestCall) -> Any:
        conditions = call.structure("conditions", dict)
        wrong = bad_condition(conditions)
        if wrong:
            return reply(call, "PARAM_ERROR", errors={"conditions": wrong})
        where = where_of(call.world, conditions, call.now)
        size, page = call.number("pageSize", "size") or DEFAULT_PAGE, max(1, call.number("pageNo", "page"))
        offset = (page - 1) * size
        if call.world.options.endless_pages:
            _, offset = lists.again(size, offset, lists.count(call.world.store, kind, call.user, where))
        found = lists.rows(call.world.store, kind, call.user, where, size, offset)
        return [_list_item(call, row) for row in found]

    return handler


def _list_item(call: RestCall, row: Any) -> Json:
    return render.listed(call.world, row) | {"lastOperatorId": str(row["lastoperator"]), "sysName": ""}


def _count(kind: str) -> Handler:
    def handler(call: RestCall) -> Any:
        conditions = call.structure("conditions", dict)
        wrong = bad_condition(conditions)
        if wrong:
            return reply(call, "PARAM_ERROR", errors={"conditions": wrong})
        return lists.count(call.world.store, kind, call.user, where_of(call.world, conditions, call.now))

    return handler


def _readable(call: RestCall) -> Any:
    """The request that a call names, or the answer that refuses it."""
    row = call.world.flow.request(call.number("requestId", "requestid"))
    if row is None:
        return reply(call, "PARAM_ERROR", errors={"requestId": call.text("requestId", "requestid")})
    if not call.world.flow.takes_part(row["requestid"], call.user):
        return reply(call, "NO_PERMISSION", errors={"requestId": str(row["requestid"])})
    return row


def _get(call: RestCall) -> Any:
    row = _readable(call)
    return row if isinstance(row, dict) else reply(call, "SUCCESS", render.whole(call.world, row, call.user))


def _status(call: RestCall) -> Any:
    """No node name here, as the vendor has it: only its id and type."""
    row = _readable(call)
    if isinstance(row, dict):
        return row
    workflow = call.world.flow.workflow_of(row)
    task = call.world.flow.task_of(row["requestid"], call.user)
    remark = 0 if task else 4 if row["currentnodetype"] == ARCHIVE else 2
    base = {
        key: value
        for key, value in render.base_info(workflow).items()
        if key not in {"workflowId", "workflowTypeName"}
    }
    data = {
        "create": row["creater"] == call.user,
        "creatertype": 0,
        "creatorId": str(row["creater"]),
        "currentNodeId": str(row["currentnodeid"]),
        "currentNodeType": row["currentnodetype"],
        "currentOperateId": task["id"] if task else 0,
        "eh_operatorMap": {},
        "handWrittenSign": 0,
        "isremark": remark,
        "languageid": 7,
        "mainTableInfoEntity": {"billid": workflow.form_id, "tableDbName": workflow.form.table},
        "needAffirmance": False,
        "rejcetToType": 0,
        "rejectToNodeid": 0,
        "requestId": str(row["requestid"]),
        "requestLevel": str(row["requestlevel"]),
        "requestName": row["requestname"],
        "speechAttachment": 0,
        "status": row["status"],
        "submitToNodeid": 0,
        "takisremark": -1,
        "workflowBaseInfo": base | {"isBill": "1"},
        "workflowId": workflow.id,
    }
    return reply(call, "SUCCESS", data)


def _log(call: RestCall) -> Any:
    row = _readable(call)
    if isinstance(row, dict):
        return row
    other = call.structure("otherParams", dict) or {}
    page, size = _whole(other.get("pageNumber"), 1), _whole(other.get("pageSize"), DEFAULT_PAGE)
    found = call.world.flow.logs(row["requestid"])[(page - 1) * size : page * size]
    workflow = call.world.flow.workflow_of(row)
    return reply(call, "SUCCESS", [_log_item(call, workflow, log) for log in found])


def _log_item(call: RestCall, workflow: Workflow, log: Any) -> Json:
    return {
        "id": str(log["id"]),
        "tmpLogId": str(log["id"]),
        "logtype": log["logtype"],
        "nodeid": str(log["nodeid"]),
        "nodename": workflow.node(log["nodeid"]).name,
        "destnodeid": str(log["destnodeid"]),
        "operator": str(log["operator"]),
        "operatortype": "0",
        "operatorDept": str(call.world.company.department_of(log["operator"])),
        "operatedate": log["operatedate"],
        "operatetime": log["operatetime"],
        "receivedPersons": log["receivedpersons"],
        "remarkHtml": log["remark"],
        "annexdocids": "",
        "signdocids": "",
        "signworkflowids": "",
    }


def _operators(call: RestCall) -> Any:
    row = _readable(call)
    if isinstance(row, dict):
        return row
    workflow = call.world.flow.workflow_of(row)
    sql = "SELECT * FROM workflow_currentoperator WHERE requestid = ? ORDER BY id"
    data = [
        {
            "id": item["id"],
            "groupid": 0,
            "nodeid": item["nodeid"],
            "nodeName": workflow.node(item["nodeid"]).name,
            "userid": item["userid"],
            "userType": item["usertype"],
            "userName": call.world.company.name_of(item["userid"]),
            "viewType": item["viewtype"],
            "isremark": int(item["isremark"]),
            "preisremark": 0,
            "agenttype": 0,
            "agentorbyagentid": -1,
            "receivedate": item["receivedate"],
            "receivetime": item["receivetime"],
            "operatedate": item["operatedate"],
            "operatetime": item["operatetime"],
        }
        for item in call.world.store.rows(sql, (row["requestid"],))
    ]
    return reply(call, "SUCCESS", data)


def _form(call: RestCall) -> Any:
    workflow = call.world.workflows.get(call.number("workflowId"))
    if workflow is None:
        return reply(call, "PARAM_ERROR", errors={"workflowId": call.text("workflowId")})
    return reply(call, "SUCCESS", render.empty(call.world, workflow, call.user))


def _workflows(call: RestCall) -> Any:
    return [render.base_info(workflow) for workflow in call.world.workflows.values()]


# -- changing -----------------------------------------------------------------------------------------


def _entry(call: RestCall) -> actions.Entry | None:
    """MainData and detailData, None where they are of another form."""
    main, details = call.structure("mainData", list), call.structure("detailData", list)
    if main is None or details is None:
        return None
    fields = _fields(main)
    rows = [_detail(item) for item in details]
    if fields is None or None in rows:
        return None
    return actions.Entry(fields, [row for row in rows if row is not None])


def _detail(item: Any) -> actions.DetailRows | None:
    records = item.get("workflowRequestTableRecords", []) if isinstance(item, dict) else None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        return None
    rows = []
    for record in records:
        fields = _fields(record.get("workflowRequestTableFields") or [])
        if fields is None:
            return None
        rows.append((_whole(record.get("recordOrder"), 0), fields))
    keys = {_whole(key, 0) for key in str(item.get("deleteKeys", "")).split(",")[:2000]}
    delete_all = str(item.get("deleteAll", "")) == "1"
    return actions.DetailRows(str(item.get("tableDBName", "")).lower(), rows, delete_all, frozenset(keys))


def _fields(items: Any) -> dict[str, str] | None:
    if not isinstance(items, list) or not all(
        isinstance(item, dict) and item.get("fieldName") for item in items
    ):
        return None
    return {
        str(item["fieldName"]): "" if item.get("fieldValue") is None else str(item["fieldValue"])
        for item in items
    }


def _whole(value: object, default: int) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 16 and int(text) else default


def _create(call: RestCall) -> Any:
    entry, other = _entry(call), call.structure("otherParams", dict)
    workflow_id, name = call.number("workflowId"), call.text("requestName")
    if entry is None or other is None:
        return reply(call, "PARAM_ERROR", errors={"workflowId": 0})  # what the vendor says of broken JSON
    if not name:
        return reply(call, "PARAM_ERROR", errors={"requestName": "流程标题不允许为空"})
    level = call.number("requestLevel")
    result = actions.create(
        call.world, call.user, workflow_id, entry, name=name, level=level if level <= 2 else 0,
        remark=call.text("remark"), go_on=str(other.get("isnextflow", "1")) != "0", now=call.now,
    )  # fmt: skip
    if result.outcome is actions.Outcome.SUCCESS:
        return reply(call, "SUCCESS", {"requestid": result.request_id})
    return _ended(call, result)


def _submit(call: RestCall) -> Any:
    entry, other = _entry(call), call.structure("otherParams", dict)
    row = call.world.flow.request(call.number("requestId", "requestid"))
    missing = call.world.options.submit_needs_workflow_id and not call.number("workflowId")
    if entry is None or other is None or row is None or missing:
        return reply(call, "PARAM_ERROR", errors={"errorParam_requestid": 0})
    errors = actions.unknown_fields(call.world.flow.workflow_of(row), entry)
    if errors:
        return reply(call, "PARAM_ERROR", errors=errors)
    save = str(other.get("src", "submit")) == "save"
    result = actions.change(
        call.world, call.user, row, entry, submit=not save, remark=call.text("remark"), now=call.now
    )
    return _ended(call, result)


def _reject(call: RestCall) -> Any:
    other = call.structure("otherParams", dict) or {}
    node = _whole(other.get("RejectToNodeid"), 0) or None
    request_id = call.number("requestId", "requestid")
    done = call.world.flow.reject(request_id, call.user, call.text("remark"), call.now, node)
    return reply(call, "SUCCESS") if done else _refused(call, {"isremark": 2, "takisremark": -1})


def _withdraw(call: RestCall) -> Any:
    done = call.world.flow.withdraw(
        call.number("requestId", "requestid"), call.user, call.text("remark"), call.now,
        archived=call.world.options.withdraw_archived,
    )  # fmt: skip
    return reply(call, "SUCCESS") if done else _refused(call, {"isremark": 2})


def _monitored(call: RestCall) -> bool:
    """Rights of a monitor: in this company the administrator and the accountant have them."""
    other = call.structure("otherParams", dict) or {}
    return str(other.get("ismonitor", "")) == "1" and call.user in {SYSTEM_ADMIN, INTEGRATION_USER}


def _draw_back(call: RestCall) -> Any:
    request_id = call.number("requestId", "requestid")
    done = _monitored(call) and call.world.flow.draw_back(
        request_id, call.user, call.text("remark"), call.now
    )
    return reply(call, "SUCCESS") if done else _refused(call, {"requestId": str(request_id)})


def _force_over(call: RestCall) -> Any:
    request_id = call.number("requestId", "requestid")
    done = _monitored(call) and call.world.flow.force_over(
        request_id, call.user, call.text("remark"), call.now
    )
    return reply(call, "SUCCESS") if done else _refused(call, {"requestId": str(request_id)})


def _delete(call: RestCall) -> Any:
    row = call.world.flow.request(call.number("requestId", "requestid"))
    if row is None:
        return reply(call, "PARAM_ERROR", errors={"requestId": call.text("requestId", "requestid")})
    own = row["creater"] == call.user and row["currentnodetype"] == START
    if not own and not _monitored(call):
        return reply(call, "NO_PERMISSION", errors={"requestId": str(row["requestid"])})
    call.world.flow.delete(row["requestid"], call.now)
    return reply(call, "SUCCESS")


def _remark(call: RestCall) -> Any:
    """saveRequestLog: an opinion of whoever has the request to do."""
    request_id, remark = call.number("requestId", "requestid"), call.text("remark")
    task = call.world.flow.task_of(request_id, call.user)
    if not remark:
        return reply(call, "PARAM_ERROR", errors={"remark": remark})
    if task is None:
        return _refused(call, {"isremark": 2})
    call.world.flow.log(
        request_id, task["nodeid"], "1", call.user, remark[: actions.MAX_VALUE], call.now, None
    )
    return reply(call, "SUCCESS")


def _forward(call: RestCall) -> Any:
    names = [
        name for name in call.text("forwardResourceIds").split(",")[:200] if name.isascii() and name.isdigit()
    ]
    receivers = [int(name) for name in names if len(name) < 16]
    request_id = call.number("requestId", "requestid")
    done = call.world.flow.forward(request_id, call.user, receivers, call.text("remark"), call.now)
    return reply(call, "SUCCESS") if done else _refused(call, {"requestId": str(request_id)})


ROUTES: Mapping[str, tuple[str, Handler]] = {
    "getWorkflowRequest": ("GET", _get),
    "getRequestStatus": ("GET", _status),
    "getRequestLog": ("GET", _log),
    "getRequestOperatorInfo": ("GET", _operators),
    "getCreateWorkflowRequestInfo": ("GET", _form),
    "getCreateWorkflowList": ("POST", _workflows),
    **{f"get{name}WorkflowRequestList": ("POST", _list(kind)) for name, kind in (
        ("ToDo", "ToDo"), ("Handled", "Hendled"), ("Processed", "Processed"), ("My", "My"), ("CC", "CC"),
        ("All", "All"), ("", "All"),
    )},
    **{f"get{name}WorkflowRequestCount": ("POST", _count(kind)) for name, kind in (
        ("ToDo", "ToDo"), ("Handled", "Hendled"), ("Processed", "Processed"), ("My", "My"), ("CC", "CC"),
        ("All", "All"),
    )},
    "doCreateRequest": ("POST", _create),
    "submitRequest": ("POST", _submit),
    "rejectRequest": ("POST", _reject),
    "withdrawRequest": ("POST", _withdraw),
    "doForceDrawBack": ("POST", _draw_back),
    "doForceOver": ("POST", _force_over),
    "deleteRequest": ("POST", _delete),
    "saveRequestLog": ("POST", _remark),
    "forwardRequest": ("POST", _forward),
}  # fmt: skip
