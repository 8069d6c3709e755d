"""The ledgers of chaos runs: the accounting server at each proof level, and a real Tryton. All can be killed and read."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from include.conformance.ledger.tryton import GATEWAY_PASSWORD, ROOT, SERVE, set_up
from include.embedded.tryton import GATEWAY_LOGIN
from tests.chaos import auditor
from tests.chaos.auditor import Posted
from tests.chaos.ledger_calls import LOGIN, PASSWORD
from tests.chaos.ledger_process import LedgerProcess
from tests.chaos.proxy import FaultyProxy

CONNECTION = "chaos_ledger"
LEVELS = ("native_key", "searchable_reference", "date_and_amount", "tryton")
LATE_S = (0.1, 0.5)
BULK = 10
"""From so many vouchers with one call on, speed is what counts."""
SETTLE_S = 2.0
"""Nothing here is at work longer than this, not even on a busy machine."""
KINDS = ["employee", "supplier", "department", "project"]


class Ledger(ABC):
    """A ledger and what a chaos run does to it."""

    system: str
    faults: Mapping[str, float]
    """The trouble that it can make, with the weights at which a run draws from it."""

    @property
    @abstractmethod
    def connection(self) -> str:
        """As an environment variable of Airflow holds it."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The book's `ledger`."""

    @abstractmethod
    def set_faults(self, **plan: Any) -> None:
        """Put a `ledger_faults.FaultPlan` in force; without arguments, none."""

    @abstractmethod
    def counts(self) -> dict[str, int]:
        """How often each fault happened, `fault:drop_after` and so on."""

    @abstractmethod
    def is_idle(self) -> bool:
        """Whether no call is at work in it."""

    @abstractmethod
    def kill(self) -> None:
        """Kill the process; returns when it is up again."""

    @abstractmethod
    def read(self) -> list[Posted]:
        """All vouchers, out of its raw tables."""

    @abstractmethod
    def stop(self) -> None:
        """End it."""


class ServerLedger(Ledger):
    """The accounting server."""

    system = "chaos"

    def __init__(self, folder: Path, level: str, batch_size: int) -> None:
        self.level = level
        self._batch_size = batch_size
        self._process = LedgerProcess(folder / "ledger.db", level=level)
        self.faults = {
            "drop_before": 1,
            "drop_after": 3,
            "truncate": 2,
            "bad_gateway": 2,
            "late": 1,
            "die_before": 0.3,
            "die_within": 0.3,
            "die_after": 0.3,
            "locked": 1,
            "read_only": 0.5,
            "busy": 0.5,
        }
        if level == "native_key":
            self.faults["twice"] = 1

    @property
    def connection(self) -> str:
        return json.dumps(
            {"conn_type": "chaos", "host": self._process.url, "login": LOGIN, "password": PASSWORD}
        )

    def settings(self) -> dict[str, Any]:
        # References are posted in two steps, so that drafts are left behind and completed; in bulk in one.
        steps = 2 if self.level == "searchable_reference" and self._batch_size < BULK else 1
        options = {"level": self.level, "steps": steps, "batch_size": self._batch_size}
        return _settings(self.system, options | {"settle_s": SETTLE_S, "read_timeout_s": 10})

    def set_faults(self, **plan: Any) -> None:
        self._process.set_faults(**plan)

    def counts(self) -> dict[str, int]:
        return {name: n for name, n in self._process.counts().items() if name.startswith("fault:")}

    def is_idle(self) -> bool:
        return self._process.is_idle()

    def kill(self) -> None:
        self._process.kill()

    def read(self) -> list[Posted]:
        return auditor.read_server(self._process.export())

    def stop(self) -> None:
        self._process.stop()


class TrytonLedger(Ledger):
    """A real Tryton behind a proxy that loses what passes."""

    system = "tryton"
    faults: Mapping[str, float] = {
        "drop_before": 1,
        "drop_after": 3,
        "truncate": 2,
        "bad_gateway": 2,
        "late": 1,
        "die_before": 0.1,
        "die_after": 0.2,
        "busy": 0.5,
    }

    def __init__(self, folder: Path, batch_size: int) -> None:
        self._batch_size = batch_size
        self._file = folder / "ledger.sqlite"
        # A process of its own: Tryton keeps its settings in module globals.
        maker = multiprocessing.get_context("spawn").Process(target=set_up, args=(self._file,))
        maker.start()
        maker.join()
        if maker.exitcode:
            raise RuntimeError(f"Tryton could not be set up, exit code {maker.exitcode}")
        self._lock = threading.Lock()
        self._process, self._port = self._start(0)
        self._proxy = FaultyProxy(self._port, self.kill)

    @property
    def connection(self) -> str:
        login = {"login": GATEWAY_LOGIN, "password": GATEWAY_PASSWORD}
        return json.dumps(
            {"conn_type": "tryton", "host": self._proxy.url, "schema": self._file.stem, **login}
        )

    def settings(self) -> dict[str, Any]:
        return _settings(
            self.system, {"batch_size": self._batch_size, "settle_s": SETTLE_S, "read_timeout_s": 20}
        )

    def set_faults(self, **plan: Any) -> None:
        self._proxy.set_faults(**plan)

    def counts(self) -> dict[str, int]:
        return dict(self._proxy.counts)

    def is_idle(self) -> bool:
        return self._proxy.at_work == 0

    def kill(self) -> None:
        with self._lock:
            self._process.kill()
            self._process.wait()
            self._process, _ = self._start(self._port)

    def read(self) -> list[Posted]:
        return auditor.read_tryton(self._file)

    def stop(self) -> None:
        self._proxy.shutdown()
        self._process.terminate()
        self._process.wait()

    def _start(self, port: int) -> tuple[subprocess.Popen[str], int]:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE.replace("port=0", f"port={port}"), str(self._file)],
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "TZ": "UTC"},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError(f"Tryton ended with {process.wait()}")
        return process, int(url.rpartition(":")[2].partition("/")[0])


def start(level: str, folder: Path, batch_size: int) -> Ledger:
    """The ledger of a level, on files in the folder; `batch_size` vouchers go with one call."""
    if level == "tryton":
        return TrytonLedger(folder, batch_size)
    return ServerLedger(folder, level, batch_size)


def _settings(system: str, options: dict[str, Any]) -> dict[str, Any]:
    return {
        "system": system,
        "connection": CONNECTION,
        "create_missing": KINDS,
        "calls_per_s": 200,
        "options": options,
    }
