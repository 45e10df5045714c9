"""LDAP messages: requests to octets, responses from octets (RFC 4511 sections 4.1 to 4.12)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from backends.ldap.drivers import ber
from backends.ldap.drivers.base import Attributes, Modification, Search
from backends.ldap.drivers.controls import ANSWERS, Control
from backends.ldap.drivers.rfc4515 import encode

_PASSWORD_MODIFY = b"1.3.6.1.4.1.4203.1.11.1"
_NEVER_DEREFERENCE = ber.integer(0, ber.ENUMERATED)
_NO_TIME_LIMIT = ber.integer(0)


class Tag(IntEnum):
    """The operations of responses."""

    ENTRY = 0x64
    DONE = 0x65
    MODIFIED = 0x67
    ADDED = 0x69
    DELETED = 0x6B
    RENAMED = 0x6D
    COMPARED = 0x6F
    REFERENCE = 0x73
    EXTENDED = 0x78
    INTERMEDIATE = 0x79


@dataclass(frozen=True, slots=True)
class Result:
    """An LDAPResult (RFC 4511 section 4.1.9) and the values of the controls that came with it."""

    code: int
    matched: str
    message: str
    answers: dict[str, bytes]


def message(number: int, request: bytes, controls: Iterable[Control]) -> bytes:
    """An LDAPMessage with that message ID."""
    listed = b"".join(
        ber.tlv(ber.SEQUENCE, ber.text(control.oid) + ber.TRUE + ber.tlv(ber.OCTETS, control.value))
        for control in controls
    )
    return ber.tlv(ber.SEQUENCE, ber.integer(number) + request + (ber.tlv(0xA0, listed) if listed else b""))


def search(wanted: Search) -> bytes:
    """SearchRequest. Raises ValueError when the filter is not of RFC 4515."""
    return ber.tlv(
        0x63,
        b"".join(
            (
                ber.text(wanted.base),
                ber.integer(wanted.scope, ber.ENUMERATED),
                _NEVER_DEREFERENCE,
                ber.integer(wanted.size_limit),
                _NO_TIME_LIMIT,
                ber.TRUE if wanted.types_only else ber.FALSE,
                encode(wanted.filter),
                ber.tlv(ber.SEQUENCE, b"".join([ber.text(name) for name in wanted.attributes])),
            )
        ),
    )


def compare(dn: str, attribute: str, value: bytes) -> bytes:
    """CompareRequest."""
    assertion = ber.text(attribute) + ber.tlv(ber.OCTETS, value)
    return ber.tlv(0x6E, ber.text(dn) + ber.tlv(ber.SEQUENCE, assertion))


def add(dn: str, attributes: Attributes) -> bytes:
    """AddRequest."""
    listed = b"".join([_attribute(name, values) for name, values in attributes.items()])
    return ber.tlv(0x68, ber.text(dn) + ber.tlv(ber.SEQUENCE, listed))


def modify(dn: str, changes: Sequence[Modification]) -> bytes:
    """ModifyRequest."""
    listed = b"".join(
        [
            ber.tlv(
                ber.SEQUENCE,
                ber.integer(change.operation, ber.ENUMERATED) + _attribute(change.attribute, change.values),
            )
            for change in changes
        ]
    )
    return ber.tlv(0x66, ber.text(dn) + ber.tlv(ber.SEQUENCE, listed))


def rename(dn: str, rdn: str, superior: str | None, *, keep_old: bool) -> bytes:
    """ModifyDNRequest."""
    below = b"" if superior is None else ber.text(superior, 0x80)
    return ber.tlv(0x6C, ber.text(dn) + ber.text(rdn) + (ber.FALSE if keep_old else ber.TRUE) + below)


def delete(dn: str) -> bytes:
    """DelRequest."""
    return ber.text(dn, 0x4A)


def set_password(dn: str, password: str) -> bytes:
    """The extended request of RFC 3062."""
    value = ber.tlv(ber.SEQUENCE, ber.text(dn, 0x80) + ber.text(password, 0x82))
    return ber.tlv(0x77, ber.tlv(0x80, _PASSWORD_MODIFY) + ber.tlv(0x81, value))


def operation_at(data: bytes) -> tuple[int, int, int]:
    """The message ID, the tag of the operation and where it begins."""
    at, _ = ber.content_at(data, 0)
    number, at = ber.integer_at(data, at)
    ber.content_at(data, at)
    return number, data[at], at


def result_at(data: bytes, at: int) -> Result:
    """The result that begins there, with the controls behind it."""
    at, end = ber.content_at(data, at)
    code, at = ber.integer_at(data, at)
    matched, at = ber.octets_at(data, at)
    diagnostic, _ = ber.octets_at(data, at)
    answers = _answers(data, end) if end < len(data) else {}
    return Result(code, matched.decode(errors="replace"), diagnostic.decode(errors="replace"), answers)


def _answers(data: bytes, at: int) -> dict[str, bytes]:
    answers: dict[str, bytes] = {}
    at, end = ber.content_at(data, at)
    while at < end:
        part, at = ber.content_at(data, at)
        oid, part = ber.octets_at(data, part)
        if part < at and data[part] == ber.BOOLEAN:
            _, part = ber.octets_at(data, part)
        if part < at and (name := oid.decode(errors="replace")) in ANSWERS:
            answers[name], _ = ber.octets_at(data, part)
    return answers


def _attribute(name: str, values: Iterable[bytes]) -> bytes:
    listed = b"".join([ber.tlv(ber.OCTETS, value) for value in values])
    return ber.tlv(ber.SEQUENCE, ber.text(name) + ber.tlv(ber.SET, listed))
