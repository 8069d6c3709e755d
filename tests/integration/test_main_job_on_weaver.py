"""The main job on an emulated e-cology, over both interfaces: every request ends as its history says, and shows its number."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from include.adapters.oa.weaver import build_source
from include.connections import Endpoint
from include.domain.document import Disposition
from include.domain.voucher import Side
from include.emulators.weaver import APP_ID, INTEGRATION_USER, Options, Plan, World, open_world, running
from include.emulators.weaver.changes import apply
from include.ports import LedgerGateway, SystemClock
from include.settings import DEFAULT_CONFIG_DIR, load_settings
from include.stages.context import Scope, StageContext
from include.stages.extract import extract
from include.stages.follow import follow
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
EXAMPLE = DEFAULT_CONFIG_DIR / "examples" / "weaver"


@dataclass
class Company:
    """An emulated e-cology, a ledger and a book between them."""

    world: World
    ledger: FakeLedger
    ctx: StageContext

    def run(self) -> Summary:
        extract(self.ctx)
        for stage in (validate, follow, generate, post, reconcile, write_back):
            stage(self.ctx, ALL)
        return summarise(self.ctx)

    def quarantined(self) -> set[str]:
        d = t.source_document.c
        with self.ctx.store.engine.begin() as connection:
            found = select(d.document_id).where(d.is_current, d.disposition == Disposition.QUARANTINED)
            return set(connection.scalars(found))

    def booked(self) -> dict[str, int]:
        """Debits of each document in the ledger, minor units."""
        sums: dict[str, int] = {}
        for voucher in self.ledger.vouchers_by_id.values():
            assert voucher.key is not None
            debit = sum(line.amount.minor for line in voucher.lines if line.side is Side.DEBIT)
            sums[voucher.key.document_id] = sums.get(voucher.key.document_id, 0) + debit
        return sums


@contextlib.contextmanager
def company(interface: str, folder: Path, store_url: str) -> Iterator[Company]:
    """The example's configuration over the default one's rules."""
    for part in ("rules", "tables"):
        shutil.copytree(DEFAULT_CONFIG_DIR / part / "acme", folder / part / "acme")
    for part in ("sources", "mappings", "books"):
        shutil.copytree(EXAMPLE / part, folder / part)
    settings = load_settings(folder)
    source = settings.sources["weaver"].model_copy(update={"options": {"interface": interface}})
    world = open_world(Plan(documents=160, seed=17, dirty_share=0.12), Options())
    engine, clock, ledger = open_engine(store_url), SystemClock(), FakeLedger()

    def connect_ledger() -> LedgerGateway:
        return ledger

    with running(world) as url:
        endpoint = Endpoint("weaver_default", url, str(INTEGRATION_USER), APP_ID)
        with contextlib.closing(build_source(source, endpoint, clock)) as adapter:
            ctx = StageContext(
                settings=settings,
                book=settings.book("acme"),
                store=assemble(engine, clock),
                connect_source=lambda: adapter,
                connect_ledger=connect_ledger,
                clock=clock,
                actor="test",
            )
            yield Company(world, ledger, ctx)
    engine.dispose()
    world.store.close()


@pytest.mark.parametrize("interface", ["soap", "rest"])
def test_every_request_ends_as_its_history_says_and_shows_its_number(
    interface: str, tmp_path: Path, make_store_url: Callable[[str], str]
) -> None:
    with company(interface, tmp_path, make_store_url("sqlite")) as acme:
        summary = acme.run()
        truth = acme.world.truth()
        expected = {i for i, known in truth.items() if known["voucher_expected"]}
        defective = {
            i for i, known in truth.items() if known["verdict"] == "approved" and known["truth"]["defect"]
        }
        booked = acme.booked()
        assert set(booked) == expected
        assert acme.quarantined() == defective
        assert summary.complete
        assert (summary.pending, summary.discrepancies) == (0, 0)
        for document_id, debit in booked.items():
            assert debit == truth[document_id]["truth"]["home"], document_id
        numbers = {v.key.document_id: v.number for v in acme.ledger.vouchers_by_id.values() if v.key}
        assert {i: truth[i]["voucher"]["pzh"] for i in numbers} == numbers

        before = dict(acme.ledger.vouchers_by_id)
        again = acme.run()
        assert acme.ledger.vouchers_by_id == before
        assert (again.posted, again.discrepancies) == (summary.posted, 0)

        taken_back = min(expected)
        apply(acme.world, int(taken_back), "draw_back", {})
        acme.run()
        p, d = t.problem.c, t.source_document.c
        with acme.ctx.store.engine.begin() as connection:
            codes = connection.scalars(
                select(p.code)
                .join(t.source_document, d.id == p.document_pk)
                .where(d.document_id == taken_back, p.resolved_at.is_(None))
            ).all()
        assert codes == ["document.withdrawn_after_posting"]
