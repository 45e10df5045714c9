"""A store that is a dictionary: the plainest reading of the contract, to which the others are compared."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from app.scim.attributes import Uniqueness
from app.scim.filter.evaluate import View, matches, sort_value
from app.scim.fold import fold
from app.scim.query import (
    Change,
    Delta,
    Draft,
    Page,
    Query,
    Reference,
    Resource,
    ResourceId,
    Slot,
    Sort,
    Stamp,
    Value,
    Version,
    Window,
)
from app.scim.registry import Registry, Relation
from app.scim.types import comparable
from backends.base import FIRST_PAGE, Backend, Capability
from backends.errors import Duplicate, NotFound, UnknownReference, VersionMismatch

_DISPLAY: Slot = "displayName"


def order_key(sort: Sort, view: View) -> tuple[bool, Any]:
    """What ascending order goes by; reversed it gives descending order, with absent values first."""
    value = sort_value(sort, view)
    return (value is None, 0 if value is None else value)


@dataclass(slots=True)
class _Entry:
    resource: Resource
    relations: dict[str, dict[ResourceId, None]]


class ReferenceBackend(Backend):
    """Everything in memory under one lock; every capability but that of a directory.

    `touched` counts the resources and members that were looked at or written since the store was made.
    """

    capabilities = ~(Capability.SUBTREES | Capability.KEEPS_READ)

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._lock = threading.RLock()
        self._serial = 0
        self._now = datetime.now(UTC)
        self._entries: dict[str, dict[ResourceId, _Entry]] = {t.name: {} for t in registry.types}
        self._holders: dict[tuple[str, Slot, Any], ResourceId] = {}
        self._retired: dict[str, dict[ResourceId, Resource]] = {t.name: {} for t in registry.types}
        # Many searches follow each other without a change between them.
        self._views: dict[str, list[View]] = {}
        self.touched = 0

    def check(self) -> None:
        """Return: memory is always there."""

    def close(self) -> None:
        """Nothing to give back."""

    def empty(self) -> None:
        """Afterwards there is no resource of any kind; no id comes back."""
        with self._lock:
            self._views.clear()
            for entries in self._entries.values():
                entries.clear()
            self._holders.clear()
            for retired in self._retired.values():
                retired.clear()

    def get(self, kind: str, id: ResourceId, want: frozenset[Slot]) -> Resource:
        with self._lock:
            return self._projected(self._entry(kind, id).resource, want)

    def search(self, kind: str, query: Query) -> Page:
        with self._lock:
            self.touched += len(self._entries[kind])
            views = list(self._seen(kind))
            if query.filter is not None:
                views = [view for view in views if matches(query.filter, view)]
            if query.sort is not None:
                sort = query.sort
                views.sort(key=lambda view: order_key(sort, view), reverse=sort.descending)
            start = max(query.window.start, 1) - 1
            found = views[start : start + max(query.window.count, 0)]
            return Page(len(views), tuple(self._projected(view.resource, query.want) for view in found))

    def create(self, kind: str, draft: Draft) -> Resource:
        with self._lock:
            self._views.clear()
            self._refuse_duplicates(kind, None, draft.values)
            for name, ids in draft.relations.items():
                self._refuse_unknown(self.registry.type(kind).relations[name], ids)
            stamp = self._stamp()
            id = str(uuid.uuid4())
            resource = Resource(kind, id, stamp.modified, stamp, _copied(draft.values))
            names = self.registry.type(kind).relations
            self._hold(kind, id, resource.values)
            self._entries[kind][id] = _Entry(resource, {name: {} for name in names})
            for name, ids in draft.relations.items():
                self._link(kind, id, name, ids)
            return self._projected(resource, frozenset(draft.values))

    def update(self, kind: str, id: ResourceId, change: Change, *, expect: Version | None = None) -> Stamp:
        with self._lock:
            self._views.clear()
            entry = self._entry(kind, id, expect)
            self._refuse_duplicates(kind, id, change.values)
            for name, delta in change.relations.items():
                self._refuse_unknown(self.registry.type(kind).relations[name], delta.add)
            changed = self._assign(entry, change.values)
            for name, delta in change.relations.items():
                changed = self._apply(kind, id, name, delta) or changed
            if changed:
                entry.resource = replace(entry.resource, stamp=self._stamp())
            return entry.resource.stamp

    def delete(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        with self._lock:
            self._views.clear()
            entry = self._entry(kind, id, expect)
            for name, relation in self.registry.type(kind).relations.items():
                far = list(entry.relations[name])
                self._unlink(kind, id, name, far)
                if not relation.stored:
                    for other in far:
                        self._touch(relation.target, other)
            self._release(kind, entry.resource.values)
            del self._entries[kind][id]
            self._forget_lookups(kind, id)

    def retire(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        with self._lock:
            self._views.clear()
            resource = self._entry(kind, id, expect).resource
            self.delete(kind, id)
            retired_at = replace(resource.stamp, modified=self._stamp().modified)
            self._retired[kind][id] = replace(resource, stamp=retired_at)

    def retired(
        self, kind: str, want: frozenset[Slot], names: Sequence[str] | None = None, window: Window = FIRST_PAGE
    ) -> Page:
        with self._lock:
            found = list(self._retired[kind].values())
            if names is not None:
                folded = set(map(fold, names))
                found = [resource for resource in found if folded & set(map(fold, _names(resource)))]
            start = max(window.start, 1) - 1
            items = found[start : start + max(window.count, 0)]
            return Page(len(found), tuple(_with(r, {s: v for s, v in r.values.items() if s in want}) for r in items))

    def restore(self, kind: str, id: ResourceId, change: Change) -> Resource:
        with self._lock:
            self._views.clear()
            kept = self._retired[kind].get(id)
            if kept is None:
                raise NotFound(kind)
            held = dict(kept.values)
            for lookup in self.registry.type(kind).lookups.values():
                if held.get(lookup.via) not in self._entries[lookup.kind]:
                    held.pop(lookup.via, None)
            values = {slot: v for slot, v in {**held, **_copied(change.values)}.items() if v is not None}
            self._refuse_duplicates(kind, None, values)
            del self._retired[kind][id]
            resource = replace(kept, stamp=self._stamp(), values=values)
            self._hold(kind, id, values)
            self._entries[kind][id] = _Entry(resource, {name: {} for name in self.registry.type(kind).relations})
            return self._projected(resource, self.registry.type(kind).readable)

    def purge(self, kind: str, id: ResourceId) -> None:
        with self._lock:
            if self._retired[kind].pop(id, None) is None:
                raise NotFound(kind)

    def related(self, kind: str, ids: Sequence[ResourceId], relation: str) -> Iterator[tuple[ResourceId, Reference]]:
        target = self.registry.type(kind).relations[relation].target
        with self._lock:
            self.touched += len(ids)
            pairs = [
                (id, far)
                for id in dict.fromkeys(ids)
                if id in self._entries[kind]
                for far in self._entries[kind][id].relations[relation]
            ]
        for id, far in pairs:
            with self._lock:
                self.touched += 1
                if far in self._entries[target]:
                    yield id, self._reference(target, far)

    def _entry(self, kind: str, id: ResourceId, expect: Version | None = None) -> _Entry:
        self.touched += 1
        entry = self._entries[kind].get(id)
        if entry is None:
            raise NotFound(kind)
        if expect is not None and expect != entry.resource.stamp.version:
            raise VersionMismatch(kind)
        return entry

    def _stamp(self) -> Stamp:
        self._serial += 1
        self._now = max(datetime.now(UTC), self._now + timedelta(microseconds=1))
        return Stamp(str(self._serial), self._now)

    def _touch(self, kind: str, id: ResourceId) -> None:
        entry = self._entries[kind][id]
        entry.resource = replace(entry.resource, stamp=self._stamp())

    def _unique(self, kind: str, values: Mapping[Slot, Value | None]) -> Iterator[tuple[Slot, Any]]:
        """The comparison form of each value that may be held once."""
        for slot, value in values.items():
            attribute = self.registry.type(kind).slots[slot]
            if value is not None and attribute.uniqueness is not Uniqueness.NONE:
                yield slot, comparable(attribute, value)

    def _refuse_duplicates(self, kind: str, id: ResourceId | None, values: Mapping[Slot, Value | None]) -> None:
        for slot, key in self._unique(kind, values):
            if self._holders.get((kind, slot, key), id) != id:
                raise Duplicate(slot)

    def _hold(self, kind: str, id: ResourceId, values: Mapping[Slot, Value | None]) -> None:
        self._holders.update(((kind, slot, key), id) for slot, key in self._unique(kind, values))

    def _release(self, kind: str, values: Mapping[Slot, Value | None]) -> None:
        for slot, key in self._unique(kind, values):
            del self._holders[kind, slot, key]

    def _refuse_unknown(self, relation: Relation, ids: Iterable[ResourceId]) -> None:
        unknown = [id for id in dict.fromkeys(ids) if id not in self._entries[relation.target]]
        if unknown:
            raise UnknownReference(relation.attribute.name, unknown)

    def _assign(self, entry: _Entry, values: Mapping[Slot, Value | None]) -> bool:
        held = dict(entry.resource.values)
        for slot, value in _copied(values).items():
            if value is None:
                held.pop(slot, None)
            else:
                held[slot] = value
        if held == entry.resource.values:
            return False
        kind, id = entry.resource.kind, entry.resource.id
        self._release(kind, entry.resource.values)
        self._hold(kind, id, held)
        entry.resource = replace(entry.resource, values=held)
        return True

    def _apply(self, kind: str, id: ResourceId, name: str, delta: Delta) -> bool:
        held = self._entries[kind][id].relations[name]
        wanted = set(delta.add)
        gone = [far for far in held if far not in wanted] if delta.clear else [f for f in delta.remove if f in held]
        new = [far for far in delta.add if far not in held]
        self.touched += (len(held) if delta.clear else 0) + len(gone) + len(new)
        self._unlink(kind, id, name, gone)
        self._link(kind, id, name, new)
        return bool(gone or new)

    def _link(self, kind: str, id: ResourceId, name: str, far: Iterable[ResourceId]) -> None:
        relation = self.registry.type(kind).relations[name]
        for other in far:
            self._entries[kind][id].relations[name][other] = None
            self._entries[relation.target][other].relations[relation.inverse][id] = None

    def _unlink(self, kind: str, id: ResourceId, name: str, far: Iterable[ResourceId]) -> None:
        relation = self.registry.type(kind).relations[name]
        for other in far:
            self._entries[kind][id].relations[name].pop(other, None)
            self._entries[relation.target][other].relations[relation.inverse].pop(id, None)

    def _forget_lookups(self, kind: str, id: ResourceId) -> None:
        for holder in self.registry.types:
            vias = {lookup.via for lookup in holder.lookups.values() if lookup.kind == kind}
            for entry in self._entries[holder.name].values():
                gone = {via: None for via in vias if entry.resource.values.get(via) == id}
                if self._assign(entry, gone):
                    entry.resource = replace(entry.resource, stamp=self._stamp())

    def _derived(self, resource: Resource) -> Iterator[tuple[Slot, Value]]:
        for slot, lookup in self.registry.type(resource.kind).lookups.items():
            far = self._entries[lookup.kind].get(resource.values.get(lookup.via, ""))
            if far is not None:
                value = far.resource.id if lookup.source == "id" else far.resource.values.get(lookup.source)
                if value is not None:
                    yield slot, value

    def _projected(self, resource: Resource, want: frozenset[Slot]) -> Resource:
        values = {**resource.values, **dict(self._derived(resource))}
        return replace(resource, values=_copied({slot: values[slot] for slot in want if slot in values}))

    def _reference(self, kind: str, id: ResourceId) -> Reference:
        return Reference(id, kind, self._entries[kind][id].resource.values.get(_DISPLAY))

    def _seen(self, kind: str) -> list[View]:
        if kind not in self._views:
            self._views[kind] = [self._view(entry) for entry in self._entries[kind].values()]
        return self._views[kind]

    def _view(self, entry: _Entry) -> View:
        resource = entry.resource
        values = {**resource.values, **dict(self._derived(resource))}
        relations = self.registry.type(resource.kind).relations
        return View(
            replace(resource, values=values),
            {
                name: [self._reference(relation.target, far) for far in entry.relations[name]]
                for name, relation in relations.items()
            },
        )


def _names(resource: Resource) -> Iterator[str]:
    """The userName of a user and its e-mail addresses."""
    if "userName" in resource.values:
        yield resource.values["userName"]
    yield from (email["value"] for email in resource.values.get("emails", ()) if "value" in email)


def _with(resource: Resource, values: Mapping[Slot, Value]) -> Resource:
    return replace(resource, values=_copied(values))


def _copied(values: Mapping[Slot, Value | None]) -> dict[Slot, Value | None]:
    return {slot: _copy(value) for slot, value in values.items()}


def _copy(value: Value | None) -> Value | None:
    if isinstance(value, list):
        return [dict(item) if isinstance(item, dict) else item for item in value]
    return value
