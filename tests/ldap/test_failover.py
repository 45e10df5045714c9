"""Two servers with the same tree, the first one preferred: requests go on while it is away, and go back to it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from app.scim.query import Change, Draft, Query
from backends.errors import Unavailable
from backends.ldap.backend import LdapBackend
from backends.ldap.drivers.base import Tls
from tests.ldap.hooks import hooked
from tests.ldap.links import SOON
from tests.ldap.store import opened
from tests.ldap.test_faults import names
from tests.support.directories import OpenLDAP, Tree

WAYS = pytest.mark.parametrize("tls", [Tls.LDAPS, Tls.START_TLS], ids=lambda tls: tls.value)


@pytest.fixture(scope="module")
def pair(openldap: OpenLDAP) -> Iterator[list[OpenLDAP]]:
    """Two servers that hold a tree of the same name each; a user in it is called as its server is."""
    del openldap
    with OpenLDAP() as first, OpenLDAP() as second:
        for server, name in ((first, "first"), (second, "second")):
            with opened(server, server.tree) as backend:
                backend.create("User", Draft({"userName": name}))
        yield [first, second]
        for server in (first, second):
            server.start()


def _returned(backend: LdapBackend) -> set[str]:
    """What the backend answers once it has gone back to the first server, which it tries again after a while."""
    for _ in range(600):
        found = names(backend)
        if "first" in found:
            return found
        time.sleep(0.1)
    return names(backend)


@WAYS
def test_requests_go_on_and_go_back(tls: Tls, pair: list[OpenLDAP]) -> None:
    first, second = pair
    tree: Tree = first.tree
    with hooked(pair, tree, tls=tls, retry_after=SOON) as (backend, _):
        backend.check()
        assert names(backend) == {"first"}
        first.kill()
        assert names(backend) == {"second"}
        made = backend.create("User", Draft({"userName": "late"}))
        backend.update("User", made.id, Change({"title": "Dr"}))
        assert names(backend) == {"second", "late"}
        backend.delete("User", made.id)
        first.start()
        assert _returned(backend) == {"first"}
        second.kill()
        assert names(backend) == {"first"}
        first.kill()
        with pytest.raises(Unavailable):
            names(backend)
        second.start()
        assert names(backend) == {"second"}
        first.start()
        assert _returned(backend) == {"first"}


def test_a_write_is_not_carried_over(pair: list[OpenLDAP]) -> None:
    """When the server dies between the steps of a change, the other one is not given the rest of it."""
    first, _ = pair
    with hooked(pair, first.tree, retry_after=SOON) as (backend, hooks):
        user = backend.search("User", Query(frozenset({"userName"}))).items[0]
        assert user.values == {"userName": "first"}
        hooks.before["modify"] = first.kill
        hooks.sent.clear()
        with pytest.raises(Unavailable):
            backend.update("User", user.id, Change({"title": "Dr"}))
        assert hooks.sent == ["search", "modify"]
        (seen,) = backend.search("User", Query(frozenset({"title", "userName"}))).items
        assert seen.values == {"userName": "second"}
        first.start()
        assert _returned(backend) == {"first"}
