"""The one table from what is reported to what a client is told (RFC 7644 section 3.12)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from app.api.render import empty_response, scim_response
from app.auth.errors import AuthError
from app.auth.guard import Guard
from app.control import ControlUnavailable
from app.scim import errors as core
from app.scim.representation import etag
from app.services.adoption import NotManaged, Unadoptable
from app.services.brakes import Braked
from app.services.preconditions import NotModified, PreconditionFailed
from app.services.remit import OutsideRemit
from app.services.retirement import CantRetire
from backends import errors as store

ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"

_log = structlog.get_logger("landfall.api")


@dataclass(frozen=True, slots=True)
class Row:
    """Status and scimType of a class of errors; `detail` where the error itself has none for clients."""

    status: int
    scim_type: str | None = None
    detail: str | None = None


TABLE: Mapping[type[Exception], Row] = {
    core.InvalidFilter: Row(400, "invalidFilter"),
    core.InvalidSyntax: Row(400, "invalidSyntax"),
    core.InvalidPath: Row(400, "invalidPath"),
    core.InvalidValue: Row(400, "invalidValue"),
    core.NoTarget: Row(400, "noTarget"),
    core.Mutability: Row(400, "mutability"),
    core.TooMany: Row(400, "tooMany"),
    core.InvalidVersion: Row(400, "invalidVers"),
    core.Sensitive: Row(403, "sensitive"),
    store.NotFound: Row(404, None, "there is no such resource"),
    store.Duplicate: Row(409, "uniqueness"),
    store.VersionMismatch: Row(412, None, "the resource has changed in the meantime"),
    store.UnknownReference: Row(400, "invalidValue"),
    store.RejectedValue: Row(400, "invalidValue"),
    store.TooManyCandidates: Row(400, "tooMany", "the filter selects too many candidates; narrow it"),
    store.ReadOnly: Row(403, None, "the store takes no changes at present"),
    store.Protected: Row(403),
    store.Unavailable: Row(503, None, "the store can't be reached at present; try again later"),
    NotManaged: Row(403),
    OutsideRemit: Row(403),
    Unadoptable: Row(409, "uniqueness"),
    Braked: Row(503),
    CantRetire: Row(403),
    PreconditionFailed: Row(412, None, "the resource is not in the version that the request demands"),
    ControlUnavailable: Row(503, None, "the service's own database can't be reached at present; try again later"),
}

UNAVAILABLE = "landfall.unavailable"
"""The key of the WSGI environment that holds the error for which a request was answered 503."""

_NAMED_IDS = 20


def error_response(
    status: int, detail: str, scim_type: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """A SCIM error document; `status` is text in it."""
    document: dict[str, Any] = {"schemas": [ERROR], "status": str(status)}
    if scim_type:
        document["scimType"] = scim_type
    document["detail"] = detail
    return scim_response(document, status, headers)


def register(app: Flask, guard: Guard) -> None:
    """Afterwards every exception under the SCIM base ends as a SCIM error."""
    for known in TABLE:
        app.register_error_handler(known, _reported)
    app.register_error_handler(NotModified, _not_modified)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)

    def refused(error: AuthError) -> Response:
        headers = {"WWW-Authenticate": guard.challenge(error)}
        return error_response(error.status, error.description, headers=headers)

    app.register_error_handler(AuthError, refused)


def _reported(error: Exception) -> Response:
    row = next(row for known, row in TABLE.items() if isinstance(error, known))
    retry_after = getattr(error, "retry_after", None)
    if row.status == 503:
        request.environ[UNAVAILABLE] = error
        _log.warning("unavailable", cause=str(error.__cause__ or error), path=request.path)
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else None
    return error_response(row.status, row.detail or _detail(error), row.scim_type, headers)


def _detail(error: Exception) -> str:
    if isinstance(error, (core.ScimError, Unadoptable, Braked, OutsideRemit, CantRetire)):
        return error.detail
    if isinstance(error, store.Duplicate):
        return f"another resource has this {error.attribute or 'value'}"
    if isinstance(error, store.UnknownReference):
        named = ", ".join(error.ids[:_NAMED_IDS])
        more = f" and {len(error.ids) - _NAMED_IDS} more" if len(error.ids) > _NAMED_IDS else ""
        return f"{error.relation}: there is no user with the id {named}{more}"
    if isinstance(error, store.RejectedValue):
        return f"{error.attribute}: {error.reason}"
    if isinstance(error, store.Protected):
        return error.reason or "the resource is protected from changes"
    return "the request can't be carried out"


def _not_modified(error: NotModified) -> Response:
    return empty_response(304, {"ETag": etag(error.stamp)})


def _http(error: HTTPException) -> Response:
    headers = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    if error.code is None or error.code < 400:
        return Response(error.get_response().get_data(), error.code or 500)
    return error_response(error.code, _HTTP_DETAILS.get(error.code) or error.description or error.name, headers=headers)


_HTTP_DETAILS = {
    404: "there is no such endpoint or resource",
    405: "the method is not allowed here",
    413: "the body is larger than the limit of this service",
}


def _unexpected(error: Exception) -> Response:
    incident = uuid.uuid4().hex[:12]
    _log.error("unexpected", incident=incident, path=request.path, method=request.method, exc_info=error)
    return error_response(500, f"an unexpected error; the log tells more of incident {incident}")
