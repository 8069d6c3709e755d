"""Correcting vouchers in the store: red-letter reversals and their replacements, written together or not at all.

The event of a correction tells its place: `expense_claim` is reversed by `expense_claim.reversal` and replaced by
`expense_claim.2`, that by `expense_claim.2.reversal` and `expense_claim.3`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, delete, select, update

from include.domain.voucher import UNSENT_STATUSES, VoucherStatus
from include.ports import Clock
from include.store import audit, bulk
from include.store import tables as t
from include.store.engine import writing

CHANGEABLE = frozenset({*UNSENT_STATUSES, VoucherStatus.CANCELLED})
"""States of vouchers that were never sent, or that the ledger refused."""
_EVENT = re.compile(r"([^.]+)(?:\.([0-9]+))?(\.reversal)?")


class Relation(StrEnum):
    """What a voucher is to its original."""

    NONE = ""
    REVERSAL = "reversal"
    REPLACEMENT = "replacement"


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
    date: date
    currency: str
    total_minor: int
    attachments: int


@dataclass(frozen=True, slots=True)
class Correction:
    """What is to be done about one document: drafts that take the place of what is there under their keys, and unsent
    vouchers to cancel. `seen` are its vouchers, id and status, on which that was decided.
    """

    document_pk: int
    subject: str
    seen: frozenset[tuple[int, str]]
    drafts: tuple[Draft, ...] = ()
    cancelled: tuple[int, ...] = ()


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
            audit.append(connection, [_event(each, book, rules, actor) for each in sound], now)
        return sound

    @staticmethod
    def _cancel(connection: Connection, ids: Sequence[int]) -> None:
        v = t.voucher
        connection.execute(
            update(v).where(bulk.among(connection, v.c.id, ids)).values(status=VoucherStatus.CANCELLED)
        )


def _unchanged(connection: Connection, corrections: Sequence[Correction]) -> list[Correction]:
    """Those whose documents have the vouchers that were seen. Locks them; another that corrects them waits."""
    v = t.voucher
    pks = [correction.document_pk for correction in corrections]
    its = bulk.among(connection, v.c.document_pk, pks)
    if connection.dialect.name == "postgresql":
        connection.execute(select(v.c.id).where(its).with_for_update()).all()
    found = bulk.read(connection, select(v.c.id, v.c.document_pk, v.c.status).where(its))
    there: dict[int, set[tuple[int, str]]] = {pk: set() for pk in pks}
    for pk, voucher_id, status in found.select("document_pk", "id", "status").iter_rows():
        there[pk].add((voucher_id, status))
    return [correction for correction in corrections if correction.seen == there[correction.document_pk]]


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
        schema_overrides={"original_id": pl.Int64},
        infer_schema_length=1,
    ).with_columns(stamp)
    keys = rows["key"].to_list()
    before = pl.concat(
        [
            bulk.read(connection, select(v.c.id, v.c.key).where(v.c.key.in_(keys[start : start + 500])))
            for start in range(0, len(keys), 500)
        ]
    )
    rows = rows.join(before, on="key", how="left", maintain_order="left")
    fresh, again = rows.filter(pl.col("id").is_null()), rows.filter(pl.col("id").is_not_null())
    if fresh.height:
        fresh = fresh.with_columns(bulk.new_ids(connection, v, fresh.height))
        bulk.insert(connection, v, fresh.drop("number"))
    if again.height:
        j = t.journal_line
        connection.execute(delete(j).where(bulk.among(connection, j.c.voucher_id, again["id"])))
        bulk.update(
            connection, v, again.drop("number").with_columns(pl.lit(None, pl.String).alias("content_digest"))
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
        "status": VoucherStatus.GENERATED.value,
        "message": "",
    }


def _event(correction: Correction, book: str, rules: tuple[str, int], actor: str) -> audit.AuditEvent:
    keys = {
        name: [
            draft.key for draft in correction.drafts if (draft.relation is Relation.REVERSAL) == is_reversal
        ]
        for name, is_reversal in (("reversals", True), ("replacements", False))
    }
    detail = {
        **keys,
        "withdrawn": len(correction.cancelled),
        "rule_digest": rules[0],
        "rule_version": rules[1],
    }
    return audit.AuditEvent(actor, book, "voucher.corrected", correction.subject, detail)
