"""Attributes that take few characters, as login names of Unix do: people with longer names are kept apart in them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.scim.query import Change
from backends.errors import Duplicate
from backends.ldap import text
from config.directory import Bindings, Derived
from tests.ldap.store import Beside, opened, with_users
from tests.ldap.test_faults import names, new_user, pair
from tests.ldap.test_odd_entries import found
from tests.support.directories import Directory, Tree
from tests.support.ldapstores import bindings_for

LONGEST = 8
NAMES = tuple(f"longer.than.allowed.{number}@corp.example" for number in range(4))


def with_short_names(bindings: Bindings) -> Bindings:
    """The bindings with userName, and what is derived from it, so short."""
    single = replace(bindings.users.singles["userName"], max=LONGEST)
    derived = {name: replace(one, max=LONGEST) for name, one in bindings.users.derived.items()}
    return with_users(bindings, singles={**bindings.users.singles, "userName": single}, derived=derived)


def named_by_cn(bindings: Bindings) -> Bindings:
    """The bindings with an RDN that is derived from userName and so short."""
    singles = {slot: single for slot, single in bindings.users.singles.items() if slot != "name.formatted"}
    derived = {**bindings.users.derived, "cn": Derived(("userName",), LONGEST)}
    return with_users(bindings, singles=singles, derived=derived, rdn="cn")


def test_longer_names_are_kept_apart(directory: Directory, tree: Tree, beside: Beside) -> None:
    bindings = with_short_names(bindings_for(directory.kind, tree))
    attribute = bindings.users.singles["userName"].attribute
    with opened(directory, tree, bindings) as backend:
        backend.check()
        people = [new_user(backend, name) for name in NAMES[:3]]
        with pytest.raises(Duplicate):
            new_user(backend, NAMES[0].upper())
        assert names(backend) == set(NAMES[:3])
        backend.update("User", people[0].id, Change({"userName": NAMES[3]}))
        backend.update("User", people[1].id, Change({"userName": "short"}))
        backend.update("User", people[2].id, pair("after"))
        for person, name in zip(people, (NAMES[3], "short", NAMES[2]), strict=True):
            assert backend.get("User", person.id, frozenset({"userName"})).values == {"userName": name}
            assert found(backend, f'userName eq "{name}"') == [person.id]
            assert found(backend, f'userName sw "{name[:12]}"') or name == "short"
            _, held = beside.entry(f"({attribute}={text.distinct(name, LONGEST)})")
            shortened = {attribute, *bindings.users.derived} - {"sn"}
            assert all(len(value) <= LONGEST for one in shortened for value in held[one.lower()])


def test_a_derived_name_that_another_entry_has_is_made_again(directory: Directory, tree: Tree, beside: Beside) -> None:
    bindings = named_by_cn(bindings_for(directory.kind, tree))
    taken = text.distinct(NAMES[0], LONGEST)
    user = directory.kind == "active-directory"
    classes, needed = ("user", {}) if user else ("inetOrgPerson", {"sn": "x", "uid": "another"})
    beside.connection.add(f"cn={taken},{tree.people}", classes, needed)
    with opened(directory, tree, bindings) as backend:
        backend.check()
        ann = new_user(backend, NAMES[0])
        assert backend.get("User", ann.id, frozenset({"userName"})).values == {"userName": NAMES[0]}
        assert found(backend, f'userName eq "{NAMES[0]}"') == [ann.id]
        beside.connection.search(tree.people, "(cn=*)", attributes=["cn"])
        made = [str(r["attributes"]["cn"]).strip("[]'") for r in beside.connection.response if "attributes" in r]
        assert len(made) == 2
        assert taken in made
        assert all(len(name) == LONGEST for name in made)
