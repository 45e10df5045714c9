"""Users and groups that no client has ever named, and what tells whether they are as they were in the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import BindParameter, MetaData, Select, String, bindparam, or_, select

from app.scim.query import Draft
from backends.base import Backend
from backends.ldap.backend import LdapBackend
from backends.ldap.drivers.base import Connection, Scope, Search
from backends.sql.backend import SqlBackend

Look = Callable[[], Any]
"""Every row that names one of them, or all attributes of each, operational ones aside."""

_KEPT_BY_THE_SERVER = frozenset(("whenchanged", "usnchanged", "memberof"))
"""Active Directory returns with "*" what it keeps itself too."""


def strangers(backend: Backend, names: Sequence[str]) -> Look:
    """Makes users of these names and a group that holds them, as any other program does where that can be."""
    if isinstance(backend, SqlBackend):
        people = [_row(backend, name, f"home-{name}", "home") for name in names]
        group = backend.create("Group", Draft({"displayName": f"group {names[0]}"}, {"members": tuple(people)}))
        return partial(_rows, backend, [*people, group.id])
    assert isinstance(backend, LdapBackend)
    dns = [_entry(backend, name, "s@elsewhere.example") for name in names]
    ad = backend.bindings.kind == "active-directory"
    group_dn = f"cn=group {names[0]},{backend.bindings.groups.base}"
    _add(
        backend,
        group_dn,
        {
            "objectClass": (b"group",) if ad else (b"groupOfNames",),
            "cn": (f"group {names[0]}".encode(),),
            "member": tuple(dn.encode() for dn in dns),
        },
    )
    return partial(_attributes, backend, [*dns, group_dn])


def stranger(backend: Backend, name: str, address: str) -> Look:
    """Makes one user of that name with that work e-mail."""
    if isinstance(backend, SqlBackend):
        return partial(_rows, backend, [_row(backend, name, address, "work")])
    assert isinstance(backend, LdapBackend)
    return partial(_attributes, backend, [_entry(backend, name, address)])


def _row(backend: SqlBackend, name: str, address: str, type: str) -> str:
    values = {"userName": name, "displayName": "Stranger", "emails": [{"type": type, "value": address}]}
    return backend.create("User", Draft(values)).id


def _rows(backend: SqlBackend, ids: Sequence[str]) -> list[str]:
    """Every row that has one of the ids in a column of text."""
    found: list[str] = []
    with backend.engine.connect() as connection:
        for name, naming in _naming(backend):
            found += (repr((name, *row)) for row in connection.execute(naming, {"ids": ids}))
    return sorted(found)


@lru_cache(maxsize=4)
def _naming(backend: SqlBackend) -> tuple[tuple[str, Select[Any]], ...]:
    """For each table what selects the rows that have one of the `ids` in a column of text. To put it together takes
    several times as long as to ask."""
    metadata = MetaData()
    metadata.reflect(backend.engine)
    ids: BindParameter[str] = bindparam("ids", expanding=True)
    return tuple(
        (table.name, select(table).where(or_(*(c.in_(ids) for c in table.columns if isinstance(c.type, String)))))
        for table in metadata.sorted_tables
    )


def _entry(backend: LdapBackend, name: str, address: str) -> str:
    held: dict[str, tuple[bytes, ...]] = {
        "sn": (b"Stranger",),
        "displayName": (b"Stranger",),
        "description": (b"of nobody's concern",),
        "mail": (address.encode(),),
    }
    if backend.bindings.kind == "active-directory":
        rdn = "CN"
        held |= {
            "objectClass": (b"user",),
            "sAMAccountName": (name[:20].encode(),),
            "userPrincipalName": (name.encode(),),
        }
    else:
        rdn = "uid"
        held |= {
            "objectClass": (b"inetOrgPerson",),
            "cn": (b"Stranger",),
            "uid": (name.encode(),),
            "homePhone": (b"+47 1", b"+47 2"),
        }
    dn = f"{rdn}={name},{backend.bindings.users.base}"
    _add(backend, dn, held)
    return dn


def _add(backend: LdapBackend, dn: str, attributes: dict[str, tuple[bytes, ...]]) -> None:
    backend.directory.run(lambda connection: connection.add(dn, attributes), idempotent=False)


def _attributes(backend: LdapBackend, dns: Sequence[str]) -> list[dict[str, list[bytes]]]:
    def read(connection: Connection, dn: str) -> dict[str, list[bytes]]:
        (entry,) = connection.search(Search(dn, Scope.BASE, "(objectClass=*)", ("*",))).entries
        return {n: sorted(values) for n, values in entry.attributes.items() if n not in _KEPT_BY_THE_SERVER}

    return [backend.directory.run(partial(read, dn=dn), idempotent=True) for dn in dns]
