"""Read-modify-writes of one resource at the same time: each is made in the end."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from backends.errors import Unavailable, VersionMismatch

T = TypeVar("T")

_QUEUES = 64
"""How many are had at once at most; two resources that share one wait for each other without need."""
_PATIENCE_SECONDS = 10.0
_COURTESY_SECONDS = 0.5
"""How long one waits in a queue before it tries all the same: whoever is first there may need a connection to the store
that those behind it have."""
_FIRST_PAUSE_SECONDS = 0.002
_LONGEST_PAUSE_SECONDS = 0.1


class Contention:
    """Whoever has lost to another change of the same resource gets a queue, in which later changes of this process
    wait too: those of other processes, one each at most, are all that it still contends with."""

    def __init__(self) -> None:
        self._queues = tuple(threading.Lock() for _ in range(_QUEUES))

    def settle(self, thing: tuple[str, str], attempt: Callable[[], T], lost: Callable[[VersionMismatch], None]) -> T:
        """The result of the attempt at a change of the thing, a resource by its type and id: made again after every
        VersionMismatch, of which `lost` is told and may raise something else.

        Raises Unavailable where others come first for ten seconds.
        """
        queue = self._queues[hash(thing) % _QUEUES]
        first = queue.locked() and queue.acquire(timeout=_COURTESY_SECONDS)
        until, pause = time.monotonic() + _PATIENCE_SECONDS, _FIRST_PAUSE_SECONDS
        try:
            while True:
                try:
                    return attempt()
                except VersionMismatch as error:
                    lost(error)
                    if time.monotonic() > until:
                        raise Unavailable(retry_after=1) from error
                first = first or queue.acquire(timeout=_COURTESY_SECONDS)
                time.sleep(random.uniform(0, pause))  # noqa: S311 - spreads contenders, no secret
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        finally:
            if first:
                queue.release()
