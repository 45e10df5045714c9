"""Rules for the values of one multi-valued attribute or relation (RFC 7643 section 2.4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from app.scim.attributes import Attribute
from app.scim.errors import InvalidValue
from app.scim.query import ResourceId
from app.scim.registry import Relation


def distinct(attribute: Attribute, elements: Iterable[Any]) -> list[Any]:
    """The values without repetition, in order. Raises InvalidValue when more than one is primary."""
    found: list[Any] = []
    for element in elements:
        if element not in found:
            found.append(element)
    if sum(1 for e in found if isinstance(e, dict) and e.get("primary") is True) > 1:
        raise InvalidValue(f"{attribute.path}: only one value may be primary")
    return found


def referenced_ids(relation: Relation, elements: Sequence[Any]) -> tuple[ResourceId, ...]:
    """The ids that a list of `{value, $ref, type}` names, without repetition, in order.

    The last segment of `$ref` stands in for a missing `value`. Raises InvalidValue for a value of another kind than
    the relation's target (nested groups are not supported) and for one that names nothing.
    """
    return tuple(dict.fromkeys(_referenced_id(relation, element) for element in elements))


def _referenced_id(relation: Relation, element: Any) -> ResourceId:
    name = relation.attribute.name
    if not isinstance(element, dict):
        raise InvalidValue(f"{name}: must hold objects with a value")
    kind = element.get("type")
    if isinstance(kind, str) and kind and kind.lower() != relation.target.lower():
        raise InvalidValue(f"{name}: only a {relation.target} can be a member; nested groups are not supported")
    value, reference = element.get("value"), element.get("$ref")
    if value is None and isinstance(reference, str):
        value = reference.rstrip("/").rpartition("/")[2]
    if not isinstance(value, str) or not value:
        raise InvalidValue(f"{name}: each needs the id of a {relation.target} as its value")
    return value
