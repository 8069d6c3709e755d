"""Ledger calendars: which period holds a day, and where the closed ones end."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.domain.period import Calendar, LedgerPeriod, PeriodState
from tests.calendars import CLOSED, FUTURE, MISSING, OPEN, calendar, over

_states = st.lists(st.sampled_from([OPEN, CLOSED, FUTURE, MISSING]), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((OPEN, OPEN), date(2026, 1, 20)),
        ((CLOSED, OPEN), date(2026, 2, 1)),
        ((CLOSED, CLOSED, OPEN), date(2026, 3, 1)),
        ((CLOSED, FUTURE, OPEN), date(2026, 2, 1)),
        ((CLOSED, MISSING, OPEN), date(2026, 2, 1)),
        ((FUTURE, OPEN), date(2026, 1, 20)),
        ((CLOSED,), date(2026, 2, 1)),
    ],
)
def test_the_day_after_the_closed_periods(states: tuple[PeriodState, ...], expected: date) -> None:
    assert calendar(*states).after_closed(date(2026, 1, 20)) == expected


@given(_states, st.integers(0, 300))
def test_nothing_but_closed_days_is_passed_and_the_first_other_day_is_found(
    states: list[PeriodState], offset: int
) -> None:
    ours, day = calendar(*states), date(2026, 1, 1) + timedelta(days=offset)
    found = ours.after_closed(day)
    passed = [day + timedelta(days=n) for n in range((found - day).days)]
    assert all(ours.state(each) is CLOSED for each in passed)
    assert ours.state(found) is not CLOSED


@given(_states, st.sets(st.integers(1, 8)), st.integers(0, 240))
def test_adjustment_periods_change_nothing(
    states: list[PeriodState], adjusted: set[int], offset: int
) -> None:
    day = date(2026, 1, 1) + timedelta(days=offset)
    plain, with_adjustments = calendar(*states), calendar(*states, adjustments=tuple(map(over, adjusted)))
    assert with_adjustments.holding(day) == plain.holding(day)
    assert with_adjustments.after_closed(day) == plain.after_closed(day)


def test_a_calendar_that_is_closed_to_the_end_of_time_ends() -> None:
    last = LedgerPeriod("9999-12", date(9999, 12, 1), date.max, CLOSED)
    assert Calendar([last]).after_closed(date(9999, 12, 3)) == date(9999, 12, 3)
