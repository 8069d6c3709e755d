"""Decision tables with mistakes that are known because they were put in, and answers by brute force for small ones.

`seeded(rows, defects, seed)` is a set of clean tables of several shapes, each in its own fee types so that they do not
meet, with mistakes seeded far from each other.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from include.rules.facts import Fact, FactType
from include.rules.regions import Value
from include.rules.ruleset import RuleSet
from include.rules.tables import Cell, CellKind, DecisionTable, TableRow

COLUMNS = (
    Fact("line", "fee_type", FactType.TEXT),
    Fact("line", "department", FactType.TEXT),
    Fact("line", "project", FactType.TEXT),
    Fact("line", "gross", FactType.AMOUNT),
)
ANY = Cell(CellKind.ANY)
PRESENT = Cell(CellKind.PRESENT)


def cell(text: str) -> Cell:
    """A text cell as a table's file has it."""
    if text == "*":
        return ANY
    if text == "<present>":
        return PRESENT
    if text.endswith("*"):
        return Cell(CellKind.PREFIX, (text[:-1],))
    return Cell(
        CellKind.VALUES, tuple(sorted("" if part == "<missing>" else part for part in text.split("|")))
    )


def amounts(start: int | None, end: int | None) -> Cell:
    """A range in minor units of a currency with two decimals."""
    bounds = [None if bound is None else Decimal(bound).scaleb(-2) for bound in (start, end)]
    return Cell(CellKind.RANGE, (), *bounds)


def table(rows: Sequence[TableRow], columns: Sequence[Fact] = COLUMNS) -> DecisionTable:
    return DecisionTable("expense_accounts", "tables/test/expense_accounts.csv", tuple(columns), tuple(rows))


def rules(of: DecisionTable) -> RuleSet:
    """A rule set with this table and no template: everything is asked of it."""
    return RuleSet((), {of.name: of}, {}, Path("rules/test"), Path("tables/test"), "")


@dataclass(frozen=True, slots=True)
class Seeded:
    """A mistake: the code it must be found under, the rows (as shown) that the finding must name, and for one without
    rows of its own, a case that it must tell of.
    """

    code: str
    rows: frozenset[int] = frozenset()
    case: tuple[str, str] = ("", "")


@dataclass
class Builder:
    """Rows in the making; numbers are as an editor shows them."""

    rng: random.Random
    rows: list[TableRow] = field(default_factory=list)
    defects: list[Seeded] = field(default_factory=list)

    def add(
        self, *cells: str | Cell, priority: int = 0, days: tuple[date | None, date | None] = (None, None)
    ) -> int:
        parts = [one if isinstance(one, Cell) else cell(one) for one in cells]
        number = len(self.rows) + 2
        self.rows.append(TableRow(number, tuple(parts), "6602", priority, *days))
        return number

    def seed(self, code: str, *rows: int, case: tuple[str, str] = ("", "")) -> None:
        self.defects.append(Seeded(code, frozenset(rows), case))


def seeded(rows: int, each: int, seed: int) -> tuple[DecisionTable, list[Seeded]]:
    """A table of about so many rows with `each` mistakes of each of the ten kinds."""
    b = Builder(random.Random(seed))  # noqa: S311  (made-up tables, no secrets)
    parts = (_grid, _beginnings, _ranges, _periods, _lists)
    for part in parts:
        part(b, rows // len(parts), each)
    return table(b.rows), b.defects


def _grid(b: Builder, rows: int, each: int) -> None:
    """Every fee type with every department: some left out, some shadowed, some twice at equal rank."""
    fees = max(rows // 40, 3 * each + 1)
    departments = [f"D{d:02d}" for d in range(max(rows // fees, each + 1))]
    # A department of its own for each: gaps of one department would be told as one.
    at_random = zip(b.rng.sample(range(fees), each), b.rng.sample(departments, each), strict=True)
    gaps = {f"G{fee:04d}": department for fee, department in at_random}
    for f in range(fees):
        fee = f"G{f:04d}"
        for department in departments:
            if gaps.get(fee) != department:
                b.add(fee, department, "*", ANY)
            else:
                b.seed("rules.gap", case=(fee, department))
    whole = [f"G{f:04d}" for f in range(fees) if f"G{f:04d}" not in gaps]
    chosen = b.rng.sample(whole, 2 * each)
    at = {(row.cells[0].values[0], row.cells[1].values[0]): row.row for row in b.rows if row.cells[0].values}
    for fee in chosen[:each]:
        department = b.rng.choice(departments)
        above = b.add(fee, f"{department}|D98", "*", ANY, priority=5)
        b.seed("rules.unreachable", at[fee, department], above)
    for fee in chosen[each:]:
        # Two conditions, one of them one value, beside the same: the row of the grid has two exact ones and wins.
        one = b.add(fee, "D97|X1", "*", ANY)
        other = b.add(fee, "D97|X2", "*", ANY)
        b.seed("rules.overlap", one, other)
    every = "|".join(f"G{f:04d}" for f in range(fees))
    for department in ("D97", "D98", "X1", "X2", "D96", "R*"):
        b.add(every, department, "*", ANY, priority=-50)


def _beginnings(b: Builder, rows: int, each: int) -> None:
    """COST1, COST11 …: longer beginnings rank higher; each with a project or without."""
    families = max(rows // 8, 2 * each + 1)
    shadowed = set(b.rng.sample(range(families), 2 * each))
    for number in range(families):
        start = f"P{number:04d}"
        wide = b.add(f"{start}*", "*", "*", ANY, priority=1)
        rows_of = [b.add(f"{start}{d}*", "*", "<present>", ANY, priority=2) for d in range(3)]
        rows_of += [b.add(f"{start}{d}*", "*", "<missing>", ANY, priority=2) for d in range(3)]
        longer = b.add(f"{start}11*", "*", "*", ANY, priority=3)
        if number in shadowed and len(shadowed) % 2 == 0:
            shadowed.discard(number)
            low = b.add(f"{start}2*", "D96", "*", ANY, priority=-1)
            b.seed("rules.unreachable", low, wide)
        elif number in shadowed:
            shadowed.discard(number)
            one = b.add(f"{start}11*", "R*", "*", ANY, priority=7)
            other = b.add(f"{start}111*", "R1*", "*", ANY, priority=7)
            b.seed("rules.overlap", one, other)
        assert longer > rows_of[-1] > wide


def _ranges(b: Builder, rows: int, each: int) -> None:
    """Amount ranges that meet; in some a hole, and in some with a default a hole of less than one."""
    families = max(rows // 6, 2 * each + 1)
    holed = b.rng.sample(range(families), 2 * each)
    for number in range(families):
        fee, step = f"R{number:04d}", b.rng.randint(50, 5000) * 100
        has_default = number % 2 == 0 or number in holed[each:]
        if number in holed[:each]:
            has_default = False
        starts = [-100_000_000, *range(step, 5 * step, step)]
        made = []
        for index, start in enumerate(starts):
            end = starts[index + 1] - 1 if index + 1 < len(starts) else 900_000_000
            slip = 99 if number in holed and index == 2 else 0
            made.append(b.add(fee, "*", "*", amounts(start, end - slip)))
        if has_default:
            default = b.add(fee, "*", "*", ANY)
        if number in holed:
            b.seed("rules.amount_hole", made[2], made[3], *([default] if has_default else []))


def _periods(b: Builder, rows: int, each: int) -> None:
    """Years that follow each other; in some a month without a row, some with a lower row that takes it."""
    families = max(rows // 5, 3 * each + 1)
    chosen = b.rng.sample(range(families), 3 * each)
    for number in range(families):
        fee = f"T{number:04d}"
        made = []
        for year in range(2022, 2026):
            last = date(year, 12, 31)
            if number in chosen[: 2 * each] and year == 2023:
                last -= timedelta(days=31)
            made.append(b.add(fee, "*", "*", ANY, days=(date(year, 1, 1), last)))
        if number in chosen[each : 2 * each]:
            default = b.add(f"{fee}*", "*", "*", ANY)
            b.seed("rules.date_hole", made[1], made[2], default)
        elif number in chosen[:each]:
            b.seed("rules.date_hole", made[1], made[2])
        elif number in chosen[2 * each :]:
            clash = b.add(fee, "*", "*", ANY, days=(date(2024, 12, 30), date(2025, 1, 2)))
            b.seed("rules.overlap", made[2], clash)
            b.defects[-1] = Seeded("rules.overlap", frozenset({made[2], made[3], clash}))


def _lists(b: Builder, rows: int, each: int) -> None:
    """Values in lists A|B|C, a default below them."""
    families = max(rows // 4, 2 * each + 1)
    chosen = b.rng.sample(range(families), 2 * each)
    for number in range(families):
        names = [f"L{number:04d}{letter}" for letter in "ABCDEF"]
        default = b.add("|".join(names), "*", "*", ANY, priority=-1)
        first = b.add("|".join(names[:3]), "*", "*", ANY)
        second = b.add("|".join(names[3:]), "*", "D|<missing>", ANY)
        third = b.add("|".join(names[3:]), "*", "E|F", ANY)
        if number in chosen[:each]:
            clash = b.add(f"{names[0]}|{names[5]}X", "*", "*", ANY)
            b.seed("rules.overlap", first, clash)
        elif number in chosen[each:]:
            dead = b.add("|".join(names[:2]), "*", "*", ANY, priority=-2)
            b.seed("rules.unreachable", dead, default)
        assert third > second


def cases_of(of: DecisionTable, values: Mapping[str, Sequence[Value]]) -> Iterator[dict[str, Any]]:
    """All combinations of these values of the table's facts, and of `date`."""
    combinations: list[dict[str, Any]] = [{}]
    for name in (*(fact.path for fact in of.conditions), "date"):
        combinations = [{**one, name: value} for one in combinations for value in values[name]]
    yield from combinations


def fits(row: TableRow, of: DecisionTable, case: Mapping[str, Any], decimals: int = 2) -> bool:
    """Whether a row applies to a case: the meaning of cells in as few words as can be."""
    for fact, condition in zip(of.conditions, row.cells, strict=True):
        value = case[fact.path]
        match condition.kind:
            case CellKind.VALUES:
                holds = value in condition.values
            case CellKind.PREFIX:
                holds = value.startswith(condition.values[0])
            case CellKind.PRESENT:
                holds = value not in ("", None)
            case CellKind.RANGE:
                start, end = condition.start, condition.end
                holds = value is not None
                holds = holds and (start is None or value >= start.scaleb(decimals))
                holds = holds and (end is None or value <= end.scaleb(decimals))
            case _:
                holds = True
        if not holds:
            return False
    day = case["date"]
    return (row.valid_from is None or row.valid_from <= day) and (row.valid_to is None or day <= row.valid_to)


def winners(of: DecisionTable, case: Mapping[str, Any]) -> tuple[int, ...]:
    """The rows (as shown) that apply to a case with the highest rank."""
    fitting = [row for row in of.rows if fits(row, of, case)]
    return tuple(row.row for row in fitting if row.rank == max(other.rank for other in fitting))
