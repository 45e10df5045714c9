"""Users with entries below them, as other programs make them: devices, certificates, subscriptions."""

from __future__ import annotations

import pytest

from app.scim.query import Draft
from backends.errors import NotFound, Protected
from backends.ldap.backend import LdapBackend
from tests.ldap.store import Beside
from tests.ldap.test_faults import members, new_group
from tests.ldap.test_odd_entries import ANN

FOUND = f"(|(uid={ANN})(userPrincipalName={ANN}))"


def _put_below(beside: Beside) -> str:
    """Make an entry below that of the user; its DN."""
    dn, _ = beside.entry(FOUND, ("cn",))
    kind = "nTFRSSubscriptions" if beside.server.kind == "active-directory" else "applicationProcess"
    below = f"cn=device,{dn}"
    assert beside.connection.add(below, kind), beside.connection.result
    return below


def test_a_user_with_entries_below_is_not_deleted(backend: LdapBackend, beside: Beside) -> None:
    """It is said that it can't be, the user stays in its groups, and can be deleted when they are gone."""
    ann = backend.create("User", Draft({"userName": ANN, "active": True}))
    team = new_group(backend, "Team", ann)
    below = _put_below(beside)
    with pytest.raises(Protected) as refused:
        backend.delete("User", ann.id)
    assert refused.value.reason == "the directory has other entries below this one"
    assert members(backend, team) == [ann.id]
    beside.connection.delete(below)
    backend.delete("User", ann.id)
    with pytest.raises(NotFound):
        backend.get("User", ann.id, frozenset())
    assert members(backend, team) == []


def test_a_retired_user_with_entries_below_is_not_purged(backend: LdapBackend, beside: Beside) -> None:
    ann = backend.create("User", Draft({"userName": ANN, "active": True}))
    _put_below(beside)
    backend.retire("User", ann.id)
    with pytest.raises(Protected):
        backend.purge("User", ann.id)
    assert [retired.id for retired in backend.retired("User", frozenset()).items] == [ann.id]
    below, _ = beside.entry("(cn=device)", ("cn",))
    assert beside.connection.delete(below), beside.connection.result
    backend.purge("User", ann.id)
    assert backend.retired("User", frozenset()).total == 0
