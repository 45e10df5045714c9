"""One request on one replica: a client reads what it has just written."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from backends.base import Backend

P = ParamSpec("P")
T = TypeVar("T")


class _HasBackend(Protocol):
    _backend: Backend


S = TypeVar("S", bound=_HasBackend)


def _together(*, changes: bool) -> Callable[[Callable[Concatenate[S, P], T]], Callable[Concatenate[S, P], T]]:
    def decorate(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
        @wraps(method)
        def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            with self._backend.together(changes=changes):
                return method(self, *args, **kwargs)

        return run

    return decorate


on_one_replica = _together(changes=False)
"""The method of a service, all of whose calls of its back end are answered by one replica."""

in_turn = _together(changes=True)
"""The same of a method that changes something: it has its turn from the start where the store takes one change at a
time."""
