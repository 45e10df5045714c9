"""Which text a directory can hold and find as SCIM means it.

A server compares text by matching rules of its own (RFC 4518): it strips and joins blanks, drops invisible characters,
and folds case in its own way. What goes beyond that is kept in an entry's record.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from functools import lru_cache

from app.scim.fold import fold

_DIRECTORY_STRING = "1.3.6.1.4.1.1466.115.121.1.15"
_IA5 = "1.3.6.1.4.1.1466.115.121.1.26"
_PRINTABLE = "1.3.6.1.4.1.1466.115.121.1.44"
_TELEPHONE = "1.3.6.1.4.1.1466.115.121.1.50"
_FACSIMILE = "1.3.6.1.4.1.1466.115.121.1.22"
_PRINTABLE_TEXT = re.compile(r"[A-Za-z0-9'()+,\-./:=? ]+")
_WORD_BREAK = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_STANDS_IN = "retired-"
_LONG_STAND_IN = 40
_REMEMBERED = 8192
"""Texts about which it is known whether they can be stored: one entry's are looked at several times in a change."""
LONGEST = 1000
"""A storable text is shorter than that, in characters."""


def storable(text: str) -> bool:
    """Whether a server keeps the text apart from every other text: no blanks at its ends or in a row, nothing
    invisible, no compatibility forms, normalisation form C, and not so long that an index would cut it."""
    return 0 < len(text) < LONGEST and _is_kept_apart(text)


@lru_cache(maxsize=_REMEMBERED)
def _is_kept_apart(text: str) -> bool:
    if text.isascii():
        # Of the blanks in ASCII only the space is printable.
        return text.isprintable() and "  " not in text and text[0] != " " != text[-1]
    if text != text.strip() or "  " in text or not text.isprintable():
        return False
    return all(c.isascii() or _is_settled(c) for c in text) and unicodedata.is_normalized("NFC", text)


def _is_settled(char: str) -> bool:
    return not char.isspace() and unicodedata.normalize("NFKD", char) == unicodedata.normalize("NFD", char)


def plain(text: str) -> bool:
    """Whether a server finds the storable text by exactly the operands that `fold` makes equal to it."""
    if not storable(text):
        return False
    return text.isascii() or all(c.isascii() or (c.casefold() == c.lower() and len(c.casefold()) == 1) for c in text)


def fits(syntax: str | None, text: str, longest: int | None) -> bool:
    """Whether a value of that syntax (an OID, RFC 4517; None or unknown: directory string) may be this text."""
    if longest is not None and _units(text) > longest:
        return False
    if syntax == _IA5:
        return text.isascii()
    if syntax in (_PRINTABLE, _TELEPHONE, _FACSIMILE):
        return _PRINTABLE_TEXT.fullmatch(text) is not None
    return True


def distinct(text: str, longest: int | None = None, forbidden: str = "") -> str:
    """A storable text that stands for this one: itself if it can, else what is left of it and a digest of its folded
    form, so that texts that are not equal get different ones."""
    kept = "".join(c for c in text if c not in forbidden)
    if kept == text and storable(text) and (longest is None or _units(text) <= longest):
        return text
    digest = hashlib.sha256(fold(text).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    clean = " ".join("".join(c if c.isascii() or _is_settled(c) else " " for c in kept if c.isprintable()).split())
    room = min(longest or 64, 64) - len(digest) - 1
    stem = _cut(unicodedata.normalize("NFC", clean), room)
    return f"{stem}-{digest}" if stem else digest


def apart(text: str, longest: int | None = None, forbidden: str = "") -> str:
    """A storable text that reminds of this one and that no other entry has."""
    stem = _cut(distinct(text, longest, forbidden), min(longest or 64, 64) - 13)
    return f"{stem}-{secrets.token_hex(6)}"


def stand_in(text: str, longest: int | None = None) -> str:
    """A storable text that takes the place of this one and that no other entry has; `stands_for` knows it, unless fewer
    than 40 characters are allowed."""
    token = secrets.token_hex(6)
    return f"{_STANDS_IN}{token}" if longest is not None and longest < _LONG_STAND_IN else f"{stand_ins(text)}{token}"


def stand_ins(text: str) -> str:
    """How every stand-in of a text begins, and of those that `fold` makes equal to it."""
    return f"{_STANDS_IN}{hashlib.sha256(fold(text).encode('utf-8', 'surrogatepass')).hexdigest()[:16]}-"


def stands_for(other: str, text: str) -> bool:
    """Whether the first is a stand-in of the second."""
    return other.lower().startswith(stand_ins(text))


def _units(text: str) -> int:
    """The length as Active Directory counts it, in the code units of UTF-16; other servers count less, or nothing."""
    return len(text) if text.isascii() else len(text) + sum(c > "\uffff" for c in text)


def _cut(text: str, longest: int) -> str:
    cut = text[:longest]
    while _units(cut) > longest:
        cut = cut[:-1]
    return cut.strip()


def words(text: str) -> list[str]:
    """The parts of an operand that a server's matching rule leaves as they are, in order."""
    return [word for word in _WORD_BREAK.split(text) if word]
