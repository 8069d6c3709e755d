"""Reconcile: OA ↔ store ↔ ledger, by key, then status, date, amount, account and dimension.

Whole periods are compared as sets (`include.reconciling`), one period in memory at a time. What is not where it should be
is looked up once more in the whole ledger before anything is said of it. Nothing is changed in the OA or the ledger.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import polars as pl

from include.domain.period import Calendar, FiscalPeriod, PeriodState
from include.domain.problems import Stage
from include.domain.reconciliation import AccountTie, Discrepancy
from include.domain.voucher import UNSENT_STATUSES, VoucherStatus
from include.ports import ProofLevel
from include.reconciling.balances import imbalances, ties
from include.reconciling.frames import VOUCHERS, Journal, LedgerPages, with_dimensions
from include.reconciling.matching import Match, match
from include.reconciling.wording import Words
from include.stages import healing, store_checks
from include.stages.context import Scope, StageContext, StageResult
from include.store import expected
from include.store.engine import reading
from include.store.reconciliations import Counted
from include.store.vouchers import load

log = logging.getLogger(__name__)

ADOPTABLE = {*UNSENT_STATUSES, VoucherStatus.CANCELLED}
"""Never sent, by what we know. Posting looks up by itself what is in doubt or in conflict."""


@dataclass(frozen=True, slots=True)
class ReconcileResult(StageResult):
    """`foreign` are vouchers of others in the ledger, which are left alone. `discrepancies` need somebody, `information`
    does not (1:N and N:1 that agree); `kinds` counts both by kind. `adopted` and `sent_back` are vouchers that posting
    looks up next.
    """

    periods: int
    vouchers: int
    ledger_vouchers: int
    foreign: int
    discrepancies: int
    information: int
    kinds: tuple[tuple[str, int], ...]
    adopted: int = 0
    sent_back: int = 0


@dataclass
class Examination:
    """What a reconciliation found; nothing is stored. `missing` and `orphans` are row ids of vouchers of ours."""

    scope: Scope
    periods: list[FiscalPeriod]
    vouchers: int = 0
    ledger_vouchers: int = 0
    foreign: int = 0
    found: dict[tuple[str, str, str], Discrepancy] = field(default_factory=dict)
    ties: list[AccountTie] = field(default_factory=list)
    missing: set[int] = field(default_factory=set)
    orphans: set[int] = field(default_factory=set)

    @property
    def is_whole_book(self) -> bool:
        return self.scope.date_from is None

    def add(self, items: Iterable[Discrepancy]) -> None:
        """Each difference once; the last word on it counts."""
        self.found.update({item.identity: item for item in items})

    def result(self, adopted: int = 0, sent_back: int = 0) -> ReconcileResult:
        items = list(self.found.values())
        information = sum(item.kind.is_information for item in items)
        return ReconcileResult(
            len(self.periods),
            self.vouchers,
            self.ledger_vouchers,
            self.foreign,
            len(items) - information,
            information,
            tuple(Counter(item.kind.value for item in items).most_common()),
            adopted,
            sent_back,
        )


def reconcile(ctx: StageContext, scope: Scope, *, heal: bool = False) -> ReconcileResult:
    """Examine, and keep the differences with their age until they are gone.

    A voucher that is in the ledger though we never sent it, by what we know, is put in doubt, so that posting looks it up
    and adopts it. With `heal` so is one that the ledger has lost, so that posting sends it again; without, it is only
    shown, since somebody may have deleted it on purpose.

    Raises:
        RetryLater: the ledger cannot be read; nothing is concluded from a partial reading.
        LeaseLost: another run writes for the book, and `heal` was asked for.
    """
    done = examine(ctx, scope)
    ctx.store.reconciliations.record(
        ctx.book.id,
        Counted(scope, done.vouchers, done.ledger_vouchers, done.foreign),
        done.found.values(),
        done.periods,
        whole_book=done.is_whole_book,
    )
    for item in list(done.found.values())[:5]:
        log.warning("%s %s: %s / %s", item.kind.value, item.subject, item.zh, item.en)
    adopted = healing.adopt(ctx, done.orphans)
    sent_back = healing.send_back(ctx, done.missing) if heal else []
    return done.result(len(adopted), len(sent_back))


def examine(ctx: StageContext, scope: Scope) -> Examination:
    """Compare whole periods: those in scope if it has a beginning, else those that may have changed. Writes nothing.

    Raises:
        RetryLater: as `reconcile`.
    """
    calendar = Calendar(ctx.ledger.periods())
    done = Examination(scope, _periods(ctx, scope, calendar))
    in_ledger = {period.code for period in calendar.periods}
    absent: set[int] = set()
    strange: dict[str, tuple[str, str]] = {}
    for number, period in enumerate(done.periods, 1):
        lost, unknown = _compare(ctx, done, period, exists=period.code in in_ledger)
        absent |= lost
        strange |= unknown
        ctx.progress(Stage.RECONCILE, number, len(done.periods))
    _look_further(ctx, done, absent, strange)
    late = store_checks.found(ctx)
    done.add(each for each in late if done.is_whole_book or each.period in {p.code for p in done.periods})
    return done


def _periods(ctx: StageContext, scope: Scope, calendar: Calendar) -> list[FiscalPeriod]:
    """The ledger's periods that touch the scope. Without a beginning, those with vouchers of ours that the ledger has not
    closed, so that somebody may change them, that had something posted since the last run, or that have open
    differences.
    """
    periods = calendar.periods
    if scope.date_from is not None:
        return [
            FiscalPeriod.parse(period.code)
            for period in periods
            if period.last_day >= scope.date_from
            and (scope.date_to is None or period.first_day <= scope.date_to)
        ]
    book, store = ctx.book.id, ctx.store
    closed = {period.code for period in periods if period.state is PeriodState.CLOSED}
    last = store.reconciliations.last_run_at(book)
    codes = {
        code
        for code, at in expected.periods_of(store.engine, book).items()
        if code not in closed or (at is not None and (last is None or at >= last))
    } | {kept.found.period for kept in store.reconciliations.open(book)}
    return [FiscalPeriod.parse(code) for code in sorted(codes) if code]


@dataclass(frozen=True, slots=True)
class _Ours:
    """Our side: `ids` are the row ids by `voucher` of the journal."""

    journal: Journal
    ids: pl.Series


def _ours(ctx: StageContext, pieces: Iterable[tuple[pl.DataFrame, pl.DataFrame]]) -> _Ours:
    vouchers, lines = [], []
    for heads, rows in pieces:
        vouchers.append(heads)
        lines.append(with_dimensions(rows, ctx.ledger.dimension_kinds))
    if not vouchers:
        return _Ours(Journal.empty(), pl.Series(dtype=pl.Int64))
    heads = pl.concat(vouchers).with_row_index("voucher").cast({"voucher": pl.Int64})
    numbered = pl.concat(lines).join(heads.select("id", "voucher"), on="id").drop("id")
    journal = Journal(heads.with_columns(text=pl.lit("")).select(*VOUCHERS), numbered)
    return _Ours(journal, heads["id"])


def _words(ctx: StageContext, found: Match) -> Words:
    return Words(found, ctx.book.currency, keeps_keys=_keeps_keys(ctx))


def _keeps_keys(ctx: StageContext) -> bool:
    return ctx.ledger.proof_level is not ProofLevel.DATE_AND_AMOUNT


def _compare(
    ctx: StageContext, done: Examination, period: FiscalPeriod, *, exists: bool
) -> tuple[set[int], dict[str, tuple[str, str]]]:
    """One period, which need not exist in the ledger; gives the row ids of ours that are not in it, and the keys there that
    we do not expect, each with its voucher's number and the period's code.
    """
    ours = _ours(ctx, expected.posted(ctx.store.engine, ctx.book.id, period))
    pages = LedgerPages(ctx.book.id, ctx.ledger.dimension_kinds)
    for page in ctx.ledger.vouchers(period) if exists else ():
        pages.add(page)
    found = match(ours.journal, pages.journal())
    trial_balance = ctx.ledger.trial_balance(period) if exists else ()
    done.vouchers += found.ours.vouchers.height
    done.ledger_vouchers += found.theirs.vouchers.height
    done.foreign += found.foreign
    done.add(_words(ctx, found).all())
    done.add(imbalances(found, period.code, trial_balance, ctx.book.currency))
    done.ties += ties(found, period.code, trial_balance)
    strange = found.theirs.vouchers.join(found.strange.to_frame("voucher"), on="voucher", how="semi")
    names = pl.when(pl.col("number") != "").then("number").otherwise("ledger_id")
    return (
        set(ours.ids.gather(found.missing)),
        {key: (name, period.code) for key, name in strange.select("key", names.alias("name")).iter_rows()},
    )


def _look_further(
    ctx: StageContext, done: Examination, absent: set[int], strange: dict[str, tuple[str, str]]
) -> None:
    """Vouchers that are not where they should be may be elsewhere in the ledger, and keys there may be ours all the same."""
    known = expected.known(ctx.store.engine, ctx.book.id, list(strange))
    stray = {one.id for one in known.values() if one.status is VoucherStatus.POSTED}
    _look_up(ctx, done, absent, stray)
    for key, (number, period) in strange.items():
        one = known.get(key)
        if one is None:
            done.add([store_checks.not_in_store(key, number, period)])
        elif one.status in ADOPTABLE:
            done.orphans.add(one.id)
            done.add([store_checks.orphan(one, number, period)])


def _look_up(ctx: StageContext, done: Examination, absent: set[int], stray: set[int]) -> None:
    """A fresh look at vouchers in the whole ledger. What was changed since it was read counts as it is now."""
    if not absent and not stray:
        return
    ours = _ours(ctx, expected.posted_by_id(ctx.store.engine, absent | stray))
    pages = LedgerPages(ctx.book.id, ctx.ledger.dimension_kinds)
    if _keeps_keys(ctx):
        for part in healing.parts(ours.ids.to_list()):
            with reading(ctx.store.engine) as connection:
                stored = load(connection, part)
            for copies in ctx.ledger.find([s.voucher for s in stored]).values():
                pages.add(copies)
    found = match(ours.journal, pages.journal())
    words = _words(ctx, found)
    done.add(words.all())
    ids = ours.journal.vouchers["ledger_id"]
    there = ctx.ledger.numbers([ids[v] for v in found.missing if ids[v]]) if len(found.missing) else {}
    for voucher in found.missing:
        if ours.ids[voucher] not in absent:
            continue  # it was elsewhere a moment ago, and is on its way
        if ids[voucher] in there:
            done.add([words.moved(voucher, there[ids[voucher]])])
        else:
            done.missing.add(ours.ids[voucher])
            done.add([words.missing(voucher)])
