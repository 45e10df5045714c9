"""Whoever the identity provider has never named is left alone: the same to the last octet after a random provisioning
run."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import MetaData, select

from app.scim.query import Draft
from app.scim.registry import Registry
from backends.base import Backend
from backends.ldap.backend import LdapBackend
from backends.ldap.drivers.base import Connection, Scope, Search
from backends.sql.backend import SqlBackend
from tests.support.service import ENTERPRISE, GROUP, USER, Client, running

pytestmark = pytest.mark.every_store

WRITES = 150


def in_database(backend: SqlBackend, names: list[str]) -> list[str]:
    """Makes strangers, and gives what tells their rows from others."""
    people = [
        backend.create(
            "User",
            Draft({"userName": name, "displayName": "Stranger", "emails": [{"type": "home", "value": f"home-{name}"}]}),
        ).id
        for name in names
    ]
    group = backend.create("Group", Draft({"displayName": f"group {names[0]}"}, {"members": tuple(people)}))
    return [*people, group.id]


def rows(backend: SqlBackend, ids: list[str]) -> list[str]:
    """Every row that names one of them."""
    metadata = MetaData()
    metadata.reflect(backend.engine)
    with backend.engine.connect() as connection:
        found = [
            (table.name, *row) for table in metadata.sorted_tables for row in connection.execute(select(table)).all()
        ]
    return sorted(repr(row) for row in found if set(ids) & {value for value in row if isinstance(value, str)})


def in_directory(backend: LdapBackend, names: list[str]) -> list[str]:
    """Makes strangers as any other program does, and gives their DNs."""
    people, groups = backend.bindings.users.base, backend.bindings.groups.base
    ad = backend.bindings.kind == "active-directory"
    rdn, classes = ("CN", (b"user",)) if ad else ("uid", (b"inetOrgPerson",))
    entries: list[tuple[str, dict[str, tuple[bytes, ...]]]] = []
    for name in names:
        held: dict[str, tuple[bytes, ...]] = {
            "objectClass": classes,
            "sn": (b"Stranger",),
            "displayName": (b"Stranger",),
        }
        if ad:
            held |= {"sAMAccountName": (name[:20].encode(),), "userPrincipalName": (name.encode(),)}
        else:
            held |= {"cn": (b"Stranger",), "uid": (name.encode(),), "homePhone": (b"+47 1", b"+47 2")}
        held |= {
            "description": (b"of nobody's concern",),
            "mail": (b"s@elsewhere.example",),
        }
        entries.append((f"{rdn}={name},{people}", held))
    members = tuple(dn.encode() for dn, _ in entries)
    group = {
        "objectClass": (b"group",) if ad else (b"groupOfNames",),
        "cn": (f"group {names[0]}".encode(),),
        "member": members,
    }
    entries.append((f"cn=group {names[0]},{groups}", group))
    for dn, attributes in entries:
        backend.directory.run(lambda c, dn=dn, a=attributes: c.add(dn, a), idempotent=False)  # type: ignore[misc]
    return [dn for dn, _ in entries]


def attributes(backend: LdapBackend, dns: list[str]) -> list[dict[str, list[bytes]]]:
    """All attributes of each, operational ones aside."""

    def read(connection: Connection, dn: str) -> dict[str, list[bytes]]:
        (entry,) = connection.search(Search(dn, Scope.BASE, "(objectClass=*)", ("*",))).entries
        # Active Directory returns with "*" what it keeps itself too.
        kept = {"whenchanged", "usnchanged", "memberof"}
        return {name: sorted(values) for name, values in entry.attributes.items() if name not in kept}

    return [backend.directory.run(partial(read, dn=dn), idempotent=True) for dn in dns]


def test_strangers_stay_as_they_are(backend: Backend, registry: Registry, tmp_path: Path, name: str) -> None:
    strangers = [f"s{number}-{name}" for number in range(4)]
    look: Callable[[], Any]
    if isinstance(backend, SqlBackend):
        look = partial(rows, backend, in_database(backend, strangers))
    else:
        assert isinstance(backend, LdapBackend)
        look = partial(attributes, backend, in_directory(backend, strangers))
    before = look()
    assert before
    with running(backend, registry, tmp_path) as service:
        assert Provisioning(service.client(), name, random.Random(20261126)).run() > WRITES * 0.9
        assert look() == before
        # What the client names is another matter.
        (id,) = service.client().found("/Users", f'userName eq "{strangers[0]}"')
        changed = service.client().change(f"/Users/{id}", {"op": "replace", "path": "title", "value": "Known"})
        assert changed.status_code == 200
        assert look() != before


class Provisioning:
    """An identity provider with people and groups of its own, and names that are nearly those of strangers."""

    def __init__(self, client: Client, name: str, chance: random.Random) -> None:
        self._client = client
        self._name = name
        self._chance = chance
        self._people: list[str] = []
        self._groups: list[str] = []
        self._number = 0

    def run(self) -> int:
        """Send every kind of request at random; gives how many succeeded."""
        succeeded = 0
        for _ in range(WRITES):
            self._number += 1
            possible = [self._person]
            if len(self._people) > 3:
                possible += [self._team, self._change, self._change, self._leave]
            if self._groups:
                possible += [self._join, self._join, self._rename]
            if len(self._groups) > 2:
                possible.append(self._disband)
            succeeded += self._chance.choice(possible)().is_success
        return succeeded

    def _person(self) -> httpx.Response:
        emails = [{"type": self._chance.choice(["work", "home"]), "value": f"m{self._number}-{self._name}"}]
        values = {"displayName": "Stranger", "title": "Dr", "active": self._chance.random() < 0.8, "emails": emails}
        if self._people:
            values[ENTERPRISE] = {"manager": {"value": self._chance.choice(self._people)}}
        name = f"u{self._number}-{self._name}"
        answer = self._client.create("/Users", {"schemas": [USER], "userName": name, **values})
        self._people.append(answer.json()["id"])
        return answer

    def _team(self) -> httpx.Response:
        members = [{"value": id} for id in self._some()]
        name = f"team{self._number}-{self._name}"
        answer = self._client.create("/Groups", {"schemas": [GROUP], "displayName": name, "members": members})
        self._groups.append(answer.json()["id"])
        return answer

    def _change(self) -> httpx.Response:
        choices = [("displayName", "Stranger"), ("active", False), ("userName", f"r{self._number}-{self._name}")]
        path, value = self._chance.choice(choices)
        operation = {"op": "replace", "path": path, "value": value}
        return self._client.change(f"/Users/{self._chance.choice(self._people)}", operation)

    def _join(self) -> httpx.Response:
        members = [{"value": id} for id in self._some()]
        operation = {"op": self._chance.choice(["add", "remove", "replace"]), "path": "members", "value": members}
        return self._client.change(f"/Groups/{self._chance.choice(self._groups)}", operation)

    def _rename(self) -> httpx.Response:
        operation = {"op": "replace", "path": "displayName", "value": f"renamed{self._number}-{self._name}"}
        return self._client.change(f"/Groups/{self._chance.choice(self._groups)}", operation)

    def _leave(self) -> httpx.Response:
        return self._client.delete(f"/Users/{self._people.pop(self._chance.randrange(len(self._people)))}")

    def _disband(self) -> httpx.Response:
        return self._client.delete(f"/Groups/{self._groups.pop(self._chance.randrange(len(self._groups)))}")

    def _some(self) -> list[str]:
        return self._chance.sample(self._people, min(3, len(self._people)))
