"""What every DAG of this project keeps to, and what makes up a book's DAG."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.sdk.definitions._internal.dag_parsing_context import _airflow_parsing_context_manager
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables.base import TimeRestriction

from dags.vouchers import vouchers_dag
from include.settings import DEFAULT_CONFIG_DIR, load_settings
from tests.airflow_home import ROOT, SETTINGS

HEAVY = (
    "great_expectations",
    "pandas",
    "numpy",
    "polars",
    "include.stages",
    "include.rules",
    "include.quality",
)


@pytest.fixture(scope="module")
def dags() -> dict[str, DAG]:
    bag = DagBag(str(ROOT / "dags"), collect_dags=True)
    assert bag.import_errors == {}
    return dict(bag.dags)


def test_each_book_has_one_dag(dags: dict[str, DAG]) -> None:
    assert {f"vouchers_{book_id}" for book_id in load_settings().books} == set(dags)


def test_every_dag_says_whose_it_is_and_what_to_do_on_failure(dags: dict[str, DAG]) -> None:
    for dag_id, dag in dags.items():
        assert "voucherflow" in dag.tags, dag_id
        assert "失败时怎么办 / On failure" in (dag.doc_md or ""), dag_id
        assert dag.dag_display_name != dag_id, f"{dag_id} has no name for people"
        assert not dag.catchup, dag_id
        assert dag.max_active_runs == 1, dag_id
        # A role that does not exist yet would keep the whole DAG from loading.
        assert not dag.access_control, dag_id
        for task in dag.tasks:
            where = f"{dag_id}.{task.task_id}"
            assert task.owner != "airflow", where
            assert task.owner in (dag.doc_md or ""), where
            assert task.retries, where
            assert task.retry_policy is not None, where


def test_the_stages_follow_each_other(dags: dict[str, DAG]) -> None:
    dag = dags["vouchers_acme"]
    order = ["extract", "validate", "follow", "generate", "post", "reconcile", "write_back"]
    assert dag.task_ids == order
    for task_id, following in itertools.pairwise(order):
        assert dag.get_task(task_id).downstream_task_ids == {following}


def test_posting_announces_the_book_and_queues_for_its_ledger(dags: dict[str, DAG]) -> None:
    dag = dags["vouchers_acme"]
    assert [asset.name for asset in dag.get_task("post").outlets] == ["posted_vouchers_acme"]
    assert {task.pool for task in dag.tasks} == {"ledger_tryton_default"}


def test_the_partition_is_the_business_day_before() -> None:
    """06:00 in Shanghai on 2 March, still 1 March in UTC, works on 1 March."""
    dag = vouchers_dag(load_settings().book("acme"))
    timetable = decode_timetable(encode_timetable(dag.timetable))
    due = datetime(2026, 3, 1, 22, tzinfo=UTC)
    info = timetable.next_dagrun_info_v2(
        last_dagrun_info=None, restriction=TimeRestriction(earliest=due, latest=None, catchup=True)
    )
    assert info is not None
    assert (info.run_after, info.partition_key) == (due, "2026-03-01")


def test_a_period_is_checked_before_a_run_starts(dags: dict[str, DAG]) -> None:
    params = dags["vouchers_acme"].params
    assert params.dump() == {"date_from": None, "date_to": None, "refetch": False}
    params["date_from"] = "2026-03-01"
    with pytest.raises(ValueError, match="2026-13-01"):
        params["date_from"] = "2026-13-01"


def test_loading_the_file_imports_nothing_heavy() -> None:
    """Airflow loads DAG files again and again, in each task too: seconds of import would be paid each time."""
    loaded = _load(
        "before = set(sys.modules); import dags.vouchers; print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    assert [name for name in loaded if name.startswith(HEAVY)] == []


def test_many_books_make_many_dags(tmp_path: Path) -> None:
    config = _config(tmp_path)
    book = (config / "books" / "acme.yaml").read_text("utf-8")
    for number in range(2, 41):
        entity = f"E{number:02}"
        text = book.replace("id: acme", f"id: acme{number}").replace("[E01]", f"[{entity}]")
        text = text.replace("receives_unassigned: true", "receives_unassigned: false")
        (config / "books" / f"acme{number}.yaml").write_text(text, "utf-8")
    names = (
        "import dags.vouchers as v; print(json.dumps([n for n in vars(v) if n.startswith('vouchers_acme')]))"
    )
    assert len(_load(names, config)) == 40
    # A task's process asks for its own DAG and does not pay for the others.
    with _airflow_parsing_context_manager("vouchers_acme7", "post"):
        assert _load(names, config) == ["vouchers_acme7"]


def test_a_wrong_book_file_is_named_where_airflow_shows_import_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _config(tmp_path)
    with (config / "books" / "acme.yaml").open("a", encoding="utf-8") as file:
        file.write("scheduel: '@daily'\n")
    monkeypatch.setenv("VOUCHERFLOW_CONFIG_DIR", str(config))
    bag = DagBag(str(ROOT / "dags"), collect_dags=True)
    (message,) = bag.import_errors.values()
    assert re.search(r"books/acme.yaml:\d+: scheduel: 未知的键", message)
    assert "schedule" in message.split("choose from")[1]


def _config(folder: Path) -> Path:
    return Path(shutil.copytree(DEFAULT_CONFIG_DIR, folder / "config"))


def _load(code: str, config: Path | None = None) -> list[str]:
    """What a fresh interpreter prints (a JSON list) that has imported no more of Airflow than a DAG file needs."""
    env = os.environ | SETTINGS | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"}
    if config:
        env["VOUCHERFLOW_CONFIG_DIR"] = str(config)
    command = [sys.executable, "-c", f"import json, sys, airflow.sdk; {code}"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    return names
