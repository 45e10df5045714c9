"""The last step of a record: into the trail, and to whoever is told of it there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Protocol

import orjson
import structlog

from app.control import AuditRecord, AuditTrail, Entry
from app.services.audit.aside import Aside

_BATCH = 200
_BATCH_OCTETS = 4 * 1024 * 1024
_OF_ENTRIES = (TypeError, ValueError, OverflowError)
"""What making a record of an entry raises, and writing it; UnicodeError is a ValueError."""
_log = structlog.get_logger("landfall.audit")


class Sink(Protocol):
    """Gets each record that has come into the trail."""

    def send(self, records: Sequence[AuditRecord]) -> None:
        """The records have been sent as far as that was possible. Must not raise."""

    def close(self) -> None:
        """Give back what it holds; it may be used again."""


def move(trail: AuditTrail, entries: Sequence[Entry], sink: Sink | None, aside: Aside) -> None:
    """Afterwards the entries are in the trail, and those that are new have been given to the sink; an entry that the
    trail can't take is in `aside` and keeps no other one. Raises ControlError and OSError."""
    batch: list[Entry] = []
    octets = 0
    for entry in entries:
        if batch and (len(batch) == _BATCH or octets + len(entry.changes) > _BATCH_OCTETS):
            _append(trail, batch, sink, aside)
            batch, octets = [], 0
        batch.append(entry)
        octets += len(entry.changes)
    _append(trail, batch, sink, aside)


def set_aside(aside: Aside, strange: Iterable[bytes]) -> None:
    """Afterwards these lines of a spool, which tell of no write, are in `aside`. Raises OSError."""
    for line in strange:
        aside.keep(line, "it tells of no write")


def _append(trail: AuditTrail, entries: Sequence[Entry], sink: Sink | None, aside: Aside) -> None:
    try:
        records = trail.append(entries)
    except _OF_ENTRIES as error:
        # An entry brings this about; the others must not wait for it.
        if len(entries) == 1:
            _log.error("the trail does not take a record", record=entries[0].record, exc_info=error)
            aside.keep(orjson.dumps(asdict(entries[0])), f"{type(error).__name__}: {error}")
            return
        for entry in entries:
            _append(trail, [entry], sink, aside)
        return
    if sink is not None and records:
        sink.send(records)
