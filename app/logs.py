"""The service's log: one line an event, as text for people or JSON for machines; never a secret or a value."""

from __future__ import annotations

import logging
import re
import sys

import structlog

from app.services.journal import Write
from config.settings import LogSettings

_PLAIN = re.compile(r"[\w.:/@+-]+", re.ASCII)
"""Text that needs no quotes: it can't be taken for anything else, and does not begin another line."""


def configure(settings: LogSettings) -> None:
    """Afterwards structlog writes to standard error in the configured form and from the configured level on."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer() if settings.format == "json" else _text,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.level.upper()]),
        # It hands a line over at once, so that those of several processes do not run into each other.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _text(_: object, __: str, event: structlog.typing.EventDict) -> str:
    """Time, level, what happened, and the rest as `name=value`; below it what an exception tells. structlog's own form
    for people takes as long as a statement of the store."""
    time, level, what = event.pop("timestamp"), event.pop("level"), event.pop("event")
    exception = event.pop("exception", None)
    line = " ".join([f"{time} [{level}] {what}", *[f"{name}={_value(value)}" for name, value in event.items()]])
    return line if exception is None else f"{line}\n{exception}"


def _value(value: object) -> str:
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else repr(value)


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
