"""FilterString and OrderString: what can be written, what it means, and that nothing else gets through."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.emulators.kingdee.fields import Field
from include.emulators.kingdee.filters import compile_filter, compile_order, like
from include.emulators.kingdee.protocol import ApiError, failed

FIELDS = {
    field.key.lower(): field
    for field in (
        Field("FName", "名称", "name"),
        Field("FDEBIT", "借方", "debit", "money"),
        Field("FDate", "日期", "day || ' 00:00:00'", "day"),
        Field("FYEAR", "年", "year", "int"),
        Field("FPosted", "过账", "posted", "flag"),
        Field("FModifyDate", "修改", "modified", "moment"),
    )
}
ROWS = [
    ("差旅费EXP-1", 11_281_000, "2026-01-29", 2026, 0, 1_769_650_000_000),
    ("办公费exp-2", 5_000, "2026-02-01", 2026, 1, 1_769_960_000_000),
    ("it's [A] 100%", -70_000, "2025-12-31", 2025, 0, 1_767_100_000_000),
    (None, 0, "2026-01-31", 2026, 0, 1_769_800_000_000),
]


def named(key: str) -> Field:
    if key.lower() not in FIELDS:
        raise failed(f"元数据中标识为{key}的字段不存在", 9)
    return FIELDS[key.lower()]


@pytest.fixture(scope="module")
def db() -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE t (name, debit, day, year, posted, modified)")
    db.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", ROWS)
    db.create_function("kd_like", 3, like)
    yield db
    db.close()


def rows(db: sqlite3.Connection, text: object, *, brackets: bool = True) -> list[int]:
    found = compile_filter(text, named, like_brackets=brackets)
    sql = f"SELECT rowid FROM t WHERE {found.sql} ORDER BY rowid"  # noqa: S608
    return [row[0] for row in db.execute(sql, found.parameters)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [1, 2, 3, 4]),
        ("1=1", [1, 2, 3, 4]),
        ("FDate>='2026-01-01' and FDate<='2026-01-31'", [1, 4]),
        ("FDate>='2026/1/31' AND FDATE <= '2026-02-01 23:59:59'", [2, 4]),
        ("FDate={ts'2026-01-29 00:00:00'}", [1]),
        ("FDEBIT=1128.10", [1]),
        ("FDEBIT = '1128.1'", [1]),
        ("FDEBIT<>0 and not FDEBIT>0", [3]),
        ("FDEBIT between -10 and 0.5", [2, 3, 4]),
        ("FDEBIT not between -10 and 0", [1, 2]),
        ("FDEBIT = 0.00001", []),
        ("FName = 'IT''S [a] 100%'", [3]),
        ("FName like '%exp-_'", [1, 2]),
        ("FName like '%EXP%' or FYEAR=2025", [1, 2, 3]),
        ("FName not like '%exp%'", [3]),
        ("(FYEAR=2026 and FPosted='true') or (FYEAR=2025)", [2, 3]),
        ("FYEAR in (2025, 2024)", [3]),
        ("FYEAR not in ('2025')", [1, 2, 4]),
        ("FName in (N'差旅费exp-1','x')", [1]),
        ("FName is null", [4]),
        ("FName IS NOT NULL and FPosted=1", [2]),
        ("FModifyDate > '2026-01-30'", [2, 4]),
        ("not (FYEAR=2026 or FYEAR=2024)", [3]),
    ],
)
def test_conditions_as_they_are_written(db: sqlite3.Connection, text: str, expected: list[int]) -> None:
    assert rows(db, text) == expected


def test_brackets_in_like_are_a_set_where_the_database_says_so(db: sqlite3.Connection) -> None:
    assert rows(db, "FName like '%[A]%'") == [3]
    assert rows(db, "FName like '%[12]'") == [1, 2]
    assert rows(db, "FName like '%[12]'", brackets=False) == []
    assert rows(db, "FName like '%[A] 100_'", brackets=False) == [3]
    assert rows(db, "FName like '%[A] 100_'") == []


def test_a_list_of_conditions(db: sqlite3.Connection) -> None:
    conditions = [
        {"Left": "(", "FieldName": "FYEAR", "Compare": "=", "Value": "2025", "Right": "", "Logic": "OR"},
        {
            "Left": "",
            "FieldName": "FName",
            "Compare": "like",
            "Value": "%exp-1",
            "Right": ")",
            "Logic": "AND",
        },
        {"Left": "", "FieldName": "FName", "Compare": "<>", "Value": "it's", "Right": "", "Logic": ""},
    ]
    assert rows(db, conditions) == [1, 3]


@pytest.mark.parametrize(
    "text",
    [
        "FName = ",
        "FName == 'x'",
        "FName = 'x",
        "FName",
        "= 1",
        "(FYEAR=2026",
        "FYEAR=2026)",
        "FYEAR=2026; DROP TABLE t",
        "FYEAR=2026 -- x",
        "FYEAR in ()",
        "FYEAR in (SELECT 1)",
        "FYEAR = year",
        "FName like 5",
        "exists (select 1)",
        "FYEAR='abc'",
        "FDate='2026-13-01'",
        "(" * 80 + "FYEAR=1" + ")" * 80,
    ],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ApiError, match=r"GetRealExpress|exists的字段不存在"):
        compile_filter(text, named, like_brackets=True)


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(ApiError, match="FNope"):
        compile_filter("FNope=1", named, like_brackets=True)


@given(st.text(alphabet="FYEARName=<>()'%, andorinlikebetweenisnull.0123456789-{}tsN\n", max_size=60))
def test_any_text_is_sql_of_our_own_or_refused(text: str) -> None:
    try:
        found = compile_filter(text, named, like_brackets=True)
    except ApiError:
        return
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE t (name, debit, day, year, posted, modified)")
    db.create_function("kd_like", 3, like)
    db.execute(f"SELECT 1 FROM t WHERE {found.sql}", found.parameters)  # noqa: S608
    db.close()


def test_order_by_several_fields() -> None:
    terms, used = compile_order("FYEAR desc, FName", named)
    assert terms == ["(year) desc", "(name) COLLATE NOCASE asc"]
    assert [field.key for field in used] == ["FYEAR", "FName"]


@pytest.mark.parametrize("text", ["FYEAR sideways", "FYEAR; DROP", "1", "FYEAR desc asc"])
def test_what_is_no_order_is_refused(text: str) -> None:
    with pytest.raises(ApiError, match="排序"):
        compile_order(text, named)
