"""A migrated control store on each selected database."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, create_engine

from app.control import AuditRecord, ControlStore, upgrade
from tests.control.clock import Clock
from tests.control.entries import entry


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def control_url(sql_url: str) -> str:
    upgrade(sql_url)
    return sql_url


@pytest.fixture
def open_store(control_url: str, clock: Clock) -> Iterator[Callable[[], ControlStore]]:
    """Opens the store once more, as another process would."""
    opened: list[ControlStore] = []

    def make() -> ControlStore:
        opened.append(ControlStore(control_url, clock=clock))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], ControlStore]) -> ControlStore:
    return open_store()


@pytest.fixture
def engine(control_url: str) -> Iterator[Engine]:
    """A way past the store, for those who tamper with it."""
    engine = create_engine(control_url)
    yield engine
    engine.dispose()


@pytest.fixture
def filled(store: ControlStore) -> list[AuditRecord]:
    """Five records, in two batches."""
    return [*store.audit.append([entry(n) for n in (1, 2, 3)]), *store.audit.append([entry(4), entry(5)])]
