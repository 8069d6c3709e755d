"""Rows for tests: sound by default, one argument away from broken."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, Table, insert

from include.domain.document import Disposition, DocumentKind, DocumentStatus
from include.domain.voucher import Side, VoucherStatus
from include.store import tables

SOURCE = "hesi"
BOOK = "acme"
DAY = date(2026, 3, 10)
SUBMITTED = datetime(2026, 3, 9, 2, tzinfo=UTC)
APPROVED = datetime(2026, 3, 10, 2, tzinfo=UTC)

MASTER = (
    ("legal_entity", "LE1", "E01"),
    ("legal_entity", "LE2", "E02"),
    ("department", "D1", "D01"),
    ("department", "D2", "D02"),
    ("staff", "S1", "0001"),
    ("fee_type", "F1", "TRAVEL"),
    ("project", "P1", "P01"),
    ("supplier", "V1", "V01"),
    ("payee", "PAY1", ""),
)


class StoreBuilder:
    """Inserts rows on one connection; every method takes overrides by column name.

    A document comes with one line over the same amount unless `lines` says otherwise.
    """

    def __init__(self, connection: Connection, source: str = SOURCE, book: str = BOOK) -> None:
        self.connection = connection
        self.source = source
        self.book = book
        self._count = 0

    def next_number(self) -> int:
        """1, 2, …: for ids that must differ."""
        self._count += 1
        return self._count

    def master_data(self, records: Sequence[tuple[str, str, str]] = MASTER) -> None:
        for kind, key, code in records:
            self._insert(
                tables.master_record,
                source=self.source,
                kind=kind,
                id=key,
                code=code,
                name=f"{kind} {key}",
                parent_id="",
                is_active=True,
                extra="{}",
            )

    def document(self, *, lines: Sequence[dict[str, Any]] | None = None, **overrides: Any) -> int:
        """A sound, approved, pending expense claim over 100.00 CNY; returns its key."""
        number = f"{self.next_number():05d}"
        document_id = overrides.get("document_id", f"doc-{number}")
        snapshot = self._insert(
            tables.source_snapshot,
            source=self.source,
            document_id=document_id,
            digest=number,
            payload=b"",
            fetched_at=APPROVED,
        )
        gross = overrides.get("gross_minor", 10_000)
        row: dict[str, Any] = {
            "source": self.source,
            "document_id": document_id,
            "revision": 1,
            "is_current": True,
            "book": self.book,
            "content_digest": number,
            "snapshot_id": snapshot,
            "code": f"B{number}",
            "kind": DocumentKind.EXPENSE_CLAIM,
            "form_type": "expense",
            "template_id": "SPEC_EXPENSE",
            "title": "报销差旅费",
            "status": DocumentStatus.APPROVED,
            "disposition": Disposition.PENDING,
            "business_date": DAY,
            "functional_currency": "CNY",
            "currency": "CNY",
            "gross_minor": gross,
            "transaction_gross_minor": gross,
            "written_off_minor": 0,
            "company_paid_minor": 0,
            "payable_minor": gross,
            "legal_entity_id": "LE1",
            "legal_entity_code": "E01",
            "legal_entity_name": "示例科技",
            "department_id": "D1",
            "submitter_id": "S1",
            "submitted_at": SUBMITTED,
            "approved_at": APPROVED,
            "payment_channel": "",
            "attachments": 0,
            "line_count": 1 if lines is None else len(lines),
            "voucher_no": "",
            "links": "[]",
            "properties": "{}",
        }
        key = self._insert(tables.source_document, **(row | overrides))
        for number_of_line, line in enumerate([{"amount_minor": gross}] if lines is None else lines, 1):
            self.line(key, **({"line_no": number_of_line} | line))
        return key

    def line(self, document: int, **overrides: Any) -> None:
        number = overrides.get("line_no", 1)
        amount = overrides.get("amount_minor", 10_000)
        row: dict[str, Any] = {
            "document_pk": document,
            "line_no": number,
            "portion_no": 1,
            "line_id": f"line-{document}-{number}",
            "fee_type_id": "F1",
            "fee_type_name": "差旅费",
            "department_id": "D1",
            "currency": "CNY",
            "amount_minor": amount,
            "functional_minor": amount,
            "rate": "1",
            "tax_minor": 0,
            "occurred_on": DAY,
            "description": "",
        }
        self._insert(tables.source_line, **(row | overrides))

    def invoice(self, document: int, invoice_id: str, **overrides: Any) -> None:
        row: dict[str, Any] = {
            "document_pk": document,
            "seq": self.next_number(),
            "line_no": 1,
            "invoice_id": invoice_id,
            "kind": "FullDigitalNormal",
            "claimed_minor": 10_000,
            "tax_minor": 0,
            "total_minor": 10_000,
        }
        self._insert(tables.source_invoice, **(row | overrides))

    def write_off(self, document: int, loan_document_id: str, amount: int | None, seq: int = 1) -> None:
        self._insert(
            tables.source_write_off,
            document_pk=document,
            seq=seq,
            loan_document_id=loan_document_id,
            amount_minor=amount,
        )

    def problem(self, document: int, **overrides: Any) -> None:
        """An open problem of the extract, on the whole document unless `line_no` says otherwise."""
        row: dict[str, Any] = {
            "document_pk": document,
            "book": self.book,
            "stage": "extract",
            "code": "amount.not_a_number",
            "cause": "amount.not_a_number",
            "where": "form.expenseMoney",
            "zh": "金额无法读取",
            "en": "the amount cannot be read",
            "owner": "oa_user",
            "found_at": APPROVED,
        }
        self._insert(tables.problem, **(row | overrides))

    def voucher(
        self, document: int, *, lines: Sequence[dict[str, Any]] | None = None, **overrides: Any
    ) -> int:
        """A sound generated voucher over 100.00 CNY: debit 6602.10, credit 2241.03; returns its key."""
        document_id = overrides.get("document_id", f"doc-{self.next_number():05d}")
        event = overrides.get("event", "expense_claim")
        row: dict[str, Any] = {
            "key": f"VF/{self.book}/{self.source}/{document_id}/{event}/1",
            "book": self.book,
            "source": self.source,
            "document_id": document_id,
            "document_pk": document,
            "event": event,
            "revision": 1,
            "word": "记",
            "date": DAY,
            "period": "2026-03",
            "currency": "CNY",
            "debit_minor": 10_000,
            "credit_minor": 10_000,
            "attachments": 0,
            "rule_digest": "r",
            "status": VoucherStatus.GENERATED,
            "generated_at": APPROVED,
        }
        key = self._insert(tables.voucher, **(row | overrides))
        usual: Sequence[dict[str, Any]] = [
            {"account": "6602.10", "dimensions": [["department", "D01", "研发部"]]},
            {
                "side": Side.CREDIT,
                "account": "2241.03",
                "dimensions": [["employee", "0001", "员工"]],
            },
        ]
        for number, line in enumerate(usual if lines is None else lines, 1):
            self.journal_line(key, **({"line_no": number} | line))
        return key

    def journal_line(self, voucher: int, **overrides: Any) -> None:
        row: dict[str, Any] = {
            "voucher_id": voucher,
            "line_no": 1,
            "side": Side.DEBIT,
            "account": "6602.10",
            "amount_minor": 10_000,
            "summary": "报销差旅费",
            "template": "rules/acme/expense.yaml",
            "template_line": 3,
            "entry": "expense",
        } | overrides
        row["dimensions"] = json.dumps(row.get("dimensions", []), ensure_ascii=False, separators=(",", ":"))
        self._insert(tables.journal_line, **row)

    def _insert(self, table: Table, **row: Any) -> int:
        key = self.connection.execute(insert(table).values(**row)).inserted_primary_key
        return int(key[0]) if key and isinstance(key[0], int) else 0
