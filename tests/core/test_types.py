"""Data types: which JSON values fit, and how they compare (RFC 7643 section 2.3)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.scim.attributes import Attribute, parse_attribute
from app.scim.errors import InvalidValue
from app.scim.registry import load
from app.scim.types import check, comparable, format_instant, instant

USER = load().type("User")


def typed(kind: str, *, exact: bool = False) -> Attribute:
    return parse_attribute({"name": "x", "type": kind, "caseExact": exact}, "urn:example:x")


FITTING: dict[str, list[Any]] = {
    "string": ["", "x", "山田", "a\nb", "🛰", "true"],
    "boolean": [True, False],
    "integer": [0, -1, 2**63 - 1, -(2**63)],
    "decimal": [0, 1, -1.5, 1e300, 2**63 - 1],
    "dateTime": [
        "2024-01-31T08:00:00Z",
        "2024-02-29T23:59:59.123456789Z",
        "2024-01-01T00:00:00+14:00",
        "2024-01-01T00:00:00-05:30",
        "2024-01-01T00:00:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ],
    "binary": ["", "QQ==", "QQ", "QUI=", "QUI", "QUJD", "+/+/"],
    "reference": ["https://tern.example/", "../Users/1", "urn:x:y"],
}
OTHERS: dict[str, list[Any]] = {
    "string": [7, True, None, ["x"], {"value": "x"}, "a\0b", "\ud800"],
    "boolean": ["true", "", 0, 1, 1.0, None, [True]],
    "integer": ["7", 1.5, 1.0, 1e3, True, None, 2**63, -(2**63) - 1],
    "decimal": ["7", True, None, float("nan"), float("inf"), 2**63],
    "dateTime": [
        "2024-01-01",
        "08:00:00Z",
        "2024-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-01-01T24:30:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01 00:00:00Z",
        "2024-01-01T00:00Z",
        "2024-01-01T00:00:00z",
        "2024-01-01T00:00:00+0200",
        "2024-01-01T00:00:00+25:00",
        "2024-01-01T00:00:00.Z",
        "24-01-01T00:00:00Z",
        "-2024-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "٢٠٢٤-01-01T00:00:00Z",
        "2024-01-01T00:00:00Z\n",
        " 2024-01-01T00:00:00Z",
        "",
        1704067200,
    ],
    "binary": ["%%%", "A", "QQ=Q", "-_-_", "QQ\n", "Q Q=", "é", 7, None],
    "reference": [7, None, ["x"], "a\0b"],
}


@pytest.mark.req("S-2.3.1-01", "S-2.3.2-01", "S-2.3.3-01", "S-2.3.4-01", "S-2.3.5-01", "S-2.3.6-01")
@pytest.mark.parametrize(("kind", "value"), [(k, v) for k, values in FITTING.items() for v in values])
def test_what_fits(kind: str, value: Any) -> None:
    """A value of the type passes the check."""
    check(typed(kind), value)


@pytest.mark.req("S-2.3.1-01", "S-2.3.2-01", "S-2.3.3-01", "S-2.3.4-01", "S-2.3.5-01", "S-2.3.6-01")
@pytest.mark.parametrize(("kind", "value"), [(k, v) for k, values in OTHERS.items() for v in values])
def test_what_does_not_fit(kind: str, value: Any) -> None:
    """Any other is refused with the attribute's name; nothing is converted."""
    with pytest.raises(InvalidValue, match=r"^x: "):
        check(typed(kind), value)


@pytest.mark.req("S-4.1.1-06")
def test_rules_of_single_attributes() -> None:
    """userName, password and locale demand more than being strings; title does not."""
    for path, bad in (("userName", " bob"), ("password", "a\tb"), ("locale", "en US")):
        with pytest.raises(InvalidValue, match=path):
            check(USER.slots[path], bad)
        check(USER.slots["title"], bad)


_INSTANTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.just(UTC))  # noqa: DTZ001 - bounds


def _zoned(moment: datetime, minutes: int) -> str:
    return (
        moment.astimezone(timezone(timedelta(minutes=minutes))).isoformat().rjust(32 if moment.microsecond else 25, "0")
    )


@pytest.mark.req("S-2.3.5-02")
@given(_INSTANTS, _INSTANTS, st.integers(-1439, 1439), st.integers(-1439, 1439))
def test_instants_are_ordered_like_datetimes(one: datetime, other: datetime, here: int, there: int) -> None:
    """The text order of two instants is their order in time, whatever zones they were written in."""
    first, second = instant(_zoned(one, here)), instant(_zoned(other, there))
    assert (first < second, first == second) == (one < other, one == other)
    assert instant(_zoned(one, there)) == first == format_instant(one)
    assert len(first) == 27
    assert instant(first) == first


@pytest.mark.req("S-2.3.5-02")
def test_forms_of_one_instant() -> None:
    """Offset, zone and trailing digits make no difference; without zone UTC is meant."""
    forms = ["2024-01-01T00:00:00Z", "2024-01-01T02:00:00+02:00", "2023-12-31T19:00:00.0-05:00", "2024-01-01T00:00:00"]
    assert {instant(form) for form in forms} == {"2024-01-01T00:00:00.000000Z"}
    assert instant("0001-01-01T00:00:00Z") == "0001-01-01T00:00:00.000000Z"
    for wrong in ("", "2024-01-01", "2024-02-30T00:00:00Z"):
        with pytest.raises(ValueError, match=f"^{wrong}$"):
            instant(wrong)


@given(st.text(max_size=40))
def test_any_text_is_an_instant_or_a_value_error(text: str) -> None:
    """Nothing else is raised, and what passes the check has an instant."""
    try:
        instant(text)
    except ValueError:
        with pytest.raises(InvalidValue):
            check(typed("dateTime"), text)


@given(st.binary())
def test_all_octets_can_be_written_in_base64(octets: bytes) -> None:
    """With padding and without."""
    text = base64.b64encode(octets).decode()
    for form in (text, text.rstrip("=")):
        check(typed("binary"), form)


@pytest.mark.req("P-3.4.2.2-20", "S-2.3.7-03", "S-2.3.6-02")
def test_comparison_forms() -> None:
    """Text is folded unless it is case exact by definition or by type; numbers and booleans stay."""
    assert comparable(typed("string"), "ÉA") == "éa"
    for attribute in (typed("string", exact=True), typed("reference"), typed("binary")):
        assert comparable(attribute, "QuJd") == "QuJd"
    assert comparable(typed("dateTime"), "2024-01-01T02:00:00+02:00") == "2024-01-01T00:00:00.000000Z"
    assert comparable(typed("boolean"), False) is False
    assert comparable(typed("decimal"), 7.5) == 7.5
