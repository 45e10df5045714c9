"""Brakes: a client that does too much of what does harm is stopped, until an operator releases it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.control import Access, ControlStore, Remit
from app.scim.query import Change, Draft, ResourceId, Stamp, Version
from app.scim.registry import Registry
from app.services.around import Around
from backends.base import Backend
from config.settings import BrakesSettings, ProtectedSettings
from tests.api.expect import refused
from tests.support.earlier import Earlier
from tests.support.service import PATCH_OP, SCIM_JSON, USER, Client, Service, running

Start = Callable[..., Service]

UNPROTECTED = ProtectedSettings()
DEACTIVATE = {"op": "replace", "path": "active", "value": False}


@pytest.fixture
def start(backend: Backend, registry: Registry, tmp_path: Path) -> Iterator[Start]:
    """Starts a service with these brakes; the same one again after a restart."""
    with ExitStack() as stack:

        def start(protected: ProtectedSettings = UNPROTECTED, store: Backend = backend, **brakes: Any) -> Service:
            settings = BrakesSettings(share=0, **brakes)
            return stack.enter_context(running(store, registry, tmp_path, brakes=settings, protected=protected))

        yield start


def users(client: Client, name: str, count: int) -> list[str]:
    return [str(client.user(f"u{number}-{name}")["id"]) for number in range(count)]


def assert_stopped(answer: httpx.Response, effect: str) -> None:
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert effect in answer.json()["detail"]


def deactivate(client: Client, id: str) -> httpx.Response:
    return client.change(f"/Users/{id}", DEACTIVATE)


@pytest.mark.every_store
def test_deactivations(start: Start, name: str) -> None:
    """So many are made and not one more; what does no harm goes on, and what changes nothing is not counted."""
    client = start(deactivations=3).client()
    ids = users(client, name, 5)
    for id in ids[:3]:
        for _ in range(3):
            assert deactivate(client, id).status_code == 200
    assert_stopped(deactivate(client, ids[3]), "deactivations")
    assert client.get(f"/Users/{ids[3]}").json().get("active") is not False
    assert client.change(f"/Users/{ids[3]}", {"op": "replace", "path": "title", "value": "Dr"}).status_code == 200
    assert client.change(f"/Users/{ids[0]}", {"op": "replace", "path": "active", "value": True}).status_code == 200
    document = {**client.get(f"/Users/{ids[4]}").json(), "active": False}
    put = client.put(f"/Users/{ids[4]}", json=document, headers={"Content-Type": "application/scim+json"})
    assert_stopped(put, "deactivations")
    assert client.delete(f"/Users/{ids[4]}").status_code == 204


@pytest.mark.every_store
@pytest.mark.parametrize(
    "shown", [{"attributes": "userName"}, {"excludedAttributes": "active"}], ids=["named", "left out"]
)
def test_who_is_inactive_already_does_not_count_whatever_is_shown(
    start: Start, name: str, shown: dict[str, str]
) -> None:
    client = start(deactivations=2).client()
    ids = users(client, name, 3)
    # A condition has to be read for, in stores too that else only write.
    headers = {"Content-Type": SCIM_JSON, "If-Match": "*"}
    body = {"schemas": [PATCH_OP], "Operations": [DEACTIVATE]}
    for id in (*[ids[0]] * 4, ids[1]):
        answer = client.patch(f"/Users/{id}", json=body, headers=headers, params=shown)
        assert answer.status_code == 200
        assert "active" not in answer.json()
    assert_stopped(deactivate(client, ids[2]), "deactivations")


@pytest.mark.every_store
def test_deletions(start: Start, name: str) -> None:
    client = start(deletions=2).client()
    ids = users(client, name, 3)
    assert [client.delete(f"/Users/{id}").status_code for id in ids[:2]] == [204, 204]
    assert_stopped(client.delete(f"/Users/{ids[2]}"), "deletions")
    assert client.get(f"/Users/{ids[2]}").status_code == 200
    assert client.delete("/Users/nobody").status_code == 404


@pytest.mark.every_store
def test_removals_of_members(start: Start, name: str) -> None:
    """They count by members, whatever request removes them: also one that puts other members in place of all."""
    client = start(member_removals=4).client()
    ids = users(client, name, 8)
    group = client.group(f"team {name}", *ids)["id"]

    def members() -> set[str]:
        return {member["value"] for member in client.get(f"/Groups/{group}").json().get("members", ())}

    def change(op: str, *gone: str) -> httpx.Response:
        return client.change(f"/Groups/{group}", {"op": op, "path": "members", "value": [{"value": g} for g in gone]})

    assert change("remove", *ids[:3]).status_code == 204
    assert_stopped(change("replace", ids[7]), "member removals")
    assert members() == set(ids[3:])
    assert change("add", ids[0]).status_code == 204
    assert_stopped(change("remove", ids[0]), "member removals")
    assert members() == {ids[0], *ids[3:]}


@pytest.mark.every_store
def test_removals_of_those_who_are_no_members(start: Start, name: str) -> None:
    """They are no removals, whoever is named, and however often; those among them who are members are."""
    client = start(member_removals=2).client()
    ids = users(client, name, 5)
    group = client.group(f"team {name}", *ids[:3])["id"]
    client.group(f"other {name}", *ids)

    def remove(*gone: str) -> httpx.Response:
        return client.change(f"/Groups/{group}", *({"op": "remove", "path": f'members[value eq "{g}"]'} for g in gone))

    for _ in range(3):
        assert remove(*ids[3:], "nobody").status_code == 204
    assert remove(*ids[:2], ids[4]).status_code == 204
    assert remove(ids[0]).status_code == 204
    assert_stopped(remove(ids[2]), "member removals")


@pytest.mark.every_store
def test_a_group_that_is_deleted_loses_its_members(start: Start, name: str) -> None:
    """Each counts as removed; of a group whose deletion is refused none is, and neither does its deletion count."""
    client = start(member_removals=3, deletions=2).client()
    ids = users(client, name, 4)
    all, three, none = (f"/Groups/{client.group(f'{n} {name}', *ids[:n])['id']}" for n in (4, 3, 0))
    assert client.delete(three).status_code == 204
    assert_stopped(client.delete(all), "member removals")
    assert len(client.get(all).json()["members"]) == 4
    assert client.delete(none).status_code == 204
    assert_stopped(client.delete(f"/Users/{ids[0]}"), "deletions")


@pytest.mark.every_store
def test_what_is_protected_is_refused_and_counts_as_nothing(start: Start, backend: Backend, name: str) -> None:
    """It is told apart from what a brake refuses, also by the request that would apply it and after it was applied."""
    store = Earlier(backend)
    admin = store.put("User", Draft({"userName": f"svc-{name}", "active": True})).id
    group = store.put("Group", Draft({"displayName": f"Adm {name}"}, {"members": (admin,)})).id
    protected = ProtectedSettings(users=f'userName eq "svc-{name}"', groups=f'displayName eq "Adm {name}"')
    service = start(protected, store, deletions=1, deactivations=1, member_removals=1)
    client = service.client()
    ids = users(client, name, 4)
    other = client.group(f"team {name}", *ids[:2])["id"]

    def refused_by_protection() -> None:
        for path in (f"/Users/{admin}", f"/Groups/{group}"):
            refused(client.delete(path), 403)
        refused(deactivate(client, admin), 403)
        refused(leaves(group, admin), 403)

    def leaves(group: str, user: str) -> httpx.Response:
        return client.change(f"/Groups/{group}", {"op": "remove", "path": f'members[value eq "{user}"]'})

    for _ in range(3):
        refused_by_protection()
    assert client.delete(f"/Users/{ids[2]}").status_code == 204
    assert deactivate(client, ids[0]).status_code == 200
    assert leaves(other, ids[0]).status_code == 204
    refused_by_protection()
    assert service.control.brakes.applied() == []
    assert_stopped(client.delete(f"/Users/{ids[3]}"), "deletions")
    assert_stopped(deactivate(client, ids[3]), "deactivations")
    assert_stopped(leaves(other, ids[1]), "member removals")
    refused_by_protection()


def test_what_is_not_in_the_remit_is_refused_and_counts_as_nothing(start: Start, name: str) -> None:
    service = start(deletions=1)
    ids = users(service.client(), name, 3)
    mine = service.client().user(f"mine-{name}")["id"], service.client().user(f"mine-2-{name}")["id"]
    remit = Remit(users='userName sw "mine-"')
    integration = service.control.create_integration(f"limited {name}", Access.FULL, remit=remit)
    with Client(service.settings.scim_url, service.control.add_bearer(integration.id, None).value) as client:
        for id in ids:
            refused(client.delete(f"/Users/{id}"), 403)
        assert client.delete(f"/Users/{mine[0]}").status_code == 204
        refused(client.delete(f"/Users/{ids[0]}"), 403)
        assert_stopped(client.delete(f"/Users/{mine[1]}"), "deletions")
        refused(client.delete(f"/Users/{ids[0]}"), 403)


class Contended(Around):
    """A store on which others change a user right before a change of it, so many times."""

    def __init__(self, inner: Backend, times: int) -> None:
        super().__init__(inner)
        self.times = times

    def update(self, kind: str, id: ResourceId, change: Change, *, expect: Version | None = None) -> Stamp:
        if kind == "User" and self.times:
            self.times -= 1
            super().update(kind, id, Change({"title": f"Title {self.times}"}))
        return super().update(kind, id, change, expect=expect)


def test_a_write_that_has_to_be_tried_again_counts_once(start: Start, backend: Backend, name: str) -> None:
    store = Contended(backend, 0)
    client = start(store=store, deactivations=1).client()
    ids = users(client, name, 2)
    store.times = 4
    document = {"schemas": [USER], "userName": f"u0-{name}", "active": False}
    put = client.put(f"/Users/{ids[0]}", json=document, headers={"Content-Type": SCIM_JSON})
    assert (put.status_code, store.times, put.json()["active"]) == (200, 0, False)
    assert_stopped(deactivate(client, ids[1]), "deactivations")


def test_a_brake_is_of_one_integration(start: Start, name: str) -> None:
    service = start(deletions=1)
    one = service.client()
    ids = users(one, name, 4)
    other = service.control.create_integration("other", Access.FULL)
    second = Client(service.settings.scim_url, service.control.add_bearer(other.id, None).value)
    assert one.delete(f"/Users/{ids[0]}").status_code == 204
    assert_stopped(one.delete(f"/Users/{ids[1]}"), "deletions")
    assert second.delete(f"/Users/{ids[1]}").status_code == 204
    assert_stopped(second.delete(f"/Users/{ids[2]}"), "deletions")


@pytest.mark.every_store
def test_a_brake_outlives_the_service_until_it_is_released(start: Start, name: str, tmp_path: Path) -> None:
    """Another process sees it, it is the same after a restart, and after its release everything counts anew."""
    service = start(deletions=1)
    client = service.client()
    ids = users(client, name, 4)
    assert client.delete(f"/Users/{ids[0]}").status_code == 204
    assert_stopped(client.delete(f"/Users/{ids[1]}"), "deletions")
    beside = ControlStore(f"sqlite:///{tmp_path / 'control.db'}")
    (brake,) = beside.brakes.applied()
    assert (brake.effect, brake.limit) == ("deletions", 1)
    again = Client(start(deletions=1).settings.scim_url, client.headers["Authorization"].removeprefix("Bearer "))
    assert_stopped(again.delete(f"/Users/{ids[1]}"), "deletions")
    assert beside.brakes.release(brake.integration_id) == 1
    assert beside.brakes.applied() == []
    assert client.delete(f"/Users/{ids[1]}").status_code == 204
    assert_stopped(client.delete(f"/Users/{ids[2]}"), "deletions")
    beside.close()


def test_a_share_of_many_users(backend: Backend, registry: Registry, tmp_path: Path, name: str) -> None:
    """Where the share of the managed users is more than the number, it is the limit."""
    with running(backend, registry, tmp_path, brakes=BrakesSettings(deletions=1, share=20)) as service:
        client = service.client()
        ids = users(client, name, 20)
        # Who was created is counted as soon as the records are in the audit trail.
        while service.control.managed.count("User") < 20:
            time.sleep(0.02)
        assert [client.delete(f"/Users/{id}").status_code for id in ids[:4]] == [204] * 4
        assert_stopped(client.delete(f"/Users/{ids[4]}"), "deletions")


def test_without_a_number_there_is_no_brake(start: Start, name: str) -> None:
    client = start(deletions=0, deactivations=0, member_removals=0).client()
    ids = users(client, name, 4)
    assert {deactivate(client, id).status_code for id in ids} == {200}
    assert {client.delete(f"/Users/{id}").status_code for id in ids} == {204}
