"""What several documents claim: a code that is theirs alone, an invoice up to its total. The first comes first.

A document counts once, by its home row, however many books share it; what holds of it holds in each of them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, String, Table, and_, case, func, select

from include.domain.document import DUE_STATUSES, BookRole, Disposition
from include.quality.scope import DocumentScope
from include.quality.staging import within_limit
from include.store.tables import source_document, source_invoice


def same_codes(scope: DocumentScope, chosen: Table) -> Select[Any]:
    """Documents whose code an earlier current due document of the source carries, with that one's id.

    Key `document_pk`.
    """
    d = source_document
    mine = source_document.alias("mine")
    codes = select(mine.c.code).join(chosen, chosen.c.id == mine.c.id)
    ranked = (
        select(
            d.c.document_id,
            func.row_number().over(partition_by=d.c.code, order_by=_first_come()).label("position"),
            func.first_value(d.c.document_id, type_=String())
            .over(partition_by=d.c.code, order_by=_first_come())
            .label("first_document_id"),
        )
        .where(d.c.code != "", d.c.code.in_(codes), _counts(scope))
        .subquery("code_ranked")
    )
    return (
        select(mine.c.id.label("document_pk"), ranked.c.first_document_id)
        .join(chosen, chosen.c.id == mine.c.id)
        .join(ranked, ranked.c.document_id == mine.c.document_id)
        .where(ranked.c.position > 1)
    )


def invoice_rows(scope: DocumentScope, chosen: Table) -> Select[Any]:
    """One row per invoice and document that claims it; key `document_pk, invoice_id`.

    All current due documents of the source count, in the order of `_first_come`. A document fails when, with
    it, more is claimed than the invoice's total, or when the total is not known and an earlier one has it. One
    that alone claims more than the total fails and is not counted against the others.
    """
    i, d = source_invoice, source_document
    mine = source_document.alias("mine")
    concerned = select(i.c.invoice_id).join(chosen, chosen.c.id == i.c.document_pk)
    per_document = (
        select(
            i.c.invoice_id,
            i.c.document_pk,
            func.sum(within_limit(i.c.claimed_minor)).label("claimed"),
            func.count().label("entries"),
            func.count(i.c.claimed_minor).label("known_entries"),
            # A total of zero says nothing: then an earlier use of the invoice is what counts.
            func.max(func.nullif(within_limit(i.c.total_minor), 0, type_=BigInteger)).label("total"),
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
    of_invoice, first_come = totalled.c.invoice_id, _first_come()
    # A claim whose amount is not known counts as the whole invoice.
    claim = case(
        (totalled.c.known_entries == totalled.c.entries, totalled.c.claimed), else_=totalled.c["all"]
    )
    # One that alone exceeds the invoice cannot stand, so it takes nothing from the others.
    standing = case((claim > totalled.c["all"], 0), else_=claim)
    ranked = (
        select(
            totalled.c.invoice_id,
            totalled.c.line_no,
            totalled.c["all"].label("total_minor"),
            claim.label("claimed_minor"),
            (
                func.sum(standing).over(partition_by=of_invoice, order_by=first_come, rows=(None, 0))
                + claim
                - standing
            ).label("running_minor"),
            func.lag(d.c.code, type_=String())
            .over(partition_by=of_invoice, order_by=first_come)
            .label("earlier_code"),
            func.lag(d.c.document_id, type_=String())
            .over(partition_by=of_invoice, order_by=first_come)
            .label("earlier_document_id"),
            d.c.code,
            d.c.document_id,
            d.c.functional_currency,
        )
        .select_from(totalled)
        .join(d, d.c.id == totalled.c.document_pk)
        .subquery("claims_ranked")
    )
    r = ranked.c
    return (
        select(
            mine.c.id.label("document_pk"),
            ranked,
            case((r.total_minor > 0, r.running_minor - r.total_minor)).label("excess_minor"),
            case((r.total_minor.is_(None), r.earlier_document_id)).label("claimed_before_by"),
        )
        .select_from(mine)
        .join(chosen, chosen.c.id == mine.c.id)
        .join(ranked, r.document_id == mine.c.document_id)
    )


def _counts(scope: DocumentScope) -> ColumnElement[bool]:
    """Documents that may claim a code or an invoice: all current due ones of the source, in any book, each once."""
    d = source_document
    return and_(
        d.c.source == scope.source,
        d.c.is_current,
        d.c.role == BookRole.HOME,
        d.c.status.in_(DUE_STATUSES),
    )


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
