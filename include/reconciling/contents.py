"""What differs between a voucher and the ledger's copy of it, finest difference last.

A coarser difference hides finer ones: dimensions are compared only where accounts and amounts agree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import polars as pl

from include.domain.money import format_minor
from include.domain.reconciliation import DiscrepancyKind
from include.reconciling.frames import LINES, SEPARATOR, Journal


class Line(NamedTuple):
    """A row of frames.LINES without its voucher."""

    account: str
    is_credit: bool
    amount: int
    currency: str
    foreign: int
    dimensions: str


class Difference(NamedTuple):
    """A kind of difference, and both sides of it for people."""

    kind: DiscrepancyKind
    ours: str
    theirs: str


def differences(ours: Sequence[Line], theirs: Sequence[Line], currency: str) -> Iterator[Difference]:
    """The differences of contents whose effects are not equal; `currency` is the functional one."""
    mine, there = _by_account(ours), _by_account(theirs)
    accounts = {account for account, _ in mine}
    if accounts != {account for account, _ in there}:
        yield Difference(DiscrepancyKind.ACCOUNT, *(_codes(side) for side in (mine, there)))
    changed = sorted(key for key in set(mine) & set(there) if mine[key] != there[key])
    if _totals(mine) != _totals(there) or (mine != there and accounts == {account for account, _ in there}):
        shown = changed or sorted(set(mine) | set(there))
        yield Difference(DiscrepancyKind.AMOUNT, *(_amounts(side, shown, currency) for side in (mine, there)))
    if mine != there:
        return
    foreign = [
        _sums(((x.account, x.is_credit, x.currency), x.foreign) for x in side) for side in (ours, theirs)
    ]
    if foreign[0] != foreign[1]:
        yield Difference(DiscrepancyKind.CURRENCY, *(_foreign(side) for side in foreign))
    values = [
        _sums(((x.account, x.is_credit, x.dimensions), x.amount) for x in side) for side in (ours, theirs)
    ]
    if values[0] != values[1] or foreign[0] == foreign[1]:
        yield Difference(DiscrepancyKind.DIMENSION, *(_dimensions(side) for side in values))


def lines_of(journal: Journal, vouchers: pl.Series) -> dict[int, list[Line]]:
    """The lines of some vouchers by voucher."""
    wanted = vouchers.unique().to_frame("voucher")
    found: dict[int, list[Line]] = defaultdict(list)
    for voucher, *values in journal.lines.join(wanted, on="voucher", how="semi").select(*LINES).iter_rows():
        found[voucher].append(Line(*values))
    return found


_Key = tuple[str, bool, str]


def _sums(items: Iterable[tuple[_Key, int]]) -> dict[_Key, int]:
    """Sums by key, zeros left out."""
    totals: dict[_Key, int] = defaultdict(int)
    for key, amount in items:
        totals[key] += amount
    return {key: total for key, total in totals.items() if total}


def _by_account(lines: Iterable[Line]) -> dict[tuple[str, bool], int]:
    sums = _sums(((line.account, line.is_credit, ""), line.amount) for line in lines)
    return {(account, is_credit): total for (account, is_credit, _), total in sums.items()}


def _totals(by_account: dict[tuple[str, bool], int]) -> tuple[int, int]:
    """Debits and credits."""
    debit = sum(total for (_, is_credit), total in by_account.items() if not is_credit)
    return debit, sum(by_account.values()) - debit


def _codes(by_account: dict[tuple[str, bool], int]) -> str:
    return "、".join(sorted({account for account, _ in by_account}))


def _amounts(by_account: dict[tuple[str, bool], int], keys: Iterable[tuple[str, bool]], currency: str) -> str:
    return "; ".join(
        f"{_side(is_credit)} {account} {format_minor(by_account.get((account, is_credit), 0), currency)}"
        for account, is_credit in keys
    )


def _foreign(sums: dict[_Key, int]) -> str:
    return "; ".join(
        f"{_side(is_credit)} {account} {format_minor(total, currency) if currency else '-'}"
        for (account, is_credit, currency), total in sorted(sums.items())
    )


def _dimensions(sums: dict[_Key, int]) -> str:
    return "; ".join(
        f"{account} {dimensions.replace(SEPARATOR, ' ')}".strip() for account, _, dimensions in sorted(sums)
    )


def _side(is_credit: bool) -> str:
    return "贷" if is_credit else "借"
