"""HTTP as the identity provider's client speaks it: kept connections, and neither User-Agent nor If-Match."""

from __future__ import annotations

import base64
import json
import select
import threading
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlencode

from config.settings import Settings

TIMEOUT_SECONDS = 30
SCIM_JSON = "application/scim+json"

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - listens there, and is reached at the loopback


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `status` is 0 when nothing did, and `fault` says why; `document` is empty without JSON."""

    status: int
    media_type: str = ""
    document: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    fault: str = ""


class Wire:
    """Requests to the address that the service listens at, on one kept connection for each thread."""

    def __init__(self, settings: Settings) -> None:
        host, _, port = settings.bind.rpartition(":")
        self.address = f"{_ANYWHERE.get(host, host)}:{port}"
        self._threads = threading.local()
        self._lock = threading.Lock()
        self._open: list[HTTPConnection] = []

    def request(self, method: str, target: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
        """The answer to one request; faults of the connection are an answer too."""
        connection = self._connection()
        try:
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            content = response.read()
        except (OSError, HTTPException) as error:
            connection.close()
            return Answer(0, fault=getattr(error, "strerror", None) or str(error) or type(error).__name__)
        received = {name.lower(): value for name, value in response.getheaders()}
        media_type = received.get("content-type", "").partition(";")[0].strip()
        return Answer(response.status, media_type, _document(content), received)

    def token(self, client_id: str, secret: str) -> Answer:
        """The answer of the token endpoint to the client credentials in a Basic header (RFC 6749 section 4.4)."""
        credentials = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
        headers = {
            "Accept": "application/json",
            "Authorization": f"Basic {credentials}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        form = urlencode({"grant_type": "client_credentials", "scope": "scim.write"}).encode()
        return self.request("POST", "/oauth/token", headers, form)

    def close(self) -> None:
        """Every connection is closed."""
        with self._lock:
            for connection in self._open:
                connection.close()
            self._open.clear()

    def _connection(self) -> HTTPConnection:
        connection: HTTPConnection | None = getattr(self._threads, "connection", None)
        if connection is None:
            connection = HTTPConnection(self.address, timeout=TIMEOUT_SECONDS)
            self._threads.connection = connection
            with self._lock:
                self._open.append(connection)
        elif connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
            # Nothing is awaited, so this is the end: the server has closed what was long idle. It is opened again.
            connection.close()
        return connection


def _document(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content) if content else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
