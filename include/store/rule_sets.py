"""Rule sets that are or were in force, each kept whole: its files as they stood, under a version that counts from 1."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select, text

from include.ports import Clock
from include.store import audit
from include.store import tables as t
from include.store.engine import reading, writing

_LOCK = 0x72756C65
"""Of PostgreSQL, held while a version is given; SQLite has its write lock."""


@dataclass(frozen=True, slots=True)
class RuleSetVersion:
    """One version of a book's rules, without its files. `since` is when it came into force."""

    book: str
    version: int
    digest: str
    actor: str
    since: datetime

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "book": self.book,
            "version": self.version,
            "digest": self.digest,
            "actor": self.actor,
            "since": self.since.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class StoredRuleSet:
    """A version with its files, by their path below the configuration of the book: `rules/expense.yaml`."""

    of: RuleSetVersion
    files: Mapping[str, bytes]


class RuleSets:
    """Every public method is one transaction. The highest version of a book is in force."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.engine = engine
        self.clock = clock

    def listed(self, book: str) -> list[RuleSetVersion]:
        """All versions, the newest first."""
        with reading(self.engine) as connection:
            return [_version(row) for row in connection.execute(_heads(book))]

    def in_force(self, book: str) -> RuleSetVersion | None:
        """The newest version; None for a book that never had one."""
        with reading(self.engine) as connection:
            return _newest(connection, book)

    def find(self, book: str, which: int | str) -> StoredRuleSet | None:
        """The set of a version, or the newest one of a digest; None where there is none."""
        r = t.rule_set
        condition = r.c.version == which if isinstance(which, int) else r.c.digest == which
        with reading(self.engine) as connection:
            row = connection.execute(
                select(r).where(r.c.book == book, condition).order_by(r.c.version.desc()).limit(1)
            ).first()
        return None if row is None else StoredRuleSet(_version(row), _unpacked(row.files))

    def put_in_force(
        self, book: str, digest: str, files: Mapping[str, bytes], actor: str, after: int
    ) -> RuleSetVersion:
        """Make a set the book's next version, with an audit event.

        `after` is the version that the caller saw in force, 0 for none. If another run was quicker, what that run put in
        force is returned, and nothing is written.
        """
        now = self.clock.now()
        with writing(self.engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            before = _newest(connection, book)
            if before is not None and before.version != after:
                return before
            row = {
                "book": book,
                "version": after + 1,
                "digest": digest,
                "files": _packed(files),
                "actor": actor,
                "in_force_from": now,
            }
            connection.execute(insert(t.rule_set), [row])
            detail = {"digest": digest, "version": after + 1, "previous": before.digest if before else ""}
            audit.append(
                connection, [audit.AuditEvent(actor, book, "rules.in_force", f"rules/{book}", detail)], now
            )
        return RuleSetVersion(book, after + 1, digest, actor, now)


def _heads(book: str) -> Any:
    r = t.rule_set
    return (
        select(r.c.book, r.c.version, r.c.digest, r.c.actor, r.c.in_force_from)
        .where(r.c.book == book)
        .order_by(r.c.version.desc())
    )


def _newest(connection: Connection, book: str) -> RuleSetVersion | None:
    row = connection.execute(_heads(book).limit(1)).first()
    return None if row is None else _version(row)


def _version(row: Row[Any]) -> RuleSetVersion:
    return RuleSetVersion(row.book, row.version, row.digest, row.actor, row.in_force_from)


def _packed(files: Mapping[str, bytes]) -> bytes:
    texts = {path: base64.b64encode(content).decode("ascii") for path, content in sorted(files.items())}
    return zlib.compress(json.dumps(texts, ensure_ascii=False).encode(), 9)


def _unpacked(blob: bytes) -> dict[str, bytes]:
    texts: dict[str, str] = json.loads(zlib.decompress(blob))
    return {path: base64.b64decode(content) for path, content in texts.items()}
