"""Names that stand for others where an attribute can't hold these: as short as they must be, and kept apart."""

from __future__ import annotations

import pytest

from backends.ldap import text

LONG = "longer.than.allowed@corp.example"
ODD = ("", " ", "-", LONG, "𝒳" * 40, "é 山田 עברית", "a\x00b", "x" * 5000, "<a> (b)")
CODE = "9b3d487fd9fc"


@pytest.mark.parametrize("longest", [*range(1, 21), 63, 64, 65, 256, None])
def test_every_length_is_kept_to(longest: int | None) -> None:
    for name in ODD:
        for made in (text.distinct(name, longest), text.distinct(name, longest, "@-."), text.apart(name, longest)):
            assert text.storable(made)
            assert text.fits(None, made, longest)
            assert text.fits(None, made, 64) or made == name


@pytest.mark.parametrize("longest", [text.SHORTEST, 9, 11, 12, 13, 14, 20, 64, None])
def test_names_that_are_cut_are_kept_apart(longest: int | None) -> None:
    names = [f"{LONG}{'.' * 60}{number}" for number in range(2000)]
    made = {text.distinct(name, longest) for name in names}
    assert len(made) == len(names)
    assert {text.distinct(name.upper(), longest).lower() for name in names} == {name.lower() for name in made}
    assert len({text.apart(LONG, longest) for _ in names}) == len(names)


@pytest.mark.parametrize("longest", range(text.SHORTEST, 12))
def test_a_short_code_is_a_login_name(longest: int) -> None:
    """One that begins with a digit, or is a number, is none on Unix."""
    for number in range(500):
        for made in (text.distinct(f"{LONG}{number}", longest), text.apart(LONG, longest)):
            assert made[0].isalpha()
            assert made.isalnum()
            assert made.isascii()
            assert made == made.lower()


def test_a_name_that_fits_stays_as_it_is() -> None:
    assert text.distinct("jdoe1234", 8) == "jdoe1234"
    assert text.distinct("jdoe12345", 8) != "jdoe1234"


def test_what_stands_in_directories_is_made_again() -> None:
    """A record counts only while an attribute holds what is made of the record's value."""
    assert text.distinct(LONG, 20) == f"longer.-{CODE}"
    assert text.distinct(LONG, 14) == f"l-{CODE}"
    assert text.distinct(LONG, 13) == text.distinct(LONG, 12) == CODE
    assert text.distinct(LONG, 8) == "a4v2mx4n"
