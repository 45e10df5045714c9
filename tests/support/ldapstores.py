"""LDAP directories as stores of the conformance suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from app.scim.registry import Registry
from backends.ldap.backend import LdapBackend
from backends.ldap.drivers import connector
from backends.ldap.drivers.base import Access, Address, Tls
from backends.ldap.pool import Directory
from config.bindings import load_bindings
from config.directory import Bindings
from tests.support.directory_base import Directory as Server
from tests.support.directory_base import Tree
from tests.support.directory_samba import SambaAD

POOL = 40
# NORMAL_ACCOUNT and PASSWD_NOTREQD of [MS-ADTS] section 2.2.16. A password takes most of the time to make a user.
WITHOUT_PASSWORD = "544"

Measure = Callable[[Callable[[], object]], Mapping[str, int]]
Load = Callable[[Sequence[str]], None]


def bindings_for(kind: str, tree: Tree) -> Bindings:
    """The shipped bindings for a kind of server, on a tree of the tests."""
    shipped = load_bindings(kind)
    users, groups = (
        replace(shipped.users, base=tree.people, retired=tree.retired),
        replace(shipped.groups, base=tree.groups),
    )
    return replace(shipped, users=users, groups=groups)


def directory_of(server: Server, driver: str = "ldap3", *, response_timeout: float = 60.0) -> Directory:
    """Connections to a server of the tests, as its service account, over TLS."""
    address = Address(server.host, server.ldaps_port, Tls.LDAPS)
    access = Access(
        server.service_dn, server.service_password, ca_file=str(server.ca_file), response_timeout=response_timeout
    )
    return Directory([address], access, connector(driver), size=POOL)


def _loading(server: Server, tree: Tree) -> Load | None:
    """What makes users of these names as another tool does; only where that takes less time than to create them."""
    if not isinstance(server, SambaAD):
        return None

    def load(names: Sequence[str]) -> None:
        server.load(
            {
                "dn": f"CN={name},{tree.people}",
                "objectClass": "user",
                "sAMAccountName": name.partition("@")[0],
                "userPrincipalName": name,
                "userAccountControl": WITHOUT_PASSWORD,
            }
            for name in names
        )

    return load


@contextmanager
def opened(
    server: Server, registry: Registry, driver: str = "ldap3"
) -> Iterator[tuple[LdapBackend, Callable[[], None], Measure, Load | None]]:
    """A back end on a fresh tree of a server, what empties it, what measures a call in operations, entries and values
    read, and for some kinds what makes many users at once."""
    tree = server.new_tree()
    directory = directory_of(server, driver)
    backend = LdapBackend(directory, bindings_for(server.kind, tree), registry)

    def measure(call: Callable[[], object]) -> Mapping[str, int]:
        before = directory.counts
        call()
        done = directory.counts.since(before)
        return {**done.operations, "entries": done.entries, "values": done.values}

    try:
        yield backend, lambda: server.empty(tree), measure, _loading(server, tree)
    finally:
        backend.close()
        # What Active Directory keeps unique is so in the whole domain, for the trees of other tests too.
        server.empty(tree)
