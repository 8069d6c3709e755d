"""Whole frames in and out of the store, through the driver itself: no object for a row, no conversion for a cell."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import polars as pl
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    any_,
    func,
    literal,
    select,
)

_TYPES: dict[type, Any] = {
    int: pl.Int64,
    str: pl.String,
    bool: pl.Boolean,
    date: pl.Date,
    datetime: pl.Datetime("us", "UTC"),
}
_DAY, _TIME = "%Y-%m-%d", "%Y-%m-%d %H:%M:%S%.6f"
"""How SQLAlchemy writes them into SQLite, which has no types for them."""


def read(connection: Connection, statement: Select[Any]) -> pl.DataFrame:
    """A result as a frame; the types of its columns are those of the statement, whatever the values in it."""
    schema = {column.name: _TYPES[column.type.python_type] for column in statement.selected_columns}  # type: ignore[attr-defined] # every column that we select has a name
    result = connection.execute(statement)
    rows = result.cursor.fetchall()  # type: ignore[union-attr] # a Select always has one
    result.close()
    columns: Iterable[Sequence[Any]] = zip(*rows, strict=True) if rows else [()] * len(schema)
    return pl.DataFrame(
        [_series(name, values, dtype) for (name, dtype), values in zip(schema.items(), columns, strict=True)]
    )


def insert(connection: Connection, table: Table, frame: pl.DataFrame) -> None:
    """Add rows: the frame's columns by their names, the table's defaults for others."""
    if frame.is_empty():
        return
    names = ", ".join(f'"{name}"' for name in frame.columns)
    if connection.dialect.name == "postgresql":
        cursor = connection.connection.cursor()
        # In CSV, NULL is nothing between two commas and an empty text is two quotes; Polars writes them so.
        with cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN (FORMAT csv)') as copy:
            copy.write(frame.write_csv(include_header=False).encode())
        return
    marks = ", ".join("?" * frame.width)
    connection.exec_driver_sql(f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})', _rows(frame))  # noqa: S608 - names of our own tables


def update(connection: Connection, table: Table, frame: pl.DataFrame) -> None:
    """Set the frame's columns in the rows of its `id`."""
    if frame.is_empty():
        return
    mark = "%s" if connection.dialect.name == "postgresql" else "?"
    changed = [name for name in frame.columns if name != "id"]
    values = ", ".join(f'"{name}" = {mark}' for name in changed)
    statement = f'UPDATE "{table.name}" SET {values} WHERE id = {mark}'  # noqa: S608 - names of our own tables
    connection.exec_driver_sql(statement, _rows(frame.select(*changed, "id")))


def new_ids(connection: Connection, table: Table, count: int) -> pl.Series:
    """Ids for as many new rows, ascending. On SQLite the transaction must hold the write lock already."""
    if connection.dialect.name == "postgresql":
        numbers = func.generate_series(1, count).table_valued("number")
        following = func.nextval(func.pg_get_serial_sequence(table.name, "id"), type_=BigInteger)
        return read(connection, select(following.label("id")).select_from(numbers))["id"].sort()
    last = connection.scalar(select(func.max(table.c.id))) or 0
    return pl.int_range(last + 1, last + 1 + count, eager=True).alias("id")


def among(connection: Connection, column: Column[int], numbers: Iterable[int]) -> ColumnElement[bool]:
    """The condition that a column is one of thousands of numbers, which travel as one parameter."""
    if connection.dialect.name == "postgresql":
        return column == any_(literal(list(numbers), ARRAY(BigInteger)))
    each = func.json_each(json.dumps(list(numbers))).table_valued("value")
    return column.in_(select(each.c.value))


def _series(name: str, values: Sequence[Any], dtype: Any) -> pl.Series:
    """Values as the driver gives them: PostgreSQL's are Python's own, SQLite's days are text, its truth numbers."""
    if dtype == pl.Boolean:
        return pl.Series(name, values, dtype=pl.Int8, strict=False).cast(pl.Boolean)
    if dtype in (pl.Date, pl.Datetime):
        if next((value for value in values if value is not None), None).__class__ is str:
            texts = pl.Series(name, values, dtype=pl.String)
            return (
                texts.str.to_date(_DAY)
                if dtype == pl.Date
                else texts.str.to_datetime(_TIME, time_unit="us", time_zone="UTC")
            )
        if dtype == pl.Datetime:
            return pl.Series(name, values, dtype=pl.Datetime("us")).dt.replace_time_zone("UTC")
    return pl.Series(name, values, dtype=dtype)


def _rows(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    """Days and times as text, which both databases read."""
    columns = []
    for column in frame.get_columns():
        if column.dtype == pl.Date:
            columns.append(column.dt.to_string(_DAY))
        elif column.dtype == pl.Datetime:
            columns.append(column.dt.to_string(_TIME))
        else:
            columns.append(column)
    return list(zip(*(column.to_list() for column in columns), strict=True))
