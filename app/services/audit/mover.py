"""The thread that takes what a process has told of its writes from its spool into the trail."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from threading import Event, Thread

import structlog

from app.control import AuditTrail, ControlUnavailable
from app.services.audit.aside import Aside
from app.services.audit.lines import Story, take_in, told
from app.services.audit.moving import Sink, move, set_aside
from app.services.audit.recovery import Recovery
from app.services.audit.spool import Spool
from backends.errors import StoreError

LINGER_SECONDS = 0.2
"""How long the first outcome waits for others, to go into the trail together with them."""

CATCH_UP_SECONDS = 1.0
"""How long the thread of another process may take with what it has been told."""

_LOOK_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 1.0
_RETRY_SECONDS = 2.0
_DAY = 86_400
_LARGE = 8 * 1024 * 1024
"""Octets that a spool may have before what has come into the trail is removed although there are begun writes in it."""
_MANY = 2000
"""Lines after which more are taken at once."""

_CLOSE_SECONDS = 10.0
_log = structlog.get_logger("landfall.audit")


class Mover:
    """Works for one spool from `start` to `close`. Between writes it looks for spools that other processes left.

    What can't come into the trail goes to `aside`. `keep_days` 0 keeps records for ever.
    """

    def __init__(
        self, spool: Spool, trail: AuditTrail, recovery: Recovery, aside: Aside, sink: Sink | None, keep_days: int
    ) -> None:
        self.late: deque[bytes] = deque()
        self._spool = spool
        self._trail = trail
        self._recovery = recovery
        self._aside = aside
        self._sink = sink
        self._keep_days = keep_days
        self._told = Event()
        self._closing = Event()
        self._begun: dict[str, Story] = {}
        self._ended: list[Story] = []
        self._strange: list[bytes] = []
        self._next_look = time.monotonic()
        self._next_pruning = 0.0
        self._thread = Thread(target=self._run, name="landfall-audit", daemon=True)

    def start(self) -> None:
        """From now on outcomes come into the trail."""
        self._thread.start()

    def wake(self) -> None:
        """There is an outcome in the spool."""
        if not self._told.is_set():
            self._told.set()

    def close(self) -> None:
        """Everything that ended is in the trail, or still in the spool when that can't be reached; the thread is no
        more."""
        self._closing.set()
        self._told.set()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._closing.is_set():
            if self._told.wait(max(0.0, self._next_look - time.monotonic())) and not self._closing.is_set():
                self._closing.wait(LINGER_SECONDS)
            self._told.clear()
            if not self._step():
                self._closing.wait(_RETRY_SECONDS)
                self._told.set()
        self._step(last=True)

    def _step(self, *, last: bool = False) -> bool:
        """Do what there is to do now; false when some of it has to be tried again."""
        if not self._tried(lambda: self._carry(last=last)):
            return False
        # Each by itself: what others left may be beyond judging for long.
        return last or all([self._tried(self._look), self._tried(self._prune)])

    def _tried(self, part: Callable[[], None]) -> bool:
        try:
            part()
        except (ControlUnavailable, StoreError, OSError) as error:
            _log.warning("records wait in the spool", reason=str(error))
            return False
        except Exception:  # noqa: BLE001 - the thread must outlive whatever it meets
            _log.exception("records wait in the spool")
            return False
        return True

    def _carry(self, *, last: bool) -> None:
        self._tell_late()
        self._move(last=last)

    def _tell_late(self) -> None:
        while self.late:
            self._spool.append(self.late[0])
            self.late.popleft()

    def _move(self, *, last: bool) -> None:
        """Records that come while others are on their way wait for the next step, or many steps would take one each."""
        while True:
            again = bool(self._ended or self._strange)
            lines = [] if again else self._spool.take()
            self._ended += take_in(lines, self._begun, self._strange)
            set_aside(self._aside, self._strange)
            self._strange = []
            move(self._trail, [story.entry() for story in self._ended], self._sink, self._aside)
            self._ended = []
            if not again and len(lines) < _MANY and not (lines and last):
                break
        if self._spool.size and (not self._begun or self._spool.size > _LARGE):
            self._spool.compact([told(story) for story in self._begun.values()])

    def _catch_up(self) -> None:
        """What this process has told is in the trail, and so is, as far as can be known, what others have."""
        self._closing.wait(CATCH_UP_SECONDS)
        self._move(last=False)

    def _look(self) -> None:
        now = time.monotonic()
        if now >= self._next_look:
            waiting = self._recovery.run(self._catch_up).waiting
            self._next_look = now + (_LOOK_AGAIN_SECONDS if waiting else _LOOK_SECONDS)

    def _prune(self) -> None:
        now = time.monotonic()
        if self._keep_days and now >= self._next_pruning:
            self._next_pruning = now + _DAY
            self._trail.prune(int((time.time() - self._keep_days * _DAY) * 1_000_000))
