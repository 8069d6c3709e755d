"""What the systems of the conformance suites share."""

from __future__ import annotations

from typing import NoReturn

import pytest

from include.pace import Limiter
from include.ports import SystemClock


def unsupported(reason: str) -> NoReturn:
    """End the case: the vendor gives no way to do this, and here is why.

    The report shows the case as "unsupported" with this reason. It is no excuse for a client that could and does not.
    """
    pytest.skip(reason)


def timeless_limiter() -> Limiter:
    """A limiter for which waiting takes no time."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    return Limiter(monotonic=lambda: now[0], sleep=sleep, jitter=lambda: 0.0)


class HastyClock(SystemClock):
    """Waits a hundredth of what it is told; how long in all is remembered."""

    def __init__(self) -> None:
        self.asked_s = 0.0

    def sleep(self, seconds: float) -> None:
        """Wait a little."""
        self.asked_s += seconds
        SystemClock.sleep(self, seconds / 100)
