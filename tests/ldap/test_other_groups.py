"""Groups of other classes, by bindings that say so: groupOfUniqueNames, and posixGroup, whose members are names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from app.scim.filter.bind import bind
from app.scim.filter.parse import parse_filter
from app.scim.query import Change, Delta, Draft, Query, Resource
from backends.errors import RejectedValue, UnknownReference
from backends.ldap.backend import LdapBackend
from config.directory import Bindings, MemberSyntax, Single
from tests.ldap.hooks import hooked
from tests.ldap.store import Beside, opened
from tests.ldap.test_faults import adding, members, names, new_user
from tests.support.directories import OpenLDAP, Tree
from tests.support.ldapstores import bindings_for


@dataclass(frozen=True)
class Groups:
    """A back end whose groups are of a class, and how another tool makes one."""

    backend: LdapBackend
    beside: Beside
    object_class: str

    def made(self, name: str, number: int, *values: str) -> Resource:
        """A group that another tool has made, with these values in it."""
        dn = f"cn={name},{self.beside.tree.groups}"
        posix = self.object_class == "posixGroup"
        attributes: dict[str, object] = {"gidNumber": str(5000 + number)} if posix else {}
        given = list(values) or ([] if posix else ["cn=landfall-no-member"])
        held = {"memberUid" if posix else "uniqueMember": given} if given else {}
        assert self.beside.connection.add(dn, self.object_class, {**attributes, **held})
        (id,) = self.found("Group", f'displayName eq "{name}"')
        return self.backend.get("Group", id, frozenset({"displayName"}))

    def found(self, kind: str, filter: str) -> list[str]:
        bound = bind(parse_filter(filter), self.backend.registry.type(kind))
        return [r.id for r in self.backend.search(kind, Query(frozenset(), bound)).items]

    def groups_of(self, user: Resource) -> list[str]:
        return [r.id for _, r in self.backend.related("User", [user.id], "groups")]


def _bindings(object_class: str, tree: Tree) -> Bindings:
    shipped = bindings_for("openldap", tree)
    groups = replace(
        shipped.groups, filter=f"(objectClass={object_class})", object_classes=(object_class, "landfallObject")
    )
    if object_class == "posixGroup":
        by_name = MemberSyntax.NAME
        groups = replace(groups, member="memberUid", member_syntax=by_name, placeholder=None, filled=("gidNumber",))
    else:
        groups = replace(groups, member="uniqueMember")
    return replace(shipped, groups=groups)


@pytest.fixture(params=["groupOfUniqueNames", "posixGroup"])
def groups(request: pytest.FixtureRequest, openldap: OpenLDAP) -> Iterator[Groups]:
    tree = openldap.new_tree()
    with opened(openldap, tree, _bindings(request.param, tree)) as backend, openldap.session() as connection:
        yield Groups(backend, Beside(openldap, tree, connection), request.param)
    openldap.empty(tree)


def test_the_bindings_fit_the_directory(groups: Groups) -> None:
    groups.backend.check()


def test_members_from_both_sides(groups: Groups) -> None:
    """They are added, removed and replaced, and seen from the group and from the user."""
    backend = groups.backend
    ann, bob, cec = (new_user(backend, f"{name}@corp.example") for name in ("ann", "bob", "cec"))
    team, other = groups.made("Team", 1), groups.made("Other", 2)
    assert members(backend, team) == []
    backend.update("Group", team.id, adding(ann.id, bob.id))
    backend.update("Group", other.id, adding(ann.id))
    assert set(members(backend, team)) == {ann.id, bob.id}
    assert set(groups.groups_of(ann)) == {team.id, other.id}
    assert groups.groups_of(bob) == [team.id]
    assert groups.groups_of(cec) == []
    pairs = list(backend.related("User", [ann.id, bob.id, cec.id], "groups"))
    assert {(id, r.id) for id, r in pairs} == {(ann.id, team.id), (ann.id, other.id), (bob.id, team.id)}
    stamp = backend.update("Group", team.id, adding(bob.id))
    assert backend.update("Group", team.id, Change(relations={"members": Delta(remove=(cec.id,))})) == stamp
    backend.update("Group", team.id, Change(relations={"members": Delta((cec.id,), (ann.id,))}))
    assert set(members(backend, team)) == {bob.id, cec.id}
    backend.update("Group", team.id, Change(relations={"members": Delta((ann.id, cec.id), clear=True)}))
    assert set(members(backend, team)) == {ann.id, cec.id}
    with pytest.raises(UnknownReference):
        backend.update("Group", team.id, adding("00000000-0000-0000-0000-000000000000"))


def test_members_whose_names_change(groups: Groups) -> None:
    """They stay members under their new names, and who gets such an old name is in none of their groups."""
    backend = groups.backend
    ann, bob = new_user(backend, "ann@corp.example"), new_user(backend, "bob@corp.example")
    team, other = groups.made("Team", 1), groups.made("Other", 2)
    backend.update("Group", team.id, adding(ann.id, bob.id))
    backend.update("User", ann.id, Change({"userName": "anna@corp.example"}))
    backend.update("User", bob.id, Change({"userName": "ann@corp.example"}))
    assert groups.groups_of(bob) == [team.id]
    backend.update("Group", other.id, adding(bob.id))
    assert set(members(backend, team)) == {ann.id, bob.id}
    assert members(backend, other) == [bob.id]
    assert groups.groups_of(ann) == [team.id]


def test_empty_groups(groups: Groups) -> None:
    """A group loses its last member and gets one again."""
    backend = groups.backend
    ann = new_user(backend, "ann@corp.example")
    team = groups.made("Team", 1)
    for emptied in (Delta(remove=(ann.id,)), Delta(clear=True)):
        backend.update("Group", team.id, adding(ann.id))
        assert members(backend, team) == [ann.id]
        backend.update("Group", team.id, Change(relations={"members": emptied}))
        assert members(backend, team) == []
        assert groups.groups_of(ann) == []
    backend.update("Group", team.id, adding(ann.id))
    backend.delete("User", ann.id)
    assert members(backend, team) == []


def test_members_whom_another_tool_has_written(groups: Groups) -> None:
    """They are read whatever the case of their letters; values that name nobody are not shown and are left alone."""
    backend, people = groups.backend, groups.beside.tree.people
    ann = new_user(backend, "ann@corp.example")
    named = groups.object_class == "posixGroup"
    nobody = "nobody" if named else f"uid=nobody,{people}"
    value = "ann@corp.example" if named else f"UID=Ann@Corp.example, {people.upper()}"
    team = groups.made("Team", 1, value, nobody)
    assert members(backend, team) == [ann.id]
    assert groups.groups_of(ann) == [team.id]
    backend.update("Group", team.id, Change(relations={"members": Delta(remove=(ann.id,))}))
    assert members(backend, team) == []
    attribute = "memberUid" if named else "uniqueMember"
    _, held = groups.beside.entry(f"(&(cn=Team)(objectClass={groups.object_class}))", (attribute,))
    assert nobody in held[attribute.lower()]


def test_filters_by_members(groups: Groups) -> None:
    backend = groups.backend
    ann, bob = new_user(backend, "ann@corp.example"), new_user(backend, "bob@corp.example")
    team, empty = groups.made("Team", 1), groups.made("Empty", 2)
    backend.update("Group", team.id, adding(ann.id))
    assert groups.found("Group", f'members.value eq "{ann.id}"') == [team.id]
    assert groups.found("Group", f'members[value eq "{bob.id}"]') == []
    assert groups.found("Group", "members pr") == [team.id]
    assert groups.found("Group", "not (members pr)") == [empty.id]
    assert groups.found("User", f'groups.value eq "{team.id}"') == [ann.id]
    assert groups.found("User", 'groups.display eq "team"') == [ann.id]
    assert groups.found("User", "not (groups pr)") == [bob.id]


def test_a_group_is_renamed_and_deleted(groups: Groups) -> None:
    backend = groups.backend
    ann = new_user(backend, "ann@corp.example")
    team = groups.made("Team", 1)
    change = Change({"displayName": "New, Team", "externalId": "E-1"}, {"members": Delta((ann.id,))})
    backend.update("Group", team.id, change)
    assert names(backend, "Group", "displayName") == {"New, Team"}
    assert members(backend, team) == [ann.id]
    backend.delete("Group", team.id)
    assert names(backend, "Group", "displayName") == set()
    assert groups.groups_of(ann) == []


def test_a_new_group(groups: Groups) -> None:
    """A groupOfUniqueNames is made, with members and without; a posixGroup needs a number, which the store has not."""
    backend = groups.backend
    ann = new_user(backend, "ann@corp.example")
    if groups.object_class == "posixGroup":
        with pytest.raises(RejectedValue):
            backend.create("Group", Draft({"displayName": "Team"}, {"members": (ann.id,)}))
        assert names(backend, "Group", "displayName") == set()
        return
    team = backend.create("Group", Draft({"displayName": "Team"}, {"members": (ann.id,)}))
    empty = backend.create("Group", Draft({"displayName": "Empty"}))
    assert (members(backend, team), members(backend, empty)) == ([ann.id], [])


def test_a_value_that_is_refused_with_a_member(groups: Groups) -> None:
    """The refusal ends after a few requests, and neither is there afterwards."""
    backend = groups.backend
    ann = new_user(backend, "ann@corp.example")
    team = groups.made("Team", 1)
    singles = {**backend.bindings.groups.singles, "externalId": Single("owner")}
    bindings = replace(backend.bindings, groups=replace(backend.bindings.groups, singles=singles))
    with hooked(groups.beside.server, groups.beside.tree, bindings=bindings) as (other, hooks):
        other.get("Group", team.id, frozenset())
        hooks.sent.clear()
        with pytest.raises(RejectedValue) as refusal:
            other.update("Group", team.id, Change({"externalId": "no DN"}, {"members": Delta((ann.id,))}))
        assert refusal.value.attribute == "externalId"
        assert len(hooks.sent) < 10
    assert members(backend, team) == []


def test_only_the_case_of_a_name_changes(groups: Groups) -> None:
    """The user stays a member from both sides, and whoever gets the old name later is none."""
    backend = groups.backend
    ann = new_user(backend, "ann@corp.example")
    team = groups.made("Team", 1)
    backend.update("Group", team.id, adding(ann.id))
    backend.update("User", ann.id, Change({"userName": "Ann@corp.example"}))
    assert members(backend, team) == [ann.id]
    assert groups.groups_of(ann) == [team.id]
    assert groups.found("User", f'groups.value eq "{team.id}"') == [ann.id]
    if groups.object_class == "posixGroup":
        _, held = groups.beside.entry("(&(cn=Team)(objectClass=posixGroup))", ("memberUid",))
        assert held["memberuid"] == ["Ann@corp.example"]
    backend.delete("User", ann.id)
    again = new_user(backend, "ann@corp.example")
    assert members(backend, team) == []
    assert groups.groups_of(again) == []
