"""WorkflowRequestInfo and its parts as both interfaces show them: plain dictionaries in the vendor's field order."""

from __future__ import annotations

import json
import sqlite3
from decimal import Decimal, InvalidOperation
from typing import Any

from include.emulators.weaver import amounts
from include.emulators.weaver.company import BRANCH, BRANCH_NAME, DEPARTMENTS, PROJECTS
from include.emulators.weaver.forms import ARCHIVE, START, SUBMIT, Field, Workflow
from include.emulators.weaver.world import World

Json = dict[str, Any]
LEVELS = (("0", "正常"), ("1", "重要"), ("2", "紧急"))
LOG_NAMES = {
    "0": "批准",
    "1": "保存",
    "2": "提交",
    "3": "退回",
    "7": "转发",
    "e": "强制归档",
    "w": "撤回",
    "r": "强制收回",
}
LOGS_SHOWN = 10


def base_info(workflow: Workflow) -> Json:
    return {
        "formId": str(workflow.form_id),
        "workflowId": str(workflow.id),
        "workflowName": workflow.name,
        "workflowTypeId": str(workflow.type_id),
        "workflowTypeName": workflow.type_name,
    }


def listed(world: World, row: sqlite3.Row) -> Json:
    """A request in a list: no form."""
    workflow = world.flow.workflow_of(row)
    return {
        "createTime": f"{row['createdate']} {row['createtime']}",
        "creatorId": str(row["creater"]),
        "creatorName": world.company.name_of(row["creater"]),
        "currentNodeId": str(row["currentnodeid"]),
        "currentNodeName": workflow.node(row["currentnodeid"]).name,
        "lastOperateTime": f"{row['lastoperatedate']} {row['lastoperatetime']}",
        "lastOperatorName": world.company.name_of(row["lastoperator"]),
        "receiveTime": f"{row['receivedate']} {row['receivetime']}",
        "requestId": str(row["requestid"]),
        "requestLevel": str(row["requestlevel"]),
        "requestName": row["requestname"],
        "status": row["status"],
        "workflowBaseInfo": base_info(workflow),
    }


def whole(world: World, row: sqlite3.Row, user: int) -> Json:
    """A request with its form and the last of its history, as `user` gets it."""
    workflow = world.flow.workflow_of(row)
    body = json.loads(row["body"])
    task = world.flow.task_of(row["requestid"], user)
    node = workflow.node(row["currentnodeid"])
    own = task is not None and node.kind != ARCHIVE
    return {
        "canEdit": own,
        "canView": world.flow.takes_part(row["requestid"], user),
        "createTime": f"{row['createdate']} {row['createtime']}",
        "creatorId": str(row["creater"]),
        "creatorName": world.company.name_of(row["creater"]),
        "currentNodeId": str(node.id),
        "currentNodeName": node.name,
        "forwardButtonName": "转发",
        "lastOperateTime": f"{row['lastoperatedate']} {row['lastoperatetime']}",
        "lastOperatorName": world.company.name_of(row["lastoperator"]),
        "messageType": "0",
        "mustInputRemark": False,
        "needAffirmance": False,
        "rejectButtonName": "退回" if own and node.kind != START else "",
        "remark": "",
        "requestId": str(row["requestid"]),
        "requestLevel": str(row["requestlevel"]),
        "requestName": row["requestname"],
        "status": row["status"],
        "subbackButtonName": "",
        "submitButtonName": ("提交" if node.kind in {START, SUBMIT} else "批准") if own else "",
        "subnobackButtonName": "",
        "workflowBaseInfo": base_info(workflow),
        "workflowDetailTableInfos": details_info(world, workflow, body["details"], editable=own),
        "workflowMainTableInfo": main_info(world, workflow, body["main"], row, editable=own),
        "workflowRequestLogs": [
            log_info(world, workflow, log) for log in world.flow.logs(row["requestid"])[:LOGS_SHOWN]
        ],
    }


def empty(world: World, workflow: Workflow, user: int) -> Json:
    """The form of a workflow before anything is filled in (getCreateWorkflowRequestInfo)."""
    lines = {suffix: [{"id": 0, "fields": {}}] for suffix in workflow.form.details}
    return {
        "canEdit": True,
        "canView": True,
        "creatorId": str(user),
        "creatorName": world.company.name_of(user),
        "currentNodeId": str(workflow.nodes[0].id),
        "currentNodeName": workflow.nodes[0].name,
        "requestLevel": "0",
        "workflowBaseInfo": base_info(workflow),
        "workflowDetailTableInfos": details_info(world, workflow, lines, editable=True),
        "workflowMainTableInfo": main_info(world, workflow, {}, None, editable=True),
    }


def main_info(
    world: World, workflow: Workflow, main: Json, row: sqlite3.Row | None, *, editable: bool
) -> Json:
    name = row["requestname"] if row else ""
    level = str(row["requestlevel"]) if row else "0"
    system = [
        _system_field("requestname", "-1", "标题", "1", name, name, -1, mand=True),
        _system_field("requestlevel", "-2", "", "5", level, dict(LEVELS).get(level, ""), -2, options=LEVELS),
    ]
    fields = [
        field_info(world, item, main.get(item.name, ""), None, editable=editable)
        for item in workflow.form.main
    ]
    record = {"recordOrder": 0, "workflowRequestTableFields": system + fields}
    return {"requestRecords": [record], "tableDBName": workflow.form.table}


def details_info(world: World, workflow: Workflow, details: Json, *, editable: bool) -> list[Json]:
    return [
        {
            "tableDBName": workflow.form.detail_table(suffix),
            "tableFieldName": [item.label for item in fields],
            "tableTitle": workflow.form.titles.get(suffix, ""),
            "workflowRequestTableRecords": [
                {
                    "recordOrder": line["id"],
                    "workflowRequestTableFields": [
                        field_info(world, item, line["fields"].get(item.name, ""), index, editable=editable)
                        for item in fields
                    ],
                }
                for index, line in enumerate(details.get(suffix, []))
            ],
        }
        for suffix, fields in workflow.form.details.items()
    ]


def field_info(world: World, item: Field, value: str, index: int | None, *, editable: bool) -> Json:
    shown = show(world, item, value)
    return {
        "browserurl": "",
        "edit": editable,
        "fieldDBType": item.db_type,
        "fieldFormName": f"field{item.id}" + ("" if index is None else f"_{index}"),
        "fieldHtmlType": item.html,
        "fieldId": str(item.id),
        "fieldName": item.name,
        "fieldOrder": 0,
        "fieldShowName": item.label,
        "fieldShowValue": shown,
        "fieldType": item.type,
        "fieldValue": value,
        "filedHtmlShow": shown,
        "mand": item.mandatory,
        "selectnames": [label for _, label in item.options],
        "selectvalues": [key for key, _ in item.options],
        "view": True,
    }


def _system_field(
    name: str, number: str, label: str, html: str, value: str, shown: str, order: int, *,
    mand: bool = False, options: tuple[tuple[str, str], ...] = (),
) -> Json:  # fmt: skip
    return {
        "edit": True,
        "fieldDBType": "",
        "fieldFormName": name,
        "fieldHtmlType": html,
        "fieldId": number,
        "fieldName": name,
        "fieldOrder": order,
        "fieldShowName": label,
        "fieldShowValue": shown,
        "fieldType": "",
        "fieldValue": value,
        "filedHtmlShow": shown,
        "mand": mand,
        "selectnames": [label for _, label in options],
        "selectvalues": [key for key, _ in options],
        "view": True,
    }


def log_info(world: World, workflow: Workflow, log: sqlite3.Row) -> Json:
    department = DEPARTMENTS.get(world.company.department_of(log["operator"]), ("", ""))[0]
    return {
        "annexDocHtmls": "",
        "id": str(log["id"]),
        "nodeId": str(log["nodeid"]),
        "nodeName": workflow.node(log["nodeid"]).name,
        "operateDate": log["operatedate"],
        "operateTime": log["operatetime"],
        "operateType": LOG_NAMES.get(log["logtype"], ""),
        "operatorDept": department,
        "operatorId": str(log["operator"]),
        "operatorName": world.company.name_of(log["operator"]),
        "receivedPersons": log["receivedpersons"],
        "remark": log["remark"],
        "signDocHtmls": "",
        "signWorkFlowHtmls": "",
    }


def show(world: World, item: Field, value: str) -> str:
    """The label that stands for a value: a name for an id, words for an amount."""
    if item.html == "5":
        return dict(item.options).get(value, "")
    if item.html == "3":
        return _browsed(world, item.type, value)
    if item.html == "6":
        return "".join(
            f"附件{index + 1}.pdf " for index, _ in enumerate(filter(None, value.split(",")))
        ).strip()
    if item.html == "1" and item.type == "4" and value:
        try:
            return amounts.capital(int(Decimal(value).scaleb(2).to_integral_exact()))
        except (InvalidOperation, ValueError):
            return value
    return value


def _browsed(world: World, kind: str, value: str) -> str:
    if not value.isascii() or not value.isdigit():
        return value
    number = int(value)
    if kind == "1":
        return world.company.name_of(number)
    if kind == "4":
        return DEPARTMENTS.get(number, ("", ""))[0]
    if kind == "8":
        return PROJECTS.get(number, ("", ""))[0]
    if kind == "164":
        return BRANCH_NAME if number == BRANCH else ""
    if kind == "16":
        found = world.flow.request(number)
        return found["requestname"] if found else ""
    return value
