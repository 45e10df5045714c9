"""What the core asks of a store and what comes back: frozen values that cross the seam (design of `backends.base`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.scim.attributes import Attribute
from app.scim.filter.nodes import Bound

Slot = str
"""The canonical path of the smallest unit a store keeps: a singular leaf (`name.familyName`) or a whole
multi-valued attribute (`emails`)."""

Value = Any
"""A slot's value: str, bool, int or float for a singular leaf (a dateTime and a binary stay the text that the client
sent); for a multi-valued attribute a non-empty list, of dicts (sub-attribute name -> str, bool, …) where it is complex.
Never None, never an empty string, list or dict: an unassigned slot is absent."""

ResourceId = str
Version = str


@dataclass(frozen=True, slots=True)
class Stamp:
    """Version and time (UTC) of the last change that was visible; equal stamps mean an equal stored resource."""

    version: Version
    modified: datetime


@dataclass(frozen=True, slots=True)
class Resource:
    """A stored resource without its relations. `kind` is the resource type's name, `created` is in UTC."""

    kind: str
    id: ResourceId
    created: datetime
    stamp: Stamp
    values: Mapping[Slot, Value]


@dataclass(frozen=True, slots=True)
class Reference:
    """The far end of a relation: the id and kind of the other resource and its
    displayName, if it has one."""

    id: ResourceId
    kind: str
    display: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A resource to be created: slot values, and for each relation the ids it starts with."""

    values: Mapping[Slot, Value]
    relations: Mapping[str, tuple[ResourceId, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delta:
    """A change of a relation. Afterwards it holds (what it held, or nothing where `clear`) - remove + add.

    `add` and `remove` do not overlap. Adding what is there and removing what is not are no changes.
    """

    add: tuple[ResourceId, ...] = ()
    remove: tuple[ResourceId, ...] = ()
    clear: bool = False

    @property
    def empty(self) -> bool:
        return not (self.add or self.remove or self.clear)


@dataclass(frozen=True, slots=True)
class Change:
    """A net change: slots that get a value or, with None, become unassigned, and deltas of relations."""

    values: Mapping[Slot, Value | None] = field(default_factory=dict)
    relations: Mapping[str, Delta] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return not self.values and all(delta.empty for delta in self.relations.values())


@dataclass(frozen=True, slots=True)
class Sort:
    """Order by a singular leaf or, for a multi-valued attribute (`attribute` is then the sub-attribute or the simple
    attribute, `within` the multi-valued one), by the primary value, else the first (RFC 7644 section 3.4.2.3)."""

    attribute: Attribute
    within: Attribute | None = None
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a result that is wanted: `start` counts from 1, `count` may be 0 (totals only)."""

    start: int = 1
    count: int = 100


@dataclass(frozen=True, slots=True)
class Within:
    """A place in a directory: the subtrees that have these DNs (RFC 4514) at their top, or with `outside` everything
    else."""

    bases: tuple[str, ...]
    outside: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A search of one kind: the slots wanted in each item, the bound filter (None: all), the order (None: an order
    that is stable while nothing changes), the window and where in a directory (None: anywhere)."""

    want: frozenset[Slot]
    filter: Bound | None = None
    sort: Sort | None = None
    window: Window = field(default_factory=Window)
    within: Within | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Exactly the matches in the window, and the number of all matches."""

    total: int
    items: tuple[Resource, ...]
