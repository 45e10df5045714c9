"""The journal while nothing but a rehearsal is written: it keeps no record, and knows who writes at the moment."""

from __future__ import annotations

from contextvars import ContextVar

from app.control import Who
from app.services.journal import Write

REHEARSED = "rehearsed"
"""The note of a write that went to the rehearsal, or was then applied from there."""

_NOBODY = Who()
_writer: ContextVar[Who] = ContextVar("landfall_rehearsing", default=_NOBODY)


def writer() -> Who:
    """Who writes to the rehearsal in this thread."""
    return _writer.get()


class RehearsalJournal:
    """Notes on each write that it is a rehearsal. The audit trail claims nothing of a store that was not written to, so
    there is no record of it there."""

    def begin(self, write: Write) -> None:
        """What the store of the rehearsal does next in this thread is done by the one who writes."""
        _writer.set(Who(write.actor.integration_id, write.actor.name))
        _note(write)

    def end(self, write: Write) -> None:
        """Nobody writes any more."""
        _writer.set(_NOBODY)
        _note(write)


def _note(write: Write) -> None:
    if REHEARSED not in write.notes:
        write.notes = (*write.notes, REHEARSED)
