"""The memory of an emulated OA: one SQLite file, so that a kill keeps what was committed. Times are epoch milliseconds."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

META = "CREATE TABLE IF NOT EXISTS emulator_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);"


class OaStore:
    """One connection behind one lock: calls are carried out one after the other, each in a transaction.

    Attributes:
        schema: the vendor's tables.
        error: what is raised for a file of something else.
    """

    schema: ClassVar[str]
    error: ClassVar[type[Exception]]

    def __init__(self, path: Path | None) -> None:
        """Open `path`, or memory for None.

        Raises:
            Exception: of the kind `error`; the file holds something else.
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
            self._connection.executescript(META + self.schema)
        except sqlite3.DatabaseError as error:
            raise self.error(
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
        found = self.row("SELECT value FROM emulator_meta WHERE name = ?", (name,))
        return None if found is None else json.loads(found["value"])

    def set_meta(self, name: str, value: object) -> None:
        self.run(
            "INSERT INTO emulator_meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, json.dumps(value, ensure_ascii=False)),
        )

    def now_ms(self) -> int:
        """The OA's clock, which may be off by what the admin interface has set."""
        return time.time_ns() // 1_000_000 + int(self.meta("clock_offset_ms") or 0)
