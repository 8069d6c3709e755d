"""The in-memory ledger keeps the contract, so that what stages learn from it is true."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

import pytest

from include.conformance.ledger_suite import LedgerSuite
from include.conformance.ledger_words import (
    DEPARTMENT,
    EMPLOYEE,
    PROJECT,
    voucher,
)
from include.conformance.subject import unsupported
from include.domain.account import AuxiliaryDimension
from include.domain.errors import OutcomeUnknown, RetryLater
from include.domain.period import FiscalPeriod, LedgerPeriod, PeriodState
from include.domain.voucher import LedgerVoucherState, PostingOutcome, Voucher
from include.pace import Refused
from tests.fakes.ledger import FakeLedger, Loss


@dataclass
class FakeBooks:
    gateway: FakeLedger
    secrets: tuple[str, ...] = ()
    party: frozenset[str] = frozenset({"party"})
    least_pages: int = 2

    def make(self, values: Sequence[AuxiliaryDimension]) -> None:
        self.gateway.ensure_dimensions(values)

    def close(self, period: FiscalPeriod) -> None:
        self.gateway.states[period] = PeriodState.CLOSED

    def reopen(self, period: FiscalPeriod) -> None:
        self.gateway.states[period] = PeriodState.OPEN

    def adjust(self, period: FiscalPeriod) -> None:
        day = period.last_day
        self.gateway.adjustments.append(
            LedgerPeriod(f"{period.code} 调整", day, day, PeriodState.OPEN, is_adjustment=True)
        )

    def leave_draft(self, voucher: Voucher) -> None:
        self.gateway.draft(voucher)

    def cancel(self, ledger_id: str) -> None:
        self.gateway.cancel(ledger_id)

    @contextmanager
    def unreadable(self) -> Iterator[None]:
        self.gateway.fail("find", RetryLater("账务系统无应答 / the ledger does not answer"))
        yield

    def gateway_that_creates_nothing(self) -> FakeLedger:
        return replace(self.gateway, creatable=frozenset())

    def with_wrong_secret(self) -> FakeLedger:
        unsupported("在内存中没有密钥 / there are no secrets in memory")

    @contextmanager
    def lose_answers(self) -> Iterator[None]:
        self.gateway.lose(Loss.POSTED)
        yield

    @contextmanager
    def lose_requests(self) -> Iterator[None]:
        self.gateway.lose(Loss.NOTHING)
        yield

    def break_answers(self) -> AbstractContextManager[None]:
        return self.lose_answers()

    @contextmanager
    def refuse_calls(self) -> Iterator[None]:
        self.gateway.fail("post", Refused("调用过快 / too fast"))
        yield

    def expire_sessions(self) -> None:
        unsupported("在内存中没有会话 / there are no sessions in memory")


@pytest.fixture
def books() -> FakeBooks:
    return FakeBooks(FakeLedger())


class TestFakeLedger(LedgerSuite):
    """The contract, on the fake."""

    @pytest.mark.parametrize(
        ("loss", "there"),
        [
            (Loss.POSTED, [LedgerVoucherState.POSTED]),
            (Loss.DRAFTED, [LedgerVoucherState.DRAFT]),
            (Loss.NOTHING, []),
        ],
    )
    def test_a_lost_answer_leaves_what_was_asked_for(
        self, books: FakeBooks, loss: Loss, there: list[LedgerVoucherState]
    ) -> None:
        ours = voucher()
        books.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
        books.gateway.lose(loss)

        with pytest.raises(OutcomeUnknown):
            books.gateway.post([ours])

        assert [v.state for v in books.gateway.find([ours]).get(ours.key, ())] == there

    def test_a_poisoned_batch_is_refused_whole_without_saying_why(self, books: FakeBooks) -> None:
        good, bad = voucher(), voucher(document="bad")
        books.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
        books.gateway.poison.add("bad")

        assert [r.outcome for r in books.gateway.post([good, bad])] == [PostingOutcome.REJECTED] * 2
        assert [r.outcome for r in books.gateway.post([good])] == [PostingOutcome.CREATED]
