"""What is in the database: readable columns, values as they were sent, secrets only as hashes."""

from __future__ import annotations

import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import Row, text

from app.scim.query import Change, Draft, Query, Stamp
from app.scim.registry import Registry
from backends.errors import RejectedValue
from backends.sql.backend import SqlBackend
from backends.sql.upgrade import upgrade
from config.sql_url import sqlite_file
from tests.support.probe import probe, probed


def _only_row(backend: SqlBackend, query: str) -> Row[Any]:
    with backend.engine.connect() as connection:
        return connection.execute(text(query)).one()


def test_columns_hold_what_was_sent(backend: SqlBackend) -> None:
    """An administrator finds each value in a column of its name, unchanged, and its folded form beside it."""
    values = {
        "userName": "Ann.ÉTÉ@Corp.Example",
        "name.familyName": "Straße",
        "active": True,
        "emails": [{"value": "Ann@Corp.Example", "type": "Work", "primary": True}],
    }
    created = backend.create("User", Draft(values))
    row = _only_row(backend, "SELECT id, version, user_name, user_name_key, name_family_name FROM scim_users")
    assert tuple(row) == (created.id, 1, "Ann.ÉTÉ@Corp.Example", "ann.été@corp.example", "Straße")
    row = _only_row(backend, "SELECT user_id, attribute, position, value, value_key, type FROM scim_user_values")
    assert tuple(row) == (created.id, "emails", 0, "Ann@Corp.Example", "ann@corp.example", "Work")


def test_a_password_is_kept_as_an_argon2id_hash(backend: SqlBackend, registry: Registry) -> None:
    """The prepared password (RFC 8265) fits the hash; the password itself is nowhere, and no read brings it."""
    created = backend.create("User", Draft({"userName": "ann@corp.example", "password": "corre\u0301ct\u00a0horse"}))
    hashed = _only_row(backend, "SELECT password_hash FROM scim_users")[0]
    assert hashed.startswith("$argon2id$")
    assert PasswordHasher().verify(hashed, "corréct horse")
    everything = registry.type("User").readable | {"password"}
    read = backend.get("User", created.id, everything)
    assert dict(read.values) == dict(created.values) == {"userName": "ann@corp.example"}
    assert backend.search("User", Query(everything)).items == (read,)


def test_changing_and_removing_a_password(backend: SqlBackend) -> None:
    """A new password replaces the hash and moves the stamp; removing it leaves none, and the second time nothing."""
    created = backend.create("User", Draft({"userName": "ann@corp.example", "password": "first"}))
    changed = backend.update("User", created.id, Change({"password": "second"}))
    assert changed.version != created.stamp.version
    hashed = _only_row(backend, "SELECT password_hash FROM scim_users")[0]
    assert PasswordHasher().verify(hashed, "second")
    with pytest.raises(VerifyMismatchError):
        PasswordHasher().verify(hashed, "first")
    removed = backend.update("User", created.id, Change({"password": None}))
    assert _only_row(backend, "SELECT password_hash FROM scim_users")[0] is None
    assert backend.update("User", created.id, Change({"password": None})) == removed != changed


def test_a_retired_user_is_out_of_every_table_that_is_read(backend: SqlBackend) -> None:
    """Its row and values are gone from where an application looks; its password comes back as the hash that it was."""
    values = {"userName": "ann@corp.example", "password": "first", "emails": [{"value": "a@corp.example"}]}
    created = backend.create("User", Draft(values))
    hashed = _only_row(backend, "SELECT password_hash FROM scim_users")[0]
    backend.retire("User", created.id)
    for table in ("scim_users", "scim_user_values"):
        assert _only_row(backend, f"SELECT COUNT(*) FROM {table}")[0] == 0
    assert dict(backend.retired("User", frozenset({"password", "userName"})).items[0].values) == {
        "userName": "ann@corp.example"
    }
    assert "password" not in backend.restore("User", created.id, Change({"title": "x"})).values
    assert _only_row(backend, "SELECT password_hash FROM scim_users")[0] == hashed
    backend.retire("User", created.id)
    backend.restore("User", created.id, Change({"password": "second"}))
    assert PasswordHasher().verify(_only_row(backend, "SELECT password_hash FROM scim_users")[0], "second")
    for table in ("scim_retired", "scim_retired_names"):
        assert _only_row(backend, f"SELECT COUNT(*) FROM {table}")[0] == 0


@pytest.mark.parametrize("make", [upgrade, lambda url: SqlBackend(url, probed()).create_schema()])
def test_a_sqlite_file_is_private(tmp_path: Path, make: Callable[[str], None], registry: Registry) -> None:
    """The database file and its journals can be read by their owner only, whatever the umask allows."""
    url = f"sqlite:///{tmp_path / 'new' / 'people.db'}"
    make(url)
    backend = SqlBackend(url, registry)
    backend.create("User", Draft({"userName": "ann@corp.example"}))
    path = Path(sqlite_file(url) or "")
    files = sorted(path.parent.iterdir())
    assert [f.name for f in files] == ["people.db", "people.db-shm", "people.db-wal"]
    assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o600}
    backend.close()


def test_ids_and_times_come_from_outside(sql_url: str, registry: Registry) -> None:
    """With `new_id` and `now` given, ids and stamps are literally those, to the microsecond."""
    moment = datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=UTC)
    backend = SqlBackend(sql_url, registry, new_id=lambda: "u01-Kd7QaR", now=lambda: moment)
    backend.create_schema()
    created = backend.create("User", Draft({"userName": "ann@corp.example"}))
    assert (created.id, created.created, created.stamp) == ("u01-Kd7QaR", moment, Stamp("1", moment))
    assert backend.get("User", "u01-Kd7QaR", frozenset({"userName"})) == created
    backend.close()


def test_text_that_does_not_fit_an_index_is_refused(backend: SqlBackend) -> None:
    """512 characters fit an indexed column, of any script; more are refused with the slot, and nothing is stored."""
    for slot, value in (("externalId", "山" * 512), ("displayName", "Ä" * 512)):
        created = backend.create("User", Draft({"userName": f"{slot}@corp.example", slot: value}))
        assert backend.get("User", created.id, frozenset({slot})).values == {slot: value}
        with pytest.raises(RejectedValue) as refusal:
            backend.update("User", created.id, Change({slot: value + "x", "title": "T"}))
        assert refusal.value.attribute == slot
        assert backend.get("User", created.id, frozenset({slot, "title"})).values == {slot: value}
    with pytest.raises(RejectedValue) as refusal:
        backend.create("User", Draft({"userName": "x", "emails": [{"value": "x" * 513}]}))
    assert refusal.value.attribute == "emails.value"
    assert backend.search("User", Query(frozenset())).total == 2


def test_a_decimal_that_would_change_is_refused(sql_url: str) -> None:
    """An integer that no IEEE 754 number equals is refused rather than stored as another one."""
    backend = SqlBackend(sql_url, probed())
    backend.create_schema()
    ratio = probe("ratio")
    kept = backend.create("User", Draft({"userName": "ann", ratio: 2**53}))
    assert backend.get("User", kept.id, frozenset({ratio})).values == {ratio: 2**53}
    with pytest.raises(RejectedValue) as refusal:
        backend.create("User", Draft({"userName": "bob", ratio: 2**53 + 1}))
    assert refusal.value.attribute == ratio
    backend.close()
