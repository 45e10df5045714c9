"""Reading one resource and listing many over HTTP (RFC 7644 sections 3.4.1 and 3.4.2)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.answers import taken
from tests.api.expect import refused
from tests.api.schemas import TRAITS
from tests.support.service import ENTERPRISE, GROUP, USER, Client

LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


@pytest.mark.req("P-3.4-01")
def test_a_read_shows_what_is_returned_by_default(client: Client, name: str) -> None:
    """Attributes returned always and by default are there; those returned on request or never are not."""
    traits = {"clearance": "blue", "realm": "sea", "plain": "x"}
    user = client.user(name, password="Correct-Horse-42", title="Pilot", **{TRAITS: traits})
    shown = taken(client.get(f"/Users/{user['id']}"))
    assert shown.keys() == {"schemas", "id", "meta", "userName", "title", TRAITS}
    assert shown[TRAITS] == {"realm": "sea", "plain": "x"}
    listed = taken(client.search("/Users", f'userName eq "{name}"'))["Resources"]
    assert listed == [shown]


@pytest.mark.req("P-3.4.1-01", "P-3.4.1-03")
@pytest.mark.parametrize("endpoint", ["/Users", "/Groups"])
def test_a_known_resource_is_read_by_its_id(endpoint: str, client: Client, name: str) -> None:
    """200 with the bare resource."""
    body = {"schemas": [USER], "userName": name} if endpoint == "/Users" else {"schemas": [GROUP], "displayName": name}
    created = taken(client.create(endpoint, body), 201)
    response = client.get(f"{endpoint}/{created['id']}")
    shown = taken(response)
    assert shown["schemas"] == body["schemas"]
    assert "Resources" not in shown
    assert response.headers["Content-Type"] == "application/scim+json"


@pytest.mark.req("P-3.4.1-01")
@pytest.mark.parametrize(
    "id",
    [
        "nobody",
        "1",
        "00000000-0000-4000-8000-000000000000",
        "%00",
        "%27%20OR%20%271%27=%271",
        "a" * 2000,
        "%F0%9F%9B%B0",
        "..%2E",
        "*",
        "%0d%0aX-Injected:%201",
    ],
)
def test_an_unknown_id_is_not_found(id: str, client: Client) -> None:
    """404 with an Error body, whatever the id looks like."""
    for endpoint in ("/Users", "/Groups"):
        response = client.get(f"{endpoint}/{id}")
        refused(response, 404)
        assert "X-Injected" not in response.headers


@pytest.mark.req("P-3.4.1-02")
def test_an_id_of_another_type_is_not_found(client: Client, name: str) -> None:
    """A user is no group and a group is no user, for every method."""
    user, group = client.user(name), client.group(f"g-{name}")
    for path in (f"/Groups/{user['id']}", f"/Users/{group['id']}"):
        refused(client.get(path), 404)
        refused(client.change(path, {"op": "add", "path": "externalId", "value": "x"}), 404)
        refused(client.delete(path), 404)
    refused(client.put(f"/Groups/{user['id']}", json={"schemas": [GROUP], "displayName": "x"}), 404)
    assert taken(client.get(f"/Users/{user['id']}")) == user


@pytest.mark.req("P-3.4.2-01", "P-3.4.2-03", "P-3.4.2-04")
def test_a_list_counts_all_and_shows_a_page(client: Client, name: str) -> None:
    """totalResults, startIndex and itemsPerPage are JSON integers that describe the page and the whole."""
    for number in range(12):
        client.user(f"{number:02}-{name}")
    page = taken(client.search("/Users", f'userName ew "-{name}"', count="2", startIndex="4"))
    assert page["schemas"] == [LIST]
    assert (page["totalResults"], page["startIndex"], page["itemsPerPage"]) == (12, 4, 2)
    assert all(type(page[m]) is int for m in ("totalResults", "startIndex", "itemsPerPage"))
    assert len(page["Resources"]) == 2
    for endpoint in ("/Users", "/Groups", "/"):
        whole = taken(client.get(endpoint))
        assert whole["totalResults"] >= len(whole["Resources"]) == whole["itemsPerPage"]


@pytest.mark.req("P-3.4.2-02", "P-3.4.1-01")
def test_no_match_is_an_empty_list(client: Client) -> None:
    """200 with totalResults 0 and no resources, where a read by id would be 404."""
    for endpoint in ("/Users", "/Groups", "/"):
        page = taken(client.search(endpoint, 'externalId eq "nobody has this"'))
        assert page["schemas"] == [LIST]
        assert page["totalResults"] == 0
        assert page["Resources"] == []


@pytest.mark.req("P-3.4.2-06")
@pytest.mark.parametrize(
    "query",
    [
        "count=abc",
        "count=1.5",
        "count=",
        "count=1%0A",
        "count=%D9%A1",
        "startIndex=one",
        "startIndex=1e3",
        "count=1&count=2",
        'filter=title%20pr&filter=userName%20eq%20"a"',
        "attributes=userName&attributes=title",
        "sortOrder=up",
        "attributes=userName&excludedAttributes=title",
        "filter=%FF",
    ],
)
def test_malformed_and_repeated_parameters_are_refused(query: str, client: Client) -> None:
    """400 invalidValue rather than a guess."""
    for endpoint in ("/Users", "/"):
        refused(client.get(f"{endpoint}?{query}"), 400, "invalidValue")


@pytest.mark.req("P-3.4.2-07")
def test_listed_resources_are_whole_resources(client: Client, name: str) -> None:
    """Each entry has id and schemas after a projection, and without one is what a read gives."""
    ids = [client.user(f"{n}-{name}", **{ENTERPRISE: {"division": "N"}})["id"] for n in range(3)]
    client.group(f"g-{name}", *ids)
    scope = f'userName ew "-{name}"'
    projected = taken(client.search("/Users", scope, attributes="userName"))["Resources"]
    assert [r.keys() for r in projected] == [{"schemas", "id", "userName"}] * 3
    for entry in taken(client.search("/Users", scope))["Resources"]:
        assert entry == taken(client.get(f"/Users/{entry['id']}"))
        assert entry["groups"][0]["display"] == f"g-{name}"


@pytest.mark.req("P-3.4.2-08")
def test_pages_are_stable(client: Client, name: str) -> None:
    """Two walks over the pages give the same sequence without repetition or gap, sorted or not."""
    created = {client.user(f"{n}-{name}", title="same")["id"] for n in range(7)}
    for order in ({}, {"sortBy": "title"}, {"sortBy": "title", "sortOrder": "descending"}):
        walks: list[list[Any]] = [[], []]
        for walk in walks:
            for start in ("1", "4", "7"):
                page = client.search("/Users", f'userName ew "-{name}"', startIndex=start, count="3", **order)
                walk.extend(r["id"] for r in taken(page)["Resources"])
        assert walks[0] == walks[1]
        assert len(walks[0]) == 7
        assert set(walks[0]) == created


@pytest.mark.req("P-3.4.2.1-01", "P-3.4.2.1-03")
def test_a_query_at_the_root_covers_all_types(client: Client, name: str) -> None:
    """Users and groups are found together; an attribute that a type does not have is unassigned there."""
    user = client.user(name, externalId=name)["id"]
    group = taken(client.create("/Groups", {"schemas": [GROUP], "displayName": name, "externalId": name}), 201)["id"]
    scope = f'and externalId eq "{name}"'
    assert client.found("/", f'externalId eq "{name}"') == {user, group}
    assert client.found("/", f'meta.resourceType eq "Group" {scope}') == {group}
    assert client.found("/", f"userName pr {scope}") == {user}
    assert client.found("/", f"not (userName pr) {scope}") == {group}
    assert client.found("/", f"members eq null {scope}") == {user, group}
    assert client.found("/", f'userName ne "x" {scope}') == {user, group}
    page = taken(client.search("/", f'externalId eq "{name}"', count="1", startIndex="2"))
    assert (page["totalResults"], page["itemsPerPage"]) == (2, 1)
    found = taken(client.search("/", f'externalId eq "{name}"', sortBy="meta.created", sortOrder="descending"))
    assert [r["id"] for r in found["Resources"]] == [group, user]


@pytest.mark.req("P-3.4.2.1-02")
def test_too_many_results_are_refused(client: Client) -> None:
    """Results sorted over all types are given up to a depth; beyond it the answer is 400 tooMany, never a part."""
    deep = {"sortBy": "meta.created", "startIndex": "10001", "count": "1"}
    refused(client.get("/", params=deep), 400, "tooMany")
    assert taken(client.get("/", params={**deep, "startIndex": "10000"}))["Resources"] == []
    assert taken(client.get("/Users", params=deep))["Resources"] == []


@pytest.mark.req("P-3.4.2.1-04")
def test_a_filter_on_one_resource_is_ignored(client: Client, name: str) -> None:
    """A read by id answers with the resource, whatever filter it carries."""
    user = client.user(name)
    assert taken(client.search(f"/Users/{user['id']}", 'userName eq "other"')) == user
