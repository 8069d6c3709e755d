"""The command line as a person or a script meets it: what it prints where, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from include.emulators.hesi import APP_KEY, APP_SECRET, generate_world, running

ROOT = Path(__file__).parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def hesi_url() -> Iterator[str]:
    with running(generate_world(40, 3, 2025)) as url:
        yield url


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command with a store of its own; further environment by keyword."""

    def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "voucherflow.command_line", *arguments],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}",
                "AIRFLOW_HOME": str(tmp_path / "airflow"),
                "VOUCHERFLOW_STORE": str(tmp_path / "store.db"),
                "COLUMNS": "200",
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return command


def hesi(url: str, secret: str = APP_SECRET) -> str:
    return json.dumps({"conn_type": "hesi", "host": url, "login": APP_KEY, "password": secret})


def test_json_is_all_that_a_program_reads_and_the_log_goes_elsewhere(run: Run, hesi_url: str) -> None:
    done = run("extract", "acme", "--json", AIRFLOW_CONN_HESI_DEFAULT=hesi(hesi_url))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["new"], result["complete"]) == (40, True)
    summary = json.loads(run("summary", "acme", "--json").stdout)
    assert (summary["documents"], summary["posted"], summary["complete"]) == (40, 0, True)


def test_a_wrong_key_is_a_matter_of_configuration_and_stays_secret(run: Run, hesi_url: str) -> None:
    done = run("extract", "acme", AIRFLOW_CONN_HESI_DEFAULT=hesi(hesi_url, "wrong-secret-77"))
    assert done.returncode == 78
    assert "请核对连接" in done.stderr
    assert "Traceback" not in done.stderr
    assert "wrong-secret-77" not in done.stdout + done.stderr


def test_a_ledger_that_is_down_says_try_again(run: Run) -> None:
    dead = json.dumps(
        {
            "conn_type": "tryton",
            "host": "http://127.0.0.1:9",
            "schema": "ledger",
            "login": "vf",
            "password": "not-used-1",
        }
    )
    done = run("post", "acme", AIRFLOW_CONN_TRYTON_DEFAULT=dead)
    assert done.returncode == 75
    assert "无法连接" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("extract", "acme"), 78, "AIRFLOW_CONN_HESI_DEFAULT"),
        (("run", "nobook"), 78, "acme"),
        (("run", "acme", "--from", "2025-03-02", "--to", "2025-03-01"), 78, "--from 2025-03-02"),
        (("explain", "B404"), 65, "B404"),
        (("attempts", "acme", "B404"), 65, "B404"),
    ],
)
def test_a_mistake_is_answered_in_one_line_with_what_to_do(
    arguments: tuple[str, ...], code: int, words: str, run: Run
) -> None:
    done = run(*arguments)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert words in done.stderr


def test_explain_shows_the_document_and_why_it_has_no_voucher(run: Run, hesi_url: str) -> None:
    run("extract", "acme", "--json", AIRFLOW_CONN_HESI_DEFAULT=hesi(hesi_url))
    world = generate_world(40, 3, 2025)
    document_id = next(i for i, verdict in world.truth.items() if verdict.voucher_expected)
    shown = run("explain", document_id)
    assert shown.returncode == 0, shown.stderr
    assert document_id in shown.stdout
    assert "pending" in shown.stdout
