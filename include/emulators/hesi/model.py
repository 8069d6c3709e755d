"""What the emulated company holds: documents, invoices, loans, and what tests may know about them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

APPROVED = frozenset({"paid", "archived"})
IN_FLIGHT = frozenset({"pending", "approving", "sending", "receiving", "paying", "PROCESSING"})
VOUCHER_FORMS = frozenset({"expense", "loan", "payment", "requisition"})
"""Forms with voucherNo, voucherStatus and voucherCreateTime; custom and receipt forms have none."""

NO_REPAYMENT_DATE = 9007199254740991
"""JavaScript's largest safe integer: what the vendor writes for a loan without a repayment date."""


class EmulatorError(Exception):
    """The emulator was asked for something that its world cannot do (tests and the command line only)."""


def pack(body: Json) -> bytes:
    """A document's variable part, small: 20,000 of them must stay well below 500 MB."""
    return zlib.compress(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(), 1)


def unpack(packed: bytes) -> Json:
    """The inverse of `pack`; a new object each time, free to change."""
    body: Json = json.loads(zlib.decompress(packed))
    return body


@dataclass(slots=True)
class Document:
    """One 单据. Times are epoch milliseconds. `packed` holds {"form", "logs"} and, for some, "head".

    "head" overrides what a document says about itself (an unknown state, say) and leaves alone what
    the server files it under.
    """

    id: str
    code: str
    form_type: str
    specification_id: str
    owner_id: str
    department_id: str
    state: str
    create_time: int
    update_time: int
    submit_date: int | None
    pay_date: int | None
    packed: bytes
    active: bool = True
    version: int = 1
    voucher_no: str = ""
    voucher_time: int = 0
    fiscal_period: str = ""

    @property
    def is_approved(self) -> bool:
        return self.active and self.state in APPROVED


@dataclass(frozen=True, slots=True)
class InvoiceItem:
    """A line of an invoice; amounts in minor units, `amount` without tax, `rate` as printed ("6%")."""

    id: str
    name: str
    rate: str
    amount: int
    tax: int


@dataclass(frozen=True, slots=True)
class Invoice:
    """One invoice or ticket; amounts in minor units. `deductible` is the input tax that may be claimed."""

    id: str
    kind: str
    category: str
    code: str
    number: str
    date: int
    gross: int
    tax: int
    deductible: int
    rate: str
    seller: str
    items: tuple[InvoiceItem, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Loan:
    """A 借款包: what an employee owes under one loan document, in minor units of the home currency."""

    id: str
    flow_id: str
    owner_id: str
    title: str
    total: int
    loan_date: int
    repayment_date: int
    source: str = "LOAN"


@dataclass(frozen=True, slots=True)
class Repayment:
    """Money against a loan. `kind` is the vendor's repaymentType; `flow_id` is the document that does it."""

    id: str
    loan_flow_id: str
    flow_id: str
    kind: str
    amount: int
    time: int


@dataclass(frozen=True, slots=True)
class Truth:
    """What a test may know of a document and no client is told.

    Attributes:
        defect: why the document must be quarantined, or None for a sound one.
        voucher_expected: approved, not deleted, sound, and of a kind that makes a voucher.
        gross: the document's total in minor units of the home currency, before any defect.
        deductible: its deductible input tax, likewise.
        counterpart: for a defect between two documents (same code, same invoice) the other, sound one.
        oddity: an unusual but legal spelling that the document carries, if any.
    """

    defect: str | None
    voucher_expected: bool
    gross: int
    deductible: int = 0
    counterpart: str | None = None
    oddity: str | None = None
