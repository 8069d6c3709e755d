"""The vendor's times in queries: whole seconds of Chinese time."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

API_ZONE = ZoneInfo("Asia/Shanghai")
"""The zone of times in queries, wherever the company is: the vendor's documents and servers know no other."""


def query_text(moment: datetime) -> str:
    """`yyyy-MM-dd HH:mm:ss` as list pages take it; parts of a second are cut off."""
    return moment.astimezone(API_ZONE).strftime("%Y-%m-%d %H:%M:%S")
