"""The in-memory source keeps the contract, so that what stages learn from it is true."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from include.conformance.source_suite import LONG_AGO, Known, SourceSuite, entry, read_all
from include.conformance.subject import unsupported
from include.domain.document import DocumentKind, DocumentStatus, Reference, SourceDocument
from include.domain.errors import RetryLater
from include.ports import MasterRecord
from tests.fakes.source import FakeSource

START = datetime(2026, 2, 1, tzinfo=UTC)


def document(number: int, form_type: str, status: DocumentStatus) -> SourceDocument:
    moment = START + timedelta(minutes=number)
    kind = DocumentKind.LOAN if form_type == "loan" else DocumentKind.EXPENSE_CLAIM
    return SourceDocument(
        source="fake",
        document_id=f"{form_type}-{number}",
        code=f"B{number:04d}",
        kind=kind,
        form_type=form_type,
        template_id="T1",
        title="",
        status=status,
        functional_currency="CNY",
        currency="CNY",
        gross=100 + number,
        transaction_gross=100 + number,
        written_off=0,
        company_paid=0,
        payable=100 + number,
        legal_entity=Reference("E", "E01", "示例"),
        department=None,
        submitter=None,
        supplier=None,
        project=None,
        created_at=moment,
        updated_at=moment,
        submitted_at=moment,
        approved_at=moment,
        paid_at=None,
        properties={},
    )


@dataclass
class FakeSystem:
    source: FakeSource = field(default_factory=FakeSource)
    form_types: tuple[str, ...] = ("expense", "loan")
    since: datetime = LONG_AGO
    now: datetime = START + timedelta(days=30)
    secrets: tuple[str, ...] = ()

    def _tick(self) -> datetime:
        self.now += timedelta(seconds=7)
        return self.now

    def _all(self) -> list[SourceDocument]:
        return [self.source.document(i) for i in self.source._kept]

    def ids(self, form_type: str) -> set[str]:
        return {d.document_id for d in self._all() if d.form_type == form_type}

    def deleted(self) -> set[str]:
        return {d.document_id for d in self._all() if d.status is DocumentStatus.DELETED}

    def known(self) -> Mapping[str, Known]:
        return {d.document_id: Known(d.gross, d.created_at or START, d.status.is_due) for d in self._all()}

    def take_back(self, document_id: str) -> None:
        self.source.change(document_id, self._tick(), status=DocumentStatus.NULLIFIED)

    def expire_tokens(self) -> None:
        unsupported("在内存中没有令牌 / there are no tokens in memory")

    def refuse_calls(self, times: int) -> None:
        unsupported("由适配器重发 / making calls again is an adapter's work")

    def break_answers(self, times: int) -> None:
        self.source.fail("changes", RetryLater("应答不完整 / half an answer"), times=times)

    def lose_answers(self, times: int) -> None:
        self.source.lost.add(self.approved()[0])

    def with_wrong_secret(self) -> AbstractContextManager[FakeSource]:
        unsupported("在内存中没有密钥 / there are no secrets in memory")

    def touch(self, document_id: str) -> None:
        self.source.change(document_id, self._tick(), title=f"edited {self.now}")

    def delete(self, document_id: str) -> None:
        self.source.delete(document_id, self._tick())

    def approved(self) -> list[str]:
        return [d.document_id for d in self._all() if d.status is DocumentStatus.APPROVED]

    def unapproved(self) -> str:
        return "loan-3"

    def shown_number(self, document_id: str) -> str:
        return self.source.document(document_id).voucher_no


@pytest.fixture
def oa() -> FakeSystem:
    system = FakeSystem()
    system.source.records.append(MasterRecord("department", "D1", "D1", "财务部"))
    for number in range(24):
        for form_type in system.form_types:
            deleted = number % 6 == 5
            status = DocumentStatus.DELETED if deleted else DocumentStatus.APPROVED
            system.source.put(document(number, form_type, status))
    system.source.refused.add("loan-3")
    return system


class TestFakeSource(SourceSuite):
    """The suite, and what only a fake can do."""

    def test_a_failure_comes_when_it_was_asked_for(self, oa: FakeSystem) -> None:
        oa.source.fail("changes", RetryLater("down"), after=2)
        pages = oa.source.changes(LONG_AGO)
        assert [len(next(pages)), len(next(pages))] == [3, 3]
        with pytest.raises(RetryLater):
            next(pages)
        assert len(read_all(oa.source)) == 48

    def test_a_lost_answer_is_written_all_the_same(self, oa: FakeSystem) -> None:
        oa.source.lost.add("expense-1")
        assert oa.source.write_back([entry("expense-1")])[0].outcome.value == "unknown"
        assert oa.shown_number("expense-1") == "记-12"

    def test_a_lossy_source_counts_what_it_does_not_give(self, oa: FakeSystem) -> None:
        oa.source.unmentioned.add("expense-1")
        assert "expense-1" not in {raw.document_id for raw in read_all(oa.source)}
        assert "expense-1" in set(oa.source.ids_created_until("expense", START + timedelta(days=9)))
