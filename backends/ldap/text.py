"""Which text a directory can hold and find as SCIM means it.

A server compares text by matching rules of its own (RFC 4518): it strips and joins blanks, drops invisible characters,
and folds case in its own way. What goes beyond that is kept in an entry's record.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
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
_ALPHABET = string.ascii_lowercase + string.digits
_CODE = 12
_LONGEST_DISTINCT = 64
_STANDS_IN = "retired-"
_LONG_STAND_IN = 40
_REMEMBERED = 8192
"""Texts about which it is known whether they can be stored: one entry's are looked at several times in a change."""
LONGEST = 1000
"""A storable text is shorter than that, in characters."""
SHORTEST = 8
"""Texts that are cut to fewer characters are not kept apart. Of 100,000 codes of 8 characters two are the same in one
of 400 directories; of 10,000 codes of 6 in one of 30."""


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
    """A storable text that stands for this one: itself if it can, else what is left of it and its code, so that texts
    that are not equal get different ones. It has `longest` characters at most."""
    kept = "".join(c for c in text if c not in forbidden)
    if kept == text and storable(text) and (longest is None or _units(text) <= longest):
        return text
    clean = " ".join("".join(c if c.isascii() or _is_settled(c) else " " for c in kept if c.isprintable()).split())
    return _with_code(unicodedata.normalize("NFC", clean), code_of(text, longest), longest)


def apart(text: str, longest: int | None = None, forbidden: str = "") -> str:
    """A storable text that reminds of this one, as far as there is room, and that no other entry has."""
    token = _code(secrets.token_bytes(_CODE), longest)
    return _with_code(distinct(text, longest, forbidden), token, longest)


def code_of(text: str, longest: int | None = None) -> str:
    """A short code of the text, and of those that `fold` makes equal to it: letters and digits of ASCII, 12 or
    `longest` of them."""
    return _code(hashlib.sha256(fold(text).encode("utf-8", "surrogatepass")).digest(), longest)


def _code(octets: bytes, longest: int | None) -> str:
    if longest is None or longest >= _CODE:
        return octets.hex()[:_CODE]
    # One of 36 characters tells more than a hexadecimal digit, and a login name of Unix starts with a letter.
    number, first = divmod(int.from_bytes(octets), len(string.ascii_lowercase))
    code = string.ascii_lowercase[first]
    while len(code) < longest:
        number, next = divmod(number, len(_ALPHABET))
        code += _ALPHABET[next]
    return code


def _with_code(text: str, code: str, longest: int | None) -> str:
    stem = _cut(text, min(longest or _LONGEST_DISTINCT, _LONGEST_DISTINCT) - len(code) - 1)
    return f"{stem}-{code}" if stem else code


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
    cut = text[: max(longest, 0)]
    while cut and _units(cut) > longest:
        cut = cut[:-1]
    return cut.strip()


def words(text: str) -> list[str]:
    """The parts of an operand that a server's matching rule leaves as they are, in order."""
    return [word for word in _WORD_BREAK.split(text) if word]
