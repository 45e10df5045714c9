"""What is done to a group costs as many operations and reads as many values however many members it has.

On OpenLDAP and 389 Directory Server nearly all members of the large groups are DNs without entries, which a group may
have there. Samba takes none of those: there they are contacts, entries of another class that are made in less time than
users, and are no users either. `pytest -rP` shows how long each call took.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import ldap3
import pytest

from app.scim.filter.bind import bind
from app.scim.filter.parse import parse_filter
from app.scim.query import Change, Delta, Draft, Query, Resource
from backends.ldap.backend import LdapBackend
from backends.ldap.branch import chunks
from backends.ldap.drivers.base import Scope, Search
from tests.ldap.store import Beside, opened
from tests.ldap.test_faults import members, new_user
from tests.support.directories import DIRECTORY_SERVERS, Directory, SambaAD, selected_directories

SMALL = 100
LARGE = {"openldap": 100_000, "389ds": 10_000, "active-directory": 10_000}
AT_ONCE = 5000
NAME = frozenset({"displayName"})

Cost = tuple[Mapping[str, int], int]


KINDS = [pytest.param(kind, id=kind, marks=pytest.mark.xdist_group(f"large-{kind}")) for kind in selected_directories()]


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Directory]:
    """A server for these tests alone, thrown away as it is: to remove ten thousand entries from Samba takes longer than
    to start one, and where they stay all writes take longer."""
    with DIRECTORY_SERVERS[request.param]() as server:
        yield server


@pytest.fixture(scope="module")
def backend(server: Directory) -> Iterator[LdapBackend]:
    with opened(server, server.tree) as backend:
        yield backend


@pytest.fixture(scope="module")
def beside(server: Directory) -> Iterator[Beside]:
    with server.session() as connection:
        yield Beside(server, server.tree, connection)


@pytest.fixture(scope="module")
def strangers(server: Directory) -> list[str]:
    """DNs of members who are no users."""
    names = [f"cn=stranger {n},{server.people}" for n in range(LARGE[server.kind])]
    if isinstance(server, SambaAD):
        server.load({"dn": name, "objectClass": "contact"} for name in names)
    return names


def filled(beside: Beside, backend: LdapBackend, name: str, others: list[str]) -> Resource:
    """A new group with these members, written by another tool."""
    team = backend.create("Group", Draft({"displayName": name}))
    dn = beside.entry(f"(&(cn={name})(!(objectClass=person)))", ("cn",))[0]
    for part in chunks(others, AT_ONCE):
        beside.connection.modify(dn, {"member": [(ldap3.MODIFY_ADD, part)]})
    return team


def _changing(
    backend: LdapBackend, team: Resource, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()
) -> Callable[[], object]:
    return lambda: backend.update("Group", team.id, Change(relations={"members": Delta(add, remove)}))


def _asking(backend: LdapBackend, kind: str, filter: str, expected: list[str]) -> Callable[[], object]:
    bound = bind(parse_filter(filter), backend.registry.type(kind))

    def ask() -> None:
        assert [r.id for r in backend.search(kind, Query(frozenset(), bound)).items] == expected

    return ask


def _calls(backend: LdapBackend, team: Resource, people: list[str]) -> dict[str, Callable[[], object]]:
    """Everything that is done to a group and asked of it, one after the other, apart from reading all members."""
    first, second, third, *rest = people
    of_it = f'id eq "{team.id}" and members.value eq'
    return {
        "add 1": _changing(backend, team, add=(first,)),
        "add 1 again": _changing(backend, team, add=(first,)),
        "add 100": _changing(backend, team, add=(second, third, *rest)),
        "remove 1": _changing(backend, team, remove=(second,)),
        "remove 1 again": _changing(backend, team, remove=(second,)),
        "read": lambda: backend.get("Group", team.id, NAME),
        "search": lambda: backend.search("Group", Query(NAME)),
        "is a member": _asking(backend, "Group", f'{of_it} "{first}"', [team.id]),
        "is no member": _asking(backend, "Group", f'{of_it} "{second}"', []),
        "groups with a member": _asking(backend, "Group", f'members[value eq "{first}"]', [team.id]),
        "groups of a user": lambda: list(backend.related("User", [first], "groups")),
        "rename": lambda: backend.update("Group", team.id, Change({"displayName": f"{team.id} new"})),
        "delete a member": lambda: backend.delete("User", third),
        "remove 98": _changing(backend, team, remove=tuple(rest)),
        "delete": lambda: backend.delete("Group", team.id),
    }


def _costs(backend: LdapBackend, calls: Mapping[str, Callable[[], object]]) -> dict[str, Cost]:
    """The operations and the values read of each call."""
    costs: dict[str, Cost] = {}
    for name, call in calls.items():
        before, start = backend.directory.counts, time.perf_counter()
        call()
        print(f"{name}: {(time.perf_counter() - start) * 1000:.0f} ms")
        done = backend.directory.counts.since(before)
        costs[name] = {kind: n for kind, n in done.operations.items() if kind != "connect"}, done.values
    return costs


def test_the_cost_does_not_grow_with_the_group(backend: LdapBackend, beside: Beside, strangers: list[str]) -> None:
    costs = []
    for size in (SMALL, len(strangers)):
        people = [new_user(backend, f"p{size}.{n}@corp.example").id for n in range(101)]
        start = time.perf_counter()
        team = filled(beside, backend, f"Team{size}", strangers[:size])
        print(f"{size} members loaded in {time.perf_counter() - start:.1f} s")
        costs.append(_costs(backend, _calls(backend, team, people)))
    assert costs[0] == costs[1]


def test_a_large_group_is_read_whole(backend: LdapBackend, beside: Beside, strangers: list[str]) -> None:
    """Active Directory gives 1500 values at once and the rest by ranges ([MS-ADTS] 3.1.1.3.1.3.3). Samba gives all, and
    a part when it is asked for one."""
    team = filled(beside, backend, "Team", strangers[:2000])
    people = [new_user(backend, f"q{n}@corp.example").id for n in range(3)]
    backend.update("Group", team.id, Change(relations={"members": Delta(tuple(people))}))
    assert set(members(backend, team)) == set(people)
    dn = beside.entry("(&(cn=Team)(!(objectClass=person)))", ("cn",))[0]
    whole = {value.lower() for value in _values(backend, dn, "member")}
    assert len(whole) >= 2003
    if beside.server.kind == "active-directory":
        assert len(whole) == 2003
        parts = [_values(backend, dn, f"member;range={start}-{start + 499}") for start in range(0, 2500, 500)]
        assert [len(part) for part in parts] == [500, 500, 500, 500, 3]
        assert {value.lower() for part in parts for value in part} == whole
    backend.update("Group", team.id, Change(relations={"members": Delta(tuple(people[:1]), clear=True)}))
    assert members(backend, team) == people[:1]
    assert len(_values(backend, dn, "member")) <= 2


def _values(backend: LdapBackend, dn: str, attribute: str) -> list[bytes]:
    """The values of an attribute or of a range of it, under whatever name they come."""
    with backend.directory.session() as connection:
        found = connection.search(Search(dn, Scope.BASE, "(objectClass=*)", (attribute,))).entries[0].attributes
    assert all(name.partition(";")[0] == "member" for name in found)
    return [value for values in found.values() for value in values]
