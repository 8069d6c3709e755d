"""Vouchers in the store: generated sets, the states of posting, and attempts."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, Row, bindparam, func, insert, or_, select, true, update

from include.domain.account import AuxiliaryDimension
from include.domain.money import Money
from include.domain.problems import Problem
from include.domain.voucher import (
    UNSENT_STATUSES,
    JournalLine,
    RuleTrace,
    Side,
    Voucher,
    VoucherKey,
    VoucherStatus,
    content_digest,
)
from include.exchanges import Exchange
from include.ports import Clock
from include.store import generated, leases, outcomes
from include.store import tables as t
from include.store.corrections import Relation
from include.store.documents import Scope, within
from include.store.engine import reading, writing
from include.store.filing import chunks
from include.store.following import is_asked_for, may_be_taken_back
from include.store.generated import GeneratedSet
from include.store.leases import Lease
from include.store.moved import day_by_policy
from include.store.outcomes import Settlement


@dataclass(frozen=True, slots=True)
class StoredVoucher:
    """A voucher with its row id and where it stands.

    `intent_at`, `fence` and `seen` are of the last time it was sent: when, under which lease, and what stood in a ledger
    without keys before, by the ledger's ids.
    """

    id: int
    status: VoucherStatus
    voucher: Voucher
    content_digest: str | None
    ledger_id: str
    ledger_number: str
    intent_at: datetime | None = None
    fence: int = 0
    seen: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Looked:
    """What a ledger without keys showed for a voucher before it is sent: `ids` of all that is like it in date and total,
    and the voucher's content then.
    """

    content: Voucher
    ids: frozenset[str]


class Vouchers:
    """Reads and writes of vouchers. Every public method is one transaction; writes check the lease they are given."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.engine = engine
        self.clock = clock

    def frames_to_generate(self, book: str, scope: Scope, size: int) -> Iterator[tuple[pl.DataFrame, ...]]:
        """Accepted documents without a sent voucher, `size` at a time, with their lines, written-off loans, invoices:
        the columns that rules read, and `source`, `document_id`, `revision`.
        """
        return generated.frames(self.engine, book, scope, size)

    def save_generated(self, made: GeneratedSet) -> None:
        """Put what was made of documents in the place of their unsent vouchers; see `generated.save`."""
        with writing(self.engine) as connection:
            generated.save(connection, made, self.clock.now())

    def withdraw(self, document_pks: Sequence[int]) -> None:
        """Cancel the unsent vouchers of documents that failed after generation; corrections stay."""
        with writing(self.engine) as connection:
            for part in chunks(document_pks):
                connection.execute(
                    update(t.voucher)
                    .where(
                        t.voucher.c.document_pk.in_(part),
                        t.voucher.c.status.in_(UNSENT_STATUSES),
                        t.voucher.c.relation == "",
                    )
                    .values(status=VoucherStatus.CANCELLED)
                )

    def count(self, book: str, scope: Scope, statuses: Iterable[VoucherStatus]) -> int:
        v = t.voucher
        with reading(self.engine) as connection:
            return (
                connection.scalar(
                    select(func.count()).where(
                        v.c.book == book, v.c.status.in_(list(statuses)), within(day_by_policy(v), scope)
                    )
                )
                or 0
            )

    def batch(
        self,
        book: str,
        scope: Scope,
        statuses: Iterable[VoucherStatus],
        size: int,
        after_id: int = 0,
        *,
        replacements: bool | None = None,
    ) -> list[StoredVoucher]:
        """The next vouchers in these states, in the order of their ids, as whole values.

        `replacements`: those of corrections alone, or all but those; None takes all.
        """
        v = t.voucher
        is_replacement = v.c.relation == Relation.REPLACEMENT
        wanted = {None: true(), True: is_replacement, False: ~is_replacement}[replacements]
        with reading(self.engine) as connection:
            ids = connection.scalars(
                select(v.c.id)
                .where(
                    v.c.book == book,
                    v.c.status.in_(list(statuses)),
                    within(day_by_policy(v), scope),
                    v.c.id > after_id,
                    wanted,
                )
                .order_by(v.c.id)
                .limit(size)
            ).all()
            return load(connection, ids)

    def with_alike(
        self, book: str, batch: Sequence[StoredVoucher], statuses: Iterable[VoucherStatus]
    ) -> list[StoredVoucher]:
        """The batch and all others of the book in these states that were sent with the content of one of it."""
        v = t.voucher
        digests = {s.content_digest for s in batch if s.content_digest}
        wanted = {s.id for s in batch}
        with reading(self.engine) as connection:
            for part in chunks(sorted(digests)):
                wanted |= set(
                    connection.scalars(
                        select(v.c.id).where(
                            v.c.book == book, v.c.status.in_(list(statuses)), v.c.content_digest.in_(part)
                        )
                    )
                )
            return load(connection, sorted(wanted))

    def taken(self, book: str, ledger_ids: Collection[str]) -> dict[str, int]:
        """Which of our vouchers has which of these ids of the ledger, as far as they are known as ours."""
        v = t.voucher
        with reading(self.engine) as connection:
            return {
                row.ledger_id: row.id
                for part in chunks(sorted(ledger_ids))
                for row in connection.execute(
                    select(v.c.id, v.c.ledger_id).where(v.c.book == book, v.c.ledger_id.in_(part))
                )
            }

    def mark_sending(
        self,
        lease: Lease,
        ids: Sequence[int],
        statuses: Iterable[VoucherStatus],
        dimension_kinds: frozenset[str],
        looked: Mapping[int, Looked] | None = None,
    ) -> list[StoredVoucher]:
        """Commit the intent to post, before the call is made; returns what may be sent, as it stands now.

        `looked`, by row id, is kept with the intent; a voucher that has other content by now is left out.

        A voucher is left out that is no longer in one of these states, or whose document is not accepted any
        more: another run may have changed either since the batch was read. So is a replacement while the reversal
        of what it replaces is not in the ledger, and any voucher of a document that still has a reversal to be sent:
        both must never count there. A reversal goes too where its document does not ask for the voucher any more.
        """
        v, d = t.voucher, t.source_document
        now = self.clock.now()
        with writing(self.engine) as connection:
            leases.check(connection, lease, now)
            outcomes.lock_documents(connection, ids)
            may_go = connection.scalars(
                select(v.c.id)
                .join(d, d.c.id == v.c.document_pk)
                .where(
                    v.c.id.in_(ids),
                    v.c.status.in_(list(statuses)),
                    or_(is_asked_for(v, d), may_be_taken_back(v)),
                )
                .order_by(v.c.id)
                .with_for_update(of=v)
            ).all()
            batch = load(connection, may_go)
            if looked is not None:
                batch = [s for s in batch if s.id in looked and looked[s.id].content == s.voucher]
            if not batch:
                return []
            digests = {s.id: content_digest(s.voucher.date, s.voucher.lines, dimension_kinds) for s in batch}
            connection.execute(
                update(v)
                .where(v.c.id == bindparam("pk"))
                .values(status=VoucherStatus.SENDING, content_digest=bindparam("sent_digest"), message=""),
                [{"pk": pk, "sent_digest": value} for pk, value in digests.items()],
            )
            connection.execute(
                insert(t.posting_attempt),
                [
                    outcomes.attempt(
                        lease,
                        pk,
                        "intent",
                        now,
                        content_digest=value,
                        seen=json.dumps(sorted(looked[pk].ids)) if looked else "",
                    )
                    for pk, value in digests.items()
                ],
            )
        return [
            replace(
                stored,
                status=VoucherStatus.SENDING,
                content_digest=digests[stored.id],
                intent_at=now,
                fence=lease.fence,
                seen=looked[stored.id].ids if looked else frozenset(),
            )
            for stored in batch
        ]

    def settle(
        self,
        lease: Lease,
        settlements: Sequence[Settlement],
        step: str = "outcome",
        *,
        only: Collection[VoucherStatus] = tuple(VoucherStatus),
        exchanges: Sequence[Exchange] = (),
        keep_days: int = 0,
        problems: Mapping[int, Sequence[Problem]] | None = None,
    ) -> list[Settlement]:
        """Record what became of vouchers, with an attempt each and an audit event for those now in the ledger.

        `exchanges`: what was said to the ledger, its texts kept for `keep_days`.
        `problems`: what finance must know of each, by row id, in the place of what it was told before; documents of
        rejected vouchers are quarantined with it.

        A voucher that is not in one of the states `only` any more is left as it is; returns what was recorded.
        """
        if not settlements:
            return []
        v = t.voucher
        now = self.clock.now()
        with writing(self.engine) as connection:
            leases.check(connection, lease, now)
            if problems is not None:
                outcomes.lock_documents(connection, [s.id for s in settlements])
            still = {
                pk
                for part in chunks([s.id for s in settlements])
                for pk in connection.scalars(
                    select(v.c.id)
                    .where(v.c.id.in_(part), v.c.status.in_(list(only)))
                    .order_by(v.c.id)
                    .with_for_update()
                )
            }
            settlements = [s for s in settlements if s.id in still]
            if not settlements:
                return []
            outcomes.record(connection, lease, settlements, step, now, (exchanges, keep_days))
            if problems is not None:
                outcomes.file_problems(connection, lease.book, settlements, problems, now)
        return list(settlements)

    def renumber(self, numbers: Mapping[int, str]) -> None:
        """Take over the numbers that the ledger gave vouchers afresh, by our row id."""
        if not numbers:
            return
        v = t.voucher
        with writing(self.engine) as connection:
            connection.execute(
                update(v).where(v.c.id == bindparam("pk")).values(ledger_number=bindparam("new_number")),
                [{"pk": pk, "new_number": number} for pk, number in numbers.items()],
            )


def load(connection: Connection, ids: Sequence[int]) -> list[StoredVoucher]:
    """Vouchers as values, in the order of their ids.

    Raises:
        InvalidVoucher: what is stored does not balance; the store was altered by hand.
    """
    v, j, a = t.voucher, t.journal_line, t.posting_attempt
    found: list[StoredVoucher] = []
    for part in chunks(ids):
        rows = connection.execute(select(v).where(v.c.id.in_(part)).order_by(v.c.id)).all()
        lines: dict[int, list[Row[Any]]] = {}
        for line in connection.execute(
            select(j).where(j.c.voucher_id.in_(part)).order_by(j.c.voucher_id, j.c.line_no)
        ):
            lines.setdefault(line.voucher_id, []).append(line)
        last = (
            select(func.max(a.c.id))
            .where(a.c.voucher_id.in_(part), a.c.step == "intent")
            .group_by(a.c.voucher_id)
        )
        intents: dict[int, Any] = {
            row.voucher_id: row
            for row in connection.execute(
                select(a.c.voucher_id, a.c.at, a.c.fence, a.c.seen).where(a.c.id.in_(last))
            )
        }
        found += [_stored(row, lines.get(row.id, []), intents.get(row.id)) for row in rows]
    return found


def _stored(row: Row[Any], lines: Sequence[Row[Any]], intent: Any) -> StoredVoucher:
    key = VoucherKey(row.book, row.source, row.document_id, row.event, row.revision)
    voucher = Voucher(
        key=key,
        word=row.word,
        date=row.date,
        lines=tuple(_line(line, row.currency) for line in lines),
        attachments=row.attachments,
        rule_digest=row.rule_digest,
    )
    return StoredVoucher(
        row.id,
        VoucherStatus(row.status),
        voucher,
        row.content_digest,
        row.ledger_id,
        row.ledger_number,
        intent.at if intent else None,
        intent.fence if intent else 0,
        frozenset(json.loads(intent.seen)) if intent and intent.seen else frozenset(),
    )


def _line(row: Row[Any], currency: str) -> JournalLine:
    return JournalLine(
        line_no=row.line_no,
        side=Side(row.side),
        account=row.account,
        amount=Money(row.amount_minor, currency),
        summary=row.summary,
        dimensions=tuple(AuxiliaryDimension(*part) for part in json.loads(row.dimensions)),
        transaction=Money(row.transaction_minor, row.transaction_currency)
        if row.transaction_currency
        else None,
        trace=RuleTrace(
            row.template, row.template_line, row.entry, row.table_name, row.table_row, row.source_line_no
        ),
    )
