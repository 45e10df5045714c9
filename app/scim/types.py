"""Checks and comparison forms of singular values by data type (RFC 7643 section 2.3)."""

from __future__ import annotations

import base64
import binascii
import math
import re
from datetime import UTC, datetime
from typing import Any

from app.scim import rules
from app.scim.attributes import Attribute, Type
from app.scim.errors import InvalidValue
from app.scim.fold import fold

_DATE_TIME = re.compile(r"(-?\d{4,})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_INTEGER_LIMIT = 2**63


def check(attribute: Attribute, value: Any) -> None:
    """Return when the JSON value fits the singular type of a leaf; else raise InvalidValue that names the attribute.

    Nothing is converted: a boolean is true or false and not "true" (RFC 7643 section 2.3.2), an integer has no
    fraction, a string has no NUL and no lone surrogate.
    """
    fault = _fault(attribute, value)
    if fault:
        raise InvalidValue(f"{attribute.path}: {fault}")


def _fault(attribute: Attribute, value: Any) -> str | None:
    kind = attribute.type
    if kind is Type.STRING and isinstance(value, str) and value.isascii() and "\0" not in value:
        # Most are such, and the rest need not be asked of them.
        return rules.fault(attribute.path, value)
    if kind is Type.BOOLEAN:
        return None if isinstance(value, bool) else "must be true or false"
    if kind in (Type.INTEGER, Type.DECIMAL):
        return _number_fault(kind, value)
    if not isinstance(value, str):
        return f"must be a {'string' if kind is Type.STRING else kind.value + ' in a string'}"
    if "\0" in value or _has_lone_surrogate(value):
        return "holds a character that is not allowed"
    if kind is Type.DATE_TIME and _instant(value) is None:
        return "must be a dateTime such as 2024-01-31T08:00:00Z"
    if kind is Type.BINARY and not _is_base64(value):
        return "must be base64"
    return rules.fault(attribute.path, value)


def _number_fault(kind: Type, value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "must be a number"
    if kind is Type.INTEGER and not isinstance(value, int):
        return "must be an integer without fraction and exponent"
    if isinstance(value, int):
        return None if -_INTEGER_LIMIT <= value < _INTEGER_LIMIT else "is out of range"
    return None if math.isfinite(value) else "must be a finite number"


def _has_lone_surrogate(text: str) -> bool:
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def comparable(attribute: Attribute, value: Any) -> Any:
    """The comparison form of a checked value: folded text unless caseExact, the instant of a dateTime, else itself."""
    if attribute.type is Type.DATE_TIME:
        return instant(value)
    if isinstance(value, str) and not attribute.case_exact:
        return fold(value)
    return value


def instant(text: str) -> str:
    """The UTC text `YYYY-MM-DDTHH:MM:SS.ffffffZ` of an xsd:dateTime; text order is time order. A time without zone
    counts as UTC. Raises ValueError when the text is no dateTime or its year is not within 1 to 9999."""
    moment = _instant(text)
    if moment is None:
        raise ValueError(text)
    return format_instant(moment)


def format_instant(moment: datetime) -> str:
    """The text that `instant` gives for an aware datetime."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    # Half of the time that isoformat takes, which asks the zone.
    parts = utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond
    return "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ" % parts  # noqa: UP031 - a format string takes twice as long


def _instant(text: str) -> datetime | None:
    match = _DATE_TIME.fullmatch(text)
    if not match:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    micro = (fraction or "")[:6].ljust(6, "0")
    offset = "+00:00" if zone in (None, "Z") else zone
    try:
        return datetime.fromisoformat(f"{year}-{month}-{day}T{hour}:{minute}:{second}.{micro}{offset}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
