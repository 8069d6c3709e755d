"""Documents in the store: snapshots, revisions, lines, master data, watermark and completeness."""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Engine,
    and_,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    true,
    update,
)

from include.domain.document import DUE_STATUSES, BookRole, Disposition
from include.domain.problems import Problem, Stage
from include.domain.voucher import VoucherStatus
from include.ports import MasterRecord, RawDocument
from include.store import problems
from include.store import tables as t
from include.store.corrections import Relation
from include.store.engine import reading, writing
from include.store.filing import (
    CHUNK,
    Filed,
    Saved,
    chunks,
    file_page,
    insert_rows,
    lock_source,
    set_disposition,
    stands,
)

MOST_CAUSES = 20
MOST_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Scope:
    """Business days to work on, both included; None is open. Documents whose day cannot be told always belong."""

    date_from: date | None = None
    date_to: date | None = None


@dataclass(frozen=True, slots=True)
class Causes:
    """Documents per problem code, most frequent first, and some problems in full for a log."""

    counts: tuple[tuple[str, int], ...]
    examples: tuple[str, ...]


class Documents:
    """Reads and writes of documents. Every public method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def watermark(self, source: str) -> datetime | None:
        """Up to when all changes of a source are stored."""
        with reading(self.engine) as connection:
            return connection.scalar(
                select(t.extract_watermark.c.changed_until).where(t.extract_watermark.c.source == source)
            )

    def advance_watermark(self, source: str, changed_until: datetime) -> None:
        """Never moves backwards."""
        w = t.extract_watermark
        with writing(self.engine) as connection:
            lock_source(connection, source)
            before = connection.scalar(select(w.c.changed_until).where(w.c.source == source))
            if before is None:
                connection.execute(insert(w).values(source=source, changed_until=changed_until))
            elif before < changed_until:
                connection.execute(update(w).where(w.c.source == source).values(changed_until=changed_until))

    def replace_master(self, source: str, records: Iterable[MasterRecord]) -> int:
        """Take over the source's master data as it is now; entries that are gone stay, as inactive."""
        m = t.master_record
        rows = {(r.kind, r.id): _master_row(source, r) for r in records}
        with writing(self.engine) as connection:
            lock_source(connection, source)
            before = connection.execute(select(m).where(m.c.source == source)).mappings().all()
            gone = [{**row, "is_active": False} for row in before if (row["kind"], row["id"]) not in rows]
            connection.execute(delete(m).where(m.c.source == source))
            insert_rows(connection, m, [*rows.values(), *gone])
        return len(rows)

    def known(self, source: str, document_ids: Sequence[str]) -> dict[str, datetime | None]:
        """Of these documents, those that are stored, with the time of the change that is stored."""
        d = t.source_document
        with reading(self.engine) as connection:
            return {
                row.document_id: row.updated_at
                for part in chunks(document_ids)
                for row in connection.execute(
                    select(d.c.document_id, d.c.updated_at).where(
                        d.c.source == source, _at_home(), d.c.document_id.in_(part)
                    )
                )
            }

    def save(self, source: str, filed: Sequence[Filed], fetched_at: datetime) -> Saved:
        """Store a page of documents, each once; the last one wins where an id comes twice."""
        unique = {item.document_id: item for item in filed}
        with writing(self.engine) as connection:
            return file_page(connection, source, unique, fetched_at)

    def unsettled_payloads(self, source: str) -> Iterator[list[RawDocument]]:
        """The latest stored payloads of documents that are pending or quarantined in any book, each once, to be read
        again with today's configuration and master data; in pages.
        """
        d, s = t.source_document, t.source_snapshot
        other = d.alias()
        is_unsettled = [
            and_(table.c.is_current, table.c.disposition.in_([Disposition.PENDING, Disposition.QUARANTINED]))
            for table in (d, other)
        ]
        earlier = exists().where(
            other.c.source == source,
            other.c.document_id == d.c.document_id,
            is_unsettled[1],
            other.c.id < d.c.id,
        )
        last = 0
        while True:
            with reading(self.engine) as connection:
                rows = connection.execute(
                    select(d.c.id, d.c.document_id, d.c.form_type, d.c.updated_at, s.c.payload)
                    .join(s, s.c.id == d.c.snapshot_id)
                    .where(
                        d.c.source == source,
                        is_unsettled[0],
                        ~earlier,
                        d.c.id > last,
                    )
                    .order_by(d.c.id)
                    .limit(CHUNK)
                ).all()
            if not rows:
                return
            last = rows[-1].id
            yield [
                RawDocument(
                    row.document_id, row.form_type, row.updated_at, json.loads(zlib.decompress(row.payload))
                )
                for row in rows
            ]

    def payload(self, snapshot_id: int) -> dict[str, Any]:
        """The payload of a snapshot, as the source sent it."""
        with reading(self.engine) as connection:
            blob = connection.scalar(
                select(t.source_snapshot.c.payload).where(t.source_snapshot.c.id == snapshot_id)
            )
        payload: dict[str, Any] = json.loads(zlib.decompress(blob or b""))
        return payload

    def ids_created(self, source: str, form_type: str, since: datetime, until: datetime) -> set[str]:
        """Ids of stored documents of a form type that were created in a span, both ends included."""
        with reading(self.engine) as connection:
            return set(
                connection.scalars(
                    select(t.source_document.c.document_id).where(_created(source, form_type, since, until))
                )
            )

    def count_created(self, source: str, form_type: str, since: datetime, until: datetime) -> int:
        """How many those are."""
        with reading(self.engine) as connection:
            return (
                connection.scalar(
                    select(func.count())
                    .select_from(t.source_document)
                    .where(_created(source, form_type, since, until))
                )
                or 0
            )

    def record_proof(self, source: str, proofs: Sequence[Mapping[str, Any]], proved_at: datetime) -> None:
        """Keep the outcome of a completeness proof: form_type, until, source_count, stored_count, difference."""
        with writing(self.engine) as connection:
            insert_rows(
                connection,
                t.completeness_proof,
                [{"source": source, "proved_at": proved_at, **proof} for proof in proofs],
            )

    def latest_proofs(self, source: str) -> list[dict[str, Any]]:
        """The latest proof of each form type."""
        p = t.completeness_proof
        latest = select(func.max(p.c.id)).where(p.c.source == source).group_by(p.c.form_type)
        with reading(self.engine) as connection:
            return [
                dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
                for row in connection.execute(select(p).where(p.c.id.in_(latest)).order_by(p.c.form_type))
            ]

    def changed_after_posting(self, book: str) -> list[dict[str, Any]]:
        """The book's current documents that no longer agree with a voucher of theirs that stands: withdrawn, changed, or
        of no concern to the book any more. Those too whose home was another book, where the voucher still stands: the
        whole document would be booked twice. Left out are those for which its correction is on its way, or somebody
        decided that it stays.

        Rows: document_pk, book, code, status, revision, role, voucher_key, voucher_book, ledger_number.
        """
        d, v = t.source_document, t.voucher
        left, posted = d.alias(), d.alias()
        from_here = and_(v.c.book == d.c.book, is_out_of_line(d, v), ~_is_followed(d, v))
        from_elsewhere = and_(
            v.c.book != d.c.book,
            d.c.role == BookRole.HOME,
            exists().where(
                left.c.source == v.c.source,
                left.c.document_id == v.c.document_id,
                left.c.book == v.c.book,
                left.c.is_current,
                left.c.role != BookRole.HOME,  # it may keep a share of what it booked whole
            ),
            exists().where(posted.c.id == v.c.document_pk, posted.c.role != BookRole.SHARE),
        )
        with reading(self.engine) as connection:
            rows = connection.execute(
                select(
                    d.c.id.label("document_pk"),
                    d.c.book,
                    d.c.code,
                    d.c.status,
                    d.c.revision,
                    d.c.role,
                    v.c.key.label("voucher_key"),
                    v.c.book.label("voucher_book"),
                    v.c.ledger_number,
                )
                .join(v, and_(v.c.source == d.c.source, v.c.document_id == d.c.document_id))
                .where(d.c.book == book, d.c.is_current, or_(from_here, from_elsewhere), stands(v))
                .order_by(d.c.id, v.c.id)
            )
            return [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name for it

    def lines_of_no_book(self, book: str, scope: Scope, entities: Collection[str]) -> list[dict[str, Any]]:
        """Lines of the book's own unsettled documents in scope whose legal entity is none of `entities` (codes or ids).

        Rows, one a line and entity: document_pk, line_no, entity_id, entity_code, entity_name.
        """
        d, x = t.source_document, t.source_line
        with reading(self.engine) as connection:
            rows = connection.execute(
                select(
                    x.c.document_pk,
                    x.c.line_no,
                    x.c.legal_entity_id.label("entity_id"),
                    x.c.legal_entity_code.label("entity_code"),
                    x.c.legal_entity_name.label("entity_name"),
                )
                .distinct()
                .join(d, d.c.id == x.c.document_pk)
                .where(
                    d.c.book == book,
                    _at_home(),
                    d.c.disposition.in_([Disposition.PENDING, Disposition.QUARANTINED]),
                    in_scope(scope),
                    x.c.legal_entity_id != "",
                    x.c.legal_entity_id.not_in(list(entities)),
                    x.c.legal_entity_code.not_in(list(entities)),
                )
                .order_by(x.c.document_pk, x.c.line_no, x.c.legal_entity_id)
            )
            return [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name for it

    def file_gate(
        self,
        book: str,
        scope: Scope,
        *,
        checked_until: int,
        failed: Mapping[int, Sequence[Problem]],
        at: datetime,
    ) -> int:
        """File what the gate found: `failed` documents are quarantined with their problems, all others it looked
        at are accepted; withdrawn ones that nothing holds any more are not due.

        It looked at the pending and quarantined ones in scope that are due, up to row id `checked_until`. A failed
        document without problems here has them from an earlier stage. Returns how many were accepted.
        """
        d, p = t.source_document, t.problem
        unsettled = and_(
            d.c.book == book,
            d.c.is_current,
            d.c.role != BookRole.LEFT,
            d.c.disposition.in_([Disposition.PENDING, Disposition.QUARANTINED]),
            in_scope(scope),
        )
        is_due = d.c.status.in_(DUE_STATUSES)
        with writing(self.engine) as connection:
            problems.sync(connection, book, Stage.VALIDATE, failed, at)
            set_disposition(connection, list(failed), Disposition.NOT_DUE)  # out of the way of the next line
            accepted = connection.execute(
                update(d)
                .where(unsettled, is_due, d.c.id <= checked_until)
                .values(disposition=Disposition.ACCEPTED)
            ).rowcount
            connection.execute(update(d).where(unsettled, ~is_due).values(disposition=Disposition.NOT_DUE))
            set_disposition(connection, list(failed), Disposition.QUARANTINED)
            connection.execute(
                update(p)
                .where(
                    p.c.book == book,
                    p.c.stage == Stage.VALIDATE,
                    p.c.resolved_at.is_(None),
                    p.c.document_pk.in_(
                        select(d.c.id).where(
                            d.c.book == book,
                            d.c.disposition.in_([Disposition.ACCEPTED, Disposition.NOT_DUE]),
                        )
                    ),
                )
                .values(resolved_at=at)
            )
            return accepted

    def quarantine_causes(self, book: str, scope: Scope) -> Causes:
        """Why current documents in scope are quarantined now, whichever stage found it."""
        d, p = t.source_document, t.problem
        open_now = and_(
            d.c.book == book,
            d.c.is_current,
            d.c.disposition == Disposition.QUARANTINED,
            in_scope(scope),
            p.c.resolved_at.is_(None),
        )
        joined = p.join(d, d.c.id == p.c.document_pk)
        number = func.count(p.c.document_pk.distinct())
        with reading(self.engine) as connection:
            counts = connection.execute(
                select(p.c.code, number)
                .select_from(joined)
                .where(open_now)
                .group_by(p.c.code)
                .order_by(number.desc(), p.c.code)
                .limit(MOST_CAUSES)
            ).all()
            examples = connection.execute(
                select(d.c.code, d.c.document_id, p.c.code, p.c.zh, p.c.en)
                .select_from(joined)
                .where(open_now)
                .order_by(p.c.found_at.desc(), p.c.id)
                .limit(MOST_EXAMPLES)
            ).all()
        return Causes(
            counts=tuple((code, count) for code, count in counts),
            examples=tuple(f"{code or i} [{cause}] {zh} / {en}" for code, i, cause, zh, en in examples),
        )

    def quarantine(
        self, book: str, stage: Stage, outcome: Mapping[int, Sequence[Problem]], at: datetime
    ) -> None:
        """File the problems that a later stage found (none: resolved); documents that have any are quarantined."""
        with writing(self.engine) as connection:
            problems.sync(connection, book, stage, outcome, at)
            failed = [pk for pk, found in outcome.items() if found]
            set_disposition(connection, failed, Disposition.QUARANTINED)


def within(day: ColumnElement[date], scope: Scope) -> ColumnElement[bool]:
    """The condition that a day lies in the scope; true for every day where the scope is open."""
    conditions: list[ColumnElement[bool]] = [true()]
    if scope.date_from:
        conditions.append(day >= scope.date_from)
    if scope.date_to:
        conditions.append(day <= scope.date_to)
    return and_(*conditions)


def in_scope(scope: Scope) -> ColumnElement[bool]:
    """The condition on `source_document`: its business date lies in the scope, or cannot be told."""
    day = t.source_document.c.business_date
    return or_(day.is_(None), within(day, scope))


def is_out_of_line(d: Any, v: Any) -> ColumnElement[bool]:
    """Whether a row of `voucher` that stands is not what the current row of its document in the same book asks for:
    that is not approved any more, is another revision, or left the book. Where it was settled so, it is in line.
    """
    return and_(
        or_(d.c.status.not_in(DUE_STATUSES), v.c.document_pk != d.c.id, d.c.role == BookRole.LEFT),
        d.c.disposition != Disposition.SETTLED,
    )


def _is_followed(d: Any, v: Any) -> ColumnElement[bool]:
    """Whether the document was let go with what takes the voucher back, which waits to be sent or is on its way."""
    later = t.voucher.alias()
    return and_(
        d.c.disposition.not_in([Disposition.PENDING, Disposition.QUARANTINED]),
        exists().where(
            later.c.original_id == v.c.id,
            later.c.relation.in_([Relation.REVERSAL, Relation.CORRECTION]),
            later.c.status.in_(
                [VoucherStatus.GENERATED, VoucherStatus.HELD, VoucherStatus.SENDING, VoucherStatus.UNKNOWN]
            ),
        ),
    )


def _at_home() -> ColumnElement[bool]:
    """The condition on `source_document` that is true of exactly one row of every stored document."""
    d = t.source_document
    return and_(d.c.is_current, d.c.role == BookRole.HOME)


def _created(source: str, form_type: str, since: datetime, until: datetime) -> ColumnElement[bool]:
    d = t.source_document
    return and_(
        d.c.source == source,
        d.c.form_type == form_type,
        _at_home(),
        d.c.created_at >= since,
        d.c.created_at <= until,
    )


def _master_row(source: str, record: MasterRecord) -> dict[str, Any]:
    return {
        "source": source,
        "kind": record.kind,
        "id": record.id,
        "code": record.code,
        "name": record.name,
        "parent_id": record.parent_id,
        "is_active": record.is_active,
        "extra": json.dumps(dict(record.extra), ensure_ascii=False, sort_keys=True),
    }
