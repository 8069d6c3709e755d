"""What was exchanged with ledgers, what stood there before a first send, and dates moved out of closed periods."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
REFUSAL = "this table is append-only"


def upgrade() -> None:
    op.create_table(
        "posting_exchange",
        sa.Column("id", ID, nullable=False),
        sa.Column("call", sa.String(36), nullable=False, comment="of posting_attempt"),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("request_digest", sa.String(64), nullable=False, comment="SHA-256 of the redacted text"),
        sa.Column(
            "response_digest", sa.String(64), nullable=False, comment="the same; empty where none came"
        ),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_posting_exchange")),
        comment="Append-only: every request to a ledger that posted or looked, with its answer",
    )
    op.create_index(op.f("ix_posting_exchange_call"), "posting_exchange", ["call"])
    op.create_table(
        "exchange_body",
        sa.Column("exchange_id", ID, nullable=False),
        sa.Column(
            "body", sa.LargeBinary(), nullable=False, comment="zlib of JSON: [request, response], redacted"
        ),
        sa.Column("kept_until", sa.Date(), nullable=False),
        sa.ForeignKeyConstraint(
            ["exchange_id"],
            ["posting_exchange.id"],
            name=op.f("fk_exchange_body_exchange_id"),
        ),
        sa.PrimaryKeyConstraint("exchange_id", name=op.f("pk_exchange_body")),
    )
    op.create_index(op.f("ix_exchange_body_kept_until"), "exchange_body", ["kept_until"])
    _protect("posting_exchange")
    op.add_column(
        "posting_attempt",
        sa.Column("call", sa.String(36), server_default="", nullable=False, comment="of posting_exchange"),
    )
    op.add_column(
        "posting_attempt",
        sa.Column(
            "seen",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="JSON: ids of like vouchers that stood in the ledger before this intent",
        ),
    )
    op.add_column(
        "book_lease",
        sa.Column(
            "is_released",
            sa.Boolean(),
            server_default=sa.false(),
            nullable=False,
            comment="given back, not run out",
        ),
    )
    op.add_column(
        "voucher",
        sa.Column("policy_date", sa.Date(), comment="its date before it was moved out of a closed period"),
    )
    op.add_column(
        "discrepancy",
        sa.Column(
            "assigned_to", sa.String(160), server_default="", nullable=False, comment="who takes it up"
        ),
    )
    op.add_column("discrepancy", sa.Column("assigned_at", sa.DateTime()))


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
    for name in ("assigned_at", "assigned_to"):
        op.drop_column("discrepancy", name)
    op.drop_column("voucher", "policy_date")
    op.drop_column("book_lease", "is_released")
    for name in ("seen", "call"):
        op.drop_column("posting_attempt", name)
    op.drop_table("exchange_body")
    op.drop_table("posting_exchange")
