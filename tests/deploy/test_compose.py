"""docker-compose.yaml: it says what `make run` starts, publishes nothing, and holds no secret.

There is no Docker where tests run, so these are the rules of the Compose specification that the file relies on.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.cli.cli_parser import get_parser
from airflow.configuration import conf

from scripts.runner.environment import AIRFLOW_COMPONENTS, Ports, airflow_environment
from scripts.runner.state import Secrets, StateDir
from tests.airflow_home import ROOT

FILE = yaml.safe_load((ROOT / "docker-compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
AIRFLOW = {name: service for name, service in SERVICES.items() if "build" in service}
LASTING = {name: service for name, service in SERVICES.items() if service["restart"] != "no"}
TOP_KEYS = {"name", "services", "configs", "volumes"}
SERVICE_KEYS = {
    "build", "cap_drop", "command", "configs", "depends_on", "environment", "healthcheck", "image", "init", "ports",
    "restart", "security_opt", "stop_grace_period", "volumes",
}  # fmt: skip
HEALTH_KEYS = {"test", "interval", "timeout", "retries", "start_period"}
ONE_MACHINE_ONLY = {
    "AIRFLOW__CELERY__BROKER_URL",
    "AIRFLOW__CELERY__RESULT_BACKEND",
}
"""Settings that only Celery needs; all others are the same as on one machine."""


def _environment(service: dict[str, Any]) -> dict[str, str | None]:
    found: dict[str, str | None] = service.get("environment", {})
    return found


def test_the_file_uses_keys_of_the_specification() -> None:
    assert {key for key in FILE if not key.startswith("x-")} == TOP_KEYS
    for name, service in SERVICES.items():
        assert set(service) <= SERVICE_KEYS, name
        assert set(service.get("healthcheck", {})) <= HEALTH_KEYS, name
        for other, condition in service.get("depends_on", {}).items():
            assert other in SERVICES, name
            assert condition["condition"] in ("service_healthy", "service_completed_successfully"), name
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in FILE["volumes"], name
        for config in service.get("configs", []):
            assert config["source"] in FILE["configs"], name


def test_the_same_airflow_processes_run_as_on_one_machine() -> None:
    for name, command in AIRFLOW_COMPONENTS.items():
        assert tuple(SERVICES[name]["command"]) == command
    assert set(AIRFLOW) == {*AIRFLOW_COMPONENTS, "worker", "init"}


@pytest.mark.parametrize("name", [*AIRFLOW_COMPONENTS, "worker"])
def test_airflow_knows_the_commands(name: str) -> None:
    program, *arguments = SERVICES[name]["command"]
    assert program == "airflow"
    get_parser().parse_args(arguments)


@pytest.mark.parametrize("name", AIRFLOW)
def test_the_same_settings_are_set_as_on_one_machine(name: str) -> None:
    secrets = Secrets(*("x" for _ in Secrets.__dataclass_fields__))
    alone = set(airflow_environment(StateDir(Path("/s")), secrets, Ports(1, 2, 3)))
    here = {key for key in _environment(AIRFLOW[name]) if key.startswith("AIRFLOW_") and "_CONN_" not in key}
    assert here - ONE_MACHINE_ONLY == alone


def test_airflow_has_the_settings() -> None:
    """A setting with a typing mistake is ignored by Airflow without a word."""
    for key in _environment(SERVICES["worker"]):
        if match := re.fullmatch(r"AIRFLOW__([A-Z_]+?)__([A-Z_]+)", key):
            section, option = (part.lower() for part in match.groups())
            assert (
                conf.has_option(section, option, lookup_from_deprecated=False)
                or option in (conf.configuration_description[section]["options"])
            ), key


def test_no_secret_has_a_value_here() -> None:
    """Each comes from the environment, and compose stops where one is missing (`:?`)."""
    secret = re.compile(
        r"PASSWORD|SECRET|FERNET|REDISCLI_AUTH|BROKER_URL|RESULT_BACKEND|SQL_ALCHEMY_CONN|VOUCHERFLOW_STORE"
    )
    for name, service in SERVICES.items():
        for key, value in _environment(service).items():
            if secret.search(key):
                assert re.search(r"\$\{[A-Z_]+:\?[^}]+\}", value or ""), f"{name}: {key}"


def test_the_example_lists_every_variable_that_must_be_set() -> None:
    needed = set(re.findall(r"\$\{([A-Z_]+):\?", (ROOT / "docker-compose.yaml").read_text("utf-8")))
    example = (ROOT / ".env.example").read_text("utf-8")
    assert needed == set(re.findall(r"^([A-Z_]+)=$", example, re.MULTILINE))


def test_only_the_loopback_interface_is_published() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(published) == ["api-server"]
    assert all(port.startswith("127.0.0.1:") for port in published["api-server"])


def test_images_are_pinned() -> None:
    images = [service["image"] for service in SERVICES.values()]
    base = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    for image in (*images, *base):
        assert re.search(r":\d+\.\d+", image), image


@pytest.mark.parametrize("name", LASTING)
def test_what_lasts_has_a_health_check(name: str) -> None:
    kind, *_ = LASTING[name]["healthcheck"]["test"]
    assert kind in ("CMD", "CMD-SHELL")


@pytest.mark.parametrize("name", ["scheduler", "dag-processor", "triggerer"])
def test_health_checks_ask_airflow_for_a_job_that_exists(name: str) -> None:
    _, command = SERVICES[name]["healthcheck"]["test"]
    job = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}[name]
    assert f"--job-type {job} " in command
    get_parser().parse_args([*command.split()[1:3], "--job-type", job, "--hostname", "here"])


def test_nothing_starts_before_the_store_is_migrated() -> None:
    assert "store migrate" in SERVICES["init"]["command"][-1]
    for name in (*AIRFLOW_COMPONENTS, "worker"):
        assert SERVICES[name]["depends_on"]["init"] == {"condition": "service_completed_successfully"}
    # A task that starts before the API server listens fails.
    for name in ("scheduler", "triggerer", "worker"):
        assert SERVICES[name]["depends_on"]["api-server"] == {"condition": "service_healthy"}


def test_the_image_gets_what_it_copies() -> None:
    copied = re.findall(r"^COPY (\S+) ", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    allowed = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    assert set(copied) == set(allowed)
    assert all((ROOT / path).exists() for path in copied)
