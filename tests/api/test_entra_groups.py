"""Groups and their members as Microsoft Entra ID sends them, end to end in both dialects."""

from __future__ import annotations

from typing import Any

import pytest

from app.control import Dialect
from tests.api.entra import AD_GROUP, created, members, op, patched, post, user
from tests.api.expect import refused, unchanged
from tests.support.service import GROUP, Client, Service

pytestmark = pytest.mark.every_store


@pytest.fixture(params=[Dialect.ENTRA, Dialect.RFC], ids=lambda dialect: str(dialect.value))
def entra(service: Service, request: pytest.FixtureRequest) -> Client:
    """A client of each dialect."""
    return service.client(dialect=request.param)


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
