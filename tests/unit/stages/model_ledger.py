"""A model of a ledger, small enough to be right by reading it, for the machine that drives posting.

It knows what no ledger tells: who made each voucher. What it does with a call is said beforehand, as a `Fate`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum

from include.domain.account import AccountBalance, AuxiliaryDimension, Chart
from include.domain.errors import FixData, OutcomeUnknown, RetryLater
from include.domain.period import Calendar, FiscalPeriod, LedgerPeriod, PeriodState
from include.domain.voucher import (
    LedgerLine,
    LedgerVoucher,
    LedgerVoucherState,
    PostingOutcome,
    PostingResult,
    Side,
    Voucher,
    VoucherKey,
)
from include.pace import Refused
from include.ports import Clock, ProofLevel

KINDS = frozenset({"department", "employee"})
DRAFT, POSTED, REVERSED = LedgerVoucherState.DRAFT, LedgerVoucherState.POSTED, LedgerVoucherState.REVERSED
Content = tuple[object, ...]
"""What two vouchers have in common that nobody can tell apart: day, and accounts, amounts and dimensions in any order."""


class Call(StrEnum):
    """What becomes of a call that writes."""

    OK = "ok"
    LOST = "nothing is done, and no answer comes"
    DONE_LOST = "it is done, and no answer comes"
    DRAFTED = "drafts are made, and no answer comes"
    SOME_LOST = "the first voucher is done alone where the ledger takes them singly, and no answer comes"
    LATE = "no answer comes, and later it is done"
    DRAFTED_LATE = "drafts are made, no answer comes, and later they are posted"
    DOWN = "it does not go out"
    TOO_FAST = "it is turned away for its pace"
    LOCKED = "all of it is refused"
    ONE_BAD = "its first voucher is refused"
    UNSURE = "the first voucher is done, and the answer says that it may be"
    UNSURE_UNDONE = "the first voucher is not done, and the answer says that it may be"


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one call; `seconds` until what comes late is done."""

    call: Call
    seconds: float = 0.0


OK = Fate(Call.OK)


@dataclass(slots=True)
class Entry:
    """A voucher in the ledger. `maker` is the text of our key, or "" where a person made it; `made` what it held then."""

    voucher: LedgerVoucher
    maker: str
    made: Content
    visible_at: float

    @property
    def id(self) -> str:
        return self.voucher.ledger_id

    @property
    def stands(self) -> bool:
        return self.voucher.state is not REVERSED

    @property
    def content(self) -> Content:
        return content_of(self.voucher)


def content_of(voucher: Voucher | LedgerVoucher) -> Content:
    """The content of a voucher, ours or the ledger's."""
    rows = sorted(
        (
            x.account,
            str(x.side),
            x.amount.minor,
            *sorted(f"{d.kind}:{d.code}" for d in x.dimensions if d.kind in KINDS),
        )
        for x in voucher.lines
    )
    return (voucher.date, *rows)


def likeness(voucher: Voucher | LedgerVoucher) -> tuple[date, int]:
    """Date and debit total."""
    return voucher.date, sum(x.amount.minor for x in voucher.lines if x.side is Side.DEBIT)


@dataclass
class Books:
    """One ledger, with the rules that hold whoever asks.

    Attributes:
        atomic: a call with one bad voucher is refused as a whole.
        compares: a key that is used with other content is told apart from the same voucher again (NATIVE_KEY).
        lag_s: how long a new voucher is missing from searches.
        deletes: whether drafts may be deleted.
        blocked: accounts' department codes that no voucher may carry.
        past: what was ever here, by id, as it was last.
        touched: ids of vouchers that a person edited, reversed or deleted, by what they were.
    """

    clock: Clock
    level: ProofLevel
    settle_s: float
    batch_size: int = 2
    atomic: bool = True
    compares: bool = True
    lag_s: float = 0.0
    deletes: bool = True
    months: dict[FiscalPeriod, PeriodState] = field(
        default_factory=lambda: {FiscalPeriod(2026, month): PeriodState.OPEN for month in (3, 4, 5)}
    )
    blocked: set[str] = field(default_factory=set)
    entries: dict[str, Entry] = field(default_factory=dict)
    past: dict[str, Entry] = field(default_factory=dict)
    touched: dict[str, Entry] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _late: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    _last_id: int = 0

    # -- what it holds ---------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Do what came late and is due by now, in its order."""
        now = self.clock.monotonic()
        due = sorted((item for item in self._late if item[0] <= now), key=lambda item: item[0])
        self._late = [item for item in self._late if item[0] > now]
        for _, work in due:
            work()

    def later(self, seconds: float, work: Callable[[], object]) -> None:
        self._late.append((self.clock.monotonic() + seconds, work))

    def ours(self) -> list[Entry]:
        """What stands and was made by our calls."""
        return [each for each in self.entries.values() if each.maker and each.stands]

    def visible(self) -> list[Entry]:
        """What a search shows now."""
        now = self.clock.monotonic()
        return [each for each in self.entries.values() if each.visible_at <= now]

    def put(
        self,
        voucher: Voucher | LedgerVoucher,
        *,
        maker: str = "",
        reference: str = "",
        state: LedgerVoucherState = POSTED,
    ) -> Entry:
        """Keep a voucher as it is, whatever the rules say."""
        self._last_id += 1
        lines = tuple(
            LedgerLine(
                x.side, x.account, x.amount, tuple(d for d in x.dimensions if d.kind in KINDS), x.transaction
            )
            for x in voucher.lines
        )
        kept = LedgerVoucher(
            ledger_id=str(self._last_id),
            number=f"记-{self._last_id}",
            reference=reference,
            date=voucher.date,
            period=FiscalPeriod.of(voucher.date).code,
            state=state,
            lines=lines,
        )
        entry = Entry(kept, maker, content_of(kept), self.clock.monotonic() + self.lag_s)
        self.entries[entry.id] = self.past[entry.id] = entry
        return entry

    # -- what persons do -------------------------------------------------------------------------------

    def delete(self, entry: Entry) -> None:
        self._touch(entry)
        del self.entries[entry.id]

    def reverse(self, entry: Entry) -> None:
        self._touch(entry)
        entry.voucher = replace(entry.voucher, state=REVERSED)

    def edit(self, entry: Entry) -> None:
        """Take the dimensions off: the same date and total, other content."""
        self._touch(entry)
        lines = tuple(replace(x, dimensions=()) for x in entry.voucher.lines)
        entry.voucher = replace(entry.voucher, lines=lines)

    def _touch(self, entry: Entry) -> None:
        self.touched[entry.id] = replace(entry)

    # -- its rules -------------------------------------------------------------------------------------

    def is_open(self, day: date) -> bool:
        return self.months.get(FiscalPeriod.of(day)) is PeriodState.OPEN

    def refuses(self, voucher: Voucher) -> str:
        """Why the rules keep a voucher out, or ""."""
        if not self.is_open(voucher.date):
            return "期间未开放 / the period is not open"
        codes = {d.code for x in voucher.lines for d in x.dimensions}
        return "部门已停用 / the department is blocked" if codes & self.blocked else ""

    def under_key(self, key: VoucherKey) -> Entry | None:
        """What a ledger with keys of its own has under one."""
        return next((e for e in self.entries.values() if e.stands and e.voucher.reference == str(key)), None)

    def take(self, vouchers: Sequence[Voucher], state: LedgerVoucherState = POSTED) -> list[PostingResult]:
        """Create vouchers by the rules."""
        said = {voucher.key: self.refuses(voucher) for voucher in vouchers}
        whole = next((text for text in said.values() if text), "") if self.atomic else ""
        return [self._take_one(voucher, whole or said[voucher.key], state) for voucher in vouchers]

    def _take_one(self, voucher: Voucher, refusal: str, state: LedgerVoucherState) -> PostingResult:
        if refusal:
            return PostingResult(voucher.key, PostingOutcome.REJECTED, message=refusal)
        there = self.under_key(voucher.key) if self.level is ProofLevel.NATIVE_KEY else None
        if there is not None:
            is_same = there.content == content_of(voucher)
            outcome = PostingOutcome.EXISTS if is_same or not self.compares else PostingOutcome.CONFLICT
            return PostingResult(voucher.key, outcome, there.id, there.voucher.number, "已存在 / is there")
        reference = "" if self.level is ProofLevel.DATE_AND_AMOUNT else str(voucher.key)
        entry = self.put(voucher, maker=str(voucher.key), reference=reference, state=state)
        return PostingResult(voucher.key, PostingOutcome.CREATED, entry.id, entry.voucher.number)

    def post_draft(self, ledger_id: str) -> None:
        """Raises FixData where the rules are against it."""
        entry = self.entries.get(ledger_id)
        if entry is None:
            raise FixData(f"草稿 {ledger_id} 不存在 / there is no draft {ledger_id}")
        if entry.voucher.state is DRAFT:
            if not self.is_open(entry.voucher.date):
                raise FixData("期间未开放，草稿不能过账 / the draft's period is not open")
            entry.voucher = replace(entry.voucher, state=POSTED)

    # -- calls -----------------------------------------------------------------------------------------

    def post(self, vouchers: Sequence[Voucher], fate: Fate) -> list[PostingResult]:
        """A call with its fate."""
        first, *others = vouchers
        match fate.call:
            case Call.OK:
                return self.take(vouchers)
            case Call.DOWN | Call.TOO_FAST:
                raise not_sent(fate)
            case Call.LOCKED:
                return [_refused(v, "系统锁定 / the ledger is locked") for v in vouchers]
            case Call.ONE_BAD if self.atomic:
                return [_refused(v, "拒绝 / refused") for v in vouchers]
            case Call.ONE_BAD:
                return [_refused(first, "拒绝 / refused"), *self.take(others)]
            case Call.UNSURE | Call.UNSURE_UNDONE:
                if fate.call is Call.UNSURE:
                    self.take([first])
                return [PostingResult(first.key, PostingOutcome.UNKNOWN), *self.take(others)]
            case _:
                self._lose(vouchers, fate)
                raise OutcomeUnknown("回答丢失 / the answer was lost")

    def _lose(self, vouchers: Sequence[Voucher], fate: Fate) -> None:
        """What is done of a call whose answer does not come, now or later."""
        match fate.call:
            case Call.DONE_LOST:
                self.take(vouchers)
            case Call.SOME_LOST:
                self.take(vouchers if self.atomic else vouchers[:1])
            case Call.DRAFTED:
                self.take(vouchers, DRAFT)
            case Call.DRAFTED_LATE:
                made = [
                    r.ledger_id for r in self.take(vouchers, DRAFT) if r.outcome is PostingOutcome.CREATED
                ]
                self.later(fate.seconds, lambda: self._post_late(made))
            case Call.LATE:
                shown_s = min(fate.seconds + self.lag_s, self.settle_s)
                visible_at = self.clock.monotonic() + shown_s
                self.later(fate.seconds, lambda: self._take_late(vouchers, visible_at))

    def complete(self, vouchers: Sequence[LedgerVoucher], fate: Fate) -> list[LedgerVoucher]:
        """A call with its fate."""
        ids = [voucher.ledger_id for voucher in vouchers]
        if fate.call in (Call.DOWN, Call.TOO_FAST):
            raise not_sent(fate)
        if fate.call in (Call.LATE, Call.DRAFTED_LATE):
            self.later(fate.seconds, lambda: self._post_late(ids))
        elif fate.call not in (Call.LOST, Call.DRAFTED):
            for ledger_id in ids:
                self.post_draft(ledger_id)
        if fate.call in (Call.OK, Call.LOCKED, Call.ONE_BAD):
            return [self.entries[ledger_id].voucher for ledger_id in ids]
        raise OutcomeUnknown("回答丢失 / the answer was lost")

    def discard(self, vouchers: Sequence[LedgerVoucher], fate: Fate) -> None:
        """A call with its fate."""
        ids = [voucher.ledger_id for voucher in vouchers if voucher.ledger_id in self.entries]
        if fate.call in (Call.DOWN, Call.TOO_FAST):
            raise not_sent(fate)
        if not self.deletes or any(self.entries[i].voucher.state is not DRAFT for i in ids):
            raise FixData("不能删除 / not to be deleted")
        if fate.call in (Call.LATE, Call.DRAFTED_LATE):
            self.later(fate.seconds, lambda: self._drop_late(ids))
        elif fate.call not in (Call.LOST, Call.DRAFTED):
            self._drop_late(ids)
        if fate.call not in (Call.OK, Call.LOCKED, Call.ONE_BAD):
            raise OutcomeUnknown("回答丢失 / the answer was lost")

    def _drop_late(self, ids: Iterable[str]) -> None:
        for ledger_id in ids:
            if ledger_id in self.entries and self.entries[ledger_id].voucher.state is DRAFT:
                del self.entries[ledger_id]

    def _take_late(self, vouchers: Sequence[Voucher], visible_at: float) -> None:
        for result in self.take(vouchers):
            if result.outcome is PostingOutcome.CREATED:
                self.entries[result.ledger_id].visible_at = visible_at

    def _post_late(self, ids: Iterable[str]) -> None:
        for ledger_id in ids:
            entry = self.entries.get(ledger_id)
            if entry is not None and self.is_open(entry.voucher.date):
                self.post_draft(ledger_id)

    def find(self, vouchers: Sequence[Voucher]) -> dict[VoucherKey, list[LedgerVoucher]]:
        """What a search shows for them."""
        shown = [entry.voucher for entry in self.visible()]
        if self.level is ProofLevel.DATE_AND_AMOUNT:
            found = {v.key: [x for x in shown if likeness(x) == likeness(v)] for v in vouchers}
        else:
            found = {v.key: [x for x in shown if x.reference == str(v.key)] for v in vouchers}
        return {key: like for key, like in found.items() if like}


def _refused(voucher: Voucher, why: str) -> PostingResult:
    return PostingResult(voucher.key, PostingOutcome.REJECTED, message=why)


def not_sent(fate: Fate) -> RetryLater:
    """What a call that did not go out ends in."""
    if fate.call is Call.TOO_FAST:
        return Refused("太快 / too fast", retry_after_s=1.0)
    return RetryLater("断线 / unreachable")


class Wire:
    """The books as `LedgerGateway`, for one run: `stop` is called before each call goes out and before its answer comes
    in, `fate` says what becomes of one that writes, and `is_down` whether one that reads fails.
    """

    name = "model"
    dimension_kinds = KINDS

    def __init__(
        self,
        books: Books,
        *,
        stop: Callable[[str], None],
        fate: Callable[[str, Sequence[str]], Fate],
        is_down: Callable[[str], bool],
    ) -> None:
        self.books = books
        self.proof_level = books.level
        self.batch_size = books.batch_size
        self.settle_s = books.settle_s
        self.calls = 0
        self.seen: frozenset[str] = frozenset()
        self.strays: list[str] = []
        """Calls that should not have been made, in words."""
        self._stop, self._fate, self._is_down = stop, fate, is_down
        self._open: Sequence[LedgerPeriod] = ()

    # -- reading ---------------------------------------------------------------------------------------

    def periods(self) -> Sequence[LedgerPeriod]:
        with self._reading("periods"):
            self._open = [
                LedgerPeriod(month.code, month.first_day, month.last_day, state)
                for month, state in self.books.months.items()
            ]
        return self._open

    def period_of(self, day: date) -> LedgerPeriod | None:
        return Calendar(self.periods()).holding(day)

    def find(self, vouchers: Sequence[Voucher]) -> Mapping[VoucherKey, Sequence[LedgerVoucher]]:
        with self._reading("find"):
            self.seen = frozenset(entry.id for entry in self.books.visible())
            found = self.books.find(vouchers)
        self._stop("found")
        return found

    def ensure_dimensions(self, values: Iterable[AuxiliaryDimension]) -> None:
        with self._reading("dimensions"):
            list(values)

    def chart(self) -> Chart:
        raise NotImplementedError("posting reads no chart")

    def numbers(self, ledger_ids: Sequence[str]) -> Mapping[str, str]:
        raise NotImplementedError("posting reads no numbers")

    def vouchers(self, period: FiscalPeriod) -> Iterator[Sequence[LedgerVoucher]]:
        raise NotImplementedError("posting lists no vouchers")

    def trial_balance(self, period: FiscalPeriod) -> Sequence[AccountBalance]:
        raise NotImplementedError("posting reads no balances")

    def check(self) -> str:
        return "model"

    def _reading(self, what: str) -> threading.RLock:
        """The books for one read, at a moment after the stop."""
        self.calls += 1
        self._stop(what)
        if self._is_down(what):
            raise RetryLater("查询失败 / the read failed")
        with self.books.lock:
            self.books.catch_up()
        return self.books.lock

    # -- writing ---------------------------------------------------------------------------------------

    def post(self, vouchers: Sequence[Voucher]) -> Sequence[PostingResult]:
        if len(vouchers) > self.batch_size:
            self.strays.append(f"{len(vouchers)} vouchers in one call")
        self.calls += 1
        self._stop("post")
        fate = self._fate("post", [str(voucher.key) for voucher in vouchers])
        calendar = Calendar(self._open)
        self.strays += [f"{v.key} on {v.date}, not open" for v in vouchers if not calendar.is_open(v.date)]
        try:
            with self.books.lock:
                self.books.catch_up()
                return self.books.post(vouchers, fate)
        finally:
            self._stop("answered")

    def complete(self, vouchers: Sequence[LedgerVoucher]) -> Sequence[LedgerVoucher]:
        self.calls += 1
        self._stop("complete")
        fate = self._fate("complete", [voucher.reference for voucher in vouchers])
        try:
            with self.books.lock:
                self.books.catch_up()
                return self.books.complete(vouchers, fate)
        finally:
            self._stop("completed")

    def discard(self, vouchers: Sequence[LedgerVoucher]) -> None:
        self.calls += 1
        self._stop("discard")
        fate = self._fate("discard", [voucher.reference for voucher in vouchers])
        try:
            with self.books.lock:
                self.books.catch_up()
                self.books.discard(vouchers, fate)
        finally:
            self._stop("discarded")
