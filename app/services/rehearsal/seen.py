"""Reading a rehearsed store: what was changed comes from the rehearsal, all else live from the store beneath."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from app.control import Copy, Fate, Rehearsal
from app.scim.filter.evaluate import View, element_matches, matches, reference_element
from app.scim.filter.nodes import And, Bound, Not, Or, Some
from app.scim.fold import fold
from app.scim.query import Query, Reference, Resource, ResourceId, Slot, Value, Within
from app.scim.registry import Relation, ResourceType
from app.services.rehearsal.beneath import IDS, Beneath, pieces
from app.services.rehearsal.copies import apart, mentions, own_slots, reference_to, resource_of
from app.services.rehearsal.filters import named_in, refers
from backends.errors import NotFound

_PAGE = 500
_DISPLAY: frozenset[Slot] = frozenset(("displayName",))


class Seen:
    """Reads single resources, relations, and what follows from other resources."""

    def __init__(self, beneath: Beneath, rehearsal: Rehearsal) -> None:
        self.beneath = beneath
        self.rehearsal = rehearsal
        self._registry = beneath.registry

    def get(self, kind: str, id: ResourceId, want: frozenset[Slot]) -> Resource:
        """As `Backend.get`."""
        copy = self.rehearsal.find(kind, [id]).get(id)
        if copy is None:
            found = self.beneath.inner.get(kind, id, want | self.vias(kind, want))
            return self.completed(kind, [found], want)[0]
        if not copy.present:
            raise NotFound(kind)
        return self.completed(kind, [resource_of(copy)], want, {id})[0]

    def there(self, kind: str, ids: Iterable[ResourceId]) -> set[ResourceId]:
        """Those of the resources that there are."""
        wanted = list(dict.fromkeys(ids))
        copies = self.rehearsal.find(kind, wanted)
        live = self.beneath.among(kind, (id for id in wanted if id not in copies))
        return {*live, *(id for id, copy in copies.items() if copy.present)}

    def vias(self, kind: str, want: frozenset[Slot]) -> frozenset[Slot]:
        """The slots that refer to what the wanted ones follow from."""
        lookups = self._registry.type(kind).lookups
        return frozenset(lookups[slot].via for slot in want if slot in lookups)

    def completed(
        self, kind: str, resources: Sequence[Resource], want: frozenset[Slot], copied: Iterable[ResourceId] = ()
    ) -> list[Resource]:
        """The resources with what is wanted of them; what follows from others is as those are now. Those in `copied`
        say nothing of others."""
        ours = set(copied)
        lookups = [k for k in self._registry.type(kind).lookups.values() if k.slot in want]
        far: dict[str, Mapping[ResourceId, Mapping[Slot, Value] | None]] = {}
        for target in {lookup.kind for lookup in lookups}:
            vias = {lookup.via for lookup in lookups if lookup.kind == target}
            sources = frozenset(lookup.source for lookup in lookups if lookup.source != "id")
            asked = [(r.id in ours, r.values[via]) for r in resources for via in vias if via in r.values]
            far[target] = self._far(target, asked, sources)
        done = []
        for resource in resources:
            values = {slot: value for slot, value in resource.values.items() if slot in want}
            for lookup in lookups:
                held = str(resource.values.get(lookup.via, ""))
                if held in far[lookup.kind]:
                    other = far[lookup.kind][held]
                    said = None if other is None else held if lookup.source == "id" else other.get(lookup.source)
                    values.pop(lookup.slot, None)
                    values.update({} if said is None else {lookup.slot: said})
            done.append(Resource(kind, resource.id, resource.created, resource.stamp, apart(values)))
        return done

    def _far(
        self, kind: str, asked: Iterable[tuple[bool, ResourceId]], sources: frozenset[Slot]
    ) -> dict[ResourceId, Mapping[Slot, Value] | None]:
        """What those at the far end have, None for one that is not there. Of an unchanged one only what is said by the
        rehearsal has to be known: the store has said the rest."""
        pairs = list(asked)
        copies = self.rehearsal.find(kind, [id for _, id in pairs])
        unknown = {id for ours, id in pairs if ours and id not in copies}
        live = self.beneath.among(kind, unknown, sources) if unknown else {}
        found: dict[ResourceId, Mapping[Slot, Value] | None] = {
            id: live[id].values if id in live else None for id in unknown
        }
        found.update((id, copy.values if copy.present else None) for id, copy in copies.items())
        return found

    def related(self, kind: str, ids: Sequence[ResourceId], name: str) -> Iterator[tuple[ResourceId, Reference]]:
        """As `Backend.related`."""
        relation = self._registry.type(kind).relations[name]
        for some in pieces(dict.fromkeys(ids), _PAGE):
            copies = self.rehearsal.find(kind, some)
            asked = [id for id in some if id not in copies or copies[id].present]
            yield from self._kept(kind, asked, copies, relation)
            yield from self._added(kind, asked, copies, relation)

    def _kept(
        self, kind: str, ids: Sequence[ResourceId], copies: Mapping[ResourceId, Copy], relation: Relation
    ) -> Iterator[tuple[ResourceId, Reference]]:
        """What the store relates them to, as far as the rehearsal leaves that."""
        name = relation.attribute.name
        known = [i for i in ids if i not in copies or (copies[i].basis is not None and name not in copies[i].cleared)]
        for page in pieces(self.beneath.inner.related(kind, known, name), _PAGE):
            fars = self.rehearsal.find(relation.target, [far.id for _, far in page])
            if relation.stored:
                nears = [near for near, _ in page if near in copies]
                ours = self.rehearsal.changes(kind, name, nears, [f.id for _, f in page]) if nears else {}
            else:
                back = self.rehearsal.changes(relation.target, relation.inverse, list(fars), [near for near, _ in page])
                ours = {(near, far): added for (far, near), added in back.items()}
            for near, far in page:
                other = fars.get(far.id)
                if (near, far.id) in ours or (other is not None and not self._has_still(other, relation)):
                    continue
                yield near, far if other is None else reference_to(other)

    @staticmethod
    def _has_still(far: Copy, relation: Relation) -> bool:
        return far.present and (relation.stored or relation.inverse not in far.cleared)

    def _added(
        self, kind: str, ids: Sequence[ResourceId], copies: Mapping[ResourceId, Copy], relation: Relation
    ) -> Iterator[tuple[ResourceId, Reference]]:
        """What the rehearsal relates them to."""
        name = relation.attribute.name
        pairs: Iterable[tuple[ResourceId, ResourceId]]
        if relation.stored:
            pairs = chain.from_iterable(self._added_to(kind, near, name) for near in ids if near in copies)
        else:
            found = self.rehearsal.relating(relation.target, relation.inverse, ids)
            pairs = [(near, far) for far, near in found]
        for page in pieces(pairs, IDS):
            references = self._references(relation.target, [far for _, far in page])
            yield from ((near, references[far]) for near, far in page if far in references)

    def _added_to(self, kind: str, near: ResourceId, name: str) -> Iterator[tuple[ResourceId, ResourceId]]:
        return ((near, far) for far in self.rehearsal.related(kind, near, name, added=True))

    def _references(self, kind: str, ids: Sequence[ResourceId]) -> dict[ResourceId, Reference]:
        copies = self.rehearsal.find(kind, ids)
        live = self.beneath.among(kind, (id for id in ids if id not in copies), _DISPLAY)
        found = {id: Reference(id, kind, resource.values.get("displayName")) for id, resource in live.items()}
        found.update((id, reference_to(copy)) for id, copy in copies.items() if copy.present)
        return found

    def members_among(self, copy: Copy, name: str, far: Iterable[ResourceId]) -> set[ResourceId]:
        """Those of the resources that a resource is related to."""
        wanted = list(dict.fromkeys(far))
        ours = self.rehearsal.changes(copy.kind, name, [copy.id], wanted)
        found = {id for (_, id), added in ours.items() if added}
        if copy.basis is not None and name not in copy.cleared:
            rest = (id for id in wanted if (copy.id, id) not in ours)
            found |= self.beneath.related(copy.kind, copy.id, name, rest)
        return found


class Chosen:
    """Which of the changed resources of one kind satisfy a query."""

    def __init__(self, seen: Seen, resource_type: ResourceType, query: Query) -> None:
        self._seen = seen
        self._type = resource_type
        self._query = query
        asked = {attribute.path for attribute in mentions(query.filter)}
        if query.sort is not None:
            asked.add(query.sort.attribute.path)
        self._derived = frozenset(asked & resource_type.lookups.keys())
        self._whole = own_slots(resource_type) | self._derived

    def of(self, copies: Iterable[Copy]) -> list[Resource]:
        """Those of the copies, in their order, with what the query asks about."""
        return [resource for some in pieces(copies, _PAGE) for resource in self._of(some)]

    def _of(self, copies: Sequence[Copy]) -> Iterator[Resource]:
        query = self._query
        resources = [resource_of(copy) for copy in copies]
        if self._derived:
            ids = [copy.id for copy in copies]
            resources = self._seen.completed(self._type.name, resources, self._whole, ids)
        holds = self._test(copies, query.filter)
        found = [(copy, r) for copy, r in zip(copies, resources, strict=True) if holds(r)]
        if query.within is not None:
            inside = self._within([copy for copy, _ in found], query.within)
            found = [(copy, r) for copy, r in found if copy.id in inside]
        return (resource for _, resource in found)

    def _within(self, copies: Sequence[Copy], within: Within) -> set[ResourceId]:
        inside = places(self._seen.beneath, self._type.name, copies, within.bases)
        return {copy.id for copy in copies} - inside if within.outside else inside

    def _test(self, copies: Sequence[Copy], filter: Bound | None) -> Callable[[Resource], bool]:
        """A test of these resources. What it asks of relations is read once for all of them, where it can be."""
        answers: dict[int, frozenset[ResourceId]] = {}

        def holds(node: Bound, resource: Resource) -> bool:
            match node:
                case Not(item):
                    return not holds(item, resource)
                case And(items):
                    return all(holds(item, resource) for item in items)
                case Or(items):
                    return any(holds(item, resource) for item in items)
                case Some(attribute) if attribute.name in self._type.relations:
                    relation = self._type.relations[attribute.name]
                    if id(node) not in answers:
                        asked = [copy.id for copy in copies]
                        answers[id(node)] = self._answers(node, asked, relation)
                    return resource.id in answers[id(node)]
            return matches(node, View(resource))

        return lambda resource: filter is None or holds(filter, resource)

    def _answers(self, node: Some, ids: Sequence[ResourceId], relation: Relation) -> frozenset[ResourceId]:
        named = named_in(node)
        if named is None or not relation.stored:
            return frozenset(self._some(node, ids, relation))
        copy = self._seen.rehearsal.find(relation.target, [named]).get(named)
        if copy is not None and not (copy.present and refers(node, copy)):
            return frozenset()
        if copy is None and not self._refers_live(node, relation, named):
            return frozenset()
        return frozenset(far.id for _, far in self._seen.related(relation.target, [named], relation.inverse))

    def _refers_live(self, node: Some, relation: Relation, id: ResourceId) -> bool:
        live = self._seen.beneath.among(relation.target, [id], _DISPLAY)
        if id not in live:
            return False
        reference = Reference(id, relation.target, live[id].values.get("displayName"))
        return element_matches(node.where, node.attribute, reference_element(node.attribute, reference))

    def _some(self, node: Some, ids: Sequence[ResourceId], relation: Relation) -> set[ResourceId]:
        found: set[ResourceId] = set()
        for near, far in self._seen.related(self._type.name, ids, relation.attribute.name):
            if near not in found and element_matches(
                node.where, node.attribute, reference_element(node.attribute, far)
            ):
                found.add(near)
                if len(found) == len(ids):
                    break
        return found


def places(beneath: Beneath, kind: str, copies: Sequence[Copy], bases: Sequence[str]) -> set[ResourceId]:
    """Those of the copies that are, or would be, in one of the subtrees of a directory."""
    inner = beneath.inner
    stored = [copy.id for copy in copies if copy.basis is not None]
    inside = set(inner.within(kind, stored, bases)) if stored else set()
    inside.update(c.id for c in copies if c.id not in inside and _lands(beneath, kind, c, bases))
    return inside


def _lands(beneath: Beneath, kind: str, copy: Copy, bases: Sequence[str]) -> bool:
    moves = copy.basis is None or copy.origin.value == "retired"
    return moves and copy.fate is Fate.PRESENT and beneath.inner.lands_within(kind, copy.values, bases)


def names_of(values: Mapping[Slot, Value]) -> set[str]:
    """The userName of a user and its e-mail addresses, folded."""
    names = [values["userName"]] if "userName" in values else []
    names += [email["value"] for email in values.get("emails", ()) if "value" in email]
    return set(map(fold, names))
