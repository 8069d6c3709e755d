"""Bringing a database to the current schema with Alembic."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, event

from include.domain.errors import FixConfig
from include.store.engine import open_engine, reading, writing

MIGRATIONS = Path(__file__).parent / "migrations"
logging.getLogger("alembic").setLevel(logging.WARNING)  # two lines at every opening tell nobody anything


def upgrade(engine: Engine) -> str:
    """Apply all missing migrations in one transaction; returns the revision now in force. Repeating it is harmless.

    Raises:
        FixConfig: a migration would leave rows that refer to nothing; nothing was changed.
    """
    config = _config()
    with _migrating(engine) as migrating, writing(migrating) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        if migrating.dialect.name == "sqlite":
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
            if broken is not None:
                raise FixConfig(
                    f"凭证库有失去引用的记录（表 {broken[0]}），未升级：请先从备份恢复 / table {broken[0]} refers to missing rows, "
                    "the store was not upgraded: restore it from a backup first"
                )
    return _head()


@contextmanager
def _migrating(engine: Engine) -> Iterator[Engine]:
    """An engine for migrations. SQLite changes a table by copying it, which is not possible with foreign keys on, and
    they can be switched off only outside a transaction.
    """
    if engine.dialect.name != "sqlite" or engine.url.database in (None, "", ":memory:"):
        yield engine
        return
    own = open_engine(engine.url.render_as_string(hide_password=False))
    event.listen(own, "connect", lambda connection, _record: connection.execute("PRAGMA foreign_keys=OFF"))
    try:
        yield own
    finally:
        own.dispose()


def ensure_current(engine: Engine) -> None:
    """Make the schema in an empty database; refuse to work on one of another version.

    Raises:
        FixConfig: with the command that mends it.
    """
    with reading(engine) as connection:
        found = MigrationContext.configure(
            connection, opts={"version_table": "store_version"}
        ).get_current_revision()
    if found is None:
        upgrade(engine)
    elif found != _head():
        raise FixConfig(
            f"凭证库结构为 {found}，程序需要 {_head()}，请运行 ./voucherflow store migrate / the store's schema is "
            f"{found}, {_head()} is needed: run ./voucherflow store migrate"
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _head() -> str:
    return str(ScriptDirectory.from_config(_config()).get_current_head())
