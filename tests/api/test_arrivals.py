"""What becomes of a create when something else has come, or gone, in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from app.control import Access, Outside, Remit, Wanted
from app.scim.query import Change, Draft, Page, Query, ResourceId, Slot, Window
from app.scim.registry import Registry
from app.services.around import Around
from backends.base import FIRST_PAGE, Backend
from config.settings import LifecycleSettings
from tests.api.expect import refused
from tests.support.earlier import Earlier
from tests.support.service import USER, Client, Service, running

_PATIENCE_SECONDS = 30


class Contended(Around):
    """A store on which another program acts right after what it finds has been found."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.meanwhile: Callable[[ResourceId], object] | None = None

    def search(self, kind: str, query: Query) -> Page:
        return self._found(super().search(kind, query))

    def retired(self, kind: str, want: frozenset[Slot], names: Any = None, window: Window = FIRST_PAGE) -> Page:
        return self._found(super().retired(kind, want, names, window))

    def _found(self, page: Page) -> Page:
        if self.meanwhile is not None and page.items:
            act, self.meanwhile = self.meanwhile, None
            act(page.items[0].id)
        return page


def work(address: str) -> list[dict[str, Any]]:
    return [{"type": "work", "value": address, "primary": True}]


def post(client: Client, name: str, **attributes: Any) -> httpx.Response:
    return client.create("/Users", {"schemas": [USER], "userName": name, **attributes})


def left(client: Client, name: str, **attributes: Any) -> str:
    """The id of a user who was created and retired."""
    id = str(client.user(name, **attributes)["id"])
    assert client.delete(f"/Users/{id}").status_code == 204
    return id


@pytest.mark.every_store
def test_who_comes_back_by_another_worker_first(
    backend: Backend, registry: Registry, tmp_path: Path, name: str
) -> None:
    """The client is asked to try again, and is then told what it would be told of any user who is there."""
    store = Contended(backend)
    with running(store, registry, tmp_path) as service:
        client = service.client()
        id = left(client, name)
        store.meanwhile = lambda found: backend.restore("User", found, Change())
        answer = post(client, name)
        refused(answer, 503)
        assert answer.headers["Retry-After"] == "1"
        refused(post(client, name), 409, "uniqueness")
        assert client.get(f"/Users/{id}").status_code == 200


@pytest.mark.every_store
def test_who_is_deleted_while_it_is_adopted(backend: Backend, registry: Registry, tmp_path: Path, name: str) -> None:
    there = backend.create("User", Draft({"userName": f"old-{name}", "emails": work(name)})).id
    store = Contended(backend)
    with running(store, registry, tmp_path) as service:
        client = service.client()
        store.meanwhile = lambda found: backend.delete("User", found)
        answer = post(client, name, emails=work(name))
        refused(answer, 503)
        assert answer.headers["Retry-After"] == "1"
        again = post(client, name, emails=work(name))
        assert again.status_code == 201
        assert again.json()["id"] != there


@pytest.mark.every_store
@pytest.mark.parametrize("outside", Outside)
def test_who_comes_back_by_an_integration_that_may_not_write_active(
    service: Service, client: Client, name: str, outside: Outside
) -> None:
    """To be active again is the service's doing, so that no remit is asked."""
    remit = Remit(attributes=("userName", "title"), outside=outside)
    integration = service.control.create_integration(f"{outside.value} {name}", Access.FULL, remit=remit)
    id = left(client, name, active=False)
    with Client(service.settings.scim_url, service.control.add_bearer(integration.id, None).value) as some:
        answer = post(some, name, title="Back")
        assert (answer.status_code, answer.json()["id"]) == (201, id)
    again = client.get(f"/Users/{id}").json()
    assert (again["active"], again["title"]) == (True, "Back")


@pytest.mark.every_store
def test_an_account_that_was_made_anew_while_its_holder_was_away(backend: Backend, client: Client, name: str) -> None:
    """It is adopted, and who was retired stays so."""
    old = left(client, name, emails=work(name), title="Old")
    new = backend.create("User", Draft({"userName": name, "emails": work(name), "nickName": "Nick"})).id
    answer = post(client, name, emails=work(name), title="New")
    assert (answer.status_code, answer.json()["id"]) == (201, new)
    user = client.get(f"/Users/{new}").json()
    assert (user["title"], user["nickName"]) == ("New", "Nick")
    assert [r.id for r in backend.retired("User", frozenset(), [name]).items] == [old]


@pytest.mark.every_store
def test_an_account_with_the_email_of_one_who_left(
    backend: Backend, registry: Registry, tmp_path: Path, name: str
) -> None:
    """It is adopted: who was retired comes back only by the userName then. Of two such accounts none is chosen."""
    store = Earlier(backend)
    with running(store, registry, tmp_path) as service:
        client = service.client()
        gone = left(client, f"gone-{name}", emails=work(name))
        there = [store.put("User", Draft({"userName": f"a-{name}", "emails": work(name), "title": "Keeper"})).id]
        answer = post(client, f"new-{name}", emails=work(name.upper()))
        assert (answer.status_code, answer.json()["id"], answer.json()["title"]) == (201, there[0], "Keeper")
        assert [r.id for r in backend.retired("User", frozenset(), [name]).items] == [gone]
        there += [store.put("User", Draft({"userName": f"{n}-{name}", "emails": work(name)})).id for n in "bc"]
        refused(post(client, f"other-{name}", emails=work(name)), 409, "uniqueness")
        assert client.found("/Users", f'emails.value eq "{name}"') == set(there)
        again = post(client, f"gone-{name}", emails=work(name))
        assert (again.status_code, again.json()["id"]) == (201, gone)


@pytest.mark.every_store
def test_an_email_that_a_managed_user_has_keeps_nobody_away(
    backend: Backend, registry: Registry, tmp_path: Path, name: str
) -> None:
    """Who was retired comes back by it, although no two users may have it who are created."""
    with running(backend, registry, tmp_path, lifecycle=LifecycleSettings(unique_email=True)) as service:
        client = service.client()
        gone = left(client, f"gone-{name}", emails=work(name))
        other = client.user(f"other-{name}")["id"]
        email = {"op": "add", "path": "emails", "value": work(name)}
        assert client.change(f"/Users/{other}", email).status_code == 200
        answer = post(client, f"new-{name}", emails=work(name))
        assert (answer.status_code, answer.json()["id"]) == (201, gone)


@pytest.mark.every_store
def test_a_name_that_a_managed_user_has_meanwhile(client: Client, name: str) -> None:
    """Who was retired can't come back under it, and nobody is made."""
    left(client, f"old-{name}", emails=work(name))
    taken = client.user(name)["id"]
    refused(post(client, name, emails=work(name)), 409, "uniqueness")
    assert client.found("/Users", f'userName eq "{name}"') == {taken}


@pytest.mark.every_store
def test_the_values_that_a_first_patch_overwrites(
    service: Service, backend: Backend, client: Client, name: str
) -> None:
    """Who adopts an account by changing it may want to know what it was. Of a later change that is known where a store
    reads before it writes anyway."""
    there = backend.create("User", Draft({"userName": name, "title": "Old", "displayName": "Stays"})).id
    for title in ("New", "Newer"):
        answer = client.change(f"/Users/{there}", {"op": "replace", "path": "title", "value": title})
        assert answer.json()["title"] == title
    first, second = _changes(service, there, 2)
    assert (first["before"], first["after"]) == ({"title": "Old"}, {"title": "New"})
    assert first["notes"] == ["adopted"]
    assert second.get("before", {"title": "New"}) == {"title": "New"}


def _changes(service: Service, id: str, count: int) -> list[dict[str, Any]]:
    """What the audit has of the resource, the oldest record first. Waits until there are that many."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while len(found := list(service.control.audit.records(Wanted("User", id)))) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return [orjson.loads(record.changes) for record in found]
