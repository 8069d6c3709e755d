"""What of a period is not in the ledger, as whole sets: documents without a voucher there, and vouchers on their way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, Connection, Select, and_, case, exists, func, literal, or_, select, true

from include.domain.document import BookRole, Disposition, DocumentStatus
from include.domain.voucher import VoucherStatus
from include.store import bulk
from include.store import tables as t
from include.store.corrections import Relation
from include.store.periods import UNPOSTED

IN_DOUBT = (VoucherStatus.SENDING, VoucherStatus.UNKNOWN)
TO_COME = (DocumentStatus.AWAITING_PAYMENT, DocumentStatus.IN_APPROVAL)
"""Not due, and likely to become so: approved and not paid, or still being approved."""


def documents(
    connection: Connection, book: str, first: date, last: date, approved: tuple[datetime, datetime]
) -> pl.DataFrame:
    """Current documents of these business days that have no voucher on its way, though they are due or may become so.

    Those whose day cannot be told come with every period. Of those that are not due, the ones that were approved in the
    span `approved` come too. Columns: document_pk, code, state (a disposition, or the OA's status of one that is not
    due), day, since, amount_minor (null where it is not the book's alone).
    """
    d = t.source_document
    in_period = d.c.business_date.between(first, last)
    to_come = and_(
        d.c.disposition == Disposition.NOT_DUE,
        d.c.status.in_(TO_COME),
        or_(in_period, d.c.approved_at.between(*approved)),
    )
    return pl.concat(
        [
            bulk.read(connection, _documents(book, condition, state))
            for condition, state in (
                (
                    and_(_unsettled(_dated(first, last)), or_(in_period, d.c.business_date.is_(None))),
                    d.c.disposition,
                ),
                (and_(_unmade(book), in_period), d.c.disposition),
                (to_come, d.c.status),
            )
        ]
    )


def _documents(book: str, condition: ColumnElement[bool], state: ColumnElement[str]) -> Select[Any]:
    d = t.source_document
    is_home = d.c.role == BookRole.HOME
    return select(
        d.c.id.label("document_pk"),
        d.c.code,
        d.c.document_id,
        state.label("state"),
        d.c.business_date.label("day"),
        func.coalesce(
            d.c.paid_at, d.c.approved_at, d.c.submitted_at, d.c.created_at, type_=t.UtcDateTime
        ).label("since"),
        case((is_home, d.c.gross_minor)).label("amount_minor"),
    ).where(d.c.book == book, d.c.is_current, condition)


def _dated(first: date, last: date) -> ColumnElement[bool]:
    """Vouchers that are dated, or were before a move, on these days."""
    v = t.voucher
    return or_(v.c.date.between(first, last), v.c.policy_date.between(first, last))


def _unsettled(here: ColumnElement[bool]) -> ColumnElement[bool]:
    """Documents that are not through the gate, unless it is a voucher of theirs, one of those `here`, that waits."""
    d, v = t.source_document, t.voucher
    return and_(
        d.c.disposition.in_([Disposition.PENDING, Disposition.QUARANTINED]),
        ~exists().where(v.c.document_pk == d.c.id, v.c.status.in_(UNPOSTED), here),
    )


def _unmade(book: str) -> ColumnElement[bool]:
    """Documents that were accepted and have no voucher at all, or cancelled ones only.

    Said so that an index alone answers for all documents but those with a cancelled voucher.
    """
    d, v = t.source_document, t.voucher
    has_any = exists().where(v.c.document_pk == d.c.id)
    return and_(d.c.disposition == Disposition.ACCEPTED, or_(~has_any, d.c.id.in_(_void(book))))


def _void(book: str) -> Select[tuple[int]]:
    """Row ids, as `id`, of documents whose vouchers are all cancelled."""
    v, other = t.voucher, t.voucher.alias()
    stands = exists().where(other.c.document_pk == v.c.document_pk, other.c.status != VoucherStatus.CANCELLED)
    return select(v.c.document_pk.label("id")).where(
        v.c.book == book, v.c.status == VoucherStatus.CANCELLED, ~stands
    )


def vouchers(connection: Connection, book: str, first: date, last: date) -> pl.DataFrame:
    """Vouchers that are dated, or were before a move, on these days and are not in the ledger.

    Columns: document_pk, key, code, document_id, state (their status, or `waiting`: something must be reversed first, or
    `quarantined`: their document is), day, policy_date, since, amount_minor, message.
    """
    v, d, a, other = t.voucher, t.source_document, t.posting_attempt, t.voucher.alias()
    is_ready = and_(
        v.c.status.in_([VoucherStatus.GENERATED, VoucherStatus.HELD]), v.c.relation != Relation.REVERSAL
    )
    waits = exists().where(
        other.c.relation == Relation.REVERSAL,
        other.c.status.not_in([VoucherStatus.POSTED, VoucherStatus.CANCELLED]),
        or_(other.c.document_pk == v.c.document_pk, other.c.original_id == v.c.original_id),
    )
    sent_at = select(func.max(a.c.at)).where(a.c.voucher_id == v.c.id, a.c.step == "intent").scalar_subquery()
    state = case(
        (v.c.status.in_(IN_DOUBT), literal("in_doubt")),
        (and_(is_ready, waits), literal("waiting")),
        (and_(is_ready, d.c.disposition != Disposition.ACCEPTED), d.c.disposition),
        else_=v.c.status,
    )
    since = case((v.c.status.in_(IN_DOUBT), sent_at), else_=v.c.generated_at)
    return bulk.read(
        connection,
        select(
            v.c.document_pk,
            v.c.key,
            d.c.code,
            d.c.document_id,
            state.label("state"),
            v.c.date.label("day"),
            v.c.policy_date,
            func.coalesce(since, v.c.generated_at, type_=t.UtcDateTime).label("since"),
            v.c.debit_minor.label("amount_minor"),
            v.c.message,
        )
        .join(d, d.c.id == v.c.document_pk)
        .where(
            v.c.book == book,
            v.c.status.in_(UNPOSTED),
            _dated(first, last),
        ),
    )


def problems(connection: Connection, book: str, pks: Sequence[int] | pl.Series) -> pl.DataFrame:
    """What is open of these documents, the oldest first: document_pk, where, zh, en, owner, found_at."""
    p = t.problem
    columns = (p.c.id, p.c.document_pk, p.c.where, p.c.zh, p.c.en, p.c.owner, p.c.found_at)
    found = bulk.read(
        connection,
        select(*columns).where(
            p.c.book == book, p.c.resolved_at.is_(None), bulk.among(connection, p.c.document_pk, pks)
        ),
    )
    return found.sort("id").drop("id")


def count_before(connection: Connection, book: str, first: date) -> int:
    """How many documents and vouchers of earlier days are not in the ledger, as `documents` and `vouchers` count them."""
    d, v = t.source_document, t.voucher
    is_earlier = (d.c.book == book, d.c.is_current, d.c.business_date < first)
    unsettled = select(func.count()).select_from(d).where(*is_earlier, _unsettled(true()))
    unposted = select(func.count()).where(v.c.book == book, v.c.status.in_(UNPOSTED), v.c.date < first)
    # All accepted ones ever: two lists of ids and their difference take a fifth of the time that SQLite does.
    accepted = select(d.c.id).where(*is_earlier, d.c.disposition == Disposition.ACCEPTED)
    made = bulk.read(connection, select(v.c.document_pk.label("id")).where(v.c.document_pk.is_not(None)))
    void = bulk.read(connection, _void(book))
    unmade = bulk.read(connection, accepted).join(made.join(void, on="id", how="anti"), on="id", how="anti")
    return unmade.height + sum(connection.scalar(each) or 0 for each in (unsettled, unposted))


def discrepancies(connection: Connection, book: str, period: str) -> list[dict[str, Any]]:
    """Open differences of a period: kind, subject, zh, en, owner, first_seen_at."""
    x = t.discrepancy
    rows = connection.execute(
        select(x.c.kind, x.c.subject, x.c.zh, x.c.en, x.c.owner, x.c.first_seen_at)
        .where(x.c.book == book, x.c.resolved_at.is_(None), x.c.period == period)
        .order_by(x.c.first_seen_at, x.c.id)
    )
    return [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name for it
