"""The values that the audit trail takes and gives. Times are microseconds since 1970 in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from app.control.errors import ControlError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

FOUND_DONE = "done (found after a crash)"
FOUND_NOT_DONE = "not done (found after a crash)"
FOUND_UNCLEAR = "unclear (found after a crash)"
"""The outcomes of writes whose process ended before it knew: what the store showed afterwards."""

SUCCEEDED = ("done", "unchanged", FOUND_DONE)
"""The outcomes of writes that have not failed."""

_TEXTS = ("record", "integration_id", "actor", "operation", "kind", "outcome", "prev_hash", "hash")
_TEXTS_OR_NONE = ("resource_id", "name", "name_key", "version")
_LEVELS = 200
"""Fewer than what writes JSON takes."""
_OMITTED = {"octets": int, "sha256": str}


@dataclass(frozen=True, slots=True)
class Entry:
    """What is told of one write. `record` tells it from every other one: 32 hexadecimal digits. `at` is when it was
    about to be made. `changes` is a JSON object."""

    record: str
    at: int
    integration_id: str
    actor: str
    operation: str
    kind: str
    resource_id: str | None
    name: str | None
    outcome: str
    version: str | None
    changes: str


@dataclass(frozen=True, slots=True)
class AuditRecord(Entry):
    """An entry in its place in the chain. `name_key` is the folded name; `hash` covers everything else."""

    seq: int
    name_key: str | None
    prev_hash: str
    hash: str

    @property
    def time(self) -> datetime:
        """When the write was about to be made. Of a record that may be damaged see `read`."""
        return moment(self.at)

    @property
    def failed(self) -> bool:
        """True unless the write was made, or had nothing to change."""
        return self.outcome not in SUCCEEDED


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: those that meet all of what is given. `resource` is the id of a resource of that kind or a name
    that it has or had, upper and lower case being equal; `since` a time."""

    kind: str | None = None
    resource: str | None = None
    integration_id: str | None = None
    since: int | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """What became of a look at the whole chain: `count` records from the one after `pruned` on are as they were
    written, and the last of these has the number `last` and the hash `hash`.

    `wrong` is the number of the first record that is not, and `fault` says why; None when there is none.
    """

    count: int
    pruned: int
    last: int
    hash: str
    wrong: int | None = None
    fault: str = ""


class DamagedRecord(ControlError):
    """A record holds what none was ever written with."""

    def __init__(self, seq: object) -> None:
        super().__init__(f"record {plain(seq)} is damaged; run `landfall audit verify`")


@dataclass(frozen=True, slots=True)
class Reading:
    """What can be made of a record. `time` is None where the column `at` is none, `changes` where that is no JSON or no
    account of a write.

    `damaged` names the columns that hold what no record was written with, whoever changed them. That one was changed to
    what might have been written as well is found by `AuditTrail.verify` alone.
    """

    time: datetime | None
    changes: dict[str, Any] | None
    damaged: tuple[str, ...] = ()


def read(record: AuditRecord) -> Reading:
    """What the record tells, whatever is in its columns: a database takes text for a number, octets for text and
    anything for JSON. Nothing is raised."""
    time, changes = _time(record.at), _changes(record.changes)
    sound = {"seq": isinstance(record.seq, int), "at": time is not None, "changes": changes is not None}
    damaged = [name for name, holds in sound.items() if not holds]
    damaged += [name for name in _TEXTS if not _is_text(getattr(record, name))]
    damaged += [name for name in _TEXTS_OR_NONE if not _is_text(getattr(record, name), optional=True)]
    return Reading(time, changes, tuple(damaged))


def fits(name: str, value: object) -> bool:
    """Whether those who read records can read the value, which JSON gave, as what `changes` have by that name. Where
    none of them looks for the name they can read anything."""
    match name:
        case "before" | "after":
            return isinstance(value, dict)
        case "attributes" | "notes":
            return _are_texts(value)
        case "members":
            return isinstance(value, dict) and all(map(_is_delta, value.values()))
        case "omitted":
            return _is_omitted(value)
        case _:
            return True


def plain(value: object) -> str:
    """Text for whatever a column holds; empty for nothing. Octets that are no UTF-8 are in escapes."""
    if value is None:
        return ""
    if isinstance(value, str):
        if value.isascii():
            return value
        value = value.encode("utf-8", "surrogateescape")
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def moment(microseconds: int) -> datetime:
    """The time, in UTC."""
    return _EPOCH + microseconds * _MICROSECOND


def microseconds(time: datetime) -> int:
    """The time as the audit trail has it."""
    return (time - _EPOCH) // _MICROSECOND


def _time(at: object) -> datetime | None:
    try:
        return moment(at) if isinstance(at, int) else None
    except OverflowError:
        # Before the year 1, or after 9999.
        return None


def _changes(text: object) -> dict[str, Any] | None:
    try:
        found = orjson.loads(text) if isinstance(text, str) else None
        if isinstance(text, str) and text.count("{") + text.count("[") > _LEVELS:
            # Of more levels than can be written again it can't be told.
            orjson.dumps(found)
    except (orjson.JSONDecodeError, TypeError):
        return None
    # Everything that is read by name has to be what it was written as.
    return found if isinstance(found, dict) and all(fits(name, value) for name, value in found.items()) else None


def _is_delta(value: object) -> bool:
    return (
        isinstance(value, dict)
        and _are_texts(value.get("add"))
        and _are_texts(value.get("remove"))
        and isinstance(value.get("clear"), bool)
    )


def _is_omitted(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), form) for name, form in _OMITTED.items())


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and {str}.issuperset(map(type, value))


def _is_text(value: object, *, optional: bool = False) -> bool:
    if not isinstance(value, str):
        return optional and value is None
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        # Octets that are no UTF-8 were read as halves of surrogate pairs.
        return False
    return True
