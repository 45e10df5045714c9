"""Rules for the values of one multi-valued attribute or relation (RFC 7643 section 2.4)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from app.scim.attributes import Attribute
from app.scim.errors import InvalidValue
from app.scim.locations import last_segment
from app.scim.query import ResourceId
from app.scim.registry import Relation


def distinct(attribute: Attribute, elements: Iterable[Any]) -> list[Any]:
    """The values without repetition, in order. Raises InvalidValue when more than one is primary."""
    found = without_repetition(elements)
    if sum(1 for e in found if isinstance(e, dict) and e.get("primary") is True) > 1:
        raise InvalidValue(f"{attribute.path}: only one value may be primary")
    return found


def without_repetition(elements: Iterable[Any]) -> list[Any]:
    """The first of each group of equal values, in order."""
    elements = list(elements)
    if len(elements) < 2:
        return elements
    found: dict[Hashable, Any] = {}
    for element in elements:
        found.setdefault(hashable(element), element)
    return list(found.values())


def hashable(value: Any) -> Hashable:
    """A key that is equal for equal JSON values, and differs between true and 1."""
    if isinstance(value, dict):
        return frozenset((name, hashable(part)) for name, part in value.items())
    if isinstance(value, list | tuple):
        return tuple(hashable(part) for part in value)
    return (value, True) if isinstance(value, bool) else value


def with_value(attribute: Attribute, element: Mapping[str, Any]) -> Mapping[str, Any]:
    """The element of a reference to resources; the last segment of `$ref` stands in for a missing `value`."""
    reference, uri = attribute.sub("$ref"), element.get("$ref")
    if element.get("value") is not None or not reference or not reference.refers_to_resources:
        return element
    return {**element, "value": last_segment(uri)} if isinstance(uri, str) else element


def referenced_ids(relation: Relation, elements: Sequence[Any]) -> tuple[ResourceId, ...]:
    """The ids that a list of `{value, $ref, type}` names, without repetition, in order.

    Raises InvalidValue for a value of another kind than the relation's target (nested groups are not supported) and
    for one that names nothing.
    """
    return tuple(dict.fromkeys(_referenced_id(relation, element) for element in elements))


def _referenced_id(relation: Relation, element: Any) -> ResourceId:
    name = relation.attribute.name
    if not isinstance(element, dict):
        raise InvalidValue(f"{name}: must hold objects with a value")
    kind = element.get("type")
    if isinstance(kind, str) and kind and kind.lower() != relation.target.lower():
        raise InvalidValue(f"{name}: only a {relation.target} can be a member; nested groups are not supported")
    value = with_value(relation.attribute, element).get("value")
    if not isinstance(value, str) or not value:
        raise InvalidValue(f"{name}: each needs the id of a {relation.target} as its value")
    return value
