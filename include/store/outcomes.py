"""What becomes of vouchers, as rows: their new states, an attempt each, the audit trail, and what finance is told.

All of it is written in the transaction of the caller, so that nobody ever sees a part.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, insert, select, update

from include.domain.document import Disposition
from include.domain.problems import Problem, Stage
from include.domain.voucher import PostingOutcome, VoucherKey, VoucherStatus
from include.exchanges import Exchange
from include.store import audit, exchanges, problems
from include.store import tables as t
from include.store.filing import chunks, set_disposition
from include.store.following import of_document
from include.store.leases import Lease


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of one voucher after a call or a look."""

    id: int
    key: VoucherKey
    status: VoucherStatus
    outcome: PostingOutcome | None
    ledger_id: str = ""
    number: str = ""
    message: str = ""


def record(
    connection: Connection,
    lease: Lease,
    settlements: Sequence[Settlement],
    step: str,
    at: datetime,
    said: tuple[Sequence[Exchange], int],
) -> None:
    """Write new states, attempts, and audit events of what is in the ledger now or in conflict.

    `said`: the exchanges with the ledger, and for how many days their texts are kept.
    """
    v = t.voucher
    digests = {
        row.id: row.content_digest or ""
        for part in chunks([s.id for s in settlements])
        for row in connection.execute(select(v.c.id, v.c.content_digest).where(v.c.id.in_(part)))
    }
    connection.execute(
        update(v)
        .where(v.c.id == bindparam("pk"))
        .values(
            status=bindparam("new_status"),
            message=bindparam("new_message"),
            ledger_id=bindparam("new_ledger_id"),
            ledger_number=bindparam("new_number"),
            posted_at=bindparam("new_posted_at"),
        ),
        [
            {
                "pk": s.id,
                "new_status": s.status,
                "new_message": s.message,
                "new_ledger_id": s.ledger_id,
                "new_number": s.number,
                "new_posted_at": at if s.status is VoucherStatus.POSTED else None,
            }
            for s in settlements
        ],
    )
    call = exchanges.save(connection, said[0], at, said[1])
    rows = [
        attempt(
            lease,
            s.id,
            step,
            at,
            call=call,
            content_digest=digests[s.id],
            outcome=s.outcome or "",
            ledger_id=s.ledger_id,
            message=s.message[:2000],
        )
        for s in settlements
    ]
    connection.execute(insert(t.posting_attempt), rows)
    events = [
        audit.AuditEvent(
            lease.holder,
            lease.book,
            f"voucher.{s.status}",
            str(s.key),
            {"ledger_id": s.ledger_id, "number": s.number, "digest": digests[s.id]},
        )
        for s in settlements
        if s.status in {VoucherStatus.POSTED, VoucherStatus.CONFLICT}
    ]
    audit.append(connection, events, at)


def lock_documents(connection: Connection, ids: Sequence[int]) -> None:
    """Documents of vouchers before the vouchers, as in generated.save, so that nobody waits in a circle; SQLite's writers
    wait anyway.
    """
    if connection.dialect.name == "postgresql":
        v, d = t.voucher, t.source_document
        for part in chunks(ids):
            revisions = select(d.c.id).join(v, of_document(d, v)).where(v.c.id.in_(part))
            connection.execute(revisions.order_by(d.c.id).with_for_update(of=d)).all()


def file_problems(
    connection: Connection,
    book: str,
    settlements: Sequence[Settlement],
    found: Mapping[int, Sequence[Problem]],
    at: datetime,
) -> None:
    """Open and resolve what posting says of vouchers, and quarantine the documents of rejected ones. Both is about a
    document as it is now, whichever revision the voucher is of.
    """
    v, now = t.voucher, t.source_document.alias()
    current = func.coalesce(now.c.id, v.c.document_pk).label("document_pk")
    documents = {
        row.id: row.document_pk
        for part in chunks([s.id for s in settlements])
        for row in connection.execute(
            select(v.c.id, current)
            .outerjoin(now, and_(of_document(now, v), now.c.is_current))
            .where(v.c.id.in_(part))
        )
    }
    by_document: dict[int, list[Problem]] = {pk: [] for pk in documents.values()}
    for s in settlements:
        by_document[documents[s.id]] += found.get(s.id, ())
    keys = {str(s.key) for s in settlements}  # a document may have other vouchers
    _forget_at_other_revisions(connection, book, keys, set(by_document), at)
    problems.sync(connection, book, Stage.POST, by_document, at, keys)
    rejected = [documents[s.id] for s in settlements if s.status is VoucherStatus.REJECTED]
    set_disposition(connection, rejected, Disposition.QUARANTINED)


def _forget_at_other_revisions(
    connection: Connection, book: str, keys: Collection[str], current: Collection[int], at: datetime
) -> None:
    """What was said when a document was of another revision is said at the current one now, if it still holds."""
    p = t.problem
    still_open = (p.c.book == book, p.c.resolved_at.is_(None), p.c.stage == Stage.POST)
    for part in chunks(sorted(keys)):
        connection.execute(
            update(p)
            .where(*still_open, p.c.where.in_(part), p.c.document_pk.not_in(current))
            .values(resolved_at=at)
        )


def attempt(lease: Lease, pk: int, step: str, at: datetime, **values: Any) -> dict[str, Any]:
    """A row of posting_attempt."""
    return {
        "voucher_id": pk,
        "fence": lease.fence,
        "step": step,
        "outcome": "",
        "content_digest": "",
        "ledger_id": "",
        "message": "",
        "call": "",
        "seen": "",
        "at": at,
        **values,
    }
