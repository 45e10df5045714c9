"""What of the store an integration has to do with, beyond what tests/api shows over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from threading import Thread

import pytest

from app.control import Only, Outside, Remit
from app.scim.query import Change, Delta, Draft, Query, Reference, ResourceId
from app.scim.registry import load
from app.services.remit import OutsideRemit, Remitted, check_remit, enter, leave, narrowed
from backends.base import Backend
from backends.errors import NotFound, UnknownReference
from tests.support.reference import ReferenceBackend
from tests.support.stores import without_external_id

STAFF = 'userType eq "Staff"'


@pytest.fixture(autouse=True)
def _nobody() -> Iterator[None]:
    yield
    leave()


@pytest.fixture
def inner() -> Backend:
    return ReferenceBackend(load())


@pytest.fixture
def backend(inner: Backend) -> Remitted:
    return Remitted(inner)


def user(inner: Backend, name: str, sort: str | None = "Staff") -> ResourceId:
    return inner.create("User", Draft({"userName": name, **({} if sort is None else {"userType": sort})})).id


def related(backend: Backend, kind: str, id: ResourceId) -> list[Reference]:
    return [r for _, r in backend.related(kind, [id], "members" if kind == "Group" else "groups")]


def test_without_a_remit_everything_is_there(backend: Remitted, inner: Backend) -> None:
    ann = user(inner, "ann", None)
    assert backend.get("User", ann, frozenset({"userName"})).values == {"userName": "ann"}
    backend.update("User", ann, Change({"title": "x"}))
    enter(Remit(), writes=True)
    backend.delete("User", ann)


def test_only_users(backend: Remitted, inner: Backend) -> None:
    ann = user(inner, "ann")
    team = inner.create("Group", Draft({"displayName": "Team"}, {"members": (ann,)})).id
    enter(Remit(only=Only.USERS), writes=False)
    assert backend.search("Group", Query(frozenset())).total == 0
    assert backend.search("User", Query(frozenset())).total == 1
    assert related(backend, "User", ann) == []
    with pytest.raises(NotFound):
        backend.get("Group", team, frozenset())
    enter(Remit(only=Only.USERS), writes=True)
    for call in (
        partial(backend.get, "Group", team, frozenset()),
        partial(backend.update, "Group", team, Change({"displayName": "x"})),
        partial(backend.delete, "Group", team),
        partial(backend.create, "Group", Draft({"displayName": "New"})),
    ):
        with pytest.raises(OutsideRemit):
            call()
    backend.update("User", ann, Change({"title": "x"}))
    backend.delete("User", ann)
    assert related(inner, "Group", team) == []


def test_a_filter(backend: Remitted, inner: Backend) -> None:
    ann, bob = user(inner, "ann"), user(inner, "bob", "Guest")
    team = inner.create("Group", Draft({"displayName": "Team"}, {"members": (ann, bob)})).id
    enter(Remit(users=STAFF), writes=True)
    assert [r.id for r in backend.search("User", Query(frozenset())).items] == [ann]
    assert [r.id for r in related(backend, "Group", team)] == [ann]
    for call in (
        partial(backend.update, "User", bob, Change({"title": "x"})),
        partial(backend.update, "User", ann, Change({"userType": "Guest"})),
        partial(backend.delete, "User", bob),
        partial(backend.get, "User", bob, frozenset()),
        partial(backend.create, "User", Draft({"userName": "eve"})),
    ):
        with pytest.raises(OutsideRemit):
            call()
    with pytest.raises(NotFound):
        backend.get("User", "nobody", frozenset())
    with pytest.raises(UnknownReference):
        backend.update("Group", team, Change(relations={"members": Delta(add=(bob,))}))
    backend.update("Group", team, Change(relations={"members": Delta(clear=True)}))
    assert [r.id for r in related(inner, "Group", team)] == [bob]
    backend.create("User", Draft({"userName": "eve", "userType": "staff"}))


def test_attributes(backend: Remitted, inner: Backend) -> None:
    ann = user(inner, "ann")
    change = Change({"name.givenName": "Ann", "title": "x", "userType": "Guest"})
    remit = Remit(attributes=("NAME", "title", "emails"))
    enter(remit, writes=True)
    with pytest.raises(OutsideRemit, match="may not write userType"):
        backend.update("User", ann, change)
    with pytest.raises(OutsideRemit, match="may not write userName"):
        backend.create("User", Draft({"userName": "eve"}))
    with pytest.raises(OutsideRemit, match="may not write members"):
        narrowed(load().type("Group"), Change(relations={"members": Delta(clear=True)}))
    enter(Remit(attributes=remit.attributes, outside=Outside.KEEP), writes=True)
    backend.update("User", ann, change)
    want = frozenset({"name.givenName", "title", "userType"})
    assert backend.get("User", ann, want).values == {"name.givenName": "Ann", "title": "x", "userType": "Staff"}
    with pytest.raises(OutsideRemit, match="may not write userName, and so can't create"):
        backend.create("User", Draft({"userName": "eve", "title": "x"}))
    enter(Remit(attributes=("userName",), outside=Outside.KEEP), writes=True)
    made = backend.create("User", Draft({"userName": "eve", "title": "x"}))
    assert backend.get("User", made.id, want).values == {}


def test_a_thread_asks_for_itself(backend: Remitted, inner: Backend) -> None:
    user(inner, "ann", "Guest")
    found: list[int] = []
    enter(Remit(users=STAFF), writes=False)
    thread = Thread(target=lambda: found.append(backend.search("User", Query(frozenset())).total))
    thread.start()
    thread.join()
    assert found == [1]
    assert backend.search("User", Query(frozenset())).total == 0


def test_a_filter_that_the_store_can_not_use_lets_nothing_through() -> None:
    backend = Remitted(ReferenceBackend(without_external_id(load())))
    remit = Remit(users='externalId sw "hr-"')
    assert check_remit(remit, load()) == []
    assert check_remit(remit, backend.registry) == [
        "filter of users: 'externalId' is not an attribute of User in this store"
    ]
    enter(remit, writes=True)
    with pytest.raises(OutsideRemit):
        backend.create("User", Draft({"userName": "ann"}))
    assert backend.search("User", Query(frozenset())).total == 0


def test_a_store_without_subtrees_lets_nothing_through(backend: Remitted, inner: Backend) -> None:
    ann = user(inner, "ann")
    enter(Remit(bases=("ou=staff,dc=example,dc=org",), users=STAFF), writes=True)
    for kind in ("User", "Group"):
        assert backend.search(kind, Query(frozenset())).total == 0
    for call in (
        partial(backend.get, "User", ann, frozenset()),
        partial(backend.update, "User", ann, Change({"title": "x"})),
        partial(backend.create, "User", Draft({"userName": "eve", "userType": "Staff"})),
    ):
        with pytest.raises(OutsideRemit):
            call()
    assert check_remit(Remit(bases=("staff", "ou=staff")), load()) == ["'staff' is not a DN"]


@pytest.mark.parametrize("name", ["titel", "groups", "id", "meta", "emails.value", "name.", ""])
def test_what_can_not_be_written(name: str) -> None:
    assert check_remit(Remit(attributes=("title", name)), load()) == [
        f"'{name}' is not an attribute that can be written"
    ]
