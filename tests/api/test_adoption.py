"""Accounts that were there before the identity provider: who takes charge of them, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from app.control import Access, Dialect, Outside, Remit
from app.scim.filter.bind import bind
from app.scim.filter.nodes import Bound
from app.scim.filter.parse import parse_filter
from app.scim.query import Draft, Page, Query, Resource
from app.scim.registry import Registry
from app.services import adoption
from backends.base import Backend
from config.settings import LifecycleSettings
from tests.support.earlier import Earlier
from tests.support.service import ENTERPRISE, GROUP, USER, Client, Service, running

Start = Callable[..., Service]

pytestmark = pytest.mark.every_store


@pytest.fixture
def store(backend: Backend) -> Earlier:
    """The store, where accounts can be put that were there before."""
    return Earlier(backend)


@pytest.fixture
def start(store: Earlier, registry: Registry, tmp_path: Path) -> Iterator[Start]:
    """Starts a service with a lifecycle of its own, which manages nothing yet."""
    with ExitStack() as stack:

        def start(**lifecycle: Any) -> Service:
            return stack.enter_context(running(store, registry, tmp_path, lifecycle=LifecycleSettings(**lifecycle)))

        yield start


@pytest.fixture
def there(store: Earlier) -> Callable[..., Resource]:
    """Makes an account as another program did long ago: past the service."""

    def make(name: str, email: str | None = None, **values: Any) -> Resource:
        emails = {} if email is None else {"emails": [{"type": "work", "value": email, "primary": True}]}
        return store.put("User", Draft({"userName": name, **emails, **values}))

    return make


def post(client: Client, name: str, email: str | None = None, **attributes: Any) -> Any:
    emails = {} if email is None else {"emails": [{"type": "work", "value": email, "primary": True}]}
    return client.create("/Users", {"schemas": [USER], "userName": name, **emails, **attributes})


def _has_email(backend: Backend, value: str) -> Bound:
    return bind(parse_filter(f'emails.value eq "{value}"'), backend.registry.type("User"))


def everything(backend: Backend, resource: Resource) -> Resource:
    return backend.get(resource.kind, resource.id, backend.registry.type(resource.kind).readable)


class TestAMatch:
    def test_by_user_name_keeps_the_id_and_what_was_not_sent(
        self, start: Start, there: Callable[..., Resource], name: str
    ) -> None:
        known = there(name, title="Keeper", displayName="Before")
        client = start().client()
        answer = post(client, name.upper(), displayName="After", externalId="e-1")
        assert (answer.status_code, answer.json()["id"]) == (201, known.id)
        assert answer.headers["Location"].endswith(f"/Users/{known.id}")
        user = client.get(f"/Users/{known.id}").json()
        assert (user["userName"], user["displayName"], user["title"]) == (name.upper(), "After", "Keeper")
        assert user["externalId"] == "e-1"
        assert post(client, name).status_code == 409

    def test_by_work_email_without_regard_to_case(
        self, start: Start, there: Callable[..., Resource], name: str
    ) -> None:
        known = there(f"old-{name}", f"Mail-{name}", nickName="Nick")
        client = start().client()
        answer = post(client, name, f"mail-{name}".upper(), **{ENTERPRISE: {"department": "Pilots"}})
        assert (answer.status_code, answer.json()["id"]) == (201, known.id)
        user = client.get(f"/Users/{known.id}").json()
        assert (user["userName"], user["nickName"], user[ENTERPRISE]["department"]) == (name, "Nick", "Pilots")
        assert client.found("/Users", f'userName eq "old-{name}"') == set()

    def test_of_a_group_by_its_name(self, start: Start, store: Earlier, name: str) -> None:
        client = start().client()
        ann, bob = client.user(f"ann-{name}")["id"], client.user(f"bob-{name}")["id"]
        known = store.put("Group", Draft({"displayName": f"Team {name}"}, {"members": (ann,)}))
        answer = client.create(
            "/Groups", {"schemas": [GROUP], "displayName": f"TEAM {name}", "members": [{"value": bob}]}
        )
        assert (answer.status_code, answer.json()["id"]) == (201, known.id)
        members = client.get(f"/Groups/{known.id}").json()["members"]
        assert {member["value"] for member in members} == {ann, bob}

    @pytest.mark.parametrize("retired", [False, True], ids=["there", "retired"])
    def test_by_what_the_client_sends_and_may_not_write(
        self, start: Start, there: Callable[..., Resource], name: str, retired: bool
    ) -> None:
        """The e-mail tells who is meant, and stays as it is."""
        service = start()
        email = f"Mail-{name}"
        if retired:
            work = [{"type": "work", "value": email, "primary": True}]
            known = str(service.client().user(f"old-{name}", emails=work, title="Before")["id"])
            assert service.client().delete(f"/Users/{known}").status_code == 204
        else:
            known = there(f"old-{name}", email, title="Before").id
        remit = Remit(attributes=("userName", "title"), outside=Outside.KEEP)
        integration = service.control.create_integration(f"limited {name}", Access.FULL, remit=remit)
        token = service.control.add_bearer(integration.id, None).value
        with Client(service.settings.scim_url, token) as some:
            answer = post(some, name, email.upper(), title="After", nickName="Not its own")
        assert (answer.status_code, answer.json()["id"]) == (201, known)
        user = service.client().get(f"/Users/{known}").json()
        assert (user["userName"], user["title"], user["emails"][0]["value"]) == (name, "After", email)
        assert "nickName" not in user

    def test_an_email_that_is_not_written_is_nobody_elses(self, start: Start, name: str) -> None:
        """That e-mails are unique is no reason to refuse one who is to have none."""
        service = start(unique_email=True)
        email = f"mail-{name}"
        service.client().user(f"first-{name}", emails=[{"type": "work", "value": email}])
        remit = Remit(attributes=("userName", "title"), outside=Outside.KEEP)
        integration = service.control.create_integration(f"limited {name}", Access.FULL, remit=remit)
        token = service.control.add_bearer(integration.id, None).value
        with Client(service.settings.scim_url, token) as some:
            answer = post(some, name, email)
        assert answer.status_code == 201
        assert "emails" not in answer.json()


class TestNoMatch:
    def test_two_that_are_not_managed(
        self, start: Start, there: Callable[..., Resource], backend: Backend, name: str
    ) -> None:
        """Nobody is chosen, and nothing changes."""
        both = [there(f"{n}-{name}", f"shared-{name}") for n in ("one", "two")]
        before = [everything(backend, resource) for resource in both]
        client = start().client()
        answer = post(client, name, f"shared-{name}")
        assert (answer.status_code, answer.json()["scimType"]) == (409, "uniqueness")
        assert "2 accounts" in answer.json()["detail"]
        assert [everything(backend, resource) for resource in both] == before
        assert client.found("/Users", f'userName eq "{name}"') == set()

    def test_one_has_the_name_and_another_one_the_email(
        self, start: Start, there: Callable[..., Resource], backend: Backend, name: str
    ) -> None:
        both = [there(name), there(f"two-{name}", f"mail-{name}")]
        before = [everything(backend, resource) for resource in both]
        answer = post(start().client(), name, f"mail-{name}")
        assert (answer.status_code, answer.json()["scimType"]) == (409, "uniqueness")
        assert [everything(backend, resource) for resource in both] == before

    def test_a_managed_one_with_that_user_name(self, start: Start, name: str) -> None:
        client = start().client()
        client.user(name)
        answer = post(client, name.upper())
        assert (answer.status_code, answer.json()["scimType"]) == (409, "uniqueness")

    def test_an_email_that_only_a_managed_one_has(self, start: Start, name: str) -> None:
        """It is no conflict unless the setting says so."""
        client = start().client()
        assert post(client, f"one-{name}", f"mail-{name}").status_code == 201
        assert post(client, f"two-{name}", f"mail-{name}").status_code == 201

    def test_an_email_that_must_be_unique(self, start: Start, name: str) -> None:
        client = start(unique_email=True).client()
        assert post(client, f"one-{name}", f"mail-{name}").status_code == 201
        answer = post(client, f"two-{name}", f"MAIL-{name}")
        assert (answer.status_code, answer.json()["scimType"]) == (409, "uniqueness")
        assert client.found("/Users", f'userName eq "two-{name}"') == set()

    def test_two_among_many_managed_ones(
        self, start: Start, there: Callable[..., Resource], backend: Backend, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However many have the e-mail and wherever in a list the two are."""
        monkeypatch.setattr(adoption, "_AT_ONCE", 4)
        service = start()
        every = [there(f"{number:02}-{name}", f"shared-{name}") for number in range(10)]
        order = backend.search("User", Query(frozenset(), _has_email(backend, f"shared-{name}"))).items
        free = {order[0].id, order[-1].id}
        service.control.managed.claim("User", [u.id for u in every if u.id not in free], "another")
        client = service.client()
        answer = post(client, name, f"shared-{name}")
        assert (answer.status_code, answer.json()["scimType"]) == (409, "uniqueness")
        assert "2 accounts" in answer.json()["detail"]
        service.control.managed.claim("User", [order[0].id], "another")
        answer = post(client, name, f"shared-{name}")
        assert (answer.status_code, answer.json()["id"]) == (201, order[-1].id)

    def test_more_than_are_looked_at(
        self, start: Start, there: Callable[..., Resource], name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(adoption, "_LOOKED_AT", 2)
        client = start().client()
        for number in range(3):
            there(f"{number}-{name}", f"shared-{name}")
        answer = post(client, name, f"shared-{name}")
        assert (answer.status_code, answer.json()["scimType"]) == (409, "uniqueness")
        assert "more than 2 accounts have this work e-mail" in answer.json()["detail"]

    def test_a_private_email_is_no_match(self, start: Start, there: Callable[..., Resource], name: str) -> None:
        known = there(f"old-{name}", emails=[{"type": "home", "value": f"mail-{name}"}])
        answer = post(start().client(), name, f"mail-{name}")
        assert (answer.status_code, answer.json()["id"] == known.id) == (201, False)


class TestManyEmails:
    @pytest.mark.parametrize(("position", "found"), [(0, True), (4, True), (5, False)])
    def test_of_one_request(
        self,
        start: Start,
        there: Callable[..., Resource],
        backend: Backend,
        name: str,
        monkeypatch: pytest.MonkeyPatch,
        position: int,
        found: bool,
    ) -> None:
        """So many are looked for and no more, several with one search; the same e-mail twice is one. A store that knows
        that none of them is there is not searched."""
        monkeypatch.setattr(adoption, "_TERMS", 2)
        monkeypatch.setattr(adoption, "LOOKED_FOR", 5)
        known = there(f"old-{name}", f"mail-{name}")
        searches: list[Query] = []
        search = type(backend).search

        def counted(self: Backend, kind: str, query: Query) -> Page:
            searches.append(query)
            return search(self, kind, query)

        client = start().client()
        monkeypatch.setattr(type(backend), "search", counted)
        values = [f"{number}-{name}" for number in range(6)]
        values[position] = f"Mail-{name}"
        values.insert(1, values[0].upper())
        answer = post(client, name, emails=[{"type": "work", "value": value} for value in values])
        assert (answer.status_code, answer.json()["id"] == known.id) == (201, found)
        assert len(searches) == (3 if found or backend.knows("User", [f"nobody-{name}"]) else 0)


class TestAtOnce:
    def test_of_many_creates_of_one_name_one_succeeds(self, start: Start, name: str) -> None:
        """What another request has just made is not taken for an account that was there before."""
        service = start()
        clients = [Client(service.settings.scim_url, token_of(service.client())) for _ in range(6)]
        with ThreadPoolExecutor(len(clients)) as pool:
            codes = list(pool.map(lambda client: post(client, name, f"mail-{name}").status_code, clients))
        for client in clients:
            client.close()
        assert sorted(codes) == [201, *[409] * 5]


def token_of(client: Client) -> str:
    return client.headers["Authorization"].removeprefix("Bearer ")


class TestChanges:
    def test_adopt_too(self, start: Start, there: Callable[..., Resource], name: str) -> None:
        """A client that finds an account and changes it takes charge of it: then nobody else gets it by its name."""
        known = there(name)
        client = start().client()
        assert client.change(f"/Users/{known.id}", {"op": "replace", "path": "title", "value": "Dr"}).status_code == 200
        assert post(client, name).status_code == 409

    @pytest.mark.parametrize("policy", ["match", "approve", "refuse"])
    def test_of_what_is_not_there(self, start: Start, policy: str) -> None:
        path = "/Users/00000000-0000-0000-0000-000000000000"
        client = start(adoption=policy).client()
        assert client.delete(path).status_code == 404
        assert client.change(path, {"op": "replace", "path": "title", "value": "x"}).status_code == 404


class TestRefusal:
    def test_of_every_write(self, start: Start, there: Callable[..., Resource], backend: Backend, name: str) -> None:
        known = there(name, f"mail-{name}")
        before = everything(backend, known)
        client = start(adoption="refuse").client()
        for answer in (post(client, name), post(client, f"new-{name}", f"mail-{name}")):
            assert (answer.status_code, answer.json()["scimType"]) == (409, "uniqueness")
            assert "not managed" in answer.json()["detail"]
        path = f"/Users/{known.id}"
        document = {"schemas": [USER], "userName": name}
        for answer in (
            client.change(path, {"op": "replace", "path": "active", "value": False}),
            client.put(path, json=document, headers={"Content-Type": "application/scim+json"}),
            client.delete(path),
        ):
            assert answer.status_code == 403
            assert "not managed" in answer.json()["detail"]
        assert everything(backend, known) == before
        assert client.get(path).status_code == 200
        mine = client.user(f"mine-{name}")
        assert client.delete(f"/Users/{mine['id']}").status_code == 204


class TestApproval:
    def test_then_the_retry_succeeds(
        self, start: Start, there: Callable[..., Resource], backend: Backend, name: str
    ) -> None:
        known = there(name)
        before = everything(backend, known)
        service = start(adoption="approve")
        client = service.client()
        for _ in range(2):
            answer = post(client, name, displayName="New")
            assert (answer.status_code, answer.json()["scimType"]) == (409, "uniqueness")
            assert "approve" in answer.json()["detail"]
        assert everything(backend, known) == before
        waiting = service.control.managed.waiting()
        assert [(c.kind, c.resource_id, c.name, c.approved) for c in waiting] == [("User", known.id, name, False)]
        assert client.change(f"/Users/{known.id}", {"op": "replace", "path": "title", "value": "x"}).status_code == 403
        assert service.control.managed.approve(known.id)
        answer = post(client, name, displayName="New")
        assert (answer.status_code, answer.json()["id"]) == (201, known.id)
        assert service.control.managed.waiting() == []
        assert client.change(f"/Users/{known.id}", {"op": "replace", "path": "title", "value": "x"}).status_code == 200

    def test_is_for_the_integration_that_asked(self, start: Start, there: Callable[..., Resource], name: str) -> None:
        known = there(name)
        service = start(adoption="approve")
        mine, other = service.client(), service.client(dialect=Dialect.ENTRA)
        assert post(mine, name).status_code == 409
        assert service.control.managed.approve(known.id)
        title = {"op": "replace", "path": "title", "value": "x"}
        assert post(other, name).status_code == 409
        assert other.change(f"/Users/{known.id}", title).status_code == 403
        assert other.delete(f"/Users/{known.id}").status_code == 403
        assert post(mine, name).json()["id"] == known.id

    def test_of_what_nobody_has_asked_for(self, start: Start) -> None:
        assert not start(adoption="approve").control.managed.approve("nothing")
