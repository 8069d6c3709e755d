"""Pace: never above a ledger's ceiling however it counts, hardly below it, and back there after a refusal."""

from __future__ import annotations

import itertools
import math
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from include.domain.errors import FixData, LeaseLost, OutcomeUnknown, RetryLater, VoucherflowError
from include.pace import (
    ATTEMPTS,
    MAX_WAIT_S,
    RECOVERY_S,
    Eta,
    Limiter,
    Refused,
    Stopped,
    concurrently,
    limiter_of,
    retry_after_s,
    starting_within,
)
from tests.fakes.json_rpc import Answer, json_rpc_server, result


@dataclass
class Time:
    """Stands still but for sleeping, which may take longer than asked for."""

    now: float = 1000.0
    oversleeps: Iterator[float] = field(default_factory=lambda: itertools.repeat(0.0))

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds + next(self.oversleeps)


@pytest.fixture
def time() -> Time:
    return Time()


def limiter(
    time: Time, ceiling_per_s: float | None = None, burst: int = 1, *, jitter: float = 0.0
) -> Limiter:
    return Limiter(ceiling_per_s, burst, monotonic=time, sleep=time.sleep, jitter=lambda: jitter)


class Server(Protocol):
    def takes(self, at: float) -> bool: ...


@dataclass
class FixedWindow:
    """So many calls in each minute (say) of its own clock."""

    calls: int
    window_s: float
    phase: float = 0.0
    seen: dict[int, int] = field(default_factory=dict)

    def takes(self, at: float) -> bool:
        window = math.floor((at + self.phase) / self.window_s)
        self.seen[window] = self.seen.get(window, 0) + 1
        return self.seen[window] <= self.calls


@dataclass
class RollingWindow:
    """So many calls in any minute."""

    calls: int
    window_s: float
    seen: deque[float] = field(default_factory=deque)

    def takes(self, at: float) -> bool:
        while self.seen and self.seen[0] <= at - self.window_s:
            self.seen.popleft()
        self.seen.append(at)
        return len(self.seen) <= self.calls


@dataclass
class TokenBucket:
    """A bucket that holds so many tokens and gets one back at even intervals."""

    calls: int
    window_s: float
    tokens: float = math.nan
    at: float = 0.0

    def takes(self, at: float) -> bool:
        rate = self.calls / self.window_s
        full = math.isnan(self.tokens)
        self.tokens = self.calls if full else min(self.calls, self.tokens + (at - self.at) * rate)
        self.at = at
        if self.tokens < 1 - 1e-9:
            return False
        self.tokens -= 1
        return True


SERVERS: list[Callable[[int, float], Server]] = [FixedWindow, RollingWindow, TokenBucket]
# What vendors document: calls and seconds; then the burst that the book's settings give.
CEILINGS = [
    (10, 1, 1),
    (10, 1, 10),
    (60, 60, 1),
    (60, 60, 20),
    (60, 60, 30),
    (40, 60, 1),
    (200, 1, 1),
    (1000, 3600, 10),
]


class TestUnderTheCeiling:
    @pytest.mark.parametrize("make", SERVERS)
    @pytest.mark.parametrize(("calls", "window_s", "burst"), CEILINGS)
    def test_nothing_is_refused_and_95_percent_are_used(
        self, time: Time, make: Callable[[int, float], Server], calls: int, window_s: float, burst: int
    ) -> None:
        server, ours = make(calls, window_s), limiter(time, calls / window_s, burst)
        seconds, made = 40 * window_s, 0
        end = time.now + seconds

        while time.now < end:
            ours.wait()
            assert server.takes(time.now)
            made += 1

        assert 0.95 <= made / (calls / window_s * seconds) <= 1.0

    @settings(deadline=None)
    @given(
        ceiling=st.sampled_from(CEILINGS),
        make=st.sampled_from(SERVERS),
        idle=st.lists(st.floats(0, 3) | st.just(0.0), min_size=1, max_size=40),
        oversleeps=st.lists(st.floats(0, 2) | st.just(0.0), min_size=1, max_size=20),
        delays=st.lists(st.floats(0, 0.01), min_size=1, max_size=20),
        phase=st.floats(0, 1),
    )
    def test_nothing_is_refused_however_calls_come_and_arrive(
        self,
        ceiling: tuple[int, float, int],
        make: Callable[[int, float], Server],
        idle: list[float],
        oversleeps: list[float],
        delays: list[float],
        phase: float,
    ) -> None:
        """Idle times and late threads in windows, transport in parts of a window: up to 1 % more for one than for another."""
        calls, window_s, burst = ceiling
        time = Time(oversleeps=(part * window_s / calls for part in itertools.cycle(oversleeps)))
        ours = limiter(time, calls / window_s, burst)
        starts = []
        for wait_s in itertools.islice(itertools.cycle(idle), 3 * calls if calls < 100 else 250):
            time.now += wait_s * window_s / calls
            ours.wait()
            starts.append(time.now)

        server = make(calls, window_s)
        if isinstance(server, FixedWindow):
            server.phase = phase * window_s
        arrivals = sorted(
            at + part * window_s for at, part in zip(starts, itertools.cycle(delays), strict=False)
        )

        assert all(server.takes(at) for at in arrivals)

    def test_a_late_thread_does_not_slow_down_those_behind_it(self) -> None:
        time = Time(oversleeps=itertools.repeat(0.002))
        ours = limiter(time, 100)
        start = time.now
        for _ in range(1001):
            ours.wait()

        assert 1000 / (time.now - start) >= 95

    def test_without_a_ceiling_nobody_waits(self, time: Time) -> None:
        ours = limiter(time)
        for _ in range(10_000):
            ours.wait()

        assert (time.now, ours.rate_per_s) == (1000, None)

    def test_threads_get_their_turns_in_the_order_of_asking(self, time: Time) -> None:
        asleep, wake, order = threading.Event(), threading.Event(), []

        def sleep(seconds: float) -> None:
            asleep.set()
            wake.wait(30)
            time.sleep(seconds)

        ours = Limiter(10, monotonic=time, sleep=sleep)
        ours.wait()

        def turn(number: int) -> None:
            ours.wait()
            order.append(number)

        threads = [threading.Thread(target=turn, args=(number,)) for number in range(6)]
        threads[0].start()
        asleep.wait(30)
        for number, thread in enumerate(threads[1:], start=1):
            thread.start()
            while len(ours._queue._waiting) < number:
                thread.join(0.001)
        wake.set()
        for thread in threads:
            thread.join()

        assert order == sorted(order)


class TestRefused:
    def test_it_halves_pauses_and_is_back_within_the_stated_time(self, time: Time) -> None:
        ours = limiter(time, 10)
        ours.wait()
        pause_s = ours.refused()

        assert ours.rate_per_s == pytest.approx(10 * 0.97 / 2)
        start = time.now
        ours.wait()
        assert time.now - start == pytest.approx(pause_s)
        assert (ours.rate_per_s or 0) < 5
        time.now += RECOVERY_S
        assert (ours.rate_per_s or 0) >= 9.5

    @pytest.mark.parametrize("jitter", [0.0, 1.0])
    def test_what_the_ledger_asks_for_is_waited_for(self, time: Time, jitter: float) -> None:
        ours = limiter(time, 10, jitter=jitter)
        ours.wait()
        ours.refused(retry_after_s=40)
        start = time.now
        ours.wait()

        assert time.now - start >= 40
        assert time.now - start == pytest.approx(40 * (1 + jitter / 4))

    def test_again_and_again_it_gets_slower_down_to_a_floor(self, time: Time) -> None:
        ours = limiter(time, 16)
        rates = []
        for _ in range(8):
            ours.wait()
            ours.refused()
            rates.append((ours.rate_per_s or 0) / 0.97)

        assert rates == pytest.approx([8, 4, 2, 1, 1, 1, 1, 1], rel=0.1)

    def test_calls_refused_together_halve_once(self, time: Time) -> None:
        ours = limiter(time, 10, burst=10)
        with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
            for thread in (one, other):
                thread.submit(ours.wait).result()
            one.submit(ours.refused).result()
            rate = ours.rate_per_s
            time.now += 0.1
            other.submit(ours.refused, 20).result()

            assert ours.rate_per_s == rate
            start = time.now
            one.submit(ours.wait).result()
            assert time.now - start >= 20
            one.submit(ours.refused).result()
            assert (ours.rate_per_s or 0) < (rate or 0)

    def test_no_burst_until_it_has_recovered(self, time: Time) -> None:
        ours = limiter(time, 1, burst=30)
        ours.wait()
        ours.refused()
        ours.wait()
        start = time.now
        ours.wait()

        assert time.now - start >= 1

    def test_a_quota_shared_with_others_is_used_with_few_refusals(self, time: Time) -> None:
        server, ours = RollingWindow(calls=30, window_s=5), limiter(time, 10)
        taken = refused = 0
        while time.now < 1000 + 600:
            ours.wait()
            if server.takes(time.now):
                taken += 1
            else:
                refused += 1
                ours.refused()

        assert taken / (6 * 600) >= 0.75
        assert refused / taken <= 0.02

    def test_without_a_ceiling_the_last_second_was_too_fast_and_later_there_is_none_again(
        self, time: Time
    ) -> None:
        ours = limiter(time)
        for _ in range(20):
            ours.wait()
            time.now += 0.05
        ours.refused()
        rates = [ours.rate_per_s or math.inf]
        for _ in range(3):
            time.now += RECOVERY_S
            rates.append(ours.rate_per_s or math.inf)
        time.now += 20 * RECOVERY_S

        assert rates == pytest.approx([10, 20, 40, 80], rel=0.1)
        assert ours.rate_per_s is None

    def test_a_lock_met_by_a_lonely_call_does_not_slow_down_for_long(self, time: Time) -> None:
        ours = limiter(time)
        ours.wait()
        ours.refused()
        time.now += 6 * RECOVERY_S

        assert (ours.rate_per_s or 0) > 15


class TestCall:
    def test_a_refused_call_is_made_again(self, time: Time) -> None:
        ours, made = limiter(time, 10), itertools.count(1)

        def work() -> int:
            ours.wait()
            if (number := next(made)) < 4:
                raise Refused("忙 / busy")
            return number

        assert ours.call(work) == 4

    def test_not_for_ever(self, time: Time) -> None:
        ours, made = limiter(time, 1000), []

        def work() -> None:
            ours.wait()
            made.append(time.now)
            raise Refused("忙 / busy")

        with pytest.raises(Refused):
            ours.call(work)
        assert len(made) == ATTEMPTS

    def test_a_long_pause_is_left_to_the_caller_and_nothing_is_sent_meanwhile(self, time: Time) -> None:
        ours, made = limiter(time, 10), []

        def work() -> None:
            ours.wait()
            made.append(time.now)
            raise Refused("忙 / busy", retry_after_s=3600)

        with pytest.raises(Refused) as first:
            ours.call(work)
        with pytest.raises(RetryLater, match="限速") as second:
            ours.call(work)

        assert (len(made), time.now) == (1, 1000)
        assert first.value.retry_after_s == 3600
        assert (second.value.retry_after_s or 0) >= 3600

    def test_all_waits_of_a_call_together_are_bounded(self, time: Time) -> None:
        ours = limiter(time, 10)

        def work() -> None:
            ours.wait()
            raise Refused("忙 / busy", retry_after_s=25)

        with pytest.raises(Refused):
            ours.call(work)
        assert time.now - 1000 <= MAX_WAIT_S

    def test_other_errors_are_not_repeated(self, time: Time) -> None:
        ours, made = limiter(time), []

        def work() -> None:
            made.append(1)
            raise OutcomeUnknown("丢失 / lost")

        with pytest.raises(OutcomeUnknown):
            ours.call(work)
        assert made == [1]

    def test_a_turn_that_comes_too_late_after_the_intent_is_not_taken(self, time: Time) -> None:
        ours = limiter(time, 0.1)
        with starting_within(5, monotonic=time):
            ours.wait()
            with pytest.raises(RetryLater, match="nothing was sent"):
                ours.wait()
        ours.wait()

    def test_one_limiter_for_each_connection(self) -> None:
        assert limiter_of("a", 5) is limiter_of("a", 5)
        assert limiter_of("a", 5) is not limiter_of("b", 5)


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("17", None, 17),
        (" 0 ", None, 0),
        ("Tue, 24 Nov 2026 08:00:30 GMT", "Tue, 24 Nov 2026 08:00:00 GMT", 30),
        ("Tue, 24 Nov 2026 08:00:00 GMT", "Tue, 24 Nov 2026 08:00:30 GMT", 0),
        (None, None, None),
        ("", None, None),
        ("soon", None, None),
        ("-5", None, None),
        ("1.5", None, None),
        ("²", None, None),
    ],
)
def test_retry_after(value: str | None, date: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, date) == seconds


Answers = list[tuple[int, int | VoucherflowError]]


class Ledger:
    """`work` and `settle` for numbers: `errors` says which fail, `settled` what came of each."""

    def __init__(self, errors: dict[int, BaseException] | None = None) -> None:
        self.errors = errors or {}
        self.read: list[int] = []
        self.made: list[int] = []
        self.settled: Answers = []
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def items(self, count: int) -> Iterator[int]:
        for number in range(count):
            self.read.append(number)
            yield number

    def work(self, item: int) -> int:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            self.made.append(item)
        threading.Event().wait(0.001)
        with self._lock:
            self.at_once -= 1
        if item in self.errors:
            raise self.errors[item]
        return item * item

    def settle(self, item: int, answer: int | VoucherflowError) -> None:
        self.settled.append((item, answer))

    def run(self, count: int, workers: int) -> None:
        concurrently(self.items(count), self.work, self.settle, workers=workers)


class TestConcurrently:
    @pytest.mark.parametrize("workers", [1, 3, 8])
    @pytest.mark.parametrize("count", [0, 1, 2, 100])
    def test_every_answer_is_settled_in_order(self, workers: int, count: int) -> None:
        ledger = Ledger()
        ledger.run(count, workers)

        assert ledger.settled == [(n, n * n) for n in range(count)]
        assert ledger.most_at_once <= workers

    def test_threads_work_at_once(self) -> None:
        together = threading.Barrier(4)
        settled: list[int] = []

        concurrently(range(8), lambda _n: together.wait(30), lambda n, _a: settled.append(n), workers=4)

        assert settled == list(range(8))

    def test_items_are_read_only_as_threads_get_free(self) -> None:
        ledger, go = Ledger(), threading.Event()
        read_before_the_first_ends: list[int] = []

        def work(item: int) -> int:
            if item == 0:
                go.wait(30)
            elif item == 3:
                read_before_the_first_ends.append(len(ledger.read))
                go.set()
            return item

        concurrently(ledger.items(1000), work, ledger.settle, workers=2)

        assert read_before_the_first_ends[0] <= 8
        assert len(ledger.settled) == 1000

    def test_one_at_a_time_an_item_is_read_when_the_one_before_is_settled(self) -> None:
        ledger = Ledger()

        def items() -> Iterator[int]:
            for number in range(5):
                assert len(ledger.settled) == number
                yield number

        concurrently(items(), ledger.work, ledger.settle, workers=1)

    @pytest.mark.parametrize("error", [OutcomeUnknown("丢失 / lost"), FixData("无效 / invalid")])
    def test_what_concerns_one_item_does_not_stop_the_others(self, error: VoucherflowError) -> None:
        ledger = Ledger({3: error})
        ledger.run(20, 4)

        assert ledger.settled == [(n, error if n == 3 else n * n) for n in range(20)]

    @pytest.mark.parametrize("workers", [1, 4])
    def test_what_concerns_all_stops_and_what_was_made_is_settled(self, workers: int) -> None:
        down = RetryLater("连不上 / unreachable")
        ledger = Ledger({5: down})

        with pytest.raises(RetryLater) as raised:
            ledger.run(1000, workers)

        assert raised.value is down
        assert [item for item, _ in ledger.settled] == ledger.read
        assert len(ledger.read) <= 6 + 4 * workers
        for item, answer in ledger.settled:
            expected = item * item if item in ledger.made and item != 5 else RetryLater
            assert answer == expected or isinstance(answer, RetryLater), (item, answer)

    def test_nothing_is_settled_once_the_lease_is_lost(self) -> None:
        ledger = Ledger({5: LeaseLost("已被接管 / taken over"), 6: RetryLater("连不上 / unreachable")})

        with pytest.raises(LeaseLost):
            ledger.run(1000, 4)

        assert [item for item, _ in ledger.settled] == list(range(5))

    def test_a_lost_lease_goes_before_other_errors(self) -> None:
        def settle(item: int, _answer: object) -> None:
            if item == 1:
                raise LeaseLost("已被接管 / taken over")

        with pytest.raises(LeaseLost) as raised:
            concurrently(range(100), Ledger({0: RetryLater("连不上 / down")}).work, settle, workers=2)

        assert any("down" in note for note in raised.value.__notes__)

    def test_a_lost_lease_ends_the_waiting_for_a_turn(self) -> None:
        ours = Limiter(100, jitter=lambda: 0.0)
        ours.refused(retry_after_s=50)
        waiting = threading.Semaphore(0)
        ends: list[BaseException] = []

        def work(item: int) -> None:
            if item == 2:
                waiting.acquire()
                waiting.acquire()
                raise LeaseLost("已被接管 / taken over")
            waiting.release()
            try:
                ours.wait()
            except RetryLater as error:
                ends.append(error)
                raise

        with pytest.raises(LeaseLost):
            concurrently(range(100), work, lambda _i, _a: None, workers=3)

        assert [type(end) for end in ends] == [Stopped, Stopped]

    def test_an_error_of_the_items_leaves_no_answer_unsettled(self) -> None:
        ledger = Ledger()

        def items() -> Iterator[int]:
            yield from ledger.items(5)
            raise OSError("disk")

        with pytest.raises(OSError, match="disk"):
            concurrently(items(), ledger.work, ledger.settle, workers=3)
        assert [item for item, _ in ledger.settled] == list(range(5))

    def test_a_mistake_in_the_program_is_no_answer(self) -> None:
        ledger = Ledger({2: KeyError("x")})

        with pytest.raises(KeyError):
            ledger.run(100, 2)

        assert 2 not in [item for item, _ in ledger.settled]

    @pytest.mark.parametrize("workers", [1, 3])
    def test_ctrl_c_waits_for_what_is_under_way(self, workers: int) -> None:
        ledger, interrupted = Ledger(), threading.Event()

        def interrupt(*_arguments: object) -> None:
            interrupted.set()
            raise KeyboardInterrupt

        def work(item: int) -> int:
            if item == 4:
                os.kill(os.getpid(), signal.SIGINT)
                interrupted.wait(30)
            return ledger.work(item)

        before = signal.signal(signal.SIGINT, interrupt)
        try:
            with pytest.raises(KeyboardInterrupt):
                concurrently(ledger.items(1000), work, ledger.settle, workers=workers)
        finally:
            signal.signal(signal.SIGINT, before)

        settled = dict(ledger.settled)
        assert len(ledger.read) < 30
        assert all(settled[item] == item * item for item in ledger.made)

    def test_refusals_of_a_real_server_lose_and_repeat_nothing(self) -> None:
        ours, settled = Limiter(2000, burst=2000), {}
        with json_rpc_server() as server:
            busy = Answer(429)
            server.script = [busy if n in {4, 5, 6, 20} else result(n) for n in range(64)]

            def send(item: int) -> int:
                ours.wait()
                answer = requests.post(server.url, json={"method": "post"}, timeout=30)
                if answer.status_code == 429:
                    raise Refused("忙 / busy", retry_after_s=retry_after_s(answer.headers.get("Retry-After")))
                return int(answer.json()["result"])

            concurrently(
                range(60), lambda item: ours.call(lambda: send(item)), settled.__setitem__, workers=4
            )

        assert list(settled) == list(range(60))
        assert sorted(settled.values()) == [n for n in range(64) if n not in {4, 5, 6, 20}]


class TestEta:
    def test_it_says_how_long_it_will_take(self, time: Time) -> None:
        eta = Eta("已过账", "posted", monotonic=time)
        assert eta.report(0, 16_101) is None
        time.now += 40
        line = eta.report(1_200, 16_101)

        assert line == "已过账 1,200 / 16,101，约 8 分钟后完成 / 1,200 of 16,101 posted, about 8 min left"

    def test_every_30_seconds_at_most(self, time: Time) -> None:
        eta, said = Eta("已过账", "posted", monotonic=time), 0
        for done in range(300):
            time.now += 1
            said += eta.report(done, 300) is not None

        assert said == 10

    @pytest.mark.parametrize(
        ("done", "words"),
        [
            (0, ("目前没有进展", "no progress")),
            (30, ("4.0 小时", "4.0 h")),
            (7_000, ("约 44 秒", "44 s")),
            (14_430, ("即将完成", "finishing")),
        ],
    )
    def test_in_units_that_fit(self, time: Time, done: int, words: tuple[str, str]) -> None:
        eta = Eta("已过账", "posted", monotonic=time)
        time.now += 30 if done != 7_000 else 41.5
        line = eta.report(done, 14_430) or ""

        assert all(word in line for word in words), line

    def test_what_is_long_ago_does_not_count(self, time: Time) -> None:
        eta = Eta("已过账", "posted", monotonic=time)
        time.now += 3600
        eta.report(0, 1000)
        line: str | None = None
        for done in range(30, 330, 30):
            time.now += 30
            line = eta.report(done, 1000)

        assert "700 of" not in (line or "")
        assert "12 min" in (line or ""), line
