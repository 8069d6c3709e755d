"""What stands in the store for documents: the vouchers that count, corrections among them. Read as whole sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, Connection, and_, exists, func, not_, or_, select

from include.domain.document import Disposition
from include.domain.problems import Stage
from include.domain.voucher import VoucherStatus
from include.store import bulk
from include.store import tables as t
from include.store.corrections import Relation

NOT_STANDING = (VoucherStatus.CANCELLED, VoucherStatus.REJECTED, VoucherStatus.REVERSED)
"""Such vouchers count in no ledger and will not be sent as they are."""

VOUCHER_COLUMNS = (
    *("id", "key", "source", "document_id", "document_pk", "event", "revision", "word", "date", "period"),
    *(
        "currency",
        "debit_minor",
        "attachments",
        "rule_digest",
        "relation",
        "original_id",
        "status",
        "ledger_number",
    ),
)


def in_span(book: str, date_from: date, date_to: date) -> ColumnElement[bool]:
    """Current documents with these business days that were accepted, or that nothing but the rules keeps back."""
    d, p = t.source_document, t.problem
    is_open = (p.c.document_pk == d.c.id, p.c.resolved_at.is_(None))
    by_rules = and_(p.c.stage == Stage.GENERATE, p.c.code.startswith("rules.", autoescape=True))
    return and_(
        d.c.book == book,
        d.c.is_current,
        d.c.business_date.between(date_from, date_to),
        or_(
            d.c.disposition.in_([Disposition.ACCEPTED, Disposition.NO_VOUCHER]),
            and_(
                d.c.disposition == Disposition.QUARANTINED,
                exists().where(*is_open),
                ~exists().where(*is_open, not_(by_rules)),
            ),
        ),
    )


def silent() -> ColumnElement[bool]:
    """Documents that make no voucher by rule."""
    return t.source_document.c.disposition == Disposition.NO_VOUCHER


def of_digests(digests: Iterable[str]) -> ColumnElement[bool]:
    """Documents with a voucher made under one of these rule sets."""
    v = t.voucher
    of_digest = v.c.rule_digest.in_(list(digests))
    return t.source_document.c.id.in_(select(v.c.document_pk).where(of_digest))


def rule_digests(connection: Connection, book: str, condition: ColumnElement[bool]) -> list[str]:
    """The rule sets under which vouchers of these documents of a book were made, standing ones or not."""
    d, v = t.source_document, t.voucher
    ever = list(connection.scalars(select(v.c.rule_digest).where(v.c.book == book).distinct()))
    if len(ever) <= 1:
        return ever  # far quicker than looking each document up
    its = v.c.document_pk.in_(select(d.c.id).where(condition))
    return list(connection.scalars(select(v.c.rule_digest).where(its).distinct()))


def unmade(connection: Connection, condition: ColumnElement[bool]) -> pl.Series:
    """Of these documents, those for which nothing stands, or only what is reversed, although no rule says that they make
    no voucher.

    Two lists and their difference: databases do worse, each in its own way.
    """
    v = t.voucher
    speaking = document_ids(connection, condition, not_(silent()))
    if speaking.is_empty():
        return speaking
    between = v.c.document_pk.between(speaking[0], speaking[-1])
    other = v.alias()
    undone = select(other.c.original_id).where(
        other.c.relation == Relation.REVERSAL,
        other.c.status.not_in(NOT_STANDING),
        other.c.original_id.is_not(None),
    )
    stands = bulk.read(
        connection,
        select(v.c.document_pk.label("id")).where(
            between, v.c.status.not_in(NOT_STANDING), v.c.relation != Relation.REVERSAL, v.c.id.not_in(undone)
        ),
    )
    return speaking.to_frame().join(stands, on="id", how="anti")["id"].sort()


def document_ids(connection: Connection, *conditions: ColumnElement[bool]) -> pl.Series:
    """Of the documents that meet all conditions, ascending."""
    d = t.source_document
    return bulk.read(connection, select(d.c.id).where(*conditions).order_by(d.c.id))["id"]


def count(connection: Connection, condition: ColumnElement[bool]) -> int:
    return connection.scalar(select(func.count()).select_from(t.source_document).where(condition)) or 0


def vouchers_of(connection: Connection, pks: Sequence[int] | pl.Series) -> pl.DataFrame:
    """All vouchers of these documents, in any state, by id: VOUCHER_COLUMNS."""
    return _columns(connection, t.voucher, "document_pk", VOUCHER_COLUMNS, pks).sort("id")


def journal_of(connection: Connection, ids: Sequence[int] | pl.Series) -> pl.DataFrame:
    """The journal lines of these vouchers, in order."""
    names = [column.name for column in t.journal_line.columns]
    return _columns(connection, t.journal_line, "voucher_id", names, ids).sort("voucher_id", "line_no")


def _columns(
    connection: Connection, table: Any, key: str, names: Sequence[str], numbers: Sequence[int] | pl.Series
) -> pl.DataFrame:
    columns = [table.c[name] for name in names]
    return bulk.read(connection, select(*columns).where(bulk.among(connection, table.c[key], numbers)))
