"""What becomes of a document: one of voucher, no voucher, problem; and what the problem says."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from include.domain.money import MAX_MINOR
from include.rules import RuleSet, Sources, generate, load_rules
from include.rules.frames import DOCUMENTS, LINES, WRITE_OFFS
from tests.unit.rules.cases import (
    DAY,
    book,
    document,
    example,
    ledger,
    line,
    problems,
    run,
    write_off,
    write_rules,
)
from tests.unit.rules.test_config_mistakes import ACCOUNTS, GOOD

BOOK, RULES = example("acme")


def rules_of(tmp_path: Path, templates: str, **tables: str) -> RuleSet:
    files = {"a.yaml": "templates:\n" + templates, "accounts.csv": ACCOUNTS + "clearing,1901,\n"}
    return load_rules(*write_rules(tmp_path, files | {f"{name}.csv": text for name, text in tables.items()}))


def template(identity: str, extra: str = "", kinds: str = "[loan]", line_extra: str = "") -> str:
    return f"""
  - id: {identity}
    event: payment
    title: {{zh: 付款, en: Payment}}
    kinds: {kinds}
    summary: "付 {{document.code}}"
    {extra}
    lines:
      - {{name: paid, side: debit, measure: gross, account: {{key: clearing}}{line_extra}}}
      - {{name: bank, side: credit, measure: gross, account: {{key: bank}}}}
"""


def test_each_document_ends_in_exactly_one_place() -> None:
    made = run(
        RULES,
        BOOK,
        [document(1), document(2, kind="requisition"), document(3), document(4, kind="unknown")],
        [line(1), line(3, fee_type="X1 未知"), line(3, no=2, fee_type="X2 未知")],
    )
    assert made.vouchers["document_pk"].to_list() == [1]
    assert made.no_voucher["document_pk"].to_list() == [2]
    assert problems(made) == [(3, "rules.no_row"), (3, "rules.no_row"), (4, "rules.no_template")]
    assert made.lines["document_pk"].unique().to_list() == [1]
    assert made.problems.filter(document_pk=3)["line_no"].to_list() == [1, 2]


def test_nothing_in_nothing_out() -> None:
    made = run(RULES, BOOK, [])
    assert [frame.height for frame in (made.vouchers, made.lines, made.no_voucher, made.problems)] == [0] * 4


def test_traces_lead_back_to_file_and_row() -> None:
    made = run(RULES, BOOK, [document()], [line(no=7)])
    first = made.lines.row(0, named=True)
    lines = (RULES.rules_dir / "claims.yaml").read_text("utf-8").splitlines()
    rows = (RULES.tables_dir / "expense_accounts.csv").read_text("utf-8-sig").splitlines()
    assert first["template"] == "claims.yaml#expense_claim"
    assert lines[first["template_line"] - 1].strip() == f"- name: {first['entry']}"
    assert rows[first["table_row"] - 1].startswith("COST1*,*,*")
    assert (first["table_name"], first["source_line_no"]) == ("expense_accounts.csv", 7)
    assert made.lines.row(1, named=True)["table_name"] == "accounts.csv"


def test_a_merged_line_names_a_source_line_only_if_it_is_one() -> None:
    made = run(RULES, BOOK, [document()], [line(no=1, amount=4000), line(no=2, amount=6000)])
    assert made.lines["source_line_no"].to_list() == [0, 0]
    portions = [line(no=3, amount=4000, portion_no=1), line(no=3, amount=6000, portion_no=2)]
    assert run(RULES, BOOK, [document()], portions).lines["source_line_no"].to_list() == [3, 0]


def test_no_date_no_voucher() -> None:
    made = run(RULES, BOOK, [document(business_date=None)], [line()])
    assert problems(made) == [(1, "rules.missing_date")]
    assert "单据 B0001" in made.problems["zh"][0]


def test_a_document_in_another_functional_currency_is_refused() -> None:
    made = run(RULES, BOOK, [document(functional_currency="EUR")], [line(currency="EUR")])
    assert problems(made) == [(1, "rules.wrong_currency")]


@pytest.mark.parametrize(
    ("fields", "lines"),
    [
        ({}, [line(amount=None)]),
        ({}, [line(tax_minor=None)]),
        ({"payable_minor": None}, [line()]),
        ({"written_off_minor": None}, [line()]),
        ({}, [line(currency="USD", amount_minor=None)]),
    ],
)
def test_an_amount_that_is_needed_and_missing(
    fields: dict[str, object], lines: list[dict[str, object]]
) -> None:
    made = run(RULES, BOOK, [document(**fields)], lines)
    assert made.vouchers.height == 0
    codes = set(made.problems["code"])
    assert codes <= {"rules.missing_amount", "rules.missing_tax", "rules.unbalanced"}
    if fields.get("written_off_minor", 0) is not None:
        assert codes & {"rules.missing_amount", "rules.missing_tax"}


def test_unbalanced_says_by_how_much() -> None:
    made = run(RULES, BOOK, [document(gross_minor=10_001)], [line()])
    (problem,) = made.problems.iter_rows(named=True)
    assert problem["code"] == "rules.unbalanced"
    assert "借 100.00，贷 100.01，差额 -0.01 CNY（单据 B0001）" in problem["zh"]
    assert "debit 100.00, credit 100.01, difference -0.01 CNY (document B0001)" in problem["en"]


def test_zero_documents_have_nothing_to_book() -> None:
    made = run(RULES, BOOK, [document(gross_minor=0), document(2)], [line(amount=0)])
    assert problems(made) == [(1, "rules.no_lines"), (2, "rules.no_lines")]


def test_foreign_amounts_that_do_not_add_up() -> None:
    made = run(
        RULES,
        BOOK,
        [document(currency="USD", gross_minor=7103, transaction_gross_minor=1001)],
        [line(currency="USD", amount_minor=1000, functional_minor=7103)],
    )
    assert problems(made) == [(1, "rules.unbalanced")]
    assert "原币差额（最小单位）-1" in made.problems["zh"][0]


def test_foreign_and_functional_of_different_sign() -> None:
    made = run(
        RULES,
        BOOK,
        [document(currency="USD", gross_minor=7103, transaction_gross_minor=-1000)],
        [line(currency="USD", amount_minor=-1000, functional_minor=7103)],
    )
    assert problems(made) == [(1, "rules.amount_out_of_range")]


def test_sums_beyond_64_bits_are_refused_not_wrapped() -> None:
    lines = [line(no=n, amount=MAX_MINOR) for n in (1, 2, 3)]
    made = run(RULES, BOOK, [document(gross_minor=MAX_MINOR)], lines)
    assert problems(made) == [(1, "rules.amount_out_of_range")]
    made = run(RULES, BOOK, [document(gross_minor=MAX_MINOR)], [line(amount=MAX_MINOR)])
    assert made.lines["amount_minor"].to_list() == [MAX_MINOR, MAX_MINOR]


def test_the_share_of_a_huge_foreign_tax_does_not_overflow() -> None:
    huge = MAX_MINOR - 1
    made = run(
        RULES,
        BOOK,
        [document(currency="JPY", gross_minor=huge, transaction_gross_minor=huge)],
        [line(currency="JPY", amount_minor=huge, functional_minor=huge, tax_minor=huge // 2)],
    )
    assert made.lines["transaction_minor"].to_list() == [huge // 2, huge // 2, huge]


@pytest.mark.parametrize(
    ("total", "functional", "tax", "expected"),
    [(1000, 7103, 0, [1000]), (1000, 7103, 710, [900, 100]), (3, 200, 100, [1, 2]), (1, 500, 30, [1, 0])],
)
def test_deductible_tax_takes_its_share_of_a_foreign_line(
    total: int, functional: int, tax: int, expected: list[int]
) -> None:
    made = run(
        RULES,
        BOOK,
        [document(currency="USD", gross_minor=functional, transaction_gross_minor=total)],
        [line(currency="USD", amount_minor=total, functional_minor=functional, tax_minor=tax)],
    )
    assert made.lines.filter(side="debit")["transaction_minor"].to_list() == expected


def test_two_templates_of_one_event(tmp_path: Path) -> None:
    rules = rules_of(
        tmp_path,
        template("first", "when: {document.gross: {range: {from: 100}}}")
        + template("second", "when: {document.gross: {range: {to: 100}}}"),
    )
    made = run(
        rules, book(), [document(n, kind="loan", gross_minor=g) for n, g in enumerate((9999, 10000, 10001))]
    )
    assert made.lines["template"].unique(maintain_order=True).to_list() == ["a.yaml#second", "a.yaml#first"]
    (problem,) = made.problems.iter_rows(named=True)
    assert (problem["document_pk"], problem["code"]) == (1, "rules.ambiguous_template")
    assert "a.yaml#first、a.yaml#second" in problem["zh"]


def test_two_events_make_two_vouchers(tmp_path: Path) -> None:
    rules = rules_of(
        tmp_path, template("first") + template("second").replace("event: payment", "event: memo")
    )
    made = run(rules, book(), [document(kind="loan")])
    assert made.vouchers["event"].to_list() == ["memo", "payment"]
    assert made.lines["line_no"].to_list() == [1, 2, 1, 2]


def test_no_voucher_beside_a_voucher_contradicts(tmp_path: Path) -> None:
    silent = """
  - id: silent
    event: nothing
    title: {zh: 无, en: none}
    kinds: [loan]
    no_voucher: {zh: 不做, en: nothing to do}
"""
    made = run(rules_of(tmp_path, template("first") + silent), book(), [document(kind="loan")])
    assert problems(made) == [(1, "rules.ambiguous_template")]
    assert made.no_voucher.height == 0


def test_dates_decide_which_template_is_in_force(tmp_path: Path) -> None:
    rules = rules_of(
        tmp_path, template("old", f"valid_to: {DAY}") + template("new", "valid_from: 2026-03-06")
    )
    days = {1: "2026-03-05", 2: "2026-03-06"}
    made = run(
        rules,
        book(),
        [document(n, kind="loan", business_date=DAY.fromisoformat(day)) for n, day in days.items()],
    )
    assert made.lines.filter(line_no=1)["template"].to_list() == ["a.yaml#old", "a.yaml#new"]


PREDICATES = [
    ("document.status", "{equals: approved}", {"status": "approved"}, {"status": "archived"}),
    ("document.status", "{in: [archived, approved]}", {"status": "approved"}, {"status": "unknown"}),
    ("document.template_id", "{prefix: 'SPEC_A:'}", {"template_id": "SPEC_A:1"}, {"template_id": "SPEC_AB"}),
    ("document.supplier", "is_missing", {"supplier": None}, {"supplier": "V1"}),
    ("document.supplier", "not_missing", {"supplier": "#V1"}, {"supplier": None}),
    ("document.department", "{prefix: RD}", {"department": "RD-1"}, {"department": None}),
    ("document.has_write_off", "{equals: 'yes'}", {"written_off_minor": 1}, {"written_off_minor": None}),
    ("document.gross", "{range: {from: 0.01, to: 100.00}}", {"gross_minor": 10000}, {"gross_minor": 10001}),
    ("document.properties.city", "{equals: 上海}", {"properties": {"city": "上海"}}, {"properties": {}}),
    ("document.currency", "{equals: USD}", {"currency": "USD"}, {"currency": "CNY"}),
]


@pytest.mark.parametrize(("fact", "predicate", "fits", "fails"), PREDICATES)
def test_predicates(
    tmp_path: Path, fact: str, predicate: str, fits: dict[str, object], fails: dict[str, object]
) -> None:
    rules = rules_of(tmp_path, template("t", f"when: {{{fact}: {predicate}}}"))
    made = run(rules, book(), [document(1, kind="loan", **fits), document(2, kind="loan", **fails)])
    assert made.vouchers["document_pk"].to_list() == [1]
    assert problems(made) == [(2, "rules.no_template")]


def test_rows_and_alternatives_that_fit_equally(tmp_path: Path) -> None:
    table = "line.fee_type,line.department,account\nA,*,6602.01\n*,FIN,6602.02\nB,FIN,6602.03\n"
    rules = load_rules(*write_rules(tmp_path, {**GOOD, "expense_accounts.csv": table}))
    made = run(rules, book(), [document(1), document(2)], [line(1, fee_type="A"), line(2, fee_type="B")])
    (problem,) = made.problems.iter_rows(named=True)
    assert (problem["document_pk"], problem["code"]) == (1, "rules.ambiguous_row")
    assert "第 2、3 行同样适合" in problem["zh"]
    assert "rows 2, 3 of tables/test/expense_accounts.csv fit equally" in problem["en"]
    assert made.lines["account"].to_list() == ["6602.03", "1002"]


def test_one_cause_for_one_missing_row() -> None:
    made = run(
        RULES,
        BOOK,
        [document(n) for n in (1, 2, 3)],
        [line(n, fee_type=fee) for n, fee in ((1, "X1"), (2, "X1"), (3, "X2"))],
    )
    assert made.problems["cause"].n_unique() == 2


def test_a_line_without_a_department_has_its_documents() -> None:
    made = run(
        RULES,
        BOOK,
        [document(department="MKT 市场部", gross_minor=300)],
        [line(no=1, amount=100), line(no=2, amount=200, department="HR 人力资源部")],
    )
    assert [json.loads(text)[0][1] for text in made.lines.filter(side="debit")["dimensions"]] == ["MKT", "HR"]
    assert made.lines.filter(side="debit")["account"].to_list() == ["6601.12", "6602.10"]


def test_a_department_nowhere_is_a_problem_of_the_document() -> None:
    made = run(RULES, BOOK, [document(department=None)], [line()])
    assert problems(made) == [(1, "rules.missing_dimension")]
    assert made.problems["owner"].to_list() == ["oa_user"]


def test_a_reference_without_a_code_goes_by_its_id() -> None:
    made = run(RULES, BOOK, [document(submitter="#S19 员工", payment_channel="")], [line()])
    assert json.loads(made.lines["dimensions"][-1]) == [["employee", "id-#S19", "员工"]]


@pytest.mark.parametrize(
    "name", ['员工"阿七"', "a\\b", "x\n\ty\x01", "员工𠮷🙂", "O'Neil; DROP TABLE x", "{}[],"]
)
def test_names_of_all_kinds_survive(name: str) -> None:
    made = run(RULES, BOOK, [document(submitter=f"W1 {name}", payment_channel="")], [line()])
    assert json.loads(made.lines["dimensions"][-1]) == [["employee", "W1", name]]
    assert not any(ord(letter) < 32 for text in made.lines["summary"] for letter in text)


def test_a_summary_has_its_limit() -> None:
    made = run(RULES, BOOK, [document(title="长" * 500)], [line()])
    assert made.lines["summary"].str.len_chars().max() == 200


@pytest.mark.parametrize("text", ["", "12.345", "1e3", "abc", "1,000.00", "9" * 30])
def test_a_property_that_is_no_amount(text: str) -> None:
    properties = {"net_amount": text, "deductible_tax": "1"}
    made = run(RULES, BOOK, [document(kind="purchase_invoice", supplier="V1", properties=properties)])
    assert problems(made) == [(1, "rules.missing_amount")]


@pytest.mark.parametrize(
    ("text", "minor"),
    [("99", 9900), ("99.5", 9950), ("99.50", 9950), ("-0.5", -50), ("99.", 9900), ("0.010", 1)],
)
def test_a_property_that_is_an_amount(text: str, minor: int) -> None:
    properties = {"net_amount": text, "material": "RAW"}
    made = run(
        RULES,
        BOOK,
        [document(kind="purchase_invoice", supplier="V1", gross_minor=minor, properties=properties)],
    )
    assert made.lines["amount_minor"].to_list() == [minor, minor]


def test_properties_that_are_not_json_are_missing() -> None:
    row = document(kind="goods_receipt", supplier="V1") | {"properties": "{not json"}
    assert "贷 2202.02" in ledger(run(RULES, BOOK, [row]))


def test_write_offs_stay_with_their_document() -> None:
    made = run(
        RULES,
        BOOK,
        [document(1, written_off_minor=4000), document(2, written_off_minor=6000)],
        [line(1), line(2)],
        [write_off(1, 1, 1000), write_off(2, 1, 6000), write_off(1, 2, 3000)],
    )
    loans = made.lines.filter(account="1221.03")
    assert dict(zip(loans["document_pk"], loans["amount_minor"], strict=True)) == {1: 4000, 2: 6000}


def test_untyped_and_further_columns_do_no_harm() -> None:
    documents = pl.DataFrame([document()]).with_columns(
        disposition=pl.lit("accepted"), project_id=pl.lit(None)
    )
    parts = (pl.DataFrame([line()], schema=LINES), pl.DataFrame(schema=WRITE_OFFS))
    made = generate(RULES, BOOK, Sources(documents, *parts))
    assert made.vouchers.height == 1


def test_a_missing_column_is_a_programmers_error() -> None:
    with pytest.raises(ValueError, match="frame documents lacks the columns gross_minor"):
        generate(
            RULES,
            BOOK,
            Sources(
                pl.DataFrame(schema=DOCUMENTS).drop("gross_minor"),
                pl.DataFrame(schema=LINES),
                pl.DataFrame(schema=WRITE_OFFS),
            ),
        )


def test_every_placeholder_can_be_filled(tmp_path: Path) -> None:
    text = """
  - id: all
    event: all
    title: {zh: 全部, en: all}
    kinds: [expense_claim]
    summary: "{document.period} {document.code} {document.kind} {document.supplier}"
    lines:
      - name: line
        for_each: line
        side: debit
        measure: gross
        account: {key: clearing}
        summary: "{line.fee_type}/{line.department}/{line.occurred_on}/{line.description}/{document.title}"
      - name: loan
        for_each: write_off
        side: credit
        measure: written_off
        account: {key: clearing}
        summary: "{write_off.loan} {document.submitter}"
      - {name: rest, side: credit, measure: payable, account: {key: bank}}
"""
    made = run(
        rules_of(tmp_path, text),
        book(),
        [document(written_off_minor=4000)],
        [line(description="客户\n拜访"), line(no=2, amount=0)],
        [write_off(amount=4000)],
    )
    assert made.lines["summary"].to_list() == [
        f"酒店住宿/财务部/{DAY}/客户 拜访/出差报销",
        "LOAN1 员工甲",
        "2026-03 B0001 expense_claim",
    ]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("account,note\n6602.99,一切\n", ["6602.99", "6602.99"]),
        ("valid_from,valid_to,account\n,2026-03-05,6602.01\n2026-03-06,,6602.02\n", ["6602.01", "6602.02"]),
        ("line.gross,account\n..50,6602.01\n50.01..,6602.02\n", ["6602.02", "6602.02"]),
        ("document.code,account\nB0001,6602.01\nB*,6602.02\n", ["6602.01", "6602.02"]),
        ("document.properties.city,account\n上海,6602.01\n<missing>,6602.02\n", ["6602.02", "6602.02"]),
    ],
)
def test_tables_by_other_facts(tmp_path: Path, table: str, expected: list[str]) -> None:
    rules = load_rules(*write_rules(tmp_path, {**GOOD, "expense_accounts.csv": table}))
    days = {1: DAY, 2: DAY.replace(day=6)}
    made = run(rules, book(), [document(n, business_date=d) for n, d in days.items()], [line(1), line(2)])
    assert made.lines.filter(side="debit")["account"].to_list() == expected


def test_a_condition_on_lines(tmp_path: Path) -> None:
    meal = "      - {name: meal, for_each: line, side: debit, measure: gross, account: {key: bank}, when: {line.gross: {range: {to: 10}}}}\n"
    text = GOOD["a.yaml"].replace(
        "        measure: gross\n",
        "        measure: gross\n        when: {line.gross: {range: {from: 10.01}}}\n",
    )
    text = text.replace("      - name: paid", meal + "      - name: paid")
    rules = load_rules(*write_rules(tmp_path, {**GOOD, "a.yaml": text}))
    made = run(
        rules,
        book(),
        [document(gross_minor=3001)],
        [line(no=1, amount=1000, fee_type="A"), line(no=2, amount=2001, fee_type="A")],
    )
    assert made.lines.select("entry", "amount_minor").rows() == [
        ("expense", 2001),
        ("meal", 1000),
        ("paid", 3001),
    ]
