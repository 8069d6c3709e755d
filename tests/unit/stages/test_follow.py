"""Follow: what is written when a document changes after posting, how a person decides, and what must not happen."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import select, update

from include.adapters.ledger.tryton import build_ledger
from include.conformance.ledger.tryton import serving
from include.domain.changes import Action
from include.domain.document import Disposition, DocumentKind, DocumentStatus
from include.domain.errors import FixData, RetryLater
from include.domain.period import FiscalPeriod, PeriodState
from include.domain.voucher import LedgerVoucherState, Side, VoucherKey, VoucherStatus
from include.settings import AfterPosting
from include.stages.extract import extract
from include.stages.generate import generate
from include.stages.look import LOOK_ATTEMPTS
from include.stages.reconcile import reconcile
from include.stages.validate import validate
from include.stages.write_back import write_back
from include.store import audit
from include.store import tables as t
from include.store.chains import chain_of, chains_of
from include.store.engine import open_engine, reading
from include.store.store import Store, assemble
from tests.conftest import FakeClock
from tests.documents import DAY, claim, line, loan
from tests.fakes.ledger import FakeLedger, Loss
from tests.fakes.source import FakeSource
from tests.unit.stages.flow import ALL
from tests.unit.stages.follow_world import ASK, AUTOMATIC, ELSEWHERE, World, altered

DECEMBER = datetime(2025, 12, 5, 2, tzinfo=UTC)
ONCE = {"6602.10": 10_600, "1002": -10_600}
HALF = {"6602.10": 5_300, "1002": -5_300}


@pytest.fixture
def world(store: Store, oa: FakeSource, clock: FakeClock) -> World:
    made = World.of(store, oa, FakeLedger(), clock)
    made.under(AUTOMATIC)
    return made


def close(world: World, *periods: FiscalPeriod) -> None:
    for period in periods:
        world.ledger.states[period] = PeriodState.CLOSED


def close_year(world: World, year: int) -> None:
    close(world, *(FiscalPeriod(year, month) for month in range(1, 13)))


# -- what is written -----------------------------------------------------------------------------------


def test_a_withdrawn_document_leaves_nothing_in_the_books_and_no_number_in_the_oa(world: World) -> None:
    world.posted()
    world.withdraw()
    result = world.run()
    assert (result.followed, result.reversals, result.replacements) == (1, 1, 0)
    assert world.by_account() == {}
    assert world.shown() == ""
    original, reversal = world.ledger.vouchers_by_id.values()
    assert reversal.reference == "VF/acme/hesi/ID_1/expense_claim.reversal/1"
    assert reversal.date == original.date
    assert [(x.side, x.account, x.dimensions, -x.amount.minor) for x in reversal.lines] == [
        (x.side, x.account, x.dimensions, x.amount.minor) for x in original.lines
    ]
    assert {x.summary.partition("记-1")[0] for x in reversal.lines} == {"冲销 2026-03-10 "}
    assert world.problems() == []
    assert world.disposition() == Disposition.NOT_DUE


def test_an_altered_document_gets_a_voucher_of_its_new_revision_after_the_reversal(world: World) -> None:
    world.posted()
    world.change(**altered())
    world.run()
    assert world.by_account() == HALF
    assert world.rows() == [
        ("expense_claim", 1, "", "posted"),
        ("expense_claim.reversal", 1, "reversal", "posted"),
        ("expense_claim", 2, "replacement", "posted"),
    ]
    assert world.shown() == "记-3"
    assert [voucher.reference.split("/")[4:] for voucher in world.ledger.vouchers_by_id.values()] == [
        ["expense_claim", "1"],
        ["expense_claim.reversal", "1"],
        ["expense_claim", "2"],
    ]


def test_a_change_that_the_rules_do_not_see_keeps_the_voucher(world: World) -> None:
    world.posted()
    world.change(lines=(line(description="改了说明"),))
    assert world.run().kept == 1
    assert world.run().documents == 0
    assert world.rows() == [("expense_claim", 1, "", "posted")]
    assert world.disposition() == Disposition.ACCEPTED
    world.change(**altered())
    world.run()
    assert world.by_account() == HALF
    assert world.shown() == "记-3"


def test_the_chain_is_found_from_each_of_its_vouchers(world: World) -> None:
    world.posted()
    world.posted(2)
    world.change(**altered())
    world.run()
    world.withdraw()
    world.run()
    with reading(world.ctx.store.engine) as connection:
        whole = chains_of(connection, "acme", "B26000001")
        assert [(link.event, link.revision, link.relation) for link in whole] == [
            ("expense_claim", 1, ""),
            ("expense_claim.reversal", 1, "reversal"),
            ("expense_claim", 2, "replacement"),
            ("expense_claim.reversal", 2, "reversal"),
        ]
        first, reversal, second, last = whole
        assert [link.original_id for link in whole] == [None, first.id, first.id, second.id]
        assert [link.followed_by for link in whole] == [(reversal.id, second.id), (), (last.id,), ()]
        for link in whole:
            assert chain_of(connection, link.id) == whole
        assert chain_of(connection, 999) == []


def test_the_audit_trail_says_what_changed_where_it_stood_and_what_was_done(world: World) -> None:
    world.posted()
    world.withdraw(status=DocumentStatus.DELETED)
    world.run()
    a = t.audit_event
    with reading(world.ctx.store.engine) as connection:
        (event,) = connection.execute(select(a).where(a.c.action == "document.followed")).mappings()
        assert audit.verify(connection) is None
    assert event["actor"] == "cli:finance"
    assert '"expense_claim": "deleted posted reverse"' in event["detail"]
    assert event["subject"] == "VF/acme/hesi/ID_1/expense_claim/1"


def test_a_loan_has_no_profit_and_loss_and_is_simply_reversed(world: World) -> None:
    world.oa.put(loan(9, 50_000), at=world.clock.now())
    world.run()
    assert world.by_account()
    world.withdraw(9)
    world.run()
    assert world.by_account() == {}


def test_a_document_that_makes_no_voucher_any_more_is_only_reversed(world: World) -> None:
    world.posted()
    world.change(kind=DocumentKind.REQUISITION)
    world.run()
    assert world.by_account() == {}
    assert world.disposition() == Disposition.NO_VOUCHER
    assert world.shown() == ""
    world.change(kind=DocumentKind.EXPENSE_CLAIM)
    world.run()
    assert world.by_account() == ONCE
    assert world.shown() == world.standing_number()


# -- periods -------------------------------------------------------------------------------------------


def test_what_stands_in_a_closed_period_is_reversed_in_the_next_open_one(world: World) -> None:
    world.posted()
    close(world, FiscalPeriod(2026, 3), FiscalPeriod(2026, 4))
    world.change(**altered())
    world.run()
    assert world.by_account() == HALF
    assert [voucher.date for voucher in world.ledger.vouchers_by_id.values()] == [
        date(2026, 3, 10),
        date(2026, 5, 1),
        date(2026, 5, 1),
    ]


def test_a_correction_waits_where_no_period_is_open_and_is_not_decided_again(world: World) -> None:
    world.posted()
    close_year(world, 2026)
    world.under(replace_policy(withdrawn="reverse"))
    world.withdraw()
    world.run()
    assert world.by_account() == ONCE
    world.ledger.states |= {FiscalPeriod(2027, 1): PeriodState.OPEN}
    world.under(AUTOMATIC)
    for _ in range(2):
        world.run()
    assert world.by_account() == {"6602.10": 10_600, "6901": -10_600}


def replace_policy(**changes: str) -> AfterPosting:
    return ASK.model_copy(update=changes)


def test_a_prior_year_is_corrected_by_one_blue_voucher_in_the_current_period(world: World) -> None:
    world.posted(approved_at=DECEMBER, submitted_at=DECEMBER)
    close_year(world, 2025)
    world.change(**altered())
    assert world.run().blue == 1
    old, blue = world.ledger.vouchers_by_id.values()
    assert (old.date, blue.date) == (date(2025, 12, 5), date(2026, 11, 20))
    assert sorted((x.side, x.account, x.amount.minor, x.dimensions) for x in blue.lines) == [
        (Side.CREDIT, "6901", 5_300, ()),
        (Side.DEBIT, "1002", 5_300, ()),
    ]
    assert all(x.summary.startswith("订正 2025-12-05 记-1") for x in blue.lines)
    assert world.shown() == blue.number
    assert world.rows()[-1] == ("expense_claim", 2, "correction", "posted")
    assert world.run().documents == 0


def test_a_prior_year_is_followed_through_any_number_of_changes(world: World) -> None:
    world.posted(approved_at=DECEMBER, submitted_at=DECEMBER)
    close_year(world, 2025)
    for amount in (5_300, 20_000, 800):
        world.change(**altered(amount))
        world.run()
        assert world.by_account() == {"6602.10": 10_600, "6901": amount - 10_600, "1002": -amount}
    world.withdraw()
    world.run()
    assert world.by_account() == {"6602.10": 10_600, "6901": -10_600}
    assert world.shown() == ""
    world.change(status=DocumentStatus.APPROVED)
    world.run()
    assert world.by_account() == {"6602.10": 10_600, "6901": 800 - 10_600, "1002": -800}
    assert all(
        each.amount.minor > 0 for voucher in world.ledger.vouchers_by_id.values() for each in voucher.lines
    ), "no red in the books of another year"


def test_another_department_of_a_closed_year_needs_no_correction(world: World) -> None:
    world.posted(approved_at=DECEMBER, submitted_at=DECEMBER)
    close_year(world, 2025)
    world.change(**altered(10_600))
    assert world.run().kept == 1
    assert len(world.ledger.vouchers_by_id) == 1


def test_without_an_account_for_prior_years_a_person_is_told_what_to_add(world: World) -> None:
    world.under(AUTOMATIC.model_copy(update={"prior_year_account": "adjustments"}))
    world.posted(approved_at=DECEMBER, submitted_at=DECEMBER)
    close_year(world, 2025)
    world.withdraw()
    assert world.run().causes == (("follow.no_prior_year_account", 1),)
    assert "follow.no_prior_year_account" in world.problems()
    assert world.by_account() == ONCE
    world.under(AUTOMATIC)
    world.run()
    assert world.problems() == []
    assert world.by_account() == {"6602.10": 10_600, "6901": -10_600}


def test_a_prior_year_is_touched_only_where_both_answers_allow_it(world: World) -> None:
    world.posted(approved_at=DECEMBER, submitted_at=DECEMBER)
    close_year(world, 2025)
    world.withdraw()
    for policy in (replace_policy(withdrawn="reverse"), replace_policy(prior_year="blue")):
        world.under(policy)
        assert world.run().asked == 1
    assert world.by_account() == ONCE


# -- people decide -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "end", "disposition"),
    [(Action.REVERSE, {}, Disposition.NOT_DUE), (Action.KEEP, ONCE, Disposition.SETTLED)],
)
def test_a_person_decides_about_a_withdrawn_document(
    action: Action, end: dict[str, int], disposition: Disposition, world: World
) -> None:
    world.under(ASK)
    world.posted()
    world.withdraw()
    assert world.run().asked == 1
    assert "document.withdrawn_after_posting" in world.problems()
    assert world.decide(action).followed == 1
    world.run()
    assert world.by_account() == end
    assert world.disposition() == disposition
    assert world.problems() == []
    assert world.run().asked == 0


@pytest.mark.parametrize(("action", "end"), [(Action.REPLACE, HALF), (Action.KEEP, ONCE)])
def test_a_person_decides_about_an_altered_document(
    action: Action, end: dict[str, int], world: World
) -> None:
    world.under(ASK)
    world.posted()
    world.change(**altered())
    world.run()
    world.decide(action)
    world.run()
    assert world.by_account() == end
    assert (world.disposition(), world.problems()) == (Disposition.ACCEPTED, [])
    assert world.run().documents == 0


def test_a_decision_holds_until_the_document_changes_again(world: World) -> None:
    world.under(ASK)
    world.posted()
    world.withdraw()
    world.run()
    world.decide(Action.KEEP)
    world.run()
    world.change(status=DocumentStatus.DELETED)
    assert world.run().asked == 1
    world.decide(Action.REVERSE)
    world.change(status=DocumentStatus.APPROVED)
    world.run()
    assert world.by_account() == ONCE, "it is approved again before anything was taken back"
    assert world.problems() == []


def test_a_decision_that_waits_for_a_period_is_not_asked_for_again(world: World) -> None:
    world.under(ASK)
    world.posted()
    close(world, *(FiscalPeriod(2026, month) for month in range(3, 13)))
    world.ledger.states[FiscalPeriod(2026, 12)] = PeriodState.NOT_YET_OPEN
    world.change(**altered())
    world.run()
    world.decide(Action.REPLACE)
    for _ in range(2):
        result = world.run()
        assert (result.asked, world.by_account()) == (0, ONCE)
    world.ledger.states[FiscalPeriod(2026, 12)] = PeriodState.OPEN
    world.run()
    assert world.by_account() == HALF


@pytest.mark.parametrize("action", [Action.REPLACE, Action.BLUE])
def test_a_decision_that_does_not_fit_is_refused_with_those_that_do(action: Action, world: World) -> None:
    world.under(ASK)
    world.posted()
    world.withdraw()
    world.run()
    with pytest.raises(FixData, match=r"keep\|reverse"):
        world.decide(action)


def test_where_nothing_is_to_be_decided_a_person_is_told_so(world: World) -> None:
    world.under(ASK)
    world.posted()
    with pytest.raises(FixData, match="ID_1"):
        world.decide(Action.KEEP)


def test_a_person_may_have_booked_again_what_somebody_reversed_in_the_ledger(world: World) -> None:
    world.posted()
    (ledger_id,) = world.ledger.vouchers_by_id
    world.reverse_by_hand(ledger_id)
    world.change(**altered())
    assert world.run().causes == (("follow.reversed_by_hand", 1),)
    world.decide(Action.REPLACE)
    world.run()
    assert world.by_account() == HALF
    assert [row[2:] for row in world.rows()] == [("", "reversed"), ("replacement", "posted")]
    assert world.shown() == world.standing_number()
    assert reconcile(world.ctx, ALL).discrepancies == 0


# -- what must not happen ------------------------------------------------------------------------------


def test_what_somebody_reversed_meanwhile_is_not_reversed_once_more(world: World) -> None:
    world.posted()
    close(world, *(FiscalPeriod(2026, month) for month in range(3, 13)))
    world.ledger.states[FiscalPeriod(2026, 12)] = PeriodState.NOT_YET_OPEN
    world.withdraw()
    world.run()
    assert [row[2:] for row in world.rows()] == [("", "posted"), ("reversal", "held")]
    world.reverse_by_hand("1")
    world.ledger.states[FiscalPeriod(2026, 12)] = PeriodState.OPEN
    world.run()
    assert world.by_account() == {}
    assert [row[2:] for row in world.rows()] == [("", "reversed"), ("reversal", "cancelled")]


def test_nothing_is_taken_back_while_the_ledger_cannot_be_read(world: World) -> None:
    world.posted()
    world.withdraw()
    world.read()
    world.ledger.fail("find", RetryLater("不可达 / out of reach"))
    with pytest.raises(RetryLater):
        world.follow()
    assert world.rows() == [("expense_claim", 1, "", "posted")]


def test_a_document_held_by_the_gate_for_another_reason_is_not_touched(world: World) -> None:
    world.posted()
    world.change(**altered())
    world.read()
    with world.ctx.store.engine.begin() as connection:
        d = t.source_document
        pk = connection.scalar(select(d.c.id).where(d.c.is_current))
        connection.execute(
            t.problem.insert().values(
                document_pk=pk,
                book="acme",
                stage="validate",
                code="department.missing",
                cause="department.missing",
                where="document",
                zh="没有部门",
                en="no department",
                owner="oa_user",
                found_at=world.clock.now(),
            )
        )
    assert world.follow().documents == 0
    world.generate()
    world.post()
    assert world.by_account() == ONCE


def test_a_reversal_that_the_ledger_refuses_holds_its_replacement_and_is_tried_again(world: World) -> None:
    world.posted()
    world.change(**altered())
    account = world.ledger.accounts["6602.10"]
    world.ledger.accounts["6602.10"] = replace(account, is_active=False)
    for _ in range(2):
        world.run()
        assert world.by_account() == ONCE
    world.ledger.accounts["6602.10"] = account
    for _ in range(2):
        world.run()
    assert world.by_account() == HALF
    assert world.problems() == []


def test_a_lost_answer_to_a_reversal_is_looked_up_before_anything_new(world: World) -> None:
    world.posted()
    world.change(**altered())
    world.read()
    world.follow()
    world.ledger.lose(Loss.POSTED)
    world.ledger.fail("find", RetryLater("不可达 / out of reach"), times=LOOK_ATTEMPTS)
    with pytest.raises(RetryLater):
        world.post()
    world.change(**altered(7_000))
    for _ in range(3):
        world.run()
    assert world.by_account() == {"6602.10": 7_000, "1002": -7_000}
    keys = [VoucherKey.parse(each.reference) for each in world.ledger.vouchers_by_id.values()]
    assert len(keys) == len(set(keys)) == 3


def test_a_document_whose_reversal_is_in_doubt_is_nothing_for_people(world: World) -> None:
    world.posted()
    world.withdraw()
    world.read()
    world.follow()
    world.ledger.lose(Loss.POSTED)
    world.ledger.fail("find", RetryLater("不可达 / out of reach"), times=LOOK_ATTEMPTS)
    with pytest.raises(RetryLater):
        world.post()
    world.read()
    assert (world.problems(), world.disposition()) == ([], Disposition.NOT_DUE)
    world.run()
    assert world.by_account() == {}
    assert (world.problems(), world.disposition()) == ([], Disposition.NOT_DUE)


def test_what_people_were_told_of_a_withdrawn_document_is_over_once_its_reversal_is_there(
    world: World,
) -> None:
    world.posted()
    world.withdraw()
    world.under(ASK)
    world.run()
    assert world.problems() == ["document.withdrawn_after_posting"]
    world.decide(Action.REVERSE)
    with world.ctx.store.engine.begin() as connection:  # as a run that was stopped half-way left it
        d = t.source_document
        connection.execute(update(d).where(d.c.is_current).values(disposition=Disposition.QUARANTINED))
    world.post()
    world.run()
    assert world.by_account() == {}
    assert (world.problems(), world.disposition()) == ([], Disposition.NOT_DUE)


def test_a_draft_that_the_ledger_does_not_delete_is_posted_and_reversed(world: World) -> None:
    world.put()
    world.read()
    world.generate()
    world.ledger.lose(Loss.DRAFTED)
    world.ledger.fail("find", RetryLater("不可达 / out of reach"), times=LOOK_ATTEMPTS)
    with pytest.raises(RetryLater):
        world.post()
    world.withdraw()
    world.ledger.fail("discard", FixData("不能删除 / cannot be deleted"))
    for _ in range(2):
        world.run()
    assert world.by_account() == {}
    states = [voucher.state for voucher in world.ledger.vouchers_by_id.values()]
    assert states == [LedgerVoucherState.POSTED] * 2


def test_a_document_of_another_book_now_is_booked_there_only_once_it_is_reversed_here(
    world: World, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree("include/config", tmp_path / "config"))
    for kind in ("rules", "tables"):
        shutil.copytree(folder / kind / "acme", folder / kind / "other")
    world.posted()
    elsewhere = FakeLedger()
    here = replace(world.ctx, settings=world.ctx.settings.model_copy(update={"config_dir": folder}))
    there = replace(here, book=here.settings.book("other"), connect_ledger=lambda: elsewhere)
    world.change(legal_entity=ELSEWHERE)
    for ctx, statuses in ((there, 1), (here, 2), (there, 3)):
        world.ctx = ctx
        world.run()
        assert [row[3] for row in world.rows()] == ["posted"] * statuses
    assert world.by_account() == {}
    (moved,) = elsewhere.vouchers_by_id.values()
    assert moved.reference == "VF/other/hesi/ID_1/expense_claim/1"


def test_following_twice_writes_nothing_twice(world: World) -> None:
    world.posted()
    world.posted(2)
    world.change(**altered())
    world.withdraw(2)
    world.read()
    assert world.follow().followed == 2
    before = world.rows() + world.rows(2)
    again = world.follow()
    assert (again.followed, again.reversals, again.replacements) == (0, 0, 0)
    assert world.rows() + world.rows(2) == before


def test_a_document_approved_again_before_the_reversal_went_keeps_its_voucher(world: World) -> None:
    world.posted()
    world.withdraw(status=DocumentStatus.IN_APPROVAL)
    world.read()
    world.follow()
    world.change(status=DocumentStatus.APPROVED)
    world.run()
    assert world.by_account() == ONCE
    assert [row[2:] for row in world.rows()] == [("", "posted"), ("reversal", "cancelled")]


def test_many_documents_are_followed_each_for_itself(world: World) -> None:
    for number in range(1, 8):
        world.put(number)
    world.run()
    for number in (1, 3):
        world.withdraw(number)
    for number in (2, 4):
        world.change(number, **altered(1_000 * number))
    world.oa.put(claim(8), at=world.clock.now())
    result = world.run()
    assert (result.followed, result.reversals, result.replacements) == (4, 4, 2)
    total = 4 * 10_600 + 6_000
    assert world.by_account() == {"6602.10": total, "1002": -total}
    assert VoucherStatus.GENERATED not in [row[3] for number in range(1, 9) for row in world.rows(number)]


def test_the_whole_job_with_its_gates_agrees_on_all_sides(
    oa: FakeSource, make_store_url: Callable[[str], str], clock: FakeClock
) -> None:
    engine = open_engine(make_store_url("sqlite"))
    world = World.of(assemble(engine, clock), oa, FakeLedger(), clock)
    world.under(AUTOMATIC)

    def job() -> int:
        world.clock.forward(60)
        extract(world.ctx)
        validate(world.ctx, ALL)
        world.follow()
        generate(world.ctx, ALL)
        world.post()
        found = reconcile(world.ctx, ALL).discrepancies
        write_back(world.ctx, ALL)
        return found

    for number, day in enumerate([DECEMBER, DAY, DAY], 1):
        world.put(number, approved_at=day, submitted_at=day)
    job()
    close_year(world, 2025)
    half = {**altered(), "lines": (line(1, 5_300, 0),)}
    world.change(1, **half)
    world.change(2, **half)
    world.withdraw(3)
    assert job() == 0
    prior = {"6602.10": 10_600, "6901": -5_300, "1002": -5_300}
    assert [world.by_account(number) for number in (1, 2, 3)] == [prior, HALF, {}]
    assert [world.problems(number) for number in (1, 2, 3)] == [[], [], []]
    assert [world.disposition(number) for number in (1, 2, 3)] == ["accepted", "accepted", "not_due"]
    assert [world.shown(number) for number in (1, 2, 3)] == [
        world.standing_number(number) for number in (1, 2, 3)
    ]
    assert job() == 0
    engine.dispose()


def test_on_tryton_all_that_changed_nets_to_what_the_documents_ask_for(
    oa: FakeSource, make_store_url: Callable[[str], str], clock: FakeClock, new_ledger: Callable[[], Path]
) -> None:
    engine = open_engine(make_store_url("sqlite"))
    world = World.of(assemble(engine, clock), oa, FakeLedger(), clock)
    world.under(AUTOMATIC)
    with serving(new_ledger()) as running:
        gateway = build_ledger(world.ctx.book, running.endpoint)
        world.ctx = replace(world.ctx, connect_ledger=lambda: gateway)
        for number in (1, 2, 3):
            world.put(number)
        world.run()
        world.change(1, **altered())
        world.withdraw(2)
        world.run()
        nets = {
            each.account: each.debit_minor - each.credit_minor
            for each in gateway.trial_balance(FiscalPeriod(2026, 3))
        }
        found = reconcile(world.ctx, ALL).discrepancies
    assert {account: net for account, net in nets.items() if net} == {"6602.10": 15_900, "1002": -15_900}
    assert found == 0
    engine.dispose()


def test_what_was_said_of_a_held_voucher_is_forgotten_with_its_document(world: World) -> None:
    close(world, FiscalPeriod(2026, 3))
    world.put()
    world.run()
    assert world.problems() == ["voucher.held"]
    world.withdraw(status=DocumentStatus.IN_APPROVAL)
    world.run()
    assert world.problems() == []
