"""JSON values of an operation as typed slot values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.scim import types
from app.scim.attributes import Attribute, Mutability, Type
from app.scim.elements import distinct
from app.scim.errors import InvalidSyntax, InvalidValue
from app.scim.patch.quirks import tidy
from app.scim.query import Value

Element = dict[str, Value]
"""One value of a complex multi-valued attribute: sub-attribute name -> value, never None or empty."""


def leaf(attribute: Attribute, value: Any) -> Value | None:
    """The checked value of a singular simple attribute, or None where the client unassigns it. Raises
    InvalidValue."""
    value = tidy(attribute, value)
    if value is not None:
        types.check(attribute, value)
    return value


def many(attribute: Attribute, value: Any) -> list[Value]:
    """The values for a multi-valued attribute, from an array or from a single value; unassigned ones are left
    out.

    Raises InvalidValue when one does not fit the schema or more than one is primary (RFC 7643 section 2.4).
    """
    if value is None or value == "":
        return []
    items = value if isinstance(value, list) else [value]
    return distinct(attribute, (e for e in (one(attribute, item) for item in items) if e is not None))


def one(attribute: Attribute, value: Any) -> Value | None:
    """One value of a multi-valued attribute, or None where nothing in it is assigned. Raises InvalidValue."""
    if attribute.type is not Type.COMPLEX:
        return leaf(attribute, value)
    value = tidy(attribute, value)
    if value is None:
        return None
    found = {sub.name: v for sub, v in sub_values(attribute, value) if v is not None}
    return found or None


def sub_values(attribute: Attribute, value: Any) -> Iterator[tuple[Attribute, Value | None]]:
    """The sub-attributes that a complex value sets, or with None unassigns.

    Names are read without case. Sub-attributes that the schema does not have, that are read-only or that
    follow from the resource referred to are ignored; a `$ref` without `value` stands for the id at its end.
    Raises InvalidValue, and InvalidSyntax where one name occurs twice in different case (RFC 7643 section
    2.1).
    """
    if not isinstance(value, Mapping):
        raise InvalidValue(f"{attribute.path}: must be an object")
    given = by_name(attribute, value)
    for sub in attribute.sub_attributes:
        if sub.name not in given or sub.mutability is Mutability.READ_ONLY or sub.refers_to_resources:
            continue
        found = given[sub.name]
        yield sub, (many(sub, found) or None) if sub.multi_valued else leaf(sub, found)


def by_name(attribute: Attribute, value: Mapping[str, Any]) -> dict[str, Any]:
    """The members of an object under the canonical names of the sub-attributes; an id completed from `$ref`.

    Raises InvalidSyntax where one name occurs twice in different case.
    """
    given: dict[str, Any] = {}
    for key, item in value.items():
        sub = attribute.sub(str(key))
        if sub is None:
            continue
        if sub.name in given:
            raise InvalidSyntax(f"{attribute.path}: '{sub.name}' occurs twice")
        given[sub.name] = item
    reference = given.get("$ref")
    if given.get("value") is None and isinstance(reference, str) and reference:
        given["value"] = reference.rstrip("/").rpartition("/")[2]
    return given


def normal(attribute: Attribute, value: Value) -> Any:
    """The form under which two values of an attribute are the same; an absent `primary` counts as false."""
    if isinstance(value, dict):
        return {
            name: normal(sub, v) if (sub := attribute.sub(name)) else v
            for name, v in value.items()
            if not (name == "primary" and v is False)
        }
    if isinstance(value, list):
        return [normal(attribute, v) for v in value]
    return types.comparable(attribute, value)
