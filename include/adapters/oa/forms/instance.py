"""A filled-in form as every OA can say it, and its JSON, for samples and tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from pydantic import TypeAdapter, ValidationError

from include.domain.document import ApprovalStep, DocumentStatus
from include.domain.errors import FixData
from include.domain.problems import Problem

AGREE, SUBMIT, PAY, REJECT, RETRACT = "agree", "submit", "pay", "reject", "retract"
"""Actions of approval steps that mean something here; adapters translate their vendor's words to these."""


@dataclass(frozen=True, slots=True)
class FieldValue:
    """A field as the OA keeps it.

    Attributes:
        value: JSON as parsed; None, "", [] and {} mean that it is empty.
        label: what the form calls the field.
        shown: the text that the OA shows for the value (a name for an id).
        type: the OA's own word for the field's type.
        ext: JSON that the OA keeps beside the value (DingTalk's extValue, Feishu's ext and option).
        options: of a selection: value → label.
    """

    value: Any
    label: str = ""
    shown: str = ""
    type: str = ""
    ext: Any = None
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table in a form. `id` is the OA's own, empty where it has none."""

    fields: Mapping[str, FieldValue]
    id: str = ""


@dataclass(frozen=True, slots=True)
class FormInstance:
    """One filled-in form. Times are aware; None where the OA does not say.

    Attributes:
        id: its key in the OA; `code` the number that people use.
        template: id of the form's template; `template_version` where the OA counts versions under one id.
        submitter: id of the person.
        fields, tables: by their codes in the form; of tables the rows.
        attachments: how many files there are.
        lists_empty: whether the OA lists fields without a value too. If so, a field that is not there is not in the form.
        problems: what the adapter could not read.
        extra: what else the adapter wants to keep; nothing here reads it.
    """

    id: str
    template: str
    status: DocumentStatus
    code: str = ""
    template_version: str = ""
    title: str = ""
    submitter: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    submitted_at: datetime | None = None
    approved_at: datetime | None = None
    finished_at: datetime | None = None
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    tables: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    steps: Sequence[ApprovalStep] = ()
    attachments: int = 0
    lists_empty: bool = True
    problems: Sequence[Problem] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def fields_of(self, table: str) -> Iterable[Mapping[str, FieldValue]]:
        """The form's own fields ("") or those of each row of a table."""
        return [row.fields for row in self.tables.get(table, ())] if table else [self.fields]


@runtime_checkable
class FormSource(Protocol):
    """An adapter that can show one filled-in form, for drafting its mapping."""

    def form_instance(self, instance_id: str) -> FormInstance:
        """The form of that id.

        Raises:
            FixData: the OA has none.
        """
        ...


_ADAPTER = TypeAdapter(FormInstance)
_TIMES = ("created_at", "updated_at", "submitted_at", "approved_at", "finished_at")


def dump_instance(instance: FormInstance) -> dict[str, Any]:
    """As JSON values; empty parts are left out. The inverse of `load_instance`."""
    dumped: dict[str, Any] = _ADAPTER.dump_python(instance, mode="json", exclude_defaults=True)
    return dumped


def load_instance(value: Any) -> FormInstance:
    """A form from its JSON.

    Raises:
        FixData: not the JSON of a form; says which part is wrong.
    """
    try:
        instance = _ADAPTER.validate_python(value)
    except (ValidationError, RecursionError) as error:
        details = error.errors()[:5] if isinstance(error, ValidationError) else []
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in details) or str(error)
        raise FixData(f"不是表单样本的 JSON，请核对：{said} / not the JSON of a form, check it") from None
    naive = [name for name in _TIMES if (at := getattr(instance, name)) is not None and at.tzinfo is None]
    naive += [f"steps.{index}.at" for index, step in enumerate(instance.steps) if step.at.tzinfo is None]
    if naive:
        raise FixData(f"时间须带时区，例如 +08:00：{'、'.join(naive)} / times need a zone, e.g. +08:00")
    return instance
