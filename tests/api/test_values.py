"""Multi-valued and unassigned attributes over HTTP (RFC 7643 sections 2.4 and 2.5)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.answers import VECTOR, own, post_user, published, taken
from tests.api.expect import refused
from tests.support.service import ENTERPRISE, GROUP, SCIM_JSON, USER, Client


@pytest.mark.req("S-2.4-01")
@pytest.mark.parametrize(
    "attributes",
    [
        {"emails": {"value": "a@tern.example"}},
        {"emails": "a@tern.example"},
        {"emails": [7]},
        {"emails": [["a@tern.example"]]},
        {"emails": [{"value": {"value": "a@tern.example"}}]},
        {VECTOR: {"tags": "go"}},
        {VECTOR: {"tags": [{"value": "go"}]}},
        {"title": ["Pilot"]},
    ],
)
def test_a_multi_valued_attribute_is_a_list(attributes: dict[str, Any], client: Client, name: str) -> None:
    """An object or a text in place of a list, and elements of the wrong kind, are refused."""
    refused(post_user(client, name, **attributes), 400, "invalidValue")
    assert client.found("/Users", f'userName eq "{name}"') == set()


@pytest.mark.req("S-2.4-01")
def test_lists_of_texts_and_of_objects_come_back(client: Client, name: str) -> None:
    """A simple and a complex multi-valued attribute keep their values."""
    user = client.user(name, emails=[{"value": "a@tern.example"}], **{VECTOR: {"tags": ["go", "sea"]}})
    shown = taken(client.get(f"/Users/{user['id']}"))
    assert shown["emails"] == [{"value": "a@tern.example"}]
    assert sorted(shown[VECTOR]["tags"]) == ["go", "sea"]


@pytest.mark.req("S-2.4-03")
def test_at_most_one_value_is_primary(client: Client, name: str) -> None:
    """Two primary values in one request are refused on create and replace; a response never has two."""
    two = [{"value": f"{i}@tern.example", "primary": True} for i in range(2)]
    refused(post_user(client, name, emails=two), 400, "invalidValue")
    user = client.user(name, emails=two[:1])
    body = {"schemas": [USER], "userName": name, "emails": two}
    refused(client.put(f"/Users/{user['id']}", json=body), 400, "invalidValue")
    added = client.change(f"/Users/{user['id']}", {"op": "add", "path": "emails", "value": two[1:]})
    assert [e["value"] for e in taken(added)["emails"] if e.get("primary")] == ["1@tern.example"]


@pytest.mark.req("S-2.4-04")
def test_a_missing_primary_counts_as_false(client: Client, name: str) -> None:
    """A filter for values that are not primary finds one that says nothing."""
    silent = client.user(f"1-{name}", emails=[{"value": "a@tern.example"}])
    client.user(f"2-{name}", emails=[{"value": "b@tern.example", "primary": True}])
    said = client.user(f"3-{name}", emails=[{"value": "c@tern.example", "primary": False}])
    scope = f'and userName ew "-{name}"'
    assert client.found("/Users", f"emails[primary eq false] {scope}") == {silent["id"], said["id"]}
    assert client.found("/Users", f"emails[not (primary eq true)] {scope}") == {silent["id"], said["id"]}


@pytest.mark.req("S-2.4-05")
def test_display_behaves_as_it_is_published(client: Client, name: str) -> None:
    """emails.display is published as readWrite and can be changed; members.display is read-only and can't."""
    display = {s["name"]: s for s in published(client, USER)["emails"]["subAttributes"]}["display"]
    assert display["mutability"] == "readWrite"
    user = client.user(name, emails=[{"value": "a@tern.example", "type": "work", "display": "first"}])
    change = {"op": "replace", "path": 'emails[type eq "work"].display', "value": "second"}
    assert taken(client.change(f"/Users/{user['id']}", change))["emails"][0]["display"] == "second"
    display = {s["name"]: s for s in published(client, GROUP)["members"]["subAttributes"]}["display"]
    assert display["mutability"] == "readOnly"
    group = client.group(f"Crew of {name}", user["id"])
    change = {"op": "replace", "path": f'members[value eq "{user["id"]}"].display', "value": "other"}
    refused(client.change(f"/Groups/{group['id']}", change), 400, "mutability")


@pytest.mark.req("S-2.4-06", "S-2.4-07")
def test_references_are_equal_when_they_mean_one_resource(client: Client, name: str) -> None:
    """The version segment, the case of the scheme, escapes of plain letters and dot segments do not count."""
    user = client.user(name)
    root, version = client.base.rsplit("/", 1)
    host = root.removeprefix("http://")
    same = [
        f"{root}/{version}/Users/{user['id']}",
        f"{root}/v1/Users/{user['id']}",
        f"{root}/Users/{user['id']}",
        f"HTTP://{host}/{version}/Users/{user['id']}",
        f"http://{host}/{version}/%55sers/{user['id']}",
        f"http://{host}/other/../{version}/Users/{user['id']}",
    ]
    document = {"schemas": [GROUP], "displayName": f"Crew of {name}", "members": [{"$ref": uri} for uri in same]}
    group = taken(client.create("/Groups", document), 201)
    assert [m["value"] for m in group["members"]] == [user["id"]]
    for uri in same:
        assert client.found("/Groups", f'members.$ref eq "{uri}"') == {group["id"]}, uri
        assert client.found("/Users", f'meta.location eq "{uri}"') == {user["id"]}, uri
    for uri in (f"http://other.example/scim/v2/Users/{user['id']}", f"{client.base}/Groups/{user['id']}"):
        assert client.found("/Groups", f'members.$ref eq "{uri}"') == set(), uri


@pytest.mark.req("S-2.4-08", "S-2.4-10")
def test_values_are_kept_as_sent(client: Client, name: str) -> None:
    """Nothing is canonicalised, and one address may stand under two types."""
    emails = [{"value": "Ada@TERN.example", "type": t} for t in ("work", "home")]
    user = client.user(name, emails=emails)
    shown = taken(client.get(f"/Users/{user['id']}"))["emails"]
    assert sorted(shown, key=lambda e: str(e["type"]), reverse=True) == emails


@pytest.mark.req("S-2.4-09")
def test_equal_values_are_kept_once(client: Client, name: str) -> None:
    """The same value of the same type twice in one request is stored and returned once."""
    email = {"value": "a@tern.example", "type": "work"}
    user = client.user(name, emails=[email, dict(email)])
    assert user["emails"] == [email]
    assert taken(client.get(f"/Users/{user['id']}"))["emails"] == [email]


@pytest.mark.req("S-2.5-01", "S-2.5-03", "S-2.5-04")
def test_null_and_empty_are_the_same_as_left_out(client: Client, name: str) -> None:
    """null, an empty list, an empty object and one with only null in it leave a resource as if nothing was sent."""
    plain = client.user(f"1-{name}")
    response = post_user(
        client,
        f"2-{name}",
        nickName=None,
        title="",
        emails=[],
        roles=[None, {}],
        name={},
        phoneNumbers=[{"value": None}],
        **{ENTERPRISE: {"manager": {"value": None}, "department": None}},
    )
    empty = taken(response, 201)
    assert own(empty) == own(plain)
    assert own(taken(client.get(f"/Users/{empty['id']}"))) == own(plain)
    for path in ("nickName", "title", "emails", "roles", "name", "phoneNumbers", "manager"):
        assert client.found("/Users", f'{path} pr and userName ew "-{name}"') == set(), path


@pytest.mark.req("S-2.5-02")
@pytest.mark.parametrize("nothing", [None, []])
def test_assigning_nothing_unassigns(nothing: object, client: Client, name: str) -> None:
    """PUT and PATCH replace with null or an empty list leave no value, in answers and for filters."""
    for way in ("put", "patch"):
        user = client.user(f"{way}-{name}", emails=[{"value": "a@tern.example"}])
        path, scope = f"/Users/{user['id']}", f'and userName eq "{way}-{name}"'
        assert client.found("/Users", f"emails pr {scope}") == {user["id"]}
        if way == "put":
            body = {"schemas": [USER], "userName": f"{way}-{name}", "emails": nothing}
            taken(client.put(path, json=body, headers={"Content-Type": SCIM_JSON}))
        else:
            taken(client.change(path, {"op": "replace", "path": "emails", "value": nothing}))
        assert "emails" not in taken(client.get(path))
        assert client.found("/Users", f"emails pr {scope}") == set()


@pytest.mark.req("S-2.5-05", "P-3.3-08", "P-3.5.1-07")
@pytest.mark.parametrize("nothing", [None, [], ""])
def test_a_required_attribute_can_not_be_emptied(nothing: object, client: Client, name: str) -> None:
    """null, an empty list and an empty text for userName are as bad as leaving it out."""
    refused(client.create("/Users", {"schemas": [USER], "userName": nothing}), 400, "invalidValue")
    user = client.user(name)
    body = {"schemas": [USER], "userName": nothing}
    refused(client.put(f"/Users/{user['id']}", json=body), 400, "invalidValue")
    assert taken(client.get(f"/Users/{user['id']}"))["userName"] == name
