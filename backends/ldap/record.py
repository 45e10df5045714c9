"""The record of an entry: a JSON object in one attribute that holds what the other attributes of the entry can't.

Values in it are valid as long as the attributes beside it are what they were when it was written: where another tool
has changed them since, the attributes win.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from app.scim.query import ResourceId, Slot, Value


@dataclass(frozen=True, slots=True)
class Retirement:
    """Written by the same modification that locks an entry, before it is moved: `at` is the time, `locked` says that it
    was locked before, and `aside` holds what it had, by attribute in lower case, in place of which it has something
    else or nothing."""

    at: datetime
    locked: bool = False
    aside: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, found: Any) -> Retirement | None:
        """What `write` made; None for nothing. Raises ValueError, AttributeError, KeyError or TypeError for others."""
        if not found:
            return None
        aside = {str(name): str(value) for name, value in found.get("aside", {}).items()}
        return cls(datetime.fromisoformat(found["at"]), bool(found.get("locked")), aside)

    def write(self) -> dict[str, Any]:
        """For JSON."""
        parts = {"at": self.at.isoformat(), "locked": self.locked, "aside": dict(self.aside)}
        return {name: value for name, value in parts.items() if value}


@dataclass(frozen=True, slots=True)
class Record:
    """`values` holds slots exactly, None for one that has no value although an attribute seems to give it one.
    `references` holds the id that a slot names and the DN that was written for it, None for an id of nothing.
    `revision` counts the writes of this service, `changed` is the time of the last one and `digest` that of the
    attributes as it left them."""

    values: Mapping[Slot, Value | None] = field(default_factory=dict)
    references: Mapping[Slot, tuple[ResourceId, str | None]] = field(default_factory=dict)
    revision: int = 0
    changed: datetime | None = None
    digest: str = ""
    leaving: bool = False
    """The entry is being deleted."""
    retired: Retirement | None = None
    """The entry is retired, or about to be."""

    @classmethod
    def read(cls, octets: bytes | None) -> Record:
        """The record that an attribute value is; an empty one for none, and for what this service has not written."""
        if not octets:
            return EMPTY
        try:
            found: Any = orjson.loads(octets)
            changed = found.get("changed")
            return cls(
                dict(found.get("values", {})),
                {slot: (id, dn) for slot, (id, dn) in found.get("references", {}).items()},
                int(found.get("revision", 0)),
                datetime.fromisoformat(changed) if changed else None,
                str(found.get("digest", "")),
                bool(found.get("leaving")),
                Retirement.read(found.get("retired")),
            )
        except (ValueError, AttributeError, KeyError, TypeError):
            return EMPTY

    def write(self) -> bytes:
        """The attribute value; nothing for an empty record."""
        parts = {
            "values": self.values,
            "references": self.references,
            "revision": self.revision,
            "changed": self.changed.isoformat() if self.changed else None,
            "digest": self.digest,
            "leaving": self.leaving,
            "retired": self.retired.write() if self.retired else None,
        }
        kept = {name: value for name, value in parts.items() if value}
        return orjson.dumps(kept) if kept else b""

    @property
    def held(self) -> tuple[Slot, ...]:
        """The slots that are wholly or partly here, which a search by attributes alone could miss."""
        dangling = (slot for slot, (_, dn) in self.references.items() if dn is None)
        return tuple(sorted({*self.values, *dangling}))


EMPTY = Record()
