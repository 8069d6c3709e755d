"""Run a rule set over many documents at once: templates chosen, lines made, merged, ordered, balanced.

Everything is set work in Polars; Python loops only over templates and their entries. The order of input rows does
not matter. A document with any problem makes no voucher at all.
"""

from __future__ import annotations

import polars as pl

from include.domain.money import MAX_MINOR, currency_decimals
from include.domain.problems import ProblemOwner
from include.domain.voucher import Side
from include.rules.entries import LINE_SCHEMA, condition, entry_lines, table_file
from include.rules.findings import document_en, document_zh, findings, words
from include.rules.frames import NO_VOUCHER, PROBLEMS, VOUCHER_LINES, VOUCHERS, Generated, stacked
from include.rules.prepare import prepare
from include.rules.ruleset import RuleSet
from include.settings import Book


def generate(
    ruleset: RuleSet, book: Book, documents: pl.DataFrame, lines: pl.DataFrame, write_offs: pl.DataFrame
) -> Generated:
    """Vouchers of documents, by a book's rules.

    The frames hold the columns of source_document, source_line and source_write_off that rules read (see frames.py),
    `document_pk` being `source_document.id`; further columns and the order of rows do not matter.

    Raises:
        ValueError: a frame lacks a column.
    """
    decimals = currency_decimals(book.currency)
    prepared = prepare(ruleset, decimals, documents, lines, write_offs)
    all_documents = prepared.documents.with_columns(source_line_no=pl.lit(0, pl.Int64))
    problems = _unusable(all_documents, book)
    usable = all_documents.join(stacked(problems, PROBLEMS), left_on="pk", right_on="document_pk", how="anti")
    selected = _selected(ruleset, usable, decimals)
    problems += _selection_problems(ruleset, usable, selected)
    silent = selected.filter("is_silent")
    made = [pl.DataFrame(schema=LINE_SCHEMA)]
    chosen = selected.filter(~pl.col("is_silent")).partition_by("template_index", as_dict=True)
    for (index,), picked in sorted(chosen.items()):
        its = usable.join(picked.select("pk"), on="pk", how="semi").drop("source_line_no")
        for entry_index in range(len(ruleset.templates[index].spec.lines)):
            result = entry_lines(ruleset, prepared, its, decimals, (index, entry_index))
            made.append(result.lines)
            problems += result.problems
    journal = _described(ruleset, pl.concat(made))
    vouchers = _vouchers(ruleset, selected, journal, usable, book)
    # A document whose lines could not all be made does not balance either: one cause, one problem.
    whole = vouchers.join(stacked(problems, PROBLEMS), left_on="pk", right_on="document_pk", how="anti")
    problems += _voucher_problems(whole, journal, book)
    found = stacked(problems, PROBLEMS).unique().sort(PROBLEMS.keys(), nulls_last=False)
    bad = found.select("document_pk").unique()
    good = vouchers.rename({"pk": "document_pk"}).join(bad, on="document_pk", how="anti")
    return Generated(
        vouchers=good.select(pl.col(n).cast(t) for n, t in VOUCHERS.items()).sort("document_pk", "event"),
        lines=_numbered(journal.join(bad, left_on="pk", right_on="document_pk", how="anti")),
        no_voucher=_reasons(ruleset, silent.join(bad, left_on="pk", right_on="document_pk", how="anti")),
        problems=found,
    )


def _unusable(documents: pl.DataFrame, book: Book) -> list[pl.DataFrame]:
    """Documents that no rule can be applied to."""
    return [
        findings(
            documents.filter(pl.col("date").is_null()),
            "rules.missing_date",
            where="business_date",
            zh=words(
                f"无法确定凭证日期（账簿 {book.id} 按 {book.voucher_date}）",
                document_zh(),
                "。请在 OA 中补正。",
            ),
            en=words(
                f"no voucher date (book {book.id} takes the day it was {book.voucher_date})",
                document_en(),
                ". Correct the document in the OA.",
            ),
            owner=ProblemOwner.OA_USER,
        ),
        findings(
            documents.filter(pl.col("functional_currency") != book.currency),
            "rules.wrong_currency",
            where="functional_currency",
            zh=words(
                "单据本位币 ",
                pl.col("functional_currency"),
                f" 与账簿 {book.id} 的 {book.currency} 不同",
                document_zh(),
                "。请检查 books 和 sources 配置。",
            ),
            en=words(
                "the document's functional currency ",
                pl.col("functional_currency"),
                f" is not that of book {book.id}, {book.currency}",
                document_en(),
                ". Check the configuration of book and source.",
            ),
            owner=ProblemOwner.ENGINEER,
        ),
    ]


def _selected(ruleset: RuleSet, documents: pl.DataFrame, decimals: int) -> pl.DataFrame:
    """pk, template_index, event, is_silent: every template that fits every document."""
    frames = [
        pl.DataFrame(
            schema={"pk": pl.Int64, "template_index": pl.Int64, "event": pl.String, "is_silent": pl.Boolean}
        )
    ]
    for index, template in enumerate(ruleset.templates):
        spec = template.spec
        fits = pl.col("document_kind").is_in([kind.value for kind in spec.kinds])
        if spec.valid_from:
            fits = fits & (pl.col("date") >= spec.valid_from)
        if spec.valid_to:
            fits = fits & (pl.col("date") <= spec.valid_to)
        frames.append(
            documents.filter(fits & condition(spec.when, decimals)).select(
                "pk",
                pl.lit(index, pl.Int64).alias("template_index"),
                pl.lit(spec.event).alias("event"),
                pl.lit(spec.no_voucher is not None).alias("is_silent"),
            )
        )
    return pl.concat(frames)


def _selection_problems(
    ruleset: RuleSet, documents: pl.DataFrame, selected: pl.DataFrame
) -> list[pl.DataFrame]:
    names = pl.Series([template.trace_name for template in ruleset.templates], dtype=pl.String)
    by_document = selected.with_columns(
        name=pl.col("template_index").replace_strict(range(len(names)), names, return_dtype=pl.String),
        same_event=pl.len().over("pk", "event"),
        silent=pl.col("is_silent").any().over("pk"),
        loud=(~pl.col("is_silent")).any().over("pk"),
    ).filter((pl.col("same_event") > 1) | (pl.col("silent") & pl.col("loud")))
    ambiguous = documents.join(
        by_document.group_by("pk").agg(pl.col("name").sort().str.join("、").alias("names")), on="pk"
    )
    none = documents.join(selected, on="pk", how="anti")
    shown = "/".join(ruleset.rules_dir.parts[-2:])
    return [
        findings(
            none,
            "rules.no_template",
            where=shown,
            zh=words(
                "没有适合的凭证模板，单据类型 ",
                pl.col("document_kind"),
                document_zh(),
                f"。请在 {shown} 增加模板，或写明 no_voucher 的原因。",
            ),
            en=words(
                "no voucher template fits, kind ",
                pl.col("document_kind"),
                document_en(),
                f". Add a template to {shown}, or one with no_voucher and the reason.",
            ),
            owner=ProblemOwner.FINANCE,
            cause=words("rules.no_template:", pl.col("document_kind")),
        ),
        findings(
            ambiguous,
            "rules.ambiguous_template",
            where=shown,
            zh=words(
                "同一事项有多个模板适合：", pl.col("names"), document_zh(), "。请让它们的 when 互不重叠。"
            ),
            en=words(
                "several templates of one event fit: ",
                pl.col("names").str.replace_all("、", ", "),
                document_en(),
                ". Write their conditions so that one fits.",
            ),
            owner=ProblemOwner.ENGINEER,
            cause=words("rules.ambiguous_template:", pl.col("names")),
        ),
    ]


def _described(ruleset: RuleSet, lines: pl.DataFrame) -> pl.DataFrame:
    """Lines with what is the same for all lines of an entry: event, side and trace."""
    rows = [
        (t, e, template.spec.event, entry.side.value, template.trace_name, template.entry_lines[e], entry.name,
         table_file(ruleset, entry))
        for t, template in enumerate(ruleset.templates)
        for e, entry in enumerate(template.spec.lines)
    ]  # fmt: skip
    schema = {
        "template_index": pl.Int64,
        "entry_index": pl.Int64,
        "event": pl.String,
        "side": pl.String,
        "template": pl.String,
        "template_line": pl.Int64,
        "entry": pl.String,
        "table_name": pl.String,
    }
    entries = pl.DataFrame(rows, schema=schema, orient="row")
    return lines.join(entries, on=["template_index", "entry_index"], how="left")


def _vouchers(
    ruleset: RuleSet, selected: pl.DataFrame, journal: pl.DataFrame, documents: pl.DataFrame, book: Book
) -> pl.DataFrame:
    """One row per document and event, with sums in 128 bits; a voucher without lines has count 0."""
    is_debit = pl.col("side") == Side.DEBIT.value
    currency = pl.col("transaction_currency")
    signed = pl.when(is_debit).then("transaction").otherwise(pl.col("transaction") * -1)
    sums = journal.group_by("pk", "event").agg(
        pl.col("amount").filter(is_debit).sum().alias("debit_minor"),
        pl.col("amount").filter(~is_debit).sum().alias("credit_minor"),
        pl.len().alias("count"),
        # Foreign sums mean something only where all lines are in one and the same currency.
        pl.when((currency.min() == currency.max()) & (currency.min() != ""))
        .then(signed.sum())
        .otherwise(pl.lit(0, pl.Int128))
        .alias("foreign_difference"),
    )
    words_of = pl.DataFrame(
        {
            "template_index": range(len(ruleset.templates)),
            "word": [template.spec.word for template in ruleset.templates],
        },
        schema={"template_index": pl.Int64, "word": pl.String},
    )
    return (
        selected.filter(~pl.col("is_silent"))
        .join(words_of, on="template_index")
        .join(documents.select("pk", "date", "attachments", "document.code#name", "source_line_no"), on="pk")
        .join(sums, on=["pk", "event"], how="left")
        .with_columns(
            pl.col("debit_minor", "credit_minor", "foreign_difference", "count").fill_null(0),
            pl.col("date").dt.strftime("%Y-%m").alias("period"),
            pl.lit(book.currency).alias("currency"),
            pl.col("attachments").fill_null(0),
        )
    )


def _voucher_problems(vouchers: pl.DataFrame, journal: pl.DataFrame, book: Book) -> list[pl.DataFrame]:
    debit, credit = pl.col("debit_minor"), pl.col("credit_minor")
    difference = debit - credit
    amounts = [pl.col("amount"), pl.col("transaction")]
    too_large = pl.any_horizontal(amount.abs() > MAX_MINOR for amount in amounts)
    other_sign = pl.col("amount").sign() * pl.col("transaction").sign() < 0
    wild = journal.group_by("pk", "event").agg((too_large | other_sign).any().alias("is_wild"))
    vouchers = vouchers.join(wild, on=["pk", "event"], how="left")
    is_wild = pl.col("is_wild").fill_null(False) | (debit.abs() > MAX_MINOR) | (credit.abs() > MAX_MINOR)
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
                "凭证借贷不平：借 ", _major(debit, book), "，贷 ", _major(credit, book), "，差额 ", _major(difference, book),
                f" {book.currency}",
                pl.when(foreign != 0).then(words("，原币差额（最小单位）", foreign)).otherwise(pl.lit("")),
                document_zh(),
                "。请核对单据总额、明细、核销与支付金额，或模板的各行。",
            ),
            en=words(
                "the voucher does not balance: debit ", _major(debit, book), ", credit ", _major(credit, book),
                ", difference ", _major(difference, book), f" {book.currency}",
                pl.when(foreign != 0).then(words(", foreign (minor units) ", foreign)).otherwise(pl.lit("")),
                document_en(),
                ". Check the document's total, lines, write-off and payment, or the lines of the template.",
            ),
            owner=ProblemOwner.FINANCE,
        ),
    ]  # fmt: skip


def _major(minor: pl.Expr, book: Book) -> pl.Expr:
    """Minor units as decimal text, without floats: -1230 is `-12.30`."""
    decimals = currency_decimals(book.currency)
    sign = pl.when(minor < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    digits = minor.abs().cast(pl.String).str.pad_start(decimals + 1, "0")
    if decimals == 0:
        return words(sign, digits)
    whole = digits.str.head(digits.str.len_chars() - decimals)
    return words(sign, whole, ".", digits.str.tail(decimals))


def _numbered(journal: pl.DataFrame) -> pl.DataFrame:
    """Lines in their order: debits first, then as the template lists them, then by source line, account, dimensions."""
    is_credit = pl.col("side") == Side.CREDIT.value
    keys = [
        "entry_index",
        "source_line_no",
        "portion_no",
        "account",
        "dimensions",
        "transaction_currency",
        "amount",
    ]
    return (
        journal.sort(["pk", "event", is_credit, *keys, "transaction", "summary"])
        .with_columns(pl.int_range(1, pl.len() + 1).over("pk", "event").alias("line_no"))
        .rename({"pk": "document_pk", "amount": "amount_minor", "transaction": "transaction_minor"})
        .select(pl.col(name).cast(dtype) for name, dtype in VOUCHER_LINES.items())
    )


def _reasons(ruleset: RuleSet, silent: pl.DataFrame) -> pl.DataFrame:
    """Why documents make no voucher; several reasons (of several events) are joined."""
    reasons = pl.DataFrame(
        {
            "template_index": range(len(ruleset.templates)),
            "reason": [str(template.spec.no_voucher or "") for template in ruleset.templates],
        },
        schema={"template_index": pl.Int64, "reason": pl.String},
    )
    return (
        silent.join(reasons, on="template_index")
        .group_by(pl.col("pk").alias("document_pk"))
        .agg(pl.col("reason").sort().str.join("；"))
        .select(pl.col(name).cast(dtype) for name, dtype in NO_VOUCHER.items())
        .sort("document_pk")
    )
