"""User names and passwords by RFC 8265."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.scim.precis import opaque_string, password_fault, user_name_fault


@pytest.mark.req("S-4.1.1-01", "P-3.4.2.2-20")
@pytest.mark.parametrize(
    "name",
    [
        "bob",
        "bob@tern.example",
        "O'Brien, Pat",
        "~!#$%^&*()_+",
        "two  spaces",
        "éloise",
        "e\u0301loise",
        "ß",
        "ς",
        "山田太郎",
        "ガ",
        "ｶﾞ",
        "Ａｄａ",
        "가나",
        "מיכל",
        "محمد",
        "محمد7",
        "नमस्ते",
        "l·l",
        "क्\u200dष",
    ],
)
def test_names_that_are_allowed(name: str) -> None:
    """Letters and digits of every script, ASCII punctuation and inner spaces."""
    assert user_name_fault(name) is None


@pytest.mark.req("S-4.1.1-01", "P-3.4.2.2-20")
@pytest.mark.parametrize(
    "name",
    [
        " bob",
        "bob ",
        " ",
        "bo\tb",
        "bo\nb",
        "bo\x7fb",
        "bo\x00b",
        "é\x85",
        "é\u00a0b",
        "é\u2003b",
        "é ",
        "é\u2028",
        "bob\u200b",
        "bob\ufeff",
        "\u202ebob",
        "♚",
        "🛰",
        "½é",
        "²é",
        "ﬁx",
        "Ⅳ",
        "“é”",
        "é—",
        "\u1113é",
        "ـمحمد",
        "é\ue000",
        "é\ufffe",
        "é\U0003fffd",
        "é\ud800",
    ],
)
def test_names_that_are_refused(name: str) -> None:
    """Spaces at an end, controls, invisible characters, symbols, compatibility forms and unassigned code points."""
    assert user_name_fault(name) is not None


@pytest.mark.req("P-3.4.2.2-20")
@pytest.mark.parametrize("name", ["aמ", "מa", "7מ", "מ7٣", "م-"])
def test_mixed_directions_are_refused(name: str) -> None:
    """A name with right-to-left letters obeys the Bidi Rule."""
    fault = user_name_fault(name)
    assert fault is not None
    assert "direction" in fault


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_equal_names_are_allowed_or_refused_together(text: str) -> None:
    """Composition makes no difference to whether a name is allowed."""
    assert (user_name_fault(unicodedata.normalize("NFD", text)) is None) == (user_name_fault(text) is None)


@pytest.mark.req("S-4.1.1-10")
def test_passwords_are_prepared_as_opaque_strings() -> None:
    """Spaces of every kind become one kind and the text is composed; case and width stay."""
    assert opaque_string("a\u00a0b\u3000c") == "a b c"
    assert opaque_string("e\u0301") == "é"
    assert opaque_string("ＡbC ") == "ＡbC "


@pytest.mark.req("S-4.1.1-10")
def test_passwords_hold_no_controls() -> None:
    """Symbols and spaces are allowed; controls, surrogates and unassigned code points are not."""
    for good in ("Correct Horse 42", "пароль", "🛰 ½", " "):
        assert password_fault(good) is None
    for bad in ("a\tb", "a\x00", "a\ud800", "a\U0003fffd"):
        assert password_fault(bad) is not None


@given(st.text())
def test_preparing_twice_is_preparing_once(text: str) -> None:
    """The prepared form is stable, and allowed when the text is."""
    assert opaque_string(opaque_string(text)) == opaque_string(text)
    assert (password_fault(text) is None) == (password_fault(opaque_string(text)) is None)
