"""Generating vouchers: time against the bare rows and against hledger, memory against a tenth of the documents.

Needs some 4 GB below the folder for temporary files (TMPDIR) for 100,000 documents, since memory is measured on ten times
as many.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TypeVar

from bench import bare, gate_floor, hledger, memory, stage
from bench.result import Result
from bench.stores import PostgresqlStores, SqliteStores, Stores, opened, postgresql_server
from include.stages.generate import CHUNK
from include.store.engine import open_engine

T = TypeVar("T")
HLEDGER_SHARE = 10
"""hledger gets one document in so many: all would take minutes, and its time grows at least as fast as they do."""


@dataclass(slots=True)
class _Times:
    """Seconds of each run, stage and floor by turns."""

    generate: list[float] = field(default_factory=list)
    bare_rows: list[float] = field(default_factory=list)
    gate: list[float] = field(default_factory=list)
    plain_checks: list[float] = field(default_factory=list)

    def results(self, what: str) -> Iterator[Result]:
        name = f"generate, read and written: {what}"
        yield Result.of(name, "s", self.generate, self.bare_rows, "floor: the bare rows; budget 2")
        yield Result.of(
            f"voucher gate: {what}", "s", self.gate, self.plain_checks, "floor: its checks as plain SQL"
        )


def results(documents: int, runs: int) -> Iterator[Result]:
    """All of them, as they are measured."""
    with (
        tempfile.TemporaryDirectory(prefix="voucherflow-bench-") as name,
        postgresql_server(Path(name)) as server,
    ):
        folder = Path(name)
        on_sqlite = SqliteStores(folder, documents)
        times = _times(on_sqlite, runs)
        yield from times.results(f"{documents:,} documents, SQLite")
        yield _against_hledger(on_sqlite, documents, median(times.generate), folder)
        on_postgresql = PostgresqlStores(server, documents)
        yield from _times(on_postgresql, runs).results(f"{documents:,} documents, PostgreSQL")
        yield from _in_memory(on_sqlite, SqliteStores(folder, documents, 10), documents)


def _times(stores: Stores, runs: int) -> _Times:
    times = _Times()
    accounts = stage.chart().accounts
    with_party = [code for code, account in accounts.items() if account.required_dimensions]
    stage.warm_up()
    for _ in range(runs):
        with stores.fresh() as url, stores.fresh() as bare_url:
            with opened(url) as store:
                times.generate.append(_seconds(stage.generate, store))
            made, written = open_engine(url), open_engine(bare_url)
            times.bare_rows.append(bare.read_and_insert(written, bare.pages(made, CHUNK)))
            made.dispose()
            written.dispose()
            with opened(url) as store:
                times.gate.append(_seconds(stage.check, store))
                times.plain_checks.append(gate_floor.check(store.engine, list(accounts), with_party))
    return times


def _against_hledger(stores: SqliteStores, documents: int, generate_s: float, folder: Path) -> Result:
    name, unit = "generate, read and written, against hledger's CSV rules", "documents/s"
    if not hledger.is_installed():
        return Result(name, None, unit, None, None, hledger.HOW_TO_INSTALL)
    share = max(documents // HLEDGER_SHARE, 1)
    engine = open_engine(f"sqlite:///{stores.template}")
    records = hledger.prepare(engine, stage.rules(), folder, share)
    engine.dispose()
    note = f"hledger converts the first {share:,}; at least 8"
    return Result.of(name, unit, [documents / generate_s], [share / hledger.convert(records)], note)


def _in_memory(small: Stores, large: Stores, documents: int) -> Iterator[Result]:
    few, many = memory.peaks(small), memory.peaks(large)
    for step, peak in many.items():
        name = f"memory of {step}: {10 * documents:,} documents against {documents:,}"
        yield Result.of(name, "MiB", [peak], [few[step]], "budget 1.25, and 1024 MiB")


def _seconds(measured: Callable[[T], object], argument: T) -> float:
    started = time.perf_counter()
    measured(argument)
    return time.perf_counter() - started
