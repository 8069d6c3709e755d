"""`reconcile`, `discrepancies` and `assign` as a person meets them: somebody cancels a voucher in Tryton by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

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
    with running(generate_world(40, 3, 2025)) as url:
        yield url


@pytest.fixture
def run(tmp_path: Path, tryton: RunningTryton, oa: str) -> Run:
    """Runs a command on a store of this test's own."""
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
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}",
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "VOUCHERFLOW_STORE": str(tmp_path / "store.db"),
        "COLUMNS": "200",
        "USER": "li",
        **{f"AIRFLOW_CONN_{name}_DEFAULT": json.dumps(it) for name, it in connections.items()},
    }

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "voucherflow.command_line", *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return command


def said(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def cancel_one(tryton: RunningTryton) -> str:
    """An accountant cancels the first posted move; its period."""
    accountant, wizard, context = tryton.accountant(), "wizard.account.move.cancel", {"company": 1}
    search = ([("state", "=", "posted")], 0, 1, [("id", "ASC")], context)
    (move,) = accountant.call("model.account.move.search", *search, writes=False)
    session, _start, _end = accountant.call(f"{wizard}.create", context, writes=True)
    records = {"active_model": "account.move", "active_id": move, "active_ids": [move]}
    answers = {"default": {"description": "cancel", "reversal": True}}
    accountant.call(f"{wizard}.execute", session, answers, "cancel", {**context, **records}, writes=True)
    (row,) = accountant.call("model.account.move.read", [move], ["period.name"], context, writes=False)
    return str(row["period."]["name"])


def test_a_voucher_cancelled_by_hand_is_shown_with_its_age_and_who_takes_it_up(
    run: Run, tryton: RunningTryton
) -> None:
    summary = said(run("run", "acme", "--json"))["summary"]
    assert (summary["discrepancies"], summary["posted"]) == (0, summary["vouchers"])
    period = cancel_one(tryton)

    dry = said(run("reconcile", "acme", "--period", period, "--dry-run", "--json"))
    assert dry["kinds"] == [["reversed_in_ledger", 1]]
    assert all(tie["ours"] + tie["others"] == tie["ledger"] for tie in dry["balances"])
    assert said(run("discrepancies", "acme", "--json")) == [], "a dry run keeps nothing"

    shown = run("reconcile", "acme")
    assert "账上被红冲" in shown.stdout
    assert run("assign", "acme", "1", "--to", "张三").returncode == 0
    (one,) = said(run("discrepancies", "acme", "--json"))
    assert (one["kind"], one["owner"], one["age_days"]) == ("reversed_in_ledger", "finance", 0)
    assert (one["assigned_to"], one["period"]) == ("张三", period)
    assert said(run("post", "acme", "--json"))["posted"] == 0, "it is never silently replaced"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("reconcile", "acme", "--dry-run", "--heal"), "不能同时使用"),
        (("reconcile", "acme", "--period", "2025-13"), "会计期间应写作"),
        (("reconcile", "acme", "--period", "2025-06", "--from", "2025-06-01"), "--period"),
        (("assign", "acme", "4711", "--to", "张三"), "没有未解决的差异 4711"),
    ],
)
def test_what_cannot_be_asked_for_is_said(run: Run, arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert done.returncode == 78
    assert message in done.stderr
