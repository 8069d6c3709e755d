"""Which run `make run` follows: one under way, the daily one where it is due, or a new one."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.run import Runner
from scripts.runner.airflow_client import AirflowClient
from scripts.runner.environment import Ports
from scripts.runner.options import Options, RunError
from scripts.runner.processes import Supervisor
from scripts.runner.state import Secrets, StateDir


class FakeAirflow(AirflowClient):
    """An Airflow with one DAG whose scheduler makes the due run when it is asked for the `slow`-th time."""

    def __init__(self, *, under_way: str | None = None, is_due: bool = False, slow: int = 2) -> None:
        super().__init__("http://nowhere", "admin", "secret")
        self.run, self.due, self.slow = under_way, is_due, slow
        self.is_paused = True
        self.errors: list[str] = []

    def unpause(self, dag_id: str) -> None:
        self.is_paused = False

    def is_due(self, dag_id: str) -> bool:
        self.slow -= 1
        if self.due and self.slow <= 0 and not self.is_paused:
            self.due, self.run = False, "scheduled"
        return self.due

    def unfinished_run(self, dag_id: str) -> str | None:
        return self.run

    def trigger(self, dag_id: str) -> str:
        assert not self.is_paused, "a run of a paused DAG never starts"
        return "triggered"

    def import_errors(self) -> list[str]:
        return self.errors

    def has_dag(self, dag_id: str) -> bool:
        return True

    def run_state(self, dag_id: str, run_id: str) -> str:
        return "failed"

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str]:
        return {"extract": "success", "validate": "failed", "generate": "upstream_failed"}

    def error_messages(self, dag_id: str, run_id: str, task_id: str) -> list[str]:
        return ["规则有误，请修正 travel.yaml / a rule is wrong, mend travel.yaml"]


def _runner(folder: Path, airflow: FakeAirflow) -> Runner:
    secrets = Secrets(*("x" for _ in Secrets.__dataclass_fields__))
    runner = Runner(Options(), StateDir(folder), secrets, Ports(1, 2, 3), Supervisor(folder, folder))
    runner.client = airflow
    return runner


@pytest.mark.parametrize(
    ("airflow", "followed"),
    [
        (FakeAirflow(), "triggered"),
        (FakeAirflow(is_due=True), "scheduled"),
        (FakeAirflow(under_way="manual__1"), "manual__1"),
        # One run at a time: the due one cannot be made while another is under way.
        (FakeAirflow(under_way="manual__1", is_due=True, slow=10**9), "manual__1"),
    ],
    ids=["nothing-due", "due", "under-way", "under-way-and-due"],
)
def test_the_run_that_is_followed(
    tmp_path: Path, airflow: FakeAirflow, followed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = _runner(tmp_path, airflow)
    assert runner._run_of("vouchers_acme") == followed


def test_a_failed_task_is_told_with_its_own_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _runner(tmp_path, FakeAirflow()).run_books() == {"acme": "failed"}
    told = capsys.readouterr().out
    assert "vouchers_acme · validate: 失败 / failed" in told
    assert "规则有误，请修正 travel.yaml" in told
    assert "generate: 未运行，上游失败" in told


def test_a_dag_that_does_not_load_stops_the_run(tmp_path: Path) -> None:
    airflow = FakeAirflow()
    airflow.errors = ["dags/vouchers.py: books/acme.yaml: 未知的键"]
    with pytest.raises(RunError, match=r"books/acme\.yaml: 未知的键"):
        _runner(tmp_path, airflow).run_books()
