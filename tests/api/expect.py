"""What refusals have in common, asserted in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.support.service import ERROR, SCIM_JSON, USER, Client


def new_user(client: Client, user_name: str, /, **attributes: Any) -> str:
    """The path of a new user with these attributes."""
    response = client.create("/Users", {"schemas": [USER], "userName": user_name, **attributes})
    assert response.status_code == 201, response.text
    return f"/Users/{response.json()['id']}"


def refused(response: httpx.Response, status: int, scim_type: str | None = None) -> str:
    """The detail of a SCIM error that is well formed and has this status and this scimType (RFC 7644 section 3.12)."""
    assert response.status_code == status, f"{response.status_code}: {response.text[:500]}"
    assert response.headers["Content-Type"] == SCIM_JSON
    document: dict[str, Any] = response.json()
    assert document.keys() <= {"schemas", "status", "scimType", "detail"}
    assert document["schemas"] == [ERROR]
    assert document["status"] == str(status)
    assert document.get("scimType") == scim_type, document
    detail = document["detail"]
    assert isinstance(detail, str)
    assert detail
    return detail


@contextmanager
def unchanged(client: Client, *paths: str) -> Iterator[None]:
    """The resources, meta.version included, are the same after the block as before it."""
    before = [client.get(path).json() for path in paths]
    yield
    assert [client.get(path).json() for path in paths] == before
