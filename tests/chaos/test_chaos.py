"""A short chaos run, so that the long one (`make chaos`) always starts, breaks things and counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos import steps
from tests.chaos.workers import ROOT


def test_a_few_faults_leave_nothing_lost_duplicated_altered_or_open(tmp_path: Path) -> None:
    result = tmp_path / "chaos.json"
    options = [
        "--faults=8",
        "--loss=0",
        "--level=native_key",
        f"--folder={tmp_path / 'run'}",
        f"--result={result}",
    ]

    run = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *options],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"},
        check=False,
        capture_output=True,
        text=True,
    )

    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    found = json.loads(result.read_text("utf-8"))
    assert found["faults"] >= 8
    assert found["vouchers"] > 50
    assert [found[name] for name in ("lost", "duplicated", "altered", "unresolved")] == [0, 0, 0, 0]
    assert set(found["levels"]) == {"native_key"}


def test_a_step_whose_name_is_gone_from_the_product_is_not_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(steps.STORE, "post.outcome", "include.store.vouchers:Vouchers.no_such_method")

    with pytest.raises(AttributeError, match="no_such_method"):
        steps.check()


def test_every_step_names_something_of_the_product() -> None:
    assert steps.check() > 15
