"""The journal lines of one entry of a template, for all documents at once: amount, account, dimensions, summary."""

from __future__ import annotations

import json
from collections.abc import Iterator

import polars as pl

from include.domain.money import currency_decimals
from include.domain.problems import ProblemOwner
from include.rules.amounts import amount_columns, with_amounts
from include.rules.findings import (
    WORDS,
    document_en,
    document_zh,
    entry_en,
    entry_zh,
    findings,
    on_one_line,
    unresolved,
    words,
)
from include.rules.frames import Schema
from include.rules.lookup import answered
from include.rules.prepare import DAY, Needs, Prepared
from include.rules.residue import residue_account, residue_lines
from include.rules.ruleset import RuleSet, Template
from include.rules.schema import PLACEHOLDER, Entry
from include.rules.tables import ACCOUNTS_FILE
from include.settings import Book

SUMMARY_LENGTH = 200
"""Characters; ledgers cut at 255 bytes to 255 characters, and a cut summary of ours should look the same in all."""

LINES_MADE: Schema = {
    "pk": pl.Int64,
    "template_index": pl.Int64,
    "event": pl.String,
    "entry_index": pl.Int64,
    "side": pl.String,
    "source_line_no": pl.Int64,
    "portion_no": pl.Int64,
    "day": pl.String,
    "amount": pl.Int128,
    "transaction_currency": pl.String,
    "transaction": pl.Int128,
    "account": pl.String,
    "dimensions": pl.String,
    "summary": pl.String,
    "template": pl.String,
    "template_line": pl.Int64,
    "entry": pl.String,
    "table_name": pl.String,
    "table_row": pl.Int64,
}
_BASE = ("pk", "date", "functional_currency", "document_currency", "document.code#name")


def entry_lines(
    ruleset: RuleSet, book: Book, prepared: Prepared, documents: pl.DataFrame, position: tuple[int, int]
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """The lines (LINES_MADE) that entry `position` (template, entry) makes of `documents`, zero amounts left out; and
    the problems of documents that could not have theirs.
    """
    template, index = ruleset.templates[position[0]], position[1]
    entry, decimals = template.spec.lines[index], currency_decimals(book.currency)
    needs = Needs.of_entry(ruleset, template.spec, entry)
    pattern = template.spec.summary_of(entry)
    is_document_wide = all(name.startswith("document.") for name in PLACEHOLDER.findall(pattern))
    its = documents.select(
        *_BASE,
        *amount_columns(template.spec, entry, documents),
        *(column for column in needs.columns("document") if column not in _BASE),
        *([_summary(pattern).alias("summary")] if is_document_wide else []),
    )
    frame = prepared.joined(entry.for_each, its, needs)
    frame = with_amounts(frame, template.spec, entry, decimals, book)
    left_over = _left_over(ruleset, frame, book)
    problems = _missing_amount(frame, template, index, entry)
    # A line without an amount is in `problems`; a line of zero says nothing and is left out.
    frame = frame.filter(pl.col("amount") != 0)
    frame, found = _with_account(ruleset, frame, template, index, decimals)
    problems += [*found, *_missing_dimensions(frame, template, index, entry)]
    is_foreign = (pl.col("transaction") != 0).fill_null(False)
    lines = frame.select(
        "pk",
        "source_line_no",
        "portion_no",
        "amount",
        pl.when(is_foreign).then("transaction_currency").otherwise(pl.lit("")).alias("transaction_currency"),
        pl.col("transaction").fill_null(0),
        "account",
        "table_row",
        _dimensions(entry, chosen_by_row="kinds" in frame.columns).alias("dimensions"),
        "summary" if is_document_wide else _summary(pattern).alias("summary"),
        (pl.col(DAY) if entry.merge == "day" else pl.lit(None, pl.String)).alias("day"),
        pl.lit(_table_file(ruleset, entry)).alias("table_name"),
    )
    made = _merged(lines) if entry.merge != "none" else lines
    if left_over is not None:
        made = pl.concat([made.select(left_over.columns), left_over])
    return _described(ruleset, made, position), problems


def _left_over(ruleset: RuleSet, frame: pl.DataFrame, book: Book) -> pl.DataFrame | None:
    """A line for what fractions leave, where the book keeps that on an account of its own; None where it does not."""
    if residue_account(ruleset, book) is None:
        return None
    left = frame.group_by("pk").agg(pl.col("residue", "document.code#name").first())
    return residue_lines(ruleset, book, left.filter(pl.col("residue") != 0))


def _described(ruleset: RuleSet, lines: pl.DataFrame, position: tuple[int, int]) -> pl.DataFrame:
    """The lines with their sign, and with what all lines of an entry share: event, side and trace."""
    template = ruleset.templates[position[0]]
    entry = template.spec.lines[position[1]]
    sign = -1 if entry.red else 1
    return lines.with_columns(
        pl.col("amount") * sign,
        pl.col("transaction") * sign,
        template_index=pl.lit(position[0]),
        event=pl.lit(template.spec.event),
        entry_index=pl.lit(position[1]),
        side=pl.lit(entry.side.value),
        template=pl.lit(template.trace_name),
        template_line=pl.lit(template.entry_lines[position[1]]),
        entry=pl.lit(entry.name),
    ).select(pl.col(name).cast(dtype) for name, dtype in LINES_MADE.items())


def _missing_amount(frame: pl.DataFrame, template: Template, index: int, entry: Entry) -> list[pl.DataFrame]:
    """Amounts that the line needs and the document does not have; a foreign line needs its foreign amount too."""
    is_foreign = pl.col("transaction_currency").is_not_null() & pl.col("transaction").is_null()
    lacking = frame.filter(pl.col("amount").is_null() | is_foreign)
    if lacking.is_empty():
        return []
    what = entry.measure
    return [
        findings(
            lacking,
            "rules.missing_amount",
            where=f"{template.file}:{template.entry_lines[index]}",
            zh=words(
                f"{entry_zh(template, index)}：没有可用的金额 {what}",
                document_zh(),
                "。请在 OA 中补正金额后重新同步。",
            ),
            en=words(
                f"{entry_en(template, index)}: no usable amount {what}",
                document_en(),
                ". Correct the amount in the OA and extract again.",
            ),
            owner=ProblemOwner.OA_USER,
        )
    ]


def _missing_dimensions(
    frame: pl.DataFrame, template: Template, index: int, entry: Entry
) -> Iterator[pl.DataFrame]:
    for kind, path in sorted({**entry.dimensions, **entry.optional_dimensions}.items()):
        is_required = pl.lit(kind in entry.dimensions)
        if "kinds" in frame.columns:
            is_required = pl.col("kinds").list.contains(kind).fill_null(is_required)
        lacking = frame.filter(is_required & pl.col(f"{path}#dim").is_null())
        if lacking.is_empty():
            continue
        where = f"{template.file}:{template.entry_lines[index]}"
        yield findings(
            lacking,
            "rules.missing_dimension",
            where=where,
            zh=words(
                f"{entry_zh(template, index)}：科目 ",
                pl.col("account"),
                f" 需要{WORDS[kind]}（{path}），单据没有填写",
                document_zh(),
                "。请在 OA 中补填，或在规则中改为可选。",
            ),
            en=words(
                f"{entry_en(template, index)}: account ",
                pl.col("account"),
                f" needs the {kind} ({path}), which the document lacks",
                document_en(),
                ". Fill it in in the OA, or make it optional in the rules.",
            ),
            owner=ProblemOwner.OA_USER,
            cause=pl.lit(f"rules.missing_dimension:{path}"),
        )


def _with_account(
    ruleset: RuleSet, frame: pl.DataFrame, template: Template, index: int, decimals: int
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """The frame with `account` and `table_row`, rows without exactly one account left out and reported."""
    account = template.spec.lines[index].account
    if account.table is None:
        keyed = ruleset.accounts[account.key or ""]
        return frame.with_columns(
            pl.lit(keyed.account).alias("account"), pl.lit(keyed.row, pl.Int64).alias("table_row")
        ), []
    table = ruleset.tables[account.table]
    frame = answered(table, frame, decimals)
    resolved = pl.col("account").is_not_null() & pl.col("rows").is_null()
    problems = unresolved(
        frame.filter(~resolved), table, (entry_zh(template, index), entry_en(template, index)), decimals
    )
    return frame.filter(resolved), problems


def _dimensions(entry: Entry, *, chosen_by_row: bool) -> pl.Expr:
    """`[["department","D01","研发部"],["employee",…]]`, by kind, those that the line has."""
    values = {
        kind: pl.col(f"{path}#dim")
        for kind, path in {**entry.dimensions, **entry.optional_dimensions}.items()
    }
    values |= {
        kind: pl.lit(json.dumps([fixed.code, fixed.name], ensure_ascii=False, separators=(",", ":"))[1:])
        for kind, fixed in entry.fixed_dimensions.items()
    }
    parts = []
    for kind, value in sorted(values.items()):
        text = pl.concat_str(pl.lit(f'["{kind}",'), value)
        if chosen_by_row:
            is_chosen = pl.col("kinds").list.contains(kind).fill_null(True)
            text = pl.when(is_chosen).then(text)
        parts.append(text)
    if not parts:
        return pl.lit("[]")
    return pl.concat_str(pl.lit("["), pl.concat_str(parts, separator=",", ignore_nulls=True), pl.lit("]"))


def _summary(pattern: str) -> pl.Expr:
    parts: list[str | pl.Expr] = []
    for index, piece in enumerate(PLACEHOLDER.split(pattern)):
        parts.append(pl.col(f"{piece}#name") if index % 2 else piece)
    text = words(*parts)
    is_clean = all(name.startswith("document.") for name in PLACEHOLDER.findall(pattern))
    return (text if is_clean else on_one_line(text)).str.head(SUMMARY_LENGTH).str.strip_chars()


def _merged(lines: pl.DataFrame) -> pl.DataFrame:
    """One line for equal account, dimensions and currency.

    Its trace names a source line only where there is just one, and the first of the table rows. The summary is the
    same for all, since a merged line mentions its document only.
    """
    number = pl.col("source_line_no")
    return (
        lines.group_by("pk", "account", "dimensions", "transaction_currency", "day")
        .agg(
            pl.when(number.min() == number.max()).then(number.min()).otherwise(0).alias("source_line_no"),
            pl.col("portion_no").min(),
            pl.col("amount").sum(),
            pl.col("transaction").sum(),
            pl.col("table_row").min(),
            pl.col("summary", "table_name").first(),
        )
        .filter(pl.col("amount") != 0)
    )


def _table_file(ruleset: RuleSet, entry: Entry) -> str:
    """The file that gave the account, for traces."""
    return ruleset.tables[entry.account.table].file_name if entry.account.table else ACCOUNTS_FILE
