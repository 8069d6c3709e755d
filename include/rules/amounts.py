"""The amount of a journal line: a measure, a fraction of one, or what others leave of it; functional and foreign."""

from __future__ import annotations

import polars as pl

from include.rules import residue
from include.rules.conditions import condition
from include.rules.facts import Measure, Scope
from include.rules.prepare import DOCUMENT_AMOUNTS
from include.rules.schema import Entry, VoucherTemplate
from include.settings import Book

_SETTLEMENTS = (Measure.WRITTEN_OFF, Measure.COMPANY_PAID, Measure.PAYABLE, Measure.REFUND)
_ZERO = pl.lit(0, pl.Int128)


def amount_columns(spec: VoucherTemplate, entry: Entry, documents: pl.DataFrame) -> list[str]:
    """The columns of prepared documents that an entry's amount is made of."""
    entries = (entry, *spec.less_of(entry))
    columns = [f"property:{one.measure_property}" for one in entries if one.measure_property]
    if entry.for_each is Scope.DOCUMENT:
        columns += [name for name in (*DOCUMENT_AMOUNTS, "document_tax") if name in documents.columns]
    return list(dict.fromkeys(columns))


def with_amounts(
    frame: pl.DataFrame, spec: VoucherTemplate, entry: Entry, decimals: int, book: Book
) -> pl.DataFrame:
    """The frame's rows that meet the entry's condition, with `amount`, `transaction_currency`, `transaction` (null
    where there is no foreign amount) and `residue`, what a document's rows leave for an account of its own.
    """
    frame = _with_parts(frame, entry, "", decimals, book)
    for index, other in enumerate(spec.less_of(entry)):
        frame = _with_parts(frame, other, f"less{index}:", decimals, book)
        applies, part, foreign = (
            pl.col(f"less{index}:{name}") for name in ("applies", "amount", "transaction")
        )
        is_known = ~applies | foreign.is_not_null()
        frame = frame.with_columns(
            pl.col("amount") - pl.when(applies).then(part).otherwise(_ZERO),
            # What is taken off without a foreign amount leaves a rest without one.
            pl.when(is_known).then("transaction_currency").alias("transaction_currency"),
            pl.when(is_known)
            .then(pl.col("transaction") - pl.when(applies).then(foreign).otherwise(_ZERO))
            .alias("transaction"),
            pl.col("residue") - pl.col(f"less{index}:residue"),
        )
    return frame.filter("applies")


def _with_parts(frame: pl.DataFrame, entry: Entry, prefix: str, decimals: int, book: Book) -> pl.DataFrame:
    """Columns `applies`, `amount`, `transaction_currency`, `transaction`, `residue` of one entry, under a prefix; null
    amounts where its condition does not hold.
    """
    amount, currency, transaction = _measured(entry)
    columns = ("applies", "amount", "transaction_currency", "transaction", "residue")
    names = {name: f"{prefix}{name}" for name in columns}
    applies = pl.col(names["applies"])
    # Settlements compare the amount with the gross, so it is a column first.
    frame = frame.with_columns(
        condition(entry.when, decimals).alias(names["applies"]),
        amount.alias("measured"),
        _ZERO.alias(names["residue"]),
    )
    frame = frame.with_columns(
        pl.when(applies).then("measured").alias(names["amount"]),
        pl.when(applies).then(currency).alias(names["transaction_currency"]),
        pl.when(applies).then(transaction).alias(names["transaction"]),
    )
    if entry.fraction is None:
        return frame
    ratio = entry.fraction.as_integer_ratio()
    share, left = residue.shares(pl.col(names["amount"]), ["pk"], ratio, book)
    foreign, _ = residue.shares(
        pl.col(names["transaction"]), ["pk", names["transaction_currency"]], ratio, book
    )
    return frame.with_columns(
        share.alias(names["amount"]), foreign.alias(names["transaction"]), left.alias(names["residue"])
    )


def _measured(entry: Entry) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """Functional amount, currency and amount of the transaction; the last two null where there is no foreign one.

    A line's own foreign amount goes with it; its deductible tax takes its share of it, half up, and the net the rest.
    What settles a document (payable, company-paid, written off) is foreign only where it settles the whole of a
    document in one foreign currency: a part of it was agreed in functional currency.
    """
    nothing = pl.lit(None, pl.Int128)
    if entry.measure_property:
        return pl.col(f"property:{entry.measure_property}"), pl.lit(None, pl.String), nothing
    measure = Measure(entry.measure)
    if entry.for_each is Scope.WRITE_OFF:
        return pl.col("write_off_amount"), pl.lit(None, pl.String), nothing
    if entry.for_each is Scope.LINE:
        gross, tax, total, currency = (
            pl.col(n) for n in ("line_gross", "line_tax", "line_amount", "line_currency")
        )
    else:
        gross, tax = pl.col("gross"), pl.col("document_tax")
        total, currency = pl.col("transaction_gross"), pl.col("document_currency")
    foreign = pl.when(currency != pl.col("functional_currency")).then(currency)
    if measure in _SETTLEMENTS:
        amount = {
            Measure.WRITTEN_OFF: pl.col("written_off"),
            Measure.COMPANY_PAID: pl.col("company_paid"),
            Measure.PAYABLE: pl.col("payable").clip(lower_bound=0),
            Measure.REFUND: (pl.col("payable") * -1).clip(lower_bound=0),
        }[measure]
        whole = pl.when(foreign.is_not_null() & (pl.col("measured") == gross))
        return amount, whole.then(currency), whole.then(total)
    if measure is Measure.GROSS:
        return gross, foreign, pl.when(foreign.is_not_null()).then(total)
    share = _share(total, tax, gross)
    if measure is Measure.DEDUCTIBLE_TAX:
        return tax, foreign, pl.when(foreign.is_not_null()).then(share)
    return gross - tax, foreign, pl.when(foreign.is_not_null()).then(total - share)


def _share(total: pl.Expr, part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """`total × part / whole`, half up in size, in integers; zero where the whole is zero. `total` and `whole` have one sign."""
    size, divisor = total.abs() * part.abs(), whole.abs()
    rounded = size // divisor + (2 * (size % divisor) >= divisor).cast(pl.Int128)
    return pl.when(whole == 0).then(_ZERO).otherwise(rounded * part.sign())
