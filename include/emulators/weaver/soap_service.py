"""WorkflowService: the operations."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from include.emulators.weaver import actions, lists, render
from include.emulators.weaver.conditions import SqlError, Where, where_of
from include.emulators.weaver.soap import SoapCall, SoapFault, accepts
from include.emulators.weaver.soap_types import INFO, OPERATIONS, STRINGS
from include.emulators.weaver.world import World

Json = dict[str, Any]
Found = TypeVar("Found")
SUBMITTING = frozenset({"submit", "subback", "subnoback"})
_LIST = re.compile(r"get(ToDo|Hendled|Processed|My|CC|All)WorkflowRequest(List|Count)")


def answer(world: World, call: SoapCall) -> tuple[str, Any]:
    """(type, value) of an operation's result.

    Raises:
        SoapFault: there is no such operation, or it was called wrongly.
    """
    if call.operation not in OPERATIONS or not accepts(call.namespace):
        raise SoapFault("Client", f"Invalid operation: {{{call.namespace}}}{call.operation}")
    with world.call() as now:
        matched = _LIST.fullmatch(call.operation)
        if matched:
            value = (
                _count(world, call, matched[1]) if matched[2] == "Count" else _list(world, call, matched[1])
            )
        else:
            value = _OTHERS[call.operation](world, call, now)
    return OPERATIONS[call.operation][1], value


def _searched(world: World, fragments: list[str], search: Callable[[Where], Found], nothing: Found) -> Found:
    """What a search finds; `nothing` where the database refuses the conditions and the product keeps that to itself."""
    given = [fragment for fragment in fragments if fragment and fragment.strip()]
    if given and world.options.conditions == "refused":
        raise SoapFault("Client", "conditions参数不合法")
    try:
        return search(where_of(given))
    except SqlError as error:
        world.refused_conditions.append(f"{error} | {' AND '.join(given)[:500]}")
        del world.refused_conditions[:-50]
        if world.options.sql_error == "fault":
            raise SoapFault("Server", str(error)) from error
        return nothing


def _count(world: World, call: SoapCall, kind: str) -> int:
    user = call.value(0, "int")
    return _searched(
        world, call.value(1, STRINGS), lambda where: lists.count(world.store, kind, user, where), 0
    )


def _list(world: World, call: SoapCall, kind: str) -> list[Json]:
    page, size, record_count, user = (call.value(index, "int") for index in range(4))

    def search(where: Where) -> list[sqlite3.Row]:
        total = lists.count(world.store, kind, user, where)
        if world.options.endless_pages:
            limit, offset = lists.again(size, (max(page, 1) - 1) * size, total)
        else:
            limit, offset = lists.soap_page(world.options.database, page, size, record_count, total)
        return lists.rows(world.store, kind, user, where, limit, offset)

    found: list[sqlite3.Row] = _searched(world, call.value(4, STRINGS), search, [])
    return [render.listed(world, row) for row in found]


def _get(world: World, call: SoapCall, _now: int) -> Json | None:
    row = world.flow.request(call.value(0, "int"))
    # The product asks nobody whether this user may read it; canView says it.
    return None if row is None else render.whole(world, row, call.value(1, "int"))


def _form(world: World, call: SoapCall, _now: int) -> Json | None:
    workflow = world.workflows.get(call.value(0, "int"))
    return None if workflow is None else render.empty(world, workflow, call.value(1, "int"))


def _logs(world: World, call: SoapCall, _now: int) -> list[Json]:
    """(workflowId, requestId, userId, pageSize, endId): the latest `pageSize` of those before `endId`."""
    request, size, end = call.value(1, "string"), call.value(3, "int"), call.value(4, "int")
    row = (
        world.flow.request(int(request))
        if request.isascii() and request.isdigit() and len(request) < 16
        else None
    )
    if row is None:
        return []
    found = [log for log in world.flow.logs(row["requestid"]) if not end or log["id"] < end]
    return [render.log_info(world, world.flow.workflow_of(row), log) for log in found[: size or None]]


def _create(world: World, call: SoapCall, now: int) -> str:
    """The new request's id, or a negative number: -1 failed, -2 may not create, -4 main table."""
    info: Json = call.value(0, INFO)
    user = call.value(1, "int")
    workflow = info.get("workflowBaseInfo", {}).get("workflowId", "")
    if not workflow.isascii() or not workflow.isdigit() or len(workflow) > 15:
        return "-1"
    level = info.get("requestLevel", "")
    entry = known_part(world, int(workflow), entry_of(info))
    result = actions.create(
        world, user, int(workflow), entry, name=info.get("requestName", ""),
        level=int(level) if level in {"0", "1", "2"} else 0, remark=info.get("remark", ""),
        go_on=info.get("isnextflow", "") != "0", now=now,
    )  # fmt: skip
    if result.outcome is actions.Outcome.SUCCESS:
        return str(result.request_id)
    if result.outcome is actions.Outcome.NO_PERMISSION:
        return "-2"
    return "-1" if "workflowId" in result.errors else "-4"


def _submit(world: World, call: SoapCall, now: int) -> str:
    """success, failed (no task, or nothing to do) or error (an unknown type or request)."""
    info: Json = call.value(0, INFO)
    request_id, user = call.value(1, "int"), call.value(2, "int")
    kind, remark = call.value(3, "string"), call.value(4, "string")
    row = world.flow.request(request_id)
    if row is None or kind not in SUBMITTING | {"reject", "save"}:
        return "error"
    if kind == "reject":
        return "success" if world.flow.reject(request_id, user, remark, now) else "failed"
    entry = known_part(world, row["workflowid"], entry_of(info))
    result = actions.change(world, user, row, entry, submit=kind != "save", remark=remark, now=now)
    return "success" if result.outcome is actions.Outcome.SUCCESS else "failed"


def _forward(world: World, call: SoapCall, now: int) -> str:
    names = [name for name in call.value(1, "string").split(",")[:200] if name.isascii() and name.isdigit()]
    receivers = [int(name) for name in names if len(name) < 16]
    done = world.flow.forward(
        call.value(0, "int"), call.value(3, "int"), receivers, call.value(2, "string"), now
    )
    return "success" if done else "failed"


def _force_over(world: World, call: SoapCall, now: int) -> str:
    return (
        "success" if world.flow.force_over(call.value(0, "int"), call.value(1, "int"), "", now) else "failed"
    )


def _delete(world: World, call: SoapCall, now: int) -> bool:
    return world.flow.delete(call.value(0, "int"), now)


def _user_id(world: World, call: SoapCall, _now: int) -> str:
    """The id of the person whose `workcode`, `loginid` or `id` it is; empty for nobody."""
    name, value = call.value(0, "string").lower(), call.value(1, "string")
    for person in world.company.people.values():
        if value and value == {
            "workcode": person.workcode,
            "loginid": person.workcode,
            "id": str(person.id),
        }.get(name):
            return str(person.id)
    return ""


_OTHERS: dict[str, Callable[[World, SoapCall, int], Any]] = {
    "getWorkflowRequest": _get,
    "getCreateWorkflowRequestInfo": _form,
    "getWorkflowRequestLogs": _logs,
    "doCreateWorkflowRequest": _create,
    "submitWorkflowRequest": _submit,
    "forwardWorkflowRequest": _forward,
    "doForceOver": _force_over,
    "deleteRequest": _delete,
    "getUserId": _user_id,
}


def entry_of(info: Json) -> actions.Entry:
    """What a WorkflowRequestInfo puts on a form."""
    records = info.get("workflowMainTableInfo", {}).get("requestRecords", [])
    main = _values(records[0]) if records else {}
    details = [
        actions.DetailRows(
            table.get("tableDBName", "").lower(),
            [
                (line.get("recordOrder", 0), _values(line))
                for line in table.get("workflowRequestTableRecords", [])
            ],
        )
        for table in info.get("workflowDetailTableInfos", [])
    ]
    return actions.Entry(main, details)


def known_part(world: World, workflow_id: int, entry: actions.Entry) -> actions.Entry:
    """An entry without the fields that the form lacks: SOAP drops them and says nothing."""
    workflow = world.workflows.get(workflow_id)
    if workflow is None:
        return entry
    main = {item.name for item in workflow.form.main}
    names = {
        workflow.form.detail_table(s): {item.name for item in items}
        for s, items in workflow.form.details.items()
    }
    details = [
        actions.DetailRows(
            detail.table,
            [
                (number, {key: value for key, value in fields.items() if key in names[detail.table]})
                for number, fields in detail.rows[: actions.MAX_LINES]
            ],
        )
        for detail in entry.details
        if detail.table in names
    ]
    return actions.Entry(
        {key: value[: actions.MAX_VALUE] for key, value in entry.main.items() if key in main}, details
    )


def _values(record: Json) -> dict[str, str]:
    fields = record.get("workflowRequestTableFields", [])
    return {item["fieldName"]: item.get("fieldValue", "") for item in fields if item.get("fieldName")}
