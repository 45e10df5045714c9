"""Every user PATCH that Microsoft Entra ID and its test tools are known to send, end to end in both dialects."""

from __future__ import annotations

from typing import Any

import pytest

from app.control import Dialect
from tests.api.entra import MANAGER, op, patched, user
from tests.api.expect import unchanged
from tests.support.service import ENTERPRISE, USER, Client, Service

pytestmark = pytest.mark.every_store


@pytest.fixture(params=[Dialect.ENTRA, Dialect.RFC], ids=lambda dialect: str(dialect.value))
def entra(service: Service, request: pytest.FixtureRequest) -> Client:
    """A client of each dialect."""
    return service.client(dialect=request.param)


WORK = {"value": "mira@tern.example", "type": "work", "primary": True, "display": "Mira"}
HOME = {"value": "mira@home.example", "type": "home"}
NEW = "mira.berg@tern.example"
DEPARTMENT = f"{ENTERPRISE}:department"

# (row, attributes before, operations, attributes afterwards)
_USER_ROWS: list[tuple[str, dict[str, Any], list[dict[str, Any]], dict[str, Any]]] = [
    (
        "P1",
        {"emails": [WORK, HOME]},
        [op("Replace", 'emails[type eq "work"].value', NEW)],
        {"emails": [{**WORK, "value": NEW}, HOME]},
    ),
    (
        "P2 as production sends it",
        {"emails": [HOME], "title": "Mate"},
        [op("Replace", 'emails[type eq "work"].value', NEW), op("Replace", "title", "Pilot")],
        {"emails": [HOME, {"type": "work", "value": NEW}], "title": "Pilot"},
    ),
    (
        "P2 without any address",
        {},
        [op("replace", 'emails[type eq "work"].value', NEW)],
        {"emails": [{"type": "work", "value": NEW}]},
    ),
    (
        "P3",
        {"emails": [WORK]},
        [op("Add", 'emails[type eq "work"].value', NEW)],
        {"emails": [{**WORK, "value": NEW}]},
    ),
    (
        "P4",
        {"addresses": [{"type": "home", "locality": "Bergen"}]},
        [op("Add", 'addresses[type eq "work"].formatted', "18/2111")],
        {"addresses": [{"type": "home", "locality": "Bergen"}, {"type": "work", "formatted": "18/2111"}]},
    ),
    (
        "P5",
        {},
        [
            op("Add", 'addresses[type eq "work"].locality', "Bergen"),
            op("Add", 'addresses[type eq "work"].postalCode', "5003"),
            op("Add", 'addresses[type eq "work"].country', "NO"),
        ],
        {"addresses": [{"type": "work", "locality": "Bergen", "postalCode": "5003", "country": "NO"}]},
    ),
    (
        "P6",
        {"phoneNumbers": [{"type": "work", "value": "+47 1"}]},
        [op("Replace", 'phoneNumbers[type eq "mobile"].value', "4790055667")],
        {"phoneNumbers": [{"type": "work", "value": "+47 1"}, {"type": "mobile", "value": "4790055667"}]},
    ),
    (
        "P7",
        {},
        [
            op("replace", 'roles[primary eq "True"].display', "Pilot role"),
            op("replace", 'roles[primary eq "True"].value', "Pilot"),
            op("replace", 'roles[primary eq "True"].type', "app"),
        ],
        {"roles": [{"primary": True, "display": "Pilot role", "value": "Pilot", "type": "app"}]},
    ),
    (
        "P8",
        {"emails": [{**WORK, "primary": False}, HOME]},
        [op("replace", 'emails[type eq "work"].primary', True), op("replace", 'emails[type eq "home"].primary', True)],
        {"emails": [{**WORK, "primary": False}, {**HOME, "primary": True}]},
    ),
    ("P9", {"displayName": "Mira"}, [op("Replace", "displayName", "Mira B")], {"displayName": "Mira B"}),
    (
        "P10",
        {},
        [op("Replace", "displayName", [{"$ref": None, "value": "Mira Berg"}])],
        {"displayName": "Mira Berg"},
    ),
    ("P11", {"title": "Mate"}, [op("Add", "title", "Pilot")], {"title": "Pilot"}),
    ("P12 False", {"active": True}, [op("Replace", "active", "False")], {"active": False}),
    ("P12 false in text", {"active": True}, [op("Replace", "active", "false")], {"active": False}),
    ("P12 false", {"active": True}, [op("replace", "active", False)], {"active": False}),
    ("P12 add", {}, [op("Add", "active", "True")], {"active": True}),
    (
        "P13",
        {"name": {"givenName": "Mira", "familyName": "Solberg"}},
        [op("Replace", "name.familyName", "Berg"), op("Replace", "name.formatted", "Somebody Else")],
        {"name": {"givenName": "Mira", "familyName": "Berg", "formatted": "Somebody Else"}},
    ),
    ("P14", {}, [op("Add", DEPARTMENT, "Retail")], {ENTERPRISE: {"department": "Retail"}}),
    ("P15", {}, [op("Add", MANAGER, "ghost")], {ENTERPRISE: {"manager": {"value": "ghost"}}}),
    ("P16", {}, [op("add", MANAGER, {"value": "ghost"})], {ENTERPRISE: {"manager": {"value": "ghost"}}}),
    (
        "P17",
        {},
        [op("Add", "manager", [{"$ref": "https://x.example/Users/ghost", "value": "ghost"}])],
        {ENTERPRISE: {"manager": {"value": "ghost"}}},
    ),
    ("P18 empty text", {ENTERPRISE: {"manager": "ghost"}}, [op("replace", MANAGER, "")], {}),
    ("P18 empty value", {ENTERPRISE: {"manager": "ghost"}}, [op("replace", MANAGER, {"value": ""})], {}),
    ("P18 null", {ENTERPRISE: {"manager": "ghost"}}, [op("replace", MANAGER, None)], {}),
    ("P19 empty text", {"title": "Mate", "nickName": "Mi"}, [op("Replace", "title", "")], {"nickName": "Mi"}),
    ("P19 null", {"title": "Mate"}, [op("Replace", "title", None)], {}),
    (
        "P20",
        {"emails": [WORK, HOME]},
        [op("Remove", 'emails[type eq "home"].value', HOME["value"])],
        {"emails": [WORK]},
    ),
    ("P21", {"title": "Mate"}, [op("Remove", "title"), op("Remove", "nickName")], {}),
    ("P22", {"active": True}, [op("replace", None, {"active": False})], {"active": False}),
    (
        "P23 complex",
        {"name": {"givenName": "Mira", "familyName": "Solberg"}},
        [op("replace", None, {"name": {"familyName": "Berg"}})],
        {"name": {"givenName": "Mira", "familyName": "Berg"}},
    ),
    (
        "P23 extension",
        {ENTERPRISE: {"employeeNumber": "7", "department": "a"}},
        [op("replace", None, {ENTERPRISE: {"department": "b"}})],
        {ENTERPRISE: {"employeeNumber": "7", "department": "b"}},
    ),
    ("P25", {"title": "Mate"}, [], {"title": "Mate"}),
    ("P26", {}, [{"name": "setTitle", "value": "Pilot", "path": "title", "op": "Add"}], {"title": "Pilot"}),
    (
        "P27",
        {"title": "Mate"},
        [op("remove", "title"), op("add", "title", "A"), op("replace", "title", "B")],
        {"title": "B"},
    ),
    ("P28", {"externalId": "e"}, [op("Add", "externalId", "e")], {"externalId": "e"}),
    (
        "P29",
        {"emails": [WORK]},
        [op("Add", 'emails[type eq "other"].value', "o"), op("Add", 'emails[type eq "home"].value', "h")],
        {"emails": [WORK, {"type": "other", "value": "o"}, {"type": "home", "value": "h"}]},
    ),
    (
        "flag on: dotted and URN keys beside a filtered path",
        {"emails": [HOME]},
        [
            op("Replace", 'emails[type eq "work"].value', NEW),
            op(
                "replace",
                None,
                {
                    "displayName": "Mira Berg",
                    "name.givenName": "Mira",
                    "name.familyName": "Berg",
                    f"{ENTERPRISE}:employeeNumber": "70114",
                    f"{ENTERPRISE}:manager": "ghost",
                },
            ),
        ],
        {
            "emails": [HOME, {"type": "work", "value": NEW}],
            "displayName": "Mira Berg",
            "name": {"givenName": "Mira", "familyName": "Berg"},
            ENTERPRISE: {"employeeNumber": "70114", "manager": {"value": "ghost"}},
        },
    ),
    (
        "flag on: add",
        {},
        [op("add", None, {"title": "Pilot", "name.formatted": "M B", 'addresses[type eq "work"].locality': "Bergen"})],
        {"title": "Pilot", "name": {"formatted": "M B"}, "addresses": [{"type": "work", "locality": "Bergen"}]},
    ),
    (
        "a role wrapped in JSON",
        {},
        [op("Add", "roles", [{"value": '{"id":"5f","value":"Pilot","displayName":"Pilot role"}'}])],
        {"roles": [{"value": "Pilot", "display": "Pilot role"}]},
    ),
    (
        "assertive roles",
        {"roles": [{"value": "Old"}]},
        [op("replace", "roles", [{"primary": False, "type": "app", "display": "P", "value": "Pilot"}])],
        {"roles": [{"primary": False, "type": "app", "display": "P", "value": "Pilot"}]},
    ),
]


@pytest.mark.parametrize(("before", "operations", "after"), [r[1:] for r in _USER_ROWS], ids=[r[0] for r in _USER_ROWS])
def test_shapes_of_a_user_patch(
    entra: Client, name: str, before: dict[str, Any], operations: list[dict[str, Any]], after: dict[str, Any]
) -> None:
    path = user(entra, name, **before)
    read = patched(entra, path, *operations)
    assert {k: v for k, v in read.items() if k not in ("schemas", "id", "meta", "userName")} == after
    with unchanged(entra, path):
        # The same again is no change: that is what a repeated cycle sends.
        if not any(operation["op"].lower() == "remove" for operation in operations):
            patched(entra, path, *operations)


_VERBOSE: dict[str, Any] = {
    "displayName": "Mira Berg",
    "title": "Pilot",
    "preferredLanguage": "nus-SS",
    "nickName": "Mi",
    "userType": "Employee",
    "locale": "nb-NO",
    "timezone": "Europe/Oslo",
    "profileUrl": "https://tern.example/mira",
    "name.givenName": "Mira",
    "name.familyName": "Berg",
    "name.formatted": "Mira Berg",
    "name.middleName": "K",
    "name.honorificPrefix": "Dr.",
    "name.honorificSuffix": "III",
    'emails[type eq "work"].value': "w@tern.example",
    'emails[type eq "work"].primary': True,
    'emails[type eq "home"].value': "h@tern.example",
    'emails[type eq "other"].value': "o@tern.example",
    'phoneNumbers[type eq "work"].value': "1",
    'phoneNumbers[type eq "work"].primary': True,
    'phoneNumbers[type eq "mobile"].value': "2",
    'phoneNumbers[type eq "fax"].value': "3",
    'phoneNumbers[type eq "pager"].value': "4",
    'addresses[type eq "work"].formatted': "18/2111",
    'addresses[type eq "work"].streetAddress': "Bryggen 1",
    'addresses[type eq "work"].locality': "Bergen",
    'addresses[type eq "work"].region': "Vestland",
    'addresses[type eq "work"].postalCode': "5003",
    'addresses[type eq "work"].country': "NO",
    'roles[primary eq "True"].display': "Pilot role",
    'roles[primary eq "True"].value': "Pilot",
    'roles[primary eq "True"].type': "app",
    f"{ENTERPRISE}:employeeNumber": "7",
    f"{ENTERPRISE}:department": "Pilotage",
    f"{ENTERPRISE}:costCenter": "C1",
    f"{ENTERPRISE}:division": "North",
    f"{ENTERPRISE}:organization": "Tern",
}


@pytest.mark.parametrize("verb", ["add", "Add", "Replace"])
def test_p24_one_operation_for_each_mapped_attribute(entra: Client, name: str, verb: str) -> None:
    path = user(entra, name)
    operations = [op(verb, attribute, value) for attribute, value in _VERBOSE.items()]
    read = patched(entra, path, *operations)
    assert read["name"]["honorificSuffix"] == "III"
    assert {e["type"] for e in read["emails"]} == {"work", "home", "other"}
    assert len(read["phoneNumbers"]) == 4
    assert read["addresses"][0]["postalCode"] == "5003"
    assert read["roles"] == [{"primary": True, "display": "Pilot role", "value": "Pilot", "type": "app"}]
    assert read[ENTERPRISE]["organization"] == "Tern"
    with unchanged(entra, path):
        patched(entra, path, *operations)
        patched(entra, path, *(op("Replace", attribute, value) for attribute, value in _VERBOSE.items()))


def test_the_read_back_rule(entra: Client, name: str) -> None:
    """What was accepted is returned in the shape and spelling of the request, so that a diff finds nothing."""
    path = user(entra, name)
    values = {
        "title": " Harbour  pilot ",
        'phoneNumbers[type eq "work"].value': "+47 (0) 5550-1122 x3",
        'emails[type eq "work"].value': "MIRA@Tern.Example",
        DEPARTMENT: "Straße & Co.",
        "displayName": "e\u0301 \u00e9 \u200f",
        "userName": name.title(),
    }
    read = patched(entra, path, *(op("Replace", attribute, value) for attribute, value in values.items()))
    assert read["title"] == values["title"]
    assert read["phoneNumbers"][0]["value"] == values['phoneNumbers[type eq "work"].value']
    assert read["emails"][0]["value"] == values['emails[type eq "work"].value']
    assert read[ENTERPRISE]["department"] == values[DEPARTMENT]
    assert read["displayName"] == values["displayName"]
    assert read["userName"] == values["userName"]


@pytest.mark.parametrize("clear", ["", None])
@pytest.mark.parametrize("verbose", [True, False])
def test_the_null_update(entra: Client, name: str, clear: str | None, verbose: bool) -> None:
    attributes = {
        "title": "Pilot",
        "displayName": "Mira",
        "preferredLanguage": "nb",
        DEPARTMENT: "d",
        "name.givenName": "M",
    }
    path = user(entra, name, nickName="stays")
    patched(entra, path, *(op("add", attribute, value) for attribute, value in attributes.items()))
    if verbose:
        operations = [op("Replace", attribute, clear) for attribute in attributes]
    else:
        operations = [op("replace", None, dict.fromkeys(attributes, clear))]
    read = patched(entra, path, *operations)
    assert {k for k in read if k not in ("schemas", "id", "meta", "userName")} == {"nickName"}
    assert read["schemas"] == [USER]
