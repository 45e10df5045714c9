"""One net change as a store is asked for it: with the ids that it has given to what the rehearsal had created."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from app.control import Origin, Rehearsal
from app.scim.filter.nodes import Or
from app.scim.query import Change, Delta, Draft, Resource, ResourceId, Slot, Stamp, Value, Version
from app.scim.registry import ResourceType
from app.services.rehearsal.beneath import Beneath
from app.services.rehearsal.copies import noted, own_slots
from app.services.rehearsal.net import Item, Key, Values
from app.services.veil import reports_to
from backends.base import Backend

_NAMED = 3
_ENDS = ("retire", "delete")
_NAMES: frozenset[Slot] = frozenset(("userName", "displayName"))


@dataclass(frozen=True, slots=True)
class Sent:
    """A change as the store is asked for it. What refers to a resource that the store does not have yet is `left` for
    later, by the name of the relation or under which a reference is noted."""

    values: Values
    relations: Mapping[str, Delta]
    left: Mapping[str, list[ResourceId]]

    @property
    def empty(self) -> bool:
        """Whether nothing is changed by it."""
        return not self.values and all(delta.empty for delta in self.relations.values())


class Changed(Exception):
    """The resource is not what it was when it was rehearsed; the message says how."""


class Making:
    """Asks the store `backend` for net changes of a rehearsal. `ids` are those that the store has given, by the keys of
    the items that created the resources."""

    def __init__(self, backend: Backend, rehearsal: Rehearsal) -> None:
        self.ids: dict[Key, ResourceId] = {}
        self._backend = backend
        self._rehearsal = rehearsal
        self._beneath = Beneath(backend)
        self._versions: dict[Key, Version] = {}
        self._moved: set[Key] = set()
        self._ended: set[Key] = set()

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

    def found(self, resource_type: ResourceType, item: Item) -> Resource | None:
        """What is to be changed or removed as the store has it now, None where that is not among the others. Raises
        Changed, NotFound."""
        if item.action not in ("update", *_ENDS):
            return None
        own = own_slots(resource_type)
        want = own if item.action in _ENDS else own.intersection(item.before)
        live = self._backend.get(resource_type.name, self.id_of(item), want)
        if item.action == "update":
            _refuse_other(live, self._without_ended(resource_type, item.before, live.values))
        else:
            self._refuse_moved(resource_type, item, live)
        return live

    def make(
        self, resource_type: ResourceType, item: Item, sent: Sent, live: Resource | None
    ) -> Stamp | Resource | None:
        """What the store made of it: the new resource, the stamp, or nothing where it is gone. `live` is what `found`
        gave. Raises what the store reports."""
        kind, id = resource_type.name, self.id_of(item)
        if live is not None:
            self._note_moved(resource_type, item, sent)
        made = self._make(kind, id, item, sent, live)
        if isinstance(made, Resource):
            self._versions[kind, made.id] = made.stamp.version
        elif made is not None:
            self._versions[kind, id] = made.version
        return made

    def _make(
        self, kind: str, id: ResourceId, item: Item, sent: Sent, live: Resource | None
    ) -> Stamp | Resource | None:
        values, relations = sent.values, sent.relations
        if item.action == "create":
            return self._backend.create(kind, Draft(there(values), {n: d.add for n, d in relations.items()}))
        if item.action == "restore":
            return self._backend.restore(kind, id, Change(values, relations))
        if item.action == "purge" or live is None:
            self._backend.purge(kind, id)
            return None
        expect = live.stamp.version
        if item.action == "update":
            return self._backend.update(kind, id, Change(values, relations), expect=expect)
        remove = self._backend.retire if item.action == "retire" else self._backend.delete
        remove(kind, id, expect=expect)
        self._ended.add((kind, id))
        return None

    def _without_ended(self, resource_type: ResourceType, values: Values, live: Values) -> Values:
        """The values without references to those who were ended here, where the store has these no more: they went
        with them."""
        kinds = {lookup.via: lookup.kind for lookup in resource_type.lookups.values()}
        gone = {slot for slot, kind in kinds.items() if slot not in live and (kind, values.get(slot)) in self._ended}
        return {slot: None if slot in gone else value for slot, value in values.items()}

    def _refuse_moved(self, resource_type: ResourceType, item: Item, live: Resource) -> None:
        """Raise Changed where the resource is in another version, and not by what was made here of others."""
        key = (resource_type.name, live.id)
        if live.stamp.version == self._versions.get(key, item.copy.basis):
            return
        if key not in self._moved:
            raise Changed("it was changed in the store since it was rehearsed")
        # What was made here may have taken a reference from it.
        vias = {lookup.via for lookup in resource_type.lookups.values()}
        slots = (*item.before, *live.values) if key not in self._versions else ()
        _refuse_other(live, {slot: item.before.get(slot) for slot in slots if slot not in vias})

    def _note_moved(self, resource_type: ResourceType, item: Item, sent: Sent) -> None:
        """Keep in mind whose version the change may move too: of those whom it relates or not any more, and where it
        ends or renames the resource, of all that it refers to or that refer to it."""
        kind, id = resource_type.name, self.id_of(item)
        for name, delta in sent.relations.items():
            target = resource_type.relations[name].target
            self._moved.update((target, far) for far in (*delta.add, *delta.remove))
        if item.action == "update" and not _NAMES.intersection(sent.values):
            return
        for name, relation in resource_type.relations.items():
            self._moved.update((relation.target, far.id) for _, far in self._backend.related(kind, [id], name))
        for holder in self._backend.registry.types:
            tests = reports_to(holder, kind, id)
            if tests:
                self._moved.update(
                    (holder.name, near) for near in self._beneath.matching(holder.name, Or(tuple(tests)))
                )


def _refuse_other(live: Resource, values: Values) -> None:
    for slot, value in values.items():
        if live.values.get(slot) != value:
            raise Changed(f"{slot} was changed in the store since it was rehearsed")


def without_missing(item: Item) -> Iterator[str]:
    """What is to be told of those who are no longer there and so are not added."""
    for name, ids in item.missing.items():
        others = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
        yield f"{name}: no longer there: {', '.join(ids[:_NAMED])}{others}"


def there(values: Values) -> dict[Slot, Value]:
    """The values that there are."""
    return {slot: value for slot, value in values.items() if value is not None}
