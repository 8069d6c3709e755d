"""Follow: what becomes of vouchers whose documents changed after they were sent, by the book's policy or a person's word.

What is to be done stands in one table, `include.domain.changes`; here change and situation are found, and the corrections
are written that posting will send. Nothing is posted here, and the ledger is looked at before anything is taken back: a
voucher that somebody reversed or edited there is left to a person.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import polars as pl

from include.domain.changes import Action, Situation, choices
from include.domain.document import DUE_STATUSES, BookRole, Disposition
from include.domain.errors import FixData
from include.domain.period import Calendar
from include.domain.problems import Stage
from include.domain.voucher import LedgerVoucher, LedgerVoucherState, content_digest
from include.rules import Generated, RuleSet, Sources
from include.rules import generate as apply_rules
from include.stages.context import Scope, StageContext, StageResult
from include.stages.drafting import Drafts
from include.stages.follow_documents import Document, documents
from include.stages.follow_plan import Asked, Plan
from include.stages.prior_year import PriorYear
from include.stages.rules import InForce, rules_in_force
from include.store import following
from include.store.corrections import CHANGED_AFTER_POSTING, Correction, Relation
from include.store.engine import reading, writing
from include.store.following import Histories
from include.store.vouchers import StoredVoucher, load

log = logging.getLogger(__name__)

CHUNK = 2_000
"""Documents worked on at once."""
LOOK_SIZE = 200
"""Vouchers that the ledger is asked for in one call."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person said about one document, by its number or id in the OA: reverse, replace, blue or keep."""

    document: str
    action: Action


@dataclass(frozen=True, slots=True)
class FollowResult(StageResult):
    """Counts. `documents` changed after something of them was sent, or were left so by the last run; of `followed`
    something was done now. `reversals`, `replacements` and `blue` are vouchers to be posted, `cancelled` those that never
    will be; `kept` are documents whose vouchers are right as they are. `waiting` are documents with a voucher in doubt,
    which posting looks up first, `asked` those that a person must decide on, by reason in `causes`.
    """

    documents: int
    followed: int
    reversals: int
    replacements: int
    blue: int
    kept: int
    cancelled: int
    waiting: int
    asked: int
    causes: tuple[tuple[str, int], ...]


@dataclass
class _Total:
    documents: int = 0
    waiting: int = 0
    written: list[Correction] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    def result(self) -> FollowResult:
        drafts = Counter(draft.relation for each in self.written for draft in each.drafts)
        releases = [each.release for each in self.written if each.release]
        return FollowResult(
            documents=self.documents,
            followed=len(self.written),
            reversals=drafts[Relation.REVERSAL],
            replacements=drafts[Relation.REPLACEMENT] + drafts[Relation.NONE],
            blue=drafts[Relation.CORRECTION],
            kept=sum(bool(each.kept) or each.disposition is Disposition.SETTLED for each in releases),
            cancelled=sum(len(each.cancelled) for each in self.written),
            waiting=self.waiting,
            asked=len(self.asked),
            causes=tuple(Counter(each.problem.code for each in self.asked).most_common()),
        )


def follow(ctx: StageContext, scope: Scope, decision: Decision | None = None) -> FollowResult:
    """Follow up on all documents in scope that changed after something of them was sent; repeating it changes nothing.

    `decision` is a person's word on one document, which alone is then looked at; the actor stands in the audit trail.

    Raises:
        FixData: there is nothing to decide about that document, or not this.
        FixConfig: no rules were ever in force.
        RetryLater: the ledger cannot be read; what was written is whole.
    """
    with reading(ctx.store.engine) as connection:
        pks = following.out_of_line(connection, ctx.book.id, scope)
    total = _Total()
    if pks:
        run = _Run(ctx, rules_in_force(ctx), Calendar(ctx.ledger.periods()), decision)
        for start in range(0, len(pks), CHUNK):
            run.chunk(pks[start : start + CHUNK], total)
            ctx.progress(Stage.FOLLOW, min(start + CHUNK, len(pks)), len(pks))
    if decision is None:
        _file(ctx, scope, total)
    elif not total.documents:
        raise FixData(
            f"单据 {decision.document} 没有待处理的变更；请核对编号，或先运行 extract 和 validate / document {decision.document} waits for "
            "no decision: check the number, or run extract and validate first"
        )
    for asked in total.asked[:5]:
        log.warning("%s: %s / %s", asked.code, asked.problem.zh, asked.problem.en)
    return total.result()


def unwanted(ctx: StageContext, ids: Sequence[int]) -> frozenset[int]:
    """Of these vouchers, by row id, those whose documents changed since they were sent: a draft of them in the ledger is
    to be discarded rather than posted (`Action.DELETE_DRAFT`), and the voucher is cancelled then.
    """
    with reading(ctx.store.engine) as connection:
        return following.unwanted(connection, list(ids))


def _file(ctx: StageContext, scope: Scope, total: _Total) -> None:
    """Tell people what they must decide, and no longer what they need not; the gate has said what it holds already."""
    with writing(ctx.store.engine) as connection:
        found = {
            asked.document_pk: [asked.problem]
            for asked in total.asked
            if asked.problem.code not in CHANGED_AFTER_POSTING
        }
        following.file_problems(connection, ctx.book.id, scope, found, ctx.clock.now())


@dataclass
class _Run:
    """One pass over the documents of a book."""

    ctx: StageContext
    in_force: InForce
    calendar: Calendar
    decision: Decision | None

    def __post_init__(self) -> None:
        book, keyed = self.ctx.book, self.in_force.ruleset.accounts
        account = keyed.get(book.after_posting.prior_year_account)
        self._prior_year = (
            PriorYear(account.account, tuple(book.after_posting.profit_and_loss)) if account else None
        )
        self._today = self.ctx.clock.now().astimezone(ZoneInfo(book.timezone)).date()
        rows = self.ctx.store.documents.changed_after_posting(book.id)
        self._elsewhere = {row["document_pk"] for row in rows if row["voucher_book"] != book.id}

    def chunk(self, pks: list[int], total: _Total) -> None:
        """Decide about some documents and write what was decided, in one transaction."""
        with reading(self.ctx.store.engine) as connection:
            read = following.histories(connection, pks)
        made = self._made(read, self.in_force.ruleset)
        found = documents(read, made, self.calendar, self._prior_year, self._today)
        wanted = [document for document in found if self._is_wanted(document, read)]
        self._look(wanted)
        plan = Plan(self.ctx.book, self.in_force.digest, Drafts(self.ctx.book.id))
        policy = self.ctx.book.after_posting.policy
        for document in wanted:
            plan.document(document, policy, self._decided(document))
        saved = self.ctx.store.corrections.save(
            self.ctx.book.id,
            plan.corrections,
            plan.drafts.lines(read.journal, made.lines),
            rules=(self.in_force.digest, self.in_force.version),
            actor=self.ctx.actor,
        )
        total.documents += len(wanted)
        total.waiting += plan.waiting
        total.asked += plan.asked
        total.written += saved

    def _made(self, read: Histories, ruleset: RuleSet) -> Generated:
        """What the rules make of the documents that ask for a voucher here."""
        rows, *parts = read.frames
        due = rows.filter(
            pl.col("status").is_in([str(status) for status in DUE_STATUSES])
            & (pl.col("role") != BookRole.LEFT.value)
        )
        ids = due["id"].implode()
        its = [part.filter(pl.col("document_pk").is_in(ids)) for part in parts]
        return apply_rules(ruleset, self.ctx.book, Sources(due, *its))

    def _is_wanted(self, document: Document, read: Histories) -> bool:
        """Whether it is time for a document: the gate let it through, and nothing of it stands in another book."""
        row = document.row
        named = self.decision is None or self.decision.document in (row["code"], row["document_id"])
        if not named or row["disposition"] == Disposition.SETTLED:
            return False
        if document.gone is not None:
            return True
        is_checked = row["disposition"] != Disposition.PENDING and document.pk not in read.held
        return is_checked and document.pk not in self._elsewhere

    def _decided(self, document: Document) -> Action | None:
        """The person's decision, if it is one of the document's choices."""
        if self.decision is None:
            return None
        policy = self.ctx.book.after_posting.policy
        steps = [] if document.is_in_doubt else document.steps(policy)
        asked = [step for step in steps if step.verdict.action is Action.ASK]
        allowed = {choice for step in asked for choice in choices(step.change, step.situation)}
        if self.decision.action in allowed:
            return self.decision.action
        shown = "|".join(sorted(allowed)) or "—"
        code = document.row["code"]
        raise FixData(
            f"单据 {code} 不能 {self.decision.action}，可选：{shown}；过账结果未定的先运行 post / document {code}: {self.decision.action} is "
            f"not possible, choose: {shown}; where the outcome of a voucher is in doubt, run post first"
        )

    def _look(self, wanted: Sequence[Document]) -> None:
        """See in the ledger whether vouchers that stand are still what we posted."""
        standing = {row["id"]: document for document in wanted for row in document.standing()}
        ids = sorted(standing)
        for start in range(0, len(ids), LOOK_SIZE):
            with reading(self.ctx.store.engine) as connection:
                ours = load(connection, ids[start : start + LOOK_SIZE])
            found = self.ctx.ledger.find([stored.voucher for stored in ours])
            for stored in ours:
                changed = self._by_hand(stored, found.get(stored.voucher.key, ()))
                if changed is not None:
                    standing[stored.id].by_hand[stored.id] = changed

    def _by_hand(self, stored: StoredVoucher, found: Sequence[LedgerVoucher]) -> Situation | None:
        """What somebody did to a posted voucher in the ledger; None where it is as we posted it."""
        there = next((each for each in found if each.ledger_id == stored.ledger_id), None)
        if there is None or there.state is LedgerVoucherState.DRAFT:
            return Situation.EDITED_BY_HAND
        if there.state is LedgerVoucherState.REVERSED:
            return Situation.REVERSED_BY_HAND
        kinds = self.ctx.ledger.dimension_kinds
        is_same = content_digest(there.date, there.lines, kinds) == stored.content_digest
        return None if is_same else Situation.EDITED_BY_HAND
