"""What Microsoft Entra ID and its test tools send, over HTTP, and what they want back.

Every shape holds for integrations of both dialects; the few that contradict the RFC are in `test_entra_decisions.py`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.control import Dialect
from tests.api.entra import MANAGER, asked, created, found, mapped, members, only, op, patched, post, user
from tests.api.expect import refused
from tests.support.service import ENTERPRISE, GROUP, PATCH_OP, SCIM_JSON, USER, Client, Service

pytestmark = pytest.mark.every_store


@pytest.fixture(params=[Dialect.ENTRA, Dialect.RFC], ids=lambda dialect: str(dialect.value))
def entra(service: Service, request: pytest.FixtureRequest) -> Client:
    """A client of each dialect."""
    return service.client(dialect=request.param)


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
        (
            {"title": None, "addresses": None, "name": {"givenName": None, "familyName": "Berg"}},
            {"name": {"familyName": "Berg"}},
        ),
        ({"title": "", "emails": []}, {}),
        ({ENTERPRISE: {"manager": "ghost-1"}}, {ENTERPRISE: {"manager": {"value": "ghost-1"}}}),
        ({ENTERPRISE: {"manager": {"value": "ghost-2"}}}, {ENTERPRISE: {"manager": {"value": "ghost-2"}}}),
        (
            {ENTERPRISE: {"Manager": {"Value": "g"}, "Department": "d"}},
            {ENTERPRISE: {"manager": {"value": "g"}, "department": "d"}},
        ),
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
        (
            {"preferredLanguage": "nus-SS", "addresses": [{"country": "no country"}]},
            {"preferredLanguage": "nus-SS", "addresses": [{"country": "no country"}]},
        ),
        (
            {
                "roles": [
                    {"primary": False, "type": "WindowsAzureActiveDirectoryRole", "display": "P", "value": "Pilot"}
                ]
            },
            {
                "roles": [
                    {"primary": False, "type": "WindowsAzureActiveDirectoryRole", "display": "P", "value": "Pilot"}
                ]
            },
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
    assert created(entra, "/Users", mapped(name)) == path
    assert entra.get(path).json()["active"] is True


def test_a_deleted_group_is_gone_and_its_name_is_free(entra: Client, name: str) -> None:
    document = {"schemas": [GROUP], "displayName": name}
    group = created(entra, "/Groups", document)
    assert entra.delete(group).status_code == 204
    refused(entra.get(group), 404)
    refused(entra.delete(group), 404)
    assert created(entra, "/Groups", document) != group


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
