"""Run a rule set over many documents at once: templates chosen, lines made, merged, ordered, balanced.

Everything is set work in Polars; Python loops only over templates and their entries. The order of input rows does
not matter. A document with any problem makes no voucher at all.
"""

from __future__ import annotations

import polars as pl

from include.domain.money import currency_decimals
from include.domain.voucher import Side
from include.rules.balance import voucher_problems, vouchers_of
from include.rules.entries import LINES_MADE, entry_lines
from include.rules.frames import PROBLEMS, VOUCHER_LINES, VOUCHERS, Generated, Sources, stacked
from include.rules.prepare import Prepared, prepare, takes_tax
from include.rules.residue import conversion_lines, residue_account
from include.rules.ruleset import RuleSet
from include.rules.selection import reasons, selected_templates, selection_problems, unusable
from include.settings import Book


def generate(ruleset: RuleSet, book: Book, sources: Sources) -> Generated:
    """Vouchers of documents, by a book's rules.

    Raises:
        ValueError: a frame lacks a column.
        FixConfig: the book's residue policy names an account that the rules do not have.
    """
    residue_account(ruleset, book)
    decimals = currency_decimals(book.currency)
    prepared = prepare(ruleset, book, decimals, sources)
    whole = prepared.documents.with_columns(source_line_no=pl.lit(0, pl.Int64))
    problems = unusable(whole, book)
    usable = _without(whole, problems)
    selected = selected_templates(ruleset, usable, decimals)
    problems += selection_problems(ruleset, usable, selected)
    selected = _without(selected, problems)
    silent, speaking = selected.filter("is_silent"), selected.filter(~pl.col("is_silent"))
    problems.append(_tax_problems(ruleset, prepared, speaking))
    speaking = _without(speaking, problems)
    journal, found = _journal(ruleset, book, prepared, speaking)
    problems += found
    # A document whose lines could not all be made does not balance either: one cause, one problem.
    vouchers = _without(vouchers_of(ruleset, speaking, journal, usable, book), problems)
    problems += voucher_problems(vouchers, journal, book)
    return Generated(
        vouchers=_without(vouchers, problems)
        .rename({"pk": "document_pk"})
        .select(pl.col(name).cast(dtype) for name, dtype in VOUCHERS.items())
        .sort("document_pk", "event"),
        lines=_numbered(_without(journal, problems)),
        no_voucher=reasons(ruleset, silent),
        problems=stacked(problems, PROBLEMS).unique().sort(PROBLEMS.keys()),
    )


def _without(frame: pl.DataFrame, problems: list[pl.DataFrame]) -> pl.DataFrame:
    """The rows of documents that have no problem so far."""
    bad = stacked(problems, PROBLEMS)["document_pk"].unique()
    return frame if bad.is_empty() else frame.join(bad.to_frame("pk"), on="pk", how="anti")


def _tax_problems(ruleset: RuleSet, prepared: Prepared, selected: pl.DataFrame) -> pl.DataFrame:
    """The problems with deductible tax of documents whose vouchers depend on it."""
    found = prepared.tax_problems
    if found.is_empty():
        return found
    taking = [i for i, template in enumerate(ruleset.templates) if takes_tax(ruleset, template.spec)]
    concerned = selected.filter(pl.col("template_index").is_in(taking)).select(document_pk="pk").unique()
    return found.join(concerned, on="document_pk", how="semi")


def _journal(
    ruleset: RuleSet, book: Book, prepared: Prepared, selected: pl.DataFrame
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """All lines of all entries of the selected templates, and the problems on the way."""
    made, problems = [pl.DataFrame(schema=LINES_MADE)], []
    for index, template in enumerate(ruleset.templates):
        picked = selected.filter(pl.col("template_index") == index).select("pk")
        if picked.is_empty():
            continue
        documents = prepared.documents.join(picked, on="pk", how="semi")
        for entry_index in range(len(template.spec.lines)):
            lines, found = entry_lines(ruleset, book, prepared, documents, (index, entry_index))
            made.append(lines)
            problems += found
    journal = pl.concat(made)
    left_over = conversion_lines(ruleset, book, journal, selected, prepared.documents)
    return pl.concat([journal, left_over]), problems


def _numbered(journal: pl.DataFrame) -> pl.DataFrame:
    """Lines in their order: debits first, then as the template lists them, then by source line, account, dimensions."""
    order = [
        pl.col("pk"),
        pl.col("event"),
        pl.col("side") == Side.CREDIT.value,
        # Lines that are not merged differ in what they are of, merged ones in what they were merged by.
        *(pl.col(n) for n in ("entry_index", "source_line_no", "portion_no")),
        *(pl.col(n) for n in ("account", "dimensions", "transaction_currency", "day")),
    ]
    # Numbers count from the first line of each voucher, which is the last row where document or event changed.
    row = pl.int_range(pl.len())
    is_first = (pl.struct("pk", "template_index") != pl.struct("pk", "template_index").shift()).fill_null(
        True
    )
    return (
        journal.sort(order)
        .with_columns((row - pl.when(is_first).then(row).forward_fill() + 1).alias("line_no"))
        .rename({"pk": "document_pk", "amount": "amount_minor", "transaction": "transaction_minor"})
        .select(pl.col(name).cast(dtype) for name, dtype in VOUCHER_LINES.items())
    )
