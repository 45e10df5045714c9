"""`/metrics`, and what counts for it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Flask, Response, request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from app.addresses import read_address
from app.auth.guard import Guard
from app.control import ControlStore
from app.metrics.facts import Facts
from app.metrics.files import VARIABLE
from app.metrics.requests import Counted, Requests, note_labels
from app.services.audit.opening import open_spools
from app.services.brakes import Brakes
from config.secret import Secret
from config.settings import Settings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FORWARDED = (
    "HTTP_FORWARDED",
    "HTTP_VIA",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_REAL_IP",
)
_BEARER = re.compile(r" *bearer +([^ ]+) *", re.IGNORECASE)


def add(app: Flask, settings: Settings, guard: Guard, control: ControlStore, brakes: Brakes) -> None:
    """Afterwards the application counts its requests, and tells the figures of all processes at `/metrics`."""
    counting = CollectorRegistry()
    facts = Facts(control, brakes, open_spools(settings), minutes=settings.brakes.window_minutes)
    note_labels(app)
    app.wsgi_app = Counted(app.wsgi_app, Requests(counting))  # type: ignore[method-assign]
    app.register_blueprint(_blueprint(_telling(counting, facts), settings.metrics.token, guard))


def _telling(counting: CollectorRegistry, facts: Facts) -> CollectorRegistry:
    """What tells the figures: those that all processes count in files where there are some."""
    if VARIABLE not in os.environ:
        counting.register(facts)
        return counting
    telling = CollectorRegistry()
    MultiProcessCollector(telling)  # type: ignore[no-untyped-call]
    telling.register(facts)
    return telling


def _blueprint(registry: CollectorRegistry, token: Secret | None, guard: Guard) -> Blueprint:
    blueprint = Blueprint("metrics", __name__)

    @blueprint.get("/metrics")
    def metrics() -> Response:
        refusal = _refusal_here(request.environ) if token is None else _refusal(request.environ, token, guard)
        return refusal or Response(generate_latest(registry), content_type=CONTENT_TYPE)

    return blueprint


def _refusal_here(environ: Mapping[str, Any]) -> Response | None:
    """Why a request that comes from elsewhere is not answered; a proxy on this machine asks for somebody else."""
    peer = read_address(environ.get("REMOTE_ADDR", ""))
    if peer is not None and peer.is_loopback and not any(name in environ for name in _FORWARDED):
        return None
    return _plain(403, "Without metrics.token the figures are told to programs on this machine only.")


def _refusal(environ: Mapping[str, Any], token: Secret, guard: Guard) -> Response | None:
    """Why a request without the token is not answered. Raises InsecureTransport."""
    guard.require_secure(environ["wsgi.url_scheme"], environ.get("REMOTE_ADDR"))
    found = _BEARER.fullmatch(environ.get("HTTP_AUTHORIZATION", ""))
    if found is not None and Secret(found[1]) == token:
        return None
    return _plain(401, "The bearer token that metrics.token names is required.", {"WWW-Authenticate": "Bearer"})


def _plain(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(f"{text}\n", status, headers, content_type="text/plain; charset=utf-8")
