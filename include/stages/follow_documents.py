"""A document that changed after something of it was sent: what stands of it, what has changed, and what the table says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from include.domain.changes import DocumentChange, Policy, Situation, Verdict, decide
from include.domain.document import BookRole, DocumentStatus
from include.domain.period import Calendar, PeriodState
from include.domain.problems import Problem, ProblemOwner
from include.domain.voucher import UNSENT_STATUSES, VoucherStatus
from include.rules import Generated
from include.stages.drafting import Row
from include.stages.prior_year import PriorYear, effect
from include.store.corrections import Place, Relation
from include.store.following import Histories

IN_DOUBT = frozenset({VoucherStatus.SENDING, VoucherStatus.UNKNOWN, VoucherStatus.CONFLICT})
UNDOING = frozenset({Relation.REVERSAL, Relation.CORRECTION})


@dataclass(frozen=True, slots=True)
class Step:
    """One accounting event of a document: what stands of it, what has changed, and what is to be done."""

    event: str
    standing: tuple[Row, ...]
    change: DocumentChange
    situation: Situation
    verdict: Verdict


@dataclass
class Document:
    """A current document with its history in the book.

    `heads` are what the rules make of it, by event; `lines_of` are journal lines by voucher, `wanted_lines` by event.
    `today` is the day in the book's zone. `by_hand` tells of standing vouchers that the ledger has other than we know, by row id.
    """

    row: Row
    revisions: tuple[int, ...]
    vouchers: Sequence[Row]
    lines_of: Mapping[int, Sequence[Row]]
    heads: Mapping[str, Row]
    wanted_lines: Mapping[str, Sequence[Row]]
    refusal: Problem | None
    no_voucher: str
    calendar: Calendar
    prior_year: PriorYear | None
    today: date
    by_hand: dict[int, Situation] = field(default_factory=dict)

    @property
    def pk(self) -> int:
        return int(self.row["id"])

    @property
    def gone(self) -> DocumentChange | None:
        """Why it asks for no voucher in this book any more; None where it does."""
        status = DocumentStatus(self.row["status"])
        if status is DocumentStatus.DELETED:
            return DocumentChange.DELETED
        if status is DocumentStatus.NULLIFIED:
            return DocumentChange.NULLIFIED
        if not status.is_due:
            return DocumentChange.WITHDRAWN
        return DocumentChange.MOVED_BOOK if self.row["role"] == BookRole.LEFT else None

    @property
    def is_in_doubt(self) -> bool:
        return any(VoucherStatus(row["status"]) in IN_DOUBT for row in self.vouchers)

    def standing(self, event: str | None = None) -> list[Row]:
        """Vouchers in the ledger that nothing takes back, oldest first."""
        undone = {
            row["original_id"]
            for row in self.vouchers
            if row["status"] == VoucherStatus.POSTED and row["relation"] in UNDOING
        }
        return [
            row
            for row in self.vouchers
            if row["status"] == VoucherStatus.POSTED
            and row["relation"] != Relation.REVERSAL
            and row["id"] not in undone
            and event in (None, event_of(row))
        ]

    def unsent(self) -> list[Row]:
        return [row for row in self.vouchers if row["status"] in UNSENT_STATUSES]

    def pending(self, voucher: Row) -> Row | None:
        """What takes a voucher back and was not sent yet."""
        found = (r for r in self.unsent() if r["original_id"] == voucher["id"] and r["relation"] in UNDOING)
        return next(found, None)

    def there(self, event: str) -> list[Row]:
        """The journal lines of everything that was posted for an event."""
        return [
            line
            for row in self.vouchers
            if row["status"] == VoucherStatus.POSTED and event_of(row) == event
            for line in self.lines_of.get(row["id"], ())
        ]

    def is_of_prior_year(self, event: str) -> bool:
        """Whether something of an event still stands in a year that is closed."""
        old = [
            line
            for row in self.vouchers
            if row["status"] == VoucherStatus.POSTED
            and event_of(row) == event
            and self.calendar.state(row["date"]) is PeriodState.CLOSED
            and self.calendar.after_closed(row["date"]).year > row["date"].year
            for line in self.lines_of.get(row["id"], ())
        ]
        return bool(effect(old))

    def is_same(self, event: str) -> bool:
        """Whether the ledger holds for an event what the document asks for."""
        there, wanted = self.there(event), self.wanted_lines.get(event, ())
        if self.prior_year is not None and self.is_of_prior_year(event):
            return self.prior_year.is_same(there, wanted)
        return effect(there) == effect(wanted)

    def situation(self, event: str, standing: Sequence[Row]) -> Situation:
        """Of an event of which something stands."""
        for row in standing:
            if row["id"] in self.by_hand:
                return self.by_hand[row["id"]]
        if self.is_of_prior_year(event):
            return Situation.POSTED_PRIOR_YEAR
        is_closed = self.calendar.state(standing[-1]["date"]) is PeriodState.CLOSED
        return Situation.POSTED_CLOSED if is_closed else Situation.POSTED

    def steps(self, policy: Policy) -> list[Step]:
        """What is to be done by a policy, what is only taken back first: what comes new may refer to that."""
        gone = self.gone
        events = dict.fromkeys([*(event_of(row) for row in self.standing()), *self.heads])
        found = []
        for event in sorted(events, key=lambda name: (name in self.heads, name)):
            standing = self.standing(event)
            change = gone or (
                DocumentChange.REAPPROVED_SAME if standing and self.is_same(event) else DocumentChange.ALTERED
            )
            situation = self.situation(event, standing) if standing else Situation.REVERSED
            verdict = decide(change, situation, policy)
            found.append(Step(event, tuple(standing), change, situation, verdict))
        return found

    def is_decided(self) -> bool:
        """Whether everything that has to be done was decided before, for the document as it is, and waits to be sent."""
        standing = self.standing()
        wanted = [
            row
            for row in self.unsent()
            if row["voucher_pk_of"] == self.pk and row["relation"] != Relation.REVERSAL
        ]
        taken_back = bool(standing) and all(self.pending(row) or self._stays(row) for row in standing)
        return taken_back and (self.gone is not None or not self.heads or bool(wanted))

    def _stays(self, row: Row) -> bool:
        return self.gone is None and self.is_same(event_of(row))


def event_of(voucher: Row) -> str:
    """The accounting event of a voucher, without its place among corrections."""
    return Place.of(voucher["event"]).event


def documents(
    read: Histories, made: Generated, calendar: Calendar, prior_year: PriorYear | None, today: date
) -> Iterator[Document]:
    """The documents of a chunk, in the order of their ids."""
    vouchers = _grouped(read.vouchers, "document_pk")
    lines_of = _grouped(read.journal, "voucher_id")
    heads = _grouped(made.vouchers, "document_pk")
    lines = _grouped(made.lines, "document_pk")
    refusals = _grouped(made.problems, "document_pk")
    silent = dict(made.no_voucher.select("document_pk", "reason").iter_rows())
    for row in read.frames[0].iter_rows(named=True):
        pk = row["id"]
        wanted: dict[str, list[Row]] = {}
        for line in lines.get(pk, ()):
            wanted.setdefault(line["event"], []).append(line)
        refused = refusals.get(pk, ())
        yield Document(
            row,
            read.revisions[pk],
            vouchers.get(pk, ()),
            lines_of,
            {head["event"]: head for head in heads.get(pk, ())},
            wanted,
            _refusal(refused[0]) if refused else None,
            silent.get(pk, ""),
            calendar,
            prior_year,
            today,
        )


def _grouped(frame: pl.DataFrame, key: str) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for row in frame.iter_rows(named=True):
        found.setdefault(row[key], []).append(row)
    return found


def _refusal(row: Row) -> Problem:
    return Problem(
        "follow.rules_refuse",
        row["where"],
        f"单据变更后规则不能生成凭证，原凭证暂保留：{row['zh']}",
        f"the rules make no voucher of the changed document, the old one stays so far: {row['en']}",
        ProblemOwner(row["owner"]),
        row["line_no"],
    )
