"""The chain of a document's vouchers: original, reversal, replacement, each way, in order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, or_, select

from include.domain.voucher import VoucherStatus
from include.store import tables as t
from include.store.corrections import Relation


@dataclass(frozen=True, slots=True)
class Link:
    """One voucher of a chain. `original_id` is what it reverses, replaces or corrects; `followed_by` are the row ids of
    what does that to it. `revision` is that of the document which it was made of.
    """

    id: int
    key: str
    event: str
    revision: int
    relation: Relation
    original_id: int | None
    followed_by: tuple[int, ...]
    status: VoucherStatus
    date: date
    debit_minor: int
    currency: str
    ledger_id: str
    ledger_number: str
    rule_version: int
    posted_at: datetime | None


def chain_of(connection: Connection, voucher_id: int) -> list[Link]:
    """The whole chain that a voucher belongs to, oldest first; empty where there is no such voucher.

    A chain is what refers to each other, however far: the original, its reversal, the replacement, and theirs.
    """
    v = t.voucher
    of_document = connection.execute(
        select(v.c.source, v.c.document_id, v.c.book).where(v.c.id == voucher_id)
    ).one_or_none()
    if of_document is None:
        return []
    links = {link.id: link for link in chains_of(connection, of_document.book, of_document.document_id)}
    found, ahead = {voucher_id}, [voucher_id]
    while ahead:
        link = links[ahead.pop()]
        near = {*link.followed_by, *([link.original_id] if link.original_id else [])}
        ahead += near - found
        found |= near
    return [link for pk, link in links.items() if pk in found]


def chains_of(connection: Connection, book: str, document: str) -> list[Link]:
    """All vouchers of a document in a book, by its number or id in the OA, oldest first."""
    v, d = t.voucher, t.source_document
    named = select(d.c.source, d.c.document_id).where(
        d.c.book == book, or_(d.c.code == document, d.c.document_id == document)
    )
    chosen = named.subquery()
    rows = connection.execute(
        select(v)
        .where(
            v.c.book == book,
            select(chosen.c.document_id)
            .where(chosen.c.source == v.c.source, chosen.c.document_id == v.c.document_id)
            .exists(),
        )
        .order_by(v.c.id)
    ).all()
    followed: dict[int, list[int]] = {}
    for row in rows:
        if row.original_id is not None:
            followed.setdefault(row.original_id, []).append(row.id)
    return [
        Link(
            row.id,
            row.key,
            row.event,
            row.revision,
            Relation(row.relation),
            row.original_id,
            tuple(followed.get(row.id, ())),
            VoucherStatus(row.status),
            row.date,
            row.debit_minor,
            row.currency,
            row.ledger_id,
            row.ledger_number,
            row.rule_version,
            row.posted_at,
        )
        for row in rows
    ]
