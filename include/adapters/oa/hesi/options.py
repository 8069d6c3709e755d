"""Settings of the Hesi adapter alone: the `options` of a source's YAML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from include.domain.errors import FixConfig
from include.settings import Source


class HesiOptions(BaseModel):
    """What may be set; everything has a default that suits a normal tenant. Times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    page_size: int = Field(default=100, ge=2, le=100)
    """The vendor allows 100; 2 is the least with which a page can overlap the one before it."""
    details: Literal["approved", "never", "always"] = "approved"
    """Which documents are read one by one for what the list leaves out (links between documents)."""
    invoice_totals: bool = True
    """Whether invoice totals are looked up (two calls per page of documents that carry invoices)."""
    concurrency: int = Field(default=8, ge=1, le=32)
    requests_per_s: float | None = Field(default=None, gt=0)
    """Where pacing starts and what it returns to; by default no limit until the OA asks for one."""
    connect_timeout_s: float = Field(default=10, gt=0, le=120)
    read_timeout_s: float = Field(default=60, gt=0, le=600)
    attempts: int = Field(default=5, ge=1, le=20)
    """How often a read is tried in all before the run gives up for now."""
    max_body_mb: int = Field(default=64, ge=1, le=1024)
    max_pages: int = Field(default=100_000, ge=1)
    """Pages per form type and call; more means that the OA does not come to an end."""
    write_batch: int = Field(default=100, ge=1, le=100)
    new_token_delay_s: float = Field(default=1.0, ge=0, le=30)
    """How long to wait when a token that was just issued is refused: older tenants need a moment."""
    department_fields: Sequence[str] = ("expenseDepartment", "loanDepartment")
    """Form fields that may hold the department, the first filled one wins."""
    amount_fields: Mapping[str, str] = Field(default_factory=dict)
    """Template id → form field with the total, for 通用审批单, which has no standard one."""
    invoice_fields: Mapping[str, str] = Field(default_factory=dict)
    """Template id → form field with the invoices, for forms that hold them outside of lines."""
    link_fields: Sequence[str] = ()
    """Further form fields that hold the id of a related document."""


def read_options(source: Source) -> HesiOptions:
    """The checked options of a source.

    Raises:
        FixConfig: everything wrong in them, one line each, with the valid keys.
    """
    try:
        return HesiOptions.model_validate(dict(source.options))
    except ValidationError as error:
        lines = [_explain(source.file or f"sources/{source.id}.yaml", detail) for detail in error.errors()]
        raise FixConfig("\n".join(lines)) from None


def _explain(file: str, detail: object) -> str:
    assert isinstance(detail, dict)
    where = ".".join(["options", *(str(part) for part in detail["loc"])])
    if detail["type"] == "extra_forbidden":
        valid = "、".join(sorted(HesiOptions.model_fields))
        return f"{file}: {where}: 未知的键，可用：{valid} / unknown key, choose from: {valid}"
    shown = str(detail.get("input"))[:80]
    return f"{file}: {where}: 值 {shown!r} 不可用，请修改 / {detail['msg']}, change it"
