"""Who may sign in, for other programs' login queries."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE VIEW scim_sign_in AS SELECT id, user_name, user_name_key, password_hash FROM scim_users "
        "WHERE active IS NULL OR active"
    )
