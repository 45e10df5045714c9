"""What of the SCIM schemas a directory can serve: where an entry has no record, the bound attributes and no others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from app.scim.attributes import Attribute, Type
from app.scim.query import Slot
from app.scim.registry import EXTERNAL_ID, Extension, Registry, Relation, ResourceType, Schema
from config.directory import Bindings, KindBindings, Lock, Password, Place, UserBindings

_ALWAYS_TYPED = frozenset(("emails", "phoneNumbers"))


def served(registry: Registry, bindings: Bindings) -> Registry:
    """The registry of what the bindings can keep: discovery publishes it, and documents, paths and filters are read
    by it.

    Without a record it lacks what is not bound. With one everything stays, apart from `password` where none can be set.
    `bindings` are ones that `check_against` found nothing wrong with.
    """
    kinds: Mapping[str, KindBindings] = {"User": bindings.users, "Group": bindings.groups}
    return replace(registry, types=tuple(_served_type(type, kinds[type.name]) for type in registry.types))


def _served_type(type: ResourceType, kind: KindBindings) -> ResourceType:
    kept = {slot for slot in type.slots if _keeps(kind, slot)}
    if kept == type.slots.keys():
        return type
    schema = _served_schema(type.schema, type, kind, kept)
    extensions = [
        Extension(_served_schema(e.schema, type, kind, kept, extension=True), e.required) for e in type.extensions
    ]
    return ResourceType(
        type.name,
        type.endpoint,
        type.description,
        schema,
        tuple(e for e in extensions if e.schema.attributes),
        dict(_relations(type, schema)),
        tuple(a for a in type.common if a is not EXTERNAL_ID or EXTERNAL_ID.path in kept),
    )


def _relations(type: ResourceType, schema: Schema) -> Iterator[tuple[str, Relation]]:
    for name, relation in type.relations.items():
        attribute = schema.attribute(name)
        assert attribute is not None
        yield name, replace(relation, attribute=attribute)


def _keeps(kind: KindBindings, slot: Slot) -> bool:
    if isinstance(kind, UserBindings):
        if slot == "password":
            return kind.password is not Password.NONE
        if slot == "active" and kind.lock is not Lock.NONE:
            return True
    return kind.record is not None or slot in kind.singles or slot in kind.lists


def _served_schema(
    schema: Schema, type: ResourceType, kind: KindBindings, kept: set[Slot], *, extension: bool = False
) -> Schema:
    """The schema without what is not kept, parsed anew so that its definition and its attributes agree."""
    definitions = {str(d["name"]): d for d in schema.definition["attributes"]}
    attributes = [
        found for a in schema.attributes if (found := _served_definition(a, definitions[a.name], type, kind, kept))
    ]
    return Schema.parse({**schema.definition, "attributes": attributes}, extension=extension)


def _served_definition(
    attribute: Attribute, definition: Mapping[str, Any], type: ResourceType, kind: KindBindings, kept: set[Slot]
) -> Mapping[str, Any] | None:
    """The definition of an attribute with the sub-attributes that are kept, None for an attribute that is not."""
    if attribute.path in type.relations:
        return definition
    if attribute.type is not Type.COMPLEX:
        return definition if attribute.path in kept else None
    if attribute.multi_valued:
        names = _kept_parts(attribute, kind) if attribute.path in kept else set()
    else:
        vias = {slot: lookup.via for slot, lookup in type.lookups.items()}
        names = {sub.name for sub in attribute.sub_attributes if vias.get(sub.path, sub.path) in kept}
    if not names:
        return None
    return {**definition, "subAttributes": [d for d in definition["subAttributes"] if d["name"] in names]}


def _kept_parts(attribute: Attribute, kind: KindBindings) -> set[str]:
    """The sub-attributes that come back: those of the places, `type` where a place has one, `primary` likewise."""
    if kind.record is not None:
        return {sub.name for sub in attribute.sub_attributes}
    places: tuple[Place, ...] = kind.lists[attribute.path]
    names = {part for place in places for part in place.parts}
    if any(place.type is not None for place in places) or attribute.path in _ALWAYS_TYPED:
        names.add("type")
    if any(place.primary for place in places):
        names.add("primary")
    return names
