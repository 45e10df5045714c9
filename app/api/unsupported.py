"""Endpoints that RFC 7644 names and this service does not offer: they say so (501)."""

from __future__ import annotations

from flask import Response
from flask_smorest import Blueprint
from werkzeug.exceptions import NotImplemented as NotOffered


def unsupported_blueprint() -> Blueprint:
    """`/Bulk` (section 3.7) and `/Me` (section 3.11)."""
    blueprint = Blueprint("Unsupported", __name__, description="Not offered")

    @blueprint.route("/Bulk", methods=["POST"])
    @blueprint.response(501)
    def bulk() -> Response:
        """Bulk operations"""
        raise NotOffered("bulk operations are not offered")

    @blueprint.route("/Me", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    @blueprint.response(501)
    def me() -> Response:
        """The authenticated subject"""
        raise NotOffered("/Me is not offered: clients are integrations, not users")

    return blueprint
