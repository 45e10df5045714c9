"""A small service over real HTTP: the OAuth endpoints, and one resource behind the guard."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import httpx
from flask import Flask, Response, jsonify, request
from werkzeug.serving import WSGIRequestHandler, make_server

from app.auth import AuthError, Guard, register
from app.control import ControlStore, ControlUnavailable
from config.settings import Settings
from tests.control.clock import Clock

FORM = {"grant_type": "client_credentials"}


class Quiet(WSGIRequestHandler):
    """Writes no access log."""

    def log(self, type: str, message: str, *args: object) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Client:
    """An integration's credentials."""

    id: str
    secret: str

    @property
    def basic(self) -> tuple[str, str]:
        return self.id, self.secret


class Service:
    """One running worker. `http` is a client of it, `control` its own opening of the control store."""

    def __init__(self, settings: Settings, control: ControlStore, http: httpx.Client) -> None:
        self.settings = settings
        self.control = control
        self.http = http

    def fetch_token(self, client: Client, scope: str | None = None) -> str:
        """A fresh access token; fails where none is issued."""
        form = FORM if scope is None else {**FORM, "scope": scope}
        answer = self.http.post("/oauth/token", data=form, auth=client.basic)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def get(self, token: str, **headers: str) -> httpx.Response:
        """Read the resource with a token."""
        return self.http.get("/resource", headers={"Authorization": f"Bearer {token}", **headers})

    def post(self, token: str) -> httpx.Response:
        """Write to the resource with a token."""
        return self.http.post("/resource", headers={"Authorization": f"Bearer {token}"})


def make_app(settings: Settings, control: ControlStore, clock: Clock) -> Flask:
    """An application with the endpoints and `/resource`: GET needs to read, POST to write."""
    app = Flask("guarded")
    guard = register(app, settings, control, clock=clock)

    @app.route("/resource", methods=["GET", "POST"])
    def resource() -> Response:
        return _guarded(guard)

    @app.errorhandler(AuthError)
    def refused(error: AuthError) -> Response:
        return Response(status=error.status, headers={"WWW-Authenticate": guard.challenge(error)})

    @app.errorhandler(ControlUnavailable)
    def unavailable(error: ControlUnavailable) -> Response:
        return Response(status=503, headers={"Retry-After": str(error.retry_after)})

    app.wsgi_app = _Proxied(app.wsgi_app)  # type: ignore[method-assign]
    return app


class _Proxied:
    """Lets a test say from where and over what a request came, as a trusted proxy would."""

    def __init__(self, inner: WSGIApplication) -> None:
        self._inner = inner

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["REMOTE_ADDR"] = environ.get("HTTP_X_TEST_PEER", environ["REMOTE_ADDR"])
        environ["wsgi.url_scheme"] = environ.get("HTTP_X_TEST_SCHEME", environ["wsgi.url_scheme"])
        return self._inner(environ, start_response)


def _guarded(guard: Guard) -> Response:
    guard.require_secure(request.scheme, request.remote_addr)
    other = "access_token" in request.args or "access_token" in request.form
    principal = guard.authenticate(request.headers.get("Authorization"), other_token=other)
    if request.method == "POST":
        guard.require_write(principal)
    else:
        guard.require_read(principal)
    return jsonify(
        id=principal.integration_id,
        name=principal.name,
        access=principal.access,
        dialect=principal.dialect,
        scopes=sorted(principal.scopes),
        may_write=principal.may_write,
    )


@contextmanager
def running(settings: Settings, control: ControlStore, clock: Clock) -> Iterator[Service]:
    """A worker on a free port."""
    app = make_app(settings, control, clock)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        # There is no TLS here, and loading the certificates of the system takes longer than most tests.
        with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", verify=False) as http:
            yield Service(settings, control, http)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
