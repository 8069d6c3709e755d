"""Every emulated system can be started from the command line, and says what is wrong with what it was given."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from include.cli import app
from include.cli_emulate import emulate_app
from include.domain.errors import FixConfig

ROOT = Path(__file__).parents[2]
VENDORS = sorted(str(command.name) for command in emulate_app.registered_commands)
NEED_A_FILE = {"kingdee", "nc", "yonbip", "dingtalk"}


def arguments(vendor: str, folder: Path) -> list[str]:
    given = ["--documents", "10"] if vendor in {"hesi", "weaver", "dingtalk", "feishu"} else []
    return ["emulate", vendor, *given, *(["--data", str(folder / "data")] if vendor in NEED_A_FILE else [])]


@pytest.mark.parametrize("vendor", VENDORS)
def test_it_says_where_it_listens_and_ends_when_it_is_told(vendor: str, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "voucherflow.command_line", *arguments(vendor, tmp_path)],
        cwd=ROOT,
        env=os.environ
        | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}", "AIRFLOW_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line.strip())
            if line.startswith("http://127.0.0.1:"):
                break
        assert said[-1].startswith("http://127.0.0.1:"), said
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    finally:
        process.kill()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.parametrize("vendor", [vendor for vendor in VENDORS if vendor != "hesi"])
@pytest.mark.parametrize("options", ['{"no_such_switch": 1}', "no JSON"])
def test_a_wrong_switch_is_a_matter_of_configuration(vendor: str, options: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [*arguments(vendor, tmp_path), "--options", options])
    assert isinstance(done.exception, FixConfig)


@pytest.mark.parametrize("vendor", VENDORS)
def test_an_address_that_is_not_ours_is_told(vendor: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [*arguments(vendor, tmp_path), "--host", "192.0.2.1"])
    assert isinstance(done.exception, FixConfig)
    assert "192.0.2.1" in str(done.exception)
