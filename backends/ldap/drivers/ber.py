"""The part of BER that LDAP uses: definite lengths, tags of one octet (RFC 4511 section 5.1)."""

from __future__ import annotations

BOOLEAN = 0x01
INTEGER = 0x02
OCTETS = 0x04
ENUMERATED = 0x0A
SEQUENCE = 0x30
SET = 0x31

TRUE = b"\x01\x01\xff"
FALSE = b"\x01\x01\x00"


class Malformed(ValueError):
    """The octets are no LDAP message."""


def tlv(tag: int, content: bytes) -> bytes:
    """An element with that tag."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def integer(value: int, tag: int = INTEGER) -> bytes:
    """An INTEGER or, with that tag, an ENUMERATED."""
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def text(value: str, tag: int = OCTETS) -> bytes:
    """An LDAPString: UTF-8."""
    return tlv(tag, value.encode())


def size_at(data: bytes, at: int) -> int | None:
    """The number of octets of the element that begins there, or None while its length has not arrived."""
    if len(data) < at + 2:
        return None
    length = data[at + 1]
    if length < 0x80:
        return length + 2
    count = length & 0x7F
    if not 0 < count <= 8:
        raise Malformed("a length that LDAP does not allow")
    if len(data) < at + 2 + count:
        return None
    return int.from_bytes(data[at + 2 : at + 2 + count], "big") + 2 + count


def content_at(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element that begins there starts and ends. Raises Malformed when it is cut short."""
    try:
        length = data[at + 1]
    except IndexError:
        raise Malformed("an element is cut short") from None
    start = at + 2
    if length >= 0x80:
        if length == 0x80:
            raise Malformed("an indefinite length")
        start += length & 0x7F
        length = int.from_bytes(data[at + 2 : start], "big")
    end = start + length
    if end > len(data):
        raise Malformed("an element is cut short")
    return start, end


def integer_at(data: bytes, at: int) -> tuple[int, int]:
    """The number in the element that begins there, and where that ends."""
    start, end = content_at(data, at)
    return int.from_bytes(data[start:end], "big", signed=True), end


def octets_at(data: bytes, at: int) -> tuple[bytes, int]:
    """The content of the element that begins there, and where that ends."""
    start, end = content_at(data, at)
    return data[start:end], end
