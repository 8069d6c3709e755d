"""Extract: everything that changed, once, and a proof that nothing is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from include.domain.document import Disposition, DocumentStatus, Reference
from include.domain.errors import RetryLater
from include.domain.problems import Problem
from include.domain.voucher import VoucherStatus
from include.ports import RawDocument
from include.stages.context import StageContext
from include.stages.extract import extract
from include.store import tables as t
from tests.builders import StoreBuilder
from tests.conftest import FakeClock
from tests.documents import DAY, MASTER, claim, line
from tests.fakes.source import FakeSource
from tests.unit.stages.conftest import MakeContext


def rows(ctx: StageContext, *columns: object) -> list[tuple[object, ...]]:
    with ctx.store.engine.begin() as connection:
        return [tuple(row) for row in connection.execute(select(*columns)).all()]  # type: ignore[call-overload]


def test_stores_documents_with_lines_and_says_that_all_are_there(
    oa: FakeSource, make_context: MakeContext
) -> None:
    for number in range(1, 8):
        oa.put(claim(number, line(1), line(2, 3000, 0)))
    ctx = make_context(oa)
    result = extract(ctx)
    assert (result.read, result.new, result.complete, result.missing) == (7, 7, True, 0)
    d = t.source_document.c
    assert set(rows(ctx, d.book, d.disposition, d.gross_minor, d.line_count)) == {
        ("acme", Disposition.PENDING, 13600, 2)
    }
    assert rows(ctx, func.count(), func.sum(t.source_line.c.functional_minor)) == [(14, 7 * 13600)]


def test_a_second_run_reads_only_what_changed_since(
    oa: FakeSource, make_context: MakeContext, clock: FakeClock
) -> None:
    for number in range(1, 8):
        oa.put(claim(number), at=DAY + timedelta(hours=number))
    ctx = make_context(oa)
    extract(ctx)
    clock.forward(3600)
    oa.change("ID_2", clock.now() - timedelta(minutes=5), status=DocumentStatus.ARCHIVED)
    result = extract(ctx)
    # The overlap reads the last one again, and knows it.
    assert (result.new, result.changed, result.revised) == (0, 0, 0)
    assert result.read == 2
    d = t.source_document.c
    assert max(rows(ctx, d.status, d.revision)) == ("archived", 1)
    assert len(rows(ctx, t.source_snapshot.c.id)) == 8


def test_a_run_that_breaks_off_loses_nothing(oa: FakeSource, make_context: MakeContext) -> None:
    for number in range(1, 10):
        oa.put(claim(number))
    oa.fail("changes", RetryLater("连接中断 / connection lost"), after=1)
    ctx = make_context(oa)
    with pytest.raises(RetryLater):
        extract(ctx)
    assert len(rows(ctx, t.source_document.c.id)) == 3
    result = extract(ctx)
    assert result.new == 6
    assert result.complete


def test_the_proof_fetches_what_the_listing_lost_and_names_what_stays_missing(
    oa: FakeSource, make_context: MakeContext
) -> None:
    for number in range(1, 5):
        oa.put(claim(number))
    oa.unmentioned = {"ID_3"}
    ctx = make_context(oa)
    result = extract(ctx)
    assert not result.complete
    assert result.missing == 1
    proof = next(p for p in ctx.store.documents.latest_proofs("hesi") if p["form_type"] == "expense")
    assert (proof["source_count"], proof["stored_count"]) == (4, 3)
    assert '"ID_3"' in proof["difference"]
    oa.unmentioned = set()
    assert extract(ctx).complete


def test_what_only_the_listing_lost_is_fetched_by_the_proof(make_context: MakeContext) -> None:
    class Forgetful(FakeSource):
        """Leaves a document out of its list of changes, though it has it."""

        __slots__ = ()

        def changes(self, since: datetime) -> Iterator[Sequence[RawDocument]]:
            for page in FakeSource.changes(self, since):
                yield [raw for raw in page if raw.document_id != "ID_3"]

    forgetful = Forgetful(name="hesi", records=list(MASTER))
    for number in range(1, 5):
        forgetful.put(claim(number))
    ctx = make_context(forgetful)
    result = extract(ctx)
    assert (result.read, result.new, result.complete) == (3, 4, True)


def test_drafts_are_kept_but_not_due(oa: FakeSource, make_context: MakeContext) -> None:
    oa.put(claim(1, status=DocumentStatus.IN_APPROVAL))
    ctx = make_context(oa)
    extract(ctx)
    d = t.source_document.c
    assert rows(ctx, d.disposition) == [(Disposition.NOT_DUE,)]
    oa.change("ID_1", DAY + timedelta(days=1), status=DocumentStatus.APPROVED)
    extract(ctx)
    assert rows(ctx, d.disposition, d.revision) == [(Disposition.PENDING, 1)]


def test_a_document_of_another_entity_goes_where_the_unassigned_are_received(
    oa: FakeSource, make_context: MakeContext
) -> None:
    oa.put(claim(1, legal_entity=Reference("LE9", "E99", "别家公司")))
    oa.put(claim(2, legal_entity=None))
    ctx = make_context(oa)
    extract(ctx)
    assert rows(ctx, t.source_document.c.book) == [("acme",), ("acme",)]


@pytest.mark.parametrize(
    "moment", [None, datetime(9999, 12, 31, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)]
)
def test_an_absurd_approval_time_gives_no_voucher_date(
    moment: datetime | None, oa: FakeSource, make_context: MakeContext
) -> None:
    oa.put(claim(1, approved_at=moment))
    ctx = make_context(oa)
    extract(ctx)
    assert rows(ctx, t.source_document.c.business_date) == [(None,)]


def test_the_voucher_date_is_the_approval_day_in_the_books_zone(
    oa: FakeSource, make_context: MakeContext
) -> None:
    oa.put(claim(1, approved_at=datetime(2026, 3, 31, 17, 0, tzinfo=UTC)))
    ctx = make_context(oa)
    extract(ctx)
    assert [str(day) for (day,) in rows(ctx, t.source_document.c.business_date)] == ["2026-04-01"]


def test_problems_of_reading_are_opened_once_and_resolved_when_gone(
    oa: FakeSource, make_context: MakeContext, clock: FakeClock
) -> None:
    broken = Problem(
        "line.amount.too_many_decimals", "form.details[0]", "金额有三位小数", "three decimals", line_no=1
    )
    oa.put(claim(1), problems=[broken])
    ctx = make_context(oa)
    extract(ctx)
    first = rows(ctx, t.problem.c.id, t.problem.c.resolved_at)
    extract(ctx)
    assert rows(ctx, t.problem.c.id, t.problem.c.resolved_at) == first
    clock.forward(60)
    oa.put(claim(1), at=clock.now())
    extract(ctx)
    assert [resolved is not None for (resolved,) in rows(ctx, t.problem.c.resolved_at)] == [True]


def test_a_change_before_posting_replaces_one_after_posting_stands_beside(
    oa: FakeSource, make_context: MakeContext, clock: FakeClock
) -> None:
    oa.put(claim(1))
    ctx = make_context(oa)
    extract(ctx)
    clock.forward(60)
    oa.put(claim(1, line(1, 5000, 0)), at=clock.now())
    assert extract(ctx).changed == 1
    d = t.source_document.c
    assert rows(ctx, d.revision, d.is_current, d.gross_minor) == [(1, True, 5000)]
    with ctx.store.engine.begin() as connection:
        pk = connection.scalar(select(d.id))
        StoreBuilder(connection).voucher(pk, status=VoucherStatus.POSTED)
    clock.forward(60)
    oa.put(claim(1, line(1, 7000, 0)), at=clock.now())
    assert extract(ctx).revised == 1
    assert sorted(rows(ctx, d.revision, d.is_current, d.gross_minor)) == [(1, False, 5000), (2, True, 7000)]


def test_a_renamed_department_is_no_change(
    oa: FakeSource, make_context: MakeContext, clock: FakeClock
) -> None:
    oa.put(claim(1))
    ctx = make_context(oa)
    extract(ctx)
    clock.forward(60)
    oa.put(claim(1, department=Reference("D1", "D01", "新研发部"), voucher_no="记-1"), at=clock.now())
    result = extract(ctx)
    assert (result.changed, result.revised) == (0, 0)
    assert rows(ctx, t.source_document.c.department_name) == [("新研发部",)]
