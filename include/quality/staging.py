"""Temporary tables on one connection: the computed rows that checks look at.

A query over the store runs once into a temporary table; Great Expectations and the messages read that. The
connection comes from the store's own engine, with its settings, so that any store works without a second login.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    MetaData,
    Select,
    StaticPool,
    Table,
    case,
    create_engine,
    func,
    insert,
    select,
)
from sqlalchemy.exc import OperationalError

from include.domain.errors import RetryLater

LIMIT_MINOR = 10**14
"""One million million in major units of two decimals. Beyond it an amount is taken for a mistake; below it sums
cannot leave BIGINT and floats compare exactly."""

_BATCH = 500


@dataclass(slots=True)
class Staging:
    """One connection and the temporary tables made on it. `engine` always gives that same connection."""

    engine: Engine
    connection: Connection

    def fill(self, name: str, query: Select[Any], keys: Sequence[str]) -> Table:
        """Run a query into a temporary table whose primary key is `keys`."""
        table = self._create(
            name,
            [
                Column(column.name, column.type, primary_key=column.name in keys)
                for column in query.selected_columns
                if isinstance(column, ColumnElement)
            ],
        )
        self.append(table, query)
        self.settle(table)
        return table

    def load(self, name: str, columns: Sequence[Column[Any]], rows: Sequence[Mapping[str, Any]]) -> Table:
        """A temporary table of rows that are not in the store."""
        table = self._create(name, columns)
        if rows:
            self.connection.execute(insert(table), [dict(row) for row in rows])
        return table

    def append(self, table: Table, query: Select[Any]) -> None:
        """Further rows, by the names of the query's columns; columns that it does not name stay empty."""
        names = [column.name for column in query.selected_columns if isinstance(column, ColumnElement)]
        self.connection.execute(insert(table).from_select(names, query))

    def settle(self, table: Table) -> None:
        """To be called when a table is complete and others join it."""
        if self.engine.dialect.name == "postgresql":
            # Nothing analyzes temporary tables by itself; without it the plans of the next queries are guesses.
            self.connection.exec_driver_sql(f"ANALYZE {table.name}")

    def seal(self) -> None:
        """End of staging: all tables show one state of the store, which is let go now."""
        self.connection.commit()

    def count(self, table: Table) -> int:
        return self.connection.scalar(select(func.count()).select_from(table)) or 0

    def rows(self, table: Table, column: str, values: Iterable[int]) -> Iterator[Mapping[str, Any]]:
        """The whole rows whose `column` is one of `values`."""
        wanted = sorted(set(values))
        for start in range(0, len(wanted), _BATCH):
            query = select(table).where(table.c[column].in_(wanted[start : start + _BATCH]))
            yield from (dict(row) for row in self.connection.execute(query).mappings())

    def _create(self, name: str, columns: Sequence[Column[Any]]) -> Table:
        table = Table(name, MetaData(), *columns, prefixes=["TEMPORARY"])
        table.create(self.connection)
        return table


@contextmanager
def staging(store: Engine) -> Iterator[Staging]:
    """Temporary tables for the length of a block.

    The connection leaves the store's pool and is closed at the end, and the tables with it: Great Expectations
    closes what it was given whenever its objects are collected, so nobody else may hold it. A store in memory
    would be closed as well: use a file or a server.

    Raises:
        RetryLater: the store cannot be read now.
    """
    try:
        taken = store.connect()
        driver_connection = taken.connection.driver_connection
        taken.detach()
        engine = create_engine(store.url, creator=lambda: driver_connection, poolclass=StaticPool)
        try:
            with engine.connect() as connection:
                _begin(connection)
                yield Staging(engine, connection)
        finally:
            taken.close()
            engine.dispose()
    except OperationalError as error:
        reason = str(error.orig).splitlines()[0][:200]
        raise RetryLater(
            f"质量关暂时无法读取凭证库，稍后重试 / the quality gate cannot read the store now, try again: {reason}"
        ) from error


def _begin(connection: Connection) -> None:
    """One state of the store for all queries, and temporary tables on disk, whatever the store's own settings."""
    if connection.dialect.name == "postgresql":
        connection.execution_options(isolation_level="REPEATABLE READ")
    else:
        connection.exec_driver_sql("PRAGMA temp_store=FILE")
        connection.exec_driver_sql("BEGIN")


def within_limit(amount: ColumnElement[Any]) -> ColumnElement[Any]:
    """The amount where it is plausible, else NULL: arithmetic on it can then not overflow on any database."""
    return case((amount.between(-LIMIT_MINOR, LIMIT_MINOR), amount))


def present(value: ColumnElement[Any], *, unless: ColumnElement[bool] | None = None) -> ColumnElement[Any]:
    """1 where there is a value (for text: not empty), or where `unless` explains why there is none; else NULL."""
    given: ColumnElement[bool] = value.is_not(None)
    if value.type.python_type is str:
        given = given & (func.trim(value) != "")
    return case((given if unless is None else given | unless, 1))


def flag(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    """1 where the condition holds, else NULL."""
    return case((condition, 1))
