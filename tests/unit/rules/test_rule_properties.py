"""Whatever the documents and whatever the rules: balanced or a problem, nothing lost, order irrelevant."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from include.domain.account import AuxiliaryDimension
from include.domain.money import MAX_MINOR, Money
from include.domain.voucher import JournalLine, Side, Voucher, VoucherKey
from include.rules import Generated, RuleSet
from include.rules.facts import MEASURES, Fact, FactType, Scope
from include.rules.lookup import lookup
from include.rules.ruleset import Template
from include.rules.schema import VoucherTemplate
from include.rules.tables import Cell, CellKind, DecisionTable, TableRow
from tests.unit.rules.cases import DAY, Row, document, example, line, run, write_off

BOOK, RULES = example("acme")
FEES = ("COST11", "COST30", "COST40", "COST92", "X1")
DEPARTMENTS = ("FIN", "SALES-E", "RD-1", "PROD", None)
MANY = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])

amounts = st.integers(min_value=-(10**6), max_value=10**7)
maybe_amounts = st.none() | amounts | st.just(MAX_MINOR - 10**9)


@st.composite
def lines_of(draw: st.DrawFn, pk: int) -> list[Row]:
    result = []
    for no in range(1, draw(st.integers(0, 3)) + 1):
        currency = draw(st.sampled_from(["CNY", "CNY", "USD", "JPY"]))
        functional = draw(amounts)
        result.append(
            line(
                pk,
                no,
                fee_type=draw(st.sampled_from(FEES)),
                department=draw(st.sampled_from(DEPARTMENTS)),
                project=draw(st.sampled_from([None, "P1 项目"])),
                currency=currency,
                amount_minor=functional if currency == "CNY" else draw(amounts),
                functional_minor=draw(st.sampled_from([functional, functional, functional, None])),
                tax_minor=draw(st.sampled_from([0, 0, functional // 10, None])),
            )
        )
    return result


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Row], list[Row], list[Row]]:
    """Documents, lines, write-offs: most add up, some do not."""
    documents, lines, write_offs = [], [], []
    for pk in range(1, draw(st.integers(1, 3)) + 1):
        own = draw(lines_of(pk))
        known = [row["functional_minor"] for row in own if row["functional_minor"] is not None]
        written_off = draw(st.sampled_from([0, 0, sum(known) // 2, sum(known) + 5]))
        currencies = {row["currency"] for row in own}
        currency = currencies.pop() if len(currencies) == 1 else "CNY"
        transaction = sum(row["amount_minor"] for row in own) if currency != "CNY" else sum(known)
        documents.append(
            document(
                pk,
                kind=draw(
                    st.sampled_from(["expense_claim"] * 5 + ["loan", "receipt", "requisition", "unknown"])
                ),
                business_date=draw(st.sampled_from([DAY, DAY, None])),
                payment_channel=draw(st.sampled_from(["", "OFFLINE"])),
                department=draw(st.sampled_from(DEPARTMENTS)),
                currency=currency,
                gross_minor=draw(st.sampled_from([sum(known)] * 5 + [draw(maybe_amounts)])),
                transaction_gross_minor=transaction,
                written_off_minor=written_off,
            )
        )
        lines += own
        if written_off:
            write_offs.append(write_off(pk, 1, written_off))
    return documents, lines, write_offs


@st.composite
def templates(draw: st.DrawFn) -> Template:
    """A template of any lines, most of which will not balance."""
    entries: list[dict[str, Any]] = []
    for number in range(draw(st.integers(2, 5))):
        scope = draw(st.sampled_from(list(Scope)))
        entries.append(
            {
                "name": f"e{number}",
                "for_each": scope,
                "side": Side.DEBIT
                if number == 0
                else Side.CREDIT
                if number == 1
                else draw(st.sampled_from(list(Side))),
                "measure": draw(st.sampled_from(sorted(MEASURES[scope]))),
                "red": draw(st.booleans()),
                "account": {"key": draw(st.sampled_from(sorted(RULES.accounts)))},
                "optional_dimensions": draw(st.sampled_from([{}, {"employee": "document.submitter"}])),
                "merge": draw(st.sampled_from(["none", "account_and_dimensions"])),
            }
        )
    spec = VoucherTemplate.model_validate(
        {
            "id": "any",
            "event": "any",
            "title": {"zh": "任意", "en": "any"},
            "kinds": ["expense_claim", "loan"],
            "summary": "{document.code}",
            "lines": entries,
        }
    )
    return Template(spec, "any.yaml", 1, tuple(range(2, 2 + len(entries))))


def rules_with(template: Template | None) -> RuleSet:
    """The example rules, or one template in their place."""
    return RULES if template is None else replace(RULES, templates=(template,))


def assert_sound(made: Generated, documents: list[Row], currency: str = "CNY") -> None:
    """Every document in one place, and every voucher one that the domain accepts."""
    places = Counter(made.vouchers["document_pk"].unique().to_list())
    places.update(made.no_voucher["document_pk"].to_list())
    places.update(made.problems["document_pk"].unique().to_list())
    assert places == Counter(row["id"] for row in documents)
    for head in made.vouchers.iter_rows(named=True):
        own = made.lines.filter(document_pk=head["document_pk"], event=head["event"])
        voucher = Voucher(
            VoucherKey("b", "s", str(head["document_pk"]), head["event"], 1),
            head["word"],
            head["date"],
            tuple(journal_line(row, currency) for row in own.iter_rows(named=True)),
        )
        assert voucher.total.minor == head["debit_minor"] == head["credit_minor"]
        assert own["line_no"].to_list() == list(range(1, own.height + 1))
        assert own["side"].to_list() == sorted(own["side"], key=["debit", "credit"].index)


def journal_line(row: dict[str, Any], currency: str = "CNY") -> JournalLine:
    foreign = row["transaction_currency"]
    return JournalLine(
        row["line_no"],
        Side(row["side"]),
        row["account"],
        Money(row["amount_minor"], currency),
        row["summary"],
        tuple(
            AuxiliaryDimension(*d)
            for d in pl.Series([row["dimensions"]]).str.json_decode(pl.List(pl.List(pl.String)))[0]
        ),
        Money(row["transaction_minor"], foreign) if foreign else None,
    )


@MANY
@given(st.none() | templates(), cases())
def test_balanced_or_a_problem(
    template: Template | None, case: tuple[list[Row], list[Row], list[Row]]
) -> None:
    assert_sound(run(rules_with(template), BOOK, *case), case[0])


@MANY
@given(st.none() | templates(), cases(), st.integers(0, 9))
def test_order_does_not_matter(
    template: Template | None, case: tuple[list[Row], list[Row], list[Row]], seed: int
) -> None:
    first = run(rules_with(template), BOOK, *case)
    shuffled = (Random(seed).sample(rows, len(rows)) for rows in case)  # noqa: S311  (a repeatable order)
    documents, lines, write_offs = shuffled
    second = run(rules_with(template), BOOK, documents, lines, write_offs)
    for name in ("vouchers", "lines", "no_voucher", "problems"):
        assert_frame_equal(getattr(first, name), getattr(second, name))


@MANY
@given(cases())
def test_a_document_does_not_depend_on_the_others(case: tuple[list[Row], list[Row], list[Row]]) -> None:
    documents, lines, write_offs = case
    together = run(RULES, BOOK, *case)
    for row in documents:
        pk = row["id"]
        alone = run(
            RULES,
            BOOK,
            [row],
            [one for one in lines if one["document_pk"] == pk],
            [one for one in write_offs if one["document_pk"] == pk],
        )
        assert_frame_equal(alone.lines, together.lines.filter(document_pk=pk))
        assert_frame_equal(alone.problems, together.problems.filter(document_pk=pk))


@MANY
@given(cases())
def test_a_claims_lines_and_taxes_arrive_whole(case: tuple[list[Row], list[Row], list[Row]]) -> None:
    """Where lines keep the tax that they come with; the table of input VAT has properties of its own."""
    made = run(replace(RULES, input_vat=None), BOOK, *case)
    for head in made.vouchers.filter(event="expense_claim").iter_rows(named=True):
        pk = head["document_pk"]
        own = [row for row in case[1] if row["document_pk"] == pk]
        booked = made.lines.filter(document_pk=pk)
        tax = booked.filter(entry="input_tax")["amount_minor"].sum()
        net = booked.filter(entry="expense")["amount_minor"].sum()
        assert tax == sum(row["tax_minor"] for row in own)
        assert net + tax == sum(row["functional_minor"] for row in own)


# -- decision tables against the definition, one key at a time ------------------------------------------

CONDITIONS = (
    Fact("line", "fee_type", FactType.TEXT),
    Fact("line", "department", FactType.TEXT),
    Fact("line", "gross", FactType.AMOUNT),
)
words = st.sampled_from(["", "A", "AB", "ABC", "B", "BA"])
decimals = st.none() | st.integers(-5, 25).map(lambda tenths: Decimal(tenths) / 10)


@st.composite
def text_cells(draw: st.DrawFn) -> Cell:
    kind = draw(st.sampled_from([CellKind.ANY, CellKind.VALUES, CellKind.PREFIX, CellKind.PRESENT]))
    if kind is CellKind.VALUES:
        return Cell(kind, tuple(sorted(draw(st.sets(words, min_size=1, max_size=3)))))
    return Cell(kind, (draw(st.sampled_from(["A", "AB", "B"])),)) if kind is CellKind.PREFIX else Cell(kind)


@st.composite
def tables(draw: st.DrawFn) -> DecisionTable:
    rows = []
    for number in range(draw(st.integers(1, 8))):
        day = draw(st.none() | st.integers(0, 3).map(lambda n: DAY + timedelta(n)))
        bounds = (draw(decimals), draw(decimals))
        amount = draw(
            st.sampled_from([Cell(CellKind.ANY), Cell(CellKind.PRESENT), Cell(CellKind.RANGE, (), *bounds)])
        )
        cells = (draw(text_cells()), draw(text_cells()), amount)
        rows.append(TableRow(number + 2, cells, f"acc{number}", draw(st.sampled_from([0, 0, 1])), day))
    return DecisionTable("t", str(Path("t.csv")), CONDITIONS, tuple(rows))


def fits(cell: Cell, value: str | int | None) -> bool:
    """The definition, as docs/rules.md states it."""
    if cell.kind is CellKind.ANY:
        return True
    if cell.kind is CellKind.PRESENT:
        return value not in ("", None)
    if cell.kind is CellKind.RANGE:
        major = None if value is None else Decimal(value) / 100
        return (
            major is not None
            and (cell.start is None or major >= cell.start)
            and (cell.end is None or major <= cell.end)
        )
    if cell.kind is CellKind.PREFIX:
        return str(value).startswith(cell.values[0])
    return value in cell.values


@MANY
@given(
    tables(),
    st.lists(
        st.tuples(words, words, st.none() | st.integers(-60, 260), st.integers(0, 3)), min_size=1, max_size=8
    ),
)
def test_lookup_is_its_definition(table: DecisionTable, keys: list[tuple[str, str, int | None, int]]) -> None:
    frame = pl.DataFrame(
        [(n, DAY + timedelta(day), a, b, c) for n, (a, b, c, day) in enumerate(keys)],
        schema={
            "key": pl.Int64, "date": pl.Date, "line.fee_type": pl.String, "line.department": pl.String, "line.gross": pl.Int128,
        },
        orient="row",
    )  # fmt: skip
    found = {row["key"]: row for row in lookup(table, frame, decimals=2).iter_rows(named=True)}
    for number, (a, b, c, day) in enumerate(keys):
        fitting = [
            row
            for row in table.rows
            if all(map(fits, row.cells, (a, b, c))) and in_force(row, DAY + timedelta(day))
        ]
        best = [row for row in fitting if row.rank == max(one.rank for one in fitting)]
        answer = found.get(number)
        assert (answer is None) == (not best)
        if answer is not None:
            assert answer["account"] == best[0].account
            assert answer["rows"] == (None if len(best) == 1 else "、".join(str(row.row) for row in best))


def in_force(row: TableRow, day: date) -> bool:
    return (row.valid_from is None or row.valid_from <= day) and (row.valid_to is None or day <= row.valid_to)
