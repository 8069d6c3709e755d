"""Vouchers as Kingdee's Models: golden requests, what is refused before it is sent, and rows read back."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.adapters.ledger.kingdee.client import Row
from include.adapters.ledger.kingdee.mapping import (
    MAX_DIGITS,
    KeyField,
    cut,
    found_voucher,
    length_of,
    model_of,
    number,
    rate_of,
    refusals_of,
    say,
    voucher_keys,
)
from include.domain.errors import FixConfig, FixData
from include.domain.money import Money
from include.domain.voucher import LedgerVoucherState, Side, Voucher
from tests.unit.adapters.kingdee_parts import (
    DEPARTMENT,
    EMPLOYEE,
    KNOWN,
    claim,
    foreign_claim,
    line,
    references,
    voucher,
)

FOLDER = Path(__file__).parents[2] / "golden" / "kingdee"
IN_ENTRY, IN_HEAD = KeyField("FBUSNO", True, 80), KeyField("F_VF_KEY", False, 80)
CASES: dict[str, tuple[Voucher, KeyField | None]] = {
    "claim": (voucher(claim()), IN_ENTRY),
    "red_claim": (voucher(claim(sign=-1), attachments=0), IN_HEAD),
    "foreign_claim": (voucher(foreign_claim()), None),
}


@pytest.mark.parametrize("name", CASES)
def test_a_voucher_becomes_the_request(name: str) -> None:
    ours, key = CASES[name]
    expected = json.loads((FOLDER / f"{name}.json").read_text("utf-8"), parse_float=Decimal)
    sent = json.loads(json.dumps(model_of(ours, references(), key, "HLTX01_SYS")), parse_float=Decimal)
    assert sent == expected
    assert list(sent) == list(expected), "the order of keys matters to Kingdee"
    assert "FVOUCHERID" not in str(sent).upper()


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        (voucher(claim(), word="转"), "转"),
        (voucher(claim(), day=date(2026, 2, 3)), "2026-02"),
        (voucher(claim(), day=date(2031, 2, 3)), "2031"),
        (voucher((line(1, Side.DEBIT, "9999", 5), line(2, Side.CREDIT, "1002", 5))), "9999"),
        (voucher((line(1, Side.DEBIT, "6602", 5), line(2, Side.CREDIT, "1002", 5))), "6602"),
        (voucher((line(1, Side.DEBIT, "6602.11", 5), line(2, Side.CREDIT, "1002", 5))), "forbidden"),
        (voucher((line(1, Side.DEBIT, "1002", 5), line(2, Side.CREDIT, "2241.03", 5))), "requires employee"),
        (
            voucher((line(1, Side.DEBIT, "1002", 5, DEPARTMENT), line(2, Side.CREDIT, "1002", 5))),
            "carries no",
        ),
        (
            voucher(
                (line(1, Side.DEBIT, "1002", 10**MAX_DIGITS), line(2, Side.CREDIT, "1002", 10**MAX_DIGITS))
            ),
            "digits",
        ),
        (
            voucher(
                (
                    line(1, Side.DEBIT, "1002", 5, foreign=Money(5, "GBP")),
                    line(2, Side.CREDIT, "1002", 5, foreign=Money(5, "GBP")),
                )
            ),
            "GBP",
        ),
    ],
)
def test_what_kingdee_would_refuse_or_change_is_refused_in_two_languages(ours: Voucher, said: str) -> None:
    message = say(refusals_of(ours, references(), KNOWN, IN_ENTRY))
    assert said in message
    assert " / " in message


def test_all_faults_are_named_at_once() -> None:
    ours = voucher(claim(), word="转", day=date(2031, 1, 1))
    message = say(
        refusals_of(ours, references(), KNOWN - {EMPLOYEE, DEPARTMENT}, KeyField("FBUSNO", True, 20))
    )
    for said in ("转", "2031-01-01", "E0001", "RD", "key_length"):
        assert said in message


def test_a_good_voucher_is_not_refused() -> None:
    for ours, key in CASES.values():
        assert refusals_of(ours, references(), KNOWN, key) == []


@pytest.mark.parametrize("name", ["FEntity.FEXPLANATION", "FSourceBillKey", "FVOUCHERID", "F X", "FEntity."])
def test_fields_that_cannot_keep_a_key(name: str) -> None:
    with pytest.raises(FixConfig, match="key_field"):
        KeyField.of(name, 80)


@given(st.integers(-(10**MAX_DIGITS) + 1, 10**MAX_DIGITS - 1), st.sampled_from([0, 2, 3]))
def test_amounts_are_sent_to_the_last_digit(minor: int, decimals: int) -> None:
    exact = Decimal(minor).scaleb(-decimals)
    assert json.loads(json.dumps(number(exact)), parse_float=Decimal, parse_int=Decimal) == exact


@given(st.integers(1, 10**14), st.integers(1, 10**14), st.sampled_from(["USD", "JPY"]))
def test_rates_are_close_and_can_be_sent(minor: int, foreign: int, currency: str) -> None:
    each = line(1, Side.DEBIT, "1002", minor, foreign=Money(foreign, currency))
    rate = rate_of(each)
    number(rate)
    assert each.transaction is not None
    true = each.amount.decimal / each.transaction.decimal
    assert abs(rate - true) <= max(Decimal("1e-10"), abs(true) * Decimal("1e-14"))


@given(st.text(max_size=40), st.integers(0, 30))
def test_texts_are_cut_between_characters(text: str, length: int) -> None:
    try:
        kept = cut(text, length)
    except UnicodeEncodeError:  # half a character that Python itself could not send
        return
    assert text.startswith(kept)
    assert length_of(kept) <= length
    assert kept == text or length_of(kept) >= length - 1


def row(**changes: Any) -> Row:
    values: dict[str, Any] = dict.fromkeys(voucher_keys(references(), IN_ENTRY))
    values |= {
        "FVOUCHERID": 100001,
        "FVOUCHERGROUPID.FName": "记",
        "FVOUCHERGROUPNO": "7",
        "FDate": "2026-03-10T00:00:00",
        "FYEAR": 2026,
        "FPERIOD": 3,
        "FDocumentStatus": "C",
        "FInvalid": False,
        "FACCOUNTID.FNumber": "1002",
        "FDEBIT": Decimal("-12.3000000000"),
        "FCREDIT": 0,
        "FCURRENCYID.FNumber": "PRE001",
        "FBUSNO": "VF/acme/hesi/ID01/expense_claim/1",
    }
    return Row(values | changes)


@pytest.mark.parametrize(
    ("changes", "finish", "state", "shown"),
    [
        ({}, "audit", LedgerVoucherState.POSTED, "记-7"),
        ({"FDocumentStatus": "B"}, "audit", LedgerVoucherState.DRAFT, ""),
        ({"FDocumentStatus": "B"}, "submit", LedgerVoucherState.POSTED, "记-7"),
        ({"FDocumentStatus": "A"}, "save", LedgerVoucherState.POSTED, "记-7"),
        ({"FDocumentStatus": "D"}, "save", LedgerVoucherState.DRAFT, ""),
        ({"FInvalid": "true"}, "audit", LedgerVoucherState.REVERSED, "记-7"),
    ],
)
def test_statuses_mean_what_the_book_makes_of_them(
    changes: dict[str, Any], finish: str, state: LedgerVoucherState, shown: str
) -> None:
    found = found_voucher([row(**changes)], references(), IN_ENTRY, finish).voucher
    assert (found.state, found.number, found.period) == (state, shown, "2026-03")
    assert found.lines[0].amount == Money(-1230, "CNY")
    assert found.key is not None


def test_the_key_is_found_on_any_entry() -> None:
    found = found_voucher([row(FBUSNO=""), row()], references(), IN_ENTRY, "audit").voucher
    assert found.reference == "VF/acme/hesi/ID01/expense_claim/1"


def test_an_amount_that_is_no_amount_names_the_voucher() -> None:
    with pytest.raises(FixData, match="100001"):
        found_voucher([row(FDEBIT=Decimal("0.001"))], references(), IN_ENTRY, "audit")
