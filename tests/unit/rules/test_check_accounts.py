"""Rules against the ledger's chart: accounts that it lacks, has closed, or does not post to, and dimensions it demands."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from include.domain.account import Account, Chart
from include.rules import check_accounts, load_rules
from tests.unit.rules.cases import example, write_rules
from tests.unit.rules.test_config_mistakes import GOOD

CHART_FILE = Path("include/embedded/tryton/chart_cn.csv")


def shipped_chart() -> Chart:
    with CHART_FILE.open(encoding="utf-8-sig", newline="") as file:
        return Chart.of(
            Account(
                row["code"],
                row["name"],
                is_leaf=bool(row["type"]),
                required_dimensions=frozenset({"party"} if row["party_required"] else ()),
            )
            for row in csv.DictReader(file)
        )


@pytest.mark.parametrize("book_id", ["acme", "eur"])
def test_the_example_rules_fit_the_chart_that_ships(book_id: str) -> None:
    assert check_accounts(example(book_id)[1], shipped_chart()) == ()


def account(code: str, **fields: object) -> Account:
    return Account(code, f"科目{code}", **{"is_leaf": True, **fields})  # type: ignore[arg-type]


def test_every_kind_of_finding(tmp_path: Path) -> None:
    files = {
        **GOOD,
        "expense_accounts.csv": "line.fee_type,account\nA,6602\nB,6602.01\nC,6602.02\nD,9999\nE,5301\n",
    }
    rules = load_rules(*write_rules(tmp_path, files))
    chart = Chart.of(
        [
            account("1002", is_active=False),
            account("6602", is_leaf=False),
            account("6602.01", required_dimensions=frozenset({"department"})),
            account("6602.02", required_dimensions=frozenset({"party"})),
            account("5301", required_dimensions=frozenset({"project", "department"})),
        ]
    )
    found = {(p.code, Path(p.where).name) for p in check_accounts(rules, chart)}
    assert found == {
        ("rules.account_closed", "accounts.csv:2"),
        ("rules.account_not_leaf", "expense_accounts.csv:2"),
        ("rules.account_missing", "expense_accounts.csv:5"),
        ("rules.dimension_not_supplied", "a.yaml:8"),
    }
    texts = [str(p) for p in check_accounts(rules, chart)]
    assert any("6602.02" in text and "party" in text for text in texts)
    assert any("5301" in text and "project" in text for text in texts)
    assert not any("6602.01 " in text for text in texts)


@pytest.mark.parametrize("kind", ["employee", "supplier"])
def test_an_employee_or_a_supplier_is_a_party(tmp_path: Path, kind: str) -> None:
    source = {"employee": "document.submitter", "supplier": "document.supplier"}[kind]
    files = {
        **GOOD,
        "a.yaml": GOOD["a.yaml"].replace(
            "{key: bank}", f"{{key: bank}}\n        dimensions: {{{kind}: {source}}}"
        ),
    }
    rules = load_rules(*write_rules(tmp_path, files))
    party = frozenset({"party"})
    chart = Chart.of([account("1002", required_dimensions=party), account("6602.01")])
    assert check_accounts(rules, chart) == ()


def test_the_tables_own_dimensions_count(tmp_path: Path) -> None:
    files = {**GOOD, "expense_accounts.csv": "line.fee_type,account,dimensions\nA,1,department\nB,2,\n"}
    rules = load_rules(*write_rules(tmp_path, files))
    needed = frozenset({"department"})
    chart = Chart.of(
        [account("1002"), account("1", required_dimensions=needed), account("2", required_dimensions=needed)]
    )
    (problem,) = check_accounts(rules, chart)
    assert "科目 2 " in problem.zh
