"""An approval instance of DingTalk → the neutral form that the mapping files are read against. Pure.

A payload is {"processInstanceId", "processCode", "instance", "attached"}: DingTalk's detail as it came, and with it the
approved instances that cancel (REVOKE) or change (MODIFY) it, each as {"processInstanceId", "instance"}.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from include.adapters.oa.dingtalk.client import Json
from include.adapters.oa.forms import FieldValue, FormInstance, Row
from include.adapters.oa.forms.instance import AGREE, REJECT, RETRACT, SUBMIT
from include.adapters.oa.forms.moments import read_moment
from include.adapters.oa.reading import clean_text, usable_id
from include.domain.document import ApprovalStep, DocumentStatus, digest
from include.domain.problems import Problem, ProblemOwner

ID, PROCESS, INSTANCE, ATTACHED, IS_GONE = (
    "processInstanceId",
    "processCode",
    "instance",
    "attached",
    "deleted",
)
REVOKE, MODIFY = "REVOKE", "MODIFY"
_JSON_LENGTH = 4_000_000
_LISTS = frozenset({"DDMultiSelectField", "RelateField", "DDPhotoField", "DDAttachment", "InnerContactField"})
"""Components whose value may be a JSON list in text."""
_SUBMITTED_BY = re.compile(r"(.{1,64}?)提交的")
_MINUTE_US = 60_000_000
_FILES = frozenset({"DDPhotoField", "DDAttachment"})
_ACTIONS = {"START_PROCESS_INSTANCE": SUBMIT, "TERMINATE_PROCESS_INSTANCE": RETRACT}
_RESULTS = {"AGREE": AGREE, "REFUSE": REJECT}


def instance_of(payload: Mapping[str, Any], zone: ZoneInfo, main_key: str) -> FormInstance:
    """The form of a payload; what is not as documented counts as absent."""
    own = object_of(payload.get(INSTANCE))
    changes = sorted(
        (object_of(item.get(INSTANCE)) for item in objects_of(payload.get(ATTACHED))),
        key=lambda detail: _text(detail.get("finishTime")),
    )
    is_revoked = any(action_of(change) == REVOKE for change in changes)
    current = next((change for change in reversed(changes) if action_of(change) == MODIFY), own)
    steps = steps_of(own, zone)
    if current is not own:
        steps = (*steps, *steps_of(current, zone))
    is_linked = action_of(own) not in {REVOKE, MODIFY} or bool(main_of(own, main_key))
    status = _status(payload, own, is_revoked=is_revoked, is_linked=is_linked)
    components = components_of(current)
    fields = {name: _value(item) for name, item in _named(components)}
    return FormInstance(
        id=_text(payload.get(ID)),
        template=_text(payload.get(PROCESS)),
        status=status,
        code=_text(own.get("businessId")),
        title=_text(own.get("title")),
        submitter=_text(own.get("originatorUserId")),
        created_at=read_moment(own.get("createTime"), zone),
        updated_at=changed_at(payload, zone),
        submitted_at=read_moment(current.get("createTime"), zone),
        approved_at=read_moment(current.get("finishTime"), zone) if status.is_due else None,
        finished_at=read_moment(current.get("finishTime"), zone),
        fields=fields,
        tables=dict(_tables(components)),
        steps=steps,
        attachments=sum(
            len(value.value)
            for value in fields.values()
            if value.type in _FILES and isinstance(value.value, list)
        ),
        lists_empty=False,
        problems=() if status is not DocumentStatus.UNKNOWN or is_linked else (_unlinked(own, main_key),),
    )


def is_approved(detail: Mapping[str, Any]) -> bool:
    """A refused instance is COMPLETED too: the result tells."""
    return detail.get("status") == "COMPLETED" and _text(detail.get("result")).lower() == "agree"


def main_of(detail: Mapping[str, Any], main_key: str) -> str:
    """The id of the instance that a REVOKE or MODIFY concerns: text, or a list of one; else ""."""
    named = detail.get(main_key)
    return usable_id(named[0] if isinstance(named, list) and len(named) == 1 else named)


def has_ended(detail: Mapping[str, Any]) -> bool:
    """Whether nothing can happen to an instance itself any more."""
    return _text(detail.get("status")) in {"COMPLETED", "TERMINATED", "CANCELED"}


def originator_of(detail: Mapping[str, Any]) -> tuple[str, str]:
    """(userId, name) of who has begun an instance, "" where it does not say. The name is in the title alone, if at all:
    RECALL, `某某提交的…`; else the id stands for it.
    """
    who = usable_id(detail.get("originatorUserId"))
    named = _SUBMITTED_BY.match(_text(detail.get("title")))
    return who, clean_text(named[1]) if named else who


def action_of(detail: Mapping[str, Any]) -> str:
    """REVOKE, MODIFY, or "" for a document of its own."""
    action = _text(detail.get("bizAction")).upper()
    return "" if action == "NONE" else action


def changed_at(payload: Mapping[str, Any], zone: ZoneInfo) -> datetime | None:
    """When a document last changed, to the minute: its end, else its latest operation; and the end of what was attached.

    DingTalk has no time of change; the seconds stand for the contents. An ended instance stays as it is; comments on it are no change.
    """
    own = object_of(payload.get(INSTANCE))
    ends = [read_moment(own.get("finishTime"), zone)]
    if ends == [None]:
        ends = [read_moment(own.get("createTime"), zone), *(step.at for step in steps_of(own, zone))]
    for item in objects_of(payload.get(ATTACHED)):
        ends.append(read_moment(object_of(item.get(INSTANCE)).get("finishTime"), zone))
    latest = max((moment for moment in ends if moment is not None), default=None)
    if latest is None:
        return None
    # Of two changes within a minute the second must be noticed too: what the instance says is part of its time.
    said = int(digest({INSTANCE: own, ATTACHED: payload.get(ATTACHED)})[:12], 16)
    return latest.replace(second=0, microsecond=0) + timedelta(microseconds=said % _MINUTE_US)


def steps_of(detail: Mapping[str, Any], zone: ZoneInfo) -> tuple[ApprovalStep, ...]:
    """The history, oldest first; entries without a time are left out."""
    found = []
    for entry in objects_of(detail.get("operationRecords")):
        at = read_moment(entry.get("date"), zone)
        if at is None:
            continue
        kind = _text(entry.get("type"))
        found.append(
            ApprovalStep(
                action=_ACTIONS.get(kind) or _RESULTS.get(_text(entry.get("result")).upper(), kind),
                operator_id=_text(entry.get("userId")),
                at=at,
                node=_text(entry.get("showName")),
                comment=_text(entry.get("remark")),
            )
        )
    return tuple(sorted(found, key=lambda step: step.at))


def remarks_of(detail: Mapping[str, Any]) -> list[str]:
    """What was said on an instance, in its own order."""
    return [_text(entry.get("remark")) for entry in objects_of(detail.get("operationRecords"))]


def components_of(detail: Mapping[str, Any]) -> list[Json]:
    """The filled-in fields of a form."""
    return objects_of(detail.get("formComponentValues"))


def object_of(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def objects_of(value: object) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


# -- parts ----------------------------------------------------------------------------------------------


def _status(
    payload: Mapping[str, Any], own: Mapping[str, Any], *, is_revoked: bool, is_linked: bool
) -> DocumentStatus:
    if payload.get(IS_GONE):
        return DocumentStatus.DELETED
    if action_of(own) in {REVOKE, MODIFY}:
        # Its effect is on the instance that it names; by itself it is never booked.
        return DocumentStatus.UNKNOWN if is_approved(own) and not is_linked else DocumentStatus.NULLIFIED
    if is_revoked:
        return DocumentStatus.NULLIFIED
    match _text(own.get("status")), _text(own.get("result")).lower():
        case "COMPLETED", "agree":
            return DocumentStatus.APPROVED
        case "COMPLETED", "refuse":
            return DocumentStatus.REJECTED
        case (("RUNNING" | "NEW"), _):
            return DocumentStatus.IN_APPROVAL
        case (("TERMINATED" | "CANCELED"), _):
            return DocumentStatus.NULLIFIED
        case _:
            return DocumentStatus.UNKNOWN


def _unlinked(own: Mapping[str, Any], main_key: str) -> Problem:
    what = "撤销" if action_of(own) == REVOKE else "修改"
    return Problem(
        "dingtalk.change.unlinked",
        main_key,
        f"此审批{what}了另一审批，但没有 {main_key} 字段写明是哪一个：请核对选项 main_key，并在账上人工处理",
        f"this approval is to {action_of(own)} another one, and no field {main_key} says which: check the option main_key, "
        "and correct the books by hand",
        ProblemOwner.ENGINEER,
    )


def _named(components: Sequence[Json]) -> Iterator[tuple[str, Json]]:
    """Components by id, and by bizAlias where that is no id; of two with one name the first counts."""
    found: dict[str, Json] = {}
    for key in ("id", "key", "bizAlias"):
        for item in components:
            name = _text(item.get(key))
            if name:
                found.setdefault(name, item)
    yield from found.items()


def _tables(components: Sequence[Json]) -> Iterator[tuple[str, list[Row]]]:
    for name, item in _named(components):
        if _type_of(item) == "TableField":
            yield name, [*_rows(item.get("value"))]


def _rows(value: object) -> Iterator[Row]:
    """Rows of a table: a list of lists of components, or of {"rowNumber", "rowValue": components}; JSON in text."""
    rows = _parsed(value)
    for row in rows if isinstance(rows, list) else ():
        cells = row.get("rowValue") if isinstance(row, dict) else row
        if isinstance(cells, list):
            number = _text(row.get("rowNumber")) if isinstance(row, dict) else ""
            yield Row({name: _value(cell) for name, cell in _named(objects_of(cells))}, number)


def _value(item: Json) -> FieldValue:
    kind = _type_of(item)
    value = item.get("value")
    value = None if value == "null" else value
    ext = item.get("extValue", item.get("extendValue"))
    read = _parsed(value) if kind in _LISTS or kind == "TableField" else value
    return FieldValue(
        value=read if isinstance(read, list) else value,
        label=_text(item.get("name")) or _text(item.get("label")),
        shown=_text(value),
        type=kind,
        ext=_parsed(ext),
    )


def _type_of(item: Json) -> str:
    return (
        _text(item.get("componentType"))
        or _text(item.get("id") or item.get("key")).partition("_")[0].partition("-")[0]
    )


def _parsed(value: object) -> Any:
    """JSON that stands in text; anything else as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")) or len(value) > _JSON_LENGTH:
        return value
    try:
        return json.loads(value, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        return value


def _text(value: object) -> str:
    """A plain value as text; "" for none and for anything else."""
    if isinstance(value, bool) or value is None or isinstance(value, list | dict):
        return ""
    return str(value)
