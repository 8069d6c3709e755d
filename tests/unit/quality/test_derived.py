"""What rules require of documents: each requirement has a document that lacks just that, on both backends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine

from include.domain.document import DocumentKind
from include.domain.problems import Problem
from include.quality.derived import DERIVED_CODES
from include.rules import load_rules
from include.settings import ResidueAccount
from tests.builders import StoreBuilder
from tests.unit.quality.stored import judged
from tests.unit.rules.cases import book, write_rules

RULES = """
templates:
  - id: claim
    event: claim
    title: {zh: 报销单, en: Claim}
    kinds: [expense_claim]
    summary: "{document.code}"
    lines:
      - {name: expense, for_each: line, side: debit, measure: net_of_deductible_tax, account: {table: expenses},
         dimensions: {department: line.department}, optional_dimensions: {project: line.project}}
      - {name: tax, for_each: line, side: debit, measure: deductible_tax, account: {key: tax}}
      - {name: loan, for_each: write_off, side: credit, measure: written_off, account: {key: loans},
         dimensions: {employee: document.submitter}}
      - {name: paid, side: credit, measure: company_paid, account: {key: payables},
         dimensions: {supplier: document.supplier}}
      - {name: owed, side: credit, measure: payable, account: {key: bank}}
  - id: invoice
    event: invoice
    title: {zh: 发票, en: Invoice}
    kinds: [purchase_invoice]
    summary: "{document.code}"
    lines:
      - {name: goods, side: debit, measure: document.properties.net_amount, account: {table: goods}}
      - {name: tax, side: debit, measure: document.properties.tax, account: {key: tax},
         when: {document.properties.tax: not_missing}}
      - {name: owed, side: credit, measure: gross, account: {key: payables}}
  - id: by_channel
    event: payment
    title: {zh: 付款, en: Payment}
    kinds: [payment_request]
    when: {document.payment_channel: not_missing}
    no_voucher: {zh: 不做, en: none}
  - id: by_supplier
    event: payment
    title: {zh: 付款, en: Payment}
    kinds: [payment_request]
    when: {document.supplier: not_missing}
    no_voucher: {zh: 不做, en: none}
  - id: cleared
    event: cleared
    title: {zh: 转账, en: Transfer}
    kinds: [receipt]
    summary: "{document.code}"
    lines:
      - {name: in, side: debit, measure: company_paid, account: {key: bank}}
      - {name: out, side: credit, measure: company_paid, account: {key: payables}}
  - id: settled
    event: settled
    title: {zh: 核销, en: Settlement}
    kinds: [loan]
    summary: "{document.code}"
    lines:
      - {name: in, side: debit, measure: written_off, account: {key: bank}}
      - {name: out, side: credit, measure: written_off, account: {key: loans}}
  - id: noted
    event: noted
    title: {zh: 预付, en: Prepayment}
    kinds: [prepayment]
    summary: "{document.code}"
    lines:
      - {name: in, for_each: line, side: debit, measure: gross, account: {table: notes}}
      - {name: out, for_each: line, side: credit, measure: gross, account: {key: bank}}
"""
FILES = {
    "a.yaml": RULES,
    "accounts.csv": "key,account\ntax,2221\nloans,1221\npayables,2202\nbank,1002\nrounding,6603\n",
    "expenses.csv": "line.fee_type,line.department,account,dimensions\nA1*,*,6601,department\nB,*,6602,department|project\n"
    "C,*,6603,\n*,D9,6604,department\n",
    "goods.csv": "document.properties.material,account\nRAW,1403\n",
    "notes.csv": "line.description,account\nrent,6605\n",
}
EXPENSE: Mapping[str, Any] = {"fee_type_id": "F1", "fee_type_code": "A1", "amount_minor": 10_000}
ABROAD: Mapping[str, Any] = EXPENSE | {
    "currency": "USD",
    "rate": "7",
    "functional_minor": 10_000,
    "amount_minor": 1_400,
}


@dataclass(frozen=True)
class Case:
    """A claim over 100.00 with one line, unless fields say otherwise, and the codes that must come of it."""

    name: str
    codes: frozenset[str]
    fields: Mapping[str, Any]
    lines: tuple[Mapping[str, Any], ...]
    write_offs: tuple[int, ...]


def case(
    name: str,
    *codes: str,
    lines: tuple[Mapping[str, Any], ...] = (EXPENSE,),
    write_offs: tuple[int, ...] = (),
    **fields: Any,
) -> Case:
    return Case(name, frozenset(codes), fields, lines, write_offs)


def of(kind: DocumentKind, **properties: str) -> dict[str, Any]:
    return {"kind": kind, "properties": json.dumps(properties)}


INVOICE, RECEIPT, LOAN = DocumentKind.PURCHASE_INVOICE, DocumentKind.RECEIPT, DocumentKind.LOAN
PAYMENT, PREPAYMENT = DocumentKind.PAYMENT_REQUEST, DocumentKind.PREPAYMENT
NONE: tuple[Mapping[str, Any], ...] = ()
CASES = (
    case("sound"),
    case("without a department on document or line", "department.missing", lines=(EXPENSE | {"department_id": None},), department_id=None),
    case("the document's department does for the line", lines=(EXPENSE | {"department_id": None},)),
    case("the line's department does", department_id=None),
    case("an account that takes no department needs none", department_id=None,
         lines=(EXPENSE | {"fee_type_code": "C", "department_id": None},)),
    case("an account that takes a project", "project.missing", lines=(EXPENSE | {"fee_type_code": "B"},)),
    case("it has its project", lines=(EXPENSE | {"fee_type_code": "B", "project_id": "P1"},)),
    case("nobody to owe the loan is told once", "submitter.missing", submitter_id=None, written_off_minor=10_000, payable_minor=0, write_offs=(10_000,)),
    case("company-paid without a supplier", "supplier.missing", company_paid_minor=4_000, payable_minor=6_000),
    case("company-paid with one", supplier_id="V1", company_paid_minor=4_000, payable_minor=6_000),
    case("no fee type", "line.fee_type.missing", lines=(EXPENSE | {"fee_type_id": None, "fee_type_code": ""},)),
    case("no fee type where none is needed", lines=(EXPENSE | {"fee_type_id": None, "fee_type_code": "", "department_code": "D9"},)),
    case("a fee type that no row has", "rules.no_row", lines=(EXPENSE | {"fee_type_code": "Z"},)),
    case("two rows fit", "rules.ambiguous_row", lines=(EXPENSE | {"fee_type_code": "C", "department_code": "D9"},)),
    case("tax not known", "line.deductible_tax.missing", lines=(EXPENSE | {"tax_minor": None},)),
    case("no lines", "lines.missing", lines=NONE),
    case("lines of another total", "gross.lines_mismatch", lines=(EXPENSE | {"amount_minor": 9_999, "functional_minor": 9_999},)),
    case("payable off", "payable.mismatch", payable_minor=9_999),
    case("payable not given", "payable.missing", payable_minor=None),
    case("more written off than claimed", "payable.negative", payable_minor=-500, written_off_minor=10_500, write_offs=(10_500,)),
    case("written off without records", "written_off.mismatch", written_off_minor=500, payable_minor=9_500),
    case("foreign total off its lines", "transaction_gross.lines_mismatch", currency="USD", transaction_gross_minor=1_401, lines=(ABROAD,)),
    case("foreign total not given", "transaction_gross.missing", currency="USD", transaction_gross_minor=None, lines=(ABROAD,)),
    case("a cent that converting left", currency="USD", transaction_gross_minor=1_400, lines=(ABROAD | {"functional_minor": 9_999},)),
    case("two cents of one line are too many", "gross.lines_mismatch", currency="USD", transaction_gross_minor=1_400, lines=(ABROAD | {"functional_minor": 9_998},)),
    case("an invoice that adds up", **of(INVOICE, material="RAW", net_amount=" 94.340 ", tax="5.66")),
    case("an invoice without tax", **of(INVOICE, material="RAW", net_amount="100")),
    case("an invoice that does not add up", "rules.unbalanced", **of(INVOICE, material="RAW", net_amount="94.34", tax="5.65")),
    case("an amount in words", "property.amount.missing", **of(INVOICE, material="RAW", net_amount="ninety")),
    case("an amount with a tenth of a cent", "property.amount.missing", **of(INVOICE, material="RAW", net_amount="100.001")),
    case("a property with a NUL escape", "property.amount.missing", **of(INVOICE, material="RAW", net_amount="1\0")),
    case("an invoice without its material", "fact.missing", **of(INVOICE, net_amount="100")),
    case("a material that no row has", "rules.no_row", **of(INVOICE, net_amount="100", material="GOLD")),
    case("no template", "rules.no_template", kind=DocumentKind.GOODS_RECEIPT),
    case("a template that says why there is no voucher", kind=PAYMENT, supplier_id="V1"),
    case("two templates", "rules.ambiguous_template", kind=PAYMENT, supplier_id="V1", payment_channel="OFFLINE"),
    case("nothing to book", "rules.no_lines", kind=RECEIPT),
    case("an amount not given", "company_paid.missing", kind=RECEIPT, company_paid_minor=None),
    case("another amount not given", "written_off.missing", kind=LOAN, written_off_minor=None),
    case("a line without what its table asks for", "line.fact.missing", kind=PREPAYMENT),
    case("a line with it", kind=PREPAYMENT, lines=(EXPENSE | {"description": "rent"},)),
)  # fmt: skip


@pytest.fixture(scope="module")
def keys(empty_store: Engine) -> dict[str, int]:
    with empty_store.begin() as connection:
        builder = StoreBuilder(connection, book="test")
        builder.master_data()
        built = {}
        for each in CASES:
            built[each.name] = builder.document(lines=[{**line} for line in each.lines], **each.fields)
            for seq, amount in enumerate(each.write_offs, 1):
                builder.write_off(built[each.name], f"elsewhere-{seq}", amount, seq)
    return built


@pytest.fixture(scope="module")
def said(
    empty_store: Engine, keys: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[int, list[Problem]]:
    rules = load_rules(*write_rules(tmp_path_factory.mktemp("rules"), FILES))
    return judged(empty_store, book(), rules)


@pytest.mark.parametrize("each", CASES, ids=lambda each: each.name)
def test_a_document_lacks_what_its_rules_require_and_nothing_else(
    keys: dict[str, int], said: Mapping[int, list[Problem]], each: Case
) -> None:
    assert sorted(problem.code for problem in said[keys[each.name]]) == sorted(each.codes)


def test_every_requirement_has_a_case() -> None:
    assert {code for each in CASES for code in each.codes} - {"submitter.missing"} == DERIVED_CODES


def test_messages_name_who_requires_it_and_what_to_do(
    keys: dict[str, int], said: Mapping[int, list[Problem]]
) -> None:
    (department,) = said[keys["without a department on document or line"]]
    assert "a.yaml:9 (claim.expense)" in department.zh
    assert "a.yaml:9 (claim.expense)" in department.en
    assert "请在 OA 中补填" in department.zh
    (row,) = said[keys["a fee type that no row has"]]
    assert "line.fee_type = 'Z'" in row.zh
    assert row.where == "tables/test/expenses.csv"
    assert row.cause == "rules.no_row:tables/test/expenses.csv:line.fee_type=Z:line.department=D1"
    assert row.line_no == 1
    (mismatch,) = said[keys["lines of another total"]]
    assert "99.99 CNY" in mismatch.zh
    assert "off by 0.01 CNY" in mismatch.en


def test_the_rest_on_an_account_of_its_own_makes_up_for_a_cent(
    empty_store: Engine, keys: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    rules = load_rules(*write_rules(tmp_path_factory.mktemp("rules"), FILES))
    rounding = book().model_copy(update={"residue": ResidueAccount(account="rounding")})
    said = judged(empty_store, rounding, rules)
    assert said[keys["a cent that converting left"]] == []
    assert {p.code for p in said[keys["two cents of one line are too many"]]} == {"gross.lines_mismatch"}
