"""Run by Alembic for each upgrade, on the connection that `app.control.upgrade` holds."""

from __future__ import annotations

from alembic import context

from app.control.upgrade import options

context.configure(connection=context.config.attributes["connection"], **options())
with context.begin_transaction():
    context.run_migrations()
