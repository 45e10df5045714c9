"""Controls of searches and writes, and what servers answer to them, for every client library alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backends.ldap.drivers import ber
from backends.ldap.drivers.base import Entry, Found, LdapError, Only, Search, SortKey
from backends.ldap.drivers.rfc4515 import encode

PAGING = "1.2.840.113556.1.4.319"
SORTING = "1.2.840.113556.1.4.473"
SORTED = "1.2.840.113556.1.4.474"
ASSERTION = "1.3.6.1.1.12"
POST_READ = "1.3.6.1.1.13.2"
MATCHED_VALUES = "1.2.826.0.1.3344810.2.3"

_EQUALITY, _PRESENT = 0xA3, 0x87

ANSWERS = (PAGING, SORTED, POST_READ)
"""The controls of responses that are read; others say nothing that was asked."""


@dataclass(frozen=True, slots=True)
class Control:
    """A control of a request (RFC 4511 section 4.1.11). All are critical: without, something else would be done."""

    oid: str
    value: bytes


def of_search(search: Search) -> list[Control]:
    """Paging, sorting and the values that the search asks for."""
    controls = []
    if search.page or search.cookie:
        value = ber.integer(search.page) + ber.tlv(ber.OCTETS, search.cookie)
        controls.append(Control(PAGING, ber.tlv(ber.SEQUENCE, value)))
    if search.sort is not None:
        controls.append(Control(SORTING, _sort_keys(search.sort)))
    if search.only is not None:
        controls.append(Control(MATCHED_VALUES, _matching(search.only, search.attributes)))
    return controls


def of_write(assertion: str | None, read: Sequence[str]) -> list[Control]:
    """The condition (RFC 4528) and the attributes to read afterwards (RFC 4527) of a write.

    Raises ValueError when the assertion is no filter.
    """
    controls = []
    if assertion is not None:
        controls.append(Control(ASSERTION, encode(assertion)))
    if read:
        controls.append(Control(POST_READ, ber.tlv(ber.SEQUENCE, b"".join(ber.text(name) for name in read))))
    return controls


def found(search: Search, entries: Sequence[Entry], references: int, answers: Mapping[str, bytes]) -> Found:
    """What the search returned, with what the controls of the response say.

    Raises LdapError when the server did not sort, although the result is a success.
    """
    cookie, size = b"", 0
    if SORTED in answers:
        code, _ = ber.integer_at(answers[SORTED], ber.content_at(answers[SORTED], 0)[0])
        if code:
            raise LdapError(code, "the server did not sort")
    if PAGING in answers:
        size, at = ber.integer_at(answers[PAGING], ber.content_at(answers[PAGING], 0)[0])
        cookie, _ = ber.octets_at(answers[PAGING], at)
    return Found(tuple(entries), cookie, size, references)


def after_write(answers: Mapping[str, bytes]) -> Entry | None:
    """The entry as the write left it, where the server returned it."""
    value = answers.get(POST_READ)
    return None if value is None else entry_at(value, 0)


def entry_at(data: bytes, at: int, types_only: bool = False) -> Entry:
    """The SearchResultEntry that begins there (RFC 4511 section 4.5.2).

    The innermost loop of every search: one pass, no function call for a value.
    """
    start, end = ber.content_at(data, at)
    start, at = ber.content_at(data, start)
    dn = data[start:at].decode()
    at, end = ber.content_at(data, at)
    attributes: dict[str, Sequence[bytes]] = {}
    while at < end:
        start, next_attribute = ber.content_at(data, at)
        start, at = ber.content_at(data, start)
        name = data[start:at].decode().lower()
        at, last = ber.content_at(data, at)
        values = []
        while at < last:
            length = data[at + 1]
            at += 2
            if length >= 0x80:
                start = at + (length & 0x7F)
                length = int.from_bytes(data[at:start], "big")
                at = start
            start = at
            at += length
            values.append(data[start:at])
        if at != last:
            raise ber.Malformed("a value is cut short")
        if values or types_only:
            attributes[name] = values
        at = next_attribute
    return Entry(dn, attributes)


def _sort_keys(key: SortKey) -> bytes:
    reverse = ber.tlv(0x81, b"\xff") if key.descending else b""
    return ber.tlv(ber.SEQUENCE, ber.tlv(ber.SEQUENCE, ber.text(key.attribute) + reverse))


def _matching(only: Only, attributes: Sequence[str]) -> bytes:
    """The ValuesReturnFilter for those values, and for all values of the other attributes."""
    named = ber.text(only.attribute)
    wanted = [ber.tlv(_EQUALITY, named + ber.tlv(ber.OCTETS, value)) for value in only.values]
    others = [ber.text(name, _PRESENT) for name in attributes if name.lower() != only.attribute.lower()]
    return ber.tlv(ber.SEQUENCE, b"".join(wanted + others))
