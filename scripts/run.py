"""`make run`: the whole of Voucherflow on this machine, from nothing to a finished, visible run.

    [ONCE=1] [DOCUMENTS=n] [SEED=n] [EVENTS=folder] [PORT=n] python -m scripts.run

Starts an emulated Hesi, a real Tryton ledger and Airflow's components on the loopback address, runs each book once,
writes `.run/summary.json` and either stays up or, with ONCE, stops everything and exits with the run's status.
State and logs are kept in `.run/<world>/`, so a second run goes on where the first ended.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import requests

from include.domain.errors import VoucherflowError
from include.settings import load_settings
from scripts.runner.airflow_client import FINAL_STATES, AirflowClient
from scripts.runner.environment import (
    AIRFLOW_COMPONENTS,
    EVENT_LOG_CONFIG,
    HESI_KEY,
    ROOT,
    Ports,
    airflow_environment,
    command_line_environment,
    product_environment,
)
from scripts.runner.options import Options, RunError, from_environ
from scripts.runner.processes import Supervisor, adopt_orphans, free_ports, require_free
from scripts.runner.progress import console, errors, step, summary_table, task_line
from scripts.runner.state import Secrets, StateDir, describe_holder
from scripts.runner.summary import read_summaries, write_summary

PREPARE_TIMEOUT_S = 300
READY_TIMEOUT_S = 180
RUN_TIMEOUT_S = 3600
TOLD_STATES = ("running", "success", "failed", "up_for_retry", "upstream_failed")
POLL_S = 1.0


class Interrupted(BaseException):
    """Ctrl-C, a termination signal, or a closed terminal. Not an Exception: nothing may mistake it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass
class Runner:
    """One `make run` from start to stop."""

    options: Options
    state: StateDir
    secrets: Secrets
    ports: Ports
    supervisor: Supervisor

    def __post_init__(self) -> None:
        self.env = product_environment(self.options, self.state, self.secrets, self.ports)
        self.settings = load_settings(EVENT_LOG_CONFIG if self.options.events else None)
        self.airflow_env = self.env | airflow_environment(self.state, self.secrets, self.ports)
        self.client = AirflowClient(self.ports.address, "admin", self.secrets.admin_password)

    def start(self) -> None:
        """Bring everything up. What does not depend on each other starts together."""
        self.state.write_env(command_line_environment(self.airflow_env))
        run = self.supervisor
        with step("准备数据库、账套与模拟合思 / preparing databases, ledger and emulated Hesi"):
            run.start_service(
                "hesi", self._emulator(), self.env | {"VOUCHERFLOW_HESI_SECRET": self.secrets.hesi_secret}
            )
            ledger_secret = {"VOUCHERFLOW_LEDGER_PASSWORD": self.secrets.ledger_password}
            run.start_job(
                "ledger-init",
                cli("ledger", "init", "--database", str(self.state.ledger)),
                self.env | ledger_secret,
            )
            run.start_job("store-migrate", cli("store", "migrate"), self.env)
            self._prepare_airflow()
        with step("启动 Airflow / starting Airflow"):
            # A task that starts before the API server listens fails: the scheduler waits for it.
            for name in ("api-server", "dag-processor"):
                run.start_service(name, AIRFLOW_COMPONENTS[name], self.airflow_env)
            run.finish("ledger-init", "store-migrate", timeout_s=PREPARE_TIMEOUT_S)
            serve = cli(
                "ledger", "serve", "--database", str(self.state.ledger), "--port", str(self.ports.ledger)
            )
            run.start_service("ledger", serve, self.env)
            run.wait_until("api-server", self.client.is_ready, READY_TIMEOUT_S)
            for name in ("scheduler", "triggerer"):
                run.start_service(name, AIRFLOW_COMPONENTS[name], self.airflow_env)
            run.wait_until("hesi", lambda: _answers(self.ports.hesi), READY_TIMEOUT_S)
            run.wait_until("ledger", lambda: _answers(self.ports.ledger), READY_TIMEOUT_S)
            run.wait_until("scheduler", lambda: not self.client.unhealthy(), READY_TIMEOUT_S)

    def _prepare_airflow(self) -> None:
        """Bring Airflow's database up to date, unless the same was done before: it costs a fifth of a start."""
        inputs = [ROOT / "requirements.txt", ROOT / "scripts" / "airflow_init.py"]
        inputs += [Path(book.file) for book in self.settings.books.values()]
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()
        stamp = self.state.airflow_home / "prepared.sha256"
        if stamp.exists() and stamp.read_text("utf-8") == digest:
            return
        admin = {"VOUCHERFLOW_ADMIN_PASSWORD": self.secrets.admin_password}
        command = [sys.executable, "-m", "scripts.airflow_init"]
        self.supervisor.start_job("airflow-init", command, self.airflow_env | admin)
        self.supervisor.finish("airflow-init", timeout_s=PREPARE_TIMEOUT_S)
        stamp.write_text(digest, "utf-8")

    def run_books(self) -> dict[str, str]:
        """One run of each book; returns the final state by book."""
        dags = {book_id: f"vouchers_{book_id}" for book_id in sorted(self.settings.books)}
        with step("载入 DAG / loading the DAGs"):
            self.supervisor.wait_until(
                "dag-processor", lambda: self._dags_loaded(list(dags.values())), READY_TIMEOUT_S
            )
        with step(
            "取数、检查、生成、过账、对账、回写 / extract, validate, generate, post, reconcile, write back"
        ):
            runs = {book_id: self._run_of(dag_id) for book_id, dag_id in dags.items()}
            return {book_id: self._follow(dags[book_id], run_id) for book_id, run_id in runs.items()}

    def _run_of(self, dag_id: str) -> str:
        """The run to follow: one under way, the daily one where it is due (as on a new installation), or a new one."""
        self.client.unpause(dag_id)
        under_way = self.client.unfinished_run(dag_id)
        if not under_way and self.client.is_due(dag_id):
            self.supervisor.wait_until("scheduler", lambda: not self.client.is_due(dag_id), READY_TIMEOUT_S)
        return under_way or self.client.unfinished_run(dag_id) or self.client.trigger(dag_id)

    def stay(self) -> NoReturn:
        """Keep everything up until a signal comes or a process ends by itself (RunError)."""
        while True:
            self.supervisor.check()
            time.sleep(POLL_S)

    def _emulator(self) -> list[str]:
        address = ["--port", str(self.ports.hesi), "--app-key", HESI_KEY]
        common = ["emulate", "hesi", *address, "--state", str(self.state.emulator)]
        if self.options.events:
            return cli(*common, "--events", str(self.options.events))
        return cli(*common, "--documents", str(self.options.documents), "--seed", str(self.options.seed))

    def _dags_loaded(self, dag_ids: list[str]) -> bool:
        errors = self.client.import_errors()
        if errors:
            raise RunError("DAG 载入失败 / a DAG file does not load:\n" + "\n".join(errors))
        return all(self.client.has_dag(dag_id) for dag_id in dag_ids)

    def _follow(self, dag_id: str, run_id: str) -> str:
        """Wait for a run to end, telling each change, and of a failure what the task said."""
        known: dict[str, str] = {}
        deadline = time.monotonic() + RUN_TIMEOUT_S
        while True:
            self.supervisor.check()
            final = self.client.run_state(dag_id, run_id)
            tasks = self.client.task_states(dag_id, run_id)
            for task_id, state in tasks.items():
                if known.get(task_id) != state and state in TOLD_STATES:
                    task_line(dag_id, task_id, state)
                    if state in ("failed", "up_for_retry"):
                        for message in self.client.error_messages(dag_id, run_id, task_id):
                            console.print(f"    {message}", style="red", markup=False, soft_wrap=True)
            known = tasks
            if final in FINAL_STATES:
                break
            if time.monotonic() > deadline:
                raise RunError(
                    f"{dag_id} 在 {RUN_TIMEOUT_S} 秒内没有结束 / did not end within {RUN_TIMEOUT_S} s"
                )
            time.sleep(POLL_S)
        return final


def cli(*arguments: str) -> list[str]:
    """A command of `./voucherflow`, without the shell in between."""
    return [sys.executable, "-m", "voucherflow.command_line", *arguments]


def _answers(port: int) -> bool:
    """Whether an HTTP server on this loopback port gives any answer at all."""
    try:
        requests.get(f"http://127.0.0.1:{port}/", timeout=5, proxies={"http": ""})
    except requests.RequestException:
        return False
    return True


def one_run(options: Options, runner: Runner) -> int:
    """Start, run each book, report. Returns the run's exit status; without ONCE it returns only by an exception."""
    runner.start()
    states = runner.run_books()
    summaries = read_summaries(runner.settings, runner.env["VOUCHERFLOW_STORE"])
    write_summary(ROOT / ".run" / "summary.json", options.world, states, summaries)
    summary_table(summaries)
    ok = all(state == "success" for state in states.values())
    if not options.once:
        console.print(
            f"\nAirflow: [bold]{runner.ports.address}[/]\n"
            f"用户 / user: admin   密码 / password: {runner.secrets.admin_password}\n"
            f"命令行 / command line: . {runner.state.env_file.relative_to(ROOT)} && ./voucherflow doctor\n"
            "按 Ctrl-C 停止 / Ctrl-C stops everything"
        )
        runner.stay()
    return 0 if ok else 1


def main() -> int:
    """Returns the exit status: 0 well, 1 failed or could not start, 128 + n ended early by signal n."""
    try:
        options = from_environ(os.environ)
        state = StateDir(ROOT / ".run" / options.world)
        state.create()
        lock = state.lock()
        if options.port:
            require_free(options.port)
    except RunError as error:
        errors.print(str(error), markup=False, soft_wrap=True)
        return 1
    airflow_port, hesi_port, ledger_port = free_ports(3)
    ports = Ports(options.port or airflow_port, hesi_port, ledger_port)
    describe_holder(lock, f"PID {os.getpid()}, {ports.address}")
    adopt_orphans()
    supervisor = Supervisor(logs=state.logs, cwd=ROOT)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        status = one_run(options, Runner(options, state, state.secrets(), ports, supervisor))
    except (RunError, VoucherflowError) as error:
        errors.print(str(error), style="red", markup=False, soft_wrap=True)
        status = 1
    except Interrupted as interrupt:
        status = 128 + interrupt.number
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        with step("停止所有进程 / stopping every process"):
            supervisor.stop_all()
        lock.close()
    return status


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    raise Interrupted(number)


if __name__ == "__main__":
    sys.exit(main())
