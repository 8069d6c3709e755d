"""Which periods are reconciled, what else of the ledger is looked at, and what the store alone shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import Table, func, select, update

from include.domain.account import AuxiliaryDimension
from include.domain.document import DocumentStatus
from include.domain.money import Money
from include.domain.period import FiscalPeriod, LedgerPeriod, PeriodState
from include.domain.reconciliation import DiscrepancyKind as Kind
from include.domain.voucher import LedgerVoucher, VoucherStatus
from include.ports import WriteBackOutcome
from include.stages.context import Scope, StageContext
from include.stages.extract import extract
from include.stages.generate import generate
from include.stages.post import post
from include.stages.reconcile import examine, reconcile
from include.stages.validate import validate
from include.stages.write_back import write_back
from include.store import tables as t
from include.store.engine import reading
from tests.conftest import FakeClock
from tests.documents import claim, line
from tests.fakes.ledger import FakeLedger
from tests.fakes.source import FakeSource
from tests.unit.stages.conftest import MakeContext
from tests.unit.stages.flow import ALL, accept_all

MARCH, APRIL = FiscalPeriod(2026, 3), FiscalPeriod(2026, 4)


def of(*periods: FiscalPeriod) -> Scope:
    return Scope(periods[0].first_day, periods[-1].last_day)


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


@pytest.fixture
def ctx(oa: FakeSource, ledger: FakeLedger, make_context: MakeContext) -> StageContext:
    """Two vouchers in March, one in April, of different amounts."""
    context = make_context(oa, ledger)
    for number in (1, 2, 3):
        document = claim(number, line(1, 10_600 * number, 600 * number))
        if number == 3:
            later = document.approved_at + timedelta(days=31)  # type: ignore[operator]
            document = replace(document, approved_at=later, paid_at=later)
        oa.put(document)
    extract(context)
    accept_all(context)
    generate(context, ALL)
    assert post(context, ALL).posted == 3
    return context


def found(ctx: StageContext) -> list[tuple[Kind, str]]:
    return [(each.found.kind, each.found.period) for each in ctx.store.reconciliations.open(ctx.book.id)]


def number_of_rows(ctx: StageContext, table: Table) -> int:
    with reading(ctx.store.engine) as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def redate(voucher: LedgerVoucher, day: date) -> LedgerVoucher:
    return replace(voucher, date=day, period=FiscalPeriod.of(day).code)


def test_a_dry_run_says_what_it_finds_and_writes_nothing(ctx: StageContext, ledger: FakeLedger) -> None:
    del ledger.vouchers_by_id["1"]
    done = examine(ctx, of(MARCH))
    assert [item.kind for item in done.found.values()] == [Kind.MISSING_IN_LEDGER]
    assert number_of_rows(ctx, t.reconciliation_run) == number_of_rows(ctx, t.discrepancy) == 0


def test_later_runs_look_again_at_whatever_may_still_be_changed(
    ctx: StageContext, ledger: FakeLedger
) -> None:
    assert reconcile(ctx, ALL).periods == 2
    first, *others = ledger.vouchers_by_id["1"].lines
    elsewhere = replace(first, dimensions=(AuxiliaryDimension("department", "D99"),))
    ledger.vouchers_by_id["1"] = replace(ledger.vouchers_by_id["1"], lines=(elsewhere, *others))
    reconcile(ctx, ALL)
    assert found(ctx) == [(Kind.DIMENSION, "2026-03")]


def test_a_closed_period_is_looked_at_until_it_agrees(
    ctx: StageContext, ledger: FakeLedger, clock: FakeClock
) -> None:
    ledger.states[MARCH] = PeriodState.CLOSED
    kept = ledger.vouchers_by_id.pop("1")
    assert reconcile(ctx, ALL).periods == 2
    clock.forward(60)
    assert reconcile(ctx, ALL).periods == 2
    ledger.vouchers_by_id["1"] = kept
    assert reconcile(ctx, ALL).discrepancies == 0
    assert reconcile(ctx, ALL).periods == 1


@pytest.mark.parametrize("scope", [of(MARCH), of(APRIL), of(MARCH, APRIL), ALL])
def test_one_that_was_moved_into_another_period_is_one_difference_from_either_side(
    ctx: StageContext, ledger: FakeLedger, scope: Scope
) -> None:
    ledger.vouchers_by_id["1"] = redate(ledger.vouchers_by_id["1"], date(2026, 4, 2))
    reconcile(ctx, scope)
    assert found(ctx) == [(Kind.DATE, "2026-03")]


def test_a_copy_in_another_period_is_a_duplicate(ctx: StageContext, ledger: FakeLedger) -> None:
    ledger.vouchers_by_id["9"] = replace(
        redate(ledger.vouchers_by_id["1"], date(2026, 4, 2)), ledger_id="9", number="记-9"
    )
    reconcile(ctx, of(APRIL))
    assert found(ctx) == [(Kind.DUPLICATE_IN_LEDGER, "2026-03")]


def test_an_adjustment_period_is_no_place_for_ours(ctx: StageContext, ledger: FakeLedger) -> None:
    whole_year = LedgerPeriod(
        "2026-13", date(2026, 12, 1), date(2026, 12, 31), PeriodState.OPEN, is_adjustment=True
    )
    ledger.adjustments.append(whole_year)
    ledger.vouchers_by_id["1"] = replace(ledger.vouchers_by_id["1"], period="2026-13")
    reconcile(ctx, Scope(date(2026, 1, 1)))
    assert found(ctx) == [(Kind.DATE, "2026-03")]


def test_a_run_closes_only_what_it_looked_at(ctx: StageContext, ledger: FakeLedger) -> None:
    before = dict(ledger.vouchers_by_id)
    ledger.vouchers_by_id = {}
    reconcile(ctx, of(MARCH, APRIL))
    assert found(ctx) == [(Kind.MISSING_IN_LEDGER, p) for p in ("2026-03", "2026-03", "2026-04")]
    ledger.vouchers_by_id = before
    reconcile(ctx, of(APRIL))
    assert found(ctx) == [(Kind.MISSING_IN_LEDGER, "2026-03")] * 2
    reconcile(ctx, ALL)
    assert found(ctx) == []


def test_a_year_that_the_ledger_does_not_have_any_more_is_no_year_without_differences(
    ctx: StageContext, ledger: FakeLedger
) -> None:
    ledger.states = {MARCH: PeriodState.OPEN}
    del ledger.vouchers_by_id["3"]
    reconcile(ctx, ALL)
    assert found(ctx) == [(Kind.MISSING_IN_LEDGER, "2026-04")]


def test_balances_show_ours_and_others_beside_the_trial_balance(
    ctx: StageContext, ledger: FakeLedger
) -> None:
    own = ledger.vouchers_by_id["1"]
    ledger.vouchers_by_id["9"] = replace(own, ledger_id="9", number="记-9", reference="手工凭证")
    del ledger.vouchers_by_id["2"]
    ties = {tie.account: tie for tie in examine(ctx, of(MARCH)).ties}
    hotel = ties["6602.10"]
    assert (hotel.ours, hotel.others, hotel.ledger) == (31_800, 10_600, 21_200)
    assert hotel.difference == -21_200, "what is missing"
    assert sum(tie.ours for tie in ties.values()) == 0


def test_a_voucher_split_by_the_ledger_needs_nobody(ctx: StageContext, ledger: FakeLedger) -> None:
    own = ledger.vouchers_by_id["1"]
    half = tuple(replace(x, amount=Money(x.amount.minor // 2, "CNY")) for x in own.lines)
    ledger.vouchers_by_id["1"] = replace(own, lines=half)
    ledger.vouchers_by_id["9"] = replace(own, ledger_id="9", number="记-9", reference="", lines=half)
    result = reconcile(ctx, of(MARCH))
    assert (result.discrepancies, result.information) == (0, 1)
    assert found(ctx) == [(Kind.SPLIT, "2026-03")]
    assert ctx.store.reconciliations.open_discrepancies(ctx.book.id) == 0


def test_what_the_oa_withdrew_or_changed_is_held_against_the_ledger(
    ctx: StageContext, oa: FakeSource, clock: FakeClock
) -> None:
    clock.forward(60)
    oa.put(claim(1, line(1, 10_600, 600), status=DocumentStatus.NULLIFIED, updated_at=clock.now()))
    oa.put(claim(2, line(1, 99_000, 600), updated_at=clock.now()))
    extract(ctx)
    validate(ctx, ALL)
    reconcile(ctx, ALL)
    assert sorted(kind for kind, _ in found(ctx)) == [Kind.OA_CHANGED, Kind.OA_WITHDRAWN]


def test_another_number_in_the_oa_is_noticed(ctx: StageContext, oa: FakeSource, clock: FakeClock) -> None:
    assert write_back(ctx, ALL).written == 3
    clock.forward(60)
    w, d = t.write_back.c, t.source_document
    with ctx.store.engine.begin() as connection:
        assert connection.scalar(select(w.outcome).limit(1)) == WriteBackOutcome.WRITTEN
        other = update(d).where(d.c.document_id == "ID_1")
        connection.execute(other.values(voucher_no="记-77", updated_at=clock.now()))
    reconcile(ctx, ALL)
    assert [kind for kind, _ in found(ctx)] == [Kind.OA_NUMBER]


@pytest.mark.parametrize(
    ("status", "kind", "patience"),
    [
        (VoucherStatus.UNKNOWN, Kind.IN_DOUBT, timedelta(hours=1)),
        (VoucherStatus.SENDING, Kind.IN_DOUBT, timedelta(hours=1)),
        (VoucherStatus.HELD, Kind.WAITING, timedelta(days=3)),
        (VoucherStatus.CONFLICT, Kind.WAITING, timedelta(days=3)),
    ],
)
def test_what_does_not_get_on_is_a_difference_after_a_while(
    ctx: StageContext,
    ledger: FakeLedger,
    clock: FakeClock,
    status: VoucherStatus,
    kind: Kind,
    patience: timedelta,
) -> None:
    v = t.voucher
    with ctx.store.engine.begin() as connection:
        connection.execute(update(v).where(v.c.document_id == "ID_1").values(status=status, ledger_id=""))
    del ledger.vouchers_by_id["1"]
    reconcile(ctx, ALL)
    assert found(ctx) == []
    clock.forward(patience.total_seconds() + 1)
    reconcile(ctx, ALL)
    assert found(ctx) == [(kind, "2026-03")]


def test_who_takes_a_difference_up_is_kept_with_it_and_in_the_audit_chain(
    ctx: StageContext, ledger: FakeLedger, clock: FakeClock
) -> None:
    kept = ledger.vouchers_by_id.pop("1")
    reconcile(ctx, of(MARCH))
    clock.forward(3 * 86_400)
    (one,) = ctx.store.reconciliations.open(ctx.book.id)
    assert one.age_days(clock.now()) == 3
    assert ctx.store.reconciliations.assign(ctx.book.id, [one.id, 4711], "会计甲", "test") == [one.id]
    reconcile(ctx, of(MARCH))
    (one,) = ctx.store.reconciliations.open(ctx.book.id)
    assert (one.assigned_to, one.assigned_at) == ("会计甲", clock.now())
    ledger.vouchers_by_id["1"] = kept
    reconcile(ctx, of(MARCH))
    assert ctx.store.reconciliations.assign(ctx.book.id, [one.id], "会计乙", "test") == []
    a = t.audit_event.c
    with reading(ctx.store.engine) as connection:
        subjects = list(connection.scalars(select(a.subject).where(a.action == "discrepancy.assigned")))
    assert subjects == [one.found.subject]
