"""When things happen and how much they cost: weeks, month ends, holidays, office hours, log-normal amounts."""

from __future__ import annotations

import bisect
import itertools
import math
import random
from dataclasses import dataclass
from datetime import date, timedelta

from include.emulators.hesi.clock import DAY_MS, HOUR_MS, midnight_ms

WEEKDAY_WEIGHTS = (1.25, 1.1, 1.0, 1.0, 1.05, 0.06, 0.03)
LUNAR_NEW_YEAR = {
    2023: date(2023, 1, 22),
    2024: date(2024, 2, 10),
    2025: date(2025, 1, 29),
    2026: date(2026, 2, 17),
    2027: date(2027, 2, 6),
    2028: date(2028, 1, 26),
}
SHANGHAI_OFFSET_MS = 8 * HOUR_MS
EPOCH_WEEKDAY = 3
"""1970-01-01 was a Thursday; Monday is 0."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """Days of a year up to a last one, with the share of submissions that falls on each."""

    days: tuple[date, ...]
    cumulative: tuple[float, ...]

    @classmethod
    def of(cls, year: int, last: date) -> Calendar:
        """Raises ValueError where `last` does not fall into `year`."""
        if last.year != year:
            raise ValueError(f"截止日 {last} 不在 {year} 年 · as_of {last} is not in {year}")
        days = tuple(date(year, 1, 1) + timedelta(days=n) for n in range(last.timetuple().tm_yday))
        return cls(days, tuple(itertools.accumulate(_weight(day) for day in days)))

    def moment(self, rng: random.Random) -> int:
        """A moment of submission: a weighted day, in office hours for the most part."""
        point = rng.random() * self.cumulative[-1]
        day = self.days[min(bisect.bisect_left(self.cumulative, point), len(self.days) - 1)]
        hour = min(max(rng.gauss(14, 2.6), 7.0), 23.5)
        return midnight_ms(day) + int(hour * HOUR_MS) + rng.randrange(HOUR_MS // 4)


def _weight(day: date) -> float:
    weight = WEEKDAY_WEIGHTS[day.weekday()]
    new_year = LUNAR_NEW_YEAR.get(day.year)
    if new_year is not None and -1 <= (day - new_year).days <= 6:
        return weight * 0.05
    if day.month == 10 and day.day <= 7:
        return weight * 0.05
    if day.day >= 25:
        weight *= 1.7
    if (day + timedelta(days=3)).month != day.month:
        weight *= 1.4
    return weight


def later(rng: random.Random, start_ms: int, median_hours: float) -> int:
    """A moment after `start_ms`, log-normal, moved into the next office hours (weekdays from 9 to 19)."""
    return into_office_hours(
        rng, start_ms + int(math.exp(rng.gauss(math.log(median_hours), 0.9)) * HOUR_MS) + 1000
    )


def into_office_hours(rng: random.Random, moment_ms: int) -> int:
    """The moment itself in office hours, else some time in the first two hours of the next ones."""
    local = moment_ms + SHANGHAI_OFFSET_MS
    day, within = divmod(local, DAY_MS)
    if within >= 19 * HOUR_MS:
        day, within = day + 1, 0
    if (day + EPOCH_WEEKDAY) % 7 >= 5:
        day, within = day + 7 - (day + EPOCH_WEEKDAY) % 7, 0
    if within < 9 * HOUR_MS:
        within = 9 * HOUR_MS + rng.randrange(2 * HOUR_MS)
    return day * DAY_MS + within - SHANGHAI_OFFSET_MS


def amount(rng: random.Random, median: int, sigma: float, step: int = 1) -> int:
    """A log-normal amount in minor units, at least one yuan, rounded to `step`."""
    # The float decides how large the amount is; from here on it is an integer.
    drawn = max(int(median * math.exp(rng.gauss(0.0, sigma))), 100)
    return max(drawn // step * step, step)
