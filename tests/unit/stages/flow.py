"""Steps that the suites of the later stages share."""

from __future__ import annotations

from sqlalchemy import select, update

from include.domain.document import Disposition
from include.domain.voucher import LedgerVoucherState
from include.ports import ProofLevel
from include.stages.context import Scope, StageContext
from include.stages.extract import extract
from include.stages.generate import generate
from include.stages.post import post
from include.store import tables as t
from tests.documents import claim
from tests.fakes.ledger import FakeLedger
from tests.fakes.source import FakeSource

ALL = Scope()


def accept_all(ctx: StageContext) -> None:
    """Stand in for the quality gate, which has its own suite and costs seconds."""
    with ctx.store.engine.begin() as connection:
        connection.execute(
            update(t.source_document)
            .where(t.source_document.c.disposition.in_([Disposition.PENDING, Disposition.QUARANTINED]))
            .values(disposition=Disposition.ACCEPTED)
        )


def ready(ctx: StageContext, oa: FakeSource, count: int) -> None:
    """Generated vouchers of as many claims."""
    for number in range(1, count + 1):
        oa.put(claim(number))
    extract(ctx)
    accept_all(ctx)
    assert generate(ctx, ALL).vouchers == count


def posted(ctx: StageContext, oa: FakeSource, count: int) -> None:
    """As many vouchers in the ledger."""
    ready(ctx, oa, count)
    assert post(ctx, ALL).posted == count


def statuses(ctx: StageContext) -> list[str]:
    """The status of every voucher, oldest first."""
    with ctx.store.engine.begin() as connection:
        return list(connection.scalars(select(t.voucher.c.status).order_by(t.voucher.c.id)))


def once_each(ledger: FakeLedger, count: int) -> bool:
    """Whether the ledger holds exactly one posted voucher for each of `count` documents.

    Where it keeps no keys, the documents of these tests all make the same voucher: then their number says it.
    """
    posted = all(v.state is LedgerVoucherState.POSTED for v in ledger.vouchers_by_id.values())
    keys = {str(v.key) for v in ledger.vouchers_by_id.values()}
    is_keyed = ledger.proof_level is not ProofLevel.DATE_AND_AMOUNT
    return len(ledger.vouchers_by_id) == count and posted and (len(keys) == count or not is_keyed)
