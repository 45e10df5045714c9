"""The two scopes of the service, and what each access level is worth in them."""

from __future__ import annotations

from app.control import Access

READ = "scim.read"
WRITE = "scim.write"

_ALLOWED = {Access.READ_ONLY: frozenset({READ}), Access.FULL: frozenset({READ, WRITE})}


def allowed(access: Access) -> frozenset[str]:
    """The scopes that an integration with this access level may hold."""
    return _ALLOWED[access]


def parse(text: str) -> frozenset[str]:
    """The scopes in a space-separated list (RFC 6749 section 3.3). Writing implies reading.

    Clients that ask for `scim.write` alone must be able to look for what they write.
    """
    scopes = frozenset(text.split())
    return scopes | {READ} if WRITE in scopes else scopes


def join(scopes: frozenset[str]) -> str:
    """The scopes as a space-separated list in a constant order."""
    return " ".join(sorted(scopes))
