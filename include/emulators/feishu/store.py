"""The emulator's memory: one SQLite file, so that a kill keeps what was committed. Times are epoch milliseconds."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from include.emulators.feishu.options import EmulatorError

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS instance (
  number INTEGER PRIMARY KEY, instance_code TEXT NOT NULL UNIQUE, approval_code TEXT NOT NULL, serial_number TEXT NOT NULL,
  person INTEGER NOT NULL, status TEXT NOT NULL, reverted INTEGER NOT NULL, approved_once INTEGER NOT NULL,
  start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, form TEXT NOT NULL, truth TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS instance_by_time ON instance (approval_code, start_ms, number);
CREATE TABLE IF NOT EXISTS step (
  number INTEGER PRIMARY KEY, instance_code TEXT NOT NULL, kind TEXT NOT NULL, person INTEGER NOT NULL, at_ms INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS step_of_instance ON step (instance_code);
CREATE TABLE IF NOT EXISTS comment (
  number INTEGER PRIMARY KEY, instance_code TEXT NOT NULL, person INTEGER NOT NULL, text TEXT NOT NULL,
  at_ms INTEGER NOT NULL, parent TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS comment_of_instance ON comment (instance_code);
CREATE TABLE IF NOT EXISTS event (
  number INTEGER PRIMARY KEY, uuid TEXT NOT NULL, approval_code TEXT NOT NULL, instance_code TEXT NOT NULL,
  status TEXT NOT NULL, at_ms INTEGER NOT NULL, subscribed INTEGER NOT NULL, delivered_ms INTEGER, attempts INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS subscription (approval_code TEXT PRIMARY KEY, at_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS token (token TEXT PRIMARY KEY, expires_ms INTEGER NOT NULL);
"""


class Store:
    """One connection behind one lock: calls are carried out one after the other, each in a transaction."""

    def __init__(self, path: Path | None) -> None:
        """Open `path`, or memory for None.

        Raises:
            EmulatorError: the file holds something else.
        """
        self.lock = threading.RLock()
        self._depth = 0
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = sqlite3.connect(
                str(path) if path else ":memory:", isolation_level=None, check_same_thread=False, timeout=30
            )
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.executescript(SCHEMA)
        except sqlite3.DatabaseError as error:
            raise EmulatorError(
                f"{path} 不是本模拟器的数据文件：{error} / {path} is no data file of this emulator; use another one"
            ) from error

    def close(self) -> None:
        with self.lock:
            self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; a transaction inside another one is part of it."""
        with self.lock:
            if self._depth:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            else:
                self._connection.execute("COMMIT")
            finally:
                self._depth = 0

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self.lock:
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Row | None:
        with self.lock:
            found: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
            return found

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Carry out a change; returns the id of an inserted row."""
        with self.lock:
            return int(self._connection.execute(sql, values).lastrowid or 0)

    def meta(self, name: str) -> Any:
        """A value kept under a name, None where there is none."""
        found = self.row("SELECT value FROM meta WHERE name = ?", (name,))
        return None if found is None else json.loads(found["value"])

    def set_meta(self, name: str, value: object) -> None:
        self.run(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, json.dumps(value, ensure_ascii=False)),
        )

    def now_ms(self) -> int:
        """The platform's clock, which may be off by what the admin interface has set."""
        return time.time_ns() // 1_000_000 + int(self.meta("clock_offset_ms") or 0)
