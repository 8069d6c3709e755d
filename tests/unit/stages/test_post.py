"""Posting: each voucher once, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import select, update

from include.domain.document import Disposition, DocumentStatus
from include.domain.errors import LeaseLost, RetryLater
from include.domain.period import FiscalPeriod, PeriodState
from include.domain.voucher import (
    LedgerVoucher,
    PostingResult,
    Side,
    Voucher,
    VoucherKey,
    VoucherStatus,
)
from include.exchanges import record
from include.settings import Book
from include.stages.context import Scope, StageContext
from include.stages.extract import extract
from include.stages.generate import generate
from include.stages.post import post
from include.stages.reconcile import reconcile
from include.store import attempts, audit
from include.store import tables as t
from include.store.engine import reading
from include.store.exchanges import KeptExchange
from include.store.leases import LEASE_S
from tests.conftest import FakeClock
from tests.documents import claim, line
from tests.fakes.ledger import FakeLedger, Loss
from tests.fakes.source import FakeSource
from tests.unit.stages.conftest import MakeContext
from tests.unit.stages.flow import ALL, accept_all, once_each, ready, statuses


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


@pytest.mark.parametrize("workers", [3])
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


def said_of(ctx: StageContext, document: str) -> tuple[list[str], list[KeptExchange]]:
    """The steps of a document's attempts, and what was said to the ledger in them."""
    with reading(ctx.store.engine) as connection:
        found = attempts.of_document(connection, "acme", document)
    return [each.step for each in found], [said for each in found for said in each.exchanges]


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
    for document in ("ID_1", "B26000003"):
        steps, said = said_of(ctx, document)
        assert steps == ["intent", "outcome", "look"]
        assert [(each.request, each.response) for each in said] == [("post 3", None), ("find 3", "answer")]
    clock.forward((ctx.book.ledger.keep_exchanges_days + 2) * 86_400)
    post(ctx, ALL)
    later = said_of(ctx, "ID_1")[1]
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
