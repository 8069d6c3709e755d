"""What the gate looks at in documents: one query per staged table, for SQLite and PostgreSQL alike.

Columns that a check reads are NULL where the check does not apply, in particular where the extract has
recorded a problem that explains the gap: one cause gives one problem.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Select,
    String,
    and_,
    case,
    exists,
    false,
    func,
    literal,
    or_,
    select,
)

from include.domain.document import DUE_STATUSES, Disposition, DocumentKind, DocumentStatus
from include.domain.problems import Stage
from include.quality.staging import LIMIT_MINOR, flag, present, within_limit
from include.store.tables import (
    master_record,
    problem,
    source_document,
    source_invoice,
    source_line,
    source_write_off,
)

KINDS_WITH_LINES = (
    DocumentKind.EXPENSE_CLAIM,
    DocumentKind.GOODS_RECEIPT,
    DocumentKind.PURCHASE_INVOICE,
)
KINDS_WITH_FEE_TYPES = (DocumentKind.EXPENSE_CLAIM,)
KINDS_WITH_SUPPLIER = (
    DocumentKind.PAYMENT_REQUEST,
    DocumentKind.PREPAYMENT,
    DocumentKind.GOODS_RECEIPT,
    DocumentKind.PURCHASE_INVOICE,
)
KINDS_THAT_PAY = (
    DocumentKind.EXPENSE_CLAIM,
    DocumentKind.LOAN,
    DocumentKind.PAYMENT_REQUEST,
    DocumentKind.PREPAYMENT,
)
KINDS_WITHOUT_VOUCHER = (DocumentKind.REQUISITION, DocumentKind.PURCHASE_ORDER)
"""These book nothing, so an amount of zero is no mistake there."""


@dataclass(frozen=True, slots=True)
class DocumentScope:
    """Which documents a gate looks at, and what it holds them against.

    `legal_entities` are the codes or ids that belong to the book; dates are business days, both ends included,
    None for open. `now` is aware.
    """

    book: str
    source: str
    legal_entities: Collection[str]
    currency: str
    source_start: date
    now: datetime
    date_from: date | None = None
    date_to: date | None = None
    dispositions: Collection[str] = (Disposition.PENDING, Disposition.QUARANTINED)

    @property
    def earliest(self) -> date:
        """The first plausible day."""
        return self.source_start - timedelta(days=731)

    @property
    def latest(self) -> date:
        """The last plausible day."""
        return self.now.date() + timedelta(days=366)

    def condition(self) -> ColumnElement[bool]:
        """On `source_document`. A date that is absent or absurd is in every scope: no run would see it otherwise."""
        day = source_document.c.business_date
        start = [day >= self.date_from] if self.date_from else []
        end = [day <= self.date_to] if self.date_to else []
        return and_(
            source_document.c.book == self.book,
            source_document.c.source == self.source,
            source_document.c.is_current,
            source_document.c.disposition.in_(self.dispositions),
            or_(and_(True, *start, *end), day.is_(None), day < self.earliest, day > self.latest),
        )

    def documents(self) -> CTE:
        """Keys of the documents in scope."""
        return select(source_document.c.id).where(self.condition()).cte("in_scope")


def document_rows(scope: DocumentScope, dialect: str) -> Select[Any]:
    """One row a document; key `document_pk`."""
    d = source_document
    chosen = scope.documents()
    lines = _lines_of(chosen)
    write_offs = _write_offs_of(chosen)
    extracted = _extract_problems_of(chosen)
    same_code = _same_code(scope, chosen)
    unread = func.coalesce(extracted.c.of_document, 0) > 0
    any_unread = func.coalesce(extracted.c.of_any, 0) > 0
    gross, written_off = within_limit(d.c.gross_minor), within_limit(d.c.written_off_minor)
    company_paid = within_limit(d.c.company_paid_minor)
    fits = or_(d.c.legal_entity_code.in_(scope.legal_entities), d.c.legal_entity_id.in_(scope.legal_entities))
    entity_known = or_(fits, _known(scope, ("legal_entity",), d.c.legal_entity_id))
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
            lines.c.functional_minor.label("lines_minor"),
            write_offs.c.amount_minor.label("write_offs_minor"),
            literal(scope.earliest).label("earliest"),
            literal(scope.latest).label("latest"),
            # From here on: what checks read.
            func.coalesce(extracted.c.of_any, 0).label("extract_problem_count"),
            case((~unread, d.c.kind)).label("kind_read"),
            case((~unread, d.c.status)).label("status_read"),
            case((~unread, d.c.currency)).label("currency_read"),
            case((~unread, d.c.functional_currency)).label("functional_currency_read"),
            present(d.c.code, unless=unread).label("has_code"),
            present(d.c.legal_entity_id, unless=unread).label("has_legal_entity"),
            flag(or_(_absent(d.c.legal_entity_id), entity_known)).label("legal_entity_known"),
            flag(or_(_absent(d.c.legal_entity_id), ~entity_known, fits)).label("legal_entity_in_book"),
            present(d.c.submitter_id, unless=unread).label("has_submitter"),
            _reference_known(scope, ("staff",), d.c.submitter_id).label("submitter_known"),
            present(d.c.department_id, unless=unread).label("has_department"),
            _reference_known(scope, ("department",), d.c.department_id).label("department_known"),
            _reference_known(scope, ("project",), d.c.project_id).label("project_known"),
            flag(or_(d.c.kind.not_in(KINDS_WITH_SUPPLIER), ~_absent(d.c.supplier_id), unread)).label(
                "has_supplier"
            ),
            _reference_known(scope, ("supplier", "payee"), d.c.supplier_id).label("supplier_known"),
            flag(or_(d.c.kind.not_in(KINDS_WITH_LINES), lines.c.line_count > 0, any_unread)).label(
                "has_lines"
            ),
            present(d.c.gross_minor, unless=unread).label("has_gross"),
            case((or_(d.c.kind.not_in(KINDS_WITHOUT_VOUCHER), d.c.gross_minor != 0), d.c.gross_minor)).label(
                "gross_unless_free"
            ),
            case((and_(~any_unread, lines.c.unread == 0), gross - lines.c.functional_minor)).label(
                "lines_difference_minor"
            ),
            case(
                (
                    and_(~unread, d.c.kind.in_(KINDS_THAT_PAY)),
                    gross - _zero(written_off) - _zero(company_paid) - within_limit(d.c.payable_minor),
                )
            ).label("payable_difference_minor"),
            case(
                (
                    and_(~any_unread, func.coalesce(write_offs.c.unread, 0) == 0),
                    _zero(written_off) - _zero(write_offs.c.amount_minor),
                )
            ).label("write_offs_difference_minor"),
            present(d.c.business_date, unless=unread).label("has_business_date"),
            _implausible(scope, d.c.business_date).label("business_date_implausible"),
            flag(d.c.submitted_at > d.c.approved_at).label("approved_before_submitted"),
            same_code.c.first_document_id.label("same_code_as"),
            _nul(dialect, d.c.title, d.c.submitter_name, d.c.supplier_name, d.c.project_name).label("nul"),
        )
        .select_from(d)
        .join(chosen, chosen.c.id == d.c.id)
        .outerjoin(lines, lines.c.document_pk == d.c.id)
        .outerjoin(write_offs, write_offs.c.document_pk == d.c.id)
        .outerjoin(extracted, extracted.c.document_pk == d.c.id)
        .outerjoin(same_code, same_code.c.document_pk == d.c.id)
    )


def line_rows(scope: DocumentScope, dialect: str) -> Select[Any]:
    """One row a line, or share of a line; key `document_pk, line_no, portion_no`.

    Amounts are judged per line of the OA: a share of a line may be negative or zero, its line may not.
    """
    d, x = source_document, source_line
    chosen = scope.documents()
    unread = exists().where(
        problem.c.document_pk == x.c.document_pk,
        problem.c.line_no == x.c.line_no,
        problem.c.stage == Stage.EXTRACT,
        problem.c.resolved_at.is_(None),
    )
    line = {"partition_by": (x.c.document_pk, x.c.line_no)}
    amount = func.sum(within_limit(x.c.amount_minor)).over(**line)
    functional = func.sum(within_limit(x.c.functional_minor)).over(**line)
    tax = func.sum(within_limit(x.c.tax_minor)).over(**line)
    first_with_id = func.min(x.c.line_no).over(partition_by=(x.c.document_pk, x.c.line_id))
    is_domestic = x.c.currency == d.c.functional_currency
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
            # From here on: what checks read.
            flag(or_(d.c.kind.not_in(KINDS_WITH_FEE_TYPES), ~_absent(x.c.fee_type_id), unread)).label(
                "has_fee_type"
            ),
            _reference_known(scope, ("fee_type",), x.c.fee_type_id).label("fee_type_known"),
            _reference_known(scope, ("department",), x.c.department_id).label("department_known"),
            _reference_known(scope, ("project",), x.c.project_id).label("project_known"),
            present(x.c.currency, unless=unread).label("has_currency"),
            case((~unread, x.c.currency)).label("currency_read"),
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
            case((tax > functional, tax - functional)).label("tax_excess_minor"),
            case((~unread, x.c.rate)).label("rate_read"),
            flag(or_(x.c.rate.is_not(None), is_domestic, x.c.currency.is_(None), unread)).label("has_rate"),
            _implausible(scope, x.c.occurred_on).label("occurred_on_implausible"),
            case((and_(x.c.line_id != "", ~unread, first_with_id < x.c.line_no), first_with_id)).label(
                "same_id_as_line"
            ),
            _nul(dialect, x.c.description, x.c.fee_type_name).label("nul"),
        )
        .select_from(x)
        .join(chosen, chosen.c.id == x.c.document_pk)
        .join(d, d.c.id == x.c.document_pk)
    )


def invoice_rows(scope: DocumentScope) -> Select[Any]:
    """One row per invoice and document that claims it; key `document_pk, invoice_id`.

    All current due documents of the source count, in the order of `_first_come`. A document fails when, with
    it, more is claimed than the invoice's total, or when the total is not known and an earlier one has it.
    """
    i, d = source_invoice, source_document
    chosen = scope.documents()
    concerned = select(i.c.invoice_id).join(chosen, chosen.c.id == i.c.document_pk)
    per_document = (
        select(
            i.c.invoice_id,
            i.c.document_pk,
            func.sum(within_limit(i.c.claimed_minor)).label("claimed"),
            func.count().label("entries"),
            func.count(i.c.claimed_minor).label("known_entries"),
            func.max(within_limit(i.c.total_minor)).label("total"),
            func.min(i.c.line_no).label("line_no"),
        )
        .select_from(i)
        .join(d, d.c.id == i.c.document_pk)
        .where(i.c.invoice_id != "", i.c.invoice_id.in_(concerned), _counts(scope))
        .group_by(i.c.invoice_id, i.c.document_pk)
        .subquery("claims_of_document")
    )
    totalled = select(
        per_document, func.max(per_document.c.total).over(partition_by=per_document.c.invoice_id).label("all")
    ).subquery("claims_with_total")
    order = {"partition_by": totalled.c.invoice_id, "order_by": _first_come()}
    # A claim whose amount is not known counts as the whole invoice.
    claim = case(
        (totalled.c.known_entries == totalled.c.entries, totalled.c.claimed), else_=totalled.c["all"]
    )
    until_here = {**order, "rows": (None, 0)}
    ranked = (
        select(
            totalled.c.document_pk,
            totalled.c.invoice_id,
            totalled.c.line_no,
            totalled.c["all"].label("total_minor"),
            claim.label("claimed_minor"),
            func.sum(claim).over(**until_here).label("running_minor"),
            func.lag(d.c.code, type_=String()).over(**order).label("earlier_code"),
            func.lag(d.c.document_id, type_=String()).over(**order).label("earlier_document_id"),
            d.c.code,
            d.c.document_id,
            d.c.functional_currency,
        )
        .select_from(totalled)
        .join(d, d.c.id == totalled.c.document_pk)
        .subquery("claims_ranked")
    )
    r = ranked.c
    return select(
        ranked,
        case((r.total_minor > 0, r.running_minor - r.total_minor)).label("excess_minor"),
        case((r.total_minor.is_(None), r.earlier_document_id)).label("claimed_before_by"),
    ).join(chosen, chosen.c.id == r.document_pk)


def write_off_rows(scope: DocumentScope) -> Select[Any]:
    """One row a write-off; key `document_pk, seq`. A loan older than the store's start is not there, which is fine."""
    w, d = source_write_off, source_document
    loan = source_document.alias("loan")
    chosen = scope.documents()
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
            loan.c.kind.label("loan_kind_read"),
            case((loan.c.kind == DocumentKind.LOAN, loan.c.status)).label("loan_status_read"),
        )
        .select_from(w)
        .join(chosen, chosen.c.id == w.c.document_pk)
        .join(d, d.c.id == w.c.document_pk)
        .outerjoin(
            loan,
            and_(loan.c.source == d.c.source, loan.c.document_id == w.c.loan_document_id, loan.c.is_current),
        )
    )


def _lines_of(chosen: CTE) -> Any:
    x = source_line
    functional = within_limit(x.c.functional_minor)
    return (
        select(
            x.c.document_pk,
            func.count(x.c.line_no.distinct()).label("line_count"),
            func.sum(functional).label("functional_minor"),
            (func.count() - func.count(functional)).label("unread"),
        )
        .join(chosen, chosen.c.id == x.c.document_pk)
        .group_by(x.c.document_pk)
        .subquery("lines")
    )


def _write_offs_of(chosen: CTE) -> Any:
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
        .subquery("write_offs")
    )


def _extract_problems_of(chosen: CTE) -> Any:
    """Open problems of the extract; `of_document` counts those of no single line."""
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
        .subquery("extract_problems")
    )


def _same_code(scope: DocumentScope, chosen: CTE) -> Any:
    """Documents whose code an earlier current due document of the source carries, with that one's id."""
    d = source_document
    mine = source_document.alias("mine")
    codes = select(mine.c.code).join(chosen, chosen.c.id == mine.c.id)
    order = {"partition_by": d.c.code, "order_by": _first_come()}
    ranked = (
        select(
            d.c.id.label("document_pk"),
            func.row_number().over(**order).label("position"),
            func.first_value(d.c.document_id, type_=String()).over(**order).label("first_document_id"),
        )
        .where(d.c.code != "", d.c.code.in_(codes), _counts(scope))
        .subquery("code_ranked")
    )
    return select(ranked).where(ranked.c.position > 1).subquery("same_code")


def _counts(scope: DocumentScope) -> ColumnElement[bool]:
    """Documents that may claim a code or an invoice: all current due ones of the source, in any book."""
    d = source_document
    return and_(d.c.source == scope.source, d.c.is_current, d.c.status.in_(DUE_STATUSES))


def _first_come() -> tuple[ColumnElement[Any], ...]:
    """Who was first: what is already accepted (it may be posted), then by approval, then as it was stored."""
    d = source_document
    accepted = d.c.disposition.in_([Disposition.ACCEPTED, Disposition.NO_VOUCHER])
    return (
        case((accepted, 0), else_=1),
        case((d.c.approved_at.is_(None), 1), else_=0),
        d.c.approved_at,
        d.c.id,
    )


def _known(scope: DocumentScope, kinds: Collection[str], key: ColumnElement[Any]) -> ColumnElement[bool]:
    return exists().where(
        master_record.c.source == scope.source, master_record.c.kind.in_(kinds), master_record.c.id == key
    )


def _reference_known(
    scope: DocumentScope, kinds: Collection[str], key: ColumnElement[Any]
) -> ColumnElement[Any]:
    """1 where the reference is in the master data or not given at all, else NULL."""
    return flag(or_(_absent(key), _known(scope, kinds, key)))


def _absent(key: ColumnElement[Any]) -> ColumnElement[bool]:
    return or_(key.is_(None), key == "")


def _zero(amount: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(amount, 0)


def _implausible(scope: DocumentScope, day: ColumnElement[Any]) -> ColumnElement[Any]:
    return flag(or_(day < scope.earliest, day > scope.latest))


def _nul(dialect: str, *texts: ColumnElement[Any]) -> ColumnElement[Any]:
    """1 where a text holds a NUL character; PostgreSQL cannot store one."""
    if dialect != "sqlite":
        return flag(false())
    return flag(or_(*(func.instr(text, func.char(0)) > 0 for text in texts)))
