"""The PRECIS profiles that SCIM names: UsernameCaseMapped and OpaqueString (RFC 8264, RFC 8265; RFC 7644 section 5).

Comparison of user names is `app.scim.fold.fold`, so that the spelling that a client sent can be kept.
"""

from __future__ import annotations

import unicodedata

from app.scim.fold import map_width

_LETTER_DIGITS = frozenset(("Ll", "Lu", "Lo", "Nd", "Lm", "Mn", "Mc"))
_EXCEPTIONS_VALID = frozenset("\u00df\u03c2\u06fd\u06fe\u0f0b\u3007")
_EXCEPTIONS_FORBIDDEN = frozenset("\u0640\u07fa\u302e\u302f\u3031\u3032\u3033\u3034\u3035\u303b")
_CONTEXT = frozenset("\u00b7\u0375\u05f3\u05f4\u30fb\u200c\u200d")
_BIDI_RIGHT = frozenset(("R", "AL", "AN"))
_BIDI_IN_RTL = frozenset(("R", "AL", "AN", "EN", "ES", "CS", "ET", "ON", "BN", "NSM"))


def user_name_fault(text: str) -> str | None:
    """Why the text is no user name under RFC 8265 section 3.3, as the end of a sentence, or None.

    Spaces may stand between parts. Join controls and middle dots are accepted without the contextual rules.
    """
    if text.isascii():
        return None if text.isprintable() and text == text.strip(" ") else "holds a character that is not allowed"
    prepared = unicodedata.normalize("NFC", map_width(text))
    if prepared != prepared.strip(" ") or not all(_in_identifier_class(c) for c in prepared):
        return "holds a character that is not allowed in a user name (RFC 8265)"
    if not _obeys_bidi_rule(prepared):
        return "mixes writing directions in a way that is not allowed (RFC 5893)"
    return None


def _in_identifier_class(char: str) -> bool:
    if char in _EXCEPTIONS_VALID or char in _CONTEXT or "\x20" <= char <= "\x7e":
        return True
    if char in _EXCEPTIONS_FORBIDDEN or unicodedata.category(char) not in _LETTER_DIGITS:
        return False
    if "\u1100" <= char <= "\u11ff" or "\ua960" <= char <= "\ua97c" or "\ud7b0" <= char <= "\ud7fb":
        return False
    return unicodedata.normalize("NFKC", char) == unicodedata.normalize("NFC", char)


def _obeys_bidi_rule(text: str) -> bool:
    classes = [unicodedata.bidirectional(c) for c in text]
    if not _BIDI_RIGHT.intersection(classes):
        return True
    if classes[0] not in ("R", "AL"):
        return False
    last = next(c for c in reversed(classes) if c != "NSM")
    return (
        _BIDI_IN_RTL.issuperset(classes)
        and last in ("R", "AL", "EN", "AN")
        and not ("EN" in classes and "AN" in classes)
    )


def opaque_string(text: str) -> str:
    """The prepared form of a password (RFC 8265 section 4.2): spaces of every kind become U+0020, form C."""
    return unicodedata.normalize("NFC", "".join(" " if unicodedata.category(c) == "Zs" else c for c in text))


def password_fault(text: str) -> str | None:
    """Why the text is no password under RFC 8265 section 4.2, as the end of a sentence, or None."""
    bad = any(unicodedata.category(c) in ("Cc", "Cs", "Cn") for c in text)
    return "holds a character that is not allowed in a password" if bad else None
