"""What a PATCH path points at."""

from __future__ import annotations

import re
from functools import lru_cache

from app.scim.attributes import Attribute
from app.scim.errors import InvalidPath, InvalidValue
from app.scim.filter.bind import bind_element
from app.scim.filter.nodes import AttrPath, Op, Parsed, ParsedAnd, ParsedCompare
from app.scim.patch.operations import Target
from app.scim.patch.values import Element, leaf
from app.scim.paths import parse_patch_path
from app.scim.registry import ResourceType

_INDEX = re.compile(r"^[^\[\"]*\[\s*-?\d*\s*\]")


@lru_cache(maxsize=2048)
def resolve(resource_type: ResourceType, path: str, base: str) -> Target:
    """The target of a path (RFC 7644 section 3.5.2, figure 7); `base` is the SCIM base URI, for `$ref` in
    filters.

    Raises InvalidPath when it is malformed, names no attribute, or selects values of a singular attribute;
    InvalidFilter when its filter does not fit the attribute.
    """
    if _INDEX.match(path):
        raise InvalidPath(f"'{path[:80]}' has an array index; values are selected by a filter")
    parsed = parse_patch_path(path, resource_type)
    attribute = resource_type.find(AttrPath(parsed.target.urn, parsed.target.name)) if parsed.target.name else None
    if attribute is None:
        raise InvalidPath(f"'{path[:80]}' names no attribute of {resource_type.name}")
    if parsed.target.sub and parsed.where:
        raise InvalidPath(f"'{path[:80]}' has a filter behind a sub-attribute")
    name = parsed.sub or parsed.target.sub
    sub = attribute.sub(name) if name else None
    if name and sub is None:
        raise InvalidPath(f"'{path[:80]}' names no sub-attribute of {attribute.path}")
    if parsed.where is None:
        return Target(attribute, sub)
    if not attribute.multi_valued:
        raise InvalidPath(f"{attribute.path} has one value and takes no filter")
    return Target(attribute, sub, parsed.where, bind_element(parsed.where, attribute, base=base))


def described(where: Parsed | None, attribute: Attribute) -> Element | None:
    """The value of a complex multi-valued attribute that a filter describes: `type eq "work" and primary eq
    true` gives both sub-attributes, and no filter gives none. None when the filter is more than `eq` terms
    joined by `and`, contradicts itself, or an operand is no value of its sub-attribute."""
    element: Element = {}
    for term in _terms(where):
        if not isinstance(term, ParsedCompare) or term.op is not Op.EQ or term.path.sub:
            return None
        sub = attribute.sub(term.path.name)
        try:
            value = leaf(sub, term.value) if sub else None
        except InvalidValue:
            return None
        if sub is None or value is None or element.get(sub.name, value) != value:
            return None
        element[sub.name] = value
    return element


def _terms(where: Parsed | None) -> list[Parsed]:
    if where is None:
        return []
    if isinstance(where, ParsedAnd):
        return [term for item in where.items for term in _terms(item)]
    return [where]
