"""Posting: each voucher once, whatever happens on the way."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from include.domain.document import Disposition, DocumentStatus
from include.domain.errors import FixData, LeaseLost, OutcomeUnknown, RetryLater
from include.domain.money import Money
from include.domain.period import FiscalPeriod, PeriodState
from include.domain.voucher import (
    LedgerVoucher,
    LedgerVoucherState,
    PostingOutcome,
    PostingResult,
    Side,
    Voucher,
    VoucherKey,
    VoucherStatus,
)
from include.exchanges import record
from include.pace import MAX_WAIT_S
from include.ports import ProofLevel
from include.settings import Book
from include.stages.context import Scope, StageContext
from include.stages.extract import extract
from include.stages.generate import generate
from include.stages.post import post
from include.stages.reconcile import reconcile
from include.store import audit
from include.store import tables as t
from include.store.leases import LEASE_S
from tests.conftest import FakeClock
from tests.documents import claim, line
from tests.fakes.ledger import FakeLedger, Loss
from tests.fakes.source import FakeSource
from tests.unit.stages.conftest import MakeContext
from tests.unit.stages.flow import ALL, accept_all, ready, statuses

DATE_AND_AMOUNT = ProofLevel.DATE_AND_AMOUNT


@pytest.fixture(params=[ProofLevel.SEARCHABLE_REFERENCE, ProofLevel.DATE_AND_AMOUNT])
def ledger(request: pytest.FixtureRequest) -> FakeLedger:
    return FakeLedger(batch_size=4, proof_level=request.param)


@pytest.fixture
def keyed() -> FakeLedger:
    """A ledger that keeps our keys."""
    return FakeLedger(batch_size=4)


def once_each(ledger: FakeLedger, count: int) -> bool:
    """Whether the ledger holds exactly one posted voucher for each of `count` documents.

    Where it keeps no keys, the documents of these tests all make the same voucher: then their number says it.
    """
    posted = all(v.state is LedgerVoucherState.POSTED for v in ledger.vouchers_by_id.values())
    keys = {str(v.key) for v in ledger.vouchers_by_id.values()}
    is_keyed = ledger.proof_level is not ProofLevel.DATE_AND_AMOUNT
    return len(ledger.vouchers_by_id) == count and posted and (len(keys) == count or not is_keyed)


def test_posts_everything_once_and_a_second_run_posts_nothing(
    oa: FakeSource, ledger: FakeLedger, make_context: MakeContext
) -> None:
    ctx = make_context(oa, ledger)
    ready(ctx, oa, 10)
    result = post(ctx, ALL)
    assert (result.posted, result.found_in_ledger, result.unknown) == (10, 0, 0)
    assert result.posted_minor == 10 * 10600
    assert once_each(ledger, 10)
    calls = ledger.calls.count("post")
    assert post(ctx, ALL).posted == 0
    assert ledger.calls.count("post") == calls
    with ctx.store.engine.begin() as connection:
        assert audit.verify(connection) is None


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


def test_what_was_sent_days_ago_is_looked_up_at_once(
    oa: FakeSource, keyed: FakeLedger, make_context: MakeContext, clock: FakeClock
) -> None:
    ctx = make_context(oa, keyed)
    ready(ctx, oa, 3)
    keyed.lose(Loss.POSTED)
    keyed.fail("find", RetryLater("查询失败 / no answer"), times=4)
    with pytest.raises(RetryLater):
        post(ctx, ALL)
    clock.forward(2 * 86_400)
    clock.slept.clear()
    keyed.settle_s = 60
    assert post(ctx, ALL).found_in_ledger == 3
    assert clock.slept == []


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


def test_a_refused_batch_is_halved_until_the_bad_ones_stand_alone(
    oa: FakeSource, ledger: FakeLedger, make_context: MakeContext
) -> None:
    ctx = make_context(oa, ledger)
    ready(ctx, oa, 12)
    ledger.poison = {"ID_3", "ID_10"}
    result = post(ctx, ALL)
    assert (result.posted, result.rejected) == (10, 2)
    assert once_each(ledger, 10)
    d, p = t.source_document.c, t.problem.c
    with ctx.store.engine.begin() as connection:
        refused = connection.execute(
            select(d.document_id, p.code, p.zh)
            .join(t.problem, p.document_pk == d.id)
            .where(p.resolved_at.is_(None))
        ).all()
        quarantined = connection.scalars(
            select(d.document_id).where(d.disposition == Disposition.QUARANTINED)
        ).all()
    assert sorted(quarantined) == ["ID_10", "ID_3"]
    assert {(row.document_id, row.code) for row in refused} == {
        ("ID_3", "voucher.rejected"),
        ("ID_10", "voucher.rejected"),
    }
    assert all("拒绝" in row.zh for row in refused)


@pytest.mark.parametrize("state", [PeriodState.CLOSED, PeriodState.MISSING])
def test_a_period_that_is_not_open_holds_its_vouchers_until_it_is(
    state: PeriodState, oa: FakeSource, ledger: FakeLedger, make_context: MakeContext
) -> None:
    march = FiscalPeriod(2026, 3)
    ctx = make_context(oa, ledger)
    ready(ctx, oa, 2)
    if state is PeriodState.MISSING:
        del ledger.states[march]
    else:
        ledger.states[march] = state
    result = post(ctx, ALL)
    assert (result.posted, result.held) == (0, 2)
    assert ledger.calls.count("post") == 0
    with ctx.store.engine.begin() as connection:
        assert "2026-03" in (connection.scalar(select(t.voucher.c.message)) or "")
    ledger.states[march] = PeriodState.OPEN
    assert post(ctx, ALL).posted == 2
    with ctx.store.engine.begin() as connection:
        assert connection.scalars(select(t.problem.c.id).where(t.problem.c.resolved_at.is_(None))).all() == []


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


@pytest.fixture
def keyless() -> FakeLedger:
    """A ledger that can be searched by date and amount only."""
    return FakeLedger(batch_size=4, proof_level=DATE_AND_AMOUNT)


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


@pytest.mark.parametrize("workers", [1, 4])
def test_the_bad_ones_of_a_thousand_are_found_with_few_calls(
    workers: int, oa: FakeSource, make_context: MakeContext
) -> None:
    ledger = FakeLedger(batch_size=1000, poison={"ID_1", "ID_500", "ID_1000"})
    ctx = make_context(oa, ledger)
    ctx = replace(ctx, book=with_ledger(ctx.book, workers=workers))
    ready(ctx, oa, 1000)
    result = post(ctx, ALL)
    assert (result.posted, result.rejected, result.held) == (997, 3, 0)
    assert ledger.calls.count("post") <= 60
    assert once_each(ledger, 997)


def test_when_the_calls_for_splitting_are_spent_the_rest_waits_for_the_next_run(
    oa: FakeSource, make_context: MakeContext
) -> None:
    ledger = FakeLedger(batch_size=16, poison={f"ID_{n}" for n in range(1, 17, 2)})
    ctx = make_context(oa, ledger)
    ctx = replace(ctx, book=with_ledger(ctx.book, split_calls=9))
    ready(ctx, oa, 16)
    first = post(ctx, ALL)
    assert ledger.calls.count("post") <= 11
    assert first.held > 0
    assert first.posted + first.held + first.rejected == 16
    for _run in range(10):
        post(ctx, ALL)
    assert VoucherStatus.HELD not in statuses(ctx)
    assert once_each(ledger, 8)


def test_what_was_said_to_the_ledger_is_found_from_the_voucher(
    oa: FakeSource, make_context: MakeContext, clock: FakeClock
) -> None:
    class Talking(FakeLedger):
        """Says what went over its line, as clients of real ledgers do."""

        __slots__ = ()

        def post(self, vouchers: Sequence[Voucher]) -> Sequence[PostingResult]:
            record(f"post {len(vouchers)}", None)
            return FakeLedger.post(self, vouchers)

        def find(self, vouchers: Sequence[Voucher]) -> Mapping[VoucherKey, Sequence[LedgerVoucher]]:
            record(f"find {len(vouchers)}", "answer")
            return FakeLedger.find(self, vouchers)

    ledger = Talking(batch_size=4)
    ctx = make_context(oa, ledger)
    ready(ctx, oa, 3)
    ledger.lose(Loss.POSTED)
    assert post(ctx, ALL).posted == 3
    for pk in (1, 3):
        said = ctx.store.exchanges.of_voucher(pk)
        assert [(each.request, each.response) for each in said] == [("post 3", None), ("find 3", "answer")]
    clock.forward((ctx.book.ledger.keep_exchanges_days + 2) * 86_400)
    post(ctx, ALL)
    later = ctx.store.exchanges.of_voucher(1)
    assert [each.request for each in later] == [None, None]
    assert [each.request_digest for each in later] == [each.request_digest for each in said]


def with_ledger(book: Book, **settings: object) -> Book:
    return book.model_copy(update={"ledger": book.ledger.model_copy(update=settings)})


def test_parts_of_a_refused_batch_that_cannot_be_sent_now_are_sent_by_the_next_run(
    oa: FakeSource, keyed: FakeLedger, make_context: MakeContext
) -> None:
    ctx = make_context(oa, keyed)
    ready(ctx, oa, 4)
    keyed.poison = {"ID_1"}
    keyed.fail("post", RetryLater("断线 / down"), after=1)
    with pytest.raises(RetryLater):
        post(ctx, ALL)
    assert set(statuses(ctx)) == {VoucherStatus.GENERATED}
    result = post(ctx, ALL)
    assert (result.posted, result.rejected) == (3, 1)


class Meanwhile(FakeLedger):
    """Another run does something between the reading of a batch and its sending."""

    __slots__ = ("happens",)

    def ensure_dimensions(self, values: object) -> None:
        FakeLedger.ensure_dimensions(self, values)  # type: ignore[arg-type]
        self.happens()


def test_a_voucher_whose_document_is_withdrawn_meanwhile_is_not_sent(
    oa: FakeSource, make_context: MakeContext, clock: FakeClock
) -> None:
    ledger = Meanwhile()
    ctx = make_context(oa, ledger)
    ready(ctx, oa, 2)

    def withdraw() -> None:
        clock.forward(1)
        oa.change("ID_1", clock.now(), status=DocumentStatus.NULLIFIED)
        extract(ctx)

    ledger.happens = withdraw
    assert post(ctx, ALL).posted == 1
    assert [str(v.key) for v in ledger.vouchers_by_id.values()] == ["VF/acme/hesi/ID_2/expense_claim/1"]


def test_a_voucher_whose_document_is_quarantined_meanwhile_is_not_sent(
    oa: FakeSource, make_context: MakeContext
) -> None:
    ledger = Meanwhile()
    ctx = make_context(oa, ledger)
    ready(ctx, oa, 1)

    def quarantine() -> None:
        with ctx.store.engine.begin() as connection:
            connection.execute(update(t.source_document).values(disposition=Disposition.QUARANTINED))

    ledger.happens = quarantine
    assert post(ctx, ALL).posted == 0
    assert not ledger.vouchers_by_id


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


def test_what_is_sent_is_what_is_stored_when_it_is_sent(
    oa: FakeSource, make_context: MakeContext, clock: FakeClock
) -> None:
    ledger = Meanwhile()
    ctx = make_context(oa, ledger)
    ready(ctx, oa, 1)

    def change() -> None:
        ledger.happens = lambda: None
        clock.forward(1)
        oa.put(claim(1, line(1, 5000, 0)), at=clock.now())
        extract(ctx)
        accept_all(ctx)
        generate(ctx, ALL)

    ledger.happens = change
    assert post(ctx, ALL).posted_minor == 5000
    (there,) = ledger.vouchers_by_id.values()
    assert sum(x.amount.minor for x in there.lines if x.side is Side.DEBIT) == 5000
    assert reconcile(ctx, Scope(date(2026, 3, 1), date(9999, 12, 31))).discrepancies == 0


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


def test_two_runs_of_one_book_do_not_write_at_the_same_time(
    oa: FakeSource, ledger: FakeLedger, make_context: MakeContext, clock: FakeClock
) -> None:
    ctx = make_context(oa, ledger)
    ready(ctx, oa, 2)
    with ctx.store.engine.begin() as connection:
        connection.execute(
            t.book_lease.insert().values(
                book="acme",
                fence=7,
                holder="elsewhere:1:1",
                expires_at=clock.now() + timedelta(seconds=LEASE_S),
            )
        )
    with pytest.raises(LeaseLost, match="elsewhere"):
        post(ctx, ALL)
    assert not ledger.vouchers_by_id
    clock.forward(LEASE_S + 1)
    assert post(ctx, ALL).posted == 2


def test_a_run_whose_lease_was_taken_over_writes_nothing_more(
    oa: FakeSource, ledger: FakeLedger, make_context: MakeContext
) -> None:
    ctx = make_context(oa, ledger)
    ready(ctx, oa, 8)
    real = ledger.ensure_dimensions

    class Usurped(FakeLedger):
        """Loses the book to another run just before its second batch is sent."""

        __slots__ = ("batches",)

        def ensure_dimensions(self, values: object) -> None:
            real(values)  # type: ignore[arg-type]
            with ctx.store.engine.begin() as connection:
                connection.execute(update(t.book_lease).values(fence=99, holder="elsewhere:2:2"))

    usurped = Usurped(batch_size=4)
    usurped.values = ledger.values
    with pytest.raises(LeaseLost):
        post(make_context(oa, usurped), ALL)
    assert not usurped.vouchers_by_id


_FATE = st.sampled_from(["ok", "posted", "drafted", "nothing", "down", "unknown_before"])


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fates=st.lists(_FATE, max_size=8))
def test_any_interleaving_of_good_and_lost_calls_ends_with_one_voucher_each(
    fates: list[str], oa: FakeSource, make_context: MakeContext
) -> None:
    ledger = FakeLedger(batch_size=2)
    ctx = make_context(oa, ledger)
    with ctx.store.engine.begin() as connection:
        for table in (t.journal_line, t.problem):
            connection.execute(table.delete())
        connection.execute(update(t.voucher).values(status=VoucherStatus.CANCELLED))
    ready(ctx, oa, 5)
    for fate in fates:
        match fate:
            case "posted" | "drafted" | "nothing":
                ledger.lose(Loss(fate))
            case "down":
                ledger.fail("post", RetryLater("断线 / down"))
            case "unknown_before":
                ledger.fail("post", OutcomeUnknown("断线 / lost"))
            case _:
                ledger.fail("post", RetryLater("断线 / down"), after=1, times=0)
    for _ in range(len(fates) + 2):
        try:
            post(ctx, ALL)
        except RetryLater:
            continue
    assert once_each(ledger, 5)
    assert post(ctx, ALL).posted == 0
