"""What all checks of one directory share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from app.scim.registry import EXTERNAL_ID
from backends.base import Backend
from backends.ldap.branch import Branch
from backends.ldap.checks_mending import Mending
from backends.ldap.checks_setup import Setup
from backends.ldap.drivers.base import Connection, Entry, Found, LdapError, Scope, Search
from backends.ldap.pool import Directory
from config.directory import Bindings, Kind

PAGING = "1.2.840.113556.1.4.319"
SORTING = "1.2.840.113556.1.4.473"
PASSWORD_POLICY = "1.3.6.1.4.1.42.2.27.8.5.1"  # noqa: S105
ASSERTION = "1.3.6.1.1.12"
POST_READ = "1.3.6.1.1.13.2"


@dataclass(frozen=True, slots=True)
class Site:
    """One directory. `root` has the attributes of its root DSE (RFC 4512 section 5.1)."""

    directory: Directory
    bindings: Bindings
    backend: Backend
    users: Branch
    groups: Branch
    root: Mapping[str, Sequence[bytes]]
    setup: Setup
    mending: Mending

    @property
    def kind(self) -> Kind:
        return self.bindings.kind

    @property
    def user_name(self) -> str:
        """The attribute that userName is bound to."""
        return self.bindings.users.singles["userName"].attribute

    def announces(self, control: str) -> bool:
        """Whether the root DSE lists the control."""
        return control.encode() in self.root.get("supportedcontrol", ())

    def search(self, base: str, scope: Scope, filter: str, attributes: Sequence[str]) -> tuple[Entry, ...]:
        """What a search finds, in one answer. Raises LdapError, ConnectionLost."""
        search = Search(base, scope, filter, tuple(attributes))
        return self.directory.run(partial(_search, search=search), idempotent=True).entries

    def seen(self, base: str, scope: Scope, filter: str, attributes: Sequence[str]) -> tuple[Entry, ...]:
        """What a search finds; nothing where the account may not search or there is no such base."""
        try:
            return self.search(base, scope, filter, attributes)
        except LdapError:
            return ()


def searched(bindings: Bindings) -> dict[str, str]:
    """The attributes by which entries are found, in lower case, with why."""
    users, groups = bindings.users, bindings.groups
    found: dict[str, str] = {}

    def add(attribute: str | None, why: str) -> None:
        if attribute is not None:
            found.setdefault(attribute.lower(), why)

    add(users.singles["userName"].attribute, "userName")
    add(groups.singles["displayName"].attribute, "displayName of groups")
    add(groups.member, "members")
    for kind in (users, groups):
        single = kind.singles.get(EXTERNAL_ID.path)
        add(single.attribute if single else None, "externalId")
        add(kind.held, "what is in the record")
    for place in users.lists.get("emails", ()):
        add(place.parts.get("value"), "emails")
    for slot, single in users.singles.items():
        if slot.endswith("manager.value"):
            add(single.attribute, "manager")
    return found


def _search(connection: Connection, search: Search) -> Found:
    return connection.search(search)
