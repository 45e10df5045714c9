"""What filters may not do, and what they compare with, over HTTP (RFC 7644 sections 3.4.2.2 and 7.5.2)."""

from __future__ import annotations

import json

import pytest

from tests.api.answers import taken
from tests.api.expect import refused
from tests.support.service import USER, Client

pytestmark = pytest.mark.every_store


@pytest.mark.req("P-3.4.2.2-13")
@pytest.mark.parametrize(
    "filter",
    [
        "(" * 10_000 + "title pr" + ")" * 10_000,
        "not (" * 2_000 + "title pr" + ")" * 2_000,
        "(" * 1_000,
        "[" * 1_000,
        " or ".join(["title pr"] * 700),
        'title eq "' + "x" * 20_000 + '"',
    ],
)
def test_depth_and_length_are_bounded(filter: str, client: Client) -> None:
    """A filter that is nested too deeply or too long is 400 invalidFilter; GET and .search are the same."""
    search = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": filter}
    refused(client.post("/Users/.search", json=search), 400, "invalidFilter")
    refused(client.search("/Users", filter), 400, "invalidFilter")


@pytest.mark.req("P-3.4.2.2-20")
@pytest.mark.parametrize(
    ("stored", "asked"),
    [("ÉLOISE", "éloise"), ("Straße", "STRASSE"), ("Ａｄａ", "ada"), ("Ange\u0301lique", "angélique")],
)
def test_text_is_compared_by_case_folding(stored: str, asked: str, client: Client, name: str) -> None:
    """Without caseExact, text is equal after folding in every script; with it, only as it is."""
    user = client.user(f"{stored}-{name}", displayName=stored, externalId=stored)
    for attribute in ("displayName", "userName"):
        for operator in ("eq", "sw"):
            value = f"{asked}-{name}" if attribute == "userName" else asked
            filter = f'{attribute} {operator} "{value}" and userName ew "{name}"'
            assert client.found("/Users", filter) == {user["id"]}, filter
    assert client.found("/Users", f'externalId eq "{asked}" and userName ew "{name}"') == set()
    assert client.found("/Users", f'externalId eq "{stored}" and userName ew "{name}"') == {user["id"]}


@pytest.mark.req("P-3.4.2.2-24")
def test_comparisons_use_what_is_returned(client: Client, name: str) -> None:
    """`active` has no default: a user that was given none shows none, and is found by neither value."""
    user = client.user(name)
    assert "active" not in taken(client.get(f"/Users/{user['id']}"))
    for value in ("true", "false"):
        assert client.found("/Users", f'active eq {value} and userName eq "{name}"') == set()
    taken(client.change(f"/Users/{user['id']}", {"op": "add", "path": "active", "value": True}))
    assert client.found("/Users", f'active eq true and userName eq "{name}"') == {user["id"]}
    shown = taken(client.get(f"/Users/{user['id']}"))
    for path in ("created", "lastModified", "version", "location"):
        filter = f"meta.{path} eq {json.dumps(shown['meta'][path])} and userName eq {json.dumps(name)}"
        assert client.found("/Users", filter) == {user["id"]}


@pytest.mark.req("P-3.4.2.2-30", "S-4.1.1-12")
@pytest.mark.parametrize(
    "test",
    [
        'password eq "Correct-Horse-42"',
        'password sw "C"',
        'password co "x"',
        'password gt "a"',
        "password pr",
        "password ne null",
        "password eq null",
        'PassWord eq "x"',
        f"{USER}:password pr",
    ],
)
def test_a_password_can_not_be_asked_about(test: str, client: Client, name: str) -> None:
    """403 sensitive for every operator and operand, alone, negated or combined, and for sorting; nothing is told."""
    client.user(name, password="Correct-Horse-42")
    for filter in (test, f"not ({test})", f'userName eq "{name}" and {test}', f'userName eq "nobody" and {test}'):
        for endpoint in ("/Users", "/"):
            refused(client.search(endpoint, filter), 403, "sensitive")
    refused(client.get("/Users", params={"sortBy": "password"}), 403, "sensitive")


@pytest.mark.req("P-3.4.2.2-02", "P-3.4.2.2-31", "S-9.2-02")
@pytest.mark.parametrize(
    "filter",
    [
        "title eq \"' OR '1'='1\"",
        'title eq "x\\"; DROP TABLE users; --"',
        'title co "%"',
        'title eq "*)(objectClass=*"',
        'shoeSize eq "42"',
        'title eq ""',
    ],
)
def test_hostile_text_selects_nothing_more(filter: str, client: Client, name: str) -> None:
    """Quotes, wildcards and unknown attributes never widen the result."""
    user = client.user(name, title="Pilot")
    assert user["id"] not in client.found("/Users", filter)
    assert client.found("/Users", f'not ({filter}) and userName eq "{name}"') == {user["id"]}


@pytest.mark.parametrize("early", ["0001-01-01T00:00:00Z", "0999-12-31T23:59:59Z", "2000-01-01T00:00:00+14:00"])
@pytest.mark.parametrize("late", ["2999-01-01T00:00:00-12:00", "9999-12-31T23:59:59Z"])
def test_times_at_the_ends_of_the_calendar(client: Client, name: str, early: str, late: str) -> None:
    user = client.user(name)["id"]
    for path in ("meta.created", "meta.lastModified"):
        for between in (f'{path} gt "{early}"', f'{path} lt "{late}"', f'{path} ge "{early}" and {path} le "{late}"'):
            assert client.found("/Users", f'userName eq "{name}" and {between}') == {user}, between
        for beyond in (f'{path} lt "{early}"', f'{path} gt "{late}"', f'{path} eq "{early}"'):
            assert client.found("/Users", f'userName eq "{name}" and {beyond}') == set(), beyond
