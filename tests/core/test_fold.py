"""The comparison form of text (RFC 7644 sections 5 and 7.8)."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.scim.fold import fold, map_width

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.req("P-3.4.2.2-20", "S-4.1.1-01")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Bob", "BOB"),
        ("éloise", "ÉLOISE"),
        ("e\u0301", "é"),
        ("E\u0301", "é"),
        ("straße", "STRASSE"),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
        ("Ａｂ１", "ab1"),
        ("ｶﾞ", "ガ"),
        ("\uff11", "1"),
    ],
)
def test_equal_texts(one: str, other: str) -> None:
    """Case, composition and width make no difference."""
    assert fold(one) == fold(other)


@pytest.mark.req("P-3.4.2.2-20")
@pytest.mark.parametrize(
    ("one", "other"),
    [("a", "á"), ("ı", "i"), ("а", "a"), ("ﬁx", "fix "), ("１ ", "1"), ("½", "1/2"), ("²", "2"), ("", " ")],
)
def test_different_texts(one: str, other: str) -> None:
    """Accents, scripts and compatibility forms other than width stay apart."""
    assert fold(one) != fold(other)


@given(TEXT)
def test_folding_twice_is_folding_once(text: str) -> None:
    """The form is stable, so that a stored form and an operand's can be compared."""
    assert fold(fold(text)) == fold(text)


@given(TEXT)
def test_the_form_does_not_depend_on_case_or_composition(text: str) -> None:
    """Canonically equivalent texts have one form, which is in NFC."""
    for form in ("NFC", "NFD"):
        assert fold(unicodedata.normalize(form, text)) == fold(text)
    assert unicodedata.is_normalized("NFC", fold(text))


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_lower_case(text: str) -> None:
    """The short way for ASCII gives what the long one does."""
    assert fold(text) == text.casefold() == unicodedata.normalize("NFC", map_width(text)).casefold()
