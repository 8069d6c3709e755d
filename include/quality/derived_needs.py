"""What a template's entries need of a document, line or write-off, and what its tables say of it, as staged columns.

A column holds the place in the rules that requires what is lacking (file, line, entry), and NULL where nothing lacks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Date,
    Integer,
    Select,
    String,
    Table,
    and_,
    case,
    false,
    literal,
    null,
    or_,
    select,
)

from include.domain.requirements import (
    CoveredValues,
    EntryRequirement,
    EventRequirement,
    Requirements,
    RowAnswer,
    Scope,
)
from include.quality.document_rows import DocumentParts
from include.quality.fact_columns import INHERITED, TAXES, FactColumns
from include.quality.staging import Staging
from include.store.tables import source_document, source_line, source_write_off

KEYS: dict[str, tuple[str, ...]] = {
    "document": ("template", "document_pk"),
    "line": ("template", "document_pk", "line_no", "portion_no"),
    "write_off": ("template", "document_pk", "seq"),
}
"""Primary keys of the staged rows by scope."""


@dataclass(slots=True)
class Derivation:
    """What staging goes by, and the tables it has made so far. `answers` are by table and scope."""

    work: Staging
    requirements: Requirements
    currency: str
    parts: DocumentParts
    facts: FactColumns = field(init=False)
    residues: Table = field(init=False)
    fit: Table = field(init=False)
    answers: dict[tuple[str, str], Table] = field(default_factory=dict)


def owner(fact: str) -> str:
    """The fact to ask for where one is missing: what a line takes from its document is asked of the document, once."""
    return f"document.{fact.partition('.')[2]}" if fact in INHERITED else fact


def column_of(fact: str) -> str:
    """The staged column that says who requires a fact that is missing: `lacks_line_fee_type`."""
    return "lacks_" + fact.replace(".", "_")


def required_facts(requirements: Requirements, scope: Scope) -> tuple[str, ...]:
    """The facts of things of a scope that an entry may find missing; documents are asked for those of all entries."""
    entries = [entry for entry in entries_of(requirements) if scope in ("document", entry.scope)]
    return lackable(requirements, entries, scope)


def lackable(
    requirements: Requirements, entries: Iterable[EntryRequirement], scope: Scope
) -> tuple[str, ...]:
    """Those facts of a scope that some of the entries may find missing."""
    found: set[str] = set()
    for entry in entries:
        found |= {*entry.dimensions.values(), *entry.optional.values()}
        found |= set(requirements.tables[entry.table].facts) if entry.table else set()
    return tuple(sorted(f for f in {owner(fact) for fact in found} if f.startswith(f"{scope}.")))


def answers_of(it: Derivation, table: CoveredValues, scope: Scope) -> Table:
    """What a table says of each distinct key that the things of a scope ask it for."""
    users = [
        index
        for index, event in enumerate(it.requirements.events)
        if any(entry.table == table.name and entry.scope == scope for entry in event.entries)
    ]
    facts = [it.facts.key(fact).label(f"k{n}") for n, fact in enumerate(table.facts)]
    day = (source_document.c.business_date if table.has_dates else null()).label("day")
    query = source_of(it, select(*facts, day), scope).where(it.fit.c.template.in_(users)).distinct()
    keys = [tuple(row) for row in it.work.connection.execute(query)]
    said = table.answers(keys)
    types = [BigInteger if fact in table.amount_facts else String for fact in table.facts]
    staged = it.work.load(
        f"gate_{scope}_{table.name}",
        [Column(f"k{n}", kind) for n, kind in enumerate(types)]
        + [Column("day", Date), Column("status", String), Column("kinds", String)]
        + [Column(name, String) for name in ("rows", "lacking", "asked", "asked_key")],
        [
            {f"k{n}": value for n, value in enumerate(key[:-1])}
            | {"day": key[-1]}
            | _said(table, key, answer, it.requirements.decimals)
            for key, answer in zip(keys, said, strict=True)
        ],
    )
    columns = ", ".join(f"k{n}" for n in range(len(types))) or "day"
    it.work.connection.exec_driver_sql(f"CREATE INDEX ix_{staged.name} ON {staged.name} ({columns})")
    it.work.settle(staged)
    return staged


def _said(table: CoveredValues, key: Sequence[Any], answer: RowAnswer, decimals: int) -> dict[str, Any]:
    """An answer as a staged row; amounts are told in major units, as the table is written."""
    values = [
        (
            fact,
            Decimal(value).scaleb(-decimals) if fact in table.amount_facts and value is not None else value,
        )
        for fact, value in zip(table.facts, key[:-1], strict=True)
    ]
    return {
        "status": answer.status,
        "kinds": None if answer.kinds is None else "".join(f",{k}" for k in sorted(answer.kinds)) + ",",
        "rows": answer.rows,
        "lacking": answer.lacking,
        "asked": ", ".join(f"{fact} = '{'' if value is None else value}'" for fact, value in values),
        "asked_key": "".join(f":{fact}={'' if value is None else value}" for fact, value in values),
    }


def source_of(it: Derivation, query: Select[Any], scope: Scope) -> Select[Any]:
    """From the documents that templates fit, with their sums, or from their lines or write-offs."""
    d, x, w, fit = source_document, source_line, source_write_off, it.fit
    lines, residues = it.parts.lines, it.residues
    query = query.select_from(fit).join(d, d.c.id == fit.c.document_pk)
    if scope == "line":
        of_line = and_(
            residues.c.document_pk == x.c.document_pk,
            residues.c.line_no == x.c.line_no,
            residues.c.portion_no == x.c.portion_no,
        )
        return query.join(x, x.c.document_pk == fit.c.document_pk).outerjoin(residues, of_line)
    if scope == "write_off":
        return query.join(w, w.c.document_pk == fit.c.document_pk)
    return query.outerjoin(lines, lines.c.document_pk == fit.c.document_pk)


def answered(it: Derivation, query: Select[Any], entries: Sequence[EntryRequirement]) -> Select[Any]:
    """The query with what the entries' tables say."""
    for name in dict.fromkeys(entry.table for entry in entries if entry.table):
        covered, staged = it.requirements.tables[name], it.answers[name, entries[0].scope]
        on: list[ColumnElement[bool]] = [
            staged.c[f"k{n}"].is_not_distinct_from(it.facts.key(fact))
            if fact in covered.amount_facts
            else staged.c[f"k{n}"] == it.facts.key(fact)
            for n, fact in enumerate(covered.facts)
        ]
        if covered.has_dates:
            on.append(staged.c.day == source_document.c.business_date)
        query = query.outerjoin(staged, and_(*on) if on else staged.c.status.is_not(None))
    return query


def need_columns(facts: Sequence[str]) -> list[Column[Any]]:
    """The columns that `needs` may fill."""
    names = ["tax_place", "no_row", "several_rows", "table_file", "asked", "asked_key", "rows"]
    return [Column(name, String) for name in [*names, *map(column_of, facts)]]


def needs(
    it: Derivation, event: EventRequirement, entries: Sequence[EntryRequirement], scope: Scope
) -> Iterator[ColumnElement[Any]]:
    """Who requires what is lacking, and where a table has no single row."""
    lacking: dict[str, list[tuple[ColumnElement[bool], str]]] = {}
    none, several, shown = [], [], []
    for entry in entries:
        made = and_(it.facts.holds(entry.tests), _is_made(it, entry))
        answer = it.answers[entry.table, scope].c if entry.table else None
        if answer is not None:
            covered = it.requirements.tables[entry.table]
            none.append((and_(made, answer.status == "none", answer.lacking == ""), entry.place))
            several.append((and_(made, answer.status == "several"), entry.place))
            shown.append((and_(made, answer.status != "found"), answer, covered.file))
            for fact in covered.facts:
                unfit = and_(made, answer.status == "none", answer.lacking == fact)
                lacking.setdefault(owner(fact), []).append((unfit, entry.place))
            made = and_(made, answer.status == "found")
        for kind, fact in {**entry.dimensions, **entry.optional}.items():
            missing = and_(made, _is_demanded(entry, kind, answer), it.facts.value(fact).is_(None))
            lacking.setdefault(owner(fact), []).append((missing, entry.place))
    for fact, cases in lacking.items():
        yield case(*cases).label(column_of(fact))
    if none:
        yield case(*none).label("no_row")
        yield case(*several).label("several_rows")
        yield case(*((condition, literal(file)) for condition, _, file in shown)).label("table_file")
        for name in ("asked", "asked_key", "rows"):
            yield case(*((condition, answer[name]) for condition, answer, _ in shown)).label(name)
    if scope == "line" and needs_tax(event) and not it.requirements.tax_is_computed:
        yield _tax_place(it, event).label("tax_place")


def _is_made(it: Derivation, entry: EntryRequirement) -> ColumnElement[bool]:
    """Whether there is a line at all: zero amounts make none. Tax that the rules work out is not known here."""
    if it.requirements.tax_is_computed and entry.measure == "deductible_tax":
        return false()
    return it.facts.amount(entry) != 0


def _is_demanded(entry: EntryRequirement, kind: str, answer: Any) -> ColumnElement[bool]:
    by_entry = literal(kind in entry.dimensions)
    if answer is None:
        return by_entry == literal(True)
    chosen = answer.kinds.contains(f",{kind},", autoescape=True)
    return or_(chosen, answer.kinds.is_(None)) if kind in entry.dimensions else chosen


def needs_tax(event: EventRequirement) -> bool:
    """Whether some entry takes the tax of lines."""
    return any(entry.measure in TAXES for entry in event.entries if entry.scope != "write_off")


def _tax_place(it: Derivation, event: EventRequirement) -> ColumnElement[Any]:
    """A line's tax is needed where an entry takes it of the line, or of the document with all its lines."""
    unknown = source_line.c.tax_minor.is_(None)
    entries = [
        e for e in event.entries for e in (e, *e.less) if e.measure in TAXES and e.scope != "write_off"
    ]
    return case(*((and_(unknown, it.facts.holds(entry.tests)), entry.place) for entry in entries))


def entries_of(requirements: Requirements) -> Iterator[EntryRequirement]:
    """All entries of all templates."""
    for event in requirements.events:
        yield from event.entries


def key_column(name: str) -> Column[Any]:
    """A part of a staged table's primary key."""
    return Column(name, BigInteger if name == "document_pk" else Integer, primary_key=True)
