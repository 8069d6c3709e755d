"""All tables. Amounts are BIGINT minor units, times are UTC, enums are their text values.

Three groups: evidence (`source_snapshot`, `posting_attempt`, `audit_event`: append-only), what was read and made
(`source_document` and its parts, `voucher`, `journal_line`), and where work stands (`problem`, `discrepancy`,
`write_back`, `book_lease`, `extract_watermark`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ID = BigInteger().with_variant(Integer, "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, kept as naive UTC, since SQLite knows no zones."""

    impl = DateTime
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone: {value}")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


def _reference(name: str) -> list[Column[str]]:
    """Id, code and name of something in the OA; id NULL where the document does not say."""
    return [
        Column(f"{name}_id", String(128)),
        Column(f"{name}_code", String(128), nullable=False, server_default=""),
        Column(f"{name}_name", Text, nullable=False, server_default=""),
    ]


source_snapshot = Table(
    "source_snapshot",
    metadata,
    Column("id", ID, primary_key=True),
    Column("source", String(64), nullable=False),
    Column("document_id", String(128), nullable=False),
    Column("digest", String(64), nullable=False, comment="SHA-256 of the payload's canonical JSON"),
    Column("payload", LargeBinary, nullable=False, comment="zlib of the canonical JSON"),
    Column("fetched_at", UtcDateTime, nullable=False),
    UniqueConstraint("source", "document_id", "digest"),
    comment="Every payload the source ever sent, once each; never changed",
)

source_document = Table(
    "source_document",
    metadata,
    Column("id", ID, primary_key=True),
    Column("source", String(64), nullable=False),
    Column("document_id", String(128), nullable=False),
    Column("revision", Integer, nullable=False, comment="counts accounting-relevant changes from 1"),
    Column("is_current", Boolean, nullable=False),
    Column("book", String(64), nullable=False),
    Column("role", String(8), nullable=False, server_default="home", comment="home, share or left"),
    Column("content_digest", String(64), nullable=False),
    Column("snapshot_id", ID, ForeignKey("source_snapshot.id"), nullable=False),
    Column("code", String(128), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("form_type", String(64), nullable=False),
    Column("template_id", String(160), nullable=False),
    Column("title", Text, nullable=False),
    Column("status", String(32), nullable=False),
    Column("disposition", String(16), nullable=False),
    Column("disposition_reason", Text, nullable=False, server_default="", comment="why no voucher, zh / en"),
    Column(
        "business_date", Date, comment="the voucher date by the book's policy; NULL where it cannot be told"
    ),
    Column("functional_currency", String(3), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("gross_minor", BigInteger),
    Column("transaction_gross_minor", BigInteger),
    Column("written_off_minor", BigInteger),
    Column("company_paid_minor", BigInteger),
    Column("payable_minor", BigInteger),
    *_reference("legal_entity"),
    *_reference("department"),
    *_reference("submitter"),
    *_reference("supplier"),
    *_reference("project"),
    Column("created_at", UtcDateTime),
    Column("updated_at", UtcDateTime),
    Column("submitted_at", UtcDateTime),
    Column("approved_at", UtcDateTime),
    Column("paid_at", UtcDateTime),
    Column("payment_channel", String(64), nullable=False),
    Column("attachments", Integer, nullable=False),
    Column("line_count", Integer, nullable=False),
    Column("voucher_no", Text, nullable=False, comment="what the OA shows now"),
    Column("links", Text, nullable=False, comment="JSON list of document ids"),
    Column("properties", Text, nullable=False, comment="JSON object of text"),
    UniqueConstraint("source", "document_id", "revision", "book"),
    Index("ix_source_document_work", "book", "is_current", "disposition", "business_date"),
    Index("ix_source_document_code", "source", "code"),
    Index("ix_source_document_created", "source", "form_type", "created_at"),
)

source_line = Table(
    "source_line",
    metadata,
    Column("document_pk", ID, ForeignKey("source_document.id"), primary_key=True),
    Column("line_no", Integer, primary_key=True),
    Column("portion_no", Integer, primary_key=True),
    Column("line_id", String(128), nullable=False),
    *_reference("fee_type"),
    *_reference("department"),
    *_reference("project"),
    *_reference("legal_entity"),
    Column("currency", String(3)),
    Column("amount_minor", BigInteger),
    Column("functional_minor", BigInteger),
    Column("rate", String(40), comment="functional per foreign unit, decimal text"),
    Column("tax_minor", BigInteger, comment="deductible input tax, functional"),
    Column("occurred_on", Date),
    Column("description", Text, nullable=False),
)

source_invoice = Table(
    "source_invoice",
    metadata,
    Column("document_pk", ID, ForeignKey("source_document.id"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("line_no", Integer, nullable=False),
    Column("invoice_id", String(160), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("claimed_minor", BigInteger),
    Column("tax_minor", BigInteger),
    Column("total_minor", BigInteger),
    Column("exempt_minor", BigInteger, comment="the part of the total that bears no VAT"),
    Column("occurred_on", Date, comment="day of issue or travel"),
    Column("is_named", Boolean, comment="the traveller's identity is on it"),
    Column(
        "is_tax_of_claim",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="the tax is the claim's own, not the whole invoice's",
    ),
    Index("ix_source_invoice_invoice_id", "invoice_id"),
)

source_write_off = Table(
    "source_write_off",
    metadata,
    Column("document_pk", ID, ForeignKey("source_document.id"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("loan_document_id", String(128), nullable=False),
    Column("amount_minor", BigInteger),
)

approval_step = Table(
    "approval_step",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("document_id", String(128), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("action", String(64), nullable=False),
    Column("operator_id", String(128), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("node", Text, nullable=False),
    Column("next_operator_id", String(128), nullable=False),
    Column("comment", Text, nullable=False),
)

master_record = Table(
    "master_record",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("id", String(128), primary_key=True),
    Column("code", String(128), nullable=False),
    Column("name", Text, nullable=False),
    Column("parent_id", String(128), nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("extra", Text, nullable=False, comment="JSON object of text"),
)

problem = Table(
    "problem",
    metadata,
    Column("id", ID, primary_key=True),
    Column("document_pk", ID, ForeignKey("source_document.id"), nullable=False),
    Column("book", String(64), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("code", String(80), nullable=False),
    Column("cause", Text, nullable=False),
    Column("where", Text, nullable=False),
    Column("line_no", Integer),
    Column("zh", Text, nullable=False),
    Column("en", Text, nullable=False),
    Column("owner", String(16), nullable=False),
    Column("found_at", UtcDateTime, nullable=False),
    Column("resolved_at", UtcDateTime),
    Index("ix_problem_document", "document_pk", "resolved_at"),
    Index("ix_problem_open", "book", "resolved_at", "code"),
)

extract_watermark = Table(
    "extract_watermark",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("changed_until", UtcDateTime, nullable=False, comment="all changes up to here are stored"),
)

completeness_proof = Table(
    "completeness_proof",
    metadata,
    Column("id", ID, primary_key=True),
    Column("source", String(64), nullable=False),
    Column("form_type", String(64), nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Column("source_count", Integer, nullable=False),
    Column("stored_count", Integer, nullable=False),
    Column("difference", Text, nullable=False, comment="JSON: ids missing here, ids unknown there"),
    Column("proved_at", UtcDateTime, nullable=False),
    Index("ix_completeness_proof_source", "source", "form_type", "id"),
)

rule_set = Table(
    "rule_set",
    metadata,
    Column("id", ID, primary_key=True),
    Column("book", String(64), nullable=False),
    Column("version", Integer, nullable=False, comment="counts from 1; the highest is in force"),
    Column("digest", String(64), nullable=False, comment="SHA-256 of what the rules say"),
    Column("files", LargeBinary, nullable=False, comment="zlib of JSON: path → base64 of the file"),
    Column("actor", String(160), nullable=False),
    Column("in_force_from", UtcDateTime, nullable=False),
    UniqueConstraint("book", "version"),
    comment="Append-only: every rule set that ever was in force, whole",
)

voucher = Table(
    "voucher",
    metadata,
    Column("id", ID, primary_key=True),
    Column("key", String(400), nullable=False, unique=True),
    Column("book", String(64), nullable=False),
    Column("source", String(64), nullable=False),
    Column("document_id", String(128), nullable=False),
    Column("document_pk", ID, ForeignKey("source_document.id"), nullable=False, index=True),
    Column("event", String(64), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("word", String(8), nullable=False),
    Column("date", Date, nullable=False),
    Column("period", String(7), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("debit_minor", BigInteger, nullable=False),
    Column("credit_minor", BigInteger, nullable=False),
    Column("attachments", Integer, nullable=False),
    Column("rule_digest", String(64), nullable=False),
    Column("rule_version", Integer, nullable=False, server_default="0", comment="of rule_set"),
    Column("relation", String(16), nullable=False, server_default="", comment="reversal or replacement"),
    Column("original_id", ID, ForeignKey("voucher.id"), index=True, comment="what it reverses or replaces"),
    Column("content_digest", String(64), comment="set when it is sent; never changed afterwards"),
    Column("status", String(16), nullable=False),
    Column(
        "message",
        Text,
        nullable=False,
        server_default="",
        comment="why rejected, held or in conflict, zh / en",
    ),
    Column("ledger_id", String(64), nullable=False, server_default=""),
    Column("ledger_number", String(64), nullable=False, server_default=""),
    Column("policy_date", Date, comment="its date before it was moved out of a closed period"),
    Column("generated_at", UtcDateTime, nullable=False),
    Column("posted_at", UtcDateTime),
    CheckConstraint("debit_minor = credit_minor", name="balanced"),
    Index("ix_voucher_work", "book", "status", "date"),
    Index("ix_voucher_period", "book", "period"),
    Index("ix_voucher_source_document", "source", "document_id"),
)

journal_line = Table(
    "journal_line",
    metadata,
    Column("voucher_id", ID, ForeignKey("voucher.id"), primary_key=True),
    Column("line_no", Integer, primary_key=True),
    Column("side", String(6), nullable=False),
    Column("account", String(64), nullable=False),
    Column("amount_minor", BigInteger, nullable=False, comment="functional; negative for red"),
    Column("transaction_currency", String(3), nullable=False, server_default=""),
    Column("transaction_minor", BigInteger, nullable=False, server_default="0"),
    Column("dimensions", Text, nullable=False, comment='JSON: [["department","D01","研发部"], …] by kind'),
    Column("summary", Text, nullable=False),
    Column("template", String(160), nullable=False, comment="rule trace from here on"),
    Column("template_line", Integer, nullable=False),
    Column("entry", String(64), nullable=False),
    Column("table_name", String(160), nullable=False, server_default=""),
    Column("table_row", Integer, nullable=False, server_default="0"),
    Column("source_line_no", Integer, nullable=False, server_default="0", comment="0: the whole document"),
    CheckConstraint("amount_minor <> 0", name="not_zero"),
    CheckConstraint("side IN ('debit', 'credit')", name="side"),
)

posting_attempt = Table(
    "posting_attempt",
    metadata,
    Column("id", ID, primary_key=True),
    Column("voucher_id", ID, ForeignKey("voucher.id"), nullable=False, index=True),
    Column("fence", BigInteger, nullable=False, comment="the lease's token under which it was made"),
    Column("step", String(16), nullable=False, comment="intent, outcome, look"),
    Column("outcome", String(16), nullable=False, server_default=""),
    Column("content_digest", String(64), nullable=False),
    Column("ledger_id", String(64), nullable=False, server_default=""),
    Column("message", Text, nullable=False, server_default=""),
    Column("call", String(36), nullable=False, server_default="", comment="of posting_exchange"),
    Column(
        "seen",
        Text,
        nullable=False,
        server_default="",
        comment="JSON: ids of like vouchers that stood in the ledger before this intent",
    ),
    Column("at", UtcDateTime, nullable=False),
    comment="Append-only",
)

posting_exchange = Table(
    "posting_exchange",
    metadata,
    Column("id", ID, primary_key=True),
    Column("call", String(36), nullable=False, index=True, comment="of posting_attempt"),
    Column("seq", Integer, nullable=False),
    Column("request_digest", String(64), nullable=False, comment="SHA-256 of the redacted text"),
    Column("response_digest", String(64), nullable=False, comment="the same; empty where none came"),
    Column("at", UtcDateTime, nullable=False),
    comment="Append-only: every request to a ledger that posted or looked, with its answer",
)

exchange_body = Table(
    "exchange_body",
    metadata,
    Column("exchange_id", ID, ForeignKey("posting_exchange.id"), primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False, comment="zlib of JSON: [request, response], redacted"),
    Column("kept_until", Date, nullable=False, index=True),
)

book_lease = Table(
    "book_lease",
    metadata,
    Column("book", String(64), primary_key=True),
    Column("fence", BigInteger, nullable=False, comment="grows with every holder"),
    Column("holder", String(160), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("is_released", Boolean, nullable=False, server_default=false(), comment="given back, not run out"),
)

reconciliation_run = Table(
    "reconciliation_run",
    metadata,
    Column("id", ID, primary_key=True),
    Column("book", String(64), nullable=False, index=True),
    Column("date_from", Date),
    Column("date_to", Date),
    Column("vouchers", Integer, nullable=False),
    Column("ledger_vouchers", Integer, nullable=False),
    Column("foreign_vouchers", Integer, nullable=False, comment="in the ledger, not ours, left alone"),
    Column("discrepancies", Integer, nullable=False),
    Column("finished_at", UtcDateTime, nullable=False),
)

discrepancy = Table(
    "discrepancy",
    metadata,
    Column("id", ID, primary_key=True),
    Column("book", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("subject", String(400), nullable=False),
    Column("period", String(7), nullable=False),
    Column("ours", Text, nullable=False),
    Column("theirs", Text, nullable=False),
    Column("zh", Text, nullable=False),
    Column("en", Text, nullable=False),
    Column("owner", String(16), nullable=False),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False),
    Column("resolved_at", UtcDateTime),
    Column("assigned_to", String(160), nullable=False, server_default="", comment="who takes it up"),
    Column("assigned_at", UtcDateTime),
    Index("ix_discrepancy_open", "book", "resolved_at", "period"),
)

write_back = Table(
    "write_back",
    metadata,
    Column("id", ID, primary_key=True),
    Column("source", String(64), nullable=False),
    Column("document_id", String(128), nullable=False),
    Column("book", String(64), nullable=False, index=True),
    Column("voucher_no", Text, nullable=False),
    Column("fiscal_period", String(7), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("message", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    UniqueConstraint("source", "document_id"),
    comment="The last thing we told the OA, or tried to, one row a document",
)

audit_event = Table(
    "audit_event",
    metadata,
    Column("id", ID, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String(160), nullable=False),
    Column("book", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(400), nullable=False),
    Column("detail", Text, nullable=False, comment="JSON"),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Index("ix_audit_event_subject", "subject"),
    comment="Append-only, each row sealed by the hash of the one before",
)

APPEND_ONLY = ("source_snapshot", "posting_attempt", "posting_exchange", "audit_event", "rule_set")
"""Tables on which the migration puts triggers that refuse UPDATE and DELETE."""
