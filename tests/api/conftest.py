"""The service over real HTTP. That stores do alike is shown by tests/conformance, so a test of the API runs on one
store, unless it is marked `every_store`. On directories, which are slower, that does not hold for a test with the mark
`every_store(directories=False)`, because no store has a part in it, and only for one of the dialects, which stores know
nothing of. A worker has one running service for each store that it tests."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.control import Access, Dialect
from app.scim.registry import Registry
from backends.base import Backend
from tests.api.opening import opened
from tests.api.schemas import api_registry
from tests.support.directories import DIRECTORY_SERVERS
from tests.support.directory_base import Directory
from tests.support.service import Client, Service, running
from tests.support.stores import ALL, selected

_numbers = itertools.count(1)


def _stores(mark: pytest.Mark | None) -> list[Any]:
    """The names of the selected stores, or of the first that promises everything and is no directory, whose server
    takes long to start; of the reference where there is none, for the rest of the time it is what the others are
    compared with. One worker has everything on one server: it opens the store and starts the service once."""
    real = [store.name for store in selected() if store.name != "reference"]
    if mark is None or not mark.kwargs.get("directories", True):
        real = [name for name in real if name not in DIRECTORY_SERVERS]
    if mark is None:
        fit = {store.name for store in selected() if store.capabilities == ALL}
        real = [name for name in real if name in fit][:1]
    groups = {name: [pytest.mark.xdist_group(f"directory-{name}")] for name in DIRECTORY_SERVERS}
    groups |= {name: [pytest.mark.xdist_group(f"api-{name}")] for name in ("postgresql", "mariadb")}
    return [pytest.param(name, id=name, marks=groups.get(name, [])) for name in real or ["reference"]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that uses the service is run on one store, and with the mark `every_store` on each that is selected."""
    if "store_name" in metafunc.fixturenames:
        stores = _stores(metafunc.definition.get_closest_marker("every_store"))
        metafunc.parametrize("store_name", stores, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On directories what holds for both dialects is shown for one."""
    spare = [item for item in items if _is_repetition(item)]
    if spare:
        config.hook.pytest_deselected(items=spare)
        items[:] = [item for item in items if not _is_repetition(item)]


def _is_repetition(item: pytest.Item) -> bool:
    parameters: dict[str, object] = getattr(getattr(item, "callspec", None), "params", {})
    return parameters.get("store_name") in DIRECTORY_SERVERS and Dialect.RFC in parameters.values()


@pytest.fixture(scope="session")
def store_name(request: pytest.FixtureRequest) -> str:
    """The store under test."""
    return str(request.param)


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The resource types that are served in these tests."""
    return api_registry()


@pytest.fixture(scope="session")
def backend(
    store_name: str,
    registry: Registry,
    new_database: Callable[[str], str],
    directory_servers: Callable[[str], Directory],
) -> Iterator[Backend]:
    """The store behind the service."""
    with opened(store_name, registry, new_database, directory_servers) as backend:
        yield backend


@pytest.fixture(scope="session")
def service(backend: Backend, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The running service."""
    with running(backend, registry, tmp_path_factory.mktemp("home")) as service:
        yield service


@pytest.fixture
def client(service: Service) -> Client:
    """A client with full access that speaks plain RFC 7644."""
    return service.client()


@pytest.fixture
def reader(service: Service) -> Client:
    """A client with read-only access."""
    return service.client(Access.READ_ONLY)


@pytest.fixture
def name() -> str:
    """A user name that no other test uses."""
    return f"user{next(_numbers)}@tern.example"
