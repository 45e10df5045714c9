"""Filters as text (RFC 4515) to filters as octets (RFC 4511 section 4.5.1.7)."""

from __future__ import annotations

import re

from backends.ldap.drivers.ber import tlv

_SETS = {"&": 0xA0, "|": 0xA1, "!": 0xA2}
_NOT = 0xA2
_EQUALITY = 0xA3
_SUBSTRINGS = 0xA4
_PRESENT = 0x87
_EXTENSIBLE = 0xA9
_ASSERTIONS = {"=": _EQUALITY, ">=": 0xA5, "<=": 0xA6, "~=": 0xA8}
_INITIAL, _ANY, _FINAL = 0x80, 0x81, 0x82

_ITEM = re.compile(r"([A-Za-z0-9.;:_-]+?)([~<>:]?=)(.*)", re.DOTALL)
_ESCAPE = re.compile(rb"\\([0-9A-Fa-f]{2})?")


def encode(filter_text: str) -> bytes:
    """The filter as BER. Values reach the server octet by octet, with spaces; `\\xx` is any octet.

    Raises ValueError when the text is not of RFC 4515. `(&)` and `(|)` are true and false (RFC 4526).
    """
    open_sets: list[tuple[int, list[bytes]]] = []
    outcome: list[bytes] = []
    at, size = 0, len(filter_text)
    while at < size:
        if filter_text[at] == "(":
            tag = _SETS.get(filter_text[at + 1 : at + 2])
            if tag is not None:
                open_sets.append((tag, []))
                at += 2
                continue
            end = filter_text.find(")", at)
            if end < 0:
                raise ValueError("a filter without its closing parenthesis")
            element = _item(filter_text[at + 1 : end])
            at = end + 1
        elif filter_text[at] == ")" and open_sets:
            tag, elements = open_sets.pop()
            if tag == _NOT and len(elements) != 1:
                raise ValueError("a negation is of one filter")
            element = tlv(tag, b"".join(elements))
            at += 1
        else:
            raise ValueError("text outside of parentheses in a filter")
        (open_sets[-1][1] if open_sets else outcome).append(element)
    if open_sets or len(outcome) != 1:
        raise ValueError("not exactly one filter")
    return outcome[0]


def _item(item: str) -> bytes:
    match = _ITEM.fullmatch(item)
    if match is None:
        raise ValueError("a filter without attribute or comparison")
    attribute, operator, value = match.groups()
    if operator == ":=":
        return tlv(_EXTENSIBLE, _extensible(attribute, value))
    if ":" in attribute or "(" in value:
        raise ValueError("a character that must be escaped in a filter")
    if operator == "=" and "*" in value:
        return _wildcards(attribute, value)
    return tlv(_ASSERTIONS[operator], tlv(4, attribute.encode()) + tlv(4, _octets(value)))


def _wildcards(attribute: str, value: str) -> bytes:
    initial, *between, final = value.split("*")
    parts = [tlv(_INITIAL, _octets(initial))] if initial else []
    parts += [tlv(_ANY, _octets(part)) for part in between if part]
    if final:
        parts.append(tlv(_FINAL, _octets(final)))
    if not parts:
        return tlv(_PRESENT, attribute.encode())
    return tlv(_SUBSTRINGS, tlv(4, attribute.encode()) + tlv(0x30, b"".join(parts)))


def _extensible(left: str, value: str) -> bytes:
    attribute, *rest = left.split(":")
    of_dn = bool(rest) and rest[0].lower() == "dn"
    if of_dn:
        del rest[0]
    if len(rest) > 1 or not (attribute or rest) or "(" in value:
        raise ValueError("an extensible filter that can't be read")
    return b"".join(
        (
            tlv(0x81, rest[0].encode()) if rest else b"",
            tlv(0x82, attribute.encode()) if attribute else b"",
            tlv(0x83, _octets(value)),
            tlv(0x84, b"\xff") if of_dn else b"",
        )
    )


def _octets(value: str) -> bytes:
    octets = value.encode()
    return _ESCAPE.sub(_octet, octets) if b"\\" in octets else octets


def _octet(match: re.Match[bytes]) -> bytes:
    if not match[1]:
        raise ValueError("a backslash without two hexadecimal digits in a filter")
    return bytes.fromhex(match[1].decode())
