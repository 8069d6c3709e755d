"""Documents' codes in the texts of a ledger: references and summaries that people typed."""

from __future__ import annotations

import polars as pl

MIN_CODE = 4
"""Shorter document codes are not looked for in texts: `10` also stands in `10月房租`."""


def normal(name: str) -> pl.Expr:
    """Full-width letters and digits, and case, do not matter."""
    return pl.col(name).str.normalize("NFKC").str.to_uppercase().str.strip_chars()


def cited_codes(mentions: pl.DataFrame, codes: pl.Series) -> pl.DataFrame:
    """Which of the codes stand in the texts as whole words: `voucher`, `code`, each once.

    A letter or digit beside it, or one behind a hyphen, a dot or an underscore, belongs to a longer word.
    """
    wanted = codes.filter(codes.str.len_chars() >= MIN_CODE).unique().sort()
    texts = mentions.select("voucher", normal("text")).filter(pl.col("text") != "").unique()
    if wanted.is_empty() or texts.is_empty():
        return pl.DataFrame(schema={"voucher": pl.Int64, "code": pl.String})
    listed = wanted.implode()
    found = (
        texts.with_columns(
            pl.col("text").str.extract_many(listed, overlapping=True).alias("code"),
            pl.col("text").str.find_many(listed, overlapping=True).cast(pl.List(pl.Int64)).alias("at"),
        )
        .filter(pl.col("code").list.len() > 0)
        .explode("code", "at")
    )
    raw = pl.col("text").cast(pl.Binary)
    before = raw.bin.slice(0, pl.col("at")).cast(pl.String).str.tail(2)
    after = raw.bin.slice(pl.col("at") + pl.col("code").str.len_bytes()).cast(pl.String).str.head(2)
    return (
        found.filter(
            ~before.str.contains(r"[0-9A-Z]$|[0-9A-Z][-._]$"),
            ~after.str.contains(r"^[0-9A-Z]|^[-._][0-9A-Z]"),
        )
        .select("voucher", "code")
        .unique()
    )
