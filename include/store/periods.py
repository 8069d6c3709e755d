"""Dates of unsent vouchers in the store: where they stand, and moving them out of closed periods."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from include.domain.period import LedgerPeriod
from include.domain.problems import Stage
from include.domain.voucher import VoucherStatus
from include.store import audit
from include.store import tables as t
from include.store.corrections import Place, Relation
from include.store.filing import chunks

MOVABLE = (VoucherStatus.GENERATED, VoucherStatus.HELD)
"""States in which nothing of a voucher has left for the ledger, and the document still wants it as it is."""
UNPOSTED = (
    *MOVABLE,
    VoucherStatus.REJECTED,
    VoucherStatus.SENDING,
    VoucherStatus.UNKNOWN,
    VoucherStatus.CONFLICT,
)
"""States of vouchers that somebody or something still has to bring into the ledger."""
HELD = f"voucher.{VoucherStatus.HELD}"
"""The code of the problem that says why a voucher is held."""


@dataclass(frozen=True, slots=True)
class Dates:
    """The days that bind a voucher: by the book's policy, and the earliest that its order among corrections allows."""

    by_policy: date
    not_before: date


@dataclass(frozen=True, slots=True)
class Move:
    """A voucher's new day. `seen` is the day on which that was decided; `why` is a word for the audit trail."""

    id: int
    seen: date
    to: date
    why: str


@dataclass(frozen=True, slots=True)
class Held:
    """A voucher that waits for its period."""

    id: int
    key: str
    code: str
    date: date
    debit_minor: int


@dataclass(frozen=True, slots=True)
class Count:
    """Vouchers of one day in one state."""

    date: date
    status: VoucherStatus
    number: int
    debit_minor: int


def dates(connection: Connection, ids: Collection[int]) -> dict[int, Dates]:
    """Of these vouchers, by row id.

    A correction comes no earlier than what it corrects, and whatever takes the place of something reversed (a
    replacement, the voucher of a later revision) no earlier than its reversal.
    """
    v, original, reversal = t.voucher, t.voucher.alias(), t.voucher.alias()
    found: dict[int, Dates] = {}
    for part in chunks(sorted(ids)):
        rows = connection.execute(
            select(
                v.c.id,
                v.c.date,
                v.c.policy_date,
                v.c.book,
                v.c.source,
                v.c.document_id,
                v.c.event,
                v.c.relation,
                v.c.original_id,
                original.c.date.label("original_date"),
            )
            .outerjoin(original, original.c.id == v.c.original_id)
            .where(v.c.id.in_(part))
        ).all()
        its = connection.execute(
            select(
                reversal.c.book,
                reversal.c.source,
                reversal.c.document_id,
                reversal.c.event,
                reversal.c.original_id,
                reversal.c.date,
            ).where(
                reversal.c.document_id.in_({row.document_id for row in rows}),
                reversal.c.source.in_({row.source for row in rows}),
                reversal.c.relation == Relation.REVERSAL,
                reversal.c.status != VoucherStatus.CANCELLED,
            )
        )
        reversals: dict[tuple[str, str, str], list[Any]] = {}
        for each in its:
            reversals.setdefault((each.book, each.source, each.document_id), []).append(each)
        for row in rows:
            earlier = [row.original_date] if row.original_date else []
            if row.relation != Relation.REVERSAL:
                event = Place.of(row.event).event
                earlier += [
                    each.date
                    for each in reversals.get((row.book, row.source, row.document_id), ())
                    if each.original_id == row.original_id or Place.of(each.event).event == event
                ]
            found[row.id] = Dates(row.policy_date or row.date, max(earlier, default=date.min))
    return found


def move(connection: Connection, moves: Sequence[Move], *, actor: str, at: datetime) -> set[int]:
    """Give unsent vouchers another day; returns the ids of those that were moved.

    The day by the book's policy is kept, an audit event is written for each, and what said that it was held is resolved.
    One that was sent, cancelled or given another day since it was seen is left alone. The connection must be in a
    writing transaction that holds the book's lease.
    """
    v, p = t.voucher, t.problem
    wanted = {each.id: each for each in moves}
    rows = [
        row
        for part in chunks(sorted(wanted))
        for row in connection.execute(
            select(v.c.id, v.c.key, v.c.book, v.c.document_pk, v.c.date, v.c.policy_date)
            .where(v.c.id.in_(part), v.c.status.in_(MOVABLE))
            .order_by(v.c.id)
            .with_for_update()
        )
        if row.date == wanted[row.id].seen
    ]
    if not rows:
        return set()
    connection.execute(
        update(v)
        .where(v.c.id == bindparam("pk"))
        .values(
            date=bindparam("new_date"),
            period=bindparam("new_period"),
            policy_date=bindparam("by_policy"),
            status=VoucherStatus.GENERATED,
            message="",
            content_digest=None,
        ),
        [
            {
                "pk": row.id,
                "new_date": wanted[row.id].to,
                "new_period": f"{wanted[row.id].to:%Y-%m}",
                "by_policy": None if wanted[row.id].to == by_policy else by_policy,
            }
            for row in rows
            for by_policy in [row.policy_date or row.date]
        ],
    )
    for part in chunks(rows):
        connection.execute(
            update(p)
            .where(
                p.c.document_pk.in_([row.document_pk for row in part]),
                p.c.where.in_([row.key for row in part]),
                p.c.stage == Stage.POST,
                p.c.code == HELD,
                p.c.resolved_at.is_(None),
            )
            .values(resolved_at=at)
        )
    audit.append(connection, [_event(row, wanted[row.id], actor) for row in rows], at)
    return {row.id for row in rows}


def _event(row: Any, to: Move, actor: str) -> audit.AuditEvent:
    by_policy = row.policy_date or row.date
    detail = {"from": str(row.date), "to": str(to.to), "by_policy": str(by_policy), "why": to.why}
    return audit.AuditEvent(actor, row.book, "voucher.moved", row.key, detail)


def held_in(connection: Connection, book: str, period: LedgerPeriod) -> list[Held]:
    """The book's held vouchers of a period, in the order of their ids."""
    v, d = t.voucher, t.source_document
    rows = connection.execute(
        select(v.c.id, v.c.key, d.c.code, v.c.date, v.c.debit_minor)
        .join(d, d.c.id == v.c.document_pk)
        .where(
            v.c.book == book,
            v.c.status == VoucherStatus.HELD,
            v.c.date.between(period.first_day, period.last_day),
        )
        .order_by(v.c.id)
    )
    return [Held(row.id, row.key, row.code, row.date, row.debit_minor) for row in rows]


def unposted_by_day(connection: Connection, book: str) -> list[Count]:
    """How many vouchers of the book are not in the ledger, by day and state."""
    v = t.voucher
    rows = connection.execute(
        select(v.c.date, v.c.status, func.count(), func.sum(v.c.debit_minor))
        .where(
            v.c.book == book,
            v.c.status.in_(UNPOSTED),
        )
        .group_by(v.c.date, v.c.status)
    )
    return [Count(day, VoucherStatus(status), number, int(total)) for day, status, number, total in rows]
