"""What stays of a change that was made: what of it could not be, and what clients have rehearsed meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from app.control import Copy, Fate, Origin, Rehearsal
from app.control.rehearsal import Writing
from app.scim.query import Resource, ResourceId, Slot, Stamp
from app.scim.registry import Registry
from app.services.rehearsal.copies import note, noted
from app.services.rehearsal.making import Making, Sent, there
from app.services.rehearsal.net import Item, Key


class Remains:
    """Takes what was made out of the rehearsal. `keys` are those of the resources of which something stays, `waiting`
    those of them of which nothing but references to others stays, that the store did not have."""

    def __init__(self, rehearsal: Rehearsal, registry: Registry, making: Making) -> None:
        self.keys: set[Key] = set()
        self.waiting: set[Key] = set()
        self._rehearsal = rehearsal
        self._registry = registry
        self._making = making

    def leave(self, item: Item, id: ResourceId, made: Resource | Stamp | None, sent: Sent) -> None:
        """What was made, of the resource that has that id in the store, is in the rehearsal no more; what of it was
        not, or was rehearsed meanwhile, stays there as a change of what the store has now."""
        kind, here = item.copy.kind, self._making.id_of(item)
        stamp = made.stamp if isinstance(made, Resource) else made
        with self._rehearsal.writing() as writing:
            copy = self._rehearsal.find(kind, [here]).get(here)
            if id != here:
                self._making.ids[item.key] = id
                for holder, via in self._referring(kind, here):
                    writing.put(replace(holder, values={**holder.values, via: id}))
                writing.rename_far(here, id)
            if copy is None:
                if item.action == "create" and stamp is not None:
                    self._delete(writing, item, id, stamp, sent)
                return
            touched = copy.revision != item.copy.revision
            # What was cleared is so in the store by now, unless a client did it since.
            if not touched:
                copy = replace(copy, cleared=())
            far = self._far(copy, sent) if stamp is not None else {}
            writing.drop(kind, here)
            (self.waiting.add if sent.left and not touched else self.waiting.discard)((kind, id))
            if stamp is not None and (sent.left or touched or not copy.present):
                self._stay(writing, replace(copy, id=id, basis=stamp.version), item, sent, far)
            elif item.action == "retire" and touched and copy.present:
                kept = replace(copy, origin=Origin.RETIRED, before=there(item.before), cleared=())
                self._keep(writing, kept)

    def _delete(self, writing: Writing, item: Item, id: ResourceId, stamp: Stamp, sent: Sent) -> None:
        """A client has deleted the resource while it was created."""
        number, values = writing.next(), there(sent.values)
        gone = replace(item.copy, id=id, origin=Origin.STORE, fate=Fate.GONE, basis=stamp.version, before=values)
        writing.put(replace(gone, values=values, secrets={}, place=number, revision=number))

    def _far(self, copy: Copy, sent: Sent) -> dict[str, dict[bool, list[ResourceId]]]:
        """By the name of the relation, whom the rehearsal still adds to those that the store has as they were sent,
        and whom it removes from those."""
        found: dict[str, dict[bool, list[ResourceId]]] = {}
        for name, relation in self._registry.type(copy.kind).relations.items():
            if not relation.stored:
                continue
            now = {
                added: [
                    self._making.ids.get((relation.target, far), far)
                    for far in self._rehearsal.related(copy.kind, copy.id, name, added=added)
                ]
                for added in (True, False)
            }
            delta = sent.relations.get(name)
            if delta is not None and name not in copy.cleared:
                made = {True: delta.add, False: delta.remove}
                taken_back = {added: set(made[added]).difference(now[added]) for added in made}
                now = {a: [*(f for f in now[a] if f not in set(made[a])), *sorted(taken_back[not a])] for a in made}
            found[name] = now
        return found

    def _stay(
        self, writing: Writing, copy: Copy, item: Item, sent: Sent, far: dict[str, dict[bool, list[ResourceId]]]
    ) -> None:
        """Keep the copy as one of a resource that the store has as it was sent."""
        values, first = dict(copy.values), item.copy.secrets
        for lookup in self._registry.type(copy.kind).lookups.values():
            if lookup.via in values:
                values[lookup.via] = self._making.ids.get((lookup.kind, values[lookup.via]), values[lookup.via])
        before = there({**item.copy.before, **sent.values})
        secrets = {slot: is_set for slot, is_set in copy.secrets.items() if first.get(slot) is not is_set}
        self._keep(writing, replace(copy, origin=Origin.STORE, before=before, values=values, secrets=secrets))
        for name, sides in far.items():
            for added, ids in sides.items():
                writing.relate(copy.kind, copy.id, name, list(dict.fromkeys(ids)), added=added)

    def _keep(self, writing: Writing, copy: Copy) -> None:
        writing.put(copy)
        note(writing, self._registry.type(copy.kind), None, copy)
        self.keys.add((copy.kind, copy.id))

    def _referring(self, kind: str, id: ResourceId) -> Iterator[tuple[Copy, Slot]]:
        for resource_type in self._registry.types:
            for via in {lookup.via for lookup in resource_type.lookups.values() if lookup.kind == kind}:
                nears = [near for near, _ in self._rehearsal.relating(resource_type.name, noted(via), [id])]
                found = self._rehearsal.find(resource_type.name, nears)
                yield from ((copy, via) for copy in found.values() if (copy.kind, copy.id) != (kind, id))
