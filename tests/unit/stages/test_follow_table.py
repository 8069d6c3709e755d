"""Every pair of a voucher's situation and a change of its document has its end: set up, run, and read off the ledger.

What is expected stands here in the words of the ledger, not of the table under test: what the document's vouchers add up
to in the end, whether a person was asked, and that whatever somebody did there by hand was left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from include.domain.changes import DocumentChange, Policy, Situation, choices, decide
from include.domain.document import DocumentStatus
from include.domain.errors import RetryLater
from include.domain.money import Money
from include.domain.period import FiscalPeriod, PeriodState
from include.domain.voucher import VoucherStatus
from include.stages.look import LOOK_ATTEMPTS
from include.store import tables as t
from include.store.engine import open_engine
from include.store.store import assemble
from tests.conftest import FakeClock
from tests.documents import DAY, MASTER
from tests.fakes.ledger import FakeLedger, Loss
from tests.fakes.source import FakeSource
from tests.unit.stages.follow_world import ASK, AUTOMATIC, ELSEWHERE, Net, World, altered

CHANGES = tuple(DocumentChange)
NUMBER = {change: number for number, change in enumerate(CHANGES, 1)}
"""Each change happens to a document of its own."""
POLICIES = {"ask": ASK, "automatic": AUTOMATIC}
MARCH = FiscalPeriod(2026, 3)
EXPENSE = ("6602.10", (("department", "D01"), ("project", "P001")))
OTHER_EXPENSE = ("6602.10", (("department", "D02"), ("project", "P001")))
BANK, PRIOR = ("1002", ()), ("6901", ())
NETS: Mapping[str, Net] = {
    "zero": {},
    "old": {EXPENSE: 10_600, BANK: -10_600},
    "new": {OTHER_EXPENSE: 5_300, BANK: -5_300},
    # The expense of a closed year stays on its account; the account for prior years takes it back.
    "prior_zero": {EXPENSE: 10_600, PRIOR: -10_600},
    "prior_new": {EXPENSE: 10_600, PRIOR: -5_300, BANK: -5_300},
    # Somebody halved it in the ledger.
    "edited": {EXPENSE: 5_300, BANK: -5_300},
}
GONE, ALTERED, SAME = "gone", "altered", "same"
FREE = {GONE: "zero", ALTERED: "new", SAME: "old"}
"""Ends that nobody is asked about."""
LEFT = {GONE: "old, asked", ALTERED: "old, asked", SAME: "old"}
REVERSED = {GONE: "zero", ALTERED: "zero, asked", SAME: "zero, asked"}
EDITED = dict.fromkeys(FREE, "edited, asked")
ENDS: Mapping[Situation, Mapping[str, Mapping[str, str]]] = {
    **{
        situation: {"ask": FREE, "automatic": FREE}
        for situation in (
            Situation.NONE,
            Situation.GENERATED,
            Situation.HELD,
            Situation.REJECTED,
            Situation.CANCELLED,
            Situation.SENDING,
            Situation.DRAFT,
            Situation.REVERSED,
        )
    },
    **{
        situation: {"ask": LEFT, "automatic": FREE}
        for situation in (
            Situation.UNKNOWN,
            Situation.CONFLICT,
            Situation.POSTED,
            Situation.POSTED_CLOSED,
        )
    },
    Situation.POSTED_PRIOR_YEAR: {
        "ask": LEFT,
        "automatic": {GONE: "prior_zero", ALTERED: "prior_new", SAME: "old"},
    },
    Situation.REVERSED_BY_HAND: {"ask": REVERSED, "automatic": REVERSED},
    Situation.EDITED_BY_HAND: {"ask": EDITED, "automatic": EDITED},
}
BY_HAND = {Situation.REVERSED_BY_HAND, Situation.EDITED_BY_HAND}


# -- situations ------------------------------------------------------------------------------------------


def put_all(world: World, **more: Any) -> None:
    for number in NUMBER.values():
        world.put(number, **more)


def not_approved(world: World) -> None:
    put_all(world, status=DocumentStatus.IN_APPROVAL)
    world.run()


def generated(world: World) -> None:
    put_all(world)
    world.read()
    world.generate()


def held(world: World) -> None:
    world.ledger.states[MARCH] = PeriodState.CLOSED
    generated(world)
    world.post()


def rejected(world: World) -> None:
    world.ledger.poison |= {f"ID_{number}" for number in NUMBER.values()}
    generated(world)
    world.post()


def cancelled(world: World) -> None:
    generated(world)
    for number in NUMBER.values():
        world.withdraw(number, DocumentStatus.IN_APPROVAL)
    world.read()


def sending(world: World) -> None:
    """The process died between its intent and the call."""
    generated(world)
    store = world.ctx.store
    lease = store.leases.acquire("acme")
    with store.engine.begin() as connection:
        ids = list(connection.scalars(select(t.voucher.c.id)))
    store.vouchers.mark_sending(lease, ids, [VoucherStatus.GENERATED], world.ledger.dimension_kinds)
    store.leases.release(lease)


def lost(world: World, what: Loss) -> None:
    """The answer was lost, and then the ledger could not be read."""
    generated(world)
    world.ledger.lose(what)
    world.ledger.fail("find", RetryLater("不可达 / out of reach"), times=LOOK_ATTEMPTS)
    with pytest.raises(RetryLater):
        world.post()


def halve(world: World, factor: tuple[int, int] = (1, 2)) -> None:
    """Somebody changes all amounts in the ledger."""
    for ledger_id, voucher in world.ledger.vouchers_by_id.items():
        lines = tuple(
            replace(each, amount=Money(each.amount.minor * factor[0] // factor[1], "CNY"))
            for each in voucher.lines
        )
        world.ledger.vouchers_by_id[ledger_id] = replace(voucher, lines=lines)


def conflict(world: World) -> None:
    lost(world, Loss.POSTED)
    halve(world)
    world.post()


def posted(world: World, day: datetime = DAY) -> None:
    put_all(world, approved_at=day, submitted_at=day)
    world.run()


def posted_closed(world: World) -> None:
    posted(world)
    for month in (2, 3):
        world.ledger.states[FiscalPeriod(2026, month)] = PeriodState.CLOSED


def prior_year(world: World) -> None:
    posted(world, datetime(2025, 12, 5, 2, tzinfo=UTC))
    for month in range(1, 13):
        world.ledger.states[FiscalPeriod(2025, month)] = PeriodState.CLOSED


def reversed_by_us(world: World) -> None:
    policy = world.ctx.book.after_posting
    world.under(AUTOMATIC)
    posted(world)
    for number in NUMBER.values():
        world.withdraw(number, DocumentStatus.IN_APPROVAL)
    world.run()
    assert not world.net()
    world.under(policy)


def reversed_by_hand(world: World) -> None:
    posted(world)
    for ledger_id in list(world.ledger.vouchers_by_id):
        world.reverse_by_hand(ledger_id)


def edited_by_hand(world: World) -> None:
    posted(world)
    halve(world)


SETUPS: Mapping[Situation, Callable[[World], None]] = {
    Situation.NONE: not_approved,
    Situation.GENERATED: generated,
    Situation.HELD: held,
    Situation.REJECTED: rejected,
    Situation.CANCELLED: cancelled,
    Situation.SENDING: sending,
    Situation.UNKNOWN: lambda world: lost(world, Loss.POSTED),
    Situation.CONFLICT: conflict,
    Situation.DRAFT: lambda world: lost(world, Loss.DRAFTED),
    Situation.POSTED: posted,
    Situation.POSTED_CLOSED: posted_closed,
    Situation.POSTED_PRIOR_YEAR: prior_year,
    Situation.REVERSED: reversed_by_us,
    Situation.REVERSED_BY_HAND: reversed_by_hand,
    Situation.EDITED_BY_HAND: edited_by_hand,
}
EXPECTED_STATUS = {
    Situation.NONE: None,
    Situation.REVERSED: VoucherStatus.POSTED,
    Situation.DRAFT: VoucherStatus.UNKNOWN,
    **{
        situation: VoucherStatus.POSTED
        for situation in Situation
        if "posted" in situation or situation in BY_HAND
    },
}


def change_all(world: World) -> None:
    """Each change to its own document; approvals are new ones, of a day later."""
    approved = {
        "status": DocumentStatus.APPROVED,
        "approved_at": world.oa.document("ID_1").approved_at.replace(day=12),  # type: ignore[union-attr]
    }
    for change, fields in {
        DocumentChange.WITHDRAWN: {"status": DocumentStatus.REJECTED},
        DocumentChange.DELETED: {"status": DocumentStatus.DELETED},
        DocumentChange.NULLIFIED: {"status": DocumentStatus.NULLIFIED},
        DocumentChange.MOVED_BOOK: {**approved, "legal_entity": ELSEWHERE},
        DocumentChange.ALTERED: {**approved, **altered()},
        DocumentChange.REAPPROVED_SAME: approved,
    }.items():
        world.change(NUMBER[change], **fields)


# -- ends ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class End:
    """What one document came to."""

    net: Net
    asked: bool
    statuses: frozenset[str]
    shown: str
    standing: str


@dataclass(frozen=True)
class Outcome:
    """What a world came to. `touched`: ledger ids of vouchers of before the change that are other than they were;
    `made`: how many were there after all runs, and after two more.
    """

    before: frozenset[str | None]
    ends: Mapping[DocumentChange, End]
    touched: frozenset[str]
    made: tuple[int, int]
    made_by_hand: int


@pytest.fixture(scope="module")
def outcome(
    sqlite_template: bytes, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Situation, str], Outcome]:
    folder: Path = tmp_path_factory.mktemp("worlds")

    @cache
    def of(situation: Situation, policy: str) -> Outcome:
        path = folder / f"{situation}-{policy}.db"
        path.write_bytes(sqlite_template)
        engine = open_engine(f"sqlite:///{path}")
        clock = FakeClock()
        oa = FakeSource(name="hesi", form_types=("expense", "loan", "payment"), records=list(MASTER))
        world = World.of(assemble(engine, clock), oa, FakeLedger(), clock)
        world.under(POLICIES[policy])
        try:
            return played(world, situation)
        finally:
            engine.dispose()

    return of


def played(world: World, situation: Situation) -> Outcome:
    SETUPS[situation](world)
    v = t.voucher.c
    with world.ctx.store.engine.begin() as connection:
        before = frozenset(connection.scalars(select(v.status))) or frozenset({None})
    there = dict(world.ledger.vouchers_by_id)
    change_all(world)
    if situation is Situation.HELD:
        world.ledger.states[MARCH] = PeriodState.OPEN
    world.ledger.poison.clear()
    if situation is Situation.CONFLICT:
        world.run()
        assert world.ledger.vouchers_by_id == there, "nobody touches a conflict"
        halve(world, (2, 1))  # finance puts it right in the ledger
        there = dict(world.ledger.vouchers_by_id)
    for _ in range(4):
        world.run()
    made = len(world.ledger.vouchers_by_id)
    for _ in range(2):
        world.run()
    now = world.ledger.vouchers_by_id
    return Outcome(
        before,
        {change: end_of(world, number) for change, number in NUMBER.items()},
        frozenset(pk for pk, voucher in there.items() if now.get(pk) != voucher),
        (made, len(now)),
        len(now) - len(there),
    )


def end_of(world: World, number: int) -> End:
    v = t.voucher.c
    with world.ctx.store.engine.begin() as connection:
        statuses = frozenset(connection.scalars(select(v.status).where(v.document_id == f"ID_{number}")))
    problems = [
        code for code in world.problems(number) if world.disposition(number) == "quarantined" and code
    ]
    return End(
        world.net(number), bool(problems), statuses, world.shown(number), world.standing_number(number)
    )


def kind_of(change: DocumentChange) -> str:
    return {DocumentChange.ALTERED: ALTERED, DocumentChange.REAPPROVED_SAME: SAME}.get(change, GONE)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("situation", Situation)
def test_each_pair_has_its_end(
    situation: Situation, change: DocumentChange, policy: str, outcome: Callable[[Situation, str], Outcome]
) -> None:
    world = outcome(situation, policy)
    end = world.ends[change]
    net, _, asked = ENDS[situation][policy][kind_of(change)].partition(", ")
    assert (end.net, end.asked) == (NETS[net], bool(asked))
    if not asked:
        settled = {VoucherStatus.POSTED, VoucherStatus.CANCELLED, VoucherStatus.REVERSED}
        assert end.statuses <= settled, "nothing is left to be sent, looked up or settled"
    if change not in {DocumentChange.DELETED, DocumentChange.MOVED_BOOK} and situation not in BY_HAND:
        assert end.shown == end.standing, "the OA shows the number of what stands"


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("situation", Situation)
def test_it_ends_once_and_what_was_posted_is_never_touched(
    situation: Situation, policy: str, outcome: Callable[[Situation, str], Outcome]
) -> None:
    world = outcome(situation, policy)
    assert world.before == {EXPECTED_STATUS.get(situation, situation)}
    first, later = world.made
    assert first == later, "further runs add nothing"
    if situation is not Situation.DRAFT:
        assert not world.touched
    if situation in BY_HAND:
        assert world.made_by_hand == 0, "what somebody did in the ledger is not overwritten"


@pytest.mark.parametrize("prior_year", ["ask", "blue"])
@pytest.mark.parametrize("altered_policy", ["ask", "replace"])
@pytest.mark.parametrize("withdrawn", ["ask", "reverse"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("situation", Situation)
def test_the_table_is_total_and_says_why(
    situation: Situation, change: DocumentChange, withdrawn: Any, altered_policy: Any, prior_year: Any
) -> None:
    verdict = decide(change, situation, Policy(withdrawn, altered_policy, prior_year))
    assert verdict.zh
    assert verdict.en
    if verdict.action == "ask":
        assert choices(change, situation), "a person who is asked can answer"


def test_the_guide_shows_the_table_as_it_is() -> None:
    text = Path("docs/corrections.md").read_text("utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    shown = {
        (situation.strip("`"), change): cell
        for situations, *cells in rows
        if len(cells) == 3
        for situation in situations.split(", ")
        for change, cell in zip((GONE, ALTERED, SAME), cells, strict=True)
    }
    expected = {}
    for situation in Situation:
        for change in CHANGES:
            automatic, asking = (decide(change, situation, p.policy).action for p in (AUTOMATIC, ASK))
            cell = automatic if automatic == asking else f"*{automatic}*"
            assert asking in {automatic, "ask"}
            expected[situation, kind_of(change)] = cell
    assert shown == expected
