"""The contract on a real Tryton, and what only Tryton promises."""

from __future__ import annotations

import multiprocessing
import socket
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from include.adapters.ledger.tryton import TrytonGateway
from include.adapters.ledger.tryton.client import TrytonClient
from include.adapters.ledger.tryton.mapping import MAX_EXACT_MINOR
from include.conformance.ledger.tryton import (
    ACCOUNTANT,
    ACCOUNTANT_PASSWORD,
    COMPANY,
    GATEWAY_PASSWORD,
    RunningTryton,
    TrytonBooks,
    books_of,
    serving,
)
from include.conformance.ledger_suite import LedgerSuite
from include.conformance.ledger_words import (
    BANK,
    claim,
    only,
    post,
    red,
    voucher,
)
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater
from include.domain.period import FiscalPeriod
from include.domain.voucher import LedgerVoucherState, PostingOutcome
from include.embedded.tryton import LedgerReport, LedgerSetupError, init_ledger, serve_ledger
from include.embedded.tryton.access import ADMIN_LOGIN


@pytest.fixture(scope="session")
def tryton(new_ledger: Callable[[], Path]) -> Iterator[RunningTryton]:
    """One Tryton for the session; tests keep apart by their keys."""
    with serving(new_ledger()) as running:
        yield running


@pytest.fixture
def books(tryton: RunningTryton) -> TrytonBooks:
    return books_of(tryton)


class TestTryton(LedgerSuite):
    """The contract, on Tryton."""


class TestWhenAnswersAreLost:
    """Each step of a posting, broken: looking by key tells what happened, and completing posts it once."""

    @pytest.mark.parametrize(
        ("kind", "method", "state"),
        [
            ("lost", "move.create", LedgerVoucherState.DRAFT),
            ("unreachable", "move.post", LedgerVoucherState.DRAFT),
            ("lost", "move.post", LedgerVoucherState.POSTED),
        ],
    )
    def test_the_key_tells_what_is_there(
        self, books: TrytonBooks, kind: str, method: str, state: LedgerVoucherState
    ) -> None:
        ours = voucher()

        with books.fault(kind, method), pytest.raises(OutcomeUnknown):
            books.gateway.post([ours])

        assert only(books.gateway, ours).state is state
        books.gateway.complete([only(books.gateway, ours)])
        assert only(books.gateway, ours).state is LedgerVoucherState.POSTED

    def test_nothing_is_there_when_the_ledger_was_out_of_reach(self, books: TrytonBooks) -> None:
        ours = voucher()

        with books.fault("unreachable", "move.create"), pytest.raises(RetryLater):
            books.gateway.post([ours])

        assert not books.gateway.find([ours])

    def test_a_posted_voucher_is_created_even_if_its_number_cannot_be_read(self, books: TrytonBooks) -> None:
        ours = voucher()

        with books.fault("unreachable", "move.search_read"):
            (result,) = books.gateway.post([ours])

        assert (result.outcome, result.number) == (PostingOutcome.CREATED, "")
        assert books.gateway.read([result.ledger_id])[0].number

    def test_a_session_that_ended_is_renewed(self, books: TrytonBooks) -> None:
        books.client._session._header = "Session " + b64encode(b"voucherflow:2:expired").decode()

        assert post(books.gateway, voucher()) == [PostingOutcome.CREATED]


class TestWhatTrytonItselfGuards:
    """Rules that hold even where the gateway does not know better."""

    def test_a_batch_that_tryton_refuses_leaves_nothing(self, books: TrytonBooks) -> None:
        period = FiscalPeriod(2025, 11)
        inside, outside = voucher(day=period.first_day), voucher()
        books.gateway.periods()
        books.close(period)
        try:
            results = books.gateway.post([inside, outside])
        finally:
            books.reopen(period)

        assert [result.outcome for result in results] == [PostingOutcome.REJECTED] * 2
        assert all("账务系统拒绝" in result.message for result in results), results
        assert not books.gateway.find([inside, outside])

    def test_an_unbalanced_move_cannot_be_posted(self, books: TrytonBooks) -> None:
        references = books.gateway._known()
        found = references.periods[0]
        half = {"account": references.account_ids[BANK], "debit": Decimal("0.01"), "credit": Decimal(0)}
        move = {
            "company": references.company,
            "journal": references.journals["记"],
            "period": found.id,
            "date": found.period.first_day,
            "lines": [("create", [half])],
        }
        context = {"company": 1}
        ids = books.client.call("model.account.move.create", [move], context, writes=True)

        with pytest.raises(OutcomeUnknown, match="does not balance"):
            books.client.call("model.account.move.post", ids, context, writes=True)

        assert books.gateway.read([str(ids[0])])[0].state is LedgerVoucherState.DRAFT
        books.client.call("model.account.move.delete", ids, context, writes=True)

    @pytest.mark.parametrize(
        ("method", "arguments"),
        [
            ("account.move.write", ({"description": "x"},)),
            ("account.move.delete", ()),
        ],
    )
    def test_what_is_posted_stays_as_it_is(
        self, books: TrytonBooks, method: str, arguments: tuple[Any, ...]
    ) -> None:
        ours = voucher()
        post(books.gateway, ours)
        there = only(books.gateway, ours)

        with pytest.raises((FixData, FixConfig)):
            books.client.call(
                f"model.{method}", [int(there.ledger_id)], *arguments, {"company": 1}, writes=True
            )

        assert only(books.gateway, ours) == there

    @pytest.mark.parametrize(
        ("method", "arguments"),
        [
            ("account.period.close", ([1],)),
            ("account.account.write", ([1], {"name": "x"})),
            ("account.fiscalyear.create", ([{"name": "2031"}],)),
            ("res.user.create", ([{"name": "x", "login": "x"}],)),
        ],
    )
    def test_the_gateways_user_may_not_change_the_books_themselves(
        self, books: TrytonBooks, method: str, arguments: tuple[Any, ...]
    ) -> None:
        with pytest.raises(FixConfig, match="right"):
            books.client.call(f"model.{method}", *arguments, {"company": 1}, writes=True)

    def test_fourteen_digits_are_exact_and_fifteen_are_refused(self, books: TrytonBooks) -> None:
        largest, too_large = (
            voucher(*claim(minor=MAX_EXACT_MINOR)),
            voucher(*claim(minor=MAX_EXACT_MINOR + 1)),
        )

        results = books.gateway.post([largest, too_large])

        assert [r.outcome for r in results] == [PostingOutcome.CREATED, PostingOutcome.REJECTED]
        assert max(x.amount.minor for x in only(books.gateway, largest).lines) == MAX_EXACT_MINOR
        books.gateway.post([red(largest)])

    def test_numbers_start_at_one_in_every_period_and_leave_no_gap(self, books: TrytonBooks) -> None:
        period = FiscalPeriod(2026, 11)
        ours = [voucher(day=period.first_day) for _ in range(3)]
        post(books.gateway, *ours)

        assert [only(books.gateway, each).number for each in ours] == ["记-1", "记-2", "记-3"]


class TestTheConnection:
    """What is wrong with it is said, and its password never is."""

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"password": "wrong-secret-7"}, FixConfig),
            ({"url": "http://127.0.0.1:9/ledger"}, RetryLater),
        ],
    )
    def test_errors_name_no_secret(
        self, tryton: RunningTryton, change: dict[str, str], error: type[Exception]
    ) -> None:
        endpoint = replace(tryton.endpoint, **change)
        client = TrytonClient(endpoint, connect_timeout_s=5, read_timeout_s=60)

        with pytest.raises(error) as raised:
            TrytonGateway(client, currency="CNY").check()

        assert endpoint.password not in str(raised.value) + repr(raised.value) + repr(endpoint)
        assert "tryton_test" in str(raised.value)

    def test_a_database_that_is_not_there(self, tryton: RunningTryton) -> None:
        endpoint = replace(tryton.endpoint, url=tryton.url.replace("/ledger", "/other"))

        with pytest.raises(FixConfig, match="database"):
            TrytonGateway(
                TrytonClient(endpoint, connect_timeout_s=5, read_timeout_s=60), currency="CNY"
            ).check()

    @pytest.mark.parametrize("options", [{"currency": "EUR"}, {"currency": "CNY", "company": "别的公司"}])
    def test_another_company_or_currency_than_the_books(
        self, tryton: RunningTryton, options: dict[str, str]
    ) -> None:
        with pytest.raises(FixConfig, match=COMPANY[:4]):
            TrytonGateway(tryton.client(), **options).check()  # type: ignore[arg-type]


class TestAnIndependentClient:
    """Tryton's own client, proteus, with another user, sees what we posted and nothing else."""

    def test_proteus_counts_the_same_vouchers_and_totals(self, books: TrytonBooks) -> None:
        period = FiscalPeriod(2026, 6)
        ours = [voucher(day=period.last_day) for _ in range(4)]
        assert post(books.gateway, *ours) == [PostingOutcome.CREATED] * 4

        seen = _as_accountant(books.tryton, _count_moves, period.code)

        total = Decimal(sum(each.total.minor for each in ours)) / 100
        assert seen == {
            "keys": sorted(str(each.key) for each in ours),
            "states": {"posted"},
            "debit": total,
            "credit": total,
            "parties": {"employee:0001"},
            "analytic": {"D01", "P01"},
        }


def _as_accountant(tryton: RunningTryton, work: Any, *arguments: Any) -> Any:
    """Run `work` in a process of its own, since proteus keeps its connection in a module global."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, f"{tryton.url}/rpc/", *arguments).result()


def _count_moves(url: str, period: str) -> dict[str, Any]:
    from proteus import Model, config

    with config.set_xmlrpc_session(url, ACCOUNTANT, ACCOUNTANT_PASSWORD):
        moves = Model.get("account.move").find([("period.name", "=", period)])
        lines = Model.get("account.move.line").find([("move.period.name", "=", period)])
        return {
            "keys": sorted(move.description for move in moves),
            "states": {move.state for move in moves},
            "debit": sum(line.debit for line in lines),
            "credit": sum(line.credit for line in lines),
            "parties": {line.party.code for line in lines if line.party},
            "analytic": {entry.account.code for line in lines for entry in line.analytic_lines},
        }


class TestSetUp:
    """`init_ledger` once more, on the ledger that is being served."""

    def test_a_second_run_adds_only_what_is_missing(self, tryton: RunningTryton) -> None:
        report = _in_process(years=(2024, 2026), database=tryton.database)

        assert report.created == ("会计年度 fiscal years: 2024",)
        assert any("2026" in what for what in report.existing)
        gateway = TrytonGateway(tryton.client(), currency="CNY")
        assert gateway.periods()[0].code == "2024-01"

    @pytest.mark.parametrize("password", ["", "admin"])
    def test_the_administrator_exists_and_cannot_log_in(self, tryton: RunningTryton, password: str) -> None:
        users = tryton.accountant().call(
            "model.res.user.search", [("login", "=", ADMIN_LOGIN)], 0, None, None, {}, writes=False
        )
        assert len(users) == 1
        with pytest.raises(FixConfig):
            tryton.client(ADMIN_LOGIN, password).call(
                "model.res.user.search", [], 0, 1, None, {}, writes=False
            )

    @pytest.mark.parametrize("change", [{"company_name": "别的公司"}, {"currency": "EUR"}])
    def test_another_company_is_refused(self, tryton: RunningTryton, change: dict[str, str]) -> None:
        with pytest.raises(LedgerSetupError, match=COMPANY[:4]):
            _in_process(database=tryton.database, **change)

    def test_a_port_that_is_taken_is_said_in_one_line(self, tryton: RunningTryton) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                served = pool.submit(serve_ledger, tryton.database, port=port)
                with pytest.raises(LedgerSetupError, match=f"127.0.0.1:{port}") as refused:
                    served.result()
        assert "\n" not in str(refused.value)


def _in_process(database: Path, **overrides: Any) -> LedgerReport:
    arguments = {"company_name": COMPANY, "currency": "CNY", "years": (2026,), "password": GATEWAY_PASSWORD}
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(init_ledger, database, **(arguments | overrides)).result()  # type: ignore[arg-type]
