"""Calls of one thread together: one connection, and on SQLite the turn to write."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import event

from app.scim.query import Change, Draft, Query
from app.scim.registry import Registry
from backends.errors import Unavailable
from backends.sql.backend import SqlBackend
from tests.support.servers import DatabaseServer

NAME = frozenset({"userName"})


def _taken(backend: SqlBackend) -> list[str]:
    """Grows by an item whenever a connection is taken from the pool, and whenever one is given back."""
    seen: list[str] = []
    event.listen(backend.engine, "checkout", lambda *_: seen.append("taken"))
    event.listen(backend.engine, "checkin", lambda *_: seen.append("given back"))
    return seen


def _use(backend: SqlBackend) -> None:
    ann = backend.create("User", Draft({"userName": "ann@corp.example"}))
    backend.update("User", ann.id, Change({"title": "Dr"}))
    assert backend.search("User", Query(NAME)).total == 1
    backend.delete("User", ann.id)


@pytest.mark.parametrize("changes", [True, False])
def test_what_is_done_together_takes_one_connection(backend: SqlBackend, changes: bool) -> None:
    seen = _taken(backend)
    with backend.together(changes=changes):
        with backend.together():
            _use(backend)
        _use(backend)
        assert seen == ["taken"]
    assert seen == ["taken", "given back"]


def test_nothing_is_taken_before_it_is_needed(backend: SqlBackend) -> None:
    seen = _taken(backend)
    with backend.together(changes=True):
        pass
    assert seen == []


def test_threads_share_nothing(backend: SqlBackend) -> None:
    """What another thread asks meanwhile is answered over a connection of its own."""
    seen = _taken(backend)
    with backend.together():
        _use(backend)
        other = threading.Thread(target=lambda: backend.search("User", Query(NAME)))
        other.start()
        other.join()
        assert seen == ["taken", "taken", "given back"]


def test_a_refusal_leaves_the_connection_usable(backend: SqlBackend) -> None:
    with backend.together():
        _use(backend)
        with pytest.raises(ZeroDivisionError):
            backend._database.write(_fail)
        _use(backend)


def _fail(_: Any) -> None:
    raise ZeroDivisionError


def test_a_connection_that_dies_in_between_is_replaced(server: DatabaseServer, registry: Registry) -> None:
    """Reads and writes go on over another one, as they do between requests."""
    backend = SqlBackend(server.new_database(), registry, connect_timeout=5, statement_timeout=5)
    backend.create_schema()
    with backend.together(changes=True):
        _use(backend)
        server.kill()
        server.start()
        assert backend.search("User", Query(NAME)).total == 0
        server.kill()
        server.start()
        _use(backend)
    _use(backend)
    backend.close()


def test_changes_on_sqlite_have_turns(tmp_path: Any, registry: Registry) -> None:
    """Who waits in vain for a turn is told so; reads wait for nobody."""
    backend = SqlBackend(f"sqlite:///{tmp_path / 'store.db'}", registry, statement_timeout=1)
    backend.create_schema()
    outcomes: list[object] = []

    def other() -> None:
        outcomes.append(backend.search("User", Query(NAME)).total)
        for begin in (_use, _enter):
            try:
                begin(backend)
            except Unavailable:
                outcomes.append("unavailable")

    with backend.together(changes=True):
        _use(backend)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert outcomes == [0, "unavailable", "unavailable"]
    other()
    assert outcomes == [0, "unavailable", "unavailable", 0]
    backend.close()


def _enter(backend: SqlBackend) -> None:
    with backend.together(changes=True):
        _use(backend)
