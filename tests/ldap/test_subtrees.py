"""Subtrees of a directory that no client may change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

import pytest

from app.scim.query import Change, Delta, Draft, ResourceId
from app.services.protected import with_protection
from backends.base import Backend
from backends.errors import NotFound, Protected
from backends.ldap.backend import LdapBackend
from backends.ldap.subtrees import in_one
from config.settings import ProtectedSettings, Settings
from tests.ldap.store import Beside, opened, with_users
from tests.support.directories import Directory, Tree
from tests.support.ldapstores import bindings_for

MANAGER = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value"
TITLE = frozenset({"title"})


@dataclass(frozen=True, slots=True)
class House:
    """A directory with users and groups in a subtree that is protected, written past the service, and others."""

    plain: LdapBackend
    guarded: Backend
    bases: tuple[str, ...]
    root: ResourceId
    ann: ResourceId
    admins: ResourceId
    team: ResourceId


def below(tree: Tree, beside: Beside, name: str) -> Tree:
    """A new organisational unit of that name below the users, and one below the groups."""
    rdn = f"{tree.people[:2]}={name}"
    made = Tree(f"{rdn},{tree.people}", f"{rdn},{tree.groups}")
    for dn in (made.people, made.groups):
        beside.connection.add(dn, "organizationalUnit", {"ou": name})
    return made


def protecting(backend: Backend, bases: tuple[str, ...], users: str | None = None) -> Backend:
    return with_protection(backend, Settings(backend="ldap", protected=ProtectedSettings(users, bases=bases)))


@pytest.fixture
def house(directory: Directory, tree: Tree, beside: Beside, backend: LdapBackend) -> Iterator[House]:
    inside = below(tree, beside, "admins")
    # Another spelling of the same names.
    bases = tuple(dn.upper().replace(",", " , ", 1) for dn in (inside.people, inside.groups))
    with ExitStack() as stack:
        there = stack.enter_context(opened(directory, inside))
        root = there.create("User", Draft({"userName": "root@corp.example", "title": "before"})).id
        admins = there.create("Group", Draft({"displayName": "Admins"}, {"members": (root,)})).id
        ann = backend.create("User", Draft({"userName": "ann@corp.example", "title": "before"})).id
        team = backend.create("Group", Draft({"displayName": "Team"}, {"members": (ann,)})).id
        yield House(backend, protecting(backend, bases), bases, root, ann, admins, team)


def members(backend: Backend, group: ResourceId) -> set[ResourceId]:
    return {reference.id for _, reference in backend.related("Group", [group], "members")}


def delta(*, add: tuple[str, ...] = (), remove: tuple[str, ...] = (), clear: bool = False) -> Change:
    return Change(relations={"members": Delta(add, remove, clear)})


def refused(calls: Mapping[str, Callable[[], object]]) -> None:
    for name, call in calls.items():
        try:
            call()
        except Protected as error:
            assert "protected" in str(error), name
        else:
            pytest.fail(f"{name} was let through")


def test_what_is_in_the_subtree_is_not_changed(house: House) -> None:
    guarded = house.guarded
    everything = guarded.registry.type("User").readable
    before = guarded.get("User", house.root, everything)
    refused(
        {
            "update": partial(guarded.update, "User", house.root, Change({"title": "after"})),
            "rename": partial(guarded.update, "User", house.root, Change({"userName": "new@corp.example"})),
            "lock": partial(guarded.update, "User", house.root, Change({"active": False})),
            "delete": partial(guarded.delete, "User", house.root),
            "add": partial(guarded.update, "Group", house.admins, delta(add=(house.ann,))),
            "remove": partial(guarded.update, "Group", house.admins, delta(remove=(house.root,))),
            "clear": partial(guarded.update, "Group", house.admins, delta(clear=True)),
            "name": partial(guarded.update, "Group", house.admins, Change({"displayName": "New"})),
            "away": partial(guarded.delete, "Group", house.admins),
        }
    )
    assert guarded.get("User", house.root, everything) == before
    assert members(guarded, house.admins) == {house.root}


def test_the_rest_is_changed(house: House) -> None:
    guarded = house.guarded
    guarded.update("User", house.ann, Change({"title": "after"}))
    guarded.update("Group", house.team, delta(add=(house.root,), remove=(house.ann,)))
    assert guarded.get("User", house.ann, TITLE).values == {"title": "after"}
    assert members(guarded, house.team) == {house.root}
    guarded.delete("User", house.ann)
    guarded.delete("Group", house.team)
    for call in (partial(guarded.delete, "User", house.ann), partial(guarded.update, "Group", house.team, Change())):
        with pytest.raises(NotFound):
            call()


def test_a_deletion_takes_nothing_from_the_subtree(house: House) -> None:
    """Neither a member from a group in it nor a manager from a user."""
    guarded, plain = house.guarded, house.plain
    bob = plain.create("User", Draft({"userName": "bob@corp.example"})).id
    plain.update("Group", house.admins, delta(add=(house.ann,)))
    plain.update("User", house.root, Change({MANAGER: bob}))
    refused({"member": partial(guarded.delete, "User", house.ann), "manager": partial(guarded.delete, "User", bob)})
    assert members(plain, house.admins) == {house.root, house.ann}
    assert plain.get("User", house.root, frozenset({MANAGER})).values == {MANAGER: bob}
    plain.update("Group", house.admins, delta(remove=(house.ann,)))
    plain.update("User", house.root, Change({MANAGER: None}))
    guarded.delete("User", house.ann)
    guarded.delete("User", bob)


def test_nobody_is_created_in_the_subtree(house: House, directory: Directory, tree: Tree, beside: Beside) -> None:
    below(tree, beside, "staff")
    shipped = bindings_for(directory.kind, tree)
    place = f"{tree.people[:2]}={{title}},{tree.people}"
    with opened(directory, tree, with_users(shipped, placement=(place,))) as placing:
        guarded = protecting(placing, house.bases)
        eve = Draft({"userName": "eve@corp.example", "title": "Admins"})
        refused({"create": partial(guarded.create, "User", eve)})
        made = guarded.create("User", replace(eve, values={**eve.values, "title": "staff"}))
        assert guarded.within("User", [made.id, house.root, "nobody"], house.bases) == {house.root}
        # Without protection that is where the user goes.
        other = placing.create("User", Draft({"userName": "mallory@corp.example", "title": "Admins"}))
        assert guarded.within("User", [other.id], house.bases) == {other.id}


def test_a_write_costs_one_operation_more_at_most(house: House) -> None:
    """Also where there is a filter beside the subtrees; none where it is known from a moment ago what the entry is
    called."""
    directory = house.plain.directory

    def cost(backend: Backend, title: str) -> int:
        before = directory.counts
        backend.update("User", house.ann, Change({"title": title}))
        return sum(directory.counts.since(before).operations.values())

    both = protecting(house.plain, house.bases, 'title eq "Administrator"')
    cost(both, "first")
    plain = cost(house.plain, "a")
    assert plain <= cost(house.guarded, "b") <= plain + 1
    assert plain <= cost(both, "c") <= plain + 1


@pytest.mark.parametrize(
    ("name", "base", "inside"),
    [
        ("uid=a,ou=admins,dc=org", "ou=admins,dc=org", True),
        ("OU=Admins, dc=ORG", "ou=admins,dc=org", True),
        ("uid=a,ou=x,ou=admins,dc=org", "ou=admins, dc=org", True),
        (r"uid=a,ou=\61dmins,dc=org", "ou=admins,dc=org", True),
        ("uid=a,ou=all admins,dc=org", "ou=admins,dc=org", False),
        ("uid=a,ou=people,dc=org", "ou=admins,dc=org", False),
        ("dc=org", "ou=admins,dc=org", False),
        (r"uid=a\,ou=admins,dc=org", "ou=admins,dc=org", False),
        ("cn=admins,dc=org", "ou=admins,dc=org", False),
    ],
)
def test_which_entry_is_in_a_subtree(name: str, base: str, inside: bool) -> None:
    assert in_one(name, ("dc=elsewhere", base)) is inside
    assert not in_one(name, ())
