"""The schema of the control store."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from app.control import Access, ControlStore, ControlUnavailable, upgrade
from app.control.revision import VERSION_TABLE
from app.control.tables import metadata
from app.control.upgrade import pending_difference


def test_migrations_lead_to_the_declared_tables(sql_url: str) -> None:
    upgrade(sql_url)
    engine = create_engine(sql_url)
    with engine.connect() as connection:
        assert pending_difference(connection) == []
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, VERSION_TABLE}
    engine.dispose()


def test_a_difference_would_be_seen(sql_url: str) -> None:
    upgrade(sql_url)
    engine = create_engine(sql_url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE integrations ADD COLUMN extra INTEGER"))
        assert [change[0] for change in pending_difference(connection)] == ["remove_column"]
    engine.dispose()


def test_tables_of_others_in_the_same_database_are_left_alone(sql_url: str) -> None:
    engine = create_engine(sql_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE payroll (id INTEGER)"))
    upgrade(sql_url)
    with engine.connect() as connection:
        assert pending_difference(connection) == []
        assert "payroll" in inspect(connection).get_table_names()
    engine.dispose()


def test_upgrading_again_keeps_everything(sql_url: str) -> None:
    upgrade(sql_url)
    store = ControlStore(sql_url)
    created = store.create_integration("entra", Access.FULL)
    upgrade(sql_url)
    assert store.list_integrations() == [created]
    store.close()


def test_the_first_schema_is_brought_forward(sql_url: str) -> None:
    upgrade(sql_url)
    store = ControlStore(sql_url)
    created = store.create_integration("entra", Access.FULL)
    engine = create_engine(sql_url)
    first = {"integrations", "credentials", "signing_keys", "revoked_tokens", "generation"}
    with engine.begin() as connection:
        metadata.drop_all(connection, [table for name, table in metadata.tables.items() if name not in first])
        connection.execute(text("ALTER TABLE integrations DROP COLUMN remit"))
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0001'"))
    with pytest.raises(ControlUnavailable, match="landfall db upgrade"):
        store.check()
    upgrade(sql_url)
    store.check()
    assert store.list_integrations() == [created]
    with engine.connect() as connection:
        assert pending_difference(connection) == []
    engine.dispose()
    store.close()


def test_processes_that_start_at_once_all_find_the_schema(sql_url: str) -> None:
    program = "import sys; from app.control import upgrade; upgrade(sys.argv[1])"
    processes = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", program, sql_url], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    store = ControlStore(sql_url)
    store.check()
    assert store.generation() == 1
    store.close()


def test_a_store_without_its_schema_is_reported_with_what_to_do(sql_url: str) -> None:
    upgrade(sql_url)
    engine = create_engine(sql_url)
    with engine.begin() as connection:
        connection.execute(text(f"DELETE FROM {VERSION_TABLE}"))
    engine.dispose()
    store = ControlStore(sql_url)
    with pytest.raises(ControlUnavailable, match="landfall db upgrade"):
        store.check()
    store.close()


def test_the_schema_of_a_later_program_is_reported_and_left_alone(sql_url: str) -> None:
    """As after an upgrade that is taken back: nothing that this program could do helps."""
    upgrade(sql_url)
    engine = create_engine(sql_url)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0999'"))
    store = ControlStore(sql_url)
    attempts: list[Callable[[], None]] = [lambda: upgrade(sql_url), store.check]
    for attempt in attempts:
        with pytest.raises(ControlUnavailable, match="0999, that of a later Landfall") as caught:
            attempt()
        assert "db upgrade" not in str(caught.value)
    with engine.connect() as connection:
        assert connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one() == "0999"
    engine.dispose()
    store.close()


def test_the_sqlite_file_and_its_new_directory_are_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "control.db"
    upgrade(f"sqlite:///{path}")
    store = ControlStore(f"sqlite:///{path}")
    store.create_integration("entra", Access.FULL)
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    store.close()
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {"control.db", "control.db-wal"} <= modes.keys()
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("content", [b"not a database " * 100, None])
def test_a_path_that_cannot_be_a_database_is_reported(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "control.db"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(ControlUnavailable):
        upgrade(f"sqlite:///{path}")
