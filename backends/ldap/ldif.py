"""Changes of a directory as text (RFC 2849)."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence

from backends.ldap.drivers.base import Attributes, Modification

_SAFE = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x1f\x21-\x39\x3b\x3d-\x7f][\x01-\x09\x0b\x0c\x0e-\x7f]*")
_WIDTH = 76
_SECRET = frozenset(("unicodepwd", "userpassword"))


def addition(name: str, attributes: Attributes) -> list[str]:
    """The lines that add an entry."""
    lines = [*_line("dn", name.encode()), "changetype: add"]
    for attribute, values in attributes.items():
        lines += _values(attribute, values)
    return [*lines, ""]


def modification(name: str, changes: Sequence[Modification]) -> list[str]:
    """The lines that change an entry."""
    lines = [*_line("dn", name.encode()), "changetype: modify"]
    for change in changes:
        lines.append(f"{change.operation.name.lower()}: {change.attribute}")
        lines += _values(change.attribute, change.values)
        lines.append("-")
    return [*lines, ""]


def renaming(name: str, rdn: str, superior: str | None, *, keep_old: bool) -> list[str]:
    """The lines that rename or move an entry."""
    lines = [*_line("dn", name.encode()), "changetype: moddn", *_line("newrdn", rdn.encode())]
    lines.append(f"deleteoldrdn: {0 if keep_old else 1}")
    if superior is not None:
        lines += _line("newsuperior", superior.encode())
    return [*lines, ""]


def deletion(name: str) -> list[str]:
    """The lines that remove an entry."""
    return [*_line("dn", name.encode()), "changetype: delete", ""]


def _values(attribute: str, values: Sequence[bytes]) -> list[str]:
    if attribute.lower() in _SECRET:
        return [f"# {attribute}: a password is not shown"]
    return [line for value in values for line in _line(attribute, value)]


def _line(name: str, value: bytes) -> list[str]:
    """A name and a value, folded; in Base64 where the value can't stand as it is."""
    plain = not value or (_SAFE.fullmatch(value) is not None and not value.endswith(b" "))
    text = f"{name}: {value.decode('ascii')}" if plain else f"{name}:: {base64.b64encode(value).decode('ascii')}"
    rest = [text[start : start + _WIDTH - 1] for start in range(_WIDTH, len(text), _WIDTH - 1)]
    return [text[:_WIDTH].rstrip("\n"), *(f" {part}" for part in rest)]
