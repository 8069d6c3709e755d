"""What a rule set requires, as plain values for the gate: nothing is stated twice, so nothing can drift apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import polars as pl

from include.domain.money import currency_decimals
from include.domain.requirements import (
    CoveredValues,
    EntryRequirement,
    EventRequirement,
    FactTest,
    Key,
    Requirements,
    RowAnswer,
)
from include.domain.voucher import Side
from include.rules.facts import FactType
from include.rules.lookup import bound, lookup
from include.rules.residue import residue_account
from include.rules.ruleset import RuleSet, Template
from include.rules.schema import Entry, Predicate
from include.rules.tables import Cell, CellKind, DecisionTable
from include.settings import Book, ResidueAccount

_ANY = Cell(CellKind.ANY)


def requirements_of(ruleset: RuleSet, book: Book) -> Requirements:
    """All that the rules of a book require of its documents and vouchers.

    Raises:
        FixConfig: the book's residue policy names an account that the rules do not have.
    """
    decimals = currency_decimals(book.currency)
    used = {
        entry.account.table
        for template in ruleset.templates
        for entry in template.spec.lines
        if entry.account.table
    }
    return Requirements(
        digest=ruleset.digest,
        folder="/".join(ruleset.rules_dir.parts[-2:]),
        decimals=decimals,
        legal_entities=tuple(book.legal_entities),
        receives_unassigned=book.receives_unassigned,
        residue="account" if isinstance(book.residue, ResidueAccount) else book.residue,
        residue_account=_residue_account(ruleset, book),
        tax_is_computed=ruleset.input_vat is not None,
        events=tuple(_event(ruleset, template, decimals) for template in ruleset.templates),
        tables={name: _covered(ruleset.tables[name], decimals) for name in sorted(used)},
    )


def _residue_account(ruleset: RuleSet, book: Book) -> str:
    keyed = residue_account(ruleset, book)
    return keyed.account if keyed else ""


def _event(ruleset: RuleSet, template: Template, decimals: int) -> EventRequirement:
    spec = template.spec
    entries = {
        entry.name: _entry(ruleset, template, index, decimals) for index, entry in enumerate(spec.lines)
    }
    return EventRequirement(
        name=template.trace_name,
        event=spec.event,
        kinds=tuple(kind.value for kind in spec.kinds),
        tests=tuple(_tests(spec.when, decimals)),
        valid_from=spec.valid_from,
        valid_to=spec.valid_to,
        is_silent=spec.no_voucher is not None,
        entries=tuple(
            replace(entries[entry.name], less=tuple(entries[other.name] for other in spec.less_of(entry)))
            for entry in spec.lines
        ),
    )


def _entry(ruleset: RuleSet, template: Template, index: int, decimals: int) -> EntryRequirement:
    entry = template.spec.lines[index]
    sign = 1 if entry.side is Side.DEBIT else -1
    return EntryRequirement(
        name=entry.name,
        place=f"{template.file}:{template.entry_lines[index]} ({template.spec.id}.{entry.name})",
        scope=entry.for_each.value,
        side=entry.side.value,
        sign=-sign if entry.red else sign,
        measure=entry.measure,
        tests=tuple(_tests(entry.when, decimals)),
        fraction=None if entry.fraction is None else entry.fraction.as_integer_ratio(),
        dimensions=dict(entry.dimensions.items()),
        optional=dict(entry.optional_dimensions.items()),
        table=entry.account.table or "",
        accounts=_accounts(ruleset, entry),
    )


def _accounts(ruleset: RuleSet, entry: Entry) -> Mapping[str, frozenset[str]]:
    certain = frozenset({*entry.dimensions, *entry.fixed_dimensions})
    if entry.account.key is not None:
        return {ruleset.accounts[entry.account.key].account: certain}
    found: dict[str, frozenset[str]] = {}
    for row in ruleset.tables[entry.account.table or ""].rows:
        kinds = certain if row.dimensions is None else row.dimensions
        # Rows of one account may differ: what all of them demand is sure.
        found[row.account] = found.get(row.account, kinds) & kinds
    return found


def _tests(when: Mapping[str, Predicate], decimals: int) -> Iterator[FactTest]:
    for path, predicate in when.items():
        if predicate.equals is not None:
            yield FactTest(path, "one_of", (predicate.equals,))
        elif predicate.any_of is not None:
            yield FactTest(path, "one_of", tuple(predicate.any_of))
        elif predicate.prefix is not None:
            yield FactTest(path, "prefix", (predicate.prefix,))
        elif predicate.range is not None:
            start = bound(predicate.range.start, decimals, is_start=True)
            yield FactTest(
                path, "range", start=start, end=bound(predicate.range.end, decimals, is_start=False)
            )
        else:
            yield FactTest(path, "missing" if predicate.is_missing else "present")


def _covered(table: DecisionTable, decimals: int) -> CoveredValues:
    return CoveredValues(
        name=table.name,
        file=table.shown,
        facts=tuple(fact.path for fact in table.conditions),
        amount_facts=frozenset(f.path for f in table.conditions if f.type is FactType.AMOUNT),
        has_dates=table.has_dates,
        answers=lambda keys: _answers(table, keys, decimals),
    )


def _answers(table: DecisionTable, keys: Sequence[Key], decimals: int) -> list[RowAnswer]:
    frame = _frame(table, keys)
    answers = [RowAnswer("none")] * len(keys)
    for row in lookup(table, frame, decimals).iter_rows(named=True):
        answers[row["key"]] = RowAnswer(
            "found" if row["rows"] is None else "several",
            None if row["kinds"] is None else frozenset(row["kinds"]),
            row["rows"] or "",
        )
    open_keys = [index for index, answer in enumerate(answers) if answer.status == "none"]
    for column, fact in reversed(list(enumerate(table.conditions))):
        lacking = [index for index in open_keys if keys[index][column] in ("", None)]
        if lacking:
            would_fit = lookup(_without(table, column), frame[lacking], decimals)
            for index in would_fit["key"].unique():
                answers[index] = RowAnswer("none", lacking=fact.path)
    return answers


def _frame(table: DecisionTable, keys: Sequence[Key]) -> pl.DataFrame:
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        fact.path: pl.Int128 if fact.type is FactType.AMOUNT else pl.String for fact in table.conditions
    }
    frame = pl.DataFrame(list(keys), schema={**schema, "date": pl.Date}, orient="row")
    return frame.with_row_index("key").with_columns(pl.col("key").cast(pl.Int64))


def _without(table: DecisionTable, column: int) -> DecisionTable:
    """The table as if it did not ask for a fact."""
    return replace(
        table,
        rows=tuple(
            replace(row, cells=(*row.cells[:column], _ANY, *row.cells[column + 1 :])) for row in table.rows
        ),
    )
