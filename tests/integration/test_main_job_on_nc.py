"""The main job over an emulated Hesi into an emulated NC site, each over HTTP; the site's own books are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from include.adapters.ledger.nc import build_ledger
from include.adapters.oa.hesi import build_source
from include.conformance.ledger.nc import SEND, Site, contract_company, endpoint, options, serving
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
OPTIONS = options(words={"记": "01", "收": "02", "付": "03", "转": "04"}, batch_size=5).model_dump()


@pytest.fixture
def world() -> World:
    return generate_world(60, 31, 2025, dirty_share=0.1)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(tmp_path, contract_company()) as running_site:
        yield running_site


@pytest.fixture
def ctx(world: World, site: Site, make_store_url: Callable[[str], str]) -> Iterator[StageContext]:
    settings, clock = load_settings(), SystemClock()
    ledger = Ledger(system="nc", connection="nc_test", options=OPTIONS)
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
            connect_ledger=lambda: build_ledger(book, endpoint(site.url)),
            clock=clock,
            actor="test",
        )
    engine.dispose()


def make_master_data(ctx: StageContext, site: Site) -> None:
    """The site's keepers of master data make what the vouchers name."""
    items: dict[str, dict[str, str]] = {}
    for stored in ctx.store.vouchers.batch(ctx.book.id, ALL, TO_SEND, 1000, 0):
        for line in stored.voucher.lines:
            for value in line.dimensions:
                items.setdefault(value.kind, {})[value.code] = value.name or value.code
    site.admin("seed", items={kind: [list(each) for each in found.items()] for kind, found in items.items()})


def run(ctx: StageContext, site: Site) -> Summary:
    extract(ctx)
    for stage in (validate, generate):
        stage(ctx, ALL)
    make_master_data(ctx, site)
    for stage in (post, reconcile, write_back):
        stage(ctx, ALL)
    return summarise(ctx)


def test_the_site_has_exactly_what_was_posted_and_a_second_run_adds_nothing(
    ctx: StageContext, world: World, site: Site
) -> None:
    expected = sum(verdict.voucher_expected for verdict in world.truth.values())

    # Answers are lost on the way, before and after the site has done its part.
    with site.fault("drop_after", SEND["http"], skip=3), site.fault("drop_before", SEND["http"], skip=7):
        summary = run(ctx, site)

    assert (summary.posted, summary.discrepancies, summary.complete) == (expected, 0, True)
    there = site.vouchers()
    assert len(there) == expected
    debit = sum(line["debit"] for each in there for line in each["lines"])
    assert f"{debit / 100:.2f}" == str(summary.debit_total)
    again = run(ctx, site)
    assert (again.posted, again.discrepancies) == (expected, 0)
    assert site.vouchers() == there
