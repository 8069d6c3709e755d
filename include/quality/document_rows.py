"""What the gate looks at in whole documents, for SQLite and PostgreSQL alike.

Columns that a check reads are NULL where the check does not apply, in particular where the extract has
recorded a problem that explains the gap: one cause gives one problem.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, case, func, literal, or_, select

from include.domain.document import DocumentKind
from include.domain.problems import Stage
from include.quality.scope import DocumentScope, absent, implausible, known, nul, reference_known
from include.quality.staging import flag, present, within_limit
from include.store.tables import problem, source_document, source_line, source_write_off

KINDS_WITH_DATES = (
    DocumentKind.EXPENSE_CLAIM,
    DocumentKind.LOAN,
    DocumentKind.RECEIPT,
)
"""Forms on which somebody states the day it happened; others have only the days of their approval."""
KINDS_WITHOUT_VOUCHER = (DocumentKind.REQUISITION, DocumentKind.PURCHASE_ORDER)
"""These book nothing, so an amount of zero is no mistake there."""


@dataclass(frozen=True, slots=True)
class DocumentParts:
    """Staged tables by document that `document_rows` joins; their queries are below and in claims.py."""

    chosen: Table
    lines: Table
    write_offs: Table
    extract_problems: Table
    same_code: Table


def document_rows(scope: DocumentScope, parts: DocumentParts, dialect: str) -> Select[Any]:
    """One row a document; key `document_pk`."""
    d = source_document
    lines, extracted = parts.lines, parts.extract_problems
    return (
        select(
            d.c.id.label("document_pk"),
            d.c.code,
            d.c.document_id,
            d.c.title,
            d.c.kind,
            d.c.functional_currency,
            d.c.gross_minor,
            d.c.written_off_minor,
            d.c.company_paid_minor,
            d.c.payable_minor,
            d.c.legal_entity_id,
            d.c.legal_entity_code,
            d.c.legal_entity_name,
            d.c.department_id,
            d.c.submitter_id,
            d.c.supplier_id,
            d.c.project_id,
            d.c.business_date,
            d.c.submitted_at,
            d.c.approved_at,
            literal(scope.earliest).label("earliest"),
            literal(scope.latest).label("latest"),
            *_checked_who_and_what(scope, parts),
            *_checked_money(parts),
            *_checked_dates(scope, parts),
            parts.same_code.c.first_document_id.label("same_code_as"),
            nul(dialect, d.c.title, d.c.submitter_name, d.c.supplier_name, d.c.project_name).label("nul"),
        )
        .select_from(d)
        .join(parts.chosen, parts.chosen.c.id == d.c.id)
        .outerjoin(lines, lines.c.document_pk == d.c.id)
        .outerjoin(extracted, extracted.c.document_pk == d.c.id)
        .outerjoin(parts.same_code, parts.same_code.c.document_pk == d.c.id)
    )


def _checked_who_and_what(scope: DocumentScope, parts: DocumentParts) -> list[ColumnElement[Any]]:
    d, lines, extracted = source_document, parts.lines, parts.extract_problems
    unread = _unread(parts)
    fits = or_(d.c.legal_entity_code.in_(scope.legal_entities), d.c.legal_entity_id.in_(scope.legal_entities))
    # A claim that several legal entities share is in the book of each, whoever it was filed for.
    has_part = func.coalesce(lines.c.own_count, 0) > 0
    entity_known = or_(fits, known(scope, ("legal_entity",), d.c.legal_entity_id))
    return [
        func.coalesce(extracted.c.of_any, 0).label("extract_problem_count"),
        case((~unread, d.c.kind)).label("kind_read"),
        case((~unread, d.c.status)).label("status_read"),
        case((~unread, d.c.currency)).label("currency_read"),
        case((~unread, d.c.functional_currency)).label("functional_currency_read"),
        present(d.c.code, unless=unread).label("has_code"),
        present(d.c.legal_entity_id, unless=unread).label("has_legal_entity"),
        flag(or_(absent(d.c.legal_entity_id), entity_known)).label("legal_entity_known"),
        flag(or_(absent(d.c.legal_entity_id), ~entity_known, fits, has_part)).label("legal_entity_in_book"),
        present(d.c.submitter_id, unless=unread).label("has_submitter"),
        reference_known(scope, ("staff",), d.c.submitter_id).label("submitter_known"),
        reference_known(scope, ("department",), d.c.department_id).label("department_known"),
        reference_known(scope, ("project",), d.c.project_id).label("project_known"),
        reference_known(scope, ("supplier", "payee"), d.c.supplier_id).label("supplier_known"),
    ]


def _checked_money(parts: DocumentParts) -> list[ColumnElement[Any]]:
    d = source_document
    unread = _unread(parts)
    return [
        present(d.c.gross_minor, unless=unread).label("has_gross"),
        case((or_(d.c.kind.not_in(KINDS_WITHOUT_VOUCHER), d.c.gross_minor != 0), d.c.gross_minor)).label(
            "gross_unless_free"
        ),
    ]


def _checked_dates(scope: DocumentScope, parts: DocumentParts) -> list[ColumnElement[Any]]:
    d = source_document
    unread = _unread(parts)
    return [
        present(d.c.business_date, unless=unread).label("has_business_date"),
        implausible(scope, d.c.business_date).label("business_date_implausible"),
        flag(d.c.submitted_at > d.c.approved_at).label("approved_before_submitted"),
    ]


def _unread(parts: DocumentParts) -> ColumnElement[bool]:
    """Whether the extract recorded problems with the document as a whole."""
    return func.coalesce(parts.extract_problems.c.of_document, 0) > 0


def line_sums(scope: DocumentScope, chosen: Table) -> Select[Any]:
    """Per document: lines, their totals, how many amounts could not be used, how many lines are foreign, and how many
    belong to the book's own legal entities; key `document_pk`.
    """
    d, x = source_document, source_line
    functional, amount, tax = (
        within_limit(column) for column in (x.c.functional_minor, x.c.amount_minor, x.c.tax_minor)
    )
    own = (column.in_(scope.legal_entities) for column in (x.c.legal_entity_id, x.c.legal_entity_code))
    return (
        select(
            x.c.document_pk,
            func.count(x.c.line_no.distinct()).label("line_count"),
            func.sum(functional).label("functional_minor"),
            (func.count() - func.count(functional)).label("unread"),
            func.sum(tax).label("tax_minor"),
            (func.count() - func.count(tax)).label("tax_unknown"),
            func.sum(amount).label("transaction_minor"),
            (func.count() - func.count(amount)).label("transaction_unknown"),
            func.min(x.c.currency).label("first_currency"),
            func.max(x.c.currency).label("last_currency"),
            func.sum(case((x.c.currency != d.c.functional_currency, 1), else_=0)).label("foreign_count"),
            func.sum(case((or_(*own), 1), else_=0)).label("own_count"),
        )
        .join(chosen, chosen.c.id == x.c.document_pk)
        .join(d, d.c.id == x.c.document_pk)
        .group_by(x.c.document_pk)
    )


def write_off_sums(chosen: Table) -> Select[Any]:
    """Per document: what is written off in all; key `document_pk`."""
    w = source_write_off
    amount = within_limit(w.c.amount_minor)
    return (
        select(
            w.c.document_pk,
            func.sum(amount).label("amount_minor"),
            (func.count() - func.count(amount)).label("unread"),
        )
        .join(chosen, chosen.c.id == w.c.document_pk)
        .group_by(w.c.document_pk)
    )


def extract_problem_counts(chosen: Table) -> Select[Any]:
    """Open problems of the extract; `of_document` counts those of no single line; key `document_pk`."""
    p = problem
    return (
        select(
            p.c.document_pk,
            func.count().label("of_any"),
            (func.count() - func.count(p.c.line_no)).label("of_document"),
        )
        .join(chosen, chosen.c.id == p.c.document_pk)
        .where(p.c.stage == Stage.EXTRACT, p.c.resolved_at.is_(None))
        .group_by(p.c.document_pk)
    )
