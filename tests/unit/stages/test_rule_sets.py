"""Rules in force: proved before they come, refused as a whole, kept for ever, and there again when they are asked for."""

from __future__ import annotations

import logging
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from include.domain.errors import FixConfig, RetryLater
from include.rules import generate as apply_rules
from include.rules.ruleset import load_rules
from include.settings import load_settings
from include.stages.context import StageContext
from include.stages.generate import generate
from include.stages.rules import RuleFolders, restore, rules_in_force
from include.stages.summary import summarise
from include.store import audit
from include.store import tables as t
from include.store.engine import reading
from include.store.rule_sets import RuleSetVersion
from tests.fakes.ledger import FakeLedger
from tests.fakes.source import FakeSource
from tests.unit.rules.cases import document, line, sources
from tests.unit.stages.conftest import MakeContext
from tests.unit.stages.flow import ALL, ready


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


@pytest.fixture
def ctx(oa: FakeSource, ledger: FakeLedger, make_context: MakeContext, tmp_path: Path) -> StageContext:
    """Book acme with a copy of its configuration, which tests may change."""
    folder = shutil.copytree("include/config", tmp_path / "config")
    return replace(make_context(oa, ledger), settings=load_settings(folder))


def table(ctx: StageContext) -> Path:
    return ctx.settings.tables_dir(ctx.book) / "expense_accounts.csv"


def change(ctx: StageContext, old: str = "6602.10", new: str = "6602.02") -> None:
    text = table(ctx).read_text("utf-8")
    assert old in text
    table(ctx).write_text(text.replace(old, new), "utf-8")


def versions(ctx: StageContext) -> list[int]:
    return [each.version for each in ctx.store.rule_sets.listed(ctx.book.id)]


def test_the_first_rules_come_into_force_with_an_audit_event(ctx: StageContext) -> None:
    found = rules_in_force(ctx)
    assert (found.version, found.refused) == (1, ())
    (kept,) = ctx.store.rule_sets.listed("acme")
    assert kept == RuleSetVersion("acme", 1, found.digest, "test", ctx.clock.now())
    a = t.audit_event.c
    with reading(ctx.store.engine) as connection:
        (event,) = connection.execute(select(a.action, a.actor, a.detail)).all()
        assert audit.verify(connection) is None
    assert (event.action, event.actor) == ("rules.in_force", "test")
    assert found.digest in event.detail


def test_rules_that_say_the_same_stay_the_same_version(ctx: StageContext) -> None:
    first = rules_in_force(ctx)
    text = table(ctx).read_text("utf-8")
    head, *rows = text.splitlines(keepends=True)
    table(ctx).write_text("".join([head, *reversed(rows)]), "utf-8")
    assert rules_in_force(ctx).version == first.version
    assert versions(ctx) == [1]


def test_changed_rules_are_the_next_version_and_old_ones_may_return(ctx: StageContext) -> None:
    first = rules_in_force(ctx)
    change(ctx)
    second = rules_in_force(ctx)
    assert second.digest != first.digest
    assert versions(ctx) == [2, 1]
    shutil.copy("include/config/tables/acme/expense_accounts.csv", table(ctx))
    third = rules_in_force(ctx)
    assert (third.version, third.digest) == (3, first.digest)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("6602.10", "6699.99", "6699.99"),  # not in the ledger's chart
        ("6602.10", "", "account"),  # does not even read
        ("COST1*,SALES*,*,,6601.12,", "COST1*,*,*,,6601.12,", "expense_accounts"),  # two rows that clash
    ],
)
def test_rules_with_a_mistake_are_refused_as_a_whole(
    old: str, new: str, why: str, ctx: StageContext, caplog: pytest.LogCaptureFixture
) -> None:
    before = rules_in_force(ctx)
    change(ctx, old, new)
    with caplog.at_level(logging.ERROR):
        found = rules_in_force(ctx)
    assert (found.version, found.digest) == (before.version, before.digest)
    assert any(why in message for message in found.refused)
    assert "整套不启用" in caplog.text
    assert why in caplog.text
    assert versions(ctx) == [1]
    made = [
        apply_rules(rules.ruleset, ctx.book, sources([document()], [line()])) for rules in (before, found)
    ]
    assert made[0].lines.equals(made[1].lines), (
        "what stays in force makes the same vouchers with the same traces"
    )


def test_a_folder_that_is_gone_leaves_the_rules_in_force(ctx: StageContext) -> None:
    before = rules_in_force(ctx)
    shutil.rmtree(ctx.settings.rules_dir(ctx.book))
    assert rules_in_force(ctx).digest == before.digest


def test_without_anything_in_force_a_mistake_stops_the_run(ctx: StageContext) -> None:
    change(ctx, "6602.10", "6699.99")
    with pytest.raises(FixConfig, match=r"6699\.99"):
        rules_in_force(ctx)
    assert versions(ctx) == []


def test_generate_goes_on_under_the_rules_in_force_and_says_so(ctx: StageContext, oa: FakeSource) -> None:
    ready(ctx, oa, 2)
    change(ctx, "6602.10", "6699.99")
    result = generate(ctx, ALL)
    assert (result.vouchers, result.rule_version) == (2, 1)
    assert any("6699.99" in message for message in result.rules_refused)
    with reading(ctx.store.engine) as connection:
        accounts = set(connection.scalars(select(t.journal_line.c.account)))
        assert set(connection.scalars(select(t.voucher.c.rule_version))) == {1}
    assert "6699.99" not in accounts


def test_the_summary_tells_the_version_and_whether_the_folder_says_the_same(ctx: StageContext) -> None:
    assert (summarise(ctx).rules, summarise(ctx).rules_current) == ("", False)
    found = rules_in_force(ctx)
    assert (summarise(ctx).rules, summarise(ctx).rules_current) == (f"1 {found.digest[:12]}", True)
    change(ctx, "6602.10", "6699.99")
    rules_in_force(ctx)
    assert (summarise(ctx).rules, summarise(ctx).rules_current) == (f"1 {found.digest[:12]}", False)


def test_each_voucher_carries_the_version_that_made_it(ctx: StageContext, oa: FakeSource) -> None:
    ready(ctx, oa, 1)
    change(ctx)
    assert generate(ctx, ALL).rule_version == 2
    with reading(ctx.store.engine) as connection:
        v = t.voucher.c
        assert connection.execute(select(v.rule_version, v.rule_digest)).all() == [
            (2, ctx.store.rule_sets.listed("acme")[0].digest)
        ]


def test_old_rules_come_back_whole_by_version_and_by_digest(ctx: StageContext) -> None:
    first = rules_in_force(ctx)
    change(ctx)
    rules_in_force(ctx)
    for which in (1, first.digest):
        restored = restore(ctx.store, "acme", which, RuleFolders.of(ctx))
        assert restored == first.ruleset
    assert restore(ctx.store, "acme", 9) is None
    assert restore(ctx.store, "other", 1) is None


def test_what_is_kept_are_the_files_as_they_stood(ctx: StageContext) -> None:
    folders = RuleFolders.of(ctx)
    wanted = folders.files()
    rules_in_force(ctx)
    change(ctx)
    kept = ctx.store.rule_sets.find("acme", 1)
    assert kept is not None
    assert kept.files == wanted
    assert {"rules/claims.yaml", "tables/accounts.csv", "tables/input_vat.csv"} <= set(kept.files)


def test_two_runs_at_once_make_one_version(ctx: StageContext) -> None:
    ruleset = load_rules(ctx.settings.rules_dir(ctx.book), ctx.settings.tables_dir(ctx.book))
    start = threading.Barrier(2)
    given: list[RuleSetVersion] = []

    def run(actor: str) -> None:
        start.wait()
        given.append(ctx.store.rule_sets.put_in_force("acme", ruleset.digest, {}, actor, 0))

    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert given[0] == given[1]
    assert versions(ctx) == [1]


def test_rules_that_another_run_replaced_meanwhile_are_tried_again(ctx: StageContext) -> None:
    rules_in_force(ctx)
    change(ctx)

    class Meanwhile(FakeLedger):
        """While its chart is read, another run puts other rules in force."""

        __slots__ = ()

        def chart(self):  # type: ignore[no-untyped-def]
            ctx.store.rule_sets.put_in_force("acme", "other", {}, "other", 1)
            return FakeLedger.chart(self)

    with pytest.raises(RetryLater, match="第 2 版"):
        rules_in_force(replace(ctx, connect_ledger=Meanwhile))
    assert versions(ctx) == [2, 1]


def test_a_chart_that_cannot_be_read_decides_nothing(ctx: StageContext, ledger: FakeLedger) -> None:
    ledger.fail("chart", RetryLater("断线 / down"))
    with pytest.raises(RetryLater):
        rules_in_force(ctx)
    assert versions(ctx) == []
    assert rules_in_force(ctx).version == 1
