"""Replay: what other rules would change, told exactly, found without generating everything, and written nowhere."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from rich.console import Console
from sqlalchemy import select, update

from include.domain.document import Disposition, DocumentKind, InvoiceClaim
from include.domain.errors import FixConfig
from include.domain.problems import Problem, ProblemOwner
from include.ports import MasterRecord
from include.rules import RuleSet
from include.rules import generate as apply_rules
from include.rules.ruleset import Template
from include.rules.schema import VoucherTemplate
from include.rules.tables import KeyedAccount
from include.settings import load_settings
from include.stages.context import StageContext
from include.stages.extract import extract
from include.stages.generate import generate
from include.stages.replay import Comparison, replay, report
from include.store import bulk
from include.store import tables as t
from include.store.engine import open_engine, reading, writing
from include.store.generated import GeneratedSet
from include.store.store import assemble
from tests.conftest import FakeClock
from tests.documents import DEPARTMENT, HOTEL, claim, line
from tests.fakes.ledger import FakeLedger
from tests.fakes.source import FakeSource
from tests.unit.rules.cases import DAY, Row, sources
from tests.unit.rules.random_rules import _cell, random_book, random_case, random_rules
from tests.unit.stages.conftest import MakeContext
from tests.unit.stages.flow import ALL, accept_all, posted

FIRST, LAST = DAY - timedelta(days=30), DAY + timedelta(days=30)
HOTEL_ROW = "COST1*,*,*,,6602.10,"


@pytest.fixture
def ctx(oa: FakeSource, make_context: MakeContext, tmp_path: Path) -> StageContext:
    """Book acme with a copy of its configuration, which tests may change."""
    folder = shutil.copytree("include/config", tmp_path / "config")
    return replace(make_context(oa, FakeLedger()), settings=load_settings(folder))


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another configuration of the same rules."""
    return Path(shutil.copytree("include/config", tmp_path / "other"))


@pytest.fixture(scope="session")
def empty_store(sqlite_template: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("replay") / "empty.db"
    path.write_bytes(sqlite_template)
    return path


def edit(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def shown(found: Any) -> str:
    console = Console(file=io.StringIO(), width=300)
    console.print(found.render())
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_changed_row_shows_by_account_dimension_entity_period_and_voucher(
    ctx: StageContext, oa: FakeSource, other: Path
) -> None:
    posted(ctx, oa, 2)
    edit(other, "tables/acme/expense_accounts.csv", HOTEL_ROW, "COST1*,*,*,,6602.02,")

    found = replay(ctx, FIRST, LAST, other)

    facts = found.as_dict()
    both = {"debit_before": "0", "debit_after": "21200", "credit_before": "0", "credit_after": "0"}
    gains = {**both, "change": "21200"}
    loses = {**both, "debit_before": "21200", "debit_after": "0", "change": "-21200"}
    assert facts["by_account"] == [{"account": "6602.02", **gains}, {"account": "6602.10", **loses}]
    assert [(row["period"], row["account"]) for row in facts["by_period"]] == [
        ("2026-03", "6602.02"),
        ("2026-03", "6602.10"),
    ]
    assert [(row["kind"], row["value"], row["account"]) for row in facts["by_dimension"]][:2] == [
        ("department", DEPARTMENT.code, "6602.02"),
        ("department", DEPARTMENT.code, "6602.10"),
    ]
    assert {row["legal_entity"] for row in facts["by_legal_entity"]} == {"E01"}
    assert facts["by_tax"] == []
    assert [(row["code"], row["numbers"], row["moved"]) for row in facts["by_voucher"]] == [
        ("B26000001", "记-1", "10600"),
        ("B26000002", "记-2", "10600"),
    ]
    assert (facts["changed_documents"], facts["moved_minor"]) == (2, "21200")
    assert "6602.02" in shown(found)


def test_a_tax_that_is_booked_elsewhere_shows_as_tax(ctx: StageContext, oa: FakeSource, other: Path) -> None:
    oa.put(claim(1, invoices=(InvoiceClaim(1, "INV1", "PAPER_CAR", 10600, 600, 10600),)))
    extract(ctx)
    accept_all(ctx)
    generate(ctx, ALL)
    edit(other, "tables/acme/accounts.csv", "input_tax,2221.01.01", "input_tax,2221.01.02")
    found = replay(ctx, FIRST, LAST, other).as_dict()
    assert [(row["period"], row["account"], row["change"]) for row in found["by_tax"]] == [
        ("2026-03", "2221.01.01", "-600"),
        ("2026-03", "2221.01.02", "600"),
    ]
    assert set(found["tax_accounts"]) >= {"2221.01.01", "2221.01.02"}


def test_nothing_is_written(ctx: StageContext, oa: FakeSource, other: Path) -> None:
    posted(ctx, oa, 2)
    edit(other, "tables/acme/expense_accounts.csv", HOTEL_ROW, "COST1*,*,*,,6602.02,")

    def everything() -> list[Any]:
        with reading(ctx.store.engine) as connection:
            return [connection.execute(select(table)).all() for table in t.metadata.sorted_tables]

    before = everything()
    replay(ctx, FIRST, LAST, other)
    replay(ctx, FIRST, LAST, other, brute_force=True)
    assert everything() == before


def test_the_same_rules_and_other_words_change_nothing(
    ctx: StageContext, oa: FakeSource, other: Path
) -> None:
    posted(ctx, oa, 2)
    edit(
        other,
        "rules/acme/claims.yaml",
        '"{document.submitter} 报销 {document.title}"',
        '"报销 {document.code}"',
    )
    found = replay(ctx, FIRST, LAST, other)
    assert (found.changed_documents, found.examined) == (0, 0)
    assert "没有变化" in shown(found)


def test_a_document_that_the_new_rules_refuse_is_listed_with_the_reason(
    ctx: StageContext, oa: FakeSource, other: Path
) -> None:
    posted(ctx, oa, 1)
    edit(other, "tables/acme/expense_accounts.csv", HOTEL_ROW, "COST19,*,*,,6602.10,")
    found = replay(ctx, FIRST, LAST, other)
    (row,) = found.as_dict()["outcomes"]
    assert (row["code"], row["before"], row["after"], row["problem"]) == (
        "B26000001",
        "voucher",
        "problem",
        "rules.no_row",
    )
    assert found.lines.is_empty()
    assert "rules.no_row" in shown(found)


@pytest.fixture
def refused(ctx: StageContext, oa: FakeSource, other: Path) -> None:
    """A document whose fee type only the other rules know."""
    new = replace(HOTEL, id="F9", code="X9", name="别的")
    oa.records.append(MasterRecord("fee_type", new.id, new.code, new.name))
    oa.put(claim(1, line(1, fee_type=new)))
    extract(ctx)
    accept_all(ctx)
    assert generate(ctx, ALL).quarantined == 1
    edit(other, "tables/acme/expense_accounts.csv", HOTEL_ROW, f"X9,*,*,,6602.10,\n{HOTEL_ROW}")


@pytest.mark.usefixtures("refused")
def test_a_document_that_today_s_rules_refuse_may_be_cured(ctx: StageContext, other: Path) -> None:
    found = replay(ctx, FIRST, LAST, other)
    (row,) = found.as_dict()["outcomes"]
    assert (row["before"], row["after"]) == ("problem", "voucher")
    assert "6602.10" in found.by_account()["account"]
    assert replay(ctx, FIRST, LAST, ctx.settings.config_dir).changed_documents == 0


@pytest.mark.usefixtures("refused")
def test_one_that_waits_for_more_than_rules_is_not_called_cured(ctx: StageContext, other: Path) -> None:
    with writing(ctx.store.engine) as connection:
        connection.execute(update(t.problem).values(code="journal.account.unknown"))
    assert replay(ctx, FIRST, LAST, other).documents == 0


def test_vouchers_of_rules_that_were_never_kept_are_compared_as_they_stand(
    ctx: StageContext, oa: FakeSource, other: Path
) -> None:
    posted(ctx, oa, 2)
    with writing(ctx.store.engine) as connection:
        connection.execute(update(t.voucher).values(rule_digest="of an earlier program"))
        connection.execute(
            update(t.journal_line)
            .where(t.journal_line.c.voucher_id == 1, t.journal_line.c.line_no == 1)
            .values(account="6602.03")
        )
    found = replay(ctx, FIRST, LAST, other)
    assert found.by_account()["account"].to_list() == ["6602.03", "6602.10"]
    assert found.changed_documents == 1
    assert found.lost == ("of an earlier program",)


def test_only_business_days_of_the_span_are_looked_at(ctx: StageContext, oa: FakeSource, other: Path) -> None:
    posted(ctx, oa, 1)
    edit(other, "tables/acme/expense_accounts.csv", HOTEL_ROW, "COST1*,*,*,,6602.02,")
    day = claim(1).approved_at
    assert day is not None
    found = replay(ctx, day.date() + timedelta(days=1), LAST, other)
    assert (found.documents, found.changed_documents) == (0, 0)
    with pytest.raises(FixConfig, match="对调"):
        replay(ctx, LAST, FIRST, other)


@pytest.mark.parametrize("form", ["configuration", "rules and tables", "flat"])
def test_the_other_rules_may_stand_in_any_of_three_forms(
    form: str, ctx: StageContext, oa: FakeSource, other: Path, tmp_path: Path
) -> None:
    posted(ctx, oa, 1)
    edit(other, "tables/acme/expense_accounts.csv", HOTEL_ROW, "COST1*,*,*,,6602.02,")
    folder = other
    if form == "rules and tables":
        folder = tmp_path / "given"
        shutil.copytree(other / "rules/acme", folder / "rules")
        shutil.copytree(other / "tables/acme", folder / "tables")
    elif form == "flat":
        folder = Path(shutil.copytree(other / "rules/acme", tmp_path / "given"))
        shutil.copytree(other / "tables/acme", folder, dirs_exist_ok=True)
    assert replay(ctx, FIRST, LAST, folder).changed_documents == 1


def test_a_folder_without_rules_says_which_forms_there_are(ctx: StageContext, tmp_path: Path) -> None:
    with pytest.raises(FixConfig, match=r"rules/acme/\*\.yaml .*tables/acme"):
        replay(ctx, FIRST, LAST, tmp_path / "nowhere")


def test_only_what_the_change_concerns_is_generated_again(
    ctx: StageContext, oa: FakeSource, other: Path
) -> None:
    office = replace(HOTEL, id="F2", code="COST40")
    oa.put(claim(4, line(1), line(2, fee_type=office)))
    posted_documents = 3
    for number in range(1, posted_documents + 1):
        oa.put(claim(number))
    oa.put(claim(5, kind=DocumentKind.REQUISITION))
    extract(ctx)
    accept_all(ctx)
    generate(ctx, ALL)
    edit(other, "tables/acme/expense_accounts.csv", "COST40,*,*,,6602.03,", "COST40,*,*,,6602.09,")
    found = replay(ctx, FIRST, LAST, other)
    assert (found.documents, found.examined, found.changed_documents) == (5, 1, 1)


TRAIN = "train,no,*,*,,2025-10-01,,none,"


def test_a_row_of_input_vat_concerns_documents_with_such_invoices(
    ctx: StageContext, oa: FakeSource, other: Path
) -> None:
    for number, (kind, tax) in enumerate([("train", 0), ("train", 600), ("PAPER_CAR", 600)], 1):
        oa.put(claim(number, invoices=(InvoiceClaim(1, f"INV{number}", kind, 10_900, tax, 10_900),)))
    oa.put(claim(4))
    extract(ctx)
    accept_all(ctx)
    generate(ctx, ALL)
    edit(other, "tables/acme/input_vat.csv", TRAIN, TRAIN.replace("none", "fare 9%"))
    quick, thorough = (replay(ctx, FIRST, LAST, other, brute_force=brute) for brute in (False, True))
    assert plain(quick) == plain(thorough)
    assert [row["code"] for row in quick.as_dict()["by_voucher"]] == ["B26000001"]
    assert quick.as_dict()["by_tax"][0]["change"] == "900"
    assert (quick.documents, quick.examined) == (4, 1)


# -- found quickly is found as by brute force --------------------------------------------------------------------


@given(st.integers(0, 10**9))
@settings(max_examples=12, deadline=None)
def test_what_is_found_is_what_brute_force_finds(empty_store: Path, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - made-up cases
    with random_store(empty_store, random) as (ctx, old):
        for _ in range(4):
            new = edited(random, random.choice(list(old.values())), "new")
            quick, thorough = (
                report(
                    Comparison(ctx, FIRST, LAST, new, dict(old), ["lost"], "r1"),
                    brute_force=brute_force,
                )
                for brute_force in (False, True)
            )
            assert plain(quick) == plain(thorough)
            assert quick.examined <= thorough.examined == thorough.documents


def test_the_random_cases_are_worth_comparing(empty_store: Path) -> None:
    random = Random(7)  # noqa: S311 - made-up cases
    examined = documents = changed = 0
    for _ in range(4):
        with random_store(empty_store, random) as (ctx, old):
            for _ in range(4):
                new = edited(random, old["r1"], "new")
                found = report(Comparison(ctx, FIRST, LAST, new, dict(old), ["lost"], "r1"))
                examined += found.examined
                documents += found.documents
                changed += found.changed_documents
    assert 0 < changed < examined < documents


def plain(found: Any) -> dict[str, Any]:
    """All of a report but how it was found."""
    return {k: v for k, v in found.as_dict().items() if k not in {"examined", "unlocalised"}}


@contextmanager
def random_store(template: Path, random: Random) -> Iterator[tuple[StageContext, dict[str, RuleSet]]]:
    """A store with documents that were generated under two random rule sets, or one that nobody knows any more."""
    of = random_book(random)
    first = named(random_rules(random), "r0")
    old = {"r0": first, "r1": edited(random, first, "r1")}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        shutil.copy(template, path)
        engine = open_engine(f"sqlite:///{path}")
        clock = FakeClock()
        store = assemble(engine, clock)
        ctx = StageContext(
            settings=load_settings(),
            book=of,
            store=store,
            connect_source=_none,
            connect_ledger=_none,
            clock=clock,
            actor="test",
        )
        case = random_case(random, of, 40)
        fill(ctx, *case)
        thirds = {"r0": range(1, 16), "r1": range(16, 34), "lost": range(34, 38)}
        for digest, pks in thirds.items():
            make(ctx, old.get(digest, first), digest, case, set(pks))
        try:
            yield ctx, old
        finally:
            engine.dispose()


def _none() -> Any:
    raise AssertionError("replay reads the store alone")


def fill(ctx: StageContext, documents: list[Row], lines: list[Row], write_offs: list[Row]) -> None:
    """Put rows of the rules' tests into the store, accepted."""
    given = sources(documents, lines, write_offs)
    heads = given.documents.with_columns(
        **{
            name: pl.lit(value)
            for name, value in {
                "source": "hesi", "revision": 1, "is_current": True, "book": ctx.book.id, "content_digest": "",
                "snapshot_id": 1, "disposition": Disposition.ACCEPTED.value, "line_count": 1, "voucher_no": "",
                "links": "[]",
            }.items()
        },
        document_id=pl.col("id").cast(pl.String),
    )  # fmt: skip
    with writing(ctx.store.engine) as connection:
        connection.execute(
            t.source_snapshot.insert().values(
                id=1, source="hesi", document_id="all", digest="", payload=b"", fetched_at=ctx.clock.now()
            )
        )
        bulk.insert(connection, t.source_document, heads)
        bulk.insert(connection, t.source_line, given.lines.with_columns(line_id=pl.lit("")))
        bulk.insert(connection, t.source_write_off, given.write_offs)


def make(ctx: StageContext, rules: RuleSet, digest: str, case: Any, pks: set[int]) -> None:
    """Generate some documents as the stage does."""
    documents, lines, write_offs = case
    some = sources(
        [row for row in documents if row["id"] in pks],
        [row for row in lines if row["document_pk"] in pks],
        [row for row in write_offs if row["document_pk"] in pks],
    )
    made = apply_rules(rules, ctx.book, some)
    identity = some.documents.select(
        document_pk="id", document_id=pl.col("id").cast(pl.String), source=pl.lit("hesi"), revision=pl.lit(1)
    )
    problems: dict[int, list[Problem]] = {}
    for row in made.problems.iter_rows(named=True):
        pk = row.pop("document_pk")
        problems.setdefault(pk, []).append(Problem(**{**row, "owner": ProblemOwner(row["owner"])}))
    ctx.store.vouchers.save_generated(
        GeneratedSet(
            book=ctx.book.id,
            pks=sorted(pks),
            vouchers=made.vouchers.join(identity, on="document_pk", maintain_order="left"),
            lines=made.lines,
            no_voucher=made.no_voucher,
            problems=problems,
            rule_digest=digest,
        )
    )


def named(rules: RuleSet, digest: str) -> RuleSet:
    return replace(rules, digest=digest)


def edited(random: Random, rules: RuleSet, digest: str) -> RuleSet:
    """The rules with one thing changed."""
    change = random.choice([_row, _row, _row, _account, _entry, _entry, _selector, _without_template])
    return named(change(random, rules), digest)


def _row(random: Random, rules: RuleSet) -> RuleSet:
    table = random.choice(list(rules.tables.values()))
    at = random.randrange(len(table.rows))
    row = table.rows[at]
    column = random.randrange(len(table.conditions))
    cells = list(row.cells)
    cells[column] = _cell(random, table.conditions[column].path)
    other = random.choice(
        [
            [replace(row, account="6788")],
            [replace(row, cells=tuple(cells))],
            [replace(row, priority=random.choice([-5, 0, 5]))],
            [replace(row, valid_from=DAY, valid_to=None)],
            [replace(row, dimensions=frozenset({"department"}))],
            [],
            [row, replace(row, row=77, cells=tuple(cells), account="6799")],
        ]
    )
    rows = (*table.rows[:at], *other, *table.rows[at + 1 :])
    return replace(rules, tables={**rules.tables, table.name: replace(table, rows=rows)})


def _account(random: Random, rules: RuleSet) -> RuleSet:
    key = random.choice(list(rules.accounts))
    return replace(rules, accounts={**rules.accounts, key: KeyedAccount("1999", 2)})


def _entry(random: Random, rules: RuleSet) -> RuleSet:
    def change(content: dict[str, Any]) -> None:
        if not content["lines"]:
            content["no_voucher"] = {"zh": "别的", "en": "other"}
            return
        entry = random.choice(content["lines"])
        match random.randrange(5):
            case 0:
                entry["when"] = {"document.payment_channel": {"equals": "OFFLINE"}}
            case 1:
                entry["account"] = {"key": "expense"}
            case 2:
                entry["optional_dimensions"] = {}
            case 3:
                entry["red"] = not entry["red"]
            case _:
                entry["merge"] = "account_and_dimensions"
                entry.pop("summary", None)

    return _changed(random, rules, change)


def _selector(random: Random, rules: RuleSet) -> RuleSet:
    def change(content: dict[str, Any]) -> None:
        match random.randrange(3):
            case 0:
                content["valid_from"] = str(DAY)
            case 1:
                content["kinds"] = random.sample(["expense_claim", "loan", "receipt"], 2)
            case _:
                content["when"] = {"document.gross": {"range": {"from": 3}}}

    return _changed(random, rules, change)


def _changed(random: Random, rules: RuleSet, change: Any) -> RuleSet:
    """The rules with one template rewritten; as they are where that is not allowed."""
    at = random.randrange(len(rules.templates))
    template = rules.templates[at]
    content = template.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    change(content)
    try:
        spec = VoucherTemplate.model_validate(content)
    except ValidationError:
        return rules
    templates = list(rules.templates)
    templates[at] = Template(spec, template.file, template.line, template.entry_lines)
    return replace(rules, templates=tuple(templates))


def _without_template(random: Random, rules: RuleSet) -> RuleSet:
    if len(rules.templates) == 1:
        return rules
    at = random.randrange(len(rules.templates))
    return replace(rules, templates=(*rules.templates[:at], *rules.templates[at + 1 :]))
