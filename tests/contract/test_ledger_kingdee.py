"""The contract on an emulated Kingdee site, and what only Kingdee does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from include.adapters.ledger.kingdee import KingdeeGateway
from include.conformance.ledger.kingdee import (
    MINE,
    VARIANTS,
    MindedGateway,
    Site,
    connect,
    contract_chart,
    contract_company,
    endpoint,
    gateway_of,
    options,
    serving,
)
from include.conformance.ledger_suite import LedgerSuite
from include.conformance.ledger_words import (
    ADJUSTED,
    BANK,
    DEPARTMENT,
    EMPLOYEE,
    EMPLOYEE_PAYABLE,
    PROJECT,
    TRAVEL,
    LedgerUnderTest,
    line,
    only,
    post,
    voucher,
)
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater
from include.domain.period import FiscalPeriod
from include.domain.voucher import LedgerVoucherState, PostingOutcome, Side, content_digest
from include.exchanges import recording


@pytest.fixture(scope="module", params=VARIANTS)
def books(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LedgerUnderTest]:
    """A site for each way of keeping our key."""
    with VARIANTS[request.param](tmp_path_factory.mktemp("kingdee")) as ledger:
        yield ledger


class TestKingdee(LedgerSuite):
    """The contract, on Kingdee, with the key in a field and without one."""

    def test_vouchers_of_ours_are_never_marked_for_an_adjustment_period(self, books: LedgerUnderTest) -> None:
        """Kingdee's calendar lists none."""
        ours = voucher(day=ADJUSTED.last_day)

        assert post(books.gateway, ours) == [PostingOutcome.CREATED]

        assert only(books.gateway, ours).period == ADJUSTED.code
        assert not any(period.is_adjustment for period in books.gateway.periods())


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Site]:
    """A site of a test's own, whose switches it may change."""
    with serving(tmp_path, contract_company()) as running:
        yield running


def ready(site: Site, **changes: Any) -> MindedGateway:
    gateway = gateway_of(site, **changes)
    gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
    gateway.chart()
    return gateway


class TestWhenAnswersAreLost:
    """Each step of a posting, broken: the look tells what happened, and completing posts it once."""

    @pytest.mark.parametrize(
        ("kind", "step", "state"),
        [
            ("drop_after", ".BatchSave.", LedgerVoucherState.DRAFT),
            ("truncate", ".BatchSave.", LedgerVoucherState.DRAFT),
            ("drop_before", ".Submit.", LedgerVoucherState.DRAFT),
            ("drop_after", ".Submit.", LedgerVoucherState.DRAFT),
            ("drop_before", ".Audit.", LedgerVoucherState.DRAFT),
            ("drop_after", ".Audit.", LedgerVoucherState.POSTED),
            ("status", ".Audit.", LedgerVoucherState.DRAFT),
        ],
    )
    def test_the_key_tells_what_is_there(
        self, own_site: Site, kind: str, step: str, state: LedgerVoucherState
    ) -> None:
        gateway, ours = ready(own_site), voucher()

        with own_site.fault(kind, step), pytest.raises(OutcomeUnknown):
            gateway.post([ours])

        there = only(gateway, ours)
        assert there.state is state
        (completed,) = gateway.complete([there])
        assert completed.state is LedgerVoucherState.POSTED
        assert [each["status"] for each in own_site.vouchers()] == ["C"]

    @pytest.mark.parametrize("kind", ["drop_before", "status"])
    def test_a_call_that_never_came_through_left_nothing(self, own_site: Site, kind: str) -> None:
        gateway, ours = ready(own_site), voucher()

        with own_site.fault(kind, ".BatchSave."), pytest.raises(OutcomeUnknown):
            gateway.post([ours])

        assert not gateway.find([ours])
        assert post(gateway, ours) == [PostingOutcome.CREATED]

    def test_a_call_that_arrives_late_is_not_saved_twice(self, own_site: Site) -> None:
        """Kingdee takes the first call only after we have looked, and sent it again."""
        gateway, ours = ready(own_site), voucher()
        with own_site.fault("late_commit", ".BatchSave."), pytest.raises(OutcomeUnknown):
            gateway.post([ours])
        assert not gateway.find([ours])
        own_site.admin("release")

        (result,) = gateway.post([ours])

        there = only(gateway, ours)
        assert (result.outcome, result.ledger_id) == (PostingOutcome.EXISTS, there.ledger_id)
        gateway.complete([there])
        assert [each.outcome for each in gateway.post([ours])] == [PostingOutcome.EXISTS]
        assert len(own_site.vouchers()) == 1

    def test_a_repeat_that_is_not_listed_is_in_doubt(self, own_site: Site) -> None:
        """Somebody deleted it in Kingdee, or its queries do not show it yet: nobody can tell."""
        gateway, ours, other = ready(own_site), voucher(), voucher()
        (first,) = gateway.post([ours])
        own_site.admin("delete", voucher=int(first.ledger_id))

        assert [each.outcome for each in gateway.post([ours, other])] == [
            PostingOutcome.UNKNOWN,
            PostingOutcome.CREATED,
        ]

    def test_two_vouchers_that_are_the_same_are_two_where_no_key_is_kept(self, own_site: Site) -> None:
        gateway, first = ready(own_site, key_field=""), voucher()
        second = voucher(*first.lines)

        assert post(gateway, first) == post(gateway, second) == [PostingOutcome.CREATED]

        assert len(own_site.vouchers()) == 2


class TestSessionsAndLimits:
    def test_a_session_that_is_lost_is_signed_for_again(self, own_site: Site) -> None:
        gateway = ready(own_site)

        with own_site.fault("vendor", ".BatchSave.", name="session_lost"):
            assert post(gateway, voucher()) == [PostingOutcome.CREATED]

        assert len(own_site.vouchers()) == 1

    def test_sessions_are_not_thrown_away_in_a_loop(self, own_site: Site) -> None:
        gateway, ours = ready(own_site), voucher()
        with own_site.fault("vendor", ".BatchSave.", name="session_lost", times=9):
            for _ in range(2):
                with pytest.raises(RetryLater, match="session"):
                    gateway.post([ours])
            befallen = own_site.admin("counts", method="GET")["befallen"]["vendor"]
        assert befallen == 3, "twice for the first call, once for the second"
        assert post(gateway, ours) == [PostingOutcome.CREATED]

    def test_a_new_session_that_is_not_active_yet_is_waited_for(self, own_site: Site) -> None:
        own_site.admin("options", session_unready_ms=60_000)
        with pytest.raises(RetryLater) as raised:
            gateway_of(own_site).check()
        assert raised.value.retry_after_s

    @pytest.mark.parametrize("name", ["rate_limit", "conflict"])
    def test_what_kingdee_puts_off_is_sent_again(self, own_site: Site, name: str) -> None:
        gateway = ready(own_site)

        with own_site.fault("vendor", ".BatchSave.", name=name, times=2):
            assert post(gateway, voucher()) == [PostingOutcome.CREATED]

        assert len(own_site.vouchers()) == 1

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"password": "wrong-secret-7"}, "app_id"),
            ({"acct_id": "nobody"}, "acct_id"),
            ({"login": "stranger"}, "user"),
        ],
    )
    def test_wrong_credentials_are_told_and_not_shown(
        self, own_site: Site, change: dict[str, str], said: str
    ) -> None:
        client = connect(own_site, **change)
        with recording() as heard, pytest.raises(FixConfig, match=said) as raised:
            KingdeeGateway(client, currency="CNY", **options()).check()
        shown = str(raised.value) + repr(heard) + repr(endpoint(own_site.url, **change))
        for secret in (change.get("password", MINE.app_secret), MINE.app_id):
            assert secret not in shown

    def test_a_gateway_before_the_site_says_that_the_clock_is_off(self, own_site: Site) -> None:
        own_site.admin("options", gateway=True)
        own_site.admin("clock", advance_ms=86_400_000)
        with pytest.raises(FixConfig, match="clock"):
            gateway_of(own_site).check()


class TestOddSites:
    """Switches that the vendor's documents leave open."""

    @pytest.mark.parametrize(
        "switches",
        [
            {"ids_as_text": True, "success_as_text": True, "amounts_as_text": True},
            {"partial_is_success": True, "bill_number": "word"},
            {"rows": "bill"},
            {"post_on_audit": True},
            {
                "flex": {
                    "supplier": "FF100009",
                    "department": "FFLEX11",
                    "employee": "FFLEX4",
                    "project": "FFLEX5",
                }
            },
        ],
    )
    def test_posting_reading_and_balances_are_the_same(
        self, own_site: Site, switches: dict[str, Any]
    ) -> None:
        own_site.admin("options", **switches)
        gateway = ready(own_site)
        good, bad = (
            voucher(),
            voucher(line(Side.DEBIT, TRAVEL, 5), line(Side.CREDIT, BANK, 5), day=date(2026, 3, 1)),
        )
        # Known when we checked, gone when Kingdee does.
        own_site.admin("account", chart=contract_chart(), code=BANK, enabled=False)

        results = gateway.post([good, bad])

        assert [result.outcome for result in results] == [PostingOutcome.CREATED, PostingOutcome.REJECTED]
        found = only(gateway, good)
        assert content_digest(found.date, found.lines) == content_digest(good.date, good.lines)
        assert found.number == results[0].number
        balances = {each.account: each for each in gateway.trial_balance(FiscalPeriod(2026, 3))}
        assert balances[EMPLOYEE_PAYABLE].credit_minor == good.total.minor

    def test_vouchers_longer_than_a_page_are_read_whole(self, own_site: Site) -> None:
        gateway = ready(own_site, page_size=5)
        long = voucher(
            *(line(Side.DEBIT, TRAVEL, 100 + place, DEPARTMENT) for place in range(17)),
            line(Side.CREDIT, BANK, sum(100 + place for place in range(17))),
        )
        ours = [voucher(), long, voucher(), voucher(*long.lines), voucher()]
        assert post(gateway, *ours) == [PostingOutcome.CREATED] * 5

        listed = [each for page in gateway.vouchers(FiscalPeriod(2026, 3)) for each in page]

        assert [each.key for each in listed] == [each.key for each in ours]
        found = gateway.find(ours)
        for each in ours:
            (copy,) = found[each.key]
            assert content_digest(copy.date, copy.lines) == content_digest(each.date, each.lines)

    def test_an_accountants_word_is_shown_in_numbers(self, own_site: Site) -> None:
        gateway = ready(own_site, words={"记账": "PRE001"})
        ours = replace(voucher(), word="记账")
        (result,) = gateway.post([ours])
        assert result.number == only(gateway, ours).number == "记-1"

    @pytest.mark.parametrize(("finish", "status"), [("save", "A"), ("submit", "B"), ("audit", "C")])
    def test_vouchers_are_brought_as_far_as_the_book_says(
        self, own_site: Site, finish: str, status: str
    ) -> None:
        gateway, ours = ready(own_site, finish=finish), voucher()
        assert post(gateway, ours) == [PostingOutcome.CREATED]
        assert only(gateway, ours).state is LedgerVoucherState.POSTED
        assert [each["status"] for each in own_site.vouchers()] == [status]

    def test_a_reviewer_who_may_not_audit_leaves_it_to_a_person(self, own_site: Site) -> None:
        own_site.admin("options", separate_reviewer=True)
        gateway, ours = ready(own_site), voucher()
        with pytest.raises(OutcomeUnknown, match="制单人"):
            gateway.post([ours])
        with pytest.raises(FixData, match="制单人"):
            gateway.complete([only(gateway, ours)])
        assert only(gateway, ours).state is LedgerVoucherState.DRAFT

    def test_a_draft_that_may_not_be_submitted_is_taken_back(self, own_site: Site) -> None:
        gateway, ours = ready(own_site), voucher()
        with own_site.fault("vendor", ".Submit.", name="permission"), pytest.raises(OutcomeUnknown):
            gateway.post([ours])
        gateway.discard([only(gateway, ours)])
        assert own_site.vouchers() == []
        assert post(gateway, ours) == [PostingOutcome.CREATED]

    def test_hidden_vouchers_have_their_numbers_by_view(self, own_site: Site) -> None:
        gateway, ours = ready(own_site, finish="save", view_hidden=True), voucher()
        (result,) = gateway.post([ours])
        own_site.admin("options", hidden_statuses="A")
        assert gateway.numbers([result.ledger_id, "999"]) == {result.ledger_id: result.number}

    def test_a_key_that_does_not_fit_is_refused_before_it_is_sent(self, own_site: Site) -> None:
        gateway, ours = ready(own_site, key_length=40), voucher(document="d" * 40)
        (result,) = gateway.post([ours])
        assert result.outcome is PostingOutcome.REJECTED
        assert "key_length" in result.message
        assert own_site.vouchers() == []

    def test_a_dimension_that_the_account_would_drop_is_refused(self, own_site: Site) -> None:
        gateway = ready(own_site)
        ours = voucher(line(Side.DEBIT, BANK, 5, DEPARTMENT), line(Side.CREDIT, BANK, 5))
        (result,) = gateway.post([ours])
        assert result.outcome is PostingOutcome.REJECTED
        assert "department" in result.message

    @pytest.mark.parametrize(
        "changes", [{"book": "999"}, {"dimensions": {"project": "没有"}}, {"key_field": "F_NOWHERE"}]
    )
    def test_options_that_do_not_fit_the_site(self, own_site: Site, changes: dict[str, Any]) -> None:
        with pytest.raises(FixConfig):
            gateway_of(own_site, **changes).check()

    def test_what_is_said_is_recorded_without_secrets(self, own_site: Site) -> None:
        gateway, ours = ready(own_site), voucher()
        with recording() as heard:
            gateway.post([ours])
        services = [each.request.split("\n")[0].split(".")[-3] for each in heard]
        assert services == ["BatchSave", "Submit", "Audit"]
        assert str(ours.key) in heard[0].request
        assert MINE.app_secret not in repr(heard)
        assert MINE.app_id not in repr(heard)
