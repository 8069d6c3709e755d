"""What the tests of free forms share: the shipped example mappings, a source, master data, and forms to fill in."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from include import marks
from include.adapters.oa.directory import Directory
from include.adapters.oa.forms import (
    FieldValue,
    FormContext,
    FormInstance,
    Row,
    map_form,
    mapped_records,
)
from include.domain.document import DocumentStatus, MappedDocument
from include.form_mappings import FormMapping, read_mappings
from include.ports import MasterRecord
from include.settings import DEFAULT_CONFIG_DIR, Source

EXAMPLES = DEFAULT_CONFIG_DIR / "examples" / "forms" / "mappings"
MASTER = (
    MasterRecord("department", "12", "RD", "研发部"),
    MasterRecord("department", "13", "HR", "人事部"),
    MasterRecord("department", "od-4e6ac4", "RD", "研发部"),
    MasterRecord("staff", "301", "W301", "王小明"),
    MasterRecord("staff", "manager01", "W001", "李经理"),
    MasterRecord("staff", "ou_30f2", "W302", "张工"),
    MasterRecord("project", "5", "P005", "仓储平台"),
    MasterRecord("supplier", "V1", "V001", "上海示例电子元件有限公司"),
    MasterRecord("supplier", "V2", "V002", "同名供应商"),
    MasterRecord("supplier", "V3", "V003", "同名供应商"),
)


def examples(vendor: str) -> tuple[FormMapping, ...]:
    """The shipped mappings of a vendor, named as they stand in the repository."""
    problems: list[str] = []
    found = read_mappings(EXAMPLES / vendor, problems)
    assert problems == []
    return tuple(each.model_copy(update={"file": f"{vendor}/{Path(each.file).name}"}) for each in found)


def mapping_of(text: str) -> FormMapping:
    """A mapping from YAML."""
    return FormMapping.model_validate(marks.parse(text).value).model_copy(update={"file": "oa/form.yaml"})


def form_context(*mappings: FormMapping, **changes: Any) -> FormContext:
    """A tenant of some OA with these mappings."""
    source = Source(
        id="oa", system="hesi", connection="oa_default", start=date(2026, 1, 1), mappings=mappings
    )
    directory = Directory([*MASTER, *mapped_records(mappings, MASTER)])
    return FormContext(source, ZoneInfo("Asia/Shanghai"), directory, **changes)


def fields(**values: Any) -> dict[str, FieldValue]:
    """Fields with these values; a FieldValue stands for itself."""
    return {
        code: value if isinstance(value, FieldValue) else FieldValue(value, label=f"标签{code}")
        for code, value in values.items()
    }


def form(*rows: dict[str, Any], **values: Any) -> FormInstance:
    """An approved form with these fields, and rows in the table `dt1`."""
    return FormInstance(
        id="I1",
        template="T1",
        status=DocumentStatus.APPROVED,
        code="BX-1",
        title="报销",
        submitter="301",
        fields=fields(**values),
        tables={"dt1": [Row(fields(**row), str(index + 1)) for index, row in enumerate(rows)]}
        if rows
        else {},
    )


def mapped(text: str, instance: FormInstance, **changes: Any) -> MappedDocument:
    """The form by a mapping in YAML."""
    mapping = mapping_of(text)
    return map_form(instance, mapping, form_context(mapping, **changes))
