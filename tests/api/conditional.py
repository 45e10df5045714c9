"""Conditional requests of the tests."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import httpx

from tests.api.expect import refused
from tests.support.service import USER, Client

STALE = 'W/"an-older-version"'
PAST = format_datetime(datetime(2001, 1, 1, tzinfo=UTC), usegmt=True)
FUTURE = format_datetime(datetime(2099, 1, 1, tzinfo=UTC), usegmt=True)
METHODS = ("GET", "HEAD", "PUT", "PATCH", "DELETE")
WRITES = METHODS[2:]


def tag_of(client: Client, path: str) -> str:
    return client.get(path).headers["ETag"]


def request(client: Client, method: str, path: str, **headers: str) -> httpx.Response:
    """A request that would succeed and, where it writes, change something, if the headers allow it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if method == "PUT":
        body: dict[str, Any] = {"schemas": [USER], "userName": f"put-{path[-36:]}", "title": "Pilot"}
        return client.put(path, json=body, headers=named)
    if method == "PATCH":
        operation = {"op": "add", "path": "title", "value": "Pilot"}
        return client.change(path, operation, **named)
    return client.request(method, path, headers=named)


def expect(client: Client, method: str, path: str, outcome: str, **headers: str) -> None:
    """Send the request; `outcome` is "done", "412" or "304" (for a read; 412 for a write)."""
    before = client.get(path)
    response = request(client, method, path, **headers)
    if outcome == "done":
        assert response.status_code == (204 if method == "DELETE" else 200), response.text
        assert client.get(path).status_code == (404 if method == "DELETE" else 200)
        return
    if outcome == "304" and method in ("GET", "HEAD"):
        assert response.status_code == 304
        assert response.content == b""
        assert response.headers["ETag"] == before.headers["ETag"]
    elif method == "HEAD":
        assert (response.status_code, response.content) == (412, b"")
    else:
        refused(response, 412)
    after = client.get(path)
    assert after.json() == before.json()
    assert after.headers["ETag"] == before.headers["ETag"]
