"""Corrections: what is in the ledger becomes what the new rules would have made, once, in open periods, both or neither."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import select, update

from include.adapters.ledger.tryton import build_ledger
from include.conformance.ledger.tryton import serving
from include.domain.document import Disposition
from include.domain.errors import FixConfig, RetryLater
from include.domain.period import FiscalPeriod, PeriodState
from include.domain.voucher import LedgerVoucherState, VoucherStatus
from include.ports import LedgerGateway
from include.settings import load_settings
from include.stages.context import StageContext
from include.stages.correct import CorrectResult, Plan, correct
from include.stages.extract import extract
from include.stages.generate import generate
from include.stages.post import post
from include.stages.reconcile import reconcile
from include.stages.replay import Comparison, replay
from include.stages.rules import rules_in_force
from include.stages.write_back import write_back
from include.store import audit
from include.store import tables as t
from include.store.engine import reading, writing
from tests.conftest import FakeClock
from tests.documents import HOTEL, claim, line, loan
from tests.fakes.ledger import FakeLedger, Loss
from tests.fakes.source import FakeSource
from tests.unit.stages.conftest import MakeContext
from tests.unit.stages.flow import ALL, accept_all, posted

FIRST, LAST = date(2026, 1, 1), date(2026, 12, 31)
MARCH = FiscalPeriod(2026, 3)
HOTEL_ROW = "COST1*,*,*,,6602.10,"
OFFICE = replace(HOTEL, id="F2", code="COST40")


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


@pytest.fixture
def make(
    oa: FakeSource, make_context: MakeContext, tmp_path: Path
) -> Callable[[LedgerGateway], StageContext]:
    folder = Path(shutil.copytree("include/config", tmp_path / "config"))

    def contexts(gateway: LedgerGateway) -> StageContext:
        return replace(make_context(oa, gateway), settings=load_settings(folder))

    return contexts


@pytest.fixture
def ctx(make: Callable[[LedgerGateway], StageContext], ledger: FakeLedger) -> StageContext:
    return make(ledger)


def change(ctx: StageContext, account: str, row: str = HOTEL_ROW) -> None:
    """Write another account into a row of the book's own table."""
    path = ctx.settings.config_dir / "tables/acme/expense_accounts.csv"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    start = row.rpartition(",6602")[0] + ","
    at = next(n for n, text in enumerate(lines) if text.startswith(start))
    lines[at] = f"{start}{account},\n"
    path.write_text("".join(lines), "utf-8")


def corrected(ctx: StageContext) -> CorrectResult:
    return correct(ctx, FIRST, LAST)


def rows(ctx: StageContext) -> list[tuple[str, str, str]]:
    """(event, relation, status) of every voucher, oldest first."""
    v = t.voucher.c
    with reading(ctx.store.engine) as connection:
        return [
            tuple(row) for row in connection.execute(select(v.event, v.relation, v.status).order_by(v.id))
        ]


def balances(ledger: LedgerGateway, period: FiscalPeriod = MARCH) -> dict[str, tuple[int, int]]:
    return {
        each.account: (each.debit_minor, each.credit_minor)
        for each in ledger.trial_balance(period)
        if each.debit_minor or each.credit_minor
    }


def test_the_ledger_ends_as_if_the_new_rules_had_been_used_at_once(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    oa.put(loan(9, 50_000))
    posted_before = 3
    for number in range(1, posted_before + 1):
        oa.put(claim(number, line(1), line(2, 5_000 * number, 0, fee_type=OFFICE)))
    run_all(ctx)
    before = balances(ledger)
    change(ctx, "6602.02")
    result = corrected(ctx)
    assert (result.documents, result.reversals, result.replacements, result.withdrawn) == (3, 3, 3, 0)
    assert result.not_corrected == ()
    assert balances(ledger) == before, "nothing is in the ledger before it is posted"
    assert post(ctx, ALL).posted == 6
    after = balances(ledger)
    assert after == {**{k: v for k, v in before.items() if k != "6602.10"}, "6602.02": before["6602.10"]}
    assert reconcile(ctx, ALL).discrepancies == 0
    assert replay(ctx, FIRST, LAST, ctx.settings.config_dir).changed_documents == 0


def run_all(ctx: StageContext) -> None:
    extract(ctx)
    accept_all(ctx)
    generate(ctx, ALL)
    post(ctx, ALL)


def test_a_reversal_is_the_red_copy_of_its_original_and_names_it(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    posted(ctx, oa, 1)
    change(ctx, "6602.02")
    corrected(ctx)
    post(ctx, ALL)
    original, reversal, replacement = ledger.vouchers_by_id.values()
    assert [str(voucher.key).split("/")[4] for voucher in ledger.vouchers_by_id.values() if voucher.key] == [
        "expense_claim",
        "expense_claim.reversal",
        "expense_claim.2",
    ]
    assert {original.date, reversal.date, replacement.date} == {original.date}
    for theirs, ours in zip(original.lines, reversal.lines, strict=True):
        assert (ours.side, ours.account, ours.dimensions) == (theirs.side, theirs.account, theirs.dimensions)
        assert ours.amount == -theirs.amount
        assert ours.summary == f"冲销 {original.date} {original.number} {theirs.summary}"[:200]
    assert [line.account for line in replacement.lines][:1] == ["6602.02"]


def test_a_foreign_amount_is_taken_back_too(ctx: StageContext, oa: FakeSource, ledger: FakeLedger) -> None:
    abroad = line(1, 1_000, 0, currency="USD", functional_amount=7_100)
    oa.put(claim(1, abroad, currency="USD", transaction_gross=1_000, gross=7_100, payable=7_100))
    run_all(ctx)
    change(ctx, "6602.02")
    corrected(ctx)
    post(ctx, ALL)
    by_account: Counter[tuple[str, str]] = Counter()
    for voucher in ledger.vouchers_by_id.values():
        for each in voucher.lines:
            if each.transaction is not None:
                by_account[each.account, each.side] += each.transaction.minor
    assert {key: total for key, total in by_account.items() if total} == {
        ("6602.02", "debit"): 1_000,
        ("1002", "credit"): 1_000,
    }


def test_correcting_twice_makes_nothing_twice(ctx: StageContext, oa: FakeSource) -> None:
    posted(ctx, oa, 2)
    change(ctx, "6602.02")
    assert corrected(ctx).documents == 2
    assert corrected(ctx).documents == 0
    post(ctx, ALL)
    assert corrected(ctx).documents == 0
    assert len(rows(ctx)) == 6


def test_corrections_are_corrected_in_turn(ctx: StageContext, oa: FakeSource, ledger: FakeLedger) -> None:
    posted(ctx, oa, 1)
    for account in ("6602.02", "6602.03"):
        change(ctx, account)
        corrected(ctx)
        post(ctx, ALL)
    assert [event for event, _, _ in rows(ctx)] == [
        "expense_claim",
        "expense_claim.reversal",
        "expense_claim.2",
        "expense_claim.2.reversal",
        "expense_claim.3",
    ]
    assert balances(ledger) == {"6602.03": (10_600, 0), "1002": (0, 10_600)}
    change(ctx, "6602.10")
    corrected(ctx)
    post(ctx, ALL)
    assert balances(ledger) == {"6602.10": (10_600, 0), "1002": (0, 10_600)}


def test_rules_that_change_back_before_posting_withdraw_the_corrections(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    posted(ctx, oa, 1)
    before = balances(ledger)
    change(ctx, "6602.02")
    corrected(ctx)
    change(ctx, "6602.10")
    assert corrected(ctx).withdrawn == 2
    assert post(ctx, ALL).posted == 0
    assert balances(ledger) == before
    change(ctx, "6602.02")
    assert corrected(ctx).replacements == 1
    assert post(ctx, ALL).posted == 2
    assert balances(ledger) == {"6602.02": (10_600, 0), "1002": (0, 10_600)}


def test_rules_that_change_again_before_posting_rewrite_the_replacement(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    posted(ctx, oa, 1)
    for account in ("6602.02", "6602.03"):
        change(ctx, account)
        corrected(ctx)
    assert len(rows(ctx)) == 3
    post(ctx, ALL)
    assert balances(ledger) == {"6602.03": (10_600, 0), "1002": (0, 10_600)}


def test_a_closed_period_is_left_alone_and_named(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    posted(ctx, oa, 1)
    ledger.states[MARCH] = PeriodState.CLOSED
    change(ctx, "6602.02")
    result = corrected(ctx)
    (left,) = result.not_corrected
    assert (result.documents, left.code, left.reason) == (0, "B26000001", "period_closed")
    assert "重新打开" in left.zh
    assert len(rows(ctx)) == 1
    ledger.states[MARCH] = PeriodState.OPEN
    assert corrected(ctx).documents == 1


def test_a_document_that_the_rules_refuse_now_keeps_its_voucher(ctx: StageContext, oa: FakeSource) -> None:
    oa.put(claim(1, line(1, project=None), project=None))
    run_all(ctx)
    path = ctx.settings.config_dir / "rules/acme/claims.yaml"
    text = path.read_text("utf-8")
    path.write_text(
        text.replace(
            "dimensions: {department: line.department}\n        optional_dimensions: {project: line.project}",
            "dimensions: {department: line.department, project: line.project}",
            1,
        ),
        "utf-8",
    )
    result = corrected(ctx)
    (left,) = result.not_corrected
    assert (result.documents, left.reason) == (0, "refused")
    assert "项目" in left.zh
    assert len(rows(ctx)) == 1


def test_vouchers_that_were_never_sent_are_left_to_generate(ctx: StageContext, oa: FakeSource) -> None:
    oa.put(claim(1))
    extract(ctx)
    accept_all(ctx)
    generate(ctx, ALL)
    change(ctx, "6602.02")
    assert corrected(ctx).documents == 0
    generate(ctx, ALL)
    assert rows(ctx) == [("expense_claim", "", "generated")]
    assert replay(ctx, FIRST, LAST, ctx.settings.config_dir).changed_documents == 0


def test_generate_leaves_corrections_alone(ctx: StageContext, oa: FakeSource) -> None:
    posted(ctx, oa, 1)
    change(ctx, "6602.02")
    corrected(ctx)
    before = rows(ctx)
    result = generate(ctx, ALL)
    assert (result.documents, result.quarantined) == (0, 0)
    assert rows(ctx) == before
    assert post(ctx, ALL).posted == 2


def test_a_voucher_in_doubt_is_settled_first(ctx: StageContext, oa: FakeSource) -> None:
    posted(ctx, oa, 1)
    with writing(ctx.store.engine) as connection:
        connection.execute(update(t.voucher).values(status=VoucherStatus.UNKNOWN))
    change(ctx, "6602.02")
    (left,) = corrected(ctx).not_corrected
    assert left.reason == "in_doubt"
    post(ctx, ALL)
    assert corrected(ctx).documents == 1


def test_a_replacement_never_stands_without_its_reversal(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    posted(ctx, oa, 1)
    before = balances(ledger)
    change(ctx, "6602.02")
    corrected(ctx)
    ledger.accounts["6602.10"] = replace(ledger.accounts["6602.10"], is_active=False)
    result = post(ctx, ALL)
    assert (result.posted, result.rejected) == (0, 1)
    assert balances(ledger) == before
    assert rows(ctx)[1:] == [
        ("expense_claim.reversal", "reversal", "rejected"),
        ("expense_claim.2", "replacement", "generated"),
    ]
    ledger.accounts["6602.10"] = replace(ledger.accounts["6602.10"], is_active=True)
    accept_all(ctx)  # finance has put it right, the gate lets it through again
    corrected(ctx)
    assert post(ctx, ALL).posted == 2
    assert balances(ledger) == {"6602.02": (10_600, 0), "1002": (0, 10_600)}


def test_a_replacement_that_the_ledger_refused_is_made_again(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    posted(ctx, oa, 1)
    change(ctx, "6602.02")
    corrected(ctx)
    ledger.accounts["6602.02"] = replace(ledger.accounts["6602.02"], is_active=False)
    assert post(ctx, ALL).rejected == 1
    assert balances(ledger) == {}
    ledger.accounts["6602.02"] = replace(ledger.accounts["6602.02"], is_active=True)
    accept_all(ctx)
    assert corrected(ctx).replacements == 1
    assert post(ctx, ALL).posted == 1
    assert balances(ledger) == {"6602.02": (10_600, 0), "1002": (0, 10_600)}


@pytest.mark.parametrize("loss", list(Loss))
@pytest.mark.parametrize("after", [0, 1])
def test_a_lost_answer_while_posting_corrections_books_each_once(
    loss: Loss, after: int, ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    posted(ctx, oa, 1)
    change(ctx, "6602.02")
    corrected(ctx)
    ledger.lose(loss, after=after)
    post(ctx, ALL)
    post(ctx, ALL)
    assert balances(ledger) == {"6602.02": (10_600, 0), "1002": (0, 10_600)}
    assert len([v for v in ledger.vouchers_by_id.values() if v.state is LedgerVoucherState.POSTED]) == 3


def test_an_outage_while_correcting_leaves_nothing_half(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    posted(ctx, oa, 1)
    change(ctx, "6602.02")
    generate(ctx, ALL)
    ledger.fail("periods", RetryLater("断线 / down"))
    with pytest.raises(RetryLater):
        corrected(ctx)
    assert len(rows(ctx)) == 1
    assert corrected(ctx).documents == 1


def test_what_changed_while_it_was_decided_is_left_for_the_next_time(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    posted(ctx, oa, 2)
    change(ctx, "6602.02")
    generate(ctx, ALL)
    comparison = Comparison.of(ctx, FIRST, LAST, rules_in_force(ctx).ruleset)
    (changes,) = comparison.changes(comparison.candidates(brute_force=False))
    plan = Plan(ctx.book.id, changes, ledger.periods())
    plan.make()
    with writing(ctx.store.engine) as connection:  # meanwhile, somebody settles a voucher
        connection.execute(update(t.voucher).where(t.voucher.c.id == 1).values(status=VoucherStatus.CONFLICT))
    saved = ctx.store.corrections.save(
        ctx.book.id, plan.corrections, plan.lines(), rules=("d", 2), actor="test"
    )
    assert [correction.document_pk for correction in saved] == [2]
    assert [each.reason for each in plan.moved_on(saved)] == ["changed_meanwhile"]
    assert len(rows(ctx)) == 4


def test_the_oa_shows_the_replacement(ctx: StageContext, oa: FakeSource, clock: FakeClock) -> None:
    posted(ctx, oa, 2)
    write_back(ctx, ALL)
    assert oa.written["ID_1"].voucher_no == "记-1"
    clock.forward(60)
    change(ctx, "6602.02")
    corrected(ctx)
    assert write_back(ctx, ALL).written == 0, "the old number stands until the new one is in the ledger"
    post(ctx, ALL)
    assert write_back(ctx, ALL).written == 2
    new = {number for _, _, number in numbers(ctx) if number}
    assert {oa.written[i].voucher_no for i in ("ID_1", "ID_2")} == {
        number for event, _, number in numbers(ctx) if event == "expense_claim.2"
    }
    assert len(new) == 6
    assert write_back(ctx, ALL).written == 0


def numbers(ctx: StageContext) -> list[tuple[str, str, str]]:
    v = t.voucher.c
    with reading(ctx.store.engine) as connection:
        return [tuple(row) for row in connection.execute(select(v.event, v.document_id, v.ledger_number))]


def test_a_number_never_told_is_told_once_corrected(ctx: StageContext, oa: FakeSource) -> None:
    posted(ctx, oa, 1)
    change(ctx, "6602.02")
    corrected(ctx)
    post(ctx, ALL)
    write_back(ctx, ALL)
    assert oa.written["ID_1"].voucher_no == "记-3"


def test_without_a_voucher_left_the_oa_shows_none(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    posted(ctx, oa, 1)
    write_back(ctx, ALL)
    silence(ctx)
    result = corrected(ctx)
    assert (result.reversals, result.replacements) == (1, 0)
    post(ctx, ALL)
    assert balances(ledger) == {}
    assert write_back(ctx, ALL).written == 1
    assert oa.written["ID_1"].voucher_no == ""
    assert write_back(ctx, ALL).written == 0
    assert corrected(ctx).documents == 0
    assert replay(ctx, FIRST, LAST, ctx.settings.config_dir).changed_documents == 0


def silence(ctx: StageContext) -> None:
    """Rules under which claims make no voucher."""
    path = ctx.settings.config_dir / "rules/acme/claims.yaml"
    head, claims, rest = path.read_text("utf-8").partition("    lines:\n")
    _, loans, tail = rest.partition("  - id: loan\n")
    path.write_text(f"{head}    no_voucher: {{zh: 不做, en: none}}\n\n{loans}{tail}", "utf-8")
    assert claims


def test_an_event_under_another_name_replaces_the_old_one(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    posted(ctx, oa, 1)
    change(ctx, "6602.02")
    path = ctx.settings.config_dir / "rules/acme/claims.yaml"
    path.write_text(path.read_text("utf-8").replace("event: expense_claim", "event: travel"), "utf-8")
    corrected(ctx)
    post(ctx, ALL)
    assert rows(ctx)[1:] == [
        ("expense_claim.reversal", "reversal", "posted"),
        ("travel", "replacement", "posted"),
    ]
    assert balances(ledger) == {"6602.02": (10_600, 0), "1002": (0, 10_600)}
    assert corrected(ctx).documents == 0


def test_only_rules_that_are_in_force_are_applied(ctx: StageContext, oa: FakeSource, tmp_path: Path) -> None:
    posted(ctx, oa, 1)
    other = Path(shutil.copytree(ctx.settings.config_dir, tmp_path / "other"))
    change(ctx, "6602.02")
    with pytest.raises(FixConfig, match="只能按已生效的规则更正"):
        correct(ctx, FIRST, LAST, other)
    assert len(rows(ctx)) == 1
    assert correct(ctx, FIRST, LAST, ctx.settings.config_dir).documents == 1


def test_rules_that_are_refused_correct_nothing(ctx: StageContext, oa: FakeSource) -> None:
    posted(ctx, oa, 1)
    change(ctx, "9999.99")
    with pytest.raises(FixConfig, match=r"9999\.99"):
        corrected(ctx)
    assert len(rows(ctx)) == 1


def test_each_correction_is_in_the_audit_chain(ctx: StageContext, oa: FakeSource) -> None:
    posted(ctx, oa, 1)
    change(ctx, "6602.02")
    corrected(ctx)
    a = t.audit_event.c
    with reading(ctx.store.engine) as connection:
        (row,) = connection.execute(select(a.subject, a.detail).where(a.action == "voucher.corrected")).all()
        assert audit.verify(connection) is None
    assert row.subject == "VF/acme/hesi/ID_1/expense_claim/1"
    assert "expense_claim.reversal/1" in row.detail
    assert "expense_claim.2/1" in row.detail


def test_a_withdrawn_document_s_corrections_are_not_sent(ctx: StageContext, oa: FakeSource) -> None:
    posted(ctx, oa, 1)
    change(ctx, "6602.02")
    corrected(ctx)
    with writing(ctx.store.engine) as connection:
        connection.execute(update(t.source_document).values(disposition=Disposition.QUARANTINED))
    assert post(ctx, ALL).posted == 0


@pytest.fixture
def tryton(
    new_ledger: Callable[[], Path], make: Callable[[LedgerGateway], StageContext]
) -> Iterator[StageContext]:
    with serving(new_ledger()) as running:
        settings = load_settings()
        yield make(build_ledger(settings.book("acme"), running.endpoint))


def test_on_tryton_the_trial_balance_is_that_of_the_new_rules(tryton: StageContext, oa: FakeSource) -> None:
    posted(tryton, oa, 2)
    before = balances(tryton.ledger)
    change(tryton, "6602.02")
    assert corrected(tryton).documents == 2
    assert post(tryton, ALL).posted == 4
    nets = {account: debit - credit for account, (debit, credit) in balances(tryton.ledger).items()}
    assert {account: net for account, net in nets.items() if net} == {
        "6602.02": before["6602.10"][0],
        "1002": -before["1002"][1],
    }
    assert reconcile(tryton, ALL).discrepancies == 0
