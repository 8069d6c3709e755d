"""Forms by their mappings: what becomes of each part, and what is said where a form does not fit its mapping."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from include.adapters.oa.forms import (
    Answer,
    FieldValue,
    FormInstance,
    Row,
    absent_fields,
    answer_comment,
    answer_fields,
    map_instance,
    mapped_records,
)
from include.domain.document import ApprovalStep, DocumentKind, DocumentStatus
from include.domain.problems import Problem
from include.ports import MasterRecord
from tests.unit.adapters.form_parts import fields, form, form_context, mapped, mapping_of

CLAIM = """
form: claim
templates: [T1]
kind: expense_claim
document: {department: dept, currency: {field: cur, enum: {c: CNY, u: USD}}, rate: rate, gross: total}
lines: {table: dt1, amount: money, fee_type: {field: type, enum: {a: {code: TRAFFIC, name: 交通费}}}}
"""


def claim(*rows: dict[str, Any], **values: Any) -> FormInstance:
    return form(*rows, **({"dept": "12", "cur": "c", "rate": "", "total": "100"} | values))


def row(money: Any = "100", **more: Any) -> dict[str, Any]:
    return {"money": money, "type": "a"} | more


def codes(problems: tuple[Problem, ...]) -> list[str]:
    return [problem.code for problem in problems]


# -- what is read ------------------------------------------------------------------------------------


def test_rows_become_lines_and_take_the_documents_department() -> None:
    document = mapped(CLAIM, claim(row("60"), row("40"))).document
    assert [(x.line_no, x.line_id, x.functional_amount) for x in document.lines] == [
        (1, "1", 6000),
        (2, "2", 4000),
    ]
    assert document.lines[0].department == document.department
    assert document.department is not None
    assert document.department.code == "RD"
    assert (document.form_type, document.template_id, document.kind) == ("claim", "T1", "expense_claim")


def test_blank_rows_are_left_out_and_the_others_keep_their_numbers() -> None:
    result = mapped(CLAIM, claim(row(" ", type=""), row("100")))
    assert [line.line_no for line in result.document.lines] == [2]
    assert result.problems == ()


def test_a_foreign_document_is_converted_line_by_line_and_as_a_whole() -> None:
    result = mapped(CLAIM, claim(row("33.33"), row("66.67"), cur="u", rate="7.1034"))
    document = result.document
    assert result.problems == ()
    assert (document.currency, document.transaction_gross, document.gross) == ("USD", 10000, 71034)
    assert [line.functional_amount for line in document.lines] == [23676, 47358]
    assert {line.rate for line in document.lines} == {Decimal("7.1034")}


def test_a_stated_home_amount_must_be_the_foreign_one_by_the_rate() -> None:
    text = CLAIM.replace("gross: total", "gross: total, functional_gross: home")
    good = mapped(text, claim(row(), cur="u", rate="7", home="700.00"))
    assert (good.problems, good.document.gross) == ((), 70000)
    bad = mapped(text, claim(row(), cur="u", rate="7", home="701.00"))
    assert codes(bad.problems) == ["document.gross.conversion"]
    assert "700.00 CNY" in bad.problems[0].zh


@pytest.mark.parametrize(("rate", "fault"), [("", "missing"), ("0", "not_positive"), ("seven", "unreadable")])
def test_a_foreign_document_needs_a_rate(rate: str, fault: str) -> None:
    result = mapped(CLAIM, claim(row(), cur="u", rate=rate))
    assert codes(result.problems) == [f"document.rate.{fault}"]
    assert result.document.gross is None


def test_a_foreign_currency_without_any_rate_is_the_engineers_matter() -> None:
    text = "{form: f, templates: [T1], kind: loan, document: {currency: USD, gross: je}}"
    [problem] = mapped(text, form(je="5")).problems
    assert (problem.code, problem.owner) == ("form.rate.unmapped", "engineer")
    assert "document.rate" in problem.zh


def test_without_a_total_the_lines_are_the_total() -> None:
    text = CLAIM.replace(", gross: total", "")
    assert mapped(text, claim(row("60.5"), row("40"))).document.gross == 10050


def test_without_a_table_the_form_is_one_line_of_its_total() -> None:
    text = """
    {form: f, templates: [T1], kind: loan, document: {department: dept, gross: je},
     lines: {description: why, fee_type: {default: {code: LOAN, name: 借款}}}}
    """
    [line] = mapped(text, form(je="1,000", dept="13", why="备用金")).document.lines
    assert (line.functional_amount, line.rate, line.description) == (100000, Decimal(1), "备用金")
    assert line.fee_type is not None
    assert line.fee_type.key == "LOAN"


def test_what_is_left_to_pay_follows_unless_the_form_says_it() -> None:
    text = CLAIM.replace(
        "gross: total",
        "gross: total, written_off: offset, company_paid: paid, payable: {field: left, optional: true}",
    )
    worked_out = mapped(text, claim(row(), offset="30", paid="20")).document
    assert (worked_out.written_off, worked_out.company_paid, worked_out.payable) == (3000, 2000, 5000)
    assert mapped(text, claim(row(), offset="30", paid="", left="69.99")).document.payable == 6999


def test_loans_by_code_are_found_by_what_the_source_knows() -> None:
    text = CLAIM + "write_offs: {table: dt2, loan: {field: loan, names: code}, amount: sum}"
    tables = {"dt2": [Row(fields(loan="JK-7", sum="10")), Row(fields(loan="JK-8", sum="5"))]}
    instance = claim(row())
    instance = replace(instance, tables={**instance.tables, **tables})
    result = mapped(text, instance, loan_ids={"JK-7": "doc-7"})
    assert [(each.loan_document_id, each.amount) for each in result.document.write_offs] == [
        ("doc-7", 1000),
        ("", 500),
    ]
    assert result.document.written_off == 1500
    assert codes(result.problems) == ["document.write_off.loan.unknown"]
    assert "JK-8" in result.problems[0].zh


def test_a_field_of_the_form_holds_for_all_rows() -> None:
    text = CLAIM.replace("amount: money", "amount: money, description: {field: why, main: true}")
    document = mapped(text, claim(row("50"), row("50"), why="展会")).document
    assert [line.description for line in document.lines] == ["展会", "展会"]


def test_properties_are_text_in_one_shape() -> None:
    text = CLAIM + (
        "properties: {net: {field: n, type: amount}, start: {field: s, type: date}, share: {field: p, type: number}, "
        "city: {field: c, enum: {sh: 上海}}, tags: t, none: e, item: {field: i, type: reference}, fixed: {default: x}}"
    )
    instance = claim(
        row(), n="￥1,000.5", s="2026年3月1日", p="0.5", c="sh", t=["a", 1], e="", i={"id": "77"}
    )
    assert mapped(text, instance).document.properties == {
        "net": "1000.50",
        "start": "2026-03-01",
        "share": "0.5",
        "city": "上海",
        "tags": "a、1",
        "item": "77",
        "fixed": "x",
    }


def test_links_are_ids_each_once() -> None:
    text = CLAIM.replace("gross: total", "gross: total, links: [one, many]")
    document = mapped(text, claim(row(), one="R1", many=["R2", {"id": "R1"}, 3])).document
    assert document.links == ("R1", "R2", "3")


# -- invoices ----------------------------------------------------------------------------------------

INVOICES = (
    CLAIM.replace("amount: money", "amount: money")
    + "invoices: {table: dt1, number: num, tax: tax, total: sum}"
)


def test_an_invoice_in_a_row_is_claimed_with_the_rows_amount_and_gives_its_tax() -> None:
    document = mapped(
        INVOICES, claim(row(num="26317", tax="6", sum="106"), row(num="", tax="", sum=""))
    ).document
    [claimed] = document.invoices
    assert (claimed.line_no, claimed.invoice_id, claimed.claimed, claimed.tax, claimed.total) == (
        1,
        "26317",
        10000,
        600,
        10600,
    )
    assert [line.deductible_tax for line in document.lines] == [600, 0]


def test_invoices_of_a_table_of_their_own_name_their_line_and_share_its_amount() -> None:
    text = CLAIM + "invoices: {table: dt3, line: n, code: code, number: num, total: sum}"
    instance = claim(row("90"), row("10"))
    rows = [
        Row(fields(n="1", code="3100", num="55", sum="60")),
        Row(fields(n=1.0, code="", num="56", sum="30")),
        Row(fields(n="9", code="", num="57", sum="10")),
    ]
    result = mapped(text, replace(instance, tables={**instance.tables, "dt3": rows}))
    found = [(each.line_no, each.invoice_id, each.claimed) for each in result.document.invoices]
    assert found == [(1, "3100:55", 5400), (1, "56", 2700), (1, "57", 900)]
    assert codes(result.problems) == ["line.invoice.line.unknown"]


# -- approval ----------------------------------------------------------------------------------------


def step(action: str, node: str, hour: int) -> ApprovalStep:
    return ApprovalStep(action, "9", datetime(2026, 3, 1, hour, tzinfo=UTC), node)


@pytest.mark.parametrize(
    ("steps", "status", "paid_hour"),
    [
        ([step("agree", "经理", 1)], DocumentStatus.AWAITING_PAYMENT, None),
        ([step("agree", "经理", 1), step("agree", "出纳", 2)], DocumentStatus.APPROVED, 2),
        ([step("comment", "出纳", 2)], DocumentStatus.AWAITING_PAYMENT, None),
        ([step("agree", "出纳", 2), step("reject", "总监", 3)], DocumentStatus.AWAITING_PAYMENT, None),
        (
            [step("agree", "出纳", 2), step("retract", "", 3), step("pay", "出纳", 4)],
            DocumentStatus.APPROVED,
            4,
        ),
    ],
)
def test_a_document_that_is_due_when_paid_waits_for_the_cashier(
    steps: list[ApprovalStep], status: DocumentStatus, paid_hour: int | None
) -> None:
    text = CLAIM + "approval: {paid_nodes: [出纳], due: paid}"
    document = mapped(text, replace(claim(row()), steps=steps)).document
    assert document.status is status
    assert document.paid_at == (None if paid_hour is None else datetime(2026, 3, 1, paid_hour, tzinfo=UTC))


def test_a_field_may_say_that_it_is_paid() -> None:
    text = CLAIM + "approval: {paid_when: {field: state, values: ['1', 已付]}, due: paid}"
    assert mapped(text, claim(row(), state=1)).document.status is DocumentStatus.APPROVED
    assert mapped(text, claim(row(), state="0")).document.status is DocumentStatus.AWAITING_PAYMENT


def test_times_are_utc_and_a_document_in_approval_has_no_time_of_approval() -> None:
    eight = datetime.fromisoformat("2026-03-01T08:00:00+08:00")
    given = replace(claim(row()), finished_at=eight, created_at=eight)
    document = mapped(CLAIM, given).document
    assert document.approved_at == document.created_at == datetime(2026, 3, 1, tzinfo=UTC)
    assert str(document.created_at) == "2026-03-01 00:00:00+00:00"
    waiting = replace(given, status=DocumentStatus.IN_APPROVAL)
    assert mapped(CLAIM, waiting).document.approved_at is None


# -- what is wrong -----------------------------------------------------------------------------------


def test_a_field_that_left_the_form_is_told_once_with_one_cause_for_all_documents() -> None:
    one = mapped(
        CLAIM, form({"type": "a", "betrag": "1"}, {"type": "a", "betrag": "2"}, dept="12", cur="c", total="3")
    )
    other = mapped(CLAIM, replace(form({"type": "a"}, dept="12", cur="c", total="3"), id="I2"))
    [problem] = one.problems
    assert (problem.code, problem.owner, problem.where) == ("form.field.missing", "engineer", "dt1.money")
    assert all(word in problem.zh for word in ("oa/form.yaml", "dt1.money", "optional: true"))
    assert {p.cause for p in other.problems} == {problem.cause}


def test_a_table_that_left_the_form_is_told() -> None:
    [problem] = mapped(CLAIM, claim()).problems
    assert (problem.code, problem.where) == ("form.field.missing", "dt1")


def test_where_the_oa_leaves_empty_fields_out_only_what_many_forms_lack_has_left() -> None:
    text = CLAIM.replace(
        "gross: total", "gross: total, project: proj, supplier: {field: sup, optional: true}"
    )
    mapping = mapping_of(text)
    one = replace(claim(row()), lists_empty=False)
    assert mapped(text, one).problems == ()
    assert absent_fields([one] * 19, mapping) == frozenset()
    assert absent_fields([one] * 20, mapping) == {"proj", "sup"}
    assert absent_fields([*[one] * 20, claim(row(), proj="5", sup="V1")], mapping) == frozenset()
    told = mapped(text, one, absent=absent_fields([one] * 20, mapping)).problems
    assert [(p.code, p.where) for p in told] == [("form.field.missing", "proj")]


def test_a_field_of_another_type_is_told_with_both() -> None:
    text = CLAIM.replace("gross: total", "gross: {field: total, oa_type: NumberField}")
    same = claim(row(), total=FieldValue("100", "总额", type="NumberField"))
    assert mapped(text, same).problems == ()
    other = claim(row(), total=FieldValue("100", "总额", type="TextField"))
    result = mapped(text, other)
    [problem] = result.problems
    assert (problem.code, problem.owner, problem.where) == ("form.field.changed", "engineer", "total（总额）")
    assert "“NumberField” → “TextField”" in problem.en
    assert result.document.gross is None


@pytest.mark.parametrize("value", [["1", "2"], {"amount": 1}])
def test_a_structure_where_a_plain_value_was_mapped_is_told(value: Any) -> None:
    assert codes(mapped(CLAIM, claim(row(), total=value)).problems) == ["form.field.changed"]


def test_a_value_that_no_enum_lists_is_told_with_what_the_oa_shows() -> None:
    result = mapped(CLAIM, claim(row("50", type=FieldValue("z", shown="招待费")), row("50", type="z")))
    [problem] = result.problems
    assert (problem.code, problem.owner) == ("form.enum.unknown", "engineer")
    assert all(word in problem.zh for word in ("“z”（招待费）", "费用类型", "oa/form.yaml", "enum"))
    assert [line.fee_type for line in result.document.lines] == [None, None]


def test_several_choices_where_one_is_needed_are_told() -> None:
    [problem] = mapped(CLAIM, claim(row(), dept=["12", "13"])).problems
    assert (problem.code, problem.owner) == ("document.department.several", "oa_user")


def test_a_name_that_two_entries_have_is_a_persons_matter() -> None:
    text = CLAIM.replace("gross: total", "gross: total, supplier: {field: sup, by: label}")
    [problem] = mapped(text, claim(row(), sup=FieldValue("x", shown="同名供应商"))).problems
    assert (problem.code, problem.owner) == ("document.supplier.ambiguous", "finance")
    assert "V002、V003" in problem.zh
    unknown = mapped(text, claim(row(), sup=FieldValue("x", shown="新供应商")))
    assert unknown.problems == ()
    assert unknown.document.supplier is not None
    assert unknown.document.supplier.id == "新供应商"  # the gate says that it is not in the master data


def test_a_row_that_comes_twice_is_told() -> None:
    instance = claim(row("50"), row("50"))
    twice = replace(instance, tables={"dt1": [instance.tables["dt1"][0]] * 2})
    assert codes(mapped(CLAIM, twice).problems) == ["line.id.duplicate"]


def test_a_template_without_mapping_is_a_document_of_unknown_kind() -> None:
    result = map_instance(replace(claim(row()), template="T9"), form_context(mapping_of(CLAIM)))
    [problem] = result.problems
    assert (problem.code, problem.owner) == ("document.template.unmapped", "engineer")
    assert "forms draft oa" in problem.zh
    assert (result.document.kind, result.document.document_id) == (DocumentKind.UNKNOWN, "I1")


def test_what_the_adapter_could_not_read_comes_first() -> None:
    noted = Problem("document.status.unknown", "status", "状态未知", "unknown state")
    result = mapped(CLAIM, replace(claim(row(), total=""), problems=[noted]))
    assert codes(result.problems) == ["document.status.unknown", "document.gross.missing"]


def test_a_form_without_a_usable_id_keeps_one_of_its_own() -> None:
    first, again = (mapped(CLAIM, replace(claim(row()), id=" ")) for _ in range(2))
    assert codes(first.problems) == ["document.id.missing"]
    assert first.document.document_id == again.document.document_id != ""


# -- what mappings give others -----------------------------------------------------------------------


def test_targets_of_mappings_are_master_data_unless_the_oa_has_them() -> None:
    text = CLAIM.replace("gross: total", "gross: total, legal_entity: {default: {code: E01, name: 甲公司}}")
    mapping = mapping_of(text)
    found = mapped_records([mapping, mapping], [MasterRecord("legal_entity", "E01", "E01", "甲公司")])
    assert found == (MasterRecord("fee_type", "TRAFFIC", "TRAFFIC", "交通费"),)
    assert {record.kind for record in mapped_records([mapping])} == {"fee_type", "legal_entity"}


def test_the_answer_goes_where_the_mapping_says() -> None:
    text = CLAIM + (
        "write_back: {voucher_no: num, fiscal_period: period, error: err, comment: true, "
        "state: {field: st, posted: '1', failed: '2', cleared: '3'}}"
    )
    mapping = mapping_of(text)
    posted = Answer("记-12", "2026-03")
    assert answer_fields(mapping, posted) == {"num": "记-12", "period": "2026-03", "err": "", "st": "1"}
    assert "记-12（2026-03）" in answer_comment(mapping, posted)
    failed = Answer(error="科目 6602 已封存")
    assert answer_fields(mapping, failed) == {"num": "", "period": "", "err": "科目 6602 已封存", "st": "2"}
    assert "6602" in answer_comment(mapping, failed)
    assert answer_fields(mapping, Answer()) == {"num": "", "period": "", "err": "", "st": "3"}
    silent = mapping_of(CLAIM)
    assert (answer_fields(silent, posted), answer_comment(silent, posted)) == ({}, "")


def test_the_number_that_the_form_shows_is_read_from_where_it_is_written() -> None:
    text = CLAIM + "write_back: {voucher_no: num}"
    assert mapped(text, claim(row(), num="记-12")).document.voucher_no == "记-12"
