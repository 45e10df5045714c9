"""SCIM responses (RFC 7644 sections 3.8 and 3.14)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson
from flask import Response
from werkzeug.datastructures import Headers

from app.scim.representation import etag
from app.services.commits import Answer
from app.services.search import Results

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MEDIA_TYPE = "application/scim+json"
LIST_RESPONSE = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


class _Finished(Response):
    """A response whose headers are complete and whose locations are URIs: the configuration takes no other base.
    Werkzeug would make sure of both for each response."""

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        """The headers as they are."""
        return self.headers


def scim_response(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response with a JSON document."""
    return _with(_Finished(orjson.dumps(document), status, mimetype=MEDIA_TYPE), headers)


def empty_response(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """A response of a status that has no body, 204 or 304 (RFC 9110 section 6.4.1)."""
    response = _with(_Finished(status=status), headers)
    del response.headers["Content-Type"]
    return response


def _with(response: Response, headers: Mapping[str, str] | None) -> Response:
    response.headers["Cache-Control"] = "no-cache, private"
    for name, value in (headers or {}).items():
        response.headers[name] = value
    return response


def resource_response(answer: Answer, status: int = 200, location: str | None = None) -> Response:
    """A resource with its entity tag, or 204 where the answer has no document."""
    headers = {"ETag": etag(answer.stamp)}
    if location:
        headers["Location"] = location
    if answer.document is None:
        return empty_response(204, headers)
    return scim_response(answer.document, status, headers)


def list_response(results: Results, start: int) -> Response:
    """A page as ListResponse; itemsPerPage is the number really on it."""
    return scim_response(
        {
            "schemas": [LIST_RESPONSE],
            "totalResults": results.total,
            "startIndex": start,
            "itemsPerPage": len(results.documents),
            "Resources": results.documents,
        }
    )
