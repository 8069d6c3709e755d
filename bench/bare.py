"""The floor of generating: the same source rows read and the same vouchers inserted, by the driver and nothing else.

What a good engineer would write who wanted only that: one connection with the store's own settings, a page of documents
by a span of ids with `fetchall`, then one transaction with `executemany` (SQLite) or `COPY` (PostgreSQL) of tuples that
were made beforehand. The same columns, indexes, constraints, page size and fsync as the stage. Nothing is computed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Table

from include.store import tables as t
from include.store.reading import DOCUMENT_COLUMNS, PARTS

Rows = list[tuple[Any, ...]]
SOURCES: list[tuple[Table, str, Sequence[str]]] = [
    (t.source_document, "id", DOCUMENT_COLUMNS),
    *((table, "document_pk", names) for table, names in PARTS.items()),
]
RESULTS = (t.voucher, t.journal_line)


@dataclass(frozen=True, slots=True)
class Page:
    """Documents `first` to `last` by id, and the rows that the stage made of them, per table of RESULTS."""

    first: int
    last: int
    results: tuple[Rows, Rows]


def pages(engine: Engine, size: int) -> Iterator[Page]:
    """What the stage left in a store, page by page."""
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT id FROM source_document ORDER BY id")
        ids = [row[0] for row in cursor.fetchall()]
        for start in range(0, len(ids), size):
            first, last = ids[start], ids[min(start + size, len(ids)) - 1]
            of_page = f"SELECT id FROM voucher WHERE document_pk BETWEEN {first} AND {last}"  # noqa: S608 - numbers
            cursor.execute(f"SELECT * FROM voucher WHERE id IN ({of_page}) ORDER BY id")  # noqa: S608
            vouchers = [tuple(row) for row in cursor.fetchall()]
            cursor.execute(
                f"SELECT * FROM journal_line WHERE voucher_id IN ({of_page}) ORDER BY voucher_id, line_no"  # noqa: S608
            )
            yield Page(first, last, (vouchers, [tuple(row) for row in cursor.fetchall()]))
    finally:
        connection.close()


def read_and_insert(engine: Engine, result: Iterator[Page]) -> float:
    """Seconds for all pages; taking a page from `result` is not counted."""
    seconds = 0.0
    connection = engine.raw_connection()
    try:
        for page in result:
            started = time.perf_counter()
            cursor = connection.cursor()
            for table, key, names in SOURCES:
                columns = ", ".join(names)
                cursor.execute(
                    f"SELECT {columns} FROM {table.name} WHERE {key} BETWEEN {page.first} AND {page.last}"  # noqa: S608
                )
                cursor.fetchall()
            if engine.dialect.name == "sqlite":
                cursor.execute("BEGIN IMMEDIATE")
            for table, rows in zip(RESULTS, page.results, strict=True):
                _insert(engine, cursor, table, rows)
            if engine.dialect.name == "sqlite":
                cursor.execute("COMMIT")
            else:
                connection.commit()
            seconds += time.perf_counter() - started
    finally:
        connection.close()
    return seconds


def _insert(engine: Engine, cursor: Any, table: Table, rows: Rows) -> None:
    if engine.dialect.name == "sqlite":
        marks = ", ".join("?" * len(table.columns))
        cursor.executemany(f"INSERT INTO {table.name} VALUES ({marks})", rows)  # noqa: S608
        return
    with cursor.copy(f"COPY {table.name} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
