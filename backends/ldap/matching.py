"""What a filter (RFC 4515) means, on attributes in memory: close to what a server finds, by one rule for all text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from app.scim.fold import fold
from backends.ldap import dn
from backends.ldap.drivers.base import Attributes

_ITEM = re.compile(r"([A-Za-z0-9.;_-]*)((?::[A-Za-z0-9.-]+)*)(:=|>=|<=|~=|=)(.*)", re.DOTALL)
_ESCAPE = re.compile(rb"\\([0-9A-Fa-f]{2})")
_BIT_AND, _BIT_OR = "1.2.840.113556.1.4.803", "1.2.840.113556.1.4.804"


def holds(filter: str, attributes: Attributes) -> bool:
    """Whether an entry with these attributes, whose names are in lower case, satisfies the filter."""
    match filter[1:2]:
        case "&":
            return all(holds(item, attributes) for item in dn.items(filter))
        case "|":
            return any(holds(item, attributes) for item in dn.items(filter))
        case "!":
            return not holds(filter[2:-1], attributes)
    found = _ITEM.fullmatch(filter[1:-1])
    if found is None:
        return False
    attribute, rule, operator, value = found.groups()
    return any(_test(operator, rule.strip(":"), value)(held) for held in attributes.get(attribute.lower(), ()))


def same(one: bytes, other: bytes) -> bool:
    """Whether two values are equal: octet by octet, as text without regard to case and blanks, or as DNs."""
    if one == other or _text(one) == _text(other):
        return True
    return b"=" in one and b"=" in other and dn.key(_plain(one)) == dn.key(_plain(other))


def without(values: Sequence[bytes], gone: Sequence[bytes]) -> tuple[bytes, ...]:
    """The values that are equal to none of the others."""
    return tuple(value for value in values if not any(same(value, one) for one in gone))


def _test(operator: str, rule: str, value: str) -> Callable[[bytes], bool]:
    asked = _octets(value)
    if operator == ":=" and rule in (_BIT_AND, _BIT_OR):
        bits = int(asked)
        return lambda held: int(held) & bits == bits if rule == _BIT_AND else bool(int(held) & bits)
    if operator == ":=" and "exact" in rule.lower():
        return lambda held: held == asked
    if operator == ">=":
        return lambda held: _text(held) >= _text(asked)
    if operator == "<=":
        return lambda held: _text(held) <= _text(asked)
    if operator == "=" and "*" in value:
        parts = [re.escape(_text(_octets(part), whole=False)) for part in value.split("*")]
        pattern = re.compile(".*".join(parts), re.DOTALL)
        return lambda held: pattern.fullmatch(_text(held)) is not None
    return lambda held: same(held, asked)


def _octets(value: str) -> bytes:
    return _ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()), value.encode())


def _plain(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")


def _text(octets: bytes, *, whole: bool = True) -> str:
    folded = fold(_plain(octets))
    return " ".join(folded.split()) if whole else folded
