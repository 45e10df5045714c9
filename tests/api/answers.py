"""What the API tests say of responses again and again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from tests.api.schemas import VECTORS
from tests.support.service import USER, Client

VECTOR: str = VECTORS["seed"]["extensionSchemas"][0]["id"]
"""The URI of the vectors' extension: level (integer), score (decimal), badge (case exact), remote, hired, tags."""


def taken(response: httpx.Response, status: int = 200) -> dict[str, Any]:
    """The document of a response of that status."""
    assert response.status_code == status, response.text
    document: dict[str, Any] = response.json()
    return document


def own(document: Mapping[str, Any]) -> dict[str, Any]:
    """A resource without what tells it from a twin: id, meta and userName."""
    return {k: v for k, v in document.items() if k not in ("id", "meta", "userName")}


def names(response: httpx.Response) -> list[str]:
    """The userName of each user in a list response, in order."""
    return [resource["userName"] for resource in taken(response)["Resources"]]


def post_user(client: Client, user_name: str, /, **attributes: Any) -> httpx.Response:
    """The answer to a POST of a user."""
    return client.create("/Users", {"schemas": [USER], "userName": user_name, **attributes})


def published(client: Client, urn: str) -> dict[str, dict[str, Any]]:
    """The attributes that a schema publishes, by name."""
    return {a["name"]: a for a in taken(client.get(f"/Schemas/{urn}"))["attributes"]}
