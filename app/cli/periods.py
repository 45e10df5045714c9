"""Ages and points in time as operators write them: callbacks of options, which give microseconds."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import click

from app.control.audit_models import microseconds

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGE = re.compile(r"([0-9]{1,7})([smhdw])")
_LONGEST = 36_525 * 86_400
"""Seconds of a hundred years; much longer ago there are no times to compare with."""


def age(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """How long 90s, 15m, 2h, 365d or 4w is, a hundred years at most. Raises BadParameter."""
    if value is None:
        return None
    found = _AGE.fullmatch(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no age: write 15m, 2h, 365d or 4w")
    seconds = int(found[1]) * _UNITS[found[2]]
    if seconds > _LONGEST:
        raise click.BadParameter(f"{value!r} is more than a hundred years")
    return seconds * 1_000_000


def since(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """When it was that age ago, or a date or time of RFC 3339 (in UTC, unless it says otherwise), counted from 1970.
    Raises BadParameter."""
    if value is None:
        return None
    if _AGE.fullmatch(value):
        return time.time_ns() // 1000 - (age(context, parameter, value) or 0)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no time: write 2h, 2026-11-01 or 2026-11-01T08:00") from None
    return microseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
