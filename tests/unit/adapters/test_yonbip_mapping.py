"""Vouchers as bodies of addVoucher: golden requests, what is refused before it is sent, and records read back."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.adapters.ledger.yonbip.mapping import (
    MAX_DIGITS,
    body_of,
    day_of,
    found_voucher,
    number,
    rate_of,
    refusals_of,
    say,
)
from include.adapters.ledger.yonbip.reading import spans
from include.adapters.ledger.yonbip.references import groups_of
from include.domain.account import AuxiliaryDimension
from include.domain.errors import FixData
from include.domain.money import Money
from include.domain.voucher import LedgerVoucherState, Side, Voucher, content_digest
from tests.unit.adapters.yonbip_parts import (
    DEPARTMENT,
    EMPLOYEE,
    claim,
    foreign_claim,
    line,
    options,
    references,
    voucher,
)

FOLDER = Path(__file__).parents[2] / "golden" / "yonbip"
CASES: dict[str, tuple[Voucher, dict[str, Any]]] = {
    "claim": (voucher(claim()), {}),
    "red_claim": (
        voucher(claim(sign=-1), attachments=0),
        {"key_field": "externalSourceDataId", "maker": "finance@example.com"},
    ),
    "foreign_claim": (
        voucher(foreign_claim()),
        {"key_field": "", "business_id": "none", "currencies": {"USD": "USD01"}},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_voucher_becomes_the_request(name: str) -> None:
    ours, changes = CASES[name]
    expected = json.loads((FOLDER / f"{name}.json").read_text("utf-8"), parse_float=Decimal)
    sent = json.dumps(body_of(ours, references(), options(**changes).form()))
    assert json.loads(sent, parse_float=Decimal) == expected


def refused(ours: Voucher, **changes: Any) -> str:
    return say(refusals_of(ours, references(), options(**changes).form()))


def test_a_sound_voucher_is_not_refused() -> None:
    assert not refusals_of(voucher(), references(), options().form())


def on(code: str, *values: AuxiliaryDimension, minor: int = 100, **rest: Any) -> Voucher:
    return voucher((line(1, Side.DEBIT, code, minor, *values, **rest), line(2, Side.CREDIT, "1002", minor)))


@pytest.mark.parametrize(
    ("ours", "changes", "said"),
    [
        (on("9999"), {}, "没有科目 9999"),
        (on("6602"), {}, "6602 不是末级科目"),
        (on("660202"), {}, "660202 已停用"),
        (on("2241"), {}, "辅助核算 employee 必填"),
        (on("1002", DEPARTMENT), {}, "没有辅助核算 department"),
        (on("660201", summary=" \t\n"), {}, "没有摘要"),
        (on("660201", summary="长" * 201), {}, "摘要有 201 个字符"),
        (on("660201", minor=10**MAX_DIGITS), {}, "金额超过 15 位"),
        (on("660201", foreign=Money(1, "CNY")), {}, "外币金额不能用本位币"),
        (voucher(day=date(2031, 1, 1)), {}, "不含 2031-01-01"),
        (voucher(word="收"), {}, "凭证字 收"),
        (voucher(), {"key_length": 20}, "最多|只能存 20 个"),
    ],
)
def test_what_the_ledger_would_refuse_is_said_with_what_to_do(
    ours: Voucher, changes: dict[str, Any], said: str
) -> None:
    import re

    text = refused(ours, **changes)
    assert re.search(said, text)
    assert " / " in text


def test_all_that_is_wrong_is_said_at_once() -> None:
    ours = voucher((line(1, Side.DEBIT, "9998", 1), line(2, Side.CREDIT, "9999", 1)), word="收")
    text = refused(ours)
    assert all(word in text for word in ("9998", "9999", "收", "第 1 行", "line 2"))


def test_a_key_that_is_not_kept_in_the_ledger_may_be_long() -> None:
    assert not refused(voucher(), key_field="", key_length=20).strip(" /")


@given(st.integers(1 - 10**MAX_DIGITS, 10**MAX_DIGITS - 1), st.sampled_from(["CNY", "JPY", "KWD"]))
def test_amounts_come_through_json_to_the_last_digit(minor: int, currency: str) -> None:
    amount = Money(minor, currency)
    sent = json.dumps(number(amount.decimal))
    assert Money.parse(json.loads(sent, parse_float=Decimal), currency) == amount
    assert Decimal(repr(float(sent))) == amount.decimal, "also through a reader of binary floating point"


@given(st.integers(1, 10**12), st.integers(1, 10**12))
def test_a_rate_gives_the_amount_back_where_it_has_the_digits(minor: int, foreign: int) -> None:
    rate = rate_of(line(1, Side.DEBIT, "660201", minor, foreign=Money(foreign, "USD")))
    number(rate)
    assert abs(rate * foreign - minor) <= Decimal(foreign) / 2 * Decimal(10) ** -min(
        10, MAX_DIGITS - 1 - max(rate.adjusted(), 0)
    ) + Decimal("1e-9")


def record(**head: Any) -> dict[str, Any]:
    """As the list gives one: `claim()` under its key."""
    return {
        "header": {
            "id": "v1",
            "billcode": 14,
            "displayname": "记-14",
            "voucherstatus": "01",
            "maketime": "2026-03-14",
            "period": "2026-03",
            "description": str(voucher().key),
            "vouchertype": {"id": "x", "code": "1", "name": "记账凭证"},
        }
        | head,
        "body": [
            {
                "description": "报销差旅费",
                "accsubject": {"id": "a", "code": "660201"},
                "debit_original": 940,
                "debit_org": Decimal("940.00"),
                "credit_org": 0,
                "currency": {"id": "c", "code": "CNY"},
                "clientauxiliary": [
                    {"code": "0001", "value": "17", "data": {"id": "17", "code": "RD", "name": "研发中心"}},
                    {"code": "0002", "value": "18", "data": {"id": "18", "code": "P001", "name": "仓储"}},
                    {"code": "0099", "value": "19", "data": {"id": "19", "code": "X", "name": "别的"}},
                    {"code": "0003", "value": "", "data": {"id": "", "code": "", "name": ""}},
                ],
            },
            {"accsubject": {"code": "222101"}, "debit_org": "60.10", "credit_org": None, "description": ""},
            {
                "accsubject": {"code": "2241"},
                "debit_org": 0,
                "credit_org": "1000.10",
                "clientauxiliary": [{"code": "0003", "data": {"code": "E0001", "name": "王小明"}}],
            },
        ],
    }


def test_a_record_is_read_whole() -> None:
    ours = voucher()
    found = found_voucher(record(), references(), options().form())
    there = found.voucher
    assert (there.ledger_id, there.number, there.key, there.period) == ("v1", "记-14", ours.key, "2026-03")
    assert there.state is LedgerVoucherState.POSTED
    assert content_digest(there.date, there.lines) == content_digest(ours.date, ours.lines)
    assert there.lines[0].dimensions[0].name == "研发中心"


@pytest.mark.parametrize(
    ("status", "state", "number_read"),
    [
        ("00", LedgerVoucherState.DRAFT, ""),
        ("02", LedgerVoucherState.DRAFT, ""),
        (1, LedgerVoucherState.POSTED, "记-14"),
        ("03", LedgerVoucherState.POSTED, "记-14"),
        ("04", LedgerVoucherState.POSTED, "记-14"),
        ("05", LedgerVoucherState.REVERSED, "记-14"),
    ],
)
def test_a_status_is_a_state(status: Any, state: LedgerVoucherState, number_read: str) -> None:
    there = found_voucher(record(voucherstatus=status), references(), options().form()).voucher
    assert (there.state, there.number) == (state, number_read)


def test_a_number_is_made_of_the_word_where_the_site_shows_none() -> None:
    there = found_voucher(record(displayname=""), references(), options().form()).voucher
    assert there.number == "记-14"


def test_the_other_spelling_is_read_as_well() -> None:
    given = record()
    given["header"] = {
        "id": "v1",
        "billCode": 14,
        "voucherStatus": "04",
        "makeTime": "2026-03-14 00:00:00",
        "periodUnion": "2026-03",
        "externalSourceDataId": str(voucher().key),
        "voucherTypeObj": {"code": "1"},
    }
    given["body"] = [
        {"accSubjectObj": {"code": "1002"}, "debitOrg": 5, "debitOriginal": 5},
        {"accSubjectObj": {"code": "660201"}, "creditOrg": 5, "creditOriginal": 5},
    ]
    form = options(key_field="externalSourceDataId").form()
    there = found_voucher(given, references(), form).voucher
    assert (there.key, there.number, there.period) == (voucher().key, "记-14", "2026-03")
    assert [(each.side, each.amount.minor) for each in there.lines] == [(Side.DEBIT, 500), (Side.CREDIT, 500)]


def test_a_foreign_line_keeps_both_amounts_and_its_sign() -> None:
    given = record()
    given["body"] = [
        {"accsubject": "1002", "currency": {"code": "USD01"}, "debit_org": -712.34, "debit_original": "-100"},
        {"accsubject": "660201", "credit_org": -712.34, "credit_original": -712.34},
    ]
    form = options(currencies={"USD": "USD01"}).form()
    debit, credit = found_voucher(given, references(), form).voucher.lines
    assert (debit.amount, debit.transaction) == (Money(-71_234, "CNY"), Money(-10_000, "USD"))
    assert (credit.side, credit.amount, credit.transaction) == (Side.CREDIT, Money(-71_234, "CNY"), None)


def test_a_value_without_its_code_equals_none_of_ours() -> None:
    given = record()
    given["body"][2]["clientauxiliary"] = [{"code": "0003", "value": "1743373289017600"}]
    found = found_voucher(given, references(), options().form()).voucher
    assert found.lines[2].dimensions == (AuxiliaryDimension("employee", "1743373289017600"),)
    assert EMPLOYEE not in found.lines[2].dimensions


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"header": "x"},
        {"header": {}},
        {"header": {"id": "v1", "maketime": None}},
        record(maketime="14.03.2026"),
        record() | {"body": [{"accsubject": "1002", "debit_org": "1.234"}]},
        record() | {"body": "x"},
    ],
)
def test_a_record_that_cannot_be_read_is_said(given: dict[str, Any]) -> None:
    with pytest.raises(FixData):
        found_voucher(given, references(), options().form())


@pytest.mark.parametrize("text", ["2026-03-14", "2026-03-14 23:59:59", 1773417600000, "1773417600000"])
def test_a_day_is_chinas(text: Any) -> None:
    assert day_of(text) == date(2026, 3, 14)


def test_groups_are_those_with_accounts_below_them() -> None:
    assert groups_of(dict.fromkeys(["1001", "1002", "100201", "6601.01", "6601", "10"])) == {
        "10",
        "1002",
        "6601",
    }


@pytest.mark.parametrize(
    ("periods", "expected"),
    [
        ({"2026-01"}, [("2025-12", "2026-02")]),
        ({"2026-01", "2026-03"}, [("2025-12", "2026-04")]),
        ({"2025-12", "2026-06"}, [("2025-11", "2026-01"), ("2026-05", "2026-07")]),
        (set(), []),
    ],
)
def test_look_ups_take_in_the_neighbours(periods: set[str], expected: list[tuple[str, str]]) -> None:
    assert spans(periods) == expected
