"""The accounting server as a process that tests start, kill, revive and ask what it did."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from include.connections import Endpoint
from tests.chaos.ledger_calls import ACCOUNTANT, ACCOUNTANT_PASSWORD, ADMIN_KEY, LOGIN, PASSWORD

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60


class LedgerProcess:
    """One server on one file and one port. A process that was killed is started again at once, unless it is held down.

    Attributes:
        url: Where it is; the same over all restarts.
        restarts: How often it was started again.
    """

    def __init__(self, file: Path, *, level: str, **options: Any) -> None:
        self.file = file
        self.level = level
        self.log = file.with_suffix(".log")
        self.restarts = 0
        self._arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        self._may_run = threading.Event()
        self._may_run.set()
        self._stopping = threading.Event()
        self._process, self._port = self._start(0)
        self.url = f"http://127.0.0.1:{self._port}"
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def kill(self) -> None:
        """Kill it as a power cut would; returns when it is up again."""
        process = self._process
        process.kill()
        process.wait(TIMEOUT_S)
        self.wait_until_up()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Nothing listens meanwhile."""
        self._may_run.clear()
        process = self._process
        process.kill()
        process.wait(TIMEOUT_S)
        try:
            yield
        finally:
            self._may_run.set()
            self.wait_until_up()

    def wait_until_up(self) -> None:
        """Return when calls are answered.

        Raises:
            TimeoutError: it did not come up.
        """
        self._ask("GET", "/admin/about")

    def is_idle(self) -> bool:
        """Whether it is serving no call of the interface."""
        about = self._ask("GET", "/admin/about")
        return about["atWork"] == 0

    def stop(self) -> None:
        self._stopping.set()
        self._may_run.set()
        self._process.terminate()
        self._watcher.join(TIMEOUT_S)

    def endpoint(self, name: str = "chaos_ledger") -> Endpoint:
        return Endpoint(name, self.url, LOGIN, PASSWORD)

    def set_faults(self, **plan: Any) -> None:
        """Put a plan in force, see `ledger_faults.FaultPlan`; without arguments, none."""
        self._ask("PUT", "/admin/faults", plan)

    def counts(self) -> dict[str, int]:
        """Calls by endpoint, `fault:…` and `outcome:…`, since the file was made."""
        counts: dict[str, int] = self._ask("GET", "/admin/counts")
        return counts

    def export(self) -> dict[str, list[dict[str, Any]]]:
        """The raw tables."""
        tables: dict[str, list[dict[str, Any]]] = self._ask("GET", "/audit/export")
        return tables

    def as_accountant(self, path: str, **body: Any) -> Any:
        """A call of the interface by somebody who may close, renumber and reverse.

        Raises:
            RuntimeError: the books refuse.
        """
        login = {"user": ACCOUNTANT, "password": ACCOUNTANT_PASSWORD}
        token = self._post("/api/login", login, "")["token"]
        return self._post(path, body, token)

    def _post(self, path: str, body: Any, token: str) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.post(self.url + path, json=body, headers=headers, timeout=TIMEOUT_S).json()
        if not answer["success"]:
            raise RuntimeError(f"{path}: {answer['code']} {answer['message']}")
        return answer["data"]

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        """An administrator's call, repeated while a killed process is coming up again: none of them adds anything."""
        until = time.monotonic() + TIMEOUT_S
        while True:
            try:
                response = requests.request(
                    method, self.url + path, json=body, headers={"X-Admin-Key": ADMIN_KEY}, timeout=TIMEOUT_S
                )
                break
            except requests.exceptions.ConnectionError:
                if time.monotonic() > until:
                    raise TimeoutError(f"no ledger server at {self.url}") from None
                time.sleep(0.02)
        answer = response.json()
        if not answer["success"]:
            raise ValueError(answer["message"])
        return answer["data"]

    def _start(self, port: int) -> tuple[subprocess.Popen[str], int]:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.chaos.ledger_server", "--until-stdin-closes"),
                *(f"--file={self.file}", f"--log={self.log}", f"--level={self.level}", f"--port={port}"),
                *self._arguments,
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        return process, int(process.stdout.readline())

    def _watch(self) -> None:
        while True:
            status = self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            if self._stopping.is_set() or status != -signal.SIGKILL:
                return
            self._may_run.wait()
            if self._stopping.is_set():
                return
            self._process, _ = self._start(self._port)
            self.restarts += 1
