"""Facts, conditions and measures of rules as SQL over the stored documents, for SQLite and PostgreSQL alike.

They mean what they mean to the rules (docs/rules.md): references by code, else by id; empty text is missing; a line
without a department, project or legal entity of its own has its document's; amounts are functional minor units.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    String,
    Table,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    true,
)

from include.domain.requirements import EntryRequirement, FactTest, Requirements
from include.quality.staging import within_limit
from include.store.tables import source_document, source_line, source_write_off

INHERITED = ("line.department", "line.project", "line.legal_entity", "line.is_own")
REFERENCES = ("legal_entity", "department", "submitter", "supplier", "project", "fee_type")
FLAGS = {
    "document.has_write_off": "written_off_minor",
    "document.has_company_paid": "company_paid_minor",
    "document.has_payable": "payable_minor",
}
AMOUNTS = {
    "document.gross": "gross_minor",
    "document.written_off": "written_off_minor",
    "document.company_paid": "company_paid_minor",
    "document.payable": "payable_minor",
    "write_off.amount": "amount_minor",
}
PROPERTY = "document.properties."
TAXES = ("deductible_tax", "net_of_deductible_tax")
SETTLEMENTS = ("written_off", "company_paid", "payable", "refund")
_SPACES = " \t\r\n\v\f\u00a0\u3000"
_NOTHING = literal(0, BigInteger)


@dataclass(frozen=True, slots=True)
class FactColumns:
    """Expressions for queries that join `source_document`, and for lines `source_line`, and so on.

    `sums` (see document_rows.line_sums) and `residues` are staged tables that the query joins too.
    """

    requirements: Requirements
    dialect: str
    sums: Table
    residues: Table

    def value(self, fact: str) -> ColumnElement[Any]:
        """The fact; NULL where it is missing."""
        scope, _, name = fact.partition(".")
        if fact in FLAGS:
            return case((func.coalesce(source_document.c[FLAGS[fact]], 0) != 0, "yes"), else_="no")
        if fact in AMOUNTS:
            table = source_document if scope == "document" else source_write_off
            return table.c[AMOUNTS[fact]]
        if fact == "line.gross":
            return self._line_gross()
        if fact == "line.deductible_tax":
            return source_line.c.tax_minor
        if fact.startswith(PROPERTY):
            return _present(self._property(fact.removeprefix(PROPERTY)))
        if name == "is_own":
            return self._is_own(scope)
        if fact == "write_off.loan":
            return _present(source_write_off.c.loan_document_id)
        own = self._own(scope, name)
        return func.coalesce(own, self._own("document", name)) if fact in INHERITED else own

    def key(self, fact: str) -> ColumnElement[Any]:
        """The fact as tables are asked for it: missing text is the empty text."""
        value = self.value(fact)
        is_amount = fact in AMOUNTS or fact in ("line.gross", "line.deductible_tax")
        return value if is_amount else func.coalesce(value, "")

    def holds(self, tests: Iterable[FactTest]) -> ColumnElement[bool]:
        """Whether all conditions hold (not true may be NULL); a missing value fails all but `missing`."""
        return and_(true(), *(self._holds(test) for test in tests))

    def measured(self, entry: EntryRequirement) -> ColumnElement[Any]:
        """The measure of a thing of the entry's scope; NULL where there is no usable amount.

        Tax that the rules work out themselves counts as zero here: callers leave out what would depend on it.
        """
        measure, d = entry.measure, source_document
        if measure.startswith(PROPERTY):
            return self._amount(self._property(measure.removeprefix(PROPERTY)))
        if entry.scope == "write_off":
            return within_limit(source_write_off.c.amount_minor)
        if entry.scope == "line":
            gross, tax = within_limit(self._line_gross()), self._tax(within_limit(source_line.c.tax_minor))
        else:
            gross, tax = within_limit(d.c.gross_minor), self._tax(self._document_tax())
        payable = within_limit(d.c.payable_minor)
        return {
            "gross": gross,
            "deductible_tax": tax,
            "net_of_deductible_tax": gross - tax,
            "written_off": within_limit(d.c.written_off_minor),
            "company_paid": within_limit(d.c.company_paid_minor),
            "payable": case((payable < 0, 0), else_=payable),
            "refund": case((payable > 0, 0), else_=-payable),
        }[measure]

    def amount(self, entry: EntryRequirement) -> ColumnElement[Any]:
        """The amount of a journal line before it is merged; the rest of a share (尾差) is left out."""
        amount = self._shared(entry)
        for other in entry.less:
            amount = amount - case((self.holds(other.tests), self._shared(other)), else_=0)
        return amount

    def _shared(self, entry: EntryRequirement) -> ColumnElement[Any]:
        measured = self.measured(entry)
        return measured if entry.fraction is None else half_up(measured, *entry.fraction)

    def _holds(self, test: FactTest) -> ColumnElement[bool]:
        value = self.value(test.fact)
        if test.kind == "missing":
            return value.is_(None)
        if test.kind == "present":
            return value.is_not(None)
        if test.kind == "range":
            bounds: list[ColumnElement[bool]] = [value.is_not(None)]
            if test.start is not None:
                bounds.append(value >= literal(test.start, BigInteger))
            if test.end is not None:
                bounds.append(value <= literal(test.end, BigInteger))
            return and_(*bounds)
        if test.kind == "prefix":
            return func.substr(value, 1, len(test.values[0])) == test.values[0]
        return value.in_(test.values)

    def _own(self, scope: str, name: str) -> ColumnElement[Any]:
        table = source_line if scope == "line" else source_document
        if name in REFERENCES:
            return func.coalesce(_present(table.c[f"{name}_code"]), _present(table.c[f"{name}_id"]))
        return _present(cast(table.c[name], String))

    def _is_own(self, scope: str) -> ColumnElement[Any]:
        entities = self.requirements.legal_entities
        unassigned = "yes" if self.requirements.receives_unassigned else "no"
        d, x = source_document, source_line

        def of(table: Any) -> ColumnElement[Any]:
            columns = (table.c.legal_entity_id, table.c.legal_entity_code)
            return case(
                (or_(*(column.in_(entities) for column in columns)), "yes"),
                (or_(*(_present(column).is_not(None) for column in columns)), "no"),
            )

        document = func.coalesce(of(d), unassigned)
        return func.coalesce(of(x), document) if scope == "line" else document

    def _line_gross(self) -> ColumnElement[Any]:
        """With the line's part of what converting the document's total left over."""
        return source_line.c.functional_minor + func.coalesce(self.residues.c.residue_minor, 0)

    def _tax(self, tax: ColumnElement[Any]) -> ColumnElement[Any]:
        return _NOTHING if self.requirements.tax_is_computed else tax

    def _document_tax(self) -> ColumnElement[Any]:
        known = case((self.sums.c.tax_unknown == 0, self.sums.c.tax_minor))
        return case((self.sums.c.document_pk.is_(None), 0), else_=known)

    def _property(self, name: str) -> ColumnElement[Any]:
        text = source_document.c.properties
        value: ColumnElement[Any]
        if self.dialect == "sqlite":
            value = cast(func.json_extract(text, f"$.{name}"), String)
        else:
            value = func.json_extract_path_text(cast(text, JSON), name, type_=String())
        # PostgreSQL refuses to read a JSON text with this escape, and would stop the gate for all documents; SQLite
        # would take what stands before it.
        return case((~text.contains("\\u0000", autoescape=True), value))

    def _amount(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        """A decimal in a property in minor units; NULL where it is missing, or no plausible amount of the currency."""
        decimals = self.requirements.decimals
        trimmed = func.rtrim(func.ltrim(text, _SPACES), _SPACES, type_=String())
        dot = (func.instr if self.dialect == "sqlite" else func.strpos)(trimmed, ".")
        whole = case((dot > 0, func.substr(trimmed, 1, dot - 1, type_=String())), else_=trimmed)
        part = case((dot > 0, func.substr(trimmed, dot + 1, type_=String())), else_="")
        cents = func.substr(part.concat("0" * decimals), 1, decimals, type_=String())
        digits = whole.concat(cents) if decimals else whole
        is_amount = trimmed.regexp_match(rf"^-?[0-9]{{1,15}}([.][0-9]{{0,{decimals}}}0*)?$")
        return within_limit(case((is_amount, cast(digits, BigInteger))))


def half_up(amount: ColumnElement[Any], numerator: int, denominator: int) -> ColumnElement[Any]:
    """`amount × numerator / denominator`, half up in size; amounts within the limit cannot overflow."""
    size = func.abs(amount, type_=BigInteger())
    rest = size % denominator
    rounded = size // denominator * numerator + (2 * rest * numerator + denominator) // (2 * denominator)
    return case((amount < 0, -rounded), else_=rounded)


def _present(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.nullif(text, "", type_=String())
