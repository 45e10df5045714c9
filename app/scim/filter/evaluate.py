"""What a Bound filter and a Sort mean, on values in memory: the oracle of every store's compiler."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.scim.attributes import Attribute
from app.scim.filter.nodes import And, Bound, Compare, Constant, Not, Op, Or, Present
from app.scim.query import Reference, Resource, Sort
from app.scim.registry import ID, META_CREATED, META_LAST_MODIFIED, META_VERSION
from app.scim.types import comparable, format_instant

_TESTS: Mapping[Op, Callable[[Any, Any], bool]] = {
    Op.EQ: operator.eq,
    Op.GT: operator.gt,
    Op.GE: operator.ge,
    Op.LT: operator.lt,
    Op.LE: operator.le,
    Op.CO: operator.contains,
    Op.SW: lambda text, start: bool(text.startswith(start)),
    Op.EW: lambda text, end: bool(text.endswith(end)),
}


@dataclass(frozen=True, slots=True)
class View:
    """A resource with its relations, as far as a filter may ask about them."""

    resource: Resource
    relations: Mapping[str, Sequence[Reference]] = field(default_factory=dict)


def matches(bound: Bound, view: View) -> bool:
    """Whether the resource satisfies the filter."""
    return _holds(bound, lambda attribute: _leaf(view.resource, attribute), lambda a: _elements(view, a))


def element_matches(where: Bound, attribute: Attribute, element: Any) -> bool:
    """Whether one value of a multi-valued (or complex) attribute satisfies a value filter."""
    return _holds(where, lambda leaf: _part(element, attribute, leaf), lambda _: ())


def reference_element(attribute: Attribute, reference: Reference) -> dict[str, str]:
    """A relation's value as the sub-attributes that filters may ask about; `type` is how `groups` came about, or the
    kind of the member."""
    direct = any("direct" in s.canonical_values for s in attribute.sub_attributes)
    element = {"value": reference.id, "type": "direct" if direct else reference.kind}
    if reference.display is not None:
        element["display"] = reference.display
    return element


def sort_value(sort: Sort, view: View) -> Any:
    """The comparison form that a resource is ordered by, or None when it has no value."""
    if sort.within is None:
        return _leaf(view.resource, sort.attribute)
    elements = list(_elements(view, sort.within))
    preferred = [e for e in elements if isinstance(e, dict) and e.get("primary") is True]
    for element in (preferred or elements)[:1]:
        return _part(element, sort.within, sort.attribute)
    return None


def _holds(node: Bound, leaf: Callable[[Attribute], Any], elements: Callable[[Attribute], Iterable[Any]]) -> bool:
    if isinstance(node, Constant):
        return node.value
    if isinstance(node, Compare):
        value = leaf(node.attribute)
        return value is not None and _TESTS[node.op](value, node.operand)
    if isinstance(node, Present):
        return leaf(node.attribute) is not None
    if isinstance(node, Not):
        return not _holds(node.item, leaf, elements)
    if isinstance(node, And):
        return all(_holds(i, leaf, elements) for i in node.items)
    if isinstance(node, Or):
        return any(_holds(i, leaf, elements) for i in node.items)
    return any(element_matches(node.where, node.attribute, e) for e in elements(node.attribute))


def _leaf(resource: Resource, attribute: Attribute) -> Any:
    if attribute is ID:
        return resource.id
    if attribute is META_CREATED:
        return format_instant(resource.created)
    if attribute is META_LAST_MODIFIED:
        return format_instant(resource.stamp.modified)
    if attribute is META_VERSION:
        return resource.stamp.version
    value = resource.values.get(attribute.path)
    return None if value is None else comparable(attribute, value)


def _elements(view: View, attribute: Attribute) -> Iterable[Any]:
    if attribute.name in view.relations:
        return [reference_element(attribute, r) for r in view.relations[attribute.name]]
    values: Iterable[Any] = view.resource.values.get(attribute.path, ())
    return values


def _part(element: Any, owner: Attribute, leaf: Attribute) -> Any:
    value = element if leaf is owner else element.get(leaf.name)
    return None if value is None else comparable(leaf, value)
