"""The conformance suite of ledgers: what every `LedgerGateway` must do, whatever accounting system is behind it.

The runner, or a subclass in the tests, gives a fixture `books`: a ledger in CNY with the accounts of `ledger_words` and
periods for two years, and hands in it. Where a vendor gives no way to do what a case needs, the hand says so with
`unsupported` and the vendor's reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from uuid import uuid4

import pytest

from include.conformance.ledger_trouble import TroubleCases
from include.conformance.ledger_words import (
    ADJUSTED,
    BANK,
    CLOSED,
    DAY,
    DEPARTMENT,
    EMPLOYEE,
    EMPLOYEE_PAYABLE,
    GROUP,
    NAMES,
    PROJECT,
    SAMPLE,
    SUPPLIER_PAYABLE,
    TRAVEL,
    UNKNOWN,
    YEAR,
    LedgerUnderTest,
    claim,
    cny,
    copies,
    is_copy,
    keeps_keys,
    line,
    listed,
    only,
    post,
    red,
    voucher,
)
from include.domain.account import AuxiliaryDimension
from include.domain.errors import FixData, RetryLater
from include.domain.money import Money
from include.domain.period import FiscalPeriod, PeriodState
from include.domain.voucher import (
    JournalLine,
    LedgerVoucherState,
    PostingOutcome,
    Side,
    content_digest,
)


class LedgerSuite(TroubleCases):
    """Inherit it, give the fixture `books`, and the gateway is tested."""

    def test_a_check_is_a_sentence_for_people(self, books: LedgerUnderTest) -> None:
        assert len(books.gateway.check()) > 5

    def test_the_chart_tells_leaves_from_groups_and_who_needs_a_party(self, books: LedgerUnderTest) -> None:
        accounts = books.gateway.chart().accounts

        assert (accounts[TRAVEL].name, accounts[TRAVEL].is_leaf, accounts[TRAVEL].is_active) == (
            SAMPLE.expense_name,
            True,
            True,
        )
        assert not accounts[GROUP].is_leaf
        assert accounts[EMPLOYEE_PAYABLE].required_dimensions == books.party
        assert accounts[TRAVEL].required_dimensions == frozenset()
        assert UNKNOWN not in accounts

    def test_periods_come_oldest_first_and_hold_their_days(self, books: LedgerUnderTest) -> None:
        periods = books.gateway.periods()

        assert [p.first_day for p in periods] == sorted(p.first_day for p in periods)
        assert {f"{YEAR - 1}-01", f"{YEAR}-12"} <= {p.code for p in periods}
        found = books.gateway.period_of(DAY)
        assert found is not None
        period = FiscalPeriod.of(DAY)
        assert (found.code, found.last_day, found.state) == (period.code, period.last_day, PeriodState.OPEN)
        assert books.gateway.period_of(date(9999, 1, 1)) is None

    def test_a_posted_voucher_is_found_by_its_key(self, books: LedgerUnderTest) -> None:
        ours = voucher()
        books.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])

        (result,) = books.gateway.post([ours])

        found = only(books.gateway, ours)
        assert (result.key, result.outcome) == (ours.key, PostingOutcome.CREATED)
        assert (found.ledger_id, found.number) == (result.ledger_id, result.number)
        assert found.key == (ours.key if keeps_keys(books.gateway) else None)
        assert (found.state, found.period) == (LedgerVoucherState.POSTED, FiscalPeriod.of(DAY).code)
        assert found.number

    def test_what_was_posted_can_be_read_back(self, books: LedgerUnderTest) -> None:
        ours = voucher()
        post(books.gateway, ours)

        found = only(books.gateway, ours)

        assert found.date == ours.date
        assert content_digest(found.date, found.lines) == content_digest(ours.date, ours.lines)
        assert {each.summary for each in found.lines} == {"报销差旅费"}
        assert books.gateway.numbers([found.ledger_id, "999999999", "no-such-id"]) == {
            found.ledger_id: found.number
        }

    def test_a_key_that_is_not_there_is_not_in_the_answer(self, books: LedgerUnderTest) -> None:
        there, absent = voucher(), voucher()
        post(books.gateway, there)

        assert set(books.gateway.find([absent, there])) == {there.key}

    def test_many_keys_are_looked_up_at_once(self, books: LedgerUnderTest) -> None:
        absent = [voucher() for _ in range(450)]
        there = voucher()
        post(books.gateway, there)

        assert set(books.gateway.find([*absent, there])) == {there.key}

    def test_a_failed_look_up_is_not_a_no(self, books: LedgerUnderTest) -> None:
        with books.unreadable(), pytest.raises(RetryLater):
            books.gateway.find([voucher()])

    @pytest.mark.parametrize(
        ("lines", "said"),
        [
            pytest.param(
                (line(Side.DEBIT, GROUP, 100), line(Side.CREDIT, BANK, 100)),
                GROUP,
                id="an account that is no leaf",
            ),
            pytest.param(
                (line(Side.DEBIT, UNKNOWN, 100), line(Side.CREDIT, BANK, 100)),
                UNKNOWN,
                id="an unknown account",
            ),
            pytest.param(
                (line(Side.DEBIT, TRAVEL, 100), line(Side.CREDIT, EMPLOYEE_PAYABLE, 100)),
                EMPLOYEE_PAYABLE,
                id="no party where one is required",
            ),
        ],
    )
    def test_bad_lines_are_rejected_with_the_reason(
        self, books: LedgerUnderTest, lines: Sequence[JournalLine], said: str
    ) -> None:
        ours = voucher(*lines)

        (result,) = books.gateway.post([ours])

        assert result.outcome is PostingOutcome.REJECTED
        assert said in result.message
        assert not books.gateway.find([ours])

    def test_a_period_that_does_not_exist_is_rejected(self, books: LedgerUnderTest) -> None:
        ours = voucher(day=date(YEAR + 5, 1, 31))

        assert post(books.gateway, ours) == [PostingOutcome.REJECTED]
        assert not books.gateway.find([ours])

    def test_a_closed_period_is_rejected_until_it_is_open_again(self, books: LedgerUnderTest) -> None:
        ours = voucher(day=CLOSED.last_day)
        books.close(CLOSED)
        try:
            assert post(books.gateway, ours) == [PostingOutcome.REJECTED]
            assert not books.gateway.find([ours])
            states = {p.code: p.state for p in books.gateway.periods()}
            assert states[CLOSED.code] is PeriodState.CLOSED
        finally:
            books.reopen(CLOSED)
        assert post(books.gateway, ours) == [PostingOutcome.CREATED]

    def test_an_adjustment_period_never_takes_a_voucher_of_ours(self, books: LedgerUnderTest) -> None:
        day = ADJUSTED.last_day
        books.adjust(ADJUSTED)
        normal, adjustment = sorted(
            (p for p in books.gateway.periods() if p.first_day <= day <= p.last_day),
            key=lambda p: p.is_adjustment,
        )
        assert (normal.code, normal.is_adjustment, adjustment.is_adjustment) == (ADJUSTED.code, False, True)
        assert adjustment.state is PeriodState.OPEN
        assert books.gateway.period_of(day) == normal

        before, after = voucher(day=day), voucher(day=day)
        assert post(books.gateway, before) == [PostingOutcome.CREATED]
        assert only(books.gateway, before).period == ADJUSTED.code
        assert only(books.gateway, before) in listed(books.gateway, ADJUSTED)
        books.close(ADJUSTED)
        try:
            assert post(books.gateway, after) == [PostingOutcome.REJECTED]
        finally:
            books.reopen(ADJUSTED)

    @pytest.mark.parametrize("foreign", [Money(1_234, "JPY"), Money(18_050, "USD"), Money(12_345, "KWD")])
    @pytest.mark.parametrize("sign", [1, -1])
    def test_foreign_amounts_keep_their_sign_and_decimals(
        self, books: LedgerUnderTest, foreign: Money, sign: int
    ) -> None:
        amount = Money(sign * foreign.minor, foreign.currency)
        ours = voucher(
            line(Side.DEBIT, TRAVEL, sign * 130_000, DEPARTMENT, foreign=amount),
            line(Side.CREDIT, EMPLOYEE_PAYABLE, sign * 130_000, EMPLOYEE, foreign=amount),
        )
        post(books.gateway, ours)

        found = only(books.gateway, ours)

        assert {(x.side, x.amount, x.transaction) for x in found.lines} == {
            (Side.DEBIT, cny(sign * 130_000), amount),
            (Side.CREDIT, cny(sign * 130_000), amount),
        }

    def test_a_red_letter_copy_nets_to_zero_on_its_own_side(self, books: LedgerUnderTest) -> None:
        ours = voucher()
        reversal = red(ours)

        assert post(books.gateway, ours, reversal) == [PostingOutcome.CREATED] * 2

        totals: dict[object, int] = defaultdict(int)
        for found in (only(books.gateway, ours), only(books.gateway, reversal)):
            for each in found.lines:
                totals[each.account, each.side, each.dimensions] += each.amount.minor
        assert set(totals.values()) == {0}
        assert len(totals) == 3

    def test_the_trial_balance_ties_to_the_listed_lines(self, books: LedgerUnderTest) -> None:
        ours = voucher()
        post(books.gateway, ours, red(ours), voucher(), voucher())

        totals: dict[tuple[str, Side], int] = defaultdict(int)
        for found in listed(books.gateway, FiscalPeriod.of(DAY)):
            if found.state is not LedgerVoucherState.DRAFT:
                for each in found.lines:
                    totals[each.account, each.side] += each.amount.minor

        balances = books.gateway.trial_balance(FiscalPeriod.of(DAY))
        assert balances
        for balance in balances:
            assert (balance.debit_minor, balance.credit_minor) == (
                totals.pop((balance.account, Side.DEBIT), 0),
                totals.pop((balance.account, Side.CREDIT), 0),
            )
        assert set(totals.values()) <= {0}

    def test_a_period_is_listed_whole_page_by_page(self, books: LedgerUnderTest) -> None:
        period = FiscalPeriod(YEAR, 7)
        before = len(listed(books.gateway, period))
        ours = [voucher(day=period.last_day) for _ in range(7)]
        other = voucher(day=date(YEAR, 8, 1))
        post(books.gateway, *ours, other)

        pages = list(books.gateway.vouchers(period))

        found = [each for page in pages for each in page]
        assert len(pages) >= books.least_pages
        assert len(found) == len({each.ledger_id for each in found}) == before + 7
        assert [sum(is_copy(books.gateway, each, one) for each in found) for one in ours] == [1] * 7
        assert not any(is_copy(books.gateway, each, other) for each in found)
        assert not listed(books.gateway, FiscalPeriod(YEAR + 5, 1))

    def test_a_draft_of_ours_is_found_and_completed(self, books: LedgerUnderTest) -> None:
        ours = voucher()
        books.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
        books.leave_draft(ours)
        draft = only(books.gateway, ours)

        (completed,) = books.gateway.complete([draft])

        assert (draft.state, draft.number) == (LedgerVoucherState.DRAFT, "")
        assert (completed.ledger_id, completed.state) == (draft.ledger_id, LedgerVoucherState.POSTED)
        assert completed.number
        assert only(books.gateway, ours) == completed
        assert list(books.gateway.complete([completed])) == [completed]

    def test_a_draft_of_ours_is_discarded_once_and_for_all(self, books: LedgerUnderTest) -> None:
        ours, other = voucher(), voucher(day=date(YEAR, 5, 18))
        books.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
        books.leave_draft(ours)
        books.leave_draft(other)
        draft = only(books.gateway, ours)

        books.gateway.discard([draft])

        assert not books.gateway.find([ours])
        assert only(books.gateway, other).state is LedgerVoucherState.DRAFT
        books.gateway.discard([draft])
        assert post(books.gateway, ours) == [PostingOutcome.CREATED]

    def test_what_is_posted_is_not_discarded_nor_what_is_asked_for_with_it(
        self, books: LedgerUnderTest
    ) -> None:
        ours, unposted = voucher(), voucher(day=date(YEAR, 5, 19))
        post(books.gateway, ours)
        books.leave_draft(unposted)
        posted, draft = only(books.gateway, ours), only(books.gateway, unposted)

        with pytest.raises(FixData):
            books.gateway.discard([draft, posted])

        assert only(books.gateway, ours) == posted
        assert only(books.gateway, unposted) == draft

    def test_a_draft_is_in_the_list_and_not_in_the_trial_balance(self, books: LedgerUnderTest) -> None:
        period = FiscalPeriod(YEAR, 9)
        ours = voucher(day=period.first_day)
        books.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
        books.leave_draft(ours)

        (draft,) = listed(books.gateway, period)
        assert draft.state is LedgerVoucherState.DRAFT
        assert is_copy(books.gateway, draft, ours)
        assert not books.gateway.trial_balance(period)

    def test_in_a_batch_the_bad_one_is_named_and_only_what_is_created_is_there(
        self, books: LedgerUnderTest
    ) -> None:
        good, bad = voucher(), voucher(line(Side.DEBIT, UNKNOWN, 1), line(Side.CREDIT, BANK, 1))
        books.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])

        results = books.gateway.post([good, bad])

        assert [result.key for result in results] == [good.key, bad.key]
        assert results[1].outcome is PostingOutcome.REJECTED
        there = books.gateway.find([good, bad])
        assert {result.key for result in results if result.outcome is PostingOutcome.CREATED} == set(there)

    def test_a_voucher_cancelled_in_the_ledger_shows_as_reversed(self, books: LedgerUnderTest) -> None:
        ours = voucher()
        post(books.gateway, ours)

        books.cancel(only(books.gateway, ours).ledger_id)

        assert only(books.gateway, ours).state is LedgerVoucherState.REVERSED

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("kind", ["employee", "department"])
    def test_names_may_hold_any_character(self, books: LedgerUnderTest, kind: str, name: str) -> None:
        value = AuxiliaryDimension(kind, f"码-{uuid4().hex[:8]}", name)
        books.make([value])
        ours = voucher(*(claim(value) if kind == "employee" else claim(EMPLOYEE, value)))
        post(books.gateway, ours)

        found = [d for each in only(books.gateway, ours).lines for d in each.dimensions if d == value]

        assert [d.name for d in found] == [name.replace("\n", " ")]

    def test_summaries_may_hold_any_character(self, books: LedgerUnderTest) -> None:
        summary = "报销\t差旅费\r\n「😀」 'x' \"y\" 𠮷"
        ours = voucher(
            line(Side.DEBIT, TRAVEL, 5, summary=summary), line(Side.CREDIT, BANK, 5, summary=summary)
        )

        post(books.gateway, ours)

        whole = " ".join(summary.split())
        (kept,) = {" ".join(each.summary.split()) for each in only(books.gateway, ours).lines}
        assert kept == whole or (whole.startswith(kept) and len(kept) >= 15), "cut at its end at most"

    def test_making_dimensions_twice_changes_nothing(self, books: LedgerUnderTest) -> None:
        value = AuxiliaryDimension("supplier", f"S-{uuid4().hex[:8]}", "供应商")
        books.make([value])

        books.gateway.ensure_dimensions([value, AuxiliaryDimension("supplier", value.code, "改名")])

        ours = voucher(line(Side.DEBIT, SUPPLIER_PAYABLE, 7, value), line(Side.CREDIT, BANK, 7))
        post(books.gateway, ours)
        (kept,) = [d for each in only(books.gateway, ours).lines for d in each.dimensions]
        assert (kept, kept.name) == (value, "供应商")

    def test_an_employee_and_a_supplier_may_share_a_code(self, books: LedgerUnderTest) -> None:
        code = f"same-{uuid4().hex[:8]}"
        employee, supplier = (AuxiliaryDimension(kind, code, kind) for kind in ("employee", "supplier"))
        books.make([employee, supplier])
        ours = voucher(
            line(Side.DEBIT, SUPPLIER_PAYABLE, 9, supplier), line(Side.CREDIT, EMPLOYEE_PAYABLE, 9, employee)
        )

        post(books.gateway, ours)

        assert {d for each in only(books.gateway, ours).lines for d in each.dimensions} == {
            employee,
            supplier,
        }

    def test_values_that_may_not_be_created_are_all_named(self, books: LedgerUnderTest) -> None:
        values = [AuxiliaryDimension(kind, f"X-{uuid4().hex[:8]}") for kind in ("project", "supplier")]

        with pytest.raises(FixData) as refused:
            books.gateway_that_creates_nothing().ensure_dimensions(values)

        assert all(value.code in str(refused.value) for value in values)

    def test_a_dimension_that_the_ledger_does_not_keep_is_left_out(self, books: LedgerUnderTest) -> None:
        odd = AuxiliaryDimension("cost_driver", "C1")
        ours = voucher(*claim(EMPLOYEE, DEPARTMENT, odd))

        assert odd.kind not in books.gateway.dimension_kinds
        assert post(books.gateway, ours) == [PostingOutcome.CREATED]
        found = only(books.gateway, ours)
        kinds = books.gateway.dimension_kinds
        assert content_digest(found.date, found.lines, kinds) == content_digest(ours.date, ours.lines, kinds)

    def test_a_batch_has_its_limit(self, books: LedgerUnderTest) -> None:
        with pytest.raises(ValueError, match="at most"):
            books.gateway.post([voucher() for _ in range(books.gateway.batch_size + 1)])
        assert list(books.gateway.post([])) == []

    @pytest.mark.parametrize("minor", [1, -1, 10, 100, 123_456_789_01])
    def test_amounts_of_every_size_are_kept_to_the_cent(self, books: LedgerUnderTest, minor: int) -> None:
        ours = voucher(line(Side.DEBIT, TRAVEL, minor, DEPARTMENT), line(Side.CREDIT, BANK, minor))
        assert post(books.gateway, ours) == [PostingOutcome.CREATED]

        found = copies(books.gateway, ours)

        assert [{each.amount for each in one.lines} for one in found] == [{cny(minor)}]

    @pytest.mark.parametrize("day", [date(YEAR, 1, 1), date(YEAR, 2, 28), date(YEAR, 12, 31)])
    def test_days_stay_the_same_in_every_time_zone(self, books: LedgerUnderTest, day: date) -> None:
        ours = voucher(day=day)
        post(books.gateway, ours)

        found = only(books.gateway, ours)

        assert (found.date, found.period) == (day, FiscalPeriod.of(day).code)
