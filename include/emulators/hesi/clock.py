"""Time as the emulator sees it: the machine's clock, or a fixed one that tests step."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta, timezone

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")
"""China has had one time zone without daylight saving since 1991."""

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
_TEXT = "%Y-%m-%d %H:%M:%S"


class EmulatorClock:
    """Milliseconds since the epoch. With `fixed_ms` the clock stands still until it is advanced."""

    def __init__(self, fixed_ms: int | None = None) -> None:
        self._fixed_ms = fixed_ms
        self._ahead_ms = 0

    def now_ms(self) -> int:
        base = time.time_ns() // 1_000_000 if self._fixed_ms is None else self._fixed_ms
        return base + self._ahead_ms

    def advance(self, milliseconds: int) -> None:
        """Step forward; a running clock goes on from there."""
        self._ahead_ms += milliseconds


def midnight_ms(day: date) -> int:
    """The start of a day in Shanghai."""
    return int(datetime(day.year, day.month, day.day, tzinfo=SHANGHAI).timestamp()) * 1000


def day_of(milliseconds: int) -> date:
    """The day in Shanghai on which a moment falls."""
    return datetime.fromtimestamp(milliseconds // 1000, SHANGHAI).date()


def text_of(milliseconds: int) -> str:
    """`yyyy-MM-dd HH:mm:ss` in Shanghai."""
    return datetime.fromtimestamp(milliseconds // 1000, SHANGHAI).strftime(_TEXT)


def parse_text(text: str) -> int:
    """The inverse of `text_of`, to the second.

    Raises:
        ValueError: the text has another form.
    """
    return int(datetime.strptime(text, _TEXT).replace(tzinfo=SHANGHAI).timestamp()) * 1000
