"""Replace over HTTP (RFC 7644 section 3.5.1); immutable attributes are in test_characteristics."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.answers import taken
from tests.api.expect import refused
from tests.support.service import ENTERPRISE, GROUP, SCIM_JSON, USER, Client

FULL: dict[str, Any] = {
    "externalId": "x-1",
    "name": {"givenName": "Ada", "familyName": "Moss"},
    "title": "Pilot",
    "active": True,
    "emails": [{"value": "ada@tern.example", "type": "work", "primary": True}],
    "roles": [{"value": "captain"}],
    ENTERPRISE: {"department": "Decks", "manager": {"value": "m-1"}},
}


def put(client: Client, path: str, user_name: str, /, **attributes: Any) -> httpx.Response:
    """The answer to a PUT of a user with these attributes."""
    body = {"schemas": [USER], "userName": user_name, **attributes}
    return client.put(path, json=body, headers={"Content-Type": SCIM_JSON})


def full(client: Client, user_name: str) -> dict[str, Any]:
    return taken(client.create("/Users", {"schemas": [USER], "userName": user_name, **FULL}), 201)


@pytest.mark.req("P-3.5-01", "P-3.5.1-02", "P-3.5.1-08")
def test_a_put_replaces_the_values(client: Client, name: str) -> None:
    """The answer is 200 with the whole resource, a new version and the values given, which a read then shows."""
    user = full(client, name)
    path = f"/Users/{user['id']}"
    given = {"title": "Cook", "name": {"givenName": "Bo"}, "emails": [{"value": "bo@tern.example"}], "active": False}
    response = put(client, path, name, **given)
    shown = taken(response)
    assert {k: shown[k] for k in given} == given
    assert shown["id"] == user["id"]
    assert shown["meta"]["created"] == user["meta"]["created"]
    assert shown["meta"]["lastModified"] > user["meta"]["lastModified"]
    assert response.headers["ETag"] == shown["meta"]["version"] != user["meta"]["version"]
    assert taken(client.get(path)) == shown


@pytest.mark.req("P-3.5.1-03", "P-3.5.1-02", "P-3.1-03")
def test_what_is_left_out_is_cleared(client: Client, name: str) -> None:
    """Attributes, sub-attributes and extensions that a PUT does not hold are gone, for filters too."""
    user = full(client, name)
    path = f"/Users/{user['id']}"
    shown = taken(put(client, path, name, name={"familyName": "Moss"}))
    assert shown.keys() == {"schemas", "id", "meta", "userName", "name"}
    assert shown["schemas"] == [USER]
    assert shown["name"] == {"familyName": "Moss"}
    assert taken(client.get(path)) == shown
    for gone in ("externalId", "title", "active", "emails", "roles", "department", "manager", "name.givenName"):
        assert client.found("/Users", f'{gone} pr and userName eq "{name}"') == set(), gone


@pytest.mark.req("P-3.5.1-01")
@pytest.mark.parametrize("id", ["nobody", "00000000-0000-4000-8000-000000000000"])
def test_a_put_never_creates(id: str, client: Client, name: str) -> None:
    """404 for an unknown id of either type, and nothing is there afterwards."""
    refused(put(client, f"/Users/{id}", name, id=id), 404)
    refused(client.put(f"/Groups/{id}", json={"schemas": [GROUP], "displayName": name}), 404)
    assert client.found("/Users", f'userName eq "{name}"') == set()
    assert client.found("/Groups", f'displayName eq "{name}"') == set()


@pytest.mark.req("P-3.5.1-04")
def test_null_and_empty_clear(client: Client, name: str) -> None:
    """null, [] and "" unassign as leaving out does."""
    user = full(client, name)
    path = f"/Users/{user['id']}"
    shown = taken(
        put(client, path, name, roles=[], emails=None, title="", active=None, **{ENTERPRISE: {"manager": None}})
    )
    assert shown.keys() == {"schemas", "id", "meta", "userName"}
    assert taken(client.get(path)) == shown
    assert client.found("/Users", f'roles pr and userName eq "{name}"') == set()


@pytest.mark.req("P-3.5.1-06")
def test_read_only_values_are_ignored(client: Client, name: str) -> None:
    """Another id, other groups and another meta in a PUT change nothing."""
    user = full(client, name)
    path = f"/Users/{user['id']}"
    group = client.group(f"g-{name}", user["id"])
    before = taken(client.get(path))
    sent = {"id": "other", "groups": [], "meta": {"created": "1970-01-01T00:00:00Z", "version": "x"}, **FULL}
    assert taken(put(client, path, name, **sent)) == before
    assert before["groups"][0]["value"] == group["id"]
    assert [m["value"] for m in taken(client.get(f"/Groups/{group['id']}"))["members"]] == [user["id"]]


@pytest.mark.req("P-3.5.1-07")
def test_what_is_required_must_be_there(client: Client, name: str) -> None:
    """A PUT without userName or displayName is refused and nothing changes."""
    user, group = full(client, name), client.group(name)
    refused(client.put(f"/Users/{user['id']}", json={"schemas": [USER], "title": "x"}), 400, "invalidValue")
    refused(client.put(f"/Groups/{group['id']}", json={"schemas": [GROUP], "members": []}), 400, "invalidValue")
    assert taken(client.get(f"/Users/{user['id']}")) == user
    assert taken(client.get(f"/Groups/{group['id']}")) == group


@pytest.mark.req("P-3.5.1-09")
def test_a_taken_name_is_refused_without_change(client: Client, name: str) -> None:
    """409 uniqueness for the userName of another user, in any case."""
    client.user(name)
    user = full(client, f"x-{name}")
    refused(put(client, f"/Users/{user['id']}", name.upper(), title="Cook"), 409, "uniqueness")
    assert taken(client.get(f"/Users/{user['id']}")) == user


@pytest.mark.req("P-3.5.1-10", "P-3.5.1-11")
def test_a_put_of_what_is_there_moves_nothing(client: Client, name: str) -> None:
    """The resource as it was read, without the password that can't be read, is the same version afterwards."""
    document = {"schemas": [USER], "userName": name, "password": "Correct-Horse-42", **FULL}
    created = taken(client.create("/Users", document), 201)
    member = client.user(f"m-{name}")
    group = client.group(f"g-{name}", member["id"])
    for path in (f"/Users/{created['id']}", f"/Groups/{group['id']}"):
        before = taken(client.get(path))
        response = client.put(path, json=before, headers={"Content-Type": SCIM_JSON})
        assert taken(response) == before
        assert response.headers["ETag"] == before["meta"]["version"]


@pytest.mark.req("P-3.5.1-02", "P-3.5.1-03")
def test_a_put_of_a_group_sets_its_members(client: Client, name: str) -> None:
    """The members afterwards are those given: some go, some stay, some come, and none when there are none."""
    ids = [client.user(f"{n}-{name}")["id"] for n in range(4)]
    path = f"/Groups/{client.group(name, *ids[:3])['id']}"

    def members(document: dict[str, Any]) -> set[str]:
        return {m["value"] for m in document.get("members", ())}

    body: dict[str, Any] = {"schemas": [GROUP], "displayName": name, "members": [{"value": i} for i in ids[2:]]}
    assert members(taken(client.put(path, json=body))) == set(ids[2:])
    assert members(taken(client.get(path))) == set(ids[2:])
    assert client.found("/Users", f'groups.display eq "{name}"') == set(ids[2:])
    unknown = {**body, "members": [{"value": ids[0]}, {"value": "nobody"}]}
    refused(client.put(path, json=unknown), 400, "invalidValue")
    assert members(taken(client.get(path))) == set(ids[2:])
    assert members(taken(client.put(path, json={"schemas": [GROUP], "displayName": name}))) == set()
    assert "groups" not in taken(client.get(f"/Users/{ids[2]}"))


@pytest.mark.req("P-3.5.1-08", "P-3.3-09")
@pytest.mark.parametrize("body", ["{", "", "[]", "null", '{"schemas": []}'])
def test_a_broken_body_changes_nothing(body: str, client: Client, name: str) -> None:
    """400 invalidSyntax, and the resource is as it was."""
    user = full(client, name)
    path = f"/Users/{user['id']}"
    refused(client.put(path, content=body, headers={"Content-Type": SCIM_JSON}), 400, "invalidSyntax")
    assert taken(client.get(path)) == user
