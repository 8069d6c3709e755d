"""Changes to a world, and the file that keeps them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from include.emulators.hesi import EmulatorClock, EmulatorError, World, generate_world
from include.emulators.hesi.journal import attach
from include.emulators.hesi.model import Document, unpack

NOW = 1_800_000_000_000


def make() -> World:
    return generate_world(400, seed=9, clock=EmulatorClock(NOW))


@pytest.fixture
def world() -> World:
    return make()


def pick(world: World, form_type: str, *states: str) -> Document:
    return next(
        item
        for item in world.documents.values()
        if item.form_type == form_type
        and item.state in states
        and item.active
        and not world.truth[item.id].defect
    )


def voucher(document: Document, number: str) -> dict[str, str]:
    return {
        "flowId": document.id,
        "voucherNo": number,
        "voucherCreateTime": "1767225600000",
        "fiscalPeriod": "2026-01",
    }


@pytest.mark.parametrize(
    ("operation", "form_type", "states", "after"),
    [
        ("submit", "expense", ("draft", "rejected"), "approving"),
        ("approve", "expense", ("approving",), "paid"),
        ("reject", "expense", ("approving",), "rejected"),
        ("withdraw", "expense", ("paid",), "draft"),
        ("nullify", "expense", ("paid",), "nullify"),
        ("archive", "expense", ("paid",), "archived"),
        ("alter", "requisition", ("paid",), "draft"),
        ("edit", "expense", ("paid",), "paid"),
    ],
)
def test_a_change_moves_state_version_and_update_time(
    world: World, operation: str, form_type: str, states: tuple[str, ...], after: str
) -> None:
    document = pick(world, form_type, *states)
    before = dataclasses.replace(document)
    world.change(operation, document.id)
    assert document.state == after
    assert document.version == before.version + 1
    assert document.update_time > before.update_time
    assert document.update_time == NOW
    assert world.revision == 1


def test_an_altered_requisition_says_so(world: World) -> None:
    document = pick(world, "requisition", "paid")
    world.change("alter", document.id)
    shown = world.render(document, detail=True)
    assert shown["form"]["alterFlag"] == "1"
    assert shown["logs"][-1]["action"] == "freeflow.alter"


def test_update_time_moves_forward_even_if_the_clock_stands_behind(world: World) -> None:
    world.clock = EmulatorClock(0)
    document = pick(world, "expense", "paid")
    before = document.update_time
    world.change("edit", document.id, fields={"title": "新"})
    assert document.update_time == before + 1


def test_an_approval_with_payment_sets_the_payment_fields(world: World) -> None:
    document = pick(world, "expense", "approving")
    world.change("approve", document.id, pay=True)
    form = unpack(document.packed)["form"]
    assert form["paymentChannel"] == "OFFLINE"
    assert form["payDate"] == document.pay_date == NOW


def test_an_edit_reaches_into_lines(world: World) -> None:
    document = pick(world, "expense", "paid")
    world.change("edit", document.id, fields={"details.0.feeTypeForm.amount.standard": "1.23"})
    assert unpack(document.packed)["form"]["details"][0]["feeTypeForm"]["amount"]["standard"] == "1.23"


@pytest.mark.parametrize(
    ("operation", "data", "message"),
    [
        ("alter", {}, "不是申请单"),
        ("submit", {}, "不能提交"),
        ("explode", {}, "unknown operation"),
        ("edit", {"fields": {"details.99.x": 1}}, "no such field"),
    ],
)
def test_what_does_not_fit_changes_nothing(
    world: World, operation: str, data: dict[str, object], message: str
) -> None:
    document = pick(world, "expense", "paid")
    before = dataclasses.replace(document)
    with pytest.raises(EmulatorError, match=message):
        world.change(operation, document.id, **data)
    assert document == before
    assert world.revision == 0


def test_an_unknown_document_is_named(world: World) -> None:
    with pytest.raises(EmulatorError, match="ID_NONE"):
        world.change("delete", "ID_NONE")


def test_a_loan_follows_the_documents_that_repay_it(world: World) -> None:
    record = next(
        item
        for item in world.repayments.values()
        if item.kind == "WRITEOFF" and world.documents[item.flow_id].state == "paid"
    )
    loan = world.loans[record.loan_flow_id]
    before = world.loan_state(loan)
    world.change("withdraw", record.flow_id)
    after_withdrawal = world.loan_state(loan)
    assert after_withdrawal.repaid == before.repaid - record.amount
    world.change("submit", record.flow_id)
    assert world.loan_state(loan).reserved == after_withdrawal.reserved + record.amount


class TestJournal:
    def test_changes_survive_a_restart(self, world: World, tmp_path: Path) -> None:
        state = tmp_path / "deep" / "hesi.state"
        paid, draft = pick(world, "expense", "paid"), pick(world, "expense", "draft", "rejected")
        with attach(world, state):
            world.write_back([voucher(paid, "记-1")])
            world.change("submit", draft.id)
        again = make()
        with attach(again, state):
            assert again.documents[paid.id].voucher_no == "记-1"
            assert again.documents[paid.id].fiscal_period == "2026-01"
            assert again.digest() == world.digest()
            again.change("delete", draft.id)
        third = make()
        with attach(third, state):
            assert not third.documents[draft.id].active
            assert third.documents[paid.id].voucher_no == "记-1"

    def test_a_line_cut_off_by_a_kill_is_dropped(self, world: World, tmp_path: Path) -> None:
        state = tmp_path / "hesi.state"
        first, second = [item for item in world.documents.values() if item.state == "paid"][:2]
        with attach(world, state):
            world.write_back([voucher(first, "记-1")])
            world.write_back([voucher(second, "记-2")])
        state.write_bytes(state.read_bytes()[:-20])
        with attach(make(), state):
            assert state.read_bytes().endswith(b"\n"), "the torn line is gone before the next one is written"
        again = make()
        with attach(again, state):
            assert again.documents[first.id].voucher_no == "记-1"
            assert again.documents[second.id].voucher_no == ""
            again.write_back([voucher(second, "记-3")])
        for line in state.read_text(encoding="utf-8").splitlines():
            json.loads(line)
        third = make()
        with attach(third, state):
            assert third.documents[second.id].voucher_no == "记-3"

    def test_the_file_of_another_world_is_refused(self, world: World, tmp_path: Path) -> None:
        state = tmp_path / "hesi.state"
        with attach(world, state):
            world.change("delete", pick(world, "expense", "paid").id)
        before = state.read_bytes()
        other = generate_world(400, seed=10)
        with pytest.raises(EmulatorError, match="written for other data"), attach(other, state):
            raise AssertionError("must not be entered")
        assert state.read_bytes() == before

    @pytest.mark.parametrize("content", ["hello\n", "[1]\n", '{"format": "x"}\n'])
    def test_a_foreign_file_is_left_alone(self, world: World, tmp_path: Path, content: str) -> None:
        state = tmp_path / "notes.txt"
        state.write_text(content)
        with pytest.raises(EmulatorError, match="not a state file"), attach(world, state):
            raise AssertionError("must not be entered")
        assert state.read_text() == content

    def test_an_empty_file_starts_anew(self, world: World, tmp_path: Path) -> None:
        state = tmp_path / "hesi.state"
        state.touch()
        with attach(world, state):
            world.change("delete", pick(world, "expense", "paid").id)
        assert len(state.read_text(encoding="utf-8").splitlines()) == 2
