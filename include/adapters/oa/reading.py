"""Reading single values of a payload, for every OA: each reading gives a value or None, and notes what was wrong and where.

Nothing here raises on user data. A value that cannot be read is None and leaves a problem; one that can be
read but makes no sense (a negative amount, a date far away) is left to the quality gate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from include.domain.document import digest
from include.domain.money import (
    MAX_MINOR,
    AmountError,
    convert_minor,
    currency_decimals,
    format_minor,
    parse_minor,
)
from include.domain.problems import Problem, ProblemOwner

MAX_RATE_DIGITS = 30
HUGE = 10**60
ID_LENGTH = 128
SHOWN = 40
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Label:
    """What a field is called in problem codes and in messages."""

    code: str
    zh: str
    en: str


AMOUNT_FAULTS = {
    "missing": ("没有金额，请补填", "has no amount, fill it in"),
    "not_a_number": ("{shown} 不是数字，请改正", "{shown} is not a number, correct it"),
    "too_many_decimals": (
        "{shown} 的小数位超过 {currency} 的 {decimals} 位，请改正",
        "{shown} has more decimals than {currency} has ({decimals}), correct it",
    ),
    "out_of_range": ("{shown} 超出可记账的范围，请改正", "{shown} is beyond what can be booked, correct it"),
    "in_words": (
        "{shown} 不是阿拉伯数字（大写、带“万”或“整”的金额不读取），请改填数字",
        "{shown} is written in words, which are not read: enter digits",
    ),
    "other_currency": (
        "{shown} 所写的币种与 {currency} 不符，请改正金额或币种",
        "{shown} names another currency than {currency}: correct the amount or the currency",
    ),
    "unknown_currency": (
        "币种 {currency} 不是 ISO 4217 币种，请改正",
        "{currency} is no ISO 4217 currency, correct it",
    ),
}


def shown(value: object) -> str:
    """A value for a message, cut short."""
    text = clean_text(value) if isinstance(value, str) else as_text(value)
    return f"“{text[:SHOWN]}…”" if len(text) > SHOWN else f"“{text}”"


def usable_id(value: object) -> str:
    """A document's id if it can be a key in the store, else empty."""
    is_usable = isinstance(value, str) and value == clean_text(value).strip() and len(value) <= ID_LENGTH
    return value if is_usable and isinstance(value, str) else ""


def made_up_id(payload: Mapping[str, Any]) -> str:
    """The id under which a payload without a usable one is kept; the same payload always gets the same."""
    return f"malformed-{digest(payload)[:12]}"


def as_text(value: object) -> str:
    """Any JSON value as text. Python refuses to spell out integers of thousands of digits."""
    if isinstance(value, int) and abs(value) >= HUGE:
        return "≥ 1e60" if value > 0 else "≤ -1e60"
    if isinstance(value, list | dict):
        return f"[…]({len(value)})" if isinstance(value, list) else f"{{…}}({len(value)})"
    return clean_text(str(value))


def clean_text(text: str) -> str:
    """The text without what no database takes: NUL, and halves of surrogate pairs, become U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


@dataclass(slots=True)
class Reader:
    """Collects the problems of one document. `functional` is the company's currency, `zone` the tenant's."""

    functional: str
    zone: ZoneInfo
    problems: list[Problem] = field(default_factory=list)

    def note(
        self,
        code: str,
        where: str,
        zh: str,
        en: str,
        *,
        line_no: int | None = None,
        owner: ProblemOwner = ProblemOwner.OA_USER,
        cause: str = "",
    ) -> None:
        if line_no is not None:
            zh, en = f"第 {line_no} 条费用明细：{zh}", f"line {line_no}: {en}"
        self.problems.append(Problem(code, where, zh, en, owner, line_no, cause))

    # -- text and references -------------------------------------------------------------------------

    def text(self, value: object) -> str:
        """Free text, empty where there is none. Numbers become text."""
        if isinstance(value, str):
            return clean_text(value)
        return as_text(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""

    def key(self, value: object, where: str, label: Label, length: int, line_no: int | None = None) -> str:
        """A key: text of at most `length` characters, empty where there is none."""
        if value is None or value == "":
            return ""
        text = self.text(value).strip()
        if not text or len(text) > length or "\ufffd" in text:
            self.note(
                f"{label.code}.unreadable",
                where,
                f"{label.zh} {shown(value)} 无法使用（应为不超过 {length} 个字符的文本），请改正",
                f"{label.en} {shown(value)} cannot be used (text of at most {length} characters), correct it",
                line_no=line_no,
            )
        return text[:length]

    # -- money ---------------------------------------------------------------------------------------

    def total(
        self, parts: Sequence[int | None], where: str, label: Label, line_no: int | None = None
    ) -> int | None:
        """The sum of minor units; None where a part is missing, with a problem where it cannot be stored."""
        known = [part for part in parts if part is not None]
        if len(known) != len(parts):
            return None
        if abs(sum(known)) <= MAX_MINOR:
            return sum(known)
        self.amount_fault(AmountError("out_of_range", sum(known)), where, label, self.functional, line_no)
        return None

    def conversion(
        self,
        amount: int,
        currency: str,
        rate: Decimal,
        functional: int,
        where: str,
        label: Label,
        line_no: int | None = None,
    ) -> None:
        """Note a home value that is not the foreign one × rate, half up; all in minor units."""
        expected = convert_minor(amount, currency, rate, self.functional)
        if expected == functional:
            return
        self.note(
            f"{label.code}.conversion",
            where,
            f"{label.zh}：{format_minor(amount, currency)} × {rate} 应为 {format_minor(expected, self.functional)}，"
            f"单据为 {format_minor(functional, self.functional)}，请改正汇率或金额",
            f"{label.en}: {format_minor(amount, currency)} × {rate} is {format_minor(expected, self.functional)}, "
            f"the document says {format_minor(functional, self.functional)}: correct rate or amount",
            line_no=line_no,
        )

    def currency(self, code: object, where: str, label: Label, line_no: int | None) -> str | None:
        """An ISO 4217 code that has a minor unit, else None with a problem."""
        try:
            currency_decimals(code if isinstance(code, str) and len(code) == 3 else "")
        except AmountError:
            fault = AmountError("unknown_currency", code)
            self.amount_fault(
                fault, where, label, shown(code), line_no, cause=f"currency:{clean_text(str(code))[:16]}"
            )
            return None
        return str(code)

    def rate(self, value: object, where: str, label: Label, line_no: int | None) -> Decimal | None:
        """An exchange rate above zero, else None with a problem."""
        rate: Decimal | None = None
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            try:
                rate = Decimal(as_text(value).strip())
            except InvalidOperation:
                rate = None  # reported below
        readable = (
            rate is not None
            and rate.is_finite()
            and abs(rate.adjusted()) < MAX_RATE_DIGITS
            and len(format(rate, "f")) <= MAX_RATE_DIGITS
        )
        if rate is not None and readable and rate > 0:
            return rate
        missing = value is None or value == ""
        fault = "missing" if missing else "not_positive" if readable else "unreadable"
        said = "没有汇率" if missing else f"汇率 {shown(value)} 不可用"
        said_en = "there is no rate" if missing else f"the rate {shown(value)} cannot be used"
        self.note(
            f"{label.code}.rate.{fault}",
            where,
            f"{label.zh}：{said}，请填写大于 0 的汇率",
            f"{label.en}: {said_en}, enter a rate above 0",
            line_no=line_no,
        )
        return None

    def minor(
        self, value: object, currency: str, where: str, label: Label, line_no: int | None
    ) -> int | None:
        """Minor units of an amount in major units (number or text), else None with a problem."""
        try:
            if isinstance(value, int) and abs(value) >= HUGE:
                raise AmountError("out_of_range", value)
            return parse_minor(value, currency)
        except AmountError as error:
            self.amount_fault(error, where, label, currency, line_no)
            return None

    def amount_fault(
        self,
        error: AmountError,
        where: str,
        label: Label,
        currency: str,
        line_no: int | None,
        *,
        cause: str = "",
    ) -> None:
        """Note what is wrong with an amount in `currency`."""
        zh, en = AMOUNT_FAULTS[error.code]
        decimals = currency_decimals(currency) if error.code == "too_many_decimals" else ""
        facts = {"shown": shown(error.value), "currency": currency, "decimals": decimals}
        self.note(
            f"{label.code}.{error.code}",
            where,
            f"{label.zh}：{zh.format(**facts)}",
            f"{label.en}: {en.format(**facts)}",
            line_no=line_no,
            cause=cause,
        )
