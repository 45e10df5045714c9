"""Stores that are cheap to open, for what is the same on each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.scim.registry import load
from backends.base import Backend
from backends.sql.backend import SqlBackend
from tests.support.reference import ReferenceBackend

STORES = ("reference", "sqlite")


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Backend]]:
    """Opens fresh stores of a kind."""
    opened: list[Backend] = []

    def make() -> Backend:
        if request.param == "reference":
            opened.append(ReferenceBackend(load()))
        else:
            sql = SqlBackend(f"sqlite:///{tmp_path / f'{len(opened)}.db'}", load())
            sql.create_schema()
            opened.append(sql)
        return opened[-1]

    yield make
    for backend in opened:
        backend.close()


@pytest.fixture
def inner(store: Callable[[], Backend]) -> Backend:
    """A store as others see it."""
    return store()
