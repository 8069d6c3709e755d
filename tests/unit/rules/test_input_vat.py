"""Deductible input VAT by the book's table: worked examples, what always holds, and every message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from fractions import Fraction
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.domain.errors import FixConfig
from include.domain.money import split
from include.rules import Generated, RuleSet, generate, load_rules
from include.rules.prepare import prepare
from include.rules.proofs import check_tables
from tests.unit.rules.cases import (
    DAY,
    Row,
    book,
    document,
    example,
    invoice,
    line,
    problems,
    run,
    sources,
    write_rules,
)

BOOK = book()
ACME_BOOK, ACME = example("acme")
TEMPLATE = """templates:
  - id: claim
    event: claim
    title: {zh: 报销, en: claim}
    kinds: [expense_claim]
    summary: "{document.code}"
    lines:
      - {name: net, for_each: line, side: debit, measure: net_of_deductible_tax, account: {key: expense}}
      - {name: tax, for_each: line, side: debit, measure: deductible_tax, account: {key: tax}}
      - {name: paid, side: credit, measure: gross, account: {key: bank}}
  - id: loan
    event: loan
    title: {zh: 借款, en: loan}
    kinds: [loan]
    summary: "{document.code}"
    lines:
      - {name: lent, side: debit, measure: gross, account: {key: expense}}
      - {name: paid, side: credit, measure: gross, account: {key: bank}}
"""
ACCOUNTS = "key,account\nexpense,6602\ntax,2221\nbank,1002\n"
PLAIN = """invoice.kind,treatment,note
special,printed,
train,fare 9%,
coach,fare 3%,
meal,none,
"""


def rules(table: str | None, folder: Path) -> RuleSet:
    files = {"claims.yaml": TEMPLATE, "accounts.csv": ACCOUNTS}
    return load_rules(*write_rules(folder, files | ({} if table is None else {"input_vat.csv": table})))


with TemporaryDirectory() as _folder:
    RULES = rules(PLAIN, Path(_folder))


def made_of(
    ruleset: RuleSet, lines: Sequence[Row], invoices: Sequence[Row], **fields: Any
) -> tuple[Generated, dict[tuple[int, int], int]]:
    """What becomes of one claim of these lines, and its tax by line and portion, which is what the voucher books."""
    gross = sum(row["functional_minor"] for row in lines)
    case = sources([document(gross_minor=gross, **fields)], lines, invoices=invoices)
    made = generate(ruleset, BOOK, case)
    prepared = prepare(ruleset, BOOK, 2, case).lines.sort("source_line_no", "portion_no")
    rows = prepared.select("source_line_no", "portion_no", "line_tax").iter_rows()
    found = {(no, portion): tax for no, portion, tax in rows}
    if "tax" in made.lines["entry"]:
        assert made.lines.filter(entry="tax")["amount_minor"].sum() == sum(found.values())
    return made, found


def shipped(lines: Sequence[Row], invoices: Sequence[Row], **fields: Any) -> int:
    """The input tax that the shipped rules book."""
    gross = sum(row["functional_minor"] for row in lines)
    made = run(ACME, ACME_BOOK, [document(gross_minor=gross, **fields)], lines, invoices=invoices)
    assert problems(made) == []
    return int(made.lines.filter(entry="input_tax")["amount_minor"].sum())


# -- the shipped table ---------------------------------------------------------------------------------

PAPER, BETWEEN, LATER = date(2024, 8, 1), date(2025, 9, 30), date(2025, 10, 1)


@pytest.mark.parametrize(
    ("fee", "amount", "facts", "tax"),
    [
        ("COST11", 55_300, {"kind": "train", "tax": 0, "occurred_on": BETWEEN}, 4_566),
        ("COST11", 55_300, {"kind": "train", "tax": 4_000, "occurred_on": PAPER}, 4_566),
        ("COST11", 55_300, {"kind": "train", "tax": 4_565, "occurred_on": LATER}, 4_565),
        ("COST11", 55_300, {"kind": "train", "tax": 4_565, "occurred_on": BETWEEN}, 4_565),
        ("COST11", 55_300, {"kind": "train", "tax": 0, "occurred_on": LATER}, 0),
        (
            "COST12",
            110_000,
            {"kind": "flightItinerary", "tax": 0, "exempt": 5_000, "occurred_on": PAPER},
            8_670,
        ),
        ("COST12", 110_000, {"kind": "flightItinerary", "tax": 0, "exempt": 5_000, "occurred_on": LATER}, 0),
        ("COST14", 10_000, {"kind": "passengerCar", "tax": 0, "is_named": True}, 291),
        ("COST14", 10_000, {"kind": "passengerCar", "tax": 291, "is_named": False}, 0),
        ("COST14", 10_000, {"kind": "passengerCar", "tax": 291}, 0),
        ("COST22", 10_000, {"kind": "FULL_DIGITAl_NORMAL", "tax": 291}, 291),
        ("COST40", 10_000, {"kind": "FULL_DIGITAl_NORMAL", "tax": 291}, 0),
        ("COST40", 11_300, {"kind": "FULL_DIGITAl_SPECIAL", "tax": 1_300}, 1_300),
        ("COST60", 11_300, {"kind": "FULL_DIGITAl_SPECIAL", "tax": 1_300}, 0),
        ("COST30", 10_600, {"kind": "FULL_DIGITAl_SPECIAL", "tax": 600}, 0),
        ("COST23", 10_000, {"kind": "PAPER_FEE", "tax": 291}, 291),
        ("COST23", 10_000, {"kind": "PAPER_FEE", "tax": 0}, 0),
        ("COST23", 10_000, {"kind": "tolls", "tax": 291}, 0),
        ("COST21", 10_000, {"kind": "taxi", "tax": None}, 0),
        ("COST40", 10_000, {"kind": "", "tax": 575, "total": None}, 575),
    ],
)
def test_what_the_shipped_table_says(fee: str, amount: int, facts: Mapping[str, Any], tax: int) -> None:
    ticket = invoice(**{"claimed": amount, "total": amount, **facts})
    assert shipped([line(amount=amount, fee_type=fee)], [ticket]) == tax


def test_the_day_is_the_invoices_own_else_the_lines_else_the_vouchers() -> None:
    ticket = invoice(kind="train", claimed=55_300, total=55_300, tax=0)
    of = [line(amount=55_300, fee_type="COST11", occurred_on=day) for day in (LATER, BETWEEN, None)]
    assert shipped(of[:1], [ticket | {"occurred_on": BETWEEN}]) == 4_566
    assert shipped(of[1:2], [ticket | {"occurred_on": LATER}]) == 0
    assert shipped(of[1:2], [ticket]) == 4_566
    assert shipped(of[2:], [ticket], business_date=BETWEEN) == 4_566
    assert shipped(of[2:], [ticket], business_date=LATER) == 0


# -- parts of invoices -----------------------------------------------------------------------------------


def test_a_part_of_an_invoice_takes_its_part_of_the_tax() -> None:
    _, found = made_of(
        RULES, [line(amount=5_000)], [invoice(kind="special", claimed=5_000, total=10_600, tax=600)]
    )
    assert found == {(1, 1): 283}


def test_a_part_of_a_fare_leaves_out_its_part_of_what_is_exempt() -> None:
    _, found = made_of(
        RULES, [line(amount=55_000)], [invoice(kind="train", claimed=55_000, total=110_000, exempt=5_000)]
    )
    assert found == {(1, 1): 4_335}


def test_an_invoice_on_two_lines_gives_its_tax_to_the_cent() -> None:
    # Each half of 0.03 would be 0.02 half up.
    halves = [
        invoice(no=n, seq=n, invoice_id="A", kind="special", claimed=50, total=100, tax=3) for n in (1, 2)
    ]
    lines = [line(no=n, amount=50) for n in (1, 2)]
    _, found = made_of(RULES, lines, halves)
    assert found == {(1, 1): 2, (2, 1): 1}
    _, apart = made_of(RULES, lines, [row | {"invoice_id": f"A{row['seq']}"} for row in halves])
    assert apart == {(1, 1): 2, (2, 1): 2}, "two invoices are two"


def test_what_is_claimed_beyond_an_invoice_has_no_tax() -> None:
    _, found = made_of(
        RULES, [line(amount=20_000)], [invoice(kind="special", claimed=20_000, total=10_600, tax=600)]
    )
    assert found == {(1, 1): 600}


def test_invoices_of_a_line_add_up() -> None:
    _, found = made_of(
        RULES,
        [line(amount=65_900)],
        [
            invoice(seq=1, kind="special", claimed=10_600, total=10_600, tax=600),
            invoice(seq=2, kind="train", claimed=55_300, total=55_300),
        ],
    )
    assert found == {(1, 1): 600 + 4_566}


def test_a_red_invoice_mirrors() -> None:
    portions = [line(portion_no=n, amount=amount) for n, amount in ((1, -3_333), (2, -3_333), (3, -3_334))]
    red = invoice(kind="special", claimed=-10_000, total=-10_000, tax=-566)
    _, found = made_of(RULES, portions, [red])
    _, black = made_of(
        RULES,
        [line(portion_no=n, amount=amount) for n, amount in ((1, 3_333), (2, 3_333), (3, 3_334))],
        [invoice(kind="special", claimed=10_000, total=10_000, tax=566)],
    )
    assert found == {key: -tax for key, tax in black.items()}
    assert sum(found.values()) == -566


def test_a_line_without_invoices_has_no_tax_and_a_book_without_the_table_what_the_oa_states(
    tmp_path: Path,
) -> None:
    lines = [line(amount=10_600, tax_minor=600)]
    assert made_of(RULES, lines, [])[1] == {(1, 1): 0}
    assert made_of(rules(None, tmp_path), lines, [])[1] == {(1, 1): 600}


# -- what always holds -----------------------------------------------------------------------------------


def half_up(value: Fraction) -> int:
    size = int(abs(value) + Fraction(1, 2))
    return size if value >= 0 else -size


Claim = tuple[list[Row], list[Row]]
MANY = settings(max_examples=25, deadline=None)


def a_claim(random: Random) -> Claim:
    """Lines in portions, and invoices that are claimed in whole or in part, some on several lines."""
    lines: list[Row] = []
    invoices: list[Row] = []
    pool = []
    for number in range(random.randint(1, 4)):
        total = random.choice([1, 7, 100, random.randint(1, 10**7)])
        pool.append([f"V{number}", total, random.randint(0, total * 13 // 113), total])
    for no in range(1, random.randint(2, 5)):
        gross = 0
        for seq in range(random.randint(0, 3)):
            one = random.choice(pool)
            claimed = random.choice([one[3], one[3] // 2, min(one[3], 1)])
            if claimed:
                one[3] -= claimed
                gross += claimed
                kind = random.choice(["special", "special", "train", "meal"])
                exempt = random.choice([None, 0, one[1] // 20]) if kind == "train" else None
                known = {"invoice_id": one[0], "kind": kind, "claimed": claimed, "total": one[1]}
                invoices.append(invoice(no=no, seq=no * 10 + seq, tax=one[2], exempt=exempt, **known))
        gross = gross or random.randint(1, 10**6)
        weights = [random.randint(0, 5) for _ in range(random.randint(1, 4))]
        weights = weights if sum(weights) else [1]
        parts = split(gross, weights)
        lines += [line(no=no, portion_no=n, amount=part) for n, part in enumerate(parts, start=1)]
    return lines, invoices


@MANY
@given(st.integers(0, 10**9))
def test_any_claim(seed: int) -> None:
    random = Random(seed)  # noqa: S311  (test data)
    lines, invoices = a_claim(random)
    made, found = made_of(RULES, lines, invoices)
    assert problems(made) == []
    gross = {(row["line_no"], row["portion_no"]): row["functional_minor"] for row in lines}
    assert all(0 <= tax <= gross[key] for key, tax in found.items())
    groups: dict[tuple[object, ...], int] = {}
    for row in invoices:
        key = tuple(row[n] for n in ("invoice_id", "kind", "tax_minor", "total_minor", "exempt_minor"))
        groups[key] = groups.get(key, 0) + row["claimed_minor"]
    expected = 0
    for (_, kind, printed, total, exempt), claimed in groups.items():
        left_out = half_up(Fraction((exempt or 0) * claimed, total))
        expected += {
            "special": half_up(Fraction(printed * claimed, total)),
            "train": half_up(Fraction((claimed - left_out) * 9, 109)),
            "meal": 0,
        }[str(kind)]
    assert sum(found.values()) == expected
    random.shuffle(lines)
    random.shuffle(invoices)
    again, _ = made_of(RULES, lines, invoices)
    assert again.lines.equals(made.lines)


@MANY
@given(st.integers(1, 10**9), st.integers(0, 10**8), st.lists(st.integers(1, 10**6), min_size=1, max_size=6))
def test_parts_of_one_invoice_in_one_document_have_its_tax_together(
    total: int, tax: int, weights: list[int]
) -> None:
    total, tax = max(total, 10**7), min(tax, max(total, 10**7))
    parts = split(total, weights)
    of = {"invoice_id": "V", "kind": "special", "total": total, "tax": tax}
    lines = [line(no=n, amount=part) for n, part in enumerate(parts, start=1)]
    invoices = [invoice(no=n, seq=n, claimed=part, **of) for n, part in enumerate(parts, start=1)]
    assert sum(made_of(RULES, lines, invoices)[1].values()) == tax
    assert sum(made_of(RULES, lines[1:], invoices[1:])[1].values()) <= tax


@MANY
@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**6), min_size=1, max_size=6).filter(any))
def test_portions_share_as_money_is_split(tax: int, weights: list[int]) -> None:
    gross = sum(weights)
    tax = min(tax, gross)
    lines = [line(portion_no=n, amount=weight) for n, weight in enumerate(weights, start=1)]
    _, found = made_of(RULES, lines, [invoice(kind="special", claimed=gross, total=gross, tax=tax)])
    assert tuple(found.values()) == split(tax, weights)


# -- problems ------------------------------------------------------------------------------------------


def only(made: Generated) -> dict[str, Any]:
    (problem,) = made.problems.iter_rows(named=True)
    assert made.vouchers.height == 0
    return dict(problem)


def test_an_invoice_that_no_row_fits() -> None:
    made, _ = made_of(RULES, [line(no=2)], [invoice(no=2, kind="ferry", claimed=10_000, total=10_000, tax=0)])
    problem = only(made)
    assert (problem["code"], problem["where"], problem["line_no"]) == (
        "rules.no_row",
        "tables/test/input_vat.csv",
        2,
    )
    assert problem["zh"] == (
        "进项税额：决策表没有适合的行：invoice.kind = 'ferry'（单据 B0001 第 2 行）。请在 tables/test/input_vat.csv 增加一行。"
    )
    assert problem["en"] == (
        "input VAT: no row for invoice.kind = 'ferry' (document B0001, line 2). Add a row to tables/test/input_vat.csv."
    )


def test_rows_that_fit_equally(tmp_path: Path) -> None:
    table = "invoice.kind,invoice.has_tax,treatment\ntrain,*,printed\n*,yes,none\n"
    made, _ = made_of(
        rules(table, tmp_path), [line()], [invoice(kind="train", claimed=10_000, total=10_000, tax=1)]
    )
    problem = only(made)
    assert problem["code"] == "rules.ambiguous_row"
    assert "进项税额：tables/test/input_vat.csv 第 2、3 行同样适合" in problem["zh"]


@pytest.mark.parametrize(
    ("facts", "zh", "en"),
    [
        ({"kind": "special", "claimed": 1, "total": 1}, "没有可用的票面税额", "no usable printed tax"),
        (
            {"kind": "special", "tax": 5, "total": 100},
            "不知道本行报销了其中多少",
            "how much of it the line claims",
        ),
        ({"kind": "train"}, "不知道本行报销了其中多少", "how much of it the line claims"),
    ],
)
def test_what_the_oa_does_not_say(facts: Mapping[str, Any], zh: str, en: str) -> None:
    problem = only(made_of(RULES, [line()], [invoice(invoice_id="I9", **facts)])[0])
    assert (problem["code"], problem["owner"]) == ("rules.missing_tax", "oa_user")
    assert f"发票 I9 的可抵扣税额无法确定：{zh}（单据 B0001 第 1 行）。请在 OA 中补正发票" in problem["zh"]
    assert en in problem["en"]


@pytest.mark.parametrize(("amount", "tax"), [(100, 101), (100, -1), (-100, 1)])
def test_tax_that_does_not_fit_its_line(amount: int, tax: int) -> None:
    made, _ = made_of(RULES, [line(amount=amount)], [invoice(kind="special", tax=tax)])
    problem = only(made)
    assert (problem["code"], problem["line_no"]) == ("rules.tax_out_of_range", 1)
    assert "请在 OA 中核对发票的税额和明细金额" in problem["zh"]


def test_vouchers_that_take_no_tax_ask_for_none() -> None:
    made, _ = made_of(RULES, [line()], [invoice(kind="ferry")], kind="loan")
    assert problems(made) == []
    assert made.vouchers.height == 1


def test_facts_of_line_and_document_decide_too(tmp_path: Path) -> None:
    table = (
        "invoice.kind,invoice.is_named,line.fee_type,document.properties.trip,treatment\n"
        "*,*,*,*,none\ncoach,yes,COST1*,home,fare 3%\n"
    )
    ruleset = rules(table, tmp_path)
    of = invoice(kind="coach", claimed=10_300, total=10_300, is_named=True)
    for fee, trip, named, tax in [
        ("COST14", "home", True, 300),
        ("COST24", "home", True, 0),
        ("COST14", "abroad", True, 0),
        ("COST14", "home", None, 0),
    ]:
        lines = [line(amount=10_300, fee_type=fee)]
        _, found = made_of(ruleset, lines, [of | {"is_named": named}], properties={"trip": trip})
        assert found == {(1, 1): tax}, (fee, trip, named)


# -- the table itself ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["fare", "fare 0%", "fare 9", "fare -3%", "fare 100%", "full", "9%", "Printed"]
)
def test_a_treatment_that_is_none(text: str, tmp_path: Path) -> None:
    with pytest.raises(FixConfig) as refused:
        rules(f"invoice.kind,treatment\ntrain,{text}\n", tmp_path)
    assert str(refused.value).endswith(
        f"input_vat.csv 第 2 行: treatment: {text!r} 应写作 printed（票面税额）、none（不抵扣）或 fare 9%（按票价计算） / write printed, "
        "none, or a rate such as fare 9% (row 2)"
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("invoice.kind,account\n*,1002\n", "缺少 treatment 列"),
        ("invoice.colour,treatment\n*,none\n", "未知的列 'invoice.colour'"),
        (
            "line.department,treatment\n*,none\n",
            "line.department 不能作为进项税额的条件（发票属于整条明细），删去此列，可选：invoice.kind",
        ),
        (
            "line.gross,treatment\n*,none\n",
            "an invoice belongs to a whole line, line.gross is no condition here",
        ),
        ("write_off.loan,treatment\n*,none\n", "write_off.loan 不能作为进项税额的条件"),
        ("invoice.kind,dimensions,treatment\n*,department,none\n", "此表没有 dimensions 列，请删去"),
        ("invoice.kind,treatment\n*,\n", "treatment: 单元格为空"),
    ],
)
def test_a_table_with_a_mistake(table: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FixConfig) as refused:
        rules(table, tmp_path)
    assert message in str(refused.value)


def test_no_template_takes_its_account_from_it_nor_asks_for_an_invoice(tmp_path: Path) -> None:
    template = TEMPLATE.replace(
        "{key: expense}}\n      - {name: tax", "{table: input_vat}}\n      - {name: tax"
    )
    files = {"accounts.csv": ACCOUNTS, "input_vat.csv": PLAIN}
    with pytest.raises(FixConfig, match="input_vat 是进项税额表，不给出科目，改用其他表"):
        load_rules(*write_rules(tmp_path / "a", files | {"claims.yaml": template}))
    asking = TEMPLATE.replace(
        "measure: deductible_tax,", "measure: deductible_tax, when: {invoice.kind: not_missing},"
    )
    with pytest.raises(FixConfig, match=r"invoice\.kind: 没有这个事实"):
        load_rules(*write_rules(tmp_path / "b", files | {"claims.yaml": asking}))


def test_the_digest_covers_what_the_table_says_and_not_how(tmp_path: Path) -> None:
    first = rules(PLAIN, tmp_path / "a").digest
    head, *rows = PLAIN.splitlines()
    assert rules("\n".join([head, *reversed(rows)]) + "\n", tmp_path / "b").digest == first
    assert rules(PLAIN.replace("fare 9%", "fare  9.00 %"), tmp_path / "c").digest == first
    assert rules(PLAIN.replace("fare 9%", "fare 6%"), tmp_path / "d").digest != first
    assert rules(None, tmp_path / "e").digest != first


@pytest.mark.parametrize(
    ("rows", "code", "row"),
    [
        ("train,*,,printed\n*,yes,,none\n", "rules.overlap", 3),
        ("*,*,9,none\ntrain,yes,,printed\n", "rules.unreachable", 3),
    ],
)
def test_its_rows_are_proved_like_those_of_other_tables(
    rows: str, code: str, row: int, tmp_path: Path
) -> None:
    ruleset = rules(f"invoice.kind,invoice.has_tax,priority,treatment\n{rows}", tmp_path)
    (finding,) = check_tables(ruleset, decimals=2)
    assert (finding.code, finding.file, finding.line) == (code, "tables/test/input_vat.csv", row)
    assert "invoice.kind = 'train'" in finding.zh


def test_the_day_of_the_example_documents_is_after_the_paper_tickets() -> None:
    """Else the cases above would not see which row is valid."""
    assert DAY > LATER


def test_tax_that_is_a_claims_own_is_not_prorated() -> None:
    lines = [line(amount=6_000), line(no=2, amount=4_000)]
    own = {"kind": "special", "invoice_id": "I1", "total": 10_000, "is_tax_of_claim": True}
    invoices = [
        invoice(no=1, seq=1, claimed=6_000, tax=500, **own),
        invoice(no=2, seq=2, claimed=4_000, tax=500, **own),
    ]
    _, taxes = made_of(RULES, lines, invoices)
    assert taxes == {(1, 1): 500, (2, 1): 500}
