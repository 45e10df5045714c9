"""What a server says when a value is there already: of two values of one change that it takes for equal, and of an
entry that somebody else has changed at the same moment."""

from __future__ import annotations

import pytest

from app.scim.query import Change, Draft
from backends.errors import RejectedValue, VersionMismatch
from config.directory import Bindings, Place
from tests.ldap.hooks import hooked
from tests.ldap.store import Beside, opened, with_users
from tests.ldap.test_faults import names, new_user
from tests.ldap.test_odd_entries import found
from tests.support.directories import Directory, OpenLDAP, Tree
from tests.support.ldapstores import bindings_for

TITLE, BOTH = frozenset({"title"}), frozenset({"title", "nickName"})
EQUAL = [{"value": "cn=one,dc=example", "type": "work"}, {"value": "2.5.4.3=one,dc=example", "type": "work"}]
"""Two spellings of one DN, which differ as texts."""


def _of_dns(directory: Directory, tree: Tree) -> Bindings:
    """The shipped bindings with e-mail addresses in an attribute of DNs."""
    shipped = bindings_for(directory.kind, tree)
    return with_users(shipped, lists={**shipped.users.lists, "emails": (Place({"value": "seeAlso"}, "work"),)})


def test_two_values_that_the_server_takes_for_one(openldap: OpenLDAP) -> None:
    """They are refused as values, at once, and nothing is written."""
    tree = openldap.new_tree()
    try:
        with hooked(openldap, tree, bindings=_of_dns(openldap, tree)) as (backend, hooks):
            with pytest.raises(RejectedValue):
                backend.create("User", Draft({"userName": "ann@corp.example", "emails": EQUAL}))
            assert names(backend) == set()
            bob = new_user(backend, "bob@corp.example")
            version = backend.get("User", bob.id, TITLE).stamp.version
            for expect in (None, version):
                hooks.sent.clear()
                with pytest.raises(RejectedValue):
                    backend.update("User", bob.id, Change({"title": "Dr", "emails": EQUAL}), expect=expect)
                assert len(hooks.sent) < 6, hooks.sent
            seen = backend.get("User", bob.id, frozenset({"title", "emails"}))
            assert (seen.values, seen.stamp.version) == ({"title": "before"}, version)
            backend.update("User", bob.id, Change({"emails": EQUAL[:1]}))
            assert backend.get("User", bob.id, frozenset({"emails"})).values["emails"][0]["value"] == EQUAL[0]["value"]
    finally:
        openldap.empty(tree)


@pytest.mark.parametrize("same", [True, False])
def test_two_first_changes_at_once(same: bool, directory: Directory, tree: Tree, beside: Beside) -> None:
    """Of an entry of another tool, which has nothing of Landfall's yet: one is refused if it expects a version, else it
    is made after the other."""
    if directory.kind == "active-directory":
        attributes = {"sAMAccountName": "old", "userPrincipalName": "old"}
        assert beside.connection.add(f"cn=old,{beside.tree.people}", "user", attributes)
    else:
        assert beside.connection.add(f"uid=old,{beside.tree.people}", "inetOrgPerson", {"cn": "x", "sn": "x"})
    with hooked(directory, tree) as (backend, hooks), opened(directory, tree) as other:
        (id,) = found(backend, 'userName eq "old"')
        version = backend.get("User", id, TITLE).stamp.version
        theirs = Change({"nickName": "A"} if same else {"title": "theirs"})
        hooks.before["modify"] = lambda: other.update("User", id, theirs)
        with pytest.raises(VersionMismatch):
            backend.update("User", id, Change({"nickName": "A"}), expect=version)
        theirs = Change({"title": "again"})
        hooks.before["modify"] = lambda: other.update("User", id, theirs)
        backend.update("User", id, Change({"nickName": "B"}))
        assert backend.get("User", id, BOTH).values == {"title": "again", "nickName": "B"}
