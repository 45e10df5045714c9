"""Entries of other tools whose RDN is not what Landfall would give them: of two attributes, or of an attribute that has
other values besides. What names them stays right, and what is not changed stays there."""

from __future__ import annotations

import pytest

from app.scim.query import Change, Delta, Draft
from backends.errors import Duplicate
from backends.ldap.backend import LdapBackend
from backends.ldap.drivers.base import Entry
from backends.ldap.planning import Planned
from config.directory import Single
from tests.ldap.hooks import hooked
from tests.ldap.store import Beside, opened, with_users
from tests.ldap.test_faults import adding, members, new_group
from tests.ldap.test_odd_entries import found
from tests.support.directories import Directory, Tree
from tests.support.ldapstores import bindings_for

NAMES = frozenset({"userName", "name.formatted", "name.familyName"})


# An RDN of Active Directory has one attribute, and that has one value.
pytestmark = pytest.mark.directories("openldap", "389ds")


@pytest.fixture
def people(beside: Beside) -> Beside:
    """The directory beside the back end, where one attribute of an RDN may have several values."""
    return beside


def _add(beside: Beside, rdn: str, parent: str, object_class: str, **values: object) -> None:
    assert beside.connection.add(f"{rdn},{parent}", object_class, values), beside.connection.result


def _person(beside: Beside, rdn: str, **values: object) -> None:
    _add(beside, rdn, beside.tree.people, "inetOrgPerson", **values)


def _held(beside: Beside, filter: str, *names: str) -> tuple[list[str], dict[str, list[str]]]:
    """The parts of an entry's RDN, and some of its attributes, both sorted."""
    dn, values = beside.entry(filter, names)
    rdn = dn.partition(",ou=")[0]
    return sorted(rdn.split("+")), {name: sorted(values.get(name.lower(), ())) for name in names}


def test_a_part_of_an_rdn_changes(backend: LdapBackend, people: Beside) -> None:
    """Each part follows its own slot; the other one, and what it says, stays."""
    _person(people, "uid=mv+cn=Mv Person", sn="Two")
    (id,) = found(backend, 'userName eq "mv"')
    team = backend.create("Group", Draft({"displayName": "Team"}, {"members": (id,)}))
    backend.update("User", id, Change({"name.formatted": "Other, N+me"}))
    rdn, held = _held(people, "(sn=Two)", "uid", "cn")
    assert held == {"uid": ["mv"], "cn": ["Other, N+me"]}
    assert "uid=mv" in rdn
    backend.update("User", id, Change({"userName": "mvnew"}))
    rdn, held = _held(people, "(sn=Two)", "uid", "cn")
    assert held == {"uid": ["mvnew"], "cn": ["Other, N+me"]}
    assert "uid=mvnew" in rdn
    backend.update("User", id, Change({"userName": "both", "name.formatted": "Both", "name.familyName": "Fam"}))
    assert _held(people, "(sn=Fam)", "uid", "cn") == (["cn=Both", "uid=both"], {"uid": ["both"], "cn": ["Both"]})
    names = {"userName": "both", "name.formatted": "Both", "name.familyName": "Fam"}
    assert backend.get("User", id, NAMES).values == names
    assert members(backend, team) == [id]


def test_the_second_part_of_an_rdn(backend: LdapBackend, people: Beside) -> None:
    """Of an RDN whose first attribute does not change."""
    _person(people, "cn=A B+sn=B", uid="ab")
    (id,) = found(backend, 'userName eq "ab"')
    backend.update("User", id, Change({"name.familyName": "C", "userName": "ac"}))
    assert _held(people, "(uid=ac)", "cn", "sn") == (["cn=A B", "sn=C"], {"cn": ["A B"], "sn": ["C"]})


@pytest.mark.parametrize("mails", [("a", "b"), ("b", "c"), ("b", "a"), ("b",), ("c", "A"), ()], ids="-".join)
@pytest.mark.parametrize("before", [("a",), ("a", "z")], ids="-".join)
def test_a_part_with_several_values(
    before: tuple[str, ...], mails: tuple[str, ...], backend: LdapBackend, people: Beside
) -> None:
    """Every value is written, whichever names the entry, and none that is to go stays; also when a user comes back."""
    _person(people, "cn=Jane+mail=a@x.example", sn="Parts", uid="parts", mail=[f"{mail}@x.example" for mail in before])
    (id,) = found(backend, 'userName eq "parts"')
    given = [{"value": f"{mail}@x.example", "type": "work", "primary": not at} for at, mail in enumerate(mails)]
    for retired in (False, True):
        if retired:
            back = [{"value": f"{mail}@x.example", "type": "work"} for mail in before]
            backend.update("User", id, Change({"emails": back}))
            backend.retire("User", id)
            backend.restore("User", id, Change({"emails": given or None}))
        else:
            backend.update("User", id, Change({"emails": given or None}))
        rdn, held = _held(people, "(sn=Parts)", "mail")
        assert [mail.lower() for mail in held["mail"]] == sorted(f"{mail.lower()}@x.example" for mail in mails)
        assert "cn=Jane" in rdn
        assert len(rdn) == (2 if mails else 1)
        read = backend.get("User", id, frozenset({"emails"})).values
        assert read == ({"emails": given} if mails else {})


def test_a_name_with_an_option_is_no_alias(directory: Directory, tree: Tree, people: Beside) -> None:
    """Where `cn;lang-de` is bound too, an entry that is named by `cn` is renamed by what `cn` is bound to."""
    shipped = bindings_for(directory.kind, tree)
    bindings = with_users(shipped, singles={**shipped.users.singles, "nickName": Single("cn;lang-de")})
    with opened(directory, tree, bindings) as backend:
        _person(people, "cn=Jane", sn="Option", uid="option")
        (id,) = found(backend, 'userName eq "option"')
        backend.update("User", id, Change({"name.formatted": "Janet"}))
    assert _held(people, "(sn=Option)", "cn") == (["cn=Janet"], {"cn": ["Janet"]})


def test_other_names_are_kept_by_who_comes_back(backend: LdapBackend, people: Beside) -> None:
    """Under a new name the user has the others that it had."""
    _person(people, "uid=two", sn="Several", cn="x", uid=["aaa", "two"])
    (id,) = found(backend, 'userName eq "two"')
    backend.retire("User", id)
    backend.restore("User", id, Change({"userName": "new"}))
    assert _held(people, "(sn=Several)", "uid") == (["uid=new"], {"uid": ["aaa", "new"]})


def test_an_rdn_of_two_parts_is_retired_and_restored(backend: LdapBackend, people: Beside) -> None:
    """Under another name where its own is taken there; it comes back with both parts."""
    _person(people, "uid=mv+cn=Mv Person", sn="Two")
    (id,) = found(backend, 'userName eq "mv"')
    _add(people, "uid=mv+cn=Mv Person", people.tree.retired, "inetOrgPerson", sn="Other")
    backend.retire("User", id)
    backend.restore("User", id, Change())
    expected = ["cn=Mv Person", "uid=mv"], {"uid": ["mv"], "cn": ["Mv Person"]}
    assert _held(people, "(sn=Two)", "uid", "cn") == expected
    assert backend.get("User", id, frozenset({"userName"})).values == {"userName": "mv"}


@pytest.mark.parametrize("new", ["newtwo", "n,e+w=two", "TWO", "  new  two", "straße"])
def test_the_value_in_the_rdn_is_the_name(new: str, backend: LdapBackend, people: Beside) -> None:
    """Of several values the one in the RDN is read, changed and followed; the others stay."""
    _person(people, "uid=two", sn="Several", cn="x", uid=["aaa", "two", "zzz"])
    (id,) = found(backend, 'userName eq "two"')
    team = backend.create("Group", Draft({"displayName": "Team"}, {"members": (id,)}))
    assert backend.get("User", id, frozenset({"userName"})).values == {"userName": "two"}
    for name in (new, "last", new):
        backend.update("User", id, Change({"userName": name}))
        assert backend.get("User", id, frozenset({"userName"})).values == {"userName": name}
        assert {"aaa", "zzz"} < set(people.entry("(sn=Several)", ("uid",))[1]["uid"])
    assert len(people.entry("(sn=Several)", ("uid",))[1]["uid"]) == 3
    assert members(backend, team) == [id]


def test_an_rdn_of_another_attribute(backend: LdapBackend, people: Beside) -> None:
    """By any of its names: a person and a group that are named by one of two common names."""
    # 389 Directory Server ends at the next change of an entry that is named by an alias.
    named = "commonName" if people.server.kind == "openldap" else "cn"
    _person(people, f"{named}=Al Ias", sn="Alias", uid="alias", cn=["Aaa", "Al Ias"])
    (id,) = found(backend, 'userName eq "alias"')
    assert backend.get("User", id, frozenset({"name.formatted"})).values == {"name.formatted": "Al Ias"}
    backend.update("User", id, Change({"name.formatted": "New Name"}))
    assert backend.get("User", id, frozenset({"name.formatted"})).values == {"name.formatted": "New Name"}
    assert _held(people, "(sn=Alias)", "cn")[1] == {"cn": ["Aaa", "New Name"]}
    _add(people, "cn=Team", people.tree.groups, "groupOfNames", cn=["Aaa", "Team"], member="cn=landfall-no-member")
    (team,) = found(backend, 'displayName eq "Team"', "Group")
    backend.update("Group", team, Change({"displayName": "New Team"}, {"members": Delta((id,))}))
    group = backend.get("Group", team, frozenset({"displayName"}))
    assert group.values == {"displayName": "New Team"}
    assert members(backend, group) == [id]


def test_a_new_name_under_an_alias(backend: LdapBackend, people: Beside) -> None:
    """What a renamed entry has is told by the name by which the attribute is bound, whatever the RDN calls it. The
    servers here put the first name into every DN, or end at such a renaming."""
    before = Entry(f"userid=old,{people.tree.people}", {"uid": (b"old",), "cn": (b"x",)})
    modifying = backend._opened().modifying["User"]
    after = modifying._after(before, Planned({}, "userid=new", None), f"userid=new,{people.tree.people}")
    assert after.attributes == {"uid": (b"new",), "cn": (b"x",)}


def test_a_name_is_given_back(directory: Directory, tree: Tree, people: Beside, backend: LdapBackend) -> None:
    """What a renaming changes before it is refused is as it was, with every value."""
    _person(people, "uid=two", sn="Several", cn="x", uid=["aaa", "two"], title="Dr")
    (id,) = found(backend, 'userName eq "two"')
    team = new_group(backend, "Team")
    backend.update("Group", team.id, adding(id))
    with hooked(directory, tree) as (other, hooks):
        hooks.before["rename"] = lambda: _person(people, "uid=three", sn="Third", cn="y")
        with pytest.raises(Duplicate):
            other.update("User", id, Change({"userName": "three", "title": "Prof"}))
    rdn, held = _held(people, "(sn=Several)", "uid", "title")
    assert (rdn, held) == (["uid=two"], {"uid": ["aaa", "two"], "title": ["Dr"]})
    assert members(backend, team) == [id]
