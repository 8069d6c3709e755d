"""The contract on an accounting system over HTTP, for each way of finding a voucher again; and what lost answers mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from include.conformance.ledger_suite import LedgerSuite
from include.conformance.ledger_words import (
    BANK,
    DEPARTMENT,
    EMPLOYEE,
    PROJECT,
    TRAVEL,
    UNKNOWN,
    is_copy,
    line,
    only,
    post,
    voucher,
)
from include.domain.account import AuxiliaryDimension
from include.domain.errors import FixConfig, OutcomeUnknown, RetryLater, VoucherflowError
from include.domain.period import FiscalPeriod, PeriodState
from include.domain.voucher import (
    LedgerVoucherState,
    PostingOutcome,
    Side,
    Voucher,
)
from include.ports import ProofLevel
from tests.chaos.ledger_calls import PASSWORD
from tests.chaos.ledger_client import LedgerClient
from tests.chaos.ledger_gateway import GATEWAYS, NativeKeyGateway, ReferenceGateway
from tests.chaos.ledger_process import LedgerProcess

KINDS = ("employee", "supplier", "customer", "department", "project")
LEVELS = list(ProofLevel)
READ_TIMEOUT_S = 20.0
WRONG = "wrong-secret-7"

Start = Callable[..., LedgerProcess]


@dataclass
class HttpBooks:
    """A gateway, and the accountant's and the administrator's way into the server."""

    server: LedgerProcess
    gateway: Any
    secrets: tuple[str, ...] = (PASSWORD, WRONG)
    party: frozenset[str] = frozenset({"party"})
    least_pages: int = 2

    def make(self, values: Sequence[AuxiliaryDimension]) -> None:
        self.gateway.ensure_dimensions(values)

    def close(self, period: FiscalPeriod) -> None:
        self.server.as_accountant("/api/periods/close", period=period.code.replace("-", ""))

    def reopen(self, period: FiscalPeriod) -> None:
        self.server.as_accountant("/api/periods/open", period=period.code.replace("-", ""))

    def defer(self, period: FiscalPeriod) -> None:
        self.server.as_accountant("/api/periods/defer", period=period.code.replace("-", ""))

    def adjust(self, period: FiscalPeriod) -> None:
        self.server.as_accountant("/api/periods/adjust", period="202513", day=str(period.last_day))

    def leave_draft(self, voucher: Voucher) -> None:
        self.gateway.create([voucher], audit=False)

    def cancel(self, ledger_id: str) -> None:
        self.server.as_accountant("/api/vouchers/offset", id=ledger_id)

    @contextmanager
    def unreadable(self) -> Iterator[None]:
        with self.faults(rates={"bad_gateway": 1.0}, endpoints=["search"]):
            yield

    @contextmanager
    def faults(self, **plan: Any) -> Iterator[None]:
        self.server.set_faults(**plan)
        try:
            yield
        finally:
            self.server.set_faults()

    def gateway_that_creates_nothing(self) -> Any:
        return type(self.gateway)(self.gateway.client, currency="CNY")

    def with_wrong_secret(self) -> Any:
        endpoint = replace(self.server.endpoint(), password=WRONG)
        return type(self.gateway)(LedgerClient(endpoint, read_timeout_s=READ_TIMEOUT_S), currency="CNY")

    def lose_answers(self) -> AbstractContextManager[None]:
        return self.faults(script=[{"fault": "drop_after", "endpoint": "create"}])

    def lose_requests(self) -> AbstractContextManager[None]:
        return self.faults(script=[{"fault": "drop_before", "endpoint": "create"}])

    def break_answers(self) -> AbstractContextManager[None]:
        return self.faults(script=[{"fault": "truncate", "endpoint": "create"}])

    def refuse_calls(self) -> AbstractContextManager[None]:
        return self.faults(script=[{"fault": "busy", "endpoint": "create"}])

    def expire_sessions(self) -> None:
        self.gateway.client._token = "expired"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Servers, each started once for a set of options, all stopped at the end."""
    running: dict[str, LedgerProcess] = {}

    def started(level: ProofLevel, **options: Any) -> LedgerProcess:
        name = "-".join([level, *(f"{key}={value}" for key, value in sorted(options.items()))])
        if name not in running:
            file = tmp_path_factory.mktemp("ledger") / "books.db"
            running[name] = LedgerProcess(file, level=level, **options)
        return running[name]

    yield started
    for server in running.values():
        server.stop()


def connect(server: LedgerProcess, *, steps: int = 1, read_timeout_s: float = READ_TIMEOUT_S) -> HttpBooks:
    client = LedgerClient(server.endpoint(), read_timeout_s=read_timeout_s)
    gateway = GATEWAYS[ProofLevel(server.level)](
        client, currency="CNY", create_missing=KINDS, steps=steps, page_size=3
    )
    return HttpBooks(server, gateway)


@pytest.fixture(params=LEVELS)
def books(request: pytest.FixtureRequest, start: Start) -> HttpBooks:
    """The books at each proof level; those that keep a reference take two steps, create and audit."""
    steps = 2 if request.param is ProofLevel.SEARCHABLE_REFERENCE else 1
    connected = connect(start(request.param), steps=steps)
    connected.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
    return connected


class TestLedgerOverHttp(LedgerSuite):
    """The contract, over HTTP."""

    def test_a_period_that_is_not_open_yet_is_told_and_takes_nothing(self, books: HttpBooks) -> None:
        period = FiscalPeriod(2026, 12)
        books.defer(period)
        try:
            found = books.gateway.period_of(period.first_day)
            assert (found.code, found.state) == (period.code, PeriodState.NOT_YET_OPEN)
            assert post(books.gateway, voucher(day=period.first_day)) == [PostingOutcome.REJECTED]
        finally:
            books.reopen(period)


class TestWhenCallsFail:
    """Each fault is told for what it is: nothing was sent, or the outcome is unknown, and looking shows what is there."""

    @pytest.mark.parametrize(
        ("fault", "copies"),
        [
            ("drop_before", 0),
            ("drop_after", 1),
            ("truncate", 1),
            ("bad_gateway", 1),
            ("die_before", 0),
            ("die_within", 0),
            ("die_after", 1),
        ],
    )
    def test_a_lost_answer_is_unknown_and_looking_tells(
        self, books: HttpBooks, fault: str, copies: int
    ) -> None:
        ours = [voucher(), voucher()]

        with books.faults(script=[{"fault": fault, "endpoint": "create"}]), pytest.raises(OutcomeUnknown):
            books.gateway.post(ours)

        books.server.wait_until_up()
        there = books.gateway.find(ours)
        assert [len(there.get(each.key, ())) for each in ours] == [copies, copies]

    @pytest.mark.parametrize("level", LEVELS)
    @pytest.mark.parametrize("fault", ["drop_before", "drop_after", "die_within", "locked", "busy"])
    def test_a_draft_whose_audit_is_in_doubt_is_unknown_and_can_be_completed(
        self, start: Start, level: ProofLevel, fault: str
    ) -> None:
        books = connect(start(level), steps=2)
        books.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
        ours = voucher()

        with books.faults(script=[{"fault": fault, "endpoint": "audit"}]), pytest.raises(OutcomeUnknown):
            books.gateway.post([ours])

        books.server.wait_until_up()
        (completed,) = books.gateway.complete([only(books.gateway, ours)])
        assert completed == only(books.gateway, ours)
        assert completed.state is LedgerVoucherState.POSTED

    @pytest.mark.parametrize("fault", ["locked", "read_only", "busy"])
    def test_a_refusal_for_now_changes_nothing(self, books: HttpBooks, fault: str) -> None:
        ours = voucher()

        with (
            books.faults(script=[{"fault": fault, "endpoint": "create"}]),
            pytest.raises(RetryLater) as error,
        ):
            books.gateway.post([ours])

        assert (error.value.retry_after_s is not None) == (fault == "busy")
        assert not books.gateway.find([ours])
        assert post(books.gateway, ours) == [PostingOutcome.CREATED]

    @pytest.mark.parametrize(
        "fault", ["drop_before", "drop_after", "truncate", "bad_gateway", "locked", "busy", "die_after"]
    )
    def test_a_failed_search_is_never_a_no(self, books: HttpBooks, fault: str) -> None:
        ours = voucher()
        post(books.gateway, ours)

        with books.faults(script=[{"fault": fault, "endpoint": "search"}]), pytest.raises(RetryLater):
            books.gateway.find([ours])

        books.server.wait_until_up()
        assert len(books.gateway.find([ours])[ours.key]) == 1

    def test_nothing_was_sent_to_a_ledger_that_is_down(self, books: HttpBooks) -> None:
        ours = voucher()

        with books.server.down(), pytest.raises(RetryLater, match="chaos_ledger"):
            books.gateway.post([ours])

        assert not books.gateway.find([ours])

    def test_a_call_that_the_caller_gave_up_is_done_all_the_same(self, start: Start) -> None:
        server = start(ProofLevel.NATIVE_KEY)
        patient, hasty = connect(server), connect(server, read_timeout_s=0.3)
        patient.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
        hasty.gateway.check()
        ours = voucher()

        with patient.faults(script=[{"fault": "late", "endpoint": "create"}], late_s=[1.5, 1.5]):
            with pytest.raises(OutcomeUnknown):
                hasty.gateway.post([ours])
            missing = not patient.gateway.find([ours])
            # The same key again waits for nobody: whichever comes first makes the voucher.
            (result,) = patient.gateway.post([ours])

        assert missing
        assert result.outcome is PostingOutcome.CREATED
        assert len(patient.gateway.find([ours])[ours.key]) == 1

    def test_a_session_that_ended_is_renewed(self, start: Start) -> None:
        books = connect(start(ProofLevel.NATIVE_KEY))
        books.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
        books.server.kill()

        assert post(books.gateway, voucher()) == [PostingOutcome.CREATED]

    def test_numbers_that_were_changed_afterwards_are_read_again(self, books: HttpBooks) -> None:
        period = FiscalPeriod(2026, 5)
        later, earlier = voucher(day=period.last_day), voucher(day=period.first_day)

        results = [books.gateway.post([each])[0] for each in (later, earlier)]
        books.server.as_accountant("/api/periods/renumber", period="202605")

        numbers = books.gateway.numbers([result.ledger_id for result in results])
        assert [only(books.gateway, each).number for each in (later, earlier)] == [
            numbers[result.ledger_id] for result in results
        ]
        assert numbers[results[0].ledger_id] != results[0].number


class TestNativeKey:
    """What only a key of the ledger's own can promise."""

    @pytest.fixture
    def books(self, start: Start) -> HttpBooks:
        connected = connect(start(ProofLevel.NATIVE_KEY))
        connected.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
        return connected

    def test_the_same_voucher_again_exists(self, books: HttpBooks) -> None:
        ours = voucher()
        (first,) = books.gateway.post([ours])

        (second,) = books.gateway.post([ours])

        assert (second.outcome, second.ledger_id, second.number) == (
            PostingOutcome.EXISTS,
            first.ledger_id,
            first.number,
        )

    def test_other_content_under_a_key_is_a_conflict_and_the_others_go_on(self, books: HttpBooks) -> None:
        taken, other = voucher(), voucher()
        post(books.gateway, taken)
        changed = Voucher(taken.key, "记", taken.date, voucher().lines)

        results = books.gateway.post([changed, other])

        assert [r.outcome for r in results] == [PostingOutcome.CONFLICT, PostingOutcome.CREATED]
        assert str(taken.key) in results[0].message
        assert is_copy(books.gateway, only(books.gateway, other), other)

    def test_a_call_that_is_delivered_twice_makes_one_voucher(self, books: HttpBooks) -> None:
        ours = voucher()

        with books.faults(script=[{"fault": "twice", "endpoint": "create"}]):
            (result,) = books.gateway.post([ours])

        assert result.outcome is PostingOutcome.EXISTS
        assert only(books.gateway, ours).ledger_id == result.ledger_id


class TestWhatLevelsLack:
    """The weaker a level, the more a careless client can do wrong: the server lets it."""

    def test_a_reference_does_not_keep_a_second_one_out(self, start: Start) -> None:
        books = connect(start(ProofLevel.SEARCHABLE_REFERENCE))
        ours = voucher()
        assert post(books.gateway, ours) + post(books.gateway, ours) == [PostingOutcome.CREATED] * 2

        assert len(books.gateway.find([ours])[ours.key]) == 2

    def test_without_a_key_every_voucher_of_the_day_and_total_is_found(self, start: Start) -> None:
        books = connect(start(ProofLevel.DATE_AND_AMOUNT))
        ours = voucher()
        alike = voucher(line(Side.DEBIT, TRAVEL, 123_457), line(Side.CREDIT, BANK, 123_457))
        other = voucher(line(Side.DEBIT, "1001", 123_457), line(Side.CREDIT, BANK, 123_457))
        post(books.gateway, ours, alike, other)

        found = books.gateway.find([alike, other, ours])

        assert {key: len(there) for key, there in found.items()} == {ours.key: 1, alike.key: 2, other.key: 2}
        assert {each.reference for there in found.values() for each in there} == {""}

    @pytest.mark.parametrize("level", [ProofLevel.SEARCHABLE_REFERENCE, ProofLevel.DATE_AND_AMOUNT])
    def test_a_search_may_lag_behind(self, start: Start, level: ProofLevel) -> None:
        books = connect(start(level))
        ours = voucher()

        with books.faults(lag_s=3600):
            (result,) = books.gateway.post([ours])
            found = books.gateway.find([ours])
            numbers = books.gateway.numbers([result.ledger_id])

        assert not found
        assert numbers == {result.ledger_id: result.number}
        assert only(books.gateway, ours).ledger_id == result.ledger_id


class TestBatches:
    """A bad voucher in a batch, with books that are more or less helpful."""

    @pytest.mark.parametrize(
        ("batch", "outcomes", "named"),
        [
            ("each", ["created", "rejected", "created"], True),
            ("whole_named", ["rejected"] * 3, True),
            ("whole_silent", ["rejected"] * 3, False),
        ],
    )
    def test_only_what_is_created_is_there(
        self, start: Start, batch: str, outcomes: list[str], named: bool
    ) -> None:
        books = connect(start(ProofLevel.SEARCHABLE_REFERENCE, batch=batch))
        books.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
        bad = voucher(line(Side.DEBIT, UNKNOWN, 1), line(Side.CREDIT, BANK, 1))
        ours = [voucher(), bad, voucher()]

        results = books.gateway.post(ours)

        assert [str(result.outcome) for result in results] == outcomes
        assert (UNKNOWN in results[1].message) == named
        assert set(books.gateway.find(ours)) == {r.key for r in results if r.outcome == "created"}
        assert UNKNOWN in books.gateway.post([bad])[0].message

    def test_a_batch_that_the_server_thinks_too_large_is_a_setting(self, start: Start) -> None:
        books = connect(start(ProofLevel.NATIVE_KEY, max_batch=2))
        books.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
        ours = [voucher() for _ in range(3)]

        with pytest.raises(FixConfig, match="2"):
            books.gateway.post(ours)

        assert not books.gateway.find(ours)

    def test_a_body_that_is_too_large_is_a_setting(self, start: Start) -> None:
        books = connect(start(ProofLevel.NATIVE_KEY, max_body=2000))
        ours = [voucher() for _ in range(10)]

        with pytest.raises(FixConfig, match="请求太大"):
            books.gateway.post(ours)

        assert not books.gateway.find(ours)


class TestTheRateLimit:
    """What a call beyond the ceiling is told, and that it was not made."""

    @pytest.mark.parametrize(("refusal", "says_when"), [("429", True), ("429_bare", False), ("lock", False)])
    def test_a_call_beyond_the_ceiling_was_not_made(
        self, start: Start, refusal: str, says_when: bool
    ) -> None:
        server = start(ProofLevel.NATIVE_KEY, calls_per_s=0.01, burst=2, refusal=refusal)
        gateway = connect(server).gateway
        gateway.periods()
        gateway.periods()

        with pytest.raises(RetryLater) as error:
            gateway.post([voucher()])

        assert (error.value.retry_after_s is not None) == says_when
        assert not server.export()["voucher"]


class TestTheConnection:
    """What is wrong with it is said, and its password never is."""

    @pytest.mark.parametrize(
        ("gateway", "currency", "said"),
        [(NativeKeyGateway, "EUR", "CNY"), (ReferenceGateway, "CNY", "native_key")],
    )
    def test_books_of_another_kind_are_told(
        self, start: Start, gateway: Any, currency: str, said: str
    ) -> None:
        client = LedgerClient(start(ProofLevel.NATIVE_KEY).endpoint())

        with pytest.raises(FixConfig, match=said):
            gateway(client, currency=currency).check()

    def test_a_wrong_password_is_told_without_it(self, start: Start) -> None:
        right = start(ProofLevel.NATIVE_KEY).endpoint()
        client = LedgerClient(type(right)(right.name, right.url, right.login, "wrong-secret-7"))

        with pytest.raises(VoucherflowError, match=right.name) as error:
            NativeKeyGateway(client, currency="CNY").check()

        assert isinstance(error.value, FixConfig)
        assert "wrong-secret-7" not in str(error.value)
