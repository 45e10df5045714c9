"""The hook by which every write is told of: intent before the store is touched, outcome after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, Protocol
from uuid import uuid4

from app.scim.attributes import Mutability, Returned
from app.scim.query import Delta, ResourceId, Slot, Stamp, Value, Version
from app.scim.registry import ResourceType
from app.services.preconditions import PreconditionFailed
from app.services.remit import OutsideRemit
from backends.errors import (
    Duplicate,
    NotFound,
    Protected,
    ReadOnly,
    RejectedValue,
    TooManyCandidates,
    UnknownReference,
    VersionMismatch,
)

Operation = Literal["create", "replace", "patch", "delete", "adopt", "retire", "restore"]

DONE = "done"
UNCHANGED = "unchanged"
UNCLEAR = "(unclear)"
"""What the outcome of a write ends in that was begun and may have been made: its answer was lost."""
SET = "set"
"""What stands for the value of a secret."""

_REFUSALS = (
    Duplicate,
    NotFound,
    OutsideRemit,
    PreconditionFailed,
    Protected,
    ReadOnly,
    RejectedValue,
    TooManyCandidates,
    UnknownReference,
    VersionMismatch,
)
_NAMES: tuple[Slot, ...] = ("userName", "displayName")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: the integration's id and name, and the dialect that its client speaks."""

    integration_id: str
    name: str
    dialect: Literal["rfc", "entra"] = "rfc"


@dataclass(slots=True)
class Write:
    """One write, of which there is one record, whatever becomes of it. `key` tells it from every other one.

    `id` is unknown before a create; `attributes` are the slots and relations that the request names; `notes` name
    leniencies that were needed; `changed` is false for a write that changed nothing. `outcome` is "open" until it is
    known, then "done", "unchanged" or the class name of what was reported, with UNCLEAR after it where the write may
    have been made all the same; `version` is the stored one after it.

    `before` and `after` hold the slots that change. None is an unassigned slot; a slot that is missing in `before` was
    not read. `relations` has what is added to and removed from relations. A secret is never there: SET stands for it.
    `name` is the userName, else the displayName, where either is known. `intended` is true once the intent is kept;
    until then the store has not been asked for the write.
    """

    actor: Actor
    operation: Operation
    kind: str
    id: ResourceId | None = None
    attributes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    changed: bool = True
    outcome: str = "open"
    key: str = field(default_factory=lambda: uuid4().hex)
    name: str | None = None
    before: Mapping[Slot, Value | None] = field(default_factory=dict)
    after: Mapping[Slot, Value | None] = field(default_factory=dict)
    relations: Mapping[str, Delta] = field(default_factory=dict)
    version: Version | None = None
    intended: bool = False


class Journal(Protocol):
    """Keeps record of writes."""

    def begin(self, write: Write) -> None:
        """The write is about to be made: its intent is known. Called again with another intent when the write is tried
        again, and never for a write that failed before the store was touched.

        Raises `backends.errors.Unavailable` when the intent can't be kept; then the store is not touched.
        """

    def end(self, write: Write) -> None:
        """The outcome is known. Must not raise."""


class Journals:
    """Several journals as one, told in their order."""

    def __init__(self, *journals: Journal) -> None:
        self._journals = journals

    def begin(self, write: Write) -> None:
        """Tell each of the intent."""
        for journal in self._journals:
            journal.begin(write)

    def end(self, write: Write) -> None:
        """Tell each of the outcome."""
        for journal in self._journals:
            journal.end(write)


class Recording:
    """The write in the making: `intend` right before the store is touched, `done` right after it has answered."""

    def __init__(self, journal: Journal, resource_type: ResourceType, write: Write) -> None:
        self.write = write
        self._journal = journal
        self._resource_type = resource_type

    def intend(
        self,
        values: Mapping[Slot, Value | None],
        relations: Mapping[str, Delta] | None = None,
        *,
        before: Mapping[Slot, Value] | None = None,
        read: frozenset[Slot] = frozenset(),
    ) -> None:
        """The journal has been told what the slots and relations become. `before` has the values of those of the slots
        in `read` that are assigned now."""
        write, found = self.write, before or {}
        write.after = without_secrets(self._resource_type, values)
        known = {slot: found.get(slot) for slot in values if slot in read}
        write.before = without_secrets(self._resource_type, known)
        write.relations = relations or {}
        name = next((n for slot in _NAMES if (n := values.get(slot) or found.get(slot)) is not None), None)
        write.name = name or write.name
        self._journal.begin(write)
        write.intended = True

    def withdraw(self) -> None:
        """The store has refused what was intended and nothing has changed: the write is tried again, from the start."""
        self.write.before, self.write.after, self.write.relations = {}, {}, {}
        self.write.intended = False

    def done(self, stamp: Stamp | None, *, id: ResourceId | None = None, changed: bool = True) -> None:
        """The store has made the write: nothing that is reported afterwards alters that. No stamp: it is gone."""
        self.write.id = id or self.write.id
        self.write.version = None if stamp is None else stamp.version
        self.write.changed = changed
        self.write.outcome = DONE if changed else UNCHANGED


@contextmanager
def recorded(journal: Journal, resource_type: ResourceType, write: Write) -> Iterator[Recording]:
    """Tell the journal of a write around the body, which says what it intends and what is done."""
    recording = Recording(journal, resource_type, write)
    try:
        yield recording
    except BaseException as error:
        if write.outcome == "open":
            unclear = write.intended and not _changed_nothing(error)
            write.outcome = f"{type(error).__name__} {UNCLEAR}" if unclear else type(error).__name__
        raise
    finally:
        journal.end(write)


def _changed_nothing(error: BaseException) -> bool:
    """Whether what is reported of a write that was begun tells that nothing has changed; it may have been said in other
    words to the client. Of what was not foreseen nobody knows."""
    return isinstance(error, _REFUSALS) or isinstance(error.__cause__, _REFUSALS)


def without_secrets(resource_type: ResourceType, values: Mapping[Slot, Value | None]) -> dict[Slot, Value | None]:
    """The values, with SET in place of each that no client may read back; an unassigned one stays None."""
    hidden, partly = _secrets(resource_type)
    shown = dict(values)
    for slot in hidden & shown.keys():
        shown[slot] = None if shown[slot] is None else SET
    for slot in partly.keys() & shown.keys():
        if isinstance(elements := shown[slot], list):
            shown[slot] = [{k: SET if k in partly[slot] else v for k, v in element.items()} for element in elements]
    return shown


@lru_cache(maxsize=32)
def _secrets(resource_type: ResourceType) -> tuple[frozenset[Slot], Mapping[Slot, frozenset[str]]]:
    """The slots that are secret as a whole, and the sub-attributes that are within multi-valued ones."""
    whole: set[Slot] = set()
    partly: dict[Slot, frozenset[str]] = {}
    for slot, attribute in resource_type.slots.items():
        if attribute.returned is Returned.NEVER or attribute.mutability is Mutability.WRITE_ONLY:
            whole.add(slot)
        elif names := frozenset(s.name for s in attribute.sub_attributes if s.returned is Returned.NEVER):
            partly[slot] = names
    return frozenset(whole), partly
