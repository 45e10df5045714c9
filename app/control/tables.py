"""The tables of the control store. Times are whole seconds since 1970 in UTC, those of links microseconds, which all
databases compare alike.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Index, MetaData, SmallInteger, String, Table, Text

# Exact comparison of every column on MariaDB, whatever the collation of the database is.
_EXACT: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}

LINK_LENGTH = 512
"""Characters of an externalId; MariaDB indexes at most 3072 octets."""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

integrations = Table(
    "integrations",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(100), nullable=False),
    # The folded name; null once the integration is revoked, which frees the name.
    Column("name_key", String(300), unique=True),
    Column("access", String(16), nullable=False),
    Column("dialect", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    **_EXACT,
)

credentials = Table(
    "credentials",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("integration_id", String(36), ForeignKey("integrations.id"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("hint", String(4), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    **_EXACT,
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", String(64), primary_key=True),
    Column("algorithm", String(16), nullable=False),
    Column("private_pem", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("retired_at", BigInteger),
    Column("expires_at", BigInteger),
    **_EXACT,
)

revoked_tokens = Table(
    "revoked_tokens",
    metadata,
    Column("jti", String(64), primary_key=True),
    Column("expires_at", BigInteger, nullable=False, index=True),
    **_EXACT,
)

# One row. Its lock orders the writers, its value tells readers that a decision may have changed.
generation = Table(
    "generation",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("value", BigInteger, nullable=False),
    **_EXACT,
)

# The externalId of resources whose store has no place for it. A row without one remembers that there was one, so that
# no revision comes back; revision 0 is a row that has only been held so far.
links = Table(
    "links",
    metadata,
    Column("kind", String(64), primary_key=True),
    Column("resource_id", String(255), primary_key=True),
    Column("external_id", String(LINK_LENGTH)),
    Column("revision", BigInteger, nullable=False),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Index("ix_links_external_id", "kind", "external_id"),
    # What clients send may end in blanks, and a PAD SPACE collation takes those for nothing.
    **{**_EXACT, "mysql_collate": "utf8mb4_nopad_bin"},
)
