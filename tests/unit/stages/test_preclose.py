"""The list before a close: everything of a period that is not in the ledger, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from sqlalchemy import insert, select, update

from include.cli_periods import _write
from include.domain.document import Disposition, DocumentStatus, SourceDocument
from include.domain.errors import OutcomeUnknown, RetryLater
from include.domain.period import FiscalPeriod
from include.domain.problems import Problem, ProblemOwner, Stage
from include.domain.voucher import VoucherStatus
from include.stages.context import StageContext
from include.stages.extract import extract
from include.stages.generate import generate
from include.stages.post import post
from include.stages.preclose import KINDS, PreClose, preclose
from include.store import tables as t
from tests.calendars import CLOSED
from tests.conftest import FakeClock
from tests.documents import DAY, claim
from tests.fakes.ledger import FakeLedger
from tests.fakes.source import FakeSource
from tests.unit.stages.conftest import MakeContext
from tests.unit.stages.flow import ALL, accept_all, ready

MARCH, APRIL = FiscalPeriod(2026, 3), FiscalPeriod(2026, 4)


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


@pytest.fixture
def ctx(oa: FakeSource, ledger: FakeLedger, make_context: MakeContext) -> StageContext:
    made = make_context(oa, ledger)
    oa.form_types = made.source_config.form_types
    return made


def listed(found: PreClose) -> list[tuple[str, str, bool]]:
    """(document, state, blocks), as they stand on the list."""
    return [(row["document_id"], row["state"], row["blocks"]) for row in found.items.iter_rows(named=True)]


def only(found: PreClose) -> dict[str, Any]:
    (row,) = found.items.iter_rows(named=True)
    return row


def file(ctx: StageContext, oa: FakeSource, *documents: SourceDocument) -> None:
    for each in documents:
        oa.put(each)
    extract(ctx)


def dispose(ctx: StageContext, disposition: Disposition) -> None:
    with ctx.store.engine.begin() as connection:
        connection.execute(update(t.source_document).values(disposition=disposition))


def test_a_period_whose_documents_are_all_posted_may_be_closed(ctx: StageContext, oa: FakeSource) -> None:
    ready(ctx, oa, 3)
    post(ctx, ALL)
    found = preclose(ctx, MARCH)
    assert (found.items.height, found.earlier, found.is_blocked) == (0, 0, False)


@pytest.mark.parametrize(
    ("document", "state"),
    [
        (claim(1), "pending"),
        (claim(1, approved_at=None, paid_at=None), "pending"),  # no day can be told
        (claim(1, status=DocumentStatus.AWAITING_PAYMENT, paid_at=None), "awaiting_payment"),
        (
            claim(1, status=DocumentStatus.AWAITING_PAYMENT, submitted_at=DAY - timedelta(days=60)),
            "awaiting_payment",
        ),
        (claim(1, status=DocumentStatus.IN_APPROVAL, approved_at=None, paid_at=None), "in_approval"),
        (claim(1, status=DocumentStatus.DRAFT), None),
        (claim(1, status=DocumentStatus.DELETED), None),
        (claim(1, approved_at=DAY + timedelta(days=30)), None),
        (claim(1, approved_at=datetime(2026, 2, 28, 15, 59, tzinfo=UTC)), None),
        (
            claim(1, approved_at=datetime(2026, 2, 28, 16, 0, tzinfo=UTC)),
            "pending",
        ),  # in Shanghai it is March
    ],
)
def test_documents_without_a_voucher(
    document: SourceDocument, state: str | None, ctx: StageContext, oa: FakeSource
) -> None:
    file(ctx, oa, document)
    found = preclose(ctx, MARCH)
    expected = [] if state is None else [("ID_1", state, KINDS[state].blocks)]
    assert listed(found) == expected
    assert found.is_blocked == any(blocks for *_, blocks in expected)


def test_a_quarantined_document_says_what_is_wrong_since_when_and_who_mends_it(
    ctx: StageContext, oa: FakeSource, clock: FakeClock
) -> None:
    file(ctx, oa, claim(1))
    with ctx.store.engine.begin() as connection:
        (pk,) = connection.scalars(select(t.source_document.c.id))
    problems = [
        Problem("x.one", "line", "缺部门", "no department", ProblemOwner.OA_USER),
        Problem("x.two", "line", "缺项目", "no project", ProblemOwner.FINANCE),
    ]
    found_at = clock.now()
    ctx.store.documents.quarantine("acme", Stage.VALIDATE, {pk: problems}, found_at)
    clock.forward(86_400)
    row = only(preclose(ctx, MARCH))
    assert (row["state"], row["since"], row["who"]) == ("quarantined", found_at, "提单人 / OA user")
    assert row["zh"] == "缺部门（另有 1 项）"
    assert row["en"] == "no department (and 1 more)"


def test_a_document_that_nothing_was_made_of_is_on_the_list(ctx: StageContext, oa: FakeSource) -> None:
    file(ctx, oa, claim(1))
    accept_all(ctx)
    assert listed(preclose(ctx, MARCH)) == [("ID_1", "accepted", True)]
    generate(ctx, ALL)
    with ctx.store.engine.begin() as connection:
        connection.execute(update(t.voucher).values(status=VoucherStatus.CANCELLED))
    assert listed(preclose(ctx, MARCH)) == [("ID_1", "accepted", True)]
    assert preclose(ctx, APRIL).earlier == 1
    dispose(ctx, Disposition.NO_VOUCHER)
    assert listed(preclose(ctx, MARCH)) == []
    assert preclose(ctx, APRIL).earlier == 0


def test_vouchers_on_their_way_are_listed_once_each_with_their_reason(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    ready(ctx, oa, 1)
    row = only(preclose(ctx, MARCH))
    assert (row["state"], row["code"], row["amount_minor"]) == ("generated", "B26000001", 10_600)

    ledger.fail("post", OutcomeUnknown("无应答 / no answer"))
    ledger.fail("find", RetryLater("查询失败 / no answer"), times=4)
    with pytest.raises(RetryLater):
        post(ctx, ALL)
    assert only(preclose(ctx, MARCH))["state"] == "in_doubt"

    ledger.words = ()
    post(ctx, ALL)
    row = only(preclose(ctx, MARCH))
    assert (row["state"], row["who"]) == ("rejected", "财务 / finance")
    assert "凭证字" in row["zh"]


def test_a_held_voucher_keeps_its_age_and_a_moved_one_blocks_the_period_it_went_to(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger, clock: FakeClock
) -> None:
    ready(ctx, oa, 1)
    ledger.states[MARCH] = CLOSED
    post(ctx, ALL)
    first = clock.now()
    clock.forward(86_400)
    generate(ctx, ALL)
    post(ctx, ALL)
    row = only(preclose(ctx, MARCH))
    assert (row["state"], row["since"]) == ("held", first)
    assert "2026-03" in row["zh"]

    ctx = replace(ctx, book=ctx.book.model_copy(update={"closed_period": "next_open"}))
    ledger.fail("post", RetryLater("无法连接 / out of reach"))
    with pytest.raises(RetryLater):
        post(ctx, ALL)
    assert listed(preclose(ctx, MARCH)) == [("ID_1", "moved", False)]
    assert listed(preclose(ctx, APRIL)) == [("ID_1", "generated", True)]


@pytest.mark.parametrize("status", [VoucherStatus.CONFLICT, VoucherStatus.SENDING])
def test_other_states_are_told_too(status: VoucherStatus, ctx: StageContext, oa: FakeSource) -> None:
    ready(ctx, oa, 1)
    with ctx.store.engine.begin() as connection:
        connection.execute(update(t.voucher).values(status=status, message="冲突 / conflict"))
    state = {VoucherStatus.CONFLICT: "conflict", VoucherStatus.SENDING: "in_doubt"}[status]
    assert listed(preclose(ctx, MARCH)) == [("ID_1", state, True)]


def test_a_replacement_waits_for_its_reversal(ctx: StageContext, oa: FakeSource) -> None:
    ready(ctx, oa, 1)
    v = t.voucher
    with ctx.store.engine.begin() as connection:
        row = dict(connection.execute(select(v)).mappings().one())
        connection.execute(update(v).values(status=VoucherStatus.POSTED))
        for number, (event, relation) in enumerate(
            [("expense_claim.reversal", "reversal"), ("expense_claim.2", "replacement")], row["id"] + 1
        ):
            values = {
                "id": number,
                "key": event,
                "event": event,
                "relation": relation,
                "original_id": row["id"],
            }
            connection.execute(insert(v).values({**row, **values}))
    found = preclose(ctx, MARCH)
    assert [(each["key"], each["state"]) for each in found.items.iter_rows(named=True)] == [
        ("expense_claim.2", "waiting"),
        ("expense_claim.reversal", "generated"),
    ]


def test_what_waits_in_earlier_periods_is_counted(ctx: StageContext, oa: FakeSource) -> None:
    file(ctx, oa, claim(1), claim(2), claim(3, approved_at=DAY + timedelta(days=30)))
    accept_all(ctx)
    assert preclose(ctx, APRIL).earlier == 2
    generate(ctx, ALL)
    found = preclose(ctx, APRIL)
    assert (found.earlier, listed(found)) == (2, [("ID_3", "generated", True)])
    assert preclose(ctx, MARCH).earlier == 0


def test_an_open_difference_blocks(ctx: StageContext, oa: FakeSource, clock: FakeClock) -> None:
    ready(ctx, oa, 1)
    post(ctx, ALL)
    row = {
        "book": "acme",
        "kind": "amount",
        "subject": "k",
        "ours": "1",
        "theirs": "2",
        "zh": "差",
        "en": "differs",
    }
    times = {"first_seen_at": clock.now(), "last_seen_at": clock.now()}
    with ctx.store.engine.begin() as connection:
        connection.execute(
            insert(t.discrepancy), [{**row, **times, "owner": "finance", "period": MARCH.code}]
        )
    found = preclose(ctx, MARCH)
    assert found.is_blocked
    assert [each["zh"] for each in found.discrepancies] == ["差"]
    assert not preclose(ctx, APRIL).is_blocked


def test_the_oa_must_have_been_read_whole_after_the_end_of_the_period(
    ctx: StageContext, oa: FakeSource, clock: FakeClock
) -> None:
    assert not preclose(ctx, MARCH).reading.covers  # never read
    clock.time = datetime(2026, 3, 31, 15, 59, tzinfo=UTC)
    extract(ctx)
    found = preclose(ctx, MARCH)
    assert (found.reading.until, found.is_blocked) == (clock.time, True)
    clock.forward(60)  # midnight in Shanghai
    extract(ctx)
    assert not preclose(ctx, MARCH).is_blocked
    with ctx.store.engine.begin() as connection:
        connection.execute(update(t.completeness_proof).values(source_count=1))
    assert preclose(ctx, MARCH).is_blocked


def test_the_spreadsheet_keeps_texts_as_texts_and_amounts_as_numbers(
    ctx: StageContext, oa: FakeSource, tmp_path: Path
) -> None:
    file(ctx, oa, claim(1, code="=1+1\x0b"))
    _write(preclose(ctx, MARCH), tmp_path / "list.xlsx")
    _head, row = load_workbook(tmp_path / "list.xlsx").active.iter_rows()
    assert (row[1].value, row[1].data_type) == ("=1+1", "s")
    assert (row[3].value, row[3].data_type) == (Decimal(106), "n")


def test_json_has_amounts_as_text(ctx: StageContext, oa: FakeSource) -> None:
    file(ctx, oa, claim(1), claim(2))
    said = preclose(ctx, MARCH).as_dict()
    assert said["totals"] == {"pending": {"number": 2, "amount": "212.00", "blocks": True}}
    assert {item["amount"] for item in said["items"]} == {"106.00"}
    assert said["items"][0]["day"] == date(2026, 3, 10)
