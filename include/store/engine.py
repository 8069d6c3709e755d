"""Opening the store's database, SQLite or PostgreSQL, with the settings that make both behave alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError

from include.domain.errors import FixConfig, RetryLater

BUSY_TIMEOUT_MS = 60_000


def open_engine(url: str) -> Engine:
    """An engine for the store.

    SQLite runs in WAL mode with full synchronisation: the intent to post must survive a power cut.

    Raises:
        FixConfig: the URL is not one of SQLAlchemy's, or of another database.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
            raise ArgumentError(parsed.get_backend_name())
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, pool_pre_ping=True)
    except (ArgumentError, ModuleNotFoundError):
        raise FixConfig(
            "VOUCHERFLOW_STORE 应为 SQLite 文件路径或 postgresql:// 地址 / must be an SQLite file's path or a postgresql:// URL"
        ) from None
    except OSError as error:
        raise FixConfig(f"VOUCHERFLOW_STORE: 无法创建文件夹 / cannot make its folder: {error}") from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes. On SQLite it takes the write lock at once, so it cannot fail half-way for it.

    Raises:
        RetryLater: the database cannot be reached, is locked, or its disk is full; nothing was written.
        FixConfig: the file is no database.
    """
    try:
        with engine.execution_options(store_begin="IMMEDIATE").begin() as connection:
            yield connection
    except DatabaseError as error:
        _refuse_other_files(engine, error)
        if not isinstance(error, OperationalError):
            raise
        raise RetryLater(
            f"凭证库暂时无法写入，稍后重试 / the store cannot be written now, try again: {_reason(error)}"
        ) from error


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that reads; one consistent state of the store. Raises as `writing`."""
    try:
        with engine.begin() as connection:
            yield connection
    except DatabaseError as error:
        _refuse_other_files(engine, error)
        if not isinstance(error, OperationalError):
            raise
        raise RetryLater(
            f"凭证库暂时无法读取，稍后重试 / the store cannot be read now, try again: {_reason(error)}"
        ) from error


def _refuse_other_files(engine: Engine, error: DatabaseError) -> None:
    if "file is not a database" in str(error.orig):
        raise FixConfig(
            f"{engine.url.database}: 不是凭证库文件，请核对 VOUCHERFLOW_STORE / this is no store, check VOUCHERFLOW_STORE"
        ) from None


def _reason(error: OperationalError) -> str:
    return str(error.orig).splitlines()[0][:200]


def _set_pragmas(dbapi_connection: Any, _record: Any) -> None:
    dbapi_connection.isolation_level = None  # we begin transactions ourselves, see _begin
    cursor = dbapi_connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('store_begin', 'DEFERRED')}")
