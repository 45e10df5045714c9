"""What single attributes demand beyond their data type (RFC 7643 section 4.1.1). Leniency towards free text in
country, timezone and phone numbers is deliberate: the main client sends what its directory holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.scim import precis


def fault(path: str, value: str) -> str | None:
    """What is wrong with a string value of the attribute, as the end of a sentence, or None."""
    rule = _RULES.get(path)
    return rule(value) if rule else None


def _locale(value: str) -> str | None:
    return "must be a language tag without white space" if any(c.isspace() for c in value) else None


_RULES: Mapping[str, Callable[[str], str | None]] = {
    "userName": precis.user_name_fault,
    "password": precis.password_fault,
    "locale": _locale,
}
