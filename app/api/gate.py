"""No request passes to a SCIM resource without a token that allows it (RFC 7644 section 2)."""

from __future__ import annotations

from flask import Flask, g, request

from app.auth.guard import Guard
from app.services.journal import Actor
from app.services.remit import enter, leave

_READING = frozenset(("GET", "HEAD", "OPTIONS"))
_PUBLIC = ("/ServiceProviderConfig", "/ResourceTypes", "/Schemas")


def register(app: Flask, guard: Guard, scim_path: str) -> None:
    """Afterwards every request below the SCIM path is authenticated before anything is looked up.

    Discovery may be read without a token, so that a client learns how to authenticate (RFC 7643 section 5).
    """
    prefix = scim_path.rpartition("/")[0] + "/"

    def authenticate() -> None:
        environ = request.environ
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if not path.startswith(prefix) or (method in _READING and _is_public(path.removeprefix(scim_path))):
            return
        guard.require_secure(environ["wsgi.url_scheme"], environ.get("REMOTE_ADDR"))
        other_token = "access_token" in environ.get("QUERY_STRING", "") and "access_token" in request.args
        header, address = environ.get("HTTP_AUTHORIZATION"), environ.get("REMOTE_ADDR")
        principal = guard.authenticate(header, other_token=other_token, address=address)
        reads = method in _READING or (method == "POST" and path.endswith("/.search"))
        if reads:
            guard.require_read(principal)
        else:
            guard.require_write(principal)
        enter(principal.remit, writes=not reads)
        g.actor = Actor(principal.integration_id, principal.name, principal.dialect.value)

    def end(_: BaseException | None) -> None:
        leave()

    app.before_request(authenticate)
    app.teardown_request(end)


def _is_public(path: str) -> bool:
    return path.startswith(_PUBLIC)
