"""A company whose documents change after posting: one book, its OA and its ledger, and an auditor's view of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import func, select

from include.domain.document import DocumentStatus
from include.domain.voucher import LedgerVoucherState, Side
from include.settings import AfterPosting
from include.stages.context import StageContext
from include.stages.extract import extract
from include.stages.follow import Decision, FollowResult, follow
from include.stages.generate import generate
from include.stages.post import PostResult, post
from include.stages.validate import changed_after_posting
from include.stages.write_back import write_back
from include.store import tables as t
from tests.conftest import FakeClock
from tests.documents import claim
from tests.fakes.ledger import FakeLedger
from tests.fakes.source import FakeSource
from tests.unit.stages.flow import ALL

AUTOMATIC = AfterPosting(withdrawn="reverse", altered="replace", prior_year="blue")
Balances = Mapping[tuple[str, tuple[tuple[str, str], ...]], int]


@dataclass
class World:
    """What a test does and sees. `run` is a whole run of all stages, a minute later each time."""

    ctx: StageContext
    oa: FakeSource
    ledger: FakeLedger
    clock: FakeClock
    original: dict[str, Any] = field(default_factory=dict)

    def under(self, policy: AfterPosting) -> None:
        self.ctx = replace(self.ctx, book=self.ctx.book.model_copy(update={"after_posting": policy}))

    def read(self) -> None:
        """Read what changed, and let it through as the gate would, whose own suite costs seconds."""
        self.clock.forward(60)
        extract(self.ctx)
        self.check()

    def check(self) -> None:
        documents = self.ctx.store.documents
        found: dict[int, list[Any]] = {}
        for row in documents.changed_after_posting(self.ctx.book.id):
            found.setdefault(row["document_pk"], []).append(changed_after_posting(row))
        with self.ctx.store.engine.begin() as connection:
            last = connection.scalar(select(func.max(t.source_document.c.id))) or 0
        documents.file_gate(
            self.ctx.book.id, ALL, checked_until=last, failed=found, at=self.clock.now()
        )

    def follow(self, decision: Decision | None = None) -> FollowResult:
        return follow(self.ctx, ALL, decision)

    def post(self) -> PostResult:
        generate(self.ctx, ALL)
        return post(self.ctx, ALL)

    def run(self) -> FollowResult:
        self.read()
        result = self.follow()
        self.post()
        write_back(self.ctx, ALL)
        return result

    def posted(self, number: int = 1, **more: Any) -> None:
        """A claim whose voucher is in the ledger."""
        self.oa.put(claim(number, **more), at=self.clock.now())
        self.run()

    def change(self, number: int = 1, **fields: Any) -> None:
        self.clock.forward(60)
        self.oa.change(f"ID_{number}", self.clock.now(), **fields)

    def withdraw(self, number: int = 1, status: DocumentStatus = DocumentStatus.NULLIFIED) -> None:
        self.change(number, status=status)

    def net(self) -> Balances:
        """The ledger's debits less credits by account and dimensions, drafts left out, nothing that is zero."""
        found: dict[tuple[str, tuple[tuple[str, str], ...]], int] = defaultdict(int)
        for voucher in self.ledger.vouchers_by_id.values():
            if voucher.state is LedgerVoucherState.DRAFT:
                continue
            for line in voucher.lines:
                key = (line.account, tuple(sorted((d.kind, d.code) for d in line.dimensions)))
                found[key] += line.amount.minor if line.side is Side.DEBIT else -line.amount.minor
        return {key: total for key, total in found.items() if total}

    def by_account(self) -> dict[str, int]:
        found: dict[str, int] = defaultdict(int)
        for (account, _), total in self.net().items():
            found[account] += total
        return {account: total for account, total in found.items() if total}

    def rows(self) -> list[tuple[str, int, str, str]]:
        """(event, revision, relation, status) of every voucher, oldest first."""
        v = t.voucher.c
        with self.ctx.store.engine.begin() as connection:
            query = select(v.event, v.revision, v.relation, v.status).order_by(v.id)
            return [tuple(row) for row in connection.execute(query)]

    def problems(self) -> list[str]:
        """Codes of what people are told and must see to, oldest first."""
        p = t.problem.c
        with self.ctx.store.engine.begin() as connection:
            return list(connection.scalars(select(p.code).where(p.resolved_at.is_(None)).order_by(p.id)))

    def disposition(self, number: int = 1) -> str:
        d = t.source_document.c
        with self.ctx.store.engine.begin() as connection:
            query = select(d.disposition).where(d.document_id == f"ID_{number}", d.is_current)
            return str(connection.scalar(query))

    def shown(self, number: int = 1) -> str:
        """The voucher number on the document in the OA."""
        return self.oa.document(f"ID_{number}").voucher_no
