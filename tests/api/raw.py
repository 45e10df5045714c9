"""Requests as octets, for what an HTTP library would put right before it is sent."""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: header names are in lower case, repeated ones are joined."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)


def send(
    base: str,
    method: str,
    target: str | bytes,
    *,
    headers: Iterable[tuple[str, str | bytes]] = (),
    body: bytes = b"",
    length: str | None = "",
) -> Answer:
    """Send one request on a connection of its own to the host of `base` and wait for the whole answer.

    `target` follows the path of `base`. `length` is the Content-Length: empty for the true one, None for no header.
    Fails when nothing comes back for half a minute.
    """
    parts = urlsplit(base)
    line = target.encode("ascii") if isinstance(target, str) else target
    lines = [
        method.encode("ascii") + b" " + parts.path.encode() + line + b" HTTP/1.1",
        b"Host: " + parts.netloc.encode(),
    ]
    lines += [name.encode("ascii") + b": " + _octets(value) for name, value in headers]
    if length is not None and (body or length):
        lines.append(b"Content-Length: " + (length or str(len(body))).encode("ascii"))
    message = b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        # The service may refuse a request and close before it has read all of it.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(message)
        response = http.client.HTTPResponse(connection, method=method)
        response.begin()
        received = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, received, response.read())


def _octets(value: str | bytes) -> bytes:
    return value.encode("latin-1") if isinstance(value, str) else value
