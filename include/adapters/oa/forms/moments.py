"""Moments and days as forms write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from include.adapters.oa.forms.numbers import narrow
from include.adapters.oa.times import epoch_ms, to_moment

_WRITTEN = re.compile(
    r"(?P<year>[0-9]{4})[-/.年](?P<month>[0-9]{1,2})[-/.月](?P<day>[0-9]{1,2})日?"
    r"(?:[T\s]\s*(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<part>[0-9]{1,9}))?)?)?"
    r"\s?(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_COMPACT = re.compile(r"(?P<year>[0-9]{4})(?P<month>[0-9]{2})(?P<day>[0-9]{2})")
_SECONDS = range(9, 11)
_MILLISECONDS = range(12, 14)
"""How many digits seconds and milliseconds since 1970 have, from 1973 and 2001 on; 11 would be neither."""
_LONGEST = 40


def read_moment(value: object, zone: ZoneInfo) -> datetime | None:
    """A moment in UTC; None where it is none that we know.

    Read are 2026-01-31 with -, /, . or 年月日 between, with a time and an offset or Z behind it; 20260131; seconds or
    milliseconds since 1970, as number or text. Without an offset it is in `zone`, without a time it is midnight.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**20:
        value = str(value)
    if not isinstance(value, str) or len(value) > _LONGEST:
        return None
    text = narrow(value)
    match = _WRITTEN.fullmatch(text) or _COMPACT.fullmatch(text)
    if match is not None:
        return _written(match, zone)
    if len(text) in _SECONDS or len(text) in _MILLISECONDS:
        milliseconds = epoch_ms(text + ("000" if len(text) in _SECONDS else ""))
        return None if milliseconds is None else to_moment(milliseconds)
    return None


def _written(match: re.Match[str], zone: ZoneInfo) -> datetime | None:
    found = match.groupdict()
    try:
        local = datetime(
            int(match["year"]),
            int(match["month"]),
            int(match["day"]),
            int(found.get("hour") or 0),
            int(found.get("minute") or 0),
            int(found.get("second") or 0),
            int((found.get("part") or "").ljust(6, "0")[:6] or 0),
            tzinfo=_offset(found.get("zone")) or zone,
        )
        # Beyond these years no zone and no column holds the day.
        return local.astimezone(UTC) if 1970 <= local.year < 9999 else None
    except (ValueError, OverflowError):
        return None


def _offset(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))
