"""A check as data: what a staged column must hold, and what to say of a row where it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from include.domain.money import AmountError, format_minor
from include.domain.problems import Problem, ProblemOwner


@dataclass(frozen=True, slots=True)
class Rule:
    """A Great Expectations column expectation by its class name; NULL passes all but `NotBeNull`."""

    expectation: Literal[
        "ExpectColumnValuesToNotBeNull",
        "ExpectColumnValuesToBeNull",
        "ExpectColumnValuesToBeBetween",
        "ExpectColumnValuesToBeInSet",
        "ExpectColumnValuesToMatchRegex",
    ]
    arguments: Mapping[str, Any]


NOT_NULL = Rule("ExpectColumnValuesToNotBeNull", {})
NULL = Rule("ExpectColumnValuesToBeNull", {})


def between(low: int | None, high: int | None) -> Rule:
    """Bounds belong to the range. Great Expectations compares with floats: keep bounds within 2**53."""
    return Rule("ExpectColumnValuesToBeBetween", {"min_value": low, "max_value": high})


def in_set(*values: str) -> Rule:
    return Rule("ExpectColumnValuesToBeInSet", {"value_set": list(values)})


def matches(regex: str) -> Rule:
    """`regex` must mean the same to Python and to PostgreSQL."""
    return Rule("ExpectColumnValuesToMatchRegex", {"regex": regex})


ZERO = between(0, 0)


@dataclass(frozen=True, slots=True)
class Check:
    """One row of a catalogue.

    `where`, `zh`, `en` and `cause` are format patterns over the staged row (see `facts`). A check whose
    messages are empty says nothing new: the store already holds the document's problems.
    """

    code: str
    column: str
    rule: Rule
    where: str
    zh: str
    en: str
    owner: ProblemOwner = ProblemOwner.OA_USER
    cause: str = ""

    @property
    def is_recorded(self) -> bool:
        """Whether the reasons stand in the store already."""
        return not self.zh

    def problem(self, row: Mapping[str, Any]) -> Problem:
        """What to say of a row that failed."""
        values = facts(row)
        return Problem(
            code=self.code,
            where=self.where.format_map(values),
            zh=self.zh.format_map(values),
            en=self.en.format_map(values),
            owner=self.owner,
            line_no=row.get("line_no"),
            cause=f"{self.code}:{self.cause.format_map(values)}" if self.cause else "",
        )


def facts(row: Mapping[str, Any]) -> dict[str, str]:
    """A staged row as people read it.

    Columns named `…_minor` are amounts in the row's `functional_currency`, `…_transaction_minor` in its
    `currency`; an absent value is a dash.
    """
    return {name: _readable(name, value, row) for name, value in row.items()}


def _readable(name: str, value: Any, row: Mapping[str, Any]) -> str:
    if value is None or value == "":
        return "—"
    if name.endswith("_minor"):
        currency = row.get("currency" if name.endswith("_transaction_minor") else "functional_currency") or ""
        try:
            return format_minor(int(value), currency)
        except AmountError:
            return f"{value} (minor units) {currency}".rstrip()
    if isinstance(value, datetime):
        return value.isoformat(" ", "minutes")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
