"""The four doors of the product. Adapters implement these; stages know nothing else of the outside.

Errors are those of `include.domain.errors`: RetryLater, OutcomeUnknown, FixData, FixConfig. A read that fails
raises; it never answers "no".
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, Protocol

from include.domain.account import AccountBalance, AuxiliaryDimension, Chart
from include.domain.document import MappedDocument
from include.domain.period import FiscalPeriod, LedgerPeriod
from include.domain.voucher import LedgerVoucher, PostingResult, Voucher, VoucherKey


class Clock(Protocol):
    """Where "now" comes from, so that tests and replays can say what time it is."""

    def now(self) -> datetime:
        """Aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment, never set; only differences mean something."""
        ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class RawDocument:
    """One payload as the source sent it, with what is needed to file it.

    `document_id` is empty and `updated_at` None where the payload does not say. `payload` is JSON as parsed.
    """

    document_id: str
    form_type: str
    updated_at: datetime | None
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MasterRecord:
    """An entry of the OA's master data. `kind`: department, staff, fee_type, project, legal_entity, supplier, payee, account."""

    kind: str
    id: str
    code: str
    name: str
    parent_id: str = ""
    is_active: bool = True
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceCount:
    """The source's own count of documents of one form type created up to a moment, deleted ones included."""

    form_type: str
    documents: int


@dataclass(frozen=True, slots=True)
class WriteBackEntry:
    """What the OA shall show on a document: the voucher number, or "" to clear it after a reversal."""

    document_id: str
    voucher_no: str
    fiscal_period: str
    created_at: datetime


class WriteBackOutcome(StrEnum):
    WRITTEN = "written"
    REFUSED = "refused"
    """The OA will not take it in this state (archived, deleted): final until the document changes."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class WriteBackResult:
    document_id: str
    outcome: WriteBackOutcome
    message: str = ""


class DocumentSource(Protocol):
    """An OA or expense system."""

    name: str

    def master_data(self) -> Iterator[MasterRecord]:
        """All departments, staff, fee types, dimension items and payees, in no particular order."""
        ...

    def changes(self, since: datetime) -> Iterator[Sequence[RawDocument]]:
        """Pages of all documents, deleted ones too, whose last change is at `since` or later, oldest change first.

        A document may come twice when it changes meanwhile; none that exists throughout is left out.
        """
        ...

    def details(self, documents: Sequence[RawDocument]) -> Sequence[RawDocument]:
        """The same documents with all the source knows of them, in the same order.

        One that comes without a payload (only its id is known) is fetched in any case, and comes back without
        one if the source does not give it.
        """
        ...

    def ids_created_until(self, form_type: str, until: datetime) -> Iterator[str]:
        """Ids of all documents of a form type created from the source's start to `until`, deleted ones included."""
        ...

    def counts_created_until(self, until: datetime) -> Sequence[SourceCount]:
        """The source's own counts of the same documents, one per form type that it is configured to read."""
        ...

    def to_documents(self, documents: Sequence[RawDocument]) -> Sequence[MappedDocument]:
        """The canonical documents, in the same order. Pure of side effects on the source, may read (invoices)."""
        ...

    def write_back(self, entries: Sequence[WriteBackEntry]) -> Sequence[WriteBackResult]:
        """Show voucher numbers on documents; one result per entry, in the same order."""
        ...

    def check(self) -> str:
        """Log in and read something small; a sentence for people on success."""
        ...


class ProofLevel(StrEnum):
    """How a ledger lets us prove that a voucher is, or is not, there."""

    NATIVE_KEY = "native_key"
    SEARCHABLE_REFERENCE = "searchable_reference"
    DATE_AND_AMOUNT = "date_and_amount"


class LedgerGateway(Protocol):
    """An accounting system, one book in it."""

    name: str
    proof_level: ProofLevel
    batch_size: int
    """How many vouchers one `post` call may carry."""
    settle_s: float
    """How long after a lost call the ledger may still be working on it; only then is "not found" a proof."""
    dimension_kinds: frozenset[str]
    """The kinds of dimensions that it keeps on lines and gives back."""

    def chart(self) -> Chart: ...

    def periods(self) -> Sequence[LedgerPeriod]:
        """All periods the ledger has, oldest first."""
        ...

    def find(self, vouchers: Sequence[Voucher]) -> Mapping[VoucherKey, Sequence[LedgerVoucher]]:
        """Everything in the ledger that is, or at proof level DATE_AND_AMOUNT may be, one of these vouchers, by key; a
        voucher that is proved absent is not in the mapping.

        Found by key where the ledger keeps it. Otherwise everything of the voucher's date and total counts, whoever
        made it: the stage compares contents, and what was there before it was sent.

        Raises:
            RetryLater: the look-up failed, which says nothing about the voucher.
        """
        ...

    def numbers(self, ledger_ids: Sequence[str]) -> Mapping[str, str]:
        """The numbers that vouchers have now, by the ledger's own ids; those that are gone are left out."""
        ...

    def ensure_dimensions(self, values: Iterable[AuxiliaryDimension]) -> None:
        """Make the parties, departments, projects … exist in the ledger; repeating it changes nothing.

        Raises:
            FixData: values that the ledger does not have and may not be created, all of them named.
        """
        ...

    def post(self, vouchers: Sequence[Voucher]) -> Sequence[PostingResult]:
        """Create and post; one result per voucher, in the same order: CREATED or REJECTED, and from ledgers that check keys
        themselves EXISTS or CONFLICT.

        Either the whole batch is refused with REJECTED results that say why, or results are per voucher.

        Raises:
            OutcomeUnknown: the answer was lost; look by key before anything else.
            RetryLater: nothing was sent.
        """
        ...

    def complete(self, vouchers: Sequence[LedgerVoucher]) -> Sequence[LedgerVoucher]:
        """Bring drafts of ours to posted (a crash came between two calls); returns them as they now are."""
        ...

    def discard(self, vouchers: Sequence[LedgerVoucher]) -> None:
        """Delete drafts of ours; those that are gone already count as deleted.

        Raises:
            FixData: the ledger does not delete them; they are as they were.
            OutcomeUnknown: the answer was lost; look.
            RetryLater: nothing was sent.
        """
        ...

    def vouchers(self, period: FiscalPeriod) -> Iterator[Sequence[LedgerVoucher]]:
        """Pages of all vouchers of a period, ours and others."""
        ...

    def trial_balance(self, period: FiscalPeriod) -> Sequence[AccountBalance]:
        """Movements per account of posted vouchers in a period, accounts without movement left out."""
        ...

    def period_of(self, day: date) -> LedgerPeriod | None:
        """The ledger's period that holds a day, None where there is none."""
        ...

    def check(self) -> str: ...
