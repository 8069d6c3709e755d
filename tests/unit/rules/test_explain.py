"""Every line of every voucher is explained by sentences whose numbers are the voucher's own."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from random import Random

import pytest

from include.domain.money import parse_minor
from include.rules import Sources
from include.rules.explain import LineExplanation, explain
from include.settings import Book, ResidueAccount
from tests.unit.rules.cases import Row, document, example, invoice, line, run, sources, write_off
from tests.unit.rules.random_rules import random_book, random_case, random_rules
from tests.unit.rules.test_shares import WITHHELD, of, rules

BOOK, RULES = example("acme")


def explained(
    documents: list[Row], lines: list[Row], write_offs: list[Row] | None = None
) -> list[LineExplanation]:
    return explain(RULES, BOOK, sources(documents, lines, write_offs or []))


def test_an_expense_line_tells_template_row_and_arithmetic() -> None:
    (expense, tax, bank) = explained(
        [document(gross_minor=31_800)],
        [
            line(amount=10_600, tax_minor=600, department="RD1 研发一部", project="P1 新品"),
            line(no=2, amount=21_200, tax_minor=1_200, department="RD1 研发一部", project="P1 新品"),
        ],
    )
    assert expense.template.zh.startswith("模板 报销单（claims.yaml 第 ")
    assert expense.template.en.endswith("expense), debit")
    assert "expense_accounts.csv 第 3 行" in expense.account.zh
    assert "line.department = RD1（研发一部） ∈ RD*" in expense.account.zh
    assert [words.zh for words in expense.arithmetic] == [
        "第 1 行 金额 106.00 − 可抵扣税额 6.00 = 100.00 CNY",
        "第 2 行 金额 212.00 − 可抵扣税额 12.00 = 200.00 CNY",
        "合计 100.00 + 200.00 = 300.00 CNY",
    ]
    assert [words.en for words in tax.arithmetic][-1] == "sum 6.00 + 12.00 = 18.00 CNY"
    assert [str(words) for words in bank.conditions] == [
        "document.payment_channel = OFFLINE，not_missing / document.payment_channel = OFFLINE, not_missing"
    ]
    assert bank.account.en.endswith("key bank")
    assert [words.zh for words in expense.dimensions] == [
        "部门 RD1 研发一部（line.department）",
        "项目 P1 新品（line.project）",
    ]


def test_tax_is_explained_by_its_invoices() -> None:
    ticket = invoice(kind="train", occurred_on=date(2024, 6, 1), claimed=55_300, total=55_300, exempt=0)
    case = sources(
        [document(gross_minor=55_300)], [line(amount=55_300, fee_type="COST11 火车")], [], [ticket]
    )
    (expense, tax, bank) = explain(RULES, BOOK, case)
    assert tax.arithmetic[0].zh == "第 1 行 可抵扣税额 45.66 = 45.66 CNY"
    (told,) = tax.taxes
    assert "（train）：input_vat.csv 第 " in told.zh
    assert "fare 9%；报销 553.00，价税合计 553.00" in told.zh
    assert told.en.endswith("deductible 45.66")
    assert expense.taxes == tax.taxes
    assert bank.taxes == ()


def test_a_loan_written_off_and_what_is_left() -> None:
    lines = explained(
        [document(gross_minor=10_000, written_off_minor=12_000)], [line()], [write_off(amount=12_000)]
    )
    by_entry = {one.template.en.split()[-2].rstrip(")"): one for one in lines}
    assert any("to be returned 20.00 = 20.00 CNY" in w.en for one in lines for w in one.arithmetic), by_entry
    assert any("核销第 1 笔 核销借款 120.00 = 120.00 CNY" in w.zh for one in lines for w in one.arithmetic)


def test_a_share_its_rest_and_the_cent(tmp_path: Path) -> None:
    case = sources([document(gross_minor=36)], [line(no=n, amount=12) for n in (1, 2, 3)])
    *_, withheld, paid = explain(rules(tmp_path, WITHHELD), of(), case)
    assert [words.zh for words in withheld.arithmetic] == [
        "第 1 行 金额 0.12 × 0.2 + 尾差 0.01 = 0.03 CNY",
        "第 2 行 金额 0.12 × 0.2 = 0.02 CNY",
        "第 3 行 金额 0.12 × 0.2 = 0.02 CNY",
        "合计 0.03 + 0.02 + 0.02 = 0.07 CNY",
    ]
    assert paid.arithmetic[0].en == "line 1 gross 0.12 − withheld 0.03 = 0.09 CNY"


def test_a_residue_on_an_account_of_its_own(tmp_path: Path) -> None:
    case = sources([document(gross_minor=36)], [line(no=n, amount=12) for n in (1, 2, 3)])
    told = explain(rules(tmp_path, WITHHELD), of(ResidueAccount(account="rounding")), case)
    residues = [one for one in told if "尾差科目" in one.template.zh]
    assert [one.arithmetic[0].zh for one in residues] == ["尾差 0.01 CNY", "尾差 -0.01 CNY"]


def test_several_documents_are_refused() -> None:
    with pytest.raises(ValueError, match="one document"):
        explained([document(1), document(2)], [line(1), line(2)])


def test_the_numbers_of_any_explanation_are_those_of_the_voucher() -> None:
    checked = 0
    for seed in range(12):
        random = Random(seed)  # noqa: S311  (repeatable)
        book: Book = random_book(random)
        ruleset = random_rules(random)
        documents, lines, write_offs = random_case(random, book, 30)
        made = run(ruleset, book, documents, lines, write_offs)
        for pk in made.vouchers["document_pk"].unique().to_list()[:8]:
            own: Sources = sources(
                [row for row in documents if row["id"] == pk],
                [row for row in lines if row["document_pk"] == pk],
                [row for row in write_offs if row["document_pk"] == pk],
            )
            told = explain(ruleset, book, own)
            rows = made.lines.filter(document_pk=pk).to_dicts()
            assert len(told) == len(rows)
            for one, row in zip(told, rows, strict=True):
                assert (one.event, one.line_no) == (row["event"], row["line_no"])
                amount, _, currency = re.sub(r" \([^)]*\)$", "", one.arithmetic[-1].en).rpartition(" ")
                number = amount.rpartition(" ")[2].replace(",", "")
                assert parse_minor(number, currency) == row["amount_minor"], one
                assert row["account"] in one.account.zh
                checked += 1
    assert checked > 100
