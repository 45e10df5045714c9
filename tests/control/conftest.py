"""A migrated control store on each selected database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from app.control import AuditRecord, ControlStore
from tests.control.clock import Clock
from tests.control.entries import entry
from tests.support.controls import Renewable, new_control


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def renewable(new_database: Callable[[str], str]) -> Callable[[str], Renewable]:
    """The control store of a kind of server that the tests have one after the other."""
    made: dict[str, Renewable] = {}

    def get(kind: str) -> Renewable:
        if kind not in made:
            made[kind] = Renewable(new_database(kind))
        return made[kind]

    return get


@pytest.fixture
def control_url(database: str, renewable: Callable[[str], Renewable], tmp_path: Path) -> str:
    """The address of a new control store on each selected database in turn."""
    return new_control(tmp_path / "control.db") if database == "sqlite" else renewable(database).renew()


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
