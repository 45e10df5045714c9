"""Fresh SQL back ends, and the database servers that fault tests take away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.scim.registry import Registry, load
from backends.sql.backend import SqlBackend
from tests.conftest import selected_backends
from tests.sql.watching import Watch
from tests.support.servers import DatabaseServer

SERVERS = [kind for kind in selected_backends() if kind != "sqlite"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`server` is each selected database server in turn."""
    if "server" in metafunc.fixturenames:
        metafunc.parametrize("server", SERVERS, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of servers are left out, not skipped, where BACKENDS selects none."""
    here = [i for i in items if i.path.parent == Path(__file__).parent]
    left_out = [i for i in here if not SERVERS and "server" in getattr(i, "fixturenames", ())]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


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
