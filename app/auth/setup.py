"""Putting the parts together from the settings."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from flask import Flask

from app.auth.endpoints import make_blueprint
from app.auth.failures import Failures
from app.auth.guard import Guard
from app.auth.keys import KeyRing
from app.auth.metadata import Published
from app.auth.server import Server
from app.auth.throttle import Throttle
from app.auth.tokens import AccessTokens
from app.control import ControlStore
from config.settings import Settings


def register(app: Flask, settings: Settings, control: ControlStore, *, clock: Callable[[], float] = time.time) -> Guard:
    """Add the OAuth endpoints to `app`; the guard for its other routes.

    The paths are relative to where the application is mounted, except that the well-known documents are also
    found at the root of the host. `clock` gives seconds since 1970. Nothing is read or written until the
    first request.
    """
    oauth = settings.oauth
    published = Published(settings.issuer, settings.scim_url)
    keys = key_ring(settings, control, clock=clock)
    tokens = AccessTokens(
        keys,
        issuer=published.issuer,
        audience=published.resource,
        lifetime=timedelta(minutes=oauth.access_token_minutes),
        skew=timedelta(seconds=oauth.clock_skew_seconds),
        clock=clock,
    )
    failures = Failures()
    guard = Guard(
        control,
        tokens,
        resource_metadata=published.resource_metadata,
        https_only=published.issuer.startswith("https:"),
        failures=failures,
        clock=clock,
    )
    server = Server(control, tokens, Throttle(oauth.token_failures_per_minute), failures)
    app.register_blueprint(make_blueprint(server, keys, published, guard))
    return guard


def key_ring(settings: Settings, control: ControlStore, *, clock: Callable[[], float] = time.time) -> KeyRing:
    """The signing keys of the control store, replaced at the configured age."""
    return KeyRing(control, timedelta(days=settings.oauth.signing_key_days), clock=clock)
