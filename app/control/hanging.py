"""A server that hangs, told from a connection that has died: the latter is reported at once, and a new one may do."""

from __future__ import annotations

import time

_SECONDS = 5.0


def hung(since: float) -> bool:
    """Whether an answer that failed had been awaited for so long, from that time of `time.monotonic` on, that to ask
    once more would only double the wait."""
    return time.monotonic() - since >= _SECONDS
