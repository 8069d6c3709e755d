"""What the store alone shows to be amiss: OA ↔ store, and vouchers that do not get on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from include.domain.reconciliation import Discrepancy, DiscrepancyKind
from include.domain.voucher import VoucherStatus
from include.stages.context import StageContext
from include.store import expected
from include.store.expected import Known, Lag

Kind = DiscrepancyKind

PATIENCE = {
    Kind.IN_DOUBT: ({VoucherStatus.SENDING, VoucherStatus.UNKNOWN}, timedelta(hours=1)),
    Kind.WAITING: (
        {VoucherStatus.GENERATED, VoucherStatus.HELD, VoucherStatus.CONFLICT},
        timedelta(days=3),
    ),
}
"""How long a voucher may be in which states before it is a difference."""


def found(ctx: StageContext) -> Iterator[Discrepancy]:
    """Of the whole book."""
    engine, book = ctx.store.engine, ctx.book.id
    withdrawn, changed = expected.not_as_in_oa(engine, book)
    yield from map(_no_voucher, expected.without_voucher(engine, book))
    yield from map(_withdrawn, withdrawn)
    yield from map(_changed, changed)
    yield from map(_oa_number, expected.other_numbers(engine, book))
    say: dict[Kind, Callable[[Lag], Discrepancy]] = {Kind.IN_DOUBT: _in_doubt, Kind.WAITING: _waiting}
    for kind, (statuses, patience) in PATIENCE.items():
        late = expected.unfinished(engine, book, statuses, ctx.clock.now() - patience)
        yield from map(say[kind], late)


def not_in_store(key: str, number: str, period: str) -> Discrepancy:
    """The ledger has a key of the book that the store does not know."""
    return Discrepancy(
        Kind.NOT_IN_STORE,
        key,
        period,
        "",
        number,
        f"会计系统凭证 {number} 带有本账簿的键，但凭证库中没有；请工程师核对凭证库是否完整",
        f"ledger voucher {number} bears a key of this book that the store does not know: an engineer must see whether the "
        "store is whole",
    )


def orphan(known: Known, number: str, period: str) -> Discrepancy:
    """The ledger has a voucher that we have never sent, by what we know."""
    return Discrepancy(
        Kind.ORPHAN,
        known.key,
        period,
        known.status.value,
        number,
        f"凭证在会计系统中已有（{number}），这里的状态却是 {known.status.value}；下次过账会先查询并认领，之后仍在则请工程师查看",
        f"voucher is in the ledger ({number}) and {known.status.value} here: the next posting looks it up and adopts it; if this "
        "stays, an engineer must look",
    )


def _no_voucher(lag: Lag) -> Discrepancy:
    return Discrepancy(
        Kind.NO_VOUCHER,
        lag.subject,
        lag.period,
        "",
        "",
        f"单据 {lag.subject} 已通过校验但没有凭证；请运行生成，仍然如此则请工程师查看",
        f"document {lag.subject} was accepted but has no voucher: run generate, then ask an engineer",
    )


def _withdrawn(lag: Lag) -> Discrepancy:
    return Discrepancy(
        Kind.OA_WITHDRAWN,
        lag.subject,
        lag.period,
        lag.ours,
        lag.theirs,
        f"单据在 OA 中已不成立（{lag.theirs}），凭证 {lag.ours} 仍在账上；请决定是否红冲",
        f"the document stands no more in the OA ({lag.theirs}), and voucher {lag.ours} still counts in the ledger: decide on "
        "its reversal",
    )


def _changed(lag: Lag) -> Discrepancy:
    return Discrepancy(
        Kind.OA_CHANGED,
        lag.subject,
        lag.period,
        lag.ours,
        lag.theirs,
        f"单据在过账后有变更（{lag.theirs}），凭证 {lag.ours} 仍是变更前的；请决定是否红冲重做",
        f"the document changed after posting ({lag.theirs}), and voucher {lag.ours} says what it said before: decide on its "
        "reversal and replacement",
    )


def _oa_number(lag: Lag) -> Discrepancy:
    return Discrepancy(
        Kind.OA_NUMBER,
        lag.subject,
        lag.period,
        lag.ours,
        lag.theirs,
        f"单据 {lag.subject} 在 OA 中的凭证号为 {lag.theirs}，我们回写的是 {lag.ours}",
        f"document {lag.subject} shows voucher number {lag.theirs} in the OA, we wrote {lag.ours}",
    )


def _in_doubt(lag: Lag) -> Discrepancy:
    return Discrepancy(
        Kind.IN_DOUBT,
        lag.subject,
        lag.period,
        lag.ours,
        "",
        f"凭证自 {lag.since:%Y-%m-%d %H:%M} UTC 起发送结果未知；请运行过账，它会先查询；仍然如此则请工程师查看",
        f"nobody knows since {lag.since:%Y-%m-%d %H:%M} UTC what became of the voucher: run post, which looks it up, then ask "
        "an engineer",
    )


def _waiting(lag: Lag) -> Discrepancy:
    zh, _, en = lag.theirs.partition(" / ")
    return Discrepancy(
        Kind.WAITING,
        lag.subject,
        lag.period,
        lag.ours,
        "",
        f"凭证自 {lag.since:%Y-%m-%d %H:%M} UTC 起未能过账（{lag.ours}）{'：' + zh if zh else '；请运行过账'}",
        f"the voucher has waited since {lag.since:%Y-%m-%d %H:%M} UTC ({lag.ours})"
        f"{': ' + (en or zh) if zh else ': run post'}",
    )
