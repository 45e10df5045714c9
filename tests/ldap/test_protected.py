"""What the directory does not let the service account write: the call says so and changes nothing."""

from __future__ import annotations

from functools import partial

import pytest

from app.scim.filter.bind import bind
from app.scim.filter.parse import parse_filter
from app.scim.query import Change, Delta, Draft, Query, Resource
from backends.errors import Duplicate, Protected, RejectedValue
from backends.ldap.backend import LdapBackend
from config.directory import Single
from tests.ldap.denying import denied
from tests.ldap.store import Beside, opened, with_users
from tests.ldap.test_faults import PAIR, adding, held, members, names, new_group, new_user, pair, refused
from tests.support.directories import Directory, Tree
from tests.support.ldapstores import bindings_for

MANAGER = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value"
ANN = "ann@corp.example"


@pytest.fixture
def ann(backend: LdapBackend) -> Resource:
    return new_user(backend, ANN)


def dn_of(beside: Beside, name: str) -> str:
    """The DN of the user or group of that name."""
    group = f"(&(|(cn={name})(displayName={name}))(member=*))"
    return beside.entry(f"(|(uid={name})(userPrincipalName={name}){group})")[0]


def found(backend: LdapBackend, filter: str) -> list[str]:
    bound = bind(parse_filter(filter), backend.registry.type("User"))
    return [r.id for r in backend.search("User", Query(frozenset(), bound)).items]


def test_a_protected_user(backend: LdapBackend, beside: Beside, ann: Resource) -> None:
    team = new_group(backend, "Team", ann)
    with denied(beside.server, dn_of(beside, ANN)):
        ends = refused(
            {
                "update": partial(backend.update, "User", ann.id, pair("after")),
                "rename": partial(backend.update, "User", ann.id, Change({"userName": "new@corp.example"})),
                "lock": partial(backend.update, "User", ann.id, Change({"active": False})),
                "delete": partial(backend.delete, "User", ann.id),
            }
        )
        assert set(ends.values()) == {Protected}, ends
        assert held(backend, ann) == {"before"}
        assert names(backend) == {ANN}
        assert backend.get("User", ann.id, frozenset({"active"})).values == {"active": True}
        assert members(backend, team) == [ann.id]
    backend.update("User", ann.id, pair("after"))


def test_a_protected_attribute(backend: LdapBackend, beside: Beside, ann: Resource) -> None:
    """A change of it and of others changes none; a change of others is made."""
    with denied(beside.server, dn_of(beside, ANN), title_only=True):
        with pytest.raises(Protected):
            backend.update("User", ann.id, pair("after"))
        assert held(backend, ann) == {"before"}
        backend.update("User", ann.id, Change({"nickName": "Annie"}))
    assert held(backend, ann) == {"before", "Annie"}


def test_a_protected_group(backend: LdapBackend, beside: Beside, ann: Resource) -> None:
    bob = new_user(backend, "bob@corp.example")
    team = new_group(backend, "Team", ann)
    dn = dn_of(beside, "Team")
    with denied(beside.server, dn):
        ends = refused(
            {
                "add": partial(backend.update, "Group", team.id, adding(bob.id)),
                "remove": partial(backend.update, "Group", team.id, _removing(ann.id)),
                "clear": partial(backend.update, "Group", team.id, Change(relations={"members": Delta(clear=True)})),
                "rename": partial(backend.update, "Group", team.id, Change({"displayName": "New"})),
                "delete": partial(backend.delete, "Group", team.id),
            }
        )
        assert set(ends.values()) == {Protected}, ends
        assert members(backend, team) == [ann.id]
        assert names(backend, "Group", "displayName") == {"Team"}


def _removing(*people: str) -> Change:
    return Change(relations={"members": Delta(remove=people)})


def test_a_user_in_a_protected_group_is_not_deleted(backend: LdapBackend, beside: Beside, ann: Resource) -> None:
    """The user stays in every group, because nobody could take it out of that one."""
    teams = [new_group(backend, f"T{n}", ann) for n in range(4)]
    with denied(beside.server, dn_of(beside, "T2")):
        with pytest.raises(Protected):
            backend.delete("User", ann.id)
        assert [members(backend, team) for team in teams] == [[ann.id]] * 4
    backend.delete("User", ann.id)
    assert [members(backend, team) for team in teams] == [[]] * 4


def test_a_deletion_that_is_refused_takes_nothing_away(backend: LdapBackend, beside: Beside, ann: Resource) -> None:
    """Groups and those whom the user manages are as before."""
    bob = backend.create("User", Draft({"userName": "bob@corp.example", MANAGER: ann.id}))
    team = new_group(backend, "Team", ann, bob)
    with denied(beside.server, dn_of(beside, ANN)):
        with pytest.raises(Protected):
            backend.delete("User", ann.id)
        assert set(members(backend, team)) == {ann.id, bob.id}
        assert backend.get("User", bob.id, frozenset({MANAGER})).values == {MANAGER: ann.id}
        assert found(backend, f'{MANAGER} eq "{ann.id}"') == [bob.id]
    backend.delete("User", ann.id)
    assert backend.get("User", bob.id, frozenset({MANAGER})).values == {}


def test_a_value_that_the_schema_refuses(directory: Directory, tree: Tree) -> None:
    """It is named by its SCIM attribute, and nothing of the change is done. The binding is to an attribute whose syntax
    the back end does not know."""
    shipped = bindings_for(directory.kind, tree)
    attribute = "countryCode" if directory.kind == "active-directory" else "preferredDeliveryMethod"
    bindings = with_users(shipped, singles={**shipped.users.singles, "title": Single(attribute)})
    good, bad = ("7", "seven") if directory.kind == "active-directory" else ("telex", "pigeon post")
    with opened(directory, tree, bindings) as backend:
        ann = backend.create("User", Draft({"userName": ANN, "title": good, "nickName": "Annie"}))
        with pytest.raises(RejectedValue) as refusal:
            backend.update("User", ann.id, Change({"title": bad, "nickName": "Anna", "displayName": "Anna"}))
        assert refusal.value.attribute == "title"
        wanted = PAIR | {"displayName"}
        assert backend.get("User", ann.id, wanted).values == {"title": good, "nickName": "Annie"}
        with pytest.raises(RejectedValue) as refusal:
            backend.create("User", Draft({"userName": "bob@corp.example", "title": bad}))
        assert refusal.value.attribute == "title"
        assert names(backend) == {ANN}


@pytest.fixture
def taken(beside: Beside) -> str:
    """The name of entries that something else keeps among the users and among the groups."""
    if beside.server.kind == "active-directory":
        for base in (beside.tree.people, beside.tree.groups):
            beside.connection.add(f"CN=taken,{base}", "contact")
        return "taken"
    beside.connection.add(f"uid=taken,{beside.tree.people}", "account")
    beside.connection.add(f"cn=taken,{beside.tree.groups}", "applicationProcess")
    return "taken"


def test_a_user_is_renamed_to_a_name_that_something_else_has(
    backend: LdapBackend, beside: Beside, ann: Resource, taken: str
) -> None:
    """Nothing of the change is done; what the record holds is still found. Active Directory has names of accounts apart
    from those of entries, and renames."""
    change = Change({"userName": taken, "title": "after", "nickName": "after", "locale": "en-GB", "displayName": "Ann"})
    if beside.server.kind == "active-directory":
        backend.update("User", ann.id, change)
        assert held(backend, ann) == {"after"}
        return
    with pytest.raises(Duplicate) as refusal:
        backend.update("User", ann.id, change)
    assert refusal.value.attribute == "userName"
    everything = backend.registry.type("User").readable
    values = backend.get("User", ann.id, everything).values
    assert values == {**ann.values, **values, "userName": ANN}
    assert "locale" not in values
    assert "displayName" not in values
    assert held(backend, ann) == {"before"}
    assert found(backend, 'nickName eq "before"') == [ann.id]
    assert found(backend, 'nickName eq "after" or locale pr') == []


def test_a_group_is_renamed_to_a_name_that_something_else_has(
    backend: LdapBackend, beside: Beside, ann: Resource, taken: str
) -> None:
    """Its members are not changed either."""
    bob, cec = new_user(backend, "bob@corp.example"), new_user(backend, "cec@corp.example")
    team = new_group(backend, "Team", ann, bob)
    for delta in (Delta((cec.id, ann.id), (bob.id,)), Delta((cec.id,), clear=True), Delta(clear=True)):
        try:
            backend.update("Group", team.id, Change({"displayName": taken}, {"members": delta}))
        except Duplicate:
            assert set(members(backend, team)) == {ann.id, bob.id}
            assert names(backend, "Group", "displayName") == {"Team"}
        else:
            assert beside.server.kind == "active-directory"
