"""PATCH (RFC 7644 section 3.5.2) as a client sees it; what each shape means is tested in tests/core."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.expect import new_user, refused, unchanged
from tests.api.schemas import TRAITS
from tests.support.service import ENTERPRISE, PATCH_OP, SCIM_JSON, USER, Client

WORK = {"value": "mira@tern.example", "type": "work", "primary": True}
HOME = {"value": "mira@home.example", "type": "home"}
DEPARTMENT = f"{ENTERPRISE}:department"


def op(name: str, path: str | None = None, value: Any = ...) -> dict[str, Any]:
    made: dict[str, Any] = {"op": name}
    if path is not None:
        made["path"] = path
    if value is not ...:
        made["value"] = value
    return made


def changed(client: Client, path: str, *operations: Mapping[str, Any]) -> dict[str, Any]:
    """The resource that a successful PATCH answers, which is the one that is stored."""
    response = client.change(path, *operations)
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    assert client.get(path).json() == document
    return document


# --- the envelope ---


@pytest.mark.req("P-3.5.2-02", "P-3.5.2-03", "P-3.12-17")
@pytest.mark.parametrize(
    "body",
    [
        {"Operations": [op("replace", "title", "x")]},
        {"schemas": [], "Operations": [op("replace", "title", "x")]},
        {"schemas": [USER], "Operations": [op("replace", "title", "x")]},
        {"schemas": PATCH_OP, "Operations": [op("replace", "title", "x")]},
        {"schemas": [PATCH_OP, 7], "Operations": [op("replace", "title", "x")]},
        {"schemas": None, "Operations": [op("replace", "title", "x")]},
        {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "Operations": [op("remove", "title")]},
        {"schemas": [PATCH_OP]},
        {"schemas": [PATCH_OP], "Operations": None},
        {"schemas": [PATCH_OP], "Operations": op("replace", "title", "x")},
        {"schemas": [PATCH_OP], "Operations": "replace"},
        {"schemas": [PATCH_OP], "Operations": [["replace", "title", "x"]]},
        {"schemas": [PATCH_OP], "Operations": [None]},
        {"schemas": [PATCH_OP], "op": "replace", "path": "title", "value": "x"},
        {"schemas": [USER], "userName": "x"},
        [op("replace", "title", "x")],
        "replace",
        None,
        7,
    ],
)
def test_what_is_no_patch_message_is_invalid_syntax(client: Client, name: str, body: Any) -> None:
    path = new_user(client, name, title="Pilot")
    with unchanged(client, path):
        response = client.patch(path, content=json.dumps(body), headers={"Content-Type": SCIM_JSON})
        refused(response, 400, "invalidSyntax")


@pytest.mark.req("P-3.5.2-02")
def test_the_urn_of_the_message_is_read_without_case(client: Client, name: str) -> None:
    path = new_user(client, name)
    body = {"schemas": [PATCH_OP.upper()], "operations": [op("add", "title", "Pilot")]}
    assert client.patch(path, json=body).json()["title"] == "Pilot"


def test_no_operations_are_no_change(client: Client, name: str) -> None:
    """Entra ID sends an empty list when it has nothing to say, and would repeat what is refused for ever."""
    path = new_user(client, name)
    with unchanged(client, path):
        assert client.change(path).status_code == 200


@pytest.mark.req("P-3.5.2-04")
@pytest.mark.parametrize("spelling", ["add", "Add", "ADD", "aDD"])
def test_op_is_read_without_case(client: Client, name: str, spelling: str) -> None:
    assert changed(client, new_user(client, name), op(spelling, "title", "Pilot"))["title"] == "Pilot"


@pytest.mark.req("P-3.5.2-04", "P-3.5.2-05")
@pytest.mark.parametrize(
    "operation",
    [
        op("move", "title", "x"),
        op("copy", "title", "x"),
        op("test", "title", "x"),
        op("", "title", "x"),
        op("add ", "title", "x"),
        {"op": None, "path": "title", "value": "x"},
        {"op": ["add"], "path": "title", "value": "x"},
        {"op": 1, "path": "title", "value": "x"},
        {"path": "title", "value": "x"},
        {"op": "add", "OP": "remove", "path": "title", "value": "x"},
        {},
    ],
)
def test_an_operation_has_one_op_of_three(client: Client, name: str, operation: Mapping[str, Any]) -> None:
    path = new_user(client, name, title="Pilot")
    with unchanged(client, path):
        refused(client.change(path, operation), 400, "invalidSyntax")


# --- paths ---


@pytest.mark.req("P-3.5.2-05", "P-3.5.2-06", "P-3.5.2-07", "P-3.12-18")
@pytest.mark.parametrize(
    "path",
    [
        "emails[0]",
        "emails[0].value",
        "emails/0",
        "/emails/0",
        "/title",
        'emails[type eq "work"].a.b',
        'emails[type eq "work"]value',
        'emails[type eq "work"',
        'emails type eq "work"]',
        'emails.value[type eq "work"]',
        '[type eq "work"]',
        "name.givenName.first",
        "name.",
        ".name",
        "name..givenName",
        "title displayName",
        "title,displayName",
        'title eq "x"',
        "1title",
        "ti tle",
        "",
        " ",
        f"{ENTERPRISE}:",
        f"{ENTERPRISE}.department",
        "t\u00eftle",
        "emails[]",
    ],
)
def test_a_malformed_path_is_invalid_path(client: Client, name: str, path: str) -> None:
    target = new_user(client, name, title="Pilot", emails=[WORK])
    with unchanged(client, target):
        refused(client.change(target, op("replace", path, "x")), 400, "invalidPath")


@pytest.mark.parametrize("path", [7, True, ["title"], {"path": "title"}])
@pytest.mark.req("P-3.5.2-07")
def test_a_path_that_is_no_text_is_invalid_path(client: Client, name: str, path: Any) -> None:
    target = new_user(client, name, title="Pilot")
    with unchanged(client, target):
        refused(client.change(target, {"op": "replace", "path": path, "value": "x"}), 400, "invalidPath")


@pytest.mark.req("P-3.5.2-07", "P-3.12-13")
@pytest.mark.parametrize(
    "filter",
    [
        "type",
        "type eq",
        'type is "work"',
        "type eq work",
        'type eq "work',
        'primary gt "x"',
        "(type pr",
        "type pr][value pr",
    ],
)
def test_a_malformed_filter_in_a_path_is_invalid_filter(client: Client, name: str, filter: str) -> None:
    target = new_user(client, name, emails=[WORK])
    with unchanged(client, target):
        refused(client.change(target, op("replace", f"emails[{filter}].value", "x")), 400, "invalidFilter")


@pytest.mark.req("P-3.5.2-08")
@pytest.mark.parametrize(
    "path",
    [
        "favouriteColour",
        "name.nickName",
        "emails.favourite",
        'emails[type eq "work"].favourite',
        "urn:example:params:scim:schemas:absent:2.0:User:colour",
        f"{ENTERPRISE}:colour",
        f"{USER}:department",
        "members",
        "urn:ietf:params:scim:schemas:core:2.0:Group:displayName",
    ],
)
def test_a_path_to_an_undefined_attribute_is_refused(client: Client, name: str, path: str) -> None:
    target = new_user(client, name, emails=[WORK])
    with unchanged(client, target):
        refused(client.change(target, op("add", path, "x")), 400, "invalidPath")


@pytest.mark.req("P-3.5.2-06", "P-3.10-01")
@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        ("title", "Pilot", {"title": "Pilot"}),
        ("TITLE", "Pilot", {"title": "Pilot"}),
        (f"{USER}:title", "Pilot", {"title": "Pilot"}),
        (f"{USER.upper()}:Title", "Pilot", {"title": "Pilot"}),
        ("name.givenName", "Mira", {"name": {"givenName": "Mira"}}),
        ("NAME.GIVENNAME", "Mira", {"name": {"givenName": "Mira"}}),
        (f"{USER}:name.givenName", "Mira", {"name": {"givenName": "Mira"}}),
        (DEPARTMENT, "Pilotage", {ENTERPRISE: {"department": "Pilotage"}}),
        (DEPARTMENT.upper(), "Pilotage", {ENTERPRISE: {"department": "Pilotage"}}),
        ('emails[type eq "work"].value', "new@tern.example", {"emails": [{**WORK, "value": "new@tern.example"}]}),
        ('EMAILS[TYPE EQ "WORK"].VALUE', "new@tern.example", {"emails": [{**WORK, "value": "new@tern.example"}]}),
        (f'{USER}:emails[type eq "work"].display', "Office", {"emails": [{**WORK, "display": "Office"}]}),
        (
            'emails[type eq "work" and primary eq true]',
            {"value": "z@z.example"},
            {"emails": [{"value": "z@z.example"}]},
        ),
        ('emails[not (type eq "home")].display', "Office", {"emails": [{**WORK, "display": "Office"}]}),
    ],
)
def test_every_notation_of_a_path(client: Client, name: str, path: str, value: Any, shown: Mapping[str, Any]) -> None:
    target = new_user(client, name, emails=[WORK])
    after = changed(client, target, op("replace", path, value))
    assert {key: after[key] for key in shown} == shown


# --- the operations together ---


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
def test_one_bad_operation_undoes_the_good_ones(
    client: Client, name: str, failing: Mapping[str, Any], scim_type: str
) -> None:
    target = new_user(client, name, title="Mate", emails=[WORK])
    good = [op("replace", "title", "Pilot"), op("add", "emails", [{"value": "x@tern.example", "type": "other"}])]
    with unchanged(client, target):
        refused(client.change(target, *good, failing), 400, scim_type)
        refused(client.change(target, failing, *good), 400, scim_type)


@pytest.mark.req("P-3.5.2-14", "P-3.5.2-18", "P-3.12-15")
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
def test_attributes_changed_at_once_are_not_lost(client: Client, name: str) -> None:
    target = new_user(client, name)
    numbers = range(24)

    def send(number: int) -> int:
        email = {"value": f"{number}@tern.example", "type": "other"}
        return client.change(target, op("add", "emails", [email])).status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(send, numbers)) == {200}
    assert {e["value"] for e in client.get(target).json()["emails"]} == {f"{n}@tern.example" for n in numbers}


# --- add ---


@pytest.mark.req("P-3.5.2.1-01", "P-3.5.2.3-08")
@pytest.mark.parametrize("operation", [op("add", "title"), op("add"), op("replace", "title"), op("replace")])
def test_add_and_replace_need_a_value(client: Client, name: str, operation: Mapping[str, Any]) -> None:
    target = new_user(client, name, title="Mate")
    with unchanged(client, target):
        refused(client.change(target, operation), 400, "invalidValue")


@pytest.mark.req("P-3.5.2.1-02", "P-3.5.2.1-05")
def test_add_without_path_adds_every_member(client: Client, name: str) -> None:
    target = new_user(client, name, nickName="Mi", emails=[WORK])
    after = changed(client, target, op("add", None, {"emails": [HOME], "title": "Pilot", "nickName": "Mira"}))
    assert after["emails"] == [WORK, HOME]
    assert (after["title"], after["nickName"]) == ("Pilot", "Mira")
    member = client.user(f"x{name}")["id"]
    path = f"/Groups/{client.group(name)['id']}"
    assert client.change(path, op("add", None, {"members": [{"value": member}]})).status_code == 204
    assert [m["value"] for m in client.get(path).json()["members"]] == [member]


@pytest.mark.req("P-3.5.2.1-03", "P-3.5.2.1-06", "P-3.5.2.1-07")
def test_add_of_a_single_value(client: Client, name: str) -> None:
    target = new_user(client, name)
    after = changed(client, target, op("add", "title", "Mate"), op("add", "name.givenName", "Mira"))
    assert (after["title"], after["name"]) == ("Mate", {"givenName": "Mira"})
    after = changed(client, target, op("add", "title", "Pilot"))
    assert after["title"] == "Pilot"
    with unchanged(client, target):
        changed(client, target, op("add", "title", "Pilot"), op("add", "name.givenName", "Mira"))


@pytest.mark.req("P-3.5.2.1-04", "P-3.5.2.3-04")
@pytest.mark.parametrize("verb", ["add", "replace"])
def test_sub_attributes_that_are_not_given_stay(client: Client, name: str, verb: str) -> None:
    target = new_user(client, name, name={"familyName": "Solberg", "givenName": "Mira", "middleName": "K"})
    expected = {"familyName": "Berg", "givenName": "Mira", "middleName": "K", "honorificPrefix": "Dr."}
    value = {"familyName": "Berg", "honorificPrefix": "Dr."}
    assert changed(client, target, op(verb, "name", value))["name"] == expected
    assert changed(client, target, op(verb, None, {"name": {"givenName": "Kari"}}))["name"]["givenName"] == "Kari"


@pytest.mark.req("P-3.5.2.1-05", "P-3.5.2.1-07")
def test_add_to_several_values_appends(client: Client, name: str) -> None:
    target = new_user(client, name, emails=[WORK])
    assert changed(client, target, op("add", "emails", [HOME]))["emails"] == [WORK, HOME]
    other = {"value": "o@tern.example", "type": "other"}
    assert changed(client, target, op("add", "emails", other))["emails"] == [WORK, HOME, other]
    with unchanged(client, target):
        changed(client, target, op("add", "emails", [HOME, other]))


@pytest.mark.req("P-3.5.2.1-08", "P-3.5.2.3-06")
@pytest.mark.parametrize("verb", ["add", "replace"])
def test_a_value_path_with_sub_attribute_sets_it_on_every_match(client: Client, name: str, verb: str) -> None:
    second = {"value": "mira2@tern.example", "type": "work"}
    target = new_user(client, name, emails=[WORK, second, HOME])
    after = changed(client, target, op(verb, 'emails[type eq "work"].display', "Office"))
    assert after["emails"] == [{**WORK, "display": "Office"}, {**second, "display": "Office"}, HOME]


@pytest.mark.req("P-3.5.2.1-09")
def test_add_through_a_value_path_without_match_creates_the_value(client: Client, name: str) -> None:
    target = new_user(client, name, emails=[HOME])
    after = changed(client, target, op("add", 'emails[type eq "work"].value', "new@tern.example"))
    assert after["emails"] == [HOME, {"type": "work", "value": "new@tern.example"}]
    with unchanged(client, target):
        refused(
            client.change(target, op("add", 'emails[type ne "work" and type ne "home"].value', "x")), 400, "noTarget"
        )


# --- remove ---


@pytest.mark.req("P-3.5.2.2-01", "P-3.12-19")
@pytest.mark.parametrize("operation", [op("remove"), op("remove", None, None), {"op": "remove", "path": None}])
def test_remove_needs_a_path(client: Client, name: str, operation: Mapping[str, Any]) -> None:
    target = new_user(client, name, title="Mate")
    with unchanged(client, target):
        refused(client.change(target, operation), 400, "noTarget")


@pytest.mark.req("P-3.5.2.2-02")
def test_remove_unassigns_a_single_value(client: Client, name: str) -> None:
    target = new_user(client, name, title="Mate", nickName="Mi", name={"familyName": "Berg", "givenName": "Mira"})
    after = changed(client, target, op("remove", "title"), op("remove", "name.givenName"))
    assert "title" not in after
    assert after["name"] == {"familyName": "Berg"}
    assert "name" not in changed(client, target, op("remove", "name"))
    assert client.found("/Users", f'id eq "{after["id"]}" and title pr') == set()
    assert client.found("/Users", f'id eq "{after["id"]}" and nickName pr') == {after["id"]}


@pytest.mark.req("P-3.5.2.2-03")
def test_remove_without_filter_takes_all_values(client: Client, name: str) -> None:
    assert "emails" not in changed(client, new_user(client, name, emails=[WORK, HOME]), op("remove", "emails"))
    path = f"/Groups/{client.group(name, client.user(f'x{name}')['id'])['id']}"
    assert client.change(path, op("remove", "members")).status_code == 204
    assert not client.get(path).json().get("members")


@pytest.mark.req("P-3.5.2.2-04")
def test_remove_with_filter_takes_the_matches(client: Client, name: str) -> None:
    second = {"value": "mira2@tern.example", "type": "work"}
    target = new_user(client, name, emails=[WORK, second, HOME])
    after = changed(
        client, target, op("remove", 'emails[type eq "work" and value ew "tern.example" and primary ne true]')
    )
    assert after["emails"] == [WORK, HOME]
    assert changed(client, target, op("remove", 'emails[type eq "work"]'))["emails"] == [HOME]
    assert "emails" not in changed(client, target, op("remove", 'emails[type eq "home"]'))
    first, other = client.user(f"x{name}")["id"], client.user(f"y{name}")["id"]
    path = f"/Groups/{client.group(name, first, other)['id']}"
    assert client.change(path, op("remove", f'members[value eq "{first}"]')).status_code == 204
    assert [m["value"] for m in client.get(path).json()["members"]] == [other]
    assert client.change(path, op("remove", f'members[value eq "{other}"]')).status_code == 204
    assert not client.get(path).json().get("members")


@pytest.mark.req("P-3.5.2.2-05")
def test_remove_with_filter_and_sub_attribute_takes_the_part_only(client: Client, name: str) -> None:
    target = new_user(client, name, emails=[{**WORK, "display": "Office"}, {**HOME, "display": "Home"}])
    after = changed(client, target, op("remove", 'emails[type eq "work"].display'))
    assert after["emails"] == [WORK, {**HOME, "display": "Home"}]


@pytest.mark.req("P-3.5.2.2-06", "P-3.12-16")
@pytest.mark.parametrize("path", ["userName", "id", "meta", "meta.created", "groups", "schemas", f"{TRAITS}:computed"])
def test_remove_of_a_required_or_read_only_attribute_of_a_user(client: Client, name: str, path: str) -> None:
    target = new_user(client, name)
    with unchanged(client, target):
        refused(client.change(target, op("remove", path)), 400, "mutability")


@pytest.mark.req("P-3.5.2.2-06", "P-3.12-16")
@pytest.mark.parametrize("path", ["displayName", "id", "meta.location"])
def test_remove_of_a_required_or_read_only_attribute_of_a_group(client: Client, name: str, path: str) -> None:
    target = f"/Groups/{client.group(name)['id']}"
    with unchanged(client, target):
        refused(client.change(target, op("remove", path)), 400, "mutability")


@pytest.mark.req("P-3.5.2.2-07")
def test_remove_of_what_is_not_there_changes_nothing(client: Client, name: str) -> None:
    target = new_user(client, name, emails=[WORK])
    stranger = client.user(f"x{name}")["id"]
    group = f"/Groups/{client.group(name)['id']}"
    with unchanged(client, target, group):
        for path in ("nickName", "name", "name.givenName", 'emails[type eq "home"]', 'emails[type eq "home"].value'):
            changed(client, target, op("remove", path))
        for gone in (stranger, "no-such-user"):
            assert client.change(group, op("remove", f'members[value eq "{gone}"]')).status_code == 204
            assert client.change(group, op("remove", "members", [{"value": gone}])).status_code == 204


# --- replace ---


@pytest.mark.req("P-3.5.2.3-01", "P-3.5.2.3-03")
def test_replace_without_path_replaces_what_it_names(client: Client, name: str) -> None:
    target = new_user(client, name, title="Mate", nickName="Mi", emails=[WORK, HOME])
    before = client.get(target).json()
    after = changed(client, target, op("replace", None, {"emails": [{"value": "o@tern.example"}], "nickName": "Mira"}))
    assert after["emails"] == [{"value": "o@tern.example"}]
    assert after["nickName"] == "Mira"
    rest = ("emails", "nickName", "meta")
    assert {k: v for k, v in after.items() if k not in rest} == {k: v for k, v in before.items() if k not in rest}


@pytest.mark.req("P-3.5.2.3-02")
def test_replace_of_a_single_value(client: Client, name: str) -> None:
    target = new_user(client, name, title="Mate")
    after = changed(client, target, op("replace", "title", "Pilot"), op("replace", "nickName", "Mi"))
    assert (after["title"], after["nickName"]) == ("Pilot", "Mi")


@pytest.mark.req("P-3.5.2.3-03")
def test_replace_of_several_values_replaces_the_list(client: Client, name: str) -> None:
    target = new_user(client, name, emails=[WORK, HOME])
    other = {"value": "o@tern.example", "type": "other"}
    assert changed(client, target, op("replace", "emails", [other]))["emails"] == [other]
    first, second, third = (client.user(f"{n}{name}")["id"] for n in "abc")
    path = f"/Groups/{client.group(name, first, second)['id']}"
    assert client.change(path, op("replace", "members", [{"value": second}, {"value": third}])).status_code == 204
    assert {m["value"] for m in client.get(path).json()["members"]} == {second, third}
    assert client.change(path, op("replace", "members", [{"value": first}])).status_code == 204
    assert [m["value"] for m in client.get(path).json()["members"]] == [first]
    assert client.change(path, op("replace", "members", [])).status_code == 204
    assert not client.get(path).json().get("members")


@pytest.mark.req("P-3.5.2.3-05")
def test_replace_of_a_selected_record_replaces_all_of_it(client: Client, name: str) -> None:
    second = {"value": "mira2@tern.example", "type": "work", "display": "Second"}
    new = {"value": "new@tern.example", "type": "other"}
    target = new_user(client, name, emails=[second, HOME])
    assert changed(client, target, op("replace", 'emails[type eq "work"]', new))["emails"] == [new, HOME]


@pytest.mark.req("P-3.5.2.3-05")
def test_replace_of_several_selected_records_leaves_one_of_equal_ones(client: Client, name: str) -> None:
    """Every match becomes the value; equal values would break RFC 7643 section 2.4, so that one of them stays."""
    second, new = {"value": "mira2@tern.example", "type": "work"}, {"value": "new@tern.example", "type": "other"}
    target = new_user(client, name, emails=[WORK, HOME, second])
    assert changed(client, target, op("replace", 'emails[type eq "work"]', new))["emails"] == [new, HOME]


@pytest.mark.req("P-3.5.2.3-07", "P-3.12-19")
@pytest.mark.parametrize(
    "path", ['emails[type eq "work"]', 'emails[type eq "work"].value', 'emails[type co "z"].value']
)
def test_replace_through_a_value_path_without_match_has_no_target(client: Client, name: str, path: str) -> None:
    target = new_user(client, name, emails=[HOME])
    value = {"value": "x@tern.example"} if path.endswith("]") else "x@tern.example"
    with unchanged(client, target):
        refused(client.change(target, op("replace", path, value)), 400, "noTarget")


@pytest.mark.req("P-3.5.2.3-08")
@pytest.mark.parametrize(
    ("path", "value", "left"),
    [
        ("title", None, None),
        ("title", "", None),
        ("name", None, None),
        ("emails", None, None),
        ("emails", [], None),
        ("name.givenName", None, {"familyName": "Berg"}),
    ],
)
def test_replace_with_null_unassigns(client: Client, name: str, path: str, value: Any, left: Any) -> None:
    target = new_user(client, name, title="Mate", name={"familyName": "Berg", "givenName": "Mira"}, emails=[WORK])
    assert changed(client, target, op("replace", path, value)).get(path.partition(".")[0]) == left
