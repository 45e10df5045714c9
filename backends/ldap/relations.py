"""Filters on relations: the far ends are found first, then whoever is related to one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.scim.attributes import Attribute
from app.scim.filter.nodes import And, Bound, Compare, Constant, Not, Op, Or, Present, Some
from app.scim.query import ResourceId
from app.scim.registry import ID, ResourceType
from backends.ldap import dn
from backends.ldap.members import Members

_NO_MATCH = "(!(objectClass=*))"
_DISPLAY = "displayName"

FarEnds = Callable[[str, Bound, int], "list[ResourceId] | None"]
"""The ids of the resources of a kind that a filter finds, or None when they are more than a number."""


class Relations:
    """Filters on `members` and `groups`. `most` is the number of far ends that one filter may name."""

    def __init__(self, types: Mapping[str, ResourceType], members: Members, far_ends: FarEnds, most: int = 500) -> None:
        self._types = types
        self._members = members
        self._far_ends = far_ends
        self._most = most

    def filter(self, kind: str, attribute: Attribute, where: Bound) -> str | None:
        """The filter that finds exactly the entries with a value of the relation that satisfies `where`; None where the
        directory can't be asked so."""
        relation = self._types[kind].relations[attribute.name]
        far = _on_far_end(where, attribute, self._types[relation.target])
        if far is None:
            return None
        ids = self._far_ends(relation.target, far, self._most)
        if ids is None:
            return None
        if not ids:
            return _NO_MATCH
        found = self._members.of_these_users(ids) if relation.stored else self._members.in_these_groups(ids, self._most)
        if found is None:
            return None
        return dn.any_of(found) if found else _NO_MATCH


def _on_far_end(where: Bound, owner: Attribute, target: ResourceType) -> Bound | None:
    """The question about a value of a relation as one about the resource at its far end."""
    match where:
        case Constant():
            return where
        case Not():
            inner = _on_far_end(where.item, owner, target)
            return None if inner is None else Not(inner)
        case And() | Or():
            items = [_on_far_end(item, owner, target) for item in where.items]
            known = tuple(item for item in items if item is not None)
            return type(where)(known) if len(known) == len(items) else None
        case Some():
            return None
    return _leaf_on_far_end(where, owner, target)


def _leaf_on_far_end(where: Compare | Present, owner: Attribute, target: ResourceType) -> Bound | None:
    name = where.attribute.name
    if name == "type":
        return _kind_of_value(where, owner, target)
    there = ID if name == "value" else target.top_level(_DISPLAY) if name == "display" else None
    if there is None:
        return None
    if isinstance(where, Present):
        return Constant(True) if there is ID else Present(there)
    return Compare(there, where.op, where.operand)


def _kind_of_value(where: Compare | Present, owner: Attribute, target: ResourceType) -> Bound | None:
    direct = any("direct" in sub.canonical_values for sub in owner.sub_attributes)
    value = "direct" if direct else target.name.lower()
    if isinstance(where, Present):
        return Constant(True)
    return Constant(where.operand == value) if where.op is Op.EQ else None
