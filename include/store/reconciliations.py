"""Reconciliation and write-back in the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Engine,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    text,
    update,
)

from include.domain.document import BookRole, Disposition
from include.domain.period import FiscalPeriod
from include.domain.reconciliation import (
    INFORMATION,
    OF_BOOK,
    Discrepancy,
    DiscrepancyKind,
    KeptDiscrepancy,
)
from include.domain.voucher import UNSENT_STATUSES, VoucherStatus
from include.ports import Clock, WriteBackEntry, WriteBackOutcome, WriteBackResult
from include.store import audit, leases
from include.store import tables as t
from include.store.corrections import Relation
from include.store.documents import Scope, in_scope
from include.store.engine import reading, writing
from include.store.filing import chunks, is_reversed
from include.store.following import of_document
from include.store.leases import Lease

SEPARATOR = "、"
"""Between the numbers of several vouchers of one document."""
RECORD_LOCK = 0x766F7264
"""PostgreSQL's advisory lock while a run is recorded."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What one reconciliation looked at."""

    scope: Scope
    vouchers: int
    ledger_vouchers: int
    foreign_vouchers: int


@dataclass(frozen=True, slots=True)
class InLedger:
    """A posted voucher: our row id, the ledger's id, and the number that we know."""

    id: int
    ledger_id: str
    number: str


@dataclass(frozen=True, slots=True)
class Due:
    """A document whose voucher number the OA does not show yet. One number per document, so several are joined; none
    where all were reversed: then the OA shall show nothing.
    """

    document_id: str
    period: str
    vouchers: tuple[InLedger, ...]


class Reconciliations:
    """Every public method is one transaction."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.engine = engine
        self.clock = clock

    def last_run_at(self, book: str) -> datetime | None:
        """When the book was reconciled last."""
        r = t.reconciliation_run
        with reading(self.engine) as connection:
            last: datetime | None = connection.scalar(
                select(func.max(r.c.finished_at)).where(r.c.book == book)
            )
            return last

    def record(
        self,
        book: str,
        counted: Counted,
        found: Iterable[Discrepancy],
        periods: Iterable[FiscalPeriod],
        *,
        whole_book: bool,
    ) -> None:
        """Keep a run: differences found again keep their age, and what it looked for and did not find is resolved.

        It looked for everything in `periods`, and, of the `whole_book`, for what the store alone shows.
        """
        now = self.clock.now()
        d = t.discrepancy
        items = {item.identity: item for item in found}
        codes = {period.code for period in periods}
        with writing(self.engine) as connection:
            if (
                connection.dialect.name == "postgresql"
            ):  # one recorder at a time, as SQLite's write lock has it
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": RECORD_LOCK})
            fresh = dict(items)
            seen, gone = [], []
            for row in connection.execute(
                select(d.c.id, d.c.period, d.c.kind, d.c.subject).where(
                    d.c.book == book, d.c.resolved_at.is_(None)
                )
            ):
                if fresh.pop((row.period, row.kind, row.subject), None) is not None:
                    seen.append({"pk": row.id, **_words(items[row.period, row.kind, row.subject])})
                elif row.period in codes or (whole_book and row.kind in OF_BOOK):
                    gone.append(row.id)
            if seen:
                columns: dict[str, Any] = {name: bindparam(f"new_{name}") for name in _WORDS}
                connection.execute(
                    update(d).where(d.c.id == bindparam("pk")).values(last_seen_at=now, **columns), seen
                )
            for part in chunks(gone):
                connection.execute(update(d).where(d.c.id.in_(part)).values(resolved_at=now))
            if fresh:
                connection.execute(insert(d), [_discrepancy_row(book, item, now) for item in fresh.values()])
            connection.execute(
                insert(t.reconciliation_run).values(
                    book=book,
                    date_from=counted.scope.date_from,
                    date_to=counted.scope.date_to,
                    vouchers=counted.vouchers,
                    ledger_vouchers=counted.ledger_vouchers,
                    foreign_vouchers=counted.foreign_vouchers,
                    discrepancies=sum(not item.kind.is_information for item in items.values()),
                    finished_at=now,
                )
            )

    def open(self, book: str) -> list[KeptDiscrepancy]:
        """The book's open differences, the oldest first."""
        d = t.discrepancy
        with reading(self.engine) as connection:
            return [
                KeptDiscrepancy(
                    row.id,
                    Discrepancy(
                        DiscrepancyKind(row.kind),
                        row.subject,
                        row.period,
                        row.ours,
                        row.theirs,
                        row.zh,
                        row.en,
                    ),
                    row.first_seen_at,
                    row.last_seen_at,
                    row.assigned_to,
                    row.assigned_at,
                )
                for row in connection.execute(
                    select(d)
                    .where(d.c.book == book, d.c.resolved_at.is_(None))
                    .order_by(d.c.first_seen_at, d.c.id)
                )
            ]

    def open_discrepancies(self, book: str) -> int:
        """How many are open, those left out that are only information."""
        d = t.discrepancy
        with reading(self.engine) as connection:
            return (
                connection.scalar(
                    select(func.count()).where(
                        d.c.book == book, d.c.resolved_at.is_(None), d.c.kind.not_in(INFORMATION)
                    )
                )
                or 0
            )

    def assign(self, book: str, ids: Sequence[int], person: str, actor: str) -> list[int]:
        """Say who takes open differences up, "" for nobody; returns those that were open. Kept in the audit chain."""
        d, now = t.discrepancy, self.clock.now()
        with writing(self.engine) as connection:
            rows = [
                row
                for part in chunks(ids)
                for row in connection.execute(
                    select(d.c.id, d.c.kind, d.c.subject)
                    .where(d.c.book == book, d.c.id.in_(part), d.c.resolved_at.is_(None))
                    .order_by(d.c.id)
                )
            ]
            for part in chunks([row.id for row in rows]):
                values = {"assigned_to": person, "assigned_at": now if person else None}
                connection.execute(update(d).where(d.c.id.in_(part)).values(**values))
            events = [
                audit.AuditEvent(
                    actor,
                    book,
                    "discrepancy.assigned",
                    row.subject,
                    {"id": row.id, "kind": row.kind, "assigned_to": person},
                )
                for row in rows
            ]
            audit.append(connection, events, now)
        return [row.id for row in rows]

    def adopt(self, lease: Lease, ids: Sequence[int], actor: str) -> list[str]:
        """Let posting look up vouchers that were never sent, by what we know, and are in the ledger all the same; returns
        their keys. Those that were sent meanwhile are left alone, and so are cancelled ones whose lines were not kept.

        Raises:
            LeaseLost: another run writes for the book.
        """
        v = t.voucher
        unsent = and_(
            v.c.status.in_([*UNSENT_STATUSES, VoucherStatus.CANCELLED]),
            exists().where(t.journal_line.c.voucher_id == v.c.id),
        )
        return self._put_in_doubt(lease, ids, unsent, "voucher.found_in_ledger", actor)

    def send_back(self, lease: Lease, ids: Sequence[int], actor: str) -> list[str]:
        """Let posting look up vouchers that were posted and are gone from the ledger, and send them again; returns their
        keys. Left alone are those that may not be sent: their document is not accepted any more, or a correction
        builds upon them.

        Raises:
            LeaseLost: another run writes for the book.
        """
        v, d, other = t.voucher, t.source_document, t.voucher.alias()
        may_be_sent = and_(
            v.c.status == VoucherStatus.POSTED,
            exists().where(
                d.c.id == v.c.document_pk, d.c.is_current, d.c.disposition == Disposition.ACCEPTED
            ),
            ~exists().where(other.c.original_id == v.c.id, other.c.status != VoucherStatus.CANCELLED),
        )
        return self._put_in_doubt(lease, ids, may_be_sent, "voucher.gone_from_ledger", actor)

    def _put_in_doubt(
        self, lease: Lease, ids: Sequence[int], condition: ColumnElement[bool], action: str, actor: str
    ) -> list[str]:
        """What was believed of them goes into the audit chain."""
        v, now = t.voucher, self.clock.now()
        with writing(self.engine) as connection:
            leases.check(connection, lease, now)
            rows = [
                row
                for part in chunks(sorted(ids))
                for row in connection.execute(
                    select(v.c.id, v.c.key, v.c.status, v.c.ledger_id, v.c.ledger_number, v.c.content_digest)
                    .where(v.c.book == lease.book, v.c.id.in_(part), condition)
                    .order_by(v.c.id)
                    .with_for_update()
                )
            ]
            for part in chunks([row.id for row in rows]):
                connection.execute(
                    update(v)
                    .where(v.c.id.in_(part))
                    .values(
                        status=VoucherStatus.UNKNOWN,
                        ledger_id="",
                        ledger_number="",
                        posted_at=None,
                        message="",
                    )
                )
            events = [
                audit.AuditEvent(
                    actor,
                    lease.book,
                    action,
                    row.key,
                    {
                        "status": row.status,
                        "ledger_id": row.ledger_id,
                        "number": row.ledger_number,
                        "digest": row.content_digest or "",
                    },
                )
                for row in rows
            ]
            audit.append(connection, events, now)
        return [row.key for row in rows]

    def write_backs_due(self, book: str, source: str, scope: Scope, after: str, size: int) -> list[Due]:
        """Documents, by id, whose vouchers are all in the ledger and whose number the OA does not have from us.

        The OA shows one number: that of the document's home, never those of other books that share it. A voucher that
        was reversed does not count: its replacement does, and the OA is told again. Where nothing is left
        `vouchers` is empty. One the OA has refused comes again only after the document changed there.
        """
        d, v, w = t.source_document, t.voucher, t.write_back
        other = v.alias()
        with reading(self.engine) as connection:
            ids = connection.scalars(
                select(d.c.document_id)
                .outerjoin(w, and_(w.c.source == d.c.source, w.c.document_id == d.c.document_id))
                .where(
                    d.c.book == book,
                    d.c.source == source,
                    d.c.is_current,
                    d.c.role == BookRole.HOME,
                    d.c.document_id > after,
                    in_scope(scope),
                    exists().where(of_document(d, v), v.c.status.in_(_EVER_POSTED)),
                    ~exists().where(
                        other.c.document_pk == d.c.id,
                        other.c.status.not_in([*_EVER_POSTED, VoucherStatus.CANCELLED]),
                    ),
                    _is_untold(book, w),
                )
                .order_by(d.c.document_id)
                .limit(size)
            ).all()
            rows = connection.execute(
                select(v.c.id, v.c.document_id, v.c.ledger_id, v.c.ledger_number, v.c.period)
                .join(d, of_document(d, v))
                .where(
                    d.c.book == book,
                    d.c.source == source,
                    d.c.is_current,
                    d.c.document_id.in_(ids),
                    _counts(v),
                )
                .order_by(v.c.id)
            ).all()
        grouped: dict[str, list[Any]] = {document_id: [] for document_id in ids}
        for row in rows:
            grouped[row.document_id].append(row)
        return [
            Due(
                document_id,
                items[0].period if items else "",
                tuple(InLedger(r.id, r.ledger_id, r.ledger_number) for r in items),
            )
            for document_id, items in grouped.items()
        ]

    def record_write_backs(
        self,
        book: str,
        source: str,
        entries: Sequence[WriteBackEntry],
        results: Sequence[WriteBackResult],
        actor: str,
    ) -> None:
        """Keep what the OA took and what it refused."""
        now = self.clock.now()
        w = t.write_back
        with writing(self.engine) as connection:
            for part in chunks([entry.document_id for entry in entries]):
                connection.execute(delete(w).where(w.c.source == source, w.c.document_id.in_(part)))
            connection.execute(
                insert(w),
                [
                    {
                        "source": source,
                        "document_id": entry.document_id,
                        "book": book,
                        "voucher_no": entry.voucher_no,
                        "fiscal_period": entry.fiscal_period,
                        "outcome": result.outcome,
                        "message": result.message[:2000],
                        "at": now,
                    }
                    for entry, result in zip(entries, results, strict=True)
                ],
            )
            audit.append(
                connection,
                [
                    audit.AuditEvent(
                        actor,
                        book,
                        "document.written_back",
                        entry.document_id,
                        {"voucher_no": entry.voucher_no},
                    )
                    for entry, result in zip(entries, results, strict=True)
                    if result.outcome is WriteBackOutcome.WRITTEN
                ],
                now,
            )


def _is_untold(book: str, told: Any) -> ColumnElement[bool]:
    """Whether the OA lacks a number of a row of `source_document`, given what it was told last (`told`, if at all)."""
    d, v = t.source_document, t.voucher
    is_new = and_(
        or_(v.c.relation == Relation.REPLACEMENT, v.c.posted_at > told.c.at),
        _counts(v),
        ~_is_told(v, told),
    )
    return or_(
        and_(
            or_(told.c.id.is_(None), told.c.book != book),  # nothing told, or by the home that it had before
            exists().where(of_document(d, v), _counts(v)),
        ),
        told.c.outcome == WriteBackOutcome.UNKNOWN,
        and_(told.c.outcome == WriteBackOutcome.REFUSED, told.c.at < d.c.updated_at),
        exists().where(of_document(d, v), or_(is_new, and_(is_reversed(v), _is_told(v, told)))),
    )


_EVER_POSTED = (VoucherStatus.POSTED, VoucherStatus.REVERSED)


def _counts(voucher: Any) -> ColumnElement[bool]:
    """It is in the ledger and neither reverses another nor was reversed."""
    return and_(
        voucher.c.status == VoucherStatus.POSTED,
        voucher.c.relation != Relation.REVERSAL,
        ~is_reversed(voucher),
    )


def _is_told(voucher: Any, told: Any) -> ColumnElement[bool]:
    """Whether a voucher's number is among those that were written back, which are joined by a mark."""
    marked: ColumnElement[str] = SEPARATOR + told.c.voucher_no + SEPARATOR
    number: ColumnElement[str] = SEPARATOR + voucher.c.ledger_number + SEPARATOR
    without: ColumnElement[str] = func.replace(marked, number, "")
    return without != marked


_WORDS = ("ours", "theirs", "zh", "en")


def _words(item: Discrepancy) -> dict[str, str]:
    """What the last run said of it."""
    return {f"new_{name}": getattr(item, name) for name in _WORDS}


def _discrepancy_row(book: str, item: Discrepancy, now: datetime) -> dict[str, Any]:
    return {
        "book": book,
        "kind": item.kind,
        "subject": item.subject,
        "period": item.period,
        "ours": item.ours,
        "theirs": item.theirs,
        "zh": item.zh,
        "en": item.en,
        "owner": item.kind.owner,
        "first_seen_at": now,
        "last_seen_at": now,
    }
