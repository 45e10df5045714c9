"""What happens when the database is away, hangs, is full of others' locks or takes no writes: facts of the seam, in
time, and recovery without help."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.scim.query import Change, Delta, Draft, Query, Resource
from app.scim.registry import ENTERPRISE_SCHEMA, Registry
from backends.errors import Duplicate, ReadOnly, StoreError, Unavailable, UnknownReference
from backends.sql.backend import SqlBackend
from backends.sql.faults import Faults
from tests.sql.watching import Watch
from tests.support.servers import DatabaseServer, free_port

NAME = frozenset({"userName"})
MANAGER = f"{ENTERPRISE_SCHEMA}:manager.value"


@pytest.fixture
def unwatched(server: DatabaseServer, registry: Registry) -> Iterator[SqlBackend]:
    """A back end on a fresh database of a server, that waits at most two seconds for an answer."""
    backend = SqlBackend(server.new_database(), registry, connect_timeout=2, statement_timeout=2)
    yield backend
    backend.close()


@pytest.fixture
def served(unwatched: SqlBackend, watch: Watch) -> SqlBackend:
    """The same with tables."""
    unwatched.create_schema()
    with unwatched.engine.connect() as connection:
        # The servers of the tests are fast rather than durable; here what was committed must survive a kill.
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("ALTER SYSTEM SET synchronous_commit = on")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
            connection.exec_driver_sql("SET synchronous_commit = on")
        else:
            connection.exec_driver_sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
    return unwatched


@pytest.fixture
def ann(served: SqlBackend) -> Resource:
    """A user."""
    return served.create("User", Draft({"userName": "ann@corp.example"}))


def _calls(backend: SqlBackend, id: str) -> list[Callable[[], Any]]:
    return [
        lambda: backend.get("User", id, NAME),
        lambda: backend.search("User", Query(NAME)),
        lambda: backend.create("User", Draft({"userName": "new@corp.example"})),
        lambda: backend.update("User", id, Change({"title": "Dr"})),
        lambda: backend.delete("User", id),
        lambda: list(backend.related("User", [id], "groups")),
        backend.check,
    ]


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_server_that_is_away(server: DatabaseServer, served: SqlBackend, ann: Resource, how: str) -> None:
    """Every call is Unavailable while the server is away; the first after its return succeeds, reading or writing."""
    getattr(server, how)()
    for call in _calls(served, ann.id):
        with pytest.raises(Unavailable):
            call()
    server.start()
    assert served.update("User", ann.id, Change({"title": "Dr"})).version == "2"
    assert served.get("User", ann.id, frozenset({"title"})).values == {"title": "Dr"}
    assert served.search("User", Query(NAME)).total == 1


@pytest.mark.parametrize("write", [True, False])
def test_a_server_that_was_restarted_unseen(
    server: DatabaseServer, served: SqlBackend, ann: Resource, write: bool
) -> None:
    """Connections that died with the server while nobody asked are replaced: no call fails."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: served.get("User", ann.id, NAME), range(20)))
    server.kill()
    server.start()
    if write:
        served.update("User", ann.id, Change({"title": "Dr"}))
        served.create("Group", Draft({"displayName": "Team"}, {"members": (ann.id,)}))
    else:
        assert served.get("User", ann.id, NAME).values == {"userName": "ann@corp.example"}
        assert list(served.related("User", [ann.id], "groups")) == []


def test_a_server_that_hangs(server: DatabaseServer, served: SqlBackend, ann: Resource) -> None:
    """No call waits for ever for a server that accepts and does not answer; all goes on when it does."""
    server.suspend()
    with pytest.raises(Unavailable):
        # Its threads may still answer some before they have all stopped.
        all(served.get("User", ann.id, NAME) for _ in itertools.repeat(None))
    for call in _calls(served, ann.id)[1:4]:
        with pytest.raises(Unavailable):
            call()
    server.resume()
    assert served.get("User", ann.id, NAME).values == {"userName": "ann@corp.example"}
    assert served.create("User", Draft({"userName": "new@corp.example"})).stamp.version == "1"


def test_a_connection_that_is_cut_before_the_commit(served: SqlBackend, ann: Resource, watch: Watch) -> None:
    """A transaction whose connection is lost half-way is done again, once and whole."""
    cut: list[str] = []

    def sever(cursor: Any, statement: str, _: Any) -> None:
        if statement.startswith("INSERT INTO scim_user_values") and not cut:
            cut.append(statement)
            _end_session(served, cursor)

    watch.callbacks.append(sever)
    served.create("User", Draft({"userName": "bob@corp.example", "emails": [{"value": "bob@corp.example"}]}))
    page = served.search("User", Query(NAME | {"emails"}))
    assert (len(cut), page.total) == (1, 2)
    assert page.items[1].values["emails"] == [{"value": "bob@corp.example"}]


def _end_session(backend: SqlBackend, cursor: Any) -> None:
    """End the session of the cursor in the server, from another one."""
    ask, end = {
        "postgresql": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({})"),
        "mysql": ("SELECT connection_id()", "KILL {}"),
    }[backend.engine.dialect.name]
    same = cursor.connection.cursor()
    same.execute(ask)
    row = same.fetchone()
    with backend.engine.connect() as other:
        other.exec_driver_sql(end.format(row[0]))


def test_a_statement_that_takes_too_long(served: SqlBackend, ann: Resource) -> None:
    """A row that another transaction keeps locked makes a change Unavailable and not wait for ever."""
    other = served.engine.connect()
    other.exec_driver_sql("BEGIN")
    other.exec_driver_sql("UPDATE scim_users SET title = 'held'")
    with pytest.raises(Unavailable):
        served.update("User", ann.id, Change({"title": "Dr"}))
    other.exec_driver_sql("ROLLBACK")
    other.close()
    assert served.update("User", ann.id, Change({"title": "Dr"})).version == "2"


def test_nothing_listens(server: DatabaseServer, served: SqlBackend, registry: Registry) -> None:
    """A port without a server, a wrong password and an unknown database are Unavailable, and tell no secret."""
    url = served.engine.url
    for wrong in (url.set(port=free_port()), url.set(password="wr0ng"), url.set(database="unknown")):
        backend = SqlBackend(wrong.render_as_string(hide_password=False), registry, connect_timeout=2)
        with pytest.raises(Unavailable) as refusal:
            backend.search("User", Query(NAME))
        assert str(wrong.password) not in str(refusal.value)
        backend.close()


def test_a_database_that_takes_no_writes(sql_url: str, registry: Registry, database: str) -> None:
    """Reads go on and writes are ReadOnly."""
    backend = SqlBackend(sql_url, registry)
    backend.create_schema()
    ann = backend.create("User", Draft({"userName": "ann@corp.example"}))
    backend.engine.dispose()
    switch = {
        "sqlite": "PRAGMA query_only = ON",
        "postgresql": "SET default_transaction_read_only = on",
        "mariadb": "SET SESSION TRANSACTION READ ONLY",
    }[database]

    def forbid(connection: Any, _: Any) -> None:
        connection.cursor().execute(switch)

    event.listen(backend.engine, "connect", forbid)
    with pytest.raises(ReadOnly):
        backend.update("User", ann.id, Change({"title": "Dr"}))
    with pytest.raises(ReadOnly):
        backend.create("User", Draft({"userName": "new@corp.example"}))
    with pytest.raises(ReadOnly):
        backend.delete("User", ann.id)
    assert backend.get("User", ann.id, NAME).values == {"userName": "ann@corp.example"}
    backend.close()


def test_a_file_that_another_process_keeps_locked(tmp_path: Path, registry: Registry) -> None:
    """While another program writes, changes end as Unavailable and reads go on; then changes do too."""
    path = tmp_path / "people.db"
    backend = SqlBackend(f"sqlite:///{path}", registry, statement_timeout=1)
    backend.create_schema()
    ann = backend.create("User", Draft({"userName": "ann@corp.example"}))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            backend.update("User", ann.id, Change({"title": "Dr"}))
        assert backend.get("User", ann.id, NAME).values == {"userName": "ann@corp.example"}
        other.execute("ROLLBACK")
        assert backend.update("User", ann.id, Change({"title": "Dr"})).version == "2"
    backend.close()


def test_a_file_that_is_none(tmp_path: Path, registry: Registry) -> None:
    """A path that can't be opened, as a directory, is Unavailable; a file that is no database is told apart."""
    backend = SqlBackend(f"sqlite:///{tmp_path}", registry)
    with pytest.raises(Unavailable):
        backend.check()
    backend.close()
    path = tmp_path / "text.db"
    path.write_text("This is no database. " * 100)
    backend = SqlBackend(f"sqlite:///{path}", registry)
    with pytest.raises(StoreError) as refusal:
        backend.get("User", "x", NAME)
    assert "not a database" not in str(refusal.value)
    backend.close()


def test_no_connection_is_free(sql_url: str, registry: Registry) -> None:
    """When all connections are in use for longer than a statement may take, a call is Unavailable."""
    backend = SqlBackend(sql_url, registry, pool_size=1, statement_timeout=1)
    backend.create_schema()
    with backend.engine.connect(), pytest.raises(Unavailable) as refusal:
        backend.search("User", Query(NAME))
    assert refusal.value.retry_after > 0
    assert backend.search("User", Query(NAME)).total == 0
    backend.close()


def test_violations_are_named(sql_url: str, registry: Registry) -> None:
    """A violation of uniqueness names the slot, and one of a foreign key the relation, whatever the values are."""
    ids = iter(["one", "two", "one"])
    backend = SqlBackend(sql_url, registry, new_id=lambda: next(ids))
    backend.create_schema()
    backend.create("User", Draft({"userName": "it's 'uq_scim_groups' for key 'x'"}))
    with pytest.raises(Duplicate) as refusal:
        backend.create("User", Draft({"userName": "IT'S 'uq_scim_groups' for key 'x'"}))
    assert refusal.value.attribute == "userName"
    with pytest.raises(Duplicate) as refusal:
        backend.create("User", Draft({"userName": "other"}))
    assert refusal.value.attribute == "id"
    with backend.engine.connect() as connection, pytest.raises(IntegrityError) as violation:
        connection.exec_driver_sql("INSERT INTO scim_group_members (group_id, user_id) VALUES ('none', 'one')")
    fact = Faults({}, {"scim_group_members": "members"}).translate(violation.value)
    assert isinstance(fact, UnknownReference)
    assert fact.relation == "members"
    backend.close()


def test_a_member_that_is_added_while_it_is_deleted(served: SqlBackend, ann: Resource, watch: Watch) -> None:
    """A group that gets the user after its groups were looked up loses it with a new version like the others."""
    first, second = (served.create("Group", Draft({"displayName": n})) for n in ("First", "Second"))
    add = Change({}, {"members": Delta(add=(ann.id,))})
    served.update("Group", first.id, add)
    stamps: list[Any] = []

    def join(_: Any, statement: str, __: Any) -> None:
        if statement.startswith("SELECT scim_users.version") and not stamps:
            stamps.append(None)
            stamps.append(served.update("Group", second.id, add))

    watch.callbacks.append(join)
    served.delete("User", ann.id)
    after = served.get("Group", second.id, frozenset()).stamp
    assert after.version != stamps[1].version
    assert served.get("Group", first.id, frozenset()).stamp.version == "3"
    assert list(served.related("Group", [first.id, second.id], "members")) == []


def test_a_page_shows_one_moment(served: SqlBackend, ann: Resource, watch: Watch) -> None:
    """What changes while a page is read is seen wholly or not at all: stamp, value and list belong together."""
    changed: list[str] = []

    def change(_: Any, statement: str, __: Any) -> None:
        if statement.startswith("SELECT") and "value.attribute" in statement and not changed:
            changed.append(statement)
            served.update("User", ann.id, Change({"title": "Dr", "emails": [{"value": "new@corp.example"}]}))

    watch.callbacks.append(change)
    item = served.search("User", Query(frozenset({"title", "emails"}))).items[0]
    assert changed
    assert item == served.get("User", ann.id, frozenset({"title", "emails"}))
    assert item.values == {"title": "Dr", "emails": [{"value": "new@corp.example"}]}


def test_a_deadlock_is_tried_again(served: SqlBackend, ann: Resource, watch: Watch) -> None:
    """When a deletion and another transaction wait for each other, the deletion succeeds in the end."""
    bob = served.create("User", Draft({"userName": "bob@corp.example", MANAGER: ann.id}))
    begun: list[bool] = []
    waiting = threading.Event()

    def note(_: Any, statement: str, __: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            begun.append(statement.startswith(("BEGIN", "START")))
            if statement.startswith("UPDATE scim_users"):
                waiting.set()

    watch.callbacks.append(note)
    with ThreadPoolExecutor(1) as pool, served.engine.connect() as other:
        other.exec_driver_sql("BEGIN")
        other.exec_driver_sql(f"UPDATE scim_users SET nick_name = 'x' WHERE id = '{bob.id}'")
        deletion = pool.submit(served.delete, "User", ann.id)
        assert waiting.wait(30)
        lost = False
        try:
            other.exec_driver_sql(f"UPDATE scim_users SET nick_name = 'x' WHERE id = '{ann.id}'")
        except DBAPIError:
            lost = True
        other.exec_driver_sql("ROLLBACK")
        deletion.result(60)
    assert lost or sum(begun) > 1
    assert [item.id for item in served.search("User", Query(frozenset())).items] == [bob.id]
    assert served.get("User", bob.id, frozenset({MANAGER})).values == {}
