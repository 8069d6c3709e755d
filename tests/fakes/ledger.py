"""A ledger in memory with an accounting system's own rules, and faults on demand. For tests of stages and of the contract."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from itertools import count

from include.domain.account import Account, AccountBalance, AuxiliaryDimension, Chart
from include.domain.errors import FixData, OutcomeUnknown, VoucherflowError
from include.domain.period import Calendar, FiscalPeriod, LedgerPeriod, PeriodState
from include.domain.voucher import (
    JournalLine,
    LedgerLine,
    LedgerVoucher,
    LedgerVoucherState,
    PostingOutcome,
    PostingResult,
    Side,
    Voucher,
    VoucherKey,
)
from include.embedded.tryton.chart import read_chart
from include.embedded.tryton.initialise import CHART_CN
from include.ports import ProofLevel

PARTIES = frozenset({"employee", "supplier", "customer"})


class Loss(StrEnum):
    """What is in the ledger although the caller of `post` only learns that the answer was lost."""

    POSTED = "posted"
    DRAFTED = "drafted"
    NOTHING = "nothing"


def chart_cn() -> dict[str, Account]:
    """The accounts of the embedded ledger."""
    return {
        each.code: Account(
            each.code,
            each.name,
            is_leaf=bool(each.type),
            required_dimensions=frozenset({"party"} if each.party_required else ()),
        )
        for each in read_chart(CHART_CN)
    }


def months(*years: int) -> dict[FiscalPeriod, PeriodState]:
    return {FiscalPeriod(year, month): PeriodState.OPEN for year in years for month in range(1, 13)}


@dataclass(slots=True)
class FakeLedger:
    """One book. Tests may change all public attributes.

    Attributes:
        adjustments: adjustment periods, which lie over months and take nothing of ours.
        creatable: kinds of dimension values that `ensure_dimensions` may make; None: all that are kept.
        poison: document ids with which any batch is refused as a whole, without saying which it was.
        vouchers_by_id: everything in the ledger, in order of creation.
        calls: names of the operations that were asked for.
    """

    name: str = "fake"
    proof_level: ProofLevel = ProofLevel.SEARCHABLE_REFERENCE
    batch_size: int = 50
    settle_s: float = 0.0
    page_size: int = 3
    currency: str = "CNY"
    dimension_kinds: frozenset[str] = frozenset({"employee", "supplier", "customer", "department", "project"})
    accounts: dict[str, Account] = field(default_factory=chart_cn)
    states: dict[FiscalPeriod, PeriodState] = field(default_factory=lambda: months(2025, 2026))
    adjustments: list[LedgerPeriod] = field(default_factory=list)
    words: tuple[str, ...] = ("记", "收", "付", "转")
    creatable: frozenset[str] | None = None
    poison: set[str] = field(default_factory=set)
    values: dict[AuxiliaryDimension, AuxiliaryDimension] = field(default_factory=dict)
    vouchers_by_id: dict[str, LedgerVoucher] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    _failures: dict[str, list[VoucherflowError | None]] = field(default_factory=dict)
    _losses: list[Loss | None] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: count(1))
    _numbers: dict[tuple[FiscalPeriod, str], Iterator[int]] = field(
        default_factory=lambda: defaultdict(lambda: count(1))
    )

    # -- what tests do -------------------------------------------------------------------------------

    def fail(self, operation: str, error: VoucherflowError, *, after: int = 0, times: int = 1) -> None:
        """Let calls of an operation fail before they do anything: `times` of them, after `after` good ones."""
        self._failures.setdefault(operation, []).extend([None] * after + [error] * times)

    def lose(self, what: Loss, *, after: int = 0, times: int = 1) -> None:
        """Let `post` end in OutcomeUnknown, with `what` of the batch in the ledger."""
        self._losses.extend([None] * after + [what] * times)

    def draft(self, voucher: Voucher) -> LedgerVoucher:
        """Leave a draft, as a crash between creating and posting does."""
        return self._create(voucher)

    def cancel(self, ledger_id: str) -> None:
        """Reverse a voucher in the ledger, without us."""
        original = self.vouchers_by_id[ledger_id]
        self.vouchers_by_id[ledger_id] = replace(original, state=LedgerVoucherState.REVERSED)
        counter = str(next(self._ids))
        self.vouchers_by_id[counter] = replace(
            original,
            ledger_id=counter,
            number=self._next_number(original),
            reference=f"cancels {ledger_id}",
            lines=tuple(replace(line, amount=-line.amount) for line in original.lines),
        )

    def _meet_fate(self, operation: str) -> None:
        self.calls.append(operation)
        waiting = self._failures.get(operation)
        error = waiting.pop(0) if waiting else None
        if error is not None:
            raise error

    # -- the port ------------------------------------------------------------------------------------

    def check(self) -> str:
        self._meet_fate("check")
        return f"内存账簿，{len(self.accounts)} 个科目 / a ledger in memory"

    def chart(self) -> Chart:
        self._meet_fate("chart")
        return Chart.of(self.accounts.values())

    def periods(self) -> Sequence[LedgerPeriod]:
        self._meet_fate("periods")
        months = [
            LedgerPeriod(period.code, period.first_day, period.last_day, state)
            for period, state in self.states.items()
        ]
        return sorted([*self.adjustments, *months], key=lambda period: period.first_day)

    def period_of(self, day: date) -> LedgerPeriod | None:
        return Calendar(self.periods()).holding(day)

    def find(self, vouchers: Sequence[Voucher]) -> Mapping[VoucherKey, Sequence[LedgerVoucher]]:
        self._meet_fate("find")
        if self.proof_level is ProofLevel.DATE_AND_AMOUNT:
            return self._find_like(vouchers)
        wanted = {voucher.key for voucher in vouchers}
        found: dict[VoucherKey, list[LedgerVoucher]] = {}
        for voucher in self.vouchers_by_id.values():
            if voucher.key in wanted:
                found.setdefault(voucher.key, []).append(voucher)
        return found

    def numbers(self, ledger_ids: Sequence[str]) -> Mapping[str, str]:
        self._meet_fate("numbers")
        return {each: self.vouchers_by_id[each].number for each in ledger_ids if each in self.vouchers_by_id}

    def ensure_dimensions(self, values: Iterable[AuxiliaryDimension]) -> None:
        self._meet_fate("ensure_dimensions")
        missing = [v for v in values if v.kind in self.dimension_kinds and v not in self.values]
        allowed = self.dimension_kinds if self.creatable is None else self.creatable
        refused = [value for value in missing if value.kind not in allowed]
        if refused:
            names = ", ".join(f"{value.kind} {value.code}" for value in refused)
            raise FixData(f"账务系统没有 {names}，请先建立 / the ledger has no {names}: create them there")
        for value in missing:
            kept = AuxiliaryDimension(value.kind, value.code, value.name.replace("\n", " "))
            self.values.setdefault(kept, kept)

    def post(self, vouchers: Sequence[Voucher]) -> Sequence[PostingResult]:
        if len(vouchers) > self.batch_size:
            raise ValueError(f"{len(vouchers)} vouchers in one call, at most {self.batch_size}")
        self._meet_fate("post")
        loss = self._losses.pop(0) if self._losses else None
        if any(voucher.key.document_id in self.poison for voucher in vouchers):
            message = "账务系统拒绝整批凭证 / the ledger refuses the batch"
            return [PostingResult(v.key, PostingOutcome.REJECTED, message=message) for v in vouchers]
        results = [self._post_one(voucher, loss) for voucher in vouchers]
        if loss is not None:
            raise OutcomeUnknown("回答丢失，须先查询 / the answer was lost, look before sending again")
        return results

    def complete(self, vouchers: Sequence[LedgerVoucher]) -> Sequence[LedgerVoucher]:
        self._meet_fate("complete")
        for voucher in vouchers:
            if voucher.state is LedgerVoucherState.DRAFT:
                self._post_draft(voucher)
        return [self.vouchers_by_id[voucher.ledger_id] for voucher in vouchers]

    def discard(self, vouchers: Sequence[LedgerVoucher]) -> None:
        self._meet_fate("discard")
        there = [self.vouchers_by_id[v.ledger_id] for v in vouchers if v.ledger_id in self.vouchers_by_id]
        posted = [voucher.number for voucher in there if voucher.state is not LedgerVoucherState.DRAFT]
        if posted:
            raise FixData(f"{', '.join(posted)} 已过账，不能删除 / posted, not to be deleted")
        for voucher in there:
            del self.vouchers_by_id[voucher.ledger_id]

    def vouchers(self, period: FiscalPeriod) -> Iterator[Sequence[LedgerVoucher]]:
        listed = [voucher for voucher in self.vouchers_by_id.values() if voucher.period == period.code]
        for start in range(0, len(listed), self.page_size):
            self._meet_fate("vouchers")
            yield listed[start : start + self.page_size]

    def trial_balance(self, period: FiscalPeriod) -> Sequence[AccountBalance]:
        self._meet_fate("trial_balance")
        totals: dict[str, dict[Side, int]] = defaultdict(lambda: {Side.DEBIT: 0, Side.CREDIT: 0})
        for voucher in self.vouchers_by_id.values():
            if voucher.period == period.code and voucher.state is not LedgerVoucherState.DRAFT:
                for line in voucher.lines:
                    totals[line.account][line.side] += line.amount.minor
        return [
            AccountBalance(account, sides[Side.DEBIT], sides[Side.CREDIT])
            for account, sides in sorted(totals.items())
            if any(sides.values())
        ]

    def _find_like(self, vouchers: Sequence[Voucher]) -> dict[VoucherKey, list[LedgerVoucher]]:
        """By date and debit total, which is all that this ledger can be searched by."""
        by_like: dict[tuple[date, int], list[LedgerVoucher]] = defaultdict(list)
        for each in self.vouchers_by_id.values():
            total = sum(line.amount.minor for line in each.lines if line.side is Side.DEBIT)
            by_like[each.date, total].append(each)
        found = {voucher.key: by_like[voucher.date, voucher.total.minor] for voucher in vouchers}
        return {key: like for key, like in found.items() if like}

    # -- the rules of an accounting system -----------------------------------------------------------

    def _post_one(self, voucher: Voucher, loss: Loss | None) -> PostingResult:
        refusals = [
            *self._refusals(voucher),
            *(text for x in voucher.lines for text in self._line_refusals(x)),
        ]
        if refusals:
            message = f"账务系统拒绝：{'；'.join(refusals)} / the ledger refuses: {'; '.join(refusals)}"
            return PostingResult(voucher.key, PostingOutcome.REJECTED, message=message)
        if loss is Loss.NOTHING:
            return PostingResult(voucher.key, PostingOutcome.UNKNOWN)
        kept = self._create(voucher)
        if loss is not Loss.DRAFTED:
            kept = self._post_draft(kept)
        return PostingResult(voucher.key, PostingOutcome.CREATED, kept.ledger_id, kept.number)

    def _refusals(self, voucher: Voucher) -> Iterator[str]:
        state = self.states.get(voucher.period, PeriodState.MISSING)
        if state is not PeriodState.OPEN:
            yield f"{voucher.period} {state}"
        if voucher.word not in self.words:
            yield f"凭证字 {voucher.word}"
        if voucher.currency != self.currency:
            yield f"本位币 {voucher.currency}"

    def _line_refusals(self, line: JournalLine) -> Iterator[str]:
        account = self.accounts.get(line.account)
        kept = self._kept(line)
        has_party = any(value.kind in PARTIES for value in kept)
        if account is None or not account.is_leaf or not account.is_active:
            yield f"科目 {line.account}"
        elif ("party" in account.required_dimensions) != has_party:
            yield f"科目 {line.account} 往来单位"
        yield from (f"{value.kind} {value.code}" for value in kept if value not in self.values)

    def _kept(self, line: JournalLine) -> list[AuxiliaryDimension]:
        return [value for value in line.dimensions if value.kind in self.dimension_kinds]

    def _create(self, voucher: Voucher) -> LedgerVoucher:
        ledger_id = str(next(self._ids))
        created = self.vouchers_by_id[ledger_id] = LedgerVoucher(
            ledger_id=ledger_id,
            number="",
            reference="" if self.proof_level is ProofLevel.DATE_AND_AMOUNT else str(voucher.key),
            date=voucher.date,
            period=voucher.period.code,
            state=LedgerVoucherState.DRAFT,
            lines=tuple(
                LedgerLine(
                    line.side,
                    line.account,
                    line.amount,
                    tuple(self.values[value] for value in self._kept(line)),
                    line.transaction,
                    line.summary,
                )
                for line in voucher.lines
            ),
        )
        return created

    def _post_draft(self, draft: LedgerVoucher) -> LedgerVoucher:
        posted = replace(draft, state=LedgerVoucherState.POSTED, number=self._next_number(draft))
        self.vouchers_by_id[draft.ledger_id] = posted
        return posted

    def _next_number(self, voucher: LedgerVoucher) -> str:
        return f"记-{next(self._numbers[FiscalPeriod.parse(voucher.period), '记'])}"
