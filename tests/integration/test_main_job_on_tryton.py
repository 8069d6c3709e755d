"""The main job on real parts: an emulated Hesi over HTTP, a Tryton server, and Tryton's own client to count."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from include.adapters.ledger.tryton import build_ledger
from include.adapters.oa.hesi import build_source
from include.conformance.ledger.tryton import ACCOUNTANT, ACCOUNTANT_PASSWORD, RunningTryton, serving
from include.connections import Endpoint
from include.emulators.hesi import APP_KEY, APP_SECRET, World, generate_world, running
from include.ports import SystemClock
from include.settings import load_settings
from include.stages.context import Scope, StageContext
from include.stages.extract import extract
from include.stages.generate import generate
from include.stages.post import post
from include.stages.reconcile import reconcile
from include.stages.summary import Summary, summarise
from include.stages.validate import validate
from include.stages.write_back import write_back
from include.store.engine import open_engine
from include.store.store import assemble

ALL = Scope()


@pytest.fixture
def tryton(new_ledger: Callable[[], Path]) -> Iterator[RunningTryton]:
    """A ledger of this test's own: what is counted must be ours alone."""
    with serving(new_ledger()) as server:
        yield server


@pytest.fixture
def world() -> World:
    return generate_world(120, 31, 2025, dirty_share=0.1)


@pytest.fixture
def ctx(world: World, tryton: RunningTryton, make_store_url: Callable[[str], str]) -> Iterator[StageContext]:
    settings, clock = load_settings(), SystemClock()
    book, source = settings.book("acme"), settings.sources["hesi"]
    engine = open_engine(make_store_url("sqlite"))
    with running(world) as url:
        endpoint = Endpoint("hesi_test", url, APP_KEY, APP_SECRET)
        yield StageContext(
            settings=settings,
            book=book,
            store=assemble(engine, clock),
            connect_source=lambda: build_source(source, endpoint, clock),
            connect_ledger=lambda: build_ledger(book, tryton.endpoint),
            clock=clock,
            actor="test",
        )
    engine.dispose()


def run(ctx: StageContext) -> Summary:
    extract(ctx)
    for stage in (validate, generate, post, reconcile, write_back):
        stage(ctx, ALL)
    return summarise(ctx)


def test_proteus_counts_exactly_what_was_posted_and_a_second_run_adds_nothing(
    ctx: StageContext, world: World, tryton: RunningTryton
) -> None:
    summary = run(ctx)
    expected = sum(verdict.voucher_expected for verdict in world.truth.values())
    assert (summary.posted, summary.discrepancies, summary.complete) == (expected, 0, True)
    counted = _as_accountant(tryton)
    assert counted == (expected, {"posted"}, Decimal(summary.debit_total), Decimal(summary.credit_total))
    again = run(ctx)
    assert (again.posted, again.discrepancies) == (expected, 0)
    assert _as_accountant(tryton) == counted


def _as_accountant(tryton: RunningTryton) -> tuple[int, set[str], Decimal, Decimal]:
    """In a process of its own, since proteus keeps its connection in a module global."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_count_everything, f"{tryton.url}/rpc/").result()


def _count_everything(url: str) -> Any:
    from proteus import Model, config

    with config.set_xmlrpc_session(url, ACCOUNTANT, ACCOUNTANT_PASSWORD):
        moves = Model.get("account.move").find([])
        lines = Model.get("account.move.line").find([])
        return (
            len(moves),
            {move.state for move in moves},
            sum(line.debit for line in lines),
            sum(line.credit for line in lines),
        )
