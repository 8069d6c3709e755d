"""Proofs of small random tables against all their cases, one by one: every mistake is found, and nothing else."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import product
from math import inf
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from include.rules.defects import Defects, defects_of
from include.rules.facts import Fact, FactType
from include.rules.lookup import lookup
from include.rules.proofs import check_tables
from include.rules.regions import Box, NumberAxis
from include.rules.ruleset import RuleSet, Template
from include.rules.schema import VoucherTemplate
from include.rules.tables import Cell, CellKind, DecisionTable, TableRow
from include.rules.uses import Model, model_of, uses_of
from tests.unit.rules.seeded_tables import ANY, amounts, cases_of, cell, fits, rules, table, winners

FEE, DEPARTMENT = Fact("line", "fee_type", FactType.TEXT), Fact("line", "department", FactType.TEXT)
GROSS = Fact("line", "gross", FactType.AMOUNT)
JANUARY = date(2026, 1, 1)
FEES = {"A": "A", "B": "B", "AB": "AB", "A*": "AZ", "AB*": "ABZ", "<missing>": "", "<present>": "Z"}
DEPARTMENTS = {"D": "D", "D1": "D1", "D*": "D9", "<missing>": "", "<present>": "Q"}
"""One value of each class that the cells below can tell apart, by how the class is written."""

fees = st.sampled_from(
    ["*", "*", "A", "B", "AB", "A|B", "A|<missing>", "A*", "AB*", "<missing>", "<present>"]
).map(cell)
departments = st.sampled_from(["*", "*", "D", "D1", "D|D1", "D*", "<missing>", "<present>"]).map(cell)
bounds = st.integers(-2, 4).map(lambda n: n * 60)
ranges = st.one_of(
    st.just(ANY),
    st.just(Cell(CellKind.PRESENT)),
    st.tuples(bounds, st.integers(0, 130)).map(lambda pair: amounts(pair[0], pair[0] + pair[1])),
    bounds.map(lambda start: amounts(start, None)),
    bounds.map(lambda end: amounts(None, end)),
)
days = st.one_of(st.none(), st.integers(0, 8).map(lambda n: JANUARY + timedelta(days=n)))
spans = st.tuples(days, days).map(lambda pair: pair if None in pair else tuple(sorted(pair)))  # type: ignore[type-var]
no_days = st.just((None, None))


def tables(columns: tuple[Fact, ...], *cells: Any, dates: Any = no_days) -> st.SearchStrategy[DecisionTable]:
    row = st.tuples(st.tuples(*cells), st.integers(0, 1), dates)
    return st.lists(row, min_size=1, max_size=7, unique=True).map(
        lambda rows: table(
            [
                TableRow(number, texts, f"{number}", priority, *span)
                for number, (texts, priority, span) in enumerate(rows, start=2)
            ],
            columns,
        )
    )


whole = tables((FEE, DEPARTMENT, GROSS), fees, departments, ranges, dates=spans)
texts = tables((FEE, DEPARTMENT), fees, departments)
by_amount = tables((FEE, GROSS), fees, ranges)
by_day = tables((FEE,), fees, dates=spans)


def values(of: DecisionTable) -> dict[str, list[Any]]:
    """A value of every class, and for numbers and days those at and beside each bound."""
    numbers: set[int] = {0}
    dates = {JANUARY}
    for row in of.rows:
        for condition in row.cells:
            found = [int(b.scaleb(2)) for b in (condition.start, condition.end) if b is not None]
            numbers |= {bound + step for bound in found for step in (-1, 0, 1)}
        for day in (row.valid_from, row.valid_to):
            dates |= {day + timedelta(days=step) for step in (-1, 0, 1)} if day else set()
    return {
        "line.fee_type": list(FEES.values()),
        "line.department": list(DEPARTMENTS.values()),
        "line.gross": [None, *sorted(numbers)],
        "date": sorted(dates) if of.has_dates else [JANUARY],
    }


def model(of: DecisionTable) -> Model:
    return model_of(of, [], 2)


def answers(of: DecisionTable, cases: list[dict[str, Any]]) -> list[tuple[int, ...]]:
    """The rows that `lookup` names for each case: none, one, or several that are equally good."""
    types = {f.path: pl.Int128 if f.type is FactType.AMOUNT else pl.String for f in of.conditions}
    schema: dict[str, Any] = {"key": pl.Int64, **types, "date": pl.Date}
    keys = pl.DataFrame(
        [{"key": i, **{name: case.get(name) for name in (*types, "date")}} for i, case in enumerate(cases)],
        schema=schema,
    )
    found: list[tuple[int, ...]] = [()] * len(cases)
    for answer in lookup(of, keys, 2).iter_rows(named=True):
        rows = answer["rows"].split("、") if answer["rows"] else [answer["table_row"]]
        found[answer["key"]] = tuple(int(row) for row in rows)
    return found


@settings(max_examples=60, deadline=None)
@given(whole)
def test_rows_that_clash_and_rows_that_never_apply(of: DecisionTable) -> None:
    taken = {winners(of, case) for case in cases_of(of, values(of))}
    clashing = {pair for rows in taken for pair in product(rows, rows) if pair[0] < pair[1]}
    found = defects_of(model(of))
    assert {tuple(of.rows[index].row for index in one.rows) for one in found.overlaps} == clashing
    never = {row.row for row in of.rows} - {row for rows in taken for row in rows}
    assert {of.rows[one.row].row for one in found.unreachable} == never
    assert not found.unproved


@settings(max_examples=40, deadline=None)
@given(whole)
def test_the_meaning_of_a_table_is_that_of_lookup(of: DecisionTable) -> None:
    every = list(cases_of(of, values(of)))
    cases = every[:: max(1, len(every) // 300)]
    assert answers(of, cases) == [winners(of, case) for case in cases]


@settings(max_examples=120, deadline=None)
@given(st.one_of(whole, texts, by_amount, by_day))
def test_every_example_shows_what_the_finding_says(of: DecisionTable) -> None:
    found = [one for one in check_tables(rules(of), 2) if one.case]
    rank = {row.row: row.rank for row in of.rows}
    for one, rows in zip(found, answers(of, [dict(one.case) for one in found]), strict=True):
        match one.code:
            case "rules.overlap":
                assert one.line in rows
                assert len(set(rows) & set(one.rows)) > 1
            case "rules.unreachable":
                assert rows
                assert one.line not in rows
            case "rules.gap":
                assert rows == ()
            case "rules.date_hole" | "rules.amount_hole":
                assert rows == () if one.severity == "error" else rows[0] in one.rows
                assert all(rank[row] < rank[one.line] for row in rows)
            case code:
                raise AssertionError(code)


def named_classes(of: DecisionTable, column: int, classes: dict[str, str]) -> list[str]:
    """How the table writes the classes that it names in a column; `<present>` stands for any other value."""
    kinds = [row.cells[column] for row in of.rows]
    written = {value for one in kinds if one.kind is CellKind.VALUES for value in one.values}
    starts = {f"{one.values[0]}*" for one in kinds if one.kind is CellKind.PREFIX}
    has_present = any(one.kind is CellKind.PRESENT for one in kinds)
    named = {value for value in written if value} | starts
    if not named and not written and not has_present:
        return ["<present>"]
    if "" in written or has_present:
        named.add("<missing>")
    if has_present or named == {"<missing>"}:
        named.add("<present>")
    return [name for name in classes if name in named]


def shown(found: Defects, of: DecisionTable) -> set[tuple[str, ...]]:
    """The classes of all gaps, each combination by itself; a class that is written nowhere is told as `<present>`."""
    result: set[tuple[str, ...]] = set()
    axes = model(of).grid.axes
    for region in found.gaps:
        parts = [axis.shown(mask) for axis, mask in zip(axes, region, strict=True)]
        result |= set(product(*parts))
    return result


@settings(max_examples=200, deadline=None)
@given(texts)
def test_gaps_among_the_combinations_that_a_table_names(of: DecisionTable) -> None:
    columns = [named_classes(of, 0, FEES), named_classes(of, 1, DEPARTMENTS)]
    expected = set()
    for fee, department in product(*columns):
        # A beginning that is named within another one stands for itself there.
        case = {"line.fee_type": FEES[fee], "line.department": DEPARTMENTS[department], "date": JANUARY}
        if not winners(of, case):
            expected.add((fee, department))
    all_any = [all(row.cells[c].kind is CellKind.ANY for row in of.rows) for c in (0, 1)]
    found = {
        tuple("<present>" if free else name for free, name in zip(all_any, names, strict=True))
        for names in shown(defects_of(model(of)), of)
    }
    assert found == expected


def between(axis: NumberAxis, mask: int, number: Any) -> bool:
    value = number.toordinal() if isinstance(number, date) else number
    return any(
        (low is None or low <= value) and (high is None or value <= high) for low, high in axis.bounds(mask)
    )


@settings(max_examples=200, deadline=None)
@given(st.one_of(by_amount, by_day))
def test_inner_holes_are_told_once_as_holes_or_as_gaps(of: DecisionTable) -> None:
    name = "line.gross" if len(of.conditions) > 1 else "date"
    is_present_named = any(cell.kind is CellKind.PRESENT for row in of.rows for cell in row.cells[1:])
    assume(of.has_dates if name == "date" else not is_present_named)
    numbers = [value for value in values(of)[name] if value is not None]
    fees_named = named_classes(of, 0, FEES)
    inner, nowhere = set(), set()
    for fee in fees_named:
        cases = [{"line.fee_type": FEES[fee], "date": JANUARY, name: number} for number in numbers]
        taken = [at for at, case in enumerate(cases) if winners(of, case)]
        span = range(taken[0], taken[-1]) if taken else ()
        inner |= {(fee, numbers[at]) for at in span if at not in taken}
        nowhere |= set() if taken else {(fee, number) for number in numbers}
    found = defects_of(model(of))
    fee_axis, axis = model(of).grid.axes
    assert isinstance(axis, NumberAxis)

    def points(boxes: list[Box]) -> set[tuple[str, Any]]:
        combinations = [(box, fee, number) for box in boxes for fee in fees_named for number in numbers]
        return {
            (fee, number)
            for box, fee, number in combinations
            if fee in fee_axis.shown(box[0]) and between(axis, box[1], number)
        }

    in_gaps, in_holes = points(found.gaps), points([hole.box for hole in found.holes if hole.taker is None])
    assert inner <= in_gaps | in_holes
    assert in_gaps <= inner | nowhere
    assert not in_gaps & in_holes


def stretch(row: TableRow) -> tuple[float, float]:
    """From where to where a row's amounts, or else its days, go."""
    low: Any = row.valid_from and row.valid_from.toordinal()
    high: Any = row.valid_to and row.valid_to.toordinal()
    if len(row.cells) > 1:
        low, high = (bound and int(bound.scaleb(2)) for bound in (row.cells[1].start, row.cells[1].end))
    return (-inf if low is None else low, inf if high is None else high)


@settings(max_examples=300, deadline=None)
@given(st.one_of(by_amount, by_day))
def test_holes_between_rows_that_say_the_same_otherwise(of: DecisionTable) -> None:
    """An error where nothing takes some of the hole; a warning where a row of lower rank does, among amounts only if the
    hole is a slip of less than one.
    """
    is_date = len(of.conditions) == 1
    cases = list(cases_of(of, values(of)))
    rank = {row.row: row.rank for row in of.rows}
    expected: dict[tuple[Any, ...], str] = {}
    ranged = [row for row in of.rows if is_date or row.cells[1].kind is CellKind.RANGE]
    for first, second in product(ranged, ranged):
        end, start = stretch(first)[1], stretch(second)[0]
        alike = [row for row in ranged if (row.cells[0], row.priority) == (first.cells[0], first.priority)]
        met = any(low <= start - 1 and high > end for low, high in map(stretch, alike))
        if second not in alike or end + 1 >= start or met:
            continue
        inside = []
        for case in cases:
            number = case["date"].toordinal() if is_date else case["line.gross"]
            if number is not None and end < number < start:
                same = TableRow(0, first.cells[:1], "", valid_from=None)
                if fits(same, table([], (FEE,)), case):
                    inside.append(winners(of, case))
        if () in inside:
            expected[first.cells[0], first.priority, end, start] = "error"
        elif any(rank[rows[0]] < first.rank for rows in inside) and (is_date or start - end <= 100):
            expected[first.cells[0], first.priority, end, start] = "warning"
    found = {}
    for hole in defects_of(model(of)).holes:
        first, second = (of.rows[index] for index in hole.rows)
        key = (first.cells[0], first.priority, stretch(first)[1], stretch(second)[0])
        found[key] = "error" if hole.taker is None else "warning"
    assert found == expected


predicates = st.sampled_from(
    [
        {"equals": "A"},
        {"in": ["A", "B"]},
        {"prefix": "A"},
        {"prefix": "AB"},
        "is_missing",
        "not_missing",
        {"in": ["AB", "Z"]},
    ]
)
HOLDS: dict[str, Any] = {
    "equals": lambda value, of: value == of,
    "in": lambda value, of: value in of,
    "prefix": lambda value, of: value.startswith(of),
    "is_missing": lambda value, _: value == "",
    "not_missing": lambda value, _: value != "",
}


def with_template(of: DecisionTable, when: list[Any]) -> RuleSet:
    """A rule set whose entries, one for each predicate on the fee type, take their account from the table."""
    entries = [
        {
            "name": f"expense{number}",
            "for_each": "line",
            "side": "debit",
            "measure": "gross",
            "account": {"table": of.name},
            "when": {"line.fee_type": predicate},
        }
        for number, predicate in enumerate(when)
    ]
    paid = {"name": "paid", "side": "credit", "measure": "gross", "account": {"key": "bank"}}
    spec = VoucherTemplate.model_validate(
        {
            "id": "claim",
            "event": "claim",
            "title": {"zh": "报销", "en": "Claim"},
            "kinds": ["expense_claim"],
            "summary": "报销",
            "lines": [*entries, paid],
        }
    )
    template = Template(spec, "claims.yaml", 2, tuple(range(3, 3 + len(spec.lines))))
    return RuleSet((template,), {of.name: of}, {}, Path("rules/test"), Path("tables/test"), "")


@settings(max_examples=100, deadline=None)
@given(texts, st.lists(predicates, min_size=1, max_size=2))
def test_only_what_the_entries_let_through_counts(of: DecisionTable, when: list[Any]) -> None:
    ruleset = with_template(of, when)

    def comes(fee: str) -> bool:
        pairs = [(one, None) if isinstance(one, str) else next(iter(one.items())) for one in when]
        return any(HOLDS[name](fee, value) for name, value in pairs)

    cases = [case for case in cases_of(of, values(of)) if comes(case["line.fee_type"])]
    taken = {winners(of, case) for case in cases}
    clashing = {pair for rows in taken for pair in product(rows, rows) if pair[0] < pair[1]}
    found = defects_of(model_of(of, uses_of(ruleset, of, 2), 2))
    assert {tuple(of.rows[index].row for index in one.rows) for one in found.overlaps} == clashing
    never = {row.row for row in of.rows} - {row for rows in taken for row in rows}
    assert {of.rows[one.row].row for one in found.unreachable} == never
    for one in check_tables(ruleset, 2):
        if one.code == "rules.gap":
            assert comes(str(one.case["line.fee_type"]))
            assert not winners(of, {**one.case, "date": JANUARY})
