"""Periods: what becomes of a voucher whose period is not open, by the book's policy or by a person's decision.

Nothing is posted into a period that is not open, and no voucher is carried past one: from a closed period it moves to the
next open one if nothing but closed ones lie between, and otherwise it waits. Reversals and replacements do the same, and
stay in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from include.domain.errors import FixData
from include.domain.period import Calendar, FiscalPeriod, LedgerPeriod, PeriodState
from include.domain.voucher import VoucherStatus
from include.settings import Book
from include.stages.context import StageContext, StageResult
from include.store import leases
from include.store import periods as store
from include.store.corrections import Place
from include.store.engine import reading, writing
from include.store.leases import Lease
from include.store.outcomes import Settlement
from include.store.vouchers import StoredVoucher

Why = Literal["next_open", "order", "own_period", "person"]
"""Why a voucher moved: its period is closed; it may not come before a reversal; its own period is open; somebody said so."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The day on which a voucher may be posted and why it is that one, or None and what people must know."""

    day: date | None
    why: Why = "next_open"
    message: str = ""


def place(book: Book, calendar: Calendar, day: date, bound: store.Dates) -> Placement:
    """Where a voucher that is dated `day` goes.

    It keeps its day where that is open; one that was moved goes back to its own day when only that is open. The day is
    never earlier than the one by policy, nor than its order among corrections allows.
    """
    earliest = max(bound.by_policy, bound.not_before)
    now = max(day, bound.not_before)
    if calendar.is_open(now):
        return Placement(now, "order")
    if calendar.is_open(earliest):
        return Placement(earliest, "own_period")
    if book.closed_period == "next_open":
        following = calendar.after_closed(earliest)
        if calendar.is_open(following):
            return Placement(following, "next_open")
        return Placement(None, message=_why_held(book, calendar, now, following))
    return Placement(None, message=_why_held(book, calendar, now, calendar.after_closed(now)))


def _why_held(book: Book, calendar: Calendar, day: date, following: date) -> str:
    """Why nothing can be posted on a day, and what to do; `following` is the first day after the closed periods."""
    period = calendar.holding(day)
    if period is None:
        return (
            f"会计系统没有 {day} 所在的会计期间，凭证暂挂：请先建立 {day:%Y-%m}，再运行 / the ledger has no period for {day}, the voucher "
            f"is held: set {day:%Y-%m} up, then run again"
        )
    code = period.code
    if period.state is PeriodState.NOT_YET_OPEN:
        return (
            f"会计期间 {code} 尚未开放，凭证暂挂：开放后再运行即可 / period {code} is not open yet, the voucher is held: run again once "
            "it is open"
        )
    if book.closed_period == "hold":
        return (
            f"会计期间 {code} 已关闭，凭证暂挂；期间重新打开后再运行即可 / period {code} is closed: the voucher is held; run again once it "
            "is open"
        )
    if not calendar.is_open(following):
        return (
            f"会计期间 {code} 已关闭，{following} 所在的期间尚未开放或不存在，凭证暂挂：请开放后再运行 / period {code} is closed and no period "
            f"that holds {following} is open, the voucher is held: open one, then run again"
        )
    command = f"./voucherflow periods {book.id} --move {code}"
    return (
        f"会计期间 {code} 已关闭，请财务决定：重新打开该期间，或运行 {command} 将凭证改为 {following} / period {code} is closed, decide: "
        f"reopen it, or run {command} to date the vouchers {following}"
    )


def put(
    ctx: StageContext, lease: Lease, calendar: Calendar, batch: Sequence[StoredVoucher]
) -> tuple[list[StoredVoucher], list[Settlement]]:
    """Vouchers that may be sent, as they are now, and those to be held with the reason.

    What the policy moves is moved in the store first. One that was changed meanwhile is in neither: the next run sees it.
    """
    bound = [s for s in batch if not calendar.is_open(s.voucher.date) or _has_order(s)]
    if not bound:
        return list(batch), []
    with reading(ctx.store.engine) as connection:
        dates = store.dates(connection, [s.id for s in bound])
    placed = {s.id: place(ctx.book, calendar, s.voucher.date, dates[s.id]) for s in bound if s.id in dates}
    days = {s.id: s.voucher.date for s in batch}
    moves = [
        store.Move(pk, days[pk], each.day, each.why)
        for pk, each in placed.items()
        if each.day not in (None, days[pk])
    ]
    moved: set[int] = set()
    if moves:
        now = ctx.clock.now()
        with writing(ctx.store.engine) as connection:
            leases.check(connection, lease, now)
            moved = store.move(connection, moves, actor=ctx.actor, at=now)
    ready, held = [], []
    for stored in batch:
        each = placed.get(stored.id, Placement(stored.voucher.date))
        if each.day is None:
            held.append(
                Settlement(stored.id, stored.voucher.key, VoucherStatus.HELD, None, message=each.message)
            )
        elif each.day == stored.voucher.date:
            ready.append(stored)
        elif stored.id in moved:
            ready.append(replace(stored, voucher=replace(stored.voucher, date=each.day)))
    return ready, held


def _has_order(stored: StoredVoucher) -> bool:
    """Whether something of its document went before it."""
    place = Place.of(stored.voucher.key.event)
    return place.is_reversal or place.generation > 1 or stored.voucher.key.revision > 1


@dataclass(frozen=True, slots=True)
class PeriodCount(StageResult):
    """A period of the ledger, and the book's vouchers that are dated in it and not in the ledger; MISSING where the
    ledger has no period for some. `debit_minor` is their total in the book's currency.
    """

    code: str
    first_day: date
    last_day: date
    state: PeriodState
    is_adjustment: bool
    ready: int = 0
    held: int = 0
    rejected: int = 0
    in_doubt: int = 0
    conflict: int = 0
    debit_minor: int = 0


_COLUMN = {
    VoucherStatus.GENERATED: "ready",
    VoucherStatus.HELD: "held",
    VoucherStatus.REJECTED: "rejected",
    VoucherStatus.SENDING: "in_doubt",
    VoucherStatus.UNKNOWN: "in_doubt",
    VoucherStatus.CONFLICT: "conflict",
}


def overview(ctx: StageContext) -> list[PeriodCount]:
    """The ledger's periods, the oldest first, and how many vouchers wait in each.

    Raises:
        RetryLater: the ledger cannot be read.
    """
    periods = ctx.ledger.periods()
    calendar = Calendar(periods)
    with reading(ctx.store.engine) as connection:
        counts = store.unposted_by_day(connection, ctx.book.id)
    rows = {period: _row(period) for period in periods}
    for count in counts:
        month = FiscalPeriod.of(count.date)
        period = calendar.holding(count.date) or LedgerPeriod(
            month.code, month.first_day, month.last_day, PeriodState.MISSING
        )
        row, column = rows.get(period) or _row(period), _COLUMN[count.status]
        rows[period] = replace(
            row,
            **{
                column: getattr(row, column) + count.number,
                "debit_minor": row.debit_minor + count.debit_minor,
            },
        )
    return sorted(rows.values(), key=lambda row: (row.first_day, row.is_adjustment))


def _row(period: LedgerPeriod) -> PeriodCount:
    return PeriodCount(period.code, period.first_day, period.last_day, period.state, period.is_adjustment)


@dataclass(frozen=True, slots=True)
class MoveResult(StageResult):
    """Held vouchers of `period` that were given the day `to`, or would be. `documents` are the codes of their documents."""

    period: str
    to: date
    vouchers: int
    debit_minor: int
    documents: tuple[str, ...]
    is_dry_run: bool


def move_held(ctx: StageContext, code: str, *, dry_run: bool = False) -> MoveResult:
    """Move the held vouchers of a closed period to the next open one, as somebody has decided.

    Raises:
        FixData: there is no such period, it is not closed, or no open one follows; the message says what to do.
        LeaseLost: a run is posting in this book.
    """
    calendar = Calendar(ctx.ledger.periods())
    period, to = _way_out(calendar, code)
    if dry_run:
        with reading(ctx.store.engine) as connection:
            return _moved(period, to, store.held_in(connection, ctx.book.id, period), dry_run=True)
    lease = ctx.store.leases.acquire(ctx.book.id)
    try:
        now = ctx.clock.now()
        with writing(ctx.store.engine) as connection:
            leases.check(connection, lease, now)
            held = store.held_in(connection, ctx.book.id, period)
            dates = store.dates(connection, [each.id for each in held])
            targets = {each.id: max(to, dates[each.id].not_before) for each in held}
            moves = [
                store.Move(each.id, each.date, targets[each.id], "person")
                for each in held
                if calendar.is_open(targets[each.id])
            ]
            moved = store.move(connection, moves, actor=ctx.actor, at=now)
    finally:
        ctx.store.leases.release(lease)
    return _moved(period, to, [each for each in held if each.id in moved], dry_run=False)


def _way_out(calendar: Calendar, code: str) -> tuple[LedgerPeriod, date]:
    """The closed period of this code, and the first day of the open one that follows."""
    period = next((each for each in calendar.periods if each.code == code), None)
    if period is None:
        known = "、".join(each.code for each in calendar.periods[-12:]) or "（无 / none）"
        raise FixData(
            f"会计系统没有会计期间 {code!r}，最近的有：{known} / the ledger has no period {code!r}; the latest are: {known}"
        )
    if period.state is not PeriodState.CLOSED:
        raise FixData(
            f"会计期间 {code} 没有关闭（{period.state}），凭证不改期：开放的期间请直接运行过账 / period {code} is not closed ({period.state}) and "
            "nothing is moved out of it: if it is open, run post"
        )
    to = calendar.after_closed(period.last_day)
    if not calendar.is_open(to):
        raise FixData(
            f"会计期间 {code} 之后没有紧接着开放的期间（{to} 所在的期间尚未开放或不存在）：请先在会计系统中开放 / no open period follows {code}: "
            f"open the one that holds {to} in the ledger first"
        )
    return period, to


def _moved(period: LedgerPeriod, to: date, held: Sequence[store.Held], *, dry_run: bool) -> MoveResult:
    return MoveResult(
        period=period.code,
        to=to,
        vouchers=len(held),
        debit_minor=sum(each.debit_minor for each in held),
        documents=tuple(dict.fromkeys(each.code for each in held)),
        is_dry_run=dry_run,
    )
