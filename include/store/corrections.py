"""Correcting vouchers in the store: reversals and their replacements, written together or not at all.

The event of a correction tells its place: `expense_claim` is reversed by `expense_claim.reversal` and replaced by
`expense_claim.2`, that by `expense_claim.2.reversal` and `expense_claim.3`. A reversal has the revision of its original,
a replacement that of its document; each revision counts from 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, and_, delete, or_, select, update

from include.domain.document import Disposition
from include.domain.problems import Stage
from include.domain.voucher import UNSENT_STATUSES, VoucherStatus
from include.ports import Clock
from include.store import audit, bulk, problems
from include.store import tables as t
from include.store.engine import writing
from include.store.moved import keep_moves

CHANGEABLE = frozenset({*UNSENT_STATUSES, VoucherStatus.CANCELLED})
"""States of vouchers that were never sent, or that the ledger refused."""
CHANGED_AFTER_POSTING = ("document.changed_after_posting", "document.withdrawn_after_posting")
"""Codes of the problems that hold a document whose voucher was sent before it changed."""
_EVENT = re.compile(r"([^.]+)(?:\.([0-9]+))?(\.reversal)?")


class Relation(StrEnum):
    """What a voucher is to its original."""

    NONE = ""
    REVERSAL = "reversal"
    """It takes its original back: a red copy, or of a prior year a blue one with the sides changed over."""
    REPLACEMENT = "replacement"
    """It is posted once its original is reversed."""
    CORRECTION = "correction"
    """Of a prior year: together with its original, and what that corrects, it is what the document asks for."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a voucher stands among those of one accounting event of a document: its generation counts from 1."""

    event: str
    generation: int = 1
    is_reversal: bool = False

    @classmethod
    def of(cls, event: str) -> Place:
        match = _EVENT.fullmatch(event)
        if match is None:
            return cls(event)
        return cls(match[1], int(match[2] or 1), match[3] is not None)

    def __str__(self) -> str:
        number = f".{self.generation}" if self.generation > 1 else ""
        return f"{self.event}{number}{'.reversal' if self.is_reversal else ''}"


@dataclass(frozen=True, slots=True)
class Draft:
    """A correction to be written. `number` joins it to its lines; debit and credit totals are equal."""

    number: int
    key: str
    place: Place
    relation: Relation
    original_id: int | None
    document_pk: int
    source: str
    document_id: str
    revision: int
    word: str
    policy_date: date | None
    """Its date before it was moved out of a closed period."""
    date: date
    currency: str
    total_minor: int
    attachments: int


@dataclass(frozen=True, slots=True)
class Release:
    """What becomes of a changed document and its vouchers, beside corrections.

    `seen` are content digest, status and role of its current row, and `revisions` the row ids of all its revisions in the
    book, on which that was decided. `kept` are vouchers of earlier revisions that stand for the current one from now on,
    `undone` those that somebody reversed in the ledger. `why` is for the audit trail.
    """

    seen: tuple[str, str, str]
    revisions: tuple[int, ...]
    disposition: Disposition
    reason: str = ""
    kept: tuple[int, ...] = ()
    undone: tuple[int, ...] = ()
    why: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Correction:
    """What is to be done about one document: drafts that take the place of what is there under their keys, and unsent
    vouchers to cancel. `seen` are its vouchers, id and status, on which that was decided: those of the row `document_pk`,
    or where a change of the document is followed, of all revisions.
    """

    document_pk: int
    subject: str
    seen: frozenset[tuple[int, str]]
    drafts: tuple[Draft, ...] = ()
    cancelled: tuple[int, ...] = ()
    release: Release | None = None


class Corrections:
    """Writes corrections; each call is one transaction."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.engine = engine
        self.clock = clock

    def save(
        self,
        book: str,
        corrections: Sequence[Correction],
        lines: pl.DataFrame,
        *,
        rules: tuple[str, int],
        actor: str,
    ) -> list[Correction]:
        """Write corrections with the journal lines of their drafts (column `number`, and those of the table).

        A document whose vouchers are not as they were seen is left alone; returns the corrections that were written.
        `rules` are digest and version of the rules that made the replacements.
        """
        now = self.clock.now()
        with writing(self.engine) as connection:
            sound = _unchanged(connection, corrections)
            drafts = [draft for correction in sound for draft in correction.drafts]
            cancelled = [pk for correction in sound for pk in correction.cancelled]
            if cancelled:
                self._cancel(connection, cancelled)
            if drafts:
                _write(connection, book, drafts, lines, rules, now)
            for correction in sound:
                if correction.release is not None:
                    _release(connection, correction.document_pk, correction.release, now)
            problems.forget_cancelled(connection, [each.document_pk for each in sound if each.cancelled], now)
            audit.append(connection, [_event(each, book, rules, actor) for each in sound], now)
        return sound

    @staticmethod
    def _cancel(connection: Connection, ids: Sequence[int]) -> None:
        v = t.voucher
        connection.execute(
            update(v).where(bulk.among(connection, v.c.id, ids)).values(status=VoucherStatus.CANCELLED)
        )


def _unchanged(connection: Connection, corrections: Sequence[Correction]) -> list[Correction]:
    """Those whose documents and vouchers are as they were seen. Locks them; another that changes them waits."""
    d, v = t.source_document, t.voucher
    rows_of = {c.document_pk: c.release.revisions if c.release else (c.document_pk,) for c in corrections}
    owner = {pk: document_pk for document_pk, pks in rows_of.items() for pk in pks}
    its = bulk.among(connection, v.c.document_pk, list(owner))
    current = bulk.among(connection, d.c.id, list(rows_of))
    if connection.dialect.name == "postgresql":  # documents before vouchers, as everywhere
        connection.execute(select(d.c.id).where(current).order_by(d.c.id).with_for_update()).all()
        connection.execute(select(v.c.id).where(its).order_by(v.c.id).with_for_update()).all()
    found = bulk.read(connection, select(v.c.id, v.c.document_pk, v.c.status).where(its))
    there: dict[int, set[tuple[int, str]]] = {pk: set() for pk in rows_of}
    for pk, voucher_id, status in found.select("document_pk", "id", "status").iter_rows():
        there[owner[pk]].add((voucher_id, status))
    columns = (d.c.id, d.c.content_digest, d.c.status, d.c.role)
    documents = {
        pk: tuple(rest)
        for pk, *rest in bulk.read(connection, select(*columns).where(current, d.c.is_current))
        .select("id", "content_digest", "status", "role")
        .iter_rows()
    }
    return [
        each
        for each in corrections
        if each.seen == there[each.document_pk]
        and (each.release is None or each.release.seen == documents.get(each.document_pk))
    ]


def _release(connection: Connection, document_pk: int, release: Release, now: datetime) -> None:
    """Let a document go that was held since it changed, with its vouchers as decided."""
    d, v, p = t.source_document, t.voucher, t.problem
    connection.execute(
        update(d)
        .where(d.c.id == document_pk)
        .values(disposition=release.disposition, disposition_reason=release.reason)
    )
    said = or_(
        p.c.stage == Stage.FOLLOW, and_(p.c.stage == Stage.VALIDATE, p.c.code.in_(CHANGED_AFTER_POSTING))
    )
    connection.execute(
        update(p)
        .where(p.c.document_pk == document_pk, p.c.resolved_at.is_(None), said)
        .values(resolved_at=now)
    )
    if release.kept:
        connection.execute(update(v).where(v.c.id.in_(release.kept)).values(document_pk=document_pk))
    if release.undone:
        connection.execute(update(v).where(v.c.id.in_(release.undone)).values(status=VoucherStatus.REVERSED))


def _write(
    connection: Connection,
    book: str,
    drafts: Sequence[Draft],
    lines: pl.DataFrame,
    rules: tuple[str, int],
    now: datetime,
) -> None:
    """Put drafts in the place of what is there under their keys, or beside it."""
    v = t.voucher
    stamp = pl.lit(now).dt.cast_time_unit("us").alias("generated_at")
    rows = pl.DataFrame(
        [_row(draft, book, rules) for draft in drafts],
        schema_overrides={"original_id": pl.Int64, "policy_date": pl.Date},
        infer_schema_length=1,
    ).with_columns(stamp)
    keys, columns = rows["key"].to_list(), (v.c.id, v.c.key, v.c.date, v.c.policy_date)
    before = pl.concat(
        [
            bulk.read(connection, select(*columns).where(v.c.key.in_(keys[start : start + 500])))
            for start in range(0, len(keys), 500)
        ]
    )
    rows = rows.join(before.select("id", "key"), on="key", how="left", maintain_order="left")
    fresh, again = rows.filter(pl.col("id").is_null()), rows.filter(pl.col("id").is_not_null())
    if fresh.height:
        fresh = fresh.with_columns(bulk.new_ids(connection, v, fresh.height))
        bulk.insert(connection, v, fresh.drop("number"))
    if again.height:
        j = t.journal_line
        connection.execute(delete(j).where(bulk.among(connection, j.c.voucher_id, again["id"])))
        bulk.update(
            connection,
            v,
            keep_moves(again.drop("number"), before).with_columns(
                pl.lit(None, pl.String).alias("content_digest")
            ),
        )
    ids = pl.concat([fresh, again]).select("number", pl.col("id").alias("voucher_id"))
    # Lines of drafts that are not written after all have no partner here.
    bulk.insert(connection, t.journal_line, lines.join(ids, on="number").drop("number"))


def _row(draft: Draft, book: str, rules: tuple[str, int]) -> dict[str, Any]:
    digest, version = rules
    return {
        "key": draft.key,
        "book": book,
        "source": draft.source,
        "document_id": draft.document_id,
        "number": draft.number,
        "document_pk": draft.document_pk,
        "event": str(draft.place),
        "revision": draft.revision,
        "word": draft.word,
        "date": draft.date,
        "period": f"{draft.date:%Y-%m}",
        "currency": draft.currency,
        "debit_minor": draft.total_minor,
        "credit_minor": draft.total_minor,
        "attachments": draft.attachments,
        "rule_digest": digest,
        "rule_version": version,
        "relation": draft.relation.value,
        "original_id": draft.original_id,
        "policy_date": draft.policy_date,
        "status": VoucherStatus.GENERATED.value,
        "message": "",
    }


def _event(correction: Correction, book: str, rules: tuple[str, int], actor: str) -> audit.AuditEvent:
    keys = {
        name: [draft.key for draft in correction.drafts if draft.relation in relations]
        for name, relations in (
            ("reversals", {Relation.REVERSAL}),
            ("replacements", {Relation.NONE, Relation.REPLACEMENT, Relation.CORRECTION}),
        )
    }
    detail = {
        **keys,
        "withdrawn": len(correction.cancelled),
        "rule_digest": rules[0],
        "rule_version": rules[1],
    }
    if correction.release is None:
        return audit.AuditEvent(actor, book, "voucher.corrected", correction.subject, detail)
    release = correction.release
    detail |= {"kept": list(release.kept), "undone": list(release.undone), **release.why}
    return audit.AuditEvent(actor, book, "document.followed", correction.subject, detail)
