"""Post: each voucher into the ledger exactly once.

The intent is committed before every call and the outcome after it. Whatever ends in doubt is looked up by its
key before anything is sent again, and "not found" counts only once the ledger can no longer be working on it.
One writer per book: see `include.store.leases`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from include.domain.errors import FixData, LeaseLost, OutcomeUnknown, VoucherflowError
from include.domain.period import Calendar
from include.domain.voucher import PostingOutcome, PostingResult, VoucherStatus
from include.exchanges import Exchange, recording
from include.pace import concurrently
from include.stages import periods
from include.stages.context import Scope, StageContext, StageResult
from include.stages.look import find, look_up_doubtful
from include.stages.posting import IN_DOUBT, TO_SEND, PostingRun, settlement
from include.store.outcomes import Settlement
from include.store.vouchers import Looked, StoredVoucher

log = logging.getLogger(__name__)

ROUNDS = 4
"""How often one run sends and looks, as long as calls end in doubt."""


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


def post(ctx: StageContext, scope: Scope) -> PostResult:
    """Send what is generated and in scope; first find out what became of earlier calls that ended in doubt.

    Raises:
        LeaseLost: another run writes for this book.
        RetryLater: the ledger is out of reach; what is recorded is right, a rerun goes on from there.
    """
    lease = ctx.store.leases.acquire(ctx.book.id)
    try:
        run = PostingRun(ctx, lease, ctx.ledger.periods(), started=ctx.clock.monotonic())
        run.total = ctx.store.vouchers.count(ctx.book.id, scope, TO_SEND)
        look_up_doubtful(run)
        # Replacements come last: each waits until the reversal before it is in the ledger.
        for replacements in (False, True):
            for number in range(ROUNDS):
                # What was held is tried once a run.
                statuses = TO_SEND if number == 0 else (VoucherStatus.GENERATED,)
                _send_all(run, scope, statuses, replacements=replacements)
                if not look_up_doubtful(run, IN_DOUBT):
                    break
    except Exception:
        ctx.store.leases.release(lease)
        raise
    # After Ctrl-C and the like threads may still be at it: the lease ends with the process, or runs out.
    ctx.store.leases.release(lease)
    ctx.store.exchanges.forget()
    return PostResult(
        posted=run.counts[VoucherStatus.POSTED],
        found_in_ledger=run.found,
        rejected=run.counts[VoucherStatus.REJECTED],
        held=run.counts[VoucherStatus.HELD],
        conflict=ctx.store.vouchers.count(ctx.book.id, Scope(), [VoucherStatus.CONFLICT]),
        unknown=ctx.store.vouchers.count(ctx.book.id, Scope(), IN_DOUBT),
        posted_minor=run.posted_minor,
    )


@dataclass
class _Call:
    """Vouchers that go to the ledger together, and what was said.

    `refused_whole`: they are part of a batch that the ledger refused, whose splitting all parts share.
    """

    wanted: Sequence[StoredVoucher]
    split: _Split | None = None
    batch: Sequence[StoredVoucher] = ()
    exchanges: Sequence[Exchange] = ()


@dataclass
class _Split:
    """How many more calls may be spent on a refused batch."""

    calls_left: int


def _send_all(
    run: PostingRun, scope: Scope, statuses: Sequence[VoucherStatus], *, replacements: bool
) -> None:
    """Send what is ready, as many calls at once as the book allows; parts of refused batches go first."""
    feed = _Feed(run, scope, statuses, replacements=replacements)
    try:
        concurrently(feed, feed.send, feed.settle, workers=run.ctx.book.ledger.workers)
    except LeaseLost:
        raise
    except VoucherflowError:
        feed.put_back()
        raise


class _Feed:
    """The calls to be made. It may have more after it was empty: what was refused comes back in parts."""

    def __init__(
        self, run: PostingRun, scope: Scope, statuses: Sequence[VoucherStatus], *, replacements: bool
    ) -> None:
        self._run = run
        self._scope = scope
        self._statuses = statuses
        self._replacements = replacements
        self._after = 0
        self._parts: deque[_Call] = deque()

    def __iter__(self) -> Iterator[_Call]:
        return self

    def __next__(self) -> _Call:
        run = self._run
        if self._parts:
            run.ctx.store.leases.renew(run.lease)
            return self._parts.popleft()
        vouchers, size = run.ctx.store.vouchers, run.ctx.ledger.batch_size
        while batch := vouchers.batch(
            run.ctx.book.id, self._scope, self._statuses, size, self._after, replacements=self._replacements
        ):
            self._after = batch[-1].id
            ready = _hold_back(run, batch)
            if ready:
                run.ctx.store.leases.renew(run.lease)
                ready = _with_dimensions(run, ready)
            if ready:
                return _Call(ready)
        raise StopIteration

    def send(self, call: _Call) -> Sequence[PostingResult]:
        """In a thread: look if need be, commit the intent, and make the call."""
        run, ledger, store = self._run, self._run.ctx.ledger, self._run.ctx.store
        with recording() as call.exchanges:
            if call.split is not None:  # refused as a whole: proved not to be there
                statuses: Sequence[VoucherStatus] = [VoucherStatus.SENDING]
                looked = {s.id: Looked(s.voucher, s.seen) for s in call.wanted} if run.looks_first else None
            else:
                statuses = TO_SEND
                looked = _look_before(run, call.wanted) if run.looks_first else None
            call.batch = store.vouchers.mark_sending(
                run.lease, [s.id for s in call.wanted], statuses, ledger.dimension_kinds, looked
            )
            return ledger.post([s.voucher for s in call.batch]) if call.batch else []

    def settle(self, call: _Call, answer: Sequence[PostingResult] | VoucherflowError) -> None:
        """Record what came of it."""
        if (
            not call.batch
        ):  # nothing was to be sent, or something came between before the intent was committed
            return
        batch = call.batch
        step = "outcome"
        match answer:
            case OutcomeUnknown():
                log.warning(
                    "过账结果未知，将先查询再决定 / outcome unknown, looking before sending again: %s", answer
                )
                unknown = VoucherStatus.UNKNOWN, PostingOutcome.UNKNOWN, str(answer)
                results = [settlement(s, *unknown) for s in batch]
            case FixData():
                refused = [
                    PostingResult(s.voucher.key, PostingOutcome.REJECTED, message=str(answer)) for s in batch
                ]
                self.settle(call, refused)
                return
            case VoucherflowError():
                results, step = [settlement(s, VoucherStatus.GENERATED, None) for s in batch], "not_sent"
            case _ if len(batch) > 1 and all(r.outcome is PostingOutcome.REJECTED for r in answer):
                self._split(call, answer[0].message)
                return
            case _:
                results = [_by_result(s, r) for s, r in zip(batch, answer, strict=True)]
        self._run.settle(batch, results, step, exchanges=call.exchanges)

    def put_back(self) -> None:
        """Parts of refused batches that are not sent after all may be sent by the next run."""
        while self._parts:
            batch = self._parts.popleft().wanted
            self._run.settle(batch, [settlement(s, VoucherStatus.GENERATED, None) for s in batch], "not_sent")

    def _split(self, call: _Call, reason: str) -> None:
        """Let halves of a refused batch go separately until the bad ones stand alone, or the budget is spent."""
        run, batch = self._run, list(call.batch)
        split = call.split or _Split(max(run.ctx.book.ledger.split_calls - 1, 2 * len(batch).bit_length()))
        if split.calls_left < 2:
            zh, _, en = reason.partition(" / ")
            message = (
                f"整批被拒，查找有问题凭证的调用次数已用完，下次运行继续；会计系统说：{zh} / its batch was refused and the calls "
                f"for finding the bad ones are spent, the next run goes on; the ledger says: {en or zh}"
            )
            held = [settlement(s, VoucherStatus.HELD, None, message) for s in batch]
            run.settle(batch, held, "refused", exchanges=call.exchanges)
            return
        split.calls_left -= 2
        middle = len(batch) // 2
        waiting = [settlement(s, VoucherStatus.SENDING, PostingOutcome.REJECTED, reason) for s in batch]
        run.settle(batch, waiting, "split", exchanges=call.exchanges)
        # Depth first: however small the budget, each run gets down to single vouchers.
        self._parts.extendleft(_Call(half, split) for half in (batch[middle:], batch[:middle]))


def _look_before(run: PostingRun, wanted: Sequence[StoredVoucher]) -> dict[int, Looked]:
    """What stands already in a ledger that keeps no keys, by row id."""
    there = find(run, wanted)
    return {
        s.id: Looked(s.voucher, frozenset(each.ledger_id for each in there.get(s.voucher.key, ())))
        for s in wanted
    }


def _hold_back(run: PostingRun, batch: Sequence[StoredVoucher]) -> list[StoredVoucher]:
    """Put vouchers whose period is not open by the book's policy; returns those that may be sent, as they are now."""
    ready, held = periods.put(run.ctx, run.lease, Calendar(run.periods), batch)
    if held:
        run.settle(batch, held, "held", only=TO_SEND)  # no call was made: another run may have changed them
    return ready


def _with_dimensions(run: PostingRun, batch: list[StoredVoucher]) -> list[StoredVoucher]:
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
