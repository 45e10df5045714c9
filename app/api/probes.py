"""Whether the process lives and whether it can serve, for load balancers and service managers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from flask import Blueprint, Response, jsonify

from app.control import ControlStore, ControlUnavailable
from backends.base import Backend
from backends.errors import StoreError
from config.errors import ConfigError


def probes_blueprint(backend: Backend, control: ControlStore) -> Blueprint:
    """`/healthz` answers as long as the process does; `/readyz` is 503 while a store can't be reached."""
    blueprint = Blueprint("probes", __name__)

    @blueprint.get("/healthz")
    def health() -> Response:
        return jsonify(status="alive")

    @blueprint.get("/readyz")
    def readiness() -> tuple[Response, int]:
        # Both at once, for one that hangs is waited for.
        with ThreadPoolExecutor(1) as other:
            control_fails = other.submit(_fails, control.check)
            found = {"store": _fails(backend.check), "control": control_fails.result()}
        faults = [name for name, fails in found.items() if fails]
        status = "not ready" if faults else "ready"
        return jsonify(status=status, unavailable=faults), 503 if faults else 200

    return blueprint


def _fails(check: Callable[[], None]) -> bool:
    try:
        check()
    except (StoreError, ControlUnavailable, ConfigError):
        return True
    return False
