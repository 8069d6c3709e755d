"""What posting says of vouchers, and what becomes of it when it settles others."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from include.domain.document import Disposition
from include.domain.errors import LeaseLost
from include.domain.problems import Problem
from include.domain.voucher import PostingOutcome, VoucherKey, VoucherStatus
from include.store import tables as t
from include.store.outcomes import Settlement
from include.store.store import Store
from tests.builders import BOOK, SOURCE, StoreBuilder


def two_vouchers_of_a_document(store: Store) -> tuple[Settlement, Settlement]:
    """One to be rejected and one to be posted."""
    with store.engine.begin() as connection:
        build = StoreBuilder(connection)
        document = build.document(disposition=Disposition.ACCEPTED)
        ids = {
            event: build.voucher(document, document_id="doc-00001", event=event)
            for event in ("expense_claim", "loan")
        }
    rejected, posted = (
        Settlement(pk, VoucherKey(BOOK, SOURCE, "doc-00001", event, 1), status, outcome)
        for (event, pk), status, outcome in zip(
            ids.items(),
            (VoucherStatus.REJECTED, VoucherStatus.POSTED),
            (PostingOutcome.REJECTED, PostingOutcome.CREATED),
            strict=True,
        )
    )
    return rejected, posted


def open_problems(store: Store) -> list[str]:
    with store.engine.begin() as connection:
        return list(connection.scalars(select(t.problem.c.where).where(t.problem.c.resolved_at.is_(None))))


def test_what_is_said_of_a_voucher_stays_until_that_voucher_is_settled_again(store: Store) -> None:
    rejected, posted = two_vouchers_of_a_document(store)
    said = [Problem("voucher.rejected", str(rejected.key), "拒绝", "refused")]
    lease = store.leases.acquire(BOOK)
    store.vouchers.settle(lease, [rejected], problems={rejected.id: said})
    store.vouchers.settle(lease, [posted], problems={})
    assert open_problems(store) == [str(rejected.key)]
    with store.engine.begin() as connection:
        assert connection.scalars(select(t.source_document.c.disposition)).all() == [Disposition.QUARANTINED]
    store.vouchers.settle(lease, [rejected], problems={})
    assert open_problems(store) == []


def test_an_outcome_and_what_is_said_of_it_are_written_together_or_not_at_all(store: Store) -> None:
    rejected, _ = two_vouchers_of_a_document(store)
    said = [Problem("voucher.rejected", str(rejected.key), "拒绝", "refused")]
    lease = store.leases.acquire(BOOK)
    with store.engine.begin() as connection:
        connection.execute(update(t.book_lease).values(fence=lease.fence + 1))
    with pytest.raises(LeaseLost):
        store.vouchers.settle(lease, [rejected], problems={rejected.id: said})
    assert open_problems(store) == []
    with store.engine.begin() as connection:
        assert VoucherStatus.REJECTED not in connection.scalars(select(t.voucher.c.status)).all()


def test_a_book_that_was_given_back_is_free_whatever_became_of_the_clock(store: Store) -> None:
    lease = store.leases.acquire(BOOK)
    store.leases.release(lease)
    with store.engine.begin() as connection:  # as if the wall clock were set back by hours since
        later = connection.scalar(select(t.book_lease.c.expires_at))
        assert later is not None
        connection.execute(update(t.book_lease).values(expires_at=later.replace(year=later.year + 1)))
    assert store.leases.acquire(BOOK).fence == lease.fence + 1
