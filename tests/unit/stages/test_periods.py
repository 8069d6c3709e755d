"""Vouchers whose period is not open: held, moved on, or asked about; never posted there, never forgotten."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from include.domain.errors import FixData, LeaseLost, RetryLater
from include.domain.period import FiscalPeriod, LedgerPeriod, PeriodState
from include.domain.voucher import PostingResult, Voucher
from include.settings import Book, Label, Ledger, load_settings
from include.stages.context import Scope, StageContext
from include.stages.correct import correct
from include.stages.extract import extract
from include.stages.generate import generate
from include.stages.periods import move_held, overview, place
from include.stages.post import post
from include.stages.preclose import preclose
from include.stages.reconcile import reconcile
from include.stages.summary import summarise
from include.stages.write_back import write_back
from include.store import audit
from include.store import tables as t
from include.store.engine import open_engine, reading
from include.store.periods import Dates
from include.store.store import assemble
from tests.calendars import CLOSED, FUTURE, MISSING, OPEN, calendar, over
from tests.conftest import FakeClock
from tests.documents import DAY, MASTER, claim, line
from tests.fakes.ledger import FakeLedger
from tests.fakes.source import FakeSource
from tests.unit.stages.conftest import MakeContext
from tests.unit.stages.flow import ALL, accept_all, ready

MARCH, APRIL, MAY = (FiscalPeriod(2026, month) for month in (3, 4, 5))
OWN_DAY = date(2026, 3, 10)
"""Of every claim in these tests."""


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger(batch_size=4)


@pytest.fixture
def ctx(oa: FakeSource, ledger: FakeLedger, make_context: MakeContext) -> StageContext:
    """A book that moves vouchers on."""
    return with_book(make_context(oa, ledger), closed_period="next_open")


def with_book(ctx: StageContext, **changes: Any) -> StageContext:
    book = ctx.book.model_copy(update=changes)
    config = ctx.settings.model_copy(update={"books": {**ctx.settings.books, book.id: book}})
    return replace(ctx, settings=config, book=book)


def vouchers(ctx: StageContext) -> list[tuple[date, str, date | None, str]]:
    """(date, period, date before a move, status) of every voucher, oldest first."""
    v = t.voucher.c
    with reading(ctx.store.engine) as connection:
        rows = connection.execute(select(v.date, v.period, v.policy_date, v.status).order_by(v.id))
        return [tuple(row) for row in rows]


def moves(ctx: StageContext) -> list[tuple[str, str, str, str]]:
    """(from, to, why, actor) of every move, oldest first."""
    a = t.audit_event.c
    with reading(ctx.store.engine) as connection:
        assert audit.verify(connection) is None
        rows = connection.execute(select(a.actor, a.detail).where(a.action == "voucher.moved").order_by(a.id))
        found = [(json.loads(row.detail), row.actor) for row in rows]
    return [(detail["from"], detail["to"], detail["why"], actor) for detail, actor in found]


def open_problems(ctx: StageContext) -> list[str]:
    p = t.problem.c
    with reading(ctx.store.engine) as connection:
        return list(connection.scalars(select(p.zh).where(p.resolved_at.is_(None)).order_by(p.id)))


# -- the policy, as a function ---------------------------------------------------------------------------

_calendars = st.lists(st.sampled_from(PeriodState), min_size=1, max_size=8)
_days = st.integers(0, 280).map(lambda n: date(2026, 1, 1) + timedelta(days=n))
_policies = st.sampled_from(["hold", "next_open", "ask"])


def book(policy: str) -> Book:
    return Book(
        id="acme",
        name=Label(zh="甲", en="A"),
        currency="CNY",
        source="hesi",
        legal_entities=["E01"],
        ledger=Ledger(system="fake", connection="fake"),
        closed_period=policy,
    )


@given(_calendars, _policies, _days, _days, _days)
def test_a_voucher_goes_to_an_open_day_or_waits_with_a_reason(
    states: list[PeriodState], policy: str, by_policy: date, later: date, not_before: date
) -> None:
    ours, day = calendar(*states), max(by_policy, later)
    found = place(book(policy), ours, day, Dates(by_policy, not_before))
    earliest = max(by_policy, not_before)
    if found.day is None:
        zh, _, en = found.message.partition(" / ")
        assert zh
        assert en
        assert not ours.is_open(earliest)
        return
    assert ours.is_open(found.day)
    assert found.day >= earliest
    carried_over = [earliest + timedelta(days=n) for n in range((found.day - earliest).days)]
    if found.day not in (day, not_before):  # then the policy chose it
        assert policy == "next_open" or found.day == earliest
        assert all(ours.state(each) is CLOSED for each in carried_over)


@given(_calendars, _days)
def test_what_can_be_moved_on_is_not_held(states: list[PeriodState], day: date) -> None:
    ours = calendar(*states)
    found = place(book("next_open"), ours, day, Dates(day, date.min))
    assert (found.day is None) == (not ours.is_open(ours.after_closed(day)))


@given(_calendars, _days)
def test_holding_and_asking_never_change_a_day(states: list[PeriodState], day: date) -> None:
    ours = calendar(*states)
    for policy in ("hold", "ask"):
        assert place(book(policy), ours, day, Dates(day, date.min)).day == (
            day if ours.is_open(day) else None
        )


# -- moved by policy -------------------------------------------------------------------------------------


def test_a_voucher_of_a_closed_period_is_posted_on_the_first_day_of_the_next_open_one(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    ready(ctx, oa, 6)
    ledger.states[MARCH] = ledger.states[APRIL] = CLOSED
    result = post(ctx, ALL)
    assert (result.posted, result.held) == (6, 0)
    assert vouchers(ctx) == [(MAY.first_day, "2026-05", OWN_DAY, "posted")] * 6
    assert {(each.date, each.period) for each in ledger.vouchers_by_id.values()} == {
        (MAY.first_day, "2026-05")
    }
    assert moves(ctx) == [("2026-03-10", "2026-05-01", "next_open", "test")] * 6
    assert reconcile(ctx, ALL).discrepancies == 0
    assert write_back(ctx, ALL).written == 6
    assert {entry.fiscal_period for entry in oa.written.values()} == {"2026-05"}
    assert open_problems(ctx) == []


@pytest.mark.parametrize("state", [FUTURE, MISSING])
def test_no_voucher_is_carried_past_a_period_that_is_not_there_yet(
    state: PeriodState, ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    ready(ctx, oa, 1)
    ledger.states[MARCH] = CLOSED
    ledger.states[APRIL] = state
    if state is MISSING:
        del ledger.states[APRIL]
    assert post(ctx, ALL).held == 1
    assert vouchers(ctx) == [(OWN_DAY, "2026-03", None, "held")]
    (problem,) = open_problems(ctx)
    assert "2026-03" in problem
    assert "2026-04-01" in problem
    ledger.states[APRIL] = OPEN
    assert post(ctx, ALL).posted == 1
    assert vouchers(ctx)[0][:2] == (APRIL.first_day, "2026-04")


@pytest.mark.parametrize("policy", ["hold", "next_open", "ask"])
def test_a_period_that_is_not_open_yet_is_waited_for(
    policy: str, ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    ctx = with_book(ctx, closed_period=policy)
    ready(ctx, oa, 1)
    ledger.states[MARCH] = FUTURE
    assert post(ctx, ALL).held == 1
    assert "尚未开放" in open_problems(ctx)[0]
    ledger.states[MARCH] = OPEN
    assert post(ctx, ALL).posted == 1
    assert vouchers(ctx) == [(OWN_DAY, "2026-03", None, "posted")]


def test_an_open_adjustment_period_takes_no_voucher(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    ready(ctx, oa, 1)
    ledger.states[MARCH] = CLOSED
    ledger.adjustments += [over(3), over(4)]
    ledger.states[APRIL] = FUTURE
    assert post(ctx, ALL).held == 1
    ledger.states[APRIL] = OPEN
    assert post(ctx, ALL).posted == 1
    assert vouchers(ctx)[0][0] == APRIL.first_day


def test_a_moved_voucher_keeps_its_day_when_it_is_made_again(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    ready(ctx, oa, 1)
    ledger.states[MARCH] = CLOSED
    ledger.fail("post", RetryLater("无法连接 / out of reach"))
    with pytest.raises(RetryLater):
        post(ctx, ALL)
    assert vouchers(ctx) == [(APRIL.first_day, "2026-04", OWN_DAY, "generated")]
    generate(ctx, ALL)
    assert vouchers(ctx) == [(APRIL.first_day, "2026-04", OWN_DAY, "generated")]
    assert post(ctx, Scope(MARCH.first_day, MARCH.last_day)).posted == 1  # its business day is in March
    assert summarise(ctx, Scope(MARCH.first_day, MARCH.last_day)).posted == 1
    assert len(moves(ctx)) == 1


def test_a_document_that_is_approved_on_another_day_is_placed_anew(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    ready(ctx, oa, 1)
    ledger.states[MARCH] = CLOSED
    ledger.fail("post", RetryLater("无法连接 / out of reach"))
    with pytest.raises(RetryLater):
        post(ctx, ALL)
    oa.put(claim(1, approved_at=DAY + timedelta(days=60), updated_at=DAY + timedelta(days=60)))
    extract(ctx)
    accept_all(ctx)
    generate(ctx, ALL)
    assert vouchers(ctx) == [(date(2026, 5, 9), "2026-05", None, "generated")]


@pytest.mark.parametrize(
    ("march", "expected"),
    [(CLOSED, (MAY.first_day, "2026-05", OWN_DAY)), (OPEN, (OWN_DAY, "2026-03", None))],
)
def test_where_its_new_period_is_closed_too_it_is_placed_by_its_own_day(
    march: PeriodState,
    expected: tuple[date, str, date | None],
    ctx: StageContext,
    oa: FakeSource,
    ledger: FakeLedger,
) -> None:
    ready(ctx, oa, 1)
    ledger.states[MARCH] = CLOSED
    ledger.fail("post", RetryLater("无法连接 / out of reach"))
    with pytest.raises(RetryLater):
        post(ctx, ALL)
    ledger.states[APRIL], ledger.states[MARCH] = CLOSED, march
    assert post(ctx, ALL).posted == 1
    assert vouchers(ctx) == [(*expected, "posted")]


class ClosingLedger(FakeLedger):
    """Somebody closes March just after we have read the periods."""

    def periods(self) -> list[LedgerPeriod]:
        found = list(super().periods())
        self.states[MARCH] = CLOSED
        return found


def test_a_period_that_is_closed_between_our_look_and_the_call(
    oa: FakeSource, make_context: MakeContext
) -> None:
    ledger = ClosingLedger()
    ctx = with_book(make_context(oa, ledger), closed_period="next_open")
    ready(ctx, oa, 2)
    assert post(ctx, ALL).rejected == 2
    assert not ledger.vouchers_by_id
    accept_all(ctx)
    generate(ctx, ALL)
    assert post(ctx, ALL).posted == 2
    assert {each.date for each in ledger.vouchers_by_id.values()} == {APRIL.first_day}
    assert open_problems(ctx) == []


# -- held and asked about --------------------------------------------------------------------------------


def test_what_is_held_is_posted_on_its_own_day_once_the_period_is_open_again(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    ctx = with_book(ctx, closed_period="hold")
    ready(ctx, oa, 1)
    ledger.states[MARCH] = CLOSED
    assert post(ctx, ALL).held == 1
    ledger.states[MARCH] = OPEN
    assert post(ctx, ALL).posted == 1
    assert vouchers(ctx) == [(OWN_DAY, "2026-03", None, "posted")]


def test_a_person_decides_where_the_book_asks(ctx: StageContext, oa: FakeSource, ledger: FakeLedger) -> None:
    ctx = with_book(ctx, closed_period="ask")
    ready(ctx, oa, 3)
    ledger.states[MARCH] = CLOSED
    assert post(ctx, ALL).held == 3
    assert "./voucherflow periods acme --move 2026-03" in open_problems(ctx)[0]

    shown = move_held(ctx, "2026-03", dry_run=True)
    assert (shown.vouchers, shown.to, shown.is_dry_run) == (3, APRIL.first_day, True)
    assert vouchers(ctx) == [(OWN_DAY, "2026-03", None, "held")] * 3

    done = move_held(replace(ctx, actor="cli:li"), "2026-03")
    assert (done.vouchers, done.debit_minor) == (3, 31_800)
    assert open_problems(ctx) == []
    assert moves(ctx) == [("2026-03-10", "2026-04-01", "person", "cli:li")] * 3
    generate(ctx, ALL)
    assert post(ctx, ALL).posted == 3
    assert {each.date for each in ledger.vouchers_by_id.values()} == {APRIL.first_day}
    assert move_held(ctx, "2026-03").vouchers == 0


@pytest.mark.parametrize(
    ("code", "said"),
    [("2026-04", "没有关闭"), ("2031-01", "2026-12"), ("2026-12", "2027-01-01"), ("2026-13", "2026-12")],
)
def test_a_period_that_cannot_be_left_says_why(
    code: str, said: str, ctx: StageContext, ledger: FakeLedger
) -> None:
    ledger.states[FiscalPeriod(2026, 12)] = CLOSED
    ledger.adjustments.append(replace(over(12), code="2026-13", state=CLOSED))
    with pytest.raises(FixData, match=said):
        move_held(ctx, code)


def test_nothing_is_moved_while_a_run_posts(ctx: StageContext, ledger: FakeLedger) -> None:
    ledger.states[MARCH] = CLOSED
    other = ctx.store.leases.acquire("acme")
    with pytest.raises(LeaseLost):
        move_held(ctx, "2026-03")
    ctx.store.leases.release(other)
    assert move_held(ctx, "2026-03").vouchers == 0


def test_the_overview_counts_what_waits_in_each_period(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    ctx = with_book(ctx, closed_period="hold")
    ready(ctx, oa, 2)
    oa.put(claim(9, approved_at=DAY + timedelta(days=365)))
    extract(ctx)
    accept_all(ctx)
    generate(ctx, ALL)
    ledger.states[MARCH] = CLOSED
    ledger.adjustments.append(over(3))
    post(ctx, ALL)
    march, adjustment = [row for row in overview(ctx) if row.first_day == MARCH.first_day]
    assert (march.state, march.held, march.ready, march.debit_minor) == (CLOSED, 2, 0, 21_200)
    assert (adjustment.is_adjustment, adjustment.held) == (True, 0)
    last = overview(ctx)[-1]
    assert (last.code, last.state, last.held) == ("2027-03", MISSING, 1)


# -- the day of the run ----------------------------------------------------------------------------------


def test_the_day_of_the_run_is_the_first_on_which_the_document_was_due(
    ctx: StageContext, oa: FakeSource, clock: FakeClock
) -> None:
    ctx = with_book(ctx, voucher_date="run")
    oa.put(claim(1))
    extract(ctx)  # 2026-11-20 16:00 in Shanghai
    clock.forward(9 * 3600)
    oa.put(claim(2))
    extract(ctx)  # the same day in UTC, the next in Shanghai
    clock.forward(5 * 86_400)
    oa.put(claim(1, line(1, 20_000, 0), updated_at=DAY + timedelta(days=2)))
    extract(ctx)
    accept_all(ctx)
    generate(ctx, ALL)
    days = [row[0] for row in vouchers(ctx)]
    assert days == [date(2026, 11, 20), date(2026, 11, 21)]
    assert post(ctx, ALL).posted == 2
    clock.forward(86_400)
    extract(ctx, refetch_from=date(2026, 1, 1))
    d = t.source_document.c
    with reading(ctx.store.engine) as connection:
        assert list(connection.scalars(select(d.business_date).order_by(d.id))) == days


def test_a_revision_and_a_document_that_is_due_anew_get_a_day_of_their_own(
    ctx: StageContext, oa: FakeSource, clock: FakeClock
) -> None:
    from include.domain.document import DocumentStatus

    ctx = with_book(ctx, voucher_date="run")
    ready(ctx, oa, 1)
    assert post(ctx, ALL).posted == 1
    oa.put(claim(2))
    extract(ctx)
    oa.put(claim(2, status=DocumentStatus.REJECTED, updated_at=DAY + timedelta(days=1)))
    extract(ctx)
    clock.forward(3 * 86_400)
    oa.put(claim(1, line(1, 20_000, 0), updated_at=DAY + timedelta(days=2)))
    oa.put(claim(2, updated_at=DAY + timedelta(days=2)))
    extract(ctx)
    d = t.source_document.c
    with reading(ctx.store.engine) as connection:
        rows = connection.execute(
            select(d.document_id, d.revision, d.business_date).order_by(d.document_id, d.revision)
        )
        assert [tuple(row) for row in rows] == [
            ("ID_1", 1, date(2026, 11, 20)),
            ("ID_1", 2, date(2026, 11, 23)),
            ("ID_2", 1, date(2026, 11, 23)),
        ]


# -- corrections -----------------------------------------------------------------------------------------


@pytest.fixture
def corrected(ctx: StageContext, oa: FakeSource, tmp_path: Path) -> StageContext:
    """A voucher in the ledger, and its reversal and replacement ready to go, all three dated 2026-03-10."""
    folder = Path(shutil.copytree("include/config", tmp_path / "config"))
    ctx = with_book(replace(ctx, settings=load_settings(folder)), closed_period="next_open")
    ready(ctx, oa, 1)
    assert post(ctx, ALL).posted == 1
    table = folder / "tables/acme/expense_accounts.csv"
    table.write_text(table.read_text("utf-8").replace(",6602.10,", ",6602.02,"), "utf-8")
    result = correct(ctx, date(2026, 1, 1), date(2026, 12, 31))
    assert (result.reversals, result.replacements) == (1, 1)
    assert [row[0] for row in vouchers(ctx)] == [OWN_DAY] * 3
    return ctx


def test_a_reversal_and_its_replacement_move_on_together(corrected: StageContext, ledger: FakeLedger) -> None:
    ledger.states[MARCH] = CLOSED
    assert post(corrected, ALL).posted == 2
    assert [row[0] for row in vouchers(corrected)] == [OWN_DAY, APRIL.first_day, APRIL.first_day]
    assert reconcile(corrected, ALL).discrepancies == 0


@pytest.mark.parametrize("policy", ["hold", "next_open", "ask"])
def test_a_replacement_does_not_come_before_its_reversal(
    policy: str, corrected: StageContext, ledger: FakeLedger
) -> None:
    ledger.states[MARCH] = CLOSED
    ledger.fail("post", RetryLater("无法连接 / out of reach"))
    with pytest.raises(RetryLater):
        post(corrected, ALL)
    assert [row[0] for row in vouchers(corrected)] == [OWN_DAY, APRIL.first_day, OWN_DAY]
    ledger.states[MARCH] = OPEN
    corrected = with_book(corrected, closed_period=policy)
    assert post(corrected, ALL).posted == 2
    assert [row[0] for row in vouchers(corrected)] == [OWN_DAY, APRIL.first_day, APRIL.first_day]
    assert [move[2] for move in moves(corrected)] == ["next_open", "order"]


def test_corrections_that_are_made_again_stay_where_somebody_moved_them(
    corrected: StageContext, ledger: FakeLedger
) -> None:
    corrected = with_book(corrected, closed_period="ask")
    ledger.states[MARCH] = CLOSED
    assert post(corrected, ALL).held == 2
    assert move_held(corrected, "2026-03").vouchers == 2
    ledger.states[MARCH] = OPEN
    table = corrected.settings.config_dir / "tables/acme/expense_accounts.csv"
    table.write_text(table.read_text("utf-8").replace(",6602.02,", ",6602.03,"), "utf-8")
    assert correct(corrected, date(2026, 1, 1), date(2026, 12, 31)).replacements == 1
    assert [row[0] for row in vouchers(corrected)] == [OWN_DAY, APRIL.first_day, APRIL.first_day]
    assert post(corrected, ALL).posted == 2


# -- any history -----------------------------------------------------------------------------------------

_steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(3, 6), st.sampled_from([OPEN, CLOSED, FUTURE])),
        st.tuples(st.just("generate"), st.just(0), st.just(OPEN)),
        st.tuples(st.just("post"), st.just(0), st.just(OPEN)),
        st.tuples(st.just("unreachable"), st.just(0), st.just(OPEN)),
        st.tuples(st.just("decide"), st.integers(3, 6), st.just(OPEN)),
    ),
    min_size=1,
    max_size=12,
)


class WatchedLedger(FakeLedger):
    """Keeps an eye on what it is asked to post: never into a period that is not open."""

    def post(self, vouchers: Sequence[Voucher]) -> Sequence[PostingResult]:
        assert all(self.states[each.period] is OPEN for each in vouchers)
        return super().post(vouchers)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_steps, policy=_policies)
def test_whatever_happens_to_periods_nothing_goes_where_it_may_not_and_nothing_is_lost(
    steps: list[tuple[str, int, PeriodState]],
    policy: str,
    make_store_url: Callable[[str], str],
    clock: FakeClock,
) -> None:
    engine = open_engine(make_store_url("sqlite"))
    oa, ledger = (
        FakeSource(name="hesi", form_types=("expense", "loan", "payment"), records=list(MASTER)),
        WatchedLedger(),
    )
    config = load_settings()
    ctx = with_book(
        StageContext(
            settings=config,
            book=config.book("acme"),
            store=assemble(engine, clock),
            connect_source=lambda: oa,
            connect_ledger=lambda: ledger,
            clock=clock,
            actor="test",
        ),
        closed_period=policy,
    )
    for number in range(4):
        oa.put(claim(number, approved_at=DAY + timedelta(days=30 * number)))
    extract(ctx)
    accept_all(ctx)
    generate(ctx, ALL)
    for what, month, state in steps:
        match what:
            case "set":
                ledger.states[FiscalPeriod(2026, month)] = state
            case "generate":
                generate(ctx, ALL)
            case "post":
                with suppress(RetryLater):
                    post(ctx, ALL)
            case "unreachable":
                ledger.fail("post", RetryLater("无法连接 / out of reach"))
            case "decide" if ledger.states[FiscalPeriod(2026, month)] is CLOSED:
                with suppress(FixData):
                    move_held(ctx, f"2026-{month:02}")
            case _:
                continue
    _nothing_is_lost(ctx, ledger)
    ledger.states.update(dict.fromkeys(ledger.states, OPEN))
    ledger._failures.clear()
    generate(ctx, ALL)
    post(ctx, ALL)
    assert {row[3] for row in vouchers(ctx)} == {"posted"}
    assert len(ledger.vouchers_by_id) == 4
    engine.dispose()


def _nothing_is_lost(ctx: StageContext, ledger: FakeLedger) -> None:
    """Each document's voucher is in the ledger once, or on the list of its month."""
    there = [each.key.document_id for each in ledger.vouchers_by_id.values() if each.key]
    waiting = {
        row["document_id"]
        for month in range(3, 8)
        for row in preclose(ctx, FiscalPeriod(2026, month))
        .items.filter(pl.col("blocks"))
        .iter_rows(named=True)
    }
    assert len(there) == len(set(there))
    assert set(there) | waiting == {f"ID_{number}" for number in range(4)}
    assert not set(there) & waiting
