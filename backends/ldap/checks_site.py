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
from config.directory import Bindings, Kind, KindBindings

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
    """The attributes by which entries are found, each with what for."""
    users, groups = bindings.users, bindings.groups
    uses: list[tuple[str | None, str]] = [
        (users.singles["userName"].attribute, "userName"),
        (groups.singles["displayName"].attribute, "displayName of groups"),
        (groups.member, "members"),
    ]
    uses += [(kind.singles[EXTERNAL_ID.path].attribute, "externalId") for kind in (users, groups) if _has_id(kind)]
    uses += [(kind.held, "what is in the record") for kind in (users, groups)]
    uses += [(place.parts.get("value"), "emails") for place in users.lists.get("emails", ())]
    uses += [(single.attribute, "manager") for slot, single in users.singles.items() if slot.endswith("manager.value")]
    found: dict[str, tuple[str, str]] = {}
    for attribute, why in uses:
        if attribute is not None:
            found.setdefault(attribute.lower(), (attribute, why))
    return dict(found.values())


def _has_id(kind: KindBindings) -> bool:
    return EXTERNAL_ID.path in kind.singles


def _search(connection: Connection, search: Search) -> Found:
    return connection.search(search)
