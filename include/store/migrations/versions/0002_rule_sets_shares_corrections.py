"""Rule sets that were in force, documents shared by several books, facts for input VAT, corrections of vouchers."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
REFUSAL = "this table is append-only"


def upgrade() -> None:
    op.create_table(
        "rule_set",
        sa.Column("id", ID, nullable=False),
        sa.Column("book", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, comment="counts from 1; the highest is in force"),
        sa.Column("digest", sa.String(64), nullable=False, comment="SHA-256 of what the rules say"),
        sa.Column(
            "files", sa.LargeBinary(), nullable=False, comment="zlib of JSON: path → base64 of the file"
        ),
        sa.Column("actor", sa.String(160), nullable=False),
        sa.Column("in_force_from", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule_set")),
        sa.UniqueConstraint("book", "version", name=op.f("uq_rule_set_book")),
        comment="Append-only: every rule set that ever was in force, whole",
    )
    _protect("rule_set")
    with op.batch_alter_table("source_document") as batch:
        batch.drop_constraint(op.f("uq_source_document_source"), type_="unique")
        batch.create_unique_constraint(
            op.f("uq_source_document_source"), ["source", "document_id", "revision", "book"]
        )
        batch.add_column(
            sa.Column(
                "role", sa.String(8), server_default="home", nullable=False, comment="home, share or left"
            )
        )
    columns: dict[str, tuple[sa.Column[Any], ...]] = {
        "source_invoice": (
            sa.Column("exempt_minor", sa.BigInteger(), comment="the part of the total that bears no VAT"),
            sa.Column("occurred_on", sa.Date(), comment="day of issue or travel"),
            sa.Column("is_named", sa.Boolean(), comment="the traveller's identity is on it"),
            sa.Column(
                "is_tax_of_claim",
                sa.Boolean(),
                server_default=sa.false(),
                nullable=False,
                comment="the tax is the claim's own, not the whole invoice's",
            ),
        ),
        "source_line": (
            sa.Column("legal_entity_id", sa.String(128)),
            sa.Column("legal_entity_code", sa.String(128), server_default="", nullable=False),
            sa.Column("legal_entity_name", sa.Text(), server_default="", nullable=False),
        ),
    }
    for table, added in columns.items():
        for column in added:
            op.add_column(table, column)
    op.add_column(
        "voucher",
        sa.Column("rule_version", sa.Integer(), server_default="0", nullable=False, comment="of rule_set"),
    )
    op.add_column(
        "voucher",
        sa.Column(
            "relation",
            sa.String(16),
            server_default="",
            nullable=False,
            comment="reversal or replacement",
        ),
    )
    # In one statement: SQLite cannot add a foreign key to a column that is there already.
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    kind = "BIGINT" if is_postgresql else "INTEGER"
    op.execute(
        f"ALTER TABLE voucher ADD COLUMN original_id {kind} "
        "CONSTRAINT fk_voucher_original_id REFERENCES voucher (id)"
    )
    if is_postgresql:
        op.execute("COMMENT ON COLUMN voucher.original_id IS 'what it reverses or replaces'")
    op.create_index(op.f("ix_voucher_original_id"), "voucher", ["original_id"])


def _protect(table: str) -> None:
    """Refuse UPDATE and DELETE, as the first migration does for its tables."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        return
    for action in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        )


def downgrade() -> None:
    with op.batch_alter_table("voucher") as batch:
        batch.drop_index(op.f("ix_voucher_original_id"))
        for name in ("original_id", "relation", "rule_version"):
            batch.drop_column(name)
    for table, names in (
        ("source_line", ("legal_entity_id", "legal_entity_code", "legal_entity_name")),
        ("source_invoice", ("exempt_minor", "occurred_on", "is_named", "is_tax_of_claim")),
    ):
        for name in names:
            op.drop_column(table, name)
    with op.batch_alter_table("source_document") as batch:
        batch.drop_constraint(op.f("uq_source_document_source"), type_="unique")
        batch.create_unique_constraint(
            op.f("uq_source_document_source"), ["source", "document_id", "revision"]
        )
        batch.drop_column("role")
    op.drop_table("rule_set")
