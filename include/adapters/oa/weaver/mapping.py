"""A request of e-cology → the neutral form that the mapping files are read against. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from include.adapters.oa.forms import FieldValue, FormInstance, Row
from include.adapters.oa.forms.instance import AGREE, REJECT, RETRACT, SUBMIT
from include.adapters.oa.forms.moments import read_moment
from include.adapters.oa.weaver.interface import ARCHIVE, START, Json
from include.domain.document import ApprovalStep, DocumentStatus

DELETED = "deleted"
"""Key that marks a payload whose request is gone."""
NODE_TYPE = "currentNodeType"
"""Key for the type of the node at which a request is; details have it, lists do not."""
FORCED = "force_end"
ACTIONS = {
    "批准": AGREE,
    "同意": AGREE,
    "提交": SUBMIT,
    "退回": REJECT,
    "撤回": RETRACT,
    "强制收回": RETRACT,
    "强制归档": FORCED,
    "保存": "save",
    "转发": "forward",
}
"""The history's words → ours; any other word stays as it is."""
_GOING_ON = frozenset({AGREE, SUBMIT, FORCED})
_TEXT, _LONG_TEXT, _BROWSER, _FILES = "1", "2", "3", "6"
_SEVERAL = re.compile(r",*-?[0-9]+(?:,+-?[0-9]+)*,*")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,500}>")


def instance_of(payload: Mapping[str, Any], zone: ZoneInfo, approved_nodes: Collection[str]) -> FormInstance:
    """The form of a payload; what is not as documented counts as absent."""
    base = _object(payload.get("workflowBaseInfo"))
    steps = steps_of(payload, zone)
    main = _fields(_first_record(payload))
    settled = [step for step in steps if step.node not in approved_nodes and step.action in _GOING_ON]
    submitted = [step.at for step in settled if step.action == SUBMIT]
    return FormInstance(
        id=_text(payload.get("requestId")),
        template=_text(base.get("workflowId")),
        status=status_of(payload, steps, approved_nodes),
        title=_unescaped(_text(payload.get("requestName"))),
        submitter=_text(payload.get("creatorId")),
        created_at=read_moment(payload.get("createTime"), zone),
        updated_at=read_moment(payload.get("lastOperateTime"), zone),
        submitted_at=submitted[-1] if submitted else None,
        approved_at=settled[-1].at if settled else None,
        fields=main,
        tables=dict(_tables(payload)),
        steps=steps,
        attachments=sum(
            len(_text(field.value).strip(",").split(","))
            for field in main.values()
            if field.type.startswith(f"{_FILES}/") and field.value
        ),
    )


def status_of(
    payload: Mapping[str, Any], steps: Sequence[ApprovalStep], approved_nodes: Collection[str]
) -> DocumentStatus:
    """Where a request stands. Its end alone is no approval: it may have been forced there."""
    if payload.get(DELETED):
        return DocumentStatus.DELETED
    kind = payload.get(NODE_TYPE)
    is_waiting = {_text(payload.get("currentNodeName")), _text(payload.get("currentNodeId"))} & set(
        approved_nodes
    )
    if kind == ARCHIVE or is_waiting:
        last = next((step for step in reversed(steps) if step.action in _GOING_ON), None)
        if last is None:
            return DocumentStatus.UNKNOWN
        # Past the last approval there was nothing left to force.
        is_forced = last.action == FORCED and last.node not in approved_nodes
        return DocumentStatus.NULLIFIED if is_forced else DocumentStatus.APPROVED
    if kind == "":
        return DocumentStatus.UNKNOWN
    if kind != START:
        return DocumentStatus.IN_APPROVAL
    latest = steps[-1].action if steps else ""
    if latest in _GOING_ON:
        return DocumentStatus.IN_APPROVAL  # submitted: it has not left its node yet
    undone = next((step.action for step in reversed(steps) if step.action in {REJECT, RETRACT}), "")
    if undone == REJECT:
        return DocumentStatus.REJECTED
    was_approved = any(step.action == AGREE for step in steps)
    return DocumentStatus.NULLIFIED if undone and was_approved else DocumentStatus.DRAFT


def steps_of(payload: Mapping[str, Any], zone: ZoneInfo) -> tuple[ApprovalStep, ...]:
    """The history, oldest first; entries without a time are left out."""
    found = []
    for entry in reversed(_objects(payload.get("workflowRequestLogs"))):
        at = read_moment(f"{entry.get('operateDate')} {entry.get('operateTime')}", zone)
        if at is None:
            continue
        said = _text(entry.get("operateType"))
        found.append(
            ApprovalStep(
                action=ACTIONS.get(said, said),
                operator_id=_text(entry.get("operatorId")),
                at=at,
                node=_text(entry.get("nodeName")),
                comment=_plain_text(_text(entry.get("remark"))),
            )
        )
    return tuple(found)


def main_values(payload: Mapping[str, Any]) -> dict[str, str]:
    """The main form as it was given: field → value."""
    return {name: _text(field.get("fieldValue")) for name, field in _named(_first_record(payload))}


# -- the form -------------------------------------------------------------------------------------------


def _first_record(payload: Mapping[str, Any]) -> Json:
    records = _objects(_object(payload.get("workflowMainTableInfo")).get("requestRecords"))
    return records[0] if records else {}


def _tables(payload: Mapping[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    for table in _objects(payload.get("workflowDetailTableInfos")):
        name = _text(table.get("tableDBName"))
        records = _objects(table.get("workflowRequestTableRecords"))
        if name:
            yield name, [Row(_fields(record), _text(record.get("recordOrder"))) for record in records]


def _fields(record: Mapping[str, Any]) -> dict[str, FieldValue]:
    return {name: _value(field) for name, field in _named(record)}


def _named(record: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    for field in _objects(record.get("workflowRequestTableFields")):
        name = _text(field.get("fieldName"))
        if name:
            yield name, field


def _value(field: Mapping[str, Any]) -> FieldValue:
    """A field. Ids of several entries come as `12,31`: a list here."""
    html_type, value = _text(field.get("fieldHtmlType")), _text(field.get("fieldValue"))
    read: Any = value
    if html_type == _BROWSER and "," in value and _SEVERAL.fullmatch(value):
        read = [part for part in value.split(",") if part]
    elif html_type in {_TEXT, _LONG_TEXT}:
        read = _plain_text(value)
    names, values = field.get("selectnames"), field.get("selectvalues")
    options = dict(zip(map(_text, values), map(_text, names), strict=False)) if names and values else {}
    return FieldValue(
        value=read,
        label=_text(field.get("fieldShowName")),
        shown=_plain_text(_text(field.get("fieldShowValue"))),
        type=f"{html_type}/{_text(field.get('fieldType'))}",
        options=options,
    )


def _plain_text(text: str) -> str:
    """Text without the HTML that e-cology's editors leave in it."""
    return _unescaped(_TAG.sub("", _BREAK.sub("\n", text))) if "<" in text or "&" in text else text


def _unescaped(text: str) -> str:
    return html.unescape(text).replace("\xa0", " ") if "&" in text else text


def _text(value: object) -> str:
    """A plain value as text; "" for none and for anything else."""
    if isinstance(value, bool) or value is None or isinstance(value, list | dict):
        return ""
    return str(value)


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
