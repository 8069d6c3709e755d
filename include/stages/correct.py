"""Correct: bring what is in the ledger to what the rules in force would have made, in open periods only.

What is posted is never edited: a red-letter reversal and a replacement go through the normal posting, dated as their
original. Vouchers of documents that nothing was sent of are not corrected but generated again, by `generate`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from include.domain.errors import FixConfig
from include.domain.period import Calendar, LedgerPeriod
from include.domain.voucher import UNSENT_STATUSES, VoucherStatus
from include.rules import load_rules
from include.rules.replay import differences, effects
from include.stages.context import StageContext, StageResult
from include.stages.drafting import Drafts, Row
from include.stages.replay import Changes, Comparison, base_event
from include.stages.rules import InForce, RuleFolders, rules_in_force
from include.store.corrections import CHANGEABLE, Correction, Draft, Place, Relation

log = logging.getLogger(__name__)

IN_DOUBT = frozenset({VoucherStatus.SENDING, VoucherStatus.UNKNOWN, VoucherStatus.CONFLICT})


@dataclass(frozen=True, slots=True)
class NotCorrected:
    """A document that differs and was left alone, and what somebody must do; `date` is its voucher's."""

    code: str
    event: str
    date: date
    reason: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class CorrectResult(StageResult):
    """Counts of documents and vouchers; `withdrawn` are corrections that were not sent and are not needed any more."""

    documents: int
    reversals: int
    replacements: int
    withdrawn: int
    rule_version: int
    not_corrected: tuple[NotCorrected, ...]


def correct(ctx: StageContext, date_from: date, date_to: date, rules: Path | None = None) -> CorrectResult:
    """Make the corrections of a span of business days, both included; repeating it makes nothing twice.

    `rules` is the folder that was replayed; it must say what the rules in force say. None: the book's own.

    Raises:
        FixConfig: the rules are not in force, or the span ends before it begins.
        RetryLater: the store or the ledger cannot be read; what was written is whole.
    """
    in_force = _required(ctx, rules)
    comparison = Comparison.of(ctx, date_from, date_to, in_force.ruleset)
    periods = ctx.ledger.periods()
    written: list[Correction] = []
    left: list[NotCorrected] = []
    for changes in comparison.changes(comparison.candidates(brute_force=False)):
        plan = Plan(ctx.book.id, changes, periods)
        plan.make()
        saved = ctx.store.corrections.save(
            ctx.book.id,
            plan.corrections,
            plan.lines(),
            rules=(in_force.digest, in_force.version),
            actor=ctx.actor,
        )
        left += [*plan.left, *plan.moved_on(saved)]
        written += saved
    for each in left[:5]:
        log.warning("%s %s: %s / %s", each.code, each.event, each.zh, each.en)
    drafts = [draft for correction in written for draft in correction.drafts]
    reversals = sum(draft.relation is Relation.REVERSAL for draft in drafts)
    return CorrectResult(
        documents=len(written),
        reversals=reversals,
        replacements=len(drafts) - reversals,
        withdrawn=sum(len(correction.cancelled) for correction in written),
        rule_version=in_force.version,
        not_corrected=tuple(left),
    )


def _required(ctx: StageContext, rules: Path | None) -> InForce:
    """The rules in force, if they are the ones that are to be applied."""
    in_force = rules_in_force(ctx)
    wanted = in_force.digest
    if rules is not None:
        folders = RuleFolders.below(rules, ctx.book.id)
        wanted = load_rules(folders.rules, folders.tables).digest
    if in_force.refused or wanted != in_force.digest:
        own = RuleFolders.of(ctx)
        why = "\n".join(["", *in_force.refused])
        raise FixConfig(
            f"只能按已生效的规则更正，第 {in_force.version} 版不是这一套：先把它放进 {own.rules} 和 {own.tables}，运行 generate 使其生效 / only the "
            f"rules in force can be applied, and version {in_force.version} is another set: put it into {own.rules} and {own.tables}, and run "
            f"generate{why}"
        )
    return in_force


@dataclass
class Plan:
    """What is to be done about the documents of one chunk."""

    book: str
    changes: Changes
    periods: Sequence[LedgerPeriod]
    corrections: list[Correction] = field(default_factory=list)
    left: list[NotCorrected] = field(default_factory=list)
    _heads: dict[tuple[int, str], Row] = field(default_factory=dict)
    """What the rules make, by document and event."""
    _same: frozenset[tuple[int, str]] = frozenset()
    """Events whose posted voucher alone is right already."""
    _drafts: Drafts = field(init=False)

    def __post_init__(self) -> None:
        self._drafts = Drafts(self.book)

    def make(self) -> None:
        """Decide for every document of which something was sent."""
        made = self.changes.generated
        self._heads = {(row["document_pk"], row["event"]): row for row in made.vouchers.iter_rows(named=True)}
        documents = {row["id"]: row for row in self.changes.documents.iter_rows(named=True)}
        vouchers: dict[int, list[Row]] = {}
        for row in self.changes.vouchers.iter_rows(named=True):
            vouchers.setdefault(row["document_pk"], []).append(row)
        events: dict[int, list[str]] = {}
        for pk, event in (
            self.changes.lines.select("document_pk", "event")
            .unique()
            .sort("document_pk", "event")
            .iter_rows()
        ):
            events.setdefault(pk, []).append(event)
        self._same = self._already_right(events)
        for pk, of_document in events.items():
            its = vouchers.get(pk, [])
            if any(VoucherStatus(row["status"]) not in CHANGEABLE for row in its):
                self._document(documents[pk], its, of_document)
        for row in self.changes.outcomes.filter(pl.col("after") == "problem").iter_rows(named=True):
            its = vouchers.get(row["document_pk"], [])
            if any(v["status"] == VoucherStatus.POSTED for v in its):
                self._withdraw(documents[row["document_pk"]], its)
                self._leave(
                    documents[row["document_pk"]],
                    "",
                    "refused",
                    f"新规则不能生成凭证，原凭证保留：{row['zh']}",
                    f"the rules make no voucher, the old one stays: {row['en']}",
                )

    def lines(self) -> pl.DataFrame:
        """The journal lines of all drafts, with their `number`."""
        return self._drafts.lines(self.changes.journal, self.changes.generated.lines)

    def moved_on(self, saved: Sequence[Correction]) -> Iterator[NotCorrected]:
        """Those that were not written since their vouchers changed in the meantime."""
        written = {correction.document_pk for correction in saved}
        documents = {row["id"]: row for row in self.changes.documents.iter_rows(named=True)}
        for correction in self.corrections:
            if correction.document_pk not in written:
                document = documents[correction.document_pk]
                yield NotCorrected(
                    document["code"],
                    "",
                    document["business_date"],
                    "changed_meanwhile",
                    "凭证正在变动，请再运行一次",
                    "its vouchers changed meanwhile: run again",
                )

    def _already_right(self, events: Mapping[int, Sequence[str]]) -> frozenset[tuple[int, str]]:
        """Events whose posted and not reversed voucher has the effect that the rules want, whatever is not sent yet."""
        vouchers = self.changes.vouchers
        posted = vouchers.filter(pl.col("status") == VoucherStatus.POSTED.value)
        undone = posted.filter(pl.col("relation") == Relation.REVERSAL.value)["original_id"]
        active = posted.filter(
            (pl.col("relation") != Relation.REVERSAL.value) & ~pl.col("id").is_in(undone.implode())
        ).select("document_pk", base_event(), pl.col("id").alias("voucher_id"))
        there = effects(self.changes.journal.join(active, on="voucher_id"))
        differs = (
            differences(there, effects(self.changes.generated.lines)).select("document_pk", "event").unique()
        )
        apart = set(differs.iter_rows())
        return frozenset((pk, event) for pk, of in events.items() for event in of if (pk, event) not in apart)

    def _document(self, document: Row, vouchers: Sequence[Row], events: Sequence[str]) -> None:
        pk = document["id"]
        if any(VoucherStatus(row["status"]) in IN_DOUBT for row in vouchers):
            self._leave(
                document,
                "",
                "in_doubt",
                "有凭证的过账结果未定，或与会计系统的内容冲突：冲突的先在会计系统中核对处理，再运行 post",
                "what became of a voucher is not known yet, or the ledger has other content: settle that there, then run post",
            )
            return
        if any(row["relation"] == Relation.CORRECTION for row in vouchers):
            self._leave(
                document,
                "",
                "prior_year",
                "单据已用蓝字凭证订正以前年度，须由财务手工更正",
                "a blue voucher has corrected a prior year of it: correct it by hand",
            )
            return
        # What is reversed without a replacement comes first: what replaces it under another event refers to it.
        ordered = sorted(events, key=lambda event: ((pk, event) in self._heads, event))
        drafts: list[Draft] = []
        cancelled: list[int] = []
        # Whatever of the document is still to be reversed must be so before anything new of it is posted.
        waiting = [
            row["original_id"]
            for row in vouchers
            if row["relation"] == Relation.REVERSAL and row["status"] in UNSENT_STATUSES
        ]
        orphan: int | None = waiting[0] if waiting else None
        subjects = []
        for event in ordered:
            chain = _Chain.of(event, vouchers)
            day = chain.active["date"] if chain.active else document["business_date"]
            wanted = (pk, event) in self._heads
            if (pk, event) in self._same:
                cancelled += chain.unsent_ids()
            elif not self._is_open(day):
                self._leave_closed(document, event, day)
                continue
            else:
                if chain.active and not chain.is_being_reversed:
                    drafts.append(self._drafts.red(chain.active, chain.active["date"]))
                if wanted:
                    drafts.append(self._replacement(document, chain, day, orphan))
                else:
                    cancelled += chain.unsent_ids(replacements_only=True)
                    orphan = orphan or chain.last_id
            subjects.append(chain.subject or f"{document['source']}/{document['document_id']}/{event}")
        if drafts or cancelled:
            seen = frozenset((row["id"], row["status"]) for row in vouchers)
            self.corrections.append(Correction(pk, subjects[0], seen, tuple(drafts), tuple(cancelled)))

    def _withdraw(self, document: Row, vouchers: Sequence[Row]) -> None:
        """Take back corrections of a document whose first step, the reversal, was not sent yet."""
        reversals = [row for row in vouchers if row["relation"] == Relation.REVERSAL]
        waiting = [row for row in reversals if row["status"] in UNSENT_STATUSES]
        originals = {row["original_id"] for row in waiting}
        unsent = waiting + [
            row
            for row in vouchers
            if row["relation"] == Relation.REPLACEMENT
            and row["original_id"] in originals
            and row["status"] in UNSENT_STATUSES
        ]
        if unsent:
            seen = frozenset((row["id"], row["status"]) for row in vouchers)
            ids = tuple(row["id"] for row in unsent)
            self.corrections.append(Correction(document["id"], str(waiting[0]["key"]), seen, (), ids))

    def _replacement(self, document: Row, chain: _Chain, day: date, orphan: int | None) -> Draft:
        original = chain.last_id or orphan
        return self._drafts.made(
            {**document, **self._heads[document["id"], chain.event]},
            Place(chain.event, chain.next_generation),
            Relation.REPLACEMENT if original else Relation.NONE,
            original,
            day,
        )

    def _is_open(self, day: date) -> bool:
        return Calendar(self.periods).is_open(day)

    def _leave_closed(self, document: Row, event: str, day: date) -> None:
        self._leave(
            document,
            event,
            "period_closed",
            f"{day:%Y-%m} 未开放，没有更正；请选择：在会计系统中重新打开该期间后再运行，或在开放期间手工调整",
            f"not corrected, {day:%Y-%m} is not open; choose: reopen it in the ledger and run again, or adjust by hand in an open period",
            day,
        )

    def _leave(
        self, document: Row, event: str, reason: str, zh: str, en: str, day: date | None = None
    ) -> None:
        self.left.append(
            NotCorrected(document["code"], event, day or document["business_date"], reason, zh, en)
        )


@dataclass(frozen=True, slots=True)
class _Chain:
    """The vouchers of one accounting event of a document, from the first to the last correction.

    A voucher of an earlier revision may stand for the document and comes first then. `active` is the posted one that no
    posted voucher reverses, `last` the last that was posted.
    """

    event: str
    waiting: Sequence[Row]
    """Vouchers that were never sent, or that the ledger refused; not reversals."""
    reversal: Row | None
    """Of the last one, in any state."""
    last: Row | None

    @classmethod
    def of(cls, event: str, rows: Sequence[Row]) -> _Chain:
        its = [row for row in rows if Place.of(row["event"]).event == event]
        vouchers = sorted(
            (row for row in its if row["relation"] != Relation.REVERSAL),
            key=lambda row: (row["revision"], Place.of(row["event"]).generation),
        )
        posted = [row for row in vouchers if row["status"] == VoucherStatus.POSTED]
        last = posted[-1] if posted else None
        reversals = [row for row in its if last is not None and row["original_id"] == last["id"]]
        reversal = next((row for row in reversals if row["relation"] == Relation.REVERSAL), None)
        waiting = [
            row
            for row in vouchers
            if row["status"] in CHANGEABLE and row["status"] != VoucherStatus.CANCELLED
        ]
        return cls(event, waiting, reversal, last)

    @property
    def active(self) -> Row | None:
        is_undone = self.reversal is not None and self.reversal["status"] == VoucherStatus.POSTED
        return None if is_undone else self.last

    @property
    def next_generation(self) -> int:
        return Place.of(self.last["event"]).generation + 1 if self.last else 1

    @property
    def is_being_reversed(self) -> bool:
        """A reversal waits to be sent, and need not be made again."""
        return self.reversal is not None and self.reversal["status"] in {
            VoucherStatus.GENERATED,
            VoucherStatus.HELD,
        }

    @property
    def last_id(self) -> int | None:
        """The voucher that a replacement refers to."""
        return self.last["id"] if self.last else None

    @property
    def subject(self) -> str:
        """The key of what is corrected."""
        return str(self.last["key"]) if self.last else ""

    def unsent_ids(self, *, replacements_only: bool = False) -> list[int]:
        """Corrections that wait to be sent, or that the ledger refused."""
        found = list(self.waiting)
        if not replacements_only and self.reversal is not None and self.reversal["status"] in UNSENT_STATUSES:
            found.append(self.reversal)
        return [row["id"] for row in found]
