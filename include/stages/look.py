"""Look: find out what became of every call that ended in doubt, before anything is sent again.

How a ledger can be asked (its proof level) decides what an answer means. Where it keeps our key, what it has under the
key is ours. Where it only can be searched by date and amount, ours is what has our content, did not stand there before
we sent, and is no other voucher of ours; equal contents are interchangeable, and whatever is not certain goes to a
person. A look that fails says nothing.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence

from include.domain.errors import FixData, OutcomeUnknown, RetryLater
from include.domain.voucher import (
    LedgerVoucher,
    LedgerVoucherState,
    PostingOutcome,
    VoucherKey,
    VoucherStatus,
    content_digest,
)
from include.exchanges import recording
from include.pace import MAX_WAIT_S
from include.stages.context import Scope
from include.stages.follow import unwanted
from include.stages.posting import IN_DOUBT, PostingRun, settlement
from include.store.outcomes import Settlement
from include.store.vouchers import StoredVoucher

log = logging.getLogger(__name__)

LOOK_ATTEMPTS = 4
LOOK_SIZE = 200
TO_LOOK_UP = (*IN_DOUBT, VoucherStatus.CONFLICT)
"""A person may have settled a conflict in the ledger meanwhile."""


def look_up_doubtful(run: PostingRun, statuses: Sequence[VoucherStatus] = TO_LOOK_UP) -> int:
    """Settle the book's vouchers in these states; returns how many another round may bring further: they are proved
    absent, or what became of them is in doubt again.

    Raises:
        RetryLater: the ledger cannot be read; nothing is concluded.
        LeaseLost
    """
    unfinished = 0
    after = 0
    while batch := run.ctx.store.vouchers.batch(run.ctx.book.id, Scope(), statuses, LOOK_SIZE, after):
        after = batch[-1].id
        if run.looks_first:
            batch = run.ctx.store.vouchers.with_alike(run.ctx.book.id, batch, TO_LOOK_UP)
        _wait_until_quiet(run, batch)
        run.ctx.store.leases.renew(run.lease)
        with recording() as exchanges:
            found = find(run, batch)
            judged = _Look(run, batch, found).judge()
        changed = [s for stored, s in zip(batch, judged, strict=True) if not _still_in_conflict(stored, s)]
        unfinished += sum(s.status in (VoucherStatus.GENERATED, VoucherStatus.UNKNOWN) for s in changed)
        run.settle(batch, changed, "look", exchanges=exchanges)
    return unfinished


def find(run: PostingRun, batch: Sequence[StoredVoucher]) -> Mapping[VoucherKey, Sequence[LedgerVoucher]]:
    """Ask the ledger, a few times if need be.

    Raises:
        RetryLater: it cannot be read.
    """
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


def _still_in_conflict(stored: StoredVoucher, s: Settlement) -> bool:
    return (stored.status, s.status) == (VoucherStatus.CONFLICT, VoucherStatus.CONFLICT)


def _standing(found: Sequence[LedgerVoucher]) -> Sequence[LedgerVoucher]:
    """Without those that somebody reversed there, unless there are no others."""
    return [each for each in found if each.state is not LedgerVoucherState.REVERSED] or found


def _wait_until_quiet(run: PostingRun, batch: Sequence[StoredVoucher]) -> None:
    """Only when nobody sends any more and the ledger has had its time, "not found" is a proof.

    Of our own calls we know when they ended. The holder before us has ended, or else it ran out of its lease and may yet
    make a call whose intent it recorded; that goes for earlier holders too. Measured on the monotonic clock from our own
    start, since wall clocks are set.
    """
    ledger = run.ctx.ledger
    quiet_at = 0.0
    for stored in batch:
        if stored.intent_at is None or stored.status is VoucherStatus.CONFLICT:
            continue
        if stored.fence == run.lease.fence:
            quiet_at = max(quiet_at, run.last_doubt + ledger.settle_s)
        elif stored.fence == run.lease.fence - 1 and run.lease.is_predecessor_gone:
            quiet_at = max(quiet_at, run.started + ledger.settle_s)
        else:
            quiet_at = max(quiet_at, run.started + MAX_WAIT_S + ledger.settle_s)
    wait = quiet_at - run.ctx.clock.monotonic()
    if wait > 0:
        log.info(
            "%d 张凭证的过账结果未知，等待 %.0f 秒后查询 / %d vouchers in doubt: looking in %.0f s, when the ledger is quiet",
            len(batch),
            wait,
            len(batch),
            wait,
        )
        run.ctx.clock.sleep(wait)


class _Look:
    """What the ledger's answer means for a batch."""

    def __init__(
        self,
        run: PostingRun,
        batch: Sequence[StoredVoucher],
        found: Mapping[VoucherKey, Sequence[LedgerVoucher]],
    ) -> None:
        self._run = run
        self._batch = batch
        self._kinds = run.ctx.ledger.dimension_kinds
        self._found = self._without_others(found) if run.looks_first else found

    def judge(self) -> list[Settlement]:
        """One settlement for each voucher, in order."""
        return [self._judge(stored, self._found.get(stored.voucher.key, ())) for stored in self._batch]

    def _digest(self, voucher: LedgerVoucher) -> str:
        return content_digest(voucher.date, voucher.lines, self._kinds)

    def _without_others(
        self, found: Mapping[VoucherKey, Sequence[LedgerVoucher]]
    ) -> dict[VoucherKey, Sequence[LedgerVoucher]]:
        """Share out what came for date and amount: each of the ledger's vouchers to one of ours at most.

        What stood there before, or is another voucher of ours already, is nobody's here. What has the content of one in
        doubt goes to it: to the one with the least choice first, and what stands before what was reversed. Where more of
        that content stands than those in doubt can have been, it goes to all of them, as a conflict. Other content goes to
        those that have nothing else, unless it is that of one in doubt.
        """
        ids = {each.ledger_id for group in found.values() for each in group}
        taken = self._run.ctx.store.vouchers.taken(self._run.ctx.book.id, ids)
        fresh = {
            stored.id: {
                each.ledger_id: each
                for each in found.get(stored.voucher.key, ())
                if each.ledger_id not in stored.seen and taken.get(each.ledger_id, stored.id) == stored.id
            }
            for stored in self._batch
        }
        groups: dict[str, list[StoredVoucher]] = defaultdict(list)
        for stored in self._batch:
            groups[self._ours(stored)].append(stored)
        shared: dict[VoucherKey, Sequence[LedgerVoucher]] = {}
        for ours, group in groups.items():
            equal = {
                s.id: {pk: each for pk, each in fresh[s.id].items() if self._digest(each) == ours}
                for s in group
            }
            free = {pk: each for of_one in equal.values() for pk, each in of_one.items()}
            everything = list(free.values())
            for stored in sorted(group, key=lambda s: (len(equal[s.id]), s.id)):
                mine = [pk for pk in equal[stored.id] if pk in free]
                mine.sort(key=lambda pk: free[pk].state is LedgerVoucherState.REVERSED)
                shared[stored.voucher.key] = (
                    [free.pop(mine[0])]
                    if mine
                    else [each for each in fresh[stored.id].values() if self._digest(each) not in groups]
                )
            if any(each.state is not LedgerVoucherState.REVERSED for each in free.values()):
                shared |= {stored.voucher.key: everything for stored in group if equal[stored.id]}
        return shared

    def _ours(self, stored: StoredVoucher) -> str:
        return content_digest(stored.voucher.date, stored.voucher.lines, self._kinds)

    def _judge(self, stored: StoredVoucher, found: Sequence[LedgerVoucher]) -> Settlement:
        found = _standing(found)
        if not found:
            return settlement(stored, VoucherStatus.GENERATED, None)
        if len(found) > 1:
            numbers = "、".join(v.number or v.ledger_id for v in found)
            return settlement(
                stored,
                VoucherStatus.CONFLICT,
                PostingOutcome.CONFLICT,
                f"会计系统中同一凭证有 {len(found)} 份：{numbers}，请财务作废多余的，再运行过账 / the ledger has it {len(found)} "
                f"times: {numbers}; cancel the surplus ones, then post again",
            )
        there = found[0]
        if self._digest(there) != self._ours(stored):
            return settlement(
                stored,
                VoucherStatus.CONFLICT,
                PostingOutcome.CONFLICT,
                self._differs(there),
                ledger_id="" if self._run.looks_first else there.ledger_id,
                number="" if self._run.looks_first else there.number,
            )
        if there.state is LedgerVoucherState.DRAFT:
            is_unwanted = stored.id in unwanted(self._run.ctx, [stored.id])
            return self._discard(stored, there) if is_unwanted else self._complete(stored, there)
        return settlement(
            stored,
            VoucherStatus.POSTED,
            PostingOutcome.EXISTS,
            ledger_id=there.ledger_id,
            number=there.number,
        )

    def _differs(self, there: LedgerVoucher) -> str:
        number = there.number or there.ledger_id
        if self._run.looks_first:
            return (
                f"会计系统中出现了日期和金额相同、内容不同的凭证 {number}，无法判断是否为本凭证；请财务核对：若是，请在会计系统中改正；若不是，请作废或改动后再运行过账 / "
                f"voucher {number} appeared in the ledger with our date and amount but other content: nobody can tell whether it is "
                "ours; settle it there, then post again"
            )
        return (
            f"会计系统中凭证 {number} 用了同一键但内容不同，请财务核对处理后再运行过账 / voucher {number} in the ledger has our key "
            "but other content: settle it there, then post again"
        )

    def _discard(self, stored: StoredVoucher, draft: LedgerVoucher) -> Settlement:
        """Its document changed since: a draft that the ledger does not delete is posted, to be taken back afterwards."""
        try:
            self._run.ctx.ledger.discard([draft])
        except OutcomeUnknown as error:  # the next look sees what became of it
            return settlement(
                stored, VoucherStatus.UNKNOWN, PostingOutcome.UNKNOWN, str(error), ledger_id=draft.ledger_id
            )
        except FixData as error:
            log.warning(
                "草稿不能删除，先过账再冲销 / the draft cannot be deleted: posted first, then reversed: %s",
                error,
            )
            return self._complete(stored, draft)
        return settlement(
            stored,
            VoucherStatus.CANCELLED,
            None,
            "单据已变更，会计系统中的草稿已删除 / its document changed: the draft in the ledger was deleted",
        )

    def _complete(self, stored: StoredVoucher, draft: LedgerVoucher) -> Settlement:
        """A crash came between creating and posting."""
        try:
            there = self._run.ctx.ledger.complete([draft])[0]
        except OutcomeUnknown as error:  # the next look sees what became of it
            status, outcome, message, there = VoucherStatus.UNKNOWN, PostingOutcome.UNKNOWN, str(error), draft
        except FixData as error:  # its period was closed meanwhile, say: the other vouchers go on
            status, outcome, message, there = (
                VoucherStatus.CONFLICT,
                PostingOutcome.CONFLICT,
                str(error),
                draft,
            )
        else:
            status, outcome, message = VoucherStatus.POSTED, PostingOutcome.EXISTS, ""
        return settlement(stored, status, outcome, message, ledger_id=there.ledger_id, number=there.number)
