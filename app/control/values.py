"""Random credential values and their hashes, names and times."""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from datetime import UTC, datetime, timedelta

from app.control.errors import InvalidName
from app.control.models import CredentialKind

# Recognisable, so that a scanner can find a leaked value and tell what it opens.
PREFIXES = {CredentialKind.SECRET: "lfs_", CredentialKind.BEARER: "lfb_"}

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BEARER = re.compile(re.escape(PREFIXES[CredentialKind.BEARER]) + r"[A-Za-z0-9_-]{43}")


def new_value(kind: CredentialKind) -> str:
    """A value of 256 random bits in URL-safe characters behind the prefix of its kind."""
    return PREFIXES[kind] + secrets.token_urlsafe(32)


def is_id(text: str) -> bool:
    """True for text that has the shape of an id of this store; nothing else is worth a query."""
    return _UUID.fullmatch(text) is not None


def is_bearer(text: str) -> bool:
    """True for text that has the shape of a bearer token of this store."""
    return _BEARER.fullmatch(text) is not None


def digest(value: str) -> str:
    """SHA-256 of a credential value, in hexadecimal."""
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


def clean_name(name: str) -> str:
    """The name in NFC and without white space around it. Raises InvalidName."""
    cleaned = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(cleaned) <= 100 or not cleaned.isprintable():
        raise InvalidName
    return cleaned


def name_key(name: str) -> str:
    """What two names that count as equal have in common."""
    return unicodedata.normalize("NFC", clean_name(name).casefold())


def instant(seconds: int) -> datetime:
    """Seconds since 1970 as a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def later(now: int, lifetime: timedelta | None) -> int | None:
    """The second at which something ends that starts now; None lasts for ever."""
    return None if lifetime is None else now + int(lifetime.total_seconds())
