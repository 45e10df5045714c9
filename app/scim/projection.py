"""Which attributes a response shows: `attributes`, `excludedAttributes` and `returned` (RFC 7644 section 3.9)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.scim.attributes import Attribute, Returned, Type
from app.scim.errors import InvalidValue
from app.scim.filter.parse import parse_attr_path
from app.scim.query import Slot
from app.scim.registry import ID, META, SCHEMAS_ATTRIBUTE, ResourceType

_FIXED = (SCHEMAS_ATTRIBUTE, ID)


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """What to show of a resource type.

    `shown` maps the path of each top-level attribute to the sub-attributes that are shown (None: all of them);
    `want` are the slots to ask the store for and `relations` the relations to read.
    """

    resource_type: ResourceType
    shown: Mapping[str, frozenset[str] | None]
    want: frozenset[Slot]
    relations: frozenset[str]


def project(
    resource_type: ResourceType,
    attributes: Sequence[str] = (),
    excluded: Sequence[str] = (),
    written: frozenset[Slot] = frozenset(),
) -> Projection:
    """The projection that a request asks for; empty lists mean not given. Unknown names are ignored.

    `written` are slots that the request itself set: those with returned "request" are shown then.
    Raises InvalidValue when both lists are given.
    """
    if attributes and excluded:
        raise InvalidValue("attributes and excludedAttributes can't be given together")
    if attributes:
        shown = _named(resource_type, attributes)
    else:
        shown = {a.path: None for a in resource_type.attributes if _by_default(a, written)}
        _remove(shown, resource_type, excluded)
    for attribute in resource_type.attributes:
        if attribute.returned is Returned.ALWAYS:
            shown[attribute.path] = None
    return Projection(
        resource_type,
        shown,
        frozenset(_wanted(resource_type, shown)),
        frozenset(name for name, r in resource_type.relations.items() if r.attribute.path in shown),
    )


def _by_default(attribute: Attribute, written: frozenset[Slot]) -> bool:
    if attribute.returned is Returned.REQUEST:
        return attribute.path in written
    return attribute.returned is not Returned.NEVER


def _named(resource_type: ResourceType, names: Sequence[str]) -> dict[str, frozenset[str] | None]:
    shown: dict[str, frozenset[str] | None] = {}
    for attribute, sub in _resolve(resource_type, names):
        if attribute.returned is Returned.NEVER:
            continue
        present = shown.get(attribute.path, frozenset())
        shown[attribute.path] = None if sub is None or present is None else present | {sub.name}
    return shown


def _remove(shown: dict[str, frozenset[str] | None], resource_type: ResourceType, names: Sequence[str]) -> None:
    for attribute, sub in _resolve(resource_type, names):
        if attribute.path not in shown:
            continue
        present = shown.pop(attribute.path)
        if present is None:
            present = frozenset(s.name for s in attribute.sub_attributes)
        if sub is not None and (left := present - {sub.name}):
            shown[attribute.path] = left


def _resolve(resource_type: ResourceType, names: Sequence[str]) -> Iterator[tuple[Attribute, Attribute | None]]:
    for name in names:
        if schema := resource_type.schema_of(name.strip()):
            yield from ((attribute, None) for attribute in schema.attributes)
            continue
        path = parse_attr_path(name.strip())
        attribute = resource_type.find(path) if path else None
        if attribute is None:
            continue
        owner = resource_type.parents.get(attribute.path)
        yield (owner, attribute) if owner else (attribute, None)


def _wanted(resource_type: ResourceType, shown: Mapping[str, frozenset[str] | None]) -> Iterator[Slot]:
    for attribute in resource_type.attributes:
        if attribute.path not in shown or attribute in (*_FIXED, META) or attribute.name in resource_type.relations:
            continue
        if attribute.type is Type.COMPLEX and not attribute.multi_valued:
            subs = shown[attribute.path]
            yield from (s.path for s in attribute.sub_attributes if subs is None or s.name in subs)
        else:
            yield attribute.path
