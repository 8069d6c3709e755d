"""The `conditions` of E9's lists: a JSON map of search fields (高级搜索条件), whole days at the finest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from include.emulators.weaver.clock import day_of
from include.emulators.weaver.conditions import Where
from include.emulators.weaver.world import World

_PERIODS = {
    "createdate": ("createdateselect", "t1.createdate"),
    "operatedate": ("operatedateselect", "t1.lastoperatedate"),
    "recievedate": ("recievedateselect", "t2.receivedate"),
}
"""The vendor spells 接收时间 recievedate."""


def bad_condition(conditions: Any) -> str:
    """What is wrong with the map, "" for nothing. Keys that the vendor does not know count for nothing."""
    if conditions is None:
        return "conditions格式不正确"
    for stem, (select, _) in _PERIODS.items():
        if str(conditions.get(select, "")) == "6":
            for name in (f"{stem}from", f"{stem}to"):
                text = str(conditions.get(name, ""))
                try:
                    _ = date.fromisoformat(text) if text else None
                except ValueError:
                    return f"{name}格式不正确"
    return ""


def where_of(world: World, conditions: Mapping[str, Any], now: int) -> Where:
    """The condition that the map stands for, at a time in epoch milliseconds."""
    parts: list[str] = []
    values: list[str | int | float] = []

    def add(sql: str, *given: str | int) -> None:
        parts.append(f" AND {sql}")
        values.extend(given)

    def text(name: str) -> str:
        return str(conditions.get(name, "") or "")

    if text("requestname"):
        add("t1.requestname LIKE ?", f"%{text('requestname')}%")
    if text("requestlevel"):
        add("t1.requestlevel = ?", text("requestlevel"))
    if text("wfcode"):
        add("t1.requestmark LIKE ?", f"%{text('wfcode')}%")
    if text("nodetype"):
        add("t1.currentnodetype = ?", text("nodetype"))
    if text("archivestatus") in {"1", "2"}:
        add(f"t1.currentnodetype {'=' if text('archivestatus') == '1' else '<>'} '3'")
    if text("createrid"):
        add("t1.creater = ?", text("createrid"))
    if text("workcode"):
        people = [
            str(person.id) for person in world.company.people.values() if person.workcode == text("workcode")
        ]
        _one_of(add, "t1.creater", people)
    if text("ownerdepartmentid"):
        department = text("ownerdepartmentid")
        _one_of(
            add,
            "t1.creater",
            [str(p.id) for p in world.company.people.values() if str(p.department) == department],
        )
    if text("workflowIds"):
        _one_of(add, "t1.workflowid", text("workflowIds").split(",")[:200])
    if text("workflowTypes"):
        types = text("workflowTypes").split(",")
        _one_of(
            add, "t1.workflowid", [str(w.id) for w in world.workflows.values() if str(w.type_id) in types]
        )
    for stem, (select, column) in _PERIODS.items():
        first, last = _period(text(select), text(f"{stem}from"), text(f"{stem}to"), day_of(now))
        if first:
            add(f"{column} >= ?", first)
        if last:
            add(f"{column} <= ?", last)
    return Where("".join(parts), tuple(values))


def _one_of(add: Any, column: str, values: list[str]) -> None:
    add(f"{column} IN ({', '.join('?' * len(values)) or 'NULL'})", *values)


def _period(select: str, first: str, last: str, today: date) -> tuple[str, str]:
    """(first day, last day) of a choice of period; "" for an open end."""
    month = today.replace(day=1)
    if select == "6":
        return first, last
    starts = {
        "1": today,
        "2": today - timedelta(days=today.weekday()),
        "3": month,
        "4": month.replace(month=(today.month - 1) // 3 * 3 + 1),
        "5": today.replace(month=1, day=1),
    }
    if select in starts:
        return starts[select].isoformat(), today.isoformat()
    if select == "7":
        end = month - timedelta(days=1)
        return end.replace(day=1).isoformat(), end.isoformat()
    if select == "8":
        return f"{today.year - 1}-01-01", f"{today.year - 1}-12-31"
    return "", ""
