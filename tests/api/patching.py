"""PATCH requests of the tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.service import ENTERPRISE, Client

WORK = {"value": "mira@tern.example", "type": "work", "primary": True}
HOME = {"value": "mira@home.example", "type": "home"}
DEPARTMENT = f"{ENTERPRISE}:department"


def op(name: str, path: str | None = None, value: Any = ...) -> dict[str, Any]:
    made: dict[str, Any] = {"op": name}
    if path is not None:
        made["path"] = path
    if value is not ...:
        made["value"] = value
    return made


def changed(client: Client, path: str, *operations: Mapping[str, Any]) -> dict[str, Any]:
    """The resource that a successful PATCH answers, which is the one that is stored."""
    response = client.change(path, *operations)
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    assert client.get(path).json() == document
    return document
