"""The store as it is while one record after another is taken back in mind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from app.scim.query import Delta, Resource, ResourceId, Slot, Value, Version, Window
from app.services.undo.history import LIFE, Key, Order, Told, same
from app.services.undo.records import Records
from backends.base import Backend, Capability
from backends.errors import NotFound

_RETIRABLE = "User"
_NAMES = 50
_FEW = 50
"""So many far ends are asked for their holders; for more of them the relation of the holder is read as a whole."""


class Life(StrEnum):
    """Where a resource is; the words are for the operator."""

    THERE = "there"
    RETIRED = "retired"
    GONE = "gone"


@dataclass(slots=True)
class Seen:
    """A resource: how it was found, and how it is by now.

    `members` has what was looked at of relations; `everyone` are the relations that were read as a whole. `causes` has
    for each key the numbers of the records that were taken back there, `times` when the last of these was made, and
    `blocked` the keys that stay as they are: true of those over which something else has come.
    """

    kind: str
    id: ResourceId
    name: str
    found: Life
    life: Life
    version: Version | None
    found_values: dict[Slot, Value]
    values: dict[Slot, Value]
    found_members: dict[tuple[str, ResourceId], bool] = field(default_factory=dict)
    members: dict[tuple[str, ResourceId], bool] = field(default_factory=dict)
    everyone: set[str] = field(default_factory=set)
    times: dict[Key, Order] = field(default_factory=dict)
    causes: defaultdict[Key, list[int]] = field(default_factory=lambda: defaultdict(list))
    blocked: dict[Key, bool] = field(default_factory=dict)

    def assign(self, slot: Slot, value: Value | None, cause: Told) -> None:
        """Afterwards the slot has the value."""
        if value is None:
            self.values.pop(slot, None)
        else:
            self.values[slot] = value
        self.take(slot, cause)

    def move(self, life: Life, cause: Told) -> None:
        """Afterwards the resource is elsewhere."""
        self.life = life
        self.take(LIFE, cause)

    def take(self, key: Key, cause: Told) -> None:
        """Afterwards the key is as it was before that record."""
        self.causes[key].append(cause.seq)
        self.times[key] = cause.order

    @property
    def stays_retired(self) -> bool:
        """Whether it is retired now and then, and yet another."""
        return self.found is Life.RETIRED and self.life is Life.RETIRED and bool(self.changed_values())

    def changed_values(self) -> dict[Slot, Value | None]:
        """The slots that are another than they were found."""
        slots = [*self.values, *(slot for slot in self.found_values if slot not in self.values)]
        pairs = ((slot, self.found_values.get(slot), self.values.get(slot)) for slot in slots)
        return {slot: new for slot, old, new in pairs if not same(slot, old, new)}

    def changed_members(self) -> dict[str, Delta]:
        """The members that have come and gone."""
        add: defaultdict[str, list[ResourceId]] = defaultdict(list)
        remove: defaultdict[str, list[ResourceId]] = defaultdict(list)
        for (relation, far), held in self.members.items():
            if held != self.found_members[relation, far]:
                (add if held else remove)[relation].append(far)
        names = dict.fromkeys((*add, *remove))
        return {name: Delta(tuple(add[name]), tuple(remove[name])) for name in names}


class Scene:
    """What was looked at of a store, whose resources are read when they are first asked for."""

    def __init__(self, backend: Backend, records: Records) -> None:
        self._backend = backend
        self._records = records
        self._seen: dict[tuple[str, ResourceId], Seen] = {}

    @property
    def touched(self) -> list[Seen]:
        """The resources that anything was taken back of, first those of the latest records."""
        touched = [seen for seen in self._seen.values() if seen.causes]
        return sorted(touched, key=lambda seen: -max(max(numbers) for numbers in seen.causes.values()))

    def resource(self, kind: str, id: ResourceId) -> Seen:
        """The resource, wherever it is."""
        if (kind, id) not in self._seen:
            self._seen[kind, id] = self._look(kind, id)
        return self._seen[kind, id]

    def is_member(self, holder: Seen, relation: str, far: ResourceId) -> bool:
        """Whether the far end is in the relation. Who has left the store is in none."""
        self.look_at(holder, relation, [far])
        target = self._backend.registry.type(holder.kind).relations[relation].target
        other = self._seen.get((target, far))
        return holder.members[relation, far] and (other is None or other.life is Life.THERE)

    def set_member(self, holder: Seen, relation: str, far: ResourceId, held: bool, cause: Told) -> None:
        """Afterwards the far end is in the relation, or not."""
        self.look_at(holder, relation, [far])
        holder.members[relation, far] = held
        holder.take((relation, far), cause)

    def keep_out(self, kind: str, id: ResourceId) -> None:
        """Afterwards the resource comes into nothing that it was not found in."""
        for holder in self._seen.values():
            relations = self._backend.registry.type(holder.kind).relations
            for relation, far in holder.members:
                if (relations[relation].target, far) == (kind, id) and not holder.found_members[relation, far]:
                    holder.members[relation, far] = False

    def look_at(self, holder: Seen, relation: str, ids: Iterable[ResourceId]) -> None:
        """Afterwards it is known of these whether they are in the relation."""
        new = [far for far in dict.fromkeys(ids) if (relation, far) not in holder.found_members]
        if not new:
            return
        if relation not in holder.everyone and len(new) > _FEW:
            self.look_at_all(holder, relation)
        found = frozenset[ResourceId]() if relation in holder.everyone else self._among(holder, relation, new)
        for far in new:
            if (relation, far) not in holder.found_members:
                holder.found_members[relation, far] = holder.members[relation, far] = far in found

    def look_at_all(self, holder: Seen, relation: str) -> list[ResourceId]:
        """Everyone who was found in the relation."""
        if relation not in holder.everyone and holder.found is Life.THERE:
            for _, reference in self._backend.related(holder.kind, [holder.id], relation):
                if (relation, reference.id) not in holder.found_members:
                    holder.found_members[relation, reference.id] = holder.members[relation, reference.id] = True
        holder.everyone.add(relation)
        return [far for (name, far), held in holder.found_members.items() if name == relation and held]

    def _among(self, holder: Seen, relation: str, ids: Sequence[ResourceId]) -> frozenset[ResourceId]:
        if holder.found is not Life.THERE:
            return frozenset()
        known = self._backend.registry.type(holder.kind).relations[relation]
        pairs = self._backend.related(known.target, ids, known.inverse)
        return frozenset(far for far, reference in pairs if reference.id == holder.id)

    def _look(self, kind: str, id: ResourceId) -> Seen:
        life, resource = self._found(kind, id)
        names = self._records.of(kind, id).names
        values = {} if resource is None else dict(resource.values)
        named = next((str(values[slot]) for slot in ("userName", "displayName") if slot in values), None)
        name = named or (names[0] if names else "")
        version = None if resource is None else resource.stamp.version
        return Seen(kind, id, name, life, life, version, values, dict(values))

    def _found(self, kind: str, id: ResourceId) -> tuple[Life, Resource | None]:
        try:
            return Life.THERE, self._backend.get(kind, id, kept_slots(self._backend, kind))
        except NotFound:
            found = find_retired(self._backend, self._records, kind, id)
            return (Life.GONE, None) if found is None else (Life.RETIRED, found)


def kept_slots(backend: Backend, kind: str) -> frozenset[Slot]:
    """The slots of a kind that can be read and follow from nothing else."""
    resource_type = backend.registry.type(kind)
    return resource_type.readable.intersection(resource_type.slots)


def find_retired(backend: Backend, records: Records, kind: str, id: ResourceId) -> Resource | None:
    """The retired resource: by one of the names that records tell of it, else among all where they tell that it must be
    there."""
    if kind != _RETIRABLE or Capability.RETIRE not in backend.capabilities:
        return None
    history = records.of(kind, id)
    named = _among_retired(backend, kind, id, history.names[:_NAMES]) if history.names else None
    return _among_retired(backend, kind, id, None) if named is None and history.ends_retired else named


def _among_retired(backend: Backend, kind: str, id: ResourceId, names: list[str] | None) -> Resource | None:
    start, total = 1, 1
    while start <= total:
        page = backend.retired(kind, kept_slots(backend, kind), names, Window(start))
        for resource in page.items:
            if resource.id == id:
                return resource
        start, total = start + max(len(page.items), 1), page.total
    return None
