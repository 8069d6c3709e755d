"""Templates that are proved to balance, and those that cannot: what a person is told, and that it is true."""

# ruff: noqa: ISC004 - a template is easier to read line by line

from __future__ import annotations

from pathlib import Path

import pytest

from include.rules import RuleSet, load_rules
from include.rules.balancing import check_balance
from include.rules.choosing import check_choice
from include.rules.proofs import Finding, Severity
from tests.unit.rules.cases import book, document, example, line, problems, run, write_rules

ACCOUNTS = "key,account,note\na,1001,\nb,1002,\n"


def rules(folder: Path, text: str) -> RuleSet:
    return load_rules(*write_rules(folder, {"a.yaml": "templates:\n" + text, "accounts.csv": ACCOUNTS}))


def template(
    lines: str, head: str = "", identity: str = "t", event: str = "e", kinds: str = "expense_claim"
) -> str:
    made = "".join(
        f"      - {{name: l{n}, account: {{key: a}}, {x.strip()}}}\n"
        for n, x in enumerate(lines.strip().splitlines())
    )
    return (
        f"  - id: {identity}\n    event: {event}\n    title: {{zh: 模板, en: template}}\n    kinds: [{kinds}]\n"
        f'    summary: "{{document.code}}"\n{head}    lines:\n{made}'
    )


SETTLED = """
    side: credit, measure: written_off, for_each: write_off
    side: credit, measure: company_paid
    side: credit, measure: payable
    side: debit, measure: refund
"""
BALANCED = {
    "gross on both sides": "side: debit, measure: gross\nside: credit, measure: gross",
    "lines against the total": "side: debit, measure: gross, for_each: line\nside: credit, measure: gross",
    "net and tax": "side: debit, measure: net_of_deductible_tax, for_each: line\n"
    "side: debit, measure: deductible_tax, for_each: line\nside: credit, measure: gross",
    "tax of the document": "side: debit, measure: net_of_deductible_tax\nside: debit, measure: deductible_tax, for_each: line\n"
    "side: credit, measure: gross, for_each: line",
    "all that settles it": "side: debit, measure: gross" + SETTLED,
    "a condition and its opposite": "side: debit, measure: gross\n"
    "side: credit, measure: gross, when: {document.supplier: is_missing}\n"
    "side: credit, measure: gross, when: {document.supplier: not_missing}",
    "lines by fee type": "side: debit, measure: gross, for_each: line, when: {line.fee_type: {prefix: A}}\n"
    "side: debit, measure: gross, for_each: line, when: {line.fee_type: is_missing}\n"
    "side: credit, measure: gross, for_each: line, when: {line.fee_type: is_missing}\n"
    "side: credit, measure: gross, for_each: line, when: {line.fee_type: {prefix: A}}",
    "ranges that meet": "side: debit, measure: gross\n"
    "side: credit, measure: gross, when: {document.gross: {range: {to: 100}}}\n"
    "side: credit, measure: gross, when: {document.gross: {range: {from: 100.01}}}",
    "red against red": "side: debit, red: true, measure: gross\nside: credit, red: true, measure: gross",
    "red against the other side": "side: debit, red: true, measure: gross\nside: debit, measure: gross, for_each: line\n"
    "side: credit, measure: company_paid\nside: credit, red: true, measure: company_paid",
    "a share and its rest": "side: debit, measure: gross, for_each: line\n"
    "side: credit, measure: gross, for_each: line, fraction: 0.2\n"
    "side: credit, measure: gross, for_each: line, less: [l1]",
    "a share under a condition": "side: debit, measure: gross\n"
    "side: credit, measure: gross, fraction: 0.2, when: {document.supplier: not_missing}\n"
    "side: credit, measure: gross, less: [l1]",
    "the same share on both sides": "side: debit, measure: gross\nside: credit, measure: gross\n"
    "side: debit, measure: gross, fraction: 0.06\nside: credit, measure: gross, fraction: 0.06",
    "a share of the lines is that of the document": "side: debit, measure: gross, for_each: line, fraction: 0.06\n"
    "side: credit, measure: gross, fraction: 0.06",
    "lines for amounts that are there": "side: debit, measure: gross\n"
    "side: credit, measure: payable, when: {document.payable: {range: {from: 0.01}}}\n"
    "side: credit, measure: company_paid\nside: credit, measure: written_off\nside: debit, measure: refund",
    "flags say what is zero": "side: debit, measure: gross\nside: credit, measure: payable\n"
    "side: credit, measure: company_paid, when: {document.has_company_paid: {equals: 'yes'}}\n"
    "side: credit, measure: written_off, when: {document.has_write_off: {equals: 'yes'}}\nside: debit, measure: refund",
}  # fmt: skip


@pytest.mark.parametrize("name", BALANCED)
def test_balanced_templates_are_proved(tmp_path: Path, name: str) -> None:
    assert check_balance(rules(tmp_path, template(BALANCED[name])), 2) == []


def test_a_template_for_documents_that_nothing_was_written_off_on(tmp_path: Path) -> None:
    head = "    when: {document.has_write_off: {equals: 'no'}, document.has_company_paid: {equals: 'no'}}\n"
    text = template("side: debit, measure: gross\nside: credit, measure: payable", head)
    assert check_balance(rules(tmp_path, text), 2) == []


UNBALANCED = {
    "tax on one side": ("side: debit, measure: net_of_deductible_tax, for_each: line\nside: credit, measure: gross", "可抵扣税额"),
    "nothing was written off": ("side: debit, measure: gross\nside: credit, measure: payable", "应付"),
    "a case without a line": (
        "side: debit, measure: gross\nside: credit, measure: gross, when: {document.payment_channel: {equals: X}}",
        "document.payment_channel",
    ),
    "lines of one fee type only": (
        "side: debit, measure: gross, for_each: line, when: {line.fee_type: {prefix: A}}\nside: credit, measure: gross",
        "明细金额",
    ),
    "a cent between two ranges": (
        "side: debit, measure: gross\nside: credit, measure: gross, when: {document.gross: {range: {to: 100}}}\n"
        "side: credit, measure: gross, when: {document.gross: {range: {from: 101}}}",
        "document.gross",
    ),
    "twice": ("side: debit, measure: gross\nside: credit, measure: gross\nside: credit, measure: gross, for_each: line", "明细金额"),
    "a field of the form with nothing against it": (
        "side: debit, measure: gross\nside: credit, measure: gross\nside: credit, measure: document.properties.withheld",
        "less",
    ),
    "red by mistake": ("side: debit, measure: gross\nside: credit, red: true, measure: gross", "2 × "),
}  # fmt: skip


@pytest.mark.parametrize("name", UNBALANCED)
def test_templates_that_cannot_balance(tmp_path: Path, name: str) -> None:
    lines, told = UNBALANCED[name]
    (finding,) = check_balance(rules(tmp_path, template(lines)), 2)
    assert (finding.code, finding.severity) == ("rules.cannot_balance", Severity.ERROR)
    assert (finding.file, finding.line) == ("rules/test/a.yaml", 2)
    assert told in finding.zh
    assert "'t'" in finding.en


def test_what_is_called_unbalanced_is_quarantined_and_what_is_proved_is_not(tmp_path: Path) -> None:
    case = (
        [
            document(
                gross_minor=10_050,
                written_off_minor=50,
                company_paid_minor=1_000,
                supplier="S1 供应商",
                properties={"withheld": "1.00"},
            )
        ],
        [line(amount=4_000, tax_minor=300), line(no=2, amount=6_050, fee_type="B1 乙", tax_minor=7)],
        [{"document_pk": 1, "seq": 1, "loan_document_id": "L", "amount_minor": 50}],
    )
    for name, (lines, _) in UNBALANCED.items():
        found = problems(run(rules(tmp_path / name, template(lines)), book(), *case))
        assert found in ([(1, "rules.unbalanced")], [(1, "rules.no_lines")]), name
    for name, lines in BALANCED.items():
        if name not in ("lines by fee type", "red against the other side"):
            assert problems(run(rules(tmp_path / name, template(lines)), book(), *case)) == [], name


def test_fractions_that_miss_a_cent(tmp_path: Path) -> None:
    lines = "side: debit, measure: gross\nside: credit, measure: gross, fraction: 0.5\nside: credit, measure: gross, fraction: 0.5"
    ruleset = rules(tmp_path, template(lines))
    (finding,) = check_balance(ruleset, 2)
    assert (finding.code, "less" in finding.en) == ("rules.balance_rounding", True)
    assert problems(run(ruleset, book(), [document(gross_minor=101)])) == [(1, "rules.unbalanced")]


def test_amounts_that_only_the_form_knows_are_a_note(tmp_path: Path) -> None:
    lines = "side: debit, measure: document.properties.net\nside: credit, measure: gross"
    (finding,) = check_balance(rules(tmp_path, template(lines)), 2)
    assert (finding.code, finding.severity) == ("rules.balance_depends", Severity.NOTE)
    assert "document.properties.net" in finding.zh


@pytest.mark.parametrize("book_id", ["acme", "eur"])
def test_the_shipped_books_are_proved(book_id: str) -> None:
    _, ruleset = example(book_id)
    found = [*check_balance(ruleset, 2), *check_choice(ruleset, 2)]
    assert [one.code for one in found if one.severity is not Severity.NOTE] == []


# -- which template ----------------------------------------------------------------------------------

BOTH = "side: debit, measure: gross\nside: credit, measure: gross"


def choice(folder: Path, *templates: str, kinds: tuple[str, ...] = ()) -> list[Finding]:
    return check_choice(rules(folder, "".join(templates)), 2, kinds)


def test_templates_that_fit_the_same_document(tmp_path: Path) -> None:
    (finding,) = choice(
        tmp_path,
        template(BOTH, "    when: {document.payment_channel: not_missing}\n"),
        template(BOTH, "    when: {document.supplier: not_missing}\n", "u"),
        template(
            BOTH, "    when: {document.supplier: is_missing, document.payment_channel: is_missing}\n", "v"
        ),
    )
    assert finding.code == "rules.template_overlap"
    assert "'u'" in finding.zh
    assert "document.payment_channel" in finding.witness


def test_templates_of_several_events_may_fit_together(tmp_path: Path) -> None:
    assert choice(tmp_path, template(BOTH), template(BOTH, identity="u", event="f")) == []


def test_a_voucher_and_none_at_once(tmp_path: Path) -> None:
    silent = "  - {id: s, event: f, title: {zh: 无, en: none}, kinds: [expense_claim], no_voucher: {zh: 无, en: none}}\n"
    (finding,) = choice(tmp_path, template(BOTH), silent)
    assert finding.code == "rules.template_overlap"


def test_documents_that_no_template_takes(tmp_path: Path) -> None:
    (finding,) = choice(tmp_path, template(BOTH, "    when: {document.gross: {range: {from: 0.01, to: 100}}}\n"),
        template(BOTH, "    when: {document.gross: {range: {from: 100.02}}}\n", "u"),
        template(BOTH, "    when: {document.gross: {range: {to: 0}}}\n", "v"),
        template(BOTH, "    when: {document.gross: is_missing}\n", "w"))  # fmt: skip
    assert (finding.code, finding.witness) == ("rules.template_gap", "document.gross = 100.01")


def test_a_gap_stays_a_gap_where_templates_begin_or_end(tmp_path: Path) -> None:
    for dates in ("valid_from: 2026-01-01", "valid_to: 2026-12-31"):
        head = f"    when: {{document.payment_channel: not_missing}}\n    {dates}\n"
        (finding,) = choice(tmp_path, template(BOTH, head))
        assert (finding.code, finding.witness) == ("rules.template_gap", "document.payment_channel <missing>")


def test_a_flood_of_gaps_is_counted(tmp_path: Path) -> None:
    values = ", ".join(f"V{n}" for n in range(30))
    names = ("title", "payment_channel")
    head = "    when: {" + ", ".join(f"document.{name}: {{in: [{values}]}}" for name in names) + "}\n"
    found = choice(
        tmp_path, template(BOTH, head), template(BOTH, "    when: {document.code: {equals: X}}\n", "u")
    )
    gaps = [one for one in found if one.code == "rules.template_gap"]
    assert len(gaps) <= 201


def test_a_hole_in_time_is_found_and_the_ends_are_not(tmp_path: Path) -> None:
    (finding,) = choice(
        tmp_path,
        template(BOTH, "    valid_from: 2025-01-01\n    valid_to: 2025-06-30\n"),
        template(BOTH, "    valid_from: 2025-07-02\n", "u"),
    )
    assert (finding.code, "2025-07-01" in finding.zh) == ("rules.template_gap", True)


def test_templates_that_follow_each_other(tmp_path: Path) -> None:
    first = template(BOTH, "    valid_to: 2025-06-30\n")
    assert choice(tmp_path, first, template(BOTH, "    valid_from: 2025-07-01\n", "u")) == []
    (finding,) = choice(tmp_path, first, template(BOTH, "    valid_from: 2025-06-30\n", "u"))
    assert finding.code == "rules.template_overlap"


def test_a_kind_that_the_oa_sends_needs_a_template(tmp_path: Path) -> None:
    (finding,) = choice(tmp_path, template(BOTH), kinds=("expense_claim", "loan"))
    assert (finding.code, finding.witness) == ("rules.no_template", "loan")


def test_too_many_conditions_are_said_to_be_unproved(tmp_path: Path) -> None:
    values = ", ".join(f"V{n}" for n in range(40))
    names = ("title", "code", "payment_channel", "currency")
    head = "    when: {" + ", ".join(f"document.{name}: {{in: [{values}]}}" for name in names) + "}\n"
    ruleset = rules(tmp_path, template(BOTH, head))
    assert [one.code for one in check_balance(ruleset, 2)] == ["rules.not_proved"]
    assert "rules.not_proved" in [one.code for one in check_choice(ruleset, 2)]
