"""What a rehearsal would have made of the store of users and groups."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_EXACT: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_nopad_bin"}


def upgrade() -> None:
    turn = op.create_table(
        "rehearsal",
        sa.Column("id", sa.SmallInteger, autoincrement=False, nullable=False),
        sa.Column("serial", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rehearsal"),
        **_EXACT,
    )
    op.bulk_insert(turn, [{"id": 1, "serial": 0}])
    op.create_table(
        "rehearsed",
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("resource_id", sa.String(255), nullable=False),
        sa.Column("place", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("origin", sa.String(8), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("basis", sa.String(255)),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("modified", sa.BigInteger, nullable=False),
        sa.Column("name_hash", sa.String(64)),
        sa.Column("external_hash", sa.String(64)),
        sa.Column("content", sa.Text().with_variant(mysql.LONGTEXT, "mysql", "mariadb"), nullable=False),
        sa.Column("integration_id", sa.String(36), nullable=False),
        sa.Column("actor", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("kind", "resource_id", name="pk_rehearsed"),
        **_EXACT,
    )
    op.create_index("ix_rehearsed_place", "rehearsed", ["kind", "place"])
    op.create_index("ix_rehearsed_name_hash", "rehearsed", ["kind", "name_hash"])
    op.create_index("ix_rehearsed_external_hash", "rehearsed", ["kind", "external_hash"])
    op.create_table(
        "rehearsed_relations",
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("resource_id", sa.String(255), nullable=False),
        sa.Column("relation", sa.String(128), nullable=False),
        sa.Column("far_id", sa.String(255), nullable=False),
        sa.Column("added", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("kind", "resource_id", "relation", "far_id", name="pk_rehearsed_relations"),
        **_EXACT,
    )
    op.create_index("ix_rehearsed_relations_far_id", "rehearsed_relations", ["relation", "far_id"])
    op.create_table(
        "rehearsed_claims",
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("resource_id", sa.String(255), nullable=False),
        sa.Column("integration_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("kind", "resource_id", name="pk_rehearsed_claims"),
        **_EXACT,
    )
