"""One net change as a store is asked for it: with the ids that it has given to what the rehearsal had created."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.control import Origin, Rehearsal
from app.scim.query import Change, Delta, Draft, Resource, ResourceId, Slot, Stamp, Value
from app.scim.registry import ResourceType
from app.services.rehearsal.copies import noted, own_slots
from app.services.rehearsal.net import Item, Key, Values
from backends.base import Backend


@dataclass(frozen=True, slots=True)
class Sent:
    """A change as the store is asked for it. What refers to a resource that the store does not have yet is `left` for
    later, by the name of the relation or under which a reference is noted."""

    values: Values
    relations: Mapping[str, Delta]
    left: Mapping[str, list[ResourceId]]


class Changed(Exception):
    """The resource is not what it was when it was rehearsed; the message says how."""


class Making:
    """Asks the store `backend` for net changes of a rehearsal. `ids` are those that the store has given, by the keys of
    the items that created the resources."""

    def __init__(self, backend: Backend, rehearsal: Rehearsal) -> None:
        self.ids: dict[Key, ResourceId] = {}
        self._backend = backend
        self._rehearsal = rehearsal

    def id_of(self, item: Item) -> ResourceId:
        """The id that the resource has in the store, as far as it has one."""
        return self.ids.get(item.key, item.copy.id)

    def sent(self, resource_type: ResourceType, item: Item) -> Sent:
        """The change with the ids of the store."""
        values, left = dict(item.after), {}
        for lookup in resource_type.lookups.values():
            far = values.get(lookup.via)
            if far is not None and self._waiting(lookup.kind, [far]):
                del values[lookup.via]
                left[noted(lookup.via)] = [far]
            elif far is not None:
                values[lookup.via] = self.ids.get((lookup.kind, far), far)
        relations = {}
        for name, delta in item.relations.items():
            target = resource_type.relations[name].target
            waiting = self._waiting(target, delta.add)
            left[name] = [far for far in delta.add if far in waiting]
            add = tuple(self.ids.get((target, far), far) for far in delta.add if far not in waiting)
            relations[name] = replace(delta, add=add)
        return Sent(values, relations, {name: far for name, far in left.items() if far})

    def _waiting(self, kind: str, ids: Sequence[ResourceId]) -> set[ResourceId]:
        """Those that the rehearsal has created, and the store has not."""
        copies = self._rehearsal.find(kind, [id for id in ids if (kind, id) not in self.ids])
        return {id for id, copy in copies.items() if copy.origin is Origin.NEW}

    def make(self, resource_type: ResourceType, item: Item, sent: Sent) -> Resource | Stamp | None:
        """What the store made of it: the new resource, the stamp, or nothing where it is gone. Raises Changed, and what
        the store reports."""
        kind, id, values, relations = resource_type.name, self.id_of(item), sent.values, sent.relations
        match item.action:
            case "create":
                return self._backend.create(kind, Draft(there(values), {n: d.add for n, d in relations.items()}))
            case "restore":
                return self._backend.restore(kind, id, Change(values, relations))
            case "purge":
                self._backend.purge(kind, id)
                return None
        live = self._backend.get(kind, id, frozenset(item.before) & own_slots(resource_type))
        expect = live.stamp.version
        self._refuse_changed(item, live)
        if item.action == "update":
            return self._backend.update(kind, id, Change(values, relations), expect=expect)
        remove = self._backend.retire if item.action == "retire" else self._backend.delete
        remove(kind, id, expect=expect)
        return None

    def _refuse_changed(self, item: Item, live: Resource) -> None:
        """Raise Changed where a slot is not what it was. Of what is removed its version was enough to know: a change
        that was made before may have taken a reference from it."""
        if item.action != "update":
            return
        for slot, value in item.before.items():
            if live.values.get(slot) != value:
                raise Changed(f"{slot} was changed in the store since it was rehearsed")


def there(values: Values) -> dict[Slot, Value]:
    """The values that there are."""
    return {slot: value for slot, value in values.items() if value is not None}
