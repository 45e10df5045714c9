"""Every user (P) and group (G) operation that Microsoft Entra ID and its test tools are known to send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from app.scim.errors import InvalidValue, Mutability, NoTarget
from app.scim.patch.operations import Dialect
from tests.core.patch_helpers import DEPARTMENT, EMPLOYEE_NUMBER, ENTERPRISE, MANAGER, group, user

WORK = {"value": "mira@tern.example", "type": "work", "primary": True, "display": "Mira"}
HOME = {"value": "mira@home.example", "type": "home"}
NEW = "mira.berg@tern.example"
BOSS = "9b2f6f0e-3d0b-4b7e-8b55-7c0d1e2f3a4b"


def op(name: str, /, path: str | None = None, value: Any = ..., **extra: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"op": name, **extra}
    if path is not None:
        made["path"] = path
    if value is not ...:
        made["value"] = value
    return made


# (row and what it shows, slots before, operations, slots afterwards beside userName)
USER_ROWS: list[tuple[str, Mapping[str, Any], list[dict[str, Any]], Mapping[str, Any]]] = [
    (
        "P1 value of an existing work address",
        {"emails": [WORK, HOME]},
        [op("Replace", 'emails[type eq "work"].value', NEW)],
        {"emails": [{**WORK, "value": NEW}, HOME]},
    ),
    (
        "P2 no work address yet",
        {"emails": [HOME]},
        [op("Replace", 'emails[type eq "work"].value', NEW), op("Replace", "title", "Pilot")],
        {"emails": [HOME, {"type": "work", "value": NEW}], "title": "Pilot"},
    ),
    (
        "P2 no address at all",
        {},
        [op("replace", 'emails[type eq "work"].value', NEW)],
        {"emails": [{"type": "work", "value": NEW}]},
    ),
    (
        "P3 add never makes a second work address",
        {"emails": [WORK]},
        [op("Add", 'emails[type eq "work"].value', NEW)],
        {"emails": [{**WORK, "value": NEW}]},
    ),
    (
        "P4 work address beside a home address",
        {"addresses": [{"type": "home", "locality": "Bergen"}]},
        [op("Add", 'addresses[type eq "work"].formatted', "18/2111")],
        {"addresses": [{"type": "home", "locality": "Bergen"}, {"type": "work", "formatted": "18/2111"}]},
    ),
    (
        "P5 several operations with one filter make one element",
        {},
        [
            op("Add", 'addresses[type eq "work"].locality', "Bergen"),
            op("Add", 'addresses[type eq "work"].postalCode', "5003"),
            op("Replace", 'addresses[type eq "work"].country', "NO"),
        ],
        {"addresses": [{"type": "work", "locality": "Bergen", "postalCode": "5003", "country": "NO"}]},
    ),
    (
        "P6 mobile number",
        {"phoneNumbers": [{"type": "work", "value": "+47 5550 1122"}]},
        [op("Replace", 'phoneNumbers[type eq "mobile"].value', "4790055667")],
        {
            "phoneNumbers": [
                {"type": "work", "value": "+47 5550 1122"},
                {"type": "mobile", "value": "4790055667"},
            ]
        },
    ),
    (
        "P7 primary role",
        {},
        [
            op("replace", 'roles[primary eq "True"].display', "Pilot role"),
            op("replace", 'roles[primary eq "True"].value', "Pilot"),
            op("replace", 'roles[primary eq "True"].type', "app"),
        ],
        {"roles": [{"primary": True, "display": "Pilot role", "value": "Pilot", "type": "app"}]},
    ),
    (
        "P8 primary moves on",
        {"emails": [{**WORK, "primary": False}, HOME]},
        [
            op("replace", 'emails[type eq "work"].primary', True),
            op("replace", 'emails[type eq "home"].primary', True),
        ],
        {"emails": [{**WORK, "primary": False}, {**HOME, "primary": True}]},
    ),
    (
        "P9 plain replace",
        {"displayName": "Mira"},
        [op("Replace", "displayName", "Mira Berg")],
        {"displayName": "Mira Berg"},
    ),
    (
        "P10 scalar in an array",
        {},
        [op("Replace", "displayName", [{"$ref": None, "value": "Mira Berg"}])],
        {"displayName": "Mira Berg"},
    ),
    ("P11 add where there is a value", {"title": "Deckhand"}, [op("Add", "title", "Pilot")], {"title": "Pilot"}),
    ("P12 False", {"active": True}, [op("Replace", "active", "False")], {"active": False}),
    ("P12 false in a string", {"active": True}, [op("Replace", "active", "false")], {"active": False}),
    ("P12 false", {"active": True}, [op("replace", "active", False)], {"active": False}),
    ("P12 Add True", {}, [op("Add", "active", "True")], {"active": True}),
    (
        "P13 parts of the name",
        {"name.givenName": "Mira", "name.familyName": "Solberg"},
        [op("Replace", "name.familyName", "Berg"), op("Replace", "name.formatted", "M. Solberg")],
        {"name.givenName": "Mira", "name.familyName": "Berg", "name.formatted": "M. Solberg"},
    ),
    ("P14 extension attribute", {}, [op("Add", f"{ENTERPRISE}:department", "Retail")], {DEPARTMENT: "Retail"}),
    ("P15 manager as a string", {}, [op("Add", f"{ENTERPRISE}:manager", BOSS)], {MANAGER: BOSS}),
    ("P16 manager as an object", {}, [op("add", f"{ENTERPRISE}:manager", {"value": BOSS})], {MANAGER: BOSS}),
    (
        "P17 manager as an array, short path",
        {},
        [op("Add", "manager", [{"$ref": f"https://idm.tern.example/Users/{BOSS}", "value": BOSS}])],
        {MANAGER: BOSS},
    ),
    ("P17 null reference", {}, [op("Add", "manager", [{"$ref": None, "value": BOSS}])], {MANAGER: BOSS}),
    ("P18 manager cleared", {MANAGER: BOSS}, [op("replace", f"{ENTERPRISE}:manager", "")], {}),
    ("P18 in an object", {MANAGER: BOSS}, [op("replace", f"{ENTERPRISE}:manager", {"value": ""})], {}),
    ("P18 null", {MANAGER: BOSS}, [op("replace", f"{ENTERPRISE}:manager", None)], {}),
    ("P19 empty string", {"title": "Pilot"}, [op("Replace", "title", "")], {}),
    ("P19 null", {"title": "Pilot"}, [op("Replace", "title", None)], {}),
    ("P19 empty string without path", {"title": "Pilot"}, [op("replace", value={"title": ""})], {}),
    ("P19 null without path", {DEPARTMENT: "Retail"}, [op("replace", value={DEPARTMENT: None})], {}),
    (
        "P19 of a selected value that has nothing else",
        {"emails": [{"type": "work", "value": NEW}, HOME]},
        [op("Replace", 'emails[type eq "work"].value', "")],
        {"emails": [HOME]},
    ),
    (
        "P19 of what is not there",
        {"emails": [HOME]},
        [op("replace", 'emails[type eq "work"].value', "")],
        {"emails": [HOME]},
    ),
    (
        "P20 equal but for case",
        {"emails": [HOME, {"type": "work", "value": "MIRA@tern.example"}]},
        [op("Remove", 'emails[type eq "work"].value', "mira@TERN.example")],
        {"emails": [HOME]},
    ),
    (
        "P20 another value",
        {"emails": [WORK]},
        [op("Remove", 'emails[type eq "work"].value', "other@tern.example")],
        {"emails": [WORK]},
    ),
    ("P21 removed", {"title": "Pilot"}, [op("Remove", "title")], {}),
    ("P21 not there", {}, [op("Remove", "title")], {}),
    ("P22 without path", {"active": True}, [op("replace", value={"active": False})], {"active": False}),
    ("P22 user name", {}, [op("replace", value={"userName": NEW})], {"userName": NEW}),
    (
        "P23 nested objects merge",
        {"name.givenName": "Mira", "name.familyName": "Solberg", DEPARTMENT: "Retail", EMPLOYEE_NUMBER: "70113"},
        [op("replace", value={"name": {"familyName": "Berg"}, ENTERPRISE: {"department": "Port Control"}})],
        {"name.givenName": "Mira", "name.familyName": "Berg", DEPARTMENT: "Port Control", EMPLOYEE_NUMBER: "70113"},
    ),
    (
        "P24 unchanged values",
        {"title": "Pilot", "active": True, "emails": [WORK]},
        [
            op("Replace", "title", "Pilot"),
            op("Replace", "active", "True"),
            op("Replace", 'emails[type eq "work"].value', WORK["value"]),
            op("Replace", 'emails[type eq "work"].primary', "True"),
        ],
        {"title": "Pilot", "active": True, "emails": [WORK]},
    ),
    ("P25 no operations", {"title": "Pilot"}, [], {"title": "Pilot"}),
    ("P26 unknown keys", {}, [op("Add", "title", "Pilot", name="addTitle")], {"title": "Pilot"}),
    (
        "P27 remove, add and replace",
        {"emails": [WORK], "title": "Deckhand"},
        [
            op("remove", "title"),
            op("add", "title", "Mate"),
            op("replace", "title", "Pilot"),
            op("remove", 'emails[type eq "work"].value'),
            op("add", 'emails[type eq "work"].value', "mate@tern.example"),
            op("replace", 'emails[type eq "work"].value', NEW),
        ],
        {"emails": [{**WORK, "value": NEW}], "title": "Pilot"},
    ),
    (
        "P28 equal externalId",
        {"externalId": "msolberg"},
        [op("Add", "externalId", "msolberg")],
        {"externalId": "msolberg"},
    ),
    (
        "P29 types that are new",
        {},
        [op("add", 'emails[type eq "home"].value', "a@home.example"), op("Add", 'emails[type eq "other"].value', NEW)],
        {"emails": [{"type": "home", "value": "a@home.example"}, {"type": "other", "value": NEW}]},
    ),
    (
        "5.1 one operation with dotted and URN keys, after a filtered one",
        {"emails": [WORK]},
        [
            op("replace", 'emails[type eq "work"].value', NEW),
            op(
                "replace",
                value={
                    "displayName": "Mira Berg",
                    "name.givenName": "Mira",
                    "name.familyName": "Berg",
                    f"{ENTERPRISE}:employeeNumber": "70114",
                    f"{ENTERPRISE}:manager": {"value": BOSS},
                },
            ),
        ],
        {
            "emails": [{**WORK, "value": NEW}],
            "displayName": "Mira Berg",
            "name.givenName": "Mira",
            "name.familyName": "Berg",
            EMPLOYEE_NUMBER: "70114",
            MANAGER: BOSS,
        },
    ),
    (
        "4.3 role as JSON in a string",
        {},
        [op("Add", "roles", [{"value": '{"id":"5f0c","value":"Pilot","displayName":"Harbour pilot"}'}])],
        {"roles": [{"value": "Pilot", "display": "Harbour pilot"}]},
    ),
    (
        "4.3 roles as a whole array",
        {"roles": [{"value": "Mate"}]},
        [op("replace", "roles", [{"primary": "False", "type": "app", "display": "P", "value": "Pilot"}])],
        {"roles": [{"primary": False, "type": "app", "display": "P", "value": "Pilot"}]},
    ),
    ("15 Okta deactivates", {"active": True}, [op("replace", value={"id": "x", "active": False})], {"active": False}),
]


@pytest.mark.req("S-2.5-02", "P-3.5.2-12", "P-3.5.2.1-09")
@pytest.mark.parametrize("dialect", ["rfc", "entra"])
@pytest.mark.parametrize(("row", "before", "operations", "expected"), USER_ROWS, ids=[row[0] for row in USER_ROWS])
def test_user_operation(
    row: str,
    before: Mapping[str, Any],
    operations: list[dict[str, Any]],
    expected: Mapping[str, Any],
    dialect: Dialect,
) -> None:
    assert user(before, *operations, dialect=dialect) == {"userName": "mira@tern.example", **expected}, row


def ids(*names: str) -> list[dict[str, Any]]:
    return [{"$ref": None, "value": name} for name in names]


GROUP_ROWS: list[tuple[str, list[str], list[dict[str, Any]], set[str]]] = [
    ("G1 add one", ["a"], [op("Add", "members", ids("b"))], {"a", "b"}),
    ("G1 again", ["a"], [op("Add", "members", ids("a"))], {"a"}),
    ("G2 add many", ["a"], [op("Add", "members", ids("b", "c", "d"))], {"a", "b", "c", "d"}),
    ("G3 remove only those", ["a", "b", "c"], [op("Remove", "members", ids("b"))], {"a", "c"}),
    ("G3 remove none", ["a", "b"], [op("Remove", "members", [])], {"a", "b"}),
    ("G4 remove by filter", ["a", "b"], [op("remove", 'members[value eq "a"]')], {"b"}),
    ("G4 of a user who is no member", ["a"], [op("remove", 'members[value eq "z"]')], {"a"}),
    ("G5 remove all", ["a", "b"], [op("Remove", "members")], set()),
    ("G6 replace with two seeds the group", [], [op("replace", "members", ids("a", "b"))], {"a", "b"}),
    (
        "G7 add and remove of one member",
        ["a"],
        [op("add", "members", ids("b")), op("remove", 'members[value eq "b"]')],
        {"a"},
    ),
    ("G8 bare string", ["a"], [op("Add", "members", "b")], {"a", "b"}),
    ("G8 bare strings", ["a"], [op("Add", "members", ["b", "c"])], {"a", "b", "c"}),
    ("G8 extra displayName", ["a"], [op("Add", "members", [{"value": "b", "displayName": "B"}])], {"a", "b"}),
    ("G9 rename without path", ["a"], [op("replace", value={"displayName": "SG Day Shift"})], {"a"}),
    ("G9 externalId without path", ["a"], [op("replace", value={"externalId": "3d8f"})], {"a"}),
    ("G10 add without path", ["a"], [op("add", value={"members": ids("b")})], {"a", "b"}),
    ("G11 rename", ["a"], [op("Replace", "displayName", "SG Day Shift")], {"a"}),
    ("G12 add of what is there", ["a"], [op("Add", "displayName", "SG Night Shift")], {"a"}),
    ("G13 remove without path", ["a", "b"], [op("remove", value={"members": [{"value": "a"}]})], {"b"}),
]


@pytest.mark.parametrize("dialect", ["rfc", "entra"])
@pytest.mark.parametrize(("row", "before", "operations", "expected"), GROUP_ROWS, ids=[row[0] for row in GROUP_ROWS])
def test_group_operation(
    row: str, before: list[str], operations: list[dict[str, Any]], expected: set[str], dialect: Dialect
) -> None:
    assert group(before, *operations, dialect=dialect).members == expected, row


def test_group_attributes_are_set_without_reading_members() -> None:
    outcome = group(
        ["a"],
        op("Replace", "displayName", "SG Day Shift"),
        op("Add", "externalId", "3d8f"),
        op("Add", "members", ids("b")),
    )
    assert outcome.values == {"displayName": "SG Day Shift", "externalId": "3d8f"}
    assert outcome.plan.touches == frozenset()
    assert outcome.plan.unresolved == ()


def test_replace_of_one_member_is_an_add_in_the_entra_dialect_only() -> None:
    """G6: sent once for each new member by this client; a full replace by every other."""
    request = op("replace", "members", ids("b"))
    assert group(["a"], request).members == {"b"}
    assert group(["a"], request).plan.notes == ()
    assert group(["a"], request, dialect="entra").members == {"a", "b"}
    assert group(["a"], request, dialect="entra").plan.notes == ("replace of members with one value was taken as add",)
    without_path = op("replace", value={"members": ids("b")})
    assert group(["a"], without_path, dialect="entra").members == {"a", "b"}
    assert group(["a", "b"], op("replace", "members", ids("c", "d")), dialect="entra").members == {"c", "d"}
    assert group(["a", "b"], op("replace", "members", []), dialect="entra").members == set()


def test_replace_behind_a_filter_that_selects_nothing() -> None:
    """P2: noTarget for a client that keeps to the RFC, created for the client that means it so."""
    lower, capital = (op(name, 'emails[type eq "work"].value', NEW) for name in ("replace", "Replace"))
    created = [HOME, {"type": "work", "value": NEW}]
    with pytest.raises(NoTarget):
        user({"emails": [HOME]}, lower)
    assert user({"emails": [HOME]}, lower, dialect="entra")["emails"] == created
    assert user({"emails": [HOME]}, capital)["emails"] == created
    assert user({"emails": [HOME]}, op("add", 'emails[type eq "work"].value', NEW))["emails"] == created


@pytest.mark.parametrize(
    "where",
    [
        'type ne "home"',
        'type co "work"',
        'not (type eq "home")',
        'type eq "a" or type eq "b"',
        "type pr",
        'type eq "a" and type eq "b"',
        "type eq null and value pr",
    ],
)
@pytest.mark.parametrize("name", ["Replace", "add"])
def test_a_filter_that_describes_no_value_creates_none(where: str, name: str) -> None:
    with pytest.raises(NoTarget):
        user({}, op(name, f"emails[{where}].display", "x"), dialect="entra")


def test_all_eq_terms_become_part_of_the_created_value() -> None:
    path = 'emails[type eq "Work" and (primary eq "true" and display eq "Office")].value'
    created = {"type": "Work", "primary": True, "display": "Office", "value": NEW}
    assert user({"emails": [{**HOME, "primary": True}]}, op("Add", path, NEW))["emails"] == [
        {**HOME, "primary": False},
        created,
    ]


def test_one_refused_operation_is_told_apart_from_leniency() -> None:
    with pytest.raises(Mutability):
        user({}, op("Replace", "title", "Pilot"), op("Replace", "groups", []))
    with pytest.raises(InvalidValue):
        user({}, op("Replace", "active", "yes"))
