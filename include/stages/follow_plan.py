"""What is to be done about documents that changed after something of them was sent: found out here, written by `follow`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

from include.domain.changes import AUTOMATIC, Action, DocumentChange, Policy, Situation, choices
from include.domain.document import Disposition
from include.domain.problems import Problem
from include.domain.voucher import UNSENT_STATUSES, VoucherStatus
from include.settings import Book
from include.stages.drafting import Drafts, Row
from include.stages.follow_documents import Document, Step, event_of
from include.store.corrections import CHANGED_AFTER_POSTING, Correction, Draft, Place, Relation, Release

_WAITS = frozenset({VoucherStatus.GENERATED, VoucherStatus.HELD})


@dataclass(frozen=True, slots=True)
class Asked:
    """A document that a person must decide on."""

    document_pk: int
    code: str
    problem: Problem


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
        if step.situation in _BY_HAND:
            kind = f"follow.{step.situation}"
        else:
            is_withdrawn = step.change.is_gone and step.change is not DocumentChange.MOVED_BOOK
            kind = CHANGED_AFTER_POSTING[is_withdrawn]
        code = document.row["code"]
        options = "|".join(choices(step.change, step.situation))
        command = f"./voucherflow follow {self.book.id} --document {code} --action {options}"
        return Problem(
            kind,
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
