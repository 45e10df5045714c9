"""The OAuth endpoints over HTTP: tokens, revocation, keys and metadata."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError
from flask import Blueprint, Response, request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from app.auth.errors import InsecureTransport
from app.auth.guard import Guard
from app.auth.keys import KeyRing
from app.auth.metadata import Published
from app.auth.server import Server, TokenRequest
from app.control import ControlUnavailable

_FORM = "application/x-www-form-urlencoded"
_MAX_FORM_BYTES = 64 * 1024
_METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
# Parameters that are credentials, so that a request with one of them in its URL has exposed it (RFC 6749
# section 2.3.1).
_SECRET_PARAMETERS = ("access_token", "client_assertion", "client_secret", "token")


class MethodNotAllowed(OAuth2Error):  # type: ignore[misc]
    """405: the endpoints take POST alone."""

    error = "invalid_request"
    description = "Only POST is supported"
    status_code = 405

    def get_headers(self) -> list[tuple[str, str]]:
        return [*super().get_headers(), ("Allow", "POST")]


class Unavailable(OAuth2Error):  # type: ignore[misc]
    """503: the control store does not answer."""

    error = "temporarily_unavailable"
    description = "The service cannot answer at the moment"
    status_code = 503

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        self._retry_after = retry_after

    def get_headers(self) -> list[tuple[str, str]]:
        return [*super().get_headers(), ("Retry-After", str(self._retry_after))]


def make_blueprint(server: Server, keys: KeyRing, published: Published, guard: Guard) -> Blueprint:
    """`/oauth/token`, `/oauth/revoke`, `/oauth/jwks` and the two well-known documents, with OAuth-shaped
    errors.
    """
    blueprint = Blueprint("oauth", __name__)

    def posted(answer: Callable[[TokenRequest], Response]) -> Callable[[], Response]:
        def view() -> Response:
            guard.require_secure(request.scheme, request.remote_addr)
            return answer(_read_request())

        return view

    answers = {"token": server.token_response, "revoke": server.revocation_response}
    for name, answer in answers.items():
        blueprint.add_url_rule(
            f"/oauth/{name}", name, posted(answer), methods=_METHODS, provide_automatic_options=False
        )
    published_at: dict[str, tuple[list[str], Callable[[], dict[str, Any]]]] = {
        "jwks": (["/oauth/jwks"], lambda: {"keys": keys.public()}),
        "server": (published.server_paths, published.server_document),
        "resource": (published.resource_paths, published.resource_document),
    }
    for name, (paths, document) in published_at.items():
        view = partial(_document, document)
        for path in paths:
            blueprint.add_url_rule(path, name, view)
    _handle_errors(blueprint, server)
    return blueprint


def _handle_errors(blueprint: Blueprint, server: Server) -> None:
    @blueprint.errorhandler(OAuth2Error)
    def oauth_error(error: OAuth2Error) -> Response:
        return server.refuse(error)

    @blueprint.errorhandler(InsecureTransport)
    def insecure(error: InsecureTransport) -> Response:
        return server.refuse(InvalidRequestError(error.description, status_code=error.status))

    @blueprint.errorhandler(RequestEntityTooLarge)
    def too_large(error: RequestEntityTooLarge) -> Response:
        return server.refuse(InvalidRequestError("The form is too large", status_code=413))

    @blueprint.errorhandler(BadRequest)
    def broken(error: BadRequest) -> Response:
        return server.refuse(InvalidRequestError("The body is not as announced"))

    @blueprint.errorhandler(ControlUnavailable)
    def unavailable(error: ControlUnavailable) -> Response:
        return server.refuse(Unavailable(error.retry_after))


def _read_request() -> TokenRequest:
    """The form of the request at hand. Raises OAuth2Error for what RFC 6749 section 3.2 forbids."""
    if request.method != "POST":
        raise MethodNotAllowed
    if request.mimetype != _FORM:
        raise InvalidRequestError(f"The body must be {_FORM}")
    if any(name in request.args for name in _SECRET_PARAMETERS):
        raise InvalidRequestError("Credentials must not be sent in the URL")
    request.max_content_length = _MAX_FORM_BYTES
    form: dict[str, str] = {}
    for name, values in request.form.lists():
        if len(values) > 1:
            raise InvalidRequestError("A parameter is repeated")
        if values[0]:
            form[name] = values[0]
    return TokenRequest(form, request.headers.get("Authorization"), request.remote_addr or "")


def _document(content: Callable[[], dict[str, Any]]) -> Response:
    return Response(json.dumps(content()), content_type="application/json")
