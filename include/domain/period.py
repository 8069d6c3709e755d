"""Fiscal periods (会计期间) and what the ledger says of them."""

from __future__ import annotations

import re
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
    MISSING = "missing"
    """The ledger has no such period (not yet opened, or a year nobody set up)."""


@dataclass(frozen=True, slots=True)
class LedgerPeriod:
    """A period as the ledger has it; both days belong to it."""

    code: str
    first_day: date
    last_day: date
    state: PeriodState
