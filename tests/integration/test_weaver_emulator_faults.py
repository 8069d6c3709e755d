"""Trouble over a real connection: what a client sees, and what has happened behind it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from include.emulators.weaver import APP_ID, Plan, open_world
from include.emulators.weaver.clock import day_text
from tests.integration.weaver_client import SERVICE, TIMEOUT_S, Client, envelope, info
from tests.integration.weaver_fixtures import fresh

__all__ = ["fresh"]
ROOT = Path(__file__).resolve().parents[2]
BROKEN = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
NUMBER = {"pzh": "记-1"}


def save(client: Client, number: str) -> str:
    return client.soap("submitWorkflowRequest", info(NUMBER), int(number), 9, "save", "").text or ""


def written(client: Client, number: str) -> bool:
    return bool(client.world.truth()[number]["voucher"]["pzh"] == "记-1")


class TestOnTheWay:
    def test_before_the_change_nothing_has_happened(self, fresh: Client) -> None:
        number = fresh.one("approved")
        fresh.admin("/faults", {"kind": "drop_before", "match": "submitWorkflowRequest"})
        with pytest.raises(BROKEN):
            save(fresh, number)
        assert not written(fresh, number)
        assert save(fresh, number) == "success"  # it befell one call

    def test_after_the_change_it_has_happened_though_nobody_says_so(self, fresh: Client) -> None:
        number = fresh.one("approved")
        fresh.admin("/faults", {"kind": "drop_after", "match": "submitWorkflowRequest"})
        with pytest.raises(BROKEN):
            save(fresh, number)
        assert written(fresh, number)

    def test_half_an_answer_is_cut_off(self, fresh: Client) -> None:
        number = fresh.one("approved")
        fresh.admin("/faults", {"kind": "truncate", "match": "submitWorkflowRequest"})
        with pytest.raises(BROKEN):
            save(fresh, number)
        assert written(fresh, number)

    def test_a_late_commit_comes_after_the_connection_broke(self, fresh: Client) -> None:
        number = fresh.one("approved")
        fresh.admin("/faults", {"kind": "late_commit", "match": "submitWorkflowRequest", "delay_ms": 200})
        with pytest.raises(BROKEN):
            save(fresh, number)
        looks = 0
        while not written(fresh, number) and looks < 5000:
            fresh.count("All")  # a call takes a while; it is the waiting
            looks += 1
        assert written(fresh, number)

    def test_a_refusal_says_when_to_come_back_and_befalls_a_share(self, fresh: Client) -> None:
        fresh.admin("/faults", {"kind": "status", "status": 429, "times": 0, "share": 0.5, "seed": 3})
        answers = [fresh.post(envelope("getUserId", "id", "9")) for _ in range(20)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert 3 < len(refused) < 17
        assert {answer.headers["Retry-After"] for answer in refused} == {"1"}

    def test_a_lost_session_gives_a_login_page_or_a_dead_token(self, fresh: Client) -> None:
        fresh.admin("/faults", {"kind": "login_page", "match": "WorkflowService"})
        response = fresh.post(envelope("getUserId", "id", "9"))
        assert response.status_code == 200
        assert "html" in response.headers["content-type"]
        fresh.login()
        fresh.admin("/faults", {"kind": "session_loss", "match": "getToDo"})
        assert "token不存在或者超时" in fresh.rest("getToDoWorkflowRequestCount")["msg"]
        fresh.login()
        assert fresh.rest("getToDoWorkflowRequestCount") >= 0

    def test_calls_are_counted_by_operation(self, fresh: Client) -> None:
        fresh.count("All")
        fresh.count("All")
        calls = fresh.admin("/counts", method="GET")["calls"]
        assert calls[f"{SERVICE}#getAllWorkflowRequestCount"] == 2


class TestHostileAnswers:
    """What a reader must refuse is really sent."""

    @pytest.mark.parametrize(
        ("kind", "sign"),
        [("entity_bomb", b"<!ENTITY l9"), ("external_entity", b"SYSTEM"), ("deep_xml", b"<a><a><a>")],
    )
    def test_xml(self, fresh: Client, kind: str, sign: bytes) -> None:
        fresh.admin("/faults", {"kind": kind, "match": "getUserId"})
        assert sign in fresh.post(envelope("getUserId", "id", "9")).content

    def test_gzip(self, fresh: Client) -> None:
        fresh.admin("/faults", {"kind": "gzip_bomb", "match": "getUserId"})
        with fresh.session.post(
            fresh.url + SERVICE,
            data=envelope("getUserId", "id", "9").encode(),
            timeout=TIMEOUT_S,
            stream=True,
        ) as response:
            packed = response.raw.read(decode_content=False)
        assert len(packed) < 200_000
        grown = zlib.decompressobj(31).decompress(packed, 50_000_000)
        assert len(grown) == 50_000_000


class TestClock:
    def test_it_may_be_hours_off(self, fresh: Client) -> None:
        now = fresh.admin("/clock", {"offset_ms": 26 * 3_600_000})["now_ms"]
        number = fresh.one("approved")
        save(fresh, number)
        row = fresh.world.flow.request(int(number))
        assert row is not None
        assert row["lastoperatedate"] == day_text(now)


@contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The emulator as a process; gives its address."""
    command = [sys.executable, "-m", "include.emulators.weaver", "--port", "0", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "WEAVER_EMULATOR_ADMIN_KEY": "emulator-admin"}
    running = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        yield running, running.stdout.readline().strip()
    finally:
        running.kill()
        running.wait(TIMEOUT_S)
        running.stdout.close()


class TestProcess:
    def test_a_kill_keeps_what_was_committed_and_tokens_live_on(self, tmp_path: Path) -> None:
        path = tmp_path / "oa.sqlite"
        arguments = ("--data", str(path), "--documents", "30", "--seed", "4", "--dirty-share", "0")
        world = open_world(Plan(documents=30, seed=4, dirty_share=0.0))
        number = next(n for n, told in world.truth().items() if told["verdict"] == "approved")
        with process(*arguments) as (running, url):
            client = Client(url, world)
            client.login()
            assert save(client, number) == "success"
            running.send_signal(signal.SIGKILL)
            running.wait(TIMEOUT_S)
        with process("--data", str(path)) as (_, url):
            again = Client(url, world, token=client.token, secret=client.secret, key=client.key)
            told = again.admin("/truth", method="GET")
            assert told[number]["voucher"]["pzh"] == "记-1"
            assert again.rest("getAllWorkflowRequestCount") > 0

    def test_wrong_arguments_end_it_with_a_word(self) -> None:
        command = [sys.executable, "-m", "include.emulators.weaver", "--option", "database=mysql"]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 2
        assert "one of: sqlserver, oracle" in ended.stderr

    def test_without_a_key_there_are_no_controls(self) -> None:
        command = [sys.executable, "-m", "include.emulators.weaver", "--documents", "8", "--app-id", "MINE"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
            try:
                assert running.stdout is not None
                url = running.stdout.readline().strip()
                headers = {"X-Emulator-Key": "emulator-admin", "appid": APP_ID}
                assert (
                    requests.get(f"{url}/__emulator__/truth", headers=headers, timeout=TIMEOUT_S).status_code
                    == 404
                )
                answer = requests.post(
                    f"{url}/api/ec/dev/auth/regist", headers=headers, timeout=TIMEOUT_S
                ).json()
                assert answer["status"] is False
            finally:
                running.kill()
