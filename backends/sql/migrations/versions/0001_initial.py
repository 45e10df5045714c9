"""Users, groups, the values of users' multi-valued attributes, and membership."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, ForeignKeyConstraint, Integer, PrimaryKeyConstraint

from backends.sql.columns import (
    ATTRIBUTE_LENGTH,
    ID_LENGTH,
    KEY_LENGTH,
    MYSQL_OPTIONS,
    Moment,
    short_text,
    text,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_FOLDED = (
    *("name_formatted", "name_family_name", "name_given_name", "name_middle_name"),
    *("name_honorific_prefix", "name_honorific_suffix", "nick_name", "title", "user_type"),
    *("preferred_language", "locale", "timezone", "cost_center", "organization", "division", "department"),
)
_PARTS = ("display", "type", "formatted", "street_address", "locality", "region", "postal_code", "country")


def upgrade() -> None:
    _users()
    _groups()
    _user_values()
    _members()


def _users() -> None:
    op.create_table(
        "scim_users",
        *_common(),
        *_indexed("user_name", required=True),
        *_indexed("display_name"),
        *_indexed("employee_number"),
        *(column for name in _FOLDED for column in (Column(name, text()), Column(f"{name}_key", text()))),
        Column("profile_url", text()),
        Column("active", Boolean),
        Column("manager_value", short_text(KEY_LENGTH)),
        Column("password_hash", text()),
        PrimaryKeyConstraint("id"),
        **MYSQL_OPTIONS,
    )
    op.create_index("uq_scim_users_user_name", "scim_users", ["user_name_key"], unique=True)
    op.create_index("ix_scim_users_external_id", "scim_users", ["external_id"])
    op.create_index("ix_scim_users_display_name", "scim_users", ["display_name_key"])
    op.create_index("ix_scim_users_employee_number", "scim_users", ["employee_number_key"])
    op.create_index("ix_scim_users_manager_value", "scim_users", ["manager_value"])
    op.create_index("ix_scim_users_created", "scim_users", ["created", "id"])


def _groups() -> None:
    op.create_table(
        "scim_groups",
        *_common(),
        *_indexed("display_name", required=True),
        PrimaryKeyConstraint("id"),
        **MYSQL_OPTIONS,
    )
    op.create_index("uq_scim_groups_display_name", "scim_groups", ["display_name_key"], unique=True)
    op.create_index("ix_scim_groups_external_id", "scim_groups", ["external_id"])
    op.create_index("ix_scim_groups_created", "scim_groups", ["created", "id"])


def _user_values() -> None:
    op.create_table(
        "scim_user_values",
        Column("user_id", short_text(ID_LENGTH), nullable=False),
        Column("attribute", short_text(ATTRIBUTE_LENGTH), nullable=False),
        Column("position", Integer, autoincrement=False, nullable=False),
        *_indexed("value"),
        *(column for name in _PARTS for column in (Column(name, text()), Column(f"{name}_key", text()))),
        Column("is_primary", Boolean),
        PrimaryKeyConstraint("user_id", "attribute", "position"),
        ForeignKeyConstraint(["user_id"], ["scim_users.id"], name="fk_scim_user_values_user", ondelete="CASCADE"),
        sqlite_with_rowid=False,
        **MYSQL_OPTIONS,
    )
    op.create_index("ix_scim_user_values_value", "scim_user_values", ["attribute", "value_key", "user_id"])


def _members() -> None:
    op.create_table(
        "scim_group_members",
        Column("group_id", short_text(ID_LENGTH), nullable=False),
        Column("user_id", short_text(ID_LENGTH), nullable=False),
        PrimaryKeyConstraint("group_id", "user_id"),
        ForeignKeyConstraint(["group_id"], ["scim_groups.id"], name="fk_scim_group_members_group", ondelete="CASCADE"),
        ForeignKeyConstraint(["user_id"], ["scim_users.id"], name="fk_scim_group_members_user", ondelete="CASCADE"),
        sqlite_with_rowid=False,
        **MYSQL_OPTIONS,
    )
    op.create_index("ix_scim_group_members_user_id", "scim_group_members", ["user_id", "group_id"])


def _common() -> tuple[Column[object], ...]:
    return (
        Column("id", short_text(ID_LENGTH), nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("created", Moment, nullable=False),
        Column("modified", Moment, nullable=False),
        Column("external_id", short_text(KEY_LENGTH)),
    )


def _indexed(name: str, *, required: bool = False) -> tuple[Column[object], Column[object]]:
    return (
        Column(name, text(), nullable=not required),
        Column(f"{name}_key", short_text(KEY_LENGTH), nullable=not required),
    )
