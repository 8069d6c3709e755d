"""The options of a book that is kept in NC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class NcOptions(BaseModel):
    """The book's `ledger.options`. What the vendor does not document is an option; docs/connectors.md says which."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    book: str = Field(min_length=1)
    """Code of the accounting book (pk_accountingbook): 101005-0001."""
    org: str = Field(min_length=1)
    """Code of the financial organisation (pk_org); also the receiver."""
    group: str = Field(min_length=1)
    """Code of the group (groupcode, pk_group)."""
    account: str = Field(min_length=1)
    """The data source (账套) that the platform's address names."""
    sender: str = Field(default="OA", min_length=1)
    """Code of the external system, as registered under 外部系统信息设置."""
    maker: str = Field(min_length=1)
    """User code of the maker (制单人, pk_prepared)."""
    words: Mapping[str, str] = Field(min_length=1)
    """Voucher word in rules → code of the voucher type: {记: "01"}."""
    dimensions: Mapping[str, str] = Field(default_factory=dict)
    """Kind → code of the auxiliary type (pk_Checktype): {department: "0001"}. Each site's own; kinds not here are left out."""
    currencies: Mapping[str, str] = Field(default_factory=dict)
    """ISO code → pk_currtype, for currencies that the site calls otherwise."""
    interface: Literal["http", "soap"] = "http"
    """XChangeServlet, or the web service IPfxxWs."""
    release: Literal["nc6", "nc5"] = "nc6"
    """What the servlet's address names beside the account: the group, or the receiver."""
    soap_address: Literal["checked", "connection"] = "checked"
    """Whether the address in the WSDL must be the connection's, or is never minded."""
    views: str = ""
    """Address before /views; "" is the connection's own."""
    ok_code: str = "1"
    """resultcode of what went well."""
    repeat_text: str = Field(default="已经导入", min_length=2)
    """What the refusal of an id that was imported before says."""
    key_length: int = Field(default=100, ge=20, le=1000)
    """How long a voucher's id may be. Nobody documents it; one that is longer is refused, never cut."""
    summary_length: int = Field(default=300, ge=20, le=1000)
    """How many characters an entry's summary holds; a longer one is refused, never cut."""
    batch_size: int = Field(default=20, ge=1, le=200)
    """Vouchers in one file."""
    page_size: int = Field(default=500, ge=1, le=1000)
    """Vouchers a page when a period is listed."""
    settle_s: float = Field(default=120, ge=0)
    """How long a call whose answer was lost may still be running in NC."""
    connect_timeout_s: float = Field(default=10, gt=0)
    read_timeout_s: float = Field(default=120, gt=0)
