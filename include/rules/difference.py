"""Which documents may come out differently under another rule set: more than differ in the end, never fewer.

What counts is the effect: accounts, sides, amounts, dimensions. Titles, summaries, names, the order of rows and lines, and
where in a file a rule stands change nothing in the accounts.

A changed row concerns the documents that have something inside the row's conditions, as they were or as they are now: for
anything else the rows that fit are the same, and so is the one that wins. A changed line of a template concerns the
documents of that template that meet the line's condition; a template that is new, gone or chosen otherwise, all
documents that it was or is for.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

from include.rules.ruleset import RuleSet
from include.rules.schema import Entry, Predicate, VoucherTemplate
from include.rules.tables import Cell, CellKind, DecisionTable, TableRow
from include.settings import Book, ResidueAccount

MOST_REGIONS = 200
"""More than these are not worth telling apart: then the table's or the template's documents are taken as they are."""

_COMPARED = frozenset({"templates", "tables", "accounts", "input_vat"})
_WITHOUT_EFFECT = frozenset({"rules_dir", "tables_dir", "digest", "accounts_file"})


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on a fact, as in the cell of a table."""

    path: str
    cell: Cell


@dataclass(frozen=True, slots=True)
class Region:
    """Documents of some kinds, by voucher date (both ends included, None for open), that meet all conditions.

    `things`: conditions that one and the same thing of the document meets: a line, a write-off or an invoice, as `scope`
    says (`document`: there are none).
    """

    kinds: frozenset[str]
    date_from: date | None = None
    date_to: date | None = None
    documents: frozenset[Condition] = frozenset()
    scope: str = "document"
    things: frozenset[Condition] = frozenset()


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two rule sets may differ. `everywhere` says why it cannot be told, zh / en; then every document may."""

    regions: tuple[Region, ...] = ()
    everywhere: str = ""


def difference(old: RuleSet, new: RuleSet, book: Book) -> Difference:
    """Where documents of a book may come out differently under `new` than under `old`."""
    unknown = sorted(
        field.name
        for field in fields(RuleSet)
        if field.name not in _COMPARED | _WITHOUT_EFFECT
        and getattr(old, field.name) != getattr(new, field.name)
    )
    if unknown:
        names = "、".join(unknown)
        return Difference(
            everywhere=f"{names} 有改动，可能影响任何单据 / {names} changed, which may concern any document"
        )
    if isinstance(book.residue, ResidueAccount) and len(
        {_account_of(ruleset, book.residue.account) for ruleset in (old, new)}
    ) > len({""}):
        key = book.residue.account
        return Difference(everywhere=f"尾差科目 {key} 有改动 / the residue's account {key} changed")
    if (old.input_vat is None) != (new.input_vat is None):
        return Difference(
            everywhere="进项税额表有增减，税额的来源全部改变 / the table of input VAT is new or gone: all taxes come from elsewhere"
        )
    found = dict.fromkeys([*_templates(old, new), *_tables(old, new), *_input_vat(old, new)])
    regions = list(found)
    if len(regions) > MOST_REGIONS:
        regions = list(dict.fromkeys(Region(each.kinds, each.date_from, each.date_to) for each in regions))
    if len(regions) > MOST_REGIONS:
        regions = [Region(frozenset(kind for each in regions for kind in each.kinds))]
    return Difference(tuple(regions))


def tax_accounts(rulesets: Iterable[RuleSet]) -> frozenset[str]:
    """The accounts of lines whose measure is the deductible tax."""
    found = set()
    for ruleset in rulesets:
        for template in ruleset.templates:
            for entry in template.spec.lines:
                if entry.measure == "deductible_tax":
                    found |= set(_accounts_of(ruleset, entry))
    return frozenset(found)


# -- templates ---------------------------------------------------------------------------------------------------


def _templates(old: RuleSet, new: RuleSet) -> Iterator[Region]:
    before, after = _by_selector(old), _by_selector(new)
    for selector in sorted({*before, *after}):
        ours, theirs = before.get(selector, []), after.get(selector, [])
        if len(ours) == len(theirs) == 1:
            yield from _entries(old, ours[0], new, theirs[0])
        elif Counter(_lines_form(old, one) for one in ours) != Counter(
            _lines_form(new, one) for one in theirs
        ):
            yield _selected((ours + theirs)[0])


def _by_selector(ruleset: RuleSet) -> dict[str, list[VoucherTemplate]]:
    """Templates by what decides which documents they are for, and to what end."""
    found: dict[str, list[VoucherTemplate]] = {}
    for template in ruleset.templates:
        spec = template.spec
        form = spec.model_dump(
            mode="json", by_alias=True, exclude_none=True, include={"when", "valid_from", "valid_to", "event"}
        )
        form |= {"kinds": sorted(spec.kinds), "silent": spec.no_voucher is not None}
        found.setdefault(_text(form), []).append(spec)
    return found


def _entries(old: RuleSet, before: VoucherTemplate, new: RuleSet, after: VoucherTemplate) -> Iterator[Region]:
    """What the lines that differ concern; both templates are for the same documents."""
    forms = [
        Counter(_entry_form(ruleset, entry) for entry in spec.lines)
        for ruleset, spec in ((old, before), (new, after))
    ]
    changed = {*(forms[0] - forms[1]), *(forms[1] - forms[0])}
    for ruleset, spec in ((old, before), (new, after)):
        for entry in spec.lines:
            if _entry_form(ruleset, entry) in changed:
                yield _of_entry(spec, entry)


def _lines_form(ruleset: RuleSet, spec: VoucherTemplate) -> str:
    return _text(sorted(_entry_form(ruleset, entry) for entry in spec.lines))


def _entry_form(ruleset: RuleSet, entry: Entry) -> str:
    """All of an entry that has an effect, its account's code in place of the key."""
    form = entry.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"summary"})
    form["fixed_dimensions"] = {kind: fixed.code for kind, fixed in sorted(entry.fixed_dimensions.items())}
    if entry.account.key is not None:
        form["account"] = _account_of(ruleset, entry.account.key)
    return _text(form)


def _account_of(ruleset: RuleSet, key: str) -> str:
    keyed = ruleset.accounts.get(key)
    return keyed.account if keyed else ""


def _accounts_of(ruleset: RuleSet, entry: Entry) -> Iterator[str]:
    if entry.account.key is not None:
        yield _account_of(ruleset, entry.account.key)
    elif entry.account.table is not None:
        yield from (row.account for row in ruleset.tables[entry.account.table].rows)


def _text(form: Any) -> str:
    return json.dumps(form, ensure_ascii=False, sort_keys=True)


def _selected(spec: VoucherTemplate) -> Region:
    """The documents that a template is for."""
    kinds = frozenset(kind.value for kind in spec.kinds)
    return Region(kinds, spec.valid_from, spec.valid_to, frozenset(_tests(spec.when)))


def _of_entry(
    spec: VoucherTemplate, entry: Entry, row: TableRow | None = None, names: tuple[str, ...] = ()
) -> Region:
    """The documents for which a line of a template is made; with `row` of its table, only those inside the row."""
    base = _selected(spec)
    tests = set(_tests(entry.when))
    date_from, date_to = base.date_from, base.date_to
    if row is not None:
        tests |= {
            Condition(name, cell)
            for name, cell in zip(names, row.cells, strict=True)
            if cell.kind is not CellKind.ANY
        }
        date_from = max(filter(None, (date_from, row.valid_from)), default=None)
        date_to = min(filter(None, (date_to, row.valid_to)), default=None)
    things = frozenset(test for test in tests if not test.path.startswith("document."))
    return Region(
        base.kinds,
        date_from,
        date_to,
        base.documents | (tests - things),
        entry.for_each.value if things else "document",
        things,
    )


def _tests(when: Mapping[str, Predicate]) -> Iterator[Condition]:
    """Predicates as cells. What a cell cannot say exactly is said more widely."""
    for path, predicate in when.items():
        if predicate.equals is not None:
            yield Condition(path, Cell(CellKind.VALUES, (predicate.equals,)))
        elif predicate.any_of is not None:
            yield Condition(path, Cell(CellKind.VALUES, tuple(sorted(set(predicate.any_of)))))
        elif predicate.prefix is not None:
            yield Condition(path, Cell(CellKind.PREFIX, (predicate.prefix,)))
        elif predicate.range is not None:
            yield Condition(path, Cell(CellKind.RANGE, (), predicate.range.start, predicate.range.end))
        elif predicate.not_missing:
            yield Condition(path, Cell(CellKind.PRESENT))
        else:
            yield Condition(path, Cell(CellKind.VALUES, ("",)))


# -- decision tables ---------------------------------------------------------------------------------------------


def _tables(old: RuleSet, new: RuleSet) -> Iterator[Region]:
    """Where rows differ of tables that both have; one that only one of them has comes with a changed template."""
    for name in sorted({*old.tables} & {*new.tables}):
        rows = [(table, _rows(table)) for table in (old.tables[name], new.tables[name])]
        (_, before), (_, after) = rows
        changed = {*(before - after), *(after - before)}
        if not changed:
            continue
        uses = [
            (template.spec, entry)
            for ruleset in (old, new)
            for template in ruleset.templates
            for entry in template.spec.lines
            if entry.account.table == name
        ]
        if len(changed) * len(uses) > MOST_REGIONS:
            yield from (_of_entry(spec, entry) for spec, entry in uses)
            continue
        for table, _ in rows:
            names = tuple(condition.path for condition in table.conditions)
            for row in table.rows:
                if _row_form(table, row) in changed:
                    yield from (
                        region
                        for spec, entry in uses
                        if (region := _of_entry(spec, entry, row, names)) and not _is_empty(region)
                    )


def _input_vat(old: RuleSet, new: RuleSet) -> Iterator[Region]:
    """Documents with invoices, or with lines, that a changed row of the table of input VAT is for.

    Its days are those of the invoices, so they say nothing about the voucher's.
    """
    if old.input_vat is None or new.input_vat is None:
        return
    kinds = frozenset(
        kind.value for ruleset in (old, new) for template in ruleset.templates for kind in template.spec.kinds
    )
    before, after = _rows(old.input_vat), _rows(new.input_vat)
    changed = {*(before - after), *(after - before)}
    for table in (old.input_vat, new.input_vat):
        for row in table.rows:
            if _row_form(table, row) in changed:
                tests = {
                    Condition(fact.path, cell)
                    for fact, cell in zip(table.conditions, row.cells, strict=True)
                    if cell.kind is not CellKind.ANY
                }
                by_scope = {
                    scope: frozenset(each for each in tests if each.path.startswith(f"{scope}."))
                    for scope in ("document", "line", "invoice")
                }
                scope = "line" if by_scope["line"] and not by_scope["invoice"] else "invoice"
                yield Region(kinds, documents=by_scope["document"], scope=scope, things=by_scope[scope])


def _is_empty(region: Region) -> bool:
    return bool(region.date_from and region.date_to and region.date_from > region.date_to)


def _rows(table: DecisionTable) -> Counter[tuple[Any, ...]]:
    return Counter(_row_form(table, row) for row in table.rows)


def _row_form(table: DecisionTable, row: TableRow) -> tuple[Any, ...]:
    """All of a row that has an effect; a column of `*` has none."""
    cells = frozenset(
        (condition.path, cell)
        for condition, cell in zip(table.conditions, row.cells, strict=True)
        if cell.kind is not CellKind.ANY
    )
    return (cells, row.priority, row.valid_from, row.valid_to, row.account, row.dimensions)
