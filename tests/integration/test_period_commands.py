"""`periods` and `preclose` as a person meets them, on an emulated OA and a Tryton whose June is closed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from include.conformance.ledger.tryton import GATEWAY_PASSWORD, RunningTryton, serving
from include.emulators.hesi import APP_KEY, APP_SECRET, generate_world, running

ROOT = Path(__file__).parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def tryton(new_ledger: Callable[[], Path]) -> Iterator[RunningTryton]:
    with serving(new_ledger()) as server:
        yield server


@pytest.fixture(scope="module")
def oa() -> Iterator[str]:
    with running(generate_world(60, 3, 2025)) as url:
        yield url


@pytest.fixture
def run(tmp_path: Path, tryton: RunningTryton, oa: str) -> Run:
    """Runs a command with a store of this test's own."""
    connections = {
        "HESI": {"conn_type": "hesi", "host": oa, "login": APP_KEY, "password": APP_SECRET},
        "TRYTON": {
            "conn_type": "tryton",
            "host": tryton.url.removesuffix("/ledger"),
            "schema": "ledger",
            "login": tryton.endpoint.login,
            "password": GATEWAY_PASSWORD,
        },
    }

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "voucherflow.command_line", *arguments],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}",
                "AIRFLOW_HOME": str(tmp_path / "airflow"),
                "VOUCHERFLOW_STORE": str(tmp_path / "store.db"),
                "COLUMNS": "200",
                "USER": "li",
                **{f"AIRFLOW_CONN_{name}_DEFAULT": json.dumps(it) for name, it in connections.items()},
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return command


def said(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def close(tryton: RunningTryton, period: str) -> None:
    accountant = tryton.accountant()
    ids = accountant.call(
        "model.account.period.search", [("name", "=", period)], 0, None, None, {}, writes=False
    )
    accountant.call("model.account.period.close", ids, {"company": 1}, writes=True)


def test_what_a_closed_month_holds_is_seen_moved_on_and_posted(
    run: Run, tryton: RunningTryton, tmp_path: Path
) -> None:
    close(tryton, "2025-06")
    held = said(run("run", "acme", "--json"))["summary"]["held"]
    assert held > 0
    june = next(row for row in said(run("periods", "acme", "--json")) if row["code"] == "2025-06")
    assert (june["state"], june["held"]) == ("closed", held)
    shown = run("periods", "acme")
    assert "已关闭" in shown.stdout

    before = run("preclose", "acme", "--period", "2025-06", "--json")
    assert before.returncode == 1
    assert said(before)["totals"]["held"]["number"] == held
    table = run("preclose", "acme", "--period", "2025-06", "--xlsx", str(tmp_path / "june.xlsx"))
    assert "还不能结账" in table.stdout
    assert load_workbook(tmp_path / "june.xlsx").active.max_row == len(said(before)["items"]) + 1

    dry = said(run("periods", "acme", "--move", "2025-06", "--dry-run", "--json"))
    assert (dry["vouchers"], dry["to"]) == (held, "2025-07-01")
    assert "已移动" in run("periods", "acme", "--move", "2025-06").stdout
    assert said(run("post", "acme", "--json"))["posted"] == held
    after = said(run("preclose", "acme", "--period", "2025-06", "--json"))
    assert not any(item["blocks"] for item in after["items"] if item["key"])
    assert said(run("summary", "acme", "--json"))["held"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("periods", "acme", "--dry-run"), 78, "--move"),
        (("periods", "acme", "--move", "2025-05"), 65, "没有关闭"),
        (("preclose", "acme", "--period", "06/2025"), 78, "2026-01"),
    ],
)
def test_a_mistake_is_answered_in_one_line(
    arguments: tuple[str, ...], code: int, words: str, run: Run
) -> None:
    done = run(*arguments)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert words in done.stderr
