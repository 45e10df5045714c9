"""What mutability, returned, caseExact and a required extension do over HTTP (RFC 7643 sections 6 and 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.api.answers import post_user, published, taken
from tests.api.expect import refused
from tests.api.opening import DEVICE, WARRANTY, devices, own_service
from tests.api.schemas import TRAITS
from tests.support.service import ENTERPRISE, SCIM_JSON, USER, Client


@pytest.fixture(scope="module")
def fleet(
    store_name: str, new_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """A client of a service with a third resource type, Device, whose extension is required."""
    with own_service(store_name, devices(), new_database, tmp_path_factory.mktemp("home")) as service:
        yield service.client()


def put(client: Client, user: dict[str, Any], **attributes: Any) -> Any:
    """The answer to a PUT of the user's name and these attributes."""
    body = {"schemas": [USER], "userName": user["userName"], **attributes}
    return client.put(f"/Users/{user['id']}", json=body, headers={"Content-Type": SCIM_JSON})


@pytest.mark.req("S-7-07")
def test_the_submitted_case_is_kept(client: Client, name: str) -> None:
    """Values of attributes with and without caseExact come back in the case that was sent."""
    user = client.user(name.title(), externalId="AbC", title="mIxEd")
    shown = taken(client.get(f"/Users/{user['id']}"))
    assert (shown["externalId"], shown["title"], shown["userName"]) == ("AbC", "mIxEd", name.title())


@pytest.mark.req("S-7-09")
def test_a_read_only_attribute_is_never_set(client: Client, name: str) -> None:
    """Its value in a POST and PUT is ignored and a PATCH of it is refused."""
    user = client.user(name, **{TRAITS: {"computed": "mine", "plain": "x"}})
    assert user[TRAITS] == {"plain": "x"}
    assert taken(put(client, user, **{TRAITS: {"computed": "mine", "plain": "y"}}))[TRAITS] == {"plain": "y"}
    for op in ("add", "replace"):
        change = {"op": op, "path": f"{TRAITS}:computed", "value": "mine"}
        refused(client.change(f"/Users/{user['id']}", change), 400, "mutability")
    for path in ("id", "meta.created", "meta"):
        change = {"op": "replace", "path": path, "value": "mine"}
        refused(client.change(f"/Users/{user['id']}", change), 400, "mutability")
    assert taken(client.get(f"/Users/{user['id']}"))[TRAITS] == {"plain": "y"}


@pytest.mark.req("S-7-10", "P-3.5.1-05")
def test_an_immutable_attribute_is_set_once(client: Client, name: str) -> None:
    """It may be set on create or later while unset; then another value is refused and the same one is accepted."""
    early = client.user(f"1-{name}", **{TRAITS: {"birthPlace": "Bergen"}})
    late = client.user(f"2-{name}")
    assert taken(put(client, late, **{TRAITS: {"birthPlace": "Oslo"}}))[TRAITS] == {"birthPlace": "Oslo"}
    added = client.user(f"3-{name}")
    change = {"op": "add", "path": f"{TRAITS}:birthPlace", "value": "Voss"}
    assert taken(client.change(f"/Users/{added['id']}", change))[TRAITS] == {"birthPlace": "Voss"}
    for user, place in ((early, "Bergen"), (late, "Oslo"), (added, "Voss")):
        refused(put(client, user, title="x", **{TRAITS: {"birthPlace": "Bodø"}}), 400, "mutability")
        change = {"op": "replace", "path": f"{TRAITS}:birthPlace", "value": "Bodø"}
        refused(client.change(f"/Users/{user['id']}", change), 400, "mutability")
        shown = taken(put(client, user, title="Pilot", **{TRAITS: {"birthPlace": place}}))
        assert (shown[TRAITS], shown["title"]) == ({"birthPlace": place}, "Pilot")


@pytest.mark.req("S-7-10", "P-3.5.1-05")
def test_a_put_without_an_immutable_attribute_keeps_it(client: Client, name: str) -> None:
    """A value that is left out does not differ from the stored one, which stays."""
    user = client.user(name, title="Pilot", **{TRAITS: {"birthPlace": "Bergen", "plain": "x"}})
    shown = taken(put(client, user))
    assert shown[TRAITS] == {"birthPlace": "Bergen"}
    assert "title" not in shown
    assert taken(client.get(f"/Users/{user['id']}"))[TRAITS] == {"birthPlace": "Bergen"}


@pytest.mark.req("S-7-11", "P-3.5.1-02")
def test_a_password_may_be_set_at_any_time(client: Client, name: str) -> None:
    """POST, PUT and PATCH accept one; the last two change the version, and none shows it."""
    user = taken(post_user(client, name, password="Correct-Horse-42"), 201)
    replaced = taken(put(client, user, password="Battery-Staple-43"))
    change = {"op": "replace", "path": "password", "value": "Harbour-Light-44"}
    changed = taken(client.change(f"/Users/{user['id']}", change))
    assert len({d["meta"]["version"] for d in (user, replaced, changed)}) == 3
    assert not [d for d in (user, replaced, changed) if "password" in d]


@pytest.mark.req("S-7-12", "P-3.4.2.5-03")
def test_returned_always_is_there_under_every_projection(client: Client, name: str) -> None:
    """An extension attribute that is always returned is not removed, and brings its container and URI along."""
    user = client.user(name, **{TRAITS: {"realm": "sea", "plain": "x"}})
    for parameters in (
        {"attributes": "userName"},
        {"excludedAttributes": f"{TRAITS}:realm,{TRAITS}:plain"},
        {"excludedAttributes": TRAITS},
    ):
        listed = taken(client.search("/Users", f'userName eq "{name}"', **parameters))["Resources"][0]
        for shown in (taken(client.get(f"/Users/{user['id']}", params=parameters)), listed):
            assert shown[TRAITS] == {"realm": "sea"}
            assert sorted(shown["schemas"]) == sorted([USER, TRAITS])


@pytest.mark.req("S-7-14")
def test_returned_default_follows_the_projection(client: Client, name: str) -> None:
    """It is there unless others are named or it is excluded."""
    user = client.user(name, displayName="Ada", title="Pilot")
    path = f"/Users/{user['id']}"
    assert taken(client.get(path))["displayName"] == "Ada"
    assert taken(client.get(path, params={"attributes": "title"})).keys() == {"schemas", "id", "title"}
    without = taken(client.get(path, params={"excludedAttributes": "displayName"}))
    assert "displayName" not in without
    assert without["title"] == "Pilot"


@pytest.mark.req("S-7-15", "P-3.4-01")
def test_returned_request_is_there_when_named_or_written(client: Client, name: str) -> None:
    """A read shows it only when asked; the answer to a write that sets it shows it, that to another does not."""
    user = client.user(name, **{TRAITS: {"clearance": "blue"}})
    path, full = f"/Users/{user['id']}", f"{TRAITS}:clearance"
    assert user[TRAITS] == {"clearance": "blue"}
    assert TRAITS not in taken(client.get(path))
    assert TRAITS not in taken(client.search("/Users", f'userName eq "{name}"'))["Resources"][0]
    assert taken(client.get(path, params={"attributes": full}))[TRAITS] == {"clearance": "blue"}
    assert TRAITS not in taken(client.change(path, {"op": "add", "path": "title", "value": "Pilot"}))
    change = {"op": "replace", "path": full, "value": "red"}
    assert taken(client.change(path, change))[TRAITS] == {"clearance": "red"}
    assert taken(put(client, user, **{TRAITS: {"clearance": "green"}}))[TRAITS] == {"clearance": "green"}


@pytest.mark.req("S-7-19")
@pytest.mark.parametrize("urn", [USER, ENTERPRISE, TRAITS])
def test_every_published_attribute_is_implemented(urn: str, client: Client, name: str) -> None:
    """A value for each attribute that clients may write comes back with every sub-attribute, and is found by pr."""
    sent: dict[str, Any] = {}
    for attribute in published(client, urn).values():
        if attribute["mutability"] in ("readWrite", "immutable") and attribute["name"] != "userName":
            sent[attribute["name"]] = _sample(attribute)
    user = taken(post_user(client, name, **(sent if urn == USER else {urn: sent})), 201)
    asked = ",".join(f"{urn}:{n}" for n in sent)
    shown = taken(client.get(f"/Users/{user['id']}", params={"attributes": asked}))
    held = shown if urn == USER else shown[urn]
    assert {n: held[n] for n in sent} == sent
    for sent_name in sent:
        assert client.found("/Users", f'{urn}:{sent_name} pr and userName eq "{name}"') == {user["id"]}


def _sample(attribute: dict[str, Any]) -> Any:
    if attribute["type"] == "complex":
        subs = [s for s in attribute["subAttributes"] if s["mutability"] == "readWrite" and s["name"] != "$ref"]
        value: Any = {s["name"]: _sample(s) for s in subs}
    else:
        texts = {"boolean": True, "integer": 7, "decimal": 7.5, "binary": "QUJD", "dateTime": "2024-01-31T08:00:00Z"}
        value = texts.get(attribute["type"], f"{attribute['name']}-of-one")
    return [value] if attribute["multiValued"] else value


@pytest.mark.req("S-3.2-01", "S-3-05", "S-6-01", "P-3.2-03")
def test_a_new_resource_type_is_served(fleet: Client, name: str) -> None:
    """Device is discoverable and can be created, read, found, changed, replaced and deleted, with common attributes."""
    document = taken(fleet.get("/ResourceTypes/Device"))
    assert (document["endpoint"], document["schema"]) == ("/Devices", DEVICE)
    assert document["schemaExtensions"] == [{"schema": WARRANTY, "required": True}]
    assert [a["name"] for a in taken(fleet.get(f"/Schemas/{DEVICE}"))["attributes"]] == ["serial", "model", "ports"]
    body = {"schemas": [DEVICE, WARRANTY], "serial": name, "externalId": "D1", WARRANTY: {"contract": "C1"}}
    device = taken(fleet.create("/Devices", {**body, "ports": ["usb", "hdmi"]}), 201)
    path = f"/Devices/{device['id']}"
    assert device["meta"]["resourceType"] == "Device"
    assert device["meta"]["location"] == fleet.base + path
    assert taken(fleet.get(path)) == device
    assert fleet.found("/Devices", f'serial eq "{name.upper()}" and externalId eq "D1"') == {device["id"]}
    refused(fleet.create("/Devices", body), 409, "uniqueness")
    changed = taken(fleet.change(path, {"op": "add", "path": "model", "value": "M1"}))
    assert (changed["model"], changed["ports"]) == ("M1", ["usb", "hdmi"])
    assert "model" not in taken(fleet.put(path, json=body))
    assert fleet.delete(path).status_code == 204
    refused(fleet.get(path), 404)


@pytest.mark.req("S-6-03")
def test_a_required_extension_must_be_there(fleet: Client, name: str) -> None:
    """Without it, or without what it requires, a resource is neither created nor replaced."""
    body = {"schemas": [DEVICE, WARRANTY], "serial": name}
    wrongs: tuple[dict[str, Any], ...] = (
        {},
        {WARRANTY: None},
        {WARRANTY: {}},
        {WARRANTY: {"note": "n"}},
        {WARRANTY: {"contract": ""}},
    )
    for wrong in wrongs:
        refused(fleet.create("/Devices", {**body, **wrong}), 400, "invalidValue")
    assert fleet.found("/Devices", f'serial eq "{name}"') == set()
    device = taken(fleet.create("/Devices", {**body, WARRANTY: {"contract": "C1"}}), 201)
    refused(fleet.put(f"/Devices/{device['id']}", json=body), 400, "invalidValue")
    assert taken(fleet.get(f"/Devices/{device['id']}"))[WARRANTY] == {"contract": "C1"}
