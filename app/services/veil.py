"""Reading a store of which some resources are not to be seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from app.scim.attributes import Attribute
from app.scim.filter.nodes import And, Bound, Compare, Constant, Not, Op, Or, Present, Some
from app.scim.query import Delta, Page, Query, Reference, Resource, ResourceId, Slot, Value, Window, Within
from app.scim.registry import ID, Lookup, Relation, ResourceType
from app.services.rules import Rule, same_id
from backends.base import Backend
from backends.errors import NotFound, TooManyCandidates, UnknownReference

_IDS = 100
"""How many ids one search names."""

_NAMED = 500
"""The most resources that a term of a filter may except by name."""

_EXCEPTED = 2000
"""The most names that all terms of a filter may except together."""

_KEPT = 10_000
"""The most members that are kept by name when all others are removed."""

_NOTHING: frozenset[Slot] = frozenset()


class Veil:
    """What is seen of the store `inner`: of a kind that `seen` names, the resources that satisfy its rule.

    The rest is not there for any reader: not by its id, in no list and no count, not as an end of a relation, not in an
    attribute that has its id (`manager.value`) or is derived from it (`manager.displayName`), and no filter finds
    anything by it.
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
        """As `Backend.search`. Raises TooManyCandidates also for a filter on relations or managers of a kind of which
        too many are not seen for so many terms; a term that names one by its id does not count."""
        filter = query.filter and _Rewriting(self, kind).rewritten(query.filter)
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
        """As `Backend.related`; one search for every hundred far ends, and one for every hundred near ends when any of
        them is related to something."""
        pairs = self._inner.related(kind, ids, relation)
        target = self._relation(kind, relation).target
        if kind not in self._seen and target not in self._seen:
            yield from pairs
            return
        near: set[ResourceId] | None = None
        while some := list(islice(pairs, _IDS)):
            if near is None:
                near = self.among(kind, ids)
            some = [pair for pair in some if pair[0] in near]
            seen = self.among(target, {reference.id for _, reference in some})
            yield from (pair for pair in some if pair[1].id in seen)

    def delta(self, kind: str, id: ResourceId | None, name: str, delta: Delta) -> Delta:
        """The change of a relation as one who sees this much of it can mean it: what is not seen can't be added and
        stays where it is. Raises UnknownReference, TooManyCandidates. `id` None is that of a new resource."""
        relation = self._relation(kind, name)
        rule = self._seen.get(relation.target)
        if rule is None:
            return delta
        seen = self.among(relation.target, {*delta.add, *delta.remove})
        unknown = [far for far in delta.add if far not in seen]
        if unknown:
            raise UnknownReference(name, unknown)
        kept: tuple[ResourceId, ...] = ()
        if delta.clear and id is not None:
            back = self._relation(relation.target, relation.inverse).attribute
            kept = self._beyond(relation.target, refers_to(back, id), _KEPT)
        remove = tuple(far for far in delta.remove if far in seen)
        return Delta((*delta.add, *kept), remove, delta.clear)

    def kept(self, kind: str, id: ResourceId, values: Mapping[Slot, Value | None]) -> Mapping[Slot, Value | None]:
        """The change of values as one who sees this much can mean it: an attribute that has the id of what is not seen
        is not cleared. Costs reads only where one is to be. Raises NotFound."""
        vias = {k.via: k.kind for k in self._lookups(kind) if k.via in values and values[k.via] is None}
        if not vias:
            return values
        held = self._inner.get(kind, id, frozenset(vias)).values
        stay = {via for via, far in vias.items() if via in held and self.hidden(far, {str(held[via])})}
        return {slot: value for slot, value in values.items() if slot not in stay}

    def hidden(self, kind: str, ids: Iterable[ResourceId]) -> set[ResourceId]:
        """Those of the ids that are of a resource that is not seen; of what does not exist there is nothing to hide."""
        rest = set(ids)
        rest -= self.among(kind, rest)
        return self._found(kind, rest, None)

    def among(self, kind: str, ids: Iterable[ResourceId]) -> set[ResourceId]:
        """Those of the ids that are seen, of a kind without a rule all."""
        rule = self._seen.get(kind)
        if rule is None:
            return set(ids)
        return set() if rule.bound == Constant(False) else self._found(kind, ids, rule)

    def _found(self, kind: str, ids: Iterable[ResourceId], rule: Rule | None) -> set[ResourceId]:
        """Those of the ids that there are, and that satisfy the rule if one is given."""
        found: set[ResourceId] = set()
        rest = iter(sorted(ids))
        while some := list(islice(rest, _IDS)):
            one_of = Or(tuple(same_id(ID, id) for id in some))
            filter = one_of if rule is None else And((one_of, rule.bound))
            query = Query(_NOTHING, filter, window=Window(1, len(some)), within=None if rule is None else _there(rule))
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
        """The resources with what was wanted, without the ids of resources that are not seen and what is derived from
        these."""
        lookups = [lookup for lookup in self._lookups(kind) if lookup.slot in want or lookup.via in want]
        far: dict[str, set[ResourceId]] = {}
        for far_kind, via in _ends(lookups):
            far.setdefault(far_kind, set()).update(str(r.values[via]) for r in resources if via in r.values)
        hidden = {name: self.hidden(name, ids) for name, ids in far.items()}
        trimmed = []
        for resource in resources:
            ends = [k for k in lookups if resource.values.get(k.via) in hidden[k.kind]]
            gone = {slot for k in ends for slot in (k.slot, k.via)}
            values = {slot: v for slot, v in resource.values.items() if slot in want and slot not in gone}
            trimmed.append(replace(resource, values=values))
        return trimmed

    def relation_to_seen(self, kind: str, attribute: Attribute) -> Relation | None:
        """The relation that the attribute is, if its far end may be one that is not seen."""
        relation = self._inner.registry.type(kind).relations.get(attribute.name)
        return relation if relation is not None and relation.target in self._seen else None

    def reference_to_seen(self, kind: str, path: Slot) -> tuple[Attribute, str] | None:
        """Of a slot that has the id of what may not be seen, or is derived from it, the attribute with the id and the
        kind."""
        lookup = next((lookup for lookup in self._lookups(kind) if path in (lookup.slot, lookup.via)), None)
        return None if lookup is None else (self._inner.registry.type(kind).slots[lookup.via], lookup.kind)

    def unseen(self, kind: str) -> tuple[ResourceId, ...] | None:
        """The resources of a kind that are not seen, None where all are. Raises TooManyCandidates."""
        rule = self._seen[kind]
        if rule.bound == Constant(False):
            return None
        return self._beyond(kind, None, _NAMED)


class _Rewriting:
    """Makes of one filter on a kind one that finds nothing by what is not seen. Who that is, is looked up once."""

    def __init__(self, veil: Veil, kind: str) -> None:
        self._veil = veil
        self._kind = kind
        self._unseen: dict[str, tuple[ResourceId, ...] | None] = {}
        self._excepted = 0

    def rewritten(self, node: Bound) -> Bound:
        """The filter, which then finds nothing by what is not seen. Raises TooManyCandidates."""
        match node:
            case Not(item):
                return Not(self.rewritten(item))
            case And(items):
                return And(tuple(self.rewritten(item) for item in items))
            case Or(items):
                return Or(tuple(self.rewritten(item) for item in items))
            case Some():
                return self._relational(node)
            case Compare() | Present():
                return self._referring(node)
        return node

    def _relational(self, node: Some) -> Bound:
        relation = self._veil.relation_to_seen(self._kind, node.attribute)
        if relation is None:
            return node
        value = node.attribute.sub("value")
        assert value is not None
        named = _named(node.where, value)
        if named is not None:
            return node if self._veil.among(relation.target, {named}) else Constant(False)
        others = self._others(relation.target, value)
        if others is None:
            return Constant(False)
        return node if others == Constant(True) else Some(node.attribute, And((node.where, others)))

    def _referring(self, node: Compare | Present) -> Bound:
        reference = self._veil.reference_to_seen(self._kind, node.attribute.path)
        if reference is None:
            return node
        via, kind = reference
        named = _named(node, via)
        if named is not None:
            return Constant(False) if self._veil.hidden(kind, {named}) else node
        others = self._others(kind, via)
        if others is None:
            return Constant(False)
        return node if others == Constant(True) else And((node, others))

    def _others(self, kind: str, attribute: Attribute) -> Bound | None:
        """Holds where an attribute has no id of what is not seen; None where nothing is seen."""
        if kind not in self._unseen:
            self._unseen[kind] = self._veil.unseen(kind)
        unseen = self._unseen[kind]
        if not unseen:
            return None if unseen is None else Constant(True)
        self._excepted += len(unseen)
        if self._excepted > _EXCEPTED:
            raise TooManyCandidates
        return Not(Or(tuple(same_id(attribute, id) for id in unseen)))


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
