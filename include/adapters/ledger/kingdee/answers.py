"""What Kingdee answers, and what each failure means. HTTP is 200 whatever happened; `MsgCode` says more.

| MsgCode | a read | a write |
|---|---|---|
| 1 session lost | signed again once, then RetryLater; FixConfig when we were never let in | the same: nothing was done |
| 2 no right, 3, 5, 8 wrong request, 15 administrators may not | FixConfig | FixConfig |
| 9 no such field or value | FixConfig | refused content |
| 4 exception, 6 database | RetryLater | OutcomeUnknown |
| 7 licences used up | RetryLater | RetryLater |
| 13 locked by somebody, 14 too many calls | Refused | Refused |
| 0, 10, 11, 12, others | FixData | refused content |

Codes 0 to 15 are the vendor's; that nothing was done at 1, 2, 3, 5, 7, 8, 9, 13, 14 and 15 is how they read, not a promise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater, VoucherflowError
from include.pace import Refused

SESSION_LOST = 1
NO_FIELD = 9
NO_DATA = 10
UNCERTAIN = frozenset({4, 6})
BUSY = frozenset({13, 14})
SETTINGS: Mapping[int, tuple[str, str]] = {
    2: ("集成用户没有权限，请在金蝶中授权", "the user lacks a right: grant it in Kingdee"),
    3: ("金蝶没有此操作", "Kingdee has no such operation: check its version"),
    5: ("金蝶没有此单据", "Kingdee has no such form: check its version"),
    8: (
        "请求参数有误，版本可能不符",
        "a parameter is wrong: check the version and the book's ledger.options",
    ),
    9: ("金蝶没有此字段，请检查账簿的 ledger.options", "no such field: check the book's ledger.options"),
    15: ("不允许管理员登录，请换用集成用户", "administrators may not log in: use an integration user"),
}
LICENCE = 7
LOST_TEXT = "会话信息已丢失"
MAX_MESSAGE = 2000


class NotAnAnswer(ValueError):
    """What came back is not what Kingdee answers."""


@dataclass(frozen=True, slots=True)
class Status:
    """A `ResponseStatus`. Keys of `done` and `errors` are places in what was sent (DIndex), from 0."""

    is_success: bool
    code: int
    done: Mapping[int, str] = field(default_factory=dict)
    """Kingdee's ids of what was done."""
    errors: Mapping[int, str] = field(default_factory=dict)

    @property
    def message(self) -> str:
        return "；".join(dict.fromkeys(self.errors.values())) or f"MsgCode {self.code}"

    @property
    def is_session_lost(self) -> bool:
        return not self.is_success and (self.code == SESSION_LOST or LOST_TEXT in self.message)


def parse(text: str) -> Any:
    """An answer as JSON with exact numbers; raises NotAnAnswer."""
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        # The SDK knows texts that begin with response_error: as exceptions of the server.
        what = "response_error" if text.startswith("response_error:") else "no JSON"
        raise NotAnAnswer(what) from error


def status_of(answer: Any) -> Status | None:
    """The status in an answer; None where it has none, as rows of a query.

    Raises:
        NotAnAnswer: it looks like one and cannot be read.
    """
    inner = answer
    for _ in range(2):  # failed queries answer with two lists around the envelope
        if isinstance(inner, list) and len(inner) == 1 and isinstance(inner[0], list | Mapping):
            inner = inner[0]
    result = inner.get("Result") if isinstance(inner, Mapping) else None
    status = result.get("ResponseStatus") if isinstance(result, Mapping) else None
    if status is None:
        return None
    try:
        return Status(
            is_success=is_true(status["IsSuccess"]),
            code=int(status.get("MsgCode") or 0),
            done={int(x.get("DIndex") or 0): str(x["Id"]) for x in status.get("SuccessEntitys") or ()},
            errors=_errors(status.get("Errors") or ()),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotAnAnswer(f"ResponseStatus ({type(error).__name__})") from error


def _errors(given: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    found: dict[int, list[str]] = {}
    for error in given:
        text = " ".join(str(error.get("Message") or "").split())[:MAX_MESSAGE]
        name = str(error.get("FieldName") or "")
        if name and name.lower() not in text.lower():
            text = f"{text} ({name})"
        found.setdefault(int(error.get("DIndex") or 0), []).append(text)
    return {index: "；".join(dict.fromkeys(texts)) for index, texts in found.items()}


def is_true(value: Any) -> bool:
    """A switch, which sites give as a boolean, a number or a text."""
    return value is True or str(value).strip().lower() in ("true", "1")


def is_repeat(message: str) -> bool:
    """Whether ValidateRepeatJson refused the same Model a second time. The vendor does not document its text."""
    return "重复" in message and ("json" in message.lower() or "提交" in message)


def failure(name: str, what: str, status: Status, *, writes: bool) -> VoucherflowError:
    """The error of a call that failed whole, by the table above."""
    code, text = status.code, f"{what}: {status.message}"
    if code in BUSY:
        return Refused(
            f"{name}: 金蝶正忙或限流，稍后会重试 / Kingdee is busy, it will be tried again: {text}"
        )
    if code in UNCERTAIN:
        return lost(name, text, writes=writes)
    if code == LICENCE:
        return RetryLater(
            f"{name}: 金蝶许可不足，稍后会重试 / Kingdee is out of licences, it will be tried again: {text}"
        )
    if code in SETTINGS and not (writes and code == NO_FIELD):
        zh, en = SETTINGS[code]
        return FixConfig(f"{name}: {zh} / {en}: {text}")
    return FixData(f"金蝶拒绝：{status.message} / Kingdee refuses: {status.message}")


def lost(name: str, what: str, *, writes: bool) -> VoucherflowError:
    """The error of a call without a reliable answer."""
    if writes:
        return OutcomeUnknown(
            f"{name}: 已发出但没有得到可靠回答，须先查询 / it was sent and its answer was lost, look before sending again: {what}"
        )
    return RetryLater(f"{name}: 读取失败，稍后会重试 / the read failed, it will be tried again: {what}")
