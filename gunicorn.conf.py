"""How gunicorn serves Landfall. What an operator may change stands in the configuration, not here."""

from __future__ import annotations

import gc
import os
from typing import Any

import gunicorn.http.message

from app.metrics import files
from app.processors import Processors, free_place
from config.loader import load

_settings = load(None, os.environ)
_processors = Processors(_settings.server.workers) if _settings.server.pin_workers else None
_counts = files.directory(_settings) if _settings.metrics.enabled else None
if _counts is not None:
    # It has to be there when a worker imports prometheus_client.
    os.environ[files.VARIABLE] = str(_counts)

wsgi_app = "wsgi:application"
bind = [_settings.bind]
worker_class = "gthread"
workers = _settings.server.workers
threads = _settings.server.threads
timeout = _settings.server.timeout_seconds
graceful_timeout = _settings.server.graceful_timeout_seconds
# Provisioning clients send one request after another, and a new connection may cost more than the request.
keepalive = 75
# Processes must not share a connection pool or a SQLite handle: each worker opens its own after the fork.
preload_app = False
# The access log of gunicorn writes URLs, and a filter in a URL holds names and e-mail addresses.
accesslog = None
errorlog = "-"
loglevel = _settings.log.level
forwarded_allow_ips = ",".join(_settings.server.trusted_proxies)
# It would be one file for every copy of the service that a user runs.
control_socket_disable = True

# Every filter that `limits.max_filter_length` allows fits (a character is up to 12 when percent-encoded), and
# a longer one gets a SCIM error from the service. gunicorn's own bound is 8190 or none at all, and none would
# let a client that has not authenticated fill the memory.
limit_request_line = 1024 * 1024
gunicorn.http.message.MAX_REQUEST_LINE = limit_request_line


def on_starting(server: Any) -> None:
    """Let workers count from nothing."""
    if _counts is not None:
        files.start_anew(_counts)


def pre_fork(server: Any, worker: Any) -> None:
    """The new worker has a place that no living one has."""
    worker.place = free_place([other.place for other in server.WORKERS.values()])


def post_fork(server: Any, worker: Any) -> None:
    """The new worker is kept on the processor of its place."""
    if _processors is not None:
        _processors.keep(worker.place)


def child_exit(server: Any, worker: Any) -> None:
    """What a worker has counted stays; what only told of the living one goes."""
    if _counts is not None:
        # Not at the top: it has to be imported after the variable is set.
        from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def post_worker_init(worker: Any) -> None:
    """Keep what the program consists of out of every later garbage collection, and collect less often; look after
    what a worker before it may have left."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    landfall = _landfall(worker)
    if landfall is not None:
        landfall.start()


def worker_exit(server: Any, worker: Any) -> None:
    """Close the back end's connections when a worker ends."""
    landfall = _landfall(worker)
    if landfall is not None:
        landfall.close()


def _landfall(worker: Any) -> Any:
    """The service that a worker runs; None where it failed to start, and where another application is measured."""
    application = getattr(worker, "wsgi", None)
    return getattr(application, "extensions", {}).get("landfall")
