"""The main job against what is known to be true: an emulated company whose every document has its verdict.

The verdicts (`World.truth`) are made by the generator, which knows nothing of our rules, and never go over HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import func, select

from include.adapters.oa.hesi import build_source
from include.connections import Endpoint
from include.domain.document import Disposition
from include.domain.errors import VoucherflowError
from include.domain.voucher import Side, VoucherStatus
from include.emulators.hesi import APP_KEY, APP_SECRET, Faults, World, generate_world, running
from include.ports import LedgerGateway, SystemClock
from include.settings import load_settings
from include.stages.context import Scope, StageContext
from include.stages.extract import extract
from include.stages.generate import generate
from include.stages.post import post
from include.stages.reconcile import reconcile
from include.stages.summary import Summary, summarise
from include.stages.validate import validate
from include.stages.write_back import write_back
from include.store import tables as t
from include.store.engine import open_engine
from include.store.store import assemble
from tests.fakes.ledger import FakeLedger

ALL = Scope()
INPUT_TAX = "2221.01.01"


class HastyClock(SystemClock):
    """Waits a fiftieth of what it is told, so that backing off does not make the suite slow."""

    def sleep(self, seconds: float) -> None:
        SystemClock.sleep(self, seconds / 50)


@dataclass
class Company:
    """An emulated company, its ledger and a book between them."""

    world: World
    ledger: FakeLedger
    ctx: StageContext

    def run(self) -> Summary:
        extract(self.ctx)
        for stage in (validate, generate, post, reconcile, write_back):
            stage(self.ctx, ALL)
        return summarise(self.ctx)

    def ids(self, disposition: Disposition) -> set[str]:
        d = t.source_document.c
        with self.ctx.store.engine.begin() as connection:
            return set(
                connection.scalars(select(d.document_id).where(d.is_current, d.disposition == disposition))
            )

    def in_ledger(self) -> dict[str, int]:
        """How many vouchers the ledger holds for each document."""
        counts: dict[str, int] = {}
        for voucher in self.ledger.vouchers_by_id.values():
            assert voucher.key is not None
            counts[voucher.key.document_id] = counts.get(voucher.key.document_id, 0) + 1
        return counts


@pytest.fixture
def company(request: pytest.FixtureRequest, make_store_url: Callable[[str], str]) -> Iterator[Company]:
    """Parameters: database, number of documents, seed, faults."""
    backend, documents, seed, faults = request.param
    world = generate_world(documents, seed, 2025, dirty_share=0.1)
    settings = load_settings()
    book, source = settings.book("acme"), settings.sources["hesi"]
    clock = HastyClock()
    engine = open_engine(make_store_url(backend))
    ledger = FakeLedger()

    def connect_ledger() -> LedgerGateway:
        return ledger

    with running(world, faults=faults) as url:
        endpoint = Endpoint("hesi_test", url, APP_KEY, APP_SECRET)
        ctx = StageContext(
            settings=settings,
            book=book,
            store=assemble(engine, clock),
            connect_source=lambda: build_source(source, endpoint, clock),
            connect_ledger=connect_ledger,
            clock=clock,
            actor="test",
        )
        yield Company(world, ledger, ctx)
    engine.dispose()


@pytest.mark.parametrize("company", [("sqlite", 400, 11, None), ("postgresql", 400, 12, None)], indirect=True)
def test_every_document_ends_where_it_belongs_and_a_second_run_posts_nothing(company: Company) -> None:
    truth = company.world.truth
    summary = company.run()
    expected = {i for i, verdict in truth.items() if verdict.voucher_expected}
    dirty = {i for i, verdict in truth.items() if verdict.defect}
    assert set(company.in_ledger()) == expected
    assert set(company.in_ledger().values()) == {1}
    assert company.ids(Disposition.QUARANTINED) == dirty
    assert summary.complete
    assert (summary.documents, summary.pending, summary.discrepancies) == (400, 0, 0)
    assert summary.vouchers == summary.posted == len(expected)
    assert summary.debit_total == summary.credit_total
    before = dict(company.ledger.vouchers_by_id)
    again = company.run()
    assert company.ledger.vouchers_by_id == before
    assert (again.posted, again.quarantined, again.discrepancies) == (
        summary.posted,
        summary.quarantined,
        0,
    )


@pytest.mark.parametrize("company", [("sqlite", 400, 13, None)], indirect=True)
def test_totals_and_taxes_are_those_of_the_documents_and_the_oa_shows_each_number(company: Company) -> None:
    company.run()
    checked = 0
    for voucher in company.ledger.vouchers_by_id.values():
        assert voucher.key is not None
        document = company.world.documents[voucher.key.document_id]
        verdict = company.world.truth[document.id]
        if document.form_type not in {"expense", "loan", "payment"}:
            continue
        checked += 1
        debit = sum(line.amount.minor for line in voucher.lines if line.side is Side.DEBIT)
        tax = sum(line.amount.minor for line in voucher.lines if line.account == INPUT_TAX)
        assert (document.id, debit, tax) == (document.id, verdict.gross, verdict.deductible)
        if document.state == "paid":
            assert document.voucher_no == voucher.number
    assert checked > 250


@pytest.mark.parametrize("company", [("sqlite", 300, 14, None)], indirect=True)
def test_once_the_cause_is_gone_a_rerun_completes_without_a_duplicate(company: Company) -> None:
    company.run()
    world = company.world
    department = next(d for d in world.catalog.departments if d["active"])["id"]
    repaired = [
        i
        for i, verdict in world.truth.items()
        if verdict.defect == "unknown_department"
        and "expenseDepartment" in world.render(world.documents[i], detail=True)["form"]
    ]
    assert repaired, "the seed has no such document: choose another"
    before = company.in_ledger()
    for document_id in repaired:
        world.change("edit", document_id, fields={"expenseDepartment": department})
    company.run()
    assert set(repaired) <= set(company.in_ledger())
    assert {i: n for i, n in company.in_ledger().items() if i in before} == before


@pytest.mark.parametrize(
    "company",
    [
        (
            "sqlite",
            150,
            15,
            Faults(
                seed=3, too_many=0.04, server_error=0.04, drop_before=0.04, drop_after=0.04, truncate=0.04
            ),
        )
    ],
    indirect=True,
)
def test_an_oa_that_fails_every_fifth_call_delays_the_job_and_changes_nothing_of_it(company: Company) -> None:
    for _ in range(20):
        try:
            summary = company.run()
        except VoucherflowError:
            continue
        break
    expected = {i for i, verdict in company.world.truth.items() if verdict.voucher_expected}
    assert set(company.in_ledger()) == expected
    assert set(company.in_ledger().values()) == {1}
    assert summary.complete


@pytest.mark.parametrize("company", [("sqlite", 120, 16, None)], indirect=True)
def test_a_document_withdrawn_or_changed_after_posting_is_shown_and_its_voucher_left_alone(
    company: Company,
) -> None:
    company.run()
    vouchers = dict(company.ledger.vouchers_by_id)
    paid = [
        i
        for i, n in company.in_ledger().items()
        if company.world.documents[i].state == "paid" and company.world.documents[i].form_type == "expense"
    ]
    company.world.change("nullify", paid[0])
    company.run()
    p, d = t.problem.c, t.source_document.c
    with company.ctx.store.engine.begin() as connection:
        codes = connection.scalars(
            select(p.code)
            .join(t.source_document, d.id == p.document_pk)
            .where(d.document_id == paid[0], p.resolved_at.is_(None))
        ).all()
        posted = connection.scalar(select(func.count()).where(t.voucher.c.status == VoucherStatus.POSTED))
    assert codes == ["document.withdrawn_after_posting"]
    assert company.ledger.vouchers_by_id == vouchers
    assert posted == len(vouchers)
