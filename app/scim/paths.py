"""Attribute notation outside filters: PATCH paths (RFC 7644 Figure 7) and `sortBy` (section 3.4.2.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.scim.attributes import Attribute, Returned, Type
from app.scim.errors import InvalidPath, Sensitive
from app.scim.filter.nodes import AttrPath, Parsed
from app.scim.filter.parse import DEFAULT_LIMITS, Limits, parse_attr_path, parse_filter
from app.scim.query import Sort
from app.scim.registry import EXTERNAL_ID, ID, META_CREATED, META_LAST_MODIFIED, ResourceType

_VALUE_PATH = re.compile(r"^([^\[\]\"]+)\[(.*)\](?:\.(\$ref|[A-Za-z][A-Za-z0-9_$-]*))?$", re.DOTALL)
_SORTABLE_COMMON = (ID, EXTERNAL_ID, META_CREATED, META_LAST_MODIFIED)


@dataclass(frozen=True, slots=True)
class PatchPath:
    """`attrPath` or `attrPath[where]` with an optional sub-attribute behind the bracket.

    `target.name` is empty when the path is the URI of a schema of the resource type: the container itself.
    """

    target: AttrPath
    where: Parsed | None = None
    sub: str | None = None


def parse_patch_path(text: str, resource_type: ResourceType, limits: Limits = DEFAULT_LIMITS) -> PatchPath:
    """The parts of a PATCH path. Raises InvalidPath, or InvalidFilter for a fault inside the brackets."""
    text = text.strip()
    if len(text) > limits.length:
        raise InvalidPath(f"the path is longer than {limits.length} characters")
    if schema := resource_type.schema_of(text):
        return PatchPath(AttrPath(schema.id, ""))
    match = _VALUE_PATH.match(text)
    target = parse_attr_path(match.group(1) if match else text)
    if target is None:
        raise InvalidPath(f"'{text[:80]}' is not an attribute path")
    if match is None:
        return PatchPath(target)
    return PatchPath(target, parse_filter(match.group(2), limits), match.group(3))


def bind_sort(text: str, resource_type: ResourceType, *, descending: bool) -> Sort | None:
    """The order that `sortBy` names; None when the type has no such attribute and others may have it.

    A multi-valued attribute stands for its `value`. Raises InvalidPath for a malformed path or an attribute without
    an order, Sensitive for one that is never returned.
    """
    path = parse_attr_path(text.strip())
    if path is None:
        raise InvalidPath(f"'{text[:80]}' is not an attribute to sort by")
    attribute = resource_type.find(path)
    if attribute is None:
        return None
    if attribute.returned is Returned.NEVER:
        raise Sensitive(f"{attribute.path} can't be sorted by")
    owner = resource_type.parents.get(attribute.path, attribute)
    if attribute.type is Type.COMPLEX:
        attribute = attribute.sub("value") or attribute
    if not _has_order(attribute, owner, resource_type):
        raise InvalidPath(f"results can't be sorted by '{text[:80]}'")
    return Sort(attribute, owner if owner.multi_valued else None, descending)


def _has_order(attribute: Attribute, owner: Attribute, resource_type: ResourceType) -> bool:
    if attribute.type is Type.COMPLEX or owner.name in resource_type.relations:
        return False
    return attribute in _SORTABLE_COMMON or (owner if owner.multi_valued else attribute).path in resource_type.slots
