"""Amounts, days and moments in all the shapes that forms have them, and what is said of those that are refused."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from include.adapters.oa.forms.moments import read_moment
from include.domain.document import MappedDocument
from tests.unit.adapters.form_parts import form, mapped

SHANGHAI = ZoneInfo("Asia/Shanghai")


def with_total(value: Any, currency: str = "CNY") -> MappedDocument:
    text = f"{{form: f, templates: [T1], kind: loan, document: {{currency: {currency}, rate: r, gross: je}}}}"
    return mapped(text, form(je=value, r="1"))


@pytest.mark.parametrize(
    ("value", "minor"),
    [
        ("1234.50", 123450),
        ("1,234.50", 123450),
        ("1,234", 123400),
        ("12,345,678.9", 1234567890),
        (" 1234.5 ", 123450),
        ("１，２３４．５０", 123450),
        ("￥1,234.50", 123450),
        ("¥ 1234.5", 123450),
        ("-¥1,234.50", -123450),
        ("¥-1234.50", -123450),
        ("－１２", -1200),
        ("\u22125.00", -500),
        ("+5", 500),
        (".5", 50),
        ("5.", 500),
        ("1234.5元", 123450),
        ("人民币1,234.50元", 123450),
        ("RMB 1234.5", 123450),
        ("CNY1234.50", 123450),
        ("1234.50 cny", 123450),
        ("1.23456789E7", 1234567890),
        ("12.300000", 1230),
        ("0", 0),
        (1234.5, 123450),
        (0.1, 10),
        (1568, 156800),
        (Decimal("9.99"), 999),
        ("\u00a05.00\u3000", 500),
    ],
)
def test_amounts_that_are_read(value: Any, minor: int) -> None:
    result = with_total(value)
    assert result.problems == ()
    assert result.document.gross == minor


@pytest.mark.parametrize(
    ("value", "code", "words"),
    [
        ("壹仟贰佰元整", "in_words", ("“壹仟贰佰元整”", "请改填数字", "enter digits")),
        ("1.5万", "in_words", ("1.5万",)),
        ("一百", "in_words", ("一百",)),
        ("$100", "other_currency", ("CNY", "“$100”")),
        ("USD 100", "other_currency", ("USD 100",)),
        ("100美元", "other_currency", ("100美元",)),
        ("约100", "not_a_number", ("约100", "不是数字")),
        ("12,34", "not_a_number", ("12,34",)),
        ("1.234,50", "not_a_number", ("1.234,50",)),
        ("1 234.50", "not_a_number", ()),
        ("1,2345.00", "not_a_number", ()),
        ("1..5", "not_a_number", ()),
        ("²5", "not_a_number", ()),
        ("٣", "not_a_number", ()),
        ("NaN", "not_a_number", ()),
        (float("nan"), "not_a_number", ()),
        (True, "not_a_number", ()),
        ("12.345", "too_many_decimals", ("CNY", "2")),
        (0.1 + 0.2, "too_many_decimals", ()),
        ("9" * 40, "out_of_range", ()),
        ("9" * 400, "out_of_range", ()),
        (10**400, "out_of_range", ()),
        ("1e9999", "out_of_range", ()),
        ("", "missing", ("没有金额", "fill it in")),
        (None, "missing", ()),
        ("  ", "missing", ()),
    ],
    ids=lambda value: str(value)[:20] if not isinstance(value, int) else "",
)
def test_amounts_that_are_refused(value: Any, code: str, words: tuple[str, ...]) -> None:
    result = with_total(value)
    [problem] = result.problems
    assert (problem.code, problem.where) == (f"document.gross.{code}", "je（标签je）")
    assert problem.owner == "oa_user"
    assert all(word in str(problem) for word in words), problem
    assert result.document.gross is None


@pytest.mark.parametrize(
    ("value", "currency"), [("HK$ 5", "HKD"), ("$5", "USD"), ("¥5", "JPY"), ("€5", "EUR")]
)
def test_a_sign_that_fits_the_currency_is_read(value: str, currency: str) -> None:
    assert with_total(value, currency).problems == ()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-05", "2026-01-04T16:00"),
        ("2026/1/5", "2026-01-04T16:00"),
        ("2026.01.05", "2026-01-04T16:00"),
        ("2026年1月5日", "2026-01-04T16:00"),
        ("２０２６-０１-０５", "2026-01-04T16:00"),
        ("20260105", "2026-01-04T16:00"),
        (20260105, "2026-01-04T16:00"),
        ("2026-01-05 10:20", "2026-01-05T02:20"),
        ("2026年1月5日 9:05", "2026-01-05T01:05"),
        ("2022-08-31T11:52Z", "2022-08-31T11:52"),
        ("2026-01-05T10:20:30+08:00", "2026-01-05T02:20:30"),
        ("2026-01-05T10:20:30.5-0500", "2026-01-05T15:20:30.500000"),
        (1767579600000, "2026-01-05T02:20"),
        ("1767579600000", "2026-01-05T02:20"),
        (1767579600, "2026-01-05T02:20"),
        (1767579600.0, "2026-01-05T02:20"),
    ],
)
def test_moments_that_are_read(value: Any, expected: str) -> None:
    assert read_moment(value, SHANGHAI) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2026-02-30",
        "2026-13-01",
        "2026-01",
        "明天",
        "05/01/2026",
        "2026-01-05T25:00",
        "12345678901",
        "2026-W01-1",
        "2026-01-05T10:00+99:00",
        "0001-01-01",
        "9999-12-31",
        "1" * 500,
        10**30,
        float("nan"),
        {"a": 1},
        True,
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_day_is_said_with_the_field(value: Any) -> None:
    text = "{form: f, templates: [T1], kind: loan, document: {gross: je}, lines: {occurred_on: rq}}"
    [problem] = mapped(text, form(je="1", rq=value)).problems
    assert (problem.code, problem.where) == ("line.date.unreadable", "rq（标签rq）")
    assert "请改正" in problem.zh


@pytest.mark.parametrize(
    ("value", "minor"),
    [
        ('{"a": [{"b": "1,500"}]}', 150000),
        ({"a": [{"b": "2"}]}, 200),
        ('{"a": "[{\\"b\\": 3.10}]"}', 310),
        ('{"a": [{"b": 12345678901234567.89}]}', 1234567890123456789),
        ('{"a": [{"b": null}]}', None),
    ],
)
def test_a_value_deep_in_json_is_found_to_the_cent(value: Any, minor: int | None) -> None:
    text = "{form: f, templates: [T1], kind: loan, document: {gross: {field: je, path: a.0.b}}}"
    result = mapped(text, form(je=value))
    assert result.document.gross == minor
    assert [problem.code for problem in result.problems] == ([] if minor else ["document.gross.missing"])


@pytest.mark.parametrize(
    "value", ["no json", '{"a": []}', '{"a": {"b": 1}}', "[1]", 5, "[" * 100_000, "9" * 5000]
)
def test_json_of_another_form_is_the_engineers_matter(value: Any) -> None:
    text = "{form: f, templates: [T1], kind: loan, document: {gross: {field: je, path: a.0.b}}}"
    [problem] = mapped(text, form(je=value)).problems
    assert (problem.code, problem.owner) == ("form.field.changed", "engineer")
    assert "path a.0.b" in problem.zh
    assert "oa/form.yaml" in problem.en
