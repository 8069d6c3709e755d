"""Where rule sets may differ, as a condition on the stored documents: it may hold for more of them, never for fewer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, or_, select, true

from include.rules import facts
from include.rules.difference import Condition, Region
from include.rules.facts import FactType, Scope
from include.rules.lookup import bound
from include.rules.tables import Cell, CellKind
from include.store import tables as t

SQL = ColumnElement[bool]
_TABLES = {"line": t.source_line, "write_off": t.source_write_off, "invoice": t.source_invoice}


def concerned(regions: Sequence[Region], decimals: int, currency: str) -> SQL:
    """Whether a row of `source_document` lies in one of the regions; `decimals` and `currency` are the book's."""
    whole = [_document(region, decimals) for region in regions if region.scope == Scope.DOCUMENT]
    parts = [
        and_(
            or_(*(_document(region, decimals) for region in of_scope)),
            t.source_document.c.id.in_(_things(scope, of_scope, decimals, currency)),
        )
        for scope in _TABLES
        if (of_scope := [region for region in regions if region.scope == scope])
    ]
    return or_(false(), *whole, *parts)


def _document(region: Region, decimals: int) -> SQL:
    """What a region asks of the document itself."""
    d = t.source_document
    conditions: list[SQL] = [d.c.kind.in_(sorted(region.kinds))]
    if region.date_from:
        conditions.append(d.c.business_date >= region.date_from)
    if region.date_to:
        conditions.append(d.c.business_date <= region.date_to)
    conditions += [_holds(condition, d, decimals) for condition in _ordered(region.documents)]
    return and_(*conditions)


def _things(scope: str, regions: Sequence[Region], decimals: int, currency: str) -> Any:
    """The documents that have a line, write-off or invoice as one of the regions asks for; each table is read once."""
    table = _TABLES[scope]
    document = t.source_document.alias("of")
    inherits = any(_inherits(condition) for region in regions for condition in region.things)

    def tests(conditions: Iterable[Condition]) -> SQL:
        return and_(true(), *(_of_thing(c, table, document, decimals, currency) for c in conditions))

    query = select(table.c.document_pk).where(or_(*(tests(_ordered(region.things)) for region in regions)))
    if inherits:
        # Said once more without the document, so that it is looked up for the lines that pass this only.
        own = [tests(c for c in _ordered(region.things) if not _inherits(c)) for region in regions]
        query = query.join(document, document.c.id == table.c.document_pk).where(or_(*own))
    return query


def _ordered(conditions: Iterable[Condition]) -> list[Condition]:
    return sorted(conditions, key=lambda each: (each.path, str(each.cell)))


def _inherits(condition: Condition) -> bool:
    scope, _, name = condition.path.partition(".")
    return scope == Scope.LINE and name in facts.INHERITED and name != facts.IS_OWN


def _of_thing(condition: Condition, table: Any, document: Any, decimals: int, currency: str) -> SQL:
    scope, _, name = condition.path.partition(".")
    if not _inherits(condition):
        holds = _holds(condition, table, decimals)
        # The rest of a conversion is put on a line before rules look at its amount.
        is_settled = (scope, name) == (Scope.LINE, "gross")
        return or_(holds, table.c.currency.is_(None), table.c.currency != currency) if is_settled else holds
    is_own = or_(table.c[f"{name}_code"] != "", func.coalesce(table.c[f"{name}_id"], "") != "")
    return or_(
        and_(is_own, _reference(condition.cell, table, name)),
        and_(~is_own, _reference(condition.cell, document, name)),
    )


def _holds(condition: Condition, table: Any, decimals: int) -> SQL:
    """One condition on a fact of the row of a table. What SQL cannot tell holds."""
    scope, _, name = condition.path.partition(".")
    found, cell = facts.fact(condition.path), condition.cell
    if found is not None and found.type is FactType.AMOUNT:
        # How much of a line's tax is deductible may itself be by the rules.
        return (
            true()
            if name == "deductible_tax"
            else _amount(cell, table.c[facts.AMOUNTS[scope][name]], decimals)
        )
    if name in facts.REFERENCES[scope]:
        return _reference(cell, table, name)
    if scope == Scope.DOCUMENT and name in facts.FLAGS:
        is_there = func.coalesce(table.c[facts.FLAGS[name]], 0) != 0
        answers = ((is_there, _of_word(cell, "yes")), (~is_there, _of_word(cell, "no")))
        return or_(false(), *(test for test, holds in answers if holds))
    if scope == "invoice" and name in facts.INVOICE_FLAGS:
        return _invoice_flag(cell, table, name)
    if facts.PROPERTY.match(condition.path):
        return _property(cell, table.c.properties)
    column = facts.TEXTS[scope].get(name)
    if column is None:
        return true()
    return _day(cell, table.c[column]) if column == "occurred_on" else _text(cell, table.c[column])


def _text(cell: Cell, column: Any) -> SQL:
    value: ColumnElement[str] = func.coalesce(column, "")
    match cell.kind:
        case CellKind.VALUES:
            return value.in_(cell.values)
        case CellKind.PREFIX:
            return func.substr(value, 1, len(cell.values[0])) == cell.values[0]
        case CellKind.PRESENT:
            return value != ""
        case _:
            return true()


def _reference(cell: Cell, table: Any, name: str) -> SQL:
    """By code, by id where there is no code; written so that an index of codes can be used."""
    code, key = table.c[f"{name}_code"], table.c[f"{name}_id"]
    if cell.kind is CellKind.PRESENT:
        return or_(code != "", func.coalesce(key, "") != "")
    if cell.kind is CellKind.VALUES:
        given = [value for value in cell.values if value]
        by_code = code.in_(given) if given else false()
    else:
        by_code = _text(cell, code)
    return or_(by_code, and_(code == "", _text(cell, key)))


def _amount(cell: Cell, column: ColumnElement[int], decimals: int) -> SQL:
    match cell.kind:
        case CellKind.VALUES:
            return column.is_(None)
        case CellKind.PRESENT:
            return column.is_not(None)
        case CellKind.RANGE:
            start = bound(cell.start, decimals, is_start=True)
            end = bound(cell.end, decimals, is_start=False)
            limits = [column >= start] if start is not None else []
            limits += [column <= end] if end is not None else []
            return and_(column.is_not(None), *limits) if _fits(start, end) else true()
        case _:
            return true()


def _fits(*bounds: int | None) -> bool:
    """Whether a database takes the bounds: nobody states amounts beyond, but a table may."""
    return all(bound is None or abs(bound) < 2**63 for bound in bounds)


def _invoice_flag(cell: Cell, table: Any, name: str) -> SQL:
    """A flag as "yes" or "no"; `is_named` may be missing."""
    if name == "has_tax":
        flag = func.coalesce(table.c.tax_minor, 0) != 0
        answers = [(flag, _of_word(cell, "yes")), (~flag, _of_word(cell, "no"))]
    else:
        named = table.c.is_named
        answers = [
            (named.is_(True), _of_word(cell, "yes")),
            (named.is_(False), _of_word(cell, "no")),
            (named.is_(None), cell.kind is CellKind.ANY or "" in cell.values),
        ]
    return or_(false(), *(test for test, holds in answers if holds))


def _of_word(cell: Cell, word: str) -> bool:
    tests: dict[CellKind, Callable[[], bool]] = {
        CellKind.VALUES: lambda: word in cell.values,
        CellKind.PREFIX: lambda: word.startswith(cell.values[0]),
    }
    return tests.get(cell.kind, lambda: True)()


def _day(cell: Cell, column: ColumnElement[date]) -> SQL:
    """Days compare as the text `2026-01-31`; a beginning of one is not worth telling."""
    if cell.kind is CellKind.PRESENT:
        return column.is_not(None)
    if cell.kind is not CellKind.VALUES:
        return true()
    tests = [column.in_([day for value in cell.values if (day := _parsed(value)) is not None])]
    return or_(*tests, column.is_(None)) if "" in cell.values else or_(*tests)


def _parsed(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _property(cell: Cell, column: Any) -> SQL:
    """The JSON text holds the value somewhere, if the form states it."""
    if cell.kind not in {CellKind.VALUES, CellKind.PREFIX} or not all(cell.values):
        return true()
    written = [json.dumps(value, ensure_ascii=False)[1:-1] for value in cell.values]
    return or_(*(column.contains(text, autoescape=True) for text in written))
