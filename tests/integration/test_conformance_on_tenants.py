"""The suites on a customer's own systems: a source is read and not touched, a ledger gets the sample's vouchers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from include.conformance.ledger.kingdee import DIMENSIONS, MINE, SITE, contract_company, serving
from include.emulators.hesi import APP_KEY, APP_SECRET, generate_world, running
from include.settings import DEFAULT_CONFIG_DIR

ROOT = Path(__file__).parents[2]


def conformance(folder: Path, *arguments: str, **env: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "voucherflow.command_line", "conformance", *arguments, "--json"],
        cwd=ROOT,
        env=os.environ
        | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}", "AIRFLOW_HOME": str(folder / "home")}
        | env,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.stdout, done.stderr[-3000:]
    report: dict[str, Any] = json.loads(done.stdout)
    failed = [each for each in report["connectors"][0]["cases"] if each["outcome"] == "failed"]
    assert not failed
    assert done.returncode == 0
    return report


def test_a_source_is_read_at_another_address_and_not_touched(tmp_path: Path) -> None:
    world = generate_world(200, 3, 2025)
    revision = world.revision
    elsewhere = {"conn_type": "hesi", "host": "http://127.0.0.1:9", "login": APP_KEY, "password": APP_SECRET}
    with running(world) as url:
        report = conformance(
            tmp_path,
            "hesi",
            "--source",
            "hesi",
            "--url",
            url,
            AIRFLOW_CONN_HESI_DEFAULT=json.dumps(elsewhere),
        )
    assert world.revision == revision
    assert report["connectors"][0]["system"] == url
    assert report["passed"] > 10
    reasons = {each["reason"] for each in report["connectors"][0]["cases"] if each["outcome"] != "passed"}
    assert all(reasons), "every case that did not run says why"


def test_a_ledger_gets_the_samples_vouchers(tmp_path: Path) -> None:
    config = tmp_path / "config"
    shutil.copytree(DEFAULT_CONFIG_DIR, config, ignore=shutil.ignore_patterns("examples"))
    file = config / "books" / "acme.yaml"
    book = yaml.safe_load(file.read_text("utf-8"))
    options = {"book": "001", "dimensions": DIMENSIONS, "settle_s": 0}
    book["ledger"] = {"system": "kingdee", "connection": "kingdee_test", "options": options}
    file.write_text(yaml.safe_dump(book, allow_unicode=True), "utf-8")
    sample = tmp_path / "sample.yaml"
    sample.write_text("employee: {code: E0001}\ndepartment: {code: RD}\nproject: {code: P001}\n", "utf-8")
    with serving(tmp_path, contract_company()) as site:
        connection = {
            "conn_type": "kingdee",
            "host": f"{site.url}{SITE}",
            "login": MINE.user,
            "password": MINE.app_secret,
            "extra": {"acct_id": MINE.acct_id, "app_id": MINE.app_id},
        }
        report = conformance(
            tmp_path,
            "kingdee",
            "--book",
            "acme",
            "--sample",
            str(sample),
            VOUCHERFLOW_CONFIG_DIR=str(config),
            AIRFLOW_CONN_KINGDEE_TEST=json.dumps(connection),
        )
        posted = site.vouchers()
    assert report["passed"] > 15
    assert len(posted) > 15
