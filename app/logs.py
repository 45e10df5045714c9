"""The service's log: one line an event, as text for people or JSON for machines; never a secret or a value."""

from __future__ import annotations

import logging
import sys

import structlog

from app.services.journal import Write
from config.settings import LogSettings


def configure(settings: LogSettings) -> None:
    """Afterwards structlog writes to standard error in the configured form and from the configured level on."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


class LoggedJournal:
    """A journal in the log: a line for each write, with names of what changed and never the values."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("landfall.write")

    def begin(self, write: Write) -> None:
        """Nothing is written: the outcome holds the intent too."""

    def end(self, write: Write) -> None:
        """One line with who did what to which resource, and how it ended."""
        self._log.info(
            write.operation,
            kind=write.kind,
            id=write.id,
            integration=write.actor.name,
            attributes=list(write.attributes),
            changed=write.changed,
            outcome=write.outcome,
            **({"notes": list(write.notes)} if write.notes else {}),
        )
