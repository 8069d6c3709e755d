"""The approval history (审批记录) of a payload, and when the document was approved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.adapters.oa.hesi.reader import Reader
from include.adapters.oa.reading import Label
from include.domain.document import ApprovalStep

TIME = Label("document.log.time", "审批记录时间", "the time of an approval step")
APPROVED = frozenset({"paid", "archived"})


@dataclass(frozen=True, slots=True)
class History:
    """`approved_at` is when the flow last came to its end, None where the history does not show it."""

    steps: tuple[ApprovalStep, ...]
    approved_at: datetime | None


def read_history(reader: Reader, logs: object) -> History:
    """All steps whose time can be read, in the order sent.

    The flow's end is a step that led to `paid` from another state: a comment or an archiving afterwards is
    none. After a withdrawal and a second approval, the second counts.
    """
    if logs is None:
        return History((), None)
    if not isinstance(logs, list):
        _note_unreadable(reader, "logs")
        return History((), None)
    steps: list[ApprovalStep] = []
    approved_at, before = None, ""
    for index, entry in enumerate(logs):
        at = _time(reader, entry, f"logs[{index}]")
        if at is None:
            continue
        steps.append(_step(reader, entry, at))
        state = reader.text(entry.get("state"))
        if state == "paid" and before not in APPROVED:
            approved_at = at
        before = state
    return History(tuple(steps), approved_at)


def _time(reader: Reader, entry: object, where: str) -> datetime | None:
    noted = len(reader.problems)
    at = reader.moment(entry.get("time"), f"{where}.time", TIME) if isinstance(entry, dict) else None
    if at is None and len(reader.problems) == noted:
        _note_unreadable(reader, where)
    return at


def _step(reader: Reader, entry: Mapping[str, Any], at: datetime) -> ApprovalStep:
    attributes = entry.get("attributes")
    more: Mapping[str, Any] = attributes if isinstance(attributes, dict) else {}
    return ApprovalStep(
        action=reader.text(entry.get("action")).removeprefix("freeflow.")[:64],
        operator_id=reader.text(entry.get("operatorId"))[:128],
        at=at,
        node=reader.text(more.get("nodeId")),
        next_operator_id=reader.text(entry.get("nextOperatorId"))[:128],
        comment=reader.text(more.get("comment")),
    )


def _note_unreadable(reader: Reader, where: str) -> None:
    reader.unreadable(where, "document.log.unreadable", "审批记录", "the approval history")
