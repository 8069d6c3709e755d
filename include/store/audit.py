"""The audit chain: append-only events, each sealed by the hash of the one before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, text

from include.domain.document import digest
from include.store import tables as t

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Who did what to which subject; `detail` is small and holds no secrets."""

    actor: str
    book: str
    action: str
    subject: str
    detail: Mapping[str, Any]


def append(connection: Connection, events: Sequence[AuditEvent], at: datetime) -> None:
    """Seal and store events, in order, in the caller's writing transaction."""
    if not events:
        return
    if connection.dialect.name == "postgresql":
        # One writer of the chain at a time; SQLite's write lock does the same.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": 0x766F7563})
    a = t.audit_event
    previous = connection.scalar(select(a.c.hash).order_by(a.c.id.desc()).limit(1)) or GENESIS
    rows = []
    for event in events:
        row = {
            "at": at,
            "actor": event.actor,
            "book": event.book,
            "action": event.action,
            "subject": event.subject,
            "detail": json.dumps(dict(event.detail), ensure_ascii=False, sort_keys=True),
            "previous_hash": previous,
        }
        row["hash"] = previous = seal(row)
        rows.append(row)
    connection.execute(insert(a), rows)


def verify(connection: Connection) -> int | None:
    """The id of the first event that was altered, or whose predecessor is missing; None when the chain holds."""
    previous = GENESIS
    for row in connection.execute(select(t.audit_event).order_by(t.audit_event.c.id)).mappings():
        if row["previous_hash"] != previous or row["hash"] != seal(dict(row)):
            return int(row["id"])
        previous = row["hash"]
    return None


def seal(row: Mapping[str, Any]) -> str:
    """The hash of an event: everything in it but its id and its hash."""
    return digest({name: value for name, value in row.items() if name not in {"id", "hash"}})
