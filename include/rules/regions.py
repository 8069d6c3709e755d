"""The rows of a decision table as boxes, and exact searches among them: which meet, what is left uncovered.

Each column is an axis with finitely many *coordinates*, sets of values that no cell tells apart: for text the missing
value, each value that is written somewhere, for each written beginning all further values with it, and any other value;
for amounts the missing one and the stretches between bounds; for dates such stretches too. A cell is a set of
coordinates, kept as the bits of an integer (a *mask*); a row is a box, one mask for each axis. All answers are exact.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from operator import and_
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from include.rules.lookup import bound
from include.rules.tables import MISSING, PRESENT, Cell, CellKind

Box = tuple[int, ...]
Rows = NDArray[np.int64]
Value = str | int | date | None
LARGEST = 10**36
"""Beyond any amount in minor units that `lookup` can compare."""
MANY_RUNS = 32
"""A mask of more stretches than this is looked up by the one stretch around them, and compared exactly afterwards."""

FEW_ROWS = 40
"""So many rows are compared faster one by one."""


class TooMuchWork(Exception):
    """A search would go over its budget: its answer is not known."""


class Axis(Protocol):
    """The coordinates of a column, numbered from 0 in order."""

    full: int
    unnamed: int
    """Coordinates that stand for values which are written nowhere."""
    missing: int
    """The coordinate of the missing value, 0 where there is none."""

    def mask(self, cell: Cell) -> int:
        """The coordinates that a cell takes."""
        ...

    def sample(self, mask: int) -> Value:
        """A value in one of the coordinates of a mask that is not empty."""
        ...

    def shown(self, mask: int) -> list[str]:
        """The coordinates as people would write them in a cell."""
        ...


class TextAxis:
    """Text: 0 is missing, 1 any other value; then beginnings and values, each beginning just before what it holds."""

    def __init__(self, cells: Iterable[Cell]) -> None:
        written = {
            (value, cell.kind is CellKind.VALUES)
            for cell in cells
            if cell.kind in (CellKind.VALUES, CellKind.PREFIX)
            for value in cell.values
            if value
        }
        self._nodes: list[tuple[str, bool]] = [("", True), ("", False), *sorted(written)]
        self._at = {node: index for index, node in enumerate(self._nodes)}
        self.full = (1 << len(self._nodes)) - 1
        self.missing = 1
        self._end: dict[int, int] = {}
        opened: list[int] = [1]
        for index, (value, _) in enumerate(self._nodes[2:], start=2):
            while not value.startswith(self._nodes[opened[-1]][0]):
                self._end[opened.pop()] = index
            if not self._nodes[index][1]:
                opened.append(index)
        self._end.update(dict.fromkeys(opened, len(self._nodes)))
        self.unnamed = sum(1 << index for index, (_, is_value) in enumerate(self._nodes) if not is_value)
        self._masks: dict[Cell, int] = {}

    def mask(self, cell: Cell) -> int:
        found = self._masks.get(cell)
        if found is None:
            found = self._masks[cell] = self._mask(cell)
        return found

    def _mask(self, cell: Cell) -> int:
        match cell.kind:
            case CellKind.ANY:
                return self.full
            case CellKind.PRESENT:
                return self.full & ~1
            case CellKind.PREFIX:
                index = self._at[cell.values[0], False]
                return _stretch(index, self._end[index])
            case CellKind.VALUES:
                return sum(1 << self._at[value, True] for value in set(cell.values))
            case CellKind.RANGE:
                raise ValueError("a range on text")

    def sample(self, mask: int) -> str:
        # What is written reads better than a made-up value, but a missing one is the least telling of all.
        named = mask & ~self.unnamed & ~1
        index = _lowest(named or mask & ~1 or mask)
        text, is_value = self._nodes[index]
        return text if is_value else self._fresh(index)

    def _fresh(self, index: int) -> str:
        """A value that begins like the node at `index` and like none below it."""
        start = self._nodes[index][0]
        if start and (start, True) not in self._at:
            return start
        below = range(index + 1, self._end[index])
        taken = {self._nodes[i][0][len(start) : len(start) + 1] for i in below}
        if not start and "其" not in taken:
            return "其他"
        letters = (chr(code) for code in range(ord("0"), 0x110000) if not 0xD800 <= code < 0xE000)
        return start + next(letter for letter in letters if letter.isalnum() and letter not in taken)

    def shown(self, mask: int) -> list[str]:
        words = []
        for start, end in runs(mask):
            for index in range(start, end):
                text, is_value = self._nodes[index]
                words.append(text or MISSING if is_value else f"{text}*" if text else PRESENT)
        return words


class NumberAxis:
    """Whole numbers between bounds that are included: amounts in minor units (0 is missing), or days (none is missing)."""

    def __init__(self, intervals: Iterable[tuple[int | None, int | None]], decimals: int | None) -> None:
        """`decimals` None: days, as ordinals."""
        self._decimals = decimals
        self._shift = 0 if decimals is None else 1
        self._lowest, self._highest = (
            (date.min.toordinal(), date.max.toordinal()) if decimals is None else (-LARGEST, LARGEST)
        )
        starts = {self._lowest}
        for start, end in intervals:
            starts |= {start} if start is not None else set()
            starts |= {end + 1} if end is not None else set()
        self._starts = sorted(s for s in starts if self._lowest <= s <= self._highest)
        self.full = (1 << len(self._starts) + self._shift) - 1
        self.unnamed = 0
        self.missing = self._shift

    def mask(self, cell: Cell) -> int:
        match cell.kind:
            case CellKind.ANY:
                return self.full
            case CellKind.PRESENT:
                return self.full & ~self._shift
            case CellKind.RANGE:
                return self.between(*limits(cell, self._decimals or 0))
            case CellKind.VALUES if cell.values == ("",):
                return self.missing
            case CellKind.VALUES | CellKind.PREFIX:
                raise ValueError("a text among amounts")

    def between(self, start: int | None, end: int | None) -> int:
        """The coordinates from `start` to `end`, both included; the axis must have been made with these bounds."""
        if start is not None and end is not None and start > end:
            return 0
        low = 0 if start is None else bisect_left(self._starts, start)
        high = len(self._starts) if end is None else bisect_left(self._starts, end + 1)
        return _stretch(low + self._shift, high + self._shift)

    def bounds(self, mask: int) -> Iterator[tuple[int | None, int | None]]:
        """The stretches of a mask, both ends included, None where there is no bound; a missing one is left out."""
        for start, end in runs(mask & ~self._shift):
            first, after = start - self._shift, end - self._shift
            low = self._starts[first]
            yield (
                None if low == self._lowest else low,
                None if after == len(self._starts) else self._starts[after] - 1,
            )

    def sample(self, mask: int) -> Value:
        start, end = next(self.bounds(mask), (None, None))
        if not mask & ~self._shift:
            return None
        found = start if start is not None else end if end is not None else self._anywhere
        return date.fromordinal(found) if self._decimals is None else found

    @property
    def _anywhere(self) -> int:
        return date(2000, 1, 1).toordinal() if self._decimals is None else 10 ** (self._decimals or 0)

    def shown(self, mask: int) -> list[str]:
        words = [MISSING] if mask & self._shift else []
        for start, end in self.bounds(mask):
            one = start is not None and start == end
            words.append(self._word(start) if one else f"{self._word(start)}..{self._word(end)}")
        return words

    def _word(self, value: int | None) -> str:
        if value is None:
            return ""
        if self._decimals is None:
            return date.fromordinal(value).isoformat()
        return f"{Decimal(value).scaleb(-self._decimals):f}"


def limits(cell: Cell, decimals: int) -> tuple[int | None, int | None]:
    """The bounds of a range in minor units, as `lookup` compares them."""
    return bound(cell.start, decimals, is_start=True), bound(cell.end, decimals, is_start=False)


def meet(one: Box, other: Box) -> Box:
    """The common part of two boxes; empty where any of its masks is 0."""
    return tuple(map(and_, one, other))


def runs(mask: int) -> Iterator[tuple[int, int]]:
    """The stretches of bits that are set, as (first, after the last)."""
    at = 0
    while mask:
        skipped = _lowest(mask)
        mask >>= skipped
        length = _lowest(~mask)
        mask >>= length
        yield at + skipped, at + skipped + length
        at += skipped + length


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _stretch(start: int, end: int) -> int:
    return (1 << end) - (1 << start) if end > start else 0


@dataclass(slots=True)
class Budget:
    """How many rows may be looked at, in one search and in all: searches in bad tables could take for ever."""

    each: int = 200_000
    total: int = 6_000_000
    spent: int = 0
    limit: int = field(default=0)

    def start(self) -> None:
        """A new search begins."""
        self.limit = min(self.spent + self.each, self.total)

    def start_whole(self) -> None:
        """A search through a whole table begins, of which there are few."""
        self.limit = self.total

    def spend(self, rows: int) -> None:
        self.spent += rows
        if self.spent > self.limit:
            raise TooMuchWork


class _Column:
    """The masks of one axis, indexed: rows by the single coordinates they name, and the wider ones."""

    def __init__(self, masks: Sequence[int], full: int) -> None:
        known: dict[int, list[tuple[int, int]]] = {}
        singles: list[tuple[int, int]] = []
        wide: list[tuple[int, int, int]] = []
        hulls = np.zeros((2, len(masks)), np.int64)
        self.has_gaps = False
        for row, mask in enumerate(masks):
            stretches = known.get(mask)
            if stretches is None:
                stretches = known[mask] = list(runs(mask))
            if not stretches:
                continue
            hulls[:, row] = stretches[0][0], stretches[-1][1]
            self.has_gaps |= len(stretches) > 1
            for start, end in stretches:
                if end == start + 1 and mask != full:
                    singles.append((start, row))
                else:
                    wide.append((start, end, row))
        singles.sort()
        self._single_at = np.array([at for at, _ in singles], np.int64)
        self._single_row = np.array([row for _, row in singles], np.int64)
        self._wide = np.array(wide, np.int64).reshape(-1, 3).T
        self.low, self.high = hulls

    def slices(self, stretches: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Where in the list of single coordinates the stretches are."""
        flat = np.searchsorted(self._single_at, np.array(stretches, np.int64).ravel())
        return list(zip(flat[::2].tolist(), flat[1::2].tolist(), strict=True))

    def effort(self, slices: Sequence[tuple[int, int]]) -> int:
        """How many rows `rows` would look at, about."""
        return sum(end - start for start, end in slices) + self._wide.shape[1]

    def rows(self, stretches: Sequence[tuple[int, int]], slices: Sequence[tuple[int, int]]) -> Rows:
        """The rows that meet any of the stretches, in order."""
        parts = [self._single_row[start:end] for start, end in slices]
        low, high, row = self._wide
        parts += [row[(low < end) & (high > start)] for start, end in stretches]
        found: Rows = np.concatenate(parts)
        if found.size <= FEW_ROWS:
            return np.array(sorted(set(found.tolist())), np.int64)
        is_met = np.zeros(self.low.size, bool)
        is_met[found] = True
        return np.flatnonzero(is_met)


class Grid:
    """Boxes over axes; the first `real` are rows of a table. Searches are counted in `budget` and raise TooMuchWork."""

    def __init__(self, axes: Sequence[Axis], boxes: Sequence[Box], real: int, budget: Budget) -> None:
        self.axes = tuple(axes)
        self.full: Box = tuple(axis.full for axis in axes)
        self.boxes = list(boxes)
        self.real = real
        self.budget = budget
        self._columns = [
            _Column([box[c] if all(box) else 0 for box in boxes], axis.full)
            for c, axis in enumerate(self.axes)
        ]
        self._not_empty: Rows = np.array([i for i, box in enumerate(self.boxes) if all(box)], np.int64)
        self._stretches: dict[int, list[tuple[int, int]]] = {}

    def meeting(self, box: Box) -> Rows:
        """The numbers of all boxes that share a point with this one, in order."""
        if not all(box):
            return np.empty(0, np.int64)
        rows = self._not_empty
        tight = [c for c, mask in enumerate(box) if mask != self.full[c]]
        if tight:
            looked = {c: (found := self._runs(box[c]), self._columns[c].slices(found)) for c in tight}
            first = min(tight, key=lambda c: self._columns[c].effort(looked[c][1]))
            rows = self._columns[first].rows(*looked[first])
        return self.sharing(box, rows)

    def sharing(self, box: Box, rows: Rows) -> Rows:
        """Those of `rows` that share a point with a box that is not empty."""
        if rows.size <= FEW_ROWS:
            return np.array([r for r in rows.tolist() if all(map(and_, self.boxes[r], box))], np.int64)
        for c, mask in enumerate(box):
            if mask == self.full[c]:
                continue
            column, start, end = self._columns[c], _lowest(mask), mask.bit_length()
            rows = rows[(column.low[rows] < end) & (column.high[rows] > start)]
            if column.has_gaps or mask.bit_count() != end - start:
                rows = rows[np.fromiter((self.boxes[row][c] & mask != 0 for row in rows.tolist()), bool)]
        return rows

    def _runs(self, mask: int) -> list[tuple[int, int]]:
        found = self._stretches.get(mask)
        if found is None:
            found = list(runs(mask))
            if len(found) > MANY_RUNS:
                found = [(found[0][0], found[-1][1])]
            self._stretches[mask] = found
        return found

    def point(self, box: Box) -> Box:
        """One point of a box, of values that are written nowhere if it can be: there rows of one value do not reach."""
        chosen = []
        for axis, mask in zip(self.axes, box, strict=True):
            chosen.append(1 << _lowest(mask & axis.unnamed or mask & ~axis.missing or mask))
        return tuple(chosen)

    def not_within(self, box: Box, rows: Rows, cover: int) -> Rows:
        """Those of `rows` whose common part with `box` is not known to lie in the box `cover`. Quick, not exhaustive:
        it compares the stretches around what columns hold.
        """
        is_inside = np.ones(rows.size, bool)
        for c, column in enumerate(self._columns):
            mask, outer = box[c], self.boxes[cover][c]
            if outer.bit_count() != outer.bit_length() - _lowest(outer):
                return rows
            is_inside &= np.maximum(column.low[rows], _lowest(mask)) >= _lowest(outer)
            is_inside &= np.minimum(column.high[rows], mask.bit_length()) <= outer.bit_length()
        return rows[~is_inside]

    def containing(self, box: Box, rows: Rows) -> Rows:
        """Those of `rows` that contain a box that is not empty."""
        for c, mask in enumerate(box):
            column = self._columns[c]
            rows = rows[(column.low[rows] <= _lowest(mask)) & (column.high[rows] >= mask.bit_length())]
        if any(column.has_gaps for column in self._columns):
            rows = np.array([row for row in rows.tolist() if self.contains(row, box)], np.int64)
        return rows

    def contains(self, row: int, box: Box) -> bool:
        return not any(mask & ~own for mask, own in zip(box, self.boxes[row], strict=True))

    def uncovered(self, box: Box, rows: Iterable[int]) -> Box | None:
        """A part of a box that none of `rows` touches, None where together they cover it. All must meet the box."""
        stack = [(box, list(rows))]
        while stack:
            box, left = stack.pop()
            self.budget.spend(len(left) + 1)
            if not left:
                return box
            split_on = []
            for c, mask in enumerate(box):
                parts = {self.boxes[row][c] for row in left}
                free, common = mask, mask
                for part in parts:
                    free &= ~part
                    common &= part
                if free:
                    return (*box[:c], free, *box[c + 1 :])
                if common != mask:
                    split_on.append((len(parts), c))
            # Along a single axis, or in a single row, rows that leave nothing free cover the box.
            if len(split_on) <= 1 or any(self.contains(row, box) for row in left):
                continue
            _, c = min(split_on)
            parts_of = sorted(self.split(c, box[c], left), key=lambda part: -len(part[1]))
            stack += [((*box[:c], mask, *box[c + 1 :]), active) for mask, active in parts_of]
        return None

    def split(self, c: int, mask: int, rows: Sequence[int]) -> list[tuple[int, list[int]]]:
        """The coordinates of a mask by which of `rows` take them: (coordinates, rows), with those that none takes."""
        alike: dict[int, list[int]] = defaultdict(list)
        for row in rows:
            alike[self.boxes[row][c]].append(row)
        groups = list(alike.values())
        changes: dict[int, set[int]] = defaultdict(set)
        for index, own in enumerate(alike):
            for start, end in runs(own):
                changes[start].add(index)
                changes[end].add(index)
        changes[mask.bit_length()] |= set()
        found: dict[frozenset[int], int] = {}
        active: frozenset[int] = frozenset()
        at = 0
        for position in sorted(changes):
            segment = mask & _stretch(at, position)
            if segment:
                self.budget.spend(len(active) + 1)
                found[active] = found.get(active, 0) | segment
            active ^= changes[position]
            at = position
        return [
            (part, [r for index in sorted(taken) for r in groups[index]]) for taken, part in found.items()
        ]

    def holes(
        self, order: Sequence[int], domain: Box, inner: Container[int], rows: Iterable[int]
    ) -> Iterator[Box]:
        """The parts of `domain` that no row takes, compressed: axes are gone through in `order`, coordinates that the
        same rows take at once. On an axis of `inner` only what lies between what the remaining real rows take counts.
        """
        left = [row for row in rows if all(map(and_, self.boxes[row], domain))]
        needs = {row: self._first_to_ask(order, domain, row) for row in left}
        yield from self._holes(order, domain, inner, left, needs, 0)

    def _first_to_ask(self, order: Sequence[int], domain: Box, row: int) -> int:
        """After how many axes of `order` a row takes all of the rest."""
        depth = len(order)
        while depth and not domain[order[depth - 1]] & ~self.boxes[row][order[depth - 1]]:
            depth -= 1
        return depth

    def _holes(
        self,
        order: Sequence[int],
        domain: Box,
        inner: Container[int],
        rows: Sequence[int],
        needs: Mapping[int, int],
        depth: int,
    ) -> Iterator[Box]:
        c = order[depth]
        self.budget.spend(len(rows))
        wanted = domain[c] & (self._span(c, rows) if c in inner else -1)
        for own in {self.boxes[row][c] for row in rows if needs[row] <= depth + 1}:
            wanted &= ~own
        if not wanted:
            return
        asking = [row for row in rows if needs[row] > depth + 1 and self.boxes[row][c] & wanted]
        for part, active in self.split(c, wanted, asking):
            region = (*domain[:c], part, *domain[c + 1 :])
            if active:
                yield from self._holes(order, region, inner, active, needs, depth + 1)
            else:
                yield region

    def _span(self, c: int, rows: Sequence[int]) -> int:
        """From the first to the last coordinate that real rows take; and that of missing amounts."""
        taken = 0
        for own in {self.boxes[row][c] for row in rows if row < self.real}:
            taken |= own
        missing = self.axes[c].missing
        present = taken & ~missing
        return missing | _stretch(_lowest(present), present.bit_length()) if present else missing
