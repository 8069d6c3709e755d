"""Reconciliation: every way in which the ledger can differ is named, and nothing is invented."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import delete, func, select, update

from include.domain.account import AuxiliaryDimension
from include.domain.errors import RetryLater
from include.domain.money import Money
from include.domain.reconciliation import DiscrepancyKind
from include.domain.voucher import LedgerVoucher, LedgerVoucherState, VoucherKey, VoucherStatus
from include.stages.context import Scope, StageContext
from include.stages.post import post
from include.stages.reconcile import reconcile
from include.store import tables as t
from tests.conftest import FakeClock
from tests.fakes.ledger import FakeLedger
from tests.fakes.source import FakeSource
from tests.unit.stages.conftest import MakeContext
from tests.unit.stages.flow import ALL, posted

MARCH = Scope(date(2026, 3, 1), date(2026, 3, 31))


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


@pytest.fixture
def ctx(oa: FakeSource, ledger: FakeLedger, make_context: MakeContext) -> StageContext:
    context = make_context(oa, ledger)
    posted(context, oa, 3)
    return context


def kinds(ctx: StageContext) -> list[str]:
    d = t.discrepancy.c
    with ctx.store.engine.begin() as connection:
        return list(connection.scalars(select(d.kind).where(d.resolved_at.is_(None)).order_by(d.kind)))


def test_what_was_posted_agrees(ctx: StageContext) -> None:
    result = reconcile(ctx, ALL)
    assert (result.periods, result.vouchers, result.ledger_vouchers, result.discrepancies) == (1, 3, 3, 0)
    assert reconcile(ctx, ALL).periods in {0, 1}
    assert reconcile(ctx, MARCH).discrepancies == 0


Change = Callable[[FakeLedger, LedgerVoucher], None]


def _delete(ledger: FakeLedger, voucher: LedgerVoucher) -> None:
    del ledger.vouchers_by_id[voucher.ledger_id]


def _duplicate(ledger: FakeLedger, voucher: LedgerVoucher) -> None:
    ledger.vouchers_by_id["99"] = replace(voucher, ledger_id="99", number="记-99")


def _redate(ledger: FakeLedger, voucher: LedgerVoucher) -> None:
    ledger.vouchers_by_id[voucher.ledger_id] = replace(voucher, date=date(2026, 3, 30))


def _move_to_another_account(ledger: FakeLedger, voucher: LedgerVoucher) -> None:
    first, *others = voucher.lines
    ledger.vouchers_by_id[voucher.ledger_id] = replace(
        voucher, lines=(replace(first, account="1001"), *others)
    )


def _add_a_cent(ledger: FakeLedger, voucher: LedgerVoucher) -> None:
    lines = tuple(replace(line, amount=line.amount + Money(1, "CNY")) for line in voucher.lines)
    ledger.vouchers_by_id[voucher.ledger_id] = replace(voucher, lines=lines)


def _change_department(ledger: FakeLedger, voucher: LedgerVoucher) -> None:
    first, *others = voucher.lines
    other = (AuxiliaryDimension("department", "D99"),)
    ledger.vouchers_by_id[voucher.ledger_id] = replace(
        voucher, lines=(replace(first, dimensions=other), *others)
    )


def _unpost(ledger: FakeLedger, voucher: LedgerVoucher) -> None:
    ledger.vouchers_by_id[voucher.ledger_id] = replace(voucher, state=LedgerVoucherState.DRAFT)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_delete, DiscrepancyKind.MISSING_IN_LEDGER),
        (_duplicate, DiscrepancyKind.DUPLICATE_IN_LEDGER),
        (_redate, DiscrepancyKind.DATE),
        (_move_to_another_account, DiscrepancyKind.ACCOUNT),
        (_add_a_cent, DiscrepancyKind.AMOUNT),
        (_change_department, DiscrepancyKind.DIMENSION),
        (_unpost, DiscrepancyKind.NOT_POSTED_IN_LEDGER),
        (lambda ledger, voucher: ledger.cancel(voucher.ledger_id), DiscrepancyKind.REVERSED_IN_LEDGER),
    ],
)
def test_what_somebody_did_in_the_ledger_is_noticed_and_gone_once_undone(
    change: Change, expected: DiscrepancyKind, ctx: StageContext, ledger: FakeLedger
) -> None:
    before = dict(ledger.vouchers_by_id)
    change(ledger, next(iter(before.values())))
    assert reconcile(ctx, MARCH).discrepancies >= 1
    assert expected in kinds(ctx)
    assert set(kinds(ctx)) == {expected}
    ledger.vouchers_by_id = before
    assert reconcile(ctx, MARCH).discrepancies == 0
    assert kinds(ctx) == []


def test_others_vouchers_are_counted_and_left_alone(ctx: StageContext, ledger: FakeLedger) -> None:
    own = next(iter(ledger.vouchers_by_id.values()))
    ledger.vouchers_by_id["77"] = replace(own, ledger_id="77", reference="手工凭证")
    result = reconcile(ctx, MARCH)
    assert (result.foreign, result.discrepancies) == (1, 0)


def _forget(ctx: StageContext, status: VoucherStatus) -> None:
    """As after a store was restored from an older copy: the first voucher was not sent, by what we know."""
    with ctx.store.engine.begin() as connection:
        first = connection.scalar(select(func.min(t.voucher.c.id)))
        connection.execute(
            update(t.voucher)
            .where(t.voucher.c.id == first)
            .values(status=status, ledger_id="", ledger_number="", posted_at=None)
        )


@pytest.mark.parametrize("status", [VoucherStatus.GENERATED, VoucherStatus.HELD, VoucherStatus.REJECTED])
def test_a_voucher_in_the_ledger_that_we_never_sent_is_adopted_and_not_sent_again(
    ctx: StageContext, ledger: FakeLedger, status: VoucherStatus
) -> None:
    _forget(ctx, status)
    assert reconcile(ctx, MARCH).adopted == 1
    assert kinds(ctx) == [DiscrepancyKind.ORPHAN]
    assert post(ctx, ALL).found_in_ledger == 1
    assert len(ledger.vouchers_by_id) == 3
    assert reconcile(ctx, MARCH).discrepancies == 0
    assert kinds(ctx) == []


def test_a_cancelled_voucher_whose_lines_are_gone_stays_with_a_person_and_posting_goes_on(
    ctx: StageContext, ledger: FakeLedger
) -> None:
    _forget(ctx, VoucherStatus.CANCELLED)
    with ctx.store.engine.begin() as connection:
        first = connection.scalar(select(func.min(t.voucher.c.id)))
        connection.execute(delete(t.journal_line).where(t.journal_line.c.voucher_id == first))
    assert reconcile(ctx, MARCH).adopted == 0
    assert kinds(ctx) == [DiscrepancyKind.NO_VOUCHER, DiscrepancyKind.ORPHAN]
    assert post(ctx, ALL).posted == 0


def test_a_key_of_ours_that_the_store_does_not_know_goes_to_an_engineer(
    ctx: StageContext, ledger: FakeLedger
) -> None:
    own = next(iter(ledger.vouchers_by_id.values()))
    stranger = str(VoucherKey("acme", "hesi", "ID_77", "expense_claim", 1))
    ledger.vouchers_by_id["77"] = replace(own, ledger_id="77", number="记-77", reference=stranger)
    assert reconcile(ctx, MARCH).adopted == 0
    assert kinds(ctx) == [DiscrepancyKind.NOT_IN_STORE]


def test_a_difference_keeps_its_age(ctx: StageContext, ledger: FakeLedger, clock: FakeClock) -> None:
    _delete(ledger, next(iter(ledger.vouchers_by_id.values())))
    d = t.discrepancy.c
    reconcile(ctx, MARCH)
    first = clock.now()
    clock.forward(86_400)
    reconcile(ctx, MARCH)
    with ctx.store.engine.begin() as connection:
        assert connection.execute(select(d.first_seen_at, d.last_seen_at)).all() == [(first, clock.now())]


def test_a_ledger_that_cannot_be_read_is_not_an_empty_ledger(ctx: StageContext, ledger: FakeLedger) -> None:
    ledger.fail("vouchers", RetryLater("断线 / down"))
    with pytest.raises(RetryLater):
        reconcile(ctx, MARCH)
    assert kinds(ctx) == []


def test_a_listing_that_is_not_whole_shows_in_the_balances(
    ctx: StageContext, ledger: FakeLedger, oa: FakeSource, make_context: MakeContext
) -> None:
    class Forgetful(FakeLedger):
        """Balances one voucher that it does not list."""

        __slots__ = ()

        def vouchers(self, period: object) -> object:  # type: ignore[override]
            pages = list(FakeLedger.vouchers(self, period))  # type: ignore[arg-type]
            return iter([[v for page in pages for v in page if v.reference != "手工凭证"]])

    forgetful = Forgetful()
    own = next(iter(ledger.vouchers_by_id.values()))
    forgetful.vouchers_by_id = {
        **ledger.vouchers_by_id,
        "77": replace(own, ledger_id="77", reference="手工凭证"),
    }
    reconcile(make_context(oa, forgetful), MARCH)
    assert set(kinds(ctx)) == {DiscrepancyKind.BALANCE}
