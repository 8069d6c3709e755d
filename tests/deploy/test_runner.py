"""`make run`: its options, its state folder, and above all that it leaves no process behind."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from scripts.runner import summary
from scripts.runner.airflow_client import AirflowClient
from scripts.runner.environment import (
    Ports,
    airflow_environment,
    command_line_environment,
    product_environment,
)
from scripts.runner.options import Options, RunError, from_environ
from scripts.runner.processes import Supervisor, free_ports, require_free
from scripts.runner.state import Secrets, StateDir, describe_holder

SECRETS = Secrets(*(f"{name}-value" for name in Secrets.__dataclass_fields__))
TIMEOUT_S = 30


class TestOptions:
    def test_nothing_said_means_the_defaults(self) -> None:
        assert from_environ({}) == from_environ({"ONCE": "", "DOCUMENTS": "", "PORT": ""}) == Options()

    def test_all_said(self, tmp_path: Path) -> None:
        said = {"ONCE": "1", "DOCUMENTS": "50", "SEED": "7", "EVENTS": str(tmp_path), "PORT": "0"}
        assert from_environ(said) == Options(once=True, documents=50, seed=7, events=tmp_path, port=0)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("DOCUMENTS", "0"),
            ("DOCUMENTS", "many"),
            ("SEED", "-1"),
            ("PORT", "70000"),
            ("EVENTS", "/no/such/folder"),
        ],
    )
    def test_nonsense_is_refused_by_name(self, name: str, value: str) -> None:
        with pytest.raises(RunError, match=f"{name}={value}"):
            from_environ({name: value})

    def test_other_documents_never_share_books(self, tmp_path: Path) -> None:
        worlds = {
            Options().world,
            Options(documents=50).world,
            Options(seed=2).world,
            Options(events=tmp_path).world,
            Options(events=tmp_path / "other").world,
        }
        assert len(worlds) == 5


class TestState:
    def test_secrets_are_kept_and_only_their_owner_reads_them(self, tmp_path: Path) -> None:
        state = StateDir(tmp_path / ".run" / "demo")
        state.create()
        first = state.secrets()
        assert state.secrets() == first
        assert stat.S_IMODE((state.path / "secrets.json").stat().st_mode) == 0o600
        assert stat.S_IMODE(state.path.stat().st_mode) == 0o700
        assert first.admin_password not in repr(first)

    def test_a_new_kind_of_secret_leaves_the_old_ones_alone(self, tmp_path: Path) -> None:
        state = StateDir(tmp_path / "demo")
        state.create()
        (state.path / "secrets.json").write_text(json.dumps({"admin_password": "kept"}), "utf-8")
        made = state.secrets()
        assert made.admin_password == "kept"
        assert len(made.jwt_secret) >= 64

    def test_a_second_runner_is_told_of_the_first(self, tmp_path: Path) -> None:
        state = StateDir(tmp_path / "demo")
        state.create()
        with state.lock() as lock:
            describe_holder(lock, "PID 4711, http://127.0.0.1:8080")
            with pytest.raises(RunError, match=r"已在运行：PID 4711, http://127\.0\.0\.1:8080") as caught:
                state.lock()
            assert "\n" not in str(caught.value)
        state.lock().close()


class TestEnvironment:
    def test_everything_listens_and_connects_on_the_loopback_address(self, tmp_path: Path) -> None:
        state, ports = StateDir(tmp_path), Ports(airflow=1, hesi=2, ledger=3)
        env = product_environment(Options(), state, SECRETS, ports) | airflow_environment(
            state, SECRETS, ports
        )
        assert env["AIRFLOW__API__HOST"] == "127.0.0.1"
        for name in ("HESI", "TRYTON"):
            assert json.loads(env[f"AIRFLOW_CONN_{name}_DEFAULT"])["host"].startswith("http://127.0.0.1:")

    def test_a_shell_gets_the_same_books_and_connections(self, tmp_path: Path) -> None:
        state, ports = StateDir(tmp_path / "demo"), Ports(1, 2, 3)
        state.create()
        env = product_environment(Options(), state, SECRETS, ports) | airflow_environment(
            state, SECRETS, ports
        )
        state.write_env(command_line_environment(env))
        assert stat.S_IMODE(state.env_file.stat().st_mode) == 0o600
        shell = ["sh", "-c", f'. {state.env_file} && printf %s "$AIRFLOW_CONN_HESI_DEFAULT"']
        shown = subprocess.run(
            shell, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
        )
        assert shown.stdout == env["AIRFLOW_CONN_HESI_DEFAULT"]

    def test_event_logs_bring_their_own_configuration(self, tmp_path: Path) -> None:
        ports = Ports(1, 2, 3)
        env = product_environment(Options(events=tmp_path), StateDir(tmp_path), SECRETS, ports)
        assert (Path(env["VOUCHERFLOW_CONFIG_DIR"]) / "books").is_dir()


class TestPorts:
    def test_free_ones_differ(self) -> None:
        assert len(set(free_ports(5))) == 5

    def test_a_taken_one_is_told_in_one_line(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with pytest.raises(RunError, match=f"端口 {port} 已被占用.*port {port} is taken") as caught:
                require_free(port)
        assert "\n" not in str(caught.value)
        require_free(port)


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def supervisor(tmp_path: Path) -> Supervisor:
    return Supervisor(logs=tmp_path, cwd=tmp_path)


# Says its process id, and so does a child in a session of its own that no polite signal ends.
STUBBORN = """
import os, signal, subprocess, sys
child = "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid(), flush=True); signal.pause()"
subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
print(os.getpid(), flush=True)
signal.pause()
"""


class TestSupervisor:
    def _pids(self, supervisor: Supervisor, name: str, count: int) -> list[int]:
        supervisor.wait_until(
            name, lambda: supervisor.log_of(name).read_text().count("\n") == count, TIMEOUT_S
        )
        return [int(line) for line in supervisor.log_of(name).read_text().split()]

    def test_stopping_ends_children_that_left_their_group_and_ignore_signals(
        self, supervisor: Supervisor
    ) -> None:
        supervisor.start_service("stubborn", _python(STUBBORN), os.environ)
        pids = self._pids(supervisor, "stubborn", 2)
        assert all(map(_runs, pids))
        assert supervisor.stop_all(grace_s=0.5) >= 1
        assert not any(map(_runs, pids))

    def test_processes_that_were_there_before_are_left_alone(self, tmp_path: Path) -> None:
        with subprocess.Popen(
            _python("import time; print(1, flush=True); time.sleep(60)"), stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None
            other.stdout.readline()
            Supervisor(logs=tmp_path, cwd=tmp_path).stop_all(grace_s=0.2)
            assert other.poll() is None
            other.kill()

    def test_a_polite_process_is_not_killed(self, supervisor: Supervisor) -> None:
        code = "import signal; print(1, flush=True); signal.pause()"
        supervisor.start_service("polite", _python(code), os.environ)
        self._pids(supervisor, "polite", 1)
        assert supervisor.stop_all(grace_s=TIMEOUT_S) == 0

    def test_a_failed_job_is_told_with_the_end_of_its_log(self, supervisor: Supervisor) -> None:
        supervisor.start_job("migrate", _python("print('no such table'); raise SystemExit(3)"), os.environ)
        with pytest.raises(RunError, match=r"(?s)migrate 异常退出（状态 3）.*migrate\.log.*no such table"):
            supervisor.finish("migrate", timeout_s=TIMEOUT_S)

    def test_a_service_that_ends_is_noticed_while_waiting_for_another(self, supervisor: Supervisor) -> None:
        supervisor.start_service("scheduler", _python("raise SystemExit(0)"), os.environ)
        with pytest.raises(RunError, match="scheduler 异常退出"):
            supervisor.wait_until("api-server", lambda: False, TIMEOUT_S)

    def test_jobs_may_end(self, supervisor: Supervisor) -> None:
        supervisor.start_job("one", _python(""), os.environ)
        supervisor.start_job("two", _python(""), os.environ)
        supervisor.finish("one", "two", timeout_s=TIMEOUT_S)
        supervisor.check()

    def test_what_never_gets_ready_is_told(self, supervisor: Supervisor) -> None:
        code = "import signal; print(1, flush=True); signal.pause()"
        supervisor.start_service("slow", _python(code), os.environ)
        self._pids(supervisor, "slow", 1)
        with pytest.raises(RunError, match="slow 在 0 秒内没有就绪"):
            supervisor.wait_until("slow", lambda: False, 0)
        supervisor.stop_all(grace_s=TIMEOUT_S)


ONE = {"book": "a", "currency": "CNY", "documents": 3, "debit_total": "10.10", "complete": True}


class TestSummary:
    def test_one_book_is_itself(self) -> None:
        assert summary.merge([ONE]) == ONE

    def test_books_add_up(self) -> None:
        other = ONE | {"book": "b", "documents": 4, "debit_total": "0.20", "complete": False}
        merged = {"currency": "CNY", "documents": 7, "debit_total": "10.30", "complete": False}
        assert summary.merge([ONE, other]) == merged

    def test_currencies_have_no_sum(self) -> None:
        merged = summary.merge([ONE, ONE | {"currency": "EUR"}])
        assert "debit_total" not in merged
        assert merged["documents"] == 6

    def test_the_file_holds_all_and_each(self, tmp_path: Path) -> None:
        path = tmp_path / "summary.json"
        summary.write_summary(path, "demo", {"a": "success"}, {"a": ONE})
        kept = json.loads(path.read_text("utf-8"))
        assert kept["documents"] == kept["books"]["a"]["documents"] == 3
        assert kept["books"]["a"]["state"] == "success"
        assert kept["world"] == "demo"


def test_no_answer_means_not_ready() -> None:
    (port,) = free_ports(1)
    client = AirflowClient(f"http://127.0.0.1:{port}", "admin", "secret")
    assert not client.is_ready()
    assert client.unhealthy() == ["api-server"]
    assert "secret" not in repr(client)
