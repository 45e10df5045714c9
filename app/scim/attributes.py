"""Attribute definitions as RFC 7643 section 7 describes them, parsed once and frozen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

_NAME = re.compile(r"(?:[A-Za-z][A-Za-z0-9_$-]*|\$ref)")


class Type(StrEnum):
    """Data types of RFC 7643 section 2.3."""

    STRING = "string"
    BOOLEAN = "boolean"
    DECIMAL = "decimal"
    INTEGER = "integer"
    DATE_TIME = "dateTime"
    BINARY = "binary"
    REFERENCE = "reference"
    COMPLEX = "complex"


class Mutability(StrEnum):
    READ_ONLY = "readOnly"
    READ_WRITE = "readWrite"
    IMMUTABLE = "immutable"
    WRITE_ONLY = "writeOnly"


class Returned(StrEnum):
    ALWAYS = "always"
    NEVER = "never"
    DEFAULT = "default"
    REQUEST = "request"


class Uniqueness(StrEnum):
    NONE = "none"
    SERVER = "server"
    GLOBAL = "global"


_DEFAULT_SUB_ATTRIBUTES = {
    "type": Type.STRING,
    "primary": Type.BOOLEAN,
    "display": Type.STRING,
    "$ref": Type.REFERENCE,
}
"""What these names mean wherever they are used as sub-attributes (RFC 7643 section 2.4)."""


class SchemaDefinitionError(Exception):
    """A schema definition breaks RFC 7643 section 7; the text names the attribute and the rule."""


@dataclass(frozen=True, slots=True, eq=False)
class Attribute:
    """One attribute or sub-attribute; compared and hashed by identity, since each is created once.

    `path` is the canonical notation of RFC 7644 section 3.10: core and common attributes without a URN
    (`name.familyName`), extension attributes with it (`urn:…:User:manager.value`).
    """

    name: str
    path: str
    schema: str
    type: Type
    multi_valued: bool
    required: bool
    case_exact: bool
    mutability: Mutability
    returned: Returned
    uniqueness: Uniqueness
    description: str = ""
    canonical_values: tuple[str, ...] = ()
    reference_types: tuple[str, ...] = ()
    sub_attributes: tuple[Attribute, ...] = ()
    _subs: Mapping[str, Attribute] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_subs", {a.name.lower(): a for a in self.sub_attributes})

    def sub(self, name: str) -> Attribute | None:
        """The sub-attribute of that name, compared without case (RFC 7643 section 2.1), or None."""
        return self._subs.get(name.lower())

    @property
    def refers_to_resources(self) -> bool:
        """True for a reference whose targets are SCIM resources, so that its URI follows from an id."""
        return self.type is Type.REFERENCE and not set(self.reference_types) <= {"external", "uri"}

    def __repr__(self) -> str:
        return f"<Attribute {self.path}>"


def parse_attribute(definition: Mapping[str, Any], schema: str, prefix: str = "", *, nested: bool = False) -> Attribute:
    """The frozen form of one RFC 7643 section 7 definition, with the defaults of section 2.2 filled in.

    Raises SchemaDefinitionError for a name, type or structure that the RFC does not allow.
    """
    name = str(definition.get("name", ""))
    path = prefix + name
    if not _NAME.fullmatch(name):
        raise SchemaDefinitionError(f"{schema}: '{name}' is not an attribute name (RFC 7643 section 2.1)")
    try:
        kind = Type(definition.get("type", "string"))
        mutability = Mutability(definition.get("mutability", "readWrite"))
        returned = Returned(definition.get("returned", "default"))
        uniqueness = Uniqueness(definition.get("uniqueness", "none"))
    except ValueError as error:
        raise SchemaDefinitionError(f"{schema}: attribute '{path}': {error}") from error
    if kind is Type.COMPLEX and nested:
        raise SchemaDefinitionError(f"{schema}: sub-attribute '{path}' may not be complex (RFC 7643 section 2.3.8)")
    if nested and kind is not _DEFAULT_SUB_ATTRIBUTES.get(name, kind):
        wanted = _DEFAULT_SUB_ATTRIBUTES[name]
        raise SchemaDefinitionError(f"{schema}: '{path}' must be of type {wanted} (RFC 7643 section 2.4)")
    subs = tuple(parse_attribute(d, schema, f"{path}.", nested=True) for d in definition.get("subAttributes", ()))
    exact_by_type = kind in (Type.REFERENCE, Type.BINARY)
    return Attribute(
        name=name,
        path=path,
        schema=schema,
        type=kind,
        multi_valued=bool(definition.get("multiValued", False)),
        required=bool(definition.get("required", False)),
        case_exact=exact_by_type or bool(definition.get("caseExact", False)),
        mutability=mutability,
        returned=returned,
        uniqueness=uniqueness,
        description=str(definition.get("description", "")),
        canonical_values=tuple(definition.get("canonicalValues", ())),
        reference_types=tuple(definition.get("referenceTypes", ())),
        sub_attributes=subs,
    )
