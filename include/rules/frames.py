"""What goes into `generate` and what comes out, as Polars schemas. Amounts are integer minor units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

Schema = Mapping[str, "pl.DataType | type[pl.DataType]"]


def _reference(name: str) -> Schema:
    return {f"{name}_id": pl.String, f"{name}_code": pl.String, f"{name}_name": pl.String}


DOCUMENTS: Schema = {
    "id": pl.Int64,
    "code": pl.String,
    "kind": pl.String,
    "form_type": pl.String,
    "template_id": pl.String,
    "title": pl.String,
    "status": pl.String,
    "business_date": pl.Date,
    "functional_currency": pl.String,
    "currency": pl.String,
    "gross_minor": pl.Int64,
    "transaction_gross_minor": pl.Int64,
    "written_off_minor": pl.Int64,
    "company_paid_minor": pl.Int64,
    "payable_minor": pl.Int64,
    **_reference("legal_entity"),
    **_reference("department"),
    **_reference("submitter"),
    **_reference("supplier"),
    **_reference("project"),
    "payment_channel": pl.String,
    "attachments": pl.Int64,
    "properties": pl.String,
}
"""The columns of source_document that rules read; others are ignored."""

LINES: Schema = {
    "document_pk": pl.Int64,
    "line_no": pl.Int64,
    "portion_no": pl.Int64,
    **_reference("fee_type"),
    **_reference("department"),
    **_reference("project"),
    **_reference("legal_entity"),
    "currency": pl.String,
    "amount_minor": pl.Int64,
    "functional_minor": pl.Int64,
    "tax_minor": pl.Int64,
    "occurred_on": pl.Date,
    "description": pl.String,
}
"""Of source_line."""

WRITE_OFFS: Schema = {
    "document_pk": pl.Int64,
    "seq": pl.Int64,
    "loan_document_id": pl.String,
    "amount_minor": pl.Int64,
}
"""Of source_write_off."""

INVOICES: Schema = {
    "document_pk": pl.Int64,
    "seq": pl.Int64,
    "line_no": pl.Int64,
    "invoice_id": pl.String,
    "kind": pl.String,
    "claimed_minor": pl.Int64,
    "tax_minor": pl.Int64,
    "total_minor": pl.Int64,
    "exempt_minor": pl.Int64,
    "occurred_on": pl.Date,
    "is_named": pl.Boolean,
    "is_tax_of_claim": pl.Boolean,
}
"""Of source_invoice."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Documents and their parts, each a frame of its table's columns; further columns and the order of rows do not
    matter. Parts are joined by `document_pk`, which is the document's `id`.
    """

    documents: pl.DataFrame
    lines: pl.DataFrame
    write_offs: pl.DataFrame
    invoices: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=INVOICES))


VOUCHERS: Schema = {
    "document_pk": pl.Int64,
    "event": pl.String,
    "word": pl.String,
    "date": pl.Date,
    "period": pl.String,
    "currency": pl.String,
    "debit_minor": pl.Int64,
    "credit_minor": pl.Int64,
    "attachments": pl.Int64,
}

VOUCHER_LINES: Schema = {
    "document_pk": pl.Int64,
    "event": pl.String,
    "line_no": pl.Int64,
    "side": pl.String,
    "account": pl.String,
    "amount_minor": pl.Int64,
    "transaction_currency": pl.String,
    "transaction_minor": pl.Int64,
    "dimensions": pl.String,
    "summary": pl.String,
    "template": pl.String,
    "template_line": pl.Int64,
    "entry": pl.String,
    "table_name": pl.String,
    "table_row": pl.Int64,
    "source_line_no": pl.Int64,
}

NO_VOUCHER: Schema = {"document_pk": pl.Int64, "reason": pl.String}

PROBLEMS: Schema = {
    "document_pk": pl.Int64,
    "code": pl.String,
    "cause": pl.String,
    "where": pl.String,
    "line_no": pl.Int64,
    "zh": pl.String,
    "en": pl.String,
    "owner": pl.String,
}


@dataclass(frozen=True, slots=True)
class Generated:
    """What became of the documents: each is in exactly one of `vouchers`, `no_voucher`, `problems`.

    `vouchers` and `lines` go together by (document_pk, event); rows are ordered by document, event and line.
    """

    vouchers: pl.DataFrame
    lines: pl.DataFrame
    no_voucher: pl.DataFrame
    problems: pl.DataFrame


def shaped(frame: pl.DataFrame, schema: Schema, name: str) -> pl.DataFrame:
    """The columns of `schema`, in its types (a column without any value may come untyped).

    Raises:
        ValueError: a column is missing: a programmer's mistake.
    """
    missing = [column for column in schema if column not in frame.columns]
    if missing:
        raise ValueError(f"frame {name} lacks the columns {', '.join(missing)}")
    return frame.select(pl.col(column).cast(dtype) for column, dtype in schema.items())


def stacked(frames: list[pl.DataFrame], schema: Schema) -> pl.DataFrame:
    """All frames below each other; an empty frame of the schema where there are none."""
    filled = (frame.select(schema.keys()) for frame in frames if not frame.is_empty())
    return pl.concat([pl.DataFrame(schema=schema), *filled])
