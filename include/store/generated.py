"""What generating reads from the store and leaves in it, as whole sets: nothing here works row by row."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from sqlalchemy import Connection, Engine, delete, or_, select, update

from include.domain.document import Disposition
from include.domain.problems import Problem, Stage
from include.domain.voucher import UNSENT_STATUSES, VoucherStatus
from include.store import bulk, problems
from include.store import tables as t
from include.store.documents import Scope, in_scope
from include.store.engine import reading
from include.store.filing import sent_in_any_revision, sent_voucher_of
from include.store.moved import keep_moves
from include.store.reading import Frames, frames_of

_WORKABLE = (Disposition.ACCEPTED, Disposition.NO_VOUCHER)
_OURS = (*UNSENT_STATUSES, VoucherStatus.CANCELLED)
"""States of vouchers that generating may change."""


@dataclass(frozen=True, slots=True)
class GeneratedSet:
    """What became of the documents `pks` of a book.

    `vouchers` and `lines` have the columns of their tables that rules give, and go together by (document_pk, event);
    `vouchers` has the `source`, `document_id` and `revision` of its document too. `no_voucher` has `document_pk` and
    `reason`. `problems` are by document.
    """

    book: str
    pks: Sequence[int]
    vouchers: pl.DataFrame
    lines: pl.DataFrame
    no_voucher: pl.DataFrame
    problems: Mapping[int, Sequence[Problem]]
    rule_digest: str
    rule_version: int = 0


def frames(engine: Engine, book: str, scope: Scope, size: int) -> Iterator[Frames]:
    """Accepted documents of which nothing was sent in any revision, `size` at a time by their ids, with their lines, written-off loans
    and invoices. A page is one state of the store.
    """
    due = _due(engine, book, scope)
    for start in range(0, len(due), size):
        pks = due[start : start + size]
        with reading(engine) as connection:
            yield frames_of(connection, pks)


def _due(engine: Engine, book: str, scope: Scope) -> array[int]:
    """Eight bytes an id, since there may be millions."""
    d = t.source_document
    with reading(engine) as connection:
        found = connection.execute(
            select(d.c.id)
            .where(
                d.c.book == book,
                d.c.is_current,
                d.c.disposition.in_(_WORKABLE),
                in_scope(scope),
                ~sent_voucher_of(d.c.id),
                or_(d.c.revision == 1, ~sent_in_any_revision(d)),
            )
            .order_by(d.c.id)
        )
        return array("q", found.scalars())


def save(connection: Connection, made: GeneratedSet, at: datetime) -> None:
    """Replace the unsent vouchers of documents by those made now, and file what became of each document.

    A voucher that was there under the same key keeps its row, and the day it was moved to if its day by policy is the
    same; one that is no longer made is cancelled. Vouchers that were sent and corrections are never touched, and a
    document that changed since it was read, or whose voucher was sent meanwhile, is left as it is: the next run takes it
    up.

    The connection must be in a writing transaction.
    """
    _lock(connection, made.pks)
    before = _vouchers_before(connection, made.pks)
    standing = _standing(connection, made.book, made.pks)
    is_sent = ~pl.col("status").is_in(_OURS)
    free = standing.join(before.filter(is_sent), on="document_pk", how="anti")
    before = before.join(free, on="document_pk", how="semi")
    vouchers = (
        made.vouchers.join(free, on="document_pk", how="semi")
        .with_columns(
            voucher_key(made.book).alias("key"),
            pl.lit(made.book).alias("book"),
            pl.lit(made.rule_digest).alias("rule_digest"),
            pl.lit(made.rule_version, pl.Int64).alias("rule_version"),
            pl.lit(VoucherStatus.GENERATED.value).alias("status"),
            pl.lit(at).dt.cast_time_unit("us").alias("generated_at"),
        )
        .join(before.select("key", "id"), on="key", how="left", maintain_order="left")
    )
    _clear(connection, before["id"], before.join(vouchers, on="key", how="anti")["id"])
    fresh = vouchers.filter(pl.col("id").is_null())
    fresh = fresh.with_columns(bulk.new_ids(connection, t.voucher, fresh.height)) if fresh.height else fresh
    again = vouchers.filter(pl.col("id").is_not_null())
    bulk.insert(connection, t.voucher, fresh)
    bulk.update(
        connection,
        t.voucher,
        keep_moves(again, before).with_columns(
            pl.lit("").alias("message"), pl.lit(None, pl.String).alias("content_digest")
        ),
    )
    numbered = pl.concat([fresh, again]).select("document_pk", "event", pl.col("id").alias("voucher_id"))
    lines = made.lines.join(numbered, on=["document_pk", "event"], maintain_order="left")
    bulk.insert(connection, t.journal_line, lines.drop("document_pk", "event"))
    _file_dispositions(connection, free, vouchers, made.no_voucher)
    _file_problems(connection, made, free["document_pk"].to_list(), at)


def _lock(connection: Connection, pks: Sequence[int]) -> None:
    """Keep others from sending these vouchers or filing these documents until we are done; SQLite's writers wait anyway.

    Documents before vouchers, each by id, as everywhere: so nobody waits in a circle.
    """
    if connection.dialect.name == "postgresql":
        d, v = t.source_document, t.voucher
        for key, column in ((d.c.id, d.c.id), (v.c.document_pk, v.c.id)):
            locked = select(column).where(bulk.among(connection, key, pks)).order_by(column)
            connection.execute(locked.with_for_update()).all()


def voucher_key(book: str) -> pl.Expr:
    """The text of a VoucherKey from the columns `source`, `document_id`, `event`, `revision`."""
    parts = (pl.lit(book), pl.col("source"), pl.col("document_id"), pl.col("event"))
    escaped = (
        part.str.replace_all("%", "%25", literal=True).str.replace_all("/", "%2F", literal=True)
        for part in parts
    )
    return pl.concat_str(pl.lit("VF"), *escaped, pl.col("revision").cast(pl.String), separator="/")


def _vouchers_before(connection: Connection, pks: Sequence[int]) -> pl.DataFrame:
    v = t.voucher
    columns = (v.c.id, v.c.key, v.c.document_pk, v.c.status, v.c.relation, v.c.date, v.c.policy_date)
    found = bulk.read(connection, select(*columns).where(bulk.among(connection, v.c.document_pk, pks)))
    return found.filter(pl.col("relation") == "").drop("relation")


def _standing(connection: Connection, book: str, pks: Sequence[int]) -> pl.DataFrame:
    """Documents that may still be generated, as they stand. The conditions are put here rather than to the database,
    which would look for a way around the ids.
    """
    d = t.source_document
    columns = (d.c.id, d.c.book, d.c.is_current, d.c.revision, d.c.disposition, d.c.disposition_reason)
    found = bulk.read(connection, select(*columns).where(bulk.among(connection, d.c.id, pks)))
    later = bulk.among(connection, d.c.id, found.filter(pl.col("revision") > 1)["id"])
    followed = bulk.read(connection, select(d.c.id).where(later, sent_in_any_revision(d)))
    may = pl.col("is_current") & (pl.col("book") == book) & pl.col("disposition").is_in(_WORKABLE)
    return (
        found.filter(may)
        .join(followed, on="id", how="anti")
        .select(pl.col("id").alias("document_pk"), "disposition", "disposition_reason")
    )


def _clear(connection: Connection, all_before: pl.Series, not_made: pl.Series) -> None:
    v, j = t.voucher, t.journal_line
    if len(all_before):
        connection.execute(delete(j).where(bulk.among(connection, j.c.voucher_id, all_before)))
    if len(not_made):
        cancelled = update(v).where(bulk.among(connection, v.c.id, not_made))
        connection.execute(cancelled.values(status=VoucherStatus.CANCELLED))


def _file_dispositions(
    connection: Connection, free: pl.DataFrame, vouchers: pl.DataFrame, no_voucher: pl.DataFrame
) -> None:
    """A document that makes no voucher says why; one that makes a voucher after all is accepted again."""
    silent = no_voucher.join(free, on="document_pk").filter(
        (pl.col("disposition") != Disposition.NO_VOUCHER.value)
        | (pl.col("disposition_reason") != pl.col("reason"))
    )
    for (reason,), documents in silent.group_by("reason", maintain_order=True):
        _dispose(connection, documents, Disposition.NO_VOUCHER, str(reason))
    speaking = free.filter(pl.col("disposition") == Disposition.NO_VOUCHER.value)
    _dispose(connection, speaking.join(vouchers, on="document_pk", how="semi"), Disposition.ACCEPTED, "")


def _dispose(connection: Connection, documents: pl.DataFrame, disposition: Disposition, reason: str) -> None:
    d = t.source_document
    if documents.height:
        chosen = update(d).where(bulk.among(connection, d.c.id, documents["document_pk"]))
        connection.execute(chosen.values(disposition=disposition, disposition_reason=reason))


def _file_problems(connection: Connection, made: GeneratedSet, free: Sequence[int], at: datetime) -> None:
    p, d = t.problem, t.source_document
    is_open = (p.c.stage == Stage.GENERATE, p.c.resolved_at.is_(None))
    troubled = set(
        connection.scalars(
            select(p.c.document_pk).where(bulk.among(connection, p.c.document_pk, free), *is_open)
        )
    )
    found = {pk: made.problems.get(pk, ()) for pk in free if pk in troubled or pk in made.problems}
    problems.sync(connection, made.book, Stage.GENERATE, found, at)
    failed = [pk for pk, of_document in found.items() if of_document]
    if failed:
        chosen = update(d).where(bulk.among(connection, d.c.id, failed))
        connection.execute(chosen.values(disposition=Disposition.QUARANTINED))
