"""The mapping: what it reads, what it says of what it cannot read, and that nothing makes it raise."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from include.adapters.oa.hesi.lines import InvoiceFacts
from include.domain.document import DocumentKind, DocumentStatus, MappedDocument
from include.domain.money import MAX_MINOR
from include.domain.problems import ProblemOwner
from tests.unit.adapters.hesi_parts import MS, Json, expense, line, mapped, mapping_context, money, portion


def codes(result: MappedDocument) -> list[str]:
    return [problem.code for problem in result.problems]


def only_line(**form: Any) -> MappedDocument:
    return mapped(expense(line(**form), total="100.00"))


# -- amounts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("standard", "minor"),
    [
        ("33", 3300),
        ("33.00", 3300),
        ("33.0000", 3300),
        (33, 3300),
        (33.1, 3310),
        (0, 0),
        ("-12.30", -1230),
        (" 5.00 ", 500),
        ("1E+3", 100000),
        ("92233720368547758.07", MAX_MINOR),
    ],
)
def test_amounts_in_all_their_spellings(standard: Any, minor: int) -> None:
    result = only_line(amount=standard)
    assert result.document.lines[0].functional_amount == result.document.lines[0].amount == minor
    assert codes(result) == []


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (money("33.005"), "too_many_decimals"),
        (money("92233720368547758.08"), "out_of_range"),
        (money(10**70), "out_of_range"),
        (money("9" * 100), "out_of_range"),
        (money("1,234.50"), "not_a_number"),
        (money("一百元"), "not_a_number"),
        (money("NaN"), "not_a_number"),
        (money(float("inf")), "not_a_number"),
        (money(True), "not_a_number"),
        (money(["33"]), "not_a_number"),
        (money({"value": 3}), "not_a_number"),
        (money(None), "missing"),
        (money(""), "missing"),
        ({}, "missing"),
        (None, "missing"),
        ([money("33")], "not_a_number"),
        (True, "not_a_number"),
        (money("33", standardStrCode="USD"), "home_currency"),
        (money("33", standardStrCode="XQQ"), "unknown_currency"),
        (money("33", standardStrCode=["CNY"]), "unknown_currency"),
        (money("71", foreign="10", foreignStrCode="usd", rate="7.1"), "unknown_currency"),
        (money("71", foreign="10", foreignStrCode=None, rate="7.1"), "unknown_currency"),
        (money("71", foreign="10.001", foreignStrCode="USD", rate="7.1"), "too_many_decimals"),
        (money("71", foreign=None, foreignStrCode="USD", rate="7.1"), "missing"),
        (money("71", foreign="10", foreignStrCode="USD"), "rate.missing"),
        (money("71", foreign="10", foreignStrCode="USD", rate="0"), "rate.not_positive"),
        (money("71", foreign="10", foreignStrCode="USD", rate=-7.1), "rate.not_positive"),
        (money("71", foreign="10", foreignStrCode="USD", rate="seven"), "rate.unreadable"),
        (money("71", foreign="10", foreignStrCode="USD", rate="1E+500000"), "rate.unreadable"),
        (money("71", foreign="10", foreignStrCode="USD", rate=10**90), "rate.unreadable"),
        (money("71.01", foreign="10", foreignStrCode="USD", rate="7.1"), "conversion"),
    ],
)
def test_what_is_wrong_with_an_amount_is_said_with_its_place(amount: Any, code: str) -> None:
    payload = expense(line(), total="100.00")
    payload["form"]["details"][0]["feeTypeForm"]["amount"] = amount
    result = mapped(payload)
    problem = result.problems[0]
    assert codes(result) == [f"line.amount.{code}"]
    assert problem.where.startswith("form.details[0].feeTypeForm.amount")
    assert problem.line_no == 1
    assert problem.zh.startswith("第 1 条费用明细：")
    assert problem.en.startswith("line 1: ")


@pytest.mark.parametrize(
    ("currency", "foreign", "rate", "standard"),
    [
        ("USD", "100.00", "7.1034", "710.34"),
        ("JPY", "16000", "0.0468", "748.80"),
        ("EUR", "0.05", "8.3", "0.42"),  # 0.415, half up
        ("USD", 12.5, 7.1, 88.75),
    ],
)
def test_foreign_amounts_are_checked_half_up(currency: str, foreign: Any, rate: Any, standard: Any) -> None:
    payload = expense(line(), total=standard)
    payload["form"]["details"][0]["feeTypeForm"]["amount"] = money(
        standard, foreign=foreign, foreignStrCode=currency, rate=rate
    )
    result = mapped(payload)
    document = result.document
    assert codes(result) == []
    assert document.currency == document.lines[0].currency == currency
    assert document.transaction_gross == document.lines[0].amount
    assert document.lines[0].rate == Decimal(str(rate))
    assert document.gross == document.lines[0].functional_amount


def test_mixed_currencies_make_a_functional_document() -> None:
    usd = money("71.00", foreign="10.00", foreignStrCode="USD", rate="7.1")
    payload = expense(line("29.00"), line(number=2), total="100.00")
    payload["form"]["details"][1]["feeTypeForm"]["amount"] = usd
    document = mapped(payload).document
    assert (document.currency, document.transaction_gross, document.gross) == ("CNY", 10000, 10000)


def test_all_problems_are_said_not_the_first() -> None:
    payload = expense(line("x"), line("y", 2), total="z", submitDate="never", companyRealPay=money("q"))
    assert len(mapped(payload).problems) == 6  # two lines, total, amount to pay, company paid, date


def test_optional_totals_may_be_absent_or_null_and_needed_ones_may_not() -> None:
    payload = expense(writtenOffMoney=None, companyRealPay="", payMoney=None)
    del payload["form"]["expenseMoney"]
    result = mapped(payload)
    assert (result.document.written_off, result.document.company_paid) == (0, 0)
    assert codes(result) == ["document.gross.missing", "document.payable.missing"]


def test_a_total_that_differs_is_passed_on_for_the_gate_to_judge() -> None:
    result = mapped(expense(line("40.00"), total="100.00", payMoney=money("99.00")))
    assert codes(result) == []
    assert (result.document.gross, result.document.payable) == (10000, 9900)


def test_negative_amounts_are_read_and_left_to_the_gate() -> None:
    result = mapped(expense(line("-100.00"), total="-100.00"))
    assert codes(result) == []
    assert result.document.gross == -10000


# -- dates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "day"),
    [
        (MS, date(2026, 2, 2)),
        (str(MS), date(2026, 2, 2)),
        (float(MS), date(2026, 2, 2)),
        ("2026-02-02 00:30:00", date(2026, 2, 2)),
        ("2026-02-02", date(2026, 2, 2)),
        ("2026-02-01T16:30:00Z", date(2026, 2, 2)),
        (1_769_875_199_999, date(2026, 1, 31)),  # the last millisecond of a day in Shanghai
        (1_769_875_200_000, date(2026, 2, 1)),
        (9007199254740991, None),
        ("9007199254740991", None),
        (None, None),
        ("", None),
    ],
)
def test_dates_in_all_their_spellings(value: Any, day: date | None) -> None:
    result = only_line(feeDate=value)
    assert result.document.lines[0].occurred_on == day
    assert codes(result) == []


@pytest.mark.parametrize(
    "value",
    [
        253402214400000,
        10**30,
        pytest.param(10**5000, id="huge"),
        -1,
        "昨天",
        "9999-12-31",
        "0001-01-01",
        "2026-02-30",
        True,
        [MS],
        {},
        1.5,
    ],
)
def test_dates_that_cannot_be_used_are_said(value: Any) -> None:
    result = only_line(feeDate=value)
    assert result.document.lines[0].occurred_on is None
    assert codes(result) == ["line.date.unreadable"]


def test_a_far_date_is_shown_as_people_know_it() -> None:
    assert "9999-12-31" in only_line(feeDate=253402214400000).problems[0].zh


# -- what it is ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("draft", DocumentStatus.DRAFT),
        ("pending", DocumentStatus.IN_APPROVAL),
        ("approving", DocumentStatus.IN_APPROVAL),
        ("sending", DocumentStatus.IN_APPROVAL),
        ("receiving", DocumentStatus.IN_APPROVAL),
        ("rejected", DocumentStatus.REJECTED),
        ("paying", DocumentStatus.AWAITING_PAYMENT),
        ("PROCESSING", DocumentStatus.AWAITING_PAYMENT),
        ("paid", DocumentStatus.APPROVED),
        ("archived", DocumentStatus.ARCHIVED),
        ("nullify", DocumentStatus.NULLIFIED),
    ],
)
def test_states(state: str, status: DocumentStatus) -> None:
    result = mapped(expense() | {"state": state})
    assert result.document.status is status
    assert codes(result) == []


def test_deleted_wins_over_any_state() -> None:
    assert mapped(expense() | {"active": False, "state": "paid"}).document.status is DocumentStatus.DELETED


@pytest.mark.parametrize("state", ["frozen", "PAID", "", None, 3, ["paid"], {}])
def test_an_unknown_state_is_due_and_a_problem(state: Any) -> None:
    result = mapped(expense() | {"state": state})
    assert result.document.status is DocumentStatus.UNKNOWN
    assert result.document.status.is_due
    assert codes(result) == ["document.status.unknown"]


def test_a_form_type_that_is_not_the_lists_is_a_problem_and_stays_filed_under_the_list() -> None:
    result = mapped(expense() | {"formType": "mystery"})
    assert result.document.kind is DocumentKind.UNKNOWN
    assert result.document.form_type == "expense"
    assert codes(result) == ["document.form_type.unknown"]


def test_a_template_that_no_rule_names_is_the_engineers() -> None:
    payload = expense(specificationId="SPEC_NEW:77") | {"formType": "custom"}
    payload["form"]["details"] = None
    problems = mapped(payload, "custom").problems
    assert [p.code for p in problems] == ["document.kind.unknown", "document.gross.no_field"]
    assert {p.owner for p in problems} == {ProblemOwner.ENGINEER}
    assert "SPEC_NEW" in problems[0].cause
    assert all("sources/hesi.yaml" in p.zh and "sources/hesi.yaml" in p.en for p in problems)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"id": ""},
        {"id": 7},
        {"id": "x" * 200},
        {"id": " a"},
        {"id": "a\0"},
        {"id": "\ud800"},
        "text",
        None,
        [1],
    ],
)
def test_a_payload_without_an_id_gets_one_that_stays(payload: Any) -> None:
    first, second = mapped(payload), mapped(payload)
    assert first.document.document_id.startswith("malformed-")
    assert first.document.document_id == second.document.document_id
    assert "document.id.missing" in codes(first)


def test_the_approval_is_the_last_step_that_ended_the_flow() -> None:
    def step(action: str, state: str, seconds: int) -> Json:
        return {
            "action": f"freeflow.{action}",
            "state": state,
            "operatorId": "s",
            "time": MS + seconds * 1000,
        }

    logs = [
        step("submit", "approving", 0),
        step("agree", "paid", 10),
        step("retract", "draft", 20),
        step("submit", "approving", 30),
        step("agree", "paying", 40),
        step("pay", "paid", 50),
        step("comment", "paid", 60),
        step("modify", "archived", 70),
    ]
    document = mapped(expense() | {"logs": logs}).document
    assert document.approved_at == datetime.fromtimestamp(MS // 1000 + 50, UTC)
    assert [s.action for s in document.approvals][:3] == ["submit", "agree", "retract"]
    assert mapped(expense() | {"logs": logs, "state": "draft"}).document.approved_at is None


# -- references ----------------------------------------------------------------------------------------


def test_absent_unknown_and_known_references() -> None:
    document = mapped(expense(expenseDepartment="corp:gone", 法人实体=None)).document
    assert document.legal_entity is None
    assert document.department is not None
    assert (document.department.id, document.department.code, document.department.name) == (
        "corp:gone",
        "",
        "",
    )
    assert document.submitter is not None
    assert document.submitter.key == "W0001"


@pytest.mark.parametrize("value", ["corp:d2", ["corp:d2"], {"id": "corp:d2", "name": "研发中心"}])
def test_shapes_of_a_reference(value: Any) -> None:
    document = mapped(expense(expenseDepartment=value)).document
    assert document.department is not None
    assert document.department.id == "corp:d2"


@pytest.mark.parametrize(
    ("value", "code"),
    [(["a", "b"], "several"), (7, "unreadable"), (True, "unreadable"), ("x" * 129, "unreadable")],
)
def test_references_that_cannot_be_used(value: Any, code: str) -> None:
    assert codes(mapped(expense(法人实体=value))) == [f"document.legal_entity.{code}"]


def test_the_supplier_is_the_field_or_a_companys_account_and_no_employee() -> None:
    def supplier(**form: Any) -> str | None:
        found = mapped(expense(**form)).document.supplier
        return found.id if found else None

    assert supplier(供应商="ID_V1", payeeId="ID_PAY_V1") == "ID_V1"
    assert supplier(payeeId="ID_PAY_V1") == "ID_PAY_V1"
    assert supplier(payeeId="ID_PAY_S1") is None
    assert supplier(payeeId="ID_PAY_GONE") is None


# -- lines ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("details", [None, {}, "text", 3, {"0": line()}])
def test_details_that_are_no_list(details: Any) -> None:
    result = mapped(expense(details=details))
    assert result.document.lines == ()
    assert codes(result) == ["document.details.unreadable"]


def test_an_empty_list_is_read_as_such_and_left_to_the_gate() -> None:
    payload = expense()
    payload["form"]["details"] = []
    assert codes(mapped(payload)) == []


@pytest.mark.parametrize("item", [None, "x", 3, [], {}, {"feeTypeForm": []}])
def test_a_line_that_is_no_object_keeps_its_number(item: Any) -> None:
    result = mapped(expense(item, line(number=2)))
    assert codes(result) == ["line.unreadable"]
    assert [found.line_no for found in result.document.lines] == [1, 2]
    assert result.document.lines[1].functional_amount == 10000


def test_a_repeated_line_id_names_both_lines() -> None:
    result = mapped(expense(line(number=1), line(number=2), line(number=1)))
    assert [(p.code, p.line_no) for p in result.problems] == [("line.id.duplicate", 3)]
    assert "第 1 条" in result.problems[0].zh


def test_portions_keep_their_amounts_and_share_the_tax() -> None:
    invoice = {"invoices": [{"invoiceId": "I1", "taxAmount": money("0.10")}]}
    result = only_line(
        apportions=[portion("33.33", "corp:d2"), portion("33.33"), portion("33.34")], invoiceForm=invoice
    )
    lines = result.document.lines
    assert codes(result) == []
    assert [(x.line_no, x.portion_no, x.functional_amount, x.amount) for x in lines] == [
        (1, 1, 3333, 3333),
        (1, 2, 3333, 3333),
        (1, 3, 3334, 3334),
    ]
    assert [x.deductible_tax for x in lines] == [3, 3, 4]
    assert [x.department.id for x in lines if x.department] == ["corp:d2", "corp:d1", "corp:d1"]


def test_portions_of_a_foreign_line_share_its_foreign_amount() -> None:
    usd = money("100.00", foreign="14.08", foreignStrCode="USD", rate="7.1023")
    payload = expense(line(apportions=[portion("50.00"), portion("50.00")]))
    payload["form"]["details"][0]["feeTypeForm"]["amount"] = usd
    result = mapped(payload)
    assert codes(result) == []
    assert [(x.currency, x.amount, x.functional_amount) for x in result.document.lines] == [
        ("USD", 704, 5000),
        ("USD", 704, 5000),
    ]


@pytest.mark.parametrize(
    ("apportions", "code"),
    [
        ([portion("99.99")], "line.apportion.sum"),
        ([portion("x")], "line.apportion.amount.not_a_number"),
        ([portion(None)], "line.apportion.amount.missing"),
        ([{"apportionForm": None}], "line.apportion.unreadable"),
        (["x"], "line.apportion.unreadable"),
        ({"0": portion("100.00")}, "line.apportion.unreadable"),
    ],
)
def test_portions_that_do_not_fit(apportions: Any, code: str) -> None:
    assert codes(only_line(apportions=apportions)) == [code]


def test_portions_that_cancel_out_neither_raise_nor_lose_tax() -> None:
    invoice = {"invoices": [{"invoiceId": "I1", "taxAmount": money("6.00")}]}
    result = mapped(
        expense(
            line("0.00", apportions=[portion("50.00"), portion("-50.00")], invoiceForm=invoice), total="0"
        )
    )
    assert sum(x.deductible_tax or 0 for x in result.document.lines) == 600


def test_several_invoices_share_the_line_by_their_totals() -> None:
    known = {"I1": InvoiceFacts("taxi", 3000), "I2": InvoiceFacts("taxi", 9000)}
    form = {"invoices": [{"invoiceId": "I1"}, {"invoiceId": "I2", "taxAmount": money(0)}]}
    payload = expense(line(invoiceForm=form))
    claims = mapped(payload, context=mapping_context(known)).document.invoices
    assert [(c.invoice_id, c.claimed, c.total, c.tax, c.kind) for c in claims] == [
        ("I1", 2500, 3000, 0, "taxi"),
        ("I2", 7500, 9000, 0, "taxi"),
    ]
    assert [c.claimed for c in mapped(payload).document.invoices] == [None, None]


@pytest.mark.parametrize("form", ["x", [1], {"invoices": "x"}, {"invoices": {"a": 1}}, {"invoices": ["x"]}])
def test_invoices_that_cannot_be_read(form: Any) -> None:
    result = only_line(invoiceForm=form)
    assert codes(result) == ["line.invoice.unreadable"]
    assert result.document.lines[0].deductible_tax is None


@pytest.mark.parametrize("form", [None, "", {}, {"type": "noExist"}, {"invoices": None}, {"invoices": []}])
def test_no_invoice_is_no_tax(form: Any) -> None:
    result = only_line(invoiceForm=form)
    assert codes(result) == []
    assert result.document.lines[0].deductible_tax == 0


def test_text_keeps_what_people_write_and_loses_what_no_database_takes() -> None:
    payload = expense(title="团建🎉 \"𠮷\" 'x'\n第二行", description="a")
    payload["form"]["details"][0]["feeTypeForm"]["consumptionReasons"] = "nul\0 half\ud83d"
    document = mapped(payload).document
    assert document.title == "团建🎉 \"𠮷\" 'x'\n第二行"
    assert document.lines[0].description == "nul\ufffd half\ufffd"
    assert "document.code.unreadable" in codes(mapped(expense(code="B\0 1")))
