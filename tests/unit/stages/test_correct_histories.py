"""Corrections after corrections: rules that change again before or after posting, and a ledger that refuses half.

Whatever the history, the ledger never has a claim twice, and what the newest rules want is there in the end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from include.domain.period import PeriodState
from include.domain.voucher import PostingOutcome, VoucherStatus
from include.stages.context import StageContext
from include.stages.generate import generate
from include.stages.post import post
from include.stages.replay import replay
from include.store import generated
from include.store import tables as t
from include.store.engine import writing
from include.store.outcomes import Settlement
from tests.documents import claim, line
from tests.fakes.ledger import FakeLedger
from tests.fakes.source import FakeSource
from tests.unit.stages.flow import ALL, accept_all, posted, ready, statuses
from tests.unit.stages.test_correct import (
    FIRST,
    LAST,
    MARCH,
    balances,
    change,
    corrected,
    ctx,
    ledger,
    make,
    rows,
    run_all,
    silence,
)

__all__ = ["ctx", "ledger", "make"]
"""Fixtures of the suite of single corrections."""

ONCE = {"1002": (0, 10_600), "6602.10": (10_600, 0)}


def claims(ctx: StageContext) -> Path:
    return ctx.settings.config_dir / "rules/acme/claims.yaml"


def silenced(ctx: StageContext) -> Callable[[], object]:
    """The rules now make no voucher; returns the way back."""
    text = claims(ctx).read_text("utf-8")
    silence(ctx)
    return lambda: claims(ctx).write_text(text, "utf-8")


def rename(ctx: StageContext, old: str, new: str) -> None:
    text = claims(ctx).read_text("utf-8")
    claims(ctx).write_text(text.replace(f"event: {old}", f"event: {new}"), "utf-8")


def close(ledger: FakeLedger, account: str) -> Callable[[], None]:
    """The ledger refuses lines on an account; returns the way back."""
    before = ledger.accounts[account]
    ledger.accounts[account] = replace(before, is_active=False)

    def reopen() -> None:
        ledger.accounts[account] = before

    return reopen


def debit_total(ledger: FakeLedger) -> int:
    return sum(debit for debit, _ in balances(ledger).values())


def test_a_voucher_that_was_taken_out_comes_back_with_the_rules(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    posted(ctx, oa, 1)
    back = silenced(ctx)
    corrected(ctx)
    post(ctx, ALL)
    assert balances(ledger) == {}
    back()
    folder = ctx.settings.config_dir
    assert replay(ctx, FIRST, LAST, folder).as_dict() == {
        **replay(ctx, FIRST, LAST, folder, brute_force=True).as_dict()
    }
    corrected(ctx)
    post(ctx, ALL)
    assert balances(ledger) == ONCE


def test_a_reversal_that_waits_is_taken_back_with_the_rules(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    posted(ctx, oa, 1)
    back = silenced(ctx)
    corrected(ctx)
    back()
    assert corrected(ctx).withdrawn == 1
    post(ctx, ALL)
    assert balances(ledger) == ONCE


def test_after_a_refused_replacement_the_former_rules_book_it_again(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    posted(ctx, oa, 1)
    change(ctx, "6602.02")
    corrected(ctx)
    reopen = close(ledger, "6602.02")
    post(ctx, ALL)
    assert balances(ledger) == {}
    reopen()
    change(ctx, "6602.10")
    accept_all(ctx)
    corrected(ctx)
    generate(ctx, ALL)
    post(ctx, ALL)
    assert balances(ledger) == ONCE


def test_a_replacement_waits_for_the_reversal_of_another_event(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    posted(ctx, oa, 1)
    change(ctx, "6602.02")
    rename(ctx, "expense_claim", "travel")
    corrected(ctx)
    post(ctx, ALL)
    change(ctx, "6602.03")
    rename(ctx, "travel", "expense_claim")
    corrected(ctx)
    reopen = close(ledger, "6602.02")  # the ledger refuses the red copy
    post(ctx, ALL)
    accept_all(ctx)
    reopen()
    generate(ctx, ALL)
    close(ledger, "6602.02")
    post(ctx, ALL)
    assert debit_total(ledger) == 10_600


def test_an_event_renamed_twice_waits_for_the_first_reversal(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    posted(ctx, oa, 1)
    change(ctx, "6602.02")
    rename(ctx, "expense_claim", "travel")
    corrected(ctx)
    rename(ctx, "travel", "trip")
    change(ctx, "6602.03")
    corrected(ctx)
    close(ledger, "6602.10")
    post(ctx, ALL)
    assert balances(ledger) == ONCE


def test_corrections_that_wait_are_taken_back_where_the_newest_rules_refuse(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    oa.put(claim(1, line(1, project=None), project=None))
    run_all(ctx)
    change(ctx, "6602.02")
    corrected(ctx)
    text = claims(ctx).read_text("utf-8")
    optional = (
        "dimensions: {department: line.department}\n        optional_dimensions: {project: line.project}"
    )
    assert optional in text
    required = text.replace(optional, "dimensions: {department: line.department, project: line.project}", 1)
    claims(ctx).write_text(required, "utf-8")
    (left,) = corrected(ctx).not_corrected
    assert "原凭证保留" in left.zh
    post(ctx, ALL)
    assert balances(ledger) == ONCE
    assert [status for *_, status in rows(ctx)] == ["posted", "cancelled", "cancelled"]


def test_holding_back_does_not_revive_what_was_cancelled_meanwhile(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    ready(ctx, oa, 1)
    (seen,) = ctx.store.vouchers.batch("acme", ALL, [VoucherStatus.GENERATED], 10)
    rename(ctx, "expense_claim", "travel")
    generate(ctx, ALL)
    lease = ctx.store.leases.acquire("acme")
    held = Settlement(
        seen.id, seen.voucher.key, VoucherStatus.HELD, PostingOutcome.REJECTED, message="关 / closed"
    )
    unsent = (VoucherStatus.GENERATED, VoucherStatus.HELD)
    assert ctx.store.vouchers.settle(lease, [held], "held", only=unsent) == []
    ctx.store.leases.release(lease)
    assert statuses(ctx) == ["cancelled", "generated"]
    ledger.states[MARCH] = PeriodState.OPEN
    assert post(ctx, ALL).posted == 1


def test_posting_waits_while_vouchers_are_made_anew(
    ctx: StageContext, oa: FakeSource, ledger: FakeLedger
) -> None:
    ready(ctx, oa, 1)
    done: list[int] = []
    poster = threading.Thread(target=lambda: done.append(post(ctx, ALL).posted))
    with writing(ctx.store.engine) as connection:
        pks = list(connection.scalars(select(t.source_document.c.id)))
        generated._lock(connection, pks)
        poster.start()
        poster.join(0.5)
        assert poster.is_alive()
        assert done == []
    poster.join(60)
    assert done == [1]


@pytest.fixture(autouse=True)
def _no_voucher_twice(ledger: FakeLedger) -> object:
    """After every history: no key of ours twice in the ledger."""
    yield
    keys = [voucher.reference for voucher in ledger.vouchers_by_id.values()]
    assert len(keys) == len(set(keys))
