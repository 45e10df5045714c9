"""Searches with a body over HTTP (RFC 7644 section 3.4.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from tests.api.answers import taken
from tests.api.expect import refused
from tests.support.service import SCIM_JSON, SEARCH_REQUEST, USER, Client


def post(client: Client, endpoint: str, members: Mapping[str, Any]) -> httpx.Response:
    """The answer to a SearchRequest with these members."""
    body = {"schemas": [SEARCH_REQUEST], **members}
    return client.post(f"{endpoint}/.search", json=body, headers={"Content-Type": SCIM_JSON})


@pytest.mark.req("P-3.4.3-01")
@pytest.mark.parametrize("endpoint", ["/Users", "/Groups", ""])
def test_a_search_creates_nothing(endpoint: str, client: Client, name: str) -> None:
    """200 with a ListResponse, and the totals stay, even when the body looks like a resource besides."""
    before = taken(client.get("/", params={"count": "0"}))["totalResults"]
    found = taken(post(client, endpoint, {"userName": name, "displayName": name, "count": 0}))
    assert found["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:ListResponse"]
    assert found["totalResults"] == taken(client.get(f"{endpoint}/", params={"count": "0"}))["totalResults"]
    assert taken(client.get("/", params={"count": "0"}))["totalResults"] == before


@pytest.mark.req("P-3.4.3-02")
@pytest.mark.parametrize(
    "schemas", [None, [], "", SEARCH_REQUEST, [USER], [SEARCH_REQUEST[:-1]], [7], [[SEARCH_REQUEST]]]
)
def test_the_body_is_a_search_request(schemas: object, client: Client) -> None:
    """Another, a missing or a malformed schemas is refused."""
    for endpoint in ("/Users", "/Groups", ""):
        refused(client.post(f"{endpoint}/.search", json={"schemas": schemas, "count": 1}), 400, "invalidSyntax")
        refused(client.post(f"{endpoint}/.search", json={"count": 1}), 400, "invalidSyntax")


@pytest.mark.req("P-3.4.3-03", "P-3.4.2.5-02")
@pytest.mark.parametrize("endpoint", ["/Users", ""])
@pytest.mark.parametrize(
    "members",
    [
        {},
        {"sortBy": "title"},
        {"sortBy": "title", "sortOrder": "descending"},
        {"sortBy": "userName", "sortOrder": "ascending", "startIndex": 2},
        {"sortBy": "userName", "count": 2},
        {"sortBy": "userName", "startIndex": 2, "count": 1},
        {"startIndex": -3, "count": -1},
        {"attributes": ["userName", "NAME.givenName"]},
        {"excludedAttributes": ["meta", "name.familyName"]},
    ],
)
def test_each_member_does_what_its_parameter_does(
    endpoint: str, members: dict[str, Any], client: Client, name: str
) -> None:
    """A SearchRequest and the query with the same parameters give the same answer."""
    for number, title in enumerate(("b", "c", "a")):
        body = {
            "schemas": [USER],
            "userName": f"{number}-{name}",
            "title": title,
            "name": {"givenName": "A", "familyName": "B"},
        }
        taken(client.create("/Users", body), 201)
    members = {"filter": f'userName ew "-{name}"', **members}
    query = {k: ",".join(v) if isinstance(v, list) else v for k, v in members.items()}
    asked = taken(client.get(f"{endpoint}/", params=query))
    assert asked["totalResults"] == 3
    assert taken(post(client, endpoint, members)) == asked
    renamed = {key.upper(): value for key, value in members.items()}
    assert taken(post(client, endpoint, renamed)) == asked


@pytest.mark.req("P-3.4.3-03")
def test_all_members_are_optional_and_null_is_left_out(client: Client) -> None:
    """A SearchRequest without members finds everything, and so does one whose members are null."""
    names = ("filter", "sortBy", "sortOrder", "startIndex", "count", "attributes", "excludedAttributes")
    found = taken(post(client, "/Users", {}))
    assert taken(post(client, "/Users", dict.fromkeys(names))) == found
    assert found["totalResults"] == taken(client.get("/Users"))["totalResults"]


@pytest.mark.req("P-3.4.3-04")
@pytest.mark.parametrize(
    "members",
    [
        {"count": "10"},
        {"count": 1.5},
        {"count": True},
        {"startIndex": "1"},
        {"filter": 7},
        {"filter": ["title pr"]},
        {"sortBy": ["title"]},
        {"sortOrder": 1},
        {"attributes": "userName"},
        {"attributes": [7]},
        {"excludedAttributes": {"userName": True}},
        {"count": 1, "COUNT": 2},
    ],
)
def test_wrong_types_are_refused(members: dict[str, Any], client: Client) -> None:
    """400 invalidSyntax for a member of another type and for one given twice."""
    for endpoint in ("/Users", ""):
        refused(post(client, endpoint, members), 400, "invalidSyntax")


@pytest.mark.req("P-3.4.3-04")
def test_the_media_types_of_a_search(client: Client) -> None:
    """application/scim+json and application/json are taken, with or without parameters, and others are 415."""
    body = f'{{"schemas": ["{SEARCH_REQUEST}"], "count": 0}}'
    for media_type in (SCIM_JSON, "application/json", "application/scim+json; charset=utf-8"):
        taken(client.post("/Users/.search", content=body, headers={"Content-Type": media_type}))
    for media_type in ("text/plain", "application/xml", "application/x-www-form-urlencoded"):
        refused(client.post("/Users/.search", content=body, headers={"Content-Type": media_type}), 415)
    for broken in ("", "{", "[]", "null"):
        response = client.post("/Users/.search", content=broken, headers={"Content-Type": SCIM_JSON})
        refused(response, 400, "invalidSyntax")


@pytest.mark.req("P-3.4.3-03", "P-3.4.2.2-30")
def test_refusals_are_those_of_the_query(client: Client) -> None:
    """A bad filter, sort, order or choice of attributes is refused with the same keyword as in the query."""
    refused(post(client, "/Users", {"filter": "title"}), 400, "invalidFilter")
    refused(post(client, "/Users", {"filter": ""}), 400, "invalidFilter")
    refused(post(client, "/Users", {"sortBy": "name"}), 400, "invalidPath")
    refused(post(client, "/Users", {"sortOrder": "up"}), 400, "invalidValue")
    refused(post(client, "/Users", {"attributes": ["title"], "excludedAttributes": ["meta"]}), 400, "invalidValue")
    refused(post(client, "/Users", {"filter": "password pr"}), 403, "sensitive")
