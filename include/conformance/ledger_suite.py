"""The conformance suite of ledgers: what every `LedgerGateway` must do, whatever accounting system is behind it.

The runner, or a subclass in the tests, gives a fixture `books`: a ledger in CNY with the accounts below and periods for
2025 and 2026, and hands in it. Where a vendor gives no way to do what a case needs, the hand says so with `unsupported`
and the vendor's reason. Cases share one ledger, so each uses keys, values and amounts of its own: where a
ledger keeps no key, date and total are all it can be asked for, and content tells one voucher from another.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import date
from itertools import count
from typing import Protocol
from uuid import uuid4

import pytest

from include.conformance.sample import chosen
from include.conformance.subject import unsupported
from include.domain.account import AuxiliaryDimension
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater
from include.domain.money import Money
from include.domain.period import FiscalPeriod, PeriodState
from include.domain.voucher import (
    JournalLine,
    LedgerVoucher,
    LedgerVoucherState,
    PostingOutcome,
    Side,
    Voucher,
    VoucherKey,
    content_digest,
)
from include.exchanges import recording
from include.ports import LedgerGateway, ProofLevel

SAMPLE = chosen[-1]
BANK, TRAVEL, INPUT_TAX = SAMPLE.bank, SAMPLE.expense, SAMPLE.input_tax
EMPLOYEE_PAYABLE, SUPPLIER_PAYABLE = SAMPLE.employee_payable, SAMPLE.supplier_payable
GROUP, UNKNOWN = SAMPLE.group, SAMPLE.unknown
DAY, YEAR = SAMPLE.day, SAMPLE.day.year
CLOSED, ADJUSTED = FiscalPeriod(YEAR - 1, 12), FiscalPeriod(YEAR - 1, 10)
EMPLOYEE = AuxiliaryDimension("employee", SAMPLE.employee.code, SAMPLE.employee.name)
DEPARTMENT = AuxiliaryDimension("department", SAMPLE.department.code, SAMPLE.department.name)
PROJECT = AuxiliaryDimension("project", SAMPLE.project.code, SAMPLE.project.name)
NAMES = ('O\'Neil "老王" 😀', "𠮷野家 & <公司>; -- \\ %", "Ünïcödé", "两\n行")

_documents = count(1)
_amounts = count(10_000)


class LedgerUnderTest(Protocol):
    """A gateway, and hands in the ledger behind it."""

    @property
    def gateway(self) -> LedgerGateway:
        """It lists few vouchers a page. Employees, suppliers, departments and projects that a case asks for can be made:
        by itself, or by somebody beside it.
        """
        ...

    @property
    def secrets(self) -> Sequence[str]:
        """What nobody may ever read in a log or a message: passwords, keys, tokens."""
        ...

    @property
    def party(self) -> frozenset[str]:
        """What the ledger calls the dimension that `EMPLOYEE_PAYABLE` requires: `party`, or a kind where it is that exact."""
        ...

    @property
    def least_pages(self) -> int:
        """How many pages seven vouchers come in, at least: 2 where its pages are made small."""
        ...

    def make(self, values: Sequence[AuxiliaryDimension]) -> None:
        """Dimension values exist from now on, whoever makes them."""
        ...

    def close(self, period: FiscalPeriod) -> None: ...

    def reopen(self, period: FiscalPeriod) -> None: ...

    def adjust(self, period: FiscalPeriod) -> None:
        """Somebody sets up an open adjustment period over the last day of a month."""
        ...

    def leave_draft(self, voucher: Voucher) -> None:
        """As a crash leaves it between creating and posting."""
        ...

    def cancel(self, ledger_id: str) -> None:
        """Somebody cancels a voucher in the ledger's own program."""
        ...

    def unreadable(self) -> AbstractContextManager[None]:
        """The ledger does not answer reads."""
        ...

    def gateway_that_creates_nothing(self) -> LedgerGateway: ...

    def with_wrong_secret(self) -> LedgerGateway:
        """The same gateway with a secret that the ledger does not know."""
        ...

    def lose_answers(self) -> AbstractContextManager[None]:
        """Calls that create are carried out, and their answers are lost."""
        ...

    def lose_requests(self) -> AbstractContextManager[None]:
        """Calls that create are lost before the ledger has seen them."""
        ...

    def break_answers(self) -> AbstractContextManager[None]:
        """Calls that create are carried out, and half of their answers arrives."""
        ...

    def refuse_calls(self) -> AbstractContextManager[None]:
        """Calls that create are refused for coming too fast, as the vendor refuses them; a few of them, then no more."""
        ...

    def expire_sessions(self) -> None:
        """No session or token that was given out so far is good any more."""
        ...


def cny(minor: int) -> Money:
    return Money(minor, "CNY")


def line(
    side: Side,
    account: str,
    minor: int,
    *dimensions: AuxiliaryDimension,
    foreign: Money | None = None,
    summary: str = "报销差旅费",
) -> JournalLine:
    return JournalLine(next(_documents), side, account, cny(minor), summary, dimensions, foreign)


def voucher(
    *lines: JournalLine, day: date = DAY, event: str = "expense_claim", document: str = ""
) -> Voucher:
    """The lines, or a claim of an amount that no other has, under a key that no other test uses."""
    key = VoucherKey("acme", "hesi", document or f"doc-{uuid4().hex[:12]}", event, 1)
    return Voucher(key, "记", day, lines or claim(minor=next(_amounts)))


def claim(
    employee: AuxiliaryDimension = EMPLOYEE, *expense: AuxiliaryDimension, minor: int = 10_000
) -> tuple[JournalLine, ...]:
    return (
        line(Side.DEBIT, TRAVEL, minor - 600, *(expense or (DEPARTMENT, PROJECT))),
        line(Side.DEBIT, INPUT_TAX, 600),
        line(Side.CREDIT, EMPLOYEE_PAYABLE, minor, employee),
    )


def red(original: Voucher) -> Voucher:
    lines = tuple(
        JournalLine(
            each.line_no,
            each.side,
            each.account,
            -each.amount,
            f"冲销 {original.key}",
            each.dimensions,
            -each.transaction if each.transaction else None,
        )
        for each in original.lines
    )
    key = original.key
    return Voucher(
        VoucherKey(key.book, key.source, key.document_id, f"{key.event}.reversal", key.revision),
        "记",
        DAY,
        lines,
    )


def post(gateway: LedgerGateway, *vouchers: Voucher) -> list[PostingOutcome]:
    gateway.ensure_dimensions(
        sorted({d for each in vouchers for item in each.lines for d in item.dimensions})
    )
    return [result.outcome for result in gateway.post(vouchers)]


def keeps_keys(gateway: LedgerGateway) -> bool:
    return gateway.proof_level is not ProofLevel.DATE_AND_AMOUNT


def is_copy(gateway: LedgerGateway, found: LedgerVoucher, ours: Voucher) -> bool:
    """Whether a voucher in the ledger is ours: by its key, or by its content where no key is kept."""
    if keeps_keys(gateway):
        return found.key == ours.key
    kinds = gateway.dimension_kinds
    return content_digest(found.date, found.lines, kinds) == content_digest(ours.date, ours.lines, kinds)


def only(gateway: LedgerGateway, ours: Voucher) -> LedgerVoucher:
    """The one copy of our voucher; where no key is kept, others of its date and total may come with it."""
    there = gateway.find([ours])[ours.key]
    (found,) = there if keeps_keys(gateway) else [each for each in there if is_copy(gateway, each, ours)]
    return found


def listed(gateway: LedgerGateway, period: FiscalPeriod) -> list[LedgerVoucher]:
    return [found for page in gateway.vouchers(period) for found in page]


def copies(gateway: LedgerGateway, ours: Voucher) -> list[LedgerVoucher]:
    """All that the ledger has of our voucher."""
    return [each for each in gateway.find([ours]).get(ours.key, ()) if is_copy(gateway, each, ours)]


class LedgerSuite:
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

    def test_a_lost_answer_is_unknown_and_the_voucher_is_there_once(self, books: LedgerUnderTest) -> None:
        """Exactly once at the ledger's proof level: look, and send again only what is proved absent."""
        ours = voucher()
        books.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])

        with books.lose_answers(), pytest.raises(OutcomeUnknown):
            books.gateway.post([ours])

        there = copies(books.gateway, ours)
        assert len(there) == 1
        (completed,) = books.gateway.complete(there)
        assert completed.state is LedgerVoucherState.POSTED
        assert copies(books.gateway, ours) == [completed]

    def test_a_lost_request_leaves_nothing_and_may_be_sent_again(self, books: LedgerUnderTest) -> None:
        ours = voucher()
        books.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])

        with books.lose_requests(), pytest.raises((OutcomeUnknown, RetryLater)):
            books.gateway.post([ours])

        assert not copies(books.gateway, ours)
        assert post(books.gateway, ours) == [PostingOutcome.CREATED]
        assert len(copies(books.gateway, ours)) == 1

    def test_half_an_answer_is_no_answer(self, books: LedgerUnderTest) -> None:
        ours = voucher()
        books.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])

        with books.break_answers(), pytest.raises(OutcomeUnknown):
            books.gateway.post([ours])

        assert len(copies(books.gateway, ours)) == 1

    def test_the_same_key_is_never_two_vouchers(self, books: LedgerUnderTest) -> None:
        if books.gateway.proof_level is not ProofLevel.NATIVE_KEY:
            unsupported(
                "会计系统不检查我方键，发送前由我方查询 / the ledger checks no keys of ours: we look before we send"
            )
        ours, other = voucher(), voucher()
        changed = Voucher(ours.key, other.word, other.date, other.lines)
        post(books.gateway, ours)

        assert post(books.gateway, ours) == [PostingOutcome.EXISTS]
        (outcome,) = post(books.gateway, changed)
        assert outcome in {PostingOutcome.EXISTS, PostingOutcome.CONFLICT}

        found = only(books.gateway, ours)
        assert content_digest(found.date, found.lines) == content_digest(ours.date, ours.lines)

    def test_a_session_that_ends_under_way_is_taken_up_again(self, books: LedgerUnderTest) -> None:
        ours = voucher()
        books.expire_sessions()
        books.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])
        books.expire_sessions()
        assert post(books.gateway, ours) == [PostingOutcome.CREATED]
        books.expire_sessions()

        assert len(copies(books.gateway, ours)) == 1

    def test_calls_refused_for_their_speed_do_nothing(self, books: LedgerUnderTest) -> None:
        ours = voucher()
        books.gateway.ensure_dimensions([EMPLOYEE, DEPARTMENT, PROJECT])

        with books.refuse_calls():
            try:
                done = post(books.gateway, ours)
            except RetryLater:
                assert not copies(books.gateway, ours)
                done = post(books.gateway, ours)

        assert done == [PostingOutcome.CREATED]
        assert len(copies(books.gateway, ours)) == 1

    def test_a_wrong_secret_is_a_matter_of_configuration(self, books: LedgerUnderTest) -> None:
        with pytest.raises(FixConfig) as refused:
            books.with_wrong_secret().check()
        assert not [secret for secret in books.secrets if secret in str(refused.value)]

    def test_secrets_are_never_logged_nor_kept(
        self, books: LedgerUnderTest, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        ours = voucher()
        books.expire_sessions()
        with recording() as exchanges:
            said = [books.gateway.check()]
            post(books.gateway, ours)
            with books.unreadable(), pytest.raises(RetryLater) as failed:
                books.gateway.find([ours])
            with pytest.raises(FixConfig) as refused:
                books.with_wrong_secret().check()
        said += [str(failed.value), str(refused.value), repr(books.gateway)]
        said += [f"{each.request} {each.response}" for each in exchanges]
        text = "\n".join([caplog.text, *said])
        assert books.secrets
        assert not [number for number, secret in enumerate(books.secrets) if secret in text]
