"""What each answer of Kingdee means for a read and for a write."""

from __future__ import annotations

import json
from typing import Any

import pytest

from include.adapters.ledger.kingdee.answers import NotAnAnswer, failure, is_repeat, parse, status_of
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater
from include.pace import Refused


def answer(code: Any, *messages: str, success: Any = False, done: Any = ()) -> dict[str, Any]:
    errors = [{"FieldName": "FDate", "Message": text, "DIndex": place} for place, text in enumerate(messages)]
    status = {"IsSuccess": success, "MsgCode": code, "Errors": errors, "SuccessEntitys": list(done)}
    return {"Result": {"ResponseStatus": status}}


@pytest.mark.parametrize(
    ("code", "read", "write"),
    [
        (0, FixData, FixData),
        (2, FixConfig, FixConfig),
        (3, FixConfig, FixConfig),
        (4, RetryLater, OutcomeUnknown),
        (5, FixConfig, FixConfig),
        (6, RetryLater, OutcomeUnknown),
        (7, RetryLater, RetryLater),
        (8, FixConfig, FixConfig),
        (9, FixConfig, FixData),
        (10, FixData, FixData),
        (11, FixData, FixData),
        (12, FixData, FixData),
        (13, Refused, Refused),
        (14, Refused, Refused),
        (15, FixConfig, FixConfig),
        (99, FixData, FixData),
    ],
)
def test_codes(code: int, read: type[Exception], write: type[Exception]) -> None:
    status = status_of(answer(str(code), "期间已结账"))
    assert status is not None
    for expected, writes in ((read, False), (write, True)):
        error = failure("conn", "Save GL_VOUCHER", status, writes=writes)
        assert type(error) is expected
        assert "期间已结账" in str(error)
        assert " / " in str(error)


@pytest.mark.parametrize(
    ("given", "expected"), [(True, True), ("true", True), (False, False), ("false", False)]
)
def test_success_may_be_a_text(given: Any, expected: bool) -> None:
    status = status_of(answer(0, success=given))
    assert status is not None
    assert status.is_success is expected


def test_parts_of_a_batch_are_told_apart() -> None:
    body = answer(11, success="false", done=[{"Id": 7, "Number": "x", "DIndex": 1}])
    body["Result"]["ResponseStatus"]["Errors"] = [
        {"FieldName": "FACCOUNTID", "Message": "科目不存在", "DIndex": 0},
        {"FieldName": "", "Message": "日期有误", "DIndex": 0},
        {"FieldName": None, "Message": "另一张", "DIndex": 2},
    ]
    status = status_of(body)
    assert status is not None
    assert status.done == {1: "7"}
    assert status.errors == {0: "科目不存在 (FACCOUNTID)；日期有误", 2: "另一张"}


@pytest.mark.parametrize("wrap", [lambda body: body, lambda body: [body], lambda body: [[body]]])
def test_a_failed_query_is_known_inside_lists(wrap: Any) -> None:
    status = status_of(wrap(answer(1, "会话信息已丢失，请重新登录")))
    assert status is not None
    assert status.is_session_lost


@pytest.mark.parametrize("rows", [[], [[1, "a"]], [["x"]], {"Result": {"Result": {}}}, [[None]]])
def test_rows_are_no_status(rows: Any) -> None:
    assert status_of(rows) is None


@pytest.mark.parametrize("text", ["", "<html>", "response_error:x", '{"a":', "[" * 100_000, "NaN{"])
def test_what_is_no_answer(text: str) -> None:
    with pytest.raises(NotAnAnswer):
        parse(text)


@pytest.mark.parametrize(
    "status",
    [{}, {"IsSuccess": True, "MsgCode": "x"}, {"IsSuccess": True, "SuccessEntitys": [{"DIndex": 0}]}, []],
)
def test_a_status_that_cannot_be_read(status: Any) -> None:
    with pytest.raises(NotAnAnswer):
        status_of(json.loads(json.dumps({"Result": {"ResponseStatus": status}})))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("重复的JSON数据，请勿重复提交", True), ("编码重复", False), ("凭证号已存在", False)],
)
def test_repeats_are_known_by_their_text(text: str, expected: bool) -> None:
    assert is_repeat(text) is expected
