"""The main job over an emulated Hesi into an emulated Kingdee site, each over HTTP; the site's own books are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from include.adapters.ledger.kingdee import build_ledger
from include.adapters.oa.hesi import build_source
from include.connections import Endpoint
from include.emulators.hesi import APP_KEY, APP_SECRET, World, generate_world, running
from include.emulators.kingdee import company
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
from tests.contract.kingdee_site import Site, endpoint, serving

ALL = Scope()
OPTIONS = {
    "book": "001",
    "settle_s": 0,
    "dimensions": {
        "department": "BD_Department",
        "employee": "BD_Empinfo",
        "supplier": "BD_Supplier",
        "project": "项目",
    },
}


@pytest.fixture
def world() -> World:
    return generate_world(120, 31, 2025, dirty_share=0.1)


OWN_DIMENSIONS = {"1122": (), "5101": (("department", False), ("project", False))}


def acme() -> dict[str, Any]:
    """The emulator's company with the chart that the example's rules are made for: receivables name no customer,
    manufacturing overheads may name department and project.
    """
    seed = company()
    for account in next(iter(seed["charts"].values())):
        account["dimensions"] = OWN_DIMENSIONS.get(account["code"], account["dimensions"])
    return seed


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(tmp_path, acme()) as running_site:
        yield running_site


@pytest.fixture
def ctx(world: World, site: Site, make_store_url: Callable[[str], str]) -> Iterator[StageContext]:
    settings, clock = load_settings(), SystemClock()
    ledger = Ledger(system="kingdee", connection="kingdee_test", options=OPTIONS)
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
    """Kingdee's keepers of master data make what the vouchers name."""
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
    with site.fault("drop_after", ".BatchSave.", skip=1), site.fault("drop_before", ".Audit.", skip=2):
        summary = run(ctx, site)

    assert (summary.posted, summary.discrepancies, summary.complete) == (expected, 0, True)
    there = site.vouchers()
    assert len(there) == expected
    assert {each["status"] for each in there} == {"C"}
    debit = sum(line["debit"] for each in there for line in each["lines"])
    assert f"{debit / 100:.2f}" == str(summary.debit_total)
    again = run(ctx, site)
    assert (again.posted, again.discrepancies) == (expected, 0)
    assert site.vouchers() == there
