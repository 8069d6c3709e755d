"""One posting run of a book: what it holds, and how it records what became of vouchers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from include.domain.account import AuxiliaryDimension
from include.domain.period import LedgerPeriod
from include.domain.problems import Problem, ProblemOwner, Stage
from include.domain.voucher import PostingOutcome, VoucherStatus
from include.exchanges import Exchange
from include.pace import Eta
from include.ports import ProofLevel
from include.stages.context import StageContext
from include.store.leases import Lease
from include.store.outcomes import Settlement
from include.store.vouchers import StoredVoucher

IN_DOUBT = (VoucherStatus.SENDING, VoucherStatus.UNKNOWN)
TO_SEND = (VoucherStatus.GENERATED, VoucherStatus.HELD)


@dataclass
class PostingRun:
    """One run under one lease. `started` and `last_doubt` are monotonic seconds of the context's clock."""

    ctx: StageContext
    lease: Lease
    periods: Sequence[LedgerPeriod]
    started: float
    last_doubt: float = 0.0
    ensured: set[AuxiliaryDimension] = field(default_factory=set)
    counts: dict[VoucherStatus, int] = field(default_factory=lambda: dict.fromkeys(VoucherStatus, 0))
    found: int = 0
    posted_minor: int = 0
    done: int = 0
    total: int = 0
    eta: Eta = field(default_factory=lambda: Eta("已过账", "posted"))

    @property
    def looks_first(self) -> bool:
        """Whether the ledger keeps no key of ours, so that we must know what stood there before we send."""
        return self.ctx.ledger.proof_level is ProofLevel.DATE_AND_AMOUNT

    def settle(
        self,
        batch: Sequence[StoredVoucher],
        settlements: Sequence[Settlement],
        step: str,
        *,
        only: Collection[VoucherStatus] = tuple(VoucherStatus),
        exchanges: Sequence[Exchange] = (),
    ) -> None:
        """Record outcomes, of vouchers in the states `only`, and tell finance of those that need somebody."""
        stored = {s.id: s for s in batch}
        keep_days = self.ctx.book.ledger.keep_exchanges_days
        settlements = self.ctx.store.vouchers.settle(
            self.lease,
            settlements,
            step,
            only=only,
            exchanges=exchanges,
            keep_days=keep_days,
            problems={s.id: _problems(s) for s in settlements},
        )
        for s in settlements:
            self.counts[s.status] += 1
            if s.status is VoucherStatus.POSTED:
                self.posted_minor += stored[s.id].voucher.total.minor
                self.found += s.outcome is PostingOutcome.EXISTS
        if any(s.status is VoucherStatus.UNKNOWN for s in settlements):
            self.last_doubt = self.ctx.clock.monotonic()
        if step not in ("look", "split"):
            self.done += len(settlements)
            self.ctx.progress(Stage.POST, self.done, self.total)
            self.eta.report(self.done, max(self.done, self.total))


def settlement(
    stored: StoredVoucher,
    status: VoucherStatus,
    outcome: PostingOutcome | None,
    message: str = "",
    *,
    ledger_id: str = "",
    number: str = "",
) -> Settlement:
    """What becomes of one voucher."""
    return Settlement(stored.id, stored.voucher.key, status, outcome, ledger_id, number, message)


def _problems(s: Settlement) -> list[Problem]:
    """What finance must know of a voucher that did not go through."""
    zh, _, en = s.message.partition(" / ")
    if s.status in {VoucherStatus.REJECTED, VoucherStatus.HELD, VoucherStatus.CONFLICT}:
        return [Problem(f"voucher.{s.status}", str(s.key), zh, en or zh, ProblemOwner.FINANCE)]
    return []
