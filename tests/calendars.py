"""Calendars of ledgers for tests: the months of 2026 in any states."""

from __future__ import annotations

from include.domain.period import Calendar, FiscalPeriod, LedgerPeriod, PeriodState

OPEN, CLOSED, FUTURE, MISSING = (
    PeriodState.OPEN,
    PeriodState.CLOSED,
    PeriodState.NOT_YET_OPEN,
    PeriodState.MISSING,
)


def calendar(*states: PeriodState, adjustments: tuple[LedgerPeriod, ...] = ()) -> Calendar:
    """The months of 2026 from January on; MISSING ones are left out."""
    months = [FiscalPeriod(2026, number) for number in range(1, len(states) + 1)]
    periods = [
        LedgerPeriod(m.code, m.first_day, m.last_day, state)
        for m, state in zip(months, states, strict=True)
        if state is not MISSING
    ]
    return Calendar([*adjustments, *periods])


def over(month: int, state: PeriodState = OPEN) -> LedgerPeriod:
    """An adjustment period over the whole of a month."""
    period = FiscalPeriod(2026, month)
    return LedgerPeriod(f"2026-{12 + month}", period.first_day, period.last_day, state, is_adjustment=True)
