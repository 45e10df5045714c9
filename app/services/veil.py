"""Reading a store of which some resources are not to be seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from app.scim.attributes import Attribute
from app.scim.filter.nodes import And, Bound, Compare, Constant, Not, Op, Or, Present, Some
from app.scim.query import Delta, Page, Query, Reference, Resource, ResourceId, Slot, Window, Within
from app.scim.registry import ID, Lookup, Relation, ResourceType
from app.services.rules import Rule, same_id
from backends.base import Backend
from backends.errors import NotFound, TooManyCandidates, UnknownReference

_IDS = 100
"""How many ids one search names."""

_NAMED = 500
"""The most resources that a filter on a relation may except by name."""

_KEPT = 10_000
"""The most members that are kept by name when all others are removed."""

_NOTHING: frozenset[Slot] = frozenset()


class Veil:
    """What is seen of the store `inner`: of a kind that `seen` names, the resources that satisfy its rule.

    The rest is not there for any reader: not by its id, in no list and no count, not as the far end of a relation or of
    a derived attribute (`manager.displayName`), and no filter finds anything by it. A relation is read of resources
    that are seen.
    """

    def __init__(self, inner: Backend, seen: Mapping[str, Rule]) -> None:
        self._inner = inner
        self._seen = seen

    def get(self, kind: str, id: ResourceId, want: frozenset[Slot]) -> Resource:
        """As `Backend.get`. What it needs besides costs no read, but for the far ends of derived attributes."""
        rule = self._seen.get(kind)
        if rule is None:
            return self._trimmed(kind, [self._inner.get(kind, id, want | self._vias(kind, want))], want)[0]
        resource = self._inner.get(kind, id, want | rule.slots | self._vias(kind, want))
        elsewhere = rule.bases and not self._inner.within(kind, [id], rule.bases)
        if elsewhere or not rule.holds(kind, resource.id, resource.values):
            raise NotFound(kind)
        return self._trimmed(kind, [resource], want)[0]

    def search(self, kind: str, query: Query) -> Page:
        """As `Backend.search`. Raises TooManyCandidates also for a filter on a relation to a kind of which too many are
        not seen, unless it names the far end by its id."""
        filter = query.filter and self._rewritten(kind, query.filter)
        rule = self._seen.get(kind)
        if rule is not None:
            if rule.bound == Constant(False):
                return Page(0, ())
            filter = rule.bound if filter is None else And((filter, rule.bound))
            query = replace(query, within=_there(rule))
        want = query.want | self._vias(kind, query.want)
        page = self._inner.search(kind, replace(query, want=want, filter=filter))
        return replace(page, items=tuple(self._trimmed(kind, page.items, query.want)))

    def related(self, kind: str, ids: Sequence[ResourceId], relation: str) -> Iterator[tuple[ResourceId, Reference]]:
        """As `Backend.related`; one search for every hundred far ends."""
        pairs = self._inner.related(kind, ids, relation)
        target = self._relation(kind, relation).target
        if target not in self._seen:
            yield from pairs
            return
        while some := list(islice(pairs, _IDS)):
            seen = self._among(target, {reference.id for _, reference in some})
            yield from (pair for pair in some if pair[1].id in seen)

    def delta(self, kind: str, id: ResourceId | None, name: str, delta: Delta) -> Delta:
        """The change of a relation as one who sees this much of it can mean it: what is not seen can't be added and
        stays where it is. Raises UnknownReference, TooManyCandidates. `id` None is that of a new resource."""
        relation = self._relation(kind, name)
        rule = self._seen.get(relation.target)
        if rule is None:
            return delta
        seen = self._among(relation.target, {*delta.add, *delta.remove})
        unknown = [far for far in delta.add if far not in seen]
        if unknown:
            raise UnknownReference(name, unknown)
        kept: tuple[ResourceId, ...] = ()
        if delta.clear and id is not None:
            back = self._relation(relation.target, relation.inverse).attribute
            kept = self._beyond(relation.target, refers_to(back, id), _KEPT)
        remove = tuple(far for far in delta.remove if far in seen)
        return Delta((*delta.add, *kept), remove, delta.clear)

    def _among(self, kind: str, ids: Iterable[ResourceId]) -> set[ResourceId]:
        """Those of the ids that are seen."""
        found: set[ResourceId] = set()
        rest, rule = iter(sorted(ids)), self._seen[kind]
        while some := list(islice(rest, _IDS)):
            one_of = Or(tuple(same_id(ID, id) for id in some))
            window = Window(1, len(some))
            query = Query(_NOTHING, And((one_of, rule.bound)), window=window, within=_there(rule))
            found.update(resource.id for resource in self._inner.search(kind, query).items)
        return found

    def _beyond(self, kind: str, filter: Bound | None, most: int) -> tuple[ResourceId, ...]:
        """The ids that a filter finds of resources that are not seen. Raises TooManyCandidates for more than `most`."""
        rule = self._seen[kind]
        found = self._ids(kind, (filter, rule.negated.bound), most)
        if rule.bases:
            # Those that the rule's filter finds, and that are elsewhere.
            found += self._ids(kind, (filter, rule.bound), most, Within(rule.bases, outside=True))
        if len(found) > most:
            raise TooManyCandidates
        return found

    def _ids(
        self, kind: str, filters: Sequence[Bound | None], most: int, within: Within | None = None
    ) -> tuple[ResourceId, ...]:
        """The ids that all of the filters find; one more than `most` where there are more."""
        items = tuple(filter for filter in filters if filter is not None)
        if Constant(False) in items or Not(Constant(True)) in items:
            return ()
        filter = items[0] if len(items) == 1 else And(items)
        query = Query(_NOTHING, filter, window=Window(1, most + 1), within=within)
        return tuple(resource.id for resource in self._inner.search(kind, query).items)

    def _relation(self, kind: str, name: str) -> Relation:
        return self._inner.registry.type(kind).relations[name]

    def _lookups(self, kind: str) -> Iterator[Lookup]:
        """The derived slots whose far end may be one that is not seen."""
        lookups = self._inner.registry.type(kind).lookups.values()
        return (lookup for lookup in lookups if lookup.kind in self._seen)

    def _vias(self, kind: str, want: frozenset[Slot]) -> frozenset[Slot]:
        return frozenset(lookup.via for lookup in self._lookups(kind) if lookup.slot in want)

    def _trimmed(self, kind: str, resources: Sequence[Resource], want: frozenset[Slot]) -> list[Resource]:
        """The resources with what was wanted, without what is derived from resources that are not seen."""
        lookups = [lookup for lookup in self._lookups(kind) if lookup.slot in want]
        far = {name: {str(r.values[via]) for r in resources if via in r.values} for name, via in _ends(lookups)}
        seen = {name: self._among(name, ids) if ids else set() for name, ids in far.items()}
        trimmed = []
        for resource in resources:
            gone = {k.slot for k in lookups if resource.values.get(k.via) not in seen[k.kind]}
            values = {slot: v for slot, v in resource.values.items() if slot in want and slot not in gone}
            trimmed.append(replace(resource, values=values))
        return trimmed

    def _rewritten(self, kind: str, node: Bound) -> Bound:
        """The filter, which then finds nothing by what is not seen."""
        match node:
            case Not(item):
                return Not(self._rewritten(kind, item))
            case And(items):
                return And(tuple(self._rewritten(kind, item) for item in items))
            case Or(items):
                return Or(tuple(self._rewritten(kind, item) for item in items))
            case Some():
                return self._relational(kind, node)
            case Compare() | Present():
                return self._derived(kind, node)
        return node

    def _relational(self, kind: str, node: Some) -> Bound:
        relations = self._inner.registry.type(kind).relations
        relation = relations.get(node.attribute.name)
        if relation is None or relation.target not in self._seen:
            return node
        value = node.attribute.sub("value")
        assert value is not None
        named = _named(node.where, value)
        if named is not None:
            return node if self._among(relation.target, {named}) else Constant(False)
        unseen = self._unseen(relation.target)
        if unseen is None:
            return Constant(False)
        others = Not(Or(tuple(same_id(value, id) for id in unseen)))
        return Some(node.attribute, And((node.where, others))) if unseen else node

    def _derived(self, kind: str, node: Compare | Present) -> Bound:
        resource_type = self._inner.registry.type(kind)
        lookup = resource_type.lookups.get(node.attribute.path)
        if lookup is None or lookup.kind not in self._seen:
            return node
        unseen = self._unseen(lookup.kind)
        if unseen is None:
            return Constant(False)
        via = resource_type.slots[lookup.via]
        return And((node, Not(Or(tuple(same_id(via, id) for id in unseen))))) if unseen else node

    def _unseen(self, kind: str) -> tuple[ResourceId, ...] | None:
        """The resources of a kind that are not seen, None where all are. Raises TooManyCandidates."""
        rule = self._seen[kind]
        if rule.bound == Constant(False):
            return None
        return self._beyond(kind, None, _NAMED)


def _there(rule: Rule) -> Within | None:
    return Within(rule.bases) if rule.bases else None


def refers_to(attribute: Attribute, id: ResourceId) -> Bound:
    """Holds for the resources that are related to another by this attribute."""
    value = attribute.sub("value")
    assert value is not None
    return Some(attribute, same_id(value, id))


def reports_to(resource_type: ResourceType, kind: str, id: ResourceId) -> list[Bound]:
    """What holds for the resources of a type some derived slot of which comes from the resource of that kind and id."""
    vias = {lookup.via for lookup in resource_type.lookups.values() if lookup.kind == kind}
    return [same_id(resource_type.slots[via], id) for via in sorted(vias)]


def _ends(lookups: Iterable[Lookup]) -> set[tuple[str, Slot]]:
    return {(lookup.kind, lookup.via) for lookup in lookups}


def _named(where: Bound, value: Attribute) -> ResourceId | None:
    """The one id that the far end must have for `where` to hold, if it says so."""
    tests = where.items if isinstance(where, And) else (where,)
    for test in tests:
        if isinstance(test, Compare) and test.attribute is value and test.op is Op.EQ:
            return str(test.operand)
    return None
