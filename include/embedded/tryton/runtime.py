"""Open a Tryton database in this process.

Tryton keeps its settings and its registry of models in module globals, keyed by the name of the database, so a process
works with one ledger at a time: `opened` refuses a second one and forgets the first when it is done.
"""

from __future__ import annotations

import gc
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from include.embedded.tryton.errors import LedgerSetupError

T = TypeVar("T")

MAX_RESTARTS = 20

MODULES = ("account", "analytic_account")
"""What is activated; Tryton adds what they need: party, company, currency."""


def database_name(database: Path) -> str:
    """The name under which Tryton serves the file: `/var/ledger/books.sqlite` is `books`.

    Raises:
        LedgerSetupError: the file name is not one that Tryton can serve under a URL.
    """
    if database.suffix != ".sqlite" or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", database.stem):
        raise LedgerSetupError(
            f"{database}: 账簿文件名应为字母、数字、下划线加 .sqlite / "
            "Name the ledger's file with letters, digits and _ and the ending .sqlite, for example ledger.sqlite."
        )
    return database.stem


@dataclass(frozen=True, slots=True)
class LedgerFile:
    """How far a file has come on its way to a ledger; a set-up that was interrupted is completed by the next."""

    has_modules: bool = False
    has_company: bool = False


def inspect_file(database: Path) -> LedgerFile:
    """What is in the file, told without Tryton.

    Raises:
        LedgerSetupError: the file is not a SQLite database, or holds something else.
    """
    if not database.exists() or database.stat().st_size == 0:
        return LedgerFile()
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            tables = {
                name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
            if tables and "ir_module" not in tables:
                raise LedgerSetupError(
                    f"{database}: 这个文件不是 Tryton 账簿，请换个文件名 / the file holds another database: choose another name"
                )
            modules: set[str] = set()
            if "ir_module" in tables:
                modules = {
                    name
                    for (name,) in connection.execute("SELECT name FROM ir_module WHERE state = 'activated'")
                }
            has_company = "company_company" in tables and bool(
                connection.execute("SELECT 1 FROM company_company").fetchone()
            )
    except sqlite3.DatabaseError as error:
        raise LedgerSetupError(
            f"{database}: 无法读取 / the file cannot be read as SQLite: {error}"
        ) from error
    return LedgerFile(modules >= set(MODULES), has_company)


@contextmanager
def opened(database: Path, *, update: tuple[str, ...] = ()) -> Iterator[Any]:
    """The pool of models of a ledger's file, which must exist; `update` names modules to activate first.

    Raises:
        LedgerSetupError: this process already has a ledger open.
    """
    name = database_name(database)
    from trytond import backend, config
    from trytond.cache import Cache
    from trytond.pool import Pool

    if Pool.database_list():
        raise LedgerSetupError(
            "一个进程只能打开一个账簿 / This process already has a ledger open; use another process."
        )
    config.set("database", "uri", "sqlite://")
    config.set("database", "path", str(database.absolute().parent))
    config.set("web", "root", "")
    file = backend.Database(name).connect()
    if not file.test():
        file.init()
    file.close()
    pool = Pool(name)
    threshold = gc.get_threshold()
    # Tryton makes many short-lived records: with fewer collections the same work takes a tenth less time.
    gc.set_threshold(50_000, 20, 20)
    try:
        pool.init(update=list(update), lang=["en"] if update else None, activatedeps=bool(update))
        yield pool
    finally:
        gc.set_threshold(*threshold)
        Pool.stop(name)
        Cache.drop(name)


def in_transaction(pool: Any, work: Callable[[Any], T]) -> T:
    """Run `work` as Tryton's root user in one transaction, committed at the end or rolled back on an exception.

    Tryton asks for a restart when work needs a table lock that the transaction did not start with.
    """
    from trytond.transaction import Transaction, TransactionError

    extras: dict[str, Any] = {}
    for _ in range(MAX_RESTARTS):
        with Transaction().start(pool.database_name, 0, context={}, **extras) as transaction:
            try:
                return work(pool)
            except TransactionError as error:
                transaction.rollback()
                error.fix(extras)
    raise LedgerSetupError(
        "Tryton 一直要求更多的锁 / Tryton kept asking for more locks; report this with its version."
    )
