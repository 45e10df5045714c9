"""The application as it is behind a proxy: with a public URL, and with peers other than this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.control import Access, ControlStore, upgrade
from app.factory import create_app
from app.scim.registry import Registry
from backends.base import Backend
from config.settings import LogSettings, Settings
from tests.support.service import SCIM_JSON


class Published:
    """An application with a public URL; requests come from `peer` by `scheme`, with a token of full access."""

    def __init__(self, client: FlaskClient, token: str) -> None:
        self._client = client
        self._token = token

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        peer: str | None = "127.0.0.1",
        scheme: str = "http",
        headers: Mapping[str, str] | None = None,
    ) -> TestResponse:
        """The answer to a request for a path below the root of the application."""
        return self._client.open(
            path,
            method=method,
            json=body,
            content_type=SCIM_JSON if body is not None else None,
            headers={"Authorization": f"Bearer {self._token}", **(headers or {})},
            base_url=f"{scheme}://internal.tern.example:8000/",
            environ_overrides={"REMOTE_ADDR": peer or ""},
        )


@contextmanager
def published(backend: Backend, registry: Registry, home: Path, public_url: str | None) -> Iterator[Published]:
    """The application on a store until the block ends."""
    settings = Settings(home=home, public_url=public_url, log=LogSettings(level="error"))
    control_url = settings.control_url.reveal()
    upgrade(control_url)
    control = ControlStore(control_url)
    token = control.add_bearer(control.create_integration("proxied", Access.FULL).id, None).value
    app = create_app(settings, backend, registry)
    try:
        yield Published(app.test_client(), token)
    finally:
        control.close()
        app.extensions["landfall"].control.close()
