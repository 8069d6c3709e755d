"""What a template makes of a whole document: what it lacks, and whether the voucher can balance.

A document's total, its lines, its write-offs and its settlement state the same money; a template that takes its debits
from one of them and its credits from another books it only if they agree. Which equations a template relies on is read
off its entries; the difference of debits and credits that is computed beside them is exact, and names what is left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Table,
    and_,
    case,
    false,
    func,
    literal,
    or_,
    select,
)

from include.domain.requirements import EntryRequirement, EventRequirement, FactTest, Requirements, Scope
from include.quality.fact_columns import PROPERTY, SETTLEMENTS, TAXES, FactColumns, half_up
from include.quality.scope import zero
from include.quality.staging import within_limit
from include.store.tables import source_document


@dataclass(frozen=True, slots=True)
class Term:
    """A part of an entry's amount: what is summed over the things where the conditions of both entries hold."""

    sign: int
    entry: EntryRequirement
    measured: EntryRequirement

    @property
    def tests(self) -> tuple[FactTest, ...]:
        return tuple(dict.fromkeys((*self.entry.tests, *self.measured.tests)))

    @property
    def is_sum(self) -> bool:
        """Whether the sum of things' amounts can be told without each thing's own share of a fraction."""
        return self.measured.fraction is None or set(self.tests) == set(self.measured.tests)


def terms_of(event: EventRequirement, *scopes: Scope) -> list[Term]:
    """The parts of the amounts of a template's entries of these scopes."""
    found = []
    for entry in event.entries:
        if entry.scope in scopes:
            found.append(Term(entry.sign, entry, entry))
            found += [Term(-entry.sign, entry, other) for other in entry.less]
    return found


@dataclass(frozen=True, slots=True)
class Reliance:
    """Which amounts a template's debits and credits take differently, so that they must agree elsewhere."""

    lines: bool
    write_offs: bool
    settlement: bool
    tax: bool
    refund: bool

    @classmethod
    def of(cls, event: EventRequirement) -> Reliance:
        lines = _open(terms_of(event, "line"), _of_gross)
        others = any(entry.scope != "line" for entry in event.entries)
        settled = any(_open(terms_of(event, "document"), _is(measure)) for measure in SETTLEMENTS)
        write_offs = _open(terms_of(event, "write_off"), _is("written_off"))
        return cls(
            lines=lines and others,
            write_offs=write_offs,
            settlement=settled or write_offs,
            tax=_open(terms_of(event, "line", "document"), _of_tax),
            refund=any(entry.measure == "refund" for entry in event.entries),
        )


def _open(terms: Iterable[Term], weight: Any) -> bool:
    """Whether some conditions leave an amount on one side only."""
    sums: dict[tuple[object, ...], int] = defaultdict(int)
    for term in terms:
        of = weight(term.measured.measure)
        if of:
            sums[term.entry.scope, frozenset(term.tests), term.measured.fraction] += term.sign * of
    return any(sums.values())


def _is(measure: str) -> Any:
    return lambda other: int(other == measure)


def _of_gross(measure: str) -> int:
    return int(measure in ("gross", "net_of_deductible_tax"))


def _of_tax(measure: str) -> int:
    return {"deductible_tax": 1, "net_of_deductible_tax": -1}.get(measure, 0)


@dataclass(frozen=True, slots=True)
class Whole:
    """Everything about one template's vouchers that is told per document. Queries join the tables named here."""

    requirements: Requirements
    event: EventRequirement
    facts: FactColumns
    lines: Table
    write_offs: Table
    of_lines: FromClause | None
    of_write_offs: FromClause | None
    residue: ColumnElement[Any]

    def columns(self) -> Iterator[ColumnElement[Any]]:
        """What the checks on a template's documents read."""
        d, lines, write_offs = source_document, self.lines, self.write_offs
        on = Reliance.of(self.event)
        nothing = literal(None, BigInteger)
        gross, payable = within_limit(d.c.gross_minor), within_limit(d.c.payable_minor)
        written_off, company_paid = (
            zero(within_limit(d.c.written_off_minor)),
            zero(within_limit(d.c.company_paid_minor)),
        )
        difference, weight = self._difference(on)
        books_nothing: ColumnElement[bool] = weight == 0
        if self.requirements.tax_is_computed and any(
            e.measure == "deductible_tax" for e in self.event.entries
        ):
            books_nothing = false()  # what the rules work out from the invoices is not known here
        lacks_lines: ColumnElement[bool] = false()
        if any(entry.scope == "line" for entry in self.event.entries):
            lacks_lines = and_(lines.c.document_pk.is_(None), or_(books_nothing, difference != 0))
        left = gross - lines.c.functional_minor
        of_lines = case(
            (and_(lines.c.unread == 0, func.abs(left) > lines.c.foreign_count), left), else_=nothing
        )
        settled = gross - written_off - company_paid - payable
        known = func.coalesce(write_offs.c.unread, 0) == 0
        of_records = case((known, written_off - zero(write_offs.c.amount_minor)))
        mismatches = {
            "lines_difference_minor": of_lines if on.lines else nothing,
            "payable_difference_minor": case((settled != 0, settled)) if on.settlement else nothing,
            "write_offs_difference_minor": case((of_records != 0, of_records)) if on.write_offs else nothing,
            "negative_payable_minor": (
                case((payable < 0, payable)) if on.settlement and not on.refund else nothing
            ),
        }
        told = or_(lacks_lines, *(column.is_not(None) for column in mismatches.values()))
        yield case((lacks_lines, self.event.name)).label("lines_place")
        for name, column in mismatches.items():
            yield column.label(name)
        yield self._transaction_difference(on).label("difference_transaction_minor")
        yield case((and_(~func.coalesce(told, False), difference != 0), difference)).label("difference_minor")
        yield case((and_(books_nothing, ~func.coalesce(lacks_lines, False)), 1)).label("books_nothing")
        yield from self._missing_amounts()

    def _difference(self, on: Reliance) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
        """Debits less credits, NULL where that cannot be told; and the sum of all sizes, zero if nothing is booked.

        What converting left over may stand on an account of its own, where it makes up a difference of its size.
        """
        difference: ColumnElement[Any] = literal(0, BigInteger)
        weight: ColumnElement[Any] = literal(0, BigInteger)
        terms = [
            *((term, self._of_document(term), None) for term in terms_of(self.event, "document")),
            *self._of_things("line", self.of_lines),
            *self._of_things("write_off", self.of_write_offs),
        ]
        for term, total, size in terms:
            share = total
            if term.measured.fraction is not None:
                share = half_up(total, *term.measured.fraction)
            difference = difference + term.sign * share
            if term.measured is term.entry:
                weight = weight + (func.abs(total) if size is None else size)
        can_be_told = all(term.is_sum for term, _, _ in terms)
        if self.requirements.tax_is_computed and on.tax:
            can_be_told = False
        if not can_be_told:
            difference = literal(None, BigInteger)
        if self.requirements.residue == "account":
            made_up = func.abs(difference) == func.abs(self.residue)
            difference = case((made_up, 0), else_=difference)
        return difference, weight

    def _of_document(self, term: Term) -> ColumnElement[Any]:
        return case((self.facts.holds(term.tests), self.facts.measured(term.measured)), else_=0)

    def _of_things(
        self, scope: Scope, sums: FromClause | None
    ) -> Iterator[tuple[Term, ColumnElement[Any], ColumnElement[Any]]]:
        """The sums of lines or write-offs; a document without any has zero."""
        if sums is None:
            return
        has_none = sums.c.document_pk.is_(None)
        for n, term in enumerate(terms_of(self.event, scope)):
            yield (
                term,
                case((has_none, 0), else_=sums.c[f"sum{n}"]),
                case((has_none, 0), else_=sums.c[f"size{n}"]),
            )

    def _transaction_difference(self, on: Reliance) -> ColumnElement[Any]:
        """A voucher that is foreign as a whole balances in that currency too: the total must be that of the lines."""
        d, lines = source_document, self.lines
        if not on.lines:
            return literal(None, BigInteger)
        whole = [
            and_(
                self.facts.holds(entry.tests),
                self.facts.measured(entry) == within_limit(d.c.gross_minor),
            )
            for entry in self.event.entries
            if entry.scope == "document" and entry.measure in ("gross", *SETTLEMENTS)
        ]
        is_foreign = and_(
            d.c.currency != d.c.functional_currency,
            lines.c.first_currency == d.c.currency,
            lines.c.last_currency == d.c.currency,
            lines.c.transaction_unknown == 0,
        )
        left = within_limit(d.c.transaction_gross_minor) - lines.c.transaction_minor
        return case((and_(is_foreign, or_(false(), *whole), left != 0), left))

    def _missing_amounts(self) -> Iterator[ColumnElement[Any]]:
        """Who requires an amount that the document does not have; a foreign one needs its foreign amount too."""
        d = source_document
        places: dict[str, list[tuple[ColumnElement[bool], str]]] = defaultdict(list)
        properties: list[tuple[ColumnElement[bool], str]] = []
        for entry in (e for own in self.event.entries for e in (own, *own.less)):
            if entry.scope != "document":
                continue
            applies, amount = self.facts.holds(entry.tests), self.facts.measured(entry)
            field = "payable" if entry.measure == "refund" else entry.measure
            if entry.measure.startswith(PROPERTY):
                field = "property"
                properties.append((and_(applies, amount.is_(None)), entry.measure.removeprefix(PROPERTY)))
            else:
                whole = [amount == d.c.gross_minor] if entry.measure in SETTLEMENTS else []
                foreign = d.c.currency != d.c.functional_currency
                unknown = d.c.transaction_gross_minor.is_(None)
                places["transaction_gross"].append((and_(applies, foreign, unknown, *whole), entry.place))
            if entry.measure not in ("gross", *TAXES):
                places[field].append((and_(applies, amount.is_(None)), entry.place))
        for field, cases in places.items():
            yield case(*cases).label(f"{field}_place")
        if properties:
            yield case(*properties).label("property_name")


def sums_of(
    things: Table, event: EventRequirement, template: int, scope: Scope, places: Sequence[str]
) -> FromClause | None:
    """Per document: the sum and the size of each term over the lines or write-offs staged for a template, and of the
    columns `places` the first that says something; None where the template has no such entries.
    """
    terms = terms_of(event, scope)
    if not terms:
        return None
    columns: list[ColumnElement[Any]] = [func.min(things.c[name]).label(name) for name in places]
    for n in range(len(terms)):
        amount = things.c[f"amount{n}"]
        known = func.count(amount) == func.count()
        columns.append(case((known, func.sum(amount, type_=BigInteger()))).label(f"sum{n}"))
        columns.append(case((known, func.sum(func.abs(amount), type_=BigInteger()))).label(f"size{n}"))
    query = select(things.c.document_pk, *columns).where(things.c.template == template)
    return query.group_by(things.c.document_pk).subquery(f"{scope}_sums")
