"""The effects of journal lines, added up exactly."""

from __future__ import annotations

import polars as pl

EFFECT = ("account", "is_credit", "currency", "dimensions")
"""What lines must share to be added up."""


def grouped(lines: pl.DataFrame, members: pl.DataFrame, sign: int) -> pl.DataFrame:
    """The lines of some vouchers under their group's number, times `sign`.

    Args:
        lines: as frames.LINES.
        members: `voucher` and its `group`; a voucher may be in several.
        sign: 1 or -1.
    """
    found = lines.lazy().join(members.lazy(), on="voucher").select("group", *EFFECT, "amount", "foreign")
    return (found if sign > 0 else found.with_columns(-pl.col("amount", "foreign"))).collect()


def unbalanced(*sides: pl.DataFrame) -> pl.Series:
    """The groups in which some effect is not zero once all sides are added up."""
    return (
        pl.concat(sides)
        .lazy()
        .group_by("group", *EFFECT)
        .agg(pl.col("amount", "foreign").sum())
        .filter((pl.col("amount") != 0) | (pl.col("foreign") != 0))
        .select(pl.col("group").unique())
        .collect()
        .to_series()
    )
