"""Where two rule sets may differ: as narrow as the change, and never narrower."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from include.rules import RuleSet, load_rules
from include.rules.difference import MOST_REGIONS, Condition, Region, difference, tax_accounts
from include.rules.tables import Cell, CellKind
from include.settings import ResidueAccount
from tests.unit.rules.cases import book, write_rules

CLAIMS = """
templates:
  - id: claim
    event: claim
    title: {zh: 报销, en: Claim}
    kinds: [expense_claim]
    when: {document.payment_channel: not_missing}
    summary: "{document.code}"
    lines:
      - {name: cost, for_each: line, side: debit, measure: net_of_deductible_tax, account: {table: costs}}
      - {name: tax, for_each: line, side: debit, measure: deductible_tax, account: {key: tax}}
      - {name: paid, side: credit, measure: gross, account: {key: bank}, when: {document.supplier: is_missing}}
      - {name: owed, side: credit, measure: gross, account: {key: owed}, when: {document.supplier: not_missing}}
  - id: loan
    event: loan
    title: {zh: 借款, en: Loan}
    kinds: [loan]
    summary: "{document.code}"
    lines:
      - {name: loan, side: debit, measure: gross, account: {key: owed}}
      - {name: paid, side: credit, measure: gross, account: {key: bank}}
"""
ACCOUNTS = "key,account\nbank,1002\ntax,2221\nowed,2241\n"
COSTS = (
    "line.fee_type,document.department,priority,valid_from,account\nA,*,,,6601\nB*,D1,,,6602\n*,*,,,6699\n"
)
FILES = {"claims.yaml": CLAIMS, "accounts.csv": ACCOUNTS, "costs.csv": COSTS}
CHANNEL = Condition("document.payment_channel", Cell(CellKind.PRESENT))

Load = Callable[..., RuleSet]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """The rules above, with the texts of some files replaced."""
    numbers = iter(range(100))

    def rules(*changes: tuple[str, str, str], **files: str) -> RuleSet:
        texts = {**FILES, **{name.replace("__", "."): text for name, text in files.items()}}
        for name, old, new in changes:
            assert old in texts[name]
            texts[name] = texts[name].replace(old, new)
        return load_rules(*write_rules(tmp_path / str(next(numbers)), texts))

    return rules


def values(*texts: str) -> Cell:
    return Cell(CellKind.VALUES, texts)


def claims(**more: object) -> Region:
    """The documents of the claims' template, and no others."""
    documents = frozenset({CHANNEL, *more.pop("documents", ())})  # type: ignore[misc]
    return Region(frozenset({"expense_claim"}), documents=documents, **more)  # type: ignore[arg-type]


def regions(old: RuleSet, new: RuleSet) -> set[Region]:
    found = difference(old, new, book())
    assert found.everywhere == ""
    assert set(difference(new, old, book()).regions) == set(found.regions), "the same in both directions"
    return set(found.regions)


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [("claims.yaml", "报销, en: Claim", "费用报销, en: Expense claim")],
        [("claims.yaml", '"{document.code}"', '"{document.title}"')],
        [("costs.csv", "A,*,,,6601\nB*,D1,,,6602\n", "B*,D1,,,6602\nA,*,,,6601\n")],
        [("accounts.csv", "bank,1002\ntax,2221\n", "tax,2221\nbank,1002\n")],
    ],
    ids=["same", "title", "summary", "order of rows", "order of accounts"],
)
def test_what_has_no_effect_concerns_nobody(changes: list[tuple[str, str, str]], load: Load) -> None:
    assert regions(load(), load(*changes)) == set()


def test_a_column_of_stars_has_no_effect(load: Load) -> None:
    wide = "line.fee_type,document.department,document.title,priority,valid_from,account\n"
    rows = "A,*,*,,,6601\nB*,D1,*,,,6602\n*,*,*,,,6699\n"
    assert regions(load(), load(costs__csv=wide + rows)) == set()


def test_a_row_with_another_account_concerns_what_is_inside_its_conditions(load: Load) -> None:
    found = regions(load(), load(("costs.csv", "B*,D1,,,6602", "B*,D1,,,6603")))
    assert found == {
        claims(
            documents=[Condition("document.department", values("D1"))],
            scope="line",
            things=frozenset({Condition("line.fee_type", Cell(CellKind.PREFIX, ("B",)))}),
        )
    }


def test_a_row_with_other_conditions_concerns_what_was_and_what_is_inside(load: Load) -> None:
    found = regions(load(), load(("costs.csv", "A,*,,,6601", "A|C,*,,,6601")))
    assert {(each.scope, each.things) for each in found} == {
        ("line", frozenset({Condition("line.fee_type", values("A"))})),
        ("line", frozenset({Condition("line.fee_type", values("A", "C"))})),
    }


def test_a_row_that_is_new_gone_or_ranked_otherwise_concerns_its_conditions(load: Load) -> None:
    row = {claims(scope="line", things=frozenset({Condition("line.fee_type", values("A"))}))}
    assert regions(load(), load(("costs.csv", "A,*,,,6601\n", ""))) == row
    assert regions(load(), load(("costs.csv", "A,*,,,6601", "A,*,5,,6601"))) == row


def test_a_default_row_concerns_the_whole_template(load: Load) -> None:
    assert regions(load(), load(("costs.csv", "*,*,,,6699", "*,*,,,6698"))) == {claims()}


def test_the_days_of_a_row_bound_what_it_concerns(load: Load) -> None:
    dated = load(("costs.csv", "A,*,,,6601\n", "A,*,9,2026-07-01,6608\nA,*,,,6601\n"))
    (found,) = regions(load(), dated)
    assert (found.date_from, found.date_to) == (date(2026, 7, 1), None)


def test_an_account_s_key_concerns_the_lines_that_use_it(load: Load) -> None:
    found = regions(load(), load(("accounts.csv", "owed,2241", "owed,2242")))
    with_supplier = Condition("document.supplier", Cell(CellKind.PRESENT))
    assert found == {claims(documents=[with_supplier]), Region(frozenset({"loan"}))}


def test_a_line_with_another_condition_concerns_the_documents_of_both(load: Load) -> None:
    found = regions(
        load(),
        load(
            (
                "claims.yaml",
                "gross, account: {key: bank}, when: {document.supplier: is_missing}",
                "gross, account: {key: bank}, when: {document.supplier: {equals: S1}}",
            )
        ),
    )
    assert found == {
        claims(documents=[Condition("document.supplier", values(""))]),
        claims(documents=[Condition("document.supplier", values("S1"))]),
    }


def test_a_template_for_other_documents_concerns_those_it_was_and_is_for(load: Load) -> None:
    found = regions(load(), load(("claims.yaml", "kinds: [loan]", "kinds: [loan, receipt]")))
    assert found == {Region(frozenset({"loan"})), Region(frozenset({"loan", "receipt"}))}


def test_too_many_rows_to_tell_apart_concern_the_table_s_documents(load: Load) -> None:
    rows = "".join(f"F{n},*,,,66{n % 100:02}\n" for n in range(MOST_REGIONS + 1))
    assert regions(load(), load(("costs.csv", "A,*,,,6601\n", f"A,*,,,6601\n{rows}"))) == {claims()}


def test_the_residue_s_account_concerns_everybody(load: Load) -> None:
    old, new = load(), load(("accounts.csv", "tax,2221", "tax,2222"))
    rounding = book().model_copy(update={"residue": ResidueAccount(account="tax")})
    assert "tax" in difference(old, new, rounding).everywhere
    assert difference(old, new, book()).everywhere == ""


VAT = (
    "invoice.kind,invoice.has_tax,line.fee_type,treatment\ntrain,no,*,fare 9%\n*,*,MEAL,none\n*,*,*,printed\n"
)


def test_a_row_of_input_vat_concerns_documents_with_such_an_invoice(load: Load) -> None:
    old = load(input_vat__csv=VAT)
    kinds = frozenset({"expense_claim", "loan"})
    assert regions(old, load(input_vat__csv=VAT.replace("fare 9%", "none"))) == {
        Region(
            kinds,
            scope="invoice",
            things=frozenset(
                {Condition("invoice.kind", values("train")), Condition("invoice.has_tax", values("no"))}
            ),
        )
    }
    assert regions(old, load(input_vat__csv=VAT.replace("MEAL", "FOOD"))) == {
        Region(kinds, scope="line", things=frozenset({Condition("line.fee_type", values(name))}))
        for name in ("MEAL", "FOOD")
    }


def test_a_table_of_input_vat_that_comes_or_goes_concerns_everybody(load: Load) -> None:
    assert "进项税额" in difference(load(), load(input_vat__csv=VAT), book()).everywhere


def test_tax_accounts_are_those_of_lines_that_take_the_tax(load: Load) -> None:
    assert tax_accounts([load(), load(("accounts.csv", "tax,2221", "tax,2222"))]) == {"2221", "2222"}
