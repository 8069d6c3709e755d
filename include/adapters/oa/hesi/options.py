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
    """Whether the invoice pages are read: kinds, totals, printed tax, days (two calls per page of documents that carry
    invoices). Without them the tax is what the OA states for a line.
    """
    invoice_tax_fields: Sequence[str] = ("E_system_发票主体_税额", "E_system_机打发票_税额", "E_税额")
    """Fields of an invoice with its printed tax, or with what the OA takes for deductible (E_税额); the first one given
    counts.
    """
    invoice_exempt_fields: Sequence[str] = (
        "E_system_航空运输电子客票行程单_民航发展基金",
        "E_system_航空运输电子客票行程单_保险费",
    )
    """Parts of an invoice's total that are no fare and bear no VAT of its; all count. The vendor does not say whether
    E_system_航空运输电子客票行程单_税费 is one, so it is not among them.
    """
    invoice_date_fields: Sequence[str] = (
        "E_system_发票主体_发票日期",
        "E_system_火车票_乘车时间",
        "E_system_航空运输电子客票行程单_乘机时间",
        "E_system_航空运输电子客票行程单_填开日期",
        "E_system_客运汽车发票_时间",
        "E_system_出租车票_上车时间",
        "E_system_过路费发票_时间",
        "E_system_机打发票_时间",
        "E_system_消费小票_时间",
        "E_system_其他_日期",
        "E_system_医疗发票_开票日期",
        "E_system_非税收入类票据_开票日期",
    )
    """Fields with the day of issue or travel, the first filled one wins."""
    invoice_name_fields: Sequence[str] = (
        "E_system_火车票_乘车人姓名",
        "E_system_航空运输电子客票行程单_乘机人姓名",
        "E_system_航空运输电子客票行程单_身份证号",
        "E_system_客运汽车发票_姓名",
    )
    """Fields with the traveller: one that is filled makes a ticket a named one, an empty one makes it unnamed."""
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
