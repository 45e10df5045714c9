"""A resource as the JSON document that a client gets (RFC 7643 section 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from app.scim.attributes import Type
from app.scim.filter.evaluate import reference_element
from app.scim.projection import Projection
from app.scim.query import Reference, Resource, Slot, Stamp, Value
from app.scim.registry import ID, META, SCHEMAS_ATTRIBUTE
from app.scim.types import format_instant

Convert = Callable[[Value], Value]
_WRITTEN_APART = (SCHEMAS_ATTRIBUTE, ID, META)


class _Place(NamedTuple):
    """Where a slot's value stands in the document: in the object of an extension's `urn` or at the top, and there in
    the complex attribute `parent` or directly, under `name`; `convert` makes what is shown of it."""

    urn: str
    parent: str
    name: str
    convert: Convert | None


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
        places = dict(self._all_places())
        self._plain = {s: p.name for s, p in places.items() if not (p.urn or p.parent or p.convert)}
        self._places = {slot: place for slot, place in places.items() if slot not in self._plain}
        self._meta = projection.shown.get(META.path, ()) if META.path in projection.shown else ()

    def write(self, resource: Resource, relations: Mapping[str, Sequence[Reference]]) -> dict[str, Any]:
        """The document: `schemas` and `id` always, an extension's URI and object where it has a value shown."""
        schemas = [self._core_urn]
        document: dict[str, Any] = {"schemas": schemas, "id": resource.id}
        extensions: dict[str, dict[str, Any]] = {}
        for slot, value in resource.values.items():
            if (plain := self._plain.get(slot)) is not None:
                document[plain] = value
                continue
            place = self._places.get(slot)
            if place is None:
                continue
            urn, parent, name, convert = place
            shown = value if convert is None else convert(value)
            if shown is None:
                continue
            target = extensions.setdefault(urn, {}) if urn else document
            if parent:
                target = target.setdefault(parent, {})
            target[name] = shown
        for name in self.projection.relations:
            if elements := self._references(name, relations.get(name, ())):
                document[name] = elements
        if extensions:
            schemas.extend(extensions)
            document.update(extensions)
        if self._meta is None or self._meta:
            document["meta"] = self._write_meta(resource)
        return document

    def _write_meta(self, resource: Resource) -> dict[str, Any]:
        created, modified = resource.created, resource.stamp.modified
        first = format_instant(created)
        meta = {
            "resourceType": resource.kind,
            "created": first,
            "lastModified": first if modified == created else format_instant(modified),
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

    def _all_places(self) -> Iterator[tuple[Slot, _Place]]:
        shown = self.projection.shown
        for attribute in self._type.attributes:
            if attribute.path not in shown or attribute in _WRITTEN_APART or attribute.name in self._type.relations:
                continue
            urn = "" if attribute.schema in ("", self._core_urn) else attribute.schema
            subs = shown[attribute.path]
            if attribute.multi_valued or attribute.type is not Type.COMPLEX:
                trim = _trimmed(subs) if attribute.multi_valued and subs is not None else None
                yield attribute.path, _Place(urn, "", attribute.name, trim)
                continue
            for sub in attribute.sub_attributes:
                if subs is None or sub.name in subs:
                    yield sub.path, _Place(urn, attribute.name, sub.name, self._to_uri(sub.path))

    def _to_uri(self, slot: Slot) -> Convert | None:
        """What makes the URI of a looked-up resource from its id; None for every other slot."""
        lookup = self._type.lookups.get(slot)
        return f"{self._base}/{lookup.kind}s/".__add__ if lookup and lookup.source == "id" else None


def _trimmed(subs: frozenset[str]) -> Convert:
    """Keeps these sub-attributes of each value; None when nothing is left."""

    def trim(elements: Value) -> Value:
        trimmed = ({k: v for k, v in element.items() if k in subs} for element in elements)
        return [element for element in trimmed if element] or None

    return trim
