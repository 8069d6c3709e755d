"""Vouchers (凭证), journal lines (分录) and what a ledger says of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from include.domain.account import AuxiliaryDimension
from include.domain.document import digest
from include.domain.money import Money
from include.domain.period import FiscalPeriod


class Side(StrEnum):
    DEBIT = "debit"  # 借
    CREDIT = "credit"  # 贷

    @property
    def zh(self) -> str:
        return "借" if self is Side.DEBIT else "贷"


class InvalidVoucher(ValueError):
    """A voucher that may not exist: too few lines, mixed currencies, empty account, a zero line."""


class UnbalancedVoucher(InvalidVoucher):
    """Debits and credits differ; `difference` is debits minus credits in minor units."""

    def __init__(self, key: str, difference: Money) -> None:
        super().__init__(
            f"凭证 {key} 借贷不平，差额 {difference} / voucher {key} does not balance, by {difference}"
        )
        self.difference = difference


@dataclass(frozen=True, slots=True)
class VoucherKey:
    """The idempotency key: who a voucher is, whatever its content. It travels into the ledger as text.

    `event` is the accounting event (`expense_claim`, `loan`, …, with `.reversal` for a red-letter copy);
    `revision` counts the accounting revisions of the document from 1.
    """

    book: str
    source: str
    document_id: str
    event: str
    revision: int

    def __post_init__(self) -> None:
        for name in ("book", "source", "document_id", "event"):
            if not getattr(self, name):
                raise InvalidVoucher(f"voucher key without {name}")

    def __str__(self) -> str:
        parts = (self.book, self.source, self.document_id, self.event)
        return "/".join(["VF", *(_escape(part) for part in parts), str(self.revision)])

    @classmethod
    def parse(cls, text: str) -> VoucherKey | None:
        """Read a key out of a ledger's reference field; None where the text is not one of ours."""
        parts = text.split("/")
        if len(parts) != 6 or parts[0] != "VF" or not parts[5].isdecimal() or not all(parts):
            return None
        book, source, document_id, event = (
            part.replace("%2F", "/").replace("%25", "%") for part in parts[1:5]
        )
        return cls(book, source, document_id, event, int(parts[5]))


def _escape(part: str) -> str:
    return part.replace("%", "%25").replace("/", "%2F")


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """Why a line is as it is: template and table row with their file lines, and the source line (0: the document)."""

    template: str
    template_line: int
    entry: str
    table: str = ""
    table_row: int = 0
    source_line_no: int = 0


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One line. `amount` is in the book's functional currency; a red line has a negative amount on its own side.

    `transaction` is the foreign amount with the same sign, None where there is none.
    """

    line_no: int
    side: Side
    account: str
    amount: Money
    summary: str
    dimensions: tuple[AuxiliaryDimension, ...] = ()
    transaction: Money | None = None
    trace: RuleTrace | None = None

    def __post_init__(self) -> None:
        if not self.account:
            raise InvalidVoucher(f"line {self.line_no} has no account")
        if self.amount.minor == 0:
            raise InvalidVoucher(f"line {self.line_no} on {self.account} has no amount")
        if self.transaction is not None and self.transaction.minor * self.amount.minor < 0:
            raise InvalidVoucher(f"line {self.line_no}: {self.transaction} and {self.amount} differ in sign")
        kinds = [dimension.kind for dimension in self.dimensions]
        if len(set(kinds)) != len(kinds):
            raise InvalidVoucher(f"line {self.line_no} carries a dimension twice: {', '.join(kinds)}")
        object.__setattr__(self, "dimensions", tuple(sorted(self.dimensions)))

    @property
    def signed_minor(self) -> int:
        """Positive on the debit side, negative on the credit side."""
        return self.amount.minor if self.side is Side.DEBIT else -self.amount.minor


@dataclass(frozen=True, slots=True)
class Voucher:
    """A voucher that balances; another cannot be constructed.

    It has at least two lines, all amounts in one functional currency, debits equal to credits there, and in
    the foreign currency too where every line carries the same one.

    Raises:
        UnbalancedVoucher, InvalidVoucher
    """

    key: VoucherKey
    word: str
    date: date
    lines: tuple[JournalLine, ...]
    attachments: int = 0
    rule_digest: str = ""

    def __post_init__(self) -> None:
        if len(self.lines) < 2:
            raise InvalidVoucher(f"voucher {self.key} has {len(self.lines)} line(s), it needs two")
        currencies = {line.amount.currency for line in self.lines}
        if len(currencies) != 1:
            raise InvalidVoucher(f"voucher {self.key} mixes {', '.join(sorted(currencies))}")
        difference = sum(line.signed_minor for line in self.lines)
        if difference:
            raise UnbalancedVoucher(str(self.key), Money(difference, self.currency))
        foreign = {line.transaction.currency if line.transaction else "" for line in self.lines}
        if len(foreign) == 1 and "" not in foreign:
            difference = sum(
                line.transaction.minor if line.side is Side.DEBIT else -line.transaction.minor
                for line in self.lines
                if line.transaction
            )
            if difference:
                raise UnbalancedVoucher(str(self.key), Money(difference, foreign.pop()))

    @property
    def currency(self) -> str:
        return self.lines[0].amount.currency

    @property
    def period(self) -> FiscalPeriod:
        return FiscalPeriod.of(self.date)

    @property
    def total(self) -> Money:
        """Debit total, which is the credit total too."""
        return Money(sum(x.amount.minor for x in self.lines if x.side is Side.DEBIT), self.currency)


class LedgerVoucherState(StrEnum):
    DRAFT = "draft"
    POSTED = "posted"
    REVERSED = "reversed"


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """A line as the ledger has it; dimensions as far as the ledger can hold them."""

    side: Side
    account: str
    amount: Money
    dimensions: tuple[AuxiliaryDimension, ...] = ()
    transaction: Money | None = None
    summary: str = ""


@dataclass(frozen=True, slots=True)
class LedgerVoucher:
    """A voucher as read from the ledger.

    `reference` is the text that may hold our key. `number` is what people read, with the voucher word (记-12);
    ledgers may still change it.
    """

    ledger_id: str
    number: str
    reference: str
    date: date
    period: str
    state: LedgerVoucherState
    lines: tuple[LedgerLine, ...]

    @property
    def key(self) -> VoucherKey | None:
        return VoucherKey.parse(self.reference)


def content_digest(
    day: date,
    lines: Sequence[JournalLine] | Sequence[LedgerLine],
    dimension_kinds: Collection[str] | None = None,
) -> str:
    """Digest of a voucher's content, the same for ours and for the ledger's copy of it, lines in any order.

    Summaries and names are left out, since ledgers shorten them; so are dimensions of other kinds than
    `dimension_kinds`, where a ledger cannot hold all (None: all count).
    """
    rows = sorted(
        [
            line.account,
            str(line.side),
            line.amount.currency,
            line.amount.minor,
            line.transaction.currency if line.transaction else "",
            line.transaction.minor if line.transaction else 0,
            *(
                f"{d.kind}={d.code}"
                for d in sorted(line.dimensions)
                if dimension_kinds is None or d.kind in dimension_kinds
            ),
        ]
        for line in lines
    )
    return digest([day, rows])


class VoucherStatus(StrEnum):
    """Where a voucher of ours stands. Only GENERATED, REJECTED and HELD may still be regenerated."""

    GENERATED = "generated"
    SENDING = "sending"  # intent is committed, the call is under way or its process died
    UNKNOWN = "unknown"  # sent, answer lost: look before anything else
    POSTED = "posted"
    REJECTED = "rejected"  # the ledger refused the content
    HELD = "held"  # its period is not open
    CONFLICT = "conflict"  # the ledger has other content under our key: a person decides
    CANCELLED = "cancelled"  # its document was withdrawn before it was sent
    REVERSED = "reversed"  # it was posted, somebody reversed it in the ledger, and that settled it


UNSENT_STATUSES = frozenset({VoucherStatus.GENERATED, VoucherStatus.REJECTED, VoucherStatus.HELD})


class PostingOutcome(StrEnum):
    """What became of one posting. UNKNOWN has one legal next step: look."""

    CREATED = "created"
    EXISTS = "exists"
    CONFLICT = "conflict"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PostingResult:
    """The outcome for one voucher; ledger id and number only where it is in the ledger."""

    key: VoucherKey
    outcome: PostingOutcome
    ledger_id: str = ""
    number: str = ""
    message: str = ""
