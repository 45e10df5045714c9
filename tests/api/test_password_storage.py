"""Passwords at rest (RFC 7643 sections 4.1.1 and 9.2), in each database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import MetaData, create_engine, select

from backends.sql.backend import SqlBackend
from tests.api.answers import taken
from tests.api.schemas import api_registry
from tests.support.service import SCIM_JSON, USER, running


def _dump(url: str) -> Iterator[str]:
    """Every value of every table as text."""
    engine = create_engine(url)
    with engine.connect() as connection:
        schema = MetaData()
        schema.reflect(connection)
        for table in schema.tables.values():
            for row in connection.execute(select(table)):
                yield from (str(value) for value in row if value is not None)
    engine.dispose()


@pytest.mark.req("S-9.2-01", "S-4.1.1-10", "S-4.1.1-11")
def test_no_password_is_stored_in_clear(sql_url: str, tmp_path: Path) -> None:
    """After POST, PUT and PATCH the database, the only place a password goes to, holds salted slow hashes of them."""
    registry = api_registry()
    backend = SqlBackend(sql_url, registry)
    backend.create_schema()
    body = {"schemas": [USER], "password": "Correct-Horse-42"}
    with running(backend, registry, tmp_path) as service:
        client = service.client()
        for number in range(2):
            taken(client.create("/Users", {**body, "userName": f"user{number}@tern.example"}), 201)
        put, patched = (client.user(f"{w}@tern.example")["id"] for w in ("put", "patched"))
        replacement = {**body, "userName": "put@tern.example"}
        taken(client.put(f"/Users/{put}", json=replacement, headers={"Content-Type": SCIM_JSON}))
        change = {"op": "replace", "path": "password", "value": "Correct-Horse-42"}
        taken(client.change(f"/Users/{patched}", change))
    backend.close()
    stored = list(_dump(sql_url))
    assert "user0@tern.example" in stored
    assert not [text for text in stored if "Correct-Horse-42" in text]
    hashes = [text for text in stored if text.startswith("$argon2id$")]
    assert len(hashes) == 4
    assert len(set(hashes)) == 4
