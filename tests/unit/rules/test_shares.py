"""Fractions and what is left of them, residues, lines by day, and claims that several legal entities share."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from include.domain.errors import FixConfig
from include.rules import RuleSet, load_rules
from include.settings import Book, ResidueAccount
from tests.unit.rules.cases import book, document, ledger, line, problems, run, write_rules

ACCOUNTS = (
    "key,account,note\nexpense,6602,\nbank,1002,\ntax,2221.05,\nrounding,6603.09,\nintercompany,1221.05,\n"
)
HEAD = """templates:
  - id: claim
    event: claim
    title: {zh: 报销, en: claim}
    kinds: [expense_claim]
    summary: "{document.code}"
    lines:
"""
WITHHELD = (
    HEAD
    + """      - {name: expense, for_each: line, side: debit, measure: gross, account: {key: expense}}
      - {name: withheld, for_each: line, side: credit, measure: gross, fraction: 0.2, account: {key: tax},
         merge: account_and_dimensions}
      - {name: paid, for_each: line, side: credit, measure: gross, less: [withheld], account: {key: bank},
         merge: account_and_dimensions}
"""
)


def rules(folder: Path, template: str, **tables: str) -> RuleSet:
    files = {"claims.yaml": template, "accounts.csv": ACCOUNTS}
    return load_rules(*write_rules(folder, files | {f"{name}.csv": text for name, text in tables.items()}))


def of(residue: Any = "largest_line", **fields: Any) -> Book:
    return book().model_copy(update={"residue": residue, **fields})


def amounts(made: Any, entry: str) -> list[int]:
    return made.lines.filter(entry=entry)["amount_minor"].to_list()


def test_a_fraction_is_taken_of_the_document_and_the_rest_is_what_it_leaves(tmp_path: Path) -> None:
    ruleset = rules(tmp_path, WITHHELD)
    made = run(
        ruleset,
        of(),
        [document(gross_minor=36)],
        [line(no=1, amount=12), line(no=2, amount=12), line(no=3, amount=12)],
    )
    # 20 % of 0.36 is 0.07, of each 0.12 it is 0.02: the cent that is missing is not lost.
    assert ledger(made) == (
        "2026-03-05 记 claim 0.36 CNY 附1张\n"
        "  借 6602               0.12 |  | B0001\n"
        "  借 6602               0.12 |  | B0001\n"
        "  借 6602               0.12 |  | B0001\n"
        "  贷 2221.05            0.07 |  | B0001\n"
        "  贷 1002               0.29 |  | B0001"
    )


@pytest.mark.parametrize(
    ("residue", "shares"),
    [("largest_line", [4, 2, 2]), ("last_line", [3, 2, 3])],
)
def test_the_cent_goes_where_the_book_says(tmp_path: Path, residue: str, shares: list[int]) -> None:
    ruleset = rules(tmp_path, WITHHELD.replace(",\n         merge: account_and_dimensions", ""))
    lines = [line(no=1, amount=14), line(no=2, amount=12), line(no=3, amount=12)]
    for order in (lines, lines[::-1]):
        made = run(ruleset, of(residue), [document(gross_minor=38)], order)
        assert amounts(made, "withheld") == shares
        assert amounts(made, "paid") == [a - s for a, s in zip([14, 12, 12], shares, strict=True)]


def test_the_cent_may_have_an_account_of_its_own(tmp_path: Path) -> None:
    made = run(
        rules(tmp_path, WITHHELD),
        of(ResidueAccount(account="rounding")),
        [document(gross_minor=36)],
        [line(no=n, amount=12) for n in (1, 2, 3)],
    )
    assert made.lines.filter(account="2221.05")["amount_minor"].sum() == 6
    assert made.lines.filter(account="1002")["amount_minor"].sum() == 30
    assert made.lines.filter(account="6603.09")["amount_minor"].to_list() == [1, -1]


def test_a_policy_with_an_unknown_account_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(FixConfig, match=r"residue.account: 'nothing'.*rounding"):
        run(rules(tmp_path, WITHHELD), of(ResidueAccount(account="nothing")), [document()], [line()])


FOREIGN = (
    HEAD
    + """      - {name: expense, for_each: line, side: debit, measure: gross, account: {key: expense}}
      - {name: paid, side: credit, measure: payable, account: {key: bank}}
"""
)


@pytest.mark.parametrize(
    ("residue", "expected"),
    [
        ("largest_line", [712, 721, 711]),
        ("last_line", [712, 720, 712]),
        (ResidueAccount(account="rounding"), [712, 720, 711, 1]),
    ],
)
def test_lines_converted_one_by_one_add_up_to_the_document(
    tmp_path: Path, residue: Any, expected: list[int]
) -> None:
    foreign = {"currency": "USD", "functional_minor": None}
    lines = [
        line(no=1, amount=100, **foreign | {"functional_minor": 712}),
        line(no=2, amount=101, **foreign | {"functional_minor": 720}),
        line(no=3, amount=100, **foreign | {"functional_minor": 711}),
    ]
    claim = document(gross_minor=2144, currency="USD", transaction_gross_minor=301)
    made = run(rules(tmp_path, FOREIGN), of(residue), [claim], lines)
    assert problems(made) == []
    debits = made.lines.filter(side="debit")
    assert sorted(debits["amount_minor"]) == sorted(expected)
    assert debits.filter(entry="residue")["account"].to_list() == ["6603.09"] * (len(expected) - 3)


def test_a_difference_that_rounding_cannot_explain_is_not_put_anywhere(tmp_path: Path) -> None:
    claim = document(gross_minor=722, currency="USD", transaction_gross_minor=101)
    made = run(
        rules(tmp_path, FOREIGN), of(), [claim], [line(amount=101, currency="USD", functional_minor=720)]
    )
    assert problems(made) == [(1, "rules.unbalanced")]


def test_lines_of_one_day_become_one(tmp_path: Path) -> None:
    text = (
        HEAD
        + """      - {name: expense, for_each: line, side: debit, measure: gross, account: {key: expense}, merge: day,
         summary: "{document.code} {line.occurred_on}"}
      - {name: paid, side: credit, measure: gross, account: {key: bank}}
"""
    )
    days = [date(2026, 3, 2), date(2026, 3, 1), date(2026, 3, 2)]
    lines = [line(no=n, amount=100 * n, occurred_on=day) for n, day in enumerate(days, 1)]
    made = run(rules(tmp_path, text), of(), [document(gross_minor=600)], lines)
    debits = made.lines.filter(side="debit")
    assert debits.select("amount_minor", "summary").rows() == [
        (400, "B0001 2026-03-02"),
        (200, "B0001 2026-03-01"),
    ]


SHARED = """templates:
  - id: claim
    event: claim
    title: {zh: 报销, en: claim}
    kinds: [expense_claim]
    when: {document.is_own: {equals: "yes"}}
    summary: "{document.code}"
    lines:
      - {name: expense, for_each: line, side: debit, measure: net_of_deductible_tax, account: {key: expense},
         when: {line.is_own: {equals: "yes"}}}
      - {name: tax, for_each: line, side: debit, measure: deductible_tax, account: {key: tax},
         when: {line.is_own: {equals: "yes"}}}
      - {name: due_from, for_each: line, side: debit, measure: gross, account: {table: intercompany},
         when: {line.is_own: {equals: "no"}}}
      - {name: paid, side: credit, measure: payable, account: {key: bank}}
  - id: share
    event: claim_share
    title: {zh: 分摊, en: share}
    kinds: [expense_claim]
    when: {document.is_own: {equals: "no"}}
    summary: "{document.code}"
    lines:
      - {name: expense, for_each: line, side: debit, measure: net_of_deductible_tax, account: {key: expense},
         when: {line.is_own: {equals: "yes"}}}
      - {name: tax, for_each: line, side: debit, measure: deductible_tax, account: {key: tax},
         when: {line.is_own: {equals: "yes"}}}
      - {name: due_to, for_each: line, side: credit, measure: gross, account: {table: intercompany_owed},
         when: {line.is_own: {equals: "yes"}}}
"""


def test_a_claim_of_several_legal_entities_balances_in_each_book(tmp_path: Path) -> None:
    ruleset = rules(
        tmp_path,
        SHARED,
        intercompany="line.legal_entity,account\nE02,1221.02\nE03,1221.03\n",
        intercompany_owed="document.legal_entity,account\nE01,2241.01\n",
    )
    claim = document(gross_minor=10_000, legal_entity="E01 总部")
    lines = [
        line(no=1, amount=5_000, tax_minor=300),
        line(no=2, amount=3_000, tax_minor=170, legal_entity="E02 北京"),
        line(no=3, amount=2_000, legal_entity="E03 深圳"),
    ]
    made = {
        entity: run(ruleset, of(legal_entities=[entity], receives_unassigned=entity == "E01"), [claim], lines)
        for entity in ("E01", "E02", "E03")
    }
    net: dict[str, dict[str, int]] = {}
    for entity, one in made.items():
        assert problems(one) == []
        for row in one.lines.iter_rows(named=True):
            signed = row["amount_minor"] if row["side"] == "debit" else -row["amount_minor"]
            accounts = net.setdefault(entity, {})
            accounts[row["account"]] = accounts.get(row["account"], 0) + signed
    assert net == {
        "E01": {"6602": 4_700, "2221.05": 300, "1221.02": 3_000, "1221.03": 2_000, "1002": -10_000},
        "E02": {"6602": 2_830, "2221.05": 170, "2241.01": -3_000},
        "E03": {"6602": 2_000, "2241.01": -2_000},
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("less: [withheld]", "less: [nothing]"), r"less: 'nothing' .*withheld"),
        (("less: [withheld]", "less: [paid]"), "less: 'paid'"),
        (("less: [withheld]", "fraction: 0.1, less: [withheld]"), "fraction 和 less"),
        (("fraction: 0.2", "fraction: 1"), "fraction"),
        (("fraction: 0.2", "fraction: 0"), "fraction"),
        (("fraction: 0.2", "merge: day, fraction: 0.2, for_each: document"), "."),
    ],
)
def test_mistakes(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises(FixConfig, match=message):
        rules(tmp_path, WITHHELD.replace(*change, 1))
