"""Vouchers as an emulated Chinese ledger keeps them, and the checks that every such ledger makes.

Refusals are typed, so that each vendor's layer says them in its own words and codes. Money is integer minor
units; a red entry is a negative amount on its own side.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Protocol

MAX_LINES = 2000
"""Of one voucher; real ledgers stop at some hundreds or thousands."""


class Reason(StrEnum):
    """Why a ledger says no."""

    BOOK_UNKNOWN = "book_unknown"
    WORD_UNKNOWN = "word_unknown"
    PERIOD_UNKNOWN = "period_unknown"
    PERIOD_CLOSED = "period_closed"
    PERIOD_NOT_OPEN = "period_not_open"
    NO_LINES = "no_lines"
    TOO_MANY_LINES = "too_many_lines"
    UNBALANCED = "unbalanced"
    ACCOUNT_MISSING = "account_missing"
    ACCOUNT_UNKNOWN = "account_unknown"
    ACCOUNT_NOT_LEAF = "account_not_leaf"
    ACCOUNT_DISABLED = "account_disabled"
    CURRENCY_UNKNOWN = "currency_unknown"
    BOTH_SIDES = "both_sides"
    NO_AMOUNT = "no_amount"
    DIMENSION_MISSING = "dimension_missing"
    DIMENSION_STRAY = "dimension_stray"
    """A kind that the account does not carry."""
    VALUE_UNKNOWN = "value_unknown"
    VALUE_DISABLED = "value_disabled"
    NUMBER_TAKEN = "number_taken"
    REFERENCE_TAKEN = "reference_taken"
    VOUCHER_UNKNOWN = "voucher_unknown"
    STATUS_FORBIDS = "status_forbids"
    POSTED = "posted"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One objection. `line` counts from 1, None for the voucher itself; `value` is what was found, `detail` what
    it concerns (an account code, a kind, a status).
    """

    reason: Reason
    line: int | None = None
    value: str = ""
    detail: str = ""


class RefusedError(Exception):
    """The ledger has changed nothing."""

    def __init__(self, *refusals: Refusal) -> None:
        super().__init__("; ".join(f"{item.reason} {item.value} {item.detail}".strip() for item in refusals))
        self.refusals = refusals


@dataclass(frozen=True, slots=True)
class Line:
    """One entry (分录). `debit` and `credit` are minor units of the book's currency, one of them zero;
    `amount_for` is the original amount in minor units of `currency`, on the same side.

    `currency` "" is the book's own. `dimensions`: kind → code. `reference` can be searched. `extra` is kept as the
    vendor sent it. `id` 0 asks for a new one.
    """

    account: str
    debit: int = 0
    credit: int = 0
    summary: str = ""
    dimensions: Mapping[str, str] = field(default_factory=dict)
    currency: str = ""
    amount_for: int | None = None
    rate: str = "1"
    reference: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)
    id: int = 0


@dataclass(frozen=True, slots=True)
class Draft:
    """A voucher as it is handed in. `number` None: the book gives the next one of its word and period.

    `adjustment` (year, period) books into that adjustment period instead of the one that holds `day`.
    `reference` is the sender's own key; a book can be asked to keep it unique.
    """

    book: str
    word: str
    day: date
    lines: tuple[Line, ...]
    number: int | None = None
    attachments: int = 0
    preparer: str = ""
    reference: str = ""
    adjustment: tuple[int, int] | None = None
    business_day: date | None = None
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Voucher:
    """A voucher as the book keeps it. `number` is None for one that was only put aside."""

    id: int
    book: str
    word: str
    year: int
    period: int
    number: int | None
    day: date
    business_day: date
    status: str
    posted: bool
    void: bool
    adjustment: bool
    attachments: int
    preparer: str
    reviewer: str
    poster: str
    reference: str
    extra: Mapping[str, str]
    created_ms: int
    modified_ms: int
    reviewed_ms: int | None
    lines: tuple[Line, ...]

    @property
    def total(self) -> int:
        """The debit side in minor units of the book's currency."""
        return sum(line.debit for line in self.lines)


@dataclass(frozen=True, slots=True)
class Account:
    """An account of a chart. `dimensions`: (kind, required) in the order of the account's own setting."""

    id: int
    code: str
    name: str
    parent: str
    is_leaf: bool
    is_enabled: bool
    dimensions: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One value of master data: of an auxiliary kind."""

    id: int
    kind: str
    code: str
    name: str
    is_enabled: bool


@dataclass(frozen=True, slots=True)
class Period:
    """A fiscal period of a book; `begins` and `ends` are its first and last day."""

    year: int
    period: int
    begins: date
    ends: date
    state: str
    adjustment: bool


class MasterData(Protocol):
    """What the checks look up; None where there is nothing of that code."""

    def account(self, book: str, code: str) -> Account | None: ...

    def item(self, kind: str, code: str) -> Item | None: ...

    def has_currency(self, code: str) -> bool: ...


def check(draft: Draft, master: MasterData, *, waive: Collection[Reason] = ()) -> list[Refusal]:
    """All objections to the content of a voucher, in the order of its lines; reasons in `waive` are let pass."""
    found: list[Refusal] = []
    if not draft.lines:
        found.append(Refusal(Reason.NO_LINES))
    if len(draft.lines) > MAX_LINES:
        found.append(Refusal(Reason.TOO_MANY_LINES, value=str(len(draft.lines)), detail=str(MAX_LINES)))
    for number, line in enumerate(draft.lines, start=1):
        found += _amount_refusals(number, line, master)
        found += _account_refusals(number, line, master.account(draft.book, line.account))
        found += _value_refusals(number, line, master)
    debit = sum(line.debit for line in draft.lines)
    credit = sum(line.credit for line in draft.lines)
    if debit != credit:
        found.append(Refusal(Reason.UNBALANCED, value=str(debit), detail=str(credit)))
    return [refusal for refusal in found if refusal.reason not in waive]


def _amount_refusals(number: int, line: Line, master: MasterData) -> Iterator[Refusal]:
    if line.debit and line.credit:
        yield Refusal(Reason.BOTH_SIDES, number)
    if not line.debit and not line.credit:
        yield Refusal(Reason.NO_AMOUNT, number)
    if line.currency and not master.has_currency(line.currency):
        yield Refusal(Reason.CURRENCY_UNKNOWN, number, line.currency)


def _account_refusals(number: int, line: Line, account: Account | None) -> Iterator[Refusal]:
    if not line.account:
        yield Refusal(Reason.ACCOUNT_MISSING, number)
        return
    if account is None:
        yield Refusal(Reason.ACCOUNT_UNKNOWN, number, line.account)
        return
    if not account.is_leaf:
        yield Refusal(Reason.ACCOUNT_NOT_LEAF, number, account.code, account.name)
    if not account.is_enabled:
        yield Refusal(Reason.ACCOUNT_DISABLED, number, account.code, account.name)
    kinds = {kind for kind, _ in account.dimensions}
    for kind, required in account.dimensions:
        if required and not line.dimensions.get(kind):
            yield Refusal(Reason.DIMENSION_MISSING, number, account.code, kind)
    for kind in line.dimensions:
        if kind not in kinds:
            yield Refusal(Reason.DIMENSION_STRAY, number, account.code, kind)


def _value_refusals(number: int, line: Line, master: MasterData) -> Iterator[Refusal]:
    for kind, code in line.dimensions.items():
        item = master.item(kind, code)
        if item is None:
            yield Refusal(Reason.VALUE_UNKNOWN, number, code, kind)
        elif not item.is_enabled:
            yield Refusal(Reason.VALUE_DISABLED, number, code, kind)
