"""What reconciliation holds the ledger and the OA against: posted vouchers as frames, and what the store alone shows."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl
from sqlalchemy import ColumnElement, Engine, and_, func, select

from include.domain.document import DUE_STATUSES, Disposition
from include.domain.period import FiscalPeriod
from include.domain.voucher import LedgerVoucherState, VoucherStatus
from include.ports import WriteBackOutcome
from include.store import bulk
from include.store import tables as t
from include.store.documents import is_out_of_line
from include.store.engine import reading
from include.store.filing import chunks, stands

PIECE = 50_000
"""Vouchers that are read at once."""


@dataclass(frozen=True, slots=True)
class Known:
    """A voucher of ours under some key, in whatever state."""

    id: int
    key: str
    status: VoucherStatus
    period: str


@dataclass(frozen=True, slots=True)
class Lag:
    """A document or voucher that the store alone shows to be amiss: `period` of the voucher or the business date."""

    subject: str
    period: str
    ours: str
    theirs: str
    since: datetime | None = None


def posted(engine: Engine, book: str, period: FiscalPeriod) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """The vouchers of a period that should be in the ledger, with their lines; a piece is one state of the store.

    Vouchers: `id`, `key`, `ledger_id`, `number`, `date`, `period`, `state`. Lines: `id` of the voucher, `account`,
    `is_credit`, `amount`, `currency`, `foreign`, `dimensions` as stored.
    """
    v = t.voucher
    with reading(engine) as connection:
        ids = array(
            "q",
            connection.scalars(
                select(v.c.id)
                .where(v.c.book == book, v.c.period == period.code, v.c.status == VoucherStatus.POSTED)
                .order_by(v.c.id)
            ),
        )
    for start in range(0, len(ids), PIECE):
        part = ids[start : start + PIECE]
        within = and_(v.c.book == book, v.c.period == period.code, v.c.id >= part[0], v.c.id <= part[-1])
        yield _frames(engine, within)


def posted_by_id(engine: Engine, ids: Collection[int]) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """The same of some vouchers, those of them that are posted."""
    for part in chunks(sorted(ids)):
        yield _frames(engine, t.voucher.c.id.in_(part))


def _frames(engine: Engine, chosen: ColumnElement[bool]) -> tuple[pl.DataFrame, pl.DataFrame]:
    v, j = t.voucher, t.journal_line
    wanted = and_(chosen, v.c.status == VoucherStatus.POSTED)
    with reading(engine) as connection:
        vouchers = bulk.read(
            connection,
            select(
                v.c.id, v.c.key, v.c.ledger_id, v.c.ledger_number.label("number"), v.c.date, v.c.period
            ).where(wanted),
        )
        lines = bulk.read(
            connection,
            select(
                j.c.voucher_id.label("id"),
                j.c.account,
                j.c.side,
                j.c.amount_minor.label("amount"),
                j.c.transaction_currency.label("currency"),
                j.c.transaction_minor.label("foreign"),
                j.c.dimensions,
            )
            .join(v, v.c.id == j.c.voucher_id)
            .where(wanted),
        )
    return (
        vouchers.sort("id").with_columns(state=pl.lit(LedgerVoucherState.POSTED.value)),
        lines.with_columns(is_credit=pl.col("side") == "credit").drop("side"),
    )


def periods_of(engine: Engine, book: str) -> dict[str, datetime | None]:
    """The periods of the book's vouchers, each with the time of the last posting, if any."""
    v = t.voucher
    with reading(engine) as connection:
        return {
            row.period: row.at
            for row in connection.execute(
                select(v.c.period, func.max(v.c.posted_at).label("at"))
                .where(v.c.book == book)
                .group_by(v.c.period)
            )
        }


def known(engine: Engine, book: str, keys: Sequence[str]) -> dict[str, Known]:
    """Of these keys, those that the store knows in any state."""
    v = t.voucher
    with reading(engine) as connection:
        return {
            row.key: Known(row.id, row.key, VoucherStatus(row.status), row.period)
            for part in chunks(keys)
            for row in connection.execute(
                select(v.c.id, v.c.key, v.c.status, v.c.period).where(v.c.book == book, v.c.key.in_(part))
            )
        }


def without_voucher(engine: Engine, book: str) -> list[Lag]:
    """Accepted documents that have no voucher at all."""
    d, v = t.source_document, t.voucher
    stands = select(v.c.id).where(v.c.document_pk == d.c.id, v.c.status != VoucherStatus.CANCELLED).exists()
    with reading(engine) as connection:
        return [
            Lag(row.code or row.document_id, _period(row.business_date), "", "")
            for row in connection.execute(
                select(d.c.code, d.c.document_id, d.c.business_date).where(
                    d.c.book == book, d.c.is_current, d.c.disposition == Disposition.ACCEPTED, ~stands
                )
            )
        ]


def not_as_in_oa(engine: Engine, book: str) -> tuple[list[Lag], list[Lag]]:
    """Posted vouchers that count, of documents that the OA withdrew, and of documents that it changed (or moved to
    another book) afterwards. `ours` is the voucher's number, `theirs` the document's code and state.
    """
    d, v = t.source_document, t.voucher
    statement = (
        select(v.c.key, v.c.period, v.c.ledger_number, d.c.code, d.c.status)
        .join(d, and_(d.c.source == v.c.source, d.c.document_id == v.c.document_id, d.c.book == v.c.book))
        .where(
            v.c.book == book,
            v.c.status == VoucherStatus.POSTED,
            d.c.is_current,
            is_out_of_line(d, v),
            stands(v),
        )
        .order_by(v.c.id)
    )
    withdrawn: list[Lag] = []
    changed: list[Lag] = []
    with reading(engine) as connection:
        for row in connection.execute(statement):
            lag = Lag(row.key, row.period, row.ledger_number, f"{row.code} {row.status}")
            (changed if row.status in DUE_STATUSES else withdrawn).append(lag)
    return withdrawn, changed


def other_numbers(engine: Engine, book: str) -> list[Lag]:
    """Documents whose number in the OA, as last read after our write-back, is another than we wrote."""
    d, w = t.source_document, t.write_back
    with reading(engine) as connection:
        return [
            Lag(row.code, "", row.ours, row.theirs)
            for row in connection.execute(
                select(d.c.code, w.c.voucher_no.label("ours"), d.c.voucher_no.label("theirs"))
                .join(
                    w,
                    and_(w.c.source == d.c.source, w.c.document_id == d.c.document_id, w.c.book == d.c.book),
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


def unfinished(engine: Engine, book: str, statuses: Collection[VoucherStatus], before: datetime) -> list[Lag]:
    """Vouchers in these states whose first attempt (or making, where there was none) lies before a time; `ours` is the
    state, `theirs` its message.
    """
    v, a = t.voucher, t.posting_attempt
    since = func.coalesce(
        select(func.min(a.c.at)).where(a.c.voucher_id == v.c.id).scalar_subquery(), v.c.generated_at
    )
    with reading(engine) as connection:
        return [
            Lag(row.key, row.period, row.status, row.message, row.since)
            for row in connection.execute(
                select(v.c.key, v.c.period, v.c.status, v.c.message, since.label("since"))
                .where(v.c.book == book, v.c.status.in_(list(statuses)), since < before)
                .order_by(v.c.id)
            )
        ]


def _period(day: date | None) -> str:
    return FiscalPeriod.of(day).code if day else ""
