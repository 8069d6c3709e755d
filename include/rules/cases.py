"""The cases that conditions tell apart: for each fact one value of every class that its predicates distinguish.

A class is a value that a predicate names, what begins with a named prefix, what lies at or beside a named bound, a fact
that is missing, and any other value. Whatever holds for one member of each class holds for all documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import product

from include.rules import facts
from include.rules.facts import FactType
from include.rules.lookup import bound
from include.rules.schema import Predicate

Value = str | int | None
"""A fact's value in a case: text, minor units, or None where it is missing."""

Case = Mapping[str, Value]
When = Mapping[str, Predicate]

ANY_OTHER = "\U0010ffff"
"""Stands for text that no predicate names; no code of any OA begins with it."""


def cases(conditions: Sequence[When], decimals: int, fixed: Mapping[str, Sequence[Value]]) -> Iterator[Case]:
    """All combinations of classes of the facts that the conditions name; `fixed` gives the values of some facts."""
    by_path: dict[str, list[Predicate]] = {}
    for when in conditions:
        for path, predicate in when.items():
            by_path.setdefault(path, []).append(predicate)
    paths = sorted(by_path)
    values = [fixed.get(path) or classes(path, by_path[path], decimals) for path in paths]
    for combination in product(*values):
        case = dict(zip(paths, combination, strict=True))
        if _is_possible(case):
            yield case


def count(conditions: Sequence[When], decimals: int, fixed: Mapping[str, Sequence[Value]]) -> int:
    """How many cases there are."""
    predicates: dict[str, list[Predicate]] = {}
    for when in conditions:
        for path, predicate in when.items():
            predicates.setdefault(path, []).append(predicate)
    total = 1
    for path, found in predicates.items():
        total *= len(fixed.get(path) or classes(path, found, decimals))
    return total


def classes(path: str, predicates: Sequence[Predicate], decimals: int) -> tuple[Value, ...]:
    """One value of each class, the missing one last."""
    name = path.rpartition(".")[2]
    if name in facts.FLAGS or name == facts.IS_OWN:
        return ("yes", "no")
    found = facts.fact(path)
    if found is not None and found.type is FactType.AMOUNT:
        known = sorted(_beside_bounds(predicates, decimals))
        # The gate lets no document pass that lacks an amount, so that case counts only where a rule asks for it.
        is_asked = any(predicate.range is None for predicate in predicates)
        return (*known, None) if is_asked else tuple(known)
    named: set[str] = set()
    for predicate in predicates:
        if predicate.equals is not None:
            named.add(predicate.equals)
        named |= set(predicate.any_of or ())
        if predicate.prefix is not None:
            named.add(predicate.prefix + ANY_OTHER)
    # The empty text cannot be told from a missing one: an `equals: ""` holds for nothing.
    return (*sorted(named - {""}), ANY_OTHER, None)


def holds(when: When, case: Case, decimals: int) -> bool:
    """Whether all predicates hold in a case; a fact that the case does not name is left open (holds)."""
    return all(_holds(p, case[path], decimals) for path, p in when.items() if path in case)


def shown(case: Case, decimals: int) -> str:
    """A case for people, amounts in major units: `document.gross = 99.99, document.supplier <missing>`."""
    parts = []
    for path, value in sorted(case.items()):
        if value is None:
            parts.append(f"{path} <missing>")
        elif value == ANY_OTHER:
            parts.append(f"{path} <other>")
        elif isinstance(value, str) and value.endswith(ANY_OTHER):
            parts.append(f"{path} = {value.removesuffix(ANY_OTHER)}*")
        elif isinstance(value, int):
            parts.append(f"{path} = {Decimal(value).scaleb(-decimals):f}")
        else:
            parts.append(f"{path} = {value}")
    return ", ".join(parts)


def _is_possible(case: Case) -> bool:
    """Whether flags agree with the amounts that they speak of."""
    for flag, column in facts.FLAGS.items():
        says, amount = (
            case.get(f"document.{flag}"),
            case.get(f"document.{column.removesuffix('_minor')}", "?"),
        )
        if says is not None and amount != "?" and (says == "yes") != bool(amount):
            return False
    return True


def _beside_bounds(predicates: Iterable[Predicate], decimals: int) -> set[int]:
    found = {0}
    for predicate in predicates:
        if predicate.range is not None:
            for end, is_start in ((predicate.range.start, True), (predicate.range.end, False)):
                minor = bound(end, decimals, is_start=is_start)
                if minor is not None:
                    found |= {minor - 1, minor, minor + 1}
    return found


def _holds(predicate: Predicate, value: Value, decimals: int) -> bool:
    if predicate.is_missing:
        return value is None
    if value is None:
        return False
    if predicate.range is not None:
        start = bound(predicate.range.start, decimals, is_start=True)
        end = bound(predicate.range.end, decimals, is_start=False)
        amount = int(value)
        return (start is None or amount >= start) and (end is None or amount <= end)
    if predicate.equals is not None:
        return value == predicate.equals
    if predicate.any_of is not None:
        return value in predicate.any_of
    if predicate.prefix is not None:
        return str(value).startswith(predicate.prefix)
    return True
