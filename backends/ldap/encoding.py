"""A value as an attribute holds it: as it is where the attribute can hold that and lets it be found, else another text
that stands for it, or nothing."""

from __future__ import annotations

from functools import lru_cache

from app.scim.attributes import Attribute, Type, Uniqueness
from app.scim.query import Value
from backends.ldap import dn, text
from backends.ldap.subschema import Subschema
from config.directory import Single

_ENCODED = 8192
_LONGEST_RDN = 240
_SHORT = 48
"""Octets and characters. OpenLDAP keeps an RDN twice in a key of 511 octets; a character is four of them at most."""

Native = dict[str, tuple[bytes, ...]]
"""Values by attribute name in lower case: what Landfall writes to an entry, apart from the record."""


class Encoding:
    """Encodes values of one resource type, whose entries `rdn` names: an attribute in lower case."""

    def __init__(self, subschema: Subschema, rdn: str) -> None:
        self._subschema = subschema
        self._rdn = rdn
        # Of the values of an entry a change alters few, and needs what all of them are before and after.
        self._encoded = lru_cache(maxsize=_ENCODED)(self._encode)

    def octets(self, attribute: Attribute, value: Value, single: Single, name: str) -> bytes | None:
        """What the attribute `name`, in lower case, must hold for the value of a slot; None for a value that it can't
        hold, unless that must be unique: then it is a text that tells this one from others."""
        if attribute.type is Type.BOOLEAN:
            return b"TRUE" if value else b"FALSE"
        if not isinstance(value, str):
            return str(value).encode()
        encode = self._encoded if len(value) < text.LONGEST else self._encode
        return encode(value, name, attribute.uniqueness is not Uniqueness.NONE, single.max, single.forbid)

    def room(self, name: str, value: str, longest: int | None) -> int | None:
        """The most characters of a value of that attribute, which may be what names the entry; None for no limit."""
        if name == self._rdn and len(dn.escape_value(value).encode()) > _LONGEST_RDN:
            return min(longest or _SHORT, _SHORT)
        return longest

    def _encode(self, value: str, name: str, unique: bool, longest: int | None, forbidden: str) -> bytes | None:
        rule = self._subschema.rule(name)
        syntax = rule.syntax if rule else None
        room = self.room(name, value, longest)
        if text.storable(value) and text.fits(syntax, value, room) and set(forbidden).isdisjoint(value):
            return value.encode()
        if not unique:
            return None
        other = text.distinct(value, room, forbidden)
        return (other if text.fits(syntax, other, room) else text.code_of(value, room)).encode()


def decoded(attribute: Attribute, octets: bytes) -> Value | None:
    """The value of a slot that an attribute's value says; None where it says none."""
    try:
        value = octets.decode()
    except UnicodeDecodeError:
        return None
    if attribute.type is Type.BOOLEAN:
        return value.upper() == "TRUE"
    if attribute.type is Type.INTEGER:
        return int(value) if value.lstrip("-").isdigit() else None
    return value or None
