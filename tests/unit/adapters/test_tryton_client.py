"""What each failure of Tryton's HTTP interface means: the table of `client.py`, row by row."""

from __future__ import annotations

import time as clock
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from email.utils import formatdate

import pytest

from include.adapters.ledger.tryton.client import TrytonClient
from include.connections import Endpoint
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater, VoucherflowError
from include.exchanges import recording
from include.pace import ATTEMPTS, Limiter, Refused
from tests.fakes.json_rpc import RESET, SILENCE, Answer, JsonRpcServer, error, json_rpc_server, result

PASSWORD = "s3cret-gateway"


@pytest.fixture
def server() -> Iterator[JsonRpcServer]:
    with json_rpc_server() as running:
        yield running


@dataclass
class Time:
    """Stands still but for what it is slept."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def client(server: JsonRpcServer, *, read_timeout_s: float = 10, time: Time | None = None) -> TrytonClient:
    endpoint = Endpoint("tryton_test", server.url, "voucherflow", PASSWORD)
    time = time or Time()
    return TrytonClient(
        endpoint,
        connect_timeout_s=5,
        read_timeout_s=read_timeout_s,
        limiter=Limiter(monotonic=time, sleep=time.sleep),
    )


GARBAGE = Answer(body=b"<html>proxy error</html>")
TRUNCATED = Answer(body=b'{"id": 0, "result": [1, 2')
NO_RESULT = Answer(body=b'{"id": 0}')
NOT_AN_OBJECT = Answer(body=b"[]")
UNNAMED = error("'NoneType' object is not subscriptable", "")
CLOSED = error("UserError", ["The period is closed.", "2026-01", None])
WARNING = error("UserWarning", ["key", "Are you sure?", ""])
NO_RIGHT = error("UserError", ['You are not allowed to access "Account Move".', "", None])
POSTED = error("UserError", ['You are not allowed to modify posted move "1".', "", None])
CONCURRENT = error("ConcurrencyException", "Record was modified")


@pytest.mark.parametrize(
    ("answer", "on_read", "on_write"),
    [
        pytest.param(RESET, RetryLater, OutcomeUnknown, id="reset"),
        pytest.param(GARBAGE, RetryLater, OutcomeUnknown, id="garbage"),
        pytest.param(TRUNCATED, RetryLater, OutcomeUnknown, id="truncated"),
        pytest.param(NO_RESULT, RetryLater, OutcomeUnknown, id="no result"),
        pytest.param(NOT_AN_OBJECT, RetryLater, OutcomeUnknown, id="not an object"),
        pytest.param(Answer(500), RetryLater, OutcomeUnknown, id="500"),
        pytest.param(Answer(503), RetryLater, OutcomeUnknown, id="503"),
        pytest.param(Answer(504), RetryLater, OutcomeUnknown, id="504"),
        pytest.param(UNNAMED, RetryLater, OutcomeUnknown, id="an unnamed error"),
        pytest.param(Answer(429), Refused, Refused, id="429"),
        pytest.param(CONCURRENT, Refused, Refused, id="concurrent change"),
        pytest.param(CLOSED, FixData, FixData, id="UserError"),
        pytest.param(WARNING, FixData, FixData, id="UserWarning"),
        pytest.param(POSTED, FixData, FixData, id="posted"),
        pytest.param(NO_RIGHT, FixConfig, FixConfig, id="no right"),
        pytest.param(Answer(302, headers=(("Location", "/login"),)), FixConfig, FixConfig, id="redirect"),
        pytest.param(Answer(400), FixConfig, FixConfig, id="400"),
        pytest.param(Answer(403), FixConfig, FixConfig, id="403"),
        pytest.param(Answer(404), FixConfig, FixConfig, id="404"),
        pytest.param(Answer(413), FixConfig, FixConfig, id="413"),
        pytest.param(Answer(418), FixConfig, FixConfig, id="418"),
    ],
)
@pytest.mark.parametrize("writes", [False, True])
def test_each_failure_has_its_meaning(
    server: JsonRpcServer,
    answer: Answer,
    on_read: type[VoucherflowError],
    on_write: type[VoucherflowError],
    writes: bool,
) -> None:
    server.script = [answer] * ATTEMPTS

    with pytest.raises(VoucherflowError) as raised:
        client(server).call("model.account.move.create", writes=writes)

    assert type(raised.value) is (on_write if writes else on_read)
    assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize(("writes", "error_type"), [(False, RetryLater), (True, OutcomeUnknown)])
def test_silence_after_sending(
    server: JsonRpcServer, writes: bool, error_type: type[VoucherflowError]
) -> None:
    server.script = [SILENCE]

    with pytest.raises(error_type):
        client(server, read_timeout_s=0.2).call("model.account.move.post", writes=writes)


def test_nobody_listens(server: JsonRpcServer) -> None:
    ours = client(server)
    server.script = [result(1)]
    ours.call("model.x", writes=False)
    endpoint = Endpoint("tryton_test", "http://127.0.0.1:9/ledger", "voucherflow", PASSWORD)

    with pytest.raises(RetryLater, match="tryton_test"):
        TrytonClient(endpoint, connect_timeout_s=2, read_timeout_s=2).call("model.x", writes=True)


def test_the_reason_of_a_refusal_is_passed_on(server: JsonRpcServer) -> None:
    server.script = [CLOSED]

    with pytest.raises(FixData, match=r"The period is closed\. 2026-01"):
        client(server).call("model.account.move.create", writes=True)


@pytest.mark.parametrize("refusal", [Answer(429), CONCURRENT])
@pytest.mark.parametrize("writes", [False, True])
def test_a_call_that_is_refused_is_made_again_more_slowly(
    server: JsonRpcServer, refusal: Answer, writes: bool
) -> None:
    server.script = [refusal, refusal, result(7)]
    time = Time()

    assert client(server, time=time).call("model.a", writes=writes) == 7
    assert server.methods == ["common.db.login", *["model.a"] * 3]
    assert time.now > 1


def test_as_long_as_the_answer_says_nothing_is_sent(server: JsonRpcServer) -> None:
    server.script = [Answer(429, headers=(("Retry-After", "17"),)), result(7)]
    time = Time()

    assert client(server, time=time).call("model.x", writes=False) == 7
    assert time.now >= 17


@pytest.mark.parametrize("way", ["seconds", "date"])
def test_a_pause_that_is_too_long_is_passed_on(server: JsonRpcServer, way: str) -> None:
    header = "3600" if way == "seconds" else formatdate(clock.time() + 4000, usegmt=True)
    server.script = [Answer(429, headers=(("Retry-After", header),))]

    with pytest.raises(RetryLater) as raised:
        client(server).call("model.x", writes=True)

    assert 3600 <= (raised.value.retry_after_s or 0) <= 4001


def test_one_login_serves_many_calls(server: JsonRpcServer) -> None:
    server.script = [result(1), result(2)]
    ours = client(server)

    assert [ours.call("model.a", writes=False), ours.call("model.b", writes=False)] == [1, 2]
    assert server.methods == ["common.db.login", "model.a", "model.b"]
    assert b64decode(server.headers[-1].removeprefix("Session ")) == b"voucherflow:2:token"


def test_an_ended_session_is_renewed_once_and_the_call_repeated(server: JsonRpcServer) -> None:
    server.script = [Answer(401), result(7)]

    assert client(server).call("model.a", writes=True) == 7
    assert server.methods == ["common.db.login", "model.a", "common.db.login", "model.a"]


def test_a_user_who_is_refused_after_a_new_login_is_a_matter_of_settings(server: JsonRpcServer) -> None:
    server.script = [Answer(401), Answer(401)]

    with pytest.raises(FixConfig, match="tryton_test"):
        client(server).call("model.a", writes=True)


@pytest.mark.parametrize(
    ("answer", "error_type"),
    [
        (Answer(401), FixConfig),
        (Answer(429), RetryLater),
        (Answer(503), RetryLater),
        (RESET, RetryLater),
        (error("LoginException", ["sms_code", "SMS code", "char"]), FixConfig),
    ],
)
def test_a_login_that_fails_changed_nothing(
    server: JsonRpcServer, answer: Answer, error_type: type[VoucherflowError]
) -> None:
    server.login = lambda: answer

    with pytest.raises(error_type) as raised:
        client(server).call("model.account.move.create", writes=True)

    assert server.methods == ["common.db.login"]
    assert PASSWORD not in str(raised.value)


def test_decimals_and_dates_keep_their_type(server: JsonRpcServer) -> None:
    server.script = [
        result(
            [
                {"__class__": "Decimal", "decimal": "0.10"},
                {"__class__": "date", "year": 2026, "month": 2, "day": 28},
            ]
        )
    ]

    answer = client(server).call("model.a", Decimal("0.10"), date(2026, 2, 28), writes=False)

    assert answer == [Decimal("0.10"), date(2026, 2, 28)]
    assert str(answer[0]) == "0.10"


def test_exchanges_are_recorded_without_password_and_session(server: JsonRpcServer) -> None:
    server.login = lambda: result([2, "session-secret", None])
    server.script = [TRUNCATED, RESET, result([7])]
    ours = client(server)
    with recording() as heard:
        for _time in range(2):
            with pytest.raises(OutcomeUnknown):
                ours.call("model.account.move.create", {"number": 1}, writes=True)
        assert ours.call("model.account.move.search", writes=False) == [7]

    requests = [exchange.request for exchange in heard]
    assert ["create" in requests[1], "create" in requests[2], "search" in requests[3]] == [True] * 3
    assert [exchange.response for exchange in heard[1:]] == [
        'HTTP 200\n{"id": 0, "result": [1, 2',
        None,
        'HTTP 200\n{"id": 0, "result": [7]}',
    ]
    assert PASSWORD not in repr(heard)
    assert "session-secret" not in repr(heard)
