"""What the proofs say of decision tables: one mistake at a time, and a large table with known ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.rules import load_rules
from include.rules.defects import defects_of
from include.rules.proofs import Finding, Severity, check_tables
from include.rules.regions import Budget
from include.rules.tables import DecisionTable, TableRow
from include.rules.uses import model_of
from tests.unit.rules.cases import example
from tests.unit.rules.seeded_tables import ANY, Seeded, amounts, cell, rules, seeded, table

TWO = "line.fee_type,line.department,priority,account\n"
DATED = "line.fee_type,valid_from,valid_to,account\n"
TEMPLATE = """
templates:
  - id: claim
    event: claim
    title: {{zh: 报销, en: Claim}}
    kinds: [expense_claim]
    summary: 报销
    lines:
      - name: expense
        for_each: line
        side: debit
        measure: gross
        account: {{table: t}}
{expense}
      - {{name: paid, side: credit, measure: gross, account: {{key: bank}}}}
"""


def check(tmp_path: Path, text: str, expense: str = "") -> list[Finding]:
    """The findings about a table t.csv that the lines of expense claims use; `expense` is more YAML of that entry."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "tables").mkdir()
    indented = "\n".join(f"        {line}" for line in expense.splitlines())
    (tmp_path / "rules" / "claims.yaml").write_text(TEMPLATE.format(expense=indented), "utf-8")
    (tmp_path / "tables" / "accounts.csv").write_text("key,account\nbank,1002\n", "utf-8")
    (tmp_path / "tables" / "t.csv").write_text(text, "utf-8")
    return check_tables(load_rules(tmp_path / "rules", tmp_path / "tables"), decimals=2)


def told(found: list[Finding]) -> list[tuple[str, str, int, tuple[int, ...]]]:
    return [(one.code.removeprefix("rules."), one.severity.value, one.line, one.rows) for one in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TWO + "A,*,,1\n*,D1,,2\n", [("overlap", "error", 3, (2, 3))]),
        (TWO + "A,*,,1\n*,D1,1,2\n", []),
        (TWO + "A,*,,1\n*,D1,,2\nA,D1,,3\n", []),  # the exact row takes what both fit
        (TWO + "A*,*,,1\n*,D*,,2\nA*,D1,,3\n", [("overlap", "error", 3, (2, 3))]),  # but not all of it
        (
            TWO + "A*,*,,1\nAB*,*,,2\n",
            [("overlap", "error", 3, (2, 3))],
        ),  # a longer beginning is no higher rank
        (
            TWO + "A|B,*,,1\nB|C,*,,2\nC|A,*,,3\n",
            [("overlap", "error", 3, (2, 3)), ("overlap", "error", 4, (2, 3, 4))],
        ),
        (TWO + "*,<missing>,,1\n*,<present>,,2\n", []),
        # rows that never apply
        (TWO + "A,D1,,1\nA,*,1,2\n", [("unreachable", "error", 2, (2, 3))]),
        (TWO + "*,*,,1\n*,<present>,1,2\n*,<missing>,1,3\n", [("unreachable", "error", 2, (2, 3, 4))]),
        (TWO + "A|B,*,,1\nA,*,,2\nB,*,,3\n*,D1,9,4\n", [("unreachable", "error", 2, (2, 3, 4))]),
        (TWO + "A*,*,,1\nA,*,1,2\nAB*,*,1,3\n", []),  # other values that begin with A remain
        ("line.gross,account\n0.001..0.002,1\n1..2,2\n", [("unreachable", "error", 2, (2,))]),
        # gaps
        (TWO + "A,D1,,1\nA,D2,,2\nB,D1,,3\n", [("gap", "error", 4, ())]),
        (TWO + "A,D1,,1\nA,D2,,2\nB,D1,,3\n*,*,-1,4\n", []),
        (TWO + "A,*,,1\nB,*,,2\n", []),  # any other fee type is no gap
        (TWO + "A,<missing>,,1\n", [("gap", "error", 2, ())]),
        (TWO + "A,<present>,,1\n", [("gap", "error", 2, ())]),
        (TWO + "A,D1,,1\nA,<missing>,,2\n", []),  # any other department is not named
        (TWO + "A,D*,,1\nB,D1,,2\n", [("gap", "error", 3, ())]),
        # holes in time
        (DATED + "A,,2025-12-31,1\nA,2026-01-01,,2\n", []),
        (DATED + "A,,2025-12-30,1\nA,2026-01-01,,2\n", [("date_hole", "error", 3, (2, 3))]),
        (DATED + "A,,2025-12-30,1\nA,2026-01-01,,2\n*,,,3\n", [("date_hole", "warning", 3, (2, 3, 4))]),
        (DATED + "A,2025-01-01,2025-12-31,1\n", []),  # before the first and after the last is meant
        (
            DATED + "A,,2025-12-30,1\nA*,2026-01-01,,2\n",
            [("gap", "error", 2, ())],
        ),  # told of rows that differ otherwise
        # holes between amounts
        ("line.gross,account\n..500,1\n500.01..,2\n", []),
        ("line.gross,account\n..500,1\n501..,2\n", [("amount_hole", "error", 3, (2, 3))]),
        ("line.gross,account\n..500,1\n501..,2\n*,3\n", [("amount_hole", "warning", 3, (2, 3, 4))]),
        ("line.gross,account\n..500,1\n600..,2\n*,3\n", []),  # too wide for a slip
        ("line.gross,account\n..-0.01,1\n0.01..,2\n", []),  # no line is made of zero
    ],
)
def test_findings(tmp_path: Path, text: str, expected: list[tuple[str, str, int, tuple[int, ...]]]) -> None:
    assert told(check(tmp_path, text)) == expected


def test_what_a_finding_says(tmp_path: Path) -> None:
    (clash,) = check(tmp_path, TWO + "A*,*,,1\n*,D*,,2\nA*,D1,,3\n")
    assert clash.file == f"{tmp_path.name}/tables/t.csv"
    assert "第 3 行与第 2 行同级" in clash.zh
    assert "费用类型 line.fee_type = 'A'，部门 line.department = 'D'" in clash.zh
    assert "priority" in clash.zh
    assert "row 3 and row 2 rank equally" in clash.en
    assert clash.case == {"line.fee_type": "A", "line.department": "D"}
    assert str(clash).startswith(f"{tmp_path.name}/tables/t.csv:3: [rules.overlap] ")


def test_a_hole_says_from_when_to_when_and_who_takes_it(tmp_path: Path) -> None:
    (hole,) = check(tmp_path, DATED + "A,,2025-11-30,1\nA,2026-01-01,,2\n*,,,3\n")
    assert "第 2 行与第 3 行之间，日期 date 2025-12-01..2025-12-31 没有写，会落到第 4 行" in hole.zh
    assert "falls to row 4" in hole.en


def test_a_gap_is_told_once_with_all_its_values(tmp_path: Path) -> None:
    rows = [f"F{f},D{d},,1" for f in range(9) for d in range(4) if not (f in {3, 5} and d > 1)]
    (gap,) = check(tmp_path, TWO + "\n".join(rows))
    assert "费用类型 line.fee_type = F3、F5；部门 line.department = D2、D3" in gap.zh
    assert "line.fee_type = F3, F5; line.department = D2, D3" in gap.en


@pytest.mark.parametrize(
    ("text", "expense", "expected"),
    [
        # conditions of the entry
        (
            TWO + "A,*,,1\nB,*,,2\n",
            "when: {line.fee_type: {equals: A}}",
            [("unreachable", "warning", 3, (3,))],
        ),
        (
            TWO + "A,*,,1\n*,D1,,2\n",
            "when: {line.department: is_missing}",
            [("unreachable", "warning", 3, (3,))],
        ),
        (
            TWO + "A,D1,,1\nA,D2,,2\nB,D1,,3\n",
            "when: {line.fee_type: {in: [A]}}",
            [("unreachable", "warning", 4, (4,))],
        ),
        (
            TWO + "A,D1,,1\nA,D2,,2\n",
            "when: {line.department: {in: [D1, D2, D3]}}",
            [("gap", "error", 2, ())],
        ),
        # a line has the department of its document
        (TWO + "A,<present>,,1\n", "when: {document.department: not_missing}", []),
        # what the entry needs as a dimension is not missing, or is another problem
        (TWO + "A,<present>,,1\n", "dimensions: {department: line.department}", []),
        (
            TWO + "A,<present>,,1\n",
            "optional_dimensions: {department: line.department}",
            [("gap", "error", 2, ())],
        ),
        # facts that can only be yes or no
        ("line.is_own,account\nyes,1\n", "", [("gap", "error", 1, ())]),
        ("line.is_own,account\nyes,1\nno,2\n", "", []),
        ("line.is_own,account\nyes,1\nno,2\nmaybe,3\n", "", [("unreachable", "warning", 4, (4,))]),
        # a line without a department where the document has one cannot be
        (
            "line.department,document.department,account\n<missing>,<missing>,1\n<missing>,<present>,2\n<present>,*,3\n",
            "",
            [("unreachable", "warning", 3, (3,))],
        ),
        ("document.kind,account\nexpense_claim,1\nloan,2\n", "", [("unreachable", "warning", 3, (3,))]),
    ],
)
def test_what_entries_let_through(
    tmp_path: Path, text: str, expense: str, expected: list[tuple[str, str, int, tuple[int, ...]]]
) -> None:
    assert told(check(tmp_path, text, expense)) == expected


@pytest.mark.parametrize("book_id", ["acme", "eur"])
def test_the_shipped_tables_are_proved(book_id: str) -> None:
    assert check_tables(example(book_id)[1], decimals=2) == []


def misses_and_extras(
    found: list[Finding], defects: list[Seeded], of: DecisionTable
) -> tuple[list[object], list[object]]:
    """Seeded mistakes that no finding tells of, and findings that tell of none; each finding answers for one."""
    left, extra = list(defects), []
    for one in found:
        case = (str(one.case["line.fee_type"]), str(one.case["line.department"]))
        same = [
            seed
            for seed in left
            if seed.code == one.code and (seed.rows == set(one.rows) if seed.rows else seed.case == case)
        ]
        if same:
            left.remove(same[0])
        else:
            extra.append(one)
    return list(left), extra


def test_a_large_table_with_seeded_mistakes() -> None:
    of, defects = seeded(10_000, each=6, seed=20260301)
    assert len(of.rows) > 9_000
    assert len(defects) >= 50
    found = check_tables(rules(of), decimals=2)
    assert misses_and_extras(found, defects, of) == ([], [])


@settings(max_examples=15, deadline=None)
@given(st.integers(50, 600), st.integers(1, 4), st.integers(0, 10_000))
def test_seeded_mistakes_in_small_tables(rows: int, each: int, seed: int) -> None:
    of, defects = seeded(rows, each, seed)
    assert misses_and_extras(check_tables(rules(of), decimals=2), defects, of) == ([], [])


def numbered(*rows: tuple[str, str, int]) -> DecisionTable:
    return table(
        [
            TableRow(number, (cell(fee), cell(department), ANY, ANY), "1", priority)
            for number, (fee, department, priority) in enumerate(rows, start=2)
        ]
    )


def test_many_of_a_kind_are_listed_in_part_and_counted_in_full() -> None:
    fees = [(f"F{f}", "*", 0) for f in range(1000)]
    found = check_tables(rules(numbered(*fees, ("*", "*", 9))), decimals=2)
    assert Counter(one.code for one in found) == {"rules.unreachable": 201}
    assert "还有 800 处" in found[-1].zh
    assert {row for one in found for row in one.rows} == set(range(2, 1003))


def test_a_sparse_table_gives_few_findings() -> None:
    sparse = [(f"F{n % 97}", f"D{n % 89}", 0) for n in range(300)]
    found = check_tables(rules(numbered(*sparse)), decimals=2)
    assert 0 < len(found) < 100
    assert {one.code for one in found} == {"rules.gap"}


def test_rows_that_all_clash_are_told_with_a_note_that_there_are_more() -> None:
    fees, departments = [(f"F{n}", "*", 0) for n in range(300)], [("*", f"D{n}", 0) for n in range(300)]
    found = check_tables(rules(numbered(*fees, *departments)), decimals=2)
    assert {one.code: one.severity for one in found} == {
        "rules.overlap": Severity.ERROR,
        "rules.not_proved": Severity.WARNING,
    }
    assert len(found) < 250


def test_a_search_beyond_its_budget_says_so() -> None:
    rows = [
        TableRow(number, (cell("*"), cell("*"), ANY, amounts(number * 100, number * 100 + 99)), "1", 5)
        for number in range(2, 60)
    ]
    # Its range is taken by all the others together.
    rows.append(TableRow(60, (cell("*"), cell("*"), ANY, amounts(200, 5999)), "1", 0))
    assert [one.row for one in defects_of(model_of(table(rows), [], 2)).unreachable] == [58]
    found = defects_of(model_of(table(rows), [], 2, budget=Budget(each=20)))
    assert not found.unreachable
    assert found.unproved["unreachable"] == [58]
