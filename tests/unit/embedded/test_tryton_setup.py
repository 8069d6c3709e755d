"""What `ledger init` refuses before it touches anything, and the chart that it brings along."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from include.embedded.tryton import LedgerSetupError, init_ledger, serve_ledger
from include.embedded.tryton.chart import ACCOUNT_TYPES, read_chart
from include.embedded.tryton.initialise import CHART_CN, CURRENCIES

HEADER = "code,name,parent,type,party_required\n"
SOUND: dict[str, Any] = {
    "company_name": "示例",
    "currency": "CNY",
    "years": (2026,),
    "password": "long-enough",
}


def test_the_chinese_chart_has_the_accounts_of_the_trade() -> None:
    chart = {account.code: account for account in read_chart(CHART_CN)}

    assert chart["2221.01.01"].name == "进项税额"
    assert (chart["2221.01.01"].parent, chart["2221.01"].parent) == ("2221.01", "2221")
    assert (chart["6602.10"].name, chart["6601.12"].name, chart["6602.02"].name) == (
        "差旅费",
        "差旅费",
        "业务招待费",
    )
    required = {code for code, account in chart.items() if account.party_required}
    assert required == {"1123", "1221.02", "1221.03", "2202.01", "2202.02", "2241.02", "2241.03"}
    assert all(
        account.type or any(a.parent == code for a in chart.values()) for code, account in chart.items()
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("1001,现金,,cash,\n", "未知类型 cash"),
        ("1001,现金,,asset,\n1001,又,,asset,\n", "1001"),
        ("1001,现金,1000,asset,\n", "上级科目 1000"),
        ("1001,现金,,asset,\n1001.01,甲,1001,asset,\n", "上级科目 1001"),
        ("1001,,,asset,\n", "不能为空"),
        ("1001,现金,,asset,maybe\n", "party_required"),
        ("6602,费用,,expense,yes\n", "party_required|往来单位"),
        ("1001,现金,,,\n", "1001"),
        ("", "空"),
    ],
)
def test_a_bad_chart_is_refused_with_its_line(tmp_path: Path, rows: str, said: str) -> None:
    chart = tmp_path / "chart.csv"
    chart.write_text(HEADER + rows, "utf-8")

    with pytest.raises(LedgerSetupError, match=said) as raised:
        read_chart(chart)
    assert str(chart) in str(raised.value)


def test_all_bad_rows_are_named_at_once(tmp_path: Path) -> None:
    chart = tmp_path / "chart.csv"
    chart.write_text(f"{HEADER}1001,现金,,cash,\n1002,,,asset,\n", "utf-8")

    with pytest.raises(LedgerSetupError, match=r"(?s)line 2.*line 3"):
        read_chart(chart)


@pytest.mark.parametrize(("content", "said"), [("a,b\n1,2\n", "表头"), (None, "无法读取")])
def test_a_file_that_is_no_chart(tmp_path: Path, content: str | None, said: str) -> None:
    chart = tmp_path / "chart.csv"
    if content is not None:
        chart.write_text(content, "utf-8")

    with pytest.raises(LedgerSetupError, match=said):
        read_chart(chart)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"company_name": " "}, "公司名称"),
        ({"currency": "XAU"}, "XAU"),
        ({"years": ()}, "会计年度"),
        ({"years": (26,)}, "会计年度"),
        ({"password": "short"}, "8"),
        ({"chart": Path("nowhere.csv")}, "nowhere"),
    ],
)
def test_bad_arguments_are_refused_and_leave_no_file(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    database = tmp_path / "ledger.sqlite"

    with pytest.raises(LedgerSetupError, match=said) as raised:
        init_ledger(database, **(SOUND | change))
    assert not database.exists()
    assert "short" not in str(raised.value)


@pytest.mark.parametrize("name", ["ledger.db", "a b.sqlite", "账簿.sqlite"])
def test_a_name_that_cannot_stand_in_an_address(tmp_path: Path, name: str) -> None:
    with pytest.raises(LedgerSetupError, match="sqlite"):
        init_ledger(tmp_path / name, **SOUND)


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    text, other = tmp_path / "text.sqlite", tmp_path / "other.sqlite"
    text.write_text("not a database", "utf-8")
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE notes (id INTEGER)")
    connection.close()

    for database in (text, other):
        before = database.read_bytes()
        with pytest.raises(LedgerSetupError, match=database.name):
            init_ledger(database, **SOUND)
        assert database.read_bytes() == before


@pytest.mark.parametrize("exists", [False, True])
def test_an_empty_ledger_is_not_served(tmp_path: Path, exists: bool) -> None:
    database = tmp_path / "ledger.sqlite"
    if exists:
        database.touch()

    with pytest.raises(LedgerSetupError, match="ledger init"):
        serve_ledger(database, port=0)


def test_only_balance_sheet_types_are_receivable_or_payable() -> None:
    assert all(
        kind.statement == "balance"
        for kind in ACCOUNT_TYPES.values()
        if {"receivable", "payable", "assets"} & set(kind.flags)
    )


def test_currencies_have_the_decimals_of_iso_4217() -> None:
    assert {code: CURRENCIES[code][3] for code in ("CNY", "JPY", "KWD")} == {"CNY": 2, "JPY": 0, "KWD": 3}
