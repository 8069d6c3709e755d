"""Epoch milliseconds, as most systems write moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_MS = 253_402_128_000_000
"""The last but one day of the year 9999: in any zone, such a moment still has a date."""
END_OF_TIME_MS = 253_402_300_799_999
"""The last moment that a datetime can hold at all, in UTC."""
_DIGITS = 20


def epoch_ms(value: object) -> int | None:
    """A millisecond timestamp, number or text, that a datetime can hold in every zone; else None."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _DIGITS:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MAX_MS else None


def to_moment(milliseconds: int) -> datetime:
    """Epoch milliseconds as an aware UTC time."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def to_ms(moment: datetime) -> int:
    """The inverse of `to_moment`, cut to whole milliseconds."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)
