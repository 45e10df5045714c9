"""One blueprint per resource type: its endpoint, items and searches (RFC 7644 section 3.2)."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from flask_smorest import Blueprint
from marshmallow import Schema
from werkzeug.routing import BaseConverter

from app.api import schemas
from app.api.body import read_json
from app.api.context import Context, current_actor
from app.api.messages import (
    PATCH_OP,
    PatchRequestSchema,
    SearchRequestSchema,
    list_response_schema,
    load_message,
)
from app.api.parameters import preconditions, query_parameters, search_request, shown
from app.api.render import MEDIA_TYPE, empty_response, list_response, resource_response
from app.api.searching import posted_search
from app.scim.document import canonicalise, draft
from app.scim.errors import InvalidValue
from app.scim.patch.operations import operations_from
from app.scim.query import Draft
from app.scim.registry import ResourceType

_QUIET_PATCH = frozenset(("Group",))
"""Kinds whose PATCH answers 204 unless the client chose attributes: a group may have a great many members."""


class IdConverter(BaseConverter):
    """The path segment of a resource: anything but `.search`, which is an endpoint of its own."""

    regex = r"(?!\.search(?:/|$))[^/]+"


def _json_body(schema: type[Schema]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {MEDIA_TYPE: {"schema": schema}}}}


class _Reader:
    """Reads documents of one resource type from the request at hand."""

    def __init__(self, resource_type: ResourceType, schema: type[Schema], max_depth: int) -> None:
        self._type = resource_type
        self._checker = schemas.Checker(schema)
        self._max_depth = max_depth

    def draft(self) -> Draft:
        """The checked document. Raises what reading, the core and the schema report."""
        document = canonicalise(self._type, read_json(request, self._max_depth))
        return draft(self._type, self._checker.check(document))


def resource_blueprint(resource_type: ResourceType, context: Context) -> Blueprint:
    """The blueprint of a resource type, relative to the SCIM base."""
    schema = schemas.resource_schema(resource_type)
    blueprint = Blueprint(resource_type.name, __name__, description=resource_type.description)
    _add_collection(blueprint, resource_type, schema, context)
    _add_item(blueprint, resource_type, schema, context)
    return blueprint


def _add_collection(blueprint: Blueprint, resource_type: ResourceType, schema: type[Schema], context: Context) -> None:
    kind, limits = resource_type.name, context.settings.limits
    reader = _Reader(resource_type, schema, limits.max_json_depth)
    searched = list_response_schema(schema)

    @blueprint.route(resource_type.endpoint, methods=["GET"])
    @blueprint.response(200, searched, content_type=MEDIA_TYPE)
    def search() -> Response:
        """Search (RFC 7644 section 3.4.2)"""
        asked = search_request(query_parameters(request), limits)
        return list_response(context.search.run([kind], asked), asked.window.start)

    @blueprint.route(f"{resource_type.endpoint}/.search", methods=["POST"])
    @blueprint.doc(**_json_body(SearchRequestSchema))
    @blueprint.response(200, searched, content_type=MEDIA_TYPE)
    def search_by_post() -> Response:
        """Search with a body (RFC 7644 section 3.4.3)"""
        return posted_search(context, [kind])

    @blueprint.route(resource_type.endpoint, methods=["POST"])
    @blueprint.doc(**_json_body(schema))
    @blueprint.response(201, schema, content_type=MEDIA_TYPE)
    def create() -> Response:
        """Create (RFC 7644 section 3.3)"""
        choice = shown(query_parameters(request))
        answer = context.resources.create(kind, reader.draft(), choice, current_actor())
        location = f"{context.settings.scim_url}{resource_type.endpoint}/{answer.id}"
        return resource_response(answer, 201, location)


def _add_item(blueprint: Blueprint, resource_type: ResourceType, schema: type[Schema], context: Context) -> None:
    kind, limits = resource_type.name, context.settings.limits
    reader = _Reader(resource_type, schema, limits.max_json_depth)
    envelope = PatchRequestSchema()
    path = f"{resource_type.endpoint}/<id:id>"

    @blueprint.route(path, methods=["GET"])
    @blueprint.response(200, schema, content_type=MEDIA_TYPE)
    def get(id: str) -> Response:
        """Read (RFC 7644 section 3.4.1)"""
        return resource_response(
            context.resources.get(kind, id, shown(query_parameters(request)), preconditions(request))
        )

    @blueprint.route(path, methods=["PUT"])
    @blueprint.doc(**_json_body(schema))
    @blueprint.response(200, schema, content_type=MEDIA_TYPE)
    def replace(id: str) -> Response:
        """Replace (RFC 7644 section 3.5.1)"""
        choice = shown(query_parameters(request))
        answer = context.resources.replace(kind, id, reader.draft(), choice, preconditions(request), current_actor())
        return resource_response(answer)

    @blueprint.route(path, methods=["PATCH"])
    @blueprint.doc(**_json_body(PatchRequestSchema))
    @blueprint.response(200, schema, content_type=MEDIA_TYPE)
    def patch(id: str) -> Response:
        """Change in part (RFC 7644 section 3.5.2)"""
        choice = shown(query_parameters(request))
        message = load_message(envelope, read_json(request, limits.max_json_depth), PATCH_OP)
        if len(message["operations"]) > limits.max_operations:
            raise InvalidValue(f"a request may hold {limits.max_operations} operations")
        answer = context.resources.patch(
            kind,
            id,
            operations_from(message["operations"]),
            None if kind in _QUIET_PATCH and not choice.given else choice,
            preconditions(request),
            current_actor(),
        )
        return resource_response(answer)

    @blueprint.route(path, methods=["DELETE"])
    @blueprint.response(204)
    def delete(id: str) -> Response:
        """Delete (RFC 7644 section 3.6)"""
        context.resources.delete(kind, id, preconditions(request), current_actor())
        return empty_response(204)
