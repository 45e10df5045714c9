"""Writing to a rehearsed store: what a write would have changed is in the rehearsal afterwards, and nowhere else."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from app.control import Copy, Fate, Key, Origin, Who
from app.control.rehearsal import Writing, digest, storable
from app.scim.filter.nodes import Compare, Op, Or
from app.scim.query import Change, Delta, Draft, Query, Resource, ResourceId, Slot, Stamp, Value, Version, Window
from app.scim.registry import Relation, ResourceType
from app.services.rehearsal.beneath import NOTHING
from app.services.rehearsal.copies import (
    apart,
    hashed,
    is_name,
    note,
    noted,
    own_slots,
    secret_slots,
    stamp_of,
    unique_values,
)
from app.services.rehearsal.seen import Seen
from app.services.veil import reports_to
from backends.errors import Duplicate, NotFound, UnknownReference, VersionMismatch

_MICROSECOND = timedelta(microseconds=1)
_SAME = 10
"""How many are looked at that have a unique value: all but one were changed."""


class Written:
    """Each method is one write to the rehearsal; `who` tells by whom."""

    def __init__(self, seen: Seen, who: Callable[[], Who]) -> None:
        self._seen = seen
        self._rehearsal = seen.rehearsal
        self._registry = seen.beneath.registry
        self._who = who

    def create(self, kind: str, draft: Draft) -> Resource:
        """As `Backend.create`, with an id of the rehearsal."""
        resource_type, now = self._registry.type(kind), self._rehearsal.now()
        values, secrets = _without_secrets(resource_type, draft.values)
        with self._rehearsal.writing() as writing:
            self._refuse_duplicates(resource_type, None, values)
            for name, ids in draft.relations.items():
                self._refuse_unknown(resource_type.relations[name], ids)
            copy = Copy(kind, str(uuid.uuid4()), Origin.NEW, now, now, _assigned(values), secrets=secrets)
            copy = self._put(writing, None, copy)
            for name, ids in draft.relations.items():
                writing.relate(kind, copy.id, name, list(dict.fromkeys(ids)), added=True)
        return Resource(kind, copy.id, copy.created, stamp_of(copy), apart(copy.values))

    def update(self, kind: str, id: ResourceId, change: Change, expect: Version | None) -> Stamp:
        """As `Backend.update`."""
        resource_type = self._registry.type(kind)
        values, secrets = _without_secrets(resource_type, change.values)
        with self._rehearsal.writing() as writing:
            before = self.copy(kind, id, expect)
            after = replace(
                before, values=_assigned({**before.values, **values}), secrets={**before.secrets, **secrets}
            )
            changed = {slot: value for slot, value in values.items() if before.values.get(slot) != value}
            self._refuse_duplicates(resource_type, id, changed)
            linked = False
            for name, delta in change.relations.items():
                relation = resource_type.relations[name]
                cleared = self._relate(writing, before, relation, delta)
                linked = linked or cleared is not None
                if cleared and name not in after.cleared:
                    after = replace(after, cleared=(*after.cleared, name))
            # Setting a password is a change, for nobody knows the one before, and so is removing what may be there.
            held = before.secrets
            hidden = any(is_set or held.get(slot, before.basis is not None) for slot, is_set in secrets.items())
            if not (changed or linked or hidden):
                return stamp_of(before)
            return stamp_of(self._put(writing, before, after))

    def delete(self, kind: str, id: ResourceId, expect: Version | None) -> None:
        """As `Backend.delete`."""
        with self._rehearsal.writing() as writing:
            before = self.copy(kind, id, expect)
            self._leave(writing, before)
            self._end(writing, before)

    def retire(self, kind: str, id: ResourceId, expect: Version | None) -> None:
        """As `Backend.retire`."""
        with self._rehearsal.writing() as writing:
            before = self.copy(kind, id, expect)
            self._leave(writing, before)
            own = {lookup.via for lookup in self._registry.type(kind).lookups.values() if lookup.kind == kind}
            values = {slot: value for slot, value in before.values.items() if slot not in own or value != id}
            self._put(writing, before, replace(before, values=values, fate=Fate.RETIRED))

    def restore(self, kind: str, id: ResourceId, change: Change) -> ResourceId:
        """As `Backend.restore`; gives the id."""
        resource_type = self._registry.type(kind)
        values, secrets = _without_secrets(resource_type, change.values)
        with self._rehearsal.writing() as writing:
            kept = self._retired(resource_type, id)
            held = dict(kept.values)
            for lookup in resource_type.lookups.values():
                via = lookup.via
                if via in held and via not in values and not self._seen.there(lookup.kind, [held[via]]):
                    del held[via]
            after = replace(
                kept,
                values=_assigned({**held, **values}),
                secrets={**kept.secrets, **secrets},
                fate=Fate.PRESENT,
            )
            self._refuse_duplicates(resource_type, id, after.values)
            for name, delta in change.relations.items():
                self._relate(writing, after, resource_type.relations[name], delta)
            self._put(writing, None, after)
        return id

    def purge(self, kind: str, id: ResourceId) -> None:
        """As `Backend.purge`."""
        with self._rehearsal.writing() as writing:
            self._end(writing, self._retired(self._registry.type(kind), id))

    def copy(self, kind: str, id: ResourceId, expect: Version | None = None) -> Copy:
        """The resource as it is now, from the rehearsal or, to be kept there, from the store. Raises NotFound,
        VersionMismatch."""
        copy = self._rehearsal.find(kind, [id]).get(id)
        if copy is None:
            if not storable(id):
                raise NotFound(kind)
            live = self._seen.beneath.inner.get(kind, id, own_slots(self._registry.type(kind)))
            copy = _taken(live, Origin.STORE)
        elif not copy.present:
            raise NotFound(kind)
        if expect is not None and expect != copy.version:
            raise VersionMismatch(kind)
        return copy

    def _retired(self, resource_type: ResourceType, id: ResourceId) -> Copy:
        copy = self._rehearsal.find(resource_type.name, [id]).get(id)
        if copy is not None:
            if copy.fate is not Fate.RETIRED:
                raise NotFound(resource_type.name)
            return copy
        live = None
        if storable(id) and not self._seen.beneath.among(resource_type.name, [id]):
            live = self._seen.beneath.retired(resource_type.name, id, own_slots(resource_type))
        if live is None:
            raise NotFound(resource_type.name)
        return _taken(live, Origin.RETIRED)

    def _put(self, writing: Writing, before: Copy | None, after: Copy) -> Copy:
        """Keep the copy with another version, and note whom it refers to by its slots."""
        revision = writing.next()
        resource_type, modified = self._registry.type(after.kind), after.modified
        if after.revision or after.basis is not None:
            modified = max(self._rehearsal.now(), modified + _MICROSECOND)
        kept = replace(
            hashed(resource_type, after),
            place=after.place or revision,
            revision=revision,
            modified=modified,
            who=self._who(),
        )
        writing.put(kept)
        note(writing, resource_type, before, kept)
        return kept

    def _end(self, writing: Writing, before: Copy) -> None:
        """What was only ever in the rehearsal is forgotten."""
        writing.drop(before.kind, before.id)
        if before.origin is not Origin.NEW:
            gone = self._put(writing, before, replace(before, fate=Fate.GONE, cleared=()))
            assert not gone.present

    def _leave(self, writing: Writing, leaver: Copy) -> None:
        """Take out all that refers to a resource; what referred to it has another version."""
        resource_type, moved = self._registry.type(leaver.kind), {}
        for name, relation in resource_type.relations.items():
            if relation.stored:
                writing.unrelate(leaver.kind, leaver.id, name)
                continue
            for _, far in self._seen.related(leaver.kind, [leaver.id], name):
                holder = self.copy(relation.target, far.id)
                self._remove(writing, holder, relation.inverse, [leaver.id])
                moved[holder.kind, holder.id] = (holder, holder)
        for holder in self._referring(leaver):
            vias = {k.via for k in self._registry.type(holder.kind).lookups.values() if k.kind == leaver.kind}
            values = {s: v for s, v in holder.values.items() if s not in vias or v != leaver.id}
            moved[holder.kind, holder.id] = (holder, replace(holder, values=values))
        for before, after in moved.values():
            self._put(writing, before, after)

    def _referring(self, far: Copy) -> Iterator[Copy]:
        """The other resources that refer to one by a slot."""
        for resource_type in self._registry.types:
            tests = reports_to(resource_type, far.kind, far.id)
            if not tests:
                continue
            kind = resource_type.name
            names = {noted(k.via) for k in resource_type.lookups.values() if k.kind == far.kind}
            ours = {near for name in names for near, _ in self._rehearsal.relating(kind, name, [far.id])}
            live = list(self._seen.beneath.matching(kind, Or(tuple(tests))))
            changed = self._rehearsal.find(kind, live)
            for id in sorted(ours.union(id for id in live if id not in changed)):
                if (kind, id) != (far.kind, far.id):
                    yield self.copy(kind, id)

    def _relate(self, writing: Writing, copy: Copy, relation: Relation, delta: Delta) -> bool | None:
        """Change a relation: None where nothing changes by that, else whether none is left of those in the store.
        Raises UnknownReference."""
        name, wanted = relation.attribute.name, list(dict.fromkeys(delta.add))
        there = self._seen.members_among(copy, name, [*wanted, *delta.remove])
        new = [id for id in wanted if id not in there]
        self._refuse_unknown(relation, new)
        if not delta.clear:
            gone = [id for id in dict.fromkeys(delta.remove) if id in there]
            self._remove(writing, copy, name, gone)
            self._add(writing, copy, name, new)
            return False if gone or new else None
        kept = set(wanted)
        others = (far.id for _, far in self._seen.related(copy.kind, [copy.id], name) if far.id not in kept)
        one = next(others, None)
        if not new and one is None:
            return None
        if wanted and copy.basis is not None and name not in copy.cleared:
            # Who sends all members has few others in mind: those are kept, and not all.
            gone = [] if one is None else [one, *others]
            self._remove(writing, copy, name, gone)
            self._add(writing, copy, name, new)
            return False
        writing.unrelate(copy.kind, copy.id, name)
        writing.relate(copy.kind, copy.id, name, wanted, added=True)
        return copy.basis is not None

    def _add(self, writing: Writing, copy: Copy, name: str, far: Sequence[ResourceId]) -> None:
        """Add what is not there."""
        removed = self._rehearsal.changes(copy.kind, name, [copy.id], far)
        writing.unrelate(copy.kind, copy.id, name, [id for _, id in removed])
        writing.relate(copy.kind, copy.id, name, [id for id in far if (copy.id, id) not in removed], added=True)

    def _remove(self, writing: Writing, copy: Copy, name: str, far: Sequence[ResourceId]) -> None:
        """Remove what is there."""
        added = self._rehearsal.changes(copy.kind, name, [copy.id], far)
        writing.unrelate(copy.kind, copy.id, name, [id for _, id in added])
        if copy.basis is not None and name not in copy.cleared:
            stored = [id for id in far if (copy.id, id) not in added]
            writing.relate(copy.kind, copy.id, name, stored, added=False)

    def _refuse_unknown(self, relation: Relation, ids: Iterable[ResourceId]) -> None:
        wanted = list(dict.fromkeys(ids))
        there = self._seen.there(relation.target, wanted) if wanted else set()
        unknown = [id for id in wanted if id not in there]
        if unknown:
            raise UnknownReference(relation.attribute.name, unknown)

    def _refuse_duplicates(
        self, resource_type: ResourceType, own: ResourceId | None, values: Mapping[Slot, Value | None]
    ) -> None:
        kind, inner = resource_type.name, self._seen.beneath.inner
        for attribute, form in unique_values(resource_type, values):
            key = Key(name_hash=digest(str(form))) if is_name(resource_type, attribute) else None
            for other in self._rehearsal.copies(kind, fate=Fate.PRESENT, key=key):
                if other.id != own and (attribute, form) in unique_values(resource_type, other.values):
                    raise Duplicate(attribute.path)
            query = Query(NOTHING, Compare(attribute, Op.EQ, form), window=Window(1, _SAME))
            live = [resource.id for resource in inner.search(kind, query).items if resource.id != own]
            changed = self._rehearsal.find(kind, live)
            if any(id not in changed for id in live):
                raise Duplicate(attribute.path)


def _taken(live: Resource, origin: Origin) -> Copy:
    fate = Fate.RETIRED if origin is Origin.RETIRED else Fate.PRESENT
    stamp, values = live.stamp, live.values
    return Copy(
        live.kind, live.id, origin, live.created, stamp.modified, values, fate, basis=stamp.version, before=values
    )


def _assigned(values: Mapping[Slot, Value | None]) -> dict[Slot, Value]:
    return {slot: value for slot, value in values.items() if value is not None}


def _without_secrets(
    resource_type: ResourceType, values: Mapping[Slot, Value | None]
) -> tuple[dict[Slot, Value | None], dict[Slot, bool]]:
    """The values apart from those that are never returned, and whether those would be set."""
    hidden = secret_slots(resource_type)
    secrets = {slot: value is not None for slot, value in values.items() if slot in hidden}
    return {slot: value for slot, value in values.items() if slot not in hidden}, secrets
