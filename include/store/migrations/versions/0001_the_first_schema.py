"""The first schema, with triggers that keep the append-only tables so."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

APPEND_ONLY = ("source_snapshot", "posting_attempt", "audit_event")
REFUSAL = "this table is append-only"


def upgrade() -> None:
    op.create_table(
        "approval_step",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("document_id", sa.String(length=128), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("operator_id", sa.String(length=128), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("next_operator_id", sa.String(length=128), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source", "document_id", "seq", name=op.f("pk_approval_step")),
    )
    op.create_table(
        "audit_event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.String(length=160), nullable=False),
        sa.Column("book", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=400), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False, comment="JSON"),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_event")),
        sa.UniqueConstraint("hash", name=op.f("uq_audit_event_hash")),
        comment="Append-only, each row sealed by the hash of the one before",
    )
    op.create_index("ix_audit_event_subject", "audit_event", ["subject"], unique=False)
    op.create_table(
        "book_lease",
        sa.Column("book", sa.String(length=64), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False, comment="grows with every holder"),
        sa.Column("holder", sa.String(length=160), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("book", name=op.f("pk_book_lease")),
    )
    op.create_table(
        "completeness_proof",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("form_type", sa.String(length=64), nullable=False),
        sa.Column("until", sa.DateTime(), nullable=False),
        sa.Column("source_count", sa.Integer(), nullable=False),
        sa.Column("stored_count", sa.Integer(), nullable=False),
        sa.Column(
            "difference", sa.Text(), nullable=False, comment="JSON: ids missing here, ids unknown there"
        ),
        sa.Column("proved_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_completeness_proof")),
    )
    op.create_index(
        "ix_completeness_proof_source", "completeness_proof", ["source", "form_type", "id"], unique=False
    )
    op.create_table(
        "discrepancy",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("book", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=400), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("ours", sa.Text(), nullable=False),
        sa.Column("theirs", sa.Text(), nullable=False),
        sa.Column("zh", sa.Text(), nullable=False),
        sa.Column("en", sa.Text(), nullable=False),
        sa.Column("owner", sa.String(length=16), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(), nullable=False),
        sa.Column("resolved_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discrepancy")),
    )
    op.create_index("ix_discrepancy_open", "discrepancy", ["book", "resolved_at", "period"], unique=False)
    op.create_table(
        "extract_watermark",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column(
            "changed_until", sa.DateTime(), nullable=False, comment="all changes up to here are stored"
        ),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_extract_watermark")),
    )
    op.create_table(
        "master_record",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("code", sa.String(length=128), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.String(length=128), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("extra", sa.Text(), nullable=False, comment="JSON object of text"),
        sa.PrimaryKeyConstraint("source", "kind", "id", name=op.f("pk_master_record")),
    )
    op.create_table(
        "reconciliation_run",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("book", sa.String(length=64), nullable=False),
        sa.Column("date_from", sa.Date(), nullable=True),
        sa.Column("date_to", sa.Date(), nullable=True),
        sa.Column("vouchers", sa.Integer(), nullable=False),
        sa.Column("ledger_vouchers", sa.Integer(), nullable=False),
        sa.Column(
            "foreign_vouchers", sa.Integer(), nullable=False, comment="in the ledger, not ours, left alone"
        ),
        sa.Column("discrepancies", sa.Integer(), nullable=False),
        sa.Column("finished_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliation_run")),
    )
    op.create_index(op.f("ix_reconciliation_run_book"), "reconciliation_run", ["book"], unique=False)
    op.create_table(
        "source_snapshot",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("document_id", sa.String(length=128), nullable=False),
        sa.Column(
            "digest", sa.String(length=64), nullable=False, comment="SHA-256 of the payload's canonical JSON"
        ),
        sa.Column("payload", sa.LargeBinary(), nullable=False, comment="zlib of the canonical JSON"),
        sa.Column("fetched_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_source_snapshot")),
        sa.UniqueConstraint("source", "document_id", "digest", name=op.f("uq_source_snapshot_source")),
        comment="Every payload the source ever sent, once each; never changed",
    )
    op.create_table(
        "write_back",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("document_id", sa.String(length=128), nullable=False),
        sa.Column("book", sa.String(length=64), nullable=False),
        sa.Column("voucher_no", sa.Text(), nullable=False),
        sa.Column("fiscal_period", sa.String(length=7), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_write_back")),
        sa.UniqueConstraint("source", "document_id", name=op.f("uq_write_back_source")),
        comment="The last thing we told the OA, or tried to, one row a document",
    )
    op.create_index(op.f("ix_write_back_book"), "write_back", ["book"], unique=False)
    op.create_table(
        "source_document",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("document_id", sa.String(length=128), nullable=False),
        sa.Column(
            "revision", sa.Integer(), nullable=False, comment="counts accounting-relevant changes from 1"
        ),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.Column("book", sa.String(length=64), nullable=False),
        sa.Column("content_digest", sa.String(length=64), nullable=False),
        sa.Column("snapshot_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("code", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("form_type", sa.String(length=64), nullable=False),
        sa.Column("template_id", sa.String(length=160), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("disposition", sa.String(length=16), nullable=False),
        sa.Column(
            "disposition_reason",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="why no voucher, zh / en",
        ),
        sa.Column(
            "business_date",
            sa.Date(),
            nullable=True,
            comment="the voucher date by the book's policy; NULL where it cannot be told",
        ),
        sa.Column("functional_currency", sa.String(length=3), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("gross_minor", sa.BigInteger(), nullable=True),
        sa.Column("transaction_gross_minor", sa.BigInteger(), nullable=True),
        sa.Column("written_off_minor", sa.BigInteger(), nullable=True),
        sa.Column("company_paid_minor", sa.BigInteger(), nullable=True),
        sa.Column("payable_minor", sa.BigInteger(), nullable=True),
        sa.Column("legal_entity_id", sa.String(length=128), nullable=True),
        sa.Column("legal_entity_code", sa.String(length=128), server_default="", nullable=False),
        sa.Column("legal_entity_name", sa.Text(), server_default="", nullable=False),
        sa.Column("department_id", sa.String(length=128), nullable=True),
        sa.Column("department_code", sa.String(length=128), server_default="", nullable=False),
        sa.Column("department_name", sa.Text(), server_default="", nullable=False),
        sa.Column("submitter_id", sa.String(length=128), nullable=True),
        sa.Column("submitter_code", sa.String(length=128), server_default="", nullable=False),
        sa.Column("submitter_name", sa.Text(), server_default="", nullable=False),
        sa.Column("supplier_id", sa.String(length=128), nullable=True),
        sa.Column("supplier_code", sa.String(length=128), server_default="", nullable=False),
        sa.Column("supplier_name", sa.Text(), server_default="", nullable=False),
        sa.Column("project_id", sa.String(length=128), nullable=True),
        sa.Column("project_code", sa.String(length=128), server_default="", nullable=False),
        sa.Column("project_name", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=True),
        sa.Column("updated_at", sa.DateTime(), nullable=True),
        sa.Column("submitted_at", sa.DateTime(), nullable=True),
        sa.Column("approved_at", sa.DateTime(), nullable=True),
        sa.Column("paid_at", sa.DateTime(), nullable=True),
        sa.Column("payment_channel", sa.String(length=64), nullable=False),
        sa.Column("attachments", sa.Integer(), nullable=False),
        sa.Column("line_count", sa.Integer(), nullable=False),
        sa.Column("voucher_no", sa.Text(), nullable=False, comment="what the OA shows now"),
        sa.Column("links", sa.Text(), nullable=False, comment="JSON list of document ids"),
        sa.Column("properties", sa.Text(), nullable=False, comment="JSON object of text"),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["source_snapshot.id"], name=op.f("fk_source_document_snapshot_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_source_document")),
        sa.UniqueConstraint("source", "document_id", "revision", name=op.f("uq_source_document_source")),
    )
    op.create_index("ix_source_document_code", "source_document", ["source", "code"], unique=False)
    op.create_index(
        "ix_source_document_created", "source_document", ["source", "form_type", "created_at"], unique=False
    )
    op.create_index(
        "ix_source_document_work",
        "source_document",
        ["book", "is_current", "disposition", "business_date"],
        unique=False,
    )
    op.create_table(
        "problem",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("document_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("book", sa.String(length=64), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=80), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("where", sa.Text(), nullable=False),
        sa.Column("line_no", sa.Integer(), nullable=True),
        sa.Column("zh", sa.Text(), nullable=False),
        sa.Column("en", sa.Text(), nullable=False),
        sa.Column("owner", sa.String(length=16), nullable=False),
        sa.Column("found_at", sa.DateTime(), nullable=False),
        sa.Column("resolved_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["document_pk"], ["source_document.id"], name=op.f("fk_problem_document_pk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_problem")),
    )
    op.create_index("ix_problem_document", "problem", ["document_pk", "resolved_at"], unique=False)
    op.create_index("ix_problem_open", "problem", ["book", "resolved_at", "code"], unique=False)
    op.create_table(
        "source_invoice",
        sa.Column("document_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("line_no", sa.Integer(), nullable=False),
        sa.Column("invoice_id", sa.String(length=160), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("claimed_minor", sa.BigInteger(), nullable=True),
        sa.Column("tax_minor", sa.BigInteger(), nullable=True),
        sa.Column("total_minor", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["document_pk"], ["source_document.id"], name=op.f("fk_source_invoice_document_pk")
        ),
        sa.PrimaryKeyConstraint("document_pk", "seq", name=op.f("pk_source_invoice")),
    )
    op.create_index("ix_source_invoice_invoice_id", "source_invoice", ["invoice_id"], unique=False)
    op.create_table(
        "source_line",
        sa.Column("document_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("line_no", sa.Integer(), nullable=False),
        sa.Column("portion_no", sa.Integer(), nullable=False),
        sa.Column("line_id", sa.String(length=128), nullable=False),
        sa.Column("fee_type_id", sa.String(length=128), nullable=True),
        sa.Column("fee_type_code", sa.String(length=128), server_default="", nullable=False),
        sa.Column("fee_type_name", sa.Text(), server_default="", nullable=False),
        sa.Column("department_id", sa.String(length=128), nullable=True),
        sa.Column("department_code", sa.String(length=128), server_default="", nullable=False),
        sa.Column("department_name", sa.Text(), server_default="", nullable=False),
        sa.Column("project_id", sa.String(length=128), nullable=True),
        sa.Column("project_code", sa.String(length=128), server_default="", nullable=False),
        sa.Column("project_name", sa.Text(), server_default="", nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("functional_minor", sa.BigInteger(), nullable=True),
        sa.Column(
            "rate", sa.String(length=40), nullable=True, comment="functional per foreign unit, decimal text"
        ),
        sa.Column("tax_minor", sa.BigInteger(), nullable=True, comment="deductible input tax, functional"),
        sa.Column("occurred_on", sa.Date(), nullable=True),
        sa.Column("description", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_pk"], ["source_document.id"], name=op.f("fk_source_line_document_pk")
        ),
        sa.PrimaryKeyConstraint("document_pk", "line_no", "portion_no", name=op.f("pk_source_line")),
    )
    op.create_table(
        "source_write_off",
        sa.Column("document_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("loan_document_id", sa.String(length=128), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["document_pk"], ["source_document.id"], name=op.f("fk_source_write_off_document_pk")
        ),
        sa.PrimaryKeyConstraint("document_pk", "seq", name=op.f("pk_source_write_off")),
    )
    op.create_table(
        "voucher",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.String(length=400), nullable=False),
        sa.Column("book", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("document_id", sa.String(length=128), nullable=False),
        sa.Column("document_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("word", sa.String(length=8), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("debit_minor", sa.BigInteger(), nullable=False),
        sa.Column("credit_minor", sa.BigInteger(), nullable=False),
        sa.Column("attachments", sa.Integer(), nullable=False),
        sa.Column("rule_digest", sa.String(length=64), nullable=False),
        sa.Column(
            "content_digest",
            sa.String(length=64),
            nullable=True,
            comment="set when it is sent; never changed afterwards",
        ),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column(
            "message",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="why rejected, held or in conflict, zh / en",
        ),
        sa.Column("ledger_id", sa.String(length=64), server_default="", nullable=False),
        sa.Column("ledger_number", sa.String(length=64), server_default="", nullable=False),
        sa.Column("generated_at", sa.DateTime(), nullable=False),
        sa.Column("posted_at", sa.DateTime(), nullable=True),
        sa.CheckConstraint("debit_minor = credit_minor", name=op.f("ck_voucher_balanced")),
        sa.ForeignKeyConstraint(["document_pk"], ["source_document.id"], name=op.f("fk_voucher_document_pk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_voucher")),
        sa.UniqueConstraint("key", name=op.f("uq_voucher_key")),
    )
    op.create_index(op.f("ix_voucher_document_pk"), "voucher", ["document_pk"], unique=False)
    op.create_index("ix_voucher_period", "voucher", ["book", "period"], unique=False)
    op.create_index("ix_voucher_source_document", "voucher", ["source", "document_id"], unique=False)
    op.create_index("ix_voucher_work", "voucher", ["book", "status", "date"], unique=False)
    op.create_table(
        "journal_line",
        sa.Column("voucher_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("line_no", sa.Integer(), nullable=False),
        sa.Column("side", sa.String(length=6), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False, comment="functional; negative for red"),
        sa.Column("transaction_currency", sa.String(length=3), server_default="", nullable=False),
        sa.Column("transaction_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "dimensions",
            sa.Text(),
            nullable=False,
            comment='JSON: [["department","D01","研发部"], …] by kind',
        ),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("template", sa.String(length=160), nullable=False, comment="rule trace from here on"),
        sa.Column("template_line", sa.Integer(), nullable=False),
        sa.Column("entry", sa.String(length=64), nullable=False),
        sa.Column("table_name", sa.String(length=160), server_default="", nullable=False),
        sa.Column("table_row", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "source_line_no",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="0: the whole document",
        ),
        sa.CheckConstraint("side IN ('debit', 'credit')", name=op.f("ck_journal_line_side")),
        sa.CheckConstraint("amount_minor <> 0", name=op.f("ck_journal_line_not_zero")),
        sa.ForeignKeyConstraint(["voucher_id"], ["voucher.id"], name=op.f("fk_journal_line_voucher_id")),
        sa.PrimaryKeyConstraint("voucher_id", "line_no", name=op.f("pk_journal_line")),
    )
    op.create_table(
        "posting_attempt",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("voucher_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "fence", sa.BigInteger(), nullable=False, comment="the lease's token under which it was made"
        ),
        sa.Column("step", sa.String(length=16), nullable=False, comment="intent, outcome, look"),
        sa.Column("outcome", sa.String(length=16), server_default="", nullable=False),
        sa.Column("content_digest", sa.String(length=64), nullable=False),
        sa.Column("ledger_id", sa.String(length=64), server_default="", nullable=False),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["voucher_id"], ["voucher.id"], name=op.f("fk_posting_attempt_voucher_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_posting_attempt")),
        comment="Append-only",
    )
    op.create_index(op.f("ix_posting_attempt_voucher_id"), "posting_attempt", ["voucher_id"], unique=False)
    if op.get_bind().dialect.name == "postgresql":
        _protect_postgresql()
    else:
        _protect_sqlite()


def _protect_sqlite() -> None:
    for table in APPEND_ONLY:
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
            )


def _protect_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '%: {REFUSAL}', TG_TABLE_NAME; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    op.drop_index(op.f("ix_posting_attempt_voucher_id"), table_name="posting_attempt")
    op.drop_table("posting_attempt")
    op.drop_table("journal_line")
    op.drop_index("ix_voucher_work", table_name="voucher")
    op.drop_index("ix_voucher_source_document", table_name="voucher")
    op.drop_index("ix_voucher_period", table_name="voucher")
    op.drop_index(op.f("ix_voucher_document_pk"), table_name="voucher")
    op.drop_table("voucher")
    op.drop_table("source_write_off")
    op.drop_table("source_line")
    op.drop_index("ix_source_invoice_invoice_id", table_name="source_invoice")
    op.drop_table("source_invoice")
    op.drop_index("ix_problem_open", table_name="problem")
    op.drop_index("ix_problem_document", table_name="problem")
    op.drop_table("problem")
    op.drop_index("ix_source_document_work", table_name="source_document")
    op.drop_index("ix_source_document_created", table_name="source_document")
    op.drop_index("ix_source_document_code", table_name="source_document")
    op.drop_table("source_document")
    op.drop_index(op.f("ix_write_back_book"), table_name="write_back")
    op.drop_table("write_back")
    op.drop_table("source_snapshot")
    op.drop_index(op.f("ix_reconciliation_run_book"), table_name="reconciliation_run")
    op.drop_table("reconciliation_run")
    op.drop_table("master_record")
    op.drop_table("extract_watermark")
    op.drop_index("ix_discrepancy_open", table_name="discrepancy")
    op.drop_table("discrepancy")
    op.drop_index("ix_completeness_proof_source", table_name="completeness_proof")
    op.drop_table("completeness_proof")
    op.drop_table("book_lease")
    op.drop_index("ix_audit_event_subject", table_name="audit_event")
    op.drop_table("audit_event")
    op.drop_table("approval_step")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change()")
