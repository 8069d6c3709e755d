"""The main job on a small DingTalk: what is agreed is booked and says its number, what is revoked is put to a person."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from include.adapters.oa.dingtalk import build_source
from include.connections import Endpoint
from include.domain.voucher import Side
from include.ports import LedgerGateway
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
from tests.unit.adapters.dingtalk_site import KEY, NOW, SECRET, Platform, StandingClock, form, serving

EXAMPLE = DEFAULT_CONFIG_DIR / "examples" / "dingtalk"


def run(ctx: StageContext) -> Summary:
    extract(ctx)
    for stage in (validate, follow, generate, post, reconcile, write_back):
        stage(ctx, Scope())
    return summarise(ctx)


def organisation() -> Platform:
    """Eight agreed expenses, one of each that is not, a modification."""
    platform = Platform()
    for number in range(8):
        platform.add(f"ok{number}", NOW - timedelta(days=3, hours=number), formComponentValues=form("100.10"))
    platform.add("no", NOW - timedelta(days=2), result="refuse")
    platform.add("open", NOW - timedelta(days=2), status="RUNNING", result="", finishTime="")
    platform.add("ended", NOW - timedelta(days=2), status="TERMINATED", result="")
    more = {"bizAction": "MODIFY", "mainProcessInstanceId": "ok7", "formComponentValues": form("70")}
    platform.add("change", NOW - timedelta(days=1), **more)
    return platform


def test_what_is_agreed_is_booked_and_what_is_revoked_is_put_to_a_person(
    tmp_path: Path, make_store_url: Callable[[str], str]
) -> None:
    for part in ("rules", "tables"):
        shutil.copytree(DEFAULT_CONFIG_DIR / part / "acme", tmp_path / part / "acme")
    for part in ("sources", "mappings", "books"):
        shutil.copytree(EXAMPLE / part, tmp_path / part)
    settings = load_settings(tmp_path)
    source, platform, clock, ledger = (
        settings.sources["dingtalk"],
        organisation(),
        StandingClock(),
        FakeLedger(),
    )
    engine = open_engine(make_store_url("sqlite"))

    def connect_ledger() -> LedgerGateway:
        return ledger

    with serving() as server:
        server.platform = platform  # type: ignore[attr-defined]
        endpoint = Endpoint("dingtalk_default", f"http://127.0.0.1:{server.server_port}", KEY, SECRET)
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
            booked = {
                v.key.document_id: sum(line.amount.minor for line in v.lines if line.side is Side.DEBIT)
                for v in ledger.vouchers_by_id.values()
                if v.key
            }
            assert summary.complete
            assert (summary.pending, summary.discrepancies) == (0, 0)
            assert set(booked) == {f"ok{number}" for number in range(8)}
            for identity in booked:
                assert "已生成凭证" in platform.instances[identity]["operationRecords"][-1]["remark"]
            assert {booked[i] for i in booked} == {10_010, 7_000}
            before = dict(ledger.vouchers_by_id)
            assert run(ctx).discrepancies == 0
            assert ledger.vouchers_by_id == before

            more = {"bizAction": "REVOKE", "mainProcessInstanceId": "ok0"}
            clock.at = NOW + timedelta(days=1)
            platform.add("undo", NOW + timedelta(hours=1), **more)
            run(ctx)
            with engine.begin() as connection:
                p, d = t.problem.c, t.source_document.c
                told = connection.execute(
                    select(d.document_id, p.code)
                    .join(t.source_document, d.id == p.document_pk)
                    .where(p.resolved_at.is_(None))
                ).all()
            assert [tuple(row) for row in told] == [("ok0", "document.withdrawn_after_posting")]
    engine.dispose()
