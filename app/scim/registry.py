"""Schemas and resource types: the one source from which slots, relations, paths, columns and discovery follow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from typing import Any

from app.scim.attributes import Attribute, Mutability, SchemaDefinitionError, Type, parse_attribute
from app.scim.filter.nodes import AttrPath
from app.scim.query import Slot

USER_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE_SCHEMA = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

_COMMON_DEFINITIONS: Sequence[Mapping[str, Any]] = (
    {
        "name": "schemas",
        "type": "reference",
        "multiValued": True,
        "returned": "always",
        "referenceTypes": ["uri"],
    },
    {"name": "id", "caseExact": True, "mutability": "readOnly", "returned": "always", "uniqueness": "server"},
    {"name": "externalId", "caseExact": True},
    {
        "name": "meta",
        "type": "complex",
        "mutability": "readOnly",
        "subAttributes": [
            {"name": "resourceType", "caseExact": True, "mutability": "readOnly"},
            {"name": "created", "type": "dateTime", "mutability": "readOnly"},
            {"name": "lastModified", "type": "dateTime", "mutability": "readOnly"},
            {"name": "location", "type": "reference", "referenceTypes": ["uri"], "mutability": "readOnly"},
            {"name": "version", "caseExact": True, "mutability": "readOnly"},
        ],
    },
)
_COMMON = tuple(parse_attribute(d, "") for d in _COMMON_DEFINITIONS)
SCHEMAS_ATTRIBUTE, ID, EXTERNAL_ID, META = _COMMON


def _meta(name: str) -> Attribute:
    found = META.sub(name)
    assert found is not None
    return found


META_CREATED = _meta("created")
META_LAST_MODIFIED = _meta("lastModified")
META_VERSION = _meta("version")
META_LOCATION = _meta("location")
META_RESOURCE_TYPE = _meta("resourceType")


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """One schema: its URI, its attributes, and the RFC 7643 section 7 definition that `/Schemas` publishes."""

    id: str
    name: str
    attributes: tuple[Attribute, ...]
    definition: Mapping[str, Any]
    _by_name: Mapping[str, Attribute] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {a.name.lower(): a for a in self.attributes})

    @classmethod
    def parse(cls, definition: Mapping[str, Any], *, extension: bool = False) -> Schema:
        """The frozen schema of a definition. Raises SchemaDefinitionError."""
        urn = str(definition["id"])
        prefix = f"{urn}:" if extension else ""
        attributes = tuple(parse_attribute(d, urn, prefix) for d in definition["attributes"])
        names = [a.name.lower() for a in attributes]
        common = {a.name.lower() for a in _COMMON}
        for name in names:
            if names.count(name) > 1 or name in common:
                raise SchemaDefinitionError(f"{urn}: attribute '{name}' is defined twice (RFC 7643 section 3.3)")
        return cls(urn, str(definition["name"]), attributes, definition)

    def attribute(self, name: str) -> Attribute | None:
        """The attribute of that name, compared without case, or None."""
        return self._by_name.get(name.lower())


@dataclass(frozen=True, slots=True)
class Extension:
    schema: Schema
    required: bool = False


@dataclass(frozen=True, slots=True)
class Lookup:
    """A slot that a store derives: the value of `source` ("id" or a slot) of the resource of `kind` whose id the
    slot `via` holds; absent when there is no such resource. (`manager.displayName`, `manager.$ref`)"""

    slot: Slot
    attribute: Attribute
    via: Slot
    kind: str
    source: str


@dataclass(frozen=True, slots=True)
class Relation:
    """An attribute that refers to resources and is never a slot. `stored` is true on the side that clients change
    (`members`); its inverse (`groups`) is read-only. `target` is the kind at the far end."""

    attribute: Attribute
    target: str
    inverse: str
    stored: bool


@dataclass(frozen=True, eq=False)
class ResourceType:
    """A resource type (RFC 7643 section 6) and what follows from its schemas.

    `slots` maps each stored slot to its attribute (a singular leaf or a whole multi-valued attribute); `lookups` the
    derived ones; `relations` the attributes that refer to resources, by name. `common` are the attributes of RFC 7643
    section 3.1: all but externalId must be there.
    """

    name: str
    endpoint: str
    description: str
    schema: Schema
    extensions: tuple[Extension, ...] = ()
    relations: Mapping[str, Relation] = field(default_factory=dict)
    common: tuple[Attribute, ...] = _COMMON

    @cached_property
    def attributes(self) -> tuple[Attribute, ...]:
        """Every top-level attribute: common, core, then of the extensions."""
        own = [*self.schema.attributes]
        for extension in self.extensions:
            own.extend(extension.schema.attributes)
        return (*self.common, *own)

    def attributes_of(self, schema: Schema) -> tuple[Attribute, ...]:
        """The attributes that stand beside each other in a document: those of the base schema with the common ones,
        or those of one extension."""
        return self._core_attributes if schema is self.schema else schema.attributes

    @cached_property
    def _core_attributes(self) -> tuple[Attribute, ...]:
        return (*self.common, *self.schema.attributes)

    def top_level(self, name: str) -> Attribute | None:
        """The core or common attribute of that canonical name, or None."""
        return self._top_level.get(name)

    @cached_property
    def _top_level(self) -> Mapping[str, Attribute]:
        return {a.name: a for a in self.attributes_of(self.schema)}

    @cached_property
    def slots(self) -> Mapping[Slot, Attribute]:
        return {a.path: a for a in self._leaves() if a.path not in self.lookups}

    @cached_property
    def lookups(self) -> Mapping[Slot, Lookup]:
        found: dict[Slot, Lookup] = {}
        for attribute in self.attributes:
            value, reference = attribute.sub("value"), attribute.sub("$ref")
            if attribute.multi_valued or not value or not reference or not reference.refers_to_resources:
                continue
            kind = reference.reference_types[0]
            found[reference.path] = Lookup(reference.path, reference, value.path, kind, "id")
            for sub in attribute.sub_attributes:
                if sub.mutability is Mutability.READ_ONLY and sub.name != "$ref":
                    found[sub.path] = Lookup(sub.path, sub, value.path, kind, sub.name)
        return found

    @cached_property
    def readable(self) -> frozenset[Slot]:
        """Every slot, stored or derived, that may be asked of a store."""
        never = {s for s, a in self.slots.items() if a.returned.value == "never"}
        return frozenset((*self.slots, *self.lookups)) - never

    @cached_property
    def required_slots(self) -> frozenset[Slot]:
        """Slots that every resource must have (core attributes only; those of an extension count where it is used)."""
        return frozenset(s for s, a in self.slots.items() if a.required and a.schema == self.schema.id)

    def _leaves(self) -> Iterator[Attribute]:
        for attribute in self.attributes:
            if attribute in (SCHEMAS_ATTRIBUTE, ID, META) or attribute.name in self.relations:
                continue
            if attribute.type is Type.COMPLEX and not attribute.multi_valued:
                yield from attribute.sub_attributes
            else:
                yield attribute

    def schema_of(self, urn: str) -> Schema | None:
        """The base or extension schema of that URI, compared without case (a URN), or None."""
        return self._schemas.get(urn.lower())

    @cached_property
    def _schemas(self) -> Mapping[str, Schema]:
        return {s.id.lower(): s for s in self.schemas}

    @cached_property
    def schemas(self) -> tuple[Schema, ...]:
        return (self.schema, *(e.schema for e in self.extensions))

    @cached_property
    def _by_name(self) -> Mapping[str, Attribute]:
        names: dict[str, Attribute] = {}
        ambiguous: set[str] = set()
        for extension in self.extensions:
            for attribute in extension.schema.attributes:
                key = attribute.name.lower()
                ambiguous |= {key} & names.keys()
                names[key] = attribute
        for key in ambiguous:
            del names[key]
        names.update((a.name.lower(), a) for a in (*self.schema.attributes, *self.common))
        return names

    def find(self, path: AttrPath) -> Attribute | None:
        """The attribute or sub-attribute that a path names, all facets without case (RFC 7644 section 3.10), or None.

        A name without URN is a core or common attribute, else that of the only extension that has it.
        """
        if path.urn:
            schema = self.schema_of(path.urn)
            top = schema.attribute(path.name) if schema else None
            if top is None and schema is self.schema:
                top = next((a for a in self.common if a.name.lower() == path.name.lower()), None)
        else:
            top = self._by_name.get(path.name.lower())
        if top is None or path.sub is None:
            return top
        return top.sub(path.sub)

    @cached_property
    def parents(self) -> Mapping[str, Attribute]:
        """For each sub-attribute's path the complex attribute that it belongs to."""
        return {s.path: a for a in self.attributes for s in a.sub_attributes}


@dataclass(frozen=True, eq=False)
class Registry:
    """The resource types that are served, and the schemas that describe them and the configuration resources."""

    types: tuple[ResourceType, ...]
    configuration_schemas: tuple[Schema, ...] = ()

    def __post_init__(self) -> None:
        for what in ("name", "endpoint"):
            values = [getattr(t, what) for t in self.types]
            if len(set(values)) != len(values):
                raise SchemaDefinitionError(f"two resource types share one {what} (RFC 7643 section 6)")

    @cached_property
    def _by_kind(self) -> Mapping[str, ResourceType]:
        return {t.name: t for t in self.types}

    def type(self, kind: str) -> ResourceType:
        """The resource type of that name. Raises KeyError."""
        return self._by_kind[kind]

    @cached_property
    def schemas(self) -> tuple[Schema, ...]:
        """Every schema in use, without repetition."""
        used = {s.id: s for t in self.types for s in t.schemas}
        return (*used.values(), *self.configuration_schemas)


def load(extra_user_schemas: Sequence[Mapping[str, Any]] = ()) -> Registry:
    """The registry of User (with EnterpriseUser and any further optional extension definitions) and Group.

    Raises SchemaDefinitionError.
    """
    enterprise = Schema.parse(_packaged("enterprise-user"), extension=True)
    extensions = (enterprise, *(Schema.parse(d, extension=True) for d in extra_user_schemas))
    user_schema, group_schema = Schema.parse(_packaged("user")), Schema.parse(_packaged("group"))
    groups, members = user_schema.attribute("groups"), group_schema.attribute("members")
    assert groups is not None
    assert members is not None
    user = ResourceType(
        "User",
        "/Users",
        "User account",
        user_schema,
        tuple(Extension(s) for s in extensions),
        {"groups": Relation(groups, "Group", "members", stored=False)},
    )
    group = ResourceType(
        "Group",
        "/Groups",
        "Group",
        group_schema,
        relations={"members": Relation(members, "User", "groups", stored=True)},
    )
    configuration = ("service-provider-config", "resource-type", "schema")
    return Registry((user, group), tuple(_configuration_schema(_packaged(name)) for name in configuration))


def _configuration_schema(definition: Mapping[str, Any]) -> Schema:
    return Schema(str(definition["id"]), str(definition["name"]), (), definition)


def _packaged(name: str) -> Mapping[str, Any]:
    text = resources.files("app.scim").joinpath("schemas", f"{name}.json").read_text(encoding="utf-8")
    definition: Mapping[str, Any] = json.loads(text)
    return definition
