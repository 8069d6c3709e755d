"""The little of Airflow's REST API that `make run` needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from scripts.runner.options import RunError

TIMEOUT_S = 30
NO_PROXY = {"http": ""}
FINAL_STATES = frozenset({"success", "failed"})


@dataclass
class AirflowClient:
    """Talks to one Airflow as one user; logs in when first needed and again when the token has expired."""

    address: str
    username: str
    password: str = field(repr=False)
    _session: requests.Session = field(default_factory=requests.Session, repr=False)

    def __post_init__(self) -> None:
        self._session.trust_env = False  # a proxy has no business between processes of one machine
        # Reads are repeated: a machine that is busy starting up may let one time out.
        self._session.mount("http://", HTTPAdapter(max_retries=Retry(3, backoff_factor=0.5)))

    def is_ready(self) -> bool:
        """Whether the API server answers."""
        return "api-server" not in self.unhealthy()

    def unhealthy(self) -> list[str]:
        """The components that have not reported lately; all of them while the API server does not answer."""
        try:
            answer = requests.get(
                f"{self.address}/api/v2/monitor/health", timeout=TIMEOUT_S, proxies=NO_PROXY
            )
            answer.raise_for_status()
        except requests.RequestException:
            return ["api-server"]
        return [
            name for name, health in answer.json().items() if health and health.get("status") == "unhealthy"
        ]

    def import_errors(self) -> list[str]:
        """What stops DAG files from loading: file and message each."""
        errors = self._get("importErrors").get("import_errors", [])
        return [f"{error['filename']}: {error['stack_trace']}" for error in errors]

    def has_dag(self, dag_id: str) -> bool:
        return self._call("GET", f"dags/{dag_id}").status_code == 200

    def unpause(self, dag_id: str) -> None:
        self._must("PATCH", f"dags/{dag_id}", {"is_paused": False})

    def unfinished_run(self, dag_id: str) -> str | None:
        """The id of the run that is under way, or next in the queue; None where there is none."""
        path = f"dags/{dag_id}/dagRuns?state=running&state=queued&order_by=run_after&limit=1"
        return next((str(run["dag_run_id"]) for run in self._get(path)["dag_runs"]), None)

    def is_due(self, dag_id: str) -> bool:
        """Whether the schedule is about to make a run by itself."""
        due = self._get(f"dags/{dag_id}")["next_dagrun_run_after"]
        return due is not None and datetime.fromisoformat(due) <= datetime.now(UTC)

    def trigger(self, dag_id: str) -> str:
        """Order a run; returns its id."""
        return str(self._must("POST", f"dags/{dag_id}/dagRuns", {"logical_date": None})["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        return str(self._get(f"dags/{dag_id}/dagRuns/{run_id}")["state"])

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """State of each task of a run, in the order in which they started."""
        found = self._get(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        found.sort(key=lambda task: task["start_date"] or "9")
        return {task["task_id"]: task["state"] or "none" for task in found}

    def error_messages(self, dag_id: str, run_id: str, task_id: str) -> list[str]:
        """What a failed task's last try said was wrong."""
        task = self._get(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}")
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{task['try_number']}"
        messages = []
        for entry in self._get(path, full_content="true").get("content", []):
            if isinstance(entry, dict) and entry.get("level") in ("error", "critical"):
                causes = [str(detail["exc_value"]) for detail in entry.get("error_detail") or ()]
                messages += causes or [str(entry.get("event", ""))]
        return messages

    def _get(self, path: str, **params: str) -> dict[str, Any]:
        return self._must("GET", path, params=params)

    def _must(
        self, method: str, path: str, body: dict[str, Any] | None = None, params: dict[str, str] | None = None
    ) -> dict[str, Any]:
        answer = self._call(method, path, body, params)
        if not answer.ok:
            raise RunError(
                f"Airflow 拒绝了 {method} {path} / Airflow refused it: HTTP {answer.status_code} {answer.text[:300]}"
            )
        content: dict[str, Any] = answer.json()
        return content

    def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None, params: dict[str, str] | None = None
    ) -> requests.Response:
        for attempt in (1, 2):
            if attempt == 2 or "Authorization" not in self._session.headers:
                self._log_in()
            try:
                answer = self._session.request(
                    method, f"{self.address}/api/v2/{path}", json=body, params=params, timeout=TIMEOUT_S
                )
            except requests.RequestException as error:
                raise RunError(
                    f"Airflow 没有回应 {method} {path} / Airflow did not answer: {type(error).__name__}"
                ) from error
            if answer.status_code != 401:
                break
        return answer

    def _log_in(self) -> None:
        credentials = {"username": self.username, "password": self.password}
        answer = self._session.post(f"{self.address}/auth/token", json=credentials, timeout=TIMEOUT_S)
        if not answer.ok:
            raise RunError(f"登录 Airflow 失败 / cannot log in to Airflow: HTTP {answer.status_code}")
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
