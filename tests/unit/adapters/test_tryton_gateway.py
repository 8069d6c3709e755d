"""The Tryton gateway against a client that plays Tryton's part: the paths that a healthy Tryton does not take."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from include.adapters.ledger.tryton import TrytonGateway, build_ledger
from include.adapters.ledger.tryton.mapping import party_code, party_dimension
from include.connections import Endpoint
from include.domain.account import AuxiliaryDimension
from include.domain.errors import FixConfig, FixData, OutcomeUnknown, RetryLater
from include.domain.money import Money
from include.domain.period import PeriodState
from include.domain.voucher import (
    JournalLine,
    LedgerVoucherState,
    PostingOutcome,
    Side,
    Voucher,
    VoucherKey,
)
from include.settings import Book, Label, Ledger

COMPANY = {"id": 1, "party.": {"name": "示例"}, "currency.": {"code": "CNY"}}
PERIOD = {
    "id": 7,
    "name": "2026-03",
    "type": "standard",
    "start_date": date(2026, 3, 1),
    "end_date": date(2026, 3, 31),
    "state": "open",
}
OPEN = {"fiscalyear.": {"state": "open"}}
ACCOUNT = {"name": "科目", "type": 1, "closed": False, "childs": [], "party_required": False, "active": True}


@dataclass
class PlayedTryton:
    """Answers `search_read` from `tables` and other calls from `answers`; an exception is raised."""

    tables: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {
            "company.company": [COMPANY],
            "account.account": [
                {**ACCOUNT, "id": 11, "code": "6602.10"},
                {**ACCOUNT, "id": 12, "code": "1002"},
                {**ACCOUNT, "id": 13, "code": "6602", "type": None, "childs": [11]},
                {**ACCOUNT, "id": 14, "code": "1901", "closed": True},
                {**ACCOUNT, "id": 15, "code": "2241.03", "party_required": True},
            ],
            "account.period": [{**PERIOD, **OPEN}],
            "account.journal": [{"id": 3, "code": "记"}],
            "currency.currency": [{"id": 1, "code": "CNY"}, {"id": 2, "code": "USD"}],
            "analytic_account.account": [],
            "party.party": [],
            "account.move": [],
        }
    )
    answers: dict[str, Any] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    sent: dict[str, Any] = field(default_factory=dict)

    def call(self, method: str, *params: Any, writes: bool) -> Any:
        model, _, action = method.removeprefix("model.").rpartition(".")
        assert writes is (action != "search_read")
        if action == "search_read":
            return self.tables[model]
        self.calls.append(method)
        self.sent[method] = params[0]
        answer = self.answers.get(method)
        if isinstance(answer, Exception):
            raise answer
        return answer


def gateway(played: PlayedTryton, **options: Any) -> TrytonGateway:
    return TrytonGateway(played, **{"currency": "CNY", "dimensions": (), **options})  # type: ignore[arg-type]


def voucher(
    *lines: JournalLine, day: date = date(2026, 3, 5), word: str = "记", minor: int = 1_230
) -> Voucher:
    default = (
        JournalLine(1, Side.DEBIT, "6602.10", Money(minor, "CNY"), "差旅"),
        JournalLine(2, Side.CREDIT, "1002", Money(minor, "CNY"), "差旅"),
    )
    return Voucher(VoucherKey("acme", "hesi", "D1", "expense_claim", 1), word, day, lines or default)


CREATE, POST, DELETE = "model.account.move.create", "model.account.move.post", "model.account.move.delete"
REFUSAL = FixData("账务系统拒绝：closed / the ledger refuses: closed")


def test_a_move_is_what_tryton_expects() -> None:
    played = PlayedTryton(answers={CREATE: [101]})

    gateway(played).post(
        [
            voucher(
                JournalLine(1, Side.DEBIT, "6602.10", Money(-700, "CNY"), "红", (), Money(-100, "USD")),
                JournalLine(2, Side.CREDIT, "1002", Money(-700, "CNY"), "红", (), Money(-100, "USD")),
            )
        ]
    )

    (move,) = played.sent[CREATE]
    ((_, lines),) = move.pop("lines")
    assert move == {
        "company": 1,
        "journal": 3,
        "period": 7,
        "date": date(2026, 3, 5),
        "description": "VF/acme/hesi/D1/expense_claim/1",
    }
    assert [(x["debit"], x["credit"], x["amount_second_currency"]) for x in lines] == [
        (Decimal("-7.00"), Decimal(0), Decimal("-1.00")),
        (Decimal(0), Decimal("-7.00"), Decimal("1.00")),
    ]


def test_drafts_that_tryton_will_not_post_are_removed_before_they_count_as_rejected() -> None:
    played = PlayedTryton(answers={CREATE: [101], POST: REFUSAL})

    (result,) = gateway(played).post([voucher()])

    assert (result.outcome, result.message) == (PostingOutcome.REJECTED, str(REFUSAL))
    assert played.calls == [CREATE, POST, DELETE]
    assert played.sent[DELETE] == [101]


@pytest.mark.parametrize("failure", [RetryLater("x"), REFUSAL, FixConfig("x"), OutcomeUnknown("x")])
def test_drafts_that_may_still_be_there_leave_the_outcome_unknown(failure: Exception) -> None:
    played = PlayedTryton(answers={CREATE: [101], POST: REFUSAL, DELETE: failure})

    with pytest.raises(OutcomeUnknown):
        gateway(played).post([voucher()])


@pytest.mark.parametrize("failure", [RetryLater("x"), FixConfig("x"), OutcomeUnknown("x")])
def test_drafts_that_could_not_be_posted_leave_the_outcome_unknown(failure: Exception) -> None:
    played = PlayedTryton(answers={CREATE: [101], POST: failure})

    with pytest.raises(OutcomeUnknown):
        gateway(played).post([voucher()])
    assert DELETE not in played.calls


@pytest.mark.parametrize(
    ("lines", "changes", "said"),
    [
        ("6602", {}, "6602 不是末级科目"),
        ("9999", {}, "没有科目 9999"),
        ("1901", {}, "1901 已停用"),
        ("2241.03", {}, "2241.03 必须有往来单位"),
        ("6602.10", {"day": date(9999, 12, 31)}, "9999-12-31"),
        ("6602.10", {"word": "特"}, "没有凭证字 特"),
    ],
)
def test_every_refusal_says_what_and_where(lines: str, changes: dict[str, Any], said: str) -> None:
    played = PlayedTryton()
    debit = JournalLine(3, Side.DEBIT, lines, Money(5, "CNY"), "x")
    credit = JournalLine(4, Side.CREDIT, "1002", Money(5, "CNY"), "x")

    (result,) = gateway(played).post([voucher(debit, credit, **changes)])

    zh, slash, en = result.message.partition(" / ")
    assert result.outcome is PostingOutcome.REJECTED
    assert said in zh
    assert slash
    assert en
    assert not played.calls


@pytest.mark.parametrize(
    ("dimensions", "foreign", "said"),
    [
        ((AuxiliaryDimension("employee", "E1"),), None, "不核算往来单位"),
        (
            (AuxiliaryDimension("employee", "E1"), AuxiliaryDimension("supplier", "S1")),
            None,
            "只能有一个往来单位",
        ),
        ((), Money(5, "CNY"), "外币金额不能用本位币"),
        ((), Money(5, "GBP"), "没有币种 GBP"),
        ((), Money(10**14, "USD"), "超过 14 位"),
    ],
)
def test_a_line_that_tryton_cannot_hold(
    dimensions: tuple[AuxiliaryDimension, ...], foreign: Money | None, said: str
) -> None:
    debit = JournalLine(1, Side.DEBIT, "6602.10", Money(5, "CNY"), "x", dimensions, foreign)

    (result,) = gateway(PlayedTryton()).post(
        [voucher(debit, JournalLine(2, Side.CREDIT, "1002", Money(5, "CNY"), "x"))]
    )

    assert said in result.message


def test_what_has_changed_in_the_ledger_is_read_again_before_a_voucher_is_refused() -> None:
    played = PlayedTryton(answers={CREATE: [101]})
    played.tables["account.period"] = [{**PERIOD, **OPEN, "state": "closed"}]
    ours = gateway(played)
    assert ours.periods()[0].state is PeriodState.CLOSED

    played.tables["account.period"] = [{**PERIOD, **OPEN}]

    assert ours.post([voucher()])[0].outcome is PostingOutcome.CREATED


def test_the_periods_of_a_closed_year_are_closed() -> None:
    played = PlayedTryton()
    played.tables["account.period"] = [{**PERIOD, "fiscalyear.": {"state": "closed"}}]

    assert gateway(played).periods()[0].state is PeriodState.CLOSED


def test_an_adjustment_period_does_not_hide_the_month_under_it() -> None:
    played = PlayedTryton(answers={CREATE: [101]})
    adjustment = {**PERIOD, **OPEN, "id": 99, "name": "2026-03", "type": "adjustment"}
    played.tables["account.period"] = [adjustment, {**PERIOD, **OPEN}]
    ours = gateway(played)

    assert [(each.code, each.is_adjustment) for each in ours.periods()] == [
        ("2026-03", True),
        ("2026-03", False),
    ]
    assert ours.period_of(voucher().date) == ours.periods()[1]
    assert ours.post([voucher()])[0].outcome is PostingOutcome.CREATED
    assert played.sent[CREATE][0]["period"] == PERIOD["id"]


def test_of_two_analytic_accounts_with_one_code_the_older_is_used() -> None:
    value = AuxiliaryDimension("department", "D1")
    entry = {"code": "D1", "name": "研发", "active": True, "root": 50}
    played = PlayedTryton(answers={CREATE: [101]})
    played.tables["analytic_account.account"] = [{"id": 50, "code": "department"}]
    ours = gateway(played, dimensions=("department",))
    ours.chart()
    played.tables["analytic_account.account"] = [{**entry, "id": 61}, {**entry, "id": 62}]

    ours.post(
        [
            voucher(
                JournalLine(1, Side.DEBIT, "6602.10", Money(5, "CNY"), "x", (value,)),
                JournalLine(2, Side.CREDIT, "1002", Money(5, "CNY"), "x"),
            )
        ]
    )

    analytic = played.sent[CREATE][0]["lines"][0][1][0]["analytic_lines"]
    assert [entry["account"] for entry in analytic[0][1]] == [61]


def test_an_inactive_value_is_named() -> None:
    played = PlayedTryton(answers={"model.party.party.create": [9]})
    played.tables["party.party"] = [{"id": 9, "code": "employee:E1", "name": "张三", "active": False}]

    with pytest.raises(FixData, match="employee E1"):
        gateway(played, create_missing=("employee",)).ensure_dimensions(
            [AuxiliaryDimension("employee", "E1")]
        )


def test_a_cancelling_move_is_not_the_voucher_of_the_key_that_it_carries() -> None:
    played = PlayedTryton()
    row = {"date": date(2026, 3, 5), "period": 7, "journal": 3, "state": "posted", "lines.": []}
    key = "VF/acme/hesi/D1/expense_claim/1"
    played.tables["account.move"] = [
        {**row, "id": 1, "number": "1", "description": key, "origin": None},
        {**row, "id": 2, "number": "2", "description": key, "origin": "account.move,1"},
    ]

    found = gateway(played).find([voucher()])

    assert [(v.ledger_id, v.state) for v in found[voucher().key]] == [("1", LedgerVoucherState.REVERSED)]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (AuxiliaryDimension("employee", "E1"), "employee:E1"),
        (AuxiliaryDimension("supplier", "a:b"), "supplier:a:b"),
        (AuxiliaryDimension("party", "17"), "17"),
        (AuxiliaryDimension("party", "other:17"), "other:17"),
    ],
)
def test_the_code_of_a_party_tells_its_kind(value: AuxiliaryDimension, code: str) -> None:
    assert party_code(value) == code
    assert party_dimension(code, "") == value


def test_several_companies_need_a_choice() -> None:
    played = PlayedTryton()
    played.tables["company.company"] = [COMPANY, {**COMPANY, "id": 2, "party.": {"name": "二号"}}]

    with pytest.raises(FixConfig, match="示例、二号"):
        gateway(played).check()
    assert "二号" in gateway(played, company="二号").check()


def test_a_dimension_without_a_root_is_a_matter_of_settings() -> None:
    with pytest.raises(FixConfig, match="department"):
        gateway(PlayedTryton(), dimensions=("department",)).check()


def book(**options: Any) -> Book:
    return Book(
        id="acme",
        name=Label(zh="示例", en="Acme"),
        currency="CNY",
        source="hesi",
        legal_entities=["E01"],
        ledger=Ledger(system="tryton", connection="tryton_default", options=options),
        file="books/acme.yaml",
    )


HERE = Endpoint("tryton_default", "http://127.0.0.1:8010/ledger", "voucherflow", "s3cret-pw")


def test_the_books_options_reach_the_gateway() -> None:
    built = build_ledger(book(batch_size=20, settle_s=5), HERE)

    assert (built.batch_size, built.settle_s) == (20, 5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batchsize": 20}, "batch_size"),
        ({"batch_size": 0}, "batch_size"),
        ({"read_timeout_s": "soon"}, "read_timeout_s"),
    ],
)
def test_wrong_options_are_named_with_their_file(options: dict[str, Any], said: str) -> None:
    with pytest.raises(FixConfig, match=rf"books/acme\.yaml.*{said}"):
        build_ledger(book(**options), HERE)


@pytest.mark.parametrize(
    "endpoint",
    [
        Endpoint("tryton_default", "http://127.0.0.1:8010", "voucherflow", "s3cret-pw"),
        Endpoint("tryton_default", "http://127.0.0.1:8010/ledger", "voucherflow"),
        Endpoint("tryton_default", "http://127.0.0.1:8010/ledger", "", "s3cret-pw"),
    ],
)
def test_a_connection_that_is_not_whole(endpoint: Endpoint) -> None:
    with pytest.raises(FixConfig, match="tryton_default") as raised:
        build_ledger(book(), endpoint)
    assert "s3cret-pw" not in str(raised.value)
