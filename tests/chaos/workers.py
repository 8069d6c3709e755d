"""Processes of the product by the hundred: each is forked from one that has imported everything already.

    python -m tests.chaos.workers --ledger chaos --clock clock

reads orders from its standard input, one JSON object a line, and writes what became of each to its standard output.
An order is a command line of `./voucherflow` with its environment, and where the process is to be killed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tests.chaos import steps
from tests.chaos.cli import add_to_registry
from tests.chaos.steps import Plan

ROOT = Path(__file__).parents[2]
ENDED_BY_ITSELF = (0, 65, 70, 75, 77, 78)
"""Exit codes that the command line states, see `include.cli.EXIT_CODES`; anything else is a crash."""
TIMEOUT_S = 400.0


# -- the side that orders --------------------------------------------------------------------------------


@dataclass
class Worker:
    """One process of the product. `status` is its exit code, negative the signal that ended it."""

    number: int
    log: Path
    pid: int = 0
    status: int | None = None
    passed: Counter[str] = field(default_factory=Counter)
    started: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        """Its exit status.

        Raises:
            TimeoutError: it goes on and on; it was killed.
        """
        if not self.ended.wait(timeout_s):
            self.signal(signal.SIGKILL)
            raise TimeoutError(f"worker {self.number} did not end, see {self.log}")
        assert self.status is not None
        return self.status

    def signal(self, number: int) -> bool:
        """Send a signal unless it has ended; whether it was sent."""
        self.started.wait(TIMEOUT_S)
        if self.ended.is_set():
            return False
        os.kill(self.pid, number)
        return True

    @property
    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")


class Workers:
    """The process that forks, and the workers it has made (`made` of them so far)."""

    def __init__(
        self, folder: Path, environment: Mapping[str, str], *, ledger: str, clock: Path, airflow: bool = False
    ) -> None:
        self.folder = folder
        self._orders: SimpleQueue[Worker] = SimpleQueue()
        self._workers: dict[int, Worker] = {}
        self.made = 0
        with (folder / "workers.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.chaos.workers", f"--ledger={ledger}", f"--clock={clock}"),
                    *["--airflow"] * airflow,
                ],
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError(f"the workers did not start, see {folder / 'workers.log'}")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(
        self,
        *command: str,
        plan: Plan | None = None,
        file_size: int = 0,
        environment: Mapping[str, str] | None = None,
        as_airflow: bool = False,
    ) -> Worker:
        """Start a command of `./voucherflow`, or with `as_airflow` of `airflow`; returns at once.

        Args:
            command: Its arguments.
            plan: Where it is to send itself a signal.
            file_size: The most bytes that a file may have (RLIMIT_FSIZE); 0: no limit.
            environment: Variables of this process alone.
            as_airflow: Run Airflow's command line.
        """
        self.made += 1
        worker = Worker(self.made, self.folder / f"{self.made:05}-{command[0]}.log")
        self._workers[self.made] = worker
        order = {
            "number": self.made,
            "command": list(command),
            "log": str(worker.log),
            "plan": asdict(plan) if plan else None,
            "file_size": file_size,
            "environment": dict(environment or {}),
            "as_airflow": as_airflow,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return worker

    def run(self, *command: str, **options: Any) -> Worker:
        """Start a command and wait for its end."""
        worker = self.start(*command, **options)
        worker.wait()
        return worker

    def stop(self) -> None:
        """End the forking process, which kills what is left of its children."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(TIMEOUT_S)
        self._reader.join(TIMEOUT_S)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            worker = self._workers[told["number"]]
            if "pid" in told:
                worker.pid = told["pid"]
                worker.started.set()
            elif "stopped" in told:
                worker.stopped.set()
            else:
                worker.status = told["status"]
                counts = worker.log.with_suffix(".passed")
                if counts.exists():
                    worker.passed.update(json.loads(counts.read_text("utf-8")))
                    counts.unlink()
                del self._workers[worker.number]
                worker.ended.set()
        for worker in self._workers.values():  # the forking process is gone, and they with it
            worker.status = -signal.SIGKILL
            worker.ended.set()


# -- the side that forks ---------------------------------------------------------------------------------


def serve(ledger: str, clock: Path, *, airflow: bool = False) -> None:
    """Import everything, with `airflow` its command line too, then fork a worker for each order until standard input
    closes.
    """
    told = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what imports print goes into the log
    add_to_registry()
    _import_everything()
    if airflow:
        _import_airflow()
    steps.install(ledger, clock)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    numbers: dict[int, int] = {}
    if (threads := threading.active_count()) != 1:
        raise RuntimeError(f"{threads} threads before a fork: an import has started some")
    _tell(told, "ready")
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        buffer = b""
        while True:
            for key, _ in selector.select():
                if key.fd == woken:
                    os.read(woken, 4096)
                    continue
                chunk = os.read(sys.stdin.fileno(), 65536)
                if not chunk:
                    for pid in numbers:
                        os.kill(pid, signal.SIGKILL)
                    return
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in lines:
                    order = json.loads(line)
                    pid = _fork(order)
                    numbers[pid] = order["number"]
                    _tell(told, json.dumps({"number": order["number"], "pid": pid}))
            _bury(told, numbers)


def _bury(told: int, numbers: dict[int, int]) -> None:
    while numbers:
        pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
        if pid == 0:
            return
        if os.WIFSTOPPED(status):
            _tell(told, json.dumps({"number": numbers[pid], "stopped": True}))
        else:
            _tell(told, json.dumps({"number": numbers.pop(pid), "status": os.waitstatus_to_exitcode(status)}))


def _tell(told: int, line: str) -> None:
    os.write(told, f"{line}\n".encode())


def _import_everything() -> None:
    """What commands import when they run; none of it may start a thread, which would not live in a fork."""
    import great_expectations  # noqa: F401  (seconds, once for all)

    import include.stages.extract
    import include.stages.follow
    import include.stages.generate
    import include.stages.post
    import include.stages.reconcile
    import include.stages.summary
    import include.stages.validate
    import include.stages.write_back  # noqa: F401
    import voucherflow.hooks.base  # noqa: F401
    from include.quality import gate  # noqa: F401


def _import_airflow() -> None:
    import airflow.api_fastapi.execution_api.app
    import airflow.cli.cli_parser
    import airflow.cli.commands.task_command
    import airflow.dag_processing.dagbag
    import airflow.sdk.execution_time.supervisor
    import airflow.sdk.execution_time.task_runner  # noqa: F401

    import voucherflow.operators.stages  # noqa: F401


def _fork(order: Mapping[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        _become(order)
        code = _run(order["command"], as_airflow=order["as_airflow"])
        counts = json.dumps(steps.passages.counts)
        Path(order["log"]).with_suffix(".passed").write_text(counts, "utf-8")
    except BaseException:  # noqa: BLE001  (a worker ends here, whatever happened; its log says it)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _become(order: Mapping[str, Any]) -> None:
    """Turn a fresh fork into the process that is wanted."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(order["environment"])
    if order["file_size"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_size"], order["file_size"]))
    if order["plan"]:
        steps.passages.plan = Plan(**order["plan"])


def _run(command: Sequence[str], *, as_airflow: bool) -> int:
    """The exit code of a command line in this process."""
    sys.argv = ["airflow" if as_airflow else "voucherflow", *command]
    try:
        if as_airflow:
            from airflow.__main__ import main as airflow

            airflow()
        else:
            from include.cli import main
            from voucherflow.command_line import resolve_as_airflow

            main(resolve_as_airflow)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ledger", choices=sorted(steps.GATEWAYS), required=True)
    parser.add_argument("--clock", type=Path, required=True)
    parser.add_argument("--airflow", action="store_true")
    arguments = parser.parse_args()
    serve(arguments.ledger, arguments.clock, airflow=arguments.airflow)
