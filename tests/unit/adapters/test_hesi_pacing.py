"""Pacing: free until refused, then half as fast, then slowly back."""

from __future__ import annotations

import pytest

from include.adapters.oa.hesi.pacing import MAX_WAIT_S, Pacer


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def calls_in(pacer: Pacer, time: Time, seconds: float) -> int:
    """How many calls start within so many seconds."""
    end, count = time.now + seconds, 0
    while count < 10_000:
        pacer.wait()
        if time.now >= end:
            return count
        count += 1
    return count


def test_without_a_limit_nobody_waits(time: Time) -> None:
    assert calls_in(Pacer(monotonic=time, sleep=time.sleep), time, 1) == 10_000
    assert time.now == 100


def test_a_limit_spaces_calls(time: Time) -> None:
    assert calls_in(Pacer(5, monotonic=time, sleep=time.sleep), time, 10) == pytest.approx(50, abs=1)


def test_a_refusal_halves_and_good_answers_bring_it_back_and_no_further(time: Time) -> None:
    pacer = Pacer(10, monotonic=time, sleep=time.sleep)
    pacer.slow_down()
    assert pacer.rate_per_s == 5
    pacer.slow_down()
    assert pacer.rate_per_s == 2.5
    for _ in range(200):
        pacer.went_well()
    assert pacer.rate_per_s == 10


def test_the_first_refusal_shows_what_was_too_fast(time: Time) -> None:
    pacer = Pacer(monotonic=time, sleep=time.sleep)
    for _ in range(20):
        pacer.wait()
        time.now += 0.05
    pacer.slow_down()
    assert pacer.rate_per_s == pytest.approx(10)
    for _ in range(200):
        pacer.went_well()
    assert pacer.rate_per_s == pytest.approx(20)


def test_a_pause_that_was_asked_for_holds_all_calls(time: Time) -> None:
    pacer = Pacer(1000, monotonic=time, sleep=time.sleep)
    pacer.slow_down(retry_after_s=30)
    pacer.wait()
    assert time.now >= 130


def test_no_pause_is_longer_than_the_limit(time: Time) -> None:
    pacer = Pacer(1000, monotonic=time, sleep=time.sleep)
    pacer.slow_down(retry_after_s=10**6)
    pacer.wait()
    assert time.now <= 100 + MAX_WAIT_S


def test_it_never_stands_still(time: Time) -> None:
    pacer = Pacer(1, monotonic=time, sleep=time.sleep)
    for _ in range(50):
        pacer.slow_down()
    assert pacer.rate_per_s is not None
    assert pacer.rate_per_s > 0.1
