"""Retired resources, and the names by which they are found."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, PrimaryKeyConstraint

from backends.sql.columns import (
    ID_LENGTH,
    KEY_LENGTH,
    KIND_LENGTH,
    MYSQL_OPTIONS,
    Moment,
    long_text,
    short_text,
)

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "scim_retired",
        Column("kind", short_text(KIND_LENGTH), nullable=False),
        Column("id", short_text(ID_LENGTH), nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("created", Moment, nullable=False),
        Column("retired_at", Moment, nullable=False),
        Column("content", long_text(), nullable=False),
        PrimaryKeyConstraint("kind", "id"),
        **MYSQL_OPTIONS,
    )
    op.create_index("ix_scim_retired_retired_at", "scim_retired", ["kind", "retired_at", "id"])
    op.create_table(
        "scim_retired_names",
        Column("kind", short_text(KIND_LENGTH), nullable=False),
        Column("id", short_text(ID_LENGTH), nullable=False),
        Column("name", short_text(KEY_LENGTH), nullable=False),
        PrimaryKeyConstraint("kind", "id", "name"),
        ForeignKeyConstraint(
            ["kind", "id"],
            ["scim_retired.kind", "scim_retired.id"],
            name="fk_scim_retired_names",
            ondelete="CASCADE",
        ),
        sqlite_with_rowid=False,
        **MYSQL_OPTIONS,
    )
    op.create_index("ix_scim_retired_names_name", "scim_retired_names", ["kind", "name", "id"])
