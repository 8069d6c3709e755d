"""Vouchers that were moved out of a closed period: which day counts for what, and how they stay moved."""

from __future__ import annotations

from datetime import date

import polars as pl
from sqlalchemy import ColumnElement, FromClause, func


def day_by_policy(voucher: FromClause) -> ColumnElement[date]:
    """The day of a row of `voucher` by the book's policy, wherever it was moved: what a scope of business days means."""
    return func.coalesce(voucher.c.policy_date, voucher.c.date)


def keep_moves(made: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Vouchers that are made again, where the day by policy is the same as before, keep the day they were moved to.

    `made` has `id` and `date`, and `policy_date` where its maker moves vouchers itself; it gets `date`, `period` and
    `policy_date` of the move. `before` has `id`, `date` and `policy_date` as they are stored.
    """
    own = pl.col("policy_date") if "policy_date" in made.columns else pl.lit(None, pl.Date)
    there = before.select("id", moved_to="date", moved_from="policy_date")
    stays = pl.col("moved_from") == pl.coalesce(own, "date")  # null where it was never moved
    day = pl.when(stays).then("moved_to").otherwise("date")
    return (
        made.join(there, on="id", how="left", maintain_order="left")
        .with_columns(
            day.alias("date"),
            day.dt.strftime("%Y-%m").alias("period"),
            pl.when(stays).then("moved_from").otherwise(own).alias("policy_date"),
        )
        .drop("moved_to", "moved_from")
    )
