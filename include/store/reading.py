"""Reading accepted documents, whatever became of their vouchers: for looking at rules, never for posting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import polars as pl
from sqlalchemy import ColumnElement, Engine, Select, and_, select, true

from include.domain.document import Disposition
from include.store import tables as t
from include.store.documents import Scope, within
from include.store.engine import reading
from include.store.filing import chunks
from include.store.vouchers import _frame

Frames = tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]


def accepted_frames(
    engine: Engine,
    book: str,
    date_from: date | None,
    date_to: date | None,
    size: int,
    documents: Sequence[int] | Select[tuple[int]] | None = None,
) -> Iterator[Frames]:
    """Accepted current documents of a book, those that make no voucher too, `size` at a time in the order of their ids.

    Frames of the tables `source_document`, `source_line`, `source_write_off` and `source_invoice`, in that order.

    Args:
        engine: the store's.
        book: of the documents.
        date_from: first business day, None for an open beginning; documents without a business day are left out
            where there is a first or last day.
        date_to: last business day, None for an open end.
        size: how many documents at once.
        documents: only these, by row id: a list, or a query that selects one column of ids.
    """
    d = t.source_document
    wanted = and_(
        d.c.book == book,
        d.c.is_current,
        d.c.disposition.in_([Disposition.ACCEPTED, Disposition.NO_VOUCHER]),
        within(d.c.business_date, Scope(date_from, date_to)),
    )
    if documents is None:
        yield from _pages(engine, wanted, true(), size)
    elif isinstance(documents, Select):
        yield from _pages(engine, wanted, d.c.id.in_(documents), size)
    else:  # a database takes only so many parameters
        for part in chunks(sorted(set(documents)), size):
            yield from _pages(engine, wanted, d.c.id.in_(part), size)


def _pages(
    engine: Engine, wanted: ColumnElement[bool], among: ColumnElement[bool], size: int
) -> Iterator[Frames]:
    d = t.source_document
    last = 0
    while True:
        pks = select(d.c.id).where(wanted, among, d.c.id > last).order_by(d.c.id).limit(size).subquery()
        with reading(engine) as connection:
            found = _frame(connection, select(d).where(d.c.id.in_(select(pks.c.id))).order_by(d.c.id), d)
            if found.is_empty():
                return
            lines, write_offs, invoices = (
                _frame(connection, select(table).where(table.c.document_pk.in_(select(pks.c.id))), table)
                for table in (t.source_line, t.source_write_off, t.source_invoice)
            )
        last = int(found["id"].max())  # type: ignore[arg-type] # the column is never empty here
        yield found, lines, write_offs, invoices
