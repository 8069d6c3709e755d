"""Filing a page of documents: snapshots, revisions in place or beside, and their parts, in one transaction."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from include.domain.document import (
    DUE_STATUSES,
    BookRole,
    Disposition,
    MappedDocument,
    SourceDocument,
    canonical_json,
)
from include.domain.problems import Problem, Stage
from include.domain.voucher import UNSENT_STATUSES, VoucherStatus
from include.ports import RawDocument
from include.store import problems
from include.store import tables as t
from include.store.corrections import Relation
from include.store.document_rows import document_row, invoice_rows, line_rows, step_rows, write_off_rows

CHUNK = 500
"""Values in one IN list, well below every database's limit."""


SOURCE_LOCK = 0x766F7573
"""Class of PostgreSQL's advisory locks that this product takes for sources."""


@dataclass(frozen=True, slots=True)
class Filed:
    """A document ready to be saved: as sent, as read, and the books that have a part in it.

    `home` is the book of the document's own legal entity. `business_dates` is the voucher date in each book, the
    home among them; a document of one legal entity has just that one. In the books `dated_by_run` it is the day of this
    run, and counts only if the document was not due there before.
    """

    raw: RawDocument
    mapped: MappedDocument
    home: str
    business_dates: Mapping[str, date | None]
    dated_by_run: frozenset[str] = frozenset()

    @property
    def document_id(self) -> str:
        return self.mapped.document.document_id


@dataclass(frozen=True, slots=True)
class Saved:
    """What saving a page did, in documents. `revised` have a new revision beside a voucher that was already sent."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    revised: int = 0

    def __add__(self, other: Saved) -> Saved:
        return Saved(
            self.new + other.new,
            self.changed + other.changed,
            self.unchanged + other.unchanged,
            self.revised + other.revised,
        )


@dataclass(slots=True)
class _Rows:
    """What is to become of the rows of a page's documents. New and kept rows are known by (document, book)."""

    inserts: list[dict[str, Any]] = field(default_factory=list)
    updates: list[dict[str, Any]] = field(default_factory=list)
    kept: dict[tuple[str, str], int] = field(default_factory=dict)
    steady: list[int] = field(default_factory=list)
    """Kept rows of which nothing changed that decides about vouchers."""
    superseded: list[int] = field(default_factory=list)
    retired: list[int] = field(default_factory=list)

    def file(self, row: dict[str, Any], before: Any | None, *, keeps_date: bool = False) -> str:
        """One document in one book, whose newest row there is `before`; says what it is: a count of `Saved`.

        `keeps_date`: the business date stays that of the run which first found it due, unless it becomes due anew
        before anything of it was sent.
        """
        if before is None:
            self.inserts.append({**row, "revision": 1})
            return "new"
        is_same = before.is_current and before.content_digest == row["content_digest"]
        if before.is_sent and not is_same:
            self.superseded.append(before.id)
            self.inserts.append({**row, "revision": before.revision + 1})
            return "revised"
        was_due = before.is_sent or {before.status, row["status"]} <= DUE_STATUSES
        if keeps_date and was_due:
            row["business_date"] = before.business_date or row["business_date"]
        if is_same and (before.status, before.role) == (row["status"], row["role"]):
            self.steady.append(before.id)
            if before.disposition != Disposition.NOT_DUE:
                row["disposition"] = before.disposition
                row["disposition_reason"] = before.disposition_reason
        self.updates.append({**row, "pk": before.id, "revision": before.revision})
        self.kept[row["document_id"], row["book"]] = before.id
        return "unchanged" if is_same else "changed"


def file_page(connection: Connection, source: str, filed: Mapping[str, Filed], fetched_at: datetime) -> Saved:
    """Store documents by id, in the caller's writing transaction: a row in every book that has a part in them.

    The same content keeps its row. Changed content replaces it, unless a voucher of it was already sent from that
    book: then it becomes a new revision beside the old one. In a book that has no part in the document any more,
    the row is retired; where a voucher was sent from there, it stays, in the role LEFT, for a person to settle.
    """
    lock_source(connection, source)
    snapshots = _save_snapshots(connection, source, filed, fetched_at)
    before = _newest_rows(connection, source, list(filed))
    posted_from = _posted_from(connection, source, filed, before)
    rows = _Rows()
    counts = {"new": 0, "changed": 0, "unchanged": 0, "revised": 0}
    for document_id, item in filed.items():
        known = before.get(document_id, {})
        outcomes = set()
        for row in _document_rows(item, snapshots[document_id]):
            by_run = row["book"] in item.dated_by_run
            outcomes.add(rows.file(row, known.get(row["book"]), keeps_date=by_run))
        for book in (
            book for book, one in known.items() if one.is_current and book not in item.business_dates
        ):
            if (document_id, book) in posted_from:
                row = document_row(
                    item.mapped.document,
                    snapshots[document_id],
                    book,
                    BookRole.LEFT,
                    known[book].business_date,
                )
                outcomes.add(rows.file(row, known[book]))
            else:
                rows.retired.append(known[book].id)
                outcomes.add("changed")
        counts[_outcome(outcomes, is_new=not known)] += 1
    _retire(connection, rows, fetched_at)
    pks = {**rows.kept, **_insert_documents(connection, rows.inserts)}
    _update_documents(connection, rows.updates)
    _replace_parts(
        connection,
        source,
        {pk: filed[i].mapped.document for (i, _), pk in pks.items()},
        list(rows.kept.values()),
    )
    _cancel_unsent(connection, list(rows.kept.values()), rows.steady)
    problems.forget_cancelled(connection, list(rows.kept.values()), fetched_at)
    _file_problems(connection, filed, pks, fetched_at)
    return Saved(**counts)


def lock_source(connection: Connection, source: str) -> None:
    """One writer of a source's documents at a time, until the transaction ends: the books that it feeds run by
    themselves, and each of their runs reads the whole source. SQLite's write lock does the same.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(SOURCE_LOCK, func.hashtext(source))))


def _outcome(outcomes: set[str], *, is_new: bool) -> str:
    """What a document counts as, from what it is in each of its books."""
    if is_new:
        return "new"
    if "revised" in outcomes:
        return "revised"
    return "unchanged" if outcomes == {"unchanged"} else "changed"


def _retire(connection: Connection, rows: _Rows, at: datetime) -> None:
    """Take rows out of their books; nothing of a retired one may be sent, and nobody need look at it any more."""
    d, v, p = t.source_document, t.voucher, t.problem
    for part in chunks([*rows.superseded, *rows.retired]):
        connection.execute(update(d).where(d.c.id.in_(part)).values(is_current=False))
    revision = d.alias()
    for part in chunks(rows.retired):
        revisions = (
            select(revision.c.id)
            .join(
                d,
                and_(
                    revision.c.source == d.c.source,
                    revision.c.document_id == d.c.document_id,
                    revision.c.book == d.c.book,
                ),
            )
            .where(d.c.id.in_(part))
        )
        connection.execute(
            update(v)
            .where(v.c.document_pk.in_(revisions), v.c.status.in_(UNSENT_STATUSES))
            .values(status=VoucherStatus.CANCELLED)
        )
        connection.execute(
            update(p).where(p.c.document_pk.in_(part), p.c.resolved_at.is_(None)).values(resolved_at=at)
        )


def _file_problems(
    connection: Connection, filed: Mapping[str, Filed], pks: Mapping[tuple[str, str], int], at: datetime
) -> None:
    """What could not be read concerns every book that has a part in the document."""
    by_book: dict[str, dict[int, Sequence[Problem]]] = {}
    for (document_id, book), pk in pks.items():
        item = filed[document_id]
        concerns = item.mapped.document.status.is_due and book in item.business_dates
        by_book.setdefault(book, {})[pk] = item.mapped.problems if concerns else ()
    for book, found in by_book.items():
        problems.sync(connection, book, Stage.EXTRACT, found, at)


def _save_snapshots(
    connection: Connection, source: str, filed: Mapping[str, Filed], fetched_at: datetime
) -> dict[str, int]:
    s = t.source_snapshot
    payloads = {i: canonical_json(item.raw.payload) for i, item in filed.items()}
    digests = {i: hashlib.sha256(payload).hexdigest() for i, payload in payloads.items()}
    stored = {
        (row.document_id, row.digest): row.id
        for part in chunks(list(filed))
        for row in connection.execute(
            select(s.c.id, s.c.document_id, s.c.digest).where(s.c.source == source, s.c.document_id.in_(part))
        )
    }
    missing = [i for i in filed if (i, digests[i]) not in stored]
    if missing:
        rows = connection.execute(
            insert(s).returning(s.c.id, s.c.document_id, s.c.digest),
            [
                {
                    "source": source,
                    "document_id": i,
                    "digest": digests[i],
                    "payload": zlib.compress(payloads[i], 6),
                    "fetched_at": fetched_at,
                }
                for i in missing
            ],
        )
        stored |= {(row.document_id, row.digest): row.id for row in rows}
    return {i: stored[i, digests[i]] for i in filed}


def _newest_rows(
    connection: Connection, source: str, document_ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """The newest row of each document in each book that ever had one; by document, then by book.

    They are locked first: what another transaction is about to send or to accept is then decided.
    """
    d = t.source_document
    found: dict[str, dict[str, Any]] = {}
    for part in chunks(document_ids):
        wanted = (d.c.source == source, d.c.document_id.in_(part))
        if connection.dialect.name == "postgresql":
            connection.execute(select(d.c.id).where(*wanted).order_by(d.c.id).with_for_update())
        for row in connection.execute(
            select(
                d.c.id,
                d.c.document_id,
                d.c.revision,
                d.c.is_current,
                d.c.content_digest,
                d.c.book,
                d.c.role,
                d.c.status,
                d.c.disposition,
                d.c.disposition_reason,
                d.c.business_date,
                sent_voucher_of(d.c.id).label("is_sent"),
            )
            .where(*wanted)
            .order_by(d.c.revision)
        ):
            found.setdefault(row.document_id, {})[row.book] = row
    return found


def _posted_from(
    connection: Connection, source: str, filed: Mapping[str, Filed], before: Mapping[str, Mapping[str, Any]]
) -> set[tuple[str, str]]:
    """Of the documents that leave a book, those with a voucher from there that stands: (document, book)."""
    v = t.voucher
    leaving = [
        i for i, item in filed.items() if any(book not in item.business_dates for book in before.get(i, {}))
    ]
    return {
        (row.document_id, row.book)
        for part in chunks(leaving)
        for row in connection.execute(
            select(v.c.document_id, v.c.book).where(
                v.c.source == source, v.c.document_id.in_(part), stands(v)
            )
        )
    }


def _insert_documents(
    connection: Connection, rows: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, str], int]:
    if not rows:
        return {}
    d = t.source_document
    result = connection.execute(insert(d).returning(d.c.id, d.c.document_id, d.c.book), list(rows))
    return {(row.document_id, row.book): row.id for row in result}


def _update_documents(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    d = t.source_document
    names = [name for name in rows[0] if name != "pk"]
    connection.execute(
        update(d).where(d.c.id == bindparam("pk")).values({name: bindparam(f"new_{name}") for name in names}),
        [{"pk": row["pk"], **{f"new_{name}": row[name] for name in names}} for row in rows],
    )


def _replace_parts(
    connection: Connection, source: str, documents: Mapping[int, SourceDocument], kept: Sequence[int]
) -> None:
    for part in chunks(kept):
        for table in (t.source_line, t.source_invoice, t.source_write_off):
            connection.execute(delete(table).where(table.c.document_pk.in_(part)))
    by_id = {document.document_id: document for document in documents.values()}
    steps = t.approval_step
    for part in chunks(list(by_id)):
        connection.execute(delete(steps).where(steps.c.source == source, steps.c.document_id.in_(part)))
    insert_rows(connection, t.source_line, [row for pk, d in documents.items() for row in line_rows(pk, d)])
    insert_rows(
        connection, t.source_invoice, [row for pk, d in documents.items() for row in invoice_rows(pk, d)]
    )
    insert_rows(
        connection,
        t.source_write_off,
        [row for pk, d in documents.items() for row in write_off_rows(pk, d)],
    )
    insert_rows(connection, steps, [row for d in by_id.values() for row in step_rows(source, d)])


def _cancel_unsent(connection: Connection, pks: Sequence[int], steady: Sequence[int]) -> None:
    """A document that is no longer accepted must not be sent: generating it again revives its voucher. Corrections of
    `steady` documents stay: they were decided on for the document as it is.
    """
    d = t.source_document
    for part in chunks(pks):
        connection.execute(
            update(t.voucher)
            .where(
                t.voucher.c.document_pk.in_(part),
                t.voucher.c.status.in_(UNSENT_STATUSES),
                or_(
                    t.voucher.c.relation == Relation.NONE,
                    t.voucher.c.document_pk.not_in(set(part).intersection(steady)),
                ),
                t.voucher.c.document_pk.in_(
                    select(d.c.id).where(
                        d.c.id.in_(part),
                        d.c.disposition.not_in([Disposition.ACCEPTED, Disposition.NO_VOUCHER]),
                    )
                ),
            )
            .values(status=VoucherStatus.CANCELLED)
        )


def _document_rows(item: Filed, snapshot_id: int) -> Iterator[dict[str, Any]]:
    """The document's row in each book that has a part in it."""
    for book, business_date in item.business_dates.items():
        role = BookRole.HOME if book == item.home else BookRole.SHARE
        yield document_row(item.mapped.document, snapshot_id, book, role, business_date)


def insert_rows(connection: Connection, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), list(rows))


def chunks(items: Sequence[Any], size: int = CHUNK) -> Iterator[Sequence[Any]]:
    """Slices of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def set_disposition(connection: Connection, pks: Sequence[int], disposition: Disposition) -> None:
    for part in chunks(pks):
        connection.execute(
            update(t.source_document).where(t.source_document.c.id.in_(part)).values(disposition=disposition)
        )


def sent_voucher_of(pk: Any) -> Any:
    """Whether a document's revision has a voucher that left for the ledger."""
    return exists().where(t.voucher.c.document_pk == pk, is_sent(t.voucher.c.status))


def sent_in_any_revision(d: FromClause) -> ColumnElement[bool]:
    """Whether any revision of a row of `source_document` has a voucher in that book that left for the ledger."""
    v = t.voucher
    return exists().where(
        v.c.source == d.c.source,
        v.c.document_id == d.c.document_id,
        v.c.book == d.c.book,
        is_sent(v.c.status),
    )


def is_sent(status: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a voucher in this state left for the ledger."""
    return status.not_in([*UNSENT_STATUSES, VoucherStatus.CANCELLED])


def stands(v: FromClause) -> ColumnElement[bool]:
    """Whether a row of `voucher` left for the ledger and still counts there: it is neither a reversal nor reversed."""
    return and_(is_sent(v.c.status), v.c.relation != Relation.REVERSAL, ~is_reversed(v))


def is_reversed(v: FromClause) -> ColumnElement[bool]:
    """Whether a row of `voucher` counts no more: its reversal, or what corrects a prior year, is posted, or somebody
    reversed it in the ledger and that settled it.
    """
    later = t.voucher.alias()
    return or_(
        v.c.status == VoucherStatus.REVERSED,
        exists().where(
            later.c.original_id == v.c.id,
            later.c.relation.in_([Relation.REVERSAL, Relation.CORRECTION]),
            later.c.status == VoucherStatus.POSTED,
        ),
    )
