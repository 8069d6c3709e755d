"""Two companies of an emulated group over HTTP: every claim is booked once, whoever shares it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable

import pytest

from include.adapters.oa.hesi import build_source
from include.connections import Endpoint
from include.domain.voucher import Side
from include.emulators.hesi import APP_KEY, APP_SECRET, generate_world, running
from include.ports import LedgerGateway, SystemClock
from include.settings import DEFAULT_CONFIG_DIR, load_settings
from include.stages.context import Scope, StageContext
from include.stages.extract import extract
from include.stages.generate import generate
from include.stages.post import post
from include.stages.reconcile import reconcile
from include.stages.summary import summarise
from include.stages.validate import validate
from include.stages.write_back import write_back
from include.store.engine import open_engine
from include.store.store import Store, assemble
from tests.fakes.ledger import FakeLedger

ALL = Scope()


def _run(ctx: StageContext) -> None:
    extract(ctx)
    for stage in (validate, generate, post, reconcile, write_back):
        stage(ctx, ALL)


def _balances(ledgers: dict[str, FakeLedger]) -> Counter[str]:
    """Debits less credits by account, of both books together; what they owe each other apart."""
    found: Counter[str] = Counter()
    for ledger in ledgers.values():
        for line in (line for voucher in ledger.vouchers_by_id.values() for line in voucher.lines):
            between_them = any(d.kind == "supplier" and d.code in {"E01", "E02"} for d in line.dimensions)
            signed = line.amount.minor if line.side is Side.DEBIT else -line.amount.minor
            found["intercompany" if between_them else line.account] += signed
    return found


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_the_books_of_a_group_add_up_to_its_documents(
    backend: str, make_store_url: Callable[[str], str]
) -> None:
    world = generate_world(300, 5, 2025, dirty_share=0.0, shared_share=0.4)
    settings = load_settings(DEFAULT_CONFIG_DIR / "examples" / "group")
    engine, clock = open_engine(make_store_url(backend)), SystemClock()
    store: Store = assemble(engine, clock)
    ledgers = {book: FakeLedger() for book in settings.books}

    def context(book: str, url: str) -> StageContext:
        def ledger() -> LedgerGateway:
            return ledgers[book]

        endpoint = Endpoint("hesi_test", url, APP_KEY, APP_SECRET)
        return StageContext(
            settings=settings,
            book=settings.book(book),
            store=store,
            connect_source=lambda: build_source(settings.sources["hesi"], endpoint, clock),
            connect_ledger=ledger,
            clock=clock,
            actor="test",
        )

    with running(world) as url:
        contexts = {book: context(book, url) for book in settings.books}
        for ctx in contexts.values():
            _run(ctx)
        summaries = {book: summarise(ctx) for book, ctx in contexts.items()}
    assert all(summary.complete for summary in summaries.values())
    assert {book: (s.quarantined, s.pending, s.discrepancies) for book, s in summaries.items()} == {
        "beijing": (0, 0, 0),
        "shanghai": (0, 0, 0),
    }

    booked: dict[str, set[str]] = defaultdict(set)
    for book, ledger in ledgers.items():
        for voucher in ledger.vouchers_by_id.values():
            assert voucher.key is not None
            booked[voucher.key.document_id].add(book)
    due = {
        i
        for i, truth in world.truth.items()
        if truth.voucher_expected and world.documents[i].form_type in {"expense", "loan"}
    }
    assert set(booked) == due
    assert any(len(books) == 2 for books in booked.values())

    balances = _balances(ledgers)
    assert balances["intercompany"] == 0
    claims = [world.truth[i] for i in due if world.documents[i].form_type == "expense"]
    cost = sum(amount for account, amount in balances.items() if account.startswith("66"))
    assert (cost, balances["2221.01.01"]) == (
        sum(truth.gross - truth.deductible for truth in claims),
        sum(truth.deductible for truth in claims),
    )
    takes_numbers = [world.documents[i] for i in due if world.documents[i].state == "paid"]
    assert all(document.voucher_no for document in takes_numbers)
    engine.dispose()
