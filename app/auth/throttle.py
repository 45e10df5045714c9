"""Slowing down whoever guesses client secrets (RFC 6749 section 2.3.1)."""

from __future__ import annotations

import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from app.control.values import is_id


class Throttle:
    """Counts failed client authentications by client id and address, in this process.

    Both together: a guesser elsewhere cannot lock out the client that knows its secret.
    """

    def __init__(self, failures_per_minute: int) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._item = RateLimitItemPerMinute(failures_per_minute)

    def wait(self, client_id: str, address: str) -> int:
        """Seconds to wait before the next attempt is looked at; 0 means none."""
        identifiers = _identifiers(client_id, address)
        if self._limiter.test(self._item, *identifiers):
            return 0
        reset = self._limiter.get_window_stats(self._item, *identifiers).reset_time
        return max(1, int(reset - time.time()) + 1)

    def failed(self, client_id: str, address: str) -> None:
        """Count one failure."""
        self._limiter.hit(self._item, *_identifiers(client_id, address))


def _identifiers(client_id: str, address: str) -> tuple[str, str]:
    # Text that cannot be a client id shares one counter for each address.
    return (client_id if is_id(client_id) else "-", address or "-")
