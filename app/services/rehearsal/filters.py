"""Filters of a rehearsed store in terms of the store beneath, for resources that were not changed while others were.

What a filter asks of other resources (members, groups, the manager's name) is decided anew for those of the others that
were changed; for the rest the store decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.control import Copy, Rehearsal
from app.scim.attributes import Attribute
from app.scim.filter.evaluate import View, element_matches, matches, reference_element
from app.scim.filter.nodes import And, Bound, Compare, Not, Op, Or, Present, Some
from app.scim.query import Resource, ResourceId, Stamp
from app.scim.registry import ID, Lookup, Registry, Relation
from app.services.rehearsal.copies import mentions, reference_to
from app.services.rules import same_id
from backends.errors import TooManyCandidates

_DISPLAY = "display"


class Rewriting:
    """Rewrites the filters of one kind. `most` is how many changed resources one test may name."""

    def __init__(self, registry: Registry, rehearsal: Rehearsal, kind: str, most: int) -> None:
        self._registry = registry
        self._type = registry.type(kind)
        self._rehearsal = rehearsal
        self._most = most

    def rewritten(self, node: Bound) -> Bound:
        """A filter that holds in the store beneath for exactly those unchanged resources that satisfy `node`. Raises
        TooManyCandidates."""
        match node:
            case Not(item):
                return Not(self.rewritten(item))
            case And(items):
                return And(tuple(self.rewritten(item) for item in items))
            case Or(items):
                return Or(tuple(self.rewritten(item) for item in items))
            case Some(attribute) if attribute.name in self._type.relations:
                relation = self._type.relations[attribute.name]
                return self._of_members(node, relation) if relation.stored else self._of_holders(node, relation)
            case Compare() | Present() if node.attribute.path in self._type.lookups:
                return self._derived(node, self._type.lookups[node.attribute.path])
        return node

    def _derived(self, test: Compare | Present, lookup: Lookup) -> Bound:
        """A test of what a resource says that this one refers to."""
        changed = [c for c in self._changed(lookup.kind) if not c.present or _differs(c, lookup.source)]
        if not changed:
            return test
        via = self._type.slots[lookup.via]
        holding = [c.id for c in changed if c.present and _says(test, lookup, c)]
        return _decided(test, _one_of(via, self._few(changed)), _one_of(via, holding))

    def _of_members(self, node: Some, relation: Relation) -> Bound:
        """A test of the members of a group that was not changed itself."""
        value, about_display = _value(node.attribute), _asks_display(node.where)
        named = named_in(node)
        changed = self._rehearsal.find(relation.target, [named]).values() if named else self._changed(relation.target)
        other = [c for c in changed if not c.present or (about_display and _differs(c, "displayName"))]
        if not other:
            return node
        holding = [c.id for c in other if c.present and refers(node, c)]
        exempt = Some(node.attribute, And((node.where, Not(_one_of(value, self._few(other))))))
        return Or((exempt, Some(node.attribute, _one_of(value, holding)))) if holding else exempt

    def _of_holders(self, node: Some, relation: Relation) -> Bound:
        """A test of the groups of a user who was not changed itself."""
        value, named = _value(node.attribute), named_in(node)
        if named:
            changed = list(self._rehearsal.find(relation.target, [named]).values())
        else:
            changed = list(self._rehearsal.copies(relation.target))
        if not changed:
            return node
        exempt = Some(node.attribute, And((node.where, Not(_one_of(value, self._few(changed))))))
        return Or((exempt, *(self._is_in(node, relation, c) for c in changed if c.present and refers(node, c))))

    def _is_in(self, node: Some, relation: Relation, group: Copy) -> Bound:
        """Holds for those that a changed group has."""
        name = relation.inverse
        added = self._few(self._rehearsal.related(group.kind, group.id, name, added=True, most=self._most + 1))
        if group.basis is None or name in group.cleared:
            return _one_of(ID, added)
        removed = self._few(self._rehearsal.related(group.kind, group.id, name, added=False, most=self._most + 1))
        kept = Some(node.attribute, same_id(_value(node.attribute), group.id))
        return Or((And((kept, Not(_one_of(ID, removed)))), _one_of(ID, added)))

    def _changed(self, kind: str) -> Iterator[Copy]:
        """The changed resources that an unchanged one of the store may refer to."""
        return (copy for copy in self._rehearsal.copies(kind) if copy.basis is not None)

    def _few(self, found: Iterable[Copy] | Iterable[ResourceId]) -> list[ResourceId]:
        ids = [item.id if isinstance(item, Copy) else item for item in found]
        if len(ids) > self._most:
            raise TooManyCandidates
        return ids


def refers(node: Some, copy: Copy) -> bool:
    """Whether a reference to the resource is what a test of a relation asks for."""
    return element_matches(node.where, node.attribute, reference_element(node.attribute, reference_to(copy)))


def named_in(node: Some) -> ResourceId | None:
    """The one id that the far end must have, if the test says so."""
    value = node.attribute.sub("value")
    for test in node.where.items if isinstance(node.where, And) else (node.where,):
        if isinstance(test, Compare) and test.attribute is value and test.op is Op.EQ:
            return str(test.operand)
    return None


def _decided(test: Bound, changed: Bound, holding: Bound) -> Bound:
    """The test, where the answer is known for those that are changed."""
    return Or((And((test, Not(changed))), holding))


def _one_of(attribute: Attribute, ids: Iterable[ResourceId]) -> Bound:
    return Or(tuple(same_id(attribute, id) for id in ids))


def _value(attribute: Attribute) -> Attribute:
    value = attribute.sub("value")
    assert value is not None
    return value


def _asks_display(where: Bound) -> bool:
    return any(attribute.name == _DISPLAY for attribute in mentions(where))


def _differs(copy: Copy, slot: str) -> bool:
    return slot != "id" and copy.values.get(slot) != copy.before.get(slot)


def _says(test: Compare | Present, lookup: Lookup, far: Copy) -> bool:
    said = far.id if lookup.source == "id" else far.values.get(lookup.source)
    values = {} if said is None else {lookup.slot: said}
    return matches(test, View(Resource(far.kind, far.id, far.created, Stamp("", far.modified), values)))
