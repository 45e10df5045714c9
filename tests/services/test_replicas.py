"""What a service does in one request is asked of one replica."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.scim.registry import load
from app.services.replicas import in_turn, on_one_replica
from backends.base import Backend
from tests.support.reference import ReferenceBackend


class Telling(ReferenceBackend):
    """Tells what happens within `together` and when that ends."""

    def __init__(self) -> None:
        super().__init__(load())
        self.told: list[str] = []

    @contextmanager
    def together(self, *, changes: bool = False) -> Iterator[None]:
        self.told.append("changes" if changes else "reads")
        try:
            yield
        finally:
            self.told.append("end")


class Service:
    def __init__(self) -> None:
        self.backend = Telling()
        self._backend: Backend = self.backend

    @on_one_replica
    def read(self, name: str, *, loud: bool = False) -> str:
        """Reads."""
        return self._done(name, loud=loud)

    @in_turn
    def change(self, name: str, *, loud: bool = False) -> str:
        """Changes."""
        return self._done(name, loud=loud)

    def _done(self, name: str, *, loud: bool) -> str:
        self.backend.told.append(name)
        if name == "fault":
            raise LookupError
        return name.upper() if loud else name


def test_all_of_a_method_is_together() -> None:
    service = Service()
    assert service.read("ann", loud=True) == "ANN"
    assert service.change("ben") == "ben"
    assert service.backend.told == ["reads", "ann", "end", "changes", "ben", "end"]
    assert (Service.read.__doc__, Service.change.__doc__) == ("Reads.", "Changes.")


def test_it_ends_with_a_method_that_fails() -> None:
    service = Service()
    with pytest.raises(LookupError):
        service.change("fault")
    assert service.backend.told == ["changes", "fault", "end"]
