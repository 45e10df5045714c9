"""The tables of the control store. Times are whole seconds since 1970 in UTC, those of links microseconds, which all
databases compare alike.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, MetaData, SmallInteger, String, Table, Text
from sqlalchemy.dialects import mysql

# Exact comparison of every column on MariaDB, whatever the collation of the database is.
_EXACT: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}

LINK_LENGTH = 512
"""Characters of an externalId; MariaDB indexes at most 3072 octets."""

RESOURCE_LENGTH = 255
NAME_LENGTH = 255
"""Characters of an id and of a name in the audit trail, where longer ones are cut."""

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
    # JSON; null for everything.
    Column("remit", Text),
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

# Resources that were created or adopted through SCIM; all others are never changed unasked.
managed = Table(
    "managed",
    metadata,
    Column("kind", String(64), primary_key=True),
    Column("resource_id", String(255), primary_key=True),
    Column("integration_id", String(36), nullable=False),
    Column("since", BigInteger, nullable=False),
    # A PAD SPACE collation takes blanks at the end for nothing.
    **{**_EXACT, "mysql_collate": "utf8mb4_nopad_bin"},
)

# Resources that are not managed and that a client has asked for, until they are.
candidates = Table(
    "candidates",
    metadata,
    Column("kind", String(64), primary_key=True),
    Column("resource_id", String(255), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("integration_id", String(36), nullable=False),
    Column("asked_at", BigInteger, nullable=False),
    Column("approved_at", BigInteger),
    **{**_EXACT, "mysql_collate": "utf8mb4_nopad_bin"},
)

# One row for each write, in a chain: `seq` has no gaps, and `hash` covers all the other columns. What clients send may
# be larger than the TEXT of MariaDB.
audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("record", String(32), nullable=False, unique=True),
    Column("at", BigInteger, nullable=False, index=True),
    Column("integration_id", String(36), nullable=False),
    Column("actor", String(100), nullable=False),
    Column("operation", String(16), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("resource_id", String(RESOURCE_LENGTH)),
    Column("name", String(NAME_LENGTH)),
    # The folded name.
    Column("name_key", String(NAME_LENGTH)),
    Column("outcome", String(64), nullable=False),
    Column("version", String(255)),
    Column("changes", Text().with_variant(mysql.LONGTEXT, "mysql", "mariadb"), nullable=False),
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("ix_audit_resource_id", "kind", "resource_id"),
    Index("ix_audit_name_key", "kind", "name_key"),
    **{**_EXACT, "mysql_collate": "utf8mb4_nopad_bin"},
)

AUDIT_LENGTHS = {
    column.name: column.type.length
    for column in audit.columns
    if isinstance(column.type, String) and column.type.length is not None
}
"""Characters that each text of a record has at most."""

# The two ends of the chain: "head" is the last record, and its lock orders the writers; "anchor" the last one pruned.
audit_marks = Table(
    "audit_marks",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    **{**_EXACT, "mysql_collate": "utf8mb4_nopad_bin"},
)

# What integrations have done of that which brakes limit, by minute.
spent = Table(
    "spent",
    metadata,
    Column("integration_id", String(36), primary_key=True),
    Column("effect", String(32), primary_key=True),
    Column("minute", BigInteger, primary_key=True, autoincrement=False),
    Column("count", BigInteger, nullable=False),
    **_EXACT,
)

# Brakes that are applied, until an operator releases them.
brakes = Table(
    "brakes",
    metadata,
    Column("integration_id", String(36), primary_key=True),
    Column("effect", String(32), primary_key=True),
    Column("applied_at", BigInteger, nullable=False),
    Column("limit_at", BigInteger, nullable=False),
    **_EXACT,
)

# One row: its lock orders those who write to the rehearsal, and its number grows with each change of a resource there.
rehearsal = Table(
    "rehearsal",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("serial", BigInteger, nullable=False),
    **{**_EXACT, "mysql_collate": "utf8mb4_nopad_bin"},
)

# Resources that the rehearsal has changed, each as it then is; `place` orders them by when they came in. The hashes are
# those of the unique name and of the externalId, in comparison form. All values are JSON in `content`.
rehearsed = Table(
    "rehearsed",
    metadata,
    Column("kind", String(64), primary_key=True),
    Column("resource_id", String(255), primary_key=True),
    Column("place", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("origin", String(8), nullable=False),
    Column("state", String(8), nullable=False),
    Column("basis", String(255)),
    Column("created", BigInteger, nullable=False),
    Column("modified", BigInteger, nullable=False),
    Column("name_hash", String(64)),
    Column("external_hash", String(64)),
    Column("content", Text().with_variant(mysql.LONGTEXT, "mysql", "mariadb"), nullable=False),
    Column("integration_id", String(36), nullable=False),
    Column("actor", String(100), nullable=False),
    Index("ix_rehearsed_place", "kind", "place"),
    Index("ix_rehearsed_name_hash", "kind", "name_hash"),
    Index("ix_rehearsed_external_hash", "kind", "external_hash"),
    **{**_EXACT, "mysql_collate": "utf8mb4_nopad_bin"},
)

# What is added to relations of those resources and what is removed; for a slot that refers to another resource, whom.
rehearsed_relations = Table(
    "rehearsed_relations",
    metadata,
    Column("kind", String(64), primary_key=True),
    Column("resource_id", String(255), primary_key=True),
    Column("relation", String(128), primary_key=True),
    Column("far_id", String(255), primary_key=True),
    Column("added", Boolean, nullable=False),
    Index("ix_rehearsed_relations_far_id", "relation", "far_id"),
    **{**_EXACT, "mysql_collate": "utf8mb4_nopad_bin"},
)

# Resources of the store that would be managed.
rehearsed_claims = Table(
    "rehearsed_claims",
    metadata,
    Column("kind", String(64), primary_key=True),
    Column("resource_id", String(255), primary_key=True),
    Column("integration_id", String(36), nullable=False),
    **{**_EXACT, "mysql_collate": "utf8mb4_nopad_bin"},
)
