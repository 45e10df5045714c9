"""Entries that are odd: octets that are no text, names with every special character, values that come twice, entries
that vanish between two steps."""

from __future__ import annotations

from collections.abc import Callable

import ldap3
import pytest

from app.scim.filter.bind import bind
from app.scim.filter.nodes import Compare, Op
from app.scim.filter.parse import parse_filter
from app.scim.query import Change, Delta, Draft, Query, Sort
from app.scim.types import comparable
from backends.errors import NotFound, UnknownReference
from backends.ldap.backend import LdapBackend
from config.directory import Place, Single
from tests.ldap.hooks import hooked
from tests.ldap.store import Beside, opened, with_users
from tests.ldap.test_faults import adding, members, names, new_group, new_user, pair
from tests.support.directories import Directory, Tree
from tests.support.ldapstores import bindings_for

OCTETS = b"\xff\xd8\xff\xe0\x00\x10JFIF\xc3("
ANN = "ann@corp.example"
SPECIAL = {
    "separators": 'a,b+c=d;e"f',
    "brackets": "<a> (b) [c] {d}",
    "escapes": "a\\b \\2c \\, \\\\",
    "hash": "#a#",
    "blanks": "  a  b  ",
    "wildcards": "*a*?%_",
    "controls": "a\x00b\tc\nd\x7f",
    "a-dn": "cn=admin,dc=example,dc=test",
    "quoted": '"a, b"',
    "many": "é 山田 עברית 👩‍👩‍👧 e\u0301 ﬁ\u200b",
    "long": "x, " * 100 + "x",
}


def found(backend: LdapBackend, filter: str, kind: str = "User") -> list[str]:
    bound = bind(parse_filter(filter), backend.registry.type(kind))
    return [r.id for r in backend.search(kind, Query(frozenset(), bound)).items]


def found_by(backend: LdapBackend, kind: str, slot: str, value: str) -> list[str]:
    """Found by a filter on a value with characters that no filter text may have."""
    attribute = backend.registry.type(kind).slots[slot]
    filter = Compare(attribute, Op.EQ, comparable(attribute, value))
    return [r.id for r in backend.search(kind, Query(frozenset(), filter)).items]


@pytest.mark.parametrize("case", SPECIAL)
def test_names_with_special_characters(case: str, backend: LdapBackend) -> None:
    """A user and a group of such names are made, read, joined, renamed to it and from it, and deleted."""
    name = SPECIAL[case]
    ann = new_user(backend, name)
    team = new_group(backend, name, ann)
    bob, other = new_user(backend, "bob"), new_group(backend, "Other")
    for user, group in ((ann, team), (bob, other)):
        if user is bob:
            assert found_by(backend, "User", "userName", name) == [ann.id]
            assert found_by(backend, "Group", "displayName", name) == [team.id]
            backend.update("User", ann.id, Change({"userName": "plain"}))
            backend.update("Group", team.id, Change({"displayName": "Plain"}))
            backend.update("User", bob.id, Change({"userName": name}))
            backend.update("Group", other.id, Change({"displayName": name}))
            backend.update("Group", other.id, adding(bob.id))
        assert backend.get("User", user.id, frozenset({"userName"})).values == {"userName": name}
        assert backend.get("Group", group.id, frozenset({"displayName"})).values == {"displayName": name}
        assert members(backend, group) == [user.id]
        assert [(r.id, r.display) for _, r in backend.related("User", [user.id], "groups")] == [(group.id, name)]
        assert found_by(backend, "User", "userName", name) == [user.id]
        assert found_by(backend, "Group", "displayName", name) == [group.id]
    assert members(backend, team) == [ann.id]
    backend.update("Group", other.id, Change(relations={"members": Delta(remove=(bob.id,))}))
    assert members(backend, other) == []
    backend.update("Group", other.id, adding(bob.id))
    backend.delete("User", bob.id)
    assert members(backend, other) == []
    backend.delete("Group", other.id)
    assert names(backend) == {"plain"}
    assert names(backend, "Group", "displayName") == {"Plain"}


def test_octets_that_are_no_text(directory: Directory, tree: Tree, beside: Beside) -> None:
    """An entry that has them in attributes that are bound to text is read, found, sorted and changed without them, and
    keeps them."""
    shipped = bindings_for(directory.kind, tree)
    lists = {**shipped.users.lists, "emails": (Place({"value": "audio"}, "work", primary=True),)}
    bindings = with_users(shipped, singles={**shipped.users.singles, "title": Single("jpegPhoto")}, lists=lists)
    with opened(directory, tree, bindings) as backend:
        ann = backend.create("User", Draft({"userName": ANN, "nickName": "before"}))
        bob = backend.create("User", Draft({"userName": "bob@corp.example", "title": "Dr"}))
        dn, _ = beside.entry(f"(|(uid={ANN})(userPrincipalName={ANN}))", ("cn",))
        added = {
            "jpegPhoto": [(ldap3.MODIFY_ADD, [OCTETS])],
            "audio": [(ldap3.MODIFY_ADD, [OCTETS, b"a@corp.example"])],
        }
        assert beside.connection.modify(dn, added)
        everything = backend.registry.type("User").readable
        values = backend.get("User", ann.id, everything).values
        assert "title" not in values
        assert [email["value"] for email in values["emails"]] == ["a@corp.example"]
        assert found(backend, "title pr") == [bob.id]
        assert found(backend, 'emails.value co "corp"') == [ann.id]
        by_title = Sort(backend.registry.type("User").slots["title"])
        assert [r.id for r in backend.search("User", Query(everything, sort=by_title)).items] == [bob.id, ann.id]
        backend.update("User", ann.id, Change({"nickName": "after", "userName": "anna@corp.example"}))
        filter = "(|(uid=anna@corp.example)(userPrincipalName=anna@corp.example))"
        beside.connection.search(tree.people, filter, attributes=["jpegPhoto"])
        assert beside.connection.response[0]["raw_attributes"]["jpegPhoto"] == [OCTETS]
        backend.update("User", ann.id, Change({"title": "Prof"}))
        assert backend.get("User", ann.id, frozenset({"title"})).values == {"title": "Prof"}


def test_values_that_come_twice(backend: LdapBackend) -> None:
    """Equal ones and those that a server takes for equal come back as they were given; members are held once."""
    emails = [
        {"value": v, "type": "work"} for v in ("A@corp.example", "a@corp.example", "a@corp.example", "a@corp.ex ")
    ]
    ann = backend.create("User", Draft({"userName": ANN, "emails": emails}))
    assert backend.get("User", ann.id, frozenset({"emails"})).values == {"emails": emails}
    team = backend.create("Group", Draft({"displayName": "Team"}, {"members": (ann.id, ann.id)}))
    assert members(backend, team) == [ann.id]
    again = backend.update("Group", team.id, adding(ann.id, ann.id))
    assert (again, members(backend, team)) == (team.stamp, [ann.id])
    for _ in range(2):
        backend.update("Group", team.id, Change(relations={"members": Delta(remove=(ann.id, ann.id))}))
        assert members(backend, team) == []


def _deleting(beside: Beside, name: str) -> Callable[[], object]:
    """Deletes the user or group of that name beside the back end."""
    group = f"(&(|(cn={name})(displayName={name}))(|(objectClass=groupOfNames)(objectClass=group)))"
    filter = f"(|(uid={name})(userPrincipalName={name}){group})"
    dn = beside.entry(filter, ("cn",))[0]
    return lambda: beside.connection.delete(dn)


@pytest.mark.parametrize("step", ["modify", "rename", "delete", "set_password"])
def test_a_user_who_vanishes(step: str, directory: Directory, tree: Tree, beside: Beside) -> None:
    """The call finds no user, and makes none."""
    with hooked(directory, tree) as (backend, hooks):
        ann = new_user(backend, ANN)
        hooks.before[step] = _deleting(beside, ANN)
        calls: dict[str, Callable[[], object]] = {
            "modify": lambda: backend.update("User", ann.id, pair("after")),
            "rename": lambda: backend.update("User", ann.id, Change({"userName": "new", "title": "after"})),
            "delete": lambda: backend.delete("User", ann.id),
            "set_password": lambda: backend.update("User", ann.id, Change({"password": "Battery-Staple-2?"})),
        }
        if step == "set_password" and directory.kind != "openldap":
            hooks.before["modify"] = hooks.before.pop(step)
        with pytest.raises(NotFound):
            calls[step]()
        assert names(backend) == set()
        assert hooks.before == {}


@pytest.mark.parametrize("step", ["modify", "delete"])
def test_a_group_that_vanishes(step: str, directory: Directory, tree: Tree, beside: Beside) -> None:
    with hooked(directory, tree) as (backend, hooks):
        ann = new_user(backend, ANN)
        team = new_group(backend, "Team")
        hooks.before[step] = _deleting(beside, "Team")
        calls: dict[str, Callable[[], object]] = {
            "modify": lambda: backend.update("Group", team.id, adding(ann.id)),
            "delete": lambda: backend.delete("Group", team.id),
        }
        with pytest.raises(NotFound):
            calls[step]()
        assert names(backend, "Group", "displayName") == set()
        assert backend.get("User", ann.id, frozenset({"userName"})).values == {"userName": ANN}


def test_a_member_who_vanishes(directory: Directory, tree: Tree, beside: Beside) -> None:
    """The change is refused, or it is made and nobody sees the member, also not when the name is given again."""
    with hooked(directory, tree) as (backend, hooks):
        ann, bob = new_user(backend, ANN), new_user(backend, "bob@corp.example")
        team = new_group(backend, "Team")
        hooks.before["modify"] = _deleting(beside, ANN)
        try:
            backend.update("Group", team.id, adding(ann.id, bob.id))
        except UnknownReference as refusal:
            assert refusal.ids == (ann.id,)
            assert members(backend, team) == []
        else:
            assert members(backend, team) == [bob.id]


def test_a_manager_who_vanishes(backend: LdapBackend, beside: Beside) -> None:
    """Who has been managed is read, found and changed as before."""
    manager = next(slot for slot in backend.registry.type("User").slots if slot.endswith("manager.value"))
    boss = new_user(backend, ANN)
    bob = backend.create("User", Draft({"userName": "bob@corp.example", manager: boss.id}))
    _deleting(beside, ANN)()
    everything = backend.registry.type("User").readable
    assert backend.get("User", bob.id, everything).values["userName"] == "bob@corp.example"
    backend.update("User", bob.id, pair("after"))
    assert found(backend, 'title eq "after"') == [bob.id]
