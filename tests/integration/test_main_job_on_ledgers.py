"""The main job over an emulated Hesi into each emulated ledger over HTTP, with answers lost on the way; its own books are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from include.adapters.oa.hesi import build_source
from include.adapters.registry import build_ledger
from include.conformance.ledger import kingdee, nc, yonbip
from include.conformance.ledger_site import Site
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


@dataclass(frozen=True)
class Case:
    """A ledger: its options, and the calls whose answers, or which themselves, are lost after so many good ones."""

    system: ModuleType
    options: Mapping[str, Any]
    answers_lost: tuple[str, int]
    calls_lost: tuple[str, int]


CASES = {
    "kingdee": Case(
        kingdee,
        {"book": "001", "settle_s": 0, "dimensions": kingdee.DIMENSIONS},
        (kingdee.SAVE, 1),
        (".Audit.", 2),
    ),
    "nc": Case(
        nc,
        nc.options(batch_size=5).model_dump(),
        (nc.SEND["http"], 3),
        (nc.SEND["http"], 7),
    ),
    "yonbip": Case(
        yonbip,
        {
            "book": "001",
            "words": {"记": "1", "收": "2", "付": "3", "转": "4"},
            "maker": yonbip.MINE.maker,
            "dimensions": yonbip.DIMENSIONS,
            "settle_s": 0,
        },
        (yonbip.SAVE, 3),
        (yonbip.SAVE, 7),
    ),
}


@pytest.fixture
def world() -> World:
    return generate_world(60, 31, 2025, dirty_share=0.1)


@pytest.fixture(params=CASES)
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def site(vendor: str, tmp_path: Path) -> Iterator[Site]:
    system = CASES[vendor].system
    with system.serving(tmp_path, system.contract_company()) as running_site:
        yield running_site


@pytest.fixture
def ctx(
    vendor: str, world: World, site: Site, make_store_url: Callable[[str], str]
) -> Iterator[StageContext]:
    settings, clock, case = load_settings(), SystemClock(), CASES[vendor]
    ledger = Ledger(system=vendor, connection=f"{vendor}_test", options=case.options)
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
            connect_ledger=lambda: build_ledger(book, case.system.endpoint(site.url)),
            clock=clock,
            actor="test",
        )
    engine.dispose()


def run(ctx: StageContext, site: Site) -> Summary:
    """The keepers of master data make what the vouchers name, once they are generated."""
    extract(ctx)
    for stage in (validate, generate):
        stage(ctx, ALL)
    waiting = [stored.voucher for stored in ctx.store.vouchers.batch(ctx.book.id, ALL, TO_SEND, 1000, 0)]
    site.make([value for each in waiting for line in each.lines for value in line.dimensions])
    for stage in (post, reconcile, write_back):
        stage(ctx, ALL)
    return summarise(ctx)


def test_the_site_has_exactly_what_was_posted_and_a_second_run_adds_nothing(
    ctx: StageContext, world: World, site: Site, vendor: str
) -> None:
    expected, case = sum(verdict.voucher_expected for verdict in world.truth.values()), CASES[vendor]

    with ExitStack() as trouble:
        for kind, (calls, skip) in (("drop_after", case.answers_lost), ("drop_before", case.calls_lost)):
            trouble.enter_context(site.fault(kind, calls, skip=skip))
        summary = run(ctx, site)
        befallen = site.admin("counts", method="GET")["befallen"]

    assert befallen == {"drop_after": 1, "drop_before": 1}
    assert (summary.posted, summary.discrepancies, summary.complete) == (expected, 0, True)
    there = site.vouchers()
    assert len(there) == expected
    assert len({each["status"] for each in there}) == 1
    debit = sum(line["debit"] for each in there for line in each["lines"])
    assert f"{debit / 100:.2f}" == str(summary.debit_total)
    again = run(ctx, site)
    assert (again.posted, again.discrepancies) == (expected, 0)
    assert site.vouchers() == there
