"""DELETE (RFC 7644 section 3.6)."""

from __future__ import annotations

import pytest

from tests.api.expect import refused, unchanged
from tests.support.service import GROUP, USER, Client


@pytest.mark.req("P-3.6-01", "H-15.3.5-01")
def test_success_is_204_without_a_body(client: Client, name: str) -> None:
    for path in (f"/Users/{client.user(name)['id']}", f"/Groups/{client.group(name)['id']}"):
        response = client.delete(path)
        assert response.status_code == 204
        assert response.content == b""
        assert "Content-Type" not in response.headers
        assert response.headers.get("Content-Length", "0") == "0"


@pytest.mark.req("P-3.6-02", "P-3.6-05")
def test_afterwards_every_operation_on_the_id_is_404(client: Client, name: str) -> None:
    user, group = client.user(name)["id"], client.group(name)["id"]
    client.delete(f"/Users/{user}")
    client.delete(f"/Groups/{group}")
    rename = {"op": "replace", "path": "displayName", "value": "New"}
    documents = {"Users": {"schemas": [USER], "userName": name}, "Groups": {"schemas": [GROUP], "displayName": name}}
    for path in (f"/Users/{user}", f"/Groups/{group}"):
        refused(client.get(path), 404)
        refused(client.get(path, params={"attributes": "id"}), 404)
        refused(client.put(path, json=documents[path.split("/")[1]]), 404)
        refused(client.change(path, rename), 404)
        refused(client.delete(path), 404)
        assert client.head(path).status_code == 404


@pytest.mark.req("P-3.6-02")
def test_preconditions_do_not_bring_it_back(client: Client, name: str) -> None:
    path = f"/Users/{client.user(name)['id']}"
    tag = client.get(path).headers["ETag"]
    client.delete(path)
    for headers in ({"If-Match": "*"}, {"If-Match": tag}, {"If-None-Match": "*"}):
        refused(client.delete(path, headers=headers), 404)
        refused(client.get(path, headers=headers), 404)


@pytest.mark.req("P-3.6-03")
def test_afterwards_no_query_finds_it(client: Client, name: str) -> None:
    gone, stays = client.user(name, displayName=f"D {name}"), client.user(f"x{name}", displayName=f"D {name}")
    query = f'displayName eq "D {name}"'
    assert client.found("/Users", query) == {gone["id"], stays["id"]}
    client.delete(f"/Users/{gone['id']}")
    assert client.found("/Users", query) == {stays["id"]}
    assert client.found("/", query) == {stays["id"]}
    assert client.found("/Users", f'id eq "{gone["id"]}"') == set()
    assert client.found("/Users", f'not (id eq "{stays["id"]}") and {query}') == set()
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": query}
    for endpoint in ("/Users/.search", "/.search"):
        assert client.post(endpoint, json=body).json()["totalResults"] == 1


@pytest.mark.req("P-3.6-03")
def test_a_deleted_user_leaves_its_groups(client: Client, name: str) -> None:
    gone, stays = client.user(name)["id"], client.user(f"x{name}")["id"]
    path = f"/Groups/{client.group(name, gone, stays)['id']}"
    tag = client.get(path).headers["ETag"]
    client.delete(f"/Users/{gone}")
    after = client.get(path)
    assert [member["value"] for member in after.json()["members"]] == [stays]
    assert after.headers["ETag"] != tag
    assert client.found("/Groups", f'members[value eq "{gone}"]') == set()
    assert client.found("/Groups", f'members[value eq "{stays}"]') == {path.removeprefix("/Groups/")}


@pytest.mark.req("P-3.6-03")
def test_a_deleted_group_leaves_its_members(client: Client, name: str) -> None:
    user = client.user(name)["id"]
    gone, stays = client.group(name, user)["id"], client.group(f"x{name}", user)["id"]
    assert {group["value"] for group in client.get(f"/Users/{user}").json()["groups"]} == {gone, stays}
    client.delete(f"/Groups/{gone}")
    assert [group["value"] for group in client.get(f"/Users/{user}").json()["groups"]] == [stays]
    assert client.found("/Users", f'groups.value eq "{gone}"') == set()


@pytest.mark.req("P-3.6-04")
def test_a_deleted_name_is_free(client: Client, name: str) -> None:
    """For a new group, for another user, and for the same one when it comes back."""
    user, group, other = client.user(name)["id"], client.group(name)["id"], client.user(f"other-{name}")["id"]
    client.delete(f"/Users/{user}")
    client.delete(f"/Groups/{group}")
    assert client.group(name)["id"] != group
    assert client.change(f"/Users/{other}", {"op": "replace", "path": "userName", "value": name}).status_code == 200
    assert (
        client.change(f"/Users/{other}", {"op": "replace", "path": "userName", "value": "x" + name}).status_code == 200
    )
    assert client.user(name)["id"] == user


@pytest.mark.req("P-3.6-05")
@pytest.mark.parametrize("endpoint", ["/Users", "/Groups"])
def test_an_unknown_id_is_404(client: Client, endpoint: str) -> None:
    refused(client.delete(f"{endpoint}/6b0c4a0e-0000-4000-8000-000000000000"), 404)


@pytest.mark.req("P-3.6-05")
def test_an_id_of_another_type_is_404(client: Client, name: str) -> None:
    user, group = client.user(name)["id"], client.group(name)["id"]
    with unchanged(client, f"/Users/{user}", f"/Groups/{group}"):
        refused(client.delete(f"/Groups/{user}"), 404)
        refused(client.delete(f"/Users/{group}"), 404)


@pytest.mark.req("P-3.6-05")
def test_the_external_id_is_no_id(client: Client, name: str) -> None:
    user = client.user(name, externalId=f"ext-{name}")["id"]
    with unchanged(client, f"/Users/{user}"):
        refused(client.delete(f"/Users/ext-{name}"), 404)


def test_a_collection_is_not_deleted(client: Client, name: str) -> None:
    user = client.user(name)["id"]
    with unchanged(client, f"/Users/{user}"):
        refused(client.delete("/Users"), 405)
        refused(client.delete("/"), 405)
