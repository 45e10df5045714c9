"""A back end on a tree of a test server, with a way to look at the directory beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import ldap3

from app.scim.registry import load
from backends.ldap.backend import LdapBackend
from config.directory import Bindings
from tests.support.directories import Directory, Tree
from tests.support.ldapstores import bindings_for, directory_of


@dataclass(frozen=True, slots=True)
class Beside:
    """The directory as other programs see it: as its administrator."""

    server: Directory
    tree: Tree
    connection: ldap3.Connection

    def entry(self, filter: str, attributes: Sequence[str] = ("*",)) -> tuple[str, dict[str, list[str]]]:
        """The DN and the attributes of the one entry that a filter finds."""
        base = self.tree.people.partition(",")[2]
        self.connection.search(base, filter, attributes=list(attributes))
        found = [r for r in self.connection.response if r["type"] == "searchResEntry"]
        assert len(found) == 1, [r["dn"] for r in found]
        texts = {
            name.lower(): [v.decode("utf-8", "replace") for v in values]
            for name, values in found[0]["raw_attributes"].items()
        }
        return str(found[0]["dn"]), texts

    def can_sign_in(self, dn: str, password: str) -> bool:
        """Whether a bind with that password succeeds."""
        try:
            self.server.connect(dn, password).unbind()
        except ldap3.core.exceptions.LDAPException:
            return False
        return True


@contextmanager
def opened(server: Directory, tree: Tree, bindings: Bindings | None = None) -> Iterator[LdapBackend]:
    """A back end with the shipped bindings of the server's kind, or with others."""
    chosen = bindings or bindings_for(server.kind, tree)
    backend = LdapBackend(directory_of(server), chosen, load())
    try:
        yield backend
    finally:
        backend.close()


def with_users(bindings: Bindings, **changes: object) -> Bindings:
    """The bindings with other keys of [users]."""
    return replace(bindings, users=replace(bindings.users, **changes))  # type: ignore[arg-type]
