"""Reading accepted documents, whatever became of their vouchers: to look at what rules make of them, never to post."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator
from datetime import date

import polars as pl
from sqlalchemy import ColumnElement, Connection, Engine, Select, select, true

from include.domain.document import Disposition
from include.store import bulk
from include.store import tables as t
from include.store.documents import Scope, within
from include.store.engine import reading

Frames = tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]


DOCUMENT_COLUMNS = (
    *(
        "id",
        "source",
        "document_id",
        "revision",
        "code",
        "kind",
        "form_type",
        "template_id",
        "title",
        "status",
    ),
    *("business_date", "functional_currency", "currency", "gross_minor", "transaction_gross_minor"),
    *("written_off_minor", "company_paid_minor", "payable_minor"),
    *(
        f"{name}_{part}"
        for name in ("legal_entity", "department", "submitter", "supplier", "project")
        for part in ("id", "code", "name")
    ),
    *("payment_channel", "attachments", "properties"),
)
"""Of source_document: what rules may ask for, and what makes a voucher's key."""

PARTS = {
    t.source_line: [
        column.name for column in t.source_line.columns if column.name not in {"line_id", "rate"}
    ],
    t.source_write_off: [column.name for column in t.source_write_off.columns],
    t.source_invoice: [column.name for column in t.source_invoice.columns],
}


def accepted_frames(
    engine: Engine,
    book: str,
    date_from: date | None,
    date_to: date | None,
    size: int,
    documents: Collection[int] | Select[tuple[int]] | None = None,
) -> Iterator[Frames]:
    """Accepted current documents of a book, those that make no voucher too, `size` at a time in the order of their ids.

    Frames of `source_document`, `source_line`, `source_write_off` and `source_invoice`, in that order, with the columns
    that rules read and `source`, `document_id`, `revision`. A page is one state of the store.

    Args:
        engine: the store's.
        book: of the documents.
        date_from: first business day, None for an open beginning. Where there is a first or a last day, documents
            without a business day are left out.
        date_to: last business day, None for an open end.
        size: how many documents at once.
        documents: only these, by row id: numbers, or a query that selects them.
    """
    pks = _ids(engine, book, Scope(date_from, date_to), documents)
    for start in range(0, len(pks), size):
        part = pks[start : start + size]
        with reading(engine) as connection:
            yield frames_of(connection, part)


def frames_of(connection: Connection, pks: Collection[int] | pl.Series, *also: str) -> Frames:
    """These documents, whatever their state, with their parts: the frames of `accepted_frames`, and `also` these columns
    of documents.
    """
    d = t.source_document
    columns = [d.c[name] for name in (*DOCUMENT_COLUMNS, *also)]
    found = bulk.read(connection, select(*columns).where(bulk.among(connection, d.c.id, pks)))
    lines, write_offs, invoices = (
        bulk.read(
            connection,
            select(*(table.c[name] for name in names)).where(
                bulk.among(connection, table.c.document_pk, pks)
            ),
        )
        for table, names in PARTS.items()
    )
    return found.sort("id"), lines, write_offs, invoices


def _ids(
    engine: Engine, book: str, scope: Scope, documents: Collection[int] | Select[tuple[int]] | None
) -> array[int]:
    """Eight bytes an id, since there may be millions."""
    d = t.source_document
    with reading(engine) as connection:
        if documents is None:
            chosen: ColumnElement[bool] = true()
        elif isinstance(documents, Select):
            chosen = d.c.id.in_(documents)
        else:
            chosen = bulk.among(connection, d.c.id, documents)
        wanted = (
            select(d.c.id)
            .where(
                d.c.book == book,
                d.c.is_current,
                d.c.disposition.in_([Disposition.ACCEPTED, Disposition.NO_VOUCHER]),
                within(d.c.business_date, scope),
                chosen,
            )
            .order_by(d.c.id)
        )
        return array("q", connection.execute(wanted).scalars())
