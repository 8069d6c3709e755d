"""How fast to ask: as fast as the OA likes it. Halves when told to slow down, recovers bit by bit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

MIN_RATE_PER_S = 0.2
MAX_WAIT_S = 120.0
"""The longest wait that an answer may ask of us; a longer `Retry-After` is cut to this."""
RECOVERY_STEPS = 50
"""Good answers in a row that bring a halved rate back to where it was."""


class Pacer:
    """Spaces calls of several threads evenly.

    The vendor publishes no limit, so there is none until the first refusal. That refusal shows what was too
    fast; the rate that then was is the ceiling for the life of this object.
    """

    def __init__(
        self,
        rate_per_s: float | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._ceiling = rate_per_s
        self._rate = rate_per_s
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next_at = 0.0
        self._recent: list[float] = []

    @property
    def rate_per_s(self) -> float | None:
        """The rate in force, None for no limit."""
        return self._rate

    def wait(self) -> None:
        """Return when the next call may start."""
        with self._lock:
            now = self._monotonic()
            at = max(now, self._next_at)
            if self._rate is not None:
                self._next_at = at + 1 / self._rate
            self._recent = [*self._recent[-19:], at]
        if at > now:
            self._sleep(at - now)

    def slow_down(self, retry_after_s: float | None = None) -> None:
        """The OA refused (429) or broke (5xx): halve, and pause for as long as it asks."""
        with self._lock:
            now = self._monotonic()
            current = self._rate if self._rate is not None else self._observed()
            if self._ceiling is None:
                self._ceiling = current
            self._rate = max(current / 2, MIN_RATE_PER_S)
            pause = min(retry_after_s, MAX_WAIT_S) if retry_after_s is not None else 1 / self._rate
            self._next_at = max(self._next_at, now + pause)

    def went_well(self) -> None:
        """A good answer: recover a little."""
        with self._lock:
            if self._rate is not None and self._ceiling is not None:
                self._rate = min(self._ceiling, self._rate + self._ceiling / 2 / RECOVERY_STEPS)

    def _observed(self) -> float:
        """Calls per second of late; one a second where that cannot be told."""
        if len(self._recent) < 2:
            return 1.0
        span = self._recent[-1] - self._recent[0]
        return (len(self._recent) - 1) / span if span > 0 else 1.0
