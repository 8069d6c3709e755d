"""Where the last cents go (尾差): of lines converted one by one, and of fractions taken line by line.

A book's policy names the largest line, the last line, or an account of its own. The order of rows never matters:
lines are told apart by size, then by their numbers.
"""

from __future__ import annotations

import polars as pl

from include.domain.errors import FixConfig
from include.domain.voucher import Side
from include.rules.ruleset import RuleSet
from include.rules.tables import ACCOUNTS_FILE, KeyedAccount
from include.settings import Book, ResidueAccount

ENTRY = "residue"
"""The name of the journal line in traces."""


def settle_conversion(
    documents: pl.DataFrame, lines: pl.DataFrame, book: Book
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Lines whose functional amounts add up to their document's total, and what could not be put on a line.

    A foreign document's total is converted once and its lines one by one, so the sums may differ by at most one minor
    unit per foreign line; what differs by more is a mistake, and is left for the balance to show. Returns the lines
    (of the schema LINES) and `pk, residue`: the difference where the policy keeps it on an account.
    """
    none = pl.DataFrame(schema={"pk": pl.Int64, "residue": pl.Int128})
    home = documents.select(pl.col("id").alias("document_pk"), "functional_currency", "gross_minor")
    foreign = lines.join(home, on="document_pk").filter(pl.col("currency") != pl.col("functional_currency"))
    if foreign.is_empty():
        return lines, none
    concerned = lines.join(foreign.select("document_pk").unique(), on="document_pk", how="semi")
    amount = pl.col("functional_minor").cast(pl.Int128)
    sums = concerned.group_by("document_pk").agg(
        pl.when(pl.col("functional_minor").null_count() == 0).then(amount.sum()).alias("of_lines")
    )
    counts = foreign.group_by("document_pk").agg(pl.len().alias("foreign_lines"))
    residues = (
        sums.join(counts, on="document_pk")
        .join(home, on="document_pk")
        .with_columns((pl.col("gross_minor").cast(pl.Int128) - pl.col("of_lines")).alias("residue"))
        .filter((pl.col("residue") != 0) & (pl.col("residue").abs() <= pl.col("foreign_lines")))
        .select("document_pk", "residue")
    )
    if isinstance(book.residue, ResidueAccount):
        return lines, residues.rename({"document_pk": "pk"})
    number = [pl.col("line_no"), pl.col("portion_no")]
    if book.residue == "largest_line":
        ranking, descending = [pl.col("functional_minor").abs(), *number], [True, False, False]
    else:
        ranking, descending = number, [True, True]
    chosen = (
        foreign.join(residues, on="document_pk")
        .sort("document_pk", *ranking, descending=[False, *descending])
        .unique("document_pk", keep="first", maintain_order=True)
        .select("document_pk", "line_no", "portion_no", "residue")
    )
    settled = lines.join(chosen, on=["document_pk", "line_no", "portion_no"], how="left").with_columns(
        (pl.col("functional_minor") + pl.col("residue").fill_null(0).cast(pl.Int64)).alias("functional_minor")
    )
    return settled.drop("residue"), none


def half_up(amount: pl.Expr, numerator: int, denominator: int) -> pl.Expr:
    """`amount × numerator / denominator`, half up in size, in 128-bit integers."""
    size = amount.abs() * numerator
    rounded = size // denominator + (2 * (size % denominator) >= denominator).cast(pl.Int128)
    return rounded * amount.sign()


def half_up_int(amount: int, numerator: int, denominator: int) -> int:
    """The same for one amount."""
    size, rest = divmod(abs(amount) * numerator, denominator)
    size += 2 * rest >= denominator
    return size if amount >= 0 else -size


def shares(amount: pl.Expr, by: list[str], ratio: tuple[int, int], book: Book) -> tuple[pl.Expr, pl.Expr]:
    """A fraction of amounts (null: not part of it) that adds up per group `by` to the fraction of their sum.

    Returns each thing's share, and the residue that is left for an account of its own (zero for the other policies),
    the same on all rows of a group. Needs the columns `source_line_no` and `portion_no`.
    """
    share = half_up(amount, *ratio)
    left = half_up(amount.sum(), *ratio).over(by) - share.sum().over(by)
    if isinstance(book.residue, ResidueAccount):
        return share, left
    # One number tells lines apart: portions of a line are far fewer than 2**20.
    number = pl.col("source_line_no").cast(pl.Int64) * 2**20 + pl.col("portion_no").cast(pl.Int64)
    is_there = amount.is_not_null()
    if book.residue == "largest_line":
        is_there = is_there & (amount.abs() == amount.abs().max().over(by))
        first = pl.when(is_there).then(number).min().over(by)
    else:
        first = pl.when(is_there).then(number).max().over(by)
    chosen = is_there & (number == first)
    return pl.when(chosen).then(share + left).otherwise(share), pl.lit(0, pl.Int128)


def residue_account(ruleset: RuleSet, book: Book) -> KeyedAccount | None:
    """The account that the book's policy names, None for the other policies.

    Raises:
        FixConfig: accounts.csv has no such key.
    """
    if not isinstance(book.residue, ResidueAccount):
        return None
    key = book.residue.account
    if key not in ruleset.accounts:
        known = "、".join(sorted(ruleset.accounts))
        raise FixConfig(
            f"{book.file or book.id}: residue.account: {key!r} 不在 {ruleset.tables_dir / ACCOUNTS_FILE} 中，可选：{known} / "
            f"no such key there, choose from: {known}"
        )
    return ruleset.accounts[key]


def residue_lines(ruleset: RuleSet, book: Book, left: pl.DataFrame) -> pl.DataFrame:
    """Lines on the account for what is left, from `pk`, `residue` and `document.code#name`; none for other policies."""
    keyed = residue_account(ruleset, book)
    return left.head(left.height if keyed else 0).select(
        "pk",
        pl.lit(0, pl.Int64).alias("source_line_no"),
        pl.lit(0, pl.Int64).alias("portion_no"),
        pl.col("residue").cast(pl.Int128).alias("amount"),
        pl.lit("").alias("transaction_currency"),
        pl.lit(0, pl.Int128).alias("transaction"),
        pl.lit(keyed.account if keyed else "").alias("account"),
        pl.lit(keyed.row if keyed else 0, pl.Int64).alias("table_row"),
        pl.lit("[]").alias("dimensions"),
        pl.concat_str(pl.lit("尾差 "), pl.col("document.code#name").fill_null("")).alias("summary"),
        pl.lit(None, pl.String).alias("day"),
        pl.lit(ACCOUNTS_FILE).alias("table_name"),
    )


def conversion_lines(
    ruleset: RuleSet, book: Book, journal: pl.DataFrame, selected: pl.DataFrame, documents: pl.DataFrame
) -> pl.DataFrame:
    """One line for each voucher that is out of balance by exactly its document's conversion residue, on the side that
    lacks it. `journal` has the columns of LINES_MADE, and so has the result.
    """
    open_ones = documents.filter(pl.col("residue") != 0).select("pk", "residue", "document.code#name")
    if open_ones.is_empty():
        return journal.clear()
    signed = pl.when(pl.col("side") == Side.DEBIT.value).then("amount").otherwise(pl.col("amount") * -1)
    lacking = (
        journal.join(open_ones, on="pk")
        .group_by("pk", "template_index", "residue", "document.code#name")
        .agg(signed.sum().alias("difference"))
        .filter(pl.col("difference").abs() == pl.col("residue").abs())
        .join(selected.select("pk", "template_index", "event"), on=["pk", "template_index"])
        .with_columns(pl.col("difference").abs().alias("residue"))
    )
    lines = residue_lines(ruleset, book, lacking)
    templates = [(template.trace_name, template.line) for template in ruleset.templates]
    index = pl.Series(range(len(templates)), dtype=pl.Int64)
    names = pl.Series([name for name, _ in templates], dtype=pl.String)
    numbers = pl.Series([line for _, line in templates], dtype=pl.Int64)
    is_debit = pl.col("difference") < 0
    return pl.concat(
        [lines, lacking.select("template_index", "event", "difference")], how="horizontal"
    ).select(
        *(
            {
                "entry_index": pl.lit(-1, pl.Int64),
                "side": pl.when(is_debit).then(pl.lit(Side.DEBIT.value)).otherwise(pl.lit(Side.CREDIT.value)),
                "template": pl.col("template_index").replace_strict(index, names, return_dtype=pl.String),
                "template_line": pl.col("template_index").replace_strict(
                    index, numbers, return_dtype=pl.Int64
                ),
                "entry": pl.lit(ENTRY),
            }.get(name, pl.col(name)).alias(name)
            for name in journal.columns
        )
    )
