"""Master data of the OA that a decision table has no row for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import pytest

from include.emulators.hesi.generated.company import found_company
from include.ports import MasterRecord
from include.rules import load_rules
from include.rules.coverage import check_coverage
from include.rules.proofs import Finding
from tests.unit.rules.cases import DAY, example

TEMPLATES = """
templates:
  - id: claim
    event: claim
    title: {zh: 报销, en: Claim}
    kinds: [expense_claim]
    summary: 报销
    lines:
      - {name: expense, for_each: line, side: debit, measure: gross, account: {table: expenses}, when: {},
         dimensions: {department: line.department}}
      - {name: paid, side: credit, measure: gross, account: {key: bank}}
  - id: receipt
    event: receipt
    title: {zh: 收款, en: Receipt}
    kinds: [receipt]
    summary: 收款
    lines:
      - {name: received, side: debit, measure: gross, account: {key: bank}}
      - {name: income, for_each: line, side: credit, measure: gross, account: {table: receipts}}
"""


def master(**codes: str) -> dict[str, list[MasterRecord]]:
    """`fee_type="A B -C"`: records by kind with these codes, named as they are; `-` marks one that is stopped."""
    return {
        kind: [
            MasterRecord(kind, f"id-{text}", text.removeprefix("-"), f"名{text}", is_active=text[0] != "-")
            for text in texts.split()
        ]
        for kind, texts in codes.items()
    }


def check(
    tmp_path: Path,
    expenses: str,
    of: Mapping[str, Sequence[MasterRecord]],
    receipts: str = "*,1\n",
    day: date = DAY,
    when: str = "{}",
) -> list[Finding]:
    (tmp_path / "claims.yaml").write_text(TEMPLATES.replace("when: {}", f"when: {when}"), "utf-8")
    (tmp_path / "accounts.csv").write_text("key,account\nbank,1002\n", "utf-8")
    (tmp_path / "expenses.csv").write_text(expenses, "utf-8")
    (tmp_path / "receipts.csv").write_text(f"line.fee_type,account\n{receipts}", "utf-8")
    return check_coverage(load_rules(tmp_path, tmp_path), 2, of, day)


TWO = "line.fee_type,line.department,account\n"


def test_one_finding_for_a_fee_type_with_its_departments(tmp_path: Path) -> None:
    found = check(tmp_path, TWO + "A,*,1\nB,D1,2\n", master(fee_type="A B C -X", department="D1 D2 D3 -D4"))
    assert [(one.code, one.severity.value) for one in found] == [("rules.not_covered", "warning")] * 2
    of_b, of_c = found
    assert "line.fee_type = B（名B）（部门 line.department = D2（名D2）、D3（名D3））" in of_b.zh
    assert "line.fee_type = B（名B） (line.department = D2（名D2）, D3（名D3）)" in of_b.en
    assert "line.fee_type = C（名C）。" in of_c.zh  # for all departments
    assert "claims.yaml#claim" in of_c.zh
    assert of_b.case == {"line.fee_type": "B", "line.department": "D2"}


def test_a_department_that_only_some_fee_types_know(tmp_path: Path) -> None:
    found = check(tmp_path, TWO + "A,D*,1\nB,D1|D2,2\n", master(fee_type="A B", department="D1 D2 D3"))
    assert [one.case for one in found] == [{"line.fee_type": "B", "line.department": "D3"}]


def test_a_code_that_is_empty_stands_for_its_id(tmp_path: Path) -> None:
    records = {"fee_type": [MasterRecord("fee_type", "ID7", "", "打车")]}
    assert [one.case["line.fee_type"] for one in check(tmp_path, TWO + "A,*,1\n", records)] == ["ID7"]


@pytest.mark.parametrize(
    ("receipts", "expected"),
    [("*,1\n", ["R1"]), ("R1,1\n*,2\n", []), ("R*,1\n", [])],
)
def test_a_fee_type_that_receipts_alone_name_is_not_asked_of_expenses(
    tmp_path: Path, receipts: str, expected: list[str]
) -> None:
    found = check(tmp_path, TWO + "A,*,1\n", master(fee_type="A R1", department="D1"), receipts)
    assert [one.case["line.fee_type"] for one in found if "expenses" in one.file] == expected


def test_a_fee_type_that_both_tables_name_is_asked_of_both(tmp_path: Path) -> None:
    found = check(tmp_path, TWO + "R1,D1,1\n", master(fee_type="R1", department="D1 D2"), "R1,1\n")
    assert [one.case for one in found] == [{"line.fee_type": "R1", "line.department": "D2"}]


def test_only_what_the_entry_lets_through_is_asked(tmp_path: Path) -> None:
    of = master(fee_type="A B C", department="D1")
    found = check(tmp_path, TWO + "A,*,1\n", of, when="{line.fee_type: {in: [A, B]}}")
    assert [one.case["line.fee_type"] for one in found] == ["B"]
    of = master(fee_type="A", department="D1 D2")
    assert check(tmp_path, TWO + "A,D1,1\n", of, when="{line.department: {in: [D1]}}") == []


def test_a_department_that_the_entry_needs_is_not_asked_for_as_missing(tmp_path: Path) -> None:
    assert check(tmp_path, TWO + "A,<present>,1\n", master(fee_type="A", department="D1")) == []


def test_rows_of_another_time_do_not_count(tmp_path: Path) -> None:
    dated = "line.fee_type,valid_from,valid_to,account\nA,,2026-03-31,1\n"
    assert check(tmp_path, dated, master(fee_type="A")) == []
    (found,) = check(tmp_path, dated, master(fee_type="A"), day=date(2026, 4, 1))
    assert found.case == {"line.fee_type": "A", "date": date(2026, 4, 1)}
    assert "2026-04-01" in found.zh


def test_what_else_a_row_asks_does_not_matter_here(tmp_path: Path) -> None:
    text = "line.fee_type,document.payment_channel,line.gross,account\nA,CASH,..100,1\n"
    assert check(tmp_path, text, master(fee_type="A")) == []


@pytest.mark.parametrize("book_id", ["acme", "eur"])
def test_the_shipped_tables_have_a_row_for_all_of_the_emulated_company(book_id: str) -> None:
    catalog = found_company(documents=500, seed=1, year=2026).catalog
    records = {
        kind: [MasterRecord(kind, item["id"], item["code"], item["name"]) for item in items]
        for kind, items in (("fee_type", catalog.fee_types), ("department", catalog.departments))
    }
    assert len(records["fee_type"]) > 20
    assert check_coverage(example(book_id)[1], 2, records, DAY) == []
