"""Turns of changes of one entry, where these would hinder each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from app.scim.query import ResourceId

_STRIPES = 64
_SECONDS = 10.0
"""Then it goes on all the same: a server that hangs is found out by each for itself. Far more than many changes of one
entry take on a slow server: of two that were made without turns both may be told the version of the later one."""


class Turns:
    """Changes of one entry follow each other in this process, each from its read to the version that it made, where
    the server does not compare versions or does not tell them: where turns are `needed`. Of those that expect the same
    version the later ones find out by reading: 389 Directory Server may lose other writes for each that it refuses (its
    issue 5944)."""

    def __init__(self, *, needed: bool) -> None:
        self._needed = needed
        self._stripes = [Lock() for _ in range(_STRIPES)]

    @contextmanager
    def of(self, id: ResourceId) -> Iterator[None]:
        """One change of that entry. Who has a turn and waits for another may wait for ever."""
        if not self._needed:
            yield
            return
        lock = self._stripes[hash(id) % _STRIPES]
        taken = lock.acquire(timeout=_SECONDS)
        try:
            yield
        finally:
            if taken:
                lock.release()
