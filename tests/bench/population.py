"""Filling an empty database before it is measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from app.control import Access, ControlStore, Dialect, upgrade
from app.scim.registry import load
from backends.sql import tables
from backends.sql.backend import SqlBackend
from tests.bench.cases import Population, group_document, user_document
from tests.bench.load import Connection, make_request

USERS = 1000
GROUPS = 50


def prepare(home: Path, sql_url: str) -> tuple[str, str]:
    """Empty schemas, and the client id and secret of an integration with full access in them."""
    control_url = f"sqlite:///{home / 'control.db'}"
    upgrade(control_url)
    with _backend(sql_url) as backend:
        backend.create_schema()
    control = ControlStore(control_url)
    integration = control.create_integration("bench", Access.FULL, Dialect.ENTRA)
    secret = control.add_secret(integration.id).value
    control.close()
    return integration.id, secret


def populate(port: int, token: str) -> Population:
    """Users and groups, created over HTTP."""
    connection = Connection(port)

    def created(endpoint: str, document: dict[str, Any]) -> dict[str, Any]:
        request = make_request("POST", f"/scim/v2{endpoint}", token, document)
        answer: dict[str, Any] = json.loads(connection.send(request, 201))
        return answer

    users = [created("/Users", user_document(number)) for number in range(USERS)]
    groups = [created("/Groups", group_document(number)) for number in range(GROUPS)]
    connection.close()
    return Population(token, [u["id"] for u in users], [u["userName"] for u in users], [g["id"] for g in groups])


def add_crowd(sql_url: str, group: str, members: int) -> None:
    """Put that many new users into the database and into the group, past the service: it would take minutes."""
    registry = load()
    built = tables.build(registry)
    users, groups = built.layouts["User"], built.links["Group", "members"]
    now = datetime.now(UTC)
    name = users.fields["userName"]
    stem = f"{group[:8]}-crowd"
    ids = [f"{stem}-{number}" for number in range(members)]
    people = [
        {"id": id, "version": 1, "created": now, "modified": now, name.column.name: id, name.key.name: id} for id in ids
    ]
    links = [{groups.near.name: group, groups.far.name: id} for id in ids]
    with _backend(sql_url) as backend, backend.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        for start in range(0, members, 1000):
            connection.execute(insert(users.table), people[start : start + 1000])
            connection.execute(insert(groups.table), links[start : start + 1000])
        connection.exec_driver_sql("COMMIT")


@contextmanager
def _backend(sql_url: str) -> Iterator[SqlBackend]:
    backend = SqlBackend(sql_url, load())
    yield backend
    backend.close()
