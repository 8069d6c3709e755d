"""What is wrong with a decision table, as rows and boxes: exact searches without words (those are in proofs.py)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from include.rules.regions import Box, Grid, NumberAxis, Rows, TooMuchWork, limits, meet
from include.rules.tables import CellKind, TableRow
from include.rules.uses import Model, days_of, inner_axes, named

QUICK_COVERS = 64
"""So many rows of higher rank are tried as covers of all pairs at once."""
MOST_SHADOWS = 16
"""Of more rows that shadow one together, none is tried to be left out."""
PAIRS_OF_ROW = 50
MOST_PAIRS = 2_000
MOST_GAPS = 5_000


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A row that never applies. `shadows` are the rows that take all of it; none where nothing of it comes to the table,
    or where its own range is empty (`is_empty`). `example` is a case of the row, None where there is none.
    """

    row: int
    shadows: tuple[int, ...]
    example: Box | None
    is_empty: bool = False


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two rows of equal rank that both apply in `example`, where none of higher rank does."""

    rows: tuple[int, int]
    example: Box


@dataclass(frozen=True, slots=True)
class Hole:
    """Between rows that differ in one axis only: `box` is all of it, `example` a part that no row takes, or (`taker`)
    that a row of lower rank takes.
    """

    axis: int
    rows: tuple[int, int]
    box: Box
    example: Box
    taker: int | None


@dataclass(slots=True)
class Defects:
    """All that was found. `unproved` are the rows of which a search, by name, did not end; none stands for the whole table."""

    unreachable: list[Unreachable] = field(default_factory=list)
    overlaps: list[Overlap] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    gaps: list[Box] = field(default_factory=list)
    unproved: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))


def defects_of(model: Model) -> Defects:
    """Rows that never apply, rows that clash, holes between rows, and combinations that no row takes."""
    found = Defects()
    for row in range(model.grid.real):
        _check_row(model, row, found)
    _check_holes(model, found)
    _check_gaps(model, found)
    return found


def _check_row(model: Model, row: int, found: Defects) -> None:
    grid, ranks = model.grid, model.ranks
    meeting = grid.meeting(grid.boxes[row])
    above = meeting[ranks[meeting] > ranks[row]]
    beside = meeting[(ranks[meeting] == ranks[row]) & (meeting > row)]
    grid.budget.start()
    try:
        if not _applies(model, row, above):
            found.unreachable.append(_explained(model, row, above))
            return
    except TooMuchWork:
        found.unproved["unreachable"].append(row)
    if not beside.size:
        return
    if len(found.overlaps) >= MOST_PAIRS:
        found.unproved["overlap"].append(row)
        return
    grid.budget.start()
    try:
        for overlap in _overlaps(model, row, beside, above):
            found.overlaps.append(overlap)
    except TooMuchWork:
        found.unproved["overlap"].append(row)


def _applies(model: Model, row: int, above: Rows) -> bool:
    """Whether the row wins, alone or with others of its rank, in some case that comes to the table."""
    return any(
        _free(model.grid, box, model.grid.sharing(box, above)) is not None
        for domain in model.domains
        if all(box := meet(model.grid.boxes[row], domain.admitted))
    )


def _free(grid: Grid, box: Box, rows: Rows) -> Box | None:
    """A part of the box that none of `rows` takes."""
    point = grid.point(box)
    if not grid.sharing(point, rows).size:
        return point
    return None if grid.containing(box, rows).size else grid.uncovered(box, rows.tolist())


def _explained(model: Model, row: int, above: Rows) -> Unreachable:
    """Why a row never applies: the fewest rows that take it all, as far as a few tries tell."""
    grid = model.grid
    parts = [meet(grid.boxes[row], domain.admitted) for domain in model.domains]
    parts = [box for box in parts if all(box)]
    if not parts:
        return Unreachable(row, (), None, is_empty=not all(grid.boxes[row]))
    alone = above
    for box in parts:
        alone = grid.containing(box, alone)
    needed = alone[:1].tolist() or _needed(grid, parts, above)
    possible = [point for box in parts if model.winners(point := grid.point(box))]
    return Unreachable(row, tuple(r for r in needed if r < grid.real), possible[0] if possible else None)


def _needed(grid: Grid, parts: Sequence[Box], above: Rows) -> list[int]:
    """Of rows that together take all parts, those that it cannot be done without; all where that is too much to find."""
    everyone: list[int] = above.tolist()
    needed = list(everyone)
    if len(needed) > MOST_SHADOWS:
        return needed
    grid.budget.start()
    try:
        for one in everyone:
            rest = np.array([row for row in needed if row != one], np.int64)
            if all(grid.uncovered(box, grid.sharing(box, rest).tolist()) is None for box in parts):
                needed.remove(one)
    except TooMuchWork:
        return everyone
    return needed


def _overlaps(model: Model, row: int, beside: Rows, above: Rows) -> Iterator[Overlap]:
    """Pairs of the row with later ones of its rank that are ambiguous, at most PAIRS_OF_ROW."""
    grid = model.grid
    count, seen = 0, set()
    for domain in model.domains:
        own = meet(grid.boxes[row], domain.admitted)
        if not all(own):
            continue
        others, higher = grid.sharing(own, beside), grid.sharing(own, above)
        for cover in higher[:QUICK_COVERS].tolist():
            others = grid.not_within(own, others, cover)
        for other in others.tolist():
            grid.budget.spend(QUICK_COVERS)
            box = meet(own, grid.boxes[other])
            free = None if other in seen else _free(grid, box, grid.sharing(box, higher))
            if free is not None:
                seen.add(other)
                yield Overlap((row, other), free)
                count += 1
                if count == PAIRS_OF_ROW:
                    return


def _check_holes(model: Model, found: Defects) -> None:
    grid = model.grid
    for axis in sorted(inner_axes(model)):
        for (first, second), (start, end) in _between(model, axis):
            numbers = grid.axes[axis]
            assert isinstance(numbers, NumberAxis)
            box = grid.boxes[first]
            box = (*box[:axis], numbers.between(start, end), *box[axis + 1 :])
            is_slip = axis == len(model.table.conditions) or end - start + 1 < 10**model.decimals
            grid.budget.start()
            try:
                hole = _hole(model, axis, (first, second), box, is_slip=is_slip)
            except TooMuchWork:
                found.unproved["hole"].append(second)
                continue
            if hole is not None:
                found.holes.append(hole)


def _between(model: Model, axis: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Neighbours among the rows that differ in one axis only, with the first and last number between them."""
    alike: dict[tuple[object, ...], list[tuple[int, int | None, int]]] = defaultdict(list)
    for index, row in enumerate(model.table.rows):
        start, end = _stretch_of(model, row, axis)
        if start is not None and end is not None and start > end:
            continue
        others = row.cells[:axis] + row.cells[axis + 1 :]
        is_date = axis == len(row.cells)
        if is_date or row.cells[axis].kind is CellKind.RANGE:
            dates = () if is_date else (row.valid_from, row.valid_to)
            key = (others, row.priority, dates)
            alike[key].append((-(10**40) if start is None else start, end, index))
    for rows in alike.values():
        reached: tuple[int, int] | None = None
        for start, end, index in sorted(rows, key=lambda item: (item[0], item[2])):
            if reached is not None and start > reached[0] + 1:
                yield (reached[1], index), (reached[0] + 1, start - 1)
            if end is None:
                break
            if reached is None or end > reached[0]:
                reached = (end, index)


def _stretch_of(model: Model, row: TableRow, axis: int) -> tuple[int | None, int | None]:
    return limits(row.cells[axis], model.decimals) if axis < len(row.cells) else days_of(row)


def _hole(model: Model, axis: int, rows: tuple[int, int], box: Box, *, is_slip: bool) -> Hole | None:
    """The hole if no row takes some of it; or, where it looks like a slip, if a row of lower rank does."""
    grid = model.grid
    taken = None
    for domain in model.domains:
        part = meet(box, domain.asked)
        if not all(part):
            continue
        takers = grid.meeting(part)
        free = _free(grid, part, takers)
        if free is not None:
            return Hole(axis, rows, box, free, None)
        free = _free(grid, part, takers[model.ranks[takers] >= model.ranks[rows[0]]]) if is_slip else None
        if free is not None and taken is None:
            point = grid.point(free)
            taken = Hole(axis, rows, box, point, model.winners(point)[0])
    return taken


def _check_gaps(model: Model, found: Defects) -> None:
    """Combinations that the table names and no row takes; holes that are told already count as taken."""
    told = [hole.box for hole in found.holes if hole.taker is None]
    grid = model.grid
    if told:
        grid = Grid(grid.axes, [*grid.boxes, *told], grid.real, grid.budget)
    inner = inner_axes(model)
    # Texts first, in the order of the table, then amounts, then the date: "for fee type F, no row for 100..200".
    order = sorted(range(len(grid.axes)), key=lambda c: (c in inner, c))
    regions: dict[Box, None] = {}
    for domain in model.domains:
        grid.budget.start_whole()
        try:
            for region in grid.holes(order, named(model, domain), inner, range(len(grid.boxes))):
                regions[region] = None
                if len(regions) >= MOST_GAPS:
                    raise TooMuchWork
        except TooMuchWork:
            found.unproved["gap"] = []
    found.gaps = merged(list(regions))


def merged(regions: Sequence[Box]) -> list[Box]:
    """The same regions with those joined that differ in one axis only."""
    joined = list(regions)
    for axis in range(len(joined[0]) if joined else 0):
        alike: dict[Box, int] = {}
        for box in joined:
            key = (*box[:axis], *box[axis + 1 :])
            alike[key] = alike.get(key, 0) | box[axis]
        joined = [(*key[:axis], mask, *key[axis:]) for key, mask in alike.items()]
    return joined
