"""An approval instance of Feishu → the neutral form that the mapping files are read against. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from include.adapters.oa.feishu.client import Json, parse_json
from include.adapters.oa.feishu.options import FeishuOptions
from include.adapters.oa.forms import FieldValue, FormInstance, Row
from include.adapters.oa.forms.instance import AGREE, REJECT, RETRACT, SUBMIT
from include.adapters.oa.times import epoch_ms, to_moment
from include.domain.document import ApprovalStep, DocumentStatus
from include.domain.problems import Problem, ProblemOwner

DELETED, REVERTED = "_deleted", "_reverted"
"""Keys of ours that mark a payload: Feishu does not have the instance any more; it found it under REVERTED."""
STATUSES = {
    "PENDING": DocumentStatus.IN_APPROVAL,
    "APPROVED": DocumentStatus.APPROVED,
    "REJECTED": DocumentStatus.REJECTED,
    "CANCELED": DocumentStatus.NULLIFIED,
    "REVERTED": DocumentStatus.NULLIFIED,
    "DELETED": DocumentStatus.DELETED,
}
ACTIONS = {
    "START": SUBMIT,
    "PASS": AGREE,
    "AUTO_PASS": AGREE,
    "REJECT": REJECT,
    "AUTO_REJECT": REJECT,
    "ROLLBACK": REJECT,
    "ROLLBACK_SELECTED": REJECT,
    "CANCEL": RETRACT,
    "REVERT": RETRACT,
}
"""Types of the timeline → ours; any other stays as it is, in small letters."""
_TIMES = ("create_time", "operate_time")
_FILES = frozenset({"attachment", "attachmentV2", "image", "imageV2"})
_FORM_LENGTH = 8_000_000


def instance_of(payload: Mapping[str, Any], options: FeishuOptions) -> FormInstance:
    """The form of a payload; what is not as documented counts as absent, a form that cannot be read is a problem."""
    widgets = read_form(payload.get("form"))
    fields, tables, files = _fields(widgets or [], options)
    steps = steps_of(payload, options)
    agreed = [step.at for step in steps if step.action == AGREE]
    finished = moment(payload.get("end_time"))
    is_approved = payload.get("status") == "APPROVED"
    return FormInstance(
        id=_text(payload.get("instance_code")),
        template=_text(payload.get("approval_code")),
        status=status_of(payload),
        code=_text(payload.get("serial_number")),
        title=_text(payload.get("approval_name")),
        submitter=person_of(payload, options),
        created_at=moment(payload.get("start_time")),
        updated_at=changed_at(payload),
        submitted_at=moment(payload.get("start_time")),
        approved_at=(agreed[-1] if agreed else finished) if is_approved else None,
        finished_at=finished,
        fields=fields,
        tables=tables,
        steps=steps,
        attachments=files,
        lists_empty=False,
        problems=() if widgets is not None or "form" not in payload else (_unreadable(),),
    )


def status_of(payload: Mapping[str, Any]) -> DocumentStatus:
    """Where an instance stands. Details go on saying APPROVED after a revocation; then something else has to tell."""
    if payload.get(DELETED):
        return DocumentStatus.DELETED
    if payload.get("status") == "APPROVED" and is_reverted(payload):
        return DocumentStatus.NULLIFIED
    return STATUSES.get(_text(payload.get("status")), DocumentStatus.UNKNOWN)


def is_reverted(payload: Mapping[str, Any]) -> bool:
    """Whether it was revoked after its approval, as far as the payload says."""
    return payload.get(REVERTED) is True or payload.get("reverted") in (True, "true")


def changed_at(payload: Mapping[str, Any]) -> datetime | None:
    """When an instance was last changed; None where Feishu does not say, as for a revocation.

    The part of a second stands for state and contents, so that a change that leaves the times as they were shows too.
    Comments do not count: ours are among them.
    """
    entries = [*_objects(payload.get("timeline")), *_objects(payload.get("task_list"))]
    values = [payload.get("start_time"), payload.get("end_time")]
    values += [entry.get(name) for entry in entries for name in (*_TIMES, "start_time", "end_time")]
    known = [at for at in map(moment, values) if at is not None]
    if not known or (payload.get("status") == "APPROVED" and is_reverted(payload)):
        return None
    state = json.dumps([payload.get("status"), payload.get("form"), len(entries)], ensure_ascii=False)
    digest = hashlib.sha256(state.encode("utf-8", "replace")).digest()
    return max(known).replace(microsecond=int.from_bytes(digest[:4]) % 1_000_000)


def person_of(entry: Mapping[str, Any], options: FeishuOptions) -> str:
    """The id of who made or handled something, of the type that the options name, else of the other."""
    other = "user_id" if options.user_id_type == "open_id" else "open_id"
    return _text(entry.get(options.user_id_type)) or _text(entry.get(other))


def steps_of(payload: Mapping[str, Any], options: FeishuOptions) -> tuple[ApprovalStep, ...]:
    """The history, oldest first; entries without a time are left out."""
    nodes = {
        _text(task.get("id")): _text(task.get("node_name")) for task in _objects(payload.get("task_list"))
    }
    found = []
    for entry in _objects(payload.get("timeline")):
        at = next((at for at in (moment(entry.get(name)) for name in _TIMES) if at is not None), None)
        if at is None:
            continue
        kind = _text(entry.get("type"))
        found.append(
            ApprovalStep(
                action=ACTIONS.get(kind, kind.lower()),
                operator_id=person_of(entry, options),
                at=at,
                node=nodes.get(_text(entry.get("task_id")), "") or _text(entry.get("node_key")),
                comment=_text(entry.get("comment")),
            )
        )
    return tuple(sorted(found, key=lambda step: step.at))


def comments_of(payload: Mapping[str, Any]) -> list[str]:
    """The texts of an instance's comments, oldest first; they come as JSON with a text in it, or as text."""
    entries = sorted(_objects(payload.get("comment_list")), key=lambda c: epoch_ms(c.get("create_time")) or 0)
    return [_comment(_text(entry.get("comment"))) for entry in entries]


def moment(value: object) -> datetime | None:
    """Milliseconds, number or text; 0 stands for none."""
    milliseconds = epoch_ms(value)
    return to_moment(milliseconds) if milliseconds else None


# -- the form -------------------------------------------------------------------------------------------


def read_form(value: object) -> list[Json] | None:
    """The widgets of a form, which is JSON in a text; None where it cannot be read."""
    if isinstance(value, str):
        if len(value) > _FORM_LENGTH:
            return None
        try:
            value = parse_json(value)
        except (ValueError, RecursionError):
            return None
    return _objects(value) if isinstance(value, list) else None


def options_of(widget: Mapping[str, Any]) -> dict[str, str]:
    """Value → label of a selection in a definition."""
    found = {}
    for option in _objects(widget.get("option")):
        key = _text(option.get("value")) or _text(option.get("key"))
        if key:
            found[key] = _text(option.get("text"))
    return found


def code_of(widget: Mapping[str, Any], options: FeishuOptions) -> str:
    """What mapping files call a widget."""
    own = _text(widget.get("custom_id")) if options.field_code == "custom_id" else ""
    return own or _text(widget.get("id"))


def _fields(
    widgets: list[Json], options: FeishuOptions
) -> tuple[dict[str, FieldValue], dict[str, list[Row]], int]:
    """Fields and tables of a form by code, and how many files are in it."""
    fields: dict[str, FieldValue] = {}
    tables: dict[str, list[Row]] = {}
    files = 0
    for widget in widgets:
        code, kind, value = code_of(widget, options), _text(widget.get("type")), widget.get("value")
        if not code:
            continue
        if kind == "fieldList":
            tables[code] = [Row(dict(_cells(row, options))) for row in _rows(value)]
            continue
        files += len(value) if kind in _FILES and isinstance(value, list) else 0
        fields[code] = _value(widget)
    return fields, tables, files


def _rows(value: object) -> Iterator[list[Json]]:
    yield from (_objects(row) for row in value if isinstance(row, list)) if isinstance(value, list) else ()


def _cells(row: list[Json], options: FeishuOptions) -> Iterator[tuple[str, FieldValue]]:
    for widget in row:
        code = code_of(widget, options)
        if code:
            yield code, _value(widget)


def _value(widget: Mapping[str, Any]) -> FieldValue:
    """A widget's value. A selection's value is its text, which people change: the key beside it counts."""
    value, option = widget.get("value"), widget.get("option")
    chosen = [option] if isinstance(option, dict) else _objects(option)
    keys = [_text(each.get("key")) for each in chosen]
    shown, options = "", {}
    if chosen and all(keys):
        texts = [_text(each.get("text")) for each in chosen]
        shown = "、".join(filter(None, texts)) or _text(value)
        options = dict(zip(keys, texts, strict=True))
        value = keys if isinstance(value, list) or len(keys) > 1 else keys[0]
    elif isinstance(value, list):
        shown = "、".join(filter(None, (_text(each.get("name")) for each in _objects(value))))
    ext = widget.get("ext")
    return FieldValue(
        value=value,
        label=_text(widget.get("name")),
        shown=shown,
        type=_text(widget.get("type")),
        ext=ext if ext is not None else widget.get("open_ids"),
        options=options,
    )


def _unreadable() -> Problem:
    return Problem(
        "document.form.unreadable",
        "form",
        "飞书给出的表单不是可读的 JSON：请联系飞书",
        "the form that Feishu sent is no JSON that can be read: ask Feishu",
        ProblemOwner.VENDOR,
    )


def _comment(text: str) -> str:
    try:
        value = parse_json(text)
    except (ValueError, RecursionError):
        return text
    return _text(value.get("text")) if isinstance(value, dict) else text


def _text(value: object) -> str:
    """A plain value as text; "" for none and for anything else."""
    if isinstance(value, bool) or value is None or isinstance(value, list | dict):
        return ""
    return str(value)


def _objects(value: object) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
