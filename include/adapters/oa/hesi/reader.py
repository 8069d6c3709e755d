"""Reading single values of a payload: each reading gives a value or None, and notes what was wrong and where.

Nothing here raises on user data. A value that cannot be read is None and leaves a problem; one that can be
read but makes no sense (a negative amount, a date far away) is left to the quality gate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from include.adapters.oa.hesi.times import END_OF_TIME_MS, MAX_MS, epoch_ms, to_moment
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

NO_DATE = 9007199254740991
"""What the vendor writes for "no date" (JavaScript's largest safe integer)."""
MAX_RATE_DIGITS = 30
HUGE = 10**60
ID_LENGTH = 128
_SHOWN = 40
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Label:
    """What a field is called in problem codes and in messages."""

    code: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount object as read. `amount` is in `currency`; both equal the functional ones if nothing is foreign."""

    functional: int | None
    currency: str | None
    amount: int | None
    rate: Decimal | None


NOTHING = Amount(None, None, None, None)

_AMOUNT_FAULTS = {
    "missing": ("没有金额，请补填", "has no amount, fill it in"),
    "not_a_number": ("{shown} 不是数字，请改正", "{shown} is not a number, correct it"),
    "too_many_decimals": (
        "{shown} 的小数位超过 {currency} 的 {decimals} 位，请改正",
        "{shown} has more decimals than {currency} has ({decimals}), correct it",
    ),
    "out_of_range": ("{shown} 超出可记账的范围，请改正", "{shown} is beyond what can be booked, correct it"),
    "unknown_currency": (
        "币种 {currency} 不是 ISO 4217 币种，请改正",
        "{currency} is no ISO 4217 currency, correct it",
    ),
}


def shown(value: object) -> str:
    """A value for a message, cut short."""
    text = clean_text(value) if isinstance(value, str) else as_text(value)
    return f"“{text[:_SHOWN]}…”" if len(text) > _SHOWN else f"“{text}”"


def usable_id(value: object) -> str:
    """A document's id if it can be a key in the store, else empty."""
    is_usable = isinstance(value, str) and value == clean_text(value).strip() and len(value) <= ID_LENGTH
    return value if is_usable and isinstance(value, str) else ""


def made_up_id(payload: Mapping[str, Any]) -> str:
    """The id under which a payload without a usable one is kept; the same payload always gets the same."""
    return f"malformed-{digest(payload)[:12]}"


def _shown_date(value: object) -> str:
    """A date for a message: far-away milliseconds as the day that the OA shows for them."""
    if isinstance(value, int) and MAX_MS < value <= END_OF_TIME_MS:
        return f"“{to_moment(value).date()}”"
    return shown(value)


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

    def unreadable(self, where: str, code: str, zh: str, en: str) -> None:
        """Note a part of the document whose structure is not the documented one."""
        self.note(
            code,
            where,
            f"{zh}缺失或结构无法识别，请在合思中核对该单据后重新提交",
            f"{en}: missing, or of a structure that cannot be read; check the document in Hesi and submit it again",
        )

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

    def identity(self, value: object, where: str, label: Label, line_no: int | None = None) -> str | None:
        """The id of something referred to; None where there is none. A list of one is what a multi-select sends."""
        if isinstance(value, list) and len(value) <= 1:
            value = value[0] if value else None
        if isinstance(value, dict):
            value = value.get("id")
        if value is None or value == "":
            return None
        if isinstance(value, list):
            self.note(
                f"{label.code}.several",
                where,
                f"{label.zh}选了 {len(value)} 个，只能选一个，请改正",
                f"{label.en}: {len(value)} are chosen, choose one",
                line_no=line_no,
            )
            return None
        if not isinstance(value, str):
            self.note(
                f"{label.code}.unreadable",
                where,
                f"{label.zh} {shown(value)} 不是档案编号，请重新选择",
                f"{label.en} {shown(value)} is no id, choose it again",
                line_no=line_no,
            )
            return None
        return self.key(value, where, label, ID_LENGTH, line_no) or None

    # -- time ----------------------------------------------------------------------------------------

    def moment(self, value: object, where: str, label: Label, line_no: int | None = None) -> datetime | None:
        """Epoch milliseconds (number or text) or `yyyy-MM-dd[ HH:mm:ss]` in the tenant's zone, as UTC."""
        if value is None or value in ("", NO_DATE, str(NO_DATE)):
            return None
        milliseconds = epoch_ms(value)
        if milliseconds is not None:
            return to_moment(milliseconds)
        if isinstance(value, str) and len(value) <= _SHOWN:
            try:
                local = datetime.fromisoformat(value.strip())
                if 1970 <= local.year < 9999:
                    return (local if local.tzinfo else local.replace(tzinfo=self.zone)).astimezone(UTC)
            except ValueError:
                local = None  # not a date in this form either: reported below
        self.note(
            f"{label.code}.unreadable",
            where,
            f"{label.zh} {_shown_date(value)} 不是可用的日期，请改正",
            f"{label.en} {_shown_date(value)} is no usable date, correct it",
            line_no=line_no,
        )
        return None

    def day(self, value: object, where: str, label: Label, line_no: int | None = None) -> date | None:
        """The business day of a moment in the tenant's zone."""
        moment = self.moment(value, where, label, line_no)
        return moment.astimezone(self.zone).date() if moment is not None else None

    # -- money ---------------------------------------------------------------------------------------

    def amount(self, value: object, where: str, label: Label, line_no: int | None = None) -> Amount:
        """An amount object (or bare number or text, as loan records have it).

        Everything wrong in it becomes a problem: unreadable numbers, unknown currencies, a rate that is
        missing or not positive, and a home value that is not foreign × rate, half up.
        """
        if value is None:
            self._amount_fault(AmountError("missing", None), where, label, self.functional, line_no)
            return NOTHING
        if isinstance(value, list | bool):
            self._amount_fault(AmountError("not_a_number", value), where, label, self.functional, line_no)
            return NOTHING
        if not isinstance(value, dict):
            plain = self._minor(value, self.functional, where, label, line_no)
            return Amount(plain, self.functional, plain, Decimal(1))
        home = self._home_currency(value, where, label, line_no)
        standard = self._minor(value.get("standard"), self.functional, f"{where}.standard", label, line_no)
        functional = standard if home else None
        if value.get("foreign") in (None, "") and value.get("foreignStrCode") in (None, ""):
            return Amount(functional, self.functional if home else None, functional, Decimal(1))
        return self._foreign(value, functional, where, label, line_no)

    def total(
        self, parts: Sequence[int | None], where: str, label: Label, line_no: int | None = None
    ) -> int | None:
        """The sum of minor units; None where a part is missing, with a problem where it cannot be stored."""
        known = [part for part in parts if part is not None]
        if len(known) != len(parts):
            return None
        if abs(sum(known)) <= MAX_MINOR:
            return sum(known)
        self._amount_fault(AmountError("out_of_range", sum(known)), where, label, self.functional, line_no)
        return None

    def _home_currency(self, value: Mapping[str, Any], where: str, label: Label, line_no: int | None) -> bool:
        code = value.get("standardStrCode")
        if code is None or code == self.functional:
            return True
        if self._currency(code, f"{where}.standardStrCode", label, line_no) is None:
            return False
        self.note(
            f"{label.code}.home_currency",
            f"{where}.standardStrCode",
            f"{label.zh}的本位币为 {shown(code)}，来源配置为 {self.functional}，请核对企业本位币或 functional_currency",
            f"{label.en} is in home currency {shown(code)}, the source is configured for {self.functional}: check "
            "the company's home currency or functional_currency",
            line_no=line_no,
            owner=ProblemOwner.ENGINEER,
            cause=f"home_currency:{str(code)[:16]}",
        )
        return False

    def _foreign(
        self,
        value: Mapping[str, Any],
        functional: int | None,
        where: str,
        label: Label,
        line_no: int | None,
    ) -> Amount:
        code = value.get("foreignStrCode")
        currency = self._currency(code, f"{where}.foreignStrCode", label, line_no)
        rate = self._rate(value.get("rate"), f"{where}.rate", label, line_no)
        if currency is None:
            return Amount(functional, None, None, rate)
        amount = self._minor(value.get("foreign"), currency, f"{where}.foreign", label, line_no)
        if amount is not None and rate is not None and functional is not None:
            expected = convert_minor(amount, currency, rate, self.functional)
            if expected != functional:
                self.note(
                    f"{label.code}.conversion",
                    f"{where}.standard",
                    f"{label.zh}：{format_minor(amount, currency)} × {rate} 应为 {format_minor(expected, self.functional)}，"
                    f"单据为 {format_minor(functional, self.functional)}，请改正汇率或金额",
                    f"{label.en}: {format_minor(amount, currency)} × {rate} is {format_minor(expected, self.functional)}, "
                    f"the document says {format_minor(functional, self.functional)}: correct rate or amount",
                    line_no=line_no,
                )
        return Amount(functional, currency, amount, rate)

    def _currency(self, code: object, where: str, label: Label, line_no: int | None) -> str | None:
        try:
            currency_decimals(code if isinstance(code, str) and len(code) == 3 else "")
        except AmountError:
            fault = AmountError("unknown_currency", code)
            self._amount_fault(fault, where, label, shown(code), line_no, cause=f"currency:{str(code)[:16]}")
            return None
        return str(code)

    def _rate(self, value: object, where: str, label: Label, line_no: int | None) -> Decimal | None:
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

    def _minor(
        self, value: object, currency: str, where: str, label: Label, line_no: int | None
    ) -> int | None:
        try:
            if isinstance(value, int) and abs(value) >= HUGE:
                raise AmountError("out_of_range", value)
            return parse_minor(value, currency)
        except AmountError as error:
            self._amount_fault(error, where, label, currency, line_no)
            return None

    def _amount_fault(
        self,
        error: AmountError,
        where: str,
        label: Label,
        currency: str,
        line_no: int | None,
        *,
        cause: str = "",
    ) -> None:
        zh, en = _AMOUNT_FAULTS[error.code]
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
