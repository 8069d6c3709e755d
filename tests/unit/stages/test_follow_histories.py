"""Whatever happens to documents, answers and periods, in any order: in the end the ledger holds what they ask for, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.domain.document import DocumentStatus
from include.domain.errors import RetryLater
from include.domain.period import FiscalPeriod, PeriodState
from include.stages.look import LOOK_ATTEMPTS
from include.store.engine import open_engine
from include.store.store import assemble
from tests.conftest import FakeClock
from tests.documents import MASTER
from tests.fakes.ledger import FakeLedger, Loss
from tests.fakes.source import FakeSource
from tests.unit.stages.follow_world import ASK, AUTOMATIC, World, altered

NUMBERS = (1, 2)
LONGEST = 14
RUNS = 5
"""After as many runs without a fault everything has its end."""
FIRST_DAY = datetime(2026, 3, 2, 2, tzinfo=UTC)
GONE = (
    DocumentStatus.IN_APPROVAL,
    DocumentStatus.REJECTED,
    DocumentStatus.NULLIFIED,
    DocumentStatus.DELETED,
)


@pytest.fixture(scope="module")
def new_world(sqlite_template: bytes, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], World]:
    path: Path = tmp_path_factory.mktemp("histories") / "store.db"

    def make() -> World:
        for old in path.parent.iterdir():
            old.unlink()
        path.write_bytes(sqlite_template)
        clock = FakeClock()
        oa = FakeSource(name="hesi", form_types=("expense", "loan", "payment"), records=list(MASTER))
        return World.of(assemble(open_engine(f"sqlite:///{path}"), clock), oa, FakeLedger(), clock)

    return make


def approve(world: World, number: int, amount: int, days: int) -> None:
    """Approved, perhaps over another amount, perhaps on another day."""
    fields = {
        **altered(amount),
        "status": DocumentStatus.APPROVED,
        "approved_at": FIRST_DAY + timedelta(days=days),
    }
    world.change(number, **fields)


def run(world: World, loss: Loss | None = None, is_cut_off: bool = False) -> bool:
    """A run whose answer may be lost, or nobody can see afterwards what became of it; whether it came to its end."""
    if loss is not None:
        world.ledger.lose(loss)
    if is_cut_off:
        world.ledger.fail("find", RetryLater("不可达 / out of reach"), times=LOOK_ATTEMPTS)
    try:
        world.run()
    except RetryLater:
        world.clock.forward(600)
        return False
    return True


def post_only(world: World) -> None:
    """Somebody runs the other stages by hand, and forgets to follow."""
    try:
        world.read()
        world.generate()
        world.post()
    except RetryLater:
        world.clock.forward(600)


def follow_only(world: World) -> None:
    try:
        world.read()
        world.follow()
    except RetryLater:
        world.clock.forward(600)


def set_period(world: World, month: int, is_open: bool) -> None:
    world.ledger.states[FiscalPeriod(2026, month)] = PeriodState.OPEN if is_open else PeriodState.CLOSED


def asks(world: World, is_asking: bool) -> None:
    world.under(ASK if is_asking else AUTOMATIC)


number = st.sampled_from(NUMBERS)
deeds: st.SearchStrategy[tuple[Callable[..., object], tuple[Any, ...]]] = st.one_of(
    st.tuples(st.just(approve), st.tuples(number, st.sampled_from([700, 5_300, 10_600]), st.integers(0, 70))),
    st.tuples(st.just(World.withdraw), st.tuples(number, st.sampled_from(GONE))),
    st.tuples(st.just(run), st.tuples(st.one_of(st.none(), st.none(), st.sampled_from(Loss)), st.booleans())),
    st.tuples(st.just(post_only), st.just(())),
    st.tuples(st.just(follow_only), st.just(())),
    st.tuples(st.just(set_period), st.tuples(st.integers(3, 5), st.booleans())),
    st.tuples(st.just(asks), st.tuples(st.booleans())),
)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(history=st.lists(deeds, max_size=LONGEST))
def test_any_history_ends_with_what_the_documents_ask_for(
    history: list[tuple[Callable[..., object], tuple[Any, ...]]], new_world: Callable[[], World]
) -> None:
    world = new_world()
    try:
        for each in NUMBERS:
            world.put(each, **altered(10_600), status=DocumentStatus.IN_APPROVAL)
        world.under(AUTOMATIC)
        for deed, arguments in history:
            deed(world, *arguments)
        for month in range(3, 6):
            set_period(world, month, True)
        asks(world, False)
        quiet = 0
        for _ in range(LONGEST * LOOK_ATTEMPTS + RUNS):  # faults that nothing met so far come first
            quiet = quiet + 1 if run(world) else 0
            if quiet == RUNS:
                break
        assert_settled(world)
    finally:
        world.ctx.store.engine.dispose()


def assert_settled(world: World) -> None:
    for each in NUMBERS:
        document = world.oa.document(f"ID_{each}")
        amount = document.gross if document.status.is_due else 0
        wanted = {"6602.10": amount, "1002": -amount} if amount else {}
        assert world.by_account(each) == wanted
        assert world.problems(each) == []
        assert {status for *_, status in world.rows(each)} <= {"posted", "cancelled"}
        if document.status is not DocumentStatus.DELETED:
            assert world.shown(each) == world.standing_number(each)
    keys = Counter(voucher.reference for voucher in world.ledger.vouchers_by_id.values())
    assert set(keys.values()) <= {1}
    there = dict(world.ledger.vouchers_by_id)
    world.run()
    assert world.ledger.vouchers_by_id == there, "nothing is left to do"
