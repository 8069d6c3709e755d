"""What the gate looks at because the rules require it: staged rows by template, for documents, lines and write-offs.

Every template fills its own rows, so that a column says just what that template needs. A document that the extract
could not read whole is left out, and so is one that no single template fits: one cause gives one problem.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Select,
    String,
    Table,
    case,
    func,
    literal,
    null,
    select,
)

from include.domain.requirements import EventRequirement, Requirements, Scope
from include.quality.derived_choice import choice_of, fits
from include.quality.derived_needs import (
    KEYS,
    Derivation,
    answered,
    answers_of,
    column_of,
    entries_of,
    key_column,
    lackable,
    need_columns,
    needs,
    needs_tax,
    required_facts,
    source_of,
)
from include.quality.derived_sums import Term, Whole, sums_of, terms_of
from include.quality.document_rows import DocumentParts
from include.quality.fact_columns import FactColumns
from include.quality.staging import Staging, within_limit
from include.store.tables import source_document, source_line, source_write_off

SHOWN_AMOUNTS = ("gross", "written_off", "company_paid", "payable", "lines", "write_offs")
DIFFERENCES = (
    "lines_difference_minor",
    "payable_difference_minor",
    "write_offs_difference_minor",
    "negative_payable_minor",
    "difference_transaction_minor",
    "difference_minor",
    "books_nothing",
)
PLACES = ("lines", "written_off", "company_paid", "payable", "transaction_gross", "property")


@dataclass(frozen=True, slots=True)
class DerivedTables:
    """One row a document (`choice`), and one a template and document, line or write-off that it makes lines of."""

    choice: Table
    events: Table
    lines: Table
    write_offs: Table


def stage_residues(work: Staging, lines: Table, requirements: Requirements) -> Table:
    """What converting a foreign document's total and its lines one by one leaves over, where the rules settle it.

    The line that takes it has `line_no` and `portion_no`; zero where the book keeps it on an account.
    """
    d, x = source_document, source_line
    left = within_limit(d.c.gross_minor) - lines.c.functional_minor
    foreign = (
        select(d.c.id.label("document_pk"), d.c.functional_currency, left.label("residue_minor"))
        .join(lines, lines.c.document_pk == d.c.id)
        .where(lines.c.unread == 0, left != 0, func.abs(left) <= lines.c.foreign_count)
        .subquery("left_over")
    )
    number = [x.c.line_no, x.c.portion_no]
    order: list[ColumnElement[Any]] = [func.abs(x.c.functional_minor).desc(), *number]
    if requirements.residue == "last_line":
        order = [column.desc() for column in number]
    position = func.row_number().over(partition_by=x.c.document_pk, order_by=order)
    ranked = (
        select(
            foreign.c.document_pk, x.c.line_no, x.c.portion_no, foreign.c.residue_minor, position.label("n")
        )
        .join(x, x.c.document_pk == foreign.c.document_pk)
        .where(x.c.currency != foreign.c.functional_currency)
        .subquery("ranked")
    )
    zero = literal(0)
    on_line = requirements.residue != "account"
    query = select(
        ranked.c.document_pk,
        (ranked.c.line_no if on_line else zero).label("line_no"),
        (ranked.c.portion_no if on_line else zero).label("portion_no"),
        ranked.c.residue_minor,
    ).where(ranked.c.n == 1)
    return work.fill("gate_residue", query, ["document_pk", "line_no", "portion_no"])


def stage_derived(
    work: Staging, requirements: Requirements, currency: str, parts: DocumentParts
) -> DerivedTables:
    """All staged rows that the derived checks look at."""
    it = Derivation(work, requirements, currency, parts)
    it.residues = stage_residues(work, parts.lines, requirements)
    it.facts = FactColumns(requirements, work.engine.dialect.name, parts.lines, it.residues)
    it.fit = fits(it)
    choice = choice_of(it)
    for name, scope in sorted({(e.table, e.scope) for e in entries_of(requirements) if e.table}):
        it.answers[name, scope] = answers_of(it, requirements.tables[name], scope)
    lines, write_offs = _things(it, "line"), _things(it, "write_off")
    events = _events(it, lines, write_offs)
    return DerivedTables(choice, events, lines, write_offs)


def _things(it: Derivation, scope: Scope) -> Table:
    """One row a template and line (or write-off) of the documents that it fits."""
    events = [[e for e in event.entries if e.scope == scope] for event in it.requirements.events]
    most = max((len(terms_of(event, scope)) for event in it.requirements.events), default=0)
    table = it.work.load(
        f"gate_required_{scope}",
        [
            *(key_column(name) for name in KEYS[scope]),
            Column("named", String),
            *(Column(f"amount{n}", BigInteger) for n in range(most)),
            *need_columns([f for s in (scope, "document") for f in required_facts(it.requirements, s)]),
        ],
        [],
    )
    for index, (event, entries) in enumerate(zip(it.requirements.events, events, strict=True)):
        terms = terms_of(event, scope)
        if not entries and not (scope == "line" and needs_tax(event)):
            continue
        x = source_line if scope == "line" else source_write_off
        named = source_line.c.fee_type_name if scope == "line" else source_write_off.c.loan_document_id
        query = source_of(
            it,
            select(
                it.fit.c.template,
                *(x.c[name] for name in KEYS[scope][1:]),
                named.label("named"),
                *(_term(it, term).label(f"amount{n}") for n, term in enumerate(terms)),
                *needs(it, event, entries, scope),
            ),
            scope,
        )
        it.work.append(table, answered(it, query, entries).where(it.fit.c.template == index))
    it.work.settle(table)
    return table


def _term(it: Derivation, term: Term) -> ColumnElement[Any]:
    return case((it.facts.holds(term.tests), it.facts.measured(term.measured)), else_=0)


def _events(it: Derivation, lines: Table, write_offs: Table) -> Table:
    """One row a template and document: what the document as a whole lacks, and how far its amounts disagree."""
    table = it.work.load(
        "gate_required",
        [
            *(key_column(name) for name in KEYS["document"]),
            *(Column(name, String) for name in ("code", "name", "functional_currency", "currency")),
            *(Column(f"{name}_minor", BigInteger) for name in SHOWN_AMOUNTS),
            *(Column(name, BigInteger) for name in DIFFERENCES),
            *(Column(f"{name}_place", String) for name in PLACES),
            Column("property_name", String),
            *need_columns(required_facts(it.requirements, "document")),
        ],
        [],
    )
    for index, event in enumerate(it.requirements.events):
        if event.entries:
            it.work.append(table, _event_rows(it, index, event, (lines, write_offs)))
    it.work.settle(table)
    return table


def _event_rows(
    it: Derivation, index: int, event: EventRequirement, things: tuple[Table, Table]
) -> Select[Any]:
    d, lines, write_offs = source_document, it.parts.lines, it.parts.write_offs
    scopes: tuple[Scope, Scope] = ("line", "write_off")
    facts = {
        s: lackable(it.requirements, [e for e in event.entries if e.scope == s], "document") for s in scopes
    }
    of_lines, of_write_offs = (
        sums_of(table, event, index, scope, [column_of(fact) for fact in facts[scope]])
        for table, scope in zip(things, scopes, strict=True)
    )
    residue = select(func.sum(it.residues.c.residue_minor)).where(it.residues.c.document_pk == d.c.id)
    whole = Whole(
        it.requirements,
        event,
        it.facts,
        lines,
        write_offs,
        of_lines,
        of_write_offs,
        residue.scalar_subquery(),
    )
    entries = [entry for entry in event.entries if entry.scope == "document"]
    lacking = {column.name: column for column in needs(it, event, entries, "document")}
    for scope, sums in zip(scopes, (of_lines, of_write_offs), strict=True):
        if sums is not None:
            for name in map(column_of, facts[scope]):
                own = [lacking[name]] if name in lacking else []
                lacking[name] = func.coalesce(*own, sums.c[name], null()).label(name)
    query = source_of(
        it,
        select(
            it.fit.c.template,
            d.c.id.label("document_pk"),
            d.c.code,
            literal(event.name).label("name"),
            d.c.functional_currency,
            d.c.currency,
            *(d.c[f"{name}_minor"] for name in ("gross", "written_off", "company_paid", "payable")),
            lines.c.functional_minor.label("lines_minor"),
            write_offs.c.amount_minor.label("write_offs_minor"),
            *whole.columns(),
            *lacking.values(),
        ),
        "document",
    ).outerjoin(write_offs, write_offs.c.document_pk == it.fit.c.document_pk)
    for sums in (of_lines, of_write_offs):
        if sums is not None:
            query = query.outerjoin(sums, sums.c.document_pk == it.fit.c.document_pk)
    return answered(it, query, entries).where(it.fit.c.template == index)
