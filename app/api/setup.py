"""Puts the SCIM API on a Flask application."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_smorest import Api

from app.api import errors, gate, versions
from app.api.context import Context
from app.api.discovery import discovery_blueprint
from app.api.framing import WholeBodies
from app.api.proxies import TrustedProxies
from app.api.resources import IdConverter, resource_blueprint
from app.api.searching import search_blueprint
from app.api.slashes import TolerantSlashes
from app.api.unsupported import unsupported_blueprint
from app.auth.guard import Guard
from config.settings import SCIM_PATH


class _ScimApi(Api):  # type: ignore[misc]
    """flask-smorest for blueprints and OpenAPI; errors are SCIM's own."""

    def _register_error_handlers(self) -> None:
        pass


def register(app: Flask, context: Context, guard: Guard) -> None:
    """Afterwards the application serves SCIM under its base path and `/openapi.json`."""
    app.config.update(_openapi_settings())
    app.config["MAX_CONTENT_LENGTH"] = context.settings.limits.max_body_bytes
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.url_map.converters["id"] = IdConverter
    app.wsgi_app = WholeBodies(TolerantSlashes(app.wsgi_app))  # type: ignore[method-assign]
    if trusted := context.settings.server.trusted_proxies:
        app.wsgi_app = TrustedProxies(app.wsgi_app, trusted)  # type: ignore[method-assign]
    gate.register(app, guard, SCIM_PATH)
    versions.register(app, SCIM_PATH.rpartition("/v")[2])
    api = _ScimApi(app)
    for resource_type in context.registry.types:
        api.register_blueprint(resource_blueprint(resource_type, context), url_prefix=SCIM_PATH)
    for blueprint in (search_blueprint(context), discovery_blueprint(context), unsupported_blueprint()):
        api.register_blueprint(blueprint, url_prefix=SCIM_PATH)
    errors.register(app, guard)


def _openapi_settings() -> dict[str, Any]:
    return {
        "API_TITLE": "Landfall SCIM 2.0",
        "API_VERSION": "v2",
        "OPENAPI_VERSION": "3.0.3",
        "OPENAPI_URL_PREFIX": "/",
        "OPENAPI_JSON_PATH": "openapi.json",
    }
