"""The measure of the golden cases: mistakes in rules are caught, and what is no mistake is proved to be none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from include.domain.money import currency_decimals
from scripts.mutate_rules import FLOOR, Verdict, World, report, verdicts, world_of
from scripts.rule_equivalence import difference
from scripts.rule_mutants import Mutant, mutants_of
from tests.unit.rules.cases import example


@pytest.fixture(scope="module")
def acme() -> World:
    return world_of("acme", None)


@pytest.fixture(scope="module")
def mutants(acme: World) -> list[Mutant]:
    return list(mutants_of(acme.rules.rules_dir, acme.rules.tables_dir))


def test_one_mistake_of_every_kind_is_caught(acme: World, mutants: list[Mutant]) -> None:
    by_kind: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        by_kind[mutant.kind].append(mutant)
    first = verdicts(acme, [of_kind[0] for of_kind in by_kind.values()])
    harmless = [each.mutant.kind for each in first if each.outcome == "equivalent"]
    further = verdicts(acme, [mutant for kind in harmless for mutant in by_kind[kind][1:5]])
    found = [*first, *further]
    assert [each.mutant.what for each in found if each.outcome == "survived"] == []
    assert {each.mutant.kind for each in found if each.outcome == "killed"} == set(by_kind)
    assert {each.by for each in found} >= {"golden cases", "loading"}
    assert len(by_kind) > 20


def test_a_change_that_changes_nothing_is_proved_so(acme: World, mutants: list[Mutant]) -> None:
    harmless = [
        next(m for m in mutants if m.kind == "merge" and "purchase_invoice.payable:" in m.what),
        next(m for m in mutants if m.kind == "required" and m.file == "receipts.yaml"),
        next(m for m in mutants if m.kind == "event" and "purchase_order" in m.what),
        next(m for m in mutants if m.kind == "priority" and "purchase" in m.file and m.line == 2),
    ]
    assert [each.outcome for each in verdicts(acme, harmless)] == ["equivalent"] * len(harmless)


def test_mutants_change_the_files_and_are_put_back(acme: World, mutants: list[Mutant]) -> None:
    assert len(mutants) == len({(m.file, m.line, m.kind, m.what) for m in mutants})
    again = [m for m in mutants if m.kind == "word"][:1] * 2
    first, second = verdicts(acme, again)
    assert (first.outcome, first.by) == (second.outcome, second.by) == ("killed", "golden cases")


def _changed_rows() -> Iterator[tuple[str, object]]:
    _, rules = example("acme")
    table = rules.tables["expense_accounts"]
    first, *rest = table.rows
    yield "account", replace(table, rows=(replace(first, account="6602.10"), *rest))
    yield "dimensions", replace(table, rows=(replace(first, dimensions=frozenset()), *rest))
    yield "priority below others", replace(table, rows=(replace(first, priority=-1), *rest))
    yield "dropped", replace(table, rows=tuple(rest))


@pytest.mark.parametrize(
    ("name", "table"), list(_changed_rows()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_row_that_matters_is_not_called_equivalent(name: str, table: object) -> None:
    book, rules = example("acme")
    decimals = currency_decimals(book.currency)
    changed = replace(rules, digest=name, tables={**rules.tables, "expense_accounts": table})  # type: ignore[dict-item]
    assert difference(rules, changed, book, decimals) == "expense_accounts"
    assert difference(rules, replace(rules, digest=name), book, decimals) is None


def test_the_score_counts_what_is_not_equivalent() -> None:
    mutant = Mutant("side", "a.yaml", 3, "t.e: credit for debit", "", frozenset())
    found = [
        Verdict("acme", mutant, outcome, "x") for outcome in ("killed", "killed", "survived", "equivalent")
    ]
    told = report(found)
    assert (told["score"], told["killed"], told["equivalent"]) == (0.6667, 2, 1)
    assert told["score"] < FLOOR
    assert [(each["file"], each["line"]) for each in told["survived"]] == [("a.yaml", 3)]
    assert told["by_kind"] == {"side": {"killed": 2, "survived": 1, "equivalent": 1}}


def test_every_account_of_the_shipped_rules_stands_in_a_golden_case(acme: World) -> None:
    texts = "\n".join(path.read_text("utf-8") for path in Path("tests/golden/rules").glob("*.yaml"))
    by_policy = acme.book.after_posting.prior_year_account  # no template uses it: see docs/corrections.md
    accounts = {keyed.account for key, keyed in acme.rules.accounts.items() if key != by_policy}
    accounts |= {row.account for table in acme.rules.tables.values() for row in table.rows}
    assert {account for account in accounts if f" {account} " not in texts} == set()
