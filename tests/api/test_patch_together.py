"""The operations of one PATCH together: order, all or nothing, concurrency, the answer (RFC 7644 section 3.5.2)."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.expect import new_user, refused, unchanged
from tests.api.patching import DEPARTMENT, HOME, WORK, changed, op
from tests.api.schemas import TRAITS
from tests.support.service import ENTERPRISE, PATCH_OP, SCIM_JSON, USER, Client


@pytest.mark.req("P-3.5.2-09", "P-3.12-16")
@pytest.mark.parametrize(
    ("operation", "scim_type"),
    [
        (op("replace", "id", "other"), "mutability"),
        (op("add", "meta.version", "1"), "mutability"),
        (op("replace", "meta", {"created": "2020-01-01T00:00:00Z"}), "mutability"),
        (op("add", "groups", [{"value": "g"}]), "mutability"),
        (op("remove", "groups"), "mutability"),
        (op("replace", f"{TRAITS}:computed", "x"), "mutability"),
        (op("replace", f"{ENTERPRISE}:manager.displayName", "x"), "mutability"),
        (op("remove", "userName"), "mutability"),
        (op("replace", f"{TRAITS}:birthPlace", "Oslo"), "mutability"),
        (op("remove", f"{TRAITS}:birthPlace"), "mutability"),
        (op("replace", "active", {"x": 1}), "invalidValue"),
        (op("replace", "active", "perhaps"), "invalidValue"),
        (op("replace", "title", 7), "invalidValue"),
        (op("replace", "title", ["a", "b"]), "invalidValue"),
        (op("replace", "name", "Mira"), "invalidValue"),
        (op("add", "emails", [7]), "invalidValue"),
        (op("replace", "userName", None), "invalidValue"),
        (op("replace", "userName", ""), "invalidValue"),
        (op("add", "emails", [{"value": "a", "primary": True}, {"value": "b", "primary": True}]), "invalidValue"),
        (op("replace", "x509Certificates", [{"value": "not base64!"}]), "invalidValue"),
    ],
)
def test_what_does_not_fit_the_schema_is_refused(
    client: Client, name: str, operation: Mapping[str, Any], scim_type: str
) -> None:
    target = new_user(client, name, schemas=[USER, TRAITS], **{TRAITS: {"birthPlace": "Bergen"}})
    with unchanged(client, target):
        refused(client.change(target, operation), 400, scim_type)


@pytest.mark.req("P-3.5.2-09", "P-3.5.2-10")
def test_an_immutable_attribute_is_set_once(client: Client, name: str) -> None:
    target = new_user(client, name)
    assert changed(client, target, op("add", f"{TRAITS}:birthPlace", "Bergen"))[TRAITS]["birthPlace"] == "Bergen"
    with unchanged(client, target):
        refused(client.change(target, op("add", f"{TRAITS}:birthPlace", "Oslo")), 400, "mutability")
        assert client.change(target, op("add", f"{TRAITS}:birthPlace", "Bergen")).status_code == 200


@pytest.mark.req("P-3.5.2-11", "P-3.5.2-13")
def test_an_operation_sees_the_extension_that_an_earlier_one_added(client: Client, name: str) -> None:
    after = changed(
        client,
        new_user(client, name),
        op("add", "schemas", [ENTERPRISE]),
        op("add", DEPARTMENT, "Pilotage"),
        op("replace", f"{ENTERPRISE}:division", "North"),
        op("remove", DEPARTMENT),
    )
    assert after["schemas"] == [USER, ENTERPRISE]
    assert after[ENTERPRISE] == {"division": "North"}


@pytest.mark.req("P-3.5.2-11")
@pytest.mark.parametrize("path", ["department", "manager"])
def test_an_unqualified_name_is_one_of_the_resource(client: Client, name: str, path: str) -> None:
    """Extension attributes whose name stands in one schema only are found without their URI; Entra ID sends so."""
    target = new_user(client, name)
    after = changed(client, target, op("add", path, "Pilotage"))
    assert after[ENTERPRISE][path] in ("Pilotage", {"value": "Pilotage"})


@pytest.mark.req("P-3.5.2-12")
@pytest.mark.parametrize(
    "operation",
    [
        op("add", DEPARTMENT, "Pilotage"),
        op("replace", DEPARTMENT, "Pilotage"),
        op("add", None, {ENTERPRISE: {"department": "Pilotage"}}),
        op("replace", None, {DEPARTMENT: "Pilotage"}),
        op("add", ENTERPRISE, {"department": "Pilotage"}),
    ],
)
def test_an_extension_attribute_brings_its_uri(client: Client, name: str, operation: Mapping[str, Any]) -> None:
    target = new_user(client, name)
    assert client.get(target).json()["schemas"] == [USER]
    after = changed(client, target, operation)
    assert after["schemas"] == [USER, ENTERPRISE]
    assert after[ENTERPRISE] == {"department": "Pilotage"}
    assert changed(client, target, op("remove", DEPARTMENT))["schemas"] == [USER]


@pytest.mark.req("P-3.5.2-13")
def test_operations_run_in_their_order(client: Client, name: str) -> None:
    after = changed(
        client,
        new_user(client, name, title="Mate", emails=[WORK]),
        op("remove", "title"),
        op("add", "title", "Pilot"),
        op("replace", "title", "Harbour Pilot"),
        op("add", "emails", [HOME]),
        op("replace", 'emails[type eq "home"].value', "new@home.example"),
        op("remove", 'emails[value eq "mira@tern.example"]'),
        op("add", 'emails[value eq "new@home.example"].display', "Home"),
    )
    assert after["title"] == "Harbour Pilot"
    assert after["emails"] == [{"value": "new@home.example", "type": "home", "display": "Home"}]


@pytest.mark.req("P-3.5.2-13")
def test_operations_on_members_run_in_their_order(client: Client, name: str) -> None:
    first, second = client.user(name)["id"], client.user(f"x{name}")["id"]
    path = f"/Groups/{client.group(name, first)['id']}"
    add, remove = op("add", "members", [{"value": second}]), op("remove", f'members[value eq "{second}"]')
    for operations, expected in (([add, remove], {first}), ([remove, add], {first, second})):
        assert client.change(path, *operations).status_code == 204
        assert {m["value"] for m in client.get(path).json()["members"]} == expected


@pytest.mark.req("P-3.5.2-14")
@pytest.mark.parametrize(
    ("failing", "scim_type"),
    [
        (op("replace", "active", {}), "invalidValue"),
        (op("replace", "id", "x"), "mutability"),
        (op("add", "favouriteColour", "blue"), "invalidPath"),
        (op("replace", 'emails[type eq "home"].value', "x"), "noTarget"),
        (op("move", "title"), "invalidSyntax"),
        (op("remove"), "noTarget"),
        (op("replace", "emails[type eq].value", "x"), "invalidFilter"),
    ],
)
@pytest.mark.every_store
def test_one_bad_operation_undoes_the_good_ones(
    client: Client, name: str, failing: Mapping[str, Any], scim_type: str
) -> None:
    target = new_user(client, name, title="Mate", emails=[WORK])
    good = [op("replace", "title", "Pilot"), op("add", "emails", [{"value": "x@tern.example", "type": "other"}])]
    with unchanged(client, target):
        refused(client.change(target, *good, failing), 400, scim_type)
        refused(client.change(target, failing, *good), 400, scim_type)


@pytest.mark.req("P-3.5.2-14", "P-3.5.2-18", "P-3.12-15")
@pytest.mark.every_store
def test_what_the_store_refuses_undoes_everything(client: Client, name: str) -> None:
    client.user(name)
    target = new_user(client, f"x{name}", title="Mate")
    member = client.user(f"y{name}")["id"]
    group = f"/Groups/{client.group(name, member)['id']}"
    client.group(f"x{name}")
    with unchanged(client, target, group):
        refused(
            client.change(target, op("replace", "title", "Pilot"), op("replace", "userName", name.upper())),
            409,
            "uniqueness",
        )
        refused(
            client.change(group, op("remove", "members"), op("add", "members", [{"value": "no-such-user"}])),
            400,
            "invalidValue",
        )
        refused(
            client.change(group, op("remove", "members"), op("replace", "displayName", f"X{name}")), 409, "uniqueness"
        )


@pytest.mark.req("P-3.5.2-15")
@pytest.mark.parametrize(
    "operation",
    [
        op("add", "emails", [{**HOME, "primary": True}]),
        op("replace", 'emails[type eq "other"].primary', True),
        op("add", 'emails[type eq "other"]', {"primary": True}),
    ],
)
def test_a_new_primary_value_takes_it_from_the_others(client: Client, name: str, operation: Mapping[str, Any]) -> None:
    target = new_user(client, name, emails=[WORK, {"value": "o@tern.example", "type": "other"}])
    emails = changed(client, target, operation)["emails"]
    assert [e["value"] for e in emails if e.get("primary")] != [WORK["value"]]
    assert sum(e.get("primary") is True for e in emails) == 1
    assert next(e for e in emails if e["type"] == "work")["primary"] is False


@pytest.mark.req("P-3.5.2-16", "P-3.5.2-17", "P-3.14-02")
def test_the_answer_for_a_user_is_200_with_the_resource(client: Client, name: str) -> None:
    target = new_user(client, name)
    response = client.change(target, op("add", "title", "Pilot"))
    assert response.status_code == 200
    assert response.headers["Content-Type"] == SCIM_JSON
    assert response.headers["ETag"] == response.json()["meta"]["version"] == client.get(target).headers["ETag"]
    assert response.json() == client.get(target).json()


@pytest.mark.req("P-3.5.2-16", "P-3.5.2-17", "P-3.9-01", "P-3.14-02", "H-15.3.5-01")
def test_the_answer_for_a_group_is_204_unless_attributes_are_asked_for(client: Client, name: str) -> None:
    member = client.user(name)["id"]
    path = f"/Groups/{client.group(name, member)['id']}"
    rename = {"schemas": [PATCH_OP], "Operations": [op("replace", "displayName", f"N {name}")]}
    plain = client.patch(path, json=rename)
    assert plain.status_code == 204
    assert plain.content == b""
    assert "Content-Type" not in plain.headers
    assert plain.headers["ETag"] == client.get(path).headers["ETag"]
    named = client.patch(path, json=rename, params={"attributes": "displayName"})
    assert named.status_code == 200
    assert named.json() == {k: v for k, v in client.get(path).json().items() if k in ("schemas", "id", "displayName")}
    without = client.patch(path, json=rename, params={"excludedAttributes": "members"})
    assert without.status_code == 200
    assert without.json() == {k: v for k, v in client.get(path).json().items() if k != "members"}
    everything = client.patch(path, json=rename, params={"attributes": "members"})
    assert [m["value"] for m in everything.json()["members"]] == [member]


@pytest.mark.req("P-3.5.2-17", "P-3.9-01")
def test_the_answer_for_a_user_is_projected(client: Client, name: str) -> None:
    target = new_user(client, name, title="Mate", emails=[WORK])
    body = {"schemas": [PATCH_OP], "Operations": [op("replace", "title", "Pilot")]}
    named = client.patch(target, json=body, params={"attributes": "userName,emails.value"}).json()
    assert named == {
        "schemas": [USER],
        "id": target.removeprefix("/Users/"),
        "userName": name,
        "emails": [{"value": WORK["value"]}],
    }
    without = client.patch(target, json=body, params={"excludedAttributes": "title,meta"}).json()
    assert without.keys() == {"schemas", "id", "userName", "emails"}
    with unchanged(client, target):
        refused(
            client.patch(target, json=body, params={"attributes": "title", "excludedAttributes": "emails"}),
            400,
            "invalidValue",
        )


@pytest.mark.req("P-3.5.2-18", "P-3.12-15")
@pytest.mark.every_store
def test_a_unique_value_in_use_is_409(client: Client, name: str) -> None:
    client.user(name)
    client.group(name)
    user, group = new_user(client, f"x{name}"), f"/Groups/{client.group(f'x{name}')['id']}"
    with unchanged(client, user, group):
        for spelling in (name, name.upper()):
            refused(client.change(user, op("replace", "userName", spelling)), 409, "uniqueness")
            refused(client.change(group, op("replace", "displayName", spelling)), 409, "uniqueness")
    assert changed(client, user, op("replace", "userName", f"X{name}"))["userName"] == f"X{name}"


@pytest.mark.req("P-3.5.2-19")
@pytest.mark.parametrize("endpoint", ["/Users", "/Groups"])
def test_an_unknown_id_is_404(client: Client, endpoint: str) -> None:
    for id in ("none", "6b0c4a0e-0000-4000-8000-000000000000"):
        refused(client.change(f"{endpoint}/{id}", op("replace", "displayName", "x")), 404)
        refused(client.change(f"{endpoint}/{id}", op("add", "externalId", "x")), 404)
        refused(client.change(f"{endpoint}/{id}"), 404)


@pytest.mark.req("P-3.5.2-20")
@pytest.mark.every_store
def test_members_added_and_removed_at_once_are_not_lost(client: Client, name: str) -> None:
    users = [client.user(f"m{n}-{name}")["id"] for n in range(60)]
    stay, leave, join = users[:20], users[20:40], users[40:]
    path = f"/Groups/{client.group(name, *stay, *leave)['id']}"

    def send(operation: Mapping[str, Any]) -> int:
        return client.change(path, operation).status_code

    operations = [
        operation
        for leaver, joiner in zip(leave, join, strict=True)
        for operation in (
            op("add", "members", [{"value": joiner}]),
            op("remove", f'members[value eq "{leaver}"]'),
        )
    ]
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, operations)) == {204}
    assert {m["value"] for m in client.get(path).json()["members"]} == {*stay, *join}


@pytest.mark.req("P-3.5.2-20")
@pytest.mark.every_store
def test_attributes_changed_at_once_are_not_lost(client: Client, name: str) -> None:
    target = new_user(client, name)
    numbers = range(72)

    def send(number: int) -> int:
        email = {"value": f"{number}@tern.example", "type": "other"}
        return client.change(target, op("add", "emails", [email])).status_code

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(send, numbers)) == {200}
    assert {e["value"] for e in client.get(target).json()["emails"]} == {f"{n}@tern.example" for n in numbers}
