"""Posting under any interleaving of good and lost calls, crashes, stalls, reruns, clocks and people, against a model ledger."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
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
from include.ports import ProofLevel
from include.settings import load_settings
from include.store import audit
from include.store import tables as t
from include.store.engine import open_engine, reading
from include.store.leases import LEASE_S
from include.store.vouchers import StoredVoucher
from tests.conftest import FakeClock
from tests.unit.stages.model_ledger import Books, Call, Entry, Fate, content_of, likeness
from tests.unit.stages.posting_world import BOOK, KINDS, Killed, Kind, Run, World

EXAMPLES = int(os.environ.get("POSTING_EXAMPLES", "25"))
STEPS = int(os.environ.get("POSTING_STEPS", "25"))
SETTLE_S = 60.0
IN_DOUBT = (VoucherStatus.SENDING, VoucherStatus.UNKNOWN, VoucherStatus.CONFLICT)
WITH_INTENT = ("outcome", "look", "split", "not_sent")
"""Steps of attempts that only come after an intent."""
HOURS = 6
"""How wrong the wall clock may be."""

FATES = st.lists(st.builds(Fate, st.sampled_from(Call), st.sampled_from((1.0, 30.0, SETTLE_S))), max_size=5)
READS_DOWN = st.sampled_from(((0, 0), (0, 0), (0, 1), (0, 4), (1, 4), (2, 4), (3, 4), (4, 4)))
PICK = st.integers(0, 11)

NewEngine = Callable[[], Engine]
_settings = cache(load_settings)


class Posting(RuleBasedStateMachine):
    """Rules are what may happen, invariants what must hold after each."""

    def __init__(self, level: ProofLevel, new_engine: NewEngine) -> None:
        super().__init__()
        self.level = level
        clock = FakeClock()
        configured = _settings()
        books = Books(clock, level, SETTLE_S)
        self.world = World(new_engine(), clock, books, configured, configured.book(BOOK))
        self.offset = timedelta(0)
        self.attempts: list[tuple[object, ...]] = []

    @initialize(
        atomic=st.booleans(),
        compares=st.booleans(),
        lag_s=st.sampled_from((0.0, SETTLE_S / 2, SETTLE_S)),
        batch_size=st.integers(1, 3),
        closed_period=st.sampled_from(("hold", "next_open")),
    )
    def begin(self, atomic: bool, compares: bool, lag_s: float, batch_size: int, closed_period: str) -> None:
        books = self.books
        books.atomic, books.compares, books.lag_s, books.batch_size = atomic, compares, lag_s, batch_size
        self.world.book = self.world.book.model_copy(update={"closed_period": closed_period})

    @property
    def books(self) -> Books:
        return self.world.books

    # -- documents -------------------------------------------------------------------------------------

    @rule(kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=3))
    def approve(self, kinds: list[Kind]) -> None:
        for kind in kinds:
            self.world.file(len(self.world.kinds) + 1, kind)
        self.world.make()

    @precondition(lambda self: self.world.kinds)
    @rule(pick=PICK, kind=st.sampled_from((*KINDS, None)), is_made=st.booleans())
    def change(self, pick: int, kind: Kind | None, is_made: bool) -> None:
        """A document is changed, withdrawn or approved again; vouchers follow at once or later."""
        self.world.file(pick % len(self.world.kinds) + 1, kind)
        if is_made:
            self.world.make()

    @rule()
    def make(self) -> None:
        self.world.make()

    # -- runs ------------------------------------------------------------------------------------------

    @rule(fates=FATES, reads_down=READS_DOWN)
    def run(self, fates: list[Fate], reads_down: tuple[int, int]) -> None:
        """The next run, while others may be stalled."""
        run = self._start()
        if run.is_live:
            run.reads_down = reads_down
            run.go(None, fates)
        self._judge(run)

    @precondition(lambda self: len(self.world.live) < 3)
    @rule()
    def start(self) -> None:
        self._judge(self._start())

    def _start(self) -> Run:
        is_held = self.world.is_held()
        run = self.world.start()
        if is_held:
            assert isinstance(run.error, LeaseLost), "two runs wrote for one book"
            assert run.wire.calls == 0
        else:
            assert run.is_live, run.error
        return run

    @precondition(lambda self: self.world.live)
    @rule(pick=PICK, steps=st.integers(0, 7), fates=FATES, reads_down=READS_DOWN)
    def go_on(self, pick: int, steps: int, fates: list[Fate], reads_down: tuple[int, int]) -> None:
        """A run goes on over some steps, whoever has the book by now."""
        run = self._pick(pick)
        run.reads_down = reads_down
        run.go(steps, fates)
        self._judge(run)

    @precondition(lambda self: self.world.live)
    @rule(pick=PICK)
    def finish(self, pick: int) -> None:
        run = self._pick(pick)
        run.go(None, ())
        self._judge(run)

    @precondition(lambda self: self.world.live)
    @rule(pick=PICK, is_known=st.booleans())
    def kill(self, pick: int, is_known: bool) -> None:
        """A run's process ends where it stands; whether it has ended is known on its own machine alone."""
        run = self._pick(pick)
        was_holder = self._holds(run)
        run.kill()
        assert isinstance(run.error, Killed), run.error
        if is_known and was_holder:
            self.world.forget_holder()

    def _pick(self, pick: int) -> Run:
        return self.world.live[pick % len(self.world.live)]

    def _holds(self, run: Run) -> bool:
        row = self.world.lease()
        return row is not None and row.fence == run.fence

    def _judge(self, run: Run) -> None:
        """Whether a run ended as runs may."""
        self.world.breaches += run.wire.strays
        if not run.is_live and run.error is not None and not isinstance(run.error, LeaseLost | RetryLater):
            raise run.error

    # -- time ------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from((1.0, 30.0, 61.0, 125.0, LEASE_S + 1.0)))
    def wait(self, seconds: float) -> None:
        self.world.clock.forward(seconds)

    @rule(hours=st.integers(-HOURS, HOURS))
    def set_wall_clock(self, hours: int) -> None:
        """To so many hours before or after the right time; no time goes by."""
        self.world.clock.time += timedelta(hours=hours) - self.offset
        self.offset = timedelta(hours=hours)

    # -- people ----------------------------------------------------------------------------------------

    @precondition(lambda self: self.world.kinds)
    @rule(pick=PICK, is_other=st.booleans(), has_key=st.booleans())
    def enter_by_hand(self, pick: int, is_other: bool, has_key: bool) -> None:
        """Somebody enters a voucher like one of ours, of its content or of its date and total alone, maybe with its key
        (copied with it, or by another program).
        """
        vouchers = self.world.vouchers()
        if vouchers:
            voucher = vouchers[pick % len(vouchers)].voucher
            key = str(voucher.key) if has_key and self.level is not ProofLevel.DATE_AND_AMOUNT else ""
            if key and self.level is ProofLevel.NATIVE_KEY and self.books.under_key(voucher.key):
                return
            lines = tuple(replace(x, dimensions=()) if is_other else x for x in voucher.lines)
            self.books.put(replace(voucher, lines=lines), reference=key)

    @precondition(lambda self: self.books.ours())
    @rule(pick=PICK, deed=st.sampled_from(("delete", "reverse", "edit")))
    def interfere(self, pick: int, deed: str) -> None:
        ours = self.books.ours()
        getattr(self.books, deed)(ours[pick % len(ours)])

    @precondition(lambda self: self._by_hand())
    @rule(pick=PICK)
    def take_away(self, pick: int) -> None:
        """Somebody deletes what somebody entered."""
        found = self._by_hand()
        self.books.delete(found[pick % len(found)])

    def _by_hand(self) -> list[Entry]:
        return [each for each in self.books.entries.values() if not each.maker]

    @rule(month=st.integers(0, 2), state=st.sampled_from(PeriodState))
    def set_period(self, month: int, state: PeriodState) -> None:
        self.books.months[list(self.books.months)[month]] = state

    @rule(codes=st.sampled_from((set(), {"D02"}, {"D01"})))
    def block(self, codes: set[str]) -> None:
        self.books.blocked = codes

    # -- what must hold --------------------------------------------------------------------------------

    @invariant()
    def nobody_writes_without_the_book_nor_into_closed_periods(self) -> None:
        assert not self.world.breaches

    @invariant()
    def every_copy_is_accounted_for(self) -> None:
        """What our calls made and still stands is recorded, or in doubt and will be looked up; never is it twice."""
        self.books.catch_up()
        vouchers = self.world.vouchers()
        recorded = {s.ledger_id for s in vouchers if s.status is VoucherStatus.POSTED}
        surplus = Counter[object]()
        for entry in self.books.ours():
            if entry.id not in recorded and entry.id not in self.books.touched:
                surplus[self._identity(entry)] += 1
        for stored in vouchers:
            if stored.status in IN_DOUBT:
                surplus[self._identity(stored)] -= 1
        assert not +surplus, f"in the ledger, and not known to be: {+surplus}"
        if self.level is not ProofLevel.DATE_AND_AMOUNT:
            copies = Counter(entry.maker for entry in self.books.ours())
            assert all(number == 1 for number in copies.values()), copies

    def _identity(self, what: Entry | StoredVoucher) -> object:
        """By what a copy in the ledger belongs to a voucher of ours: the key, where ledgers keep it, or the content."""
        if self.level is ProofLevel.DATE_AND_AMOUNT:
            return what.made if isinstance(what, Entry) else content_of(what.voucher)
        return what.maker if isinstance(what, Entry) else str(what.voucher.key)

    @invariant()
    def what_is_posted_is_there(self) -> None:
        posted = [s for s in self.world.vouchers() if s.status is VoucherStatus.POSTED]
        ids = [s.ledger_id for s in posted]
        assert len(set(ids)) == len(ids), "one voucher of the ledger stands for two of ours"
        for stored in posted:
            entry = self.books.past[stored.ledger_id]
            assert entry.id in self.books.entries or entry.id in self.books.touched or not entry.maker
            assert entry.made == content_of(stored.voucher), "posted with other content"
            if entry.maker:
                assert self._identity(entry) == self._identity(stored)
            elif self.level is ProofLevel.DATE_AND_AMOUNT:
                seen = self.world.intents[stored.id].seen
                assert entry.id not in seen, "what stood there before was taken for ours"
            else:
                assert entry.voucher.reference == str(stored.voucher.key)

    @invariant()
    def the_record_only_grows(self) -> None:
        a = t.posting_attempt
        with reading(self.world.engine) as connection:
            rows = [
                tuple(row)
                for row in connection.execute(select(a.c.voucher_id, a.c.step, a.c.at).order_by(a.c.id))
            ]
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
            for run in self.world.live:
                run.kill()
            self.world.engine.dispose()

    def _end(self) -> None:
        """Good runs bring everything where it belongs; then people take away what they did, and runs do so again."""
        for run in self.world.live:
            run.go(None, ())
            self._judge(run)
        self.world.clock.time -= self.offset
        self.world.clock.forward(2 * HOURS * 3600 + LEASE_S + 1)
        self._rerun()
        self._check_ends()
        self.books.blocked = set()
        self.books.months = dict.fromkeys(self.books.months, PeriodState.OPEN)
        kept = {s.ledger_id for s in self.world.vouchers() if s.status is VoucherStatus.POSTED}
        for entry in self._by_hand():
            if entry.id not in kept:
                self.books.delete(entry)
        self._rerun()
        self._check_ends()
        for stored in self._current():
            if not self._was_interfered_with(stored):
                assert stored.status is VoucherStatus.POSTED, (str(stored.voucher.key), stored.status)

    def _rerun(self) -> None:
        """Good runs, until one finds nothing to do; three are enough for everything."""
        for _ in range(3):
            before = len(self.attempts)
            self.world.make()
            run = self.world.run()
            self._judge(run)
            assert run.error is None, run.error
            self.world.clock.forward(SETTLE_S)
            self.the_record_only_grows()
            if len(self.attempts) == before:
                break
        self.nobody_writes_without_the_book_nor_into_closed_periods()
        self.every_copy_is_accounted_for()
        self.what_is_posted_is_there()

    def _current(self) -> list[StoredVoucher]:
        """The voucher that stands for each approved document, or is to: of an earlier revision where that was sent."""
        d, v = t.source_document, t.voucher
        with reading(self.world.engine) as connection:
            current = set(
                connection.scalars(select(v.c.id).join(d, d.c.id == v.c.document_pk).where(d.c.is_current))
            )
        found: dict[str, list[StoredVoucher]] = {}
        for stored in self.world.vouchers():
            is_sent = stored.status in (*IN_DOUBT, VoucherStatus.POSTED)
            if is_sent or (stored.id in current and stored.status is not VoucherStatus.CANCELLED):
                found.setdefault(stored.voucher.key.document_id, []).append(stored)
        chosen = []
        for number, kind in self.world.kinds.items():
            its = found.get(f"ID_{number}", [])
            assert len(its) <= 1, f"document {number} twice: {[(str(s.voucher.key), s.status) for s in its]}"
            if kind is not None:
                assert its, f"document {number} was forgotten"
                chosen += its
        return chosen

    def _check_ends(self) -> None:
        """Whether each approved document's voucher is posted, or is not for a reason that the model knows."""
        for stored in self._current():
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

    def _was_interfered_with(self, stored: StoredVoucher) -> bool:
        """Whether people ever touched what may be this voucher."""
        people = [*self.books.touched.values(), *(e for e in self.books.past.values() if not e.maker)]
        if self.level is ProofLevel.DATE_AND_AMOUNT:
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
