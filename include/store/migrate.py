"""Bringing a database to the current schema with Alembic."""

from __future__ import annotations

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from include.domain.errors import FixConfig
from include.store.engine import reading, writing

MIGRATIONS = Path(__file__).parent / "migrations"
logging.getLogger("alembic").setLevel(logging.WARNING)  # two lines at every opening tell nobody anything


def upgrade(engine: Engine) -> str:
    """Apply all missing migrations in one transaction; returns the revision now in force. Repeating it is harmless."""
    config = _config()
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return _head()


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
