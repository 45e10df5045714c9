"""The values that the rehearsal takes and gives. Times are in UTC, to the microsecond."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Origin(StrEnum):
    """Where a resource was when the rehearsal first wrote to it."""

    NEW = "new"
    """Nowhere: the rehearsal has created it."""
    STORE = "store"
    RETIRED = "retired"
    """In the store, among those that are retired."""


class Fate(StrEnum):
    """What has become of it in the rehearsal."""

    PRESENT = "present"
    RETIRED = "retired"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Who:
    """The integration that writes: id and name; both empty where nobody is known."""

    integration_id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Copy:
    """A resource as the rehearsal has made it.

    `place` is the number of the change by which it came in, `revision` that of the last one; 0 before it is kept.
    `basis` is the version that the store had then, None for a new one, and `before` its values then. `values` are those
    that it has now. `secrets` has the slots that are never returned: true where one would be set, false where it would
    be taken away. Of the relations in `cleared` nothing is left that the store has. The hashes are those of its unique
    name and its externalId, as `digest` makes them.
    """

    kind: str
    id: str
    origin: Origin
    created: datetime
    modified: datetime
    values: Mapping[str, Any]
    fate: Fate = Fate.PRESENT
    basis: str | None = None
    before: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, bool] = field(default_factory=dict)
    cleared: tuple[str, ...] = ()
    place: int = 0
    revision: int = 0
    name_hash: str | None = None
    external_hash: str | None = None
    who: Who = field(default_factory=Who)

    @property
    def version(self) -> str:
        """The version that it has: one that no store issues, as soon as it is kept."""
        return f"r{self.revision}" if self.revision else str(self.basis)

    @property
    def present(self) -> bool:
        """Whether readers find it."""
        return self.fate is Fate.PRESENT


@dataclass(frozen=True, slots=True)
class Key:
    """What resources that are asked for have in common: the id, the hash of the unique name or of the externalId, or a
    mark: the name under which values of an attribute are noted, and the hash of one."""

    id: str | None = None
    name_hash: str | None = None
    external_hash: str | None = None
    mark: tuple[str, str] | None = None
