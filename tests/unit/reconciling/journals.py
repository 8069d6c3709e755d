"""Journals for tests: a few words for a voucher, and the journal that a ledger would list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import polars as pl

from include.domain.account import AuxiliaryDimension
from include.domain.money import Money
from include.domain.reconciliation import DiscrepancyKind
from include.domain.voucher import LedgerLine, LedgerVoucher, LedgerVoucherState, Side
from include.reconciling.frames import Journal, LedgerPages
from include.reconciling.matching import Match, match
from include.reconciling.wording import Words

BOOK = "acme"
KINDS = frozenset({"department", "employee"})
DAY = date(2026, 3, 10)
PERIOD = "2026-03"


def key(number: int) -> str:
    return f"VF/{BOOK}/hesi/ID_{number}/expense_claim/1"


def line(
    side: Side,
    account: str,
    minor: int,
    dimensions: Sequence[tuple[str, str]] = (),
    foreign: Money | None = None,
) -> LedgerLine:
    values = tuple(AuxiliaryDimension(kind, code) for kind, code in sorted(dimensions))
    return LedgerLine(side, account, Money(minor, "CNY"), values, foreign)


@dataclass(frozen=True)
class Spec:
    """A voucher on either side; `number` 0 has no key."""

    ledger_id: str
    number: int = 0
    lines: tuple[LedgerLine, ...] = ()
    date: date = DAY
    state: LedgerVoucherState = LedgerVoucherState.POSTED
    text: str = ""

    @property
    def name(self) -> str:
        return f"记-{self.ledger_id}"

    def but(self, **changes: object) -> Spec:
        return replace(self, **changes)  # type: ignore[arg-type]


def claim(number: int, net: int = 10_000, tax: int = 600, day: date = DAY) -> Spec:
    """Net and tax on debit, the gross on credit, with a department and an employee of its own."""
    lines = (
        line(Side.DEBIT, "6602.10", net, [("department", f"D{number}")]),
        line(Side.DEBIT, "2221.01", tax),
        line(Side.CREDIT, "2241.03", net + tax, [("employee", f"W{number}")]),
    )
    return Spec(str(number), number, lines, day)


def journal(specs: Sequence[Spec]) -> Journal:
    """As read from a ledger, three vouchers a page."""
    pages = LedgerPages(BOOK, KINDS)
    vouchers = [
        LedgerVoucher(
            spec.ledger_id,
            spec.name,
            key(spec.number) if spec.number else spec.text,
            spec.date,
            PERIOD,
            spec.state,
            spec.lines,
        )
        for spec in specs
    ]
    for start in range(0, len(vouchers), 3):
        pages.add(vouchers[start : start + 3])
    return pages.journal()


def matched(ours: Sequence[Spec], theirs: Sequence[Spec]) -> Match:
    return match(journal(ours), journal(theirs))


def findings(
    ours: Sequence[Spec], theirs: Sequence[Spec], *, keeps_keys: bool = True
) -> set[tuple[DiscrepancyKind, int]]:
    """Kinds of differences with the numbers of our vouchers."""
    left, right = journal(ours), journal(theirs)
    if not keeps_keys:
        right = Journal(right.vouchers.with_columns(key=pl.lit("")), right.lines)
    found = match(left, right)
    words = Words(found, "CNY", keeps_keys=keeps_keys)
    items = [*words.all(), *(words.missing(voucher) for voucher in found.missing)]
    numbers = {key(spec.number): spec.number for spec in ours}
    return {(item.kind, numbers[item.subject]) for item in items}
