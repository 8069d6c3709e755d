"""Looking: what became of calls that ended in doubt, at every proof level."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import select, update

from include.domain.errors import FixData, LeaseLost, OutcomeUnknown, RetryLater
from include.domain.money import Money
from include.domain.voucher import (
    LedgerVoucherState,
    PostingOutcome,
    PostingResult,
    Side,
    Voucher,
    VoucherStatus,
)
from include.pace import MAX_WAIT_S
from include.ports import ProofLevel
from include.stages.context import Scope, StageContext
from include.stages.post import post
from include.store import tables as t
from include.store.leases import LEASE_S
from tests.conftest import FakeClock
from tests.fakes.ledger import FakeLedger, Loss
from tests.fakes.source import FakeSource
from tests.unit.stages.conftest import MakeContext
from tests.unit.stages.flow import ALL, once_each, ready, statuses

DATE_AND_AMOUNT = ProofLevel.DATE_AND_AMOUNT


@pytest.mark.parametrize("loss", list(Loss))
def test_a_lost_answer_is_looked_up_before_anything_is_sent_again(
    loss: Loss, oa: FakeSource, ledger: FakeLedger, make_context: MakeContext
) -> None:
    ctx = make_context(oa, ledger)
    ready(ctx, oa, 6)
    ledger.lose(loss)
    result = post(ctx, ALL)
    assert result.posted == 6
    assert result.found_in_ledger == (0 if loss is Loss.NOTHING else 4)
    assert once_each(ledger, 6)


def test_absence_counts_only_once_the_ledger_is_quiet(
    oa: FakeSource, ledger: FakeLedger, make_context: MakeContext, clock: FakeClock
) -> None:
    ledger.settle_s = 60
    ctx = make_context(oa, ledger)
    ready(ctx, oa, 2)
    ledger.lose(Loss.NOTHING)
    post(ctx, ALL)
    assert clock.slept == [60]
    assert once_each(ledger, 2)


@pytest.mark.parametrize(
    ("holder", "is_released", "wait"),
    [
        ("elsewhere:1:1", False, MAX_WAIT_S + 60),  # it may wake up and send what it meant to
        ("elsewhere:1:1", True, 60),
        (f"{socket.gethostname()}:1:not-since-then", False, 60),  # its process has ended
    ],
)
@pytest.mark.parametrize("step", [timedelta(0), timedelta(hours=3), -timedelta(hours=3)])
def test_what_another_run_left_is_looked_up_when_that_run_can_send_no_more_whatever_the_wall_clock_says(
    holder: str,
    is_released: bool,
    wait: float,
    step: timedelta,
    oa: FakeSource,
    ledger: FakeLedger,
    make_context: MakeContext,
    clock: FakeClock,
) -> None:
    ctx = make_context(oa, ledger)
    ready(ctx, oa, 3)
    ledger.lose(Loss.POSTED)
    ledger.fail(
        "find", RetryLater("查询失败 / no answer"), after=int(ledger.proof_level is DATE_AND_AMOUNT), times=4
    )
    with pytest.raises(RetryLater):
        post(ctx, ALL)
    with ctx.store.engine.begin() as connection:
        connection.execute(
            update(t.book_lease).values(holder=holder, is_released=is_released, expires_at=clock.now())
        )
    clock.slept.clear()
    clock.time += step
    with ctx.store.engine.begin() as connection:
        connection.execute(update(t.book_lease).values(expires_at=clock.now()))
    ledger.settle_s = 60
    assert post(ctx, ALL).found_in_ledger == 3
    assert clock.slept == [wait]
    assert once_each(ledger, 3)


def test_what_was_sent_days_ago_by_the_wall_clock_is_waited_for_all_the_same(
    oa: FakeSource, keyed: FakeLedger, make_context: MakeContext, clock: FakeClock
) -> None:
    ctx = make_context(oa, keyed)
    ready(ctx, oa, 3)
    keyed.lose(Loss.POSTED)
    keyed.fail("find", RetryLater("查询失败 / no answer"), times=4)
    with pytest.raises(RetryLater):
        post(ctx, ALL)
    clock.time += timedelta(days=2)
    clock.slept.clear()
    keyed.settle_s = 60
    assert post(ctx, ALL).found_in_ledger == 3
    assert clock.slept == [60]


def test_a_look_up_that_fails_is_not_a_no(
    oa: FakeSource, ledger: FakeLedger, make_context: MakeContext
) -> None:
    ctx = make_context(oa, ledger)
    ready(ctx, oa, 3)
    ledger.lose(Loss.POSTED)
    ledger.fail(
        "find", RetryLater("查询失败 / no answer"), after=int(ledger.proof_level is DATE_AND_AMOUNT), times=4
    )
    with pytest.raises(RetryLater):
        post(ctx, ALL)
    assert set(statuses(ctx)) == {VoucherStatus.UNKNOWN}
    assert post(ctx, ALL).found_in_ledger == 3
    assert once_each(ledger, 3)


def test_a_process_that_died_between_intent_and_answer_is_made_good(
    oa: FakeSource, ledger: FakeLedger, make_context: MakeContext, clock: FakeClock
) -> None:
    class Killed(BaseException):
        """Stands for SIGKILL: nothing of ours runs after it but what a finally clause does."""

    ctx = make_context(oa, ledger)
    ready(ctx, oa, 3)

    class Dying(FakeLedger):
        """Posts, and its caller is gone before the answer comes."""

        __slots__ = ()

        def post(self, vouchers: Sequence[Voucher]) -> Sequence[PostingResult]:
            FakeLedger.post(self, vouchers)
            raise Killed

    broken = Dying(batch_size=4, proof_level=ledger.proof_level)
    broken.vouchers_by_id, broken.values = ledger.vouchers_by_id, ledger.values
    with pytest.raises(Killed):
        post(make_context(oa, broken), ALL)
    assert set(statuses(ctx)) == {VoucherStatus.SENDING}
    with pytest.raises(LeaseLost):  # to the store that run may still be at it
        post(ctx, ALL)
    clock.forward(LEASE_S + 1)
    assert post(ctx, ALL).found_in_ledger == 3
    assert once_each(ledger, 3)


def test_other_content_under_our_key_goes_to_a_person(
    oa: FakeSource, keyed: FakeLedger, make_context: MakeContext
) -> None:
    ctx = make_context(oa, keyed)
    ready(ctx, oa, 1)
    stored = ctx.store.vouchers.batch("acme", ALL, [VoucherStatus.GENERATED], 1)[0].voucher
    keyed.lose(Loss.POSTED)
    keyed.fail("find", RetryLater("查询失败 / no answer"), times=4)
    with pytest.raises(RetryLater):
        post(ctx, ALL)
    ((ledger_id, there),) = keyed.vouchers_by_id.items()
    altered = tuple(
        type(line)(line.side, line.account, line.amount + Money(1, "CNY"), line.dimensions)
        for line in there.lines
    )
    keyed.vouchers_by_id[ledger_id] = type(there)(
        there.ledger_id, there.number, there.reference, there.date, there.period, there.state, altered
    )
    result = post(ctx, ALL)
    assert (result.posted, result.conflict) == (0, 1)
    assert statuses(ctx) == [VoucherStatus.CONFLICT]
    post(ctx, ALL)
    assert len(keyed.vouchers_by_id) == 1
    assert str(stored.key) == there.reference


@pytest.mark.parametrize("repair", ["taken away", "put right"])
def test_a_conflict_that_a_person_settled_in_the_ledger_ends_with_one_voucher(
    repair: str, oa: FakeSource, keyed: FakeLedger, make_context: MakeContext
) -> None:
    ctx = make_context(oa, keyed)
    ready(ctx, oa, 1)
    keyed.lose(Loss.POSTED)
    keyed.fail("find", RetryLater("查询失败 / no answer"), times=4)
    with pytest.raises(RetryLater):
        post(ctx, ALL)
    sound = dict(keyed.vouchers_by_id)
    keyed.vouchers_by_id |= {"99": replace(next(iter(sound.values())), ledger_id="99", number="记-99")}
    assert post(ctx, ALL).conflict == 1
    keyed.vouchers_by_id = sound if repair == "put right" else {}
    result = post(ctx, ALL)
    assert (result.posted, result.conflict) == (1, 0)
    assert once_each(keyed, 1)


def in_doubt(ctx: StageContext, ledger: FakeLedger) -> None:
    """A run whose call is lost and which cannot look."""
    looks_first = ledger.proof_level is DATE_AND_AMOUNT
    ledger.fail("find", RetryLater("查询失败 / no answer"), after=int(looks_first), times=4)
    with pytest.raises(RetryLater):
        post(ctx, ALL)
    assert set(statuses(ctx)) == {VoucherStatus.UNKNOWN}


def copy_of(ledger: FakeLedger, ledger_id: str, new_id: str, minor: int = 0) -> None:
    """Somebody makes a voucher like another in the ledger, of `minor` more on each of its largest lines."""
    there = next(iter(ledger.vouchers_by_id.values())) if not ledger_id else ledger.vouchers_by_id[ledger_id]
    lines = list(there.lines)
    for side in Side:
        largest = max((x for x in lines if x.side is side), key=lambda x: x.amount.minor)
        lines[lines.index(largest)] = replace(largest, amount=largest.amount + Money(minor, "CNY"))
    ledger.vouchers_by_id[new_id] = replace(
        there, ledger_id=new_id, number=f"记-{new_id}", lines=tuple(lines), state=LedgerVoucherState.POSTED
    )


def test_without_keys_what_stood_there_before_is_not_taken_for_ours(
    oa: FakeSource, keyless: FakeLedger, make_context: MakeContext
) -> None:
    ctx = make_context(oa, keyless)
    ready(ctx, oa, 3)
    post(make_context(oa, keyless), Scope(date_from=date(2000, 1, 1), date_to=date(2000, 1, 2)))
    others = FakeLedger(proof_level=DATE_AND_AMOUNT)
    others.values = keyless.values
    stored = ctx.store.vouchers.batch("acme", ALL, [VoucherStatus.GENERATED], 1)[0].voucher
    keyless.ensure_dimensions([d for line in stored.lines for d in line.dimensions])
    keyless.post([stored])  # by hand, and just the same
    keyless.lose(Loss.NOTHING)
    result = post(ctx, ALL)
    assert (result.posted, result.conflict) == (3, 0)
    assert len(keyless.vouchers_by_id) == 4


def test_without_keys_a_like_voucher_that_appears_meanwhile_goes_to_a_person(
    oa: FakeSource, keyless: FakeLedger, make_context: MakeContext
) -> None:
    ctx = make_context(oa, keyless)
    ready(ctx, oa, 2)
    keyless.lose(Loss.POSTED)
    in_doubt(ctx, keyless)
    copy_of(keyless, "", "99")
    assert post(ctx, ALL).conflict == 2
    assert len(keyless.vouchers_by_id) == 3
    del keyless.vouchers_by_id["99"]
    assert post(ctx, ALL).posted == 2
    assert once_each(keyless, 2)


def test_without_keys_a_voucher_of_other_content_that_appears_meanwhile_is_never_sent_over(
    oa: FakeSource, keyless: FakeLedger, make_context: MakeContext
) -> None:
    """It may be ours, edited by somebody."""
    ctx = make_context(oa, keyless)
    ready(ctx, oa, 1)
    keyless.lose(Loss.POSTED)
    in_doubt(ctx, keyless)
    ((ledger_id, there),) = keyless.vouchers_by_id.items()
    edited = tuple(replace(x, dimensions=()) for x in there.lines)
    keyless.vouchers_by_id[ledger_id] = replace(there, lines=edited)
    assert post(ctx, ALL).conflict == 1
    keyless.vouchers_by_id.clear()  # a person says that it was not
    assert post(ctx, ALL).posted == 1
    assert len(keyless.vouchers_by_id) == 1


def test_without_keys_vouchers_of_one_content_in_doubt_are_shared_out_one_each(
    oa: FakeSource, keyless: FakeLedger, make_context: MakeContext
) -> None:
    """The second call saw the first one's vouchers before it was sent itself: they are the first one's alone."""
    keyless.batch_size = 2
    ctx = make_context(oa, keyless)
    ready(ctx, oa, 6)
    keyless.lose(Loss.POSTED)
    keyless.lose(Loss.NOTHING)
    keyless.lose(Loss.POSTED)
    result = post(ctx, ALL)
    assert (result.posted, result.conflict, result.unknown) == (6, 0, 0)
    assert once_each(keyless, 6)
    with ctx.store.engine.begin() as connection:
        ids = list(connection.scalars(select(t.voucher.c.ledger_id)))
    assert sorted(ids) == sorted(keyless.vouchers_by_id)


def test_a_copy_that_was_reversed_in_the_ledger_does_not_count(
    oa: FakeSource, keyed: FakeLedger, make_context: MakeContext
) -> None:
    ctx = make_context(oa, keyed)
    ready(ctx, oa, 1)
    keyed.lose(Loss.POSTED)
    in_doubt(ctx, keyed)
    copy_of(keyed, "", "99")
    assert post(ctx, ALL).conflict == 1
    keyed.vouchers_by_id["99"] = replace(keyed.vouchers_by_id["99"], state=LedgerVoucherState.REVERSED)
    assert post(ctx, ALL).posted == 1


@pytest.mark.parametrize(("has_other_content", "status"), [(False, "posted"), (True, "conflict")])
def test_a_ledger_that_knows_the_key_already_is_believed_only_after_a_comparison(
    has_other_content: bool, status: str, oa: FakeSource, make_context: MakeContext
) -> None:
    class NativeKey(FakeLedger):
        """Answers EXISTS to a key that it has."""

        __slots__ = ()

        def post(self, vouchers: Sequence[Voucher]) -> Sequence[PostingResult]:
            return [PostingResult(v.key, PostingOutcome.EXISTS, "1", "记-1") for v in vouchers]

    ledger = NativeKey()
    ctx = make_context(oa, ledger)
    ready(ctx, oa, 1)
    (stored,) = ctx.store.vouchers.batch("acme", ALL, [VoucherStatus.GENERATED], 1)
    ledger.ensure_dimensions(d for x in stored.voucher.lines for d in x.dimensions)
    there = ledger.complete([ledger.draft(stored.voucher)])[0]
    if has_other_content:
        ledger.vouchers_by_id[there.ledger_id] = replace(there, date=date(2026, 3, 1))
    post(ctx, ALL)
    assert statuses(ctx) == [status]


def test_a_draft_that_the_ledger_will_not_post_holds_up_nobody_else(
    oa: FakeSource, ledger: FakeLedger, make_context: MakeContext
) -> None:
    ctx = make_context(oa, ledger)
    ready(ctx, oa, 5)
    ledger.lose(Loss.DRAFTED)
    ledger.fail("complete", FixData("会计期间已关闭，无法记账 / the period is closed"))
    result = post(ctx, ALL)
    assert (result.posted, result.conflict) == (4, 1)
    assert post(ctx, ALL).posted == 1
    assert once_each(ledger, 5)


def test_an_answer_lost_while_a_draft_is_completed_is_looked_up_again(
    oa: FakeSource, ledger: FakeLedger, make_context: MakeContext
) -> None:
    ctx = make_context(oa, ledger)
    ready(ctx, oa, 5)
    ledger.lose(Loss.DRAFTED)
    ledger.fail("complete", OutcomeUnknown("回答丢失 / the answer was lost"), times=2)
    result = post(ctx, ALL)
    assert (result.posted, result.unknown) == (5, 0)
    assert once_each(ledger, 5)
