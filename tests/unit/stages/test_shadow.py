"""Shadow: a ledger kept by hand against what our rules would make, on a real store, and nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import func, select

from include.adapters.ledger.tryton import TrytonGateway
from include.conformance.ledger.tryton import serving
from include.conformance.ledger_words import (
    voucher,
)
from include.domain.account import AuxiliaryDimension
from include.domain.document import InvoiceClaim, SourceDocument
from include.domain.errors import FixConfig, RetryLater
from include.domain.money import Money
from include.domain.voucher import (
    JournalLine,
    LedgerLine,
    LedgerVoucher,
    LedgerVoucherState,
    Side,
    VoucherKey,
)
from include.rules.parity import Cause, Evidence, Pair
from include.stages.context import StageContext
from include.stages.extract import extract
from include.stages.shadow import render, shadow
from include.store import tables as t
from include.store.reading import accepted_frames
from tests.documents import HOTEL, claim, line
from tests.fakes.ledger import FakeLedger
from tests.fakes.source import FakeSource
from tests.unit.stages.conftest import MakeContext
from tests.unit.stages.flow import accept_all, posted

FIRST, LAST = date(2026, 3, 1), date(2026, 3, 31)
DAY = date(2026, 3, 10)
DEPARTMENT = AuxiliaryDimension("department", "D01")
PROJECT = AuxiliaryDimension("project", "P001")


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


@pytest.fixture
def ctx(oa: FakeSource, ledger: FakeLedger, make_context: MakeContext) -> StageContext:
    return make_context(oa, ledger)


def with_invoices(document: SourceDocument) -> SourceDocument:
    """The claim with an invoice for each line that has tax, since tax is deducted by invoice."""
    invoices = tuple(
        InvoiceClaim(
            row.line_no,
            f"{document.document_id}-{row.line_no}",
            "",
            row.functional_amount,
            row.deductible_tax,
            row.functional_amount,
        )
        for row in document.lines
        if row.deductible_tax
    )
    return replace(document, invoices=invoices)


def accepted(ctx: StageContext, oa: FakeSource, *documents: SourceDocument) -> None:
    """Documents that passed the gate; no voucher of ours exists."""
    for document in documents:
        oa.put(with_invoices(document))
    extract(ctx)
    accept_all(ctx)


def by_hand(
    ledger: FakeLedger,
    number: str,
    *,
    net: int = 10_000,
    tax: int = 600,
    day: date = DAY,
    account: str = "6602.10",
    text: str = "员工一 住宿",
    reference: str = "",
    state: LedgerVoucherState = LedgerVoucherState.POSTED,
) -> LedgerVoucher:
    """What an accountant booked for a hotel claim of the test documents."""
    legs = [
        (Side.DEBIT, account, net, (DEPARTMENT, PROJECT)),
        (Side.DEBIT, "2221.01.01", tax, ()),
        (Side.CREDIT, "1002", net + tax, ()),
    ]
    made = LedgerVoucher(
        ledger_id=f"L{number}",
        number=number,
        reference=reference,
        date=day,
        period=day.strftime("%Y-%m"),
        state=state,
        lines=tuple(LedgerLine(s, a, Money(m, "CNY"), d, None, text) for s, a, m, d in legs if m),
    )
    ledger.vouchers_by_id[made.ledger_id] = made
    return made


def only(ctx: StageContext) -> Pair:
    (pair,) = shadow(ctx, FIRST, LAST).pairs
    return pair


def contents(ctx: StageContext) -> dict[str, object]:
    """Every row of the store."""
    with ctx.store.engine.begin() as connection:
        return {
            table.name: sorted(repr(tuple(row)) for row in connection.execute(select(table)))
            for table in t.metadata.sorted_tables
        }


def test_a_month_that_was_booked_by_hand(ctx: StageContext, oa: FakeSource, ledger: FakeLedger) -> None:
    claims = [claim(n, line(amount=10_600 + n * 100)) for n in (1, 2, 3, 4)]
    accepted(ctx, oa, *claims)
    by_hand(ledger, "记-1", net=10_100, text="报销 B26000001")
    by_hand(ledger, "记-2", net=10_200, account="6602.03", reference="B26000002")
    by_hand(ledger, "记-3", net=10_300, account="6602.03", text="B26000003 住宿")
    by_hand(ledger, "记-9", net=500, tax=0, account="6602.05")
    before, there = contents(ctx), dict(ledger.vouchers_by_id)
    report = shadow(ctx, FIRST, LAST)
    assert [(p.cause, p.ours, p.theirs) for p in report.pairs] == [
        (Cause.ONLY_OURS, ("B26000004",), ()),
        (Cause.ONLY_THEIRS, (), ("记-9",)),
        (Cause.ACCOUNT, ("B26000003",), ("记-3",)),
        (Cause.ACCOUNT, ("B26000002",), ("记-2",)),
        (Cause.EQUAL, ("B26000001",), ("记-1",)),
    ]
    (wrong,) = [p for p in report.patterns if p.cause is Cause.ACCOUNT]
    assert (wrong.text, wrong.pairs, wrong.amount_minor) == ("6602.10 → 6602.03", 2, 20_500)
    assert wrong.rules == "tables/acme/expense_accounts.csv:4"
    assert (report.ours, report.theirs, report.voucher_rate) == (4, 4, Decimal("25.00"))
    assert contents(ctx) == before
    assert ledger.vouchers_by_id == there
    assert set(ledger.calls) <= {"periods", "vouchers"}


def test_what_we_posted_is_found_by_its_key(ctx: StageContext, oa: FakeSource, ledger: FakeLedger) -> None:
    posted(ctx, oa, 3)
    report = shadow(ctx, FIRST, LAST)
    assert {(p.cause, p.evidence) for p in report.pairs} == {(Cause.EQUAL, Evidence.KEY)}
    assert (report.voucher_rate, report.amount_rate) == (100, 100)
    first, *_ = ledger.vouchers_by_id.values()
    leg, *legs = first.lines
    ledger.vouchers_by_id[first.ledger_id] = replace(first, lines=(replace(leg, account="1001"), *legs))
    assert [p.cause for p in shadow(ctx, FIRST, LAST).pairs] == [Cause.ACCOUNT, Cause.EQUAL, Cause.EQUAL]


def test_a_key_of_another_book_is_nobody_of_ours(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    accepted(ctx, oa, claim(1))
    key = VoucherKey("other", "hesi", "ID_1", "expense_claim", 1)
    by_hand(ledger, "记-1", net=77_000, tax=0, text="", reference=str(key))
    assert {p.cause for p in shadow(ctx, FIRST, LAST).pairs} == {Cause.ONLY_OURS, Cause.ONLY_THEIRS}


def test_dimensions_that_the_ledger_cannot_hold_are_no_difference(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    accepted(ctx, oa, claim(1))
    made = by_hand(ledger, "记-1")
    lines = tuple(replace(leg, dimensions=()) for leg in made.lines)
    ledger.vouchers_by_id[made.ledger_id] = replace(made, lines=lines)
    assert only(ctx).cause is Cause.DIMENSION
    ledger.dimension_kinds = frozenset({"employee"})
    assert only(ctx).cause is Cause.EQUAL


def test_another_day_and_another_period(ctx: StageContext, oa: FakeSource, ledger: FakeLedger) -> None:
    late = datetime(2026, 3, 31, 2, 0, tzinfo=UTC)
    accepted(ctx, oa, claim(1), claim(2, line(amount=20_600), approved_at=late, paid_at=late))
    by_hand(ledger, "记-1", day=date(2026, 3, 12))
    by_hand(ledger, "记-2", net=20_000, day=date(2026, 4, 1))
    report = shadow(ctx, FIRST, LAST)
    assert [(p.cause, p.theirs) for p in report.pairs] == [(Cause.PERIOD, ("记-2",)), (Cause.DATE, ("记-1",))]
    assert [p.text for p in report.patterns] == ["2026-03 → 2026-04", "+2 天 / days"]
    assert [p.cause for p in shadow(ctx, date(2026, 3, 10), date(2026, 3, 10)).pairs] == [Cause.DATE]


def test_drafts_count_and_what_was_reversed_does_not(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    accepted(ctx, oa, claim(1), claim(2, line(amount=20_600)))
    by_hand(ledger, "记-1", state=LedgerVoucherState.DRAFT)
    wrong = by_hand(ledger, "记-2", net=20_000)
    ledger.cancel(wrong.ledger_id)
    report = shadow(ctx, FIRST, LAST)
    assert [(p.cause, p.theirs) for p in report.pairs] == [
        (Cause.ONLY_OURS, ()),
        (Cause.EQUAL, ("记-1（草稿 / draft）",)),
    ]
    assert report.reversed_there == 2


def test_a_voucher_of_a_document_that_the_rules_refuse_says_so(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    unknown = replace(HOTEL, id="F9", code="X99", name="其他")
    accepted(ctx, oa, claim(1, line(fee_type=unknown)))
    by_hand(ledger, "记-1", text="B26000001")
    report = shadow(ctx, FIRST, LAST)
    (pair,) = report.pairs
    assert (pair.cause, pair.detail) == (Cause.ONLY_THEIRS, "B26000001: rules.no_row")
    assert (report.ours, report.unmade, report.voucher_rate) == (0, 1, None)


def test_for_people_and_for_programs(ctx: StageContext, oa: FakeSource, ledger: FakeLedger) -> None:
    accepted(ctx, oa, claim(1), claim(2, line(amount=20_600)))
    by_hand(ledger, "记-1", account="6602.03", text="B26000001")
    report = shadow(ctx, FIRST, LAST)
    output = StringIO()
    Console(file=output, width=240).print(render(report))
    text = output.getvalue()
    for expected in (
        "一致率 0.00 %（按张数）",
        "6602.10 → 6602.03",
        "tables/acme/expense_accounts.csv:4",
        "科目不同 / other account",
        "账簿中没有 / not in the ledger",
        "100.00 CNY",
    ):
        assert expected in text
    plain = json.loads(json.dumps(report.as_dict()))
    assert plain["span"] == {"first": "2026-03-01", "last": "2026-03-31"}
    assert plain["voucher_rate"] == "0.00"
    assert [row["cause"] for row in plain["causes"]] == ["only_ours", "account"]


def test_a_ledger_that_cannot_be_read_gives_no_report(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    accepted(ctx, oa, claim(1))
    for number in range(5):
        by_hand(ledger, f"记-{number}")
    ledger.fail("vouchers", RetryLater("账簿没有回答 / no answer"), after=1)
    with pytest.raises(RetryLater):
        shadow(ctx, FIRST, LAST)


def test_a_span_that_ends_before_it_begins(ctx: StageContext) -> None:
    with pytest.raises(FixConfig, match="2026-03-31 晚于截止日 2026-03-01"):
        shadow(ctx, LAST, FIRST)


def test_accepted_documents_are_read_by_days_and_by_ids(ctx: StageContext, oa: FakeSource) -> None:
    later = datetime(2026, 4, 2, 2, 0, tzinfo=UTC)
    accepted(ctx, oa, *(claim(n) for n in (1, 2, 3)), claim(4, approved_at=later, paid_at=later))
    engine = ctx.store.engine

    def codes(*span: date | None, **more: object) -> list[list[str]]:
        pages = accepted_frames(engine, "acme", *span, 2, **more)  # type: ignore[arg-type]
        found = []
        for documents, lines, _, _ in pages:
            assert sorted(lines["document_pk"]) == documents["id"].to_list()
            found.append(documents["code"].to_list())
        return found

    assert codes(None, None) == [["B26000001", "B26000002"], ["B26000003", "B26000004"]]
    assert codes(date(2026, 4, 1), None) == [["B26000004"]]
    assert codes(FIRST, LAST) == [["B26000001", "B26000002"], ["B26000003"]]
    d = t.source_document
    with engine.begin() as connection:
        pks = {row.code: row.id for row in connection.execute(select(d.c.code, d.c.id))}
        assert connection.scalar(select(func.count()).select_from(d)) == 4
    assert codes(None, None, documents=[pks["B26000004"], pks["B26000002"]]) == [["B26000002", "B26000004"]]
    assert codes(FIRST, LAST, documents=[pks["B26000004"]]) == []
    third = select(d.c.id).where(d.c.code == "B26000003")
    assert codes(None, None, documents=third) == [["B26000003"]]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_on_a_real_ledger(oa: FakeSource, make_context: MakeContext, new_ledger: Callable[[], Path]) -> None:
    with serving(new_ledger()) as tryton:
        gateway = TrytonGateway(
            tryton.client(), currency="CNY", create_missing=("department", "project", "employee")
        )
        ctx = make_context(oa, gateway)
        accepted(ctx, oa, claim(1), claim(2, line(amount=20_600)))
        gateway.ensure_dimensions([DEPARTMENT, PROJECT])
        mine = voucher()
        legs = (
            JournalLine(
                1, Side.DEBIT, "6602.03", Money(20_600, "CNY"), "B26000002 住宿", (DEPARTMENT, PROJECT)
            ),
            JournalLine(2, Side.CREDIT, "1002", Money(20_600, "CNY"), "付 B26000002"),
        )
        key = VoucherKey("legacy", "excel", "17", "manual", 1)
        gateway.post([replace(mine, key=key, date=DAY, lines=legs)])
        report = shadow(ctx, FIRST, LAST)
    assert [(p.cause, p.also, p.evidence) for p in report.pairs] == [
        (Cause.ONLY_OURS, (), Evidence.NOTHING),
        (Cause.ACCOUNT, (Cause.TAX,), Evidence.CODE),
    ]
