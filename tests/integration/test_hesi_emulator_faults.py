"""Faults over a real connection: what a client sees, and what has happened behind it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from include.emulators.hesi import APP_KEY, APP_SECRET, EmulatorError, Faults, World, generate_world, running

ROOT = Path(__file__).resolve().parents[2]
LOCATION = "/api/openapi/v2/location"
VOUCHER = "/api/openapi/v2.1/flow/data/erpVoucher"
TIMEOUT_S = 20
BROKEN = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


def make() -> World:
    return generate_world(120, seed=31)


@contextmanager
def session(world: World, faults: Faults) -> Iterator[tuple[requests.Session, str]]:
    with running(world, faults=faults) as url, requests.Session() as http:
        yield http, url


def outcome(http: requests.Session, url: str) -> str:
    try:
        response = http.get(url + LOCATION, params={"corpId": "x"}, timeout=TIMEOUT_S)
        return str(response.status_code)
    except BROKEN:
        return "broken"


MIXED = Faults(seed=4, too_many=0.2, server_error=0.2, drop_before=0.2, truncate=0.1)


def test_the_same_seed_meets_the_same_faults() -> None:
    runs = []
    for _ in range(2):
        with session(make(), MIXED) as (http, url):
            runs.append([outcome(http, url) for _ in range(30)])
    assert runs[0] == runs[1]
    assert {"200", "429", "broken"} < set(runs[0])
    assert {"500", "502", "503"} & set(runs[0])


def test_another_seed_meets_others() -> None:
    def draws(seed: int) -> list[str | None]:
        return [Faults(seed=seed, too_many=0.5).draw(call)[0] for call in range(50)]

    assert draws(1) == draws(1) != draws(2)


def test_all_is_well_by_default() -> None:
    with session(make(), Faults()) as (http, url):
        assert {outcome(http, url) for _ in range(30)} == {"200"}


@pytest.mark.parametrize(
    ("kind", "number"), [("drop_before", ""), ("drop_after", "记-1"), ("truncate", "记-1")]
)
def test_a_broken_connection_hides_whether_the_change_was_made(kind: str, number: str) -> None:
    world = make()
    document = next(item for item in world.documents.values() if item.state == "paid" and item.active)
    with session(world, Faults(only="erpVoucher", **{kind: 1.0})) as (http, url):  # type: ignore[arg-type]
        login = {"appKey": APP_KEY, "appSecurity": APP_SECRET}
        answer = http.post(f"{url}/api/openapi/v1/auth/getAccessToken", json=login, timeout=TIMEOUT_S)
        token = answer.json()["value"]["accessToken"]
        body = {"voucher": [{"flowId": document.id, "voucherNo": "记-1", "voucherCreateTime": "1"}]}
        with pytest.raises(BROKEN):
            http.put(url + VOUCHER, params={"accessToken": token}, json=body, timeout=TIMEOUT_S)
    assert document.voucher_no == number


def test_a_truncated_answer_is_shorter_than_it_says() -> None:
    with session(make(), Faults(truncate=1.0)) as (http, url), pytest.raises(BROKEN):
        http.get(url + LOCATION, params={"corpId": "x"}, timeout=TIMEOUT_S)


def test_a_ceiling_answers_429_with_a_hint() -> None:
    with session(make(), Faults(calls_per_second=1)) as (http, url):
        answers = [http.get(url + LOCATION, params={"corpId": "x"}, timeout=TIMEOUT_S) for _ in range(5)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert refused[0].headers["Retry-After"] == "1"
    assert refused[0].json()["errorMessage"] == "请求过于频繁，请稍后再试"


@pytest.mark.parametrize(
    "wrong", [{"too_many": -0.1}, {"drop_after": 0.7, "truncate": 0.7}, {"latency_ms": -1}]
)
def test_impossible_faults_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="fault"):
        Faults(**wrong)  # type: ignore[arg-type]


def test_state_is_kept_over_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "hesi.state"
    world = make()
    document = next(item for item in world.documents.values() if item.state == "paid" and item.active)
    with running(world, state=state):
        world.write_back([{"flowId": document.id, "voucherNo": "记-7", "voucherCreateTime": "1"}])
    again = make()
    with running(again, state=state):
        assert again.documents[document.id].voucher_no == "记-7"
    with pytest.raises(EmulatorError), running(generate_world(10, seed=1), state=state):
        raise AssertionError("must not start")


SERVE = """
import sys
from include.emulators.hesi import generate_world, serve
try:
    serve(generate_world(3, seed=1), port=int(sys.argv[1]), on_ready=lambda url: print(url, flush=True))
except OSError as error:
    print("taken", error.errno, flush=True)
    sys.exit(1)
"""


def start(port: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SERVE, port]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_in_the_foreground_it_serves_until_it_is_interrupted() -> None:
    with start("0") as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        assert requests.get(url + LOCATION, params={"corpId": "x"}, timeout=TIMEOUT_S).status_code == 200
        with start(url.rpartition(":")[2]) as second:
            assert second.stdout is not None
            assert second.stdout.read().startswith("taken")
            assert second.wait(TIMEOUT_S) == 1
        server.send_signal(signal.SIGINT)
        assert server.wait(TIMEOUT_S) == 0
