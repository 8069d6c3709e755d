"""The canonical document (单据): what every OA's payload becomes before anything else looks at it.

Amounts are minor units. `None` means the source did not give a usable value; a problem then says why, and
the document cannot pass the gate. Times are aware and in UTC; dates are business days in the book's zone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from include.domain.problems import Problem


class DocumentKind(StrEnum):
    """What a document is for. A source's config maps its forms and templates to these."""

    EXPENSE_CLAIM = "expense_claim"  # 报销单
    LOAN = "loan"  # 借款单
    PAYMENT_REQUEST = "payment_request"  # 付款单
    PREPAYMENT = "prepayment"  # 采购预付款
    RECEIPT = "receipt"  # 收款单
    PURCHASE_ORDER = "purchase_order"  # 采购订单
    GOODS_RECEIPT = "goods_receipt"  # 采购入库
    PURCHASE_INVOICE = "purchase_invoice"  # 采购发票
    REQUISITION = "requisition"  # 申请单
    UNKNOWN = "unknown"


class DocumentStatus(StrEnum):
    """Where a document stands in its approval, for every OA."""

    DRAFT = "draft"
    IN_APPROVAL = "in_approval"
    REJECTED = "rejected"
    AWAITING_PAYMENT = "awaiting_payment"
    APPROVED = "approved"
    ARCHIVED = "archived"
    NULLIFIED = "nullified"
    DELETED = "deleted"
    UNKNOWN = "unknown"
    """A state this version does not know: a person must look, so it counts as due and is quarantined."""

    @property
    def is_due(self) -> bool:
        """Whether the accounting must deal with it now."""
        return self in DUE_STATUSES


DUE_STATUSES = frozenset({DocumentStatus.APPROVED, DocumentStatus.ARCHIVED, DocumentStatus.UNKNOWN})


class Disposition(StrEnum):
    """What we have decided about a document's current revision."""

    NOT_DUE = "not_due"  # not approved (yet), or withdrawn
    PENDING = "pending"  # approved, not yet through the gate
    ACCEPTED = "accepted"
    QUARANTINED = "quarantined"
    NO_VOUCHER = "no_voucher"  # accepted, and a rule says that it makes none
    SETTLED = "settled"  # withdrawn, and a person decided that its voucher stays


class BookRole(StrEnum):
    """What a document is to a book that has a row of it. Every stored document has one current HOME row."""

    HOME = "home"  # its own legal entity belongs to the book, or to none and the book receives such documents
    SHARE = "share"  # lines of it are expenses of the book's legal entities
    LEFT = "left"  # it has nothing to do with the book any more, but a voucher of it was sent from here


@dataclass(frozen=True, slots=True)
class Reference:
    """Something the OA refers to: `id` is its key there, `code` the stable code people use, `name` for reading.

    A code may be empty where the OA has none.
    """

    id: str
    code: str = ""
    name: str = ""

    @property
    def key(self) -> str:
        """The code, or the id where there is no code."""
        return self.code or self.id


@dataclass(frozen=True, slots=True)
class DocumentLine:
    """One cost line, or one share of it where the OA apportions a line over departments or projects.

    `line_no` counts the OA's lines from 1, `portion_no` the shares of that line from 1. `amount` is in
    `currency`, gross; `functional_amount` and `deductible_tax` are in the document's functional currency.
    `rate` is functional per foreign unit, 1 where both are the same.
    """

    line_no: int
    portion_no: int
    line_id: str
    fee_type: Reference | None
    department: Reference | None
    project: Reference | None
    currency: str | None
    amount: int | None
    functional_amount: int | None
    rate: Decimal | None
    deductible_tax: int | None
    occurred_on: date | None
    description: str = ""
    legal_entity: Reference | None = None
    """Whose expense it is, where that is not the document's legal entity."""


@dataclass(frozen=True, slots=True)
class InvoiceClaim:
    """An invoice or ticket (发票) put on a line. Amounts in functional minor units; `total` None where not known.

    `tax` is the tax printed on the whole of it, or what the OA takes for deductible; where `total` is not known, what
    the OA states for this claim. `exempt` is the part of the total that bears
    no VAT, such as the civil aviation fund; `is_tax_of_claim` says that the tax is this claim's own, although more of the
    invoice may be claimed elsewhere; `occurred_on` the day of issue or travel; `is_named` whether the
    traveller's identity is on it. None where the OA does not say.
    """

    line_no: int
    invoice_id: str
    kind: str
    claimed: int | None
    tax: int | None
    total: int | None = None
    exempt: int | None = None
    occurred_on: date | None = None
    is_named: bool | None = None
    is_tax_of_claim: bool = False


@dataclass(frozen=True, slots=True)
class WriteOff:
    """A loan (借款) settled by this document, functional minor units."""

    loan_document_id: str
    amount: int | None


@dataclass(frozen=True, slots=True)
class ApprovalStep:
    """One entry of the approval history: who did what, when, and whose turn it was then."""

    action: str
    operator_id: str
    at: datetime
    node: str = ""
    next_operator_id: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A document (单据) with its lines.

    `gross`, `written_off`, `company_paid`, `payable` are functional minor units; `transaction_gross` is in
    `currency`, which is the functional currency where lines mix several.
    """

    source: str
    document_id: str
    code: str
    kind: DocumentKind
    form_type: str
    template_id: str
    title: str
    status: DocumentStatus
    functional_currency: str
    currency: str
    gross: int | None
    transaction_gross: int | None
    written_off: int | None
    company_paid: int | None
    payable: int | None
    legal_entity: Reference | None
    department: Reference | None
    submitter: Reference | None
    supplier: Reference | None
    project: Reference | None
    created_at: datetime | None
    updated_at: datetime | None
    submitted_at: datetime | None
    approved_at: datetime | None
    paid_at: datetime | None
    payment_channel: str = ""
    attachments: int = 0
    lines: tuple[DocumentLine, ...] = ()
    invoices: tuple[InvoiceClaim, ...] = ()
    write_offs: tuple[WriteOff, ...] = ()
    links: tuple[str, ...] = ()
    approvals: tuple[ApprovalStep, ...] = ()
    voucher_no: str = ""
    """The voucher number that the OA shows for it now."""
    properties: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Further fields that the source's config names, as text, for conditions in rules."""

    @property
    def content_digest(self) -> str:
        """Digest of what matters to accounting.

        Left out: status, approval history, times of change, the voucher number, names and codes of what is
        referred to, and what only some of a source's answers carry. So our own write-back, an archiving, a
        comment or a renamed department does not look like a changed document.
        """
        content = {
            item.name: _stable(getattr(self, item.name))
            for item in fields(self)
            if item.name not in _NOT_CONTENT
        }
        return digest(content)


_NOT_CONTENT = frozenset(
    {"status", "updated_at", "approvals", "voucher_no", "title", "attachments", "created_at", "links"}
)


def _stable(value: Any) -> Any:
    """The value with references cut down to their ids, and invoices without what is read separately (kind, total, tax);
    the tax that the OA states is that of the lines.
    """
    if isinstance(value, Reference):
        return value.id
    if isinstance(value, InvoiceClaim):
        return [value.line_no, value.invoice_id, value.claimed]
    if is_dataclass(value):
        return [_stable(getattr(value, item.name)) for item in fields(value)]
    if isinstance(value, list | tuple):
        return [_stable(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class MappedDocument:
    """What a source's mapping makes of one payload: the document as far as it can be read, and what is wrong."""

    document: SourceDocument
    problems: tuple[Problem, ...] = ()


def canonical_json(value: Any) -> bytes:
    """One byte sequence per value: sorted keys, no spaces, UTF-8, dates and decimals as text."""
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_as_text
    ).encode("utf-8", "surrogatepass")


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, 64 hex digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def _as_text(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no canonical form")
