"""The stores that the conformance suite runs on. A new one is registered here and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial

import pytest
from sqlalchemy import MetaData, create_engine

from app.control import ControlStore, upgrade
from app.control.tables import links
from app.scim.registry import EXTERNAL_ID, Registry
from app.services.linked import Linked
from app.services.rehearsal import Bounds
from backends.base import Backend, Capability
from tests.support import rehearsed
from tests.support.directory_base import Directory
from tests.support.probe import probed
from tests.support.reference import ReferenceBackend
from tests.support.sqlcost import measure

ALL = ~(Capability.SUBTREES | Capability.KEEPS_READ)
"""What is promised by a store that promises everything and is no directory."""

_OF_DIRECTORY = ALL | Capability.SUBTREES | Capability.KEEPS_READ
DEFAULT_BACKENDS = "sqlite,postgresql,mariadb,openldap,389ds,samba"


@dataclass(frozen=True, slots=True)
class Opened:
    """A store in use. `empty` leaves it without resources; `measure` makes a call and gives the work that the store did
    for it, in whatever units it can count exactly (statements, operations, rows or values read). `load` makes users of
    these userNames, beside the back end; it is there where that takes much less time than to create them."""

    backend: Backend
    empty: Callable[[], None]
    measure: Callable[[Callable[[], object]], Mapping[str, int]]
    load: Callable[[Sequence[str]], None] | None = None


@dataclass(frozen=True, slots=True)
class Store:
    """A kind of store. `open` gives a fresh and empty one, and closes it. `share` is the part that it is given of what
    takes long (examples of call sequences, members of the large group): a server gets less than a file.
    `filters` is the part of the generated filters that it is given. A store with `variant_of` is the one of that name
    reached in another way. `modules` are those of the suite that it is given, all where there are none; of what filters
    can ask about it is given every one, or every n-th by `leaf_step`."""

    name: str
    capabilities: Capability
    registry: Registry
    open: Callable[[pytest.FixtureRequest], AbstractContextManager[Opened]]
    share: float = 1.0
    filters: float = 1.0
    variant_of: str | None = None
    modules: tuple[str, ...] = ()
    leaf_step: int = 1


STORES: dict[str, Store] = {}


def register(store: Store) -> None:
    """Afterwards the store can be selected by its name in BACKENDS."""
    STORES[store.name] = store


def selected(*, variants: bool = False) -> list[Store]:
    """The reference, the stores that BACKENDS names, and their variants if those are asked for. Raises
    pytest.UsageError for a name that is not registered."""
    text = os.environ.get("BACKENDS") or DEFAULT_BACKENDS
    names = ["reference", *(name.strip() for name in text.split(",") if name.strip())]
    unknown = [name for name in names if name not in STORES]
    if unknown:
        raise pytest.UsageError(f"BACKENDS names {', '.join(unknown)}; known are {', '.join(STORES)}")
    stores = [STORES[name] for name in dict.fromkeys(names)]
    others = [store for store in STORES.values() if variants and store.variant_of in names]
    return [*stores, *others]


REGISTRY = probed()


@contextmanager
def _open_reference(_: pytest.FixtureRequest) -> Iterator[Opened]:
    backend = ReferenceBackend(REGISTRY)

    def measure_touched(call: Callable[[], object]) -> Mapping[str, int]:
        before = backend.touched
        call()
        return {"touched": backend.touched - before}

    yield Opened(backend, backend.empty, measure_touched)


def without_external_id(registry: Registry) -> Registry:
    """The registry of a store that has no place for externalId in any resource type."""
    types = [replace(t, common=tuple(a for a in t.common if a is not EXTERNAL_ID)) for t in registry.types]
    return replace(registry, types=tuple(types))


@contextmanager
def _open_linked(request: pytest.FixtureRequest) -> Iterator[Opened]:
    """The reference without a place for externalId, and a control store for it."""
    new_database: Callable[[str], str] = request.getfixturevalue("new_database")
    url = new_database("sqlite")
    upgrade(url)
    control, engine = ControlStore(url), create_engine(url)
    inner = ReferenceBackend(without_external_id(REGISTRY))

    def empty() -> None:
        inner.empty()
        with engine.begin() as connection:
            connection.execute(links.delete())

    def measure_touched(call: Callable[[], object]) -> Mapping[str, int]:
        before = inner.touched
        call()
        return {"touched": inner.touched - before}

    try:
        yield Opened(Linked(inner, control.links), empty, measure_touched)
    finally:
        control.close()
        engine.dispose()


@contextmanager
def _open_sql(request: pytest.FixtureRequest, kind: str) -> Iterator[Opened]:
    from backends.sql.backend import SqlBackend

    new_database: Callable[[str], str] = request.getfixturevalue("new_database")
    url = new_database(kind)
    backend = SqlBackend(url, REGISTRY)
    backend.create_schema()
    engine = create_engine(url)
    tables = MetaData()
    tables.reflect(engine)

    def empty() -> None:
        with engine.begin() as connection:
            for table in reversed(tables.sorted_tables):
                connection.execute(table.delete())

    try:
        yield Opened(backend, empty, measure)
    finally:
        backend.close()
        engine.dispose()


for _kind in ("sqlite", "postgresql", "mariadb"):
    register(Store(_kind, ALL, REGISTRY, partial(_open_sql, kind=_kind), share=1.0 if _kind == "sqlite" else 0.2))


@contextmanager
def _open_ldap(request: pytest.FixtureRequest, kind: str, driver: str) -> Iterator[Opened]:
    from tests.support.ldapstores import opened

    servers: Callable[[str], Directory] = request.getfixturevalue("directory_servers")
    with opened(servers(kind), REGISTRY, driver) as (backend, empty, measure, load):
        yield Opened(backend, empty, measure, load)


for _kind in ("openldap", "389ds", "samba"):
    _open = partial(_open_ldap, kind=_kind, driver="ldap3")
    register(Store(_kind, _OF_DIRECTORY, REGISTRY, _open, share=0.1, filters=1.0 if _kind == "openldap" else 0.3))
_open = partial(_open_ldap, kind="openldap", driver="python-ldap")
register(Store("openldap-libldap", _OF_DIRECTORY, REGISTRY, _open, share=0.05, filters=0.1, variant_of="openldap"))
register(Store("linked", ALL, REGISTRY, _open_linked, share=0.2, filters=0.1, variant_of="reference"))
register(Store("reference", ALL, REGISTRY, _open_reference, share=0.2, filters=0.1))


@contextmanager
def _open_rehearsed(
    request: pytest.FixtureRequest, inner: str, control: str, bounds: Bounds | None = None
) -> Iterator[Opened]:
    """A rehearsal around another store of the suite."""

    @contextmanager
    def beneath() -> Iterator[tuple[Backend, Callable[[], None]]]:
        with STORES[inner].open(request) as opened:
            yield opened.backend, opened.empty

    with rehearsed.opened(request, control, beneath(), bounds) as (backend, empty, measure_calls):
        yield Opened(backend, empty, measure_calls)


def _register_rehearsed(
    name: str, inner: str, control: str, share: float, bounds: Bounds | None = None, modules: tuple[str, ...] = ()
) -> None:
    beneath = STORES[inner]
    opening = partial(_open_rehearsed, inner=inner, control=control, bounds=bounds)
    register(Store(name, beneath.capabilities, beneath.registry, opening, share, share, inner, modules, leaf_step=5))


_SOME = ("test_relations", "test_retire", "test_state_machine", "test_versions")
_NARROW = Bounds(excepted=2, page=7)
_register_rehearsed("rehearsed", "sqlite", "sqlite", 0.1)
_register_rehearsed("rehearsed-postgresql", "postgresql", "postgresql", 0.05, modules=(*_SOME, "test_uniqueness"))
_register_rehearsed("rehearsed-mariadb", "mariadb", "mariadb", 0.05, modules=("test_retire", "test_state_machine"))
_register_rehearsed("rehearsed-openldap", "openldap", "sqlite", 0.05, modules=(*_SOME, "test_subtrees", "test_want"))
_register_rehearsed(
    "rehearsed-narrow",
    "reference",
    "sqlite",
    0.1,
    _NARROW,
    ("test_generated_filters", "test_sort_and_windows", "test_state_machine"),
)
