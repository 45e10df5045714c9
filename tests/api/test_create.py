"""Create over HTTP (RFC 7644 section 3.3)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.answers import post_user, taken
from tests.api.expect import refused
from tests.support.service import ENTERPRISE, GROUP, SCIM_JSON, USER, Client


@pytest.mark.req("P-3.3-01")
def test_read_only_attributes_in_the_body_are_ignored(client: Client, name: str) -> None:
    """id, meta, groups and a read-only sub-attribute take the service's values."""
    group = client.group(f"g-{name}")
    sent = {
        "id": "mine",
        "meta": {"resourceType": "Group", "created": "1970-01-01T00:00:00Z"},
        "groups": [{"value": group["id"]}],
        ENTERPRISE: {"manager": {"value": "nobody", "displayName": "Someone"}},
    }
    user = client.user(name, **sent)
    assert user["id"] != "mine"
    assert user["meta"]["resourceType"] == "User"
    assert user["meta"]["created"] > "2000"
    assert "groups" not in user
    assert user[ENTERPRISE] == {"manager": {"value": "nobody"}}
    assert taken(client.get(f"/Users/{user['id']}")) == user


@pytest.mark.req("P-3.3-01")
@pytest.mark.parametrize("meta", ["text", 7, [], [{}], None, {"created": 7}])
def test_what_is_ignored_is_not_looked_at(meta: object, client: Client, name: str) -> None:
    """A read-only attribute may hold anything."""
    user = client.user(name, meta=meta, id=meta, groups=meta)
    assert user["meta"]["resourceType"] == "User"
    assert user["id"]


@pytest.mark.req("P-3.3-03", "P-3.3-02")
def test_null_and_empty_lists_leave_no_default(client: Client, name: str) -> None:
    """`active` null and roles [] give a user without them, and there are no defaults besides."""
    user = client.user(name, active=None, roles=[])
    assert user.keys() == {"schemas", "id", "meta", "userName"}
    assert client.found("/Users", f'active pr and userName eq "{name}"') == set()
    assert client.found("/Users", f'roles pr and userName eq "{name}"') == set()


@pytest.mark.req("P-3.3-04", "P-3.3-05", "P-3.3-06")
@pytest.mark.parametrize("endpoint", ["/Users", "/Groups"])
def test_a_create_answers_with_the_resource_and_its_place(endpoint: str, client: Client, name: str) -> None:
    """201 with the whole representation, and Location, which is meta.location and can be read."""
    body = {"schemas": [USER], "userName": name} if endpoint == "/Users" else {"schemas": [GROUP], "displayName": name}
    response = client.create(endpoint, body)
    created = taken(response, 201)
    assert response.headers["Location"] == created["meta"]["location"] == f"{client.base}{endpoint}/{created['id']}"
    assert created["schemas"] == body["schemas"]
    assert taken(client.get(response.headers["Location"])) == created


@pytest.mark.req("P-3.3-07", "S-7-16", "S-7-17")
def test_a_conflict_creates_nothing(client: Client, name: str) -> None:
    """409 uniqueness for a name that is taken; the first user is as it was and there is no second."""
    user = client.user(name, title="Pilot")
    refused(post_user(client, name.upper(), title="Other"), 409, "uniqueness")
    assert client.found("/Users", f'userName eq "{name}"') == {user["id"]}
    assert taken(client.get(f"/Users/{user['id']}")) == user


@pytest.mark.req("P-3.3-08")
def test_what_is_required_is_missed_by_name(client: Client) -> None:
    """400 invalidValue names the attribute."""
    assert "userName" in refused(client.create("/Users", {"schemas": [USER]}), 400, "invalidValue")
    assert "displayName" in refused(client.create("/Groups", {"schemas": [GROUP]}), 400, "invalidValue")


@pytest.mark.req("P-3.3-09")
@pytest.mark.parametrize(
    "body", ["{", "", " ", "[]", "null", "7", '"text"', "{'a': 1}", '{"a": 1,}', '{"a": 1} x', "[{}]"]
)
def test_a_body_that_is_no_json_object_is_refused(body: str, client: Client) -> None:
    """400 invalidSyntax for POST of either type."""
    for endpoint in ("/Users", "/Groups"):
        refused(client.post(endpoint, content=body, headers={"Content-Type": SCIM_JSON}), 400, "invalidSyntax")


@pytest.mark.req("P-3.3-11", "P-3.3-07")
@pytest.mark.every_store
def test_one_of_many_parallel_creates_succeeds(client: Client, name: str) -> None:
    """Of fifty parallel creates with one userName, in two spellings, one is 201 and the others are 409."""

    def create(number: int) -> int:
        with Client(client.base, client.headers["Authorization"].removeprefix("Bearer ")) as own:
            return post_user(own, name if number % 2 else name.upper()).status_code

    with ThreadPoolExecutor(16) as pool:
        statuses = sorted(pool.map(create, range(50)))
    assert statuses == [201] + [409] * 49
    assert len(client.found("/Users", f'userName eq "{name}"')) == 1


@pytest.mark.req("P-3.3-12", "P-3.4.2.5-01")
def test_a_projection_applies_to_the_answer(client: Client, name: str) -> None:
    """attributes and excludedAttributes trim the 201 body, not what is stored."""
    body: dict[str, Any] = {"schemas": [USER], "userName": name, "title": "Pilot", "nickName": "Kes"}
    created = taken(client.create("/Users", body, attributes="userName"), 201)
    assert created == {"schemas": [USER], "id": created["id"], "userName": name}
    assert taken(client.get(f"/Users/{created['id']}"))["title"] == "Pilot"
    body["userName"] = f"x-{name}"
    created = taken(client.create("/Users", body, excludedAttributes="title,meta"), 201)
    assert created.keys() == {"schemas", "id", "userName", "nickName"}


@pytest.mark.req("P-3.3.1-01")
def test_the_type_follows_the_endpoint(client: Client, name: str) -> None:
    """A user's document is no group and a group's no user, and the body does not choose the type."""
    user = {"schemas": [USER], "userName": name, "displayName": name, "meta": {"resourceType": "Group"}}
    refused(client.create("/Groups", user), 400, "invalidSyntax")
    refused(client.create("/Users", {"schemas": [GROUP], "displayName": name}), 400, "invalidSyntax")
    assert client.found("/Groups", f'displayName eq "{name}"') == set()
    assert taken(client.create("/Users", user), 201)["meta"]["resourceType"] == "User"
