"""How fast to call a ledger, how many calls at once, and how long it will take.

A ledger's ceiling is counted in ways that its vendor seldom tells: per clock second or minute, over a rolling window,
or as a bucket of tokens. `Limiter` holds a rolling window over its own calls, which fits all three, and stays 3 % below
the ceiling, for what the network squeezes together on the way. Refused all the same (the quota is shared, another
process ended a second ago), it halves, pauses as long as it is told, and is back at full speed `RECOVERY_S` later.

Libraries were looked at first: pyrate-limiter and limits hold fixed rates and count for servers, aiolimiter is for
asyncio, tenacity repeats calls. None slows down calls that are already waiting, which is what a refusal asks for.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar

from include.domain.errors import FixData, LeaseLost, OutcomeUnknown, RetryLater, VoucherflowError

log = logging.getLogger(__name__)

Item = TypeVar("Item")
T = TypeVar("T")

SHARE = 0.97
"""The part of a ceiling that is used."""
TOLERANCE = 0.02
"""A call that starts late by this part of the window (of a second at least) does not delay those behind it."""
RECOVERY_S = 30.0
"""From a refusal's pause to full speed."""
LOWEST = 1 / 16
"""However often it is refused, this part of full speed is tried."""
MAX_WAIT_S = 60.0
"""The longest that a call waits for its turn, pauses included. Far less than a lease lasts, for it is held meanwhile."""
MAX_QUEUE_S = 50.0
"""The part of it that burst and threads alone may take up; settings that need more are refused."""
ATTEMPTS = 8
"""How often a call that is refused is made, within `MAX_WAIT_S`."""
AHEAD = 4
"""Items per thread that `concurrently` lets wait for a slow one before them: they are settled in order."""


class Refused(RetryLater):
    """Too many calls, or somebody holds a lock: the ledger did nothing, and takes the same call a little later."""


class Stopped(RetryLater):
    """The call was not made, since the calls beside it were stopped."""


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Calls of this thread start no later than `latest`, and not once `stop` is set."""

    latest: float
    stop: threading.Event | None = None


_BOUNDS: ContextVar[_Bounds | None] = ContextVar("pace_bounds", default=None)


@contextmanager
def starting_within(
    seconds: float,
    *,
    stop: threading.Event | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[None]:
    """Inside, limiters let no call start later than so many seconds from now: it ends in RetryLater instead.

    So a call whose intent was recorded just before is made by then, or never.
    """
    token = _BOUNDS.set(_Bounds(monotonic() + seconds, stop))
    try:
        yield
    finally:
        _BOUNDS.reset(token)


class Limiter:
    """Turns for the calls to one ledger, in the order in which threads ask. Share it between threads.

    Kept, whatever the ledger counts: at most `n` calls in any `n / ceiling_per_s` seconds, where that is two thirds of
    a second or longer, for each `n` that `burst` divides. At burst 1 calls are evenly apart; a larger one lets so many
    go at once after a rest, and should be a whole part of the vendor's count: 10 or 20, say, of 60 a minute.
    Without a ceiling nobody waits until the ledger refuses; then the calls of the last second are what was too fast.
    """

    def __init__(
        self,
        ceiling_per_s: float | None = None,
        burst: int = 1,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._target = ceiling_per_s * SHARE if ceiling_per_s is not None else None
        self._burst = burst
        self._late = TOLERANCE * max(burst / ceiling_per_s, 1.0) if ceiling_per_s is not None else 0.0
        self._monotonic = monotonic
        self._sleep = sleep
        self._jitter = jitter
        self._queue = _Queue()
        self._lock = threading.Lock()
        self._starts: deque[float] = deque(maxlen=burst if ceiling_per_s is not None else 1000)
        self._resume_at = -math.inf
        self._slowed_at = -math.inf
        self._low = self._full = 0.0
        self._of_thread = threading.local()

    @property
    def rate_per_s(self) -> float | None:
        """Calls per second that may start now; None for no limit."""
        with self._lock:
            return self._rate(self._monotonic())

    def call(self, work: Callable[[], T]) -> T:
        """The result of `work`, which asks for its turns with `wait` and raises Refused when it is refused; then it is
        repeated, more slowly.

        Raises:
            RetryLater: `wait` says so. Refused: it was refused too often, or is told to wait for too long.
        """
        bounds = _BOUNDS.get() or _Bounds(self._monotonic() + MAX_WAIT_S)
        token = _BOUNDS.set(bounds)
        try:
            for _ in range(ATTEMPTS - 1):
                try:
                    return work()
                except Refused as error:
                    pause_s = self.refused(error.retry_after_s)
                    if self._monotonic() + pause_s > bounds.latest:
                        raise
                    log.info("%s；%.1f 秒后再试 / again in %.1f s", error, pause_s, pause_s)
            return work()
        finally:
            _BOUNDS.reset(token)

    def wait(self) -> None:
        """Return when the next call may start.

        Raises:
            RetryLater: its turn would come too late, see `starting_within`; MAX_WAIT_S where nothing is said.
            Stopped: the calls beside it were stopped.
        """
        bounds = _BOUNDS.get() or _Bounds(self._monotonic() + MAX_WAIT_S)
        with self._queue:
            while (delay_s := self._claim(bounds)) > 0:
                if bounds.stop is not None:
                    bounds.stop.wait(delay_s)
                else:
                    self._sleep(delay_s)

    def refused(self, retry_after_s: float | None = None) -> float:
        """The last call of this thread was refused: halve, and pause all calls. Gives the pause in seconds.

        Calls that had started before a slow-down tell nothing new: they only may ask for a longer pause.
        """
        with self._lock:
            now = self._monotonic()
            if getattr(self._of_thread, "started", now) > self._slowed_at:
                rate = self._rate(now) or math.inf
                of_late = sum(start > now - 1 for start in self._starts)
                self._full = self._target or max(1.0, of_late, self._low)
                self._low = max(min(rate, self._full) / 2, self._full * LOWEST)
                self._slowed_at = now
            pause_s = max(retry_after_s or 0.0, 1 / self._low) * (1 + self._jitter() / 4)
            self._resume_at = max(self._resume_at, now + pause_s)
            return self._resume_at - now

    def _claim(self, bounds: _Bounds) -> float:
        """Seconds until the turn of the thread at the head of the queue; when they are 0 it has it."""
        if bounds.stop is not None and bounds.stop.is_set():
            raise Stopped("已停止，未发送 / stopped before it was sent")
        with self._lock:
            now = self._monotonic()
            at = self._next_at(now)
            if max(at, now) > bounds.latest:
                wait_s = max(at - now, 0.0)
                raise RetryLater(
                    f"对方系统限速，需再等 {wait_s:.0f} 秒，未发送 / the other system's rate limit: {wait_s:.0f} s more to wait, "
                    "nothing was sent; it will be tried again",
                    retry_after_s=wait_s,
                )
            if at - now > 1e-6:  # less than that, a clock may not be able to wait
                return at - now
            self._starts.append(max(at, now - self._late))
            self._of_thread.started = now
            return 0.0

    def _next_at(self, now: float) -> float:
        at = self._resume_at
        rate = self._rate(now)
        if rate is None or not self._starts:
            return at
        if self._target is not None and len(self._starts) == self._burst:
            at = max(at, self._starts[0] + self._burst / self._target)
        if self._target is None or rate < self._target:
            at = max(at, self._starts[-1] + 1 / rate)
        return at

    def _rate(self, now: float) -> float | None:
        """Full speed, or on the way back to it: a straight line, and without a ceiling doubling from there on."""
        since = (now - self._resume_at) / RECOVERY_S
        if since < 1:
            return self._low + (self._full - self._low) * max(since, 0.0)
        if self._target is not None or since > 10:
            return self._target
        return self._full * math.pow(2, since - 1)


class _Queue:
    """A lock that threads get in the order in which they asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_held = False
        self._waiting: deque[threading.Event] = deque()

    def __enter__(self) -> None:
        with self._lock:
            if not self._is_held:
                self._is_held = True
                return
            ticket = threading.Event()
            self._waiting.append(ticket)
        try:
            ticket.wait()
        except BaseException:  # Ctrl-C while waiting: others must not wait for this thread
            with self._lock:
                if ticket in self._waiting:
                    self._waiting.remove(ticket)
                else:
                    self._hand_on()
            raise

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            self._hand_on()

    def _hand_on(self) -> None:
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self._is_held = False


_limiters: dict[tuple[str, float | None, int], Limiter] = {}
_limiters_lock = threading.Lock()


def limiter_of(connection: str, ceiling_per_s: float | None = None, burst: int = 1) -> Limiter:
    """The one limiter of this process for a connection; books that share a connection share its settings."""
    with _limiters_lock:
        return _limiters.setdefault((connection, ceiling_per_s, burst), Limiter(ceiling_per_s, burst))


def retry_after_s(value: str | None, date: str | None = None) -> float | None:
    """Seconds that the header `Retry-After` asks for, None where it says nothing of use.

    A date in it is measured from the answer's own `Date` header, since this machine's clock may be wrong.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    until, answered = _moment(text), _moment(date or "")
    if until is None:
        return None
    return max((until - (answered or datetime.now(UTC))).total_seconds(), 0.0)


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def concurrently(
    items: Iterable[Item],
    work: Callable[[Item], T],
    settle: Callable[[Item, T | VoucherflowError], object],
    *,
    workers: int,
) -> None:
    """Do `work` on each item in `workers` threads, and `settle` it in the caller's thread, in the order of the items.

    `items` is read in the caller's thread, only as threads get free. `work` should record the intent, call the ledger
    and return its answer: that is what `starting_within(MAX_WAIT_S)` holds for. What it raises by design is an answer
    too: OutcomeUnknown and FixData concern one item, and the rest goes on. Anything else, an error of `items` or
    `settle`, and Ctrl-C stop: no further item is read, a thread that waits for its turn ends in Stopped, calls that
    are under way are waited for and settled. After LeaseLost nothing is settled. A second Ctrl-C waits for nothing.

    Raises:
        LeaseLost before others, else whatever stopped it first; the others are in its notes.
    """
    _Calls(items, work, settle, workers).run()


class _Calls(Generic[Item, T]):
    """The state of one `concurrently`."""

    def __init__(
        self,
        items: Iterable[Item],
        work: Callable[[Item], T],
        settle: Callable[[Item, T | VoucherflowError], object],
        workers: int,
    ) -> None:
        self._items = iter(items)
        self._work = work
        self._settle = settle
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="ledger-call")
        self._stop = threading.Event()
        self._calls: deque[tuple[Item, Future[T]]] = deque()
        self._failures: list[BaseException] = []

    def run(self) -> None:
        while True:
            self._guarded(self._start)
            if not self._calls:
                break
            self._guarded(self._wait)
            while self._calls and self._calls[0][1].done():
                self._guarded(self._end, *self._calls.popleft())
        self._pool.shutdown()
        if self._failures:
            first = min(self._failures, key=lambda error: not isinstance(error, LeaseLost))
            for other in self._failures:
                if other is not first:
                    first.add_note(f"{type(other).__name__}: {other}")
            raise first

    def _guarded(self, step: Callable[..., None], *arguments: Any) -> None:
        try:
            step(*arguments)
        except BaseException as error:
            self._stop.set()
            if any(not isinstance(failure, Exception) for failure in self._failures):
                self._pool.shutdown(wait=False, cancel_futures=True)
                raise
            self._failures.append(error)

    def _start(self) -> None:
        """Keep all threads busy, with an item ready for the first that gets free; not too far ahead of a slow one."""
        ahead = AHEAD * self._workers if self._workers > 1 else 1
        while not self._stop.is_set() and len(self._calls) < ahead:
            if sum(not future.done() for _, future in self._calls) > self._workers:
                return
            try:
                item = next(self._items)
            except StopIteration:
                return
            self._calls.append((item, self._pool.submit(self._do, item)))

    def _wait(self) -> None:
        wait([future for _, future in self._calls if not future.done()], return_when=FIRST_COMPLETED)

    def _do(self, item: Item) -> T:
        """In a thread of the pool."""
        if self._stop.is_set():
            raise Stopped("已停止，未发送 / stopped before it was sent")
        try:
            with starting_within(MAX_WAIT_S, stop=self._stop):
                return self._work(item)
        except (OutcomeUnknown, FixData):
            raise
        except BaseException:
            self._stop.set()
            raise

    def _end(self, item: Item, future: Future[T]) -> None:
        if any(isinstance(failure, LeaseLost) for failure in self._failures):
            return
        error = future.exception()
        match error:
            case None:
                self._settle(item, future.result())
            case LeaseLost():
                raise error
            case VoucherflowError():
                self._settle(item, error)
                if not isinstance(error, OutcomeUnknown | FixData | Stopped):
                    raise error
            case _:
                raise error


class Eta:
    """Tells the log how far a long run is and when it will end, every `every_s` seconds at most."""

    def __init__(
        self,
        zh: str,
        en: str,
        *,
        every_s: float = 30.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`zh` and `en` say what was done to the things counted: 已过账, posted."""
        self._zh, self._en = zh, en
        self._every_s = every_s
        self._monotonic = monotonic
        self._samples: deque[tuple[float, int]] = deque([(monotonic(), 0)], maxlen=5)

    def report(self, done: int, total: int) -> str | None:
        """Call it as often as you like; gives what was logged, None where it is too early to say something again."""
        now = self._monotonic()
        if now - self._samples[-1][0] < self._every_s:
            return None
        since, before = self._samples[0]  # some minutes ago, so that a slow quarter of an hour is forgotten
        self._samples.append((now, done))
        speed = (done - before) / (now - since)
        if done >= total:
            zh, en = "即将完成", "finishing"
        elif speed > 0:
            amount, unit_zh, unit_en = _duration((total - done) / speed)
            zh, en = f"约 {amount} {unit_zh}后完成", f"about {amount} {unit_en} left"
        else:
            zh, en = "目前没有进展", "no progress at the moment"
        line = f"{self._zh} {done:,} / {total:,}，{zh} / {done:,} of {total:,} {self._en}, {en}"
        log.info("%s", line)
        return line


def _duration(seconds: float) -> tuple[str, str, str]:
    if seconds < 90:
        return f"{max(seconds, 1):.0f}", "秒", "s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f}", "分钟", "min"
    return f"{seconds / 3600:.1f}", "小时", "h"
