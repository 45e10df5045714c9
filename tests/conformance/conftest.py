"""The plug point of the suite: each test runs on each selected store that makes the promises it is about."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.scim.query import Resource
from app.scim.registry import Registry
from backends.base import Backend, Capability
from tests.conformance.population import Population, load
from tests.support.filters import leaves
from tests.support.stores import Opened, Store, selected

Race = Callable[[Sequence[Callable[[], Any]]], list[Any]]


def pytest_configure(config: pytest.Config) -> None:
    """Afterwards the marker by which a test names the capabilities that it is about is known."""
    config.addinivalue_line("markers", "needs(capability): runs on the stores that promise the capability")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test that uses a store, directly or not, once for each selected store that can keep its promise; with
    `leaf` also once for everything that a filter can ask about there."""
    if "store" not in metafunc.fixturenames:
        return
    needed = Capability.NONE
    for mark in metafunc.definition.iter_markers("needs"):
        needed |= mark.args[0]
    module = metafunc.module.__name__.rpartition(".")[2]
    stores = [s for s in selected(variants=True) if needed in s.capabilities and module in (s.modules or (module,))]
    # One worker has a module's tests on one store, so that what they share is made once.
    groups = {s.name: pytest.mark.xdist_group(f"{metafunc.module.__name__}-{s.name}") for s in stores}
    if "leaf" in metafunc.fixturenames:
        pairs = [
            pytest.param(s, leaf, id=f"{s.name}-{leaf}", marks=groups[s.name])
            for s in stores
            for leaf in leaves(s.registry)[:: s.leaf_step]
        ]
        metafunc.parametrize(("store", "leaf"), pairs, indirect=["store"], scope="module")
    else:
        singles = [pytest.param(s, id=s.name, marks=groups[s.name]) for s in stores]
        metafunc.parametrize("store", singles, indirect=True, scope="module")


@pytest.fixture(scope="module")
def store(request: pytest.FixtureRequest) -> Store:
    """The kind of store that is tested."""
    chosen: Store = request.param
    return chosen


@pytest.fixture(scope="module")
def opened(store: Store, request: pytest.FixtureRequest) -> Iterator[Opened]:
    """One fresh store for the tests of a module."""
    with store.open(request) as opened:
        yield opened


@pytest.fixture
def backend(opened: Opened) -> Backend:
    """The store without any resource."""
    opened.empty()
    return opened.backend


@pytest.fixture(scope="module")
def registry(store: Store) -> Registry:
    """The resource types that the store was opened for."""
    return store.registry


@pytest.fixture(scope="module")
def population(opened: Opened, store: Store) -> Population:
    """The store with the people and groups of `tests.conformance.population`; tests leave them as they are."""
    opened.empty()
    return load(opened.backend, store.registry)


@pytest.fixture
def read(backend: Backend, registry: Registry) -> Callable[[Resource], Resource]:
    """A function that reads a resource again, with every readable slot."""
    return lambda resource: backend.get(resource.kind, resource.id, registry.type(resource.kind).readable)


@pytest.fixture
def cost(opened: Opened) -> Callable[[Callable[[], object]], Mapping[str, int]]:
    """A function that makes a call and says how much work of each sort the store did for it."""
    return opened.measure


@pytest.fixture
def race() -> Race:
    """A function that starts calls at one moment, each in its thread, and gives what each returned or raised."""

    def run(calls: Sequence[Callable[[], Any]]) -> list[Any]:
        barrier = threading.Barrier(len(calls))

        def start(call: Callable[[], Any]) -> Any:
            barrier.wait(30)
            try:
                return call()
            except Exception as error:
                return error

        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(start, calls))

    return run
