"""The audit as the settings want it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.control import ControlStore
from app.services.audit.journal import AuditJournal
from app.services.audit.moving import Sink
from app.services.audit.recovery import Recovery
from app.services.audit.spool import Spools
from app.services.audit.syslog import Syslog
from backends.base import Backend
from config.settings import Settings
from config.sql_url import sqlite_file

_MARGIN_SECONDS = 5


def open_audit(settings: Settings, control: ControlStore, backend: Backend) -> AuditJournal:
    """The journal that keeps the audit of a back end, which is without protection. It makes no file before it is
    used."""
    sink = _sink(settings)
    return AuditJournal(
        control.audit,
        open_spools(settings),
        _recovery(settings, control, backend, sink),
        sync=settings.audit.sync,
        keep_days=settings.audit.keep_days,
        sink=sink,
    )


def open_spools(settings: Settings) -> Spools:
    """The spools of this machine."""
    return Spools(settings.home / "audit")


@contextmanager
def recovering(settings: Settings, control: ControlStore, backend: Backend) -> Iterator[Recovery]:
    """What looks after the records of processes that are no more, until the block ends."""
    sink = _sink(settings)
    try:
        yield _recovery(settings, control, backend, sink)
    finally:
        if sink is not None:
            sink.close()


def _sink(settings: Settings) -> Sink | None:
    return None if settings.audit.syslog is None else Syslog(settings.audit.syslog)


def _recovery(settings: Settings, control: ControlStore, backend: Backend, sink: Sink | None) -> Recovery:
    grace = _grace_seconds(settings)
    return Recovery(control.audit, open_spools(settings), backend, backend.registry, grace=grace, sink=sink)


def _grace_seconds(settings: Settings) -> float:
    """How long a store may be at work for a process that is no more. SQLite works in the process itself."""
    if settings.backend == "ldap":
        return settings.ldap.response_timeout_seconds + _MARGIN_SECONDS
    if settings.backend == "sql" and sqlite_file(settings.sql_url.reveal()) is None:
        return settings.sql.statement_timeout_seconds + _MARGIN_SECONDS
    return 1
