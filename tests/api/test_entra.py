"""What Microsoft Entra ID and its test tools send, over HTTP, and what they want back.

Every shape holds for integrations of both dialects; the few that contradict the RFC are in `test_entra_decisions.py`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from app.control import Dialect
from tests.api.expect import refused, unchanged
from tests.support.service import ENTERPRISE, GROUP, PATCH_OP, SCIM_JSON, USER, Client, Service

MEDIA_TYPE = "application/scim+json; charset=utf-8"
AD_GROUP = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
MANAGER = f"{ENTERPRISE}:manager"


@pytest.fixture(params=[Dialect.ENTRA, Dialect.RFC], ids=lambda dialect: str(dialect.value))
def entra(service: Service, request: pytest.FixtureRequest) -> Client:
    """A client of each dialect."""
    return service.client(dialect=request.param)


def asked(client: Client, endpoint: str, filter: str, **parameters: str) -> httpx.Response:
    """A query as .NET puts it on the wire: space as +, without Content-Type and User-Agent."""
    value = str(httpx.QueryParams({"filter": filter})).removeprefix("filter=")
    more = "".join(f"{name}={text}&" for name, text in parameters.items())
    request = client.build_request("GET", f"{client.base}{endpoint}?{more}filter={value}")
    del request.headers["User-Agent"]
    assert "Content-Type" not in request.headers
    return client.send(request)


def only(response: httpx.Response) -> dict[str, Any]:
    """The one resource of a list response."""
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["totalResults"] == body["itemsPerPage"] == len(body["Resources"]) == 1, body
    found: dict[str, Any] = body["Resources"][0]
    return found


def found(client: Client, endpoint: str, filter: str) -> str:
    """The path of the one resource that a filter finds."""
    return f"{endpoint}/{only(asked(client, endpoint, filter))['id']}"


def post(client: Client, endpoint: str, document: Mapping[str, Any]) -> httpx.Response:
    return client.post(endpoint, json=document, headers={"Content-Type": MEDIA_TYPE})


def created(client: Client, endpoint: str, document: Mapping[str, Any]) -> str:
    """The path of the new resource."""
    response = post(client, endpoint, document)
    assert response.status_code == 201, response.text
    assert response.headers["Content-Type"] == SCIM_JSON
    id = response.json()["id"]
    assert isinstance(id, str)
    assert id
    return f"{endpoint}/{id}"


def user(client: Client, user_name: str, /, **attributes: Any) -> str:
    return created(client, "/Users", {"schemas": [USER], "userName": user_name, **attributes})


def patched(client: Client, path: str, *operations: Mapping[str, Any]) -> dict[str, Any]:
    """Send a PATCH as Entra does; the resource as it is read back."""
    body = {"schemas": [PATCH_OP], "Operations": list(operations)}
    response = client.patch(path, json=body, headers={"Content-Type": MEDIA_TYPE})
    assert response.status_code in (200, 204), response.text
    read: dict[str, Any] = client.get(path).json()
    if response.status_code == 200:
        assert response.json() == read
    return read


def op(name: str, path: str | None = None, value: Any = ...) -> dict[str, Any]:
    made: dict[str, Any] = {"op": name}
    if path is not None:
        made["path"] = path
    if value is not ...:
        made["value"] = value
    return made


def mapped(user_name: str, manager: str | None = None) -> dict[str, Any]:
    """A user with every attribute of the default mapping."""
    enterprise: dict[str, Any] = {"employeeNumber": "70113", "department": "Pilotage"}
    if manager:
        enterprise["manager"] = manager
    return {
        "schemas": [USER, ENTERPRISE],
        "externalId": f"nick-{user_name}",
        "userName": user_name,
        "active": True,
        "displayName": "Mira  Solberg ",
        "title": "Harbour Pilot",
        "preferredLanguage": "nb-NO",
        "emails": [{"primary": True, "type": "work", "value": "Mira.Solberg@Tern.example"}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": "Mira Solberg", "familyName": "Solberg", "givenName": "Mira"},
        "addresses": [
            {
                "type": "work",
                "formatted": "18/2111",
                "streetAddress": "Bryggen 1\nHus B",
                "locality": "Bergen",
                "region": "Vestland",
                "postalCode": "5003",
                "country": "Norway",
            }
        ],
        "phoneNumbers": [
            {"primary": True, "type": "work", "value": "+47 5550 1122"},
            {"type": "mobile", "value": "4790011223"},
            {"type": "fax", "value": "(0047) 5550-1199"},
        ],
        "roles": [],
        ENTERPRISE: enterprise,
    }


# --- test connection and queries ---


def test_the_connection_probe(entra: Client) -> None:
    """A random value of the matching attribute: an empty list, never 404."""
    for endpoint, attribute in (("/Users", "userName"), ("/Users", "externalId"), ("/Groups", "displayName")):
        response = asked(entra, endpoint, f'{attribute} eq "{uuid.uuid4()}"')
        assert response.status_code == 200
        assert response.headers["Content-Type"] == SCIM_JSON
        assert response.json() == {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": 0,
            "startIndex": 1,
            "itemsPerPage": 0,
            "Resources": [],
        }


def test_a_bad_secret_is_401_without_a_redirect(service: Service) -> None:
    with service.anonymous as anonymous:
        response = anonymous.get("/Users", headers={"Authorization": "Bearer expired"})
    refused(response, 401)
    assert response.headers["WWW-Authenticate"].startswith("Bearer ")


def test_every_matching_query(entra: Client, name: str) -> None:
    manager = user(entra, f"boss-{name}").removeprefix("/Users/")
    document = mapped(name, manager)
    document["emails"][0]["value"] = f"Mail-{name}"
    document[ENTERPRISE]["employeeNumber"] = f"n-{name}"
    path = created(entra, "/Users", document)
    id = path.removeprefix("/Users/")
    for filter in (
        f'userName eq "{name}"',
        f'userName eq "{name.upper()}"',
        f'UserName Eq "{name}"',
        f'externalId eq "nick-{name}"',
        f'emails[type eq "work"].value eq "mail-{name}"',
        f'emails[type eq "work" and value eq "mail-{name}"]',
        f'{ENTERPRISE}:employeeNumber eq "n-{name}"',
        f'id eq "{id}" and manager eq "{manager}"',
        f'manager eq "{manager}" and id eq "{id}"',
        f'id eq "{id}" and active eq "True"',
    ):
        assert only(asked(entra, "/Users", filter))["id"] == id
    shown = only(asked(entra, "/Users", f'id eq "{id}" and manager eq "{manager}"', attributes="id"))
    assert shown == {"schemas": [USER], "id": id}
    assert asked(entra, "/Users", f'externalId eq "NICK-{name}"').json()["totalResults"] == 0
    assert asked(entra, "/Users", f'userName eq "nonexistent0f3a_{name}"').json()["totalResults"] == 0


def test_group_queries_leave_the_members_out(entra: Client, name: str) -> None:
    member = user(entra, name).removeprefix("/Users/")
    group = created(entra, "/Groups", {"schemas": [GROUP], "displayName": f"SG {name}", "externalId": f"o-{name}"})
    patched(entra, group, op("Add", "members", [{"$ref": None, "value": member}]))
    id = group.removeprefix("/Groups/")
    for filter in (f'displayName eq "SG {name}"', f'DisplayName eq "sg {name.upper()}"', f'externalId eq "o-{name}"'):
        group_found = only(asked(entra, "/Groups", filter, excludedAttributes="members"))
        assert group_found["id"] == id
        assert "members" not in group_found
    assert "members" not in entra.get(group, params={"excludedAttributes": "members"}).json()
    reference = asked(entra, "/Groups", f'id eq "{id}" and members eq "{member}"', attributes="id")
    assert only(reference)["id"] == id
    other = asked(entra, "/Groups", f'id eq "{id}" and members eq "{uuid.uuid4()}"', attributes="id")
    assert other.json()["totalResults"] == 0


@pytest.mark.parametrize(
    "local", ["o'brien", "guest_ext#EXT#", "a+b", "åsa", "back\\slash", 'quo"te', "100%", "a&b=c", "山田"]
)
def test_special_characters_in_the_matching_value(entra: Client, name: str, local: str) -> None:
    value = f"{local}-{name}"
    path = user(entra, name, externalId=value, displayName=value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    for attribute in ("externalId", "displayName"):
        assert found(entra, "/Users", f'{attribute} eq "{escaped}"') == path


@pytest.mark.parametrize("flag", ["aadOptscim062020", "AzureAdScimPatch062020", "aadOptscim062020="])
def test_flags_of_the_tenant_url_are_ignored_wherever_they_land(entra: Client, name: str, flag: str) -> None:
    document = {"schemas": [USER], "userName": name}
    response = entra.post(f"{entra.base}/Users?{flag}", json=document)
    assert response.status_code == 201
    path = f"/Users/{response.json()['id']}"
    filter = f"filter=userName%20eq%20%22{name}%22"
    for query in (f"{flag}&{filter}", f"{filter}&{flag}", f"{filter}&{flag}&{flag}x"):
        assert only(entra.get(f"{entra.base}/Users?{query}"))["userName"] == name
    assert entra.get(f"{entra.base}{path}?{flag}").status_code == 200
    body = {"schemas": [PATCH_OP], "Operations": [op("replace", "active", False)]}
    assert entra.patch(f"{entra.base}{path}?{flag}", json=body).json()["active"] is False
    assert entra.delete(f"{entra.base}{path}?{flag}").status_code == 204


def test_slashes_of_the_tenant_url_do_not_matter(entra: Client, name: str) -> None:
    base = entra.base
    response = entra.post(f"{base}//Users", json={"schemas": [USER], "userName": name})
    assert response.status_code == 201
    id = response.json()["id"]
    query = f"?filter=userName+eq+%22{name}%22"
    for url in (f"{base}/Users/{query}", f"{base}//Users{query}", f"{base}//Users/{query}", f"{base}/Users//{query}"):
        assert only(entra.get(url))["id"] == id
    for url in (f"{base}/Users/{id}/", f"{base}//Users/{id}", f"{base}//Users//{id}"):
        assert entra.get(url).json()["id"] == id
    assert entra.delete(f"{base}//Users/{id}/").status_code == 204
    assert base in response.headers["Location"]
    assert "//Users" not in response.headers["Location"]


# --- users: create and read back ---


def test_a_user_with_every_mapped_attribute_is_read_back_verbatim(entra: Client, name: str) -> None:
    """Entra compares what it reads with its mapping, and sends what differs again on every cycle."""
    manager = user(entra, f"boss-{name}", displayName="Kari Boss").removeprefix("/Users/")
    document = mapped(name, manager)
    path = created(entra, "/Users", document)
    expected = {k: v for k, v in document.items() if k not in ("meta", "roles")}
    expected[ENTERPRISE] = {
        **document[ENTERPRISE],
        "manager": {"value": manager, "displayName": "Kari Boss", "$ref": f"{entra.base}/Users/{manager}"},
    }
    for read in (entra.get(path).json(), only(asked(entra, "/Users", f'userName eq "{name}"'))):
        assert {k: v for k, v in read.items() if k not in ("id", "meta")} == expected
        assert read["meta"].keys() >= {"resourceType", "created", "lastModified", "location"}
        assert read["meta"]["resourceType"] == "User"


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({"active": "True"}, {"active": True}),
        ({"active": "false"}, {"active": False}),
        ({"roles": [{"primary": "True", "value": "Pilot"}]}, {"roles": [{"primary": True, "value": "Pilot"}]}),
        ({"title": None, "addresses": None, "name": {"givenName": None, "familyName": "Berg"}}, {"name": {"familyName": "Berg"}}),
        ({"title": "", "emails": []}, {}),
        ({ENTERPRISE: {"manager": "ghost-1"}}, {ENTERPRISE: {"manager": {"value": "ghost-1"}}}),
        ({ENTERPRISE: {"manager": {"value": "ghost-2"}}}, {ENTERPRISE: {"manager": {"value": "ghost-2"}}}),
        ({ENTERPRISE: {"Manager": {"Value": "g"}, "Department": "d"}}, {ENTERPRISE: {"manager": {"value": "g"}, "department": "d"}}),
        ({ENTERPRISE.upper(): {"department": "d"}}, {ENTERPRISE: {"department": "d"}}),
        ({"Emails": [{"Value": "a", "Primary": True}]}, {"emails": [{"value": "a", "primary": True}]}),
        ({"id": "mine", "meta": {"resourceType": "Users", "version": "x"}}, {}),
        ({"department": None, "manager": None, "unknown": {"a": [1]}}, {}),
        ({"urn:ietf:params:scim:schemas:extension:Own:2.0:User": {"badge": "7"}}, {}),
        (
            {"emails": [{"type": "work", "value": "a"}, {"type": "work", "value": "b"}]},
            {"emails": [{"type": "work", "value": "a"}, {"type": "work", "value": "b"}]},
        ),
        (
            {"locale": "qkzv", "timezone": "xyz", "profileUrl": "qwerty", "phoneNumbers": [{"value": "letters"}]},
            {"locale": "qkzv", "timezone": "xyz", "profileUrl": "qwerty", "phoneNumbers": [{"value": "letters"}]},
        ),
        ({"preferredLanguage": "nus-SS", "addresses": [{"country": "no country"}]}, {"preferredLanguage": "nus-SS", "addresses": [{"country": "no country"}]}),
        (
            {"roles": [{"primary": False, "type": "WindowsAzureActiveDirectoryRole", "display": "P", "value": "Pilot"}]},
            {"roles": [{"primary": False, "type": "WindowsAzureActiveDirectoryRole", "display": "P", "value": "Pilot"}]},
        ),
    ],
)
def test_shapes_of_a_created_user(entra: Client, name: str, sent: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
    path = user(entra, name, **sent)
    read = entra.get(path).json()
    assert {k: v for k, v in read.items() if k not in ("schemas", "id", "meta", "userName")} == stored
    assert read["userName"] == name
    assert (ENTERPRISE in read["schemas"]) == (ENTERPRISE in stored)


@pytest.mark.parametrize(
    "schemas",
    [
        [USER, "urn:ietf:params:scim:schemas:extension:enterprise:2.0User"],
        [USER, "urn:example:unknown"],
        [ENTERPRISE, USER],
        [USER.upper()],
    ],
)
def test_uris_in_schemas_that_the_service_does_not_know(entra: Client, name: str, schemas: Sequence[str]) -> None:
    path = created(entra, "/Users", {"schemas": schemas, "userName": name, ENTERPRISE: {"department": "d"}})
    read = entra.get(path).json()
    assert read["schemas"] == [USER, ENTERPRISE]
    assert read[ENTERPRISE] == {"department": "d"}


def test_a_409_is_exactly_what_the_query_finds(entra: Client, name: str) -> None:
    """A refusal that the query can't explain would repeat for ever."""
    path = user(entra, name)
    group = created(entra, "/Groups", {"schemas": [GROUP], "displayName": name})
    for spelling in (name, name.upper(), name.title()):
        refused(post(entra, "/Users", {"schemas": [USER], "userName": spelling}), 409, "uniqueness")
        assert found(entra, "/Users", f'userName eq "{spelling}"') == path
        refused(post(entra, "/Groups", {"schemas": [GROUP], "displayName": spelling}), 409, "uniqueness")
        assert found(entra, "/Groups", f'displayName eq "{spelling}"') == group
    for free in (f"{name}x", name[:-1]):
        assert asked(entra, "/Users", f'userName eq "{free}"').json()["totalResults"] == 0
        user(entra, free)


# --- users: PATCH ---

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
    ("P20", {"emails": [WORK, HOME]}, [op("Remove", 'emails[type eq "home"].value', HOME["value"])], {"emails": [WORK]}),
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
        [op("add", None, {"title": "Pilot", "name.formatted": "M B", "addresses[type eq \"work\"].locality": "Bergen"})],
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
    attributes = {"title": "Pilot", "displayName": "Mira", "preferredLanguage": "nb", DEPARTMENT: "d", "name.givenName": "M"}
    path = user(entra, name, nickName="stays")
    patched(entra, path, *(op("add", attribute, value) for attribute, value in attributes.items()))
    if verbose:
        operations = [op("Replace", attribute, clear) for attribute in attributes]
    else:
        operations = [op("replace", None, dict.fromkeys(attributes, clear))]
    read = patched(entra, path, *operations)
    assert {k for k in read if k not in ("schemas", "id", "meta", "userName")} == {"nickName"}
    assert read["schemas"] == [USER]


# --- disable, restore, delete ---


@pytest.mark.parametrize("value", ["False", "false", False])
def test_disable_keeps_the_user_visible_and_its_memberships(entra: Client, name: str, value: Any) -> None:
    path = user(entra, name, active=True)
    id = path.removeprefix("/Users/")
    group = created(entra, "/Groups", {"schemas": [GROUP], "displayName": name})
    patched(entra, group, op("Add", "members", [{"value": id}]))
    read = patched(entra, path, op("Replace", "active", value))
    assert read["active"] is False
    assert read["groups"][0]["value"] == group.removeprefix("/Groups/")
    assert only(asked(entra, "/Users", f'userName eq "{name}"'))["active"] is False
    assert [m["value"] for m in entra.get(group).json()["members"]] == [id]
    assert patched(entra, path, op("Replace", "title", "Changed while disabled"))["title"] == "Changed while disabled"
    read = patched(entra, path, op("Replace", "active", "True"))
    assert read["active"] is True
    assert read["groups"][0]["value"] == group.removeprefix("/Groups/")


def test_delete_and_create_again(entra: Client, name: str) -> None:
    path = created(entra, "/Users", mapped(name))
    patched(entra, path, op("Replace", "active", "False"))
    assert entra.delete(path).status_code == 204
    refused(entra.get(path), 404)
    refused(entra.delete(path), 404)
    assert asked(entra, "/Users", f'userName eq "{name}"').json()["totalResults"] == 0
    assert created(entra, "/Users", mapped(name)) != path


def test_a_deleted_group_is_gone_and_its_name_is_free(entra: Client, name: str) -> None:
    document = {"schemas": [GROUP], "displayName": name}
    group = created(entra, "/Groups", document)
    assert entra.delete(group).status_code == 204
    refused(entra.get(group), 404)
    refused(entra.delete(group), 404)
    assert created(entra, "/Groups", document) != group


# --- groups ---


def members(client: Client, group: str) -> set[str]:
    return {m["value"] for m in client.get(group).json().get("members", ())}


@pytest.fixture
def people(entra: Client, name: str) -> list[str]:
    """The ids of four users."""
    return [user(entra, f"{letter}-{name}").removeprefix("/Users/") for letter in "abcd"]


def test_a_group_is_created_empty_with_schemas_that_nobody_knows(entra: Client, name: str) -> None:
    document = {
        "schemas": [GROUP, AD_GROUP],
        "externalId": f"o-{name}",
        "displayName": f"SG {name}",
        "meta": {"resourceType": "Group"},
    }
    response = post(entra, "/Groups", document)
    assert response.status_code == 201
    assert response.json().get("members", []) == []
    read = entra.get(f"/Groups/{response.json()['id']}").json()
    assert (read["schemas"], read["displayName"], read["externalId"]) == ([GROUP], f"SG {name}", f"o-{name}")


def _rows(a: str, b: str, c: str, d: str) -> dict[str, tuple[list[dict[str, Any]], set[str]]]:
    """Shape -> operations on a group of a and b, and the members afterwards."""

    def one(id: str) -> dict[str, Any]:
        return {"$ref": None, "value": id}

    return {
        "G1": ([op("Add", "members", [one(c)])], {a, b, c}),
        "G1 again": ([op("Add", "members", [one(a)])], {a, b}),
        "G2": ([op("Add", "members", [one(c), one(d), one(a)])], {a, b, c, d}),
        "G3": ([op("Remove", "members", [one(a)])], {b}),
        "G3 stranger": ([op("Remove", "members", [one(c)])], {a, b}),
        "G3 some": ([op("Remove", "members", [one(a), one(c), one("gone")])], {b}),
        "G4": ([op("remove", f'members[value eq "{a}"]')], {b}),
        "G4 stranger": ([op("remove", 'members[value eq "gone"]')], {a, b}),
        "G5": ([op("Remove", "members")], set()),
        "G6 several": ([op("replace", "members", [one(b), one(c)])], {b, c}),
        "G6 none": ([op("replace", "members", [])], set()),
        "G7": ([op("add", "members", [one(c)]), op("remove", f'members[value eq "{c}"]')], {a, b}),
        "G8 bare": ([op("Add", "members", c)], {a, b, c}),
        "G8 extra": ([op("Add", "members", [{"value": c, "displayName": "C", "name": "addMember"}])], {a, b, c}),
        "G9": ([op("replace", None, {"externalId": "e"})], {a, b}),
        "G10": ([op("add", None, {"members": [one(c)]})], {a, b, c}),
        "G11": ([op("Replace", "externalId", "e2")], {a, b}),
        "G12": ([op("Add", "externalId", "e3"), op("Add", "externalId", "e3")], {a, b}),
        "G13": ([op("remove", None, {"members": [one(a)]})], {b}),
    }


@pytest.mark.parametrize("shape", _rows("a", "b", "c", "d"))
def test_shapes_of_a_member_patch(entra: Client, name: str, people: list[str], shape: str) -> None:
    operations, expected = _rows(*people)[shape]
    group = created(entra, "/Groups", {"schemas": [GROUP], "displayName": name})
    patched(entra, group, op("Add", "members", [{"value": id} for id in people[:2]]))
    response = entra.change(group, *operations)
    assert (response.status_code, response.content) == (204, b"")
    assert members(entra, group) == expected


def test_a_group_is_renamed(entra: Client, name: str, people: list[str]) -> None:
    group = created(entra, "/Groups", {"schemas": [GROUP], "displayName": name})
    patched(entra, group, op("Add", "members", [{"value": people[0]}]))
    for number, operation in enumerate(
        (op("Replace", "displayName", f"0{name}"), op("replace", None, {"displayName": f"1{name}"}))
    ):
        read = patched(entra, group, operation)
        assert read["displayName"] == f"{number}{name}"
        assert members(entra, group) == {people[0]}


def test_a_user_is_deleted_first_and_then_removed_from_its_group(entra: Client, name: str, people: list[str]) -> None:
    group = created(entra, "/Groups", {"schemas": [GROUP], "displayName": name})
    patched(entra, group, op("Add", "members", [{"value": id} for id in people]))
    assert entra.delete(f"/Users/{people[0]}").status_code == 204
    for operation in (
        op("Remove", "members", [{"$ref": None, "value": people[0]}]),
        op("remove", f'members[value eq "{people[0]}"]'),
    ):
        assert entra.change(group, operation).status_code == 204
    assert members(entra, group) == set(people[1:])


def test_an_unknown_member_is_refused_whole_and_named(entra: Client, name: str, people: list[str]) -> None:
    group = created(entra, "/Groups", {"schemas": [GROUP], "displayName": name})
    with unchanged(entra, group):
        operation = op("Add", "members", [{"value": people[0]}, {"value": "gone"}])
        assert "gone" in refused(entra.change(group, operation), 400, "invalidValue")


def test_a_group_as_a_member_is_refused(entra: Client, name: str) -> None:
    """Entra sends the id of a nested group without a type."""
    group, inner = (created(entra, "/Groups", {"schemas": [GROUP], "displayName": f"{n}{name}"}) for n in "ab")
    id = inner.removeprefix("/Groups/")
    with unchanged(entra, group):
        for member in ({"value": id}, {"value": id, "type": "Group"}, {"$ref": f"{entra.base}/Groups/{id}"}):
            refused(entra.change(group, op("Add", "members", [member])), 400, "invalidValue")


# --- manager, paging ---


def test_the_manager_test(entra: Client, name: str) -> None:
    first, second = (user(entra, f"{n}{name}").removeprefix("/Users/") for n in "ab")
    path = user(entra, name)
    read = patched(entra, path, op("add", MANAGER, first))
    assert read[ENTERPRISE]["manager"] == {"value": first, "$ref": f"{entra.base}/Users/{first}"}
    assert "manager" not in read
    assert patched(entra, path, op("replace", MANAGER, second))[ENTERPRISE]["manager"]["value"] == second
    assert only(asked(entra, "/Users", f'id eq "{path[7:]}" and manager eq "{second}"', attributes="id"))
    assert asked(entra, "/Users", f'id eq "{path[7:]}" and manager eq "{first}"').json()["totalResults"] == 0
    assert ENTERPRISE not in patched(entra, path, op("replace", MANAGER, ""))


def test_a_manager_that_comes_later_and_goes(entra: Client, name: str) -> None:
    path = user(entra, name)
    read = patched(entra, path, op("Add", MANAGER, "not-yet"))
    assert read[ENTERPRISE]["manager"] == {"value": "not-yet"}
    boss = user(entra, f"boss-{name}", displayName="Kari").removeprefix("/Users/")
    read = patched(entra, path, op("Add", MANAGER, boss))
    assert read[ENTERPRISE]["manager"]["displayName"] == "Kari"
    entra.delete(f"/Users/{boss}")
    assert ENTERPRISE not in entra.get(path).json()


@pytest.mark.parametrize("endpoint", ["/Users", "/Groups"])
def test_the_pagination_test(entra: Client, name: str, endpoint: str) -> None:
    ids = set()
    for number in range(11):
        document = {"schemas": [USER], "userName": f"{number}-{name}"}
        if endpoint == "/Groups":
            document = {"schemas": [GROUP], "displayName": f"{number}-{name}"}
        ids.add(created(entra, endpoint, document).rpartition("/")[2])
    attribute = "userName" if endpoint == "/Users" else "displayName"
    listed: list[str] = []
    for page in range(3):
        parameters = {"filter": f'{attribute} ew "-{name}"', "startIndex": str(page * 5 + 1), "count": "5"}
        headers = {"Accept": "application/scim+json"}
        body = entra.get(endpoint, params=parameters, headers=headers).json()
        assert (body["startIndex"], body["totalResults"]) == (page * 5 + 1, 11)
        assert body["itemsPerPage"] == len(body["Resources"]) == (5, 5, 1)[page]
        listed += [resource["id"] for resource in body["Resources"]]
    assert len(listed) == 11
    assert set(listed) == ids


def test_account_discovery_pages_over_all_users(entra: Client, name: str) -> None:
    made = {user(entra, f"{number}-{name}").removeprefix("/Users/") for number in range(5)}
    seen: list[str] = []
    while True:
        body = entra.get("/Users", params={"startIndex": str(len(seen) + 1), "count": "50"}).json()
        seen += [resource["id"] for resource in body["Resources"]]
        if not body["Resources"]:
            break
    assert len(seen) == len(set(seen)) == body["totalResults"]
    assert made <= set(seen)


def test_single_member_patches_at_once(entra: Client, name: str) -> None:
    ids = [user(entra, f"{n}-{name}").removeprefix("/Users/") for n in range(30)]
    group = created(entra, "/Groups", {"schemas": [GROUP], "displayName": name})

    def add(id: str) -> int:
        return entra.change(group, op("Add", "members", [{"$ref": None, "value": id}])).status_code

    with ThreadPoolExecutor(5) as pool:
        assert set(pool.map(add, ids)) == {204}
    assert members(entra, group) == set(ids)
