"""Reconcile: OA ↔ store ↔ ledger, by key, then status, date, amount, account and dimension."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from include.domain.account import AccountBalance
from include.domain.money import Money, format_minor
from include.domain.period import Calendar, FiscalPeriod
from include.domain.problems import Stage
from include.domain.reconciliation import Discrepancy, DiscrepancyKind
from include.domain.voucher import (
    JournalLine,
    LedgerLine,
    LedgerVoucher,
    LedgerVoucherState,
    Side,
    Voucher,
    content_digest,
)
from include.stages.context import Scope, StageContext, StageResult
from include.store.engine import reading
from include.store.reconciliations import Counted, Expected
from include.store.vouchers import load

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReconcileResult(StageResult):
    """`foreign` are vouchers of others in the ledger, which are left alone. `kinds` counts differences by kind."""

    periods: int
    vouchers: int
    ledger_vouchers: int
    foreign: int
    discrepancies: int
    kinds: tuple[tuple[str, int], ...]


@dataclass
class _Period:
    """What comes together while a period's ledger pages go by."""

    book: str
    expected: dict[str, Expected]
    seen: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    listed: int = 0
    foreign: int = 0
    unknown: dict[str, str] = field(default_factory=dict)
    differing: list[LedgerVoucher] = field(default_factory=list)
    found: list[Discrepancy] = field(default_factory=list)
    totals: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))


def reconcile(ctx: StageContext, scope: Scope) -> ReconcileResult:
    """Compare whole periods: those in scope if it has a beginning, else those with something new or still open.

    Changes nothing in the OA or the ledger. Differences are kept with their age until they are gone.

    Raises:
        RetryLater: the ledger cannot be read; nothing is concluded from a partial reading.
    """
    periods = _periods(ctx, scope)
    found: dict[str, list[Discrepancy]] = defaultdict(list)
    vouchers = listed = foreign = 0
    for number, period in enumerate(periods, 1):
        state = _Period(ctx.book.id, ctx.store.reconciliations.expected(ctx.book.id, period))
        for page in ctx.ledger.vouchers(period):
            for there in page:
                _meet(ctx, state, there)
        _conclude(ctx, state, period)
        vouchers += len(state.expected)
        listed += state.listed
        foreign += state.foreign
        found[period.code] += state.found
        ctx.progress(Stage.RECONCILE, number, len(periods))
    for code, period_code in ctx.store.reconciliations.documents_without_voucher(ctx.book.id, scope):
        found[period_code].append(_no_voucher(code))
    for code, ours, theirs in ctx.store.reconciliations.oa_numbers(ctx.book.id):
        found[""].append(_oa_number(code, ours, theirs))
    touched = {FiscalPeriod.parse(code) for code in found if code} | set(periods)
    ctx.store.reconciliations.record(
        ctx.book.id, Counted(scope, vouchers, listed, foreign), sorted(touched), found
    )
    everything = [item for items in found.values() for item in items]
    for item in everything[:5]:
        log.warning("%s %s: %s / %s", item.kind, item.subject, item.zh, item.en)
    return ReconcileResult(
        periods=len(periods),
        vouchers=vouchers,
        ledger_vouchers=listed,
        foreign=foreign,
        discrepancies=len(everything),
        kinds=tuple(Counter(str(item.kind) for item in everything).most_common()),
    )


def _periods(ctx: StageContext, scope: Scope) -> list[FiscalPeriod]:
    """The ledger's periods that touch the scope; without a beginning, those with something new or still open."""
    if scope.date_from is None:
        return ctx.store.reconciliations.periods_to_check(ctx.book.id)
    return [
        FiscalPeriod.parse(period.code)
        for period in Calendar(ctx.ledger.periods()).periods
        if period.last_day >= scope.date_from and (scope.date_to is None or period.first_day <= scope.date_to)
    ]


def _meet(ctx: StageContext, state: _Period, there: LedgerVoucher) -> None:
    """Take one voucher of the ledger into account."""
    state.listed += 1
    if there.state is not LedgerVoucherState.DRAFT:
        for line in there.lines:
            state.totals[line.account][line.side is Side.CREDIT] += line.amount.minor
    key = there.key
    if key is None or key.book != state.book:
        state.foreign += 1
        return
    text = str(key)
    state.seen[text].append(there.number or there.ledger_id)
    ours = state.expected.get(text)
    if ours is None:
        state.unknown[text] = there.number or there.ledger_id
        return
    if there.state is LedgerVoucherState.DRAFT:
        state.found.append(
            _status(DiscrepancyKind.NOT_POSTED_IN_LEDGER, text, there, "未过账", "is not posted")
        )
    if there.state is LedgerVoucherState.REVERSED:
        state.found.append(
            _status(DiscrepancyKind.REVERSED_IN_LEDGER, text, there, "已被红冲", "was reversed")
        )
    if content_digest(there.date, there.lines, ctx.ledger.dimension_kinds) != ours.content_digest:
        state.differing.append(there)


def _conclude(ctx: StageContext, state: _Period, period: FiscalPeriod) -> None:
    """What can only be said once the whole period has gone by."""
    for key, ours in state.expected.items():
        numbers = state.seen.get(key, [])
        if not numbers:
            state.found.append(
                Discrepancy(
                    DiscrepancyKind.MISSING_IN_LEDGER,
                    key,
                    ours.ledger_number,
                    "",
                    f"凭证 {ours.ledger_number} 已过账，但会计系统 {period} 中找不到；请核对是否被删除或改期",
                    f"voucher {ours.ledger_number} was posted but is not in the ledger's {period}: was it deleted or moved?",
                )
            )
        elif len(numbers) > 1:
            listed = "、".join(numbers)
            state.found.append(
                Discrepancy(
                    DiscrepancyKind.DUPLICATE_IN_LEDGER,
                    key,
                    ours.ledger_number,
                    listed,
                    f"会计系统中有 {len(numbers)} 份：{listed}；请作废多余的",
                    f"the ledger has it {len(numbers)} times: {listed}; cancel the surplus ones",
                )
            )
    known = ctx.store.reconciliations.known_keys(state.book, list(state.unknown))
    state.found += [
        Discrepancy(
            DiscrepancyKind.NOT_IN_STORE,
            key,
            "",
            number,
            f"会计系统凭证 {number} 带有本账簿的键，但这里没有已过账的记录；运行过账会先查询并认领，否则请工程师核对",
            f"ledger voucher {number} carries a key of this book that is not posted here"
            + ("; posting again looks it up and adopts it" if key in known else ": an engineer must look"),
        )
        for key, number in state.unknown.items()
    ]
    state.found += _differences(ctx, state)
    state.found += list(_balances(ctx, state, ctx.ledger.trial_balance(period)))


def _differences(ctx: StageContext, state: _Period) -> list[Discrepancy]:
    """Name the differences of vouchers whose content is not ours."""
    if not state.differing:
        return []
    ids = [state.expected[str(v.key)].id for v in state.differing]
    with reading(ctx.store.engine) as connection:
        ours = {str(s.voucher.key): s.voucher for s in load(connection, ids)}
    return [
        item
        for there in state.differing
        for item in compare(ours[str(there.key)], there, ctx.ledger.dimension_kinds)
    ]


def compare(ours: Voucher, theirs: LedgerVoucher, dimension_kinds: frozenset[str]) -> Iterator[Discrepancy]:
    """The typed differences between a voucher and the ledger's copy of it."""
    key, number = str(ours.key), theirs.number or theirs.ledger_id
    if ours.date != theirs.date:
        yield Discrepancy(
            DiscrepancyKind.DATE,
            key,
            str(ours.date),
            str(theirs.date),
            f"凭证 {number} 日期应为 {ours.date}，会计系统为 {theirs.date}",
            f"voucher {number} is dated {theirs.date} in the ledger, {ours.date} here",
        )
    by_account, by_account_there = _by_account(ours.lines), _by_account(theirs.lines)
    if set(by_account) != set(by_account_there):
        mine, there = _codes(by_account), _codes(by_account_there)
        yield Discrepancy(
            DiscrepancyKind.ACCOUNT,
            key,
            mine,
            there,
            f"凭证 {number} 科目应为 {mine}，会计系统为 {there}",
            f"voucher {number} is on accounts {there} in the ledger, {mine} here",
        )
    differing = [
        a for a in sorted(set(by_account) & set(by_account_there)) if by_account[a] != by_account_there[a]
    ]
    if differing:
        mine, there = (
            "; ".join(f"{a} {format_minor(totals[a], ours.currency)}" for a in differing)
            for totals in (by_account, by_account_there)
        )
        yield Discrepancy(
            DiscrepancyKind.AMOUNT,
            key,
            mine,
            there,
            f"凭证 {number} 金额（借正贷负）应为 {mine}，会计系统为 {there}",
            f"voucher {number}: {there} in the ledger, {mine} here (credit negative)",
        )
    same_lines = content_digest(ours.date, ours.lines, dimension_kinds) == content_digest(
        ours.date, theirs.lines, dimension_kinds
    )
    if by_account == by_account_there and not same_lines:
        yield Discrepancy(
            DiscrepancyKind.DIMENSION,
            key,
            _dimensions(ours.lines, dimension_kinds),
            _dimensions(theirs.lines, dimension_kinds),
            f"凭证 {number} 科目与金额一致，但辅助核算、原币或分录拆分不同；请在会计系统中核对",
            f"voucher {number} agrees in accounts and amounts but not in dimensions, foreign amounts or the cut of lines",
        )


def _by_account(lines: Sequence[JournalLine] | Sequence[LedgerLine]) -> dict[str, int]:
    totals: dict[str, int] = defaultdict(int)
    for line in lines:
        totals[line.account] += line.amount.minor if line.side is Side.DEBIT else -line.amount.minor
    return dict(totals)


def _codes(by_account: dict[str, int]) -> str:
    return "、".join(sorted(by_account))


def _dimensions(lines: Sequence[JournalLine] | Sequence[LedgerLine], kinds: frozenset[str]) -> str:
    return "; ".join(
        sorted(
            f"{line.account} " + " ".join(f"{d.kind}={d.code}" for d in line.dimensions if d.kind in kinds)
            for line in lines
        )
    )


def _balances(
    ctx: StageContext, state: _Period, trial_balance: Sequence[AccountBalance]
) -> Iterator[Discrepancy]:
    """The listing must add up to the ledger's own trial balance, or one of the two readings is not whole."""
    theirs = {b.account: [b.debit_minor, b.credit_minor] for b in trial_balance}
    for account in sorted(set(theirs) | set(state.totals)):
        listed, balance = state.totals.get(account, [0, 0]), theirs.get(account, [0, 0])
        if listed[0] - listed[1] != balance[0] - balance[1]:
            ours = str(Money(listed[0] - listed[1], ctx.book.currency))
            other = str(Money(balance[0] - balance[1], ctx.book.currency))
            yield Discrepancy(
                DiscrepancyKind.BALANCE,
                account,
                ours,
                other,
                f"科目 {account} 凭证合计 {ours}，试算平衡表 {other}；期间内可能有凭证正在变动，请再对一次",
                f"account {account}: vouchers add up to {ours}, the trial balance says {other}; reconcile once more",
            )


def _status(kind: DiscrepancyKind, key: str, there: LedgerVoucher, zh: str, en: str) -> Discrepancy:
    number = there.number or there.ledger_id
    return Discrepancy(
        kind,
        key,
        "posted",
        str(there.state),
        f"凭证 {number} 在会计系统中{zh}；请财务核对",
        f"voucher {number} {en} in the ledger: finance must look",
    )


def _no_voucher(code: str) -> Discrepancy:
    return Discrepancy(
        DiscrepancyKind.NO_VOUCHER,
        code,
        "",
        "",
        f"单据 {code} 已通过校验但没有凭证；请运行生成，仍然如此则请工程师查看",
        f"document {code} was accepted but has no voucher: run generate, then ask an engineer",
    )


def _oa_number(code: str, ours: str, theirs: str) -> Discrepancy:
    return Discrepancy(
        DiscrepancyKind.OA_NUMBER,
        code,
        ours,
        theirs,
        f"单据 {code} 在 OA 中的凭证号为 {theirs}，我们回写的是 {ours}",
        f"document {code} shows voucher number {theirs} in the OA, we wrote {ours}",
    )
