"""The end of every change: brakes, journal, store, and the answer to the client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.scim.projection import Projection
from app.scim.query import Change, Reference, Resource, ResourceId, Slot, Stamp, Value
from app.scim.registry import ResourceType
from app.scim.representation import Representation
from app.services.brakes import COUNTED, Brakes
from app.services.journal import Recording
from app.services.remit import narrowed
from backends.base import Backend


@dataclass(frozen=True, slots=True)
class Answer:
    """A resource as it is to be sent: its document (None where none is due), its id and its stamp."""

    document: dict[str, Any] | None
    id: ResourceId
    stamp: Stamp


class Commits:
    """Changes of what is there, each of one step of the store."""

    def __init__(self, backend: Backend, brakes: Brakes) -> None:
        self._backend = backend
        self._brakes = brakes

    def commit(
        self,
        resource_type: ResourceType,
        before: Resource,
        read: frozenset[Slot],
        change: Change,
        view: Representation | None,
        recording: Recording,
    ) -> Answer:
        """Make the change and answer; `read` are the slots that `before` would have if they were assigned."""
        change, stamp = narrowed(resource_type, change), before.stamp
        if not change.empty:
            actor, known = recording.write.actor, before.values if read >= COUNTED else None
            with self._brakes.changing(actor, resource_type.name, before.id, change, known):
                recording.intend(change.values, change.relations, before=before.values, read=read)
                stamp = self._backend.update(resource_type.name, before.id, change, expect=before.stamp.version)
        recording.done(stamp, changed=stamp != before.stamp)
        if view is None:
            return Answer(None, before.id, stamp)
        if needs_lookup(resource_type, view.projection, change.values):
            after = self._backend.get(resource_type.name, before.id, view.projection.want)
        else:
            values = {s: v for s, v in {**before.values, **change.values}.items() if v is not None}
            after = replace(before, stamp=stamp, values=values)
        return self.answer(after, view)

    def commit_unread(
        self,
        resource_type: ResourceType,
        id: ResourceId,
        change: Change,
        view: Representation | None,
        recording: Recording,
    ) -> Answer:
        """Make a change that is the same whatever the resource is, and answer."""
        kind, change = resource_type.name, narrowed(resource_type, change)
        with self._brakes.changing(recording.write.actor, kind, id, change):
            recording.intend(change.values, change.relations)
            stamp = self._backend.update(kind, id, change)
        recording.done(stamp)
        if view is None:
            return Answer(None, id, stamp)
        return self.answer(self._backend.get(kind, id, view.projection.want), view)

    def answer(self, resource: Resource, view: Representation, *, inverse: bool = True) -> Answer:
        """The answer with the resource; `inverse` is false for one that nothing can refer to yet."""
        relations: dict[str, list[Reference]] = {}
        for name in view.projection.relations:
            if inverse or view.projection.resource_type.relations[name].stored:
                relations[name] = [r for _, r in self._backend.related(resource.kind, [resource.id], name)]
        return Answer(view.write(resource, relations), resource.id, resource.stamp)


def needs_lookup(resource_type: ResourceType, projection: Projection, written: Mapping[Slot, Value]) -> bool:
    """Whether something that is to be shown follows from what was written, so that the store has to be asked."""
    return any(s in projection.want and lookup.via in written for s, lookup in resource_type.lookups.items())
