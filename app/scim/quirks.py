"""Leniencies towards the shapes that clients give to values, in documents and PATCH alike. Each is one function."""

from __future__ import annotations

from typing import Any

from app.scim.attributes import Attribute, Type


def boolean_in_text(attribute: Attribute, value: Any) -> Any:
    """Entra ID sends "True" and "False" for booleans, in any case: they become true and false."""
    if attribute.type is Type.BOOLEAN and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return value


def bare_value_of_complex(attribute: Attribute, value: Any) -> Any:
    """Entra ID sends a manager or a member as a bare id: it becomes `{"value": id}`."""
    if attribute.type is Type.COMPLEX and isinstance(value, str) and attribute.sub("value"):
        return {"value": value} if value else None
    return value


def single_element_list(attribute: Attribute, value: Any) -> Any:
    """Entra ID sends a singular complex attribute as a list of one: it becomes that element."""
    if attribute.type is Type.COMPLEX and not attribute.multi_valued and isinstance(value, list) and len(value) == 1:
        return value[0]
    return value


VALUE_QUIRKS = (single_element_list, bare_value_of_complex, boolean_in_text)


def put_right(attribute: Attribute, value: Any) -> Any:
    """The value of an attribute (or of one of its elements) after every leniency; none concerns text or an object."""
    if attribute.type is Type.STRING or (attribute.type is Type.COMPLEX and isinstance(value, dict)):
        return value
    for quirk in VALUE_QUIRKS:
        value = quirk(attribute, value)
    return value
