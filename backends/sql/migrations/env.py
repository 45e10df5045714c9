"""Run by Alembic for each upgrade, on the connection that `backends.sql.upgrade` holds."""

from __future__ import annotations

from alembic import context

attributes = context.config.attributes
context.configure(connection=attributes["connection"], version_table=attributes["version_table"])
with context.begin_transaction():
    context.run_migrations()
