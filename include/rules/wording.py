"""A table's columns, values and rows in words for people, Chinese and English."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import cached_property

from include.rules.findings import WORDS
from include.rules.regions import Box, Value
from include.rules.tables import MISSING, CellKind
from include.rules.uses import DATE, Model, Use, named

SHOWN = 50
"""So many values or rows are written out; of more, the first ones and how many there are."""


def spans(numbers: Sequence[int], comma: str = "、") -> str:
    """Numbers in order with neighbours joined: `2–5、9`; only the first SHOWN stretches of many."""
    stretches: list[tuple[int, int]] = []
    for number in numbers:
        if stretches and stretches[-1][1] == number - 1:
            stretches[-1] = (stretches[-1][0], number)
        else:
            stretches.append((number, number))
    return _cut([f"{a}" if a == b else f"{a}–{b}" for a, b in stretches], comma)


def rows_en(numbers: Sequence[int]) -> str:
    """`row 4`, `rows 4, 6–9`."""
    return f"row{'s' if len(numbers) > 1 else ''} {spans(numbers, ', ')}"


def _cut(words: Sequence[str], comma: str) -> str:
    more = f"{comma}… ({len(words)})" if len(words) > SHOWN else ""
    return comma.join(words[:SHOWN]) + more


class Words:
    """How findings speak of one table. `known` are people's words for values, by fact and value."""

    def __init__(
        self, model: Model, uses: Sequence[Use], known: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        self.model = model
        self.known = known or {}
        self.users = "、".join(sorted({use.template.trace_name for use in uses})) or "-"
        self.file = model.table.shown

    def row(self, index: int) -> int:
        """The row as an editor shows it."""
        return self.model.table.rows[index].row

    def rows(self, indexes: Iterable[int]) -> tuple[int, ...]:
        return tuple(sorted({self.row(index) for index in indexes}))

    def label(self, axis: int) -> str:
        """`费用类型 line.fee_type`."""
        name = self.model.names[axis]
        word = "日期" if name == DATE else WORDS.get(name.rpartition(".")[2], "")
        return f"{word} {name}".strip()

    def name(self, axis: int) -> str:
        return self.model.names[axis]

    def shown(self, axis: int, mask: int, comma: str = "、") -> str:
        """The values of a mask, the first few of many."""
        names = self.known.get(self.model.names[axis], {})
        words = [
            f"{word}（{names[word]}）" if names.get(word, word) != word else word
            for word in self.model.grid.axes[axis].shown(mask)
        ]
        return _cut(words, comma)

    def region(self, box: Box, label: Callable[[int], str], separator: str) -> str:
        """`费用类型 line.fee_type：F1；部门 line.department：D1、D2`, without the facts that do not matter."""
        told = [c for c, mask in enumerate(box) if mask not in self._wholes[c]] or range(len(box))
        return self.parts(box, told, label, separator)

    def parts(self, box: Box, axes: Iterable[int], label: Callable[[int], str], separator: str) -> str:
        """What a box says on some axes."""
        comma = "、" if separator == "；" else ", "
        return separator.join(f"{label(c)} = {self.shown(c, box[c], comma)}" for c in axes)

    @cached_property
    def _wholes(self) -> list[set[int]]:
        """For each axis the masks that say nothing: all that may come, or all that the table names."""
        found = []
        for c in range(len(self.model.names)):
            masks = {self.model.grid.full[c]}
            for domain in self.model.domains:
                masks |= {domain.admitted[c], domain.asked[c], named(self.model, domain)[c]}
            is_free = c < len(self.model.table.conditions) and all(
                row.cells[c].kind is CellKind.ANY for row in self.model.table.rows
            )
            found.append({mask for mask in masks if is_free or mask.bit_count() > 1})
        return found

    def nearest(self, box: Box) -> int:
        """The first row that names something of a region, to start reading at; the header where none does."""
        for c, mask in enumerate(box):
            if mask in self._wholes[c]:
                continue
            full = self.model.grid.full
            for row in self.model.grid.meeting((*full[:c], mask, *full[c + 1 :])).tolist():
                if row < self.model.grid.real and self.model.grid.boxes[row][c] != full[c]:
                    return self.row(row)
        return 1

    def asked_by(self, rows: Sequence[int]) -> list[int]:
        """The axes on which any of the rows says something; none for no rows."""
        grid = self.model.grid
        return [c for c, full in enumerate(grid.full) if any(grid.boxes[row][c] != full for row in rows)]

    def example(
        self, case: Mapping[str, Value], axes: Iterable[int], label: Callable[[int], str], comma: str
    ) -> str:
        """`费用类型 line.fee_type = 'A'，日期 date = 2026-02-01`."""
        return comma.join(f"{label(c)} = {self._value(case[self.model.names[c]])}" for c in axes)

    def _value(self, value: Value) -> str:
        if value is None or value == "":
            return MISSING
        if isinstance(value, date):
            return value.isoformat()
        return f"{Decimal(value).scaleb(-self.model.decimals):f}" if isinstance(value, int) else f"'{value}'"
