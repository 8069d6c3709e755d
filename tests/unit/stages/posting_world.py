"""Documents, a store and runs of posting that can be stopped, watched and killed at every step, for the posting machine.

A run works in a thread of its own, and no two threads ever work at once: it goes on from one stop to the next when it
is told to, so that whatever happens between two steps of it can be chosen, and happens again the same way.
"""

from __future__ import annotations

import itertools
import socket
import threading
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import polars as pl
from sqlalchemy import Engine, Row, select, update

from include.domain.document import Disposition, DocumentStatus, MappedDocument, Reference
from include.domain.problems import Problem
from include.domain.voucher import VoucherKey, VoucherStatus
from include.exchanges import Exchange
from include.pace import MAX_WAIT_S
from include.ports import DocumentSource, RawDocument
from include.settings import Book, Settings
from include.stages.context import Scope, StageContext
from include.stages.post import PostResult, post
from include.store import tables as t
from include.store.engine import reading, writing
from include.store.filing import Filed
from include.store.generated import GeneratedSet
from include.store.leases import Lease
from include.store.outcomes import Settlement
from include.store.store import Store, assemble
from include.store.vouchers import Looked, StoredVoucher, Vouchers, load
from tests.conftest import FakeClock
from tests.documents import DEPARTMENT, claim, line
from tests.unit.stages.model_ledger import OK, Books, Call, Fate, Wire

BOOK, SOURCE = "acme", "hesi"
PATIENCE_S = 120.0
"""A test fails rather than waits for ever."""


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours handles it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What documents say. There are few, so that equal vouchers abound."""

    amount: int
    department: Reference
    day: date


OTHER = Reference("D2", "D02", "市场部")
KINDS = (
    Kind(10_600, DEPARTMENT, date(2026, 3, 10)),
    Kind(10_600, OTHER, date(2026, 3, 10)),
    Kind(20_000, DEPARTMENT, date(2026, 3, 10)),
    Kind(10_600, DEPARTMENT, date(2026, 4, 10)),
)


@dataclass(frozen=True, slots=True)
class Intent:
    """When a voucher was last meant to be sent, and what a search had shown before."""

    at: float
    seen: frozenset[str]


@dataclass
class World:
    """One book."""

    engine: Engine
    clock: FakeClock
    books: Books
    settings: Settings
    book: Book
    kinds: dict[int, Kind | None] = field(default_factory=dict)
    """What each document says now, by its number; None where it was withdrawn."""
    intents: dict[int, Intent] = field(default_factory=dict)
    breaches: list[str] = field(default_factory=list)
    """Writes by a run that did not hold the book."""
    runs: list[Run] = field(default_factory=list)
    fates: deque[Fate] = field(default_factory=deque)
    """What becomes of the next calls that write, whoever makes them; the others go well."""
    fates_by_document: dict[str, deque[Fate]] = field(default_factory=dict)
    """The same by the first document of a call, for runs whose calls come in any order."""
    deadly: set[str] = field(default_factory=set)
    """Documents at whose next call the run that makes it is killed."""
    finds_down: tuple[int, int] = (0, 0)
    """So many of the next searches go well, and then so many fail."""
    _versions: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def store(self) -> Store:
        return assemble(self.engine, self.clock)

    # -- the OA and the stages before ------------------------------------------------------------------

    def file(self, number: int, kind: Kind | None) -> None:
        """A document is approved, changed or (None) withdrawn in the OA, and extracted."""
        self.kinds[number] = kind
        said = kind or KINDS[0]
        row = line(1, said.amount, 0, department=said.department)
        status = DocumentStatus.APPROVED if kind else DocumentStatus.IN_APPROVAL
        document = claim(number, row, status=status, department=said.department)
        raw = RawDocument(
            document.document_id, "expense", document.updated_at, {"version": next(self._versions)}
        )
        self.store.documents.save(
            SOURCE, [Filed(raw, MappedDocument(document), BOOK, {BOOK: said.day})], self.clock.now()
        )

    def make(self) -> None:
        """Let documents through the gate, but for those that changed after something was sent, and make vouchers."""
        d = t.source_document
        waiting = select(d.c.id).where(
            d.c.is_current, d.c.disposition.in_([Disposition.PENDING, Disposition.QUARANTINED])
        )
        with reading(self.engine) as connection:
            pks = set(connection.scalars(waiting))
        if pks:
            pks -= {row["document_pk"] for row in self.store.documents.changed_after_posting(BOOK)}
        if not pks:
            return
        with writing(self.engine) as connection:
            connection.execute(update(d).where(d.c.id.in_(pks)).values(disposition=Disposition.ACCEPTED))
        for documents, *_ in self.store.vouchers.frames_to_generate(BOOK, Scope(), 100):
            self.store.vouchers.save_generated(_made(documents))

    # -- runs ------------------------------------------------------------------------------------------

    def start(self, steps: int | None = 0) -> Run:
        """A run of posting: it stops after so many steps, None: it goes to its end."""
        run = Run(self)
        self.runs.append(run)
        run.go(0)
        row = self.lease()
        run.fence = row.fence if run.is_live and row else 0
        if run.is_live and steps != 0:
            run.go(steps)
        return run

    @property
    def live(self) -> list[Run]:
        return [run for run in self.runs if run.is_live]

    def close(self) -> None:
        """End what still runs; a thread that waits would keep the process alive."""
        for run in self.live:
            run.kill()
        self.engine.dispose()

    # -- what there is ---------------------------------------------------------------------------------

    def vouchers(self) -> list[StoredVoucher]:
        with reading(self.engine) as connection:
            return load(connection, connection.scalars(select(t.voucher.c.id)).all())

    def lease(self) -> Row[tuple[object, ...]] | None:
        with reading(self.engine) as connection:
            return connection.execute(select(t.book_lease)).first()

    def is_held(self) -> bool:
        """Whether somebody who may be alive has the book."""
        row = self.lease()
        if row is None or row.is_released or row.holder == GONE:
            return False
        return bool(row.expires_at > self.clock.now())

    def forget_holder(self) -> None:
        """The holder's process is known to have ended."""
        with writing(self.engine) as connection:
            connection.execute(update(t.book_lease).values(holder=GONE))


GONE = f"{socket.gethostname()}:1:not-since-then"
"""A process of this machine that has ended."""


class Run:
    """One run of posting. `where` is the stop at which it stands; "" while it works and after its end."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.where = ""
        self.result: PostResult | None = None
        self.error: BaseException | None = None
        self.fence = 0
        self.intent_at = 0.0
        self._steps: int | None = 0
        self._is_dead = False
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self.wire = Wire(world.books, stop=self.stop, fate=self._fate, is_down=self._is_down)
        self._thread = threading.Thread(target=self._work, daemon=True)

    @property
    def is_live(self) -> bool:
        return bool(self.where)

    def go(self, steps: int | None) -> None:
        """Go on over so many stops, None: to the end."""
        self._steps = steps
        self.where = ""
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._go.release()
        self._await()

    def kill(self) -> None:
        """It ends where it stands, and does nothing more."""
        self._is_dead = True
        self.where = ""
        self._go.release()
        self._await()
        self._thread.join(PATIENCE_S)

    def _await(self) -> None:
        if not self._stopped.acquire(timeout=PATIENCE_S):
            raise AssertionError(f"the run neither stopped nor ended; it stood at {self.where!r}")

    # -- in its own threads ----------------------------------------------------------------------------

    def stop(self, where: str) -> None:
        if self._is_dead:
            raise Killed
        if self._steps == 0:
            self.where = where
            self._stopped.release()
            self._go.acquire()
            if self._is_dead:
                raise Killed
        if self._steps:
            self._steps -= 1

    def _fate(self, what: str, keys: Sequence[str]) -> Fate:
        """A call that was meant long ago does not go out any more: the pace lets none start so late."""
        world = self.world
        if what == "post" and world.clock.monotonic() > self.intent_at + MAX_WAIT_S:
            return Fate(Call.DOWN)
        key = VoucherKey.parse(keys[0])
        first = key.document_id if key else ""
        if first in world.deadly:
            world.deadly.discard(first)
            self._is_dead = True
            raise Killed
        fates = world.fates or world.fates_by_document.get(first)
        return fates.popleft() if fates else OK

    def _is_down(self, what: str) -> bool:
        if what != "find":
            return False
        good, bad = self.world.finds_down
        self.world.finds_down = (good - 1, bad) if good else (0, max(bad - 1, 0))
        return not good and bad > 0

    def _work(self) -> None:
        world = self.world
        clock = _RunClock(world.clock, self)
        store = assemble(world.engine, clock)
        context = StageContext(
            settings=world.settings,
            book=world.book,
            store=replace(store, vouchers=_Watched(world.engine, clock, self)),
            connect_source=_no_source,
            connect_ledger=lambda: self.wire,
            clock=clock,
            actor="test",
        )
        try:
            self.result = post(context, Scope())
        except BaseException as error:  # noqa: BLE001  (whoever let it go on looks at how it ended)
            self.error = error
        self._stopped.release()


def _no_source() -> DocumentSource:
    raise AssertionError("posting needs no OA")


class _RunClock:
    """The clock of one run: it may be stopped while it sleeps, and time that went by meanwhile counts."""

    def __init__(self, clock: FakeClock, run: Run) -> None:
        self._clock, self._run = clock, run

    def now(self) -> datetime:
        return self._clock.now()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        self._run.stop("sleep")
        self._clock.forward(max(until - self._clock.monotonic(), 0.0))


class _Watched(Vouchers):
    """The store's vouchers, with stops before and after what is written; writes without the book are told."""

    def __init__(self, engine: Engine, clock: _RunClock, run: Run) -> None:
        super().__init__(engine, clock)
        self._run = run

    def mark_sending(
        self,
        lease: Lease,
        ids: Sequence[int],
        statuses: Iterable[VoucherStatus],
        dimension_kinds: frozenset[str],
        looked: Mapping[int, Looked] | None = None,
    ) -> list[StoredVoucher]:
        run = self._run
        run.stop("intent")
        batch = super().mark_sending(lease, ids, statuses, dimension_kinds, looked)
        if batch:
            self._check(lease, "an intent")
        run.intent_at = self.clock.monotonic()
        run.world.intents |= {s.id: Intent(run.intent_at, run.wire.seen) for s in batch}
        run.stop("intended")
        return batch

    def settle(
        self,
        lease: Lease,
        settlements: Sequence[Settlement],
        step: str = "outcome",
        *,
        only: Collection[VoucherStatus] = tuple(VoucherStatus),
        exchanges: Sequence[Exchange] = (),
        keep_days: int = 0,
        problems: Mapping[int, Sequence[Problem]] | None = None,
    ) -> list[Settlement]:
        self._run.stop("outcome")
        done = super().settle(
            lease,
            settlements,
            step,
            only=only,
            exchanges=exchanges,
            keep_days=keep_days,
            problems=problems,
        )
        if done:
            self._check(lease, "an outcome")
        self._run.stop("settled")
        return done

    def _check(self, lease: Lease, what: str) -> None:
        row = self._run.world.lease()
        if row is None or row.fence != lease.fence or row.expires_at <= self.clock.now():
            self._run.world.breaches.append(f"{what} was written under lease {lease.fence}, which was lost")


def _made(documents: pl.DataFrame) -> GeneratedSet:
    """Stands for the rules: the document's amount, debit its department's expense, credit its submitter."""
    heads, lines = [], []
    for row in documents.iter_rows(named=True):
        ours = {"document_pk": row["id"], "event": "expense_claim"}
        heads.append(
            {
                **ours, "source": row["source"], "document_id": row["document_id"], "revision": row["revision"],
                "word": "记", "date": row["business_date"], "period": f"{row['business_date']:%Y-%m}",
                "currency": "CNY", "debit_minor": row["gross_minor"], "credit_minor": row["gross_minor"],
                "attachments": 0,
            }
        )  # fmt: skip
        for number, (side, account, kind) in enumerate(
            (("debit", "6602.10", "department"), ("credit", "2241.03", "submitter")), 1
        ):
            name = "employee" if kind == "submitter" else kind
            lines.append(
                {
                    **ours, "line_no": number, "side": side, "account": account, "amount_minor": row["gross_minor"],
                    "transaction_currency": "", "transaction_minor": 0,
                    "dimensions": f'[["{name}","{row[kind + "_code"]}",""]]', "summary": "报销", "template": "claims",
                    "template_line": 3, "entry": side, "table_name": "", "table_row": 0, "source_line_no": 0,
                }
            )  # fmt: skip
    return GeneratedSet(
        book=BOOK,
        pks=documents["id"].to_list(),
        vouchers=pl.DataFrame(heads),
        lines=pl.DataFrame(lines),
        no_voucher=pl.DataFrame(schema={"document_pk": pl.Int64, "reason": pl.String}),
        problems={},
        rule_digest="r",
    )
