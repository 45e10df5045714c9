"""What provisioning clients other than Entra ID send: Okta, OneLogin, JumpCloud, SailPoint and more."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.expect import new_user, refused, unchanged
from tests.support.service import ENTERPRISE, GROUP, PATCH_OP, SCIM_JSON, USER, Client

pytestmark = pytest.mark.every_store

AGENT = "Okta SCIM Client 1.0.0"


@pytest.fixture
def okta(client: Client) -> Client:
    """A client that sends what Okta sends; its integration is in the RFC's dialect."""
    return client


def okta_user(name: str) -> dict[str, Any]:
    return {
        "schemas": [USER],
        "userName": name,
        "name": {"givenName": "Mira", "familyName": "Solberg"},
        "emails": [{"primary": True, "value": name, "type": "work"}],
        "displayName": "Mira Solberg",
        "locale": "en-US",
        "externalId": f"00u{name}",
        "groups": [],
        "password": "1mz050nq",
        "active": True,
    }


def test_okta_connection_test(okta: Client) -> None:
    for endpoint in ("/Users", "/Groups"):
        response = okta.get(endpoint, params={"startIndex": "1", "count": "2"}, headers={"User-Agent": AGENT})
        body = response.json()
        assert response.status_code == 200
        assert all(type(body[member]) is int for member in ("totalResults", "startIndex", "itemsPerPage"))
        assert len(body["Resources"]) == body["itemsPerPage"] <= 2


def test_okta_answers_404_with_a_detail(okta: Client) -> None:
    assert refused(okta.get("/Users/00u000000"), 404)


def test_okta_creates_a_user_with_password_and_empty_groups(okta: Client, name: str) -> None:
    sent = okta_user(name)
    response = okta.create("/Users", sent)
    assert response.status_code == 201
    read = okta.get(f"/Users/{response.json()['id']}").json()
    expected = {k: v for k, v in sent.items() if k not in ("groups", "password")}
    assert {k: v for k, v in read.items() if k not in ("id", "meta")} == expected
    refused(okta.create("/Users", sent), 409, "uniqueness")


def test_okta_updates_a_profile_by_put_of_what_it_read(okta: Client, name: str) -> None:
    path = f"/Users/{okta.create('/Users', okta_user(name)).json()['id']}"
    read = okta.get(path).json()
    read["name"]["familyName"] = "Berg"
    read["groups"] = []
    response = okta.put(path, json=read, headers={"Content-Type": SCIM_JSON})
    assert response.status_code == 200
    assert response.json()["name"] == {"givenName": "Mira", "familyName": "Berg"}
    assert response.json()["id"] == read["id"]
    with unchanged(okta, path):
        assert okta.put(path, json=response.json()).status_code == 200


def test_okta_deactivates_without_a_path(okta: Client, name: str) -> None:
    path = new_user(okta, name, active=True)
    body = {"schemas": [PATCH_OP], "Operations": [{"op": "replace", "value": {"active": False}}]}
    assert okta.patch(path, json=body).json()["active"] is False
    assert okta.found("/Users", f'userName eq "{name}" and active eq false') == {path.removeprefix("/Users/")}


def test_okta_renames_a_group_with_its_id_in_the_value(okta: Client, name: str) -> None:
    member = new_user(okta, name).removeprefix("/Users/")
    group = okta.group(name, member)["id"]
    value = {"id": group, "displayName": f"New {name}"}
    assert okta.change(f"/Groups/{group}", {"op": "replace", "value": value}).status_code == 204
    read = okta.get(f"/Groups/{group}").json()
    assert (read["id"], read["displayName"]) == (group, f"New {name}")
    assert [m["value"] for m in read["members"]] == [member]
    other = {"id": "another", "displayName": f"Newer {name}"}
    assert okta.change(f"/Groups/{group}", {"op": "replace", "value": other}).status_code == 204
    assert okta.get(f"/Groups/{group}").json()["displayName"] == f"Newer {name}"


def test_okta_puts_a_group_with_its_full_member_list(okta: Client, name: str) -> None:
    first, second, third = (new_user(okta, f"{n}{name}").removeprefix("/Users/") for n in "abc")
    group = okta.group(name, first, second)["id"]
    document: dict[str, Any] = {
        "schemas": [GROUP],
        "id": group,
        "displayName": name,
        "members": [{"value": second, "display": f"b{name}"}, {"value": third, "display": f"c{name}"}],
    }
    response = okta.put(f"/Groups/{group}", json=document)
    assert response.status_code == 200
    assert {m["value"] for m in okta.get(f"/Groups/{group}").json()["members"]} == {second, third}
    okta.put(f"/Groups/{group}", json={**document, "members": []})
    assert not okta.get(f"/Groups/{group}").json().get("members")


def test_okta_adds_members_in_chunks_and_removes_one(okta: Client, name: str) -> None:
    ids = [new_user(okta, f"{n}{name}").removeprefix("/Users/") for n in range(12)]
    group = f"/Groups/{okta.group(name)['id']}"
    for start in range(0, 12, 5):
        value = [{"value": id, "display": "x"} for id in ids[start : start + 5]]
        assert okta.change(group, {"op": "add", "path": "members", "value": value}).status_code == 204
    gone = {"op": "remove", "path": f'members[value eq "{ids[3]}"]'}
    assert okta.change(group, gone).status_code == 204
    assert {m["value"] for m in okta.get(group).json()["members"]} == {*ids} - {ids[3]}


def test_okta_names_an_extension_by_its_uri(okta: Client, name: str) -> None:
    path = new_user(okta, name, **{ENTERPRISE: {"department": "a", "division": "North"}})
    for operation in (
        {"op": "replace", "value": {ENTERPRISE: {"department": "b"}}},
        {"op": "replace", "path": ENTERPRISE, "value": {"department": "b"}},
    ):
        assert okta.change(path, operation).json()[ENTERPRISE] == {"department": "b", "division": "North"}


def test_onelogin_sends_an_empty_user_agent(client: Client, name: str) -> None:
    member = new_user(client, name).removeprefix("/Users/")
    group = f"/Groups/{client.group(name)['id']}"
    operation = {"op": "add", "path": "members", "value": [{"value": member}]}
    assert client.change(group, operation, **{"User-Agent": ""}).status_code == 204
    assert client.get(group, headers={"User-Agent": ""}).json()["members"][0]["value"] == member


def test_jumpcloud_creates_updates_and_deletes_to_test_the_connection(client: Client, name: str) -> None:
    for path, change in (
        (new_user(client, name), {"op": "replace", "value": {"title": "Test"}}),
        (f"/Groups/{client.group(name)['id']}", {"op": "replace", "value": {"displayName": f"T{name}"}}),
    ):
        assert client.change(path, change).status_code in (200, 204)
        assert client.delete(path).status_code == 204
        refused(client.get(path), 404)


def test_google_workspace_probes_with_a_count(client: Client) -> None:
    assert client.get("/Users", params={"count": "1"}).json()["itemsPerPage"] <= 1


def test_sailpoint_reads_the_configuration_and_pages_through_all(client: Client, name: str) -> None:
    assert client.get("/ServiceProviderConfig").status_code == 200
    for resource_type in client.get("/ResourceTypes").json()["Resources"]:
        assert client.get(f"/ResourceTypes/{resource_type['name']}").json() == resource_type
        assert client.get(f"/Schemas/{resource_type['schema']}").json()["id"] == resource_type["schema"]
    made = {new_user(client, f"{n}{name}").removeprefix("/Users/") for n in range(3)}
    seen: set[str] = set()
    start = 1
    while True:
        body = client.get("/Users", params={"startIndex": str(start), "count": "100"}).json()
        seen |= {resource["id"] for resource in body["Resources"]}
        start += body["itemsPerPage"]
        if start > body["totalResults"]:
            break
    assert made <= seen


def test_sailpoint_replaces_a_name_by_its_changed_parts(client: Client, name: str) -> None:
    path = new_user(client, name)
    client.change(path, {"op": "add", "path": "name", "value": {"givenName": "Mira", "familyName": "Solberg"}})
    operation = {"op": "replace", "path": "name", "value": {"familyName": "Berg"}}
    assert client.change(path, operation).json()["name"] == {"givenName": "Mira", "familyName": "Berg"}


def test_authentik_states_full_members_by_put_even_when_empty(client: Client, name: str) -> None:
    group = client.group(name, new_user(client, name).removeprefix("/Users/"))["id"]
    document = {"schemas": [GROUP], "displayName": name, "externalId": "pk", "members": []}
    assert client.put(f"/Groups/{group}", json=document).status_code == 200
    assert not client.get(f"/Groups/{group}").json().get("members")
    refused(client.put("/Groups/gone", json=document), 404)


def test_auth0_and_rippling_look_up_by_external_id_and_put(client: Client, name: str) -> None:
    path = new_user(client, name, externalId=f"auth0|{name}")
    assert client.found("/Users", f'externalId eq "auth0|{name}"') == {path.removeprefix("/Users/")}
    document = {"schemas": [USER], "userName": name, "externalId": f"auth0|{name}", "title": "Pilot"}
    assert client.put(path, json=document).json()["title"] == "Pilot"
