"""Vouchers from lines: sums, and the proof that each balances. What does not is a problem, never a voucher."""

from __future__ import annotations

import polars as pl

from include.domain.money import MAX_MINOR, currency_decimals
from include.domain.problems import ProblemOwner
from include.domain.voucher import Side
from include.rules.findings import document_en, document_zh, findings, major, words
from include.rules.ruleset import RuleSet
from include.settings import Book


def vouchers_of(
    ruleset: RuleSet, selected: pl.DataFrame, journal: pl.DataFrame, documents: pl.DataFrame, book: Book
) -> pl.DataFrame:
    """One row per document and event, with sums in 128 bits; a voucher without lines has `count` 0.

    `selected` are the templates that make vouchers (see selection.py), one per document and event.
    """
    is_debit = pl.col("side") == Side.DEBIT.value
    nothing = pl.lit(0, pl.Int128)
    sums = (
        journal.select(
            "pk",
            "template_index",
            pl.when(is_debit).then("amount").otherwise(nothing).alias("debit_minor"),
            pl.when(is_debit).then(nothing).otherwise("amount").alias("credit_minor"),
        )
        .group_by("pk", "template_index")
        .agg(pl.col("debit_minor", "credit_minor").sum(), pl.len().alias("count"))
    )
    templates = pl.DataFrame(
        {
            "template_index": range(len(ruleset.templates)),
            "word": [template.spec.word for template in ruleset.templates],
        },
        schema={"template_index": pl.Int64, "word": pl.String},
    )
    return (
        selected.join(templates, on="template_index")
        .join(documents.select("pk", "date", "attachments", "document.code#name", "source_line_no"), on="pk")
        .join(sums, on=["pk", "template_index"], how="left")
        .join(_foreign(journal), on=["pk", "template_index"], how="left")
        .with_columns(
            pl.col("debit_minor", "credit_minor", "count", "foreign_count", "foreign_difference").fill_null(
                0
            ),
            pl.col("date").dt.strftime("%Y-%m").alias("period"),
            pl.lit(book.currency).alias("currency"),
            pl.col("attachments").fill_null(0),
        )
        # Foreign sums mean something only where all lines are in one and the same currency.
        .with_columns(
            pl.when((pl.col("foreign_count") == pl.col("count")) & (pl.col("currencies") == 1))
            .then("foreign_difference")
            .otherwise(pl.lit(0, pl.Int128))
            .alias("foreign_difference")
        )
    )


def _foreign(journal: pl.DataFrame) -> pl.DataFrame:
    """Sums of foreign lines, per voucher that has any."""
    sign = pl.when(pl.col("side") == Side.DEBIT.value).then(1).otherwise(-1)
    return (
        journal.filter(pl.col("transaction_currency") != "")
        .group_by("pk", "template_index")
        .agg(
            pl.len().alias("foreign_count"),
            pl.col("transaction_currency").n_unique().alias("currencies"),
            (pl.col("transaction") * sign).sum().alias("foreign_difference"),
        )
    )


def voucher_problems(vouchers: pl.DataFrame, journal: pl.DataFrame, book: Book) -> list[pl.DataFrame]:
    debit, credit = pl.col("debit_minor"), pl.col("credit_minor")
    difference, decimals = debit - credit, currency_decimals(book.currency)
    amounts = [pl.col("amount"), pl.col("transaction")]
    too_large = pl.any_horizontal(amount.abs() > MAX_MINOR for amount in amounts)
    other_sign = pl.col("amount").sign() * pl.col("transaction").sign() < 0
    wild = journal.filter(too_large | other_sign)["pk"].unique()
    is_wild = pl.col("pk").is_in(wild.implode()) | (debit.abs() > MAX_MINOR) | (credit.abs() > MAX_MINOR)
    foreign = pl.col("foreign_difference")
    empty = pl.col("count") < 2
    return [
        findings(
            vouchers.filter(empty),
            "rules.no_lines",
            where=words("voucher:", pl.col("event")),
            zh=words("金额全为零或没有明细，做不出分录", document_zh(), "。请在 OA 中核对金额和明细。"),
            en=words(
                "all amounts are zero or there are no lines, so there is nothing to book",
                document_en(),
                ". Check amounts and lines in the OA.",
            ),
            owner=ProblemOwner.OA_USER,
        ),
        findings(
            vouchers.filter(is_wild & ~empty),
            "rules.amount_out_of_range",
            where=words("voucher:", pl.col("event")),
            zh=words("金额超出范围，或原币与本位币正负不同", document_zh(), "。请在 OA 中核对金额。"),
            en=words(
                "an amount is out of range, or foreign and functional amounts differ in sign",
                document_en(),
                ". Check the amounts in the OA.",
            ),
            owner=ProblemOwner.OA_USER,
        ),
        findings(
            vouchers.filter(~empty & ~is_wild & ((difference != 0) | (foreign != 0))),
            "rules.unbalanced",
            where=words("voucher:", pl.col("event")),
            zh=words(
                "凭证借贷不平：借 ", major(debit, decimals), "，贷 ", major(credit, decimals), "，差额 ", major(difference, decimals),
                f" {book.currency}",
                pl.when(foreign != 0).then(words("，原币差额（最小单位）", foreign)).otherwise(pl.lit("")),
                document_zh(),
                "。请核对单据总额、明细、核销与支付金额，或模板的各行。",
            ),
            en=words(
                "the voucher does not balance: debit ", major(debit, decimals), ", credit ", major(credit, decimals),
                ", difference ", major(difference, decimals), f" {book.currency}",
                pl.when(foreign != 0).then(words(", foreign (minor units) ", foreign)).otherwise(pl.lit("")),
                document_en(),
                ". Check the document's total, lines, write-off and payment, or the lines of the template.",
            ),
            owner=ProblemOwner.FINANCE,
        ),
    ]  # fmt: skip
