"""The attempts to post the vouchers of a document, with what was said to the ledger: the auditor's and engineer's view."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, or_, select

from include.store import tables as t
from include.store.exchanges import KeptExchange, of_calls


@dataclass(frozen=True, slots=True)
class Attempt:
    """One entry of the append-only list: an intent, an outcome, a look, or a batch that was split.

    `fence` numbers the run's lease. `exchanges` are those of the call that carried it, often for several vouchers.
    """

    at: datetime
    key: str
    step: str
    outcome: str
    ledger_id: str
    message: str
    fence: int
    content_digest: str
    exchanges: tuple[KeptExchange, ...]


def of_document(connection: Connection, book: str, document: str) -> list[Attempt]:
    """All attempts for the vouchers of a document, by its id or its code, oldest first."""
    a, v, d = t.posting_attempt, t.voucher, t.source_document
    rows = connection.execute(
        select(a, v.c.key)
        .join(v, v.c.id == a.c.voucher_id)
        .join(d, d.c.id == v.c.document_pk)
        .where(v.c.book == book, or_(d.c.document_id == document, d.c.code == document))
        .order_by(a.c.id)
    ).all()
    said = of_calls(connection, {row.call for row in rows if row.call})
    return [
        Attempt(
            row.at,
            row.key,
            row.step,
            row.outcome,
            row.ledger_id,
            row.message,
            row.fence,
            row.content_digest,
            tuple(said.get(row.call, ())),
        )
        for row in rows
    ]
