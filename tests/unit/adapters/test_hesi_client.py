"""One call and its fate: statuses, retries, limits, broken answers, and secrets that stay secret."""

from __future__ import annotations

import contextlib
import logging
import socket
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from include.adapters.oa.hesi.client import DocumentGone, HesiClient
from include.adapters.oa.hesi.options import HesiOptions
from include.connections import Endpoint
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater, VoucherflowError
from tests.conftest import FakeClock
from tests.unit.adapters.hesi_parts import APP_KEY, APP_SECURITY, Call, Reply, Script, serving, token_reply

Connect = Callable[..., HesiClient]


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def connect(script: Script, clock: FakeClock) -> Iterator[Connect]:
    with serving(script) as url, contextlib.ExitStack() as stack:

        def make(**options: Any) -> HesiClient:
            values = HesiOptions.model_validate({"attempts": 3, "read_timeout_s": 5} | options)
            client = HesiClient(Endpoint("hesi", url, APP_KEY, APP_SECURITY), values, clock, jitter=lambda: 1)
            stack.callback(client.close)
            return client

        yield make


def in_turn(*replies: Reply) -> Callable[[Call], Reply]:
    waiting = list(replies)
    return lambda _: waiting.pop(0) if len(waiting) > 1 else waiting[0]


def fail(status: int, message: str = "出错", **headers: str) -> Reply:
    return Reply.of({"errorCode": status, "errorMessage": message}, status, headers=headers)


# -- the table of statuses -----------------------------------------------------------------------------

READS = [
    (400, FixConfig),
    (401, FixConfig),
    (403, FixConfig),
    (404, FixConfig),
    (408, RetryLater),
    (412, DocumentGone),
    (413, FixConfig),
    (418, FixConfig),
    (429, RetryLater),
    (500, RetryLater),
    (502, RetryLater),
    (503, RetryLater),
]
WRITES = [
    (400, FixData),
    (403, FixConfig),
    (404, FixConfig),
    (412, FixData),
    (429, RetryLater),
    (500, OutcomeUnknown),
    (503, OutcomeUnknown),
]


@pytest.mark.parametrize(("status", "error"), READS)
def test_what_a_status_means_for_a_read(
    connect: Connect, script: Script, status: int, error: type[Exception]
) -> None:
    script.answer = lambda _: fail(status, "原因在此")
    with pytest.raises(error, match="原因在此") as caught:
        connect().read("/api/x", {})
    assert type(caught.value) is error
    assert f"HTTP {status}" in str(caught.value)


@pytest.mark.parametrize(("status", "error"), WRITES)
def test_what_a_status_means_for_a_write(
    connect: Connect, script: Script, status: int, error: type[Exception]
) -> None:
    script.answer = lambda _: fail(status)
    with pytest.raises(error):
        connect().write("/api/x", {})


def test_a_moved_address_is_not_followed_since_the_token_would_go_with_it(
    connect: Connect, script: Script
) -> None:
    script.answer = lambda _: Reply(302, b"", {"Location": "http://127.0.0.1:9/elsewhere"})
    with pytest.raises(FixConfig, match="host"):
        connect().read("/api/x", {})
    assert len(script.calls) == 1


# -- retries -------------------------------------------------------------------------------------------


def test_a_read_is_tried_again_with_growing_pauses(
    connect: Connect, script: Script, clock: FakeClock
) -> None:
    script.answer = in_turn(fail(500), Reply(drop=True), Reply.of({"ok": 1}))
    assert connect(requests_per_s=1000).read("/api/x", {}) == {"ok": 1}
    assert len(script.calls) == 3
    assert [pause for pause in clock.slept if pause in {0.5, 1.0}] == [0.5, 1.0]


def test_retry_after_is_honoured_in_seconds_and_as_a_date(
    connect: Connect, script: Script, clock: FakeClock
) -> None:
    client = connect()
    script.answer = in_turn(fail(429, **{"Retry-After": "17"}), Reply.of(1))
    client.read("/api/x", {})
    assert 17.0 in clock.slept
    script.answer = in_turn(fail(503, **{"Retry-After": "Fri, 20 Nov 2026 09:00:00 GMT"}), Reply.of(1))
    client.read("/api/x", {})
    assert max(clock.slept) == 120.0  # an hour was asked for: nobody waits that long inside of a call


def test_attempts_are_bounded(connect: Connect, script: Script) -> None:
    script.answer = lambda _: fail(502)
    with pytest.raises(RetryLater):
        connect(attempts=4).read("/api/x", {})
    assert len(script.calls) == 4


@pytest.mark.parametrize("reply", [Reply(drop=True), Reply(cut=3, body=b'{"value": true}'), fail(500)])
def test_a_write_whose_answer_is_lost_is_sent_once_and_unknown(
    connect: Connect, script: Script, reply: Reply
) -> None:
    script.answer = lambda _: reply
    with pytest.raises(OutcomeUnknown):
        connect().write("/api/x", {"a": 1})
    assert len(script.calls) == 1


def test_a_write_that_met_no_server_changed_nothing(clock: FakeClock) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    client = HesiClient(
        Endpoint("hesi", f"http://127.0.0.1:{port}", APP_KEY, APP_SECURITY), HesiOptions(attempts=2), clock
    )
    with pytest.raises(RetryLater, match="network"):
        client.write("/api/x", {})


# -- tokens --------------------------------------------------------------------------------------------


def test_a_refused_token_is_replaced_and_the_call_repeated(connect: Connect, script: Script) -> None:
    script.answer = lambda call: (
        Reply.of("good") if call.query["accessToken"] == "tok-SECRET-2" else fail(403, "未授权")
    )
    client = connect()
    assert client.read("/api/x", {"a": "1"}) == "good"
    assert client.write("/api/y", {}) == "good"
    assert script.logins == 2


def test_a_token_that_is_not_ready_gets_a_moment(connect: Connect, script: Script, clock: FakeClock) -> None:
    script.answer = in_turn(fail(403), fail(403), Reply.of("good"))
    assert connect(new_token_delay_s=1.5).read("/api/x", {}) == "good"
    assert clock.slept == [1.5]


def test_refused_three_times_is_refused(connect: Connect, script: Script) -> None:
    script.answer = lambda _: fail(403, "未开通功能")
    with pytest.raises(FixConfig, match="未开通功能"):
        connect().read("/api/x", {})
    assert len(script.calls) == 3


def test_a_log_in_page_that_breaks_is_tried_again(connect: Connect, script: Script) -> None:
    script.tokens = in_turn(fail(500), Reply(body=b"<html>"), token_reply("t9"))
    script.answer = lambda call: Reply.of(call.query["accessToken"])
    assert connect().read("/api/x", {}) == "t9"


# -- odd answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"<html>busy</html>", b'{"items": [', b"\xff\xfe{}", b"[" * 200_000])
def test_what_is_no_json_is_tried_again_and_then_said(connect: Connect, script: Script, body: bytes) -> None:
    script.answer = lambda _: Reply(body=body)
    with pytest.raises(RetryLater, match="JSON"):
        connect().read("/api/x", {})
    assert len(script.calls) == 3


def test_a_truncated_body_is_read_again(connect: Connect, script: Script) -> None:
    whole = Reply.of({"items": list(range(1000))})
    script.answer = in_turn(Reply(body=whole.body, cut=1000), whole)
    assert len(connect().read("/api/x", {})["items"]) == 1000


def test_a_body_beyond_the_limit_is_not_taken_into_memory(connect: Connect, script: Script) -> None:
    script.answer = lambda _: Reply(body=b" " * (3 * 1024 * 1024))
    with pytest.raises(RetryLater, match="page_size"):
        connect(max_body_mb=1, attempts=1).read("/api/x", {})


def test_an_answer_that_fails_its_check_is_tried_again(connect: Connect, script: Script) -> None:
    script.answer = in_turn(Reply.of({"n": 1}), Reply.of({"n": 2}))
    found = connect().read("/api/x", {}, lambda value: None if value["n"] == 2 else "n is odd")
    assert found == {"n": 2}
    script.answer = lambda _: Reply.of({"n": 1})
    with pytest.raises(RetryLater, match="n is odd"):
        connect().read("/api/x", {}, lambda _: "n is odd")


def test_numbers_keep_all_their_digits(connect: Connect, script: Script) -> None:
    text = b'{"a": 33.10, "b": 12345678901234567.89, "c": 1e999, "d": NaN, "e": 123}'
    script.answer = lambda _: Reply(body=text[:-1] + b', "f": ' + b"9" * 5000 + b"}")
    found = connect().read("/api/x", {})
    assert found["a"] == 33.1
    assert found["b"] == "12345678901234567.89"
    assert found["c"] == "1e999"
    assert found["d"] == "NaN"
    assert found["e"] == 123
    assert found["f"] == "9" * 5000


# -- secrets -------------------------------------------------------------------------------------------


def echo(call: Call) -> Reply:
    """A server that repeats what it was sent, as careless ones do."""
    return fail(500, f"bad request: accessToken={call.query['accessToken']} {call.query['accessToken']}")


@pytest.mark.parametrize(
    "answer",
    [echo, lambda _: Reply(drop=True), lambda _: fail(403), lambda _: Reply(cut=1), lambda _: fail(412)],
)
@pytest.mark.parametrize("method", ["read", "write"])
def test_no_secret_in_errors_or_logs(
    connect: Connect, script: Script, caplog: pytest.LogCaptureFixture, answer: Any, method: str
) -> None:
    script.answer = answer
    client = connect()
    with caplog.at_level(logging.DEBUG), pytest.raises(VoucherflowError) as caught:
        client.read("/api/x", {}) if method == "read" else client.write("/api/x", {})
    told = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(client)
    linked: BaseException | None = caught.value
    while linked is not None:
        told += repr(linked) + str(linked)
        linked = linked.__cause__ or linked.__context__
    assert "tok-SECRET" not in told
    assert "refresh-of" not in told
    assert APP_SECURITY not in told
    assert APP_KEY not in told
