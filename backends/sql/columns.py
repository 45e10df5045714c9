"""Column types that mean the same in SQLite, PostgreSQL and MariaDB: text compares by code point, time is UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, String, Text, TypeDecorator
from sqlalchemy.dialects.mysql import DATETIME, LONGTEXT, MEDIUMTEXT
from sqlalchemy.types import TypeEngine

ID_LENGTH = 64
"""Characters of an id; a longer one was not issued here."""
KEY_LENGTH = 512
"""Characters of an indexed text; MariaDB indexes at most 3072 octets."""
ATTRIBUTE_LENGTH = 191
KIND_LENGTH = 64
"""Characters of the name of a resource type."""

MYSQL_OPTIONS: Mapping[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_nopad_bin",
}
"""Options of every table. PAD SPACE collations would take 'a' and 'a ' for equal."""


def text() -> TypeEngine[str]:
    """Text of any length that is not indexed."""
    return Text().with_variant(Text(collation="C"), "postgresql").with_variant(MEDIUMTEXT(), "mysql", "mariadb")


def long_text() -> TypeEngine[str]:
    """Text that holds several of any length."""
    return Text().with_variant(Text(collation="C"), "postgresql").with_variant(LONGTEXT(), "mysql", "mariadb")


def short_text(length: int) -> TypeEngine[str]:
    """Text of at most `length` characters that can be indexed."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


class Moment(TypeDecorator[datetime]):
    """An instant with microseconds; aware in Python, in UTC in the database."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc if dialect.name == "postgresql" else utc.replace(tzinfo=None)


def moment(raw: Any) -> datetime:
    """The aware instant of what a Moment column gives to a driver or in JSON: a datetime or ISO text, in UTC where it
    names no zone."""
    found: datetime = datetime.fromisoformat(raw) if isinstance(raw, str) else raw
    if found.tzinfo is UTC:
        return found
    if found.tzinfo is None:
        # To read it once more takes a fifth of the time of putting the zone in.
        return datetime.fromisoformat(f"{raw}Z") if isinstance(raw, str) else found.replace(tzinfo=UTC)
    return found.astimezone(UTC)
