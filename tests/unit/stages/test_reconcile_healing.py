"""What reconciliation mends by itself, and what it leaves to a person: nothing is ever sent twice, or against somebody's will."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from include.domain.document import Disposition
from include.domain.errors import LeaseLost, RetryLater
from include.domain.period import FiscalPeriod, PeriodState
from include.domain.reconciliation import DiscrepancyKind as Kind
from include.domain.reconciliation import KeptDiscrepancy
from include.domain.voucher import LedgerVoucher, VoucherStatus
from include.ports import ProofLevel
from include.stages.context import Scope, StageContext
from include.stages.extract import extract
from include.stages.generate import generate
from include.stages.post import post
from include.stages.reconcile import reconcile
from include.store import audit
from include.store import tables as t
from include.store.engine import reading
from tests.conftest import FakeClock
from tests.documents import claim, line
from tests.fakes.ledger import FakeLedger
from tests.fakes.source import FakeSource
from tests.unit.stages.conftest import MakeContext
from tests.unit.stages.flow import ALL, accept_all, statuses

MARCH = FiscalPeriod(2026, 3)
SCOPE = Scope(MARCH.first_day, MARCH.last_day)


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger(settle_s=30.0)


@pytest.fixture
def ctx(oa: FakeSource, ledger: FakeLedger, make_context: MakeContext, clock: FakeClock) -> StageContext:
    """Three vouchers of different amounts, posted a while ago."""
    context = make_context(oa, ledger)
    for number in range(1, 4):
        oa.put(claim(number, line(1, 10_600 * number, 600 * number)))
    _run_all(context)
    clock.forward(3_600)
    return context


def _run_all(ctx: StageContext) -> None:
    extract(ctx)
    accept_all(ctx)
    generate(ctx, ALL)
    assert post(ctx, ALL).posted == 3


def _lose(ledger: FakeLedger, ledger_id: str = "1") -> None:
    del ledger.vouchers_by_id[ledger_id]


def _found(ctx: StageContext) -> list[tuple[Kind, str]]:
    return [(each.found.kind, each.found.subject.split("/")[3]) for each in _open(ctx)]


def _open(ctx: StageContext) -> list[KeptDiscrepancy]:
    return ctx.store.reconciliations.open(ctx.book.id)


def test_what_the_ledger_lost_is_shown_and_stays_until_somebody_asks_for_it(
    ctx: StageContext, ledger: FakeLedger
) -> None:
    _lose(ledger)
    assert reconcile(ctx, SCOPE).sent_back == 0
    assert post(ctx, ALL).posted == 0
    assert _found(ctx) == [(Kind.MISSING_IN_LEDGER, "ID_1")]
    assert len(ledger.vouchers_by_id) == 2


def test_it_is_sent_again_under_its_own_key_and_leaves_a_trace(ctx: StageContext, ledger: FakeLedger) -> None:
    key = ledger.vouchers_by_id["1"].reference
    _lose(ledger)
    assert reconcile(ctx, SCOPE, heal=True).sent_back == 1
    assert post(ctx, ALL).posted == 1
    assert sorted(v.reference for v in ledger.vouchers_by_id.values()).count(key) == 1
    assert reconcile(ctx, SCOPE).discrepancies == 0
    assert _open(ctx) == []
    a = t.audit_event.c
    with reading(ctx.store.engine) as connection:
        actions = list(connection.scalars(select(a.action).where(a.subject == key).order_by(a.id)))
        assert audit.verify(connection) is None
    assert actions == ["voucher.posted", "voucher.gone_from_ledger", "voucher.posted"]


def test_healing_twice_sends_once(ctx: StageContext, ledger: FakeLedger) -> None:
    _lose(ledger)
    assert [reconcile(ctx, SCOPE, heal=True).sent_back for _ in range(2)] == [1, 0]
    post(ctx, ALL)
    post(ctx, ALL)
    assert len(ledger.vouchers_by_id) == 3


def test_one_that_came_back_before_posting_is_adopted(ctx: StageContext, ledger: FakeLedger) -> None:
    kept = ledger.vouchers_by_id.pop("1")
    reconcile(ctx, SCOPE, heal=True)
    ledger.vouchers_by_id["1"] = kept
    assert post(ctx, ALL).found_in_ledger == 1
    assert len(ledger.vouchers_by_id) == 3


Hindrance = Callable[[StageContext, FakeLedger, LedgerVoucher], None]


def _close(ctx: StageContext, ledger: FakeLedger, lost: LedgerVoucher) -> None:
    ledger.states[MARCH] = PeriodState.CLOSED


def _quarantine(ctx: StageContext, ledger: FakeLedger, lost: LedgerVoucher) -> None:
    d = t.source_document
    with ctx.store.engine.begin() as connection:
        changed = update(d).where(d.c.document_id == "ID_1")
        connection.execute(changed.values(disposition=Disposition.QUARANTINED))


def _just_sent(ctx: StageContext, ledger: FakeLedger, lost: LedgerVoucher) -> None:
    ctx.clock.forward(-3_590)  # type: ignore[attr-defined]


def _keyless(ctx: StageContext, ledger: FakeLedger, lost: LedgerVoucher) -> None:
    """Somebody moved it to another period and took our key out."""
    ledger.vouchers_by_id["1"] = replace(lost, reference="", period="2026-04")


def _reversed(ctx: StageContext, ledger: FakeLedger, lost: LedgerVoucher) -> None:
    ledger.vouchers_by_id["1"] = lost
    ledger.cancel("1")


@pytest.mark.parametrize("hindrance", [_close, _quarantine, _just_sent, _keyless, _reversed])
def test_what_may_not_be_sent_stays_with_a_person(
    ctx: StageContext, ledger: FakeLedger, hindrance: Hindrance
) -> None:
    hindrance(ctx, ledger, ledger.vouchers_by_id.pop("1"))
    before = len(ledger.vouchers_by_id)
    assert reconcile(ctx, SCOPE, heal=True).sent_back == 0
    assert statuses(ctx) == [VoucherStatus.POSTED] * 3
    assert post(ctx, ALL).posted == 0
    assert len(ledger.vouchers_by_id) == before
    assert len(_found(ctx)) == 1


@pytest.mark.parametrize("call", ["find", "numbers"])
def test_a_look_that_fails_proves_nothing(ctx: StageContext, ledger: FakeLedger, call: str) -> None:
    _lose(ledger)
    ledger.fail(call, RetryLater("断线 / down"), after=1)  # the second look, under the lease
    with pytest.raises(RetryLater):
        reconcile(ctx, SCOPE, heal=True)
    assert statuses(ctx) == [VoucherStatus.POSTED] * 3
    assert _found(ctx) == [(Kind.MISSING_IN_LEDGER, "ID_1")]


def test_while_another_run_writes_nothing_is_healed(ctx: StageContext, ledger: FakeLedger) -> None:
    _lose(ledger)
    other = ctx.store.leases.acquire(ctx.book.id)
    with pytest.raises(LeaseLost):
        reconcile(ctx, SCOPE, heal=True)
    ctx.store.leases.release(other)
    assert statuses(ctx) == [VoucherStatus.POSTED] * 3


def test_without_keys_the_ledgers_own_id_tells_what_is_gone(
    oa: FakeSource, make_context: MakeContext, clock: FakeClock
) -> None:
    ledger = FakeLedger(proof_level=ProofLevel.DATE_AND_AMOUNT)
    ctx = make_context(oa, ledger)
    for number in range(1, 4):
        oa.put(claim(number, line(1, 10_600 * number, 600 * number)))
    _run_all(ctx)
    clock.forward(3_600)
    assert reconcile(ctx, SCOPE).discrepancies == 0
    lost = ledger.vouchers_by_id.pop("1")
    assert reconcile(ctx, SCOPE).kinds == ((Kind.MISSING_IN_LEDGER.value, 1),)
    ledger.vouchers_by_id["70"] = replace(lost, ledger_id="70", number="记-70", period="2026-04")
    assert reconcile(ctx, SCOPE, heal=True).sent_back == 0, "something alike stands there"
    del ledger.vouchers_by_id["70"]
    assert reconcile(ctx, SCOPE, heal=True).sent_back == 1
    assert post(ctx, ALL).posted == 1
    assert len(ledger.vouchers_by_id) == 3
    assert reconcile(ctx, SCOPE).discrepancies == 0
