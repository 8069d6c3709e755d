"""Fiscal periods (会计期间) and what the ledger says of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

_CODE = re.compile(r"^(\d{4})-(0[1-9]|1[0-2])$")


@dataclass(frozen=True, slots=True, order=True)
class FiscalPeriod:
    """A calendar month; its code is `2026-01`."""

    year: int
    month: int

    def __post_init__(self) -> None:
        if not (1 <= self.month <= 12 and 1 <= self.year <= 9999):
            raise ValueError(f"no such period: {self.year}-{self.month}")

    @classmethod
    def of(cls, day: date) -> FiscalPeriod:
        return cls(day.year, day.month)

    @classmethod
    def parse(cls, code: str) -> FiscalPeriod:
        """Read `2026-01`.

        Raises:
            ValueError: with the expected form.
        """
        match = _CODE.match(code)
        if match is None:
            raise ValueError(
                f"会计期间应写作 2026-01，而不是 {code!r} / a period is written 2026-01, not {code!r}"
            )
        return cls(int(match[1]), int(match[2]))

    @property
    def code(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"

    @property
    def first_day(self) -> date:
        return date(self.year, self.month, 1)

    @property
    def last_day(self) -> date:
        if self.month == 12:
            return date(self.year, 12, 31)
        return date(self.year, self.month + 1, 1) - timedelta(days=1)

    def __str__(self) -> str:
        return self.code


class PeriodState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    NOT_YET_OPEN = "not_yet_open"
    """The ledger has it, and takes nothing into it yet. Ledgers that know only open and closed never say so."""
    MISSING = "missing"
    """The ledger has no such period: a year that nobody set up."""


@dataclass(frozen=True, slots=True)
class LedgerPeriod:
    """A period as the ledger has it; both days belong to it.

    An adjustment period (调整期) lies over days of normal ones, for entries that accountants make at the end of a year.
    Vouchers of ours never go there.
    """

    code: str
    first_day: date
    last_day: date
    state: PeriodState
    is_adjustment: bool = False


class Calendar:
    """The normal periods of a ledger, by day. Adjustment periods are left out: they never hold a voucher of ours."""

    def __init__(self, periods: Iterable[LedgerPeriod]) -> None:
        normal = (period for period in periods if not period.is_adjustment)
        self.periods = tuple(sorted(normal, key=lambda period: period.first_day))

    def holding(self, day: date) -> LedgerPeriod | None:
        """The period that holds a day, None where there is none."""
        return next((p for p in self.periods if p.first_day <= day <= p.last_day), None)

    def state(self, day: date) -> PeriodState:
        """The state of the period that holds a day."""
        period = self.holding(day)
        return period.state if period else PeriodState.MISSING

    def is_open(self, day: date) -> bool:
        return self.state(day) is PeriodState.OPEN

    def after_closed(self, day: date) -> date:
        """The day itself, unless its period is closed: then the first day after it and all closed ones that follow.

        That day may be in an open period, in one that is not open yet, or in none; only the first may be posted into.
        """
        period = self.holding(day)
        while period is not None and period.state is PeriodState.CLOSED and period.last_day < date.max:
            day = period.last_day + timedelta(days=1)
            period = self.holding(day)
        return day
