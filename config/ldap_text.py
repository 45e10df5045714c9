"""The syntax of what operators write about a directory: DNs, filters, attribute names and addresses of servers."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_OID = r"[0-9]+(?:\.[0-9]+)+"
_TYPE = rf"(?:[A-Za-z][A-Za-z0-9-]*|{_OID})"
_DESCRIPTION = rf"{_TYPE}(?:;[A-Za-z0-9-]+)*"
_VALUE = r'(?:#(?:[0-9A-Fa-f]{2})+|(?:[^\\"+,;<>\x00]|\\[\\"+,;<>=# ]|\\[0-9A-Fa-f]{2})+)'
_AVA = re.compile(rf"{_TYPE} *={_VALUE}")
_DN = re.compile(rf"{_AVA.pattern}(?:[+,] *{_AVA.pattern})*")
_ATTRIBUTE = re.compile(_DESCRIPTION)
_ITEM = re.compile(
    rf"\((?:{_DESCRIPTION}(?:=|~=|>=|<=)|(?:{_DESCRIPTION})?(?::dn)?(?::{_TYPE})?:=)"
    r"(?:[^()\\\x00]|\\[0-9A-Fa-f]{2})*\)"
)
_SERVER = re.compile(
    r"(?P<scheme>ldaps?)://(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9_.-]+))(?::(?P<port>[0-9]{1,5}))?/?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A directory server: `secure` says that TLS comes first (`ldaps://`); `host` has no brackets."""

    secure: bool
    host: str
    port: int


def server_address(text: str) -> ServerAddress:
    """The parts of `ldap://HOST[:PORT]` or `ldaps://HOST[:PORT]`; the port is 389 or 636 where none is written.

    Raises ValueError.
    """
    found = _SERVER.fullmatch(text)
    if found is None:
        raise ValueError("must be ldaps://HOST or ldap://HOST, with an optional port and no more")
    secure = found["scheme"].lower() == "ldaps"
    port = int(found["port"] or (636 if secure else 389))
    if not 1 <= port <= 65535:
        raise ValueError("must have a port of 1 to 65535")
    if found["v6"]:
        try:
            ipaddress.IPv6Address(found["v6"])
        except ValueError:
            raise ValueError("must have a valid IPv6 address in the brackets") from None
    return ServerAddress(secure, found["v6"] or found["host"], port)


def is_attribute(text: str) -> bool:
    """Whether the text is an attribute description (RFC 4512 section 2.5): `cn`, `userCertificate;binary`."""
    return _ATTRIBUTE.fullmatch(text) is not None


def is_dn(text: str) -> bool:
    """Whether the text is a DN of at least one RDN (RFC 4514 section 3)."""
    return _DN.fullmatch(text) is not None


def is_below(dn: str, base: str) -> bool:
    """Whether a DN is another or below it, both as `is_dn` takes them; case and blanks do not count."""
    rdns, bases = _rdns(dn), _rdns(base)
    return rdns[-len(bases) :] == bases


def is_filter(text: str) -> bool:
    """Whether the text is a filter (RFC 4515 section 3), without blanks between its parts."""
    return _filter_end(text, 0) == len(text)


def _rdns(dn: str) -> list[str]:
    found: list[str] = []
    start = 0
    for ava in _AVA.finditer(dn):
        joined = dn[start : ava.start()].strip() == "+"
        one = "=".join(part.strip() for part in ava[0].lower().split("=", 1))
        if joined:
            found[-1] += f"+{one}"
        else:
            found.append(one)
        start = ava.end()
    return found


def _filter_end(text: str, start: int) -> int:
    """Where the filter that starts there ends; -1 where there is none."""
    if text[start : start + 2] not in ("(&", "(|", "(!"):
        item = _ITEM.match(text, start)
        return item.end() if item else -1
    at, parts = start + 2, 0
    while text[at : at + 1] == "(":
        at, parts = _filter_end(text, at), parts + 1
        if at < 0:
            return -1
    enough = parts == 1 if text[start + 1] == "!" else parts >= 1
    return at + 1 if enough and text[at : at + 1] == ")" else -1
