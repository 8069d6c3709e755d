"""The main job on a small Feishu site: what is approved is booked and shows its number, what is revoked goes to a person."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from include.adapters.oa.feishu import build_source
from include.connections import Endpoint
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
from tests.unit.adapters.feishu_site import SECRET, running
from tests.unit.adapters.test_feishu import comments, put

ALL = Scope()
EXAMPLE = DEFAULT_CONFIG_DIR / "examples" / "feishu"


class February(SystemClock):
    """The first days of February 2026, so that few windows are read."""

    def now(self) -> datetime:
        return datetime(2026, 2, 1, tzinfo=UTC)


def run(ctx: StageContext) -> Summary:
    extract(ctx)
    for stage in (validate, follow, generate, post, reconcile, write_back):
        stage(ctx, ALL)
    return summarise(ctx)


def test_what_is_approved_is_booked_and_what_is_revoked_is_asked_about(
    tmp_path: Path, make_store_url: Callable[[str], str]
) -> None:
    for part in ("rules", "tables"):
        shutil.copytree(DEFAULT_CONFIG_DIR / part / "acme", tmp_path / part / "acme")
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    settings = load_settings(tmp_path)
    example = settings.sources["feishu"]
    options = {**example.options, "reverted": "query", "lists_per_min": 100_000, "details_per_min": 100_000}
    source = example.model_copy(update={"options": options})
    engine, clock, ledger = open_engine(make_store_url("sqlite")), February(), FakeLedger()

    def connect_ledger() -> LedgerGateway:
        return ledger

    with running() as site:
        for number, status in enumerate(["APPROVED"] * 6 + ["PENDING", "REJECTED", "CANCELED", "DELETED"]):
            put(site, f"I{number}", hours=9.9 * number, status=status)
        endpoint = Endpoint("feishu_default", site.url, "cli_1", SECRET)
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
            summary = run(ctx)
            booked = {v.key.document_id: v for v in ledger.vouchers_by_id.values() if v.key}
            d, p = t.source_document.c, t.problem.c
            with engine.begin() as connection:
                codes = connection.execute(
                    select(d.document_id, p.code, p.zh).join(t.problem, d.id == p.document_pk)
                ).all()
            assert set(booked) == {f"I{number}" for number in range(6)}, codes
            assert summary.complete
            assert (summary.pending, summary.discrepancies) == (0, 0)
            for identity, voucher in booked.items():
                assert voucher.number in comments(site, identity)[0]

            before = dict(ledger.vouchers_by_id)
            assert run(ctx).posted == summary.posted
            assert ledger.vouchers_by_id == before

            site.reverted.add("I2")
            run(ctx)
            with engine.begin() as connection:
                asked = connection.scalars(
                    select(p.code)
                    .join(t.source_document, d.id == p.document_pk)
                    .where(d.document_id == "I2", p.resolved_at.is_(None))
                ).all()
            assert asked == ["document.withdrawn_after_posting"]
    engine.dispose()
