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


_SIMPLE = {
    "requestlevel": "t1.requestlevel = ?",
    "nodetype": "t1.currentnodetype = ?",
    "createrid": "t1.creater = ?",
}
_LIKE = {"requestname": "t1.requestname LIKE ?", "wfcode": "t1.requestmark LIKE ?"}
_ARCHIVED = {"1": "t1.currentnodetype = '3'", "2": "t1.currentnodetype <> '3'"}


def where_of(world: World, conditions: Mapping[str, Any], now: int) -> Where:
    """The condition that the map stands for, at a time in epoch milliseconds."""
    given = {name: str(value) for name, value in conditions.items() if value not in (None, "")}
    parts = [sql for name, sql in (_SIMPLE | _LIKE).items() if name in given]
    values: list[str | int | float] = [given[name] for name in _SIMPLE if name in given]
    values += [f"%{given[name]}%" for name in _LIKE if name in given]
    if given.get("archivestatus") in _ARCHIVED:
        parts.append(_ARCHIVED[given["archivestatus"]])
    for column, chosen in _chosen(world, given):
        parts.append(f"{column} IN ({', '.join('?' * len(chosen)) or 'NULL'})")
        values += chosen
    for stem, (select, column) in _PERIODS.items():
        bounds = _period(
            given.get(select, ""), given.get(f"{stem}from", ""), given.get(f"{stem}to", ""), day_of(now)
        )
        for sign, day in zip((">=", "<="), bounds, strict=True):
            if day:
                parts.append(f"{column} {sign} ?")
                values.append(day)
    return Where("".join(f" AND {part}" for part in parts), tuple(values))


def _chosen(world: World, given: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """(column, the ids that it may have) for the conditions that name a set."""
    people = world.company.people.values()
    types = given.get("workflowTypes", "").split(",")
    sets = {
        "workcode": ("t1.creater", [str(p.id) for p in people if p.workcode == given.get("workcode")]),
        "ownerdepartmentid": (
            "t1.creater",
            [str(p.id) for p in people if str(p.department) == given.get("ownerdepartmentid")],
        ),
        "workflowIds": ("t1.workflowid", given.get("workflowIds", "").split(",")[:200]),
        "workflowTypes": (
            "t1.workflowid",
            [str(w.id) for w in world.workflows.values() if str(w.type_id) in types],
        ),
    }
    return [chosen for name, chosen in sets.items() if name in given]


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
