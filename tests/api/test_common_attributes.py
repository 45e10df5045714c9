"""`schemas`, `id`, `externalId`, `meta` and extension containers over HTTP (RFC 7643 section 3)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest

from app.control import Dialect
from tests.api.answers import post_user, taken
from tests.api.expect import refused
from tests.api.schemas import TRAITS
from tests.support.service import ENTERPRISE, GROUP, SCIM_JSON, USER, Client, Service


def put(client: Client, user: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    """The user after a PUT of its userName and these attributes."""
    body = {"schemas": [USER], "userName": user["userName"], **attributes}
    return taken(client.put(f"/Users/{user['id']}", json=body, headers={"Content-Type": SCIM_JSON}))


@pytest.mark.req("S-3-01", "S-3-02")
def test_schemas_is_a_set_of_the_declared_uris(client: Client, name: str) -> None:
    """Repeated and undeclared URIs in a request are ignored; an answer names each URI once and none besides."""
    other = "urn:example:params:scim:schemas:core:2.0:Vessel"
    body = {"schemas": [ENTERPRISE, other, USER, USER], "userName": name, ENTERPRISE: {"department": "Ferries"}}
    body[other] = {"draught": 4}
    created = taken(client.create("/Users", body), 201)
    shown = taken(client.get(f"/Users/{created['id']}"))
    for document in (created, shown):
        assert sorted(document["schemas"]) == sorted([USER, ENTERPRISE])
        assert other not in document


@pytest.mark.req("S-3-01")
@pytest.mark.parametrize("schemas", [None, USER, [1], [[USER]], {USER: True}, [None]])
def test_schemas_holds_uris(schemas: object, client: Client, name: str) -> None:
    """`schemas` that is no list of texts is refused."""
    refused(client.create("/Users", {"schemas": schemas, "userName": name}), 400, "invalidSyntax")


@pytest.mark.req("S-3-03")
def test_schemas_names_an_extension_while_it_has_a_value_shown(client: Client, name: str) -> None:
    """The extension's URI and object come with its first attribute and go with its last, also under a projection."""
    user = client.user(name, **{ENTERPRISE: {"department": "Ferries"}})
    path = f"/Users/{user['id']}"
    assert sorted(taken(client.get(path))["schemas"]) == sorted([USER, ENTERPRISE])
    assert taken(client.get(path, params={"attributes": "userName"}))["schemas"] == [USER]
    assert client.found("/Users", f'schemas eq "{ENTERPRISE}" and userName eq "{name}"') == {user["id"]}
    taken(client.change(path, {"op": "remove", "path": f"{ENTERPRISE}:department"}))
    shown = taken(client.get(path))
    assert shown["schemas"] == [USER]
    assert ENTERPRISE not in shown
    assert client.found("/Users", f'schemas eq "{ENTERPRISE}" and userName eq "{name}"') == set()


@pytest.mark.req("S-3-04", "S-3.3-03")
def test_schema_uris_are_compared_without_case(client: Client, name: str) -> None:
    """URNs of `schemas` and of a container may come in any case and go out in the canonical spelling."""
    body = {"schemas": [USER.upper(), ENTERPRISE.upper()], "userName": name}
    created = taken(client.create("/Users", {**body, ENTERPRISE.upper(): {"department": "Ferries"}}), 201)
    assert sorted(created["schemas"]) == sorted([USER, ENTERPRISE])
    assert taken(client.get(f"/Users/{created['id']}"))[ENTERPRISE] == {"department": "Ferries"}
    twice = {**body, "userName": f"x-{name}", ENTERPRISE: {"division": "a"}, ENTERPRISE.lower(): {"division": "b"}}
    refused(client.create("/Users", twice), 400, "invalidSyntax")


@pytest.mark.req("S-3-05", "S-3.1-01")
def test_common_attributes_belong_to_every_type(client: Client, name: str) -> None:
    """id, externalId and meta are there in users and groups; with the URN of the base schema they mean the same."""
    user = client.user(name, externalId=f"x-{name}")
    group = taken(client.create("/Groups", {"schemas": [GROUP], "displayName": f"g-{name}", "externalId": name}), 201)
    for endpoint, urn, resource in (("/Users", USER, user), ("/Groups", GROUP, group)):
        shown = taken(client.get(f"{endpoint}/{resource['id']}"))
        assert {"id", "externalId", "meta"} <= shown.keys()
        assert client.found(endpoint, f'{urn}:id eq "{resource["id"]}"') == {resource["id"]}
        assert client.found(endpoint, f'{urn}:externalId eq "{resource["externalId"]}"') == {resource["id"]}
        assert client.found(endpoint, f'externalId eq "{resource["externalId"]}"') == {resource["id"]}


@pytest.mark.req("S-3.1-02")
def test_schemas_and_resource_types_have_id_and_meta(client: Client) -> None:
    """Every Schema resource has its id and meta, in the list and alone."""
    for document in taken(client.get("/Schemas"))["Resources"]:
        alone = taken(client.get(f"/Schemas/{document['id']}"))
        assert alone == document
        assert alone["meta"]["resourceType"] == "Schema"


@pytest.mark.req("S-3.1-03", "P-3.4.2.5-03", "S-7-12")
def test_every_representation_has_an_id(client: Client, name: str) -> None:
    """No projection removes the id, and it is published as case exact, read-only and always returned."""
    user = client.user(name)
    for parameters in ({"attributes": "userName"}, {"excludedAttributes": "id,schemas"}, {"attributes": "nothing"}):
        shown = taken(client.get(f"/Users/{user['id']}", params=parameters))
        assert (shown["id"], shown["schemas"]) == (user["id"], [USER])
        listed = taken(client.search("/Users", f'userName eq "{name}"', **parameters))["Resources"]
        assert [(r["id"], r["schemas"]) for r in listed] == [(user["id"], [USER])]
    assert client.found("/Users", f'id eq "{user["id"].upper()}" and userName eq "{name}"') == set()


@pytest.mark.req("S-3.1-04", "S-3.1-07")
def test_ids_are_distinct_over_all_types(client: Client, name: str) -> None:
    """Users and groups never share an id, and no id holds the reserved word bulkId."""
    ids = [client.user(f"{i}-{name}")["id"] for i in range(30)]
    ids += [client.group(f"{i}-{name}")["id"] for i in range(30)]
    assert len(set(ids)) == 60
    assert not [i for i in ids if not i or "bulkid" in i.lower()]


@pytest.mark.req("S-3.1-05")
def test_an_id_is_never_given_again(client: Client, name: str) -> None:
    """A group created after the deletion of one with the same name has another id; a user who is somebody else too."""
    group, user = client.group(name)["id"], client.user(name)["id"]
    assert client.delete(f"/Groups/{group}").status_code == client.delete(f"/Users/{user}").status_code == 204
    assert client.group(name)["id"] != group
    assert client.user(f"other-{name}")["id"] != user
    refused(client.get(f"/Groups/{group}"), 404)
    refused(client.get(f"/Users/{user}"), 404)


@pytest.mark.req("S-3.1-06", "S-3.1-05", "P-3.5.1-06")
def test_the_id_is_issued_by_the_service(client: Client, name: str) -> None:
    """An id in a POST or PUT is ignored."""
    user = client.user(name, id="mine")
    assert user["id"] != "mine"
    assert put(client, user, id="mine")["id"] == user["id"]
    refused(client.get("/Users/mine"), 404)


@pytest.mark.req("S-3.1-08")
def test_no_external_id_is_invented(client: Client, name: str) -> None:
    """A user created without an externalId has none."""
    user = client.user(name)
    assert "externalId" not in user
    assert "externalId" not in taken(client.get(f"/Users/{user['id']}"))
    assert client.found("/Users", f'externalId pr and userName eq "{name}"') == set()


@pytest.mark.req("S-3.1-09", "S-3.1-10")
def test_external_ids_are_shared_by_the_installation_and_not_unique(
    client: Client, service: Service, name: str
) -> None:
    """The installation is one provisioning domain: all integrations see an externalId, which is not unique."""
    other = service.client(dialect=Dialect.ENTRA)
    ids = {client.user(f"1-{name}", externalId=name)["id"], other.user(f"2-{name}", externalId=name)["id"]}
    for asking in (client, other):
        assert asking.found("/Users", f'externalId eq "{name}"') == ids
        assert asking.found("/Users", f'externalId eq "{name.upper()}"') == set()


@pytest.mark.req("S-3.1-11", "P-3.3-01")
def test_meta_from_a_client_is_ignored(client: Client, name: str) -> None:
    """POST and PUT with a meta of their own get the service's."""
    meta = {"created": "1970-01-01T00:00:00Z", "resourceType": "Group", "version": 'W/"0"', "location": "x:y"}
    user = client.user(name, meta=meta)
    replaced = put(client, user, meta=meta, title="Pilot")
    for document in (user, replaced, taken(client.get(f"/Users/{user['id']}"))):
        for key, value in meta.items():
            assert document["meta"][key] != value, key
    assert replaced["meta"]["created"] == user["meta"]["created"]


@pytest.mark.req("S-3.1-12", "S-3.1-14", "S-3.1-15", "P-3.3-05")
def test_meta_is_assigned_on_create(client: Client, name: str) -> None:
    """meta says the type, when, and where; both times are equal until something changes, then the second is later."""
    response = post_user(client, name)
    user = taken(response, 201)
    meta = user["meta"]
    assert meta.keys() == {"resourceType", "created", "lastModified", "location", "version"}
    assert meta["created"] == meta["lastModified"]
    assert datetime.fromisoformat(meta["created"].replace("Z", "+00:00")).tzinfo is not None
    assert meta["location"] == response.headers["Location"] == f"{client.base}/Users/{user['id']}"
    assert taken(client.get(meta["location"])) == user
    taken(client.change(f"/Users/{user['id']}", {"op": "add", "path": "title", "value": "Pilot"}))
    changed = taken(client.get(f"/Users/{user['id']}"))["meta"]
    assert changed["created"] == meta["created"] < changed["lastModified"]


@pytest.mark.req("S-3.1-13")
def test_the_resource_type_is_case_exact(client: Client, name: str) -> None:
    """meta.resourceType is the name of the type, and only that spelling finds it."""
    user, group = client.user(name), client.group(f"g-{name}")
    assert user["meta"]["resourceType"] == "User"
    assert group["meta"]["resourceType"] == "Group"
    scope = f'and userName eq "{name}"'
    assert client.found("/Users", f'meta.resourceType eq "User" {scope}') == {user["id"]}
    assert client.found("/Users", f'meta.resourceType eq "user" {scope}') == set()


@pytest.mark.req("S-3.1-15")
def test_a_content_location_is_the_location(client: Client, name: str) -> None:
    """No answer with a resource carries a Content-Location other than meta.location."""
    user = client.user(name)
    path = f"/Users/{user['id']}"
    change = {"op": "add", "path": "title", "value": "Pilot"}
    for response in (client.get(path), client.change(path, change), client.put(path, json=user)):
        location = taken(response)["meta"]["location"]
        assert location == user["meta"]["location"]
        assert response.headers.get("Content-Location", location) == location


@pytest.mark.req("S-3.1-16", "S-3.1-17")
def test_the_version_is_the_entity_tag(client: Client, name: str) -> None:
    """The ETag of every answer is meta.version, a weak tag, and it is new after a change."""
    created = post_user(client, name)
    path = f"/Users/{taken(created, 201)['id']}"
    read = client.get(path)
    changed = client.change(path, {"op": "add", "path": "title", "value": "Pilot"})
    replaced = client.put(path, json={"schemas": [USER], "userName": name})
    tags = [r.headers["ETag"] for r in (created, read, changed, replaced)]
    assert tags == [r.json()["meta"]["version"] for r in (created, read, changed, replaced)]
    assert all(re.fullmatch(r'W/"[!#-~]+"', tag) for tag in tags)
    assert tags[0] == tags[1]
    assert len(set(tags)) == 3


@pytest.mark.req("S-3.1-18")
def test_a_request_that_changes_nothing_moves_nothing(client: Client, name: str) -> None:
    """Adding what is there and replacing by the same value keep version and time."""
    user = client.user(name, title="Pilot", emails=[{"value": "a@tern.example", "type": "work"}])
    group = client.group(f"g-{name}", user["id"])
    taken(client.change(f"/Users/{user['id']}", {"op": "add", "path": "emails", "value": user["emails"]}))
    taken(client.change(f"/Users/{user['id']}", {"op": "replace", "path": "title", "value": "Pilot"}))
    taken(client.change(f"/Users/{user['id']}", {"op": "remove", "path": "nickName"}))
    assert taken(client.get(f"/Users/{user['id']}", params={"excludedAttributes": "groups"})) == user
    member = {"op": "add", "path": "members", "value": [{"value": user["id"]}]}
    assert client.change(f"/Groups/{group['id']}", member).status_code == 204
    assert taken(client.get(f"/Groups/{group['id']}"))["meta"] == group["meta"]


@pytest.mark.req("S-3.3-01")
def test_the_base_schema_is_always_named(client: Client, name: str) -> None:
    """A user that names its extension only is refused."""
    body = {"schemas": [ENTERPRISE], "userName": name, ENTERPRISE: {"department": "Ferries"}}
    refused(client.create("/Users", body), 400, "invalidSyntax")
    assert client.user(f"x-{name}", **{ENTERPRISE: {"department": "Ferries"}})["schemas"][0] == USER


@pytest.mark.req("S-3.3-02")
def test_extension_attributes_live_in_their_container(client: Client, name: str) -> None:
    """An extension's attribute at the top, and a base attribute in a container, are not taken for the other."""
    user = client.user(name, department="Ferries", **{ENTERPRISE: {"title": "Pilot"}, TRAITS: {"department": "x"}})
    shown = taken(client.get(f"/Users/{user['id']}"))
    assert shown["schemas"] == [USER]
    assert not {"department", "title", ENTERPRISE, TRAITS} & shown.keys()


@pytest.mark.req("S-3.3-02")
@pytest.mark.parametrize("container", ["text", 7, True, ["a"], [{"department": "x"}]])
def test_a_container_is_an_object(container: object, client: Client, name: str) -> None:
    """Anything else under an extension's URI is refused."""
    refused(post_user(client, name, **{ENTERPRISE: container}), 400, "invalidValue")
