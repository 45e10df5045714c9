"""Searches over all resource types, and searches that come as a body (RFC 7644 sections 3.4.2.1 and 3.4.3)."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response, request
from flask_smorest import Blueprint

from app.api.body import read_json
from app.api.context import Context
from app.api.messages import SEARCH_REQUEST, SearchRequestSchema, load_message
from app.api.parameters import make_search_request, query_parameters, search_request
from app.api.render import MEDIA_TYPE, list_response
from app.services.shown import Shown


def posted_search(context: Context, kinds: Sequence[str]) -> Response:
    """The answer to the SearchRequest in the body of the request at hand."""
    limits = context.settings.limits
    message = load_message(SearchRequestSchema(), read_json(request, limits.max_json_depth), SEARCH_REQUEST)
    asked = make_search_request(
        limits,
        filter=message.get("filter"),
        sort_by=message.get("sort_by"),
        sort_order=message.get("sort_order"),
        start=message.get("start"),
        count=message.get("count"),
        choice=Shown(tuple(message.get("attributes") or ()), tuple(message.get("excluded") or ())),
    )
    return list_response(context.search.run(kinds, asked), asked.window.start)


def search_blueprint(context: Context) -> Blueprint:
    """The base URI itself and its `.search`, over every resource type."""
    blueprint = Blueprint("Search", __name__, description="Search over all resource types")
    kinds = [t.name for t in context.registry.types]

    @blueprint.route("", methods=["GET"])
    @blueprint.response(200, content_type=MEDIA_TYPE)
    def search() -> Response:
        """Search all (RFC 7644 section 3.4.2.1)"""
        asked = search_request(query_parameters(request), context.settings.limits)
        return list_response(context.search.run(kinds, asked), asked.window.start)

    @blueprint.route("/.search", methods=["POST"])
    @blueprint.doc(requestBody={"required": True, "content": {MEDIA_TYPE: {"schema": SearchRequestSchema}}})
    @blueprint.response(200, content_type=MEDIA_TYPE)
    def search_by_post() -> Response:
        """Search all with a body (RFC 7644 section 3.4.3)"""
        return posted_search(context, kinds)

    return blueprint
