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


def in_turn(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """The method of a service that changes something: all its calls of its back end are answered by one replica, and it
    has its turn from the start where the store takes one change at a time."""

    @wraps(method)
    def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self._backend.together(changes=True):
            return method(self, *args, **kwargs)

    return run


def on_one_replica(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """The method of a service, all of whose calls of its back end are answered by one replica."""

    @wraps(method)
    def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self._backend.together():
            return method(self, *args, **kwargs)

    return run
