"""Preparation of strings before they are compared (RFC 7644 sections 5 and 7.8, RFC 8265, RFC 8264)."""

from __future__ import annotations

import unicodedata


def fold(text: str) -> str:
    """The form under which two strings of an attribute with caseExact false are equal.

    Full-width and half-width characters become their ordinary ones, case is folded, and the result is in
    normalisation form C. Order by this form is the "case-insensitive Unicode order" of RFC 7644 section 3.4.2.3.
    """
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFC", map_width(unicodedata.normalize("NFC", text))).casefold()
    return unicodedata.normalize("NFC", folded)


def map_width(text: str) -> str:
    """The text with full-width and half-width characters as their ordinary ones (RFC 8265 section 3.3.1)."""
    return "".join(_ordinary_width(c) for c in text)


def _ordinary_width(char: str) -> str:
    decomposition = unicodedata.decomposition(char)
    if decomposition.startswith(("<wide>", "<narrow>")):
        return "".join(chr(int(code, 16)) for code in decomposition.split()[1:])
    return char
