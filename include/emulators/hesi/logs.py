"""Approval history (审批记录) of a document, entry by entry as the vendor writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One entry: who did what when, the state after it, and whose turn it is then."""

    action: str
    state: str
    operator_id: str
    department_id: str
    time: int
    next_id: str | None
    node: str
    comment: str = ""


def entry(step: Step) -> Json:
    """The entry as it stands in `logs`; `action` without its prefix in `Step`, with it here."""
    submits = step.action == "submit"
    attributes: Json = {
        "nextId": step.next_id and f"FLOW:{step.next_id}",
        "nodeId": "SUBMIT" if submits else f"FLOW:{step.node}",
        "comment": step.comment,
        "resubmitMethod": "FROM_START",
    }
    if submits:
        attributes |= {"isUrgent": False, "urgentReason": None, "nextName": "部门负责人审批"}
    else:
        attributes |= {"isAuto": False, "isEbotNode": False, "nextName": None}
    return {
        "action": f"freeflow.{step.action}",
        "state": step.state,
        "operatorId": step.operator_id,
        "byDelegateId": None,
        "operatorDefaultDepartment": step.department_id,
        "nextOperatorId": step.next_id,
        "nextOperatorIds": [],
        "time": step.time,
        "attributes": attributes,
        "modifyFlowLog": None,
        "attachments": [],
    }
