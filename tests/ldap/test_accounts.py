"""Leavers can't sign in: proved by real binds, in every order of locking and new passwords."""

from __future__ import annotations

import ldap3
import pytest

from app.scim.query import Change, Draft, Query
from backends.errors import RejectedValue
from backends.ldap.backend import LdapBackend
from tests.ldap.store import Beside

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


def _check_passwords(beside: Beside, switch: str) -> None:
    assert beside.connection.modify("cn=config", {"passwordCheckSyntax": [(ldap3.MODIFY_REPLACE, [switch])]})


def _names(backend: LdapBackend) -> list[str]:
    return [str(r.values["userName"]) for r in backend.search("User", Query(frozenset({"userName"}))).items]
