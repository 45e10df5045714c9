"""The lines of a spool: one for each intent, one for each outcome, in JSON."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from app.control import Entry
from app.control.audit_models import fits, microseconds
from app.control.tables import AUDIT_LENGTHS
from app.services.journal import Write

MAX_CHANGES = 6 * 1024 * 1024
"""Octets of values that one record may hold; of more than that their hash is kept. Databases bound a statement."""
_DEEP = 100
"""Levels of a value that are kept; what writes JSON takes no more than 254."""
_LAST = microseconds(datetime.max.replace(tzinfo=UTC))
"""The latest time that can be shown."""
_RECORD = re.compile("[0-9a-f]{32}")
_LATE = ("id", "version", "operation", "notes")
_ASKED = ("attributes", "notes")
_CHANGES = (*_ASKED, "before", "after", "members")


@dataclass(slots=True)
class Story:
    """What a spool tells of one write. `outcome` None: it was begun, and no end is known."""

    record: str
    fields: dict[str, Any]
    outcome: str | None = None

    @property
    def at(self) -> int:
        """When it was about to be made; 0 where the spool has no time."""
        at = self.fields.get("at")
        return at if isinstance(at, int) and not isinstance(at, bool) and 0 <= at <= _LAST else 0

    def entry(self, outcome: str | None = None, resource_id: str | None = None, version: str | None = None) -> Entry:
        """What goes into the trail; what is given stands for what the spool has not. There is an entry whatever JSON
        the spool has: without its details, and saying so, where these are not what they must be."""
        known = self.fields.get
        return Entry(
            record=self.record,
            at=self.at,
            integration_id=_text("integration_id", known("integration_id")) or "",
            actor=_text("actor", known("actor")) or "",
            operation=_text("operation", known("operation")) or "",
            kind=_text("kind", known("kind")) or "",
            resource_id=_text("resource_id", known("id") or resource_id),
            name=_text("name", known("name")),
            outcome=_text("outcome", self.outcome or outcome) or "",
            version=_text("version", known("version") or version),
            changes=_changes(self.fields),
        )


def intent(write: Write, at: int) -> bytes:
    """The line of a write that is about to be made."""
    return _line({"r": write.key, "w": _described(write, at)})


def outcome(write: Write, at: int) -> bytes:
    """The line of a write that has ended; it tells everything where no line of its intent holds."""
    line: dict[str, Any] = {"r": write.key, "o": write.outcome}
    if not write.intended:
        return _line({**line, "w": _described(write, at)})
    known = {"id": write.id, "version": write.version, "operation": write.operation, "notes": write.notes}
    return _line({**line, **{name: value for name, value in known.items() if value}})


def told(story: Story) -> bytes:
    """The line that tells a story as far as it is known, to go on with in another spool."""
    line: dict[str, Any] = {"r": story.record, "w": story.fields}
    return _line(line if story.outcome is None else {**line, "o": story.outcome})


def take_in(lines: Iterable[bytes], stories: dict[str, Story], strange: list[bytes] | None = None) -> list[Story]:
    """The stories that end in these lines; those that have only begun are kept in `stories`, whose own may end here.

    A line that is not whole is passed over: its process ended while it wrote. One that is whole and tells of no write
    is passed over too, and added to `strange`. Nothing is raised, whatever the lines hold.
    """
    ended: list[Story] = []
    for line in lines:
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if not _tells(found):
            if strange is not None:
                strange.append(line)
            continue
        record = found["r"]
        if "w" in found:
            stories[record] = Story(record, found["w"])
        story = stories.get(record)
        if "o" not in found or story is None:
            continue
        del stories[record]
        story.outcome = found["o"]
        story.fields.update((name, found[name]) for name in _LATE if name in found)
        ended.append(story)
    return ended


def _tells(found: Any) -> bool:
    """Whether what a line holds is of a write."""
    if not isinstance(found, dict) or not isinstance(found.get("w", {}), dict):
        return False
    record = found.get("r")
    return isinstance(record, str) and _RECORD.fullmatch(record) is not None


def _described(write: Write, at: int) -> dict[str, Any]:
    return {
        "at": at,
        "integration_id": write.actor.integration_id,
        "actor": write.actor.name,
        "operation": write.operation,
        "kind": write.kind,
        "id": write.id,
        "name": write.name,
        "version": write.version,
        "attributes": write.attributes,
        "notes": write.notes,
        "before": write.before,
        "after": write.after,
        "members": {
            name: {"add": delta.add, "remove": delta.remove, "clear": delta.clear}
            for name, delta in write.relations.items()
            if not delta.empty
        },
    }


def _line(content: dict[str, Any]) -> bytes:
    return _json(content) + b"\n"


def _json(content: Any) -> bytes:
    """The value in JSON, whatever it holds."""
    try:
        return orjson.dumps(content, default=_plain)
    except TypeError:
        return orjson.dumps(_clean(content))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


def _clean(value: Any, depth: int = 0) -> Any:
    """The value with what JSON in UTF-8 can't hold replaced: half a surrogate pair, a number beyond 64 bits, what lies
    too deep, and what JSON does not know, of which the text is kept."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if depth > _DEEP:
        return "\u2026"
    if isinstance(value, Mapping):
        return {_clean(str(name)): _clean(item, depth + 1) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(item, depth + 1) for item in value]
    if value is None or isinstance(value, float) or (isinstance(value, int) and -(2**63) <= value < 2**64):
        return value
    return _clean(str(value))


def _changes(fields: Mapping[str, Any]) -> str:
    text = _json({name: fields[name] for name in _CHANGES if fields.get(name)})
    odd = next((name for name in _CHANGES if fields.get(name) and not fits(name, fields[name])), None)
    if odd is not None or len(text) > MAX_CHANGES:
        omitted = {"octets": len(text), "sha256": hashlib.sha256(text).hexdigest()}
        asked = {name: fields[name] for name in _ASKED if fields.get(name)}
        if odd is not None:
            asked = {"notes": [f"the details can't be told: {odd!r} is not what it must be"]}
        text = orjson.dumps({**asked, "omitted": omitted})
        if len(text) > MAX_CHANGES:
            text = orjson.dumps({"omitted": omitted})
    return text.decode()


def _text(column: str, value: Any) -> str | None:
    """Text that every database keeps as it is, cut to what the column holds; of a value that is none, its JSON."""
    if value is None:
        return None
    text = value if isinstance(value, str) else _json(value).decode()
    return text[: AUDIT_LENGTHS[column]].encode("utf-8", "replace").decode().replace("\0", "\ufffd")
