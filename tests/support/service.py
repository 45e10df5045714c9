"""The service over real HTTP in a thread of the test process, on a free port, with integrations to use it by."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from werkzeug.serving import WSGIRequestHandler, make_server

from app.control import Access, ControlStore, Dialect
from app.factory import create_app
from app.scim.registry import Registry
from backends.base import Backend
from config.settings import BrakesSettings, LimitsSettings, LogSettings, Settings
from tests.support.controls import new_control

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
SEARCH_REQUEST = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
SCIM_JSON = "application/scim+json"
# How long a service that is to end may take to see it; the half second that is usual would be most of many a test.
LOOK_SECONDS = 0.01


class QuietHandler(WSGIRequestHandler):
    """Keeps connections open and logs nothing."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


@dataclass
class Service:
    """A running service. `client(access, dialect)` speaks as an integration of that kind."""

    settings: Settings
    control: ControlStore
    _clients: dict[tuple[Access, Dialect], Client] = field(default_factory=dict)

    def client(self, access: Access = Access.FULL, dialect: Dialect = Dialect.RFC) -> Client:
        """A client with a bearer token of its own integration; the same one each time."""
        key = (access, dialect)
        if key not in self._clients:
            integration = self.control.create_integration(f"{access.value}-{dialect.value}", access, dialect)
            token = self.control.add_bearer(integration.id, None).value
            self._clients[key] = Client(self.settings.scim_url, token)
        return self._clients[key]

    @property
    def anonymous(self) -> httpx.Client:
        """A client without credentials, at the SCIM base."""
        return httpx.Client(base_url=self.settings.scim_url, timeout=30, verify=trusted())


@cache
def trusted() -> ssl.SSLContext:
    """The authorities that clients trust. To read them takes a tenth of a second, and each client would do it anew."""
    return httpx.create_ssl_context()


class Client(httpx.Client):
    """An authenticated SCIM client; paths are relative to the SCIM base."""

    def __init__(self, base: str, token: str) -> None:
        super().__init__(base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=60, verify=trusted())
        self.base = base

    def create(self, endpoint: str, document: Mapping[str, Any], **parameters: str) -> httpx.Response:
        """POST a document."""
        return self.post(endpoint, json=document, headers={"Content-Type": SCIM_JSON}, params=parameters or None)

    def user(self, name: str, **attributes: Any) -> dict[str, Any]:
        """A new user as the service returned it."""
        response = self.create("/Users", {"schemas": [USER], "userName": name, **attributes})
        assert response.status_code == 201, response.text
        created: dict[str, Any] = response.json()
        return created

    def group(self, name: str, *members: str) -> dict[str, Any]:
        """A new group as the service returned it."""
        document = {"schemas": [GROUP], "displayName": name, "members": [{"value": m} for m in members]}
        response = self.create("/Groups", document)
        assert response.status_code == 201, response.text
        created: dict[str, Any] = response.json()
        return created

    def change(self, path: str, *operations: Mapping[str, Any], **headers: str) -> httpx.Response:
        """PATCH with operations."""
        body = {"schemas": [PATCH_OP], "Operations": list(operations)}
        return self.patch(path, json=body, headers={"Content-Type": SCIM_JSON, **headers})

    def search(self, endpoint: str, filter: str, **parameters: str) -> httpx.Response:
        """GET with a filter."""
        return self.get(endpoint, params={"filter": filter, **parameters})

    def found(self, endpoint: str, filter: str) -> set[str]:
        """The ids that a filter finds."""
        response = self.search(endpoint, filter, attributes="id", count="1000")
        assert response.status_code == 200, response.text
        return {resource["id"] for resource in response.json().get("Resources", ())}


def quiet(home: Path, port: int, **tables: Any) -> Settings:
    """Settings of a service that logs nothing but errors and has no brakes, with these further parts."""
    brakes = BrakesSettings(deactivations=0, deletions=0, member_removals=0)
    return Settings(home=home, bind=f"127.0.0.1:{port}", log=LogSettings(level="error"), **{"brakes": brakes, **tables})


@contextmanager
def running(
    backend: Backend, registry: Registry, home: Path, limits: LimitsSettings | None = None, **tables: Any
) -> Iterator[Service]:
    """The service on a store, listening until the block ends; `tables` are further parts of the settings.
    Brakes are off unless they are there."""
    control_url = new_control(home / "control.db")
    server = make_server("127.0.0.1", 0, lambda environ, start: [], threaded=True, request_handler=QuietHandler)
    settings = quiet(home, server.port, limits=limits or LimitsSettings(), **tables)
    server.app = create_app(settings, backend, registry)
    thread = threading.Thread(target=server.serve_forever, args=(LOOK_SECONDS,), daemon=True)
    thread.start()
    control = ControlStore(control_url)
    try:
        yield Service(settings, control)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        control.close()
        server.app.extensions["landfall"].audit.close()
        server.app.extensions["landfall"].control.close()
