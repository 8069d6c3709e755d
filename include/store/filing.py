"""Filing a page of documents: snapshots, revisions in place or beside, and their parts, in one transaction."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update

from include.domain.document import Disposition, MappedDocument, Reference, SourceDocument, canonical_json
from include.domain.problems import Stage
from include.domain.voucher import UNSENT_STATUSES, VoucherStatus
from include.ports import RawDocument
from include.store import problems
from include.store import tables as t

CHUNK = 500
"""Values in one IN list, well below every database's limit."""


@dataclass(frozen=True, slots=True)
class Filed:
    """A document ready to be saved: as sent, as read, and where it belongs."""

    raw: RawDocument
    mapped: MappedDocument
    book: str
    business_date: date | None


@dataclass(frozen=True, slots=True)
class Saved:
    """What saving a page did. `revised` are new revisions beside a voucher that was already sent."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    revised: int = 0

    def __add__(self, other: Saved) -> Saved:
        return Saved(
            self.new + other.new,
            self.changed + other.changed,
            self.unchanged + other.unchanged,
            self.revised + other.revised,
        )


def file_page(connection: Connection, source: str, filed: Mapping[str, Filed], fetched_at: datetime) -> Saved:
    """Store documents by id, in the caller's writing transaction.

    The same content keeps its row. Changed content replaces it, unless a voucher of it was already sent: then
    it becomes a new revision beside the old one.
    """
    snapshots = _save_snapshots(connection, source, filed, fetched_at)
    current = _current_rows(connection, source, list(filed))
    inserts: list[dict[str, Any]] = []
    updates: list[dict[str, Any]] = []
    kept: dict[str, int] = {}
    retired: list[int] = []
    counts = {"new": 0, "changed": 0, "unchanged": 0, "revised": 0}
    for document_id, item in filed.items():
        row = _document_row(item, snapshots[document_id])
        before = current.get(document_id)
        if before is None:
            counts["new"] += 1
            inserts.append({**row, "revision": 1})
        elif before.content_digest == row["content_digest"] and before.book == row["book"]:
            counts["unchanged"] += 1
            same_standing = before.status == row["status"] and before.disposition != Disposition.NOT_DUE
            row["disposition"] = before.disposition if same_standing else row["disposition"]
            updates.append({**row, "pk": before.id, "revision": before.revision})
            kept[document_id] = before.id
        elif before.is_sent:
            counts["revised"] += 1
            retired.append(before.id)
            inserts.append({**row, "revision": before.revision + 1, "disposition": Disposition.PENDING})
        else:
            counts["changed"] += 1
            updates.append({**row, "pk": before.id, "revision": before.revision})
            kept[document_id] = before.id
    for part in chunks(retired):
        connection.execute(
            update(t.source_document).where(t.source_document.c.id.in_(part)).values(is_current=False)
        )
    pks = {**kept, **_insert_documents(connection, inserts)}
    _update_documents(connection, updates)
    _replace_parts(connection, source, {pks[i]: item for i, item in filed.items()}, list(kept.values()))
    _cancel_unsent(connection, list(kept.values()))
    by_book: dict[str, dict[int, Sequence[Any]]] = {}
    for document_id, item in filed.items():
        found = item.mapped.problems if item.mapped.document.status.is_due else ()
        by_book.setdefault(item.book, {})[pks[document_id]] = found
    for book, found_in_book in by_book.items():
        problems.sync(connection, book, Stage.EXTRACT, found_in_book, fetched_at)
    return Saved(**counts)


def _save_snapshots(
    connection: Connection, source: str, filed: Mapping[str, Filed], fetched_at: datetime
) -> dict[str, int]:
    s = t.source_snapshot
    payloads = {i: canonical_json(item.raw.payload) for i, item in filed.items()}
    digests = {i: hashlib.sha256(payload).hexdigest() for i, payload in payloads.items()}
    stored = {
        (row.document_id, row.digest): row.id
        for part in chunks(list(filed))
        for row in connection.execute(
            select(s.c.id, s.c.document_id, s.c.digest).where(s.c.source == source, s.c.document_id.in_(part))
        )
    }
    missing = [i for i in filed if (i, digests[i]) not in stored]
    if missing:
        rows = connection.execute(
            insert(s).returning(s.c.id, s.c.document_id, s.c.digest),
            [
                {
                    "source": source,
                    "document_id": i,
                    "digest": digests[i],
                    "payload": zlib.compress(payloads[i], 6),
                    "fetched_at": fetched_at,
                }
                for i in missing
            ],
        )
        stored |= {(row.document_id, row.digest): row.id for row in rows}
    return {i: stored[i, digests[i]] for i in filed}


def _current_rows(connection: Connection, source: str, document_ids: Sequence[str]) -> dict[str, Any]:
    d = t.source_document
    return {
        row.document_id: row
        for part in chunks(document_ids)
        for row in connection.execute(
            select(
                d.c.id,
                d.c.document_id,
                d.c.revision,
                d.c.content_digest,
                d.c.book,
                d.c.status,
                d.c.disposition,
                sent_voucher_of(d.c.id).label("is_sent"),
            ).where(d.c.source == source, d.c.is_current, d.c.document_id.in_(part))
        )
    }


def _insert_documents(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    if not rows:
        return {}
    d = t.source_document
    result = connection.execute(insert(d).returning(d.c.id, d.c.document_id), list(rows))
    return {row.document_id: row.id for row in result}


def _update_documents(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    d = t.source_document
    names = [name for name in rows[0] if name != "pk"]
    connection.execute(
        update(d).where(d.c.id == bindparam("pk")).values({name: bindparam(f"new_{name}") for name in names}),
        [{"pk": row["pk"], **{f"new_{name}": row[name] for name in names}} for row in rows],
    )


def _replace_parts(
    connection: Connection, source: str, items: Mapping[int, Filed], kept: Sequence[int]
) -> None:
    for part in chunks(kept):
        for table in (t.source_line, t.source_invoice, t.source_write_off):
            connection.execute(delete(table).where(table.c.document_pk.in_(part)))
    documents = {pk: item.mapped.document for pk, item in items.items()}
    steps = t.approval_step
    for part in chunks([document.document_id for document in documents.values()]):
        connection.execute(delete(steps).where(steps.c.source == source, steps.c.document_id.in_(part)))
    insert_rows(connection, t.source_line, [row for pk, d in documents.items() for row in _line_rows(pk, d)])
    insert_rows(
        connection, t.source_invoice, [row for pk, d in documents.items() for row in _invoice_rows(pk, d)]
    )
    insert_rows(
        connection,
        t.source_write_off,
        [
            {"document_pk": pk, "seq": seq, "loan_document_id": w.loan_document_id, "amount_minor": w.amount}
            for pk, d in documents.items()
            for seq, w in enumerate(d.write_offs, 1)
        ],
    )
    insert_rows(connection, steps, [row for d in documents.values() for row in _step_rows(source, d)])


def _cancel_unsent(connection: Connection, pks: Sequence[int]) -> None:
    """A document that is no longer accepted must not be sent: generating it again revives its voucher."""
    d = t.source_document
    for part in chunks(pks):
        connection.execute(
            update(t.voucher)
            .where(
                t.voucher.c.document_pk.in_(part),
                t.voucher.c.status.in_(UNSENT_STATUSES),
                t.voucher.c.document_pk.in_(
                    select(d.c.id).where(
                        d.c.id.in_(part),
                        d.c.disposition.not_in([Disposition.ACCEPTED, Disposition.NO_VOUCHER]),
                    )
                ),
            )
            .values(status=VoucherStatus.CANCELLED)
        )


def _document_row(item: Filed, snapshot_id: int) -> dict[str, Any]:
    d = item.mapped.document
    return {
        "source": d.source,
        "document_id": d.document_id,
        "is_current": True,
        "book": item.book,
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
        "business_date": item.business_date,
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


def _line_rows(pk: int, document: SourceDocument) -> Iterator[dict[str, Any]]:
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


def _invoice_rows(pk: int, document: SourceDocument) -> Iterator[dict[str, Any]]:
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
        }


def _step_rows(source: str, document: SourceDocument) -> Iterator[dict[str, Any]]:
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


def insert_rows(connection: Connection, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), list(rows))


def chunks(items: Sequence[Any], size: int = CHUNK) -> Iterator[Sequence[Any]]:
    """Slices of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def set_disposition(connection: Connection, pks: Sequence[int], disposition: Disposition) -> None:
    for part in chunks(pks):
        connection.execute(
            update(t.source_document).where(t.source_document.c.id.in_(part)).values(disposition=disposition)
        )


def sent_voucher_of(pk: Any) -> Any:
    """Whether a document's revision has a voucher that left for the ledger."""
    return exists().where(
        t.voucher.c.document_pk == pk,
        t.voucher.c.status.not_in([*UNSENT_STATUSES, VoucherStatus.CANCELLED]),
    )
