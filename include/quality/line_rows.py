"""What the gate looks at in the lines and write-offs of documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, case, exists, func, literal, or_, select

from include.domain.document import BookRole, DocumentKind, DocumentStatus
from include.domain.problems import Stage
from include.quality.document_rows import KINDS_WITH_DATES, KINDS_WITHOUT_VOUCHER
from include.quality.scope import DocumentScope, implausible, nul, reference_known
from include.quality.staging import flag, present, within_limit
from include.store.tables import problem, source_document, source_line, source_write_off


@dataclass(frozen=True, slots=True)
class LineParts:
    """Staged tables that `line_rows` joins. Both are small: most lines are neither shared nor repeated."""

    chosen: Table
    shared: Table
    repeated: Table


def shared_lines(chosen: Table) -> Select[Any]:
    """Totals of the lines that are apportioned; key `document_pk, line_no`."""
    x = source_line
    return (
        select(
            x.c.document_pk,
            x.c.line_no,
            func.sum(within_limit(x.c.amount_minor)).label("amount"),
            func.sum(within_limit(x.c.functional_minor)).label("functional"),
            func.sum(within_limit(x.c.tax_minor)).label("tax"),
        )
        .join(chosen, chosen.c.id == x.c.document_pk)
        .group_by(x.c.document_pk, x.c.line_no)
        .having(func.count() > 1)
    )


def repeated_lines(chosen: Table) -> Select[Any]:
    """Line ids that several lines of a document carry, with the first of those; key `document_pk, line_id`."""
    x = source_line
    first = func.min(x.c.line_no)
    return (
        select(x.c.document_pk, x.c.line_id, first.label("first_line_no"))
        .join(chosen, chosen.c.id == x.c.document_pk)
        .where(x.c.line_id != "")
        .group_by(x.c.document_pk, x.c.line_id)
        .having(first < func.max(x.c.line_no))
    )


def line_rows(scope: DocumentScope, parts: LineParts, dialect: str) -> Select[Any]:
    """One row a line, or share of a line; key `document_pk, line_no, portion_no`.

    Amounts are judged per line of the OA: a share of a line may be negative or zero, its line may not.
    """
    d, x = source_document, source_line
    shared, repeated = parts.shared, parts.repeated
    amount, functional, tax = _line_totals(parts)
    return (
        select(
            x.c.document_pk,
            x.c.line_no,
            x.c.portion_no,
            d.c.code,
            d.c.functional_currency,
            x.c.currency,
            x.c.line_id,
            x.c.fee_type_id,
            x.c.fee_type_name,
            x.c.department_id,
            x.c.project_id,
            x.c.rate,
            x.c.occurred_on,
            x.c.amount_minor.label("amount_transaction_minor"),
            x.c.functional_minor,
            x.c.tax_minor,
            amount.label("line_amount_transaction_minor"),
            functional.label("line_functional_minor"),
            tax.label("line_tax_minor"),
            literal(scope.earliest).label("earliest"),
            literal(scope.latest).label("latest"),
            *_checked_references(scope, parts),
            *_checked_money(parts),
            implausible(scope, x.c.occurred_on).label("occurred_on_implausible"),
            nul(dialect, x.c.description, x.c.fee_type_name).label("nul"),
        )
        .select_from(x)
        .join(parts.chosen, parts.chosen.c.id == x.c.document_pk)
        .join(d, d.c.id == x.c.document_pk)
        .outerjoin(shared, and_(shared.c.document_pk == x.c.document_pk, shared.c.line_no == x.c.line_no))
        .outerjoin(
            repeated, and_(repeated.c.document_pk == x.c.document_pk, repeated.c.line_id == x.c.line_id)
        )
    )


def _checked_references(scope: DocumentScope, parts: LineParts) -> list[ColumnElement[Any]]:
    d, x, repeated = source_document, source_line, parts.repeated
    unread = _unread()
    return [
        reference_known(scope, ("fee_type",), x.c.fee_type_id).label("fee_type_known"),
        reference_known(scope, ("department",), x.c.department_id).label("department_known"),
        reference_known(scope, ("project",), x.c.project_id).label("project_known"),
        present(x.c.currency, unless=unread).label("has_currency"),
        case((~unread, x.c.currency)).label("currency_read"),
        flag(or_(d.c.kind.not_in(KINDS_WITH_DATES), x.c.occurred_on.is_not(None), unread)).label(
            "has_occurred_on"
        ),
        case((and_(~unread, repeated.c.first_line_no < x.c.line_no), repeated.c.first_line_no)).label(
            "same_id_as_line"
        ),
    ]


def _checked_money(parts: LineParts) -> list[ColumnElement[Any]]:
    d, x = source_document, source_line
    unread = _unread()
    amount, functional, tax = _line_totals(parts)
    is_domestic = x.c.currency == d.c.functional_currency
    return [
        present(x.c.amount_minor, unless=unread).label("has_amount"),
        present(x.c.functional_minor, unless=unread).label("has_functional"),
        flag(or_(x.c.amount_minor.is_(None), within_limit(x.c.amount_minor).is_not(None))).label(
            "amount_plausible"
        ),
        flag(or_(x.c.functional_minor.is_(None), within_limit(x.c.functional_minor).is_not(None))).label(
            "functional_plausible"
        ),
        case((or_(d.c.kind.not_in(KINDS_WITHOUT_VOUCHER), amount != 0), amount)).label("line_amount"),
        case(
            (
                and_(is_domestic, ~unread),
                within_limit(x.c.amount_minor) - within_limit(x.c.functional_minor),
            )
        ).label("functional_difference_minor"),
        tax.label("line_tax"),
        case((and_(functional > 0, tax > functional), tax - functional)).label("tax_excess_minor"),
        case((~unread, x.c.rate)).label("rate_read"),
        flag(or_(x.c.rate.is_not(None), is_domestic, x.c.currency.is_(None), unread)).label("has_rate"),
    ]


def _line_totals(parts: LineParts) -> tuple[ColumnElement[Any], ColumnElement[Any], ColumnElement[Any]]:
    """Amount, functional amount and tax of the whole line that a row is, or is a share of."""
    x, shared = source_line, parts.shared
    return (
        func.coalesce(shared.c.amount, within_limit(x.c.amount_minor)),
        func.coalesce(shared.c.functional, within_limit(x.c.functional_minor)),
        func.coalesce(shared.c.tax, within_limit(x.c.tax_minor)),
    )


def _unread() -> ColumnElement[bool]:
    """Whether the extract recorded a problem with the line, or with the document as a whole."""
    return exists().where(
        problem.c.document_pk == source_line.c.document_pk,
        or_(problem.c.line_no == source_line.c.line_no, problem.c.line_no.is_(None)),
        problem.c.stage == Stage.EXTRACT,
        problem.c.resolved_at.is_(None),
    )


def write_off_rows(chosen: Table) -> Select[Any]:
    """One row a write-off; key `document_pk, seq`.

    A loan older than the store's start is not there, which is fine. One whose kind or state could not be read is
    quarantined itself, which says nothing against what settles it.
    """
    w, d = source_write_off, source_document
    loan = source_document.alias("loan")
    unread = exists().where(
        problem.c.document_pk == w.c.document_pk,
        problem.c.stage == Stage.EXTRACT,
        problem.c.resolved_at.is_(None),
    )
    return (
        select(
            w.c.document_pk,
            w.c.seq,
            w.c.loan_document_id,
            w.c.amount_minor,
            d.c.code,
            d.c.functional_currency,
            loan.c.code.label("loan_code"),
            loan.c.kind.label("loan_kind"),
            loan.c.status.label("loan_status"),
            # From here on: what checks read.
            present(w.c.loan_document_id, unless=unread).label("has_loan"),
            present(w.c.amount_minor, unless=unread).label("has_amount"),
            case((loan.c.kind != DocumentKind.UNKNOWN, loan.c.kind)).label("loan_kind_read"),
            case(
                (
                    and_(loan.c.kind == DocumentKind.LOAN, loan.c.status != DocumentStatus.UNKNOWN),
                    loan.c.status,
                )
            ).label("loan_status_read"),
        )
        .select_from(w)
        .join(chosen, chosen.c.id == w.c.document_pk)
        .join(d, d.c.id == w.c.document_pk)
        .outerjoin(
            loan,
            and_(
                loan.c.source == d.c.source,
                loan.c.document_id == w.c.loan_document_id,
                loan.c.is_current,
                loan.c.role == BookRole.HOME,
            ),
        )
    )
