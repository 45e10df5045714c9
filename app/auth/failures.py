"""What the log tells of those who fail to authenticate, so that whoever tries secrets is seen."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

import structlog

_EACH = 10
_ALL = 100
_WINDOW_SECONDS = 60.0
_LONGEST = 64
_SECRET = re.compile(r"lf[sb]_|eyJ")
"""How the credentials of this service and access tokens begin: somebody has put one into the place of the client id."""

_log = structlog.get_logger("landfall.auth")


class Allowance:
    """How many failures are told: in a minute no more than 10 of one address, and 100 of all, so that nobody can fill
    the log."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._begun = clock()
        self._told: dict[str, int] = {}
        self._left_out = 0

    def take(self, address: str) -> int | None:
        """How many failures were left out since one was told last, of whichever address; None when this one is to be
        left out too."""
        with self._lock:
            now = self._clock()
            if now - self._begun >= _WINDOW_SECONDS:
                self._begun = now
                self._told.clear()
            told = self._told.get(address, 0)
            # Nobody is remembered of whom nothing is told, so that many addresses take no room.
            if told >= _EACH or sum(self._told.values()) >= _ALL:
                self._left_out += 1
                return None
            self._told[address] = told + 1
            left_out, self._left_out = self._left_out, 0
            return left_out


class Failures:
    """Tells the log of failed authentications as far as the allowance goes, and never of a secret or token."""

    def __init__(self, allowance: Allowance | None = None) -> None:
        self._allowance = allowance or Allowance()

    def tell(self, by: str, reason: str, address: str | None, client_id: str | None = None) -> None:
        """One warning: `by` what was tried, why it was refused, from which address and as which client, where that is
        known."""
        address = (address or "-")[:_LONGEST]
        left_out = self._allowance.take(address)
        if left_out is None:
            return
        given = {} if client_id is None else {"client_id": _shown(client_id)}
        before = {"left_out": left_out} if left_out else {}
        _log.warning("authentication failed", by=by, reason=reason, address=address, **given, **before)


def _shown(client_id: str) -> str:
    """The client id as it was given, cut short where it can't be one."""
    if _SECRET.search(client_id):
        return "(a secret)"
    return client_id if len(client_id) <= _LONGEST else f"{client_id[:_LONGEST]}…"
