"""Each write has one record in the audit trail, whatever became of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.control import Access, AuditRecord, Wanted
from backends.base import Backend, Capability
from tests.support.service import GROUP, PATCH_OP, SCIM_JSON, USER, Client, Service

SECRET = "s3cret-Pa55word"
_PATIENCE_SECONDS = 30


class Trail:
    """The records of the service under test."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def of(self, resource: str, count: int, kind: str = "User") -> list[AuditRecord]:
        """The records of one resource, by its id or name, the oldest first. Waits until there are that many."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while len(found := list(self._service.control.audit.records(Wanted(kind, resource)))) < count:
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
        assert len(found) == count
        assert self._service.control.audit.verify().wrong is None
        return found

    def last(self, resource: str, count: int, kind: str = "User") -> tuple[AuditRecord, dict[str, Any]]:
        """The last of so many, with its values."""
        record = self.of(resource, count, kind)[-1]
        return record, orjson.loads(record.changes)

    def files(self) -> bytes:
        """Everything that the service keeps on its disk."""
        files = (path for path in Path(self._service.settings.home).rglob("*") if path.is_file())
        return b"".join(path.read_bytes() for path in files)


@pytest.fixture
def trail(service: Service) -> Trail:
    return Trail(service)


@pytest.mark.every_store
def test_a_creation(client: Client, service: Service, trail: Trail, name: str) -> None:
    user = client.user(name, title="Pilot", password=SECRET)
    record, changes = trail.last(user["id"], 1)
    (integration,) = (i for i in service.control.list_integrations() if i.id == record.integration_id)
    assert (record.actor, integration.access) == (integration.name, Access.FULL)
    assert (record.operation, record.kind, record.name, record.outcome) == ("create", "User", name, "done")
    assert user["meta"]["version"] == f'W/"{record.version}"'
    assert changes["after"].items() >= {"userName": name, "title": "Pilot", "password": "set"}.items()
    assert "before" not in changes
    assert SECRET.encode() not in trail.files()


@pytest.mark.every_store
def test_changes(client: Client, backend: Backend, trail: Trail, name: str) -> None:
    """Of a slot that was read the value before is there; of one that was not it is unknown, and not empty."""
    reads = Capability.KEEPS_READ in backend.capabilities
    path = f"/Users/{client.user(name, title='Pilot', displayName='Mira')['id']}"
    client.change(path, {"op": "replace", "path": "title", "value": "Officer"})
    record, changes = trail.last(path[7:], 2)
    assert (record.operation, record.outcome) == ("patch", "done")
    assert changes["after"] == {"title": "Officer"}
    assert changes.get("before", {}).get("title", "unknown") == ("Pilot" if reads else "unknown")
    assert client.get(path).headers["ETag"] == f'W/"{record.version}"'
    document = {"schemas": [USER], "userName": name, "title": "Captain"}
    assert client.put(path, json=document, headers={"Content-Type": SCIM_JSON}).status_code == 200
    record, changes = trail.last(path[7:], 3)
    assert (record.operation, record.name, record.outcome) == ("replace", name, "done")
    assert changes["before"] == {"title": "Officer", "displayName": "Mira"}
    assert changes["after"] == {"title": "Captain", "displayName": None}
    tag = client.get(path).headers["ETag"]
    client.change(path, {"op": "replace", "path": "title", "value": "Admiral"}, **{"If-Match": tag})
    _, changes = trail.last(path[7:], 4)
    assert (changes["before"], changes["after"]) == ({"title": "Captain"}, {"title": "Admiral"})


def test_a_change_of_nothing(client: Client, trail: Trail, name: str) -> None:
    path = f"/Users/{client.user(name, title='Pilot')['id']}"
    client.put(path, json={"schemas": [USER], "userName": name, "title": "Pilot"}, headers={"Content-Type": SCIM_JSON})
    record, changes = trail.last(path[7:], 2)
    assert record.outcome == "unchanged"
    assert "after" not in changes


def test_a_password_that_is_set(client: Client, trail: Trail, name: str) -> None:
    path = f"/Users/{client.user(name)['id']}"
    client.change(path, {"op": "replace", "path": "password", "value": SECRET})
    client.change(path, {"op": "replace", "value": {"title": "Pilot", "password": SECRET + "2"}})
    for record in trail.of(path[7:], 3)[1:]:
        assert orjson.loads(record.changes)["after"]["password"] == "set"
    assert SECRET.encode() not in trail.files()


@pytest.mark.every_store
def test_members(client: Client, trail: Trail, name: str) -> None:
    users = [client.user(f"{n}-{name}")["id"] for n in range(3)]
    group = client.group(name, *users[:2])["id"]
    _, changes = trail.last(group, 1, "Group")
    assert changes["members"]["members"] == {"add": users[:2], "remove": [], "clear": False}
    client.change(
        f"/Groups/{group}",
        {"op": "add", "path": "members", "value": [{"value": users[2]}]},
        {"op": "remove", "path": f'members[value eq "{users[0]}"]'},
    )
    _, changes = trail.last(group, 2, "Group")
    assert changes["members"]["members"] == {"add": [users[2]], "remove": [users[0]], "clear": False}
    client.change(f"/Groups/{group}", {"op": "replace", "path": "members", "value": [{"value": users[0]}]})
    _, changes = trail.last(group, 3, "Group")
    assert changes["members"]["members"] == {"add": [users[0]], "remove": [], "clear": True}


@pytest.mark.every_store
def test_a_deletion(client: Client, trail: Trail, name: str) -> None:
    """The record has what is gone."""
    id = client.user(name, title="Pilot", emails=[{"value": name, "type": "work"}])["id"]
    assert client.delete(f"/Users/{id}").status_code == 204
    record, changes = trail.last(id, 2)
    assert (record.operation in ("delete", "retire"), record.name, record.outcome) == (True, name, "done")
    assert changes["before"].items() >= {"userName": name, "title": "Pilot"}.items()
    assert changes["before"]["emails"][0]["value"] == name


def test_writes_that_failed(client: Client, trail: Trail, name: str) -> None:
    path = f"/Users/{client.user(name)['id']}"
    old = client.get(path).headers["ETag"]
    change = {"op": "replace", "path": "title", "value": "Pilot"}
    client.change(path, change)
    refused = {
        "PreconditionFailed": client.change(path, change, **{"If-Match": old}),
        "InvalidPath": client.change(path, {"op": "replace", "path": "nonsense[", "value": "x"}),
        "InvalidValue": client.change(path, {"op": "replace", "path": "active", "value": "perhaps"}),
        "Mutability": client.change(path, {"op": "replace", "path": "id", "value": "x"}),
    }
    assert [answer.status_code for answer in refused.values()] == [412, 400, 400, 400]
    records = trail.of(path[7:], 2 + len(refused))[2:]
    assert [record.outcome for record in records] == list(refused)
    assert all("after" not in orjson.loads(record.changes) for record in records)
    assert all(record.failed and record.version is None for record in records)


def test_writes_to_what_is_not_there(client: Client, trail: Trail, name: str) -> None:
    missing = f"missing-{name}"
    client.change(f"/Users/{missing}", {"op": "replace", "path": "title", "value": "x"})
    client.put(f"/Users/{missing}", json={"schemas": [USER], "userName": name}, headers={"Content-Type": SCIM_JSON})
    client.delete(f"/Users/{missing}")
    records = trail.of(missing, 3)
    assert [record.operation for record in records[:2]] == ["patch", "replace"]
    assert records[2].operation in ("delete", "retire")
    assert {record.outcome for record in records} == {"NotFound"}


def test_names_that_are_taken(client: Client, trail: Trail, name: str) -> None:
    client.user(name)
    assert client.create("/Users", {"schemas": [USER], "userName": name.upper()}).status_code == 409
    record, _ = trail.last(name, 2)
    assert (record.operation, record.outcome, record.resource_id, record.name) == (
        "create",
        "Duplicate",
        None,
        name.upper(),
    )


def test_members_that_do_not_exist(client: Client, trail: Trail, name: str) -> None:
    document = {"schemas": [GROUP], "displayName": name, "members": [{"value": "nobody"}]}
    assert client.create("/Groups", document).status_code == 400
    record, changes = trail.last(name, 1, "Group")
    assert record.outcome == "UnknownReference"
    assert changes["members"]["members"]["add"] == ["nobody"]


def test_what_is_no_write_has_no_record(client: Client, reader: Client, trail: Trail, name: str) -> None:
    """Reading, a body that says nothing, and who may not write."""
    path = f"/Users/{client.user(name)['id']}"
    client.get(path)
    client.found("/Users", f'userName eq "{name}"')
    assert client.patch(path, content=b"{", headers={"Content-Type": SCIM_JSON}).status_code == 400
    change = {"schemas": [PATCH_OP], "Operations": [{"op": "replace", "path": "title", "value": "x"}]}
    assert reader.patch(path, json=change, headers={"Content-Type": SCIM_JSON}).status_code == 403
    client.change(path, {"op": "replace", "path": "title", "value": "y"})
    assert [record.operation for record in trail.of(path[7:], 2)] == ["create", "patch"]
