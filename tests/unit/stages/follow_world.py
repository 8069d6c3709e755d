"""A company whose documents change after posting: one book, its OA and its ledger, and an auditor's view of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import func, select

from include.domain.changes import Action
from include.domain.document import DUE_STATUSES, Disposition, DocumentStatus, Reference
from include.domain.voucher import LedgerVoucherState, Side, VoucherKey
from include.settings import AfterPosting, load_settings
from include.stages.context import StageContext
from include.stages.extract import extract
from include.stages.follow import Decision, FollowResult, follow
from include.stages.generate import make_vouchers
from include.stages.post import PostResult, post
from include.stages.rules import rules_in_force
from include.stages.validate import changed_after_posting
from include.stages.write_back import write_back
from include.store import tables as t
from include.store.store import Store
from tests.conftest import FakeClock
from tests.documents import claim, line
from tests.fakes.ledger import FakeLedger
from tests.fakes.source import FakeSource
from tests.unit.stages.flow import ALL

ASK = AfterPosting()
AUTOMATIC = AfterPosting(withdrawn="reverse", altered="replace", prior_year="blue")
ELSEWHERE = Reference("LE2", "E02", "另一家公司")
Net = Mapping[tuple[str, tuple[tuple[str, str], ...]], int]


def altered(amount: int = 5_300) -> dict[str, Any]:
    """Fields of a claim over another amount, in a department of its own."""
    rows = (line(1, amount, 0, department=Reference("D2", "D02", "市场部")),)
    return {"lines": rows, "gross": amount, "payable": amount, "transaction_gross": amount}


@dataclass
class World:
    """What a test does and sees. `run` is a whole run of all stages, a minute after the last."""

    ctx: StageContext
    oa: FakeSource
    ledger: FakeLedger
    clock: FakeClock
    reversed_by_hand: dict[str, str] = field(default_factory=dict)
    """Ledger ids of what somebody reversed, by those of the counter-entries."""

    @classmethod
    def of(cls, store: Store, oa: FakeSource, ledger: FakeLedger, clock: FakeClock) -> World:
        """With a second book, to which documents may move; the account for prior years is among the first one's."""
        settings = load_settings()
        acme = settings.book("acme")
        other = acme.model_copy(
            update={"id": "other", "legal_entities": [ELSEWHERE.code], "receives_unassigned": False}
        )
        settings = settings.model_copy(update={"books": {"acme": acme, "other": other}})
        ctx = StageContext(
            settings=settings,
            book=acme,
            store=store,
            connect_source=lambda: oa,
            connect_ledger=lambda: ledger,
            clock=clock,
            actor="cli:finance",
        )
        return cls(ctx, oa, ledger, clock)

    def under(self, policy: AfterPosting) -> None:
        self.ctx = replace(self.ctx, book=self.ctx.book.model_copy(update={"after_posting": policy}))

    # -- what is done ----------------------------------------------------------------------------------

    def read(self) -> None:
        """Read what changed, and let it through as the gate would, whose own suite costs seconds."""
        self.clock.forward(60)
        extract(self.ctx)
        documents = self.ctx.store.documents
        found: dict[int, list[Any]] = {}
        for row in documents.changed_after_posting(self.ctx.book.id):
            found.setdefault(row["document_pk"], []).append(changed_after_posting(row))
        d = t.source_document.c
        unsettled = d.disposition.in_([Disposition.PENDING, Disposition.QUARANTINED])
        with self.ctx.store.engine.begin() as connection:  # the gate looks at what is due
            last = connection.scalar(select(func.max(d.id)).where(unsettled, d.status.in_(DUE_STATUSES))) or 0
        documents.file_gate(self.ctx.book.id, ALL, checked_until=last, failed=found, at=self.clock.now())

    def follow(self, decision: Decision | None = None) -> FollowResult:
        return follow(self.ctx, ALL, decision)

    def decide(self, action: Action, number: int = 1) -> FollowResult:
        return self.follow(Decision(f"ID_{number}", action))

    def generate(self) -> None:
        """Apply the rules; the gate's look at the vouchers has its own suite."""
        make_vouchers(self.ctx, ALL, rules_in_force(self.ctx))

    def post(self) -> PostResult:
        return post(self.ctx, ALL)

    def run(self) -> FollowResult:
        self.read()
        result = self.follow()
        self.generate()
        self.post()
        write_back(self.ctx, ALL)
        return result

    def put(self, number: int = 1, **more: Any) -> None:
        self.oa.put(claim(number, **more), at=self.clock.now())

    def posted(self, number: int = 1, **more: Any) -> None:
        """A claim whose voucher is in the ledger."""
        self.put(number, **more)
        self.run()

    def change(self, number: int = 1, **fields: Any) -> None:
        self.clock.forward(60)
        self.oa.change(f"ID_{number}", self.clock.now(), **fields)

    def withdraw(self, number: int = 1, status: DocumentStatus = DocumentStatus.NULLIFIED) -> None:
        self.change(number, status=status)

    def reverse_by_hand(self, ledger_id: str) -> None:
        before = set(self.ledger.vouchers_by_id)
        self.ledger.cancel(ledger_id)
        for counter in set(self.ledger.vouchers_by_id) - before:
            self.reversed_by_hand[counter] = ledger_id

    # -- what is seen ----------------------------------------------------------------------------------

    def net(self, number: int | None = None) -> Net:
        """The ledger's debits less credits by account and dimensions, of one document or all: drafts are left out, and
        what is zero.
        """
        found: dict[tuple[str, tuple[tuple[str, str], ...]], int] = defaultdict(int)
        for voucher in self.ledger.vouchers_by_id.values():
            of = self.ledger.vouchers_by_id.get(self.reversed_by_hand.get(voucher.ledger_id, ""), voucher)
            key = VoucherKey.parse(of.reference)
            is_its = number is None or (key is not None and key.document_id == f"ID_{number}")
            if voucher.state is LedgerVoucherState.DRAFT or not is_its:
                continue
            for each in voucher.lines:
                place = (each.account, tuple(sorted((d.kind, d.code) for d in each.dimensions)))
                found[place] += each.amount.minor if each.side is Side.DEBIT else -each.amount.minor
        return {place: total for place, total in found.items() if total}

    def by_account(self, number: int | None = None) -> dict[str, int]:
        found: dict[str, int] = defaultdict(int)
        for (account, _), total in self.net(number).items():
            found[account] += total
        return {account: total for account, total in found.items() if total}

    def rows(self, number: int = 1) -> list[tuple[str, int, str, str]]:
        """(event, revision, relation, status) of a document's vouchers, oldest first."""
        v = t.voucher.c
        with self.ctx.store.engine.begin() as connection:
            query = select(v.event, v.revision, v.relation, v.status).where(v.document_id == f"ID_{number}")
            return [tuple(row) for row in connection.execute(query.order_by(v.id))]

    def problems(self, number: int = 1) -> list[str]:
        """Codes of what people are told and must see to."""
        p, d = t.problem.c, t.source_document.c
        with self.ctx.store.engine.begin() as connection:
            query = select(p.code).join(t.source_document, d.id == p.document_pk)
            still = query.where(p.resolved_at.is_(None), d.document_id == f"ID_{number}").order_by(p.id)
            return list(connection.scalars(still))

    def disposition(self, number: int = 1) -> str:
        d = t.source_document.c
        with self.ctx.store.engine.begin() as connection:
            query = select(d.disposition).where(
                d.document_id == f"ID_{number}", d.is_current, d.book == self.ctx.book.id
            )
            return str(connection.scalar(query))

    def shown(self, number: int = 1) -> str:
        """The voucher number on the document in the OA."""
        return self.oa.document(f"ID_{number}").voucher_no

    def standing_number(self, number: int = 1) -> str:
        """The number of the document's last voucher in the ledger that is neither a reversal nor reversed."""
        v = t.voucher.c
        with self.ctx.store.engine.begin() as connection:
            rows = connection.execute(
                select(v.id, v.original_id, v.relation, v.ledger_number)
                .where(v.document_id == f"ID_{number}", v.status == "posted")
                .order_by(v.id)
            ).all()
        undone = {row.original_id for row in rows if row.relation in {"reversal", "correction"}}
        standing = [row.ledger_number for row in rows if row.relation != "reversal" and row.id not in undone]
        return standing[-1] if standing else ""
