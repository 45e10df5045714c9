"""Migrations: what they make is what is declared, whoever runs them and however often."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sqlalchemy import MetaData, create_engine, inspect, text

from app.scim.query import Draft
from app.scim.registry import Registry
from backends.errors import StoreError
from backends.sql import tables
from backends.sql.backend import SqlBackend
from backends.sql.upgrade import VERSION_TABLE, pending_difference, upgrade
from config.errors import ConfigError


def _difference(backend: SqlBackend, metadata: MetaData) -> list[object]:
    with backend.engine.connect() as connection:
        return pending_difference(connection, metadata)


def test_migrations_make_the_declared_tables(sql_url: str, registry: Registry) -> None:
    """After an upgrade nothing differs from the tables that follow from the registry, and the back end works."""
    metadata = tables.build(registry).metadata
    backend = SqlBackend(sql_url, registry)
    assert len(_difference(backend, metadata)) >= len(metadata.tables)
    upgrade(sql_url)
    assert _difference(backend, metadata) == []
    backend.check()
    created = backend.create("User", Draft({"userName": "ann@corp.example"}))
    assert backend.get("User", created.id, frozenset({"userName"})) == created
    backend.close()


def test_indexes_and_foreign_keys_are_those_declared(sql_url: str, registry: Registry, database: str) -> None:
    """Migrated tables have the indexes, uniqueness and cascades of tables that were made from the declaration."""
    upgrade(sql_url)
    migrated = SqlBackend(sql_url, registry)
    looked_at = inspect(migrated.engine)
    for table in tables.build(registry).metadata.sorted_tables:
        found = {i["name"]: (i["column_names"], bool(i["unique"])) for i in looked_at.get_indexes(table.name)}
        declared = {i.name: ([c.name for c in i.columns], bool(i.unique)) for i in table.indexes}
        assert declared.items() <= found.items()
        cascades = [k["options"].get("ondelete") for k in looked_at.get_foreign_keys(table.name)]
        assert cascades == ["CASCADE"] * len(table.foreign_key_constraints)
        assert looked_at.get_pk_constraint(table.name)["constrained_columns"] == [c.name for c in table.primary_key]
    migrated.close()


def test_a_second_upgrade_keeps_everything(sql_url: str, registry: Registry) -> None:
    """Upgrading what is up to date leaves the resources and one record of the version."""
    upgrade(sql_url)
    backend = SqlBackend(sql_url, registry)
    created = backend.create("User", Draft({"userName": "ann@corp.example"}))
    upgrade(sql_url)
    assert backend.get("User", created.id, frozenset({"userName"})) == created
    with backend.engine.connect() as connection:
        assert len(connection.execute(text(f"SELECT * FROM {VERSION_TABLE}")).all()) == 1
    backend.close()


def test_upgrades_at_the_same_time(sql_url: str, registry: Registry) -> None:
    """Of several processes that upgrade an empty database at once all succeed."""
    program = "import sys; from backends.sql.upgrade import upgrade; upgrade(sys.argv[1])"
    command = [sys.executable, "-W", "error", "-c", program, sql_url]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    ended = [(process.communicate(timeout=120)[1], process.returncode) for process in processes]
    assert ended == [(b"", 0)] * 4
    backend = SqlBackend(sql_url, registry)
    assert _difference(backend, tables.build(registry).metadata) == []
    backend.close()


def test_check_names_what_is_missing(sql_url: str, registry: Registry) -> None:
    """Without tables, and with one that lacks a column, `check` says so and what to do."""
    backend = SqlBackend(sql_url, registry)
    with pytest.raises(ConfigError, match="landfall db upgrade"):
        backend.check()
    backend.create_schema()
    backend.check()
    with backend.engine.connect() as connection:
        connection.exec_driver_sql("ALTER TABLE scim_users DROP COLUMN title")
    with pytest.raises(ConfigError, match="scim_users"):
        backend.check()
    backend.close()


def test_tables_of_a_later_program_are_reported_and_left_alone(sql_url: str) -> None:
    """As after an upgrade that is taken back: nothing that this program could do helps."""
    upgrade(sql_url)
    engine = create_engine(sql_url)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0999'"))
    with pytest.raises(StoreError, match="0999, that of a later Landfall"):
        upgrade(sql_url)
    with engine.connect() as connection:
        assert connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar() == "0999"
    engine.dispose()
