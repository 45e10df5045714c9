"""What a request costs in operations: asserted, and the same for groups of any size."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.scim.filter.bind import bind
from app.scim.filter.parse import parse_filter
from app.scim.query import Change, Delta, Draft, Query, Resource
from backends.ldap.backend import LdapBackend
from tests.support.directories import Directory

Call = Callable[[], object]


def _operations(backend: LdapBackend, call: Call) -> dict[str, int]:
    before = backend.directory.counts
    call()
    done = backend.directory.counts.since(before).operations
    return {name: number for name, number in done.items() if name != "connect"}


def _user(backend: LdapBackend, name: str) -> Resource:
    values = {"userName": name, "active": True, "displayName": name.title(), "name.familyName": "Test"}
    return backend.create("User", Draft({**values, "emails": [{"value": name, "type": "work", "primary": True}]}))


def _delta(*, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()) -> Change:
    return Change(relations={"members": Delta(add, remove)})


@pytest.fixture
def reads_back(directory: Directory) -> int:
    """The operations by which a write learns what it has done: none where the server tells it at once."""
    return 0 if directory.kind != "active-directory" else 1


def test_users(backend: LdapBackend, reads_back: int) -> None:
    """A read and a search by userName are one operation, a create and a change two; a change that follows a read of the
    same version is one."""
    everything = backend.registry.type("User").readable
    ann = _user(backend, "ann@corp.example")
    filter = bind(parse_filter('userName eq "ann@corp.example"'), backend.registry.type("User"))
    assert _operations(backend, lambda: backend.get("User", ann.id, everything)) == {"search": 1}
    assert _operations(backend, lambda: backend.search("User", Query(everything, filter))) == {"search": 1}
    created = _operations(backend, lambda: _user(backend, "bob@corp.example"))
    assert created == {"search": 1 + reads_back, "add": 1}
    change = Change({"title": "Dr", "displayName": "Ann"})
    changed = _operations(backend, lambda: backend.update("User", ann.id, change))
    assert changed == {"search": 1 + reads_back, "modify": 1}

    def read_and_change() -> None:
        seen = backend.get("User", ann.id, frozenset({"title"}))
        backend.update("User", ann.id, Change({"title": "Prof"}), expect=seen.stamp.version)

    assert _operations(backend, read_and_change) == {"search": 1 + reads_back, "modify": 1}


def test_members(backend: LdapBackend, reads_back: int) -> None:
    """Adding one member or a hundred and removing one are three operations each: the group, the people, the change."""
    people = tuple(_user(backend, f"p{n}@corp.example").id for n in range(102))
    team = backend.create("Group", Draft({"displayName": "Team"}, {"members": people[:1]}))
    expected = {"search": 2 + reads_back, "modify": 1}
    pieces = -(-100 // backend.bindings.groups.pieces)
    assert _operations(backend, lambda: backend.update("Group", team.id, _delta(add=people[1:2]))) == expected
    hundred = _operations(backend, lambda: backend.update("Group", team.id, _delta(add=people[2:])))
    assert hundred == {"search": 2 + reads_back * pieces, "modify": pieces}
    assert _operations(backend, lambda: backend.update("Group", team.id, _delta(remove=people[5:6]))) == expected


def test_relations(backend: LdapBackend) -> None:
    """The groups of a user are two operations, and one more where the server keeps them on users: not one a group."""
    people = tuple(_user(backend, f"p{n}@corp.example").id for n in range(3))
    for n in range(5):
        backend.create("Group", Draft({"displayName": f"T{n}"}, {"members": people}))
    done = _operations(backend, lambda: list(backend.related("User", people[:1], "groups")))
    assert done == {"search": 2}


def test_retiring(backend: LdapBackend, reads_back: int) -> None:
    """A user without groups is retired by two writes and three searches, whatever the number of those that are retired
    already; one more write takes it out of each group. It is restored by two writes."""
    everything = backend.registry.type("User").readable
    people = [_user(backend, f"p{n}@corp.example") for n in range(4)]
    backend.create("Group", Draft({"displayName": "Team"}, {"members": (people[1].id,)}))
    alone = {"search": 3 + reads_back, "modify": 1, "rename": 1}
    assert _operations(backend, lambda: backend.retire("User", people[0].id)) == alone
    assert _operations(backend, lambda: backend.retire("User", people[1].id)) == {**alone, "modify": 2}
    assert _operations(backend, lambda: backend.retire("User", people[2].id)) == alone
    before = backend.directory.counts
    found = backend.retired("User", everything, ["p1@corp.example"])
    done = backend.directory.counts.since(before)
    assert [item.id for item in found.items] == [people[1].id]
    assert (done.operations["search"], done.entries) == (2, 2)
    restored = _operations(backend, lambda: backend.restore("User", people[1].id, Change({"title": "x"})))
    assert restored == {"search": 4 + 2 * reads_back, "modify": 1, "rename": 1}
    assert _operations(backend, lambda: backend.purge("User", people[0].id)) == {"search": 1, "delete": 1}
