"""The emulator's memory: one SQLite file in the shape of e-cology's own tables, so that a kill keeps what was committed.

The tables named workflow_… carry e-cology's columns, since clients' SQL fragments name them; those named emulator_…
are ours. Dates are `yyyy-MM-dd`, times of day `HH:mm:ss`, Shanghai.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from include.emulators.weaver.problems import EmulatorError

FORMAT = "voucherflow-weaver-1"

SCHEMA = """
CREATE TABLE IF NOT EXISTS emulator_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS workflow_requestbase (
  requestid INTEGER PRIMARY KEY, workflowid INTEGER NOT NULL, requestname TEXT NOT NULL, requestmark TEXT NOT NULL,
  requestlevel INTEGER NOT NULL, status TEXT NOT NULL, currentnodeid INTEGER NOT NULL, currentnodetype TEXT NOT NULL,
  lastnodeid INTEGER NOT NULL, creater INTEGER NOT NULL, creatertype INTEGER NOT NULL, createdate TEXT NOT NULL,
  createtime TEXT NOT NULL, lastoperator INTEGER NOT NULL, lastoperatortype INTEGER NOT NULL,
  lastoperatedate TEXT NOT NULL, lastoperatetime TEXT NOT NULL, deleted INTEGER NOT NULL,
  body TEXT NOT NULL, truth TEXT, archived_once INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS workflow_currentoperator (
  id INTEGER PRIMARY KEY, requestid INTEGER NOT NULL, workflowid INTEGER NOT NULL, userid INTEGER NOT NULL,
  usertype INTEGER NOT NULL, nodeid INTEGER NOT NULL, isremark TEXT NOT NULL, viewtype INTEGER NOT NULL,
  receivedate TEXT NOT NULL, receivetime TEXT NOT NULL, operatedate TEXT NOT NULL, operatetime TEXT NOT NULL,
  islasttimes INTEGER NOT NULL, iscomplete INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS operator_of_request ON workflow_currentoperator (requestid, userid);
CREATE INDEX IF NOT EXISTS operator_of_user
  ON workflow_currentoperator (userid, islasttimes, receivedate DESC, receivetime DESC, requestid DESC);
CREATE TABLE IF NOT EXISTS workflow_requestlog (
  id INTEGER PRIMARY KEY, requestid INTEGER NOT NULL, nodeid INTEGER NOT NULL, logtype TEXT NOT NULL,
  operator INTEGER NOT NULL, operatedate TEXT NOT NULL, operatetime TEXT NOT NULL, remark TEXT NOT NULL,
  destnodeid INTEGER NOT NULL, receivedpersons TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS log_of_request ON workflow_requestlog (requestid);
CREATE TABLE IF NOT EXISTS emulator_move (requestid INTEGER PRIMARY KEY, nodeid INTEGER NOT NULL, due_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS emulator_deleted (requestid INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, snapshot TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS emulator_sequence (name TEXT PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS emulator_token (token TEXT PRIMARY KEY, expires_ms INTEGER NOT NULL);
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

    # -- small things -------------------------------------------------------------------------------

    def meta(self, name: str) -> Any:
        """A value kept under a name, None where there is none."""
        found = self.row("SELECT value FROM emulator_meta WHERE name = ?", (name,))
        return None if found is None else json.loads(found["value"])

    def set_meta(self, name: str, value: object) -> None:
        self.run(
            "INSERT INTO emulator_meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, json.dumps(value, ensure_ascii=False)),
        )

    def next_number(self, name: str) -> int:
        """1, 2, 3 … by name."""
        self.run(
            "INSERT INTO emulator_sequence VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET last = last + 1",
            (name,),
        )
        found = self.row("SELECT last FROM emulator_sequence WHERE name = ?", (name,))
        assert found is not None
        return int(found["last"])

    def now_ms(self) -> int:
        """The OA's clock, which may be off by what the admin interface has set."""
        return time.time_ns() // 1_000_000 + int(self.meta("clock_offset_ms") or 0)
