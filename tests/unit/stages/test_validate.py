"""Validate: who passes, who is quarantined, and what a person reads of it."""

from __future__ import annotations

import logging
from datetime import date

import pytest
from sqlalchemy import select

from include.domain.document import Disposition, DocumentStatus, Reference
from include.domain.problems import Problem
from include.stages.context import Scope, StageContext
from include.stages.extract import extract
from include.stages.validate import validate
from include.store import tables as t
from tests.conftest import FakeClock
from tests.documents import claim, line
from tests.fakes.ledger import FakeLedger
from tests.fakes.source import FakeSource
from tests.unit.stages.conftest import MakeContext
from tests.unit.stages.flow import ALL, posted


def dispositions(ctx: StageContext) -> dict[str, str]:
    d = t.source_document.c
    with ctx.store.engine.begin() as connection:
        return {
            row.document_id: row.disposition
            for row in connection.execute(select(d.document_id, d.disposition))
        }


def test_the_bad_ones_are_held_back_with_their_reasons_and_the_rest_goes_on(
    oa: FakeSource, make_context: MakeContext, caplog: pytest.LogCaptureFixture
) -> None:
    unreadable = Problem(
        "line.amount.too_many_decimals", "form.details[0]", "金额有三位小数", "three decimals", line_no=1
    )
    oa.put(claim(1))
    oa.put(claim(2, line(department=None), department=None))
    oa.put(
        claim(3, line(1, functional_amount=None, amount=None), gross=None, payable=None),
        problems=[unreadable],
    )
    oa.put(claim(4, legal_entity=Reference("LE9", "E99", "别家公司")))
    oa.put(claim(5, status=DocumentStatus.IN_APPROVAL))
    ctx = make_context(oa, FakeLedger())
    extract(ctx)
    with caplog.at_level(logging.WARNING):
        result = validate(ctx, ALL)
    assert dispositions(ctx) == {
        "ID_1": Disposition.ACCEPTED,
        "ID_2": Disposition.QUARANTINED,
        "ID_3": Disposition.QUARANTINED,
        "ID_4": Disposition.QUARANTINED,
        "ID_5": Disposition.NOT_DUE,
    }
    assert (result.checked, result.accepted, result.quarantined) == (4, 1, 3)
    assert {"department.missing", "line.amount.too_many_decimals"} <= {code for code, _ in result.causes}
    assert "B26000002 [department.missing]" in caplog.text
    assert "B26000003 [line.amount.too_many_decimals] 金额有三位小数" in caplog.text


def test_what_was_repaired_passes_the_next_time_and_its_problems_are_resolved(
    oa: FakeSource, make_context: MakeContext, clock: FakeClock
) -> None:
    oa.put(claim(1, line(department=None), department=None))
    ctx = make_context(oa, FakeLedger())
    extract(ctx)
    assert validate(ctx, ALL).quarantined == 1
    clock.forward(60)
    oa.put(claim(1), at=clock.now())
    extract(ctx)
    assert validate(ctx, ALL).accepted == 1
    with ctx.store.engine.begin() as connection:
        assert connection.scalars(select(t.problem.c.id).where(t.problem.c.resolved_at.is_(None))).all() == []


def test_only_documents_of_the_days_asked_for_are_looked_at(
    oa: FakeSource, make_context: MakeContext
) -> None:
    oa.put(claim(1))
    ctx = make_context(oa, FakeLedger())
    extract(ctx)
    assert validate(ctx, Scope(date(2026, 4, 1), date(2026, 4, 30))).checked == 0
    assert validate(ctx, Scope(date(2026, 3, 1), date(2026, 3, 31))).accepted == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"status": DocumentStatus.NULLIFIED}, "document.withdrawn_after_posting"),
        ({"lines": (line(1, 5000, 0),), "gross": 5000, "payable": 5000}, "document.changed_after_posting"),
    ],
)
def test_a_document_that_changed_after_posting_goes_to_a_person_until_it_is_changed_back(
    change: dict[str, object], code: str, oa: FakeSource, make_context: MakeContext, clock: FakeClock
) -> None:
    ledger = FakeLedger()
    ctx = make_context(oa, ledger)
    posted(ctx, oa, 1)
    clock.forward(60)
    oa.change("ID_1", clock.now(), **change)
    extract(ctx)
    result = validate(ctx, ALL)
    assert result.causes == ((code, 1),)
    assert Disposition.QUARANTINED in dispositions(ctx).values()
    assert len(ledger.vouchers_by_id) == 1
    if code == "document.withdrawn_after_posting":
        clock.forward(60)
        oa.put(claim(1), at=clock.now())
        extract(ctx)
        assert validate(ctx, ALL).accepted == 1
