"""Leavers can't sign in: proved by real binds, in every order of locking and new passwords."""

from __future__ import annotations

import ldap3
import pytest

from app.scim.query import Change, Draft, Query, Value, Version
from backends.errors import Duplicate, RejectedValue, VersionMismatch
from backends.ldap.backend import LdapBackend
from tests.ldap.hooks import hooked
from tests.ldap.store import Beside, opened
from tests.ldap.test_faults import members
from tests.support.directories import Directory, Tree

FIRST, SECOND = "Correct-Horse-1!", "Battery-Staple-2?"
ACTIVE = frozenset({"active"})


def _ann(backend: LdapBackend, **values: object) -> str:
    return backend.create("User", Draft({"userName": "ann@corp.example", "password": FIRST, **values})).id


def _dn(beside: Beside) -> str:
    return beside.entry("(|(uid=ann@corp.example)(userPrincipalName=ann@corp.example))", ("cn",))[0]


def test_deactivated_and_back(backend: LdapBackend, beside: Beside) -> None:
    """After `active: false` a bind fails, after `active: true` it works again; reads say which it is."""
    ann = _ann(backend, active=True)
    dn = _dn(beside)
    assert beside.can_sign_in(dn, FIRST)
    for active in (False, True, False, True):
        backend.update("User", ann, Change({"active": active}))
        assert beside.can_sign_in(dn, FIRST) is active
        assert backend.get("User", ann, ACTIVE).values == {"active": active}


def test_created_inactive(backend: LdapBackend, beside: Beside) -> None:
    """A user who is created inactive can't sign in until activated."""
    ann = _ann(backend, active=False)
    assert not beside.can_sign_in(_dn(beside), FIRST)
    assert backend.get("User", ann, ACTIVE).values == {"active": False}
    backend.update("User", ann, Change({"active": True}))
    assert beside.can_sign_in(_dn(beside), FIRST)


def test_a_new_password_keeps_the_lock(backend: LdapBackend, beside: Beside) -> None:
    """A password that is set while the user is inactive, or by the same change, does not let the user in; after
    activation it is the one that counts."""
    ann = _ann(backend, active=True)
    dn = _dn(beside)
    backend.update("User", ann, Change({"active": False}))
    backend.update("User", ann, Change({"password": SECOND}))
    assert not beside.can_sign_in(dn, SECOND)
    backend.update("User", ann, Change({"active": True}))
    assert beside.can_sign_in(dn, SECOND)
    assert not beside.can_sign_in(dn, FIRST)
    backend.update("User", ann, Change({"active": False, "password": FIRST}))
    assert not beside.can_sign_in(dn, FIRST)
    assert backend.get("User", ann, ACTIVE).values == {"active": False}
    backend.update("User", ann, Change({"active": True, "title": "Dr"}))
    assert beside.can_sign_in(dn, FIRST)


def test_other_changes_keep_the_lock(backend: LdapBackend, beside: Beside) -> None:
    """A change of other slots, a renaming among them, leaves a user locked out."""
    ann = _ann(backend, active=False)
    backend.update("User", ann, Change({"title": "Dr", "userName": "bob@corp.example"}))
    dn = beside.entry("(|(uid=bob@corp.example)(userPrincipalName=bob@corp.example))", ("cn",))[0]
    assert not beside.can_sign_in(dn, FIRST)
    assert backend.get("User", ann, ACTIVE).values == {"active": False}
    backend.update("User", ann, Change({"active": True}))
    assert beside.can_sign_in(dn, FIRST)


def test_a_refused_password_changes_nothing(
    backend: LdapBackend, beside: Beside, request: pytest.FixtureRequest
) -> None:
    """A password that the server's policy refuses is a refused value of `password`; nothing else of the change is
    done, and no user is made with it."""
    ann = _ann(backend, active=True, title="Dr")
    if beside.server.kind == "389ds":
        # It checks passwords only when it is told to.
        request.addfinalizer(lambda: _check_passwords(beside, "off"))
        _check_passwords(beside, "on")
    with pytest.raises(RejectedValue) as refusal:
        backend.update("User", ann, Change({"password": "x", "title": "Prof"}))
    assert refusal.value.attribute == "password"
    assert backend.get("User", ann, frozenset({"title"})).values == {"title": "Dr"}
    assert beside.can_sign_in(_dn(beside), FIRST)
    with pytest.raises(RejectedValue):
        backend.create("User", Draft({"userName": "bob@corp.example", "password": "x"}))
    assert not [r for r in _names(backend) if r == "bob@corp.example"]


@pytest.mark.parametrize("given", [{}, {"title": "mine"}, {"userName": "anna@corp.example", "active": False}])
@pytest.mark.parametrize("when", ["before", "between"])
def test_a_password_and_an_expected_version(
    when: str, given: dict[str, Value], directory: Directory, tree: Tree, beside: Beside
) -> None:
    """When the entry has changed, neither the password nor a value is written; else both are."""
    with hooked(directory, tree) as (backend, hooks), opened(directory, tree) as other:
        ann = _ann(backend, active=True)
        dn = _dn(beside)
        change = Change({"password": SECOND, **given})
        version = _version(backend, ann)

        def interfere() -> None:
            assert beside.connection.modify(dn, {"title": [(ldap3.MODIFY_REPLACE, ["theirs"])]})

        if when == "before":
            interfere()
        else:
            hooks.before["modify"] = lambda: other.update("User", ann, Change({"title": "theirs"}))
        with pytest.raises(VersionMismatch):
            backend.update("User", ann, change, expect=version)
        assert hooks.before == {}
        assert backend.get("User", ann, frozenset({"title", *given})).values == {
            "title": "theirs",
            **{slot: value for slot, value in NAMED.items() if slot in given},
        }
        assert (beside.can_sign_in(dn, FIRST), beside.can_sign_in(dn, SECOND)) == (True, False)
        stamp = backend.update("User", ann, change, expect=_version(backend, ann))
        assert stamp.version == _version(backend, ann)
        assert stamp.version != version
        assert backend.get("User", ann, frozenset(given)).values == given
        renamed = beside.entry("(|(uid=anna*)(userPrincipalName=anna*))", ("cn",))[0] if "userName" in given else dn
        assert beside.can_sign_in(renamed, SECOND) is given.get("active", True)


NAMED = {"userName": "ann@corp.example", "active": True}


def _version(backend: LdapBackend, id: str) -> Version:
    return backend.get("User", id, frozenset({"title"})).stamp.version


def test_a_refused_password_gives_the_name_back(
    backend: LdapBackend, beside: Beside, request: pytest.FixtureRequest
) -> None:
    """The user has the old name and the old password, can sign in or not as before, and is in the same groups."""
    ann = _ann(backend, active=True)
    team = backend.create("Group", Draft({"displayName": "Team"}, {"members": (ann,)}))
    if beside.server.kind == "389ds":
        request.addfinalizer(lambda: _check_passwords(beside, "off"))
        _check_passwords(beside, "on")
    for expecting in (False, True):
        expect = _version(backend, ann) if expecting else None
        change = Change({"password": "x", "userName": "anna@corp.example", "active": False, "nickName": "N"})
        with pytest.raises(RejectedValue) as refusal:
            backend.update("User", ann, change, expect=expect)
        assert refusal.value.attribute == "password"
        assert backend.get("User", ann, frozenset({"userName", "active", "nickName"})).values == NAMED
        assert members(backend, team) == [ann]
    assert beside.can_sign_in(_dn(beside), FIRST)


def test_a_refused_password_leaves_what_came_between(
    directory: Directory, tree: Tree, beside: Beside, request: pytest.FixtureRequest
) -> None:
    """Another client's change, made before the password is refused, is not undone."""
    with hooked(directory, tree) as (backend, hooks), opened(directory, tree) as other:
        ann = _ann(backend, title="Dr")
        if directory.kind == "389ds":
            request.addfinalizer(lambda: _check_passwords(beside, "off"))
            _check_passwords(beside, "on")

        def interfere() -> None:
            hooks.before.clear()
            other.update("User", ann, Change({"title": "theirs"}))

        # The first modification has the values; the password is the second or an operation of its own.
        hooks.before["modify"] = lambda: hooks.before.update(modify=interfere, set_password=interfere)
        with pytest.raises(RejectedValue):
            backend.update("User", ann, Change({"password": "x", "title": "Prof", "nickName": "N"}))
        assert hooks.before == {}
        assert backend.get("User", ann, frozenset({"title"})).values == {"title": "theirs"}
    assert beside.can_sign_in(_dn(beside), FIRST)


def test_a_refused_name_leaves_the_password(backend: LdapBackend, beside: Beside) -> None:
    ann = _ann(backend, active=True)
    backend.create("User", Draft({"userName": "bob@corp.example"}))
    with pytest.raises(Duplicate):
        backend.update("User", ann, Change({"password": SECOND, "userName": "bob@corp.example"}))
    assert beside.can_sign_in(_dn(beside), FIRST)


def test_the_first_password_comes_with_the_unlocking(backend: LdapBackend, beside: Beside) -> None:
    """An account that never had a password is unlocked and gets one by the same change."""
    ann = backend.create("User", Draft({"userName": "ann@corp.example", "active": False})).id
    backend.update("User", ann, Change({"password": SECOND, "active": True}))
    assert beside.can_sign_in(_dn(beside), SECOND)
    assert backend.get("User", ann, ACTIVE).values == {"active": True}


def _check_passwords(beside: Beside, switch: str) -> None:
    assert beside.connection.modify("cn=config", {"passwordCheckSyntax": [(ldap3.MODIFY_REPLACE, [switch])]})


def _names(backend: LdapBackend) -> list[str]:
    return [str(r.values["userName"]) for r in backend.search("User", Query(frozenset({"userName"}))).items]
