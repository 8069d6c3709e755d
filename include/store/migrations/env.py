"""Alembic's entry: runs the migrations on the connection that `include.store.migrate` hands over."""

from __future__ import annotations

from alembic import context

from include.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=context.config.attributes.get("batch", True),
    version_table="store_version",
)
with context.begin_transaction():
    context.run_migrations()
