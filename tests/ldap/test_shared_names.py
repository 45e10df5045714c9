"""A group that is called as a user is: to SCIM these are two names, to Active Directory they may be one."""

from __future__ import annotations

import pytest

from app.scim.query import Change, Draft, Query, ResourceId
from backends.errors import Duplicate
from backends.ldap.backend import LdapBackend
from tests.support.directories import Directory

NAMES = ("sales", "sales@example.test")


def _user(backend: LdapBackend, name: str) -> ResourceId:
    return backend.create("User", Draft({"userName": name})).id


def _names(backend: LdapBackend, kind: str, slot: str) -> list[str]:
    return sorted(str(found.values[slot]) for found in backend.search(kind, Query(frozenset({slot}))).items)


@pytest.mark.parametrize("name", NAMES)
def test_a_group_after_the_user(backend: LdapBackend, name: str) -> None:
    _user(backend, name)
    backend.create("Group", Draft({"displayName": "sales"}))
    assert _names(backend, "Group", "displayName") == ["sales"]


@pytest.mark.parametrize("name", NAMES)
def test_a_user_after_the_group(backend: LdapBackend, directory: Directory, name: str) -> None:
    """Active Directory takes the name of the group for one by which the user would sign in, and refuses that."""
    backend.create("Group", Draft({"displayName": "sales"}))
    other = _user(backend, "other@example.test")
    if directory.kind == "active-directory":
        with pytest.raises(Duplicate) as refused:
            _user(backend, name)
        assert refused.value.attribute == "userName"
        with pytest.raises(Duplicate) as refused:
            backend.update("User", other, Change({"userName": name, "title": "Dr"}))
        assert refused.value.attribute == "userName"
        assert backend.get("User", other, frozenset({"userName", "title"})).values == {"userName": "other@example.test"}
    else:
        _user(backend, name)
        backend.update("User", other, Change({"userName": f"{name}.other"}))
    assert len(_names(backend, "User", "userName")) == 1 + (directory.kind != "active-directory")
