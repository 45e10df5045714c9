"""Retired users as other programs see them in the directory, what cuts it short, and what the bindings change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from app.scim.query import Change, Delta, Draft, Query, Resource, ResourceId, Window
from app.scim.registry import ENTERPRISE_SCHEMA, load
from backends.base import Capability
from backends.errors import Duplicate, NotFound, Protected, RejectedValue, StoreError, Unavailable
from backends.ldap import faults
from backends.ldap.backend import LdapBackend
from backends.ldap.drivers.base import LdapError
from config.directory import Bindings, MemberSyntax
from tests.ldap.hooks import Hooks, hooked
from tests.ldap.store import Beside, opened, with_users
from tests.support.directories import Directory, OpenLDAP, Tree
from tests.support.ldapstores import bindings_for

FIRST, SECOND = "Correct-Horse-1!", "Battery-Staple-2?"
MANAGER = f"{ENTERPRISE_SCHEMA}:manager.value"
DEPARTMENT = f"{ENTERPRISE_SCHEMA}:department"
READABLE = load().type("User").readable
WRITES = ("modify", "rename", "delete", "set_password")
MEMBERS = "members"


class Killed(BaseException):
    """Nothing more is done, as when the process is killed."""


def _ann(backend: LdapBackend, **values: object) -> Resource:
    emails = [{"value": "a@corp.example", "type": "work", "primary": True}]
    names = {"userName": "ann@corp.example", "displayName": "Ann", "name.formatted": "Ann", "name.familyName": "Ann"}
    draft = {**names, "emails": emails, "active": True, "password": FIRST, **values}
    slots = backend.registry.type("User").slots
    return backend.create("User", Draft({slot: value for slot, value in draft.items() if slot in slots}))


def _retired(backend: LdapBackend, names: list[str] | None = None) -> list[ResourceId]:
    return [item.id for item in backend.retired("User", frozenset(), names, Window(1, 1000)).items]


def _entry(beside: Beside, name: str = "Ann") -> tuple[str, dict[str, list[str]]]:
    return beside.entry(f"(displayName={name})", ("*", "+"))


def _kill_after(hooks: Hooks, writes: int) -> None:
    """Afterwards the next writes are sent, as many as that, and nothing from then on."""
    left = [writes]

    def arm(operation: str) -> Callable[[], None]:
        def before() -> None:
            if not left[0]:
                raise Killed
            left[0] -= 1
            hooks.before[operation] = before

        return before

    hooks.before.update({operation: arm(operation) for operation in WRITES})


def test_what_other_programs_see(backend: LdapBackend, beside: Beside) -> None:
    """The entry is in the unit of retired users with all that it had but its groups, and nothing refers to it."""
    ann = _ann(backend, title="Dr")
    bob = backend.create("User", Draft({"userName": "bob@corp.example", "displayName": "Bob", MANAGER: ann.id}))
    backend.create("Group", Draft({"displayName": "Team"}, {MEMBERS: (ann.id, bob.id)}))
    before, had = _entry(beside)
    assert before.endswith(beside.tree.people)
    backend.retire("User", ann.id)
    after, has = _entry(beside)
    assert after == before.replace(beside.tree.people, beside.tree.retired)
    assert [has[name] for name in ("displayname", "mail", "title")] == [["Ann"], ["a@corp.example"], ["Dr"]]
    assert "memberof" not in has
    assert "manager" not in _entry(beside, "Bob")[1]
    _, team = beside.entry("(|(cn=Team)(displayName=Team))")
    assert [name.partition(",")[2] for name in team["member"] if "no-member" not in name] == [beside.tree.people]
    backend.restore("User", ann.id, Change())
    back, has = _entry(beside)
    assert back == before
    assert has.keys() - {"desktopprofile"} >= had.keys() - {"memberof", "directreports", "desktopprofile"}
    for name in ("uid", "cn", "userprincipalname", "samaccountname", "mail", "useraccountcontrol"):
        assert has.get(name) == had.get(name), name


def test_signing_in(backend: LdapBackend, beside: Beside) -> None:
    """A bind fails while the user is retired, under the old name and the new one; when it is back it works with the
    password that it had, or with the one that came with the change."""
    ann = _ann(backend)
    dn, _ = _entry(beside)
    assert beside.can_sign_in(dn, FIRST)
    backend.retire("User", ann.id)
    assert not beside.can_sign_in(dn, FIRST)
    assert not beside.can_sign_in(_entry(beside)[0], FIRST)
    backend.restore("User", ann.id, Change())
    assert beside.can_sign_in(dn, FIRST)
    backend.retire("User", ann.id)
    backend.restore("User", ann.id, Change({"password": SECOND}))
    assert beside.can_sign_in(dn, SECOND)
    assert not beside.can_sign_in(dn, FIRST)
    backend.retire("User", ann.id)
    backend.restore("User", ann.id, Change({"active": False, "password": FIRST}))
    assert not beside.can_sign_in(dn, FIRST)
    backend.update("User", ann.id, Change({"active": True}))
    assert beside.can_sign_in(dn, FIRST)


def test_who_was_locked_comes_back_locked(backend: LdapBackend, beside: Beside) -> None:
    """So it is after any number of times, until the change says otherwise."""
    ann = _ann(backend, active=False)
    dn, _ = _entry(beside)
    for _ in range(2):
        backend.retire("User", ann.id)
        assert backend.restore("User", ann.id, Change({"title": "x"})).values["active"] is False
        assert not beside.can_sign_in(dn, FIRST)
    backend.retire("User", ann.id)
    backend.restore("User", ann.id, Change({"active": True}))
    assert beside.can_sign_in(dn, FIRST)


def test_signing_in_with_a_reused_name(backend: LdapBackend, beside: Beside) -> None:
    """Whoever has the name now signs in with its own password and not with that of the one before."""
    ann = _ann(backend)
    backend.retire("User", ann.id)
    backend.create("User", Draft({"userName": "ann@corp.example", "displayName": "Other", "password": SECOND}))
    dn, has = _entry(beside, "Other")
    names = [dn, *(["ann@corp.example"] if beside.server.kind == "active-directory" else [])]
    for name in names:
        assert beside.can_sign_in(name, SECOND)
        assert not beside.can_sign_in(name, FIRST)
    assert has.get("userprincipalname", ["ann@corp.example"]) == ["ann@corp.example"]
    backend.retire("User", backend.search("User", Query(frozenset())).items[0].id)
    backend.restore("User", ann.id, Change())
    assert all(beside.can_sign_in(name, FIRST) for name in names)


@pytest.mark.parametrize("writes", range(6))
def test_cut_off_while_retiring(directory: Directory, tree: Tree, beside: Beside, writes: int) -> None:
    """Wherever it ends, nobody signs in from the first write on, and the same call again brings it to its end."""
    with opened(directory, tree) as backend:
        ann = _ann(backend, title="Dr")
        bob = backend.create("User", Draft({"userName": "bob@corp.example", MANAGER: ann.id}))
        team = backend.create("Group", Draft({"displayName": "Team"}, {MEMBERS: (ann.id, bob.id)}))
        with hooked(directory, tree) as (dying, hooks):
            _kill_after(hooks, writes)
            try:
                dying.retire("User", ann.id)
            except Killed:
                assert hooks.sent.count("rename") == 0
        assert beside.can_sign_in(_entry(beside)[0], FIRST) is (writes == 0)
        if not _retired(backend):
            half = backend.get("User", ann.id, READABLE).values
            assert (half["userName"], half["title"]) == ("ann@corp.example", "Dr")
            assert half["active"] is (writes == 0)
            backend.retire("User", ann.id)
        assert _retired(backend) == _retired(backend, ["ANN@corp.example"]) == [ann.id]
        assert not beside.can_sign_in(_entry(beside)[0], FIRST)
        assert [far.id for _, far in backend.related("Group", [team.id], MEMBERS)] == [bob.id]
        assert MANAGER not in backend.get("User", bob.id, READABLE).values
        assert backend.restore("User", ann.id, Change()).values == ann.values
        assert beside.can_sign_in(_entry(beside)[0], FIRST)


@pytest.mark.parametrize("writes", range(4))
def test_cut_off_while_restoring(directory: Directory, tree: Tree, beside: Beside, writes: int) -> None:
    """Wherever it ends, the user is still retired or is there and locked, with everything that it had, and can be
    activated."""
    with opened(directory, tree) as backend:
        other = _ann(backend)
        backend.retire("User", other.id)
        ann = _ann(backend, title="Dr")
        # Its name is taken among the retired users.
        backend.retire("User", ann.id)
        with hooked(directory, tree) as (dying, hooks):
            _kill_after(hooks, writes)
            try:
                dying.restore("User", ann.id, Change())
                done = True
            except Killed:
                done = False
        dn, _ = beside.entry("(&(displayName=Ann)(title=Dr))", ("cn",))
        assert beside.can_sign_in(dn, FIRST) is done
        if ann.id in _retired(backend):
            assert backend.restore("User", ann.id, Change()).values == ann.values
        backend.update("User", ann.id, Change({"active": True}))
        assert dict(backend.get("User", ann.id, READABLE).values) == dict(ann.values)
        dn, _ = beside.entry("(&(displayName=Ann)(title=Dr))", ("cn",))
        assert beside.can_sign_in(dn, FIRST)
        assert _retired(backend) == [other.id]


def test_unlocked_on_the_way(directory: Directory, tree: Tree, beside: Beside) -> None:
    """A client that activates the user while it is on its way does not let it in."""
    with opened(directory, tree) as backend, hooked(directory, tree) as (slow, hooks):
        ann = _ann(backend)
        hooks.before["rename"] = lambda: backend.update("User", ann.id, Change({"active": True}))
        slow.retire("User", ann.id)
        assert "rename" not in hooks.before
        assert _retired(backend) == [ann.id]
        assert not beside.can_sign_in(_entry(beside)[0], FIRST)


def test_a_change_that_is_refused_leaves_it_retired(backend: LdapBackend, beside: Beside) -> None:
    """The entry is where it was, locked, and can come back as it was."""
    ann = _ann(backend)
    backend.retire("User", ann.id)
    before = _entry(beside)[0]
    backend.create("User", Draft({"userName": "taken@corp.example"}))
    with pytest.raises(Duplicate):
        backend.restore("User", ann.id, Change({"userName": "taken@corp.example", "title": "x"}))
    # The tests' 389 has no rule for passwords.
    if beside.server.kind != "389ds":
        with pytest.raises(RejectedValue) as refusal:
            backend.restore("User", ann.id, Change({"userName": "new@corp.example", "title": "x", "password": "x"}))
        assert refusal.value.attribute == "password"
    assert _entry(beside)[0] == before
    assert not beside.can_sign_in(before, FIRST)
    assert _retired(backend, ["ann@corp.example"]) == [ann.id]
    assert backend.restore("User", ann.id, Change()).values == ann.values
    assert beside.can_sign_in(_entry(beside)[0], FIRST)


def test_without_a_place(directory: Directory, tree: Tree, beside: Beside) -> None:
    """Where the unit of retired users is not there nothing happens but that the store is not available, and `check`
    says why."""
    gone = with_users(bindings_for(directory.kind, tree), retired=tree.retired.replace("retired", "nowhere", 1))
    with opened(directory, tree, gone) as backend:
        ann = _ann(backend)
        bob = backend.create("User", Draft({"userName": "bob@corp.example", MANAGER: ann.id}))
        team = backend.create("Group", Draft({"displayName": "Team"}, {MEMBERS: (ann.id,)}))
        with pytest.raises(Unavailable):
            backend.retire("User", ann.id)
        assert beside.can_sign_in(_entry(beside)[0], FIRST)
        assert dict(backend.get("User", ann.id, READABLE).values) == dict(ann.values)
        assert [far.id for _, far in backend.related("Group", [team.id], MEMBERS)] == [ann.id]
        assert backend.get("User", bob.id, READABLE).values[MANAGER] == ann.id
        with pytest.raises(Exception, match=r"users\.retired: there is no entry .*nowhere"):
            backend.check()


def test_back_to_its_place(directory: Directory, tree: Tree, beside: Beside) -> None:
    """A user comes back to where a new one with these values would go."""
    unit = tree.people[:2]
    for name in ("Dev", "Ops"):
        beside.connection.add(f"{unit}={name},{tree.people}", "organizationalUnit", {"ou": name})
    bindings = with_users(bindings_for(directory.kind, tree), placement=(f"{unit}={{department}},{tree.people}",))
    with opened(directory, tree, bindings) as backend:
        ann = _ann(backend, **{DEPARTMENT: "Dev"})
        for change, place in (({}, "Dev"), ({DEPARTMENT: "Ops"}, "Ops"), ({DEPARTMENT: "Other"}, "")):
            backend.retire("User", ann.id)
            assert _entry(beside)[0].endswith(tree.retired)
            backend.restore("User", ann.id, Change(change))
            expected = f"{unit}={place},{tree.people}" if place else tree.people
            assert _entry(beside)[0].partition(",")[2] == expected
    for name in ("Dev", "Ops"):
        beside.connection.delete(f"{unit}={name},{tree.people}")


def test_what_an_administrator_moves(backend: LdapBackend, beside: Beside) -> None:
    """An entry that was moved there by hand was not retired, and is left alone; one that was retired and is moved back
    by hand is there, locked, and can be activated."""
    ann = _ann(backend)
    dn, _ = _entry(beside)
    rdn = dn.partition(",")[0]
    beside.connection.modify_dn(dn, rdn, new_superior=beside.tree.retired)
    assert _retired(backend) == _retired(backend, ["a@CORP.example"]) == []
    with pytest.raises(NotFound):
        backend.get("User", ann.id, frozenset())
    with pytest.raises(NotFound):
        backend.restore("User", ann.id, Change())
    beside.connection.modify_dn(_entry(beside)[0], rdn, new_superior=beside.tree.people)
    assert dict(backend.get("User", ann.id, READABLE).values) == dict(ann.values)
    backend.retire("User", ann.id)
    beside.connection.modify_dn(_entry(beside)[0], rdn, new_superior=beside.tree.people)
    assert _retired(backend) == []
    read = backend.get("User", ann.id, READABLE)
    assert dict(read.values) == {**ann.values, "active": False}
    backend.update("User", ann.id, Change({"active": True}))
    assert dict(backend.get("User", ann.id, READABLE).values) == dict(ann.values)
    assert beside.can_sign_in(dn, FIRST)


def test_values_that_only_the_record_holds(backend: LdapBackend) -> None:
    """A name that the directory's attribute does not take is found among the retired users, and comes back."""
    names = ("ann  two", "Ａnn@corp.example", "x" * 300, "山田" * 40, " ann ")
    people = {name: backend.create("User", Draft({"userName": name, "title": name})) for name in names}
    for _ in range(2):
        for person in people.values():
            backend.retire("User", person.id)
        for name, person in people.items():
            assert _retired(backend, [name]) == [person.id]
        for name, person in people.items():
            assert backend.restore("User", person.id, Change()).values["userName"] == name


def _without_record(bindings: Bindings) -> Bindings:
    """The bindings with nothing but what an inetOrgPerson or a user of Active Directory has."""
    users = bindings.users
    classes = tuple(name for name in users.object_classes if name != "landfallObject")
    singles = {slot: single for slot, single in users.singles.items() if slot != "externalId"}
    return with_users(bindings, singles=singles, object_classes=classes, record=None, held=None)


def test_without_a_record(directory: Directory, tree: Tree, beside: Beside) -> None:
    """Users are retired and come back, several of one name among them; what was locked before is forgotten."""
    bindings = _without_record(bindings_for(directory.kind, tree))
    with opened(directory, tree, bindings) as backend:
        first = _ann(backend)
        backend.retire("User", first.id)
        assert not beside.can_sign_in(_entry(beside)[0], FIRST)
        if directory.kind == "active-directory":
            with pytest.raises(Duplicate):
                _ann(backend)
        elif directory.kind == "389ds":
            # Its plug-in keeps uid unique among the retired users too.
            second = _ann(backend)
            with pytest.raises(Protected):
                backend.retire("User", second.id)
            assert backend.get("User", second.id, READABLE).values == second.values
            backend.delete("User", second.id)
        else:
            second = _ann(backend)
            backend.retire("User", second.id)
            assert sorted(_retired(backend, ["ann@corp.example"])) == sorted([first.id, second.id])
            shown = backend.retired("User", frozenset({"userName"})).items
            assert [dict(item.values) for item in shown] == [{"userName": "ann@corp.example"}] * 2
            restored = backend.restore("User", second.id, Change({"userName": "second@corp.example"}))
            assert restored.values == {**second.values, "userName": "second@corp.example"}
            _, has = beside.entry("(uid=second@corp.example)")
            assert has["uid"] == ["second@corp.example"]
        assert backend.restore("User", first.id, Change()).values == first.values
        assert beside.can_sign_in(beside.entry("(|(uid=ann@*)(userPrincipalName=ann@*))", ("cn",))[0], FIRST)
        assert _retired(backend) == []


def test_without_a_record_a_part_of_the_name_stands_in(openldap: OpenLDAP) -> None:
    """Of an RDN of two parts the second is another one among the retired users; the name beside it outlasts a
    restoration that fails, and is gone after one that gives another."""
    tree = openldap.new_tree()
    bindings = _without_record(bindings_for("openldap", tree))
    with opened(openldap, tree, bindings) as backend, openldap.session() as connection:
        beside = Beside(openldap, tree, connection)
        for base, name in ((tree.retired, "First"), (tree.people, "Jane")):
            attributes = {"sn": name, "displayName": name, "uid": ["jdoe"]}
            assert connection.add(f"cn=Jane+uid=jdoe,{base}", "inetOrgPerson", attributes)
        (jane,) = (item.id for item in backend.search("User", Query(frozenset())).items)

        def held() -> tuple[set[str], list[str]]:
            dn, has = _entry(beside, "Jane")
            return set(dn.partition(",")[0].split("+")), has["uid"]

        for change in ({"userName": "other"}, {"name.formatted": "Janet"}, {}):
            backend.retire("User", jane)
            rdn, names = held()
            assert len(names) == 2
            assert "uid=jdoe" not in rdn
            with pytest.raises(RejectedValue):
                backend.restore("User", jane, Change({**change, "title": "x", "password": "x"}))
            assert (held()[0], set(held()[1])) == (rdn, set(names))
            assert jane in _retired(backend, ["jdoe"])
            backend.restore("User", jane, Change(dict(change)))
            name, formatted = change.get("userName", "jdoe"), change.get("name.formatted", "Jane")
            assert held() == ({f"cn={formatted}", f"uid={name}"}, [name])
            backend.update("User", jane, Change({"userName": "jdoe", "name.formatted": "Jane"}))
    openldap.empty(tree)


def test_a_restoration_that_fails_late(directory: Directory, tree: Tree, beside: Beside) -> None:
    """After the record was written: the entry has everything that it had, the time and its own name among it."""
    with opened(directory, tree) as backend, hooked(directory, tree) as (failing, hooks):
        other = _ann(backend)
        backend.retire("User", other.id)
        ann = _ann(backend, title="Dr", nickName="Kept in the record")
        backend.retire("User", ann.id)

        def state() -> tuple[str, dict[str, list[str]]]:
            dn, has = beside.entry("(&(displayName=Ann)(title=Dr))")
            server = {"whenchanged", "usnchanged", "dscorepropagationdata"}
            return dn, {name: sorted(values) for name, values in has.items() if name not in server}

        def refuse() -> None:
            raise LdapError(faults.UNWILLING, "no more writes")

        before, when = state(), [item.stamp.modified for item in backend.retired("User", frozenset()).items]
        hooks.before["modify"] = lambda: hooks.before.update(modify=refuse)
        with pytest.raises(StoreError):
            failing.restore("User", ann.id, Change({"title": "Prof", "nickName": "New", MANAGER: ann.id}))
        assert hooks.before == {}
        assert state() == before
        assert [item.stamp.modified for item in backend.retired("User", frozenset()).items] == when
        assert not beside.can_sign_in(before[0], FIRST)
        assert backend.restore("User", ann.id, Change()).values == ann.values


def test_without_the_key_nobody_is_retired(directory: Directory, tree: Tree) -> None:
    """The back end does not promise what its bindings have no place for."""
    with opened(directory, tree, with_users(bindings_for(directory.kind, tree), retired=None)) as backend:
        assert Capability.RETIRE not in backend.capabilities
        ann = _ann(backend)
        for call in (
            lambda: backend.retire("User", ann.id),
            lambda: backend.retired("User", frozenset()),
            lambda: backend.restore("User", ann.id, Change()),
            lambda: backend.purge("User", ann.id),
        ):
            with pytest.raises(NotImplementedError):
                call()


def test_members_that_are_names(openldap: OpenLDAP) -> None:
    """A retired user leaves groups whose members are names; who comes back under the name of somebody who is a member
    by it takes nothing from that one."""
    tree = openldap.new_tree()
    bindings = bindings_for("openldap", tree)
    groups = replace(
        bindings.groups,
        filter="(objectClass=posixGroup)",
        object_classes=("posixGroup", "landfallObject"),
        member="memberUid",
        member_syntax=MemberSyntax.NAME,
        placeholder=None,
        fixed={"gidNumber": ("100",)},
    )
    with opened(openldap, tree, replace(bindings, groups=groups)) as backend:
        ann = _ann(backend)
        team = backend.create("Group", Draft({"displayName": "Team"}, {MEMBERS: (ann.id,)}))
        backend.retire("User", ann.id)
        assert list(backend.related("Group", [team.id], MEMBERS)) == []
        other = _ann(backend)
        backend.update("Group", team.id, Change(relations={MEMBERS: Delta((other.id,))}))
        backend.restore("User", ann.id, Change({"userName": "ann2@corp.example"}))
        assert [far.id for _, far in backend.related("Group", [team.id], MEMBERS)] == [other.id]
    openldap.empty(tree)
