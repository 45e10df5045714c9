"""PATCH (RFC 7644 section 3.5.2) as a client sees it; what each shape means is tested in tests/core."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.api.expect import new_user, refused, unchanged
from tests.api.patching import DEPARTMENT, WORK, changed, op
from tests.support.service import ENTERPRISE, PATCH_OP, SCIM_JSON, USER, Client

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
