"""A resource as the JSON document that a client gets (RFC 7643 section 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.scim.attributes import Attribute, Type
from app.scim.filter.evaluate import reference_element
from app.scim.projection import Projection
from app.scim.query import Reference, Resource, Slot, Stamp, Value
from app.scim.registry import ID, META, SCHEMAS_ATTRIBUTE
from app.scim.types import format_instant

_Writer = Callable[[dict[str, Any], Mapping[Slot, Value]], None]


def etag(stamp: Stamp) -> str:
    """The weak entity tag of a stamp, as in the ETag header and meta.version (RFC 7644 section 3.14)."""
    return f'W/"{stamp.version}"'


class Representation:
    """Writes resources of one type under one projection. Made once per projection and kept, since it is compiled.

    `base` is the SCIM base URI without a trailing slash; locations and `$ref` follow from it.
    """

    def __init__(self, projection: Projection, base: str) -> None:
        self._base = base
        self.projection = projection
        self._type = projection.resource_type
        self._core_urn = self._type.schema.id
        self._location = f"{base}{self._type.endpoint}/"
        self._core = self._writers(self._type.attributes_of(self._type.schema))
        self._extensions = [(e.schema.id, self._writers(e.schema.attributes)) for e in self._type.extensions]
        self._meta = projection.shown.get(META.path, ()) if META.path in projection.shown else ()

    def write(self, resource: Resource, relations: Mapping[str, Sequence[Reference]]) -> dict[str, Any]:
        """The document: `schemas` and `id` always, an extension's URI and object where it has a value shown."""
        schemas = [self._core_urn]
        document: dict[str, Any] = {"schemas": schemas, "id": resource.id}
        values = resource.values
        for writer in self._core:
            writer(document, values)
        for name in self.projection.relations:
            if elements := self._references(name, relations.get(name, ())):
                document[name] = elements
        for urn, writers in self._extensions:
            container: dict[str, Any] = {}
            for writer in writers:
                writer(container, values)
            if container:
                schemas.append(urn)
                document[urn] = container
        if self._meta is None or self._meta:
            document["meta"] = self._write_meta(resource)
        return document

    def _write_meta(self, resource: Resource) -> dict[str, Any]:
        meta = {
            "resourceType": resource.kind,
            "created": format_instant(resource.created),
            "lastModified": format_instant(resource.stamp.modified),
            "location": self._location + resource.id,
            "version": etag(resource.stamp),
        }
        return meta if not self._meta else {k: v for k, v in meta.items() if k in self._meta}

    def _references(self, name: str, references: Sequence[Reference]) -> list[dict[str, Any]]:
        relation = self._type.relations[name]
        subs = self.projection.shown[relation.attribute.path]
        prefix = f"{self._base}/{relation.target}s/"
        elements = []
        for reference in references:
            element = reference_element(relation.attribute, reference)
            element["$ref"] = prefix + reference.id
            elements.append(element if subs is None else {k: v for k, v in element.items() if k in subs})
        return elements

    def _writers(self, attributes: Sequence[Attribute]) -> list[_Writer]:
        shown = self.projection.shown
        passed_over = (SCHEMAS_ATTRIBUTE, ID, META)
        return [
            self._writer(a, shown[a.path])
            for a in attributes
            if a.path in shown and a not in passed_over and a.name not in self._type.relations
        ]

    def _writer(self, attribute: Attribute, subs: frozenset[str] | None) -> _Writer:
        name, slot = attribute.name, attribute.path
        if attribute.type is Type.COMPLEX and not attribute.multi_valued:
            return self._complex_writer(attribute, subs)
        if attribute.multi_valued and subs is not None:
            return _trimmed_writer(name, slot, subs)

        def write(document: dict[str, Any], values: Mapping[Slot, Value]) -> None:
            if (value := values.get(slot)) is not None:
                document[name] = value

        return write

    def _complex_writer(self, attribute: Attribute, subs: frozenset[str] | None) -> _Writer:
        name = attribute.name
        leaves = [
            (s.name, s.path, self._target_prefix(s.path))
            for s in attribute.sub_attributes
            if subs is None or s.name in subs
        ]

        def write(document: dict[str, Any], values: Mapping[Slot, Value]) -> None:
            inner = {
                n: prefix + values[slot] if prefix else values[slot] for n, slot, prefix in leaves if slot in values
            }
            if inner:
                document[name] = inner

        return write

    def _target_prefix(self, slot: Slot) -> str:
        """What stands before the id in the URI of a looked-up resource; empty for every other slot."""
        lookup = self._type.lookups.get(slot)
        return f"{self._base}/{lookup.kind}s/" if lookup and lookup.source == "id" else ""


def _trimmed_writer(name: str, slot: Slot, subs: frozenset[str]) -> _Writer:
    def write(document: dict[str, Any], values: Mapping[Slot, Value]) -> None:
        trimmed = [{k: v for k, v in element.items() if k in subs} for element in values.get(slot, ())]
        if trimmed := [element for element in trimmed if element]:
            document[name] = trimmed

    return write
