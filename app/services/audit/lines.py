"""The lines of a spool: one for each intent, one for each outcome, in JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.control import Entry
from app.control.tables import NAME_LENGTH, RESOURCE_LENGTH
from app.services.journal import Write

MAX_CHANGES = 6 * 1024 * 1024
"""Octets of values that one record may hold; of more than that their hash is kept. Databases bound a statement."""
_TEXT = 255
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
        return int(self.fields["at"])

    def entry(self, outcome: str | None = None, resource_id: str | None = None, version: str | None = None) -> Entry:
        """What goes into the trail; what is given stands for what the spool has not."""
        fields = self.fields
        return Entry(
            record=self.record,
            at=self.at,
            integration_id=_cut(fields["integration_id"], 36) or "",
            actor=_cut(fields["actor"], 100) or "",
            operation=fields["operation"],
            kind=fields["kind"],
            resource_id=_cut(fields["id"] or resource_id, RESOURCE_LENGTH),
            name=_cut(fields["name"], NAME_LENGTH),
            outcome=_cut(self.outcome or outcome, 64) or "",
            version=_cut(fields["version"] or version, _TEXT),
            changes=_changes(fields),
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


def take_in(lines: Iterable[bytes], stories: dict[str, Story]) -> list[Story]:
    """The stories that end in these lines; those that have only begun are kept in `stories`, whose own may end here.

    A line that is not whole is passed over: its process ended while it wrote.
    """
    ended: list[Story] = []
    for line in lines:
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError:
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
    try:
        return orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE, default=_plain)
    except TypeError:
        return orjson.dumps(_clean(content), option=orjson.OPT_APPEND_NEWLINE, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


def _clean(value: Any) -> Any:
    """The value with what JSON in UTF-8 can't hold replaced: half a surrogate pair, a number beyond 64 bits."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_clean(str(name)): _clean(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    return value


def _changes(fields: Mapping[str, Any]) -> str:
    text = orjson.dumps({name: fields[name] for name in _CHANGES if fields.get(name)})
    if len(text) > MAX_CHANGES:
        omitted = {"octets": len(text), "sha256": hashlib.sha256(text).hexdigest()}
        asked = {name: fields[name] for name in _ASKED if fields.get(name)}
        text = orjson.dumps({**asked, "omitted": omitted})
        if len(text) > MAX_CHANGES:
            text = orjson.dumps({"omitted": omitted})
    return text.decode()


def _cut(text: str | None, length: int) -> str | None:
    """Text that every database keeps as it is."""
    return None if text is None else text[:length].replace("\0", "\ufffd")
