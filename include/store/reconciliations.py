"""Reconciliation and write-back in the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, delete, exists, func, insert, or_, select, update

from include.domain.document import BookRole, Disposition
from include.domain.period import FiscalPeriod
from include.domain.reconciliation import Discrepancy, DiscrepancyKind
from include.domain.voucher import VoucherStatus
from include.ports import Clock, WriteBackEntry, WriteBackOutcome, WriteBackResult
from include.store import audit
from include.store import tables as t
from include.store.corrections import Relation
from include.store.documents import Scope, in_scope
from include.store.engine import reading, writing
from include.store.filing import chunks, is_reversed

SEPARATOR = "、"
"""Between the numbers of several vouchers of one document."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A voucher of ours as reconciliation needs it."""

    id: int
    key: str
    status: VoucherStatus
    content_digest: str
    ledger_id: str
    ledger_number: str


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

    def periods_to_check(self, book: str) -> list[FiscalPeriod]:
        """Periods with vouchers posted since the last reconciliation, or with open differences."""
        v, r, d = t.voucher, t.reconciliation_run, t.discrepancy
        last = select(func.max(r.c.finished_at)).where(r.c.book == book).scalar_subquery()
        with reading(self.engine) as connection:
            codes = set(
                connection.scalars(
                    select(v.c.period)
                    .where(v.c.book == book, or_(last.is_(None), v.c.posted_at >= last))
                    .distinct()
                )
            ) | set(
                connection.scalars(
                    select(d.c.period).where(d.c.book == book, d.c.resolved_at.is_(None), d.c.period != "")
                )
            )
        return [FiscalPeriod.parse(code) for code in sorted(codes)]

    def expected(self, book: str, period: FiscalPeriod) -> dict[str, Expected]:
        """Vouchers of a period that should be in the ledger, by key."""
        v = t.voucher
        with reading(self.engine) as connection:
            rows = connection.execute(
                select(
                    v.c.id, v.c.key, v.c.status, v.c.content_digest, v.c.ledger_id, v.c.ledger_number
                ).where(v.c.book == book, v.c.period == period.code, v.c.status == VoucherStatus.POSTED)
            )
            return {
                row.key: Expected(
                    row.id,
                    row.key,
                    VoucherStatus(row.status),
                    row.content_digest or "",
                    row.ledger_id,
                    row.ledger_number,
                )
                for row in rows
            }

    def known_keys(self, book: str, keys: Sequence[str]) -> set[str]:
        """Of these keys, those that the store knows in any state."""
        v = t.voucher
        with reading(self.engine) as connection:
            return {
                key
                for part in chunks(keys)
                for key in connection.scalars(select(v.c.key).where(v.c.book == book, v.c.key.in_(part)))
            }

    def documents_without_voucher(self, book: str, scope: Scope) -> list[tuple[str, str]]:
        """Accepted documents that have no voucher at all: (code, period of the business date)."""
        d, v = t.source_document, t.voucher
        with reading(self.engine) as connection:
            return [
                (
                    row.code or row.document_id,
                    FiscalPeriod.of(row.business_date).code if row.business_date else "",
                )
                for row in connection.execute(
                    select(d.c.code, d.c.document_id, d.c.business_date).where(
                        d.c.book == book,
                        d.c.is_current,
                        d.c.disposition == Disposition.ACCEPTED,
                        in_scope(scope),
                        ~exists().where(v.c.document_pk == d.c.id, v.c.status != VoucherStatus.CANCELLED),
                    )
                )
            ]

    def oa_numbers(self, book: str) -> list[tuple[str, str, str]]:
        """Documents whose number in the OA, as last read after our write-back, is another than we wrote:
        (code, ours, theirs).
        """
        d, w = t.source_document, t.write_back
        with reading(self.engine) as connection:
            return [
                (row.code, row.ours, row.theirs)
                for row in connection.execute(
                    select(d.c.code, w.c.voucher_no.label("ours"), d.c.voucher_no.label("theirs"))
                    .join(
                        w,
                        and_(
                            w.c.source == d.c.source,
                            w.c.document_id == d.c.document_id,
                            w.c.book == d.c.book,
                        ),
                    )
                    .where(
                        d.c.book == book,
                        d.c.is_current,
                        w.c.outcome == WriteBackOutcome.WRITTEN,
                        d.c.voucher_no != "",
                        d.c.voucher_no != w.c.voucher_no,
                        d.c.updated_at > w.c.at,
                    )
                )
            ]

    def record(
        self,
        book: str,
        counted: Counted,
        periods: Iterable[FiscalPeriod],
        found: dict[str, list[Discrepancy]],
    ) -> None:
        """Keep a run: differences found again keep their age, those of these periods not found again are resolved.

        `found` is by period code; "" holds those that belong to none.
        """
        now = self.clock.now()
        d = t.discrepancy
        codes = [*(period.code for period in periods), ""]
        with writing(self.engine) as connection:
            before = {
                (row.period, row.kind, row.subject): row.id
                for part in chunks(codes)
                for row in connection.execute(
                    select(d.c.id, d.c.period, d.c.kind, d.c.subject).where(
                        d.c.book == book, d.c.resolved_at.is_(None), d.c.period.in_(part)
                    )
                )
            }
            fresh: list[dict[str, Any]] = []
            seen: list[int] = []
            for period, items in found.items():
                for item in items:
                    known = before.pop((period, str(item.kind), item.subject), None)
                    if known is None:
                        fresh.append(_discrepancy_row(book, period, item, now))
                    else:
                        seen.append(known)
            for ids, values in ((seen, {"last_seen_at": now}), (list(before.values()), {"resolved_at": now})):
                for part in chunks(ids):
                    connection.execute(update(d).where(d.c.id.in_(part)).values(**values))
            if fresh:
                connection.execute(insert(d), fresh)
            connection.execute(
                insert(t.reconciliation_run).values(
                    book=book,
                    date_from=counted.scope.date_from,
                    date_to=counted.scope.date_to,
                    vouchers=counted.vouchers,
                    ledger_vouchers=counted.ledger_vouchers,
                    foreign_vouchers=counted.foreign_vouchers,
                    discrepancies=sum(len(items) for items in found.values()),
                    finished_at=now,
                )
            )

    def open_discrepancies(self, book: str) -> int:
        d = t.discrepancy
        with reading(self.engine) as connection:
            return (
                connection.scalar(select(func.count()).where(d.c.book == book, d.c.resolved_at.is_(None)))
                or 0
            )

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
                    exists().where(v.c.document_pk == d.c.id, v.c.status == VoucherStatus.POSTED),
                    ~exists().where(
                        other.c.document_pk == d.c.id,
                        other.c.status.not_in([VoucherStatus.POSTED, VoucherStatus.CANCELLED]),
                    ),
                    _is_untold(book, w),
                )
                .order_by(d.c.document_id)
                .limit(size)
            ).all()
            rows = connection.execute(
                select(v.c.id, v.c.document_id, v.c.ledger_id, v.c.ledger_number, v.c.period)
                .join(d, d.c.id == v.c.document_pk)
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
    changed = or_(
        and_(
            or_(v.c.relation == Relation.REPLACEMENT, v.c.posted_at > told.c.at),
            _counts(v),
            ~_is_told(v, told),
        ),
        and_(is_reversed(v), _is_told(v, told)),
    )
    return or_(
        and_(
            or_(told.c.id.is_(None), told.c.book != book),  # nothing told, or by the home that it had before
            exists().where(v.c.document_pk == d.c.id, _counts(v)),
        ),
        told.c.outcome == WriteBackOutcome.UNKNOWN,
        and_(told.c.outcome == WriteBackOutcome.REFUSED, told.c.at < d.c.updated_at),
        exists().where(v.c.document_pk == d.c.id, changed),
    )


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


def _discrepancy_row(book: str, period: str, item: Discrepancy, now: datetime) -> dict[str, Any]:
    kind: DiscrepancyKind = item.kind
    return {
        "book": book,
        "kind": kind,
        "subject": item.subject,
        "period": period,
        "ours": item.ours,
        "theirs": item.theirs,
        "zh": item.zh,
        "en": item.en,
        "owner": kind.owner,
        "first_seen_at": now,
        "last_seen_at": now,
    }
