"""What people do in the OA while clients read: approve, edit, take back, delete, change a form (for tests)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from include.emulators.weaver.company import SYSTEM_ADMIN
from include.emulators.weaver.forms import ARCHIVE, START, SUBMIT, Field, Form, Workflow
from include.emulators.weaver.generate import Generator
from include.emulators.weaver.papers import CREDITABLE, column_writer
from include.emulators.weaver.problems import EmulatorError
from include.emulators.weaver.world import World

Json = dict[str, Any]


def apply(world: World, request_id: int, operation: str, data: Mapping[str, Any]) -> Json:
    """Make a change; returns the request's verdict and node.

    Raises:
        EmulatorError: an unknown operation or request, or a state in which it cannot be done.
    """
    action = OPERATIONS.get(operation)
    if action is None:
        known = ", ".join(sorted(OPERATIONS))
        raise EmulatorError(
            f"没有操作 {operation!r}，可用：{known} / unknown operation {operation!r}, use one of: {known}"
        )
    with world.call() as now:
        row = world.flow.request(request_id)
        if row is None:
            raise EmulatorError(f"没有流程 {request_id} / there is no request {request_id}")
        if not action(world, row, data, now):
            raise EmulatorError(
                f"流程 {request_id} 在节点 {row['currentnodeid']}，不能执行 {operation} / "
                f"request {request_id} is at node {row['currentnodeid']}, where {operation} cannot be done"
            )
        after = world.flow.request(request_id)
        if after is None:
            return {"verdict": "deleted"}
        return {
            "verdict": world.verdict(after),
            "currentNodeId": after["currentnodeid"],
            "status": after["status"],
        }


def add(world: World, data: Mapping[str, Any]) -> list[int]:
    """New documents, made and lived through in this moment: {"count", "fate", "kind"}; returns their ids.

    Raises:
        EmulatorError: no such fate, or too many at once.
    """
    count, fate, kind = data.get("count", 1), data.get("fate", "approved"), data.get("kind")
    fates = {"approved", "pending", "rejected", "withdrawn", "draft", "revoked", "forced", "deleted"}
    if (
        not isinstance(count, int)
        or not 0 < count <= 1000
        or fate not in fates
        or kind not in {None, "expense", "loan"}
    ):
        raise EmulatorError(
            f"count 须为 1 到 1000，fate 须为 {', '.join(sorted(fates))}，kind 须为 expense 或 loan / "
            f"count must be 1 to 1000, fate one of {', '.join(sorted(fates))}, kind expense or loan"
        )
    generator = Generator(world.flow, world.options, world.plan)
    made = []
    with world.call() as now:
        for _ in range(count):
            index = world.plan.documents + world.store.next_number("added")
            made.append(generator.document(index, now, until=now, fate=fate, kind=kind, pace=0))
    return made


def change_form(world: World, workflow_id: int, data: Mapping[str, Any]) -> Json:
    """An administrator changes a form: {"add": {a Field}, "drop": name, "table": "dt1"} or {"new_version": true}.

    A new version is another workflow, under another id, on the same form; new documents go there.

    Raises:
        EmulatorError: no such workflow, table or field.
    """
    with world.call():
        workflow = world.workflows.get(workflow_id)
        if workflow is None:
            raise EmulatorError(f"没有流程路径 {workflow_id} / there is no workflow {workflow_id}")
        if data.get("new_version"):
            changed = replace(workflow, id=max(world.workflows) + 1, name=f"{workflow.name}V2")
        else:
            changed = replace(workflow, form=_changed_form(workflow, data))
        world.save_workflows({**world.workflows, changed.id: changed})
    return {"workflowId": changed.id}


def _changed_form(workflow: Workflow, data: Mapping[str, Any]) -> Form:
    form, table = workflow.form, data.get("table")
    if table is not None and table not in form.details:
        raise EmulatorError(f"表单没有明细表 {table!r} / the form has no detail table {table!r}")
    fields = form.main if table is None else form.details[table]
    if "drop" in data:
        kept = tuple(item for item in fields if item.name != data["drop"])
        if len(kept) == len(fields):
            raise EmulatorError(f"表单没有字段 {data['drop']!r} / the form has no field {data['drop']!r}")
        fields = kept
    if "add" in data:
        try:
            item = Field(**data["add"])
        except TypeError as error:
            raise EmulatorError(f"字段定义不对：{error} / not a field: {error}") from error
        fields = (*fields, item)
    if table is None:
        return replace(form, main=fields)
    return replace(form, details={**form.details, table: fields})


def _approve(world: World, row: sqlite3.Row, data: Mapping[str, Any], now: int) -> bool:
    """Everybody agrees, until the request has ended; with {"to": node id} only so far."""
    request_id, goal = row["requestid"], data.get("to")
    for _ in world.flow.workflow_of(row).nodes:
        current = world.flow.request(request_id)
        assert current is not None
        if current["currentnodetype"] in {ARCHIVE, SUBMIT} or current["currentnodeid"] == goal:
            return bool(current["currentnodeid"] != row["currentnodeid"])
        node = world.flow.workflow_of(current).node(current["currentnodeid"])
        actor = world.flow.company.actor(node.role, current["creater"])
        if not world.flow.submit(request_id, actor, str(data.get("remark", "同意")), now, 0):
            return False
    return True


def _reject(world: World, row: sqlite3.Row, data: Mapping[str, Any], now: int) -> bool:
    node = world.flow.workflow_of(row).node(row["currentnodeid"])
    actor = world.flow.company.actor(node.role, row["creater"])
    return world.flow.reject(row["requestid"], actor, str(data.get("remark", "退回")), now)


def _withdraw(world: World, row: sqlite3.Row, data: Mapping[str, Any], now: int) -> bool:
    return world.flow.withdraw(
        row["requestid"], row["creater"], str(data.get("remark", "")), now, archived=True
    )


def _draw_back(world: World, row: sqlite3.Row, data: Mapping[str, Any], now: int) -> bool:
    return world.flow.draw_back(row["requestid"], SYSTEM_ADMIN, str(data.get("remark", "强制收回")), now)


def _force_over(world: World, row: sqlite3.Row, data: Mapping[str, Any], now: int) -> bool:
    return world.flow.force_over(row["requestid"], SYSTEM_ADMIN, str(data.get("remark", "强制归档")), now)


def _delete(world: World, row: sqlite3.Row, _data: Mapping[str, Any], now: int) -> bool:
    return world.flow.delete(row["requestid"], now)


def _edit(world: World, row: sqlite3.Row, data: Mapping[str, Any], now: int) -> bool:
    """Set fields as somebody with database access would: {"main": {…}, "dt1": {"<row>": {…}}}."""
    body = json.loads(row["body"])
    body["main"] |= {str(name): str(value) for name, value in data.get("main", {}).items()}
    for suffix, lines in body["details"].items():
        for index, fields in data.get(suffix, {}).items():
            if not index.isdigit() or int(index) >= len(lines):
                return False
            lines[int(index)]["fields"] |= {str(name): str(value) for name, value in fields.items()}
    world.flow.save_body(row["requestid"], body)
    world.flow.touch(row["requestid"], SYSTEM_ADMIN, now)
    return True


def _reprice(world: World, row: sqlite3.Row, data: Mapping[str, Any], now: int) -> bool:
    """A sound expense without loans gets another first line, and every total with it: {"amount": minor units}."""
    truth = json.loads(row["truth"]) if row["truth"] else None
    amount = data.get("amount")
    if (
        not truth
        or truth["kind"] != "expense"
        or truth["defect"]
        or truth["offset"]
        or truth["currency"] != "CNY"
    ):
        return False
    if not isinstance(amount, int) or isinstance(amount, bool) or amount < 1:
        return False
    body, write = json.loads(row["body"]), column_writer(world.options.database)
    first = truth["lines"][0]
    total = truth["gross"] - first["amount"] + amount
    if first["fee"] in CREDITABLE:
        truth["deductible"] -= first["tax"]
    first |= {"amount": amount, "tax": 0}
    truth |= {"gross": total, "home": total, "paid": total}
    body["details"]["dt1"][0]["fields"] |= {"je": write(amount), "se": write(0), "sl": "0"}
    body["main"] |= {"bxzje": write(total), "bbje": write(total), "sfje": write(total), "dxje": write(total)}
    world.flow.save_body(row["requestid"], body)
    world.store.run(
        "UPDATE workflow_requestbase SET truth = ? WHERE requestid = ?",
        (json.dumps(truth, ensure_ascii=False), row["requestid"]),
    )
    world.flow.touch(row["requestid"], SYSTEM_ADMIN, now)
    return True


def _resubmit(world: World, row: sqlite3.Row, data: Mapping[str, Any], now: int) -> bool:
    """Whoever has it at the first node submits it again."""
    if row["currentnodetype"] != START:
        return False
    return world.flow.submit(row["requestid"], row["creater"], str(data.get("remark", "")), now, 0)


OPERATIONS: Mapping[str, Callable[[World, sqlite3.Row, Mapping[str, Any], int], bool]] = {
    "approve": _approve,
    "resubmit": _resubmit,
    "reject": _reject,
    "withdraw": _withdraw,
    "draw_back": _draw_back,
    "force_over": _force_over,
    "delete": _delete,
    "edit": _edit,
    "reprice": _reprice,
}
