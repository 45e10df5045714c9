"""Between JSON documents and slots: reading what a client sends, and writing what it gets back."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from app.scim import quirks
from app.scim.attributes import Attribute, Mutability, Type
from app.scim.elements import distinct, referenced_ids, with_value
from app.scim.errors import InvalidSyntax, InvalidValue
from app.scim.query import Draft, Slot, Value
from app.scim.registry import ID, META, SCHEMAS_ATTRIBUTE, ResourceType

_IGNORED = (SCHEMAS_ATTRIBUTE, ID, META)


def canonicalise(resource_type: ResourceType, body: Any) -> dict[str, Any]:
    """A client's document with canonical names, without what a service provider ignores (RFC 7644 section 3.3).

    Left out are read-only and unknown attributes, null, empty strings, lists and objects. Types are not checked, but
    the client shapes of `app.scim.quirks` are put right. Extension attributes stay in an object under their URI; those
    that stand under the URI of the base schema go where they belong. Raises InvalidSyntax when it is no object, lacks
    `schemas` or the base schema in it, or gives a name twice.
    """
    if not isinstance(body, dict):
        raise InvalidSyntax("the body must be a JSON object")
    _check_schemas(resource_type, body)
    result = _canonical_members(resource_type.attributes_of(resource_type.schema), body)
    seen: set[str] = set()
    for key, value in body.items():
        schema = resource_type.schema_of(key) if ":" in key else None
        if schema is None or value is None:
            continue
        if schema.id in seen:
            raise InvalidSyntax(f"'{schema.id}' is given twice")
        seen.add(schema.id)
        if not isinstance(value, dict):
            raise InvalidValue(f"{schema.id}: must be an object")
        members = _canonical_members(resource_type.attributes_of(schema), value)
        if schema is resource_type.schema:
            for name in members.keys() & result.keys():
                raise InvalidSyntax(f"'{name}' is given twice")
            result.update(members)
        elif members:
            result[schema.id] = members
    return result


def _check_schemas(resource_type: ResourceType, body: Mapping[str, Any]) -> None:
    found = [v for k, v in body.items() if len(k) == len("schemas") and k.lower() == "schemas"]
    if len(found) != 1 or not isinstance(found[0], list) or not all(isinstance(u, str) for u in found[0]):
        raise InvalidSyntax("schemas: must be given, as a list of URIs")
    if resource_type.schema.id.lower() not in {u.lower() for u in found[0]}:
        raise InvalidSyntax(f"schemas: must hold {resource_type.schema.id}")


@lru_cache(maxsize=256)
def _by_name(attributes: tuple[Attribute, ...]) -> Mapping[str, tuple[str, Attribute | None]]:
    """By name, as it is and in lower case: the canonical name, and the attribute unless a client's value of it is
    ignored."""
    return {
        name: (a.name, None if a.mutability is Mutability.READ_ONLY or a in _IGNORED else a)
        for a in attributes
        for name in (a.name, a.name.lower())
    }


def _canonical_members(attributes: tuple[Attribute, ...], body: Mapping[str, Any]) -> dict[str, Any]:
    by_name = _by_name(attributes)
    result: dict[str, Any] = {}
    for key, value in body.items():
        found = by_name.get(key) or by_name.get(key.lower())
        if found is None:
            continue
        name, attribute = found
        if name in result:
            raise InvalidSyntax(f"'{name}' is given twice")
        result[name] = None if attribute is None else canonical_value(attribute, value)
    return {name: value for name, value in result.items() if value is not None}


def canonical_value(attribute: Attribute, value: Any) -> Any:
    """One attribute's value with canonical sub-attribute names and client shapes put right; None when unassigned."""
    if attribute.multi_valued and isinstance(value, list):
        elements = (_canonical_single(attribute, element) for element in value)
        if any(sub.refers_to_resources for sub in attribute.sub_attributes):
            # An empty reference is a fault to be told: dropping it could silently empty a group.
            return [{} if e is None else e for e in elements] or None
        return [e for e in elements if e is not None] or None
    return _canonical_single(attribute, value)


def _canonical_single(attribute: Attribute, value: Any) -> Any:
    value = quirks.put_right(attribute, value)
    if value is None or value == "" or value == []:
        return None
    if attribute.type is Type.COMPLEX and isinstance(value, dict):
        return _canonical_members(attribute.sub_attributes, value) or None
    return value


def draft(resource_type: ResourceType, document: Mapping[str, Any]) -> Draft:
    """The slots and relations of a canonical document whose types have been checked.

    Raises InvalidValue when more than one value of an attribute is primary or a relation names no resource.
    """
    values: dict[Slot, Value] = {}
    relations: dict[str, tuple[str, ...]] = {}
    for key, value in document.items():
        if schema := (resource_type.schema_of(key) if ":" in key else None):
            for name, inner in value.items():
                _take(schema.attribute(name), inner, resource_type, values, relations)
        else:
            _take(resource_type.top_level(key), value, resource_type, values, relations)
    return Draft(values, relations)


def _take(
    attribute: Attribute | None,
    value: Any,
    resource_type: ResourceType,
    values: dict[Slot, Value],
    relations: dict[str, tuple[str, ...]],
) -> None:
    if attribute is None:
        return
    if relation := resource_type.relations.get(attribute.name):
        relations[attribute.name] = referenced_ids(relation, value)
    elif attribute.multi_valued:
        values[attribute.path] = distinct(attribute, value)
    elif attribute.type is Type.COMPLEX:
        value = with_value(attribute, value)
        for sub in attribute.sub_attributes:
            if sub.name in value and sub.path in resource_type.slots:
                values[sub.path] = value[sub.name]
    else:
        values[attribute.path] = value
