"""The only member of a group that another tool has made, and that may not be without members, can leave."""

from __future__ import annotations

import ldap3
import pytest

from backends.errors import StoreError
from backends.ldap.backend import LdapBackend
from tests.ldap.hooks import hooked
from tests.ldap.store import Beside
from tests.ldap.test_faults import members, names, new_user
from tests.ldap.test_odd_entries import found
from tests.support.directories import Directory, Tree

ANN = "ann@corp.example"
PLACEHOLDER = "cn=landfall-no-member"


def _group(beside: Beside, member: str) -> None:
    """A group of another tool with that member, and without a placeholder."""
    name = f"cn=Foreign,{beside.tree.groups}"
    if beside.server.kind == "active-directory":
        added = beside.connection.add(name, "group", {"member": [member], "displayName": "Foreign"})
    else:
        added = beside.connection.add(name, "groupOfNames", {"member": [member]})
    assert added, beside.connection.result


def _dn(beside: Beside) -> str:
    return beside.entry(f"(|(uid={ANN})(userPrincipalName={ANN}))", ("cn",))[0]


def _held(beside: Beside) -> list[str]:
    return beside.entry("(cn=Foreign)", ("member",))[1].get("member", [])


@pytest.mark.parametrize("how", ["delete", "retire"])
def test_the_only_member_leaves(how: str, backend: LdapBackend, beside: Beside) -> None:
    ann, bob = new_user(backend, ANN), new_user(backend, "bob@corp.example")
    _group(beside, _dn(beside))
    (id,) = found(backend, 'displayName eq "Foreign"', "Group")
    group = backend.get("Group", id, frozenset())
    assert members(backend, group) == [ann.id]
    backend.delete("User", ann.id) if how == "delete" else backend.retire("User", ann.id)
    assert names(backend) == {"bob@corp.example"}
    assert members(backend, group) == []
    assert _held(beside) == ([PLACEHOLDER] if beside.server.kind == "openldap" else [])
    assert [r.id for _, r in backend.related("User", [bob.id], "groups")] == []


@pytest.mark.directories("openldap", "389ds")
def test_the_only_member_stays_who_can_not_be_deleted(directory: Directory, tree: Tree, beside: Beside) -> None:
    """The group is what it was, without a placeholder."""
    with hooked(directory, tree) as (backend, hooks):
        ann = new_user(backend, ANN)
        dn = _dn(beside)
        _group(beside, dn)
        hooks.before["delete"] = lambda: beside.connection.add(f"cn=below,{dn}", "applicationProcess")
        with pytest.raises(StoreError):
            backend.delete("User", ann.id)
        assert hooks.before == {}
        assert _held(beside) == [dn]
        assert beside.connection.delete(f"cn=below,{dn}")
        backend.delete("User", ann.id)
        assert names(backend) == set()


@pytest.mark.directories("openldap")
@pytest.mark.parametrize("other", ["has only begun", "is done"])
def test_two_deletions_at_once(other: str, directory: Directory, tree: Tree, beside: Beside) -> None:
    """Of the only member: between two attempts of the one, the other has put the placeholder into the group."""
    with hooked(directory, tree) as (backend, hooks):
        ann = new_user(backend, ANN)
        dn = _dn(beside)
        _group(beside, dn)

        def interfere() -> None:
            changes = [(ldap3.MODIFY_ADD, [PLACEHOLDER])]
            if other == "is done":
                changes.append((ldap3.MODIFY_DELETE, [dn]))
            assert beside.connection.modify(f"cn=Foreign,{tree.groups}", {"member": changes})

        hooks.before["modify"] = lambda: hooks.before.update(modify=interfere)
        backend.delete("User", ann.id)
        assert hooks.before == {}
        assert names(backend) == set()
        assert _held(beside) == [PLACEHOLDER]
