"""Times as e-cology writes them: a date and a time of day as text, Asia/Shanghai, to the second."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")
"""China has had one time zone without daylight saving since 1991."""


def day_text(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds // 1000, SHANGHAI).strftime("%Y-%m-%d")


def time_text(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds // 1000, SHANGHAI).strftime("%H:%M:%S")


def moment(day: date, seconds: int) -> int:
    """Epoch milliseconds of a second of a day in Shanghai."""
    return (int(datetime(day.year, day.month, day.day, tzinfo=SHANGHAI).timestamp()) + seconds) * 1000


def day_of(milliseconds: int) -> date:
    return datetime.fromtimestamp(milliseconds // 1000, SHANGHAI).date()
