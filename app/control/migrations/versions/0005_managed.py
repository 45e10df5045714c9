"""Which resources are managed, which wait for an approval, and the brakes."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_EXACT: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
_IDS: dict[str, Any] = {**_EXACT, "mysql_collate": "utf8mb4_nopad_bin"}


def upgrade() -> None:
    op.create_table(
        "managed",
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("resource_id", sa.String(255), nullable=False),
        sa.Column("integration_id", sa.String(36), nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("kind", "resource_id", name="pk_managed"),
        **_IDS,
    )
    op.create_table(
        "candidates",
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("resource_id", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("integration_id", sa.String(36), nullable=False),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("approved_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("kind", "resource_id", name="pk_candidates"),
        **_IDS,
    )
    op.create_table(
        "spent",
        sa.Column("integration_id", sa.String(36), nullable=False),
        sa.Column("effect", sa.String(32), nullable=False),
        sa.Column("minute", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("integration_id", "effect", "minute", name="pk_spent"),
        **_EXACT,
    )
    op.create_table(
        "brakes",
        sa.Column("integration_id", sa.String(36), nullable=False),
        sa.Column("effect", sa.String(32), nullable=False),
        sa.Column("applied_at", sa.BigInteger, nullable=False),
        sa.Column("limit_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("integration_id", "effect", name="pk_brakes"),
        **_EXACT,
    )
