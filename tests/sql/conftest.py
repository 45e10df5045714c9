"""Fresh SQL back ends, and the database servers that fault tests take away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

from app.scim.registry import Registry, load
from backends.sql.backend import SqlBackend
from tests.conftest import selected_backends
from tests.support.servers import DatabaseServer

Counted = Callable[[Callable[[], object]], list[str]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`server` is each selected database server in turn."""
    if "server" in metafunc.fixturenames:
        kinds = [kind for kind in selected_backends() if kind != "sqlite"]
        metafunc.parametrize("server", kinds, indirect=True)


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The resource types without any further extension, as they are served."""
    return load()


@pytest.fixture
def backend(sql_url: str, registry: Registry) -> Iterator[SqlBackend]:
    """A back end on a fresh database of each kind."""
    backend = SqlBackend(sql_url, registry)
    backend.create_schema()
    yield backend
    backend.close()


@pytest.fixture
def server(
    request: pytest.FixtureRequest, database_servers: Callable[[str], DatabaseServer]
) -> Iterator[DatabaseServer]:
    """A database server that a test may kill, stop or suspend; it runs again afterwards."""
    server = database_servers(request.param)
    yield server
    server.resume()
    server.start()


@pytest.fixture
def statements(backend: SqlBackend) -> Counted:
    """A function that gives the text of the statements that a call makes the back end send."""

    def count(call: Callable[[], object]) -> list[str]:
        with recorded(backend.engine) as sent:
            call()
        return sent

    return count


@contextmanager
def recorded(engine: Engine) -> Iterator[list[str]]:
    """The statements that are sent meanwhile."""
    sent: list[str] = []

    def record(_: Connection, __: object, statement: str, *___: object) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", record)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", record)
