"""Wiring: settings to a Flask application, without logic of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask

from app import logs
from app.api.context import Context
from app.api.probes import probes_blueprint
from app.api.setup import register as register_api
from app.auth.setup import register as register_auth
from app.control import ControlStore
from app.metrics import register as register_metrics
from app.scim.filter.parse import Limits
from app.scim.registry import Registry, load
from app.services.adoption import Adoption
from app.services.audit import AuditJournal, open_audit
from app.services.brakes import Brakes
from app.services.journal import Journals
from app.services.linked import with_links
from app.services.protected import with_protection
from app.services.rehearsal import in_mode
from app.services.remit import Remitted
from app.services.resources import Resources
from app.services.retirement import Retirement
from app.services.search import Search
from app.services.shown import Representations
from backends import open_backend
from backends.base import Backend
from config.settings import Settings


@dataclass(frozen=True, slots=True)
class Running:
    """What has to be started when the process begins to serve, and closed when it ends."""

    backend: Backend
    control: ControlStore
    audit: AuditJournal

    def start(self) -> None:
        """What is done without a request has begun: records of processes that are no more come into the audit trail."""
        self.audit.start()

    def close(self) -> None:
        """Every record of a write is in the audit trail; give back every connection."""
        self.audit.close()
        self.backend.close()
        self.control.close()


class _Application(Flask):
    """Flask without its search for coroutines around every view and hook of every request: there are none here."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself."""
        return func


def create_app(settings: Settings, backend: Backend | None = None, registry: Registry | None = None) -> Flask:
    """The application: SCIM under `/scim/v2`, OAuth, probes. `backend` stands in for the configured one.

    Raises ConfigError. No connection is made before the first request.
    """
    logs.configure(settings.log)
    control = ControlStore(settings.control_url.reveal())
    backend = with_links(backend or open_backend(settings, registry or load()), control.links)
    audit = open_audit(settings, control, backend)
    mode = in_mode(settings, control, backend, audit)
    backend = Remitted(with_protection(mode.backend, settings))
    registry = backend.registry
    limits = settings.limits
    brakes = Brakes(control.brakes, mode.managed, backend, mode.brakes)
    representations = Representations(registry, settings.scim_url)
    context = Context(
        settings,
        registry,
        backend,
        Resources(
            backend,
            registry,
            representations,
            Journals(mode.journal, logs.LoggedJournal()),
            Adoption(mode.managed, backend, registry, settings.lifecycle),
            brakes,
            Retirement(backend, registry, settings.lifecycle),
        ),
        Search(
            backend,
            registry,
            representations,
            Limits(limits.max_filter_length, limits.max_filter_depth, limits.max_filter_terms),
        ),
    )
    app = _Application("landfall", static_folder=None)
    app.extensions["landfall"] = Running(backend, control, audit)
    guard = register_auth(app, settings, control)
    app.register_blueprint(probes_blueprint(backend, control))
    register_api(app, context, guard)
    register_metrics(app, settings, guard, control, brakes)
    return app
