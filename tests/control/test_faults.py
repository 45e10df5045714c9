"""The control store when its database goes away, and when it comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from app.control import Access, ControlStore, ControlUnavailable, NewKey, upgrade
from app.control.database import STATEMENT_SECONDS, make_engine, translated
from tests.conftest import selected_backends
from tests.support.servers import DatabaseServer, MariaDB, PostgreSQL

SERVERS = {"postgresql": PostgreSQL, "mariadb": MariaDB}


def calls(store: ControlStore) -> list[Callable[[], object]]:
    nobody = "00000000-0000-4000-8000-000000000000"
    return [
        store.generation,
        store.check,
        lambda: store.verify_secret(nobody, "x"),
        lambda: store.verify_bearer("lfb_" + "x" * 43),
        lambda: store.token_subject(nobody, "jti"),
        store.signing_keys,
        lambda: store.create_integration("new", Access.FULL),
        lambda: store.revoke_token("jti", 1),
        lambda: store.replace_signing_key(NewKey("kid", "pem"), previous=None),
        lambda: store.links.find("User", [nobody]),
        lambda: store.links.named("User", "E-1", 1),
        lambda: store.links.ensure("User", nobody),
        lambda: store.links.held("User", nobody).__enter__(),
        lambda: store.links.forget("User", nobody),
    ]


def assert_unavailable(store: ControlStore) -> None:
    for call in calls(store):
        with pytest.raises(ControlUnavailable) as caught:
            call()
        assert caught.value.retry_after > 0


@pytest.mark.parametrize("kind", [kind for kind in selected_backends() if kind in SERVERS])
def test_it_finds_a_restarted_server_by_itself(kind: str) -> None:
    server: DatabaseServer
    with SERVERS[kind]() as server:
        url = server.new_database()
        upgrade(url)
        store = ControlStore(url)
        integration = store.create_integration("entra", Access.FULL)
        secret = store.add_secret(integration.id).value
        before = store.generation()
        server.stop()
        assert_unavailable(store)
        server.start()
        assert store.generation() == before
        grant = store.verify_secret(integration.id, secret)
        assert grant is not None
        assert grant.integration == integration
        assert store.set_access(integration.id, Access.READ_ONLY).access is Access.READ_ONLY
        assert store.generation() > before
        store.close()


@pytest.mark.parametrize("kind", [kind for kind in selected_backends() if kind in SERVERS])
def test_a_server_that_hangs(kind: str) -> None:
    """Nobody waits for ever for a server that goes on to accept and does not answer."""
    server: DatabaseServer
    with SERVERS[kind]() as server:
        engine = make_engine(server.new_database(), statement_seconds=1)
        rescue = threading.Timer(20, server.resume)
        with translated(), engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            server.suspend()
            rescue.start()
            with pytest.raises(DBAPIError):
                # Its threads may still answer some before they have all stopped.
                all(connection.execute(text("SELECT 1")) for _ in range(1000))
        rescue.cancel()
        server.resume()
        with translated(), engine.connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1
        engine.dispose()


@pytest.mark.parametrize("kind", [kind for kind in selected_backends() if kind in SERVERS])
@pytest.mark.parametrize("call", ["generation", "list_integrations"])
def test_a_server_that_hangs_is_waited_for_once(kind: str, call: str) -> None:
    """A connection on which no answer comes is not replaced by one on which none would come either."""
    server: DatabaseServer
    with SERVERS[kind]() as server:
        url = server.new_database()
        upgrade(url)
        store = ControlStore(url)
        asked: Callable[[], object] = getattr(store, call)
        asked()
        server.suspend()
        rescue = threading.Timer(60, server.resume)
        rescue.start()
        waited = seconds_in_vain(asked)
        rescue.cancel()
        server.resume()
        assert waited < STATEMENT_SECONDS + 4
        asked()
        store.close()


def seconds_in_vain(call: Callable[[], object]) -> float:
    """How long the first call takes that finds the store unavailable."""
    # Threads of a server that is being suspended may still answer some before they have all stopped.
    for _ in range(1000):
        began = time.monotonic()
        try:
            call()
        except ControlUnavailable:
            return time.monotonic() - began
    raise AssertionError("it goes on to answer")


def migrated(path: Path) -> ControlStore:
    upgrade(f"sqlite:///{path}")
    return ControlStore(f"sqlite:///{path}")


def test_a_missing_sqlite_file_is_a_fault_and_no_new_store(tmp_path: Path) -> None:
    path, away = tmp_path / "control.db", tmp_path / "away"
    store = migrated(path)
    integration = store.create_integration("entra", Access.FULL)
    before = store.generation()
    store.close()
    away.mkdir()
    files = [file for file in tmp_path.iterdir() if file.is_file()]
    for file in files:
        file.rename(away / file.name)
    assert_unavailable(store)
    assert not path.exists()
    for file in files:
        (away / file.name).rename(file)
    assert store.generation() == before
    assert store.list_integrations() == [integration]
    store.close()


def test_a_file_put_in_place_of_the_open_one_is_noticed(tmp_path: Path) -> None:
    store = migrated(tmp_path / "control.db")
    store.create_integration("entra", Access.FULL)
    store.generation()
    other = migrated(tmp_path / "other.db")
    for number in range(5):
        other.create_integration(f"restored {number}", Access.FULL)
    expected = other.generation()
    other.close()
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"control.db{suffix}").unlink()
    (tmp_path / "other.db").replace(tmp_path / "control.db")
    assert store.generation() == expected
    assert len(store.list_integrations()) == 5
    store.close()


def test_a_locked_sqlite_file_can_still_be_read(tmp_path: Path) -> None:
    path = tmp_path / "control.db"
    store = migrated(path)
    integration = store.create_integration("entra", Access.FULL)
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        connection.execute(text("UPDATE generation SET value = value + 1"))
        before = store.generation()
        assert store.list_integrations() == [integration]
        connection.commit()
    assert store.generation() == before + 1
    engine.dispose()
    store.close()


def test_the_message_tells_nothing_of_the_address(tmp_path: Path) -> None:
    store = ControlStore("postgresql+psycopg://landfall:hidden-word@127.0.0.1:1/landfall")
    with pytest.raises(ControlUnavailable) as caught:
        store.generation()
    assert "hidden-word" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
    store.close()
