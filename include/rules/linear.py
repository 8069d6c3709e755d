"""Linear forms over named amounts, with exact coefficients, and what is left of one under equations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

Form = Mapping[str, Fraction]
"""Amount → coefficient; amounts that are not named have the coefficient zero."""


def form(**amounts: int) -> dict[str, Fraction]:
    return {name: Fraction(value) for name, value in amounts.items() if value}


def one(name: str) -> dict[str, Fraction]:
    """The amount itself."""
    return {name: Fraction(1)}


def plus(left: Form, right: Form, times: Fraction | int = 1) -> dict[str, Fraction]:
    """`left + times × right`."""
    result = dict(left)
    for name, value in right.items():
        result[name] = result.get(name, Fraction(0)) + value * times
        if not result[name]:
            del result[name]
    return result


def reduced(wanted: Form, equations: Iterable[Form]) -> dict[str, Fraction]:
    """What is left of a form when every equation is zero: empty where the equations make it zero.

    Each equation removes the first of its amounts by name, so that the rest is told in the others.
    """
    rest = dict(wanted)
    used: list[tuple[str, dict[str, Fraction]]] = []
    for equation in equations:
        current = dict(equation)
        for pivot, row in used:
            if pivot in current:
                current = plus(current, row, -current[pivot])
        if not current:
            continue
        pivot = min(current)
        scaled = {name: value / current[pivot] for name, value in current.items()}
        used = [(p, plus(row, scaled, -row[pivot]) if pivot in row else row) for p, row in used]
        used.append((pivot, scaled))
    for pivot, row in used:
        if pivot in rest:
            rest = plus(rest, row, -rest[pivot])
    return rest
