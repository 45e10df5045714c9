"""The journal of the audit: it only appends to the spool of its process, and leaves the rest to a thread."""

from __future__ import annotations

import time
from threading import Lock

import structlog

from app.control import AuditTrail
from app.services.audit.lines import intent, outcome
from app.services.audit.mover import Mover
from app.services.audit.moving import Sink
from app.services.audit.recovery import Recovery
from app.services.audit.spool import Spool, Spools
from app.services.journal import Write
from backends.errors import Unavailable

_log = structlog.get_logger("landfall.audit")


class AuditJournal:
    """Keeps the intent of every write before the store is touched, and its outcome after that.

    It opens its spool with the first write or with `start`, whichever comes first, in the process that makes it. With
    `sync` an intent is on the disk before the store is touched. What comes into the trail is given to `sink` too.
    `keep_days` is for how long, 0 for ever.
    """

    def __init__(
        self,
        trail: AuditTrail,
        spools: Spools,
        recovery: Recovery,
        *,
        sync: bool = False,
        keep_days: int = 0,
        sink: Sink | None = None,
    ) -> None:
        self._trail = trail
        self._spools = spools
        self._recovery = recovery
        self._sync = sync
        self._keep_days = keep_days
        self._sink = sink
        self._lock = Lock()
        self._at_work: tuple[Spool, Mover] | None = None

    def start(self) -> None:
        """What other processes left is looked after from now on, though there may be no write for long."""
        try:
            self._opened()
        except OSError as error:
            _log.error("the spool of the audit can't be opened", reason=str(error))

    def begin(self, write: Write) -> None:
        """The intent is in the spool. Raises Unavailable when it can't be kept there."""
        try:
            spool, _ = self._at_work or self._opened()
            spool.append(intent(write, _now()), sync=self._sync)
        except OSError as error:
            _log.error("a write is refused because its intent can't be kept", reason=str(error))
            raise Unavailable from error

    def end(self, write: Write) -> None:
        """The outcome is in the spool, or will be as soon as it can be."""
        line = outcome(write, _now())
        try:
            spool, mover = self._at_work or self._opened()
        except OSError as error:
            _log.error("an outcome can't be kept", record=write.key, outcome=write.outcome, reason=str(error))
            return
        try:
            spool.append(line)
        except OSError as error:
            _log.error("an outcome is kept later", record=write.key, outcome=write.outcome, reason=str(error))
            mover.late.append(line)
        mover.wake()

    def close(self) -> None:
        """What ended is in the trail, or in the spool when that can't be reached."""
        with self._lock:
            if self._at_work is not None:
                spool, mover = self._at_work
                self._at_work = None
                mover.close()
                spool.close()
                if self._sink is not None:
                    self._sink.close()

    def _opened(self) -> tuple[Spool, Mover]:
        with self._lock:
            if self._at_work is None:
                spool = self._spools.open()
                mover = Mover(spool, self._trail, self._recovery, self._spools.aside, self._sink, self._keep_days)
                mover.start()
                self._at_work = spool, mover
            return self._at_work


def _now() -> int:
    return time.time_ns() // 1000
