"""What is counted of each request, in the process that answers it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from werkzeug.wsgi import ClosingIterator

from app.api.errors import UNAVAILABLE
from app.control import ControlUnavailable
from app.services.brakes import Braked

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_ROUTE, _INTEGRATION = "landfall.route", "landfall.integration"
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Requests:
    """The figures of requests. Labels come from the service itself or from its operator, never from a client, so that
    their number is bounded."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "landfall_http_requests", "Requests answered.", ("route", "method", "status"), registry=registry
        )
        self._seconds = Histogram(
            "landfall_http_request_duration_seconds",
            "From the first octet of a request at the application to the last of its answer.",
            ("route", "method"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._unavailable = Counter(
            "landfall_unavailable",
            "Requests answered 503: because of the store of users and groups, the control store or a brake.",
            ("reason",),
            registry=registry,
        )
        self._braked = Counter(
            "landfall_braked_requests",
            "Requests of an integration that a brake has stopped.",
            ("integration", "effect"),
            registry=registry,
        )
        self._applied = Counter(
            "landfall_brake_applications",
            "How often a brake on an integration came to be applied.",
            ("integration", "effect"),
            registry=registry,
        )
        self._last = Gauge(
            "landfall_integration_last_request_timestamp_seconds",
            "When the integration last sent a request with a valid token, since the service was started.",
            ("integration",),
            multiprocess_mode="max",
            registry=registry,
        )
        # To find a child by its labels takes the library as long as to count.
        self._children: dict[tuple[str, str, str], tuple[Any, Any]] = {}
        self._stamps: dict[str, Any] = {}

    def count(self, environ: WSGIEnvironment, status: str, seconds: float) -> None:
        """Count a request that was answered."""
        method = environ["REQUEST_METHOD"]
        key = (environ.get(_ROUTE, "other"), method if method in _METHODS else "other", status)
        children = self._children.get(key)
        if children is None:
            children = (self._requests.labels(*key), self._seconds.labels(*key[:2]))
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds)
        integration = environ.get(_INTEGRATION)
        if integration is not None:
            stamp = self._stamps.get(integration)
            if stamp is None:
                stamp = self._stamps[integration] = self._last.labels(integration)
            stamp.set(time.time())
        error = environ.get(UNAVAILABLE)
        if error is not None:
            self._count_unavailable(error)

    def _count_unavailable(self, error: Exception) -> None:
        if isinstance(error, Braked):
            self._unavailable.labels("brake").inc()
            self._braked.labels(error.integration, error.effect).inc()
            if error.applies:
                self._applied.labels(error.integration, error.effect).inc()
        else:
            self._unavailable.labels("control" if isinstance(error, ControlUnavailable) else "store").inc()


class Counted:
    """WSGI middleware that counts each request when its answer has been sent."""

    def __init__(self, application: WSGIApplication, requests: Requests) -> None:
        self._application = application
        self._requests = requests

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        began = time.perf_counter()
        answered = ["500"]

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], object]:
            answered[0] = status[:3]
            return start_response(status, headers, *rest)

        def count() -> None:
            self._requests.count(environ, answered[0], time.perf_counter() - began)

        try:
            body = self._application(environ, start)
        except BaseException:
            count()
            raise
        return ClosingIterator(body, count)


def note_labels(app: Flask) -> None:
    """Afterwards each request tells the middleware around the application what it was for, and who sent it."""
    routes: dict[str, str] = {}

    def note(response: Response) -> Response:
        environ, rule = request.environ, request.url_rule
        if rule is not None:
            route = routes.get(rule.rule)
            if route is None:
                route = routes[rule.rule] = _plain(rule.rule)
            environ[_ROUTE] = route
        actor = g.get("actor")
        if actor is not None:
            environ[_INTEGRATION] = actor.name
        return response

    app.after_request(note)


def _plain(rule: str) -> str:
    """`/Users/<id:id>` as `/Users/{id}`."""
    head, *rest = rule.split("<")
    names = (part.partition(">") for part in rest)
    return head + "".join(f"{{{name.rpartition(':')[2]}}}{tail}" for name, _, tail in names)
