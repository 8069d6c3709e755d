"""The options of a book that is kept in YonBIP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from include.adapters.ledger.yonbip.mapping import Form
from include.adapters.ledger.yonbip.reading import MAX_PAGE


class YonbipOptions(BaseModel):
    """The book's `ledger.options`. What the vendor does not document is an option; docs/connectors.md says which."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    book: str = Field(min_length=1)
    """Code of the account book."""
    words: Mapping[str, str] = Field(min_length=1)
    """Voucher word in rules → code of the voucher type, which is each tenant's own: {记: "1"}."""
    maker: str = Field(min_length=5)
    """Mobile number or mail address of the user in whose name vouchers are made (制单人)."""
    dimensions: Mapping[str, str] = Field(default_factory=dict)
    """Kind → code of the 辅助核算 item: {department: "0001"}. Codes are each tenant's own; kinds not here are left out."""
    currencies: Mapping[str, str] = Field(default_factory=dict)
    """ISO code → currencyCode, for currencies that the tenant calls otherwise."""
    key_field: Literal["description", "externalSourceDataId", ""] = "description"
    """Field of the head that the list shows and in which our key is looked up; "" leaves date and amount as the only proof."""
    key_length: int = Field(default=200, ge=20, le=4000)
    """How many characters that field holds. The first voucher that is saved is read back and compared."""
    business_id: Literal["sent", "refused", "none"] = "sent"
    """Our key as businessId. `sent`: it goes along, and what a repeat leads to is not relied upon; `refused`: it was tried on
    this tenant that a repeat is refused (10004, 100004), so that it is a proof; `none`: it is left out."""
    source_system: str = Field(default="figl", min_length=1)
    """srcSystemCode of our vouchers; the vendor's default is the general ledger itself."""
    summary_length: int = Field(default=200, ge=20, le=4000)
    """How many characters an entry's summary holds; a longer one is refused, never cut."""
    batch_size: int = Field(default=1, ge=1, le=200)
    """Vouchers whose intent is recorded together. YonBIP takes one a call."""
    page_size: int = Field(default=500, ge=1, le=MAX_PAGE)
    """Vouchers a page when a period is listed."""
    settle_s: float = Field(default=120, ge=0)
    """How long a call whose answer was lost may still be running in YonBIP."""
    connect_timeout_s: float = Field(default=10, gt=0)
    read_timeout_s: float = Field(default=120, gt=0)

    def form(self) -> Form:
        """How vouchers of the book are written."""
        return Form(
            key_field=self.key_field,
            key_length=self.key_length,
            summary_length=self.summary_length,
            sends_business_id=self.business_id != "none",
            words=self.words,
            dimensions=self.dimensions,
            currencies=self.currencies,
            source_system=self.source_system,
            maker={"makerEmail" if "@" in self.maker else "makerMobile": self.maker},
        )
