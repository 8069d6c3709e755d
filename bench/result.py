"""A measured number beside its floor, and the file that holds them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

FILE = Path(".run/bench.json")


@dataclass(frozen=True, slots=True)
class Result:
    """`value` and `floor` in the same unit, `ratio` of the first to the second; None where it could not be measured,
    and the note says why.
    """

    name: str
    value: float | None
    unit: str
    floor: float | None
    ratio: float | None
    note: str = ""

    @classmethod
    def of(
        cls, name: str, unit: str, values: Sequence[float], floors: Sequence[float], note: str = ""
    ) -> Result:
        """Medians of runs that took turns."""
        value, floor = median(values), median(floors)
        return cls(name, round(value, 3), unit, round(floor, 3), round(value / floor, 3), note)

    def __str__(self) -> str:
        numbers = (f"{n:,.2f}" if n is not None else "-" for n in (self.value, self.floor, self.ratio))
        return "  ".join([f"{self.name:<66}", *(f"{n:>12}" for n in numbers), self.unit, self.note])


def write(results: Iterable[Result]) -> None:
    """Keep the results; those of an earlier run under other names stay."""
    new = {result.name: asdict(result) for result in results}
    old = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else []
    kept = [entry for entry in old if entry["name"] not in new]
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps([*kept, *new.values()], ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
