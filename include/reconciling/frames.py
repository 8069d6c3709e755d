"""Journals as frames: vouchers with their lines, ours and the ledger's in one shape."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from include.domain.account import AuxiliaryDimension
from include.domain.voucher import LedgerVoucher, Side, VoucherKey

VOUCHERS: Mapping[str, Any] = {
    "voucher": pl.Int64,
    "key": pl.String,
    "ledger_id": pl.String,
    "number": pl.String,
    "date": pl.Date,
    "period": pl.String,
    "state": pl.String,
    "text": pl.String,
}
"""`voucher` counts the rows from 0. `key` is "" where it bears none of the book's. `number` is what people read. `state` is
a LedgerVoucherState. `text` is what a voucher without a key says: reference and summaries.
"""
LINES: Mapping[str, Any] = {
    "voucher": pl.Int64,
    "account": pl.Categorical,
    "is_credit": pl.Boolean,
    "amount": pl.Int64,
    "currency": pl.Categorical,
    "foreign": pl.Int64,
    "dimensions": pl.Categorical,
}
"""`amount` is in functional minor units, negative for red; `currency` and `foreign` are "" and 0 where there is no foreign
amount; `dimensions` is a text that is equal where all that count are equal.
"""
SEPARATOR = "\x1f"
"""Between the dimensions of a line: a character that no code has."""
FLUSH = 50_000
"""Lines that are Python objects at once."""


@dataclass(frozen=True, slots=True)
class Journal:
    """`vouchers` as VOUCHERS, in the order of `voucher`; `lines` as LINES, in any order."""

    vouchers: pl.DataFrame
    lines: pl.DataFrame

    @classmethod
    def empty(cls) -> Journal:
        return cls(pl.DataFrame(schema=VOUCHERS), pl.DataFrame(schema=LINES))


def dimensions_text(dimensions: Iterable[AuxiliaryDimension], kinds: Collection[str]) -> str:
    """The `dimensions` of a line, as far as they are of `kinds`."""
    return SEPARATOR.join(sorted(f"{d.kind}={d.code}" for d in dimensions if d.kind in kinds))


def with_dimensions(lines: pl.DataFrame, kinds: Collection[str]) -> pl.DataFrame:
    """Lines whose `dimensions` are the store's JSON (`[["department", "D01", "研发部"], …]`), with those of LINES."""
    stored = lines["dimensions"].unique()
    texts = [
        dimensions_text((AuxiliaryDimension(kind, code) for kind, code, _ in json.loads(text)), kinds)
        for text in stored
    ]
    named = pl.col("dimensions").replace_strict(stored, texts, return_dtype=pl.String)
    return lines.with_columns(pl.col("account", "currency").cast(pl.Categorical), named.cast(pl.Categorical))


class LedgerPages:
    """Turns a ledger's pages into a Journal, column by column, and forgets the objects.

    Args:
        book: whose keys count.
        kinds: of dimensions that the ledger keeps.
    """

    def __init__(self, book: str, kinds: Collection[str]) -> None:
        self._book = book
        self._kinds = kinds
        self._texts: dict[tuple[AuxiliaryDimension, ...], str] = {}
        self._vouchers: list[tuple[Any, ...]] = []
        self._columns: list[list[Any]] = [[] for _ in LINES]
        self._frames: list[pl.DataFrame] = []

    def add(self, page: Sequence[LedgerVoucher]) -> None:
        for there in page:
            number = len(self._vouchers)
            key = self._key(there)
            text = "" if key else "\n".join({there.reference, *(line.summary for line in there.lines)})
            state = there.state.value
            self._vouchers.append(
                (number, key, there.ledger_id, there.number, there.date, there.period, state, text)
            )
            self._add_lines(number, there)
        if len(self._columns[0]) >= FLUSH:
            self._flush()

    def journal(self) -> Journal:
        """All that was added."""
        self._flush()
        vouchers = pl.DataFrame(self._vouchers, schema=VOUCHERS, orient="row")
        return Journal(vouchers, pl.concat([pl.DataFrame(schema=LINES), *self._frames]))

    def _add_lines(self, number: int, there: LedgerVoucher) -> None:
        voucher, account, is_credit, amount, currency, foreign, dimensions = self._columns
        for line in there.lines:
            voucher.append(number)
            account.append(line.account)
            is_credit.append(line.side is Side.CREDIT)
            amount.append(line.amount.minor)
            currency.append(line.transaction.currency if line.transaction else "")
            foreign.append(line.transaction.minor if line.transaction else 0)
            dimensions.append(self._text(line.dimensions))

    def _key(self, there: LedgerVoucher) -> str:
        if not there.reference.startswith("VF/"):
            return ""
        key = VoucherKey.parse(there.reference)
        return str(key) if key is not None and key.book == self._book else ""

    def _text(self, dimensions: tuple[AuxiliaryDimension, ...]) -> str:
        text = self._texts.get(dimensions)
        if text is None:
            text = self._texts[dimensions] = dimensions_text(dimensions, self._kinds)
        return text

    def _flush(self) -> None:
        self._frames.append(pl.DataFrame(dict(zip(LINES, self._columns, strict=True)), schema=LINES))
        self._columns = [[] for _ in LINES]
