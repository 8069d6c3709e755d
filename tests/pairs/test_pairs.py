"""Every OA with every ledger: a company's documents from the one end in the other, reconciled, and show their numbers."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from sqlalchemy import select

from include.conformance.ledger_words import (
    LedgerUnderTest,
)
from include.conformance.runner import Kind, connectors
from include.conformance.source_suite import SourceUnderTest
from include.domain.period import FiscalPeriod
from include.domain.voucher import LedgerVoucherState
from include.ports import SystemClock
from include.settings import DEFAULT_CONFIG_DIR, Settings, load_settings
from include.stages.context import Scope, StageContext
from include.stages.extract import extract
from include.stages.follow import follow
from include.stages.generate import generate
from include.stages.post import post
from include.stages.posting import TO_SEND
from include.stages.reconcile import reconcile
from include.stages.summary import Summary, summarise
from include.stages.validate import validate
from include.stages.write_back import write_back
from include.store import tables as t
from include.store.engine import open_engine, reading
from include.store.store import assemble

pytestmark = pytest.mark.pairs

ALL = Scope()
BOOK = "acme"


def variants(kind: Kind) -> list[tuple[str, str]]:
    """Every vendor of a kind in each way of being connected; of ways that differ by the key alone, or by what is told of
    revocations, the first.
    """
    found = []
    for vendor in connectors(kind):
        names = list(import_module(f"include.conformance.{kind}.{vendor}").VARIANTS)
        found += [
            (vendor, name) for name in (names[:1] if vendor in {"kingdee", "yonbip", "feishu"} else names)
        ]
    return found


def settings_of(vendor: str, folder: Path) -> Settings:
    """The vendor's example over the rules of the default configuration, which is Hesi's."""
    example = DEFAULT_CONFIG_DIR / "examples" / vendor
    if not example.is_dir():
        return load_settings()
    for part in ("rules", "tables"):
        shutil.copytree(DEFAULT_CONFIG_DIR / part / BOOK, folder / part / BOOK)
    shutil.copytree(example, folder, dirs_exist_ok=True)
    return load_settings(folder)


def run(ctx: StageContext, books: LedgerUnderTest) -> Summary:
    """The keepers of master data make what the vouchers name, once they are generated."""
    extract(ctx)
    for stage in (validate, follow, generate):
        stage(ctx, ALL)
    waiting = [stored.voucher for stored in ctx.store.vouchers.batch(ctx.book.id, ALL, TO_SEND, 1000, 0)]
    books.make(sorted({value for each in waiting for line in each.lines for value in line.dimensions}))
    for stage in (post, reconcile, write_back):
        stage(ctx, ALL)
    return summarise(ctx)


def said_of_documents(ctx: StageContext) -> Counter[str]:
    """What is wrong with documents, which have no defects, by code."""
    with reading(ctx.store.engine) as connection:
        codes = connection.scalars(select(t.problem.c.code).where(t.problem.c.resolved_at.is_(None)))
        return Counter(codes)


def in_ledger(books: LedgerUnderTest) -> int:
    """Vouchers in the ledger's own list, over two years."""
    periods = [FiscalPeriod(year, month) for year in (2025, 2026) for month in range(1, 13)]
    pages = (page for period in periods for page in books.gateway.vouchers(period))
    return sum(each.state is LedgerVoucherState.POSTED for page in pages for each in page)


@pytest.mark.parametrize(("ledger", "way_in"), variants(Kind.LEDGER))
@pytest.mark.parametrize(("oa", "way_out"), variants(Kind.SOURCE))
def test_documents_of_the_one_are_vouchers_in_the_other(
    oa: str, way_out: str, ledger: str, way_in: str, tmp_path: Path, make_store_url: Callable[[str], str]
) -> None:
    settings = settings_of(oa, tmp_path / "config")
    (tmp_path / "ledger").mkdir()
    engine, clock = open_engine(make_store_url("sqlite")), SystemClock()
    system: SourceUnderTest
    books: LedgerUnderTest
    with (
        import_module(f"include.conformance.source.{oa}").VARIANTS[way_out](tmp_path) as system,
        import_module(f"include.conformance.ledger.{ledger}").VARIANTS[way_in](tmp_path / "ledger") as books,
    ):
        ctx = StageContext(
            settings=settings,
            book=settings.book(BOOK),
            store=assemble(engine, clock),
            connect_source=lambda: system.source,
            connect_ledger=lambda: books.gateway,
            clock=clock,
            actor="test",
        )
        others = in_ledger(books)
        summary = run(ctx, books)

        assert not said_of_documents(ctx)
        assert (summary.discrepancies, summary.pending, summary.complete) == (0, 0, True)
        assert summary.posted > 20
        assert in_ledger(books) - others == summary.posted
        known = system.known()
        shown = {i for i in system.approved() if system.shown_number(i)}
        assert {i for i in system.approved() if known[i].gross} <= shown

        again = run(ctx, books)
        assert (again.posted, again.discrepancies) == (summary.posted, 0)
        assert in_ledger(books) - others == summary.posted
    engine.dispose()
