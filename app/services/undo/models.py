"""What an undo would change, what it can't, and what there is nothing to do about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from app.scim.query import Delta, ResourceId, Slot, Value, Version
from app.services.journal import Actor

OPERATOR = Actor("operator", "operator")
"""Who undoes."""

Kind = Literal["patch", "retire", "restore", "delete"]


@dataclass(frozen=True, slots=True)
class Step:
    """One write that takes back what the records with the numbers `records` did to a resource, the latest first.

    `values` and `relations` are what it writes; `before` has what each slot of `values` has now, None where nothing.
    By a step that takes a resource away nothing is written: `before` has what it was seen to have. `version` is that
    which what is taken away or comes back must still have, if any. `planned` is the number of the last record that
    there was by then. `notes` are for the operator.
    """

    operation: Kind
    kind: str
    id: ResourceId
    name: str
    records: tuple[int, ...]
    values: Mapping[Slot, Value | None] = field(default_factory=dict)
    before: Mapping[Slot, Value | None] = field(default_factory=dict)
    relations: Mapping[str, Delta] = field(default_factory=dict)
    version: Version | None = None
    planned: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Conflict:
    """What stays as it is although one of the records did it.

    `slot` is the slot or relation, empty for the resource as a whole, and `member` the far end of a relation.
    `recorded` is what the record left, and `present` what is there now: values of the slot, or of a relation whether
    `member` is in it. `reason` is a clause for the operator.
    """

    records: tuple[int, ...]
    kind: str
    id: ResourceId | None
    name: str
    reason: str
    slot: Slot = ""
    member: ResourceId | None = None
    recorded: Value | None = None
    present: Value | None = None


@dataclass(frozen=True, slots=True)
class Idle:
    """A record that there is nothing to undo of."""

    record: int
    reason: str


@dataclass(frozen=True, slots=True)
class Undoing:
    """What it takes to undo some records: `steps` in the order in which they have to be made."""

    steps: tuple[Step, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    idle: tuple[Idle, ...] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """The steps that were made, and what turned out to be a conflict only then."""

    steps: tuple[Step, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
