"""Reading the vendor's values: ids, moments and amount objects, and what it calls "no date".

Nothing here raises on user data. A value that cannot be read is None and leaves a problem; one that can be
read but makes no sense (a negative amount, a date far away) is left to the quality gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from include.adapters.oa import reading
from include.adapters.oa.reading import ID_LENGTH, SHOWN, Label, clean_text, shown
from include.adapters.oa.times import END_OF_TIME_MS, MAX_MS, epoch_ms, to_moment
from include.domain.money import AmountError
from include.domain.problems import ProblemOwner

NO_DATE = 9007199254740991
"""What the vendor writes for "no date" (JavaScript's largest safe integer)."""


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount object as read. `amount` is in `currency`; both equal the functional ones if nothing is foreign."""

    functional: int | None
    currency: str | None
    amount: int | None
    rate: Decimal | None


NOTHING = Amount(None, None, None, None)


def _shown_date(value: object) -> str:
    """A date for a message: far-away milliseconds as the day that the OA shows for them."""
    if isinstance(value, int) and MAX_MS < value <= END_OF_TIME_MS:
        return f"“{to_moment(value).date()}”"
    return shown(value)


@dataclass(slots=True)
class Reader(reading.Reader):
    """Collects the problems of one document."""

    def unreadable(self, where: str, code: str, zh: str, en: str) -> None:
        """Note a part of the document whose structure is not the documented one."""
        self.note(
            code,
            where,
            f"{zh}缺失或结构无法识别，请在合思中核对该单据后重新提交",
            f"{en}: missing, or of a structure that cannot be read; check the document in Hesi and submit it again",
        )

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
        if isinstance(value, str) and len(value) <= SHOWN:
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

    def amount(self, value: object, where: str, label: Label, line_no: int | None = None) -> Amount:
        """An amount object (or bare number or text, as loan records have it).

        Everything wrong in it becomes a problem: unreadable numbers, unknown currencies, a rate that is
        missing or not positive, and a home value that is not foreign × rate, half up.
        """
        if value is None:
            self.amount_fault(AmountError("missing", None), where, label, self.functional, line_no)
            return NOTHING
        if isinstance(value, list | bool):
            self.amount_fault(AmountError("not_a_number", value), where, label, self.functional, line_no)
            return NOTHING
        if not isinstance(value, dict):
            plain = self.minor(value, self.functional, where, label, line_no)
            return Amount(plain, self.functional, plain, Decimal(1))
        home = self._home_currency(value, where, label, line_no)
        standard = self.minor(value.get("standard"), self.functional, f"{where}.standard", label, line_no)
        functional = standard if home else None
        if value.get("foreign") in (None, "") and value.get("foreignStrCode") in (None, ""):
            return Amount(functional, self.functional if home else None, functional, Decimal(1))
        return self._foreign(value, functional, where, label, line_no)

    def _home_currency(self, value: Mapping[str, Any], where: str, label: Label, line_no: int | None) -> bool:
        code = value.get("standardStrCode")
        if code is None or code == self.functional:
            return True
        if self.currency(code, f"{where}.standardStrCode", label, line_no) is None:
            return False
        self.note(
            f"{label.code}.home_currency",
            f"{where}.standardStrCode",
            f"{label.zh}的本位币为 {shown(code)}，来源配置为 {self.functional}，请核对企业本位币或 functional_currency",
            f"{label.en} is in home currency {shown(code)}, the source is configured for {self.functional}: check "
            "the company's home currency or functional_currency",
            line_no=line_no,
            owner=ProblemOwner.ENGINEER,
            cause=f"home_currency:{clean_text(str(code))[:16]}",
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
        currency = self.currency(code, f"{where}.foreignStrCode", label, line_no)
        rate = self.rate(value.get("rate"), f"{where}.rate", label, line_no)
        if currency is None:
            return Amount(functional, None, None, rate)
        amount = self.minor(value.get("foreign"), currency, f"{where}.foreign", label, line_no)
        if amount is not None and rate is not None and functional is not None:
            self.conversion(amount, currency, rate, functional, f"{where}.standard", label, line_no)
        return Amount(functional, currency, amount, rate)
