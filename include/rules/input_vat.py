"""Deductible input VAT (进项税额): the tax of each invoice by the book's table, put on the lines that claim it.

All claims of one invoice in a document are taken together, so that a full claim takes the printed tax to the cent
however many lines share it. Every split is by largest remainder and goes by numbers of lines and portions, never by the
order of rows. A negative claim (red invoice) is the mirror of a positive one. Amounts are 128-bit integers.
"""

from __future__ import annotations

import polars as pl

from include.domain.problems import ProblemOwner
from include.rules.findings import document_en, document_zh, findings, unresolved, words
from include.rules.frames import LINES, PROBLEMS, stacked
from include.rules.lookup import answered
from include.rules.tables import DecisionTable
from include.rules.treatments import NONE, PRINTED, treatment

LINE = ["pk", "line_no"]
INVOICE_TAXES = [
    *("pk", "line_no", "seq", "invoice_id", "kind", "claimed", "total", "exempt", "printed"),
    *("account", "table_row", "tax"),
]
"""Each claim of an invoice and its tax; `account` is the treatment, amounts are minor units, null where not known."""
_WHO = ("进项税额", "input VAT")
_ZERO = pl.lit(0, pl.Int128)


def with_input_vat(
    table: DecisionTable, decimals: int, documents: pl.DataFrame, lines: pl.DataFrame, invoices: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Lines (frames.LINES) with the tax that the table gives in `tax_minor`, in any order; the invoices that a row fits
    (INVOICE_TAXES); and PROBLEMS of documents for which it gives none. Tax that could not be found is null.

    `documents` have `pk`, `date` (of the voucher), `document.code#name` and the facts that the table asks for, `lines`
    their columns and facts, `invoices` the columns of frames.INVOICES.
    """
    claims = answered(table, _claims(documents, lines, invoices), decimals)
    is_resolved = pl.col("account").is_not_null() & pl.col("rows").is_null()
    problems = unresolved(claims.filter(~is_resolved), table, _WHO, decimals)
    taxed = _taxed(claims.filter(is_resolved))
    problems.append(_unknown(taxed, table))
    sums = (
        pl.concat([taxed.select(*LINE, "tax"), claims.filter(~is_resolved).select(*LINE, tax=_nothing())])
        .group_by(LINE)
        .agg(pl.when(pl.col("tax").null_count() == 0).then(pl.col("tax").sum()).alias("tax"))
    )
    whole = lines.rename({"document_pk": "pk"}).join(
        sums.with_columns(pl.lit(True).alias("has_invoices")), on=LINE, how="left"
    )
    # A line without invoices has no tax, whatever the OA states.
    whole = whole.with_columns(
        pl.when("has_invoices").then("tax").otherwise(_ZERO).alias("tax"),
        pl.col("functional_minor").cast(pl.Int128).alias("weight"),
    )
    problems.append(_out_of_range(whole, documents, table))
    size = pl.len().over(LINE)
    shared = _shared_out(whole.filter(size > 1), LINE, ["portion_no"])
    result = pl.concat([whole.filter(size == 1), shared]).with_columns(
        pl.col("tax").cast(pl.Int64, strict=False).alias("tax_minor")
    )
    return (
        result.rename({"pk": "document_pk"}).select(LINES.keys()),
        taxed.select(INVOICE_TAXES),
        stacked(problems, PROBLEMS),
    )


def _nothing() -> pl.Expr:
    return pl.lit(None, pl.Int128)


def _claims(documents: pl.DataFrame, lines: pl.DataFrame, invoices: pl.DataFrame) -> pl.DataFrame:
    """A row for each invoice on a line: amounts, facts, and the `date` that the table's rows are compared with."""
    first = lines.filter(pl.col("portion_no") == pl.col("portion_no").min().over("document_pk", "line_no"))
    facts_of_lines = [column for column in lines.columns if column.startswith("line.")]
    facts_of_documents = [column for column in documents.columns if column.startswith("document.")]
    return (
        invoices.join(
            first.select("document_pk", "line_no", pl.col("occurred_on").alias("line_day"), *facts_of_lines),
            on=["document_pk", "line_no"],
        )
        .rename({"document_pk": "pk"})
        .join(documents.select("pk", "date", *facts_of_documents), on="pk")
        .with_columns(
            pl.coalesce("occurred_on", "line_day", "date").alias("date"),
            pl.col("line_no").alias("source_line_no"),
            pl.col("kind").alias("invoice.kind"),
            _yes_no(pl.col("tax_minor").fill_null(0) != 0).alias("invoice.has_tax"),
            _yes_no(pl.col("is_named")).alias("invoice.is_named"),
            *(pl.col(f"{n}_minor").cast(pl.Int128).alias(n) for n in ("claimed", "tax", "total", "exempt")),
        )
    )


def _yes_no(flag: pl.Expr) -> pl.Expr:
    return pl.when(flag).then(pl.lit("yes")).when(flag.is_not_null()).then(pl.lit("no"))


def _taxed(claims: pl.DataFrame) -> pl.DataFrame:
    """The claims with `tax` as their treatment gives it, null where what it takes is not known."""
    claims = claims.join(_rates(claims["account"]), on="account").with_columns(
        (pl.col("total").fill_null(0) != 0).alias("is_measured"), pl.col("tax").alias("printed")
    )
    # Without its total an invoice cannot be prorated: then each claim stands for itself.
    is_own = (pl.col("account") == PRINTED) & pl.col("is_tax_of_claim").fill_null(False)
    is_shared = pl.col("is_measured") & (pl.col("invoice_id") != "") & ~is_own
    claims = claims.with_columns(
        pl.when(is_shared).then(pl.col("invoice_id")).otherwise(pl.lit("")).alias("invoice"),
        pl.when(is_shared).then(0).otherwise(pl.col("seq")).alias("alone"),
        pl.col("claimed").sign().alias("direction"),
    )
    one = ["pk", "invoice", "alone", "account", "printed", "total", "exempt", "direction"]
    claimed = pl.col("claimed").sum().over(one)
    whole, size = pl.col("total").abs(), claimed.abs()
    # What is claimed beyond the invoice carries no tax.
    size = pl.when("is_measured").then(pl.min_horizontal(size, whole)).otherwise(size)
    claims = claims.with_columns(size.alias("size"))
    due = _due().alias("tax")
    claims = claims.with_columns(due, pl.col("claimed").alias("weight"))
    return _shared_out(claims, one, ["line_no", "seq"])


def _rates(texts: pl.Series) -> pl.DataFrame:
    """Each treatment's share of tax in a gross amount: rate / (1 + rate), zero where it has no rate."""
    rates = [(text, treatment(text).rate) for text in texts.unique()]
    return pl.DataFrame(
        [(text, rate.numerator, rate.numerator + rate.denominator) for text, rate in rates],
        schema={"account": pl.String, "numerator": pl.Int128, "denominator": pl.Int128},
        orient="row",
    )


def _due() -> pl.Expr:
    """The tax of all claims of an invoice together, from `size`, the absolute amount that they claim."""
    size, whole = pl.col("size"), pl.col("total").abs()
    printed, exempt = pl.col("printed"), pl.col("exempt").fill_null(0).abs()
    is_measured = pl.col("is_measured")
    share = (
        _half_up(printed.abs() * size, whole) * printed.sign() * pl.col("direction") * pl.col("total").sign()
    )
    left_out = pl.when(is_measured).then(_half_up(exempt * size, whole)).otherwise(exempt)
    base = pl.max_horizontal(size - left_out, _ZERO)
    fare = _half_up(base * pl.col("numerator"), pl.col("denominator")) * pl.col("direction")
    # Where its total or its own tax is not known, an invoice has the tax that the OA states for this claim of it.
    is_whole = is_measured & ~pl.col("is_tax_of_claim").fill_null(False)
    by_print = pl.when(is_whole & (printed != 0)).then(share).otherwise(printed)
    return (
        pl.when(pl.col("account") == NONE)
        .then(_ZERO)
        .when(pl.col("account") == PRINTED)
        .then(by_print)
        .otherwise(fare)
    )


def _half_up(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """The quotient of amounts that are not negative, half up; null where the denominator is zero."""
    divisor = pl.when(denominator != 0).then(denominator)
    return numerator // divisor + (2 * (numerator % divisor) >= divisor).cast(pl.Int128)


def _shared_out(frame: pl.DataFrame, by: list[str], order: list[str]) -> pl.DataFrame:
    """The frame with `tax`, which all rows of a group `by` share, split by `weight`: largest remainder, as money.split.

    Equal remainders go to the larger weight, then to the lower numbers in `order`. Where weights cancel out, the lowest
    takes all; where one is not known, all parts are null, but a row alone in its group keeps the whole.
    """
    total, weight = pl.col("tax"), pl.col("weight")
    frame = frame.with_columns(
        pl.when(weight.null_count().over(by) == 0).then(weight.sum().over(by)).alias("whole"),
        pl.len().over(by).alias("count"),
    )
    whole = pl.col("whole")
    # In sizes, so that negative lines are split as positive ones are.
    product, divisor = total.abs() * weight * whole.sign(), pl.when(whole != 0).then(whole.abs())
    frame = frame.with_columns((product // divisor).alias("part"), (product % divisor).alias("rest"))
    frame = frame.sort(
        *by,
        pl.col("rest"),
        weight.abs(),
        *order,
        descending=[*[False] * len(by), True, True, *[False] * len(order)],
    )
    place = pl.int_range(pl.len()).over(by)
    missing = total.abs() - pl.col("part").sum().over(by)
    split = (pl.col("part") + (place < missing).cast(pl.Int128)) * total.sign()
    lowest = pl.when(place == 0).then(total).otherwise(_ZERO)
    shared = pl.when(whole == 0).then(lowest).otherwise(split)
    return frame.with_columns(
        pl.when((pl.col("count") == 1) | (total == 0)).then(total).otherwise(shared).alias("tax")
    ).drop("whole", "count", "part", "rest")


def _unknown(taxed: pl.DataFrame, table: DecisionTable) -> pl.DataFrame:
    """Invoices whose treatment needs what the OA does not say."""
    lacks_print = (pl.col("account") == PRINTED) & pl.col("printed").is_null()
    return findings(
        taxed.filter(pl.col("tax").is_null()),
        "rules.missing_tax",
        where=words(f"{table.shown}:", pl.col("table_row")),
        zh=words(
            "发票 ",
            pl.col("invoice_id"),
            " 的可抵扣税额无法确定：",
            pl.when(lacks_print)
            .then(pl.lit("没有可用的票面税额"))
            .otherwise(pl.lit("不知道本行报销了其中多少")),
            document_zh(),
            "。请在 OA 中补正发票，或一条明细只关联一张发票。",
        ),
        en=words(
            "the deductible tax of invoice ",
            pl.col("invoice_id"),
            " cannot be found: ",
            pl.when(lacks_print)
            .then(pl.lit("no usable printed tax"))
            .otherwise(pl.lit("how much of it the line claims is not known")),
            document_en(),
            ". Correct the invoice in the OA, or put one invoice on a line.",
        ),
        owner=ProblemOwner.OA_USER,
    )


def _out_of_range(lines: pl.DataFrame, documents: pl.DataFrame, table: DecisionTable) -> pl.DataFrame:
    """Lines whose tax is more than their amount, or of the other sign."""
    weight, tax = pl.col("weight"), pl.col("tax")
    wrong = (
        lines.filter(pl.col("has_invoices"))
        .group_by(LINE)
        .agg(pl.when(weight.null_count() == 0).then(weight.sum()).alias("gross"), tax.first())
        .filter((tax.abs() > pl.col("gross").abs()) | (tax.sign() * pl.col("gross").sign() < 0))
        .join(documents.select("pk", "document.code#name"), on="pk")
        .with_columns(pl.col("line_no").alias("source_line_no"))
    )
    return findings(
        wrong,
        "rules.tax_out_of_range",
        where=table.shown,
        zh=words(
            "发票的可抵扣税额合计大于明细金额，或正负不同",
            document_zh(),
            "。请在 OA 中核对发票的税额和明细金额。",
        ),
        en=words(
            "the deductible tax of the line's invoices is more than its amount, or of the other sign",
            document_en(),
            ". Check the invoices' tax and the line's amount in the OA.",
        ),
        owner=ProblemOwner.OA_USER,
    )
