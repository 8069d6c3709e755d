"""What YonBIP answers, and what each failure means. HTTP is 200 for nearly everything; `code` says more, a text or a number.

| code | a read | a write |
|---|---|---|
| 310036 token refused (also the plain text 非法token), 310001 no token | a new token once, then FixConfig | the same: nothing was done |
| 310032, 310039, 310042, 310046 too many calls | Refused | Refused |
| 310037 not authorised; 310404 no such path; other refusals of the gateway | FixConfig | FixConfig |
| 310043, 310071, 310072, 310504, 315001 trouble behind the gateway | RetryLater | OutcomeUnknown |
| 202 the same key is being worked on | RetryLater | asked again with the same key, then OutcomeUnknown |
| 10004, 100004 the key was used before | FixData | an answer: it was done before |
| 404, 0, 999, others: the service refuses | FixData | an answer: refused |

That nothing was done where the gateway refuses is how the codes read, not a promise of the vendor's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater, VoucherflowError
from include.pace import Refused

DONE = "200"
WORKING = "202"
REPEATED = frozenset({"10004", "100004"})
"""The vendor's pages name both."""
TOKEN_REFUSED = frozenset({"310001", "310036"})
TOKEN_REFUSED_TEXT = "非法token"  # noqa: S105
"""What some pages answer instead, as plain text."""
BUSY = frozenset({"310032", "310039", "310042", "310046"})
BUSY_PAUSE_S = 10.0
"""Quotas are counted by the minute, and answers do not say how much of it is left."""
UNCERTAIN = frozenset({"310043", "310071", "310072", "310504", "315001"})
SETTINGS: Mapping[str, tuple[str, str]] = {
    "310005": ("应用不存在，请检查 appKey", "there is no such application: check appKey"),
    "310006": ("应用已停用，请在开放平台启用", "the application is switched off: switch it on"),
    "310031": ("本机地址不在允许范围", "this machine's address is not allowed"),
    "310037": (
        "接口未授权，请在开放平台「API 授权」中勾选",
        "the interface is not granted: grant it under API authorisation",
    ),
    "310038": ("本机地址不在应用的允许范围", "this machine's address is not allowed to the application"),
    "310041": ("本机地址不在产品的允许范围", "this machine's address is not allowed to the product"),
    "310047": ("本机地址不在接口的允许范围", "this machine's address is not allowed to the interface"),
    "310404": ("网关没有此接口，请检查地址和版本", "the gateway has no such path: check address and version"),
    "310405": (
        "网关不接受此请求方式，请检查版本",
        "the gateway does not take this method: check the version",
    ),
}
ABSENT_WORDS = ("不存在", "未找到", "没有找到")
CLOSED_WORDS = ("结账", "关账")
NOT_CLOSED_WORDS = ("未结账", "没有结账", "未关账")
MAX_MESSAGE = 2000


class NotAnAnswer(ValueError):
    """What came back is not what YonBIP answers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's parts; `code` as text, whatever it was."""

    code: str
    message: str
    data: Any
    is_done: bool

    @property
    def is_token_refused(self) -> bool:
        return self.code in TOKEN_REFUSED

    @property
    def is_repeated(self) -> bool:
        return self.code in REPEATED

    @property
    def says_absent(self) -> bool:
        """Whether it refuses for there being nothing of that id; code 404 alone says only that it refuses."""
        return not self.is_done and any(word in self.message for word in ABSENT_WORDS)

    @property
    def says_closed(self) -> bool:
        """Whether it refuses for a period that is closed; the vendor documents no code for it."""
        text = self.message
        for other in NOT_CLOSED_WORDS:  # of the period before it, say
            text = text.replace(other, "")
        return not self.is_done and any(word in text for word in CLOSED_WORDS)


def answer_of(text: str) -> Answer:
    """Read an answer, its numbers exact.

    Raises:
        NotAnAnswer: neither JSON with a code nor the plain text of a refused token.
    """
    if text.strip() == TOKEN_REFUSED_TEXT:
        return Answer("310036", TOKEN_REFUSED_TEXT, None, is_done=False)
    try:
        found = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise NotAnAnswer("no JSON") from error
    # The page of periods leaves the code out where all went well, and says success.
    if not isinstance(found, Mapping) or not ("code" in found or is_true(found.get("success"))):
        raise NotAnAnswer("no code")
    code = str(found.get("code", DONE)).strip()
    is_denied = "success" in found and found["success"] is not None and not is_true(found["success"])
    message = " ".join(str(found.get("message") or "").split())[:MAX_MESSAGE]
    return Answer(code, message, found.get("data"), is_done=code in (DONE, "00000") and not is_denied)


def is_true(value: Any) -> bool:
    """A switch, which pages give as a boolean, a number or a text."""
    return value is True or str(value).strip().lower() in ("true", "1", "y")


def failure(name: str, what: str, answer: Answer, *, writes: bool) -> VoucherflowError | None:
    """The error of a call that the table above gives one; None for an answer to a write that its caller settles."""
    code, text = answer.code, f"{what}: {answer.message} ({answer.code})"
    if code in BUSY:
        return Refused(
            f"{name}: 用友限流，稍后会重试 / YonBIP limits its calls, it will be tried again: {text}",
            retry_after_s=BUSY_PAUSE_S,
        )
    if code in UNCERTAIN or (code == WORKING and not writes):
        return lost(name, text, writes=writes)
    if code in TOKEN_REFUSED:
        return FixConfig(
            f"{name}: 用友不接受新取的令牌，请检查租户和地址是否属于同一数据中心 / YonBIP refuses a token that it has just given: check "
            f"that tenant and address belong to one data centre: {text}"
        )
    if code in SETTINGS or (len(code) == 6 and code.startswith("310")):
        zh, en = SETTINGS.get(code, ("网关拒绝请求，请检查设置", "the gateway refuses: check the settings"))
        return FixConfig(f"{name}: {zh} / {en}: {text}")
    if writes:
        return None
    return FixData(f"{name}: 用友拒绝 / YonBIP refuses: {text}")


def lost(name: str, what: str, *, writes: bool) -> VoucherflowError:
    """The error of a call without a reliable answer."""
    if writes:
        return OutcomeUnknown(
            f"{name}: 已发出但没有得到可靠回答，须先查询 / it was sent and its answer was lost, look before sending again: {what}"
        )
    return RetryLater(f"{name}: 读取失败，稍后会重试 / the read failed, it will be tried again: {what}")
