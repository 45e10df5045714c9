"""Sorting over HTTP (RFC 7644 section 3.4.2.3)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.answers import VECTOR, names, taken
from tests.api.expect import refused
from tests.support.service import ENTERPRISE, GROUP, USER, Client


def order(client: Client, name: str, sort_by: str, **parameters: str) -> str:
    """The first letters of the userNames of this test's users, in the order of the answer."""
    found = client.search("/Users", f'userName ew "-{name}"', sortBy=sort_by, count="100", **parameters)
    return "".join(n[0] for n in names(found))


def make(client: Client, name: str, **attributes: dict[str, Any]) -> None:
    """Users whose names start with the given letters."""
    for letter, values in attributes.items():
        taken(client.create("/Users", {"schemas": [USER], "userName": f"{letter}-{name}", **values}), 201)


@pytest.mark.req("P-3.4.2.3-02", "P-3.4.2.3-05")
@pytest.mark.parametrize("path", ["name.familyName", "NAME.FAMILYNAME", f"{USER}:name.familyName"])
def test_sorting_by_a_sub_attribute(path: str, client: Client, name: str) -> None:
    """A sub-attribute path orders, ascending where nothing else is asked."""
    make(
        client,
        name,
        a={"name": {"familyName": "Moss"}},
        b={"name": {"familyName": "Fell"}},
        c={"name": {"familyName": "Dyer"}},
    )
    assert order(client, name, path) == "cba"
    assert order(client, name, path, sortOrder="ascending") == "cba"
    assert order(client, name, path, sortOrder="descending") == "abc"
    assert order(client, name, path, sortOrder="Descending") == "abc"


@pytest.mark.req("P-3.4.2.3-02", "P-3.4.2.3-08")
@pytest.mark.parametrize(
    "path",
    [
        "name",
        "meta",
        "addresses",
        "schemas",
        "groups",
        "members",
        "manager.displayName",
        "foo",
        "a b",
        "name.foo",
        "1",
        ".",
    ],
)
def test_what_has_no_order_is_refused(path: str, client: Client) -> None:
    """400 invalidPath for complex attributes, relations, unknown and malformed names."""
    for endpoint in ("/Users", "/"):
        refused(client.get(endpoint, params={"sortBy": path}), 400, "invalidPath")


@pytest.mark.req("P-3.4.2.3-03")
@pytest.mark.parametrize("path", ["emails", "emails.value"])
def test_the_primary_value_decides_else_the_first(path: str, client: Client, name: str) -> None:
    """A multi-valued attribute is ordered by its primary value, or by the first where none is."""
    make(
        client,
        name,
        a={"emails": [{"value": "1@t.example"}, {"value": "9@t.example", "primary": True}]},
        b={"emails": [{"value": "5@t.example"}, {"value": "0@t.example"}]},
        c={"emails": [{"value": "3@t.example", "primary": True}, {"value": "8@t.example"}]},
    )
    assert order(client, name, path) == "cba"
    assert order(client, name, path, sortOrder="descending") == "abc"


@pytest.mark.req("P-3.4.2.3-04")
@pytest.mark.parametrize("path", ["title", f"{ENTERPRISE}:department", f"{VECTOR}:level", "emails"])
def test_resources_without_a_value_come_last_ascending(path: str, client: Client, name: str) -> None:
    """Ascending they come at the end, descending at the start."""
    values: dict[str, dict[str, dict[str, Any]]] = {
        "title": {"a": {"title": "x"}, "b": {"title": "y"}},
        f"{ENTERPRISE}:department": {"a": {ENTERPRISE: {"department": "x"}}, "b": {ENTERPRISE: {"department": "y"}}},
        f"{VECTOR}:level": {"a": {VECTOR: {"level": -1}}, "b": {VECTOR: {"level": 1}}},
        "emails": {"a": {"emails": [{"value": "x"}]}, "b": {"emails": [{"value": "y"}]}},
    }
    make(client, name, c={}, **values[path])
    assert order(client, name, path) == "abc"
    assert order(client, name, path, sortOrder="descending") == "cba"


@pytest.mark.req("P-3.4.2.3-05")
@pytest.mark.parametrize("value", ["up", "desc", "1"])
def test_the_order_is_one_of_two(value: str, client: Client) -> None:
    """Another sortOrder is refused, in the query and in a SearchRequest."""
    refused(client.get("/Users", params={"sortBy": "userName", "sortOrder": value}), 400, "invalidValue")
    body = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
        "sortBy": "userName",
        "sortOrder": value,
    }
    refused(client.post("/Users/.search", json=body), 400, "invalidValue")


@pytest.mark.req("P-3.4.2.3-06")
def test_the_order_follows_the_type(client: Client, name: str) -> None:
    """Text by folded or exact code points, numbers by value, times by instant, booleans false first."""
    make(
        client,
        name,
        a={
            "displayName": "Zoe",
            "externalId": "B",
            "active": True,
            VECTOR: {"level": 10, "score": 9.75, "hired": "2024-01-01T01:00:00+02:00"},
        },
        b={
            "displayName": "émile",
            "externalId": "a",
            "active": False,
            VECTOR: {"level": 9, "score": 10, "hired": "2024-01-01T00:00:00Z"},
        },
        c={
            "displayName": "adam",
            "externalId": "C",
            VECTOR: {"level": -11, "score": -0.5, "hired": "2023-12-31T22:30:00Z"},
        },
    )
    assert order(client, name, "displayName") == "cab"
    assert order(client, name, "externalId") == "acb"
    assert order(client, name, f"{VECTOR}:level") == "cba"
    assert order(client, name, f"{VECTOR}:score") == "cab"
    assert order(client, name, f"{VECTOR}:hired") == "cab"
    assert order(client, name, "active") == "bac"
    assert order(client, name, "meta.created") == "abc"


@pytest.mark.req("P-3.4.2.3-06")
def test_user_names_are_ordered_without_case(client: Client, name: str) -> None:
    """userName orders without regard to case, also over all types at the root."""
    for letter in ("b", "A", "C"):
        client.user(f"{letter}-{name}")
    assert order(client, name, "userName") == "AbC"
    found = client.search("/", f'userName ew "-{name}"', sortBy="userName", sortOrder="descending")
    assert [n[0] for n in names(found)] == ["C", "b", "A"]


@pytest.mark.req("P-3.4.2.3-07")
@pytest.mark.parametrize("endpoint", ["/Users", "/"])
def test_the_whole_result_is_sorted_before_paging(endpoint: str, client: Client, name: str) -> None:
    """The pages together are one sorted list."""
    for number in (5, 3, 8, 1, 7, 2, 6, 4):
        client.user(f"{number}-{name}", displayName=f"d{9 - number}")
    walked: list[str] = []
    for start in ("1", "4", "7"):
        found = client.search(endpoint, f'userName ew "-{name}"', sortBy="displayName", startIndex=start, count="3")
        walked += [n[0] for n in names(found)]
    assert "".join(walked) == "87654321"


@pytest.mark.req("P-3.4.2.3-04", "P-3.4.2.1-03")
def test_types_without_the_attribute_come_last_at_the_root(client: Client, name: str) -> None:
    """Over all types, those that do not have the attribute have no value of it."""
    user = client.user(name, externalId=name, title="Pilot")["id"]
    body = {"schemas": [GROUP], "displayName": name, "externalId": name}
    group = taken(client.create("/Groups", body), 201)["id"]
    for direction, expected in (("ascending", [user, group]), ("descending", [group, user])):
        found = client.search("/", f'externalId eq "{name}"', sortBy="title", sortOrder=direction)
        assert [r["id"] for r in taken(found)["Resources"]] == expected
