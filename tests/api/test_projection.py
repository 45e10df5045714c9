"""`attributes` and `excludedAttributes` over HTTP (RFC 7644 section 3.4.2.5)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.answers import taken
from tests.api.expect import refused
from tests.support.service import ENTERPRISE, PATCH_OP, SEARCH_REQUEST, USER, Client

FULL: dict[str, Any] = {
    "title": "Pilot",
    "displayName": "Ada Moss",
    "emails": [{"value": "ada@tern.example", "type": "work", "primary": True}],
    ENTERPRISE: {"department": "Decks", "division": "North", "manager": {"value": "m-1"}},
}
NAME = {"givenName": "Ada", "familyName": "Moss"}
MINIMUM = {"schemas", "id"}


def make(client: Client, name: str) -> dict[str, Any]:
    return taken(client.create("/Users", {"schemas": [USER], "userName": name, "name": NAME, **FULL}), 201)


def shown(client: Client, user: dict[str, Any], **parameters: str) -> dict[str, Any]:
    """The user under a projection, which a read, a list and both searches show alike."""
    read = taken(client.get(f"/Users/{user['id']}", params=parameters))
    filter = f'id eq "{user["id"]}"'
    listed = taken(client.search("/Users", filter, **parameters))["Resources"]
    assert listed == [read]
    assert taken(client.search("/", filter, **parameters))["Resources"] == [read]
    lists = {key: text.split(",") for key, text in parameters.items()}
    body = {"schemas": [SEARCH_REQUEST], "filter": filter, **lists}
    for endpoint in ("/Users/.search", "/.search"):
        assert taken(client.post(endpoint, json=body))["Resources"] == [read]
    return read


@pytest.mark.req("P-3.4.2.5-01")
@pytest.mark.parametrize(
    ("parameters", "members"),
    [({"attributes": "title"}, {"schemas", "id", "title"}), ({"excludedAttributes": "title,meta"}, None)],
)
def test_projections_work_wherever_a_resource_is_returned(
    parameters: dict[str, str], members: set[str] | None, client: Client, name: str
) -> None:
    """POST, GET, list, .search, PUT and PATCH show the same parts."""
    document = {"schemas": [USER], "userName": name, "name": NAME, **FULL}
    created = taken(client.create("/Users", document, **parameters), 201)
    path = f"/Users/{created['id']}"
    operations = [{"op": "replace", "path": "nickName", "value": "Kes"}]
    patched = taken(client.patch(path, json={"schemas": [PATCH_OP], "Operations": operations}, params=parameters))
    replaced = taken(client.put(path, json=document, params=parameters))
    read = shown(client, created, **parameters)
    assert created == replaced == read
    assert patched == ({**read, "nickName": "Kes"} if members is None else read)
    assert read.keys() == (members or {"schemas", "id", "userName", "name", *FULL.keys() - {"title"}})


@pytest.mark.req("P-3.4.2.5-01")
def test_a_patch_of_a_group_answers_with_what_was_asked_for(client: Client, name: str) -> None:
    """With a projection the answer is 200 with those parts, without one 204."""
    user, group = client.user(name), client.group(f"g-{name}")
    operations = [{"op": "add", "path": "members", "value": [{"value": user["id"]}]}]
    body = {"schemas": [PATCH_OP], "Operations": operations}
    path = f"/Groups/{group['id']}"
    answer = taken(client.patch(path, json=body, params={"attributes": "members.value"}))
    assert answer["members"] == [{"value": user["id"]}]
    assert answer.keys() == {"schemas", "id", "members"}
    assert client.patch(path, json=body).status_code == 204


@pytest.mark.req("P-3.4.2.5-02")
@pytest.mark.parametrize(
    "text", ["USERNAME,Name.FamilyName", f"{USER}:userName, {USER}:name.familyName ", "userName,,name.familyName"]
)
def test_names_are_separated_by_commas_and_ignore_case(text: str, client: Client, name: str) -> None:
    """Names in any case, with or without URN and spaces, select the same."""
    user = make(client, name)
    expected = {"schemas": [USER], "id": user["id"], "userName": name, "name": {"familyName": "Moss"}}
    assert taken(client.get(f"/Users/{user['id']}", params={"attributes": text})) == expected


@pytest.mark.req("P-3.4.2.5-03", "P-3.4.2.5-04")
def test_id_and_schemas_always_stay_and_unknown_names_are_ignored(client: Client, name: str) -> None:
    """Excluding what is always returned changes nothing; naming only unknown attributes leaves the minimum."""
    user = make(client, name)
    assert shown(client, user, excludedAttributes="id,schemas,nope,a b,emails.nope") == user
    assert shown(client, user, attributes="nope").keys() == MINIMUM
    assert shown(client, user, attributes="nope,title").keys() == {*MINIMUM, "title"}


@pytest.mark.req("P-3.4.2.5-05")
def test_a_complex_attribute_is_selected_whole_or_in_part(client: Client, name: str) -> None:
    """Its name selects all of it, a sub-attribute that one in each value."""
    user = make(client, name)
    assert shown(client, user, attributes="emails")["emails"] == FULL["emails"]
    assert shown(client, user, attributes="emails.value")["emails"] == [{"value": "ada@tern.example"}]
    assert shown(client, user, attributes="emails.type,emails.value")["emails"] == [
        {"value": "ada@tern.example", "type": "work"}
    ]
    assert shown(client, user, attributes="emails.value,emails")["emails"] == FULL["emails"]
    assert shown(client, user, attributes="name")["name"] == NAME
    assert shown(client, user, attributes="name.middleName,emails.display").keys() == MINIMUM
    assert shown(client, user, attributes="meta.version")["meta"] == {"version": user["meta"]["version"]}


@pytest.mark.req("P-3.4.2.5-06")
def test_excluding_a_sub_attribute_removes_only_that(client: Client, name: str) -> None:
    """The others stay, and an attribute without any left is not shown."""
    user = make(client, name)
    assert shown(client, user, excludedAttributes="name.familyName") == {**user, "name": {"givenName": "Ada"}}
    trimmed = [{"value": "ada@tern.example", "type": "work"}]
    assert shown(client, user, excludedAttributes="emails.primary") == {**user, "emails": trimmed}
    parts = ["formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix"]
    every = ",".join(f"name.{part}" for part in (*parts, "givenName"))
    assert shown(client, user, excludedAttributes=every) == {k: v for k, v in user.items() if k != "name"}
    without = {k: v for k, v in user["meta"].items() if k != "location"}
    assert shown(client, user, excludedAttributes="meta.location") == {**user, "meta": without}


@pytest.mark.req("P-3.4.2.5-06", "P-3.4.2.5-01")
def test_parts_of_relations_can_be_chosen(client: Client, name: str) -> None:
    """members and groups follow the same rules, down to none of their parts."""
    user = client.user(name)
    group = client.group(f"g-{name}", user["id"])
    path = f"/Groups/{group['id']}"

    def asked(**parameters: str) -> Any:
        return taken(client.get(path, params=parameters)).get("members")

    assert asked(attributes="members.value") == [{"value": user["id"]}]
    assert asked(excludedAttributes="members.$ref,members.type,members.display") == [{"value": user["id"]}]
    assert asked(excludedAttributes="members.$ref,members.type,members.display,members.value") is None
    assert asked(excludedAttributes="members") is None
    assert asked(attributes="displayName") is None
    answer = taken(client.get(f"/Users/{user['id']}", params={"attributes": "groups.display"}))
    assert answer["groups"] == [{"display": f"g-{name}"}]


@pytest.mark.req("P-3.4.2.5-07")
def test_extensions_are_chosen_by_attribute_or_as_a_whole(client: Client, name: str) -> None:
    """A URN with a name selects or excludes one attribute of an extension, the bare URN all of them."""
    user = make(client, name)
    both, core = [USER, ENTERPRISE], {k: v for k, v in user.items() if k not in (ENTERPRISE, "schemas")}
    department = {"department": "Decks"}
    chosen = shown(client, user, attributes=f"{ENTERPRISE}:department")
    assert chosen == {"schemas": both, "id": user["id"], ENTERPRISE: department}
    chosen = shown(client, user, attributes=ENTERPRISE.upper())
    assert chosen == {"schemas": both, "id": user["id"], ENTERPRISE: FULL[ENTERPRISE]}
    assert shown(client, user, excludedAttributes=ENTERPRISE) == {"schemas": [USER], **core}
    rest = shown(client, user, excludedAttributes=f"{ENTERPRISE}:manager,{ENTERPRISE}:division")
    assert rest == {"schemas": both, **core, ENTERPRISE: department}
    manager = shown(client, user, attributes=f"{ENTERPRISE}:manager.value")
    assert manager[ENTERPRISE] == {"manager": {"value": "m-1"}}


@pytest.mark.req("P-3.4.2.5-08")
def test_filter_and_sort_see_what_is_not_shown(client: Client, name: str) -> None:
    """Attributes that are not returned still decide what is found and in which order."""
    ids = [client.user(f"{n}-{name}", title="Pilot", nickName=f"k{9 - n}")["id"] for n in (1, 2, 3)]
    client.user(f"4-{name}", title="Cook")
    filter = f'title eq "Pilot" and userName ew "-{name}"'
    for endpoint in ("/Users", "/"):
        for parameters in ({"attributes": "id"}, {"excludedAttributes": "title,nickName,userName"}):
            found = taken(client.search(endpoint, filter, sortBy="nickName", **parameters))["Resources"]
            assert [r["id"] for r in found] == ids[::-1]
            assert not [r for r in found if {"title", "nickName", "userName"} & r.keys()]


@pytest.mark.req("P-3.4.2.5-01")
def test_both_lists_at_once_are_refused(client: Client, name: str) -> None:
    """attributes and excludedAttributes together are 400 invalidValue, and nothing is written."""
    both = {"attributes": "title", "excludedAttributes": "meta"}
    user = make(client, name)
    path = f"/Users/{user['id']}"
    refused(client.get(path, params=both), 400, "invalidValue")
    refused(client.get("/Users", params=both), 400, "invalidValue")
    body = {"schemas": [USER], "userName": f"x-{name}"}
    refused(client.create("/Users", body, **both), 400, "invalidValue")
    refused(client.put(path, json=body, params=both), 400, "invalidValue")
    operations = [{"op": "remove", "path": "title"}]
    message = {"schemas": [PATCH_OP], "Operations": operations}
    refused(client.patch(path, json=message, params=both), 400, "invalidValue")
    assert taken(client.get(path)) == user
    assert client.found("/Users", f'userName eq "x-{name}"') == set()
