"""Generating vouchers: time against the bare rows and against hledger, memory against a tenth of the documents."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
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


def results(documents: int, runs: int) -> Iterator[Result]:
    """All of them, one after the other as they are measured."""
    with (
        tempfile.TemporaryDirectory(prefix="voucherflow-bench-") as name,
        postgresql_server(Path(name)) as server,
    ):
        folder = Path(name)
        on_sqlite = SqliteStores(folder, documents)
        speeds: list[float] = []
        yield from _against_bare_rows(on_sqlite, documents, runs, speeds)
        yield _against_hledger(on_sqlite, documents, speeds, folder)
        yield from _against_bare_rows(PostgresqlStores(server, documents), documents, runs, [])
        yield from _in_memory(on_sqlite, SqliteStores(folder, documents, 10), documents)


def _against_bare_rows(stores: Stores, documents: int, runs: int, speeds: list[float]) -> Iterator[Result]:
    """The stage and its floor by turns; then the gate and its own. Adds documents per second to `speeds`."""
    stages, floors, gates, gate_floors = ([] for _ in range(4))  # type: tuple[list[float], ...]
    accounts = stage.chart().accounts
    codes = list(accounts)
    stage.warm_up()
    with_party = [code for code in codes if accounts[code].required_dimensions]
    for _ in range(runs):
        with stores.fresh() as url, stores.fresh() as bare_url:
            with opened(url) as store:
                stages.append(_seconds(stage.generate, store))
            read, written = open_engine(url), open_engine(bare_url)
            floors.append(bare.read_and_insert(written, bare.pages(read, CHUNK)))
            read.dispose()
            written.dispose()
            with opened(url) as store:
                gates.append(_seconds(stage.check, store))
                gate_floors.append(gate_floor.check(store.engine, codes, with_party))
    speeds += [documents / seconds for seconds in stages]
    what = f"{documents:,} documents, {stores.name}"
    yield Result.of(
        f"generate, read and written: {what}", "s", stages, floors, "floor: the bare rows; budget 2"
    )
    yield Result.of(f"voucher gate: {what}", "s", gates, gate_floors, "floor: its checks as plain SQL")


def _against_hledger(stores: SqliteStores, documents: int, speeds: list[float], folder: Path) -> Result:
    name, unit = "generate, read and written, against hledger's CSV rules", "documents/s"
    if not hledger.is_installed():
        return Result(name, None, unit, None, None, hledger.HOW_TO_INSTALL)
    share = max(documents // HLEDGER_SHARE, 1)
    engine = open_engine(f"sqlite:///{stores.template}")
    records = hledger.prepare(engine, stage.rules(), folder, share)
    engine.dispose()
    note = f"hledger converts the first {share:,}; at least 8"
    return Result.of(name, unit, [median(speeds)], [share / hledger.convert(records)], note)


def _in_memory(small: Stores, large: Stores, documents: int) -> Iterator[Result]:
    few, many = memory.peaks(small), memory.peaks(large)
    for step, peak in many.items():
        name = f"memory of {step}: {10 * documents:,} documents against {documents:,}"
        yield Result.of(name, "MiB", [peak], [few[step]], "budget 1.25, and 1024 MiB")


def _seconds(measured: Callable[[T], object], argument: T) -> float:
    started = time.perf_counter()
    measured(argument)
    return time.perf_counter() - started
