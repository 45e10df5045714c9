"""What the entries of the checks that write hold."""

from __future__ import annotations

from typing import Any

from app.scim.query import Draft, Slot, Value
from app.scim.registry import ENTERPRISE_SCHEMA, EXTERNAL_ID, ResourceType
from backends.ldap import dn
from backends.ldap.branch import Branch
from backends.ldap.drivers.base import Attributes

PREFIX = "landfall-check-"
"""All names begin so."""
_ENTERPRISE = ("employeeNumber", "department", "division", "organization", "costCenter")


def user_values(type: ResourceType, name: str) -> dict[Slot, Value]:
    """A value for each attribute of users that is served and can have one without another resource."""
    samples: dict[Slot, Value] = {
        "userName": name,
        "displayName": name,
        "name.formatted": name,
        "name.familyName": "Check",
        "name.givenName": "Landfall",
        "name.middleName": "M",
        "name.honorificPrefix": "Dr",
        "name.honorificSuffix": "II",
        "title": "Sample",
        "userType": "Sample",
        "preferredLanguage": "en",
        "profileUrl": "https://landfall.invalid/check",
        "active": True,
        EXTERNAL_ID.path: name,
        "emails": [{"value": f"{name.partition('@')[0]}@landfall.invalid", "type": "work", "primary": True}],
        "phoneNumbers": [{"value": "+1 555 0100", "type": "work"}, {"value": "+1 555 0101", "type": "mobile"}],
        "addresses": [
            {
                "streetAddress": "1 Sample Street",
                "locality": "Sampleton",
                "region": "SA",
                "postalCode": "12345",
                "country": "US",
                "type": "work",
            }
        ],
        **{f"{ENTERPRISE_SCHEMA}:{part}": "Sample" for part in _ENTERPRISE},
    }
    return {slot: _served(type, slot, value) for slot, value in samples.items() if slot in type.slots}


def changed(values: dict[Slot, Value]) -> dict[Slot, Value]:
    """Other values for those of them that are single texts and name nothing."""
    kept = ("userName", EXTERNAL_ID.path, "preferredLanguage", "profileUrl")
    return {slot: f"{value}-x" for slot, value in values.items() if isinstance(value, str) and slot not in kept}


def group_draft(type: ResourceType, name: str) -> Draft:
    """A group without members."""
    samples: dict[Slot, Value] = {"displayName": name, EXTERNAL_ID.path: name}
    return Draft({slot: value for slot, value in samples.items() if slot in type.slots})


def second_user(branch: Branch, name: str, other: str) -> tuple[str, Attributes] | None:
    """DN and attributes of another user of that userName, with the name `other` wherever that matters besides; None
    where userName is all that names an entry."""
    bindings = branch.bindings
    bound = bindings.singles["userName"].attribute.lower()
    rdn = bindings.rdn if bindings.rdn.lower() != bound else next(iter(bindings.derived), None)
    if rdn is None:
        return None
    values = {"userName": name, "displayName": other, "name.familyName": "Check"}
    native = branch.entries.native({slot: value for slot, value in values.items() if slot in branch.type.slots}, {})
    for attribute in (*bindings.derived, rdn):
        native[attribute.lower()] = (other.encode(),)
    fixed = {attribute.lower(): tuple(v.encode() for v in given) for attribute, given in bindings.fixed.items()}
    classes = tuple(text.encode() for text in bindings.object_classes)
    return dn.child(dn.rdn(rdn, other), bindings.base), {"objectClass": classes, **fixed, **native}


def _served(type: ResourceType, slot: Slot, value: Value) -> Value:
    """The value with those parts alone that are served."""
    if not isinstance(value, list):
        return value
    parts = {sub.name for sub in type.slots[slot].sub_attributes}
    elements: list[Any] = [{k: v for k, v in element.items() if k in parts} for element in value]
    return elements
