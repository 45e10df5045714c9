"""The service over real HTTP on each selected store; one running service per store serves the whole run."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from app.control import Access
from app.scim.registry import Registry
from backends.base import Backend
from backends.sql.backend import SqlBackend
from tests.api.schemas import api_registry
from tests.support.reference import ReferenceBackend
from tests.support.service import Client, Service, running
from tests.support.stores import selected

_numbers = itertools.count(1)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test that uses the service, once for each selected store."""
    if "store_name" in metafunc.fixturenames:
        marks = [pytest.param(s.name, marks=pytest.mark.xdist_group(f"api-{s.name}")) for s in selected()]
        metafunc.parametrize("store_name", marks, indirect=True, scope="session")


@pytest.fixture(scope="session")
def store_name(request: pytest.FixtureRequest) -> str:
    """The store under test."""
    return str(request.param)


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The resource types that are served in these tests."""
    return api_registry()


@pytest.fixture(scope="session")
def backend(store_name: str, registry: Registry, new_database: Callable[[str], str]) -> Iterator[Backend]:
    """The store behind the service."""
    if store_name == "reference":
        yield ReferenceBackend(registry)
        return
    backend = SqlBackend(new_database(store_name), registry)
    backend.create_schema()
    yield backend
    backend.close()


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
