"""A canonical document as rows of the store's tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

from include.domain.document import BookRole, Disposition, Reference, SourceDocument


def document_row(
    d: SourceDocument, snapshot_id: int, book: str, role: BookRole, business_date: date | None
) -> dict[str, Any]:
    """Of `source_document`, for one of its books."""
    return {
        "source": d.source,
        "document_id": d.document_id,
        "is_current": True,
        "book": book,
        "role": role,
        "content_digest": d.content_digest,
        "snapshot_id": snapshot_id,
        "code": d.code,
        "kind": d.kind,
        "form_type": d.form_type,
        "template_id": d.template_id,
        "title": d.title,
        "status": d.status,
        "disposition": Disposition.PENDING if d.status.is_due else Disposition.NOT_DUE,
        "disposition_reason": "",
        "business_date": business_date,
        "functional_currency": d.functional_currency,
        "currency": d.currency,
        "gross_minor": d.gross,
        "transaction_gross_minor": d.transaction_gross,
        "written_off_minor": d.written_off,
        "company_paid_minor": d.company_paid,
        "payable_minor": d.payable,
        **_reference("legal_entity", d.legal_entity),
        **_reference("department", d.department),
        **_reference("submitter", d.submitter),
        **_reference("supplier", d.supplier),
        **_reference("project", d.project),
        "created_at": d.created_at,
        "updated_at": d.updated_at,
        "submitted_at": d.submitted_at,
        "approved_at": d.approved_at,
        "paid_at": d.paid_at,
        "payment_channel": d.payment_channel,
        "attachments": d.attachments,
        "line_count": len(d.lines),
        "voucher_no": d.voucher_no,
        "links": json.dumps(d.links, ensure_ascii=False),
        "properties": json.dumps(dict(d.properties), ensure_ascii=False, sort_keys=True),
    }


def line_rows(pk: int, document: SourceDocument) -> Iterator[dict[str, Any]]:
    """Of `source_line`."""
    for line in document.lines:
        yield {
            "document_pk": pk,
            "line_no": line.line_no,
            "portion_no": line.portion_no,
            "line_id": line.line_id,
            **_reference("fee_type", line.fee_type),
            **_reference("department", line.department),
            **_reference("project", line.project),
            **_reference("legal_entity", line.legal_entity),
            "currency": line.currency,
            "amount_minor": line.amount,
            "functional_minor": line.functional_amount,
            "rate": None if line.rate is None else str(line.rate)[:40],
            "tax_minor": line.deductible_tax,
            "occurred_on": line.occurred_on,
            "description": line.description,
        }


def invoice_rows(pk: int, document: SourceDocument) -> Iterator[dict[str, Any]]:
    """Of `source_invoice`."""
    for seq, invoice in enumerate(document.invoices, 1):
        yield {
            "document_pk": pk,
            "seq": seq,
            "line_no": invoice.line_no,
            "invoice_id": invoice.invoice_id,
            "kind": invoice.kind,
            "claimed_minor": invoice.claimed,
            "tax_minor": invoice.tax,
            "total_minor": invoice.total,
            "exempt_minor": invoice.exempt,
            "occurred_on": invoice.occurred_on,
            "is_named": invoice.is_named,
            "is_tax_of_claim": invoice.is_tax_of_claim,
        }


def write_off_rows(pk: int, document: SourceDocument) -> Iterator[dict[str, Any]]:
    """Of `source_write_off`."""
    for seq, write_off in enumerate(document.write_offs, 1):
        yield {
            "document_pk": pk,
            "seq": seq,
            "loan_document_id": write_off.loan_document_id,
            "amount_minor": write_off.amount,
        }


def step_rows(source: str, document: SourceDocument) -> Iterator[dict[str, Any]]:
    """Of `approval_step`."""
    for seq, step in enumerate(document.approvals, 1):
        yield {
            "source": source,
            "document_id": document.document_id,
            "seq": seq,
            "action": step.action,
            "operator_id": step.operator_id,
            "at": step.at,
            "node": step.node,
            "next_operator_id": step.next_operator_id,
            "comment": step.comment,
        }


def _reference(name: str, reference: Reference | None) -> dict[str, Any]:
    if reference is None:
        return {f"{name}_id": None, f"{name}_code": "", f"{name}_name": ""}
    return {f"{name}_id": reference.id, f"{name}_code": reference.code, f"{name}_name": reference.name}
