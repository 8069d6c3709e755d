"""Money: exact in, exact out, and nothing gets lost in a split."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from include.domain.money import (
    MAX_MINOR,
    AmountError,
    Money,
    convert_minor,
    currency_decimals,
    format_minor,
    parse_minor,
    split,
)


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [
        ("33.00", "CNY", 3300),
        ("33", "CNY", 3300),
        (33, "CNY", 3300),
        (0.1, "CNY", 10),
        (Decimal("12.300"), "CNY", 1230),
        ("-5.01", "CNY", -501),
        ("1e2", "CNY", 10000),
        ("1000", "JPY", 1000),
        ("1.234", "KWD", 1234),
        ("92233720368547758.07", "CNY", MAX_MINOR),
    ],
)
def test_reads_amounts_in_every_shape(value: object, currency: str, minor: int) -> None:
    assert parse_minor(value, currency) == minor


@pytest.mark.parametrize(
    ("value", "currency", "code"),
    [
        (None, "CNY", "missing"),
        ("  ", "CNY", "missing"),
        (True, "CNY", "not_a_number"),
        ("十元", "CNY", "not_a_number"),
        ("NaN", "CNY", "not_a_number"),
        ("Infinity", "CNY", "not_a_number"),
        ([1], "CNY", "not_a_number"),
        ("12.345", "CNY", "too_many_decimals"),
        ("0.5", "JPY", "too_many_decimals"),
        ("1.00000000000000000000000000000001", "CNY", "too_many_decimals"),
        ("92233720368547758.08", "CNY", "out_of_range"),
        ("1e400", "CNY", "out_of_range"),
        ("9" * 100, "CNY", "out_of_range"),
        ("1", "XYZ", "unknown_currency"),
        ("1", "XAU", "unknown_currency"),
    ],
)
def test_refuses_what_it_would_have_to_guess(value: object, currency: str, code: str) -> None:
    with pytest.raises(AmountError) as caught:
        parse_minor(value, currency)
    assert caught.value.code == code


@given(st.integers(-MAX_MINOR, MAX_MINOR), st.sampled_from(["CNY", "JPY", "KWD"]))
def test_an_amount_survives_being_written_and_read(minor: int, currency: str) -> None:
    assert Money.parse(str(Money(minor, currency).decimal), currency) == Money(minor, currency)


def test_currencies_do_not_mix() -> None:
    with pytest.raises(ValueError, match="CNY and USD"):
        Money(1, "CNY") + Money(1, "USD")


def test_floats_are_a_programmers_error() -> None:
    with pytest.raises(TypeError):
        Money(1.5, "CNY")  # type: ignore[arg-type]


def test_people_read_thousands() -> None:
    assert format_minor(123456789, "CNY") == "1,234,567.89 CNY"
    assert format_minor(-1234567, "JPY") == "-1,234,567 JPY"


@pytest.mark.parametrize(
    ("minor", "currency", "rate", "functional", "expected"),
    [
        (10000, "USD", "7.1234", "CNY", 71234),
        (100, "JPY", "0.0475", "CNY", 475),
        (105, "USD", "7.1", "JPY", 7),
    ],
)
def test_converts_between_decimals(
    minor: int, currency: str, rate: str, functional: str, expected: int
) -> None:
    assert convert_minor(minor, currency, Decimal(rate), functional) == expected


@given(st.integers(-(10**15), 10**15), st.lists(st.integers(-(10**6), 10**9), min_size=1, max_size=30))
def test_a_split_adds_up_to_the_whole_and_stays_within_a_unit(total: int, weights: list[int]) -> None:
    whole = sum(weights)
    assume(whole != 0)
    parts = split(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * whole - total * weight) < abs(whole)
        assert weight or not part


def test_a_split_by_nothing_is_a_programmers_error() -> None:
    for weights in ([], [0, 0], [1, -1]):
        with pytest.raises(ValueError, match="no weight"):
            split(10, weights)


def test_decimals_come_from_iso_4217() -> None:
    assert [currency_decimals(c) for c in ("CNY", "USD", "JPY", "KWD", "HUF")] == [2, 2, 0, 3, 2]
