"""What clients may change: the rules that both interfaces share."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from include.emulators.weaver.company import INTEGRATION_USER
from include.emulators.weaver.forms import ARCHIVE, REGISTER, START, Field, Workflow
from include.emulators.weaver.world import World

Json = dict[str, Any]
SYSTEM_FIELDS = frozenset({"requestname", "requestlevel", "messageType"})
MAX_VALUE = 64_000
MAX_LINES = 2_000


class Outcome(Enum):
    """The four ends of a change, by the names that REST answers carry."""

    SUCCESS = 1
    PARAM_ERROR = 2
    NO_PERMISSION = 3


@dataclass(frozen=True, slots=True)
class Result:
    """An outcome with the parameters that were wrong, and the id of what was made."""

    outcome: Outcome
    errors: Mapping[str, Any] = field(default_factory=dict)
    request_id: int = 0


@dataclass(frozen=True, slots=True)
class DetailRows:
    """Rows for one detail table. A row with a known id changes that row, any other is added."""

    table: str
    rows: Sequence[tuple[int, Mapping[str, str]]]
    delete_all: bool = False
    delete_keys: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Entry:
    """What a client wants to put on a form."""

    main: Mapping[str, str] = field(default_factory=dict)
    details: Sequence[DetailRows] = ()

    @property
    def is_empty(self) -> bool:
        return not self.main and not self.details


def create(
    world: World, user: int, workflow_id: int, entry: Entry, *, name: str, level: int, remark: str, go_on: bool,
    now: int,
) -> Result:  # fmt: skip
    """A new request, submitted at once with `go_on`. Nothing recognises a second one like it."""
    workflow = world.workflows.get(workflow_id)
    if workflow is None or user not in world.company.people:
        return Result(Outcome.PARAM_ERROR, {"workflowId": workflow_id})
    if workflow.mark == world.workflows[REGISTER].mark and world.options.write_back != "register":
        return Result(Outcome.NO_PERMISSION, {"workflowId": workflow_id})
    if not entry.main:
        return Result(Outcome.PARAM_ERROR, {"mainData": "新建流程主表数据不允许为空"})
    errors = unknown_fields(workflow, entry)
    for item in workflow.form.main:
        if item.mandatory and not entry.main.get(item.name):
            errors[item.name] = f"{item.label}：必填字段不允许为空"
    if errors:
        return Result(Outcome.PARAM_ERROR, errors)
    main = {key: value for key, value in entry.main.items() if key not in SYSTEM_FIELDS}
    rows = {
        suffix: [dict(fields) for detail in entry.details if detail.table == workflow.form.detail_table(suffix)
                 for _, fields in detail.rows]
        for suffix in workflow.form.details
    }  # fmt: skip
    body = {"main": main, "details": rows}
    request_id = world.flow.create(workflow, user, body, name=name, level=level, now=now)
    if go_on:
        world.flow.submit(request_id, user, remark, now, world.options.move_delay_ms)
        if workflow.mark == world.workflows[REGISTER].mark:
            _node_action(world, main, now)
    return Result(Outcome.SUCCESS, request_id=request_id)


def change(
    world: World, user: int, row: sqlite3.Row, entry: Entry, *, submit: bool, remark: str, now: int
) -> Result:
    """Save fields, then submit; or only save. Fields that the node does not let this user edit stay as they are."""
    editable = editable_fields(world, user, row)
    if editable is None:
        return Result(Outcome.NO_PERMISSION, {"isremark": 2})
    if submit and world.flow.task_of(row["requestid"], user) is None:
        return Result(Outcome.NO_PERMISSION, {"isremark": 4})
    if not entry.is_empty:
        _save(world, row, entry, {item.name for item in editable}, whole=row["currentnodetype"] == START)
    if submit:
        world.flow.submit(row["requestid"], user, remark, now, world.options.move_delay_ms)
    else:
        world.flow.log(row["requestid"], row["currentnodeid"], "1", user, remark, now, None)
    return Result(Outcome.SUCCESS, request_id=row["requestid"])


def editable_fields(world: World, user: int, row: sqlite3.Row) -> list[Field] | None:
    """The main fields that a user may change now; None where the user may not even save."""
    workflow = world.flow.workflow_of(row)
    task = world.flow.task_of(row["requestid"], user)
    voucher = [item for item in workflow.form.main if item.archived_edit]
    if task is not None:
        return list(workflow.form.main) if row["currentnodetype"] == START else voucher
    archived = row["currentnodetype"] == ARCHIVE
    if archived and user == INTEGRATION_USER and world.options.write_back == "archived_save":
        return voucher
    return None


def unknown_fields(workflow: Workflow, entry: Entry) -> Json:
    """What a form does not have, as the vendor names it, and values that are too long."""
    known = {item.name for item in workflow.form.main} | SYSTEM_FIELDS
    errors: Json = {f"error_param_{name}": name for name in entry.main if name not in known}
    tables = {workflow.form.detail_table(suffix): fields for suffix, fields in workflow.form.details.items()}
    for detail in entry.details:
        if detail.table not in tables:
            errors[f"error_param_{detail.table}"] = detail.table
            continue
        names = {item.name for item in tables[detail.table]}
        for _, fields in detail.rows:
            errors |= {f"error_param_{name}": name for name in fields if name not in names}
    too_long = [name for name, value in entry.main.items() if len(value) > MAX_VALUE]
    if too_long or sum(len(detail.rows) for detail in entry.details) > MAX_LINES:
        errors["length"] = too_long or "detailData"
    return errors


def _save(world: World, row: sqlite3.Row, entry: Entry, editable: set[str], *, whole: bool) -> None:
    workflow = world.flow.workflow_of(row)
    body = json.loads(row["body"])
    body["main"] |= {name: value for name, value in entry.main.items() if name in editable}
    for detail in entry.details if whole else ():
        suffix = next(
            (s for s in workflow.form.details if workflow.form.detail_table(s) == detail.table), None
        )
        if suffix is not None:
            body["details"][suffix] = _merged(world, body["details"].get(suffix, []), detail)
    world.flow.save_body(row["requestid"], body)


def _merged(world: World, lines: list[Json], detail: DetailRows) -> list[Json]:
    kept = [] if detail.delete_all else [line for line in lines if line["id"] not in detail.delete_keys]
    by_id = {line["id"]: line for line in kept}
    for number, fields in detail.rows:
        if number in by_id:
            by_id[number]["fields"] |= dict(fields)
        else:
            kept.append({"id": world.store.next_number(f"detail:{detail.table}"), "fields": dict(fields)})
    return kept


def _node_action(world: World, main: Mapping[str, str], now: int) -> None:
    """凭证登记: its node action copies what was registered onto the document that it names."""
    named = main.get("ydj", "")
    row = world.flow.request(int(named)) if named.isascii() and named.isdigit() and len(named) < 16 else None
    if row is None:
        return
    body = json.loads(row["body"])
    body["main"] |= {name: main.get(name, "") for name in ("pzh", "pzqj", "pzzt", "pzcw")}
    world.flow.save_body(row["requestid"], body)
    world.flow.touch(row["requestid"], INTEGRATION_USER, now)
