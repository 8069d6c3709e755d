"""Look many keys up in a decision table at once: joins by the shape of its rows, no loop over keys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import product
from typing import Any

import polars as pl

from include.rules.facts import FactType
from include.rules.frames import Schema
from include.rules.tables import Cell, CellKind, DecisionTable, TableRow

Shape = tuple[tuple[str, int], ...]
ANSWERS: Schema = {
    "key": pl.Int64,
    "account": pl.String,
    "kinds": pl.List(pl.String),
    "table_row": pl.Int64,
    "rows": pl.String,
}


def lookup(table: DecisionTable, keys: pl.DataFrame, decimals: int) -> pl.DataFrame:
    """The row for each key.

    `keys` has one column per condition (text, never null; amounts in minor units), `date`, and `key`, a row number.
    Returns ANSWERS: `kinds` are the dimensions that the row names (null: it names none), `rows` lists the rows that are
    equally good where there are several, else it is null; a key that no row fits is left out.
    """
    found = [_matches(table, shape, rows, keys, decimals) for shape, rows in _by_shape(table).items()]
    if not found:
        return pl.DataFrame(schema=ANSWERS)
    return (
        pl.concat(found)
        .unique(["key", "table_row"])
        .filter(pl.col("rank") == pl.col("rank").max().over("key"))
        .sort("key", "table_row")
        .group_by("key", maintain_order=True)
        .agg(
            pl.col("account").first(),
            pl.col("kinds").first(),
            pl.col("table_row").first(),
            pl.when(pl.len() > 1).then(pl.col("table_row").cast(pl.String).str.join("、")).alias("rows"),
        )
    )


def answered(table: DecisionTable, frame: pl.DataFrame, decimals: int) -> pl.DataFrame:
    """The frame with the answers of a table beside its rows: `account`, `kinds`, `table_row` and `rows` of ANSWERS, all
    null where no row fits.

    Needs a column for each condition (amounts in minor units), and `date` where rows have dates. Missing text comes back
    as the empty text.
    """
    frame = frame.with_columns(
        pl.col(fact.path).fill_null("") for fact in table.conditions if fact.type is FactType.TEXT
    )
    # Far fewer distinct keys than rows: each is looked up once.
    by = [*(fact.path for fact in table.conditions), *(["date"] if table.has_dates else [])]
    if by:
        keys = frame.select(by).unique(maintain_order=True)
    else:
        keys = pl.DataFrame({"date": [None]}, schema={"date": pl.Date})
    keys = keys.with_row_index("key").with_columns(pl.col("key").cast(pl.Int64))
    answers = keys.join(lookup(table, keys, decimals), on="key", how="left")
    if by:
        found = answers.select(*by, "account", "kinds", "table_row", "rows")
        return frame.join(found, on=by, how="left", nulls_equal=True)
    return frame.join(answers.select("account", "kinds", "table_row", "rows"), how="cross")


def bound(value: Decimal | None, decimals: int, *, is_start: bool) -> int | None:
    """A bound in minor units; one that falls between two minor units moves inwards, which changes nothing."""
    if value is None:
        return None
    return int(value.scaleb(decimals).to_integral_value(ROUND_CEILING if is_start else ROUND_FLOOR))


def _by_shape(table: DecisionTable) -> dict[Shape, list[TableRow]]:
    """Rows grouped by what is compared in which column: equal values, a beginning of n characters, a range, nothing."""
    groups: dict[Shape, list[TableRow]] = defaultdict(list)
    for row in table.rows:
        groups[tuple(_shape(cell) for cell in row.cells)].append(row)
    return groups


def _shape(cell: Cell) -> tuple[str, int]:
    return (cell.kind.value, len(cell.values[0]) if cell.kind is CellKind.PREFIX else 0)


def _matches(
    table: DecisionTable, shape: Shape, rows: list[TableRow], keys: pl.DataFrame, decimals: int
) -> pl.DataFrame:
    names = [condition.path for condition in table.conditions]
    joined_on, left = [], keys.lazy()
    for index, (kind, length) in enumerate(shape):
        if kind == CellKind.VALUES:
            left = left.with_columns(pl.col(names[index]).alias(f"c{index}"))
        elif kind == CellKind.PREFIX:
            left = left.with_columns(pl.col(names[index]).str.head(length).alias(f"c{index}"))
        if kind in (CellKind.VALUES, CellKind.PREFIX):
            joined_on.append(f"c{index}")
    right = _rows_frame(shape, rows, decimals).lazy()
    pairs = left.join(right, on=joined_on) if joined_on else left.join(right, how="cross")
    for index, (kind, _) in enumerate(shape):
        if kind == CellKind.PRESENT:
            value = pl.col(names[index])
            is_text = table.conditions[index].type is FactType.TEXT
            pairs = pairs.filter(value != "" if is_text else value.is_not_null())
        elif kind == CellKind.RANGE:
            amount = pl.col(names[index])
            pairs = pairs.filter(
                amount.is_not_null(),
                pl.col(f"from{index}").is_null() | (amount >= pl.col(f"from{index}")),
                pl.col(f"to{index}").is_null() | (amount <= pl.col(f"to{index}")),
            )
    if table.has_dates:
        pairs = pairs.filter(
            pl.col("valid_from").is_null() | (pl.col("date") >= pl.col("valid_from")),
            pl.col("valid_to").is_null() | (pl.col("date") <= pl.col("valid_to")),
        )
    return pairs.select("key", "account", "kinds", "table_row", "rank").collect()


def _rows_frame(shape: Shape, rows: list[TableRow], decimals: int) -> pl.DataFrame:
    schema: dict[str, Any] = {
        "table_row": pl.Int64,
        "rank": pl.Int64,
        "account": pl.String,
        "kinds": pl.List(pl.String),
        "valid_from": pl.Date,
        "valid_to": pl.Date,
    }
    for index, (kind, _) in enumerate(shape):
        if kind in (CellKind.VALUES, CellKind.PREFIX):
            schema[f"c{index}"] = pl.String
        elif kind == CellKind.RANGE:
            schema |= {f"from{index}": pl.Int128, f"to{index}": pl.Int128}
    return pl.DataFrame(list(_expanded(shape, rows, decimals)), schema=schema, orient="row")


def _expanded(shape: Shape, rows: list[TableRow], decimals: int) -> Iterator[tuple[Any, ...]]:
    """One tuple per row and combination of the values that its cells list."""
    for row in rows:
        parts: list[list[tuple[Any, ...]]] = []
        for (kind, _), cell in zip(shape, row.cells, strict=True):
            if kind in (CellKind.VALUES, CellKind.PREFIX):
                parts.append([(value,) for value in cell.values])
            elif kind == CellKind.RANGE:
                start = bound(cell.start, decimals, is_start=True)
                parts.append([(start, bound(cell.end, decimals, is_start=False))])
        for combination in product(*parts):
            values = [value for part in combination for value in part]
            kinds = None if row.dimensions is None else sorted(row.dimensions)
            yield (row.row, row.rank, row.account, kinds, row.valid_from, row.valid_to, *values)
