"""Write-back: the OA shows each number once it is in the ledger, and only what it will take."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from include.domain.errors import RetryLater
from include.stages.context import StageContext
from include.stages.extract import extract
from include.stages.write_back import write_back
from include.store import tables as t
from tests.conftest import FakeClock
from tests.fakes.ledger import FakeLedger
from tests.fakes.source import FakeSource
from tests.unit.stages.conftest import MakeContext
from tests.unit.stages.flow import ALL, accept_all, posted, ready


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


@pytest.fixture
def ctx(oa: FakeSource, ledger: FakeLedger, make_context: MakeContext) -> StageContext:
    return make_context(oa, ledger)


def test_each_document_shows_its_number_and_period_once(ctx: StageContext, oa: FakeSource) -> None:
    posted(ctx, oa, 3)
    assert write_back(ctx, ALL).written == 3
    assert {i: (e.voucher_no, e.fiscal_period) for i, e in oa.written.items()} == {
        "ID_1": ("记-1", "2026-03"),
        "ID_2": ("记-2", "2026-03"),
        "ID_3": ("记-3", "2026-03"),
    }
    assert write_back(ctx, ALL).written == 0
    assert oa.calls.count("write_back") == 1


def test_what_is_not_in_the_ledger_is_not_written_back(ctx: StageContext, oa: FakeSource) -> None:
    ready(ctx, oa, 2)
    assert write_back(ctx, ALL).written == 0
    assert not oa.written


def test_a_renumbered_voucher_goes_back_with_its_new_number(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    posted(ctx, oa, 1)
    ledger.vouchers_by_id = {k: replace(v, number="记-88") for k, v in ledger.vouchers_by_id.items()}
    write_back(ctx, ALL)
    assert oa.written["ID_1"].voucher_no == "记-88"
    with ctx.store.engine.begin() as connection:
        assert connection.scalar(select(t.voucher.c.ledger_number)) == "记-88"


def test_a_refusal_is_kept_and_tried_again_only_after_the_document_changed(
    ctx: StageContext, oa: FakeSource, clock: FakeClock
) -> None:
    posted(ctx, oa, 2)
    oa.refused = {"ID_1"}
    result = write_back(ctx, ALL)
    assert (result.written, result.refused) == (1, 1)
    assert write_back(ctx, ALL).refused == 0
    oa.refused = set()
    clock.forward(60)
    oa.change("ID_1", clock.now() + timedelta(seconds=1))
    extract(ctx)

    accept_all(ctx)
    assert write_back(ctx, ALL).written == 1


def test_a_lost_answer_is_sent_again(ctx: StageContext, oa: FakeSource) -> None:
    posted(ctx, oa, 1)
    oa.lost = {"ID_1"}
    assert write_back(ctx, ALL).unknown == 1
    oa.lost = set()
    assert write_back(ctx, ALL).written == 1


def test_an_oa_that_is_down_loses_nothing(ctx: StageContext, oa: FakeSource) -> None:
    posted(ctx, oa, 2)
    oa.fail("write_back", RetryLater("断线 / down"))
    with pytest.raises(RetryLater):
        write_back(ctx, ALL)
    assert write_back(ctx, ALL).written == 2


def test_our_own_write_back_does_not_look_like_a_changed_document(
    ctx: StageContext, oa: FakeSource, clock: FakeClock
) -> None:
    posted(ctx, oa, 1)
    write_back(ctx, ALL)
    clock.forward(60)
    oa.change("ID_1", clock.now())
    result = extract(ctx)
    assert (result.changed, result.revised) == (0, 0)
