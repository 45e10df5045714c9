"""The audit trail and the two ends of its chain."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_EXACT: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_nopad_bin",
}


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("record", sa.String(32), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("integration_id", sa.String(36), nullable=False),
        sa.Column("actor", sa.String(100), nullable=False),
        sa.Column("operation", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("resource_id", sa.String(255)),
        sa.Column("name", sa.String(255)),
        sa.Column("name_key", sa.String(255)),
        sa.Column("outcome", sa.String(64), nullable=False),
        sa.Column("version", sa.String(255)),
        sa.Column("changes", sa.Text().with_variant(mysql.LONGTEXT, "mysql", "mariadb"), nullable=False),
        sa.Column("prev_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
        sa.UniqueConstraint("record", name="uq_audit_record"),
        **_EXACT,
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_resource_id", "audit", ["kind", "resource_id"])
    op.create_index("ix_audit_name_key", "audit", ["kind", "name_key"])
    marks = op.create_table(
        "audit_marks",
        sa.Column("name", sa.String(16), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_audit_marks"),
        **_EXACT,
    )
    op.bulk_insert(marks, [{"name": name, "seq": 0, "hash": "0" * 64} for name in ("head", "anchor")])
