"""Tokens: how long they are used, how they are replaced, and that nobody sees them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from include.adapters.oa.hesi.auth import ACCESS_PATH, REFRESH_PATH, TokenKeeper, protect_logs
from include.domain.errors import FixConfig, RetryLater
from tests.conftest import FakeClock
from tests.unit.adapters.hesi_parts import APP_KEY, APP_SECURITY


class Desk:
    """Stands for the token pages: hands out numbered tokens of a fixed life."""

    def __init__(self, clock: FakeClock, life_s: float = 7200) -> None:
        self.clock = clock
        self.life_s = life_s
        self.asked: list[str] = []
        self.refuse_refresh: Exception | None = None
        self.answer: Any = None

    def __call__(self, path: str, params: Mapping[str, str], body: Mapping[str, str] | None) -> Any:
        self.asked.append("login" if path == ACCESS_PATH else "refresh")
        if path == REFRESH_PATH and self.refuse_refresh:
            raise self.refuse_refresh
        if path == REFRESH_PATH:
            assert params["powerCode"] == "219904"
            assert params["refreshToken"] == f"r{len(self.asked) - 1}"
        else:
            assert body == {"appKey": APP_KEY, "appSecurity": APP_SECURITY}
            assert not params
        if self.answer is not None:
            return self.answer
        number = len(self.asked)
        expires = int((self.clock.now() + timedelta(seconds=self.life_s)).timestamp() * 1000)
        return {"value": {"accessToken": f"t{number}", "refreshToken": f"r{number}", "expireTime": expires}}


@pytest.fixture
def desk(clock: FakeClock) -> Desk:
    return Desk(clock)


@pytest.fixture
def keeper(desk: Desk, clock: FakeClock) -> TokenKeeper:
    return TokenKeeper(desk, APP_KEY, APP_SECURITY, clock)


def test_one_token_serves_until_shortly_before_its_end(
    keeper: TokenKeeper, desk: Desk, clock: FakeClock
) -> None:
    assert keeper.get() == "t1"
    clock.forward(7200 - 301)
    assert keeper.get() == "t1"
    clock.forward(2)
    assert keeper.get() == "t2"
    assert desk.asked == ["login", "refresh"]


def test_a_short_token_is_not_refreshed_on_every_call(clock: FakeClock) -> None:
    desk = Desk(clock, life_s=60)
    keeper = TokenKeeper(desk, APP_KEY, APP_SECURITY, clock)
    for _ in range(10):
        keeper.get()
        clock.forward(5)
    assert desk.asked == ["login"]


def test_an_expired_token_is_not_refreshed_but_got_anew(
    keeper: TokenKeeper, desk: Desk, clock: FakeClock
) -> None:
    keeper.get()
    clock.forward(7201)
    assert keeper.get() == "t2"
    assert desk.asked == ["login", "login"]


@pytest.mark.parametrize("refusal", [FixConfig("403"), RetryLater("down")])
def test_a_refresh_that_fails_falls_back_to_a_log_in(
    keeper: TokenKeeper, desk: Desk, clock: FakeClock, refusal: Exception
) -> None:
    keeper.get()
    desk.refuse_refresh = refusal
    clock.forward(7100)
    assert keeper.get() == "t3"
    assert desk.asked == ["login", "refresh", "login"]


def test_a_refused_token_is_replaced_once_for_all_threads(keeper: TokenKeeper, desk: Desk) -> None:
    refused = keeper.get()
    seen: list[str] = []
    threads = [threading.Thread(target=lambda: seen.append(keeper.renew(refused))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["t2"] * 8
    assert desk.asked == ["login", "login"]


@pytest.mark.parametrize("expires", [None, "soon", True, -1, 10**30, 0])
def test_an_expiry_that_makes_no_sense_means_use_it_until_it_is_refused(
    keeper: TokenKeeper, desk: Desk, clock: FakeClock, expires: Any
) -> None:
    desk.answer = {"value": {"accessToken": "t", "refreshToken": "r", "expireTime": expires}}
    assert keeper.get() == "t"
    clock.forward(10**6)
    assert keeper.get() == "t"
    assert desk.asked == ["login"]


@pytest.mark.parametrize(
    "answer",
    [
        {"value": {"errorCode": 403, "errorMessage": "密钥无效", "errorDetail": None}},
        {"value": {"accessToken": ""}},
        {"value": None},
        [],
    ],
)
def test_an_answer_without_a_token_is_a_matter_of_configuration(
    keeper: TokenKeeper, desk: Desk, answer: Any
) -> None:
    desk.answer = answer
    with pytest.raises(FixConfig, match="appKey"):
        keeper.get()


def test_missing_keys_are_named_without_a_call(desk: Desk, clock: FakeClock) -> None:
    with pytest.raises(FixConfig, match="login and password"):
        TokenKeeper(desk, "", "", clock).get()
    assert desk.asked == []


def test_secrets_are_not_shown(keeper: TokenKeeper) -> None:
    token = keeper.get()
    assert token not in repr(keeper) + repr(keeper._token)
    text = keeper.redact(f"GET /x?accessToken={token}&refreshToken=r1 {APP_KEY} {APP_SECURITY}")
    for secret in (token, "r1", APP_KEY, APP_SECURITY):
        assert secret not in text.split()[1:]
        assert f"={secret}" not in text


def test_the_http_library_logs_no_token(caplog: pytest.LogCaptureFixture) -> None:
    protect_logs()
    protect_logs()
    with caplog.at_level(logging.DEBUG, logger="urllib3.connectionpool"):
        log = logging.getLogger("urllib3.connectionpool")
        log.debug('%s "%s %s"', "http://x", "GET", "/api?a=1&accessToken=tok-SECRET&b=2")
    assert "tok-SECRET" not in caplog.text
    assert "b=2" in caplog.text
