"""The file behind an emulated ledger: SQLite, safe under concurrent requests and SIGKILL; master data, notes, log."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from include.emulators.hesi.clock import EmulatorClock
from include.emulators.ledger_rules import Account, Item, Reason, Refusal, RefusedError
from include.emulators.ledger_schema import create, defaults, fill

Json = dict[str, Any]
LOCK_TIMEOUT_S = 60.0
NOBODY = "system"


class LedgerFile:
    """The file, its master data, notes and log. Every method is one transaction, or joins this thread's open one."""

    def __init__(
        self, path: Path, *, clock: EmulatorClock | None = None, seed: Mapping[str, Any] | None = None
    ) -> None:
        """Open or create the file; a new one is filled from `seed` (see `ledger_schema.defaults`).

        Raises:
            sqlite3.DatabaseError: the file is none of SQLite's.
        """
        self.clock = clock or EmulatorClock()
        self._lock = threading.RLock()
        self._depth = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(
            path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA foreign_keys = ON")
        with self.transaction() as db:
            create(db)
            if db.execute("SELECT count(*) FROM books").fetchone()[0] == 0:
                fill(db, seed if seed is not None else defaults())

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The database, locked for this thread; committed at the end of the outermost block, or rolled back whole."""
        with self._lock:
            if self._depth == 0:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield self._db
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._db.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._commit()

    def _commit(self) -> None:
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error:  # a full disk, say: the next caller must find no open transaction
            self._db.execute("ROLLBACK")
            raise

    # Master data

    def fill(self, seed: Mapping[str, Any]) -> None:
        """Add master data in the form of `ledger_schema.defaults`, keys may be missing."""
        empty: Json = {key: type(value)() for key, value in defaults().items()}
        with self.transaction() as db:
            fill(db, empty | dict(seed))

    def book(self, code: str) -> sqlite3.Row:
        """Raises RefusedError for an unknown book."""
        with self.transaction() as db:
            row: sqlite3.Row | None = db.execute("SELECT * FROM books WHERE code = ?", (code,)).fetchone()
        if row is None:
            raise RefusedError(Refusal(Reason.BOOK_UNKNOWN, value=code))
        return row

    def account(self, book: str, code: str) -> Account | None:
        with self.transaction() as db:
            row = db.execute(
                "SELECT a.*, EXISTS (SELECT 1 FROM accounts c WHERE c.chart = a.chart AND c.parent = a.code) AS group_ "
                "FROM accounts a JOIN books b ON b.chart = a.chart WHERE b.code = ? AND a.code = ?",
                (book, code),
            ).fetchone()
            if row is None:
                return None
            dimensions = db.execute(
                "SELECT kind, required FROM account_dimensions WHERE account = ? ORDER BY seq", (row["id"],)
            ).fetchall()
        return Account(
            row["id"],
            row["code"],
            row["name"],
            row["parent"],
            not row["group_"],
            bool(row["enabled"]),
            tuple((item["kind"], bool(item["required"])) for item in dimensions),
        )

    def item(self, kind: str, code: str) -> Item | None:
        with self.transaction() as db:
            row = db.execute("SELECT * FROM items WHERE kind = ? AND code = ?", (kind, code)).fetchone()
        return row and Item(row["id"], row["kind"], row["code"], row["name"], bool(row["enabled"]))

    def has_currency(self, code: str) -> bool:
        return self.scale(code) is not None

    def scale(self, currency: str) -> int | None:
        """Decimals of a currency, None for an unknown one."""
        with self.transaction() as db:
            row = db.execute("SELECT scale FROM currencies WHERE code = ?", (currency,)).fetchone()
        return None if row is None else int(row["scale"])

    def change_account(
        self,
        chart: str,
        code: str,
        *,
        name: str | None = None,
        new_code: str | None = None,
        enabled: bool | None = None,
        dimensions: Sequence[tuple[str, bool]] | None = None,
    ) -> None:
        """What an accountant does to a chart meanwhile: rename, recode (lines follow), disable, other dimensions."""
        with self.transaction() as db:
            row = db.execute("SELECT id FROM accounts WHERE chart = ? AND code = ?", (chart, code)).fetchone()
            if row is None:
                raise RefusedError(Refusal(Reason.ACCOUNT_UNKNOWN, value=code))
            if name is not None:
                db.execute("UPDATE accounts SET name = ? WHERE id = ?", (name, row["id"]))
            if enabled is not None:
                db.execute("UPDATE accounts SET enabled = ? WHERE id = ?", (int(enabled), row["id"]))
            if dimensions is not None:
                db.execute("DELETE FROM account_dimensions WHERE account = ?", (row["id"],))
                db.executemany(
                    "INSERT INTO account_dimensions (account, seq, kind, required) VALUES (?, ?, ?, ?)",
                    [
                        (row["id"], seq, kind, int(must))
                        for seq, (kind, must) in enumerate(dimensions, start=1)
                    ],
                )
            if new_code is not None:
                db.execute("UPDATE accounts SET code = ? WHERE id = ?", (new_code, row["id"]))
                db.execute(
                    "UPDATE accounts SET parent = ? WHERE chart = ? AND parent = ?", (new_code, chart, code)
                )
                db.execute(
                    "UPDATE lines SET account = ? WHERE account = ? AND voucher IN (SELECT v.id FROM vouchers v "
                    "JOIN books b ON b.code = v.book WHERE b.chart = ?)",
                    (new_code, code, chart),
                )
            self.record(
                NOBODY, "change_account", None, {"account": code, "new_code": new_code, "enabled": enabled}
            )

    def change_item(
        self, kind: str, code: str, *, name: str | None = None, enabled: bool | None = None
    ) -> None:
        with self.transaction() as db:
            if self.item(kind, code) is None:
                raise RefusedError(Refusal(Reason.VALUE_UNKNOWN, value=code, detail=kind))
            db.execute(
                "UPDATE items SET name = coalesce(?, name), enabled = coalesce(?, enabled) WHERE kind = ? AND code = ?",
                (name, None if enabled is None else int(enabled), kind, code),
            )

    def record(self, actor: str, operation: str, voucher_id: int | None, detail: Mapping[str, Any]) -> None:
        with self.transaction() as db:
            db.execute(
                "INSERT INTO operations (at_ms, actor, operation, voucher, detail) VALUES (?, ?, ?, ?, ?)",
                (self.clock.now_ms(), actor, operation, voucher_id, to_text(detail)),
            )

    # What a vendor's layer keeps beside the books: sessions, tasks, settings

    def note(self, space: str, key: str) -> Any:
        """A value kept under a name, None where there is none."""
        with self.transaction() as db:
            row = db.execute("SELECT value FROM notes WHERE space = ? AND key = ?", (space, key)).fetchone()
        return None if row is None else json.loads(row["value"])

    def keep_note(self, space: str, key: str, value: Any) -> None:
        """Keep a JSON value; None forgets it."""
        with self.transaction() as db:
            if value is None:
                db.execute("DELETE FROM notes WHERE space = ? AND key = ?", (space, key))
            else:
                db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", (space, key, to_text(value)))

    def forget_notes(self, space: str) -> int:
        """Drop a whole space; returns how many there were."""
        with self.transaction() as db:
            return db.execute("DELETE FROM notes WHERE space = ?", (space,)).rowcount


def to_text(value: Any) -> str:
    """JSON, the same text for the same value."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=dict)
