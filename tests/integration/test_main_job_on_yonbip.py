"""The main job over an emulated Hesi into an emulated YonBIP tenant, each over HTTP; the tenant's own books are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from include.adapters.ledger.yonbip import build_ledger
from include.adapters.oa.hesi import build_source
from include.conformance.ledger.yonbip import (
    DIMENSIONS,
    MINE,
    SAVE,
    Tenant,
    contract_company,
    endpoint,
    serving,
)
from include.connections import Endpoint
from include.emulators.hesi import APP_KEY, APP_SECRET, World, generate_world, running
from include.ports import SystemClock
from include.settings import Ledger, load_settings
from include.stages.context import Scope, StageContext
from include.stages.extract import extract
from include.stages.generate import generate
from include.stages.post import post
from include.stages.posting import TO_SEND
from include.stages.reconcile import reconcile
from include.stages.summary import Summary, summarise
from include.stages.validate import validate
from include.stages.write_back import write_back
from include.store.engine import open_engine
from include.store.store import assemble

ALL = Scope()
OPTIONS = {
    "book": "001",
    "words": {"记": "1", "收": "2", "付": "3", "转": "4"},
    "maker": MINE.maker,
    "dimensions": DIMENSIONS,
    "settle_s": 0,
}


@pytest.fixture
def world() -> World:
    return generate_world(60, 31, 2025, dirty_share=0.1)


@pytest.fixture
def tenant(tmp_path: Path) -> Iterator[Tenant]:
    with serving(tmp_path, contract_company()) as running_tenant:
        yield running_tenant


@pytest.fixture
def ctx(world: World, tenant: Tenant, make_store_url: Callable[[str], str]) -> Iterator[StageContext]:
    settings, clock = load_settings(), SystemClock()
    ledger = Ledger(system="yonbip", connection="yonbip_test", options=OPTIONS)
    book = settings.book("acme").model_copy(update={"ledger": ledger})
    source = settings.sources["hesi"]
    engine = open_engine(make_store_url("sqlite"))
    with running(world) as url:
        hesi = Endpoint("hesi_test", url, APP_KEY, APP_SECRET)
        yield StageContext(
            settings=settings,
            book=book,
            store=assemble(engine, clock),
            connect_source=lambda: build_source(source, hesi, clock),
            connect_ledger=lambda: build_ledger(book, endpoint(tenant.url)),
            clock=clock,
            actor="test",
        )
    engine.dispose()


def make_master_data(ctx: StageContext, tenant: Tenant) -> None:
    """The tenant's keepers of master data make what the vouchers name."""
    items: dict[str, dict[str, str]] = {}
    for stored in ctx.store.vouchers.batch(ctx.book.id, ALL, TO_SEND, 1000, 0):
        for line in stored.voucher.lines:
            for value in line.dimensions:
                items.setdefault(value.kind, {})[value.code] = value.name or value.code
    tenant.admin(
        "seed", items={kind: [list(each) for each in found.items()] for kind, found in items.items()}
    )


def run(ctx: StageContext, tenant: Tenant) -> Summary:
    extract(ctx)
    for stage in (validate, generate):
        stage(ctx, ALL)
    make_master_data(ctx, tenant)
    for stage in (post, reconcile, write_back):
        stage(ctx, ALL)
    return summarise(ctx)


def test_the_tenant_has_exactly_what_was_posted_and_a_second_run_adds_nothing(
    ctx: StageContext, world: World, tenant: Tenant
) -> None:
    expected = sum(verdict.voucher_expected for verdict in world.truth.values())

    # Answers are lost on the way, before and after the tenant has done its part.
    with tenant.fault("drop_after", SAVE, skip=3), tenant.fault("drop_before", SAVE, skip=7):
        summary = run(ctx, tenant)

    assert (summary.posted, summary.discrepancies, summary.complete) == (expected, 0, True)
    there = tenant.vouchers()
    assert len(there) == expected
    debit = sum(line["debit"] for each in there for line in each["lines"])
    assert f"{debit / 100:.2f}" == str(summary.debit_total)
    again = run(ctx, tenant)
    assert (again.posted, again.discrepancies) == (expected, 0)
    assert tenant.vouchers() == there
