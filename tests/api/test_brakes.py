"""Brakes: a client that does too much of what does harm is stopped, until an operator releases it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.control import Access, ControlStore
from app.scim.registry import Registry
from backends.base import Backend
from config.settings import BrakesSettings
from tests.support.service import Client, Service, running

Start = Callable[..., Service]

DEACTIVATE = {"op": "replace", "path": "active", "value": False}


@pytest.fixture
def start(backend: Backend, registry: Registry, tmp_path: Path) -> Iterator[Start]:
    """Starts a service with these brakes; the same one again after a restart."""
    with ExitStack() as stack:

        def start(**brakes: Any) -> Service:
            return stack.enter_context(running(backend, registry, tmp_path, brakes=BrakesSettings(share=0, **brakes)))

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
