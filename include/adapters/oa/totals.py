"""Amounts of several lines together: sums, splits, and what falls on each invoice. Minor units throughout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from include.domain.document import DocumentLine, InvoiceClaim
from include.domain.money import MAX_MINOR, split


def share_claims(claims: Sequence[InvoiceClaim], amount: int | None) -> list[InvoiceClaim]:
    """The line's amount put on its invoices, by their totals; left open where those are not known."""
    if len(claims) == 1:
        return [replace(claims[0], claimed=amount)]
    totals = [claim.total for claim in claims if claim.total is not None]
    if amount is None or not totals or len(totals) != len(claims) or sum(totals) == 0:
        return list(claims)
    parts = split_or_first(amount, totals)
    return [replace(claim, claimed=part) for claim, part in zip(claims, parts, strict=True)]


def split_or_first(total: int | None, weights: Sequence[int]) -> list[int | None]:
    """`total` by weights; all of it to the first where the weights cancel out."""
    if total is None:
        return [None] * len(weights)
    if sum(weights) == 0:
        return [total, *[0] * (len(weights) - 1)]
    return list(split(total, weights))


def common_currency(lines: Sequence[DocumentLine]) -> str | None:
    """The currency that all lines have, None where they differ or there are none."""
    currencies = {line.currency for line in lines}
    return currencies.pop() if len(currencies) == 1 else None


def sum_known(amounts: Sequence[int | None]) -> int | None:
    """The sum, None where a part is missing or the whole is beyond what can be stored."""
    known = [amount for amount in amounts if amount is not None]
    total = sum(known)
    return total if len(known) == len(amounts) and abs(total) <= MAX_MINOR else None
