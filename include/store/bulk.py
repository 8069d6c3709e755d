"""Whole frames in and out of the store, through the driver itself: no object for a row, no conversion for a cell."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
    Text,
    any_,
    cast,
    func,
    literal,
    select,
)
from sqlalchemy.exc import DBAPIError

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
    """A result as a frame, its rows in any order; the types of its columns are those of the statement.

    The database writes each column as one JSON array and Polars parses it, which takes half of the time that a Python
    object for each value would.
    """
    inner = statement.subquery()
    row = connection.execute(
        select(func.count(), *(_array(connection, column) for column in inner.c)).select_from(inner)
    ).one()
    count, *arrays = row
    types = {column.name: _TYPES[column.type.python_type] for column in inner.c}
    if not count:
        return pl.DataFrame(schema=types)
    is_sqlite = connection.dialect.name == "sqlite"
    return pl.DataFrame(
        [
            _column(name, array, dtype, is_sqlite)
            for (name, dtype), array in zip(types.items(), arrays, strict=True)
        ]
    )


def insert(connection: Connection, table: Table, frame: pl.DataFrame) -> None:
    """Add rows: the frame's columns by their names, the table's defaults for others."""
    names = ", ".join(f'"{name}"' for name in frame.columns)
    if connection.dialect.name == "postgresql":
        statement = f'COPY "{table.name}" ({names}) FROM STDIN (FORMAT csv)'
        # In CSV, NULL is nothing between two commas and an empty text is two quotes; Polars writes them so.
        with _cursor(connection, statement) as cursor, cursor.copy(statement) as copy:
            copy.write(frame.write_csv(include_header=False).encode())
    else:
        marks = ", ".join("?" * frame.width)
        statement = f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})'  # noqa: S608 - names of our own tables
        with _cursor(connection, statement) as cursor:
            cursor.executemany(statement, _rows(frame))


def update(connection: Connection, table: Table, frame: pl.DataFrame) -> None:
    """Set the frame's columns in the rows of its `id`."""
    mark = "%s" if connection.dialect.name == "postgresql" else "?"
    changed = [name for name in frame.columns if name != "id"]
    values = ", ".join(f'"{name}" = {mark}' for name in changed)
    statement = f'UPDATE "{table.name}" SET {values} WHERE id = {mark}'  # noqa: S608 - names of our own tables
    with _cursor(connection, statement) as cursor:
        cursor.executemany(statement, _rows(frame.select(*changed, "id")))


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


def _array(connection: Connection, column: ColumnElement[Any]) -> ColumnElement[str]:
    if connection.dialect.name == "postgresql":
        return cast(func.json_agg(column), Text)
    return func.json_group_array(column, type_=Text)


def _column(name: str, array: str, dtype: Any, is_sqlite: bool) -> pl.Series:
    """A JSON array that has values. Days and times are text in JSON, truth is a number in SQLite."""
    in_json = pl.String if dtype.is_temporal() else pl.Int64 if dtype == pl.Boolean and is_sqlite else dtype
    column = pl.Series(name, [array]).str.json_decode(pl.List(in_json)).explode()
    if dtype == pl.Date:
        return column.str.to_date(_DAY)
    if dtype == pl.Datetime:
        times = column.str.replace("T", " ", literal=True)
        return times.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", time_zone="UTC")
    return column.cast(dtype)


@contextmanager
def _cursor(connection: Connection, statement: str) -> Iterator[Any]:
    """The driver's own cursor, which takes rows as they come; what it raises is SQLAlchemy's error, as elsewhere."""
    cursor = connection.connection.cursor()
    try:
        yield cursor
    except connection.dialect.loaded_dbapi.Error as error:
        raise DBAPIError.instance(statement, None, error, connection.dialect.loaded_dbapi.Error) from error
    finally:
        cursor.close()


def _rows(frame: pl.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Days and times as text, which both databases read."""
    texts = frame.with_columns(
        pl.col(pl.Date).dt.to_string(_DAY), pl.col(pl.Datetime("us", "UTC")).dt.to_string(_TIME)
    )
    return zip(*(column.to_list() for column in texts.get_columns()), strict=True)
