"""Posting under any interleaving of lost calls, crashes, stalls, reruns, clocks and people, against a model ledger.

`Posting` says what may happen and what must hold. Hypothesis looks for a history that breaks it; histories of the defects
that posting must not have are played in every run. A long search: POSTING_EXAMPLES=2000 POSTING_STEPS=40.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, event, select

from include.domain.errors import LeaseLost, RetryLater
from include.domain.period import PeriodState
from include.domain.voucher import VoucherStatus
from include.pace import MAX_WAIT_S
from include.ports import ProofLevel
from include.settings import load_settings
from include.store import audit
from include.store import tables as t
from include.store.engine import open_engine, reading
from include.store.leases import LEASE_S
from include.store.vouchers import StoredVoucher
from tests.conftest import FakeClock
from tests.unit.stages.model_ledger import Books, Call, Entry, Fate, content_of, likeness
from tests.unit.stages.posting_world import BOOK, KINDS, PATIENCE_S, Killed, Kind, Run, World

EXAMPLES = int(os.environ.get("POSTING_EXAMPLES", "20"))
STEPS = int(os.environ.get("POSTING_STEPS", "20"))
NATIVE, REFERENCE, KEYLESS = (
    ProofLevel.NATIVE_KEY,
    ProofLevel.SEARCHABLE_REFERENCE,
    ProofLevel.DATE_AND_AMOUNT,
)
SETTLE_S = 60.0
DOCUMENTS = 6
HOURS = 6
"""How wrong the wall clock may be."""
IN_DOUBT = (VoucherStatus.SENDING, VoucherStatus.UNKNOWN, VoucherStatus.CONFLICT)
WITH_INTENT = ("outcome", "look", "split", "not_sent")
"""Steps of attempts that only come after an intent."""

SECONDS = (1.0, 30.0, SETTLE_S)
FATES = st.lists(st.builds(Fate, st.sampled_from(Call), st.sampled_from(SECONDS)), min_size=1, max_size=4)
LOSSES = st.lists(
    st.builds(
        Fate,
        st.sampled_from(
            (Call.LOST, Call.DONE_LOST, Call.DRAFTED, Call.SOME_LOST, Call.LATE, Call.DRAFTED_LATE)
        ),
        st.sampled_from(SECONDS),
    ),
    min_size=1,
    max_size=4,
)
FINDS_DOWN = st.sampled_from(((0, 0), (0, 0), (0, 0), (0, 1), (0, 4), (1, 4), (2, 4)))
FRESH = st.lists(st.sampled_from(KINDS), max_size=2)
PICK = st.integers(0, 11)

NewEngine = Callable[[], Engine]
_settings = cache(load_settings)


class Posting(RuleBasedStateMachine):
    """Rules are what may happen, invariants what must hold after each."""

    def __init__(self, level: ProofLevel, new_engine: NewEngine) -> None:
        super().__init__()
        self.level = level
        clock = FakeClock()
        books = Books(clock, level, SETTLE_S)
        self.world = World(new_engine(), clock, books, _settings(), _settings().book(BOOK))
        self.offset = timedelta(0)
        self.attempts: list[tuple[object, ...]] = []

    @initialize(
        atomic=st.booleans(),
        compares=st.booleans(),
        deletes=st.booleans(),
        lag_s=st.sampled_from((0.0, SETTLE_S / 2, SETTLE_S)),
        batch_size=st.integers(1, 3),
        closed_period=st.sampled_from(("hold", "next_open")),
    )
    def begin(
        self,
        atomic: bool = False,
        compares: bool = True,
        deletes: bool = True,
        lag_s: float = 0.0,
        batch_size: int = 3,
        closed_period: str = "hold",
    ) -> None:
        books = self.books
        books.atomic, books.compares, books.deletes = atomic, compares, deletes
        books.lag_s, books.batch_size = lag_s, batch_size
        self.world.book = self.world.book.model_copy(update={"closed_period": closed_period})

    @property
    def books(self) -> Books:
        return self.world.books

    # -- documents -------------------------------------------------------------------------------------

    def approve(self, *kinds: Kind) -> None:
        for kind in kinds:
            if len(self.world.kinds) < DOCUMENTS:
                self.world.file(len(self.world.kinds) + 1, kind)
        self.world.make()

    @precondition(lambda self: self.world.kinds)
    @rule(pick=PICK, kind=st.sampled_from((*KINDS, None)), is_made=st.booleans())
    def change(self, pick: int, kind: Kind | None, is_made: bool) -> None:
        """A document is changed, withdrawn or approved again; vouchers follow at once or later."""
        self.world.file(pick % len(self.world.kinds) + 1, kind)
        if is_made:
            self.world.make()

    # -- runs ------------------------------------------------------------------------------------------

    @precondition(lambda self: not self.world.is_held())
    @rule(fresh=FRESH, fates=FATES, finds_down=FINDS_DOWN)
    def run(self, fresh: list[Kind], fates: list[Fate], finds_down: tuple[int, int] = (0, 0)) -> None:
        """A run to its end, while others may be stalled that lost the book."""
        self.approve(*fresh)
        self._weather(fates, finds_down)
        run = self.world.start(None)
        assert run.wire.calls, f"nobody had the book, and yet: {run.error}"
        self._judge(run)

    @precondition(lambda self: not self.world.is_held())
    @rule(fresh=FRESH, fates=LOSSES)
    def run_with_losses(self, fresh: list[Kind], fates: list[Fate]) -> None:
        self.run(fresh, fates)

    @precondition(lambda self: not self.world.is_held())
    @rule(fresh=FRESH, steps=st.integers(0, 12), fates=FATES)
    def run_and_stall(self, fresh: list[Kind], steps: int, fates: list[Fate]) -> None:
        """A run that stops on its way."""
        self.approve(*fresh)
        self._weather(fates, (0, 0))
        self._judge(self.world.start(steps))

    def stall_at(self, where: str, fates: list[Fate]) -> Run:
        """A run that stands at a certain stop."""
        self._weather(fates, (0, 0))
        run = self.world.start(0)
        while run.where != where:
            assert run.is_live, f"it never came to {where}: {run.error}"
            run.go(0)
        return run

    def _weather(self, fates: list[Fate], finds_down: tuple[int, int]) -> None:
        self.world.fates = deque(fates)
        self.world.finds_down = finds_down

    @precondition(lambda self: self.world.is_held())
    @rule()
    def run_beside_another(self) -> None:
        run = self.world.start(None)
        assert isinstance(run.error, LeaseLost), "two runs wrote for one book"
        assert run.wire.calls == 0

    @precondition(lambda self: self.world.live)
    @rule(pick=PICK, steps=st.one_of(st.integers(0, 7), st.none()))
    def go_on(self, pick: int, steps: int | None) -> None:
        """A run goes on, whoever has the book by now."""
        run = self._pick(pick)
        run.go(steps)
        self._judge(run)

    @precondition(lambda self: self.world.live)
    @rule(pick=PICK, is_known=st.booleans())
    def kill(self, pick: int, is_known: bool) -> None:
        """A run's process ends where it stands; whether it has ended is known on its own machine alone."""
        run = self._pick(pick)
        row = self.world.lease()
        run.kill()
        assert isinstance(run.error, Killed), run.error
        if is_known and row is not None and row.fence == run.fence:
            self.world.forget_holder()

    @precondition(lambda self: self.world.is_held())
    @rule(by_wall_clock=st.booleans())
    def the_lease_runs_out(self, by_wall_clock: bool) -> None:
        """Time goes by, or the wall clock alone is set forward."""
        if by_wall_clock:
            self.world.clock.time += timedelta(seconds=LEASE_S + 1)
            self.offset += timedelta(seconds=LEASE_S + 1)
        else:
            self.world.clock.forward(LEASE_S + 1)

    def _pick(self, pick: int) -> Run:
        return self.world.live[pick % len(self.world.live)]

    def _judge(self, run: Run) -> None:
        """Whether a run ended as runs may."""
        self.world.breaches += run.wire.strays
        if not run.is_live and run.error is not None and not isinstance(run.error, LeaseLost | RetryLater):
            raise run.error

    # -- time ------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from((0.0, *SECONDS, 2 * SETTLE_S)), hours=st.integers(-HOURS, HOURS))
    def time_goes_by(self, seconds: float, hours: int) -> None:
        """And the wall clock is set to so many hours before or after the right time."""
        self.world.clock.forward(seconds)
        self.world.clock.time += timedelta(hours=hours) - self.offset
        self.offset = timedelta(hours=hours)

    # -- people ----------------------------------------------------------------------------------------

    @precondition(lambda self: self.world.kinds)
    @rule(pick=PICK, is_other=st.booleans(), has_key=st.booleans())
    def somebody_enters(self, pick: int, is_other: bool, has_key: bool) -> None:
        """A voucher like one of ours, of its content or of its date and total alone, maybe with its key (copied with it,
        or by another program).
        """
        vouchers = self.world.vouchers()
        if vouchers:
            voucher = vouchers[pick % len(vouchers)].voucher
            key = str(voucher.key) if has_key and self.level is not KEYLESS else ""
            if key and self.level is NATIVE and self.books.under_key(voucher.key):
                return
            lines = tuple(replace(x, dimensions=()) if is_other else x for x in voucher.lines)
            self.books.put(replace(voucher, lines=lines), reference=key)

    @precondition(lambda self: self.books.entries)
    @rule(pick=PICK, deed=st.sampled_from(("delete", "reverse", "edit")))
    def somebody_changes(self, pick: int, deed: str) -> None:
        entries = list(self.books.entries.values())
        getattr(self.books, deed)(entries[pick % len(entries)])

    @rule(
        month=st.integers(0, 2),
        state=st.sampled_from(PeriodState),
        blocked=st.sampled_from(((), (), ("D02",), ("D01",))),
    )
    def somebody_closes(self, month: int, state: PeriodState, blocked: tuple[str, ...]) -> None:
        """A month, or opens it; and blocks a department."""
        self.books.months[list(self.books.months)[month]] = state
        self.books.blocked = set(blocked)

    def by_hand(self) -> list[Entry]:
        return [each for each in self.books.entries.values() if not each.maker]

    # -- what must hold --------------------------------------------------------------------------------

    @invariant()
    def holds(self) -> None:
        self.books.catch_up()
        vouchers = self.world.vouchers()
        assert not self.world.breaches, self.world.breaches
        self._every_copy_is_accounted_for(vouchers)
        self._what_is_posted_is_there(vouchers)
        self._the_record_only_grows()
        self._finance_is_told(vouchers)

    def _finance_is_told(self, vouchers: list[StoredVoucher]) -> None:
        """Of each conflict, and no more of what is posted."""
        p = t.problem
        with reading(self.world.engine) as connection:
            told = set(connection.scalars(select(p.c.where).where(p.c.resolved_at.is_(None))))
        for stored in vouchers:
            if stored.status in (VoucherStatus.CONFLICT, VoucherStatus.POSTED):
                is_told = str(stored.voucher.key) in told
                assert is_told == (stored.status is VoucherStatus.CONFLICT), f"{stored.voucher.key}: {told}"

    def _every_copy_is_accounted_for(self, vouchers: list[StoredVoucher]) -> None:
        """What our calls made and still stands is recorded, or in doubt and will be looked up; never is it twice."""
        recorded = {s.ledger_id for s in vouchers if s.status is VoucherStatus.POSTED}
        surplus = Counter[object]()
        for entry in self.books.ours():
            if entry.id not in recorded and entry.id not in self.books.touched:
                surplus[self._identity(entry)] += 1
        for stored in vouchers:
            if stored.status in IN_DOUBT:
                surplus[self._identity(stored)] -= 1
        assert not +surplus, f"in the ledger, and nobody knows: {+surplus}"
        if self.level is not KEYLESS:
            copies = Counter(entry.maker for entry in self.books.ours())
            assert all(number == 1 for number in copies.values()), f"twice in the ledger: {copies}"

    def _identity(self, what: Entry | StoredVoucher) -> object:
        """By what a copy in the ledger belongs to a voucher of ours: the key, where ledgers keep it, or the content."""
        if self.level is KEYLESS:
            return what.made if isinstance(what, Entry) else content_of(what.voucher)
        return what.maker if isinstance(what, Entry) else str(what.voucher.key)

    def _what_is_posted_is_there(self, vouchers: list[StoredVoucher]) -> None:
        posted = [s for s in vouchers if s.status is VoucherStatus.POSTED]
        ids = [s.ledger_id for s in posted]
        assert len(set(ids)) == len(ids), "one voucher of the ledger stands for two of ours"
        for stored in posted:
            entry = self.books.past[stored.ledger_id]
            assert entry.id in self.books.entries or entry.id in self.books.touched, "it is not there"
            assert entry.made == content_of(stored.voucher), "posted with other content"
            if entry.maker:
                assert self._identity(entry) == self._identity(stored)
            elif self.level is KEYLESS:
                seen = self.world.intents[stored.id].seen
                assert entry.id not in seen, "what stood there before was taken for ours"
            else:
                assert entry.voucher.reference == str(stored.voucher.key)

    def _the_record_only_grows(self) -> None:
        a = t.posting_attempt
        with reading(self.world.engine) as connection:
            chosen = select(a.c.voucher_id, a.c.step, a.c.at).order_by(a.c.id)
            rows = [tuple(row) for row in connection.execute(chosen)]
            assert audit.verify(connection) is None
        assert rows[: len(self.attempts)] == self.attempts
        meant = set()
        for voucher_id, step, _ in rows:
            if step == "intent":
                meant.add(voucher_id)
            assert voucher_id in meant or step not in WITH_INTENT, f"{step} without an intent"
        self.attempts = rows

    # -- the end ---------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            self._end()
        finally:
            self.world.close()

    def _end(self) -> None:
        """Good runs bring everything where it belongs; then people take away what they did, and runs do so again."""
        self._weather([], (0, 0))
        for run in self.world.live:
            run.go(None)
            self._judge(run)
        self.world.clock.time -= self.offset
        self.world.clock.forward(2 * HOURS * 3600 + LEASE_S + 1)
        self._rerun()
        if all(s.status is VoucherStatus.POSTED for s in self._check_ends()):
            return
        self.books.blocked = set()
        self.books.months = dict.fromkeys(self.books.months, PeriodState.OPEN)
        kept = {s.ledger_id for s in self.world.vouchers() if s.status is VoucherStatus.POSTED}
        for entry in self.by_hand():
            if entry.id not in kept:
                self.books.delete(entry)
        self._rerun()
        for stored in self._check_ends():
            if not self._was_interfered_with(stored, by_entering=False):
                assert stored.status is VoucherStatus.POSTED, f"{stored.voucher.key} ended {stored.status}"

    def _rerun(self) -> None:
        """Good runs, until one finds nothing to do; three are enough for everything."""
        for _ in range(3):
            before = len(self.attempts)
            self.world.make()
            run = self.world.start(None)
            self._judge(run)
            assert run.error is None, run.error
            self.world.clock.forward(SETTLE_S)
            self.holds()
            if len(self.attempts) == before:
                break

    def _check_ends(self) -> list[StoredVoucher]:
        """Whether each approved document's voucher is posted, or is not for a reason that the model knows."""
        current = self._current()
        for stored in current:
            voucher, status = stored.voucher, stored.status
            match status:
                case VoucherStatus.POSTED:
                    is_right = True
                case VoucherStatus.HELD:
                    is_right = not self.books.is_open(voucher.date)
                case VoucherStatus.REJECTED:
                    is_right = bool(self.books.refuses(voucher))
                case VoucherStatus.CONFLICT:
                    is_right = self._was_interfered_with(stored) or not self.books.is_open(voucher.date)
                case _:
                    is_right = False
            assert is_right, f"{voucher.key} ended {status}"
        return current

    def _current(self) -> list[StoredVoucher]:
        """The voucher that stands for each approved document, or is to: of an earlier revision where that was sent."""
        d, v = t.source_document, t.voucher
        with reading(self.world.engine) as connection:
            chosen = select(v.c.id).join(d, d.c.id == v.c.document_pk).where(d.c.is_current)
            current = set(connection.scalars(chosen))
        found: dict[str, list[StoredVoucher]] = {}
        for stored in self.world.vouchers():
            is_sent = stored.status in (*IN_DOUBT, VoucherStatus.POSTED)
            if is_sent or (stored.id in current and stored.status is not VoucherStatus.CANCELLED):
                found.setdefault(stored.voucher.key.document_id, []).append(stored)
        chosen_ones = []
        for number, kind in self.world.kinds.items():
            its = found.get(f"ID_{number}", [])
            assert len(its) <= 1, f"document {number} twice: {[(str(s.voucher.key), s.status) for s in its]}"
            if kind is not None:
                assert its, f"document {number} was forgotten"
                chosen_ones += its
        return chosen_ones

    def _was_interfered_with(self, stored: StoredVoucher, *, by_entering: bool = True) -> bool:
        """Whether people ever touched what may be this voucher, or entered something like it."""
        people = [e for e in self.books.touched.values() if e.maker]
        if by_entering:
            people += [e for e in self.books.past.values() if not e.maker]
        if self.level is KEYLESS:
            return any(likeness(e.voucher) == likeness(stored.voucher) for e in people)
        key = str(stored.voucher.key)
        return any(key in (e.maker, e.voucher.reference) for e in people)


@pytest.fixture
def new_engine(sqlite_template: bytes, tmp_path: Path) -> NewEngine:
    """Gives fresh stores that need not survive a power cut."""
    numbers = itertools.count(1)

    def make() -> Engine:
        path = tmp_path / f"{next(numbers)}.db"
        path.write_bytes(sqlite_template)
        engine = open_engine(f"sqlite:///{path}")
        event.listen(engine, "connect", _careless)
        return engine

    return make


def _careless(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")


@pytest.mark.parametrize("level", ProofLevel)
def test_any_interleaving_ends_with_every_voucher_once(level: ProofLevel, new_engine: NewEngine) -> None:
    class Here(Posting):
        def __init__(self) -> None:
            super().__init__(level, new_engine)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("level", ProofLevel)
@settings(
    max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kinds=st.lists(st.sampled_from(KINDS[:3]), min_size=4, max_size=12),
    fates=st.dictionaries(st.integers(1, 12), FATES, max_size=8),
    deadly=st.sets(st.integers(1, 12), max_size=2),
    atomic=st.booleans(),
    batch_size=st.integers(1, 3),
)
def test_several_calls_at_once_end_with_every_voucher_once(
    level: ProofLevel,
    new_engine: NewEngine,
    kinds: list[Kind],
    fates: dict[int, list[Fate]],
    deadly: set[int],
    atomic: bool,
    batch_size: int,
) -> None:
    """Which call comes first is left to the threads; what becomes of each is not."""
    machine = Posting(level, new_engine)
    machine.begin(atomic=atomic, batch_size=batch_size)
    world = machine.world
    ledger = world.book.ledger.model_copy(update={"workers": 3})
    world.book = world.book.model_copy(update={"ledger": ledger})
    for number, kind in enumerate(kinds, 1):
        world.file(number, kind)
    world.make()
    world.fates_by_document = {f"ID_{number}": deque(said) for number, said in fates.items()}
    world.deadly = {f"ID_{number}" for number in deadly}
    with closing(world):
        for _ in range(3):
            run = world.start(None)
            assert isinstance(run.error, RetryLater | Killed | None), run.error
            for thread in threading.enumerate():  # what was killed does not wait for its calls
                if thread.name.startswith("ledger-call"):
                    thread.join(PATIENCE_S)
            machine.holds()
            if world.is_held():
                machine.the_lease_runs_out(by_wall_clock=False)
        world.fates_by_document, world.deadly = {}, set()
        machine.teardown()


Played = Iterator[None]
"""A history, which yields wherever the invariants are to be looked at."""
SOON, LATE = Fate(Call.LATE, 1.0), Fate(Call.LATE, SETTLE_S)


def an_answer_is_lost(m: Posting) -> Played:
    m.run([KINDS[0]], [Fate(Call.DONE_LOST)])
    yield


def a_call_is_done_late(m: Posting) -> Played:
    m.run([KINDS[0]], [LATE])
    yield


def looks_fail(m: Posting) -> Played:
    looks_before = int(m.level is KEYLESS)
    m.run([KINDS[0]], [Fate(Call.DONE_LOST)], (looks_before, 4))
    yield


def a_draft_is_completed_and_its_answer_lost(m: Posting) -> Played:
    m.run([KINDS[0]], [Fate(Call.DRAFTED), Fate(Call.DONE_LOST)])
    yield


def a_stalled_run_calls_as_late_as_it_may(m: Posting) -> Played:
    """Its lease ran out by the wall clock alone, and the next run waits for what it may still do."""
    m.approve(KINDS[0])
    stalled = m.stall_at("post", [LATE])
    m.the_lease_runs_out(by_wall_clock=True)
    after = m.stall_at("sleep", [LATE])
    m.time_goes_by(MAX_WAIT_S, 0)
    yield
    stalled.go(None)
    yield
    after.go(None)
    yield


def another_run_starts_beside_it(m: Posting) -> Played:
    m.approve(KINDS[0])
    run = m.stall_at("post", [])
    m.run_beside_another()
    run.go(None)
    yield


def a_run_wakes_up_before_its_intent(m: Posting) -> Played:
    m.approve(KINDS[0])
    stalled = m.stall_at("intent", [])
    m.the_lease_runs_out(by_wall_clock=False)
    stalled.go(None)
    yield


def a_run_wakes_up_after_another_has_settled(m: Posting) -> Played:
    m.approve(KINDS[0])
    stalled = m.stall_at("answered", [Fate(Call.LOST)])
    m.the_lease_runs_out(by_wall_clock=False)
    m.run([], [])
    yield
    stalled.go(None)
    yield


def a_run_is_killed_and_the_clock_set_days_forward(m: Posting) -> Played:
    m.approve(KINDS[0])
    m.stall_at("answered", [LATE])
    m.kill(0, is_known=True)
    m.world.clock.time += timedelta(days=2)
    m.offset = timedelta(days=2)
    m.run([], [])
    yield
    m.time_goes_by(SETTLE_S, 0)
    yield


def the_period_is_closed(m: Posting) -> Played:
    m.approve(KINDS[0])
    m.somebody_closes(0, PeriodState.CLOSED, ())
    m.run([], [])
    yield


def somebody_had_the_same_before(m: Posting) -> Played:
    m.approve(KINDS[0])
    m.somebody_enters(0, is_other=False, has_key=False)
    m.run([], [Fate(Call.LOST)])
    yield


def somebody_had_the_same_before_a_batch_was_refused(m: Posting) -> Played:
    """Its parts go without another look."""
    m.approve(KINDS[0], KINDS[0])
    m.somebody_enters(0, is_other=False, has_key=False)
    m.run([], [Fate(Call.LOCKED), Fate(Call.LOST)])
    yield


def somebody_enters_the_same_meanwhile(m: Posting) -> Played:
    m.approve(KINDS[0])
    run = m.stall_at("sleep", [SOON])
    m.somebody_enters(0, is_other=False, has_key=False)
    run.go(None)
    yield


def one_in_conflict_is_not_settled_by_another_that_is_absent(m: Posting) -> Played:
    """Two of a content in the ledger, and two of ours in doubt: but the second can be neither."""
    m.approve(KINDS[0])
    run = m.stall_at("sleep", [SOON])
    m.somebody_enters(0, is_other=False, has_key=False)
    run.go(None)
    yield
    m.run([KINDS[0]], [Fate(Call.LOST)])
    yield


def a_conflict_ends_after_its_document_has_changed(m: Posting) -> Played:
    m.approve(KINDS[0])
    run = m.stall_at("sleep", [SOON])
    m.somebody_enters(0, is_other=False, has_key=True)
    run.go(None)
    m.change(0, KINDS[1], is_made=True)
    yield
    m.books.delete(m.by_hand()[0])
    m.run([], [])
    yield


def somebody_enters_the_same_meanwhile_and_reverses_it(m: Posting) -> Played:
    m.approve(KINDS[0])
    run = m.stall_at("sleep", [SOON])
    m.somebody_enters(0, is_other=False, has_key=False)
    m.somebody_changes(0, "reverse")
    run.go(None)
    yield


def somebody_uses_the_key_for_something_else(m: Posting) -> Played:
    m.books.compares = False
    m.approve(KINDS[0])
    m.somebody_enters(0, is_other=True, has_key=True)
    m.run([], [])
    yield


HISTORIES = (
    an_answer_is_lost,
    a_call_is_done_late,
    looks_fail,
    a_draft_is_completed_and_its_answer_lost,
    a_stalled_run_calls_as_late_as_it_may,
    another_run_starts_beside_it,
    a_run_wakes_up_before_its_intent,
    a_run_wakes_up_after_another_has_settled,
    a_run_is_killed_and_the_clock_set_days_forward,
    the_period_is_closed,
    somebody_had_the_same_before,
    somebody_had_the_same_before_a_batch_was_refused,
    somebody_enters_the_same_meanwhile,
    one_in_conflict_is_not_settled_by_another_that_is_absent,
    a_conflict_ends_after_its_document_has_changed,
    somebody_enters_the_same_meanwhile_and_reverses_it,
    somebody_uses_the_key_for_something_else,
)


@pytest.mark.parametrize("level", ProofLevel)
@pytest.mark.parametrize("history", HISTORIES, ids=lambda each: each.__name__)
def test_histories_that_would_break_posting(
    history: Callable[[Posting], Played], level: ProofLevel, new_engine: NewEngine
) -> None:
    machine = Posting(level, new_engine)
    machine.begin()
    with closing(machine.world):
        for _ in history(machine):
            machine.holds()
        machine.teardown()
