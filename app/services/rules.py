"""Filters that an operator writes to choose users or groups: bound once, and tested on values at hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from app.scim.attributes import Attribute
from app.scim.errors import ScimError
from app.scim.filter.bind import bind
from app.scim.filter.evaluate import View, matches
from app.scim.filter.nodes import (
    And,
    AttrPath,
    Bound,
    Compare,
    Constant,
    Not,
    Op,
    Or,
    Parsed,
    ParsedAnd,
    ParsedNot,
    ParsedOr,
    ParsedValuePath,
    Some,
)
from app.scim.filter.parse import parse_filter
from app.scim.query import Resource, ResourceId, Slot, Stamp, Value
from app.scim.registry import ID, META, SCHEMAS_ATTRIBUTE, ResourceType
from app.scim.types import comparable

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class InvalidRule(Exception):
    """The filter can't be used as a rule; `detail` is for the operator who wrote it."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Rule:
    """A filter on what a resource itself holds; `slots` are those that it asks about. With `bases` the resource must
    also be in one of the subtrees of a directory that have these DNs at their top."""

    bound: Bound
    slots: frozenset[Slot] = frozenset()
    bases: tuple[str, ...] = ()

    def holds(self, kind: str, id: ResourceId, values: Mapping[Slot, Value | None]) -> bool:
        """Whether a resource with these values satisfies the filter, wherever it is; None is no value. `id` is empty
        before there is one."""
        assigned = {slot: value for slot, value in values.items() if value is not None}
        return matches(self.bound, View(Resource(kind, id, _NEVER, Stamp("", _NEVER), assigned)))

    @property
    def negated(self) -> Rule:
        """The rule whose filter holds where that of this one does not, in any place."""
        return Rule(self.bound.item if isinstance(self.bound, Not) else Not(self.bound), self.slots)


NONE = Rule(Constant(False))
"""Chooses nothing."""

ALL = Rule(Constant(True))
"""Chooses everything."""


def bind_rule(text: str, resource_type: ResourceType) -> Rule:
    """The rule of a filter (RFC 7644 section 3.4.2.2).

    It may ask about attributes that the store keeps with the resource, and about its id: so it can be tested on a
    resource before it is written. Raises InvalidRule for a filter outside the grammar, for an attribute that the store
    does not have (a search takes that for unassigned, but here it is a slip of the pen), and for what depends on other
    resources or changes by itself: groups, members, `manager.displayName`, meta.
    """
    try:
        parsed = parse_filter(text)
        for path, sub in _paths(parsed):
            _require_own(path, sub, resource_type)
        bound = bind(parsed, resource_type)
    except ScimError as error:
        raise InvalidRule(error.detail) from None
    return Rule(bound, frozenset(_slots(bound)))


def _paths(node: Parsed) -> Iterator[tuple[AttrPath, str | None]]:
    """Each path with the sub-attribute that is asked for in brackets after it, if it is one."""
    match node:
        case ParsedNot(item):
            yield from _paths(item)
        case ParsedAnd(items) | ParsedOr(items):
            for one in items:
                yield from _paths(one)
        case ParsedValuePath():
            yield node.path, None
            inside = [node.where] if node.then is None else [node.where, node.then]
            yield from ((node.path, path.name) for part in inside for path, _ in _paths(part))
        case _:
            yield node.path, None


def _require_own(path: AttrPath, sub: str | None, resource_type: ResourceType) -> None:
    attribute = resource_type.find(path)
    known = attribute is not None and (sub is None or _has(attribute, sub))
    if attribute is None or not known:
        named = f"{path}[{sub}]" if sub else str(path)
        raise InvalidRule(f"'{named}' is not an attribute of {resource_type.name} in this store")
    top = resource_type.parents.get(attribute.path, attribute)
    if top.name in resource_type.relations or attribute.path in resource_type.lookups:
        raise InvalidRule(f"'{path}' depends on other resources; only what is kept with a resource can be asked about")
    if top in (META, SCHEMAS_ATTRIBUTE):
        raise InvalidRule(f"'{path}' can't be asked about here")


def _has(attribute: Attribute, sub: str) -> bool:
    return attribute.sub(sub) is not None or (not attribute.sub_attributes and sub.lower() == "value")


def _slots(node: Bound) -> Iterator[Slot]:
    match node:
        case Constant():
            return
        case Not(item):
            yield from _slots(item)
        case And(items) | Or(items):
            for one in items:
                yield from _slots(one)
        case Some():
            yield node.attribute.path
        case _ if node.attribute is not ID:
            yield node.attribute.path


def same_id(attribute: Attribute, id: ResourceId) -> Bound:
    """Holds where an attribute that has an id of a resource has this one."""
    return Compare(attribute, Op.EQ, comparable(attribute, id))
