"""Fresh SQL back ends, and the database servers that fault tests take away."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from app.scim.registry import Registry, load
from backends.sql.backend import SqlBackend
from tests.conftest import selected_backends
from tests.sql.watching import Watch
from tests.support.servers import DatabaseServer


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
def unwatched(sql_url: str, registry: Registry) -> Iterator[SqlBackend]:
    """A back end on a fresh database of each kind, which has not connected yet."""
    backend = SqlBackend(sql_url, registry)
    yield backend
    backend.close()


@pytest.fixture
def watch(unwatched: SqlBackend) -> Watch:
    """The statements of `backend`."""
    return Watch(unwatched.engine)


@pytest.fixture
def backend(unwatched: SqlBackend, watch: Watch) -> SqlBackend:
    """A back end on a fresh database of each kind."""
    unwatched.create_schema()
    return unwatched


@pytest.fixture
def server(
    request: pytest.FixtureRequest, database_servers: Callable[[str], DatabaseServer]
) -> Iterator[DatabaseServer]:
    """A database server that a test may kill, stop or suspend; it runs again afterwards."""
    server = database_servers(request.param)
    yield server
    server.resume()
    server.start()
