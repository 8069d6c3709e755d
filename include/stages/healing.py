"""What reconciliation may mend by itself: it puts vouchers in doubt, and posting does the rest.

A voucher in doubt is looked up before anything else: found, it is adopted; proved absent, it is sent under its own key.
Nothing is written into the ledger here.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta

from include.domain.errors import LeaseLost
from include.domain.period import PeriodState
from include.domain.voucher import VoucherStatus
from include.pace import MAX_WAIT_S
from include.stages.context import StageContext
from include.store.engine import reading
from include.store.leases import Lease
from include.store.vouchers import StoredVoucher, load

log = logging.getLogger(__name__)

LOOK_SIZE = 200
"""Vouchers of one look."""


def adopt(ctx: StageContext, orphans: Collection[int]) -> list[str]:
    """Put vouchers in doubt that are in the ledger and, by what we know, were never sent; the keys of those that are.

    While another run writes for the book it is left to the next reconciliation.
    """
    if not orphans:
        return []
    try:
        lease = ctx.store.leases.acquire(ctx.book.id)
    except LeaseLost as error:
        log.warning("认领推迟到下次对账 / adopting is left to the next reconciliation: %s", error)
        return []
    try:
        return ctx.store.reconciliations.adopt(lease, sorted(orphans), ctx.actor)
    finally:
        ctx.store.leases.release(lease)


def send_back(ctx: StageContext, missing: Collection[int]) -> list[str]:
    """Put posted vouchers in doubt that the ledger has lost; the keys of those that are.

    Each is looked up once more under the book's lease. It stays as it is, for a person, where anything at all is found,
    where it was posted so recently that the ledger may not show it yet, where its period is not open, and where it may
    not be sent (see `Reconciliations.send_back`).

    Raises:
        LeaseLost: another run writes for the book.
        RetryLater: the ledger cannot be read; what was not looked up stays as it is.
    """
    if not missing:
        return []
    lease = ctx.store.leases.acquire(ctx.book.id)
    try:
        return [key for part in parts(sorted(missing)) for key in _send_part_back(ctx, lease, part)]
    finally:
        ctx.store.leases.release(lease)


def _send_part_back(ctx: StageContext, lease: Lease, ids: Sequence[int]) -> list[str]:
    ctx.store.leases.renew(lease)
    with reading(ctx.store.engine) as connection:
        stored = [s for s in load(connection, ids) if s.status is VoucherStatus.POSTED]
    absent = [s for s in stored if _is_settled(ctx, s) and _is_open(ctx, s)]
    if not absent:
        return []
    found = ctx.ledger.find([s.voucher for s in absent])
    there = ctx.ledger.numbers([s.ledger_id for s in absent if s.ledger_id])
    gone = [s.id for s in absent if not found.get(s.voucher.key) and s.ledger_id not in there]
    return ctx.store.reconciliations.send_back(lease, gone, ctx.actor)


def _is_settled(ctx: StageContext, stored: StoredVoucher) -> bool:
    quiet = timedelta(seconds=MAX_WAIT_S + ctx.ledger.settle_s)
    return stored.intent_at is None or stored.intent_at + quiet < ctx.clock.now()


def _is_open(ctx: StageContext, stored: StoredVoucher) -> bool:
    period = ctx.ledger.period_of(stored.voucher.date)
    return period is not None and period.state is PeriodState.OPEN


def parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """As many as one look may ask for."""
    for start in range(0, len(ids), LOOK_SIZE):
        yield ids[start : start + LOOK_SIZE]
