"""Protected users and groups over HTTP: what a client is told, and that nothing becomes of what it tries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.scim.query import Change, Delta, Draft, ResourceId
from app.scim.registry import Registry
from backends.base import Backend
from config.settings import ProtectedSettings
from tests.api.expect import refused, unchanged
from tests.conformance.helpers import MANAGER
from tests.support.earlier import Earlier
from tests.support.service import ENTERPRISE, GROUP, SEARCH_REQUEST, USER, Client, running

pytestmark = pytest.mark.every_store

USERS = 'title eq "Guardian"'


@dataclass(frozen=True, slots=True)
class Cast:
    """People and groups of one test, made past the service: `root` is protected and is in both groups with `ann`; of
    the groups `domain` is protected."""

    name: str
    root: ResourceId
    ann: ResourceId
    domain: ResourceId
    team: ResourceId

    def path(self, who: str) -> str:
        """Where one of them is."""
        return f"/{'Users' if who in ('root', 'ann') else 'Groups'}/{getattr(self, who)}"


@pytest.fixture
def store(backend: Backend) -> Earlier:
    """The store, where people and groups can be put that were there before."""
    return Earlier(backend)


@pytest.fixture
def cast(store: Earlier, backend: Backend, name: str) -> Iterator[Cast]:
    root = store.put("User", Draft({"userName": f"root-{name}", "title": "Guardian"})).id
    ann = store.put("User", Draft({"userName": f"ann-{name}", "title": "Pilot"})).id
    domain, team = (
        store.put("Group", Draft({"displayName": f"{which} {name}"}, {"members": (root, ann)})).id
        for which in ("Domain", "Team")
    )
    yield Cast(name, root, ann, domain, team)
    for id in (root, ann):
        backend.delete("User", id)
    for id in (domain, team):
        backend.delete("Group", id)


@pytest.fixture
def start(store: Earlier, registry: Registry, cast: Cast, tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Starts a service that protects, and gives a client of it."""
    with ExitStack() as stack:

        def start(users: str = USERS, *, hidden: bool = False) -> Client:
            protected = ProtectedSettings(users, f'displayName eq "Domain {cast.name}"', hidden=hidden)
            return stack.enter_context(running(store, registry, tmp_path, protected=protected)).client()

        yield start


def members(document: dict[str, list[dict[str, str]]], name: str = "members") -> set[str]:
    return {element["value"] for element in document.get(name, ())}


def changed(client: Client, path: str, attribute: str, value: str) -> httpx.Response:
    return client.change(path, {"op": "replace", "path": attribute, "value": value})


def test_a_protected_user_is_read_and_not_written(start: Callable[..., Client], cast: Cast) -> None:
    client = start()
    root, ann, domain, team = map(cast.path, ("root", "ann", "domain", "team"))
    with unchanged(client, root, ann, domain, team):
        for response in (
            changed(client, root, "displayName", "x"),
            changed(client, root, "title", "Pilot"),
            client.change(root, {"op": "replace", "path": "active", "value": False}),
            client.put(
                root, json={"schemas": [USER], "userName": f"root-{cast.name}", "title": "Guardian", "nickName": "x"}
            ),
            client.delete(root),
        ):
            assert "user is protected" in refused(response, 403)
    assert changed(client, ann, "displayName", "x").status_code in (200, 204)
    assert client.get(root).json()["title"] == "Guardian"


def test_nobody_becomes_protected(start: Callable[..., Client], cast: Cast) -> None:
    client = start()
    ann = cast.path("ann")
    with unchanged(client, ann):
        for response in (
            changed(client, ann, "title", "guardian"),
            client.create("/Users", {"schemas": [USER], "userName": f"new-{cast.name}", "title": "Guardian"}),
            client.create("/Groups", {"schemas": [GROUP], "displayName": f"Domain {cast.name}"}),
        ):
            assert "would be protected" in refused(response, 403)
    assert client.found("/Users", f'userName eq "new-{cast.name}"') == set()


def test_the_members_of_a_protected_group_stay(start: Callable[..., Client], cast: Cast) -> None:
    client = start()
    ann, domain, team = map(cast.path, ("ann", "domain", "team"))
    gone = {"op": "remove", "path": f'members[value eq "{cast.ann}"]'}
    with unchanged(client, domain, ann):
        for response in (
            client.change(domain, gone),
            client.change(domain, {"op": "remove", "path": "members"}),
            client.put(domain, json={"schemas": [GROUP], "displayName": f"Domain {cast.name}"}),
            client.delete(domain),
            changed(client, domain, "displayName", f"Other {cast.name}"),
        ):
            assert "group is protected" in refused(response, 403)
    assert client.change(team, gone).status_code in (200, 204)
    assert client.change(team, {"op": "remove", "path": f'members[value eq "{cast.root}"]'}).status_code in (200, 204)
    assert members(client.get(team).json()) == set()
    assert members(client.get(domain).json()) == {cast.root, cast.ann}


def test_what_is_hidden_is_not_found(start: Callable[..., Client], cast: Cast) -> None:
    client = start(hidden=True)
    root, domain = map(cast.path, ("root", "domain"))
    for path in (root, domain):
        refused(client.get(path), 404)
        refused(client.delete(path), 404)
        refused(changed(client, path, "displayName", "x"), 404)
    own = f'userName ew "{cast.name}" or displayName ew "{cast.name}"'
    assert client.found("/", own) == {cast.ann, cast.team}
    assert client.search("/", own, count="0").json()["totalResults"] == 2
    posted = client.post("/.search", json={"schemas": [SEARCH_REQUEST], "filter": own, "sortBy": "id"}).json()
    assert (posted["totalResults"], len(posted["Resources"])) == (2, 2)
    assert client.found("/Users", USERS) == set()
    response = client.create("/Users", {"schemas": [USER], "userName": f"ROOT-{cast.name}"})
    refused(response, 409, "uniqueness")


def test_what_is_hidden_is_no_member_and_stays_one(start: Callable[..., Client], cast: Cast, backend: Backend) -> None:
    client = start(hidden=True)
    ann, team = map(cast.path, ("ann", "team"))
    assert members(client.get(team).json()) == {cast.ann}
    assert members(client.get(ann).json(), "groups") == {cast.team}
    assert client.found("/Groups", f'members eq "{cast.root}"') == set()
    assert client.found("/Groups", f'members eq "{cast.ann}"') == {cast.team}
    assert client.found("/Users", f'groups eq "{cast.domain}"') == set()
    added = {"op": "add", "path": "members", "value": [{"value": cast.root}]}
    assert cast.root in refused(client.change(team, added), 400, "invalidValue")
    response = client.put(team, json={"schemas": [GROUP], "displayName": f"Team {cast.name}"})
    assert response.status_code == 200
    assert members(response.json()) == set()
    assert {r.id for _, r in backend.related("Group", [cast.team], "members")} == {cast.root}


def test_protection_by_what_the_store_has_no_place_for(
    start: Callable[..., Client], cast: Cast, backend: Backend
) -> None:
    """Where a directory keeps no externalId, it is one that a client gave through the service."""
    client = start('externalId sw "keep-"')
    made = client.user(f"eve-{cast.name}", externalId="free-1")
    path = f"/Users/{made['id']}"
    with unchanged(client, path):
        refused(changed(client, path, "externalId", "keep-1"), 403)
        response = client.create("/Users", {"schemas": [USER], "userName": f"bob-{cast.name}", "externalId": "keep-2"})
        refused(response, 403)
    assert changed(client, path, "externalId", "free-2").status_code in (200, 204)
    backend.update("Group", cast.team, Change(relations={"members": Delta(clear=True)}))
    assert client.delete(path).status_code == 204


def test_a_hidden_manager_is_nobody_and_stays(start: Callable[..., Client], cast: Cast, backend: Backend) -> None:
    client, ann = start(hidden=True), cast.path("ann")
    backend.update("User", cast.ann, Change({MANAGER: cast.root}))
    assert "manager" not in client.get(ann).json().get(ENTERPRISE, {})
    for filter in (f'{MANAGER} eq "{cast.root}"', f"{MANAGER} pr", f"{ENTERPRISE}:manager pr"):
        found = client.found("/Users", f'userName eq "ann-{cast.name}" and {filter}')
        assert found == set()
    document = {"schemas": [USER], "userName": f"ann-{cast.name}", "title": "Captain"}
    put = client.put(ann, json=document, headers={"Content-Type": "application/scim+json"})
    assert (put.status_code, ENTERPRISE in put.json()) == (200, False)
    removed = client.change(ann, {"op": "remove", "path": f"{ENTERPRISE}:manager"})
    assert removed.status_code in (200, 204)
    assert client.change(ann, {"op": "remove", "path": MANAGER}).status_code in (200, 204)
    held = backend.get("User", cast.ann, frozenset({MANAGER, "title"})).values
    assert held == {MANAGER: cast.root, "title": "Captain"}
