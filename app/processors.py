"""One processor for each worker: the threads of a Python process run in turns, and a turn that moves to another one
wakes it and finds cold caches there (docs/decisions/0017-a-processor-for-each-worker.md)."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress


class Processors:
    """Those that this process may use, to be shared out among so many workers; none where there are fewer of them than
    workers, or where the system keeps no process on one."""

    def __init__(self, workers: int) -> None:
        usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        # Several copies of the service on one machine do not all begin with the first one.
        first = os.getpid() % len(usable) if usable else 0
        self._usable = [*usable[first:], *usable[:first]] if len(usable) >= workers else []

    def keep(self, place: int) -> None:
        """Afterwards this process runs on the processor of that place alone."""
        if self._usable:
            # It may have been taken away since; then the system decides, as before.
            with suppress(OSError):
                os.sched_setaffinity(0, {self._usable[place % len(self._usable)]})


def free_place(taken: Collection[int]) -> int:
    """The first place that nobody has."""
    return next(place for place in range(len(taken) + 1) if place not in taken)
