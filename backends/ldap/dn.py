"""Distinguished names as text (RFC 4514) and filters as text (RFC 4515)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from app.scim.fold import fold

_SPECIAL = re.compile(r'[,+"\\<>;=#\x00-\x1f\x7f]')
_HEX = re.compile(r"[0-9A-Fa-f]{2}")
_FILTER_SPECIAL = re.compile(rb"[\x00-\x1f()*\\\x7f-\xff]")


def rdn(attribute: str, value: str) -> str:
    """An RDN of one attribute with that value, whatever characters it holds."""
    return f"{attribute}={escape_value(value)}"


def child(rdn_text: str, parent: str) -> str:
    """The DN of an entry with that RDN right below a parent."""
    return f"{rdn_text},{parent}"


def escape_value(value: str) -> str:
    """The value as it stands in a DN (RFC 4514 section 2.4); blanks at its ends and every special character escaped."""
    text = _SPECIAL.sub(lambda m: f"\\{ord(m[0]):02X}", value)
    if text.startswith(" "):
        text = "\\20" + text[1:]
    if text.endswith(" "):
        text = text[:-1] + "\\20"
    return text


@lru_cache(maxsize=4096)
def key(dn: str) -> str:
    """A text that is equal for two spellings of one DN: case, blanks around separators and escapes do not count."""
    return "\0".join("\1".join(sorted(_ava_key(ava) for ava in _split(one, "+"))) for one in _split(dn, ","))


def same(one: str, other: str) -> bool:
    """Whether two DNs are spellings of one."""
    return one == other or key(one) == key(other)


def split(dn: str) -> tuple[str, str]:
    """The RDN and the DN of the parent, as they are written; the parent is empty for a DN of one RDN."""
    first = next(_split(dn, ","), "")
    return first, dn[len(first) + 1 :].lstrip(" ")


def avas(rdn_text: str) -> tuple[str, ...]:
    """The parts of an RDN (RFC 4512 section 2.3.1), each an RDN of one attribute, as they are written."""
    return tuple(part.strip(" ") if "\\" not in part else part.lstrip(" ") for part in _split(rdn_text, "+"))


def joined(avas: Iterable[str]) -> str:
    """The RDN of these parts."""
    return "+".join(avas)


def attribute_of(rdn_text: str) -> str:
    """The first attribute of an RDN, as it is written."""
    return rdn_text.partition("=")[0].strip(" ")


def value_of(rdn_text: str) -> str:
    """The value of the first attribute of an RDN, without escapes."""
    _, _, value = next(_split(rdn_text, "+"), "").partition("=")
    return _unescape(value)


def equality(attribute: str, value: str | bytes) -> str:
    """The filter `(attribute=value)` (RFC 4515 section 3), every special octet escaped."""
    return f"({attribute}={escape(value)})"


def presence(attribute: str) -> str:
    """The filter that the attribute has a value."""
    return f"({attribute}=*)"


def escape(value: str | bytes) -> str:
    """The value as it stands in a filter."""
    octets = value.encode() if isinstance(value, str) else value
    return _FILTER_SPECIAL.sub(lambda m: b"\\%02x" % m[0][0], octets).decode("ascii")


def all_of(filters: Iterable[str]) -> str:
    """The filter that each of one or more filters holds."""
    items = list(dict.fromkeys(filters))
    return items[0] if len(items) == 1 else f"(&{''.join(items)})"


def any_of(filters: Iterable[str]) -> str:
    """The filter that one at least of one or more filters holds."""
    items = list(dict.fromkeys(filters))
    return items[0] if len(items) == 1 else f"(|{''.join(items)})"


def none(filter: str) -> str:
    """The filter that another does not hold. Negations stand at single items only: 389 Directory Server finds too
    little with one of several items inside a disjunction."""
    match filter[1]:
        case "!":
            return filter[2:-1]
        case "|":
            return all_of(none(item) for item in items(filter))
        case "&":
            return any_of(none(item) for item in items(filter))
    return f"(!{filter})"


def items(filter: str) -> Iterator[str]:
    """The filters that a conjunction or a disjunction holds; brackets in values are escaped."""
    depth, start = 0, 2
    for at in range(2, len(filter) - 1):
        depth += (filter[at] == "(") - (filter[at] == ")")
        if depth == 0:
            yield filter[start : at + 1]
            start = at + 1


def _split(text: str, separator: str) -> Iterator[str]:
    if "\\" not in text:
        yield from _split_plain(text, separator)
        return
    start, at = 0, 0
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        if text[at] == separator or (separator == "," and text[at] == ";"):
            yield text[start:at]
            start = at + 1
        at += 1
    if start < len(text):
        yield text[start:]


def _split_plain(text: str, separator: str) -> list[str]:
    parts = (text.replace(";", ",") if separator == "," else text).split(separator)
    return parts if parts[-1] else parts[:-1]


def _ava_key(ava: str) -> str:
    attribute, _, value = ava.partition("=")
    return f"{attribute.strip().lower()}={' '.join(fold(_unescape(value)).split())}"


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text.strip(" ")
    octets = bytearray()
    body = text.lstrip(" ")
    end = len(body.rstrip(" "))
    if body[:end].endswith("\\") and end < len(body):
        end += 1
    at = 0
    while at < end:
        if body[at] != "\\":
            octets += body[at].encode()
            at += 1
        elif _HEX.match(body, at + 1):
            octets.append(int(body[at + 1 : at + 3], 16))
            at += 3
        else:
            octets += body[at + 1 : at + 2].encode()
            at += 2
    return octets.decode("utf-8", "replace")
