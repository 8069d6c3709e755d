"""What is to be done about documents that changed after something of them was sent: found out here, written by `follow`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import assert_never

import polars as pl

from include.domain.changes import (
    AUTOMATIC,
    Action,
    DocumentChange,
    Policy,
    Situation,
    Verdict,
    choices,
    decide,
)
from include.domain.document import BookRole, Disposition, DocumentStatus
from include.domain.period import Calendar, PeriodState
from include.domain.problems import Problem, ProblemOwner
from include.domain.voucher import UNSENT_STATUSES, VoucherStatus
from include.rules import Generated
from include.settings import Book
from include.stages.drafting import Drafts, Row
from include.stages.prior_year import PriorYear, effect
from include.store.corrections import Correction, Draft, Place, Relation, Release
from include.store.following import Histories

IN_DOUBT = frozenset({VoucherStatus.SENDING, VoucherStatus.UNKNOWN, VoucherStatus.CONFLICT})
UNDOING = frozenset({Relation.REVERSAL, Relation.CORRECTION})
_WAITS = frozenset({VoucherStatus.GENERATED, VoucherStatus.HELD})


@dataclass(frozen=True, slots=True)
class Asked:
    """A document that a person must decide on."""

    document_pk: int
    code: str
    problem: Problem


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


@dataclass
class Plan:
    """The corrections of a chunk, and what is left to people."""

    book: Book
    rule_digest: str
    drafts: Drafts
    corrections: list[Correction] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    waiting: int = 0

    def document(self, document: Document, policy: Policy, decided: Action | None = None) -> None:
        """Decide about one document as a whole, by a policy or as a person has `decided` among its choices."""
        if document.is_in_doubt:
            self.waiting += 1
            return
        work = _Work(self.drafts, self.rule_digest, document)
        if document.gone is None and document.refusal is not None:
            self._ask(work, [], document.refusal)
            return
        steps = document.steps(AUTOMATIC if decided or document.is_decided() else policy)
        if decided is Action.KEEP:
            work.keep(steps)
        else:
            rebooked = [step for step in steps if decided is Action.REPLACE and _is_rebooked(step)]
            others = [step for step in steps if step not in rebooked]
            problem = next((p for step in others if (p := self._problem(document, step))), None)
            if problem is not None:
                self._ask(work, steps, problem)
                return
            for step in others:
                work.step(step)
            for step in rebooked:
                work.rebook(step)
        correction = work.correction(steps)
        if correction is not None:
            self.corrections.append(correction)

    def _ask(self, work: _Work, steps: Sequence[Step], problem: Problem) -> None:
        """Leave a document to a person; corrections that wait were decided on for what it was before."""
        document = work.document
        self.asked.append(Asked(document.pk, document.row["code"], problem))
        if document.unsent():
            held = work.correction(steps, Disposition.QUARANTINED)
            if held is not None:
                self.corrections.append(held)

    def _problem(self, document: Document, step: Step) -> Problem | None:
        """What people must know of a step that cannot be done; None where it can."""
        number = step.standing[-1]["ledger_number"] or step.standing[-1]["key"] if step.standing else ""
        needs_account = step.verdict.action is Action.BLUE or (
            step.verdict.action is Action.REGENERATE and document.is_of_prior_year(step.event)
        )
        if needs_account and document.prior_year is None:
            key = self.book.after_posting.prior_year_account
            return Problem(
                "follow.no_prior_year_account",
                f"accounts.csv:{key}",
                f"订正以前年度的凭证 {number} 需要“以前年度损益调整”科目：请在 tables/{self.book.id}/accounts.csv 中添加键 {key}",
                f"to correct voucher {number} of a prior year, add the account for that to tables/{self.book.id}/accounts.csv "
                f"under the key {key}",
            )
        if step.verdict.action is not Action.ASK:
            return None
        code = document.row["code"]
        options = "|".join(choices(step.change, step.situation))
        command = f"./voucherflow follow {self.book.id} --document {code} --action {options}"
        return Problem(
            f"follow.{step.situation}" if step.situation in _BY_HAND else "follow.ask",
            str(step.standing[-1]["key"]) if step.standing else step.event,
            f"单据 {code}，凭证 {number}：{step.verdict.zh}；决定后运行 {command}",
            f"document {code}, voucher {number}: {step.verdict.en}; then run {command}",
        )


def _is_rebooked(step: Step) -> bool:
    """Whether a person may have what somebody reversed in the ledger booked again."""
    return step.situation is Situation.REVERSED_BY_HAND and not step.change.is_gone


_BY_HAND = frozenset({Situation.REVERSED_BY_HAND, Situation.EDITED_BY_HAND})


@dataclass
class _Work:
    """What is to be written about one document."""

    _drafts: Drafts
    _rule_digest: str
    document: Document
    _made: list[Draft] = field(default_factory=list)
    _retained: set[int] = field(default_factory=set)
    _kept: list[int] = field(default_factory=list)
    _undone: list[int] = field(default_factory=list)
    _orphan: int | None = None
    """A voucher that is taken back without another of its event: what comes new refers to it."""
    _is_settled: bool = False

    def keep(self, steps: Sequence[Step]) -> None:
        """What stands stays, as it is."""
        self._kept = [row["id"] for step in steps for row in step.standing]
        self._is_settled = self.document.gone is not None

    def step(self, step: Step) -> None:
        """Do what the verdict says."""
        action = step.verdict.action
        match action:
            case Action.REVERSE | Action.REPLACE:
                self._take_back(step)
                self._enter(step.event)
            case Action.BLUE:
                self._correct_prior_year(step)
            case Action.REGENERATE:
                self._enter(step.event)
            case Action.KEEP:
                self._kept += [row["id"] for row in step.standing]
            case Action.NOTHING:
                self._undone += [row["id"] for row in step.standing]
            case Action.ASK | Action.CANCEL | Action.LOOK_FIRST | Action.DELETE_DRAFT:
                raise AssertionError(f"{action} is settled before, or by others")
            case _:
                assert_never(action)

    def rebook(self, step: Step) -> None:
        """A person said that what somebody reversed in the ledger is booked again."""
        self._undone += [row["id"] for row in step.standing]
        self._enter(step.event, step.standing[-1]["id"])

    def correction(self, steps: Sequence[Step], held: Disposition | None = None) -> Correction | None:
        """All of it, with the document let go, or `held`; None where there is nothing to do."""
        document = self.document
        keys = {draft.key for draft in self._made}
        cancelled = tuple(
            row["id"]
            for row in document.unsent()
            if row["id"] not in self._retained and row["key"] not in keys
        )
        moved = tuple(
            row["id"]
            for row in document.vouchers
            if row["id"] in self._kept and row["voucher_pk_of"] != document.pk
        )
        kept = moved if document.gone is None else ()
        disposition, reason = (held, "") if held else self._disposition()
        is_same = (disposition, reason) == (document.row["disposition"], document.row["disposition_reason"])
        if not (self._made or cancelled or kept or self._undone) and is_same:
            return None
        subjects = [str(row["key"]) for step in steps for row in step.standing] or sorted(keys)
        return Correction(
            document.pk,
            subjects[0] if subjects else str(document.row["code"]),
            frozenset((row["id"], row["status"]) for row in document.vouchers),
            tuple(self._made),
            cancelled,
            Release(
                seen=(document.row["content_digest"], document.row["status"], document.row["role"]),
                revisions=document.revisions,
                disposition=disposition,
                reason=reason,
                kept=kept,
                undone=tuple(self._undone),
                why={step.event: f"{step.change} {step.situation} {step.verdict.action}" for step in steps},
            ),
        )

    def _disposition(self) -> tuple[Disposition, str]:
        document = self.document
        if document.gone is not None:
            return (Disposition.SETTLED if self._is_settled else Disposition.NOT_DUE), ""
        if document.no_voucher:
            return Disposition.NO_VOUCHER, document.no_voucher
        return Disposition.ACCEPTED, ""

    def _take_back(self, step: Step) -> None:
        """Red copies of what stands, each in its own period or the first after that and all closed ones."""
        for row in step.standing:
            pending = self.document.pending(row)
            if (
                pending is not None
                and pending["status"] in _WAITS
                and pending["relation"] == Relation.REVERSAL
            ):
                self._retained.add(pending["id"])
            else:
                day = self.document.calendar.after_closed(row["date"])
                original = {**row, "document_pk": row["voucher_pk_of"]}
                self._made.append(self._drafts.red(original, day))
            if step.event not in self.document.heads:
                self._orphan = self._orphan or row["id"]

    def _enter(self, event: str, original: int | None = None) -> None:
        """The voucher of the document as it is now, if it asks for one."""
        document = self.document
        if document.gone is not None or event not in document.heads:
            return
        row = {**document.row, **document.heads[event]}
        original = original or self._replaced(event)
        relation = Relation.REPLACEMENT if original else Relation.NONE
        if self._waits(event, relation, original):
            return
        day, place = document.calendar.after_closed(row["date"]), self._place(event)
        if document.prior_year is not None and document.is_of_prior_year(event):
            lines = document.prior_year.difference(document.there(event), document.wanted_lines[event], "")
            if lines:
                self._made.append(self._drafts.written(row, place, relation, original, day, lines))
        else:
            self._made.append(self._drafts.made(row, place, relation, original, day))

    def _correct_prior_year(self, step: Step) -> None:
        """One blue voucher over the difference between what stands and what the document asks for."""
        document, last = self.document, step.standing[-1]
        pending = document.pending(last)
        is_gone = document.gone is not None
        relation = Relation.REVERSAL if is_gone else Relation.CORRECTION
        if pending is not None and is_gone and pending["status"] in _WAITS:
            self._retained.add(pending["id"])
            return
        if not is_gone and self._waits(step.event, relation, last["id"]):
            return
        if document.prior_year is None:
            raise AssertionError("asked before")
        wanted = () if is_gone else document.wanted_lines.get(step.event, ())
        opening = f"订正 {last['date']} {last['ledger_number']} "
        lines = document.prior_year.difference(document.there(step.event), wanted, opening)
        if not lines:
            self._kept += [row["id"] for row in step.standing]
            self._is_settled = is_gone
            return
        original = {**last, "document_pk": last["voucher_pk_of"]}
        if is_gone:
            row, place = original, Place(step.event, Place.of(last["event"]).generation, is_reversal=True)
        else:
            row = {**original, **document.heads.get(step.event, {}), **_identity(document.row)}
            place = self._place(step.event)
        is_open = document.calendar.is_open(document.today)
        day = document.today if is_open else document.calendar.after_closed(last["date"])
        self._made.append(self._drafts.written(row, place, relation, last["id"], day, lines))

    def _waits(self, event: str, relation: Relation, original: int | None) -> bool:
        """Whether that voucher waits to be sent already, of the same rules."""
        for row in self.document.unsent():
            if (
                row["status"] in _WAITS
                and row["voucher_pk_of"] == self.document.pk
                and event_of(row) == event
                and (row["relation"], row["original_id"]) == (relation, original)
                and row["rule_digest"] == self._rule_digest
            ):
                self._retained.add(row["id"])
                return True
        return False

    def _replaced(self, event: str) -> int | None:
        """What a new voucher of an event refers to: the last of the event, or else what the document had instead."""
        posted = [
            row
            for row in self.document.vouchers
            if row["relation"] != Relation.REVERSAL
            and row["status"] in {VoucherStatus.POSTED, VoucherStatus.REVERSED}
        ]
        own = [row["id"] for row in posted if event_of(row) == event]
        if own:
            return int(own[-1])
        standing = {row["id"] for row in self.document.standing()}
        others = [row["id"] for row in posted if row["id"] not in standing]
        return self._orphan or (int(others[-1]) if others else None)

    def _place(self, event: str) -> Place:
        """The next place of an event in the document's revision."""
        sent = [
            Place.of(row["event"]).generation
            for row in self.document.vouchers
            if row["revision"] == self.document.row["revision"]
            and event_of(row) == event
            and row["relation"] != Relation.REVERSAL
            and row["status"] not in {*UNSENT_STATUSES, VoucherStatus.CANCELLED}
        ]
        return Place(event, max(sent, default=0) + 1)


def _identity(document: Row) -> Row:
    """What tells a voucher whose it is, of a document."""
    names = ("source", "document_id", "revision")
    return {"document_pk": document["id"], **{name: document[name] for name in names}}
