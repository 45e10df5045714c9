"""Filters, query parameters and injections that no client should send."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.api.expect import new_user, refused, unchanged
from tests.api.hostile import INJECTIONS, JSON, assert_refused, sent
from tests.support.service import ENTERPRISE, GROUP, SEARCH_REQUEST, USER, Client


@pytest.fixture
def user(client: Client, name: str) -> str:
    return new_user(client, name, title="Pilot", emails=[{"type": "work", "value": f"mira-{name}"}])


@pytest.mark.parametrize(
    "filter",
    [
        "(" * 1000 + "title pr" + ")" * 1000,
        "(" * 1000,
        ")" * 1000,
        "[" * 1000,
        "emails[" * 1000 + 'value eq "x"' + "]" * 1000,
        "not (" * 1000 + "title pr" + ")" * 1000,
        " and ".join(["title pr"] * 10_000),
        'title eq "' + "x" * 100_000 + '"',
        "x" * 100_000,
        " " * 100_000,
        '"' * 100_000,
        "\\" * 100_000,
        "title eq " + "9" * 100_000,
        "a." * 50_000 + "b pr",
        "urn:" * 25_000 + "x pr",
    ],
    ids=lambda text: f"{text[:12]}{len(text)}",
)
@pytest.mark.every_store(directories=False)
def test_filters_that_are_too_large(client: Client, user: str, filter: str) -> None:
    refused(client.post("/Users/.search", json={"schemas": [SEARCH_REQUEST], "filter": filter}), 400, "invalidFilter")
    refused(client.post("/.search", json={"schemas": [SEARCH_REQUEST], "filter": filter}), 400, "invalidFilter")
    if len(filter) < 50_000:
        refused(client.search("/Users", filter), 400, "invalidFilter")
    operation = {"op": "remove", "path": f"emails[{filter}]"}
    with unchanged(client, user):
        response = client.change(user, operation)
        assert response.status_code == 400
        assert response.json()["scimType"] in ("invalidFilter", "invalidPath")


@pytest.mark.parametrize("text", INJECTIONS)
@pytest.mark.every_store
def test_injections_as_filter_operands_find_nothing(client: Client, user: str, text: str) -> None:
    operand = json.dumps(text)
    for path in ("userName", "displayName", "externalId", "id", "emails.value", "meta.location", "groups.value"):
        assert client.found("/Users", f"{path} eq {operand}") == set()
    for operator in ("co", "sw", "ew"):
        assert client.found("/Users", f"title {operator} {operand}") == set()
    assert client.found("/Users", f"emails[type eq {operand} and value co {operand}]") == set()
    assert client.found("/Groups", f"members eq {operand} or displayName eq {operand}") == set()
    id = user.removeprefix("/Users/")
    assert client.found("/Users", f'id eq "{id}" and title ne {operand}') == {id}


@pytest.mark.parametrize("text", INJECTIONS)
def test_injections_as_filters_and_names_are_refused(client: Client, text: str) -> None:
    for filter in (text, f'{text} eq "x"', f"title {text} x", f"title eq {text}", f"emails[{text}]", f"not ({text})"):
        for endpoint in ("/Users", "/"):
            response = client.search(endpoint, filter)
            if response.status_code == 200:
                # Some are a good attribute name: an attribute that no schema defines has no value.
                assert response.json()["totalResults"] == 0
            else:
                refused(response, 400, "invalidFilter")
    response = client.get("/Users", params={"sortBy": text})
    refused(response, 400, "invalidPath")
    for parameter in ("attributes", "excludedAttributes"):
        assert client.get("/Users", params={parameter: text, "count": "1"}).status_code == 200
    for parameter in ("sortOrder", "startIndex", "count"):
        refused(client.get("/Users", params={parameter: text}), 400, "invalidValue")


@pytest.mark.parametrize("text", INJECTIONS)
@pytest.mark.every_store
def test_injections_as_values_are_text(client: Client, name: str, text: str) -> None:
    document = {
        "schemas": [USER, ENTERPRISE],
        "userName": name,
        "displayName": text,
        "externalId": text,
        "name": {"givenName": text},
        "emails": [{"value": text, "type": text, "display": text}],
        ENTERPRISE: {"department": text, "manager": {"value": text}},
    }
    created = client.create("/Users", document)
    assert created.status_code == 201, created.text
    read = client.get(f"/Users/{created.json()['id']}")
    assert {key: read.json()[key] for key in document} == document
    assert "x-evil" not in read.headers
    operand = json.dumps(text)
    assert created.json()["id"] in client.found("/Users", f"displayName eq {operand} and externalId eq {operand}")
    group = client.create("/Groups", {"schemas": [GROUP], "displayName": f"{name}{text}", "externalId": text})
    assert group.json()["displayName"] == f"{name}{text}"
    refused(
        client.create("/Groups", {"schemas": [GROUP], "displayName": text + name, "members": [text]}),
        400,
        "invalidValue",
    )
    client.delete(f"/Users/{created.json()['id']}")
    client.delete(f"/Groups/{group.json()['id']}")


@pytest.mark.parametrize("text", INJECTIONS)
@pytest.mark.every_store
def test_injections_as_user_names_are_text_or_refused(client: Client, name: str, text: str) -> None:
    response = client.create("/Users", {"schemas": [USER], "userName": text})
    if response.status_code == 201:
        assert response.json()["userName"] == text
        client.delete(f"/Users/{response.json()['id']}")
    else:
        refused(response, 400, "invalidValue")


@pytest.mark.parametrize("text", INJECTIONS)
def test_injections_as_patch_paths_are_refused(client: Client, user: str, text: str) -> None:
    with unchanged(client, user):
        for path in (text, f"emails[{text}].value", f'emails[type eq "work"].{text}', f"name.{text}", f"urn:{text}:x"):
            response = client.change(user, {"op": "replace", "path": path, "value": "x"})
            assert response.status_code == 400
            assert response.json()["scimType"] in ("invalidPath", "invalidFilter", "noTarget", "invalidValue")


@pytest.mark.parametrize(
    "query",
    [
        "filter=%FF",
        "filter=userName%20eq%20%22%C3%22",
        "filter=title%20eq%20%22%ED%A0%80%22",
        "%FF=x",
        "attributes=%FF",
        "sortBy=%C0%AF",
        "count=%FF",
        "filter=title%20pr&filter=active%20pr",
        "count=1&count=2",
        "attributes=a&attributes=b",
        "count=",
        "count=1.5",
        "count=1e3",
        "count=%31%00",
        "count=0x10",
        "count=one",
        "count=%D9%A3",
        "startIndex=",
        "startIndex=--1",
        "startIndex=1_0",
        "sortOrder=sideways",
        "sortBy=colour",
        "sortBy=emails%5Btype%20eq%20%22work%22%5D",
        "&".join(f"p{n}=x" for n in range(1000)),
        "filter=title%20eq%20%22%00%22",
        "filter=",
        "filter=%20",
    ],
    ids=lambda text: text[:30],
)
def test_malformed_queries(client: Client, query: str) -> None:
    for endpoint in ("/Users", "/Groups", "/"):
        assert_refused(sent(client, "GET", f"{endpoint}?{query}"))


@pytest.mark.parametrize("number", [-1, 0, -(10**30) + 1, -(2**63), -(2**63) - 1])
@pytest.mark.every_store
def test_counts_below_one(client: Client, user: str, number: int) -> None:
    for parameter, expected in (("startIndex", 1), ("count", 0)):
        answer = client.get("/Users", params={parameter: str(number)}).json()
        assert answer["startIndex"] == 1
        if expected == 0:
            assert (answer["itemsPerPage"], answer["Resources"]) == (0, [])
        body = {"schemas": [SEARCH_REQUEST], parameter: number}
        assert client.post("/Users/.search", json=body).json()["startIndex"] == 1


@pytest.mark.parametrize("number", [10**6, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**30 - 1])
@pytest.mark.every_store
def test_huge_counts(client: Client, user: str, number: int) -> None:
    for endpoint in ("/Users", "/Groups", "/"):
        far = client.get(endpoint, params={"startIndex": str(number)}).json()
        assert (far["itemsPerPage"], far["Resources"]) == (0, [])
        assert far["totalResults"] >= 0
        many = client.get(endpoint, params={"count": str(number)}).json()
        assert many["itemsPerPage"] == len(many["Resources"]) <= 1000
        body = {"schemas": [SEARCH_REQUEST], "startIndex": number, "count": number}
        assert client.post(f"{endpoint.rstrip('/')}/.search", json=body).json()["Resources"] == []


@pytest.mark.parametrize("number", [10**30, -(10**30), 10**1000])
@pytest.mark.every_store
def test_numbers_beyond_all_reason(client: Client, number: int) -> None:
    for parameter in ("startIndex", "count"):
        response = client.get("/Users", params={parameter: str(number)})
        assert response.status_code in (200, 400)
        body = {"schemas": [SEARCH_REQUEST], parameter: number}
        assert client.post("/Users/.search", json=body).status_code in (200, 400)


@pytest.mark.parametrize("value", [1.0, "1", True, [1], {}, 1e400])
@pytest.mark.parametrize("member", ["count", "startIndex"])
def test_posted_numbers_are_integers(client: Client, member: str, value: Any) -> None:
    body = json.dumps({"schemas": [SEARCH_REQUEST], member: value})
    refused(client.post("/Users/.search", content=body, headers=JSON), 400, "invalidSyntax")


@pytest.mark.parametrize(
    "members",
    [
        {"filter": 7},
        {"filter": ["title pr"]},
        {"attributes": "userName"},
        {"attributes": [7]},
        {"excludedAttributes": {"a": 1}},
        {"sortBy": 7},
        {"sortOrder": True},
        {"filter": "title pr", "FILTER": "active pr"},
    ],
)
def test_malformed_search_requests(client: Client, members: Mapping[str, Any]) -> None:
    for endpoint in ("/.search", "/Users/.search"):
        refused(client.post(endpoint, json={"schemas": [SEARCH_REQUEST], **members}), 400, "invalidSyntax")
