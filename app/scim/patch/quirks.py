"""Leniencies towards the shapes of PATCH operations. Each function knows one habit of a client and turns it
into the RFC's shape; what concerns values in documents too is in `app.scim.quirks`.

An empty `Operations` array, which Entra ID has been seen to send, needs no function: a plan of nothing is no
change.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.scim import quirks
from app.scim.attributes import Attribute, Mutability, Type
from app.scim.errors import InvalidValue
from app.scim.patch.operations import Aimed, Dialect, Operation
from app.scim.registry import ResourceType

# --- the operation, before its path is read ---


def op_with_capital(operation: Operation, _: ResourceType) -> Sequence[Operation]:
    """Entra ID without its 2020 flag sends `Add`, `Replace`, `Remove`: the op in lower case.

    That spelling gives the client away, and its replace of `emails[type eq "work"].value` means "set or
    create".
    """
    lower = operation.op.lower()
    return (replace(operation, op=lower, upsert=operation.upsert or operation.op != lower),)


def remove_by_value_object(operation: Operation, _: ResourceType) -> Sequence[Operation]:
    """Salesforce-style clients send `{"op":"remove","value":{"members":[…]}}`: one remove with a value per
    key."""
    if operation.op != "remove" or operation.path is not None or not isinstance(operation.value, Mapping):
        return (operation,)
    return _one_per_key(operation, "")


def keys_as_paths(operation: Operation, _: ResourceType) -> Sequence[Operation]:
    """Entra ID with its 2020 flag sends one path-less operation whose keys are paths (`name.givenName`,
    `urn:…:User:department`, `urn:…:User:manager.value`): one operation per key. Okta puts the `id` beside
    them.

    For plain names the RFC says the same (RFC 7644 sections 3.5.2.1 and 3.5.2.3). A key that names no
    attribute is ignored, as in a document that is POSTed.
    """
    if operation.op == "remove" or operation.path is not None or not isinstance(operation.value, Mapping):
        return (operation,)
    return _one_per_key(operation, "")


def schema_uri_as_path(operation: Operation, resource_type: ResourceType) -> Sequence[Operation]:
    """Okta and Microsoft's sample server name a whole extension (`urn:…:User`), as path or key, with an
    object as value: one operation per attribute in it, so that its other attributes stay."""
    schema = resource_type.schema_of((operation.path or "").strip())
    if schema is None or (operation.op != "remove" and not operation.has_value):
        return (operation,)
    if isinstance(operation.value, Mapping):
        return _one_per_key(operation, f"{schema.id}:")
    if operation.value in (None, ""):
        writable = (a for a in schema.attributes if a.mutability is not Mutability.READ_ONLY)
        return tuple(Operation("remove", a.path) for a in writable)
    raise InvalidValue(f"{schema.id}: must be an object")


def _one_per_key(operation: Operation, prefix: str) -> tuple[Operation, ...]:
    return tuple(
        replace(operation, path=f"{prefix}{key}", value=value, has_value=True, from_key=True)
        for key, value in operation.value.items()
    )


OPERATION_QUIRKS: tuple[Callable[[Operation, ResourceType], Sequence[Operation]], ...] = (
    op_with_capital,
    remove_by_value_object,
    keys_as_paths,
    schema_uri_as_path,
)


def reshape(operations: Sequence[Operation], resource_type: ResourceType) -> Sequence[Operation]:
    """The operations after every quirk of OPERATION_QUIRKS, in order."""
    for quirk in OPERATION_QUIRKS:
        operations = [made for operation in operations for made in quirk(operation, resource_type)]
    return operations


# --- the operation, when its target is known ---


def replace_means_upsert(aimed: Aimed, _: ResourceType, dialect: Dialect) -> Aimed:
    """Entra ID sends `replace` on `emails[type eq "work"].value` when there is no such value, and repeats it
    on every cycle if it is refused: in its dialect the value is created, where the RFC wants noTarget
    (3.5.2.3)."""
    if dialect != "entra" or aimed.op != "replace":
        return aimed
    return replace(aimed, operation=replace(aimed.operation, upsert=True))


def replace_of_one_member(aimed: Aimed, resource_type: ResourceType, dialect: Dialect) -> Aimed:
    """Entra ID has been seen to send `replace members [{one}]` once for each new member: in its dialect an
    add, where the RFC would leave the group with that member only. The plan carries a note, so that each use
    can be logged."""
    target, value = aimed.target, aimed.value
    single = len(value) == 1 if isinstance(value, list) else bool(value)
    if dialect != "entra" or aimed.op != "replace" or not single or target.sub or target.match:
        return aimed
    if target.attribute.name not in resource_type.relations:
        return aimed
    note = f"replace of {target.attribute.name} with one value was taken as add"
    return replace(aimed, operation=replace(aimed.operation, op="add"), note=note)


def text_for_selected_value(aimed: Aimed, resource_type: ResourceType, _: Dialect) -> Aimed:
    """Entra ID gives a bare string where an object with a `value` is due; behind a filter (`emails[type eq
    "work"]`) it is the `value` of the selected ones, whose other sub-attributes stay."""
    target = aimed.target
    value = target.attribute.sub("value")
    if not target.match or target.sub or not value or aimed.blank or not isinstance(aimed.value, str):
        return aimed
    if target.attribute.name in resource_type.relations:
        return aimed
    return replace(aimed, target=replace(target, sub=value))


AIMED_QUIRKS: tuple[Callable[[Aimed, ResourceType, Dialect], Aimed], ...] = (
    replace_means_upsert,
    replace_of_one_member,
    text_for_selected_value,
)


def adjust(aimed: Aimed, resource_type: ResourceType, dialect: Dialect) -> Aimed:
    """The operation after every quirk of AIMED_QUIRKS, in order."""
    for quirk in AIMED_QUIRKS:
        aimed = quirk(aimed, resource_type, dialect)
    return aimed


# --- its value ---


def array_for_scalar(attribute: Attribute, value: Any) -> Any:
    """Microsoft's 2019 test library sends `[{"$ref":null,"value":"x"}]` for a singular string: it becomes
    `"x"`."""
    if attribute.type is Type.COMPLEX or not isinstance(value, list) or len(value) != 1:
        return value
    only = value[0]
    return only["value"] if isinstance(only, Mapping) and "value" in only else value


def blank_is_null(_: Attribute, value: Any) -> Any:
    """Entra ID clears an attribute with `""`, and a manager with `{"value":""}`: the empty string becomes
    null."""
    return None if value == "" else value


def role_in_json(attribute: Attribute, value: Any) -> Any:
    """Entra ID wraps an app role as JSON in a string,
    `"{\\"id\\":…,\\"value\\":"Pilot\\",\\"displayName\\":…}"`: the `value` and the `display` of the role come
    out of it."""
    wrapped = value.get("value") if attribute.path == "roles" and isinstance(value, Mapping) else None
    if not isinstance(wrapped, str) or not wrapped.startswith("{"):
        return value
    try:
        role = json.loads(wrapped)
    except (ValueError, RecursionError):
        return value
    if not isinstance(role, dict) or "value" not in role:
        return value
    display = role.get("display", role.get("displayName"))
    inner = {"value": role["value"], "display": display, "type": role.get("type")}
    return {
        **{name: v for name, v in inner.items() if v is not None},
        **{k: v for k, v in value.items() if k != "value"},
    }


VALUE_QUIRKS: tuple[Callable[[Attribute, Any], Any], ...] = (
    array_for_scalar,
    blank_is_null,
    *quirks.VALUE_QUIRKS,
    role_in_json,
)


def tidy(attribute: Attribute, value: Any) -> Any:
    """One value of an attribute or sub-attribute after every quirk of VALUE_QUIRKS, in order."""
    for quirk in VALUE_QUIRKS:
        value = quirk(attribute, value)
    return value
