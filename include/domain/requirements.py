"""What a book's rules require of documents and vouchers, as plain values: the gate derives its checks from them.

Facts are named as in rules: `document.supplier`, `line.fee_type`, `document.properties.material`. Amounts are minor
units of the book's currency.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

Scope = Literal["document", "line", "write_off"]
Key = tuple[str | int | date | None, ...]


@dataclass(frozen=True, slots=True)
class FactTest:
    """One condition on one fact; of `values`, `start` and `end` those count that belong to its kind."""

    fact: str
    kind: Literal["one_of", "prefix", "range", "missing", "present"]
    values: tuple[str, ...] = ()
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """What a table says of one key.

    `kinds` are the dimensions that the row demands, None where it leaves them to the entry. `lacking` names the fact
    that is missing and without which no row fits; empty where giving it would not help. `rows` lists rows that fit
    equally.
    """

    status: Literal["found", "none", "several"]
    kinds: frozenset[str] | None = None
    rows: str = ""
    lacking: str = ""


@dataclass(frozen=True, slots=True)
class CoveredValues:
    """A decision table: the facts that it asks for, and what it says of their values.

    A key has a value for each fact (missing text is the empty text, a missing amount None), then the voucher date
    (None where `has_dates` is false). `answers` gives one answer a key, in the same order, and asks the table that
    makes the vouchers: the two cannot drift apart.
    """

    name: str
    file: str
    facts: tuple[str, ...]
    amount_facts: frozenset[str]
    has_dates: bool
    answers: Callable[[Sequence[Key]], Sequence[RowAnswer]] = field(compare=False)


@dataclass(frozen=True, slots=True)
class EntryRequirement:
    """A kind of journal line: when it is made, of which amount, and what it needs.

    `place` names file, line, template and entry: `claims.yaml:12 (expense_claim.expense)`. `sign` is 1 for a debit and -1 for a
    credit, the other way round in red. `fraction` is numerator and denominator; `less` are the entries whose amounts
    are taken off. `dimensions` are the required ones by kind, with the fact that gives each; `optional` the others.
    `accounts` are all that the entry may use, with the dimensions that a line on each must have.
    """

    name: str
    place: str
    scope: Scope
    side: str
    sign: int
    measure: str
    tests: tuple[FactTest, ...] = ()
    fraction: tuple[int, int] | None = None
    less: tuple[EntryRequirement, ...] = ()
    dimensions: Mapping[str, str] = field(default_factory=dict)
    optional: Mapping[str, str] = field(default_factory=dict)
    table: str = ""
    accounts: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventRequirement:
    """A template: the documents that it fits, and the entries it makes of them; none where it makes no voucher."""

    name: str
    event: str
    kinds: tuple[str, ...]
    tests: tuple[FactTest, ...] = ()
    valid_from: date | None = None
    valid_to: date | None = None
    is_silent: bool = False
    entries: tuple[EntryRequirement, ...] = ()


@dataclass(frozen=True, slots=True)
class Requirements:
    """All that a book's rules require.

    `folder` names the rules for people; `digest` is that of the rules. `residue_account` is the account that the last
    cents go to, empty where they stay on a line. `tax_is_computed`: the rules work the
    deductible tax of a line out themselves, so nobody else knows it beforehand.
    """

    digest: str
    folder: str
    decimals: int
    legal_entities: tuple[str, ...]
    receives_unassigned: bool
    residue: Literal["largest_line", "last_line", "account"]
    residue_account: str
    tax_is_computed: bool
    events: tuple[EventRequirement, ...]
    tables: Mapping[str, CoveredValues]
