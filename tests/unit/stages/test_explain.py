"""Explain: from a stored document to each line's reasons, also after the rules have changed."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from include import explain as explaining
from include.settings import load_settings
from include.stages.context import StageContext
from include.stages.extract import extract
from include.stages.generate import generate
from tests.documents import claim
from tests.fakes.ledger import FakeLedger
from tests.fakes.source import FakeSource
from tests.unit.stages.conftest import MakeContext
from tests.unit.stages.flow import ALL, accept_all, posted


def shown(ctx: StageContext, document: str) -> str:
    console = Console(file=io.StringIO(), width=400)
    console.print(explaining.render(explaining.explain(ctx.store, ctx.settings, document)))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_every_line_of_a_posted_voucher_tells_its_rule_and_its_arithmetic(
    make_context: MakeContext, oa: FakeSource
) -> None:
    ctx = make_context(oa, FakeLedger())
    posted(ctx, oa, 1)
    found = explaining.explain(ctx.store, ctx.settings, "B26000001")
    (voucher,) = found["documents"][0]["vouchers"]
    for line in voucher["lines"]:
        assert line["account"] in line["why"]["account"]["zh"]
        assert line["why"]["arithmetic"]
    text = shown(ctx, "ID_1")
    assert "模板 报销单（claims.yaml 第 " in text
    assert "template Expense claim (claims.yaml line " in text


def test_the_reasons_are_those_of_the_rules_that_made_the_voucher(
    make_context: MakeContext, oa: FakeSource, tmp_path: Path
) -> None:
    folder = shutil.copytree("include/config", tmp_path / "config")
    ctx = replace(make_context(oa, FakeLedger()), settings=load_settings(folder))
    posted(ctx, oa, 1)
    before = explaining.explain(ctx.store, ctx.settings, "ID_1")
    table = folder / "tables/acme/expense_accounts.csv"
    table.write_text(table.read_text("utf-8").replace("6602.10", "6602.02"), "utf-8")

    oa.put(claim(2))
    extract(ctx)
    accept_all(ctx)
    generate(ctx, ALL)

    (old,) = explaining.explain(ctx.store, ctx.settings, "ID_1")["documents"][0]["vouchers"]
    (new,) = explaining.explain(ctx.store, ctx.settings, "ID_2")["documents"][0]["vouchers"]
    assert old["lines"] == before["documents"][0]["vouchers"][0]["lines"]
    assert [old["rule_version"], new["rule_version"]] == [1, 2]
    assert "科目 6602.02" in " ".join(line["why"]["account"]["zh"] for line in new["lines"])
