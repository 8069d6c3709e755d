"""Whether two rule sets make the same vouchers of every conceivable document; only ever "yes" with a proof.

Templates are compared in a canonical form, without what cannot make a difference. Tables are compared by asking both
for every combination of values that any of their cells tells apart (regions.py), which are finitely many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import islice, product
from typing import Any

import polars as pl

from include.rules import RuleSet
from include.rules.facts import FactType, Scope
from include.rules.lookup import lookup
from include.rules.regions import Axis, NumberAxis, TextAxis, Value, limits
from include.rules.schema import Entry, VoucherTemplate
from include.rules.tables import CellKind, DecisionTable, TableRow
from include.settings import Book, ResidueAccount

MOST_KEYS = 500_000
FLAGS: Mapping[str, Sequence[str]] = {
    "invoice.has_tax": ("yes", "no"),
    "invoice.is_named": ("yes", "no", ""),
    "document.is_own": ("yes", "no"),
    "line.is_own": ("yes", "no"),
    **{f"document.{name}": ("yes", "no") for name in ("has_write_off", "has_company_paid", "has_payable")},
}
"""Facts that have no other values."""


def difference(left: RuleSet, right: RuleSet, book: Book, decimals: int) -> str | None:
    """In which rules two sets differ; None where they make the same vouchers, which is proved."""
    if left.digest == right.digest:
        return None
    if _templates(left) != _templates(right):
        return "templates"
    if _accounts(left, book) != _accounts(right, book):
        return "accounts"
    tables = {name: (left.tables.get(name), right.tables.get(name)) for name in {*left.tables, *right.tables}}
    tables["input_vat"] = (left.input_vat, right.input_vat)
    for name, (one, other) in sorted(tables.items()):
        if one is not other and (one is None or other is None or not same_answers(one, other, decimals)):
            return name
    return None


def same_answers(left: DecisionTable, right: DecisionTable, decimals: int) -> bool:
    """Whether both tables say the same of every key: account, dimensions, that none or several rows fit."""
    if left.conditions != right.conditions:
        return False
    values = [_values(left, right, index, decimals) for index in range(len(left.conditions))]
    days = _days((*left.rows, *right.rows))
    keys = list(islice(product(*values, days), MOST_KEYS + 1))
    if len(keys) > MOST_KEYS:
        return False
    schema: dict[str, Any] = {
        fact.path: pl.Int128 if fact.type is FactType.AMOUNT else pl.String for fact in left.conditions
    }
    frame = pl.DataFrame(keys, schema={**schema, "date": pl.Date}, orient="row").with_row_index("key")
    frame = frame.with_columns(pl.col("key").cast(pl.Int64))
    said = [
        lookup(table, frame, decimals)
        .select("key", pl.when(pl.col("rows").is_null()).then("account"), "kinds", pl.col("rows").is_null())
        .sort("key")
        for table in (left, right)
    ]
    return said[0].equals(said[1])


def _values(left: DecisionTable, right: DecisionTable, index: int, decimals: int) -> list[Value]:
    """One value for each set of values that no cell of a column tells apart."""
    fact = left.conditions[index]
    if fact.path in FLAGS:
        return list(FLAGS[fact.path])
    cells = [row.cells[index] for row in (*left.rows, *right.rows)]
    axis: Axis
    if fact.type is FactType.TEXT:
        axis = TextAxis(cells)
    else:
        axis = NumberAxis([limits(c, decimals) for c in cells if c.kind is CellKind.RANGE], decimals)
    return [axis.sample(1 << number) for number in range(axis.full.bit_length())]


def _days(rows: Sequence[TableRow]) -> list[date]:
    """A day of every stretch between the dates of rows."""
    starts = {date.min}
    for row in rows:
        starts |= {row.valid_from} if row.valid_from else set()
        starts |= {date.fromordinal(row.valid_to.toordinal() + 1)} if row.valid_to else set()
    return sorted(starts)


def _accounts(rules: RuleSet, book: Book) -> Mapping[str, str]:
    """The accounts by the keys that anything uses."""
    used = {entry.account.key for template in rules.templates for entry in template.spec.lines}
    if isinstance(book.residue, ResidueAccount):
        used.add(book.residue.account)
    return {key: keyed.account for key, keyed in rules.accounts.items() if key in used}


def _templates(rules: RuleSet) -> list[Any]:
    kinds = Counter(kind for each in rules.templates for kind in set(each.spec.kinds))
    found = []
    for spec in (each.spec for each in rules.templates):
        shown = _template(rules, spec)
        if spec.no_voucher is not None and all(kinds[kind] == 1 for kind in spec.kinds):
            # Nothing else fits such documents, and what makes no voucher shows neither its event nor its word.
            del shown["event"], shown["word"]
        found.append(shown)
    return sorted(found, key=lambda shown: str(shown["id"]))


def _template(rules: RuleSet, spec: VoucherTemplate) -> dict[str, Any]:
    shown = spec.model_dump(mode="json", by_alias=True, exclude={"lines", "summary", "title"})
    return shown | {"lines": [_entry(rules, spec, entry) for entry in spec.lines]}


def _entry(rules: RuleSet, spec: VoucherTemplate, entry: Entry) -> dict[str, Any]:
    """Without what makes no difference: merging what is one line anyway, whose summary it is, and which of the
    dimensions are required where every row of the table says so itself.
    """
    shown = entry.model_dump(mode="json", by_alias=True) | {"summary": spec.summary_of(entry)}
    if entry.for_each is Scope.DOCUMENT:
        shown["merge"] = "none"
    rows = rules.tables[entry.account.table].rows if entry.account.table else ()
    if rows and all(row.dimensions is not None for row in rows):
        named = {kind for row in rows for kind in row.dimensions or ()}
        given = {**shown.pop("dimensions"), **shown.pop("optional_dimensions")}
        shown["chosen_dimensions"] = {kind: path for kind, path in given.items() if kind in named}
        fixed = shown["fixed_dimensions"]
        shown["fixed_dimensions"] = {kind: value for kind, value in fixed.items() if kind in named}
    return shown
