"""Post: each voucher into the ledger exactly once.

The intent is committed before every call and the outcome after it. Whatever ends in doubt is looked up by its
key before anything is sent again, and "not found" counts only once the ledger can no longer be working on it.
One writer per book: see `include.store.leases`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import assert_never

from include.domain.account import AuxiliaryDimension
from include.domain.errors import FixData, OutcomeUnknown, RetryLater
from include.domain.period import LedgerPeriod, PeriodState
from include.domain.problems import Problem, ProblemOwner, Stage
from include.domain.voucher import (
    LedgerVoucher,
    LedgerVoucherState,
    PostingOutcome,
    PostingResult,
    VoucherKey,
    VoucherStatus,
    content_digest,
)
from include.pace import MAX_WAIT_S
from include.stages.context import Scope, StageContext, StageResult
from include.store.leases import Lease
from include.store.vouchers import Settlement, StoredVoucher

log = logging.getLogger(__name__)

LOOK_ATTEMPTS = 4
IN_DOUBT = (VoucherStatus.SENDING, VoucherStatus.UNKNOWN)
TO_LOOK_UP = (
    *IN_DOUBT,
    VoucherStatus.CONFLICT,
)  # a person may have settled a conflict in the ledger meanwhile
TO_SEND = (VoucherStatus.GENERATED, VoucherStatus.HELD)


@dataclass(frozen=True, slots=True)
class PostResult(StageResult):
    """Counts of vouchers by what became of them in this run; `posted_minor` is the debit total of the posted ones in
    the book's currency. `conflict` and `unknown` count all that are open in the book.
    """

    posted: int
    found_in_ledger: int
    rejected: int
    held: int
    conflict: int
    unknown: int
    posted_minor: int


@dataclass
class _Run:
    """One posting run under one lease."""

    ctx: StageContext
    lease: Lease
    periods: Sequence[LedgerPeriod]
    ensured: set[AuxiliaryDimension] = field(default_factory=set)
    counts: dict[VoucherStatus, int] = field(default_factory=lambda: dict.fromkeys(VoucherStatus, 0))
    found: int = 0
    posted_minor: int = 0
    done: int = 0
    total: int = 0

    def settle(
        self,
        batch: Sequence[StoredVoucher],
        settlements: Sequence[Settlement],
        step: str,
        *,
        only: Collection[VoucherStatus] = tuple(VoucherStatus),
    ) -> None:
        """Record outcomes, of vouchers in the states `only`, and tell finance of those that need somebody."""
        stored = {s.id: s for s in batch}
        settlements = self.ctx.store.vouchers.settle(self.lease, settlements, step, only=only)
        self.ctx.store.vouchers.file_problems(
            self.ctx.book.id,
            Stage.POST,
            {s.id: _problems(s) for s in settlements},
            quarantine=[s.id for s in settlements if s.status is VoucherStatus.REJECTED],
        )
        for s in settlements:
            self.counts[s.status] += 1
            if s.status is VoucherStatus.POSTED:
                self.posted_minor += stored[s.id].voucher.total.minor
                self.found += s.outcome is PostingOutcome.EXISTS
        if step != "look":
            self.done += len(settlements)
            self.ctx.progress(Stage.POST, self.done, self.total)


def post(ctx: StageContext, scope: Scope) -> PostResult:
    """Send what is generated and in scope; first find out what became of earlier calls that ended in doubt.

    Raises:
        LeaseLost: another run writes for this book.
        RetryLater: the ledger is out of reach; what is recorded is right, a rerun goes on from there.
    """
    lease = ctx.store.leases.acquire(ctx.book.id)
    try:
        run = _Run(ctx, lease, ctx.ledger.periods())
        run.total = ctx.store.vouchers.count(ctx.book.id, scope, TO_SEND)
        _look_up_doubtful(run)
        # Replacements come last: each waits until the reversal before it is in the ledger.
        for replacements in (False, True):
            if not _send_all(run, scope, replacements=replacements) and replacements:
                break
            if _look_up_doubtful(run):
                _send_all(run, scope, replacements=replacements)
                _look_up_doubtful(run)
    finally:
        ctx.store.leases.release(lease)
    return PostResult(
        posted=run.counts[VoucherStatus.POSTED],
        found_in_ledger=run.found,
        rejected=run.counts[VoucherStatus.REJECTED],
        held=run.counts[VoucherStatus.HELD],
        conflict=ctx.store.vouchers.count(ctx.book.id, Scope(), [VoucherStatus.CONFLICT]),
        unknown=ctx.store.vouchers.count(ctx.book.id, Scope(), IN_DOUBT),
        posted_minor=run.posted_minor,
    )


def _send_all(run: _Run, scope: Scope, *, replacements: bool) -> bool:
    """Send what is ready; whether there was anything to send."""
    after = 0
    size = run.ctx.ledger.batch_size
    vouchers = run.ctx.store.vouchers
    while batch := vouchers.batch(run.ctx.book.id, scope, TO_SEND, size, after, replacements=replacements):
        after = batch[-1].id
        ready = _hold_back(run, batch)
        if ready:
            run.ctx.store.leases.renew(run.lease)
            ready = _with_dimensions(run, ready)
        if ready:
            _send(run, ready)
    return after > 0


def _hold_back(run: _Run, batch: Sequence[StoredVoucher]) -> list[StoredVoucher]:
    """Keep back vouchers whose period is not open; returns the others."""
    ready, held = [], []
    for stored in batch:
        day = stored.voucher.date
        period = next((p for p in run.periods if p.first_day <= day <= p.last_day), None)
        state = period.state if period else PeriodState.MISSING
        if state is PeriodState.OPEN:
            ready.append(stored)
            continue
        code = stored.voucher.period.code
        reason = (
            f"会计期间 {code} 已关闭，凭证暂挂；期间重新打开后再运行即可 / period {code} is closed: the voucher is held; run again once it is open"
            if state is PeriodState.CLOSED
            else f"会计系统没有 {day} 所在的会计期间，请先建立 {code} / the ledger has no period for {day}: set {code} up, then run again"
        )
        held.append(Settlement(stored.id, stored.voucher.key, VoucherStatus.HELD, None, message=reason))
    if held:
        run.settle(batch, held, "held", only=TO_SEND)  # no call was made: another run may have changed them
    return ready


def _with_dimensions(run: _Run, batch: list[StoredVoucher]) -> list[StoredVoucher]:
    """Make the batch's dimension values exist in the ledger; vouchers whose values it refuses are rejected."""
    new = {d for s in batch for line in s.voucher.lines for d in line.dimensions} - run.ensured
    if not new:
        return batch
    try:
        run.ctx.ledger.ensure_dimensions(sorted(new))
    except FixData as error:
        if len(batch) > 1:
            middle = len(batch) // 2
            return _with_dimensions(run, batch[:middle]) + _with_dimensions(run, batch[middle:])
        stored = batch[0]
        rejection = Settlement(
            stored.id, stored.voucher.key, VoucherStatus.REJECTED, PostingOutcome.REJECTED, message=str(error)
        )
        run.settle(batch, [rejection], "refused", only=TO_SEND)
        return []
    run.ensured |= new
    return batch


def _send(run: _Run, wanted: Sequence[StoredVoucher], statuses: Sequence[VoucherStatus] = TO_SEND) -> None:
    """One call for the batch. If the ledger refuses it as a whole, halves go separately until the bad ones stand alone."""
    ledger = run.ctx.ledger
    batch = run.ctx.store.vouchers.mark_sending(
        run.lease, [stored.id for stored in wanted], statuses, ledger.dimension_kinds
    )
    if not batch:
        return
    try:
        results = ledger.post([stored.voucher for stored in batch])
    except OutcomeUnknown as error:
        log.warning("过账结果未知，将先查询再决定 / outcome unknown, looking before sending again: %s", error)
        run.settle(
            batch,
            [_settlement(s, VoucherStatus.UNKNOWN, PostingOutcome.UNKNOWN, str(error)) for s in batch],
            "outcome",
        )
        return
    except RetryLater:
        run.settle(batch, [_settlement(s, VoucherStatus.GENERATED, None, "") for s in batch], "not_sent")
        raise
    if len(batch) > 1 and all(result.outcome is PostingOutcome.REJECTED for result in results):
        middle = len(batch) // 2
        for half in (batch[:middle], batch[middle:]):
            _send(run, half, [VoucherStatus.SENDING])  # refused as a whole: proved not to be there
        return
    run.settle(batch, [_by_result(s, r) for s, r in zip(batch, results, strict=True)], "outcome")


def _by_result(stored: StoredVoucher, result: PostingResult) -> Settlement:
    outcome = result.outcome
    match outcome:
        case PostingOutcome.CREATED:
            status = VoucherStatus.POSTED
        case PostingOutcome.EXISTS | PostingOutcome.UNKNOWN:
            status = VoucherStatus.UNKNOWN  # what is there under our key must be compared first
        case PostingOutcome.CONFLICT:
            status = VoucherStatus.CONFLICT
        case PostingOutcome.REJECTED:
            status = VoucherStatus.REJECTED
        case _:
            assert_never(outcome)
    return Settlement(
        stored.id, stored.voucher.key, status, outcome, result.ledger_id, result.number, result.message
    )


def _look_up_doubtful(run: _Run) -> int:
    """Find out what became of every call of this book that ended in doubt; returns how many may be sent again."""
    absent = 0
    after = 0
    while batch := run.ctx.store.vouchers.batch(run.ctx.book.id, Scope(), TO_LOOK_UP, 200, after):
        after = batch[-1].id
        _wait_until_settled(run, batch)
        run.ctx.store.leases.renew(run.lease)
        found = _find(run, batch)
        judged = [(stored, _judge(run, stored, found.get(stored.voucher.key, ()))) for stored in batch]
        settlements = [
            s
            for stored, s in judged
            if (stored.status, s.status) != (VoucherStatus.CONFLICT, VoucherStatus.CONFLICT)
        ]
        absent += sum(s.status is VoucherStatus.GENERATED for s in settlements)
        run.settle(batch, settlements, "look")
    return absent


def _wait_until_settled(run: _Run, batch: Sequence[StoredVoucher]) -> None:
    latest = max((s.intent_at for s in batch if s.intent_at), default=None)
    if latest is None:
        return
    # The call may have waited for its turn after the intent, and only then was the ledger at work on it.
    quiet_s = MAX_WAIT_S + run.ctx.ledger.settle_s
    wait = (latest + timedelta(seconds=quiet_s) - run.ctx.clock.now()).total_seconds()
    if wait > 0:
        log.info(
            "%d 张凭证的过账结果未知，等待 %.0f 秒后查询 / %d vouchers in doubt: looking in %.0f s, when the ledger is quiet",
            len(batch),
            wait,
            len(batch),
            wait,
        )
        run.ctx.clock.sleep(wait)


def _find(run: _Run, batch: Sequence[StoredVoucher]) -> Mapping[VoucherKey, Sequence[LedgerVoucher]]:
    for attempt in range(1, LOOK_ATTEMPTS + 1):
        try:
            return run.ctx.ledger.find([s.voucher for s in batch])
        except RetryLater as error:
            if attempt == LOOK_ATTEMPTS:
                raise
            pause = error.retry_after_s or 2.0**attempt
            log.warning(
                "查询失败，%.0f 秒后再试 / the look-up failed, again in %.0f s: %s", pause, pause, error
            )
            run.ctx.clock.sleep(pause)
    raise AssertionError("unreachable: the last attempt raises")


def _judge(run: _Run, stored: StoredVoucher, found: Sequence[LedgerVoucher]) -> Settlement:
    """What the ledger's answer means for one voucher."""
    if not found:
        return _settlement(stored, VoucherStatus.GENERATED, None, "")
    if len(found) > 1:
        numbers = "、".join(v.number or v.ledger_id for v in found)
        return _settlement(
            stored,
            VoucherStatus.CONFLICT,
            PostingOutcome.CONFLICT,
            f"会计系统中同一凭证有 {len(found)} 份：{numbers}，请财务作废多余的，再运行过账 / the ledger has it {len(found)} times: {numbers}; "
            "cancel the surplus ones, then post again",
        )
    there = found[0]
    kinds = run.ctx.ledger.dimension_kinds
    ours = content_digest(stored.voucher.date, stored.voucher.lines, kinds)
    if content_digest(there.date, there.lines, kinds) != ours:
        return Settlement(
            stored.id,
            stored.voucher.key,
            VoucherStatus.CONFLICT,
            PostingOutcome.CONFLICT,
            there.ledger_id,
            there.number,
            f"会计系统中凭证 {there.number} 用了同一键但内容不同，请财务核对处理后再运行过账 / voucher {there.number} in the ledger has our key "
            "but other content: settle it there, then post again",
        )
    if there.state is LedgerVoucherState.DRAFT:
        try:
            there = run.ctx.ledger.complete([there])[0]
        except OutcomeUnknown as error:  # the next look sees what became of it
            return Settlement(
                stored.id,
                stored.voucher.key,
                VoucherStatus.UNKNOWN,
                PostingOutcome.UNKNOWN,
                there.ledger_id,
                there.number,
                str(error),
            )
        except FixData as error:  # its period was closed meanwhile, say: the other vouchers go on
            return Settlement(
                stored.id,
                stored.voucher.key,
                VoucherStatus.CONFLICT,
                PostingOutcome.CONFLICT,
                there.ledger_id,
                there.number,
                str(error),
            )
    return Settlement(
        stored.id,
        stored.voucher.key,
        VoucherStatus.POSTED,
        PostingOutcome.EXISTS,
        there.ledger_id,
        there.number,
    )


def _settlement(
    stored: StoredVoucher, status: VoucherStatus, outcome: PostingOutcome | None, message: str
) -> Settlement:
    return Settlement(stored.id, stored.voucher.key, status, outcome, message=message)


def _problems(s: Settlement) -> list[Problem]:
    """What finance must know of a voucher that did not go through."""
    zh, _, en = s.message.partition(" / ")
    if s.status in {VoucherStatus.REJECTED, VoucherStatus.HELD, VoucherStatus.CONFLICT}:
        return [Problem(f"voucher.{s.status}", str(s.key), zh, en or zh, ProblemOwner.FINANCE)]
    return []
