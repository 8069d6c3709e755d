"""Vouchers: what does not balance cannot exist, and the same content has the same digest."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.domain.account import AuxiliaryDimension
from include.domain.money import Money
from include.domain.voucher import (
    InvalidVoucher,
    JournalLine,
    Side,
    UnbalancedVoucher,
    Voucher,
    VoucherKey,
    content_digest,
)

KEY = VoucherKey("acme", "hesi", "ID_1", "expense_claim", 1)
DAY = date(2026, 3, 31)


def line(no: int, side: Side, account: str, minor: int, **more: object) -> JournalLine:
    return JournalLine(no, side, account, Money(minor, "CNY"), "摘要", **more)  # type: ignore[arg-type]


def voucher(*lines: JournalLine) -> Voucher:
    return Voucher(KEY, "记", DAY, lines)


def test_a_balanced_voucher_has_one_total_and_a_period() -> None:
    made = voucher(
        line(1, Side.DEBIT, "6602.10", 4717),
        line(2, Side.DEBIT, "2221.01.01", 283),
        line(3, Side.CREDIT, "1002", 5000),
    )
    assert made.total == Money(5000, "CNY")
    assert made.period.code == "2026-03"


def test_a_cent_too_much_is_named() -> None:
    with pytest.raises(UnbalancedVoucher) as caught:
        voucher(line(1, Side.DEBIT, "6602", 101), line(2, Side.CREDIT, "1002", 100))
    assert caught.value.difference == Money(1, "CNY")
    assert "借贷不平" in str(caught.value)


def test_red_lines_balance_on_their_own_side() -> None:
    red = voucher(line(1, Side.DEBIT, "1405", -500), line(2, Side.CREDIT, "2202.02", -500))
    assert red.total == Money(-500, "CNY")


def test_the_foreign_side_must_balance_too() -> None:
    with pytest.raises(UnbalancedVoucher) as caught:
        voucher(
            line(1, Side.DEBIT, "6602", 710, transaction=Money(100, "USD")),
            line(2, Side.CREDIT, "1002", 710, transaction=Money(99, "USD")),
        )
    assert caught.value.difference == Money(1, "USD")


@pytest.mark.parametrize(
    "lines",
    [
        (line(1, Side.DEBIT, "6602", 1),),
        (),
        (
            line(1, Side.DEBIT, "6602", 100),
            JournalLine(2, Side.CREDIT, "1002", Money(100, "USD"), "摘要"),
        ),
    ],
)
def test_what_is_no_voucher_cannot_be_made(lines: tuple[JournalLine, ...]) -> None:
    with pytest.raises(InvalidVoucher):
        voucher(*lines)


@pytest.mark.parametrize(
    "arguments",
    [
        {"account": "", "minor": 1},
        {"account": "6602", "minor": 0},
        {"account": "6602", "minor": 5, "transaction": Money(-5, "USD")},
        {"account": "6602", "minor": 5, "dimensions": (AuxiliaryDimension("department", "A"),) * 2},
    ],
)
def test_what_is_no_line_cannot_be_made(arguments: dict[str, object]) -> None:
    with pytest.raises(InvalidVoucher):
        line(1, Side.DEBIT, **arguments)  # type: ignore[arg-type]


_TEXT = st.text(min_size=1, max_size=20)


@given(_TEXT, _TEXT, _TEXT, _TEXT, st.integers(1, 999))
def test_a_key_survives_its_way_through_the_ledger(
    book: str, source: str, document: str, event: str, revision: int
) -> None:
    key = VoucherKey(book, source, document, event, revision)
    assert VoucherKey.parse(str(key)) == key


@pytest.mark.parametrize(
    "text", ["", "VF/a/b/c/d", "VF/a/b/c/d/x", "XX/a/b/c/d/1", "VF/a//c/d/1", "一笔费用"]
)
def test_what_is_not_a_key_is_not_taken_for_one(text: str) -> None:
    assert VoucherKey.parse(text) is None


@given(st.permutations(range(3)))
def test_the_digest_does_not_depend_on_the_order_of_lines_or_on_names(order: list[int]) -> None:
    lines = [
        line(1, Side.DEBIT, "6602.10", 60, dimensions=(AuxiliaryDimension("department", "D1", "研发"),)),
        line(2, Side.DEBIT, "2221.01.01", 40),
        line(3, Side.CREDIT, "1002", 100),
    ]
    renamed = [
        line(1, Side.DEBIT, "6602.10", 60, dimensions=(AuxiliaryDimension("department", "D1", "R&D"),)),
        *lines[1:],
    ]
    assert content_digest(DAY, lines) == content_digest(DAY, [renamed[i] for i in order])


def test_the_digest_sees_every_difference_that_counts() -> None:
    base = (line(1, Side.DEBIT, "6602", 100), line(2, Side.CREDIT, "1002", 100))
    with_department = (
        line(1, Side.DEBIT, "6602", 100, dimensions=(AuxiliaryDimension("department", "D1"),)),
        base[1],
    )
    others = [
        content_digest(date(2026, 4, 1), base),
        content_digest(DAY, (line(1, Side.DEBIT, "6602", 101), line(2, Side.CREDIT, "1002", 101))),
        content_digest(DAY, (line(1, Side.DEBIT, "6603", 100), base[1])),
        content_digest(DAY, (line(1, Side.CREDIT, "6602", 100), line(2, Side.DEBIT, "1002", 100))),
        content_digest(DAY, with_department),
    ]
    assert content_digest(DAY, base) not in others
    assert len(set(others)) == len(others)
    assert content_digest(DAY, with_department, frozenset()) == content_digest(DAY, base, frozenset())
