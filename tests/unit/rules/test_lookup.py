"""Which row of a decision table wins: priority, then more conditions, then exact values; otherwise ambiguous."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from include.rules.facts import FactType
from include.rules.lookup import lookup
from include.rules.tables import DecisionTable, read_table


def table(tmp_path: Path, text: str) -> DecisionTable:
    path = tmp_path / "t.csv"
    path.write_text(text, "utf-8")
    problems: list[str] = []
    found = read_table(path, problems)
    assert problems == []
    assert found is not None
    return found


def answer(of: DecisionTable, day: date = date(2026, 3, 5), **facts: object) -> tuple[str | None, str | None]:
    """(account, rows that are equally good) for one key; facts by the last part of their name."""
    key = {
        condition.path: pl.Series(
            [facts[condition.name]], dtype=pl.Int128 if condition.type is FactType.AMOUNT else pl.String
        )
        for condition in of.conditions
    }
    found = lookup(of, pl.DataFrame({"key": [0], "date": [day], **key}), decimals=2)
    return (found["account"][0], found["rows"][0]) if found.height else (None, None)


TWO = "line.fee_type,line.department,priority,account\n"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("A,*,,1\n*,*,,2\n", ("1", None)),  # specific before general
        ("A,D1,,1\nA,*,,2\n*,D1,,3\n", ("1", None)),
        ("A,*,,1\nA*,*,,2\n", ("1", None)),  # exact before a beginning
        ("A,*,,1\nA|B,*,,2\n", ("1", None)),  # exact before a list
        ("A,D1,,1\n*,*,5,2\n", ("2", None)),  # priority before everything
        ("A,*,,1\n*,*,-1,2\n", ("1", None)),
        ("A,*,,1\n*,D1,,2\n", ("1", "2、3")),  # equal: ambiguous
        ("A|B,*,,1\nA*,*,,2\n", ("1", "2、3")),
        ("B,*,,1\n", (None, None)),  # none
        ("<missing>,*,,1\n", (None, None)),
        ("<present>,*,,1\n*,*,,2\n", ("1", None)),
        ("B|A|A1,*,,1\n", ("1", None)),
    ],
)
def test_the_row_that_wins(tmp_path: Path, rows: str, expected: tuple[str | None, str | None]) -> None:
    assert answer(table(tmp_path, TWO + rows), fee_type="A", department="D1") == expected


def test_missing_values(tmp_path: Path) -> None:
    of = table(tmp_path, TWO + "<missing>,*,,1\nA|<missing>,D9,5,2\n<present>,*,,3\nB*,*,1,4\n")
    assert answer(of, fee_type="", department="D1") == ("1", None)
    assert answer(of, fee_type="", department="D9") == ("2", None)
    assert answer(of, fee_type="X", department="") == ("3", None)


def test_a_beginning_is_not_a_part(tmp_path: Path) -> None:
    of = table(tmp_path, TWO + "RD-*,*,,1\n")
    assert answer(of, fee_type="RD-", department="") == ("1", None)
    assert answer(of, fee_type="RD", department="") == (None, None)
    assert answer(of, fee_type="XRD-", department="") == (None, None)


def test_dates_belong_to_their_row(tmp_path: Path) -> None:
    of = table(
        tmp_path,
        "line.fee_type,valid_from,valid_to,account\nA,,2026-03-31,1\nA,2026/4/1,,2\n",
    )
    assert answer(of, date(2026, 3, 31), fee_type="A") == ("1", None)
    assert answer(of, date(2026, 4, 1), fee_type="A") == ("2", None)


def test_amounts_are_compared_in_minor_units(tmp_path: Path) -> None:
    of = table(tmp_path, "line.gross,account\n..99.99,1\n100..500,2\n500.01..,3\n")
    assert [answer(of, gross=amount)[0] for amount in (-1, 9999, 10000, 50000, 50001)] == [
        "1",
        "1",
        "2",
        "2",
        "3",
    ]
    assert answer(of, gross=None) == (None, None)


def test_rows_count_as_an_editor_shows_them(tmp_path: Path) -> None:
    of = table(tmp_path, TWO + "\nA,*,,1\n,,,\n" + '"B",*,,2\n')
    assert [row.row for row in of.rows] == [3, 5]


def test_a_column_names_the_dimensions_that_go_with_an_account(tmp_path: Path) -> None:
    of = table(tmp_path, "line.fee_type,account,dimensions\nA,1,employee|department\nB,2,\n")
    assert [row.dimensions for row in of.rows] == [frozenset({"department", "employee"}), frozenset()]


def test_many_keys_at_once(tmp_path: Path) -> None:
    of = table(tmp_path, TWO + "".join(f"F{i},*,,{i}\n" for i in range(50)) + "*,D7,9,seven\n")
    keys = pl.DataFrame(
        [
            {"key": i * 10 + j, "line.fee_type": f"F{i}", "line.department": f"D{j}", "date": None}
            for i in range(50)
            for j in range(10)
        ]
    )
    found = lookup(of, keys, decimals=2)
    assert found.height == 500
    assert found.filter(account="seven").height == 50
    assert found.filter(pl.col("account") == (pl.col("key") // 10).cast(pl.String)).height == 450
