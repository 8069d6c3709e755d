"""A decision table as its entries use it: its rows as boxes, and which facts ever come to it.

What reaches a table is what `when` of templates and entries let through, what a fact can be at all ("yes" or "no"), the
templates' dates, and amounts for which a line is made (not zero, not missing).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from include.rules import facts
from include.rules.facts import FactType, Measure, Scope
from include.rules.regions import Axis, Box, Budget, Grid, NumberAxis, TextAxis, Value, limits
from include.rules.ruleset import RuleSet, Template
from include.rules.schema import Entry, Predicate, VoucherTemplate
from include.rules.tables import Cell, CellKind, DecisionTable, TableRow

DATE = "date"
"""The name of the axis of dates, as `lookup` calls it."""
OneOf = tuple[Cell, ...]
"""A condition that holds where one of the cells does; without a cell, never."""

_MISSING: OneOf = (Cell(CellKind.VALUES, ("",)),)
_PRESENT: OneOf = (Cell(CellKind.PRESENT),)
_FLAG: OneOf = (Cell(CellKind.VALUES, ("no", "yes")),)
_YES: OneOf = (Cell(CellKind.VALUES, ("yes",)),)
_ABOVE_ALL = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Use:
    """An entry that takes its account from a table: the conditions on facts that hold whenever it asks, and the facts
    that it needs for dimensions.
    """

    template: Template
    entry: Entry
    conditions: Mapping[str, Sequence[OneOf]]
    required: frozenset[str]


@dataclass(frozen=True, slots=True)
class Domain:
    """What a use lets come to the table: `admitted`; and less what lacks a dimension that it needs: `asked`."""

    admitted: Box
    asked: Box


@dataclass(frozen=True, slots=True)
class Model:
    """A table as boxes. `names` are the facts of the axes, and `date`; boxes from `len(table.rows)` on are combinations
    that cannot be, of a rank above all.
    """

    table: DecisionTable
    names: tuple[str, ...]
    grid: Grid
    ranks: NDArray[np.int64]
    domains: tuple[Domain, ...]
    decimals: int

    def witness(self, box: Box) -> dict[str, Value]:
        """One case in a box: a value for each fact, and the date; amounts in minor units, None is missing."""
        return {
            name: axis.sample(mask) for name, axis, mask in zip(self.names, self.grid.axes, box, strict=True)
        }

    def winners(self, point: Box) -> list[int]:
        """The rows that apply at a point: none, one, or several that are equally good."""
        rows = self.grid.meeting(point)
        rows = rows[rows < self.grid.real]
        return rows[self.ranks[rows] == self.ranks[rows].max()].tolist() if rows.size else []


def uses_of(ruleset: RuleSet, table: DecisionTable, decimals: int) -> list[Use]:
    """All entries that take their account from the table."""
    by_table = all(row.dimensions is None for row in table.rows)
    found = []
    for template in ruleset.templates:
        for entry in template.spec.lines:
            if entry.account.table == table.name:
                required = frozenset(entry.dimensions.values()) if by_table else frozenset()
                conditions: dict[str, list[OneOf]] = {}
                for path, one_of in _conditions(template, entry, decimals):
                    conditions.setdefault(path, []).append(one_of)
                found.append(Use(template, entry, conditions, required | _inherited(required)))
    return found


def model_of(
    table: DecisionTable,
    uses: Sequence[Use],
    decimals: int,
    also: Mapping[str, Sequence[str]] | None = None,
    budget: Budget | None = None,
) -> Model:
    """The table as boxes; `also` are further values that its facts are known to have. A table that nothing uses is
    taken as asked for everything.
    """
    axes: list[Axis] = []
    for index, fact in enumerate(table.conditions):
        cells = [row.cells[index] for row in table.rows]
        cells += [cell for use in uses for one_of in use.conditions.get(fact.path, ()) for cell in one_of]
        if fact.type is FactType.TEXT:
            axes.append(TextAxis([*cells, Cell(CellKind.VALUES, tuple((also or {}).get(fact.path, ())))]))
        else:
            ranges = [limits(cell, decimals) for cell in cells if cell.kind is CellKind.RANGE]
            axes.append(NumberAxis(ranges, decimals))
    days = _days(table, uses) if table.has_dates else None
    names = tuple(fact.path for fact in table.conditions) + ((DATE,) if days else ())
    boxes = []
    for row in table.rows:
        masks = [axis.mask(cell) for axis, cell in zip(axes, row.cells, strict=True)]
        boxes.append((*masks, days.between(*days_of(row))) if days else tuple(masks))
    every = [*axes, days] if days else axes
    impossible = list(_impossible(names, every))
    ranks = [row.rank for row in table.rows] + [_ABOVE_ALL] * len(impossible)
    grid = Grid(every, [*boxes, *impossible], len(boxes), budget or Budget())
    domains = [_domain(use, names, every) for use in uses] or [Domain(grid.full, grid.full)]
    return Model(table, names, grid, np.array(ranks, np.int64), _largest(domains), decimals)


def named(model: Model, domain: Domain) -> Box:
    """The coordinates that the table itself names, of those that are asked for: values, beginnings, missing and present
    where either is written, all values of a fact that has but a few. Amounts and dates are named by their bounds.
    """
    result = []
    for c, (axis, asked) in enumerate(zip(model.grid.axes, domain.asked, strict=True)):
        if c >= len(model.table.conditions):
            result.append(asked)
            continue
        cells = {row.cells[c] for row in model.table.rows}
        kinds = {cell.kind for cell in cells}
        written = 0
        for cell in cells:
            if cell.kind in (CellKind.VALUES, CellKind.PREFIX):
                written |= axis.mask(cell)
        if kinds <= {CellKind.ANY} or (axis.unnamed and not domain.admitted[c] & axis.unnamed):
            written = axis.full
        elif model.table.conditions[c].type is FactType.AMOUNT:
            written = axis.full if CellKind.PRESENT in kinds else axis.full & ~axis.missing
        elif CellKind.PRESENT in kinds or written == axis.missing:
            written = axis.full
        result.append(written & asked)
    return tuple(result)


def days_of(of: TableRow | VoucherTemplate) -> tuple[int | None, int | None]:
    """The first and last day of a row's or template's time, as ordinals."""
    start, end = of.valid_from, of.valid_to
    return start.toordinal() if start else None, end.toordinal() if end else None


def inner_axes(model: Model) -> frozenset[int]:
    """The axes of amounts and dates on which rows have bounds."""
    found = {len(model.table.conditions)} if model.table.has_dates else set()
    for c, fact in enumerate(model.table.conditions):
        if fact.type is FactType.AMOUNT and any(
            row.cells[c].kind is CellKind.RANGE for row in model.table.rows
        ):
            found.add(c)
    return frozenset(found)


def _conditions(template: Template, entry: Entry, decimals: int) -> Iterator[tuple[str, OneOf]]:
    """Everything that holds of facts whenever the entry asks its table."""
    spec = template.spec
    yield "document.kind", (Cell(CellKind.VALUES, tuple(sorted(kind.value for kind in spec.kinds))),)
    for flag in (*facts.FLAGS, facts.IS_OWN):
        yield f"document.{flag}", _FLAG
    yield f"line.{facts.IS_OWN}", _FLAG
    for path, predicate in (*spec.when.items(), *entry.when.items()):
        yield path, _cells(predicate)
        scope, _, name = path.partition(".")
        if name in facts.INHERITED and scope == "document" and not predicate.is_missing:
            yield f"line.{name}", _PRESENT
        if name in facts.INHERITED and scope == "line" and predicate.is_missing:
            yield f"document.{name}", _MISSING
    if entry.measure_property is None:
        yield from _of_amount(entry, decimals)


def _cells(predicate: Predicate) -> OneOf:
    if predicate.equals is not None or predicate.any_of is not None:
        texts = {*(predicate.any_of or ()), predicate.equals or ""} - {""}
        return (Cell(CellKind.VALUES, tuple(sorted(texts))),) if texts else ()
    if predicate.prefix is not None:
        return (Cell(CellKind.PREFIX, (predicate.prefix,)),)
    if predicate.range is not None:
        return (Cell(CellKind.RANGE, (), predicate.range.start, predicate.range.end),)
    return _MISSING if predicate.is_missing else _PRESENT


def _of_amount(entry: Entry, decimals: int) -> Iterator[tuple[str, OneOf]]:
    """No line is made of a missing amount, nor of zero."""
    step = Decimal(1).scaleb(-decimals)
    above: Cell = Cell(CellKind.RANGE, (), step, None)
    below: Cell = Cell(CellKind.RANGE, (), None, -step)
    scope, measure = entry.for_each, Measure(entry.measure)
    if measure is Measure.NET_OF_DEDUCTIBLE_TAX and scope is Scope.LINE:
        yield "line.gross", _PRESENT
        yield "line.deductible_tax", _PRESENT
        return
    amount, flag, one_of = {
        Measure.GROSS: ("gross", None, (below, above)),
        Measure.DEDUCTIBLE_TAX: ("deductible_tax", None, (below, above)),
        Measure.NET_OF_DEDUCTIBLE_TAX: ("gross", None, _PRESENT),
        Measure.WRITTEN_OFF: ("written_off", "has_write_off", (below, above)),
        Measure.COMPANY_PAID: ("company_paid", "has_company_paid", (below, above)),
        Measure.PAYABLE: ("payable", "has_payable", (above,)),
        Measure.REFUND: ("payable", "has_payable", (below,)),
    }[measure]
    if scope is Scope.WRITE_OFF:
        amount, flag = "amount", None
    if entry.less or entry.fraction:
        # What others take off, or a residue, may turn zero into an amount.
        yield f"{scope}.{amount}", _PRESENT
        return
    yield f"{scope}.{amount}", one_of
    if flag:
        yield f"document.{flag}", _YES


def _inherited(required: Iterable[str]) -> frozenset[str]:
    """The facts of lines that are there where the document's are."""
    parts = [path.partition(".") for path in required]
    return frozenset(
        f"line.{name}" for scope, _, name in parts if scope == "document" and name in facts.INHERITED
    )


def _days(table: DecisionTable, uses: Sequence[Use]) -> NumberAxis:
    spans = [*map(days_of, table.rows), *(days_of(use.template.spec) for use in uses)]
    return NumberAxis(spans, None)


def _impossible(names: Sequence[str], axes: Sequence[Axis]) -> Iterator[Box]:
    """A line has no value where its document has one, which it would take over."""
    for name in facts.INHERITED:
        pair = (f"line.{name}", f"document.{name}")
        if all(path in names for path in pair):
            line, document = (names.index(path) for path in pair)
            box = [axis.full for axis in axes]
            box[line] = axes[line].missing
            box[document] &= ~axes[document].missing
            yield tuple(box)


def _domain(use: Use, names: Sequence[str], axes: Sequence[Axis]) -> Domain:
    admitted, asked = [], []
    for name, axis in zip(names, axes, strict=True):
        mask = axis.full
        if name == DATE and isinstance(axis, NumberAxis):
            mask = axis.between(*days_of(use.template.spec))
        for one_of in use.conditions.get(name, ()):
            allowed = 0
            for cell in one_of:
                allowed |= axis.mask(cell)
            mask &= allowed
        admitted.append(mask)
        asked.append(mask & ~axis.missing if name in use.required else mask)
    return Domain(tuple(admitted), tuple(asked))


def _largest(domains: Sequence[Domain]) -> tuple[Domain, ...]:
    """Each domain that does not lie in another one; of equal ones the first."""

    def lies_in(small: Domain, large: Domain) -> bool:
        pairs = [
            *zip(small.admitted, large.admitted, strict=True),
            *zip(small.asked, large.asked, strict=True),
        ]
        return not any(a & ~b for a, b in pairs)

    kept: list[Domain] = []
    for domain in domains:
        if not any(lies_in(domain, other) for other in kept):
            kept = [other for other in kept if not lies_in(other, domain)] + [domain]
    return tuple(kept)
