"""Discovery endpoints (RFC 7644 section 4). Sorting and paging parameters are ignored; a filter is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Response, request
from flask_smorest import Blueprint
from werkzeug.exceptions import Forbidden, NotFound

from app.api.context import Context
from app.api.render import MEDIA_TYPE, list_response, scim_response
from app.scim import discovery
from app.services.search import Results
from backends.base import Capability


def discovery_blueprint(context: Context) -> Blueprint:
    """The three discovery endpoints, with documents made once."""
    blueprint = Blueprint("Discovery", __name__, description="What this service provider offers")
    base, limits = context.settings.scim_url, context.settings.limits
    features = discovery.Features(
        limits.max_results, limits.max_body_bytes, Capability.SORT in context.backend.capabilities
    )
    configuration = discovery.service_provider_config(features, base)
    types = [discovery.resource_type_document(t, base) for t in context.registry.types]
    schemas = discovery.schema_documents(context.registry, base)

    @blueprint.route("/ServiceProviderConfig", methods=["GET"])
    @blueprint.response(200, content_type=MEDIA_TYPE)
    def service_provider_config() -> Response:
        """Features of this service"""
        return scim_response(configuration)

    @blueprint.route("/ResourceTypes", methods=["GET"])
    @blueprint.response(200, content_type=MEDIA_TYPE)
    def resource_types() -> Response:
        """All resource types"""
        return _all(types)

    @blueprint.route("/ResourceTypes/<name>", methods=["GET"])
    @blueprint.response(200, content_type=MEDIA_TYPE)
    def resource_type(name: str) -> Response:
        """One resource type"""
        return _one(types, name)

    @blueprint.route("/Schemas", methods=["GET"])
    @blueprint.response(200, content_type=MEDIA_TYPE)
    def all_schemas() -> Response:
        """All schemas"""
        return _all(schemas)

    @blueprint.route("/Schemas/<urn>", methods=["GET"])
    @blueprint.response(200, content_type=MEDIA_TYPE)
    def schema(urn: str) -> Response:
        """One schema, by its URI without regard to case"""
        return _one(schemas, urn, ignore_case=True)

    return blueprint


def _all(documents: Sequence[dict[str, Any]]) -> Response:
    if "filter" in request.args:
        raise Forbidden("discovery can't be filtered")
    return list_response(Results(len(documents), list(documents)), 1)


def _one(documents: Sequence[dict[str, Any]], id: str, *, ignore_case: bool = False) -> Response:
    for document in documents:
        if document["id"] == id or (ignore_case and document["id"].lower() == id.lower()):
            return scim_response(document)
    raise NotFound
