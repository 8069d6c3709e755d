"""Documents that changed after something of them was sent, with all their vouchers: what following up on them reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from sqlalchemy import ColumnElement, Connection, FromClause, and_, exists, or_, select

from include.domain.document import DUE_STATUSES, BookRole, Disposition
from include.domain.problems import Problem, Stage
from include.domain.voucher import UNSENT_STATUSES, VoucherStatus
from include.store import bulk, problems, standing
from include.store import tables as t
from include.store.corrections import CHANGED_AFTER_POSTING, Relation
from include.store.documents import Scope, in_scope, is_out_of_line
from include.store.filing import set_disposition, stands
from include.store.reading import Frames, frames_of


@dataclass(frozen=True, slots=True)
class Histories:
    """Some current documents of a book and what became of them there, all by `document_pk`, the current row.

    `frames` are those of `include.store.reading`, documents with content_digest, role and disposition too. `vouchers` are
    of all revisions, oldest first, with `voucher_pk_of` the row that each belongs to; `journal` has the lines of those in
    the ledger. `revisions` are the row ids of each document. `held` are documents that the gate holds for other reasons
    than a change after posting.
    """

    frames: Frames
    vouchers: pl.DataFrame
    journal: pl.DataFrame
    revisions: dict[int, tuple[int, ...]]
    held: frozenset[int]


def out_of_line(connection: Connection, book: str, scope: Scope) -> list[int]:
    """Current documents in scope, by row id, that something is to be done about since they changed.

    A voucher stands that the document does not ask for any more; or all that was posted is reversed and it asks for one
    again; or an earlier revision left a voucher behind that was never sent.
    """
    d, v = t.source_document, t.voucher
    current = (d.c.book == book, d.c.is_current, in_scope(scope))
    other, earlier = v.alias(), d.alias()
    wrong = select(d.c.id).join(v, of_document(d, v)).where(*current, is_out_of_line(d, v), stands(v))
    missing = (
        select(d.c.id)
        .join(v, of_document(d, v))
        .where(
            *current,
            d.c.status.in_(DUE_STATUSES),
            d.c.role != BookRole.LEFT,
            d.c.disposition == Disposition.ACCEPTED,
            or_(
                and_(
                    v.c.original_id.is_not(None),
                    v.c.relation == Relation.REVERSAL,
                    v.c.status == VoucherStatus.POSTED,
                ),
                v.c.status == VoucherStatus.REVERSED,
            ),
            ~exists().where(of_document(d, other), stands(other)),
        )
    )
    left_behind = (
        select(d.c.id)
        .join(v, of_document(d, v))
        .join(earlier, earlier.c.id == v.c.document_pk)
        .where(*current, ~earlier.c.is_current, v.c.status.in_(UNSENT_STATUSES))
    )
    found: set[int] = set()
    for query in (wrong, missing, left_behind):
        found.update(connection.scalars(query))
    return sorted(found)


def histories(connection: Connection, pks: list[int]) -> Histories:
    """Everything about these current documents, in one state of the store."""
    d, v, p = t.source_document, t.voucher, t.problem
    row = d.alias()
    chosen = bulk.among(connection, d.c.id, pks)
    revisions: dict[int, list[int]] = {pk: [] for pk in pks}
    rows = bulk.read(
        connection, select(d.c.id, row.c.id.label("revision_pk")).join(row, of_document(d, row)).where(chosen)
    )
    for pk, revision_pk in rows.sort("revision_pk").select("id", "revision_pk").iter_rows():
        revisions[pk].append(revision_pk)
    names = (*standing.VOUCHER_COLUMNS, "content_digest", "ledger_id")
    vouchers = (
        bulk.read(
            connection,
            select(*(v.c[name] for name in names)).where(
                bulk.among(connection, v.c.document_pk, rows["revision_pk"])
            ),
        )
        .rename({"document_pk": "voucher_pk_of"})
        .join(rows.rename({"id": "document_pk"}), left_on="voucher_pk_of", right_on="revision_pk")
        .sort("id")
    )
    posted = vouchers.filter(pl.col("status") == VoucherStatus.POSTED.value)
    of_others = and_(
        p.c.resolved_at.is_(None),
        p.c.stage.in_([Stage.EXTRACT, Stage.VALIDATE]),
        p.c.code.not_in(CHANGED_AFTER_POSTING),
    )
    held = connection.scalars(
        select(p.c.document_pk).where(bulk.among(connection, p.c.document_pk, pks), of_others)
    )
    return Histories(
        frames_of(connection, pks, "content_digest", "role", "disposition", "disposition_reason"),
        vouchers,
        standing.journal_of(connection, posted["id"]),
        {pk: tuple(found) for pk, found in revisions.items()},
        frozenset(held),
    )


def of_document(d: FromClause, v: FromClause) -> ColumnElement[bool]:
    """Whether a row of `source_document` is a revision of the document of a row of `voucher`, in the same book."""
    return and_(v.c.source == d.c.source, v.c.document_id == d.c.document_id, v.c.book == d.c.book)


def is_asked_for(v: FromClause, d: FromClause) -> ColumnElement[bool]:
    """Whether a row of `voucher` is what its document asks for and nothing has to go before it; `d` is that document."""
    other, original = t.voucher.alias(), t.voucher.alias()
    is_free = or_(
        exists().where(
            other.c.original_id == v.c.original_id,
            other.c.relation == Relation.REVERSAL,
            other.c.status == VoucherStatus.POSTED,
        ),
        exists().where(original.c.id == v.c.original_id, original.c.status == VoucherStatus.REVERSED),
    )
    reversal = t.voucher.alias()
    waits_for_a_reversal = exists().where(
        reversal.c.source == v.c.source,
        reversal.c.document_id == v.c.document_id,
        reversal.c.book == v.c.book,
        reversal.c.relation == Relation.REVERSAL,
        reversal.c.status.not_in([VoucherStatus.POSTED, VoucherStatus.CANCELLED]),
    )
    return and_(
        v.c.relation != Relation.REVERSAL,
        d.c.is_current,
        d.c.disposition == Disposition.ACCEPTED,
        or_(v.c.relation != Relation.REPLACEMENT, is_free),
        ~waits_for_a_reversal,
    )


def may_be_taken_back(v: FromClause) -> ColumnElement[bool]:
    """Whether a row of `voucher` is a reversal that may go: its document is accepted as it is now, or asks for nothing in
    this book any more.
    """
    d = t.source_document.alias()
    return and_(
        v.c.relation == Relation.REVERSAL,
        exists().where(
            of_document(d, v),
            d.c.is_current,
            or_(
                d.c.disposition.in_([Disposition.ACCEPTED, Disposition.NO_VOUCHER]),
                d.c.status.not_in(DUE_STATUSES),
                d.c.role == BookRole.LEFT,
            ),
        ),
    )


def unwanted(connection: Connection, ids: list[int]) -> frozenset[int]:
    """Of these vouchers, those that their documents do not ask for any more as they were sent; reversals never are."""
    d, v = t.source_document, t.voucher
    asks_no_more = or_(~d.c.is_current, d.c.status.not_in(DUE_STATUSES), d.c.role == BookRole.LEFT)
    query = (
        select(v.c.id)
        .join(d, d.c.id == v.c.document_pk)
        .where(bulk.among(connection, v.c.id, ids), v.c.relation != Relation.REVERSAL, asks_no_more)
    )
    return frozenset(connection.scalars(query))


def file_problems(
    connection: Connection, book: str, scope: Scope, found: Mapping[int, Sequence[Problem]], at: datetime
) -> None:
    """Make the open problems of this stage, for documents in scope, exactly those found; their documents are quarantined.

    The connection must be in a writing transaction.
    """
    d, p = t.source_document, t.problem
    still_open = connection.scalars(
        select(p.c.document_pk)
        .join(d, d.c.id == p.c.document_pk)
        .where(p.c.book == book, p.c.stage == Stage.FOLLOW, p.c.resolved_at.is_(None), in_scope(scope))
    )
    problems.sync(connection, book, Stage.FOLLOW, {pk: found.get(pk, ()) for pk in {*still_open, *found}}, at)
    set_disposition(connection, list(found), Disposition.QUARANTINED)
