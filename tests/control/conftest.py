"""A migrated control store on each selected database."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from app.control import ControlStore, upgrade
from tests.control.clock import Clock


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
