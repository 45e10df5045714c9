"""How Microsoft Entra ID words its requests: documents, both styles of PATCH, and queries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any
from urllib.parse import quote_plus

from app.demo.people import ENTERPRISE, Person, Team

_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
_GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
# Sent with every new group, and registered nowhere.
_ADSCIM_GROUP = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
_PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

_ELEMENT = re.compile(r'(?P<name>\w+)\[type eq "(?P<type>\w+)"]\.(?P<sub>\w+)')

Operation = dict[str, Any]


class Style(Enum):
    """The two styles of PATCH; a tenant chooses by a flag in its URL, but sends both."""

    OFF = "flag off"
    ON = "flag on"

    def op(self, name: str) -> str:
        """The name of the operation as this style writes it."""
        return name if self is Style.ON else name.capitalize()


def patch(*operations: Operation) -> dict[str, Any]:
    """A PATCH body."""
    return {"schemas": [_PATCH_OP], "Operations": list(operations)}


def query(attribute: str, value: str, *, members: bool = True) -> str:
    """The query string of a match. Spaces are `+`, as the client sends them."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    text = "filter=" + quote_plus(f'{attribute} eq "{escaped}"')
    return text if members else f"excludedAttributes=members&{text}"


def user_document(person: Person) -> dict[str, Any]:
    """The body that creates a user; the manager follows later, when it has an id."""
    document: dict[str, Any] = {
        "schemas": [_USER, ENTERPRISE],
        "externalId": person.external_id,
        "active": person.active,
        "meta": {"resourceType": "User"},
        "roles": [],
    }
    for path, value in person.attributes.items():
        _put(document, path, value)
    document["emails"][0]["primary"] = True
    return document


def group_document(team: Team) -> dict[str, Any]:
    """The body that creates a group, which never has members yet."""
    return {
        "schemas": [_GROUP, _ADSCIM_GROUP],
        "externalId": team.external_id,
        "displayName": team.name,
        "meta": {"resourceType": "Group"},
    }


def attribute_changes(style: Style, changes: Mapping[str, str], known: Mapping[str, str]) -> list[Operation]:
    """The operations that give attributes new values; `known` holds those that have one already.

    Without the flag each attribute has an operation of its own. With it, single-valued attributes share one
    `replace` without a path, after the operations on elements.
    """
    if style is Style.OFF:
        return [
            {"op": style.op("replace" if path in known else "add"), "path": path, "value": value}
            for path, value in changes.items()
        ]
    elements = [(path, value) for path, value in changes.items() if _ELEMENT.fullmatch(path)]
    rest = {path: value for path, value in changes.items() if not _ELEMENT.fullmatch(path)}
    operations: list[Operation] = [
        {"op": "replace" if path in known else "add", "path": path, "value": value} for path, value in elements
    ]
    return [*operations, {"op": "replace", "value": rest}] if rest else operations


def activity(style: Style, active: bool) -> Operation:
    """The operation that disables or restores a user: without the flag the boolean is a string."""
    return {"op": style.op("replace"), "path": "active", "value": active if style is Style.ON else str(active)}


def manager_reference(style: Style, id: str) -> Operation:
    """The operation that sets the manager: a bare id, or an object."""
    value = {"value": id} if style is Style.ON else id
    return {"op": style.op("add"), "path": f"{ENTERPRISE}:manager", "value": value}


def new_member(style: Style, id: str) -> Operation:
    """The operation that adds one member."""
    return {"op": style.op("add"), "path": "members", "value": [{"$ref": None, "value": id}]}


def former_member(style: Style, id: str) -> Operation:
    """The operation that takes one member out: by value, or by a filter."""
    if style is Style.ON:
        return {"op": "remove", "path": f'members[value eq "{id}"]'}
    return {"op": "Remove", "path": "members", "value": [{"$ref": None, "value": id}]}


def read_value(document: Mapping[str, Any], path: str) -> Any:
    """The value at a target path of a user as the service returns it, None where there is none."""
    if element := _ELEMENT.fullmatch(path):
        found = [e for e in document.get(element["name"], ()) if e.get("type") == element["type"]]
        return found[0].get(element["sub"]) if len(found) == 1 else None
    value: Any = document
    for name in _steps(path):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _put(document: dict[str, Any], path: str, value: str) -> None:
    if element := _ELEMENT.fullmatch(path):
        elements = document.setdefault(element["name"], [])
        mine = next((e for e in elements if e["type"] == element["type"]), None)
        if mine is None:
            elements.append(mine := {"type": element["type"]})
        mine[element["sub"]] = value
        return
    *above, name = _steps(path)
    for step in above:
        document = document.setdefault(step, {})
    document[name] = value


def _steps(path: str) -> list[str]:
    """The keys from the document to the value. The URN holds dots itself."""
    urn, colon, name = path.rpartition(":")
    return [*([urn] if colon else []), *name.split(".")]
