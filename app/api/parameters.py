"""Query parameters and headers of SCIM requests (RFC 7644 sections 3.4.2 and 3.9, RFC 9110 section 13)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from flask import Request
from werkzeug.http import parse_date

from app.scim.errors import InvalidValue
from app.scim.query import Window
from app.services.preconditions import UNCONDITIONAL, Preconditions
from app.services.search import SearchRequest
from app.services.shown import Shown
from config.settings import LimitsSettings

_KNOWN = frozenset(("attributes", "excludedAttributes", "filter", "sortBy", "sortOrder", "startIndex", "count"))
_INTEGER = re.compile(r"[+-]?\d{1,30}", re.ASCII)
_TAG = re.compile(r'[\s,]*(?:(W/)?"([^"]*)"|(\*))\s*(?:,|$)')
"""With the empty elements before it, which a recipient ignores (RFC 9110 section 5.6.1.2)."""
_CONDITIONS = frozenset(("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE"))
"""The headers by their names in a WSGI environment (PEP 3333)."""
_MOST_PARAMETERS = 100
_LAST_INDEX = 2**53


def query_parameters(request: Request) -> dict[str, str]:
    """The known parameters of the query; others are ignored (RFC 7644 section 3.4.2).

    Raises InvalidValue when a known one is repeated or the query is not UTF-8.
    """
    if not request.query_string:
        return {}
    try:
        pairs = parse_qsl(
            request.query_string.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_PARAMETERS,
        )
    except ValueError:
        raise InvalidValue("the query is not percent-encoded UTF-8, or has too many parameters") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise InvalidValue(f"{name}: is given twice")
        if name in _KNOWN:
            found[name] = value
    return found


def shown(parameters: dict[str, str]) -> Shown:
    """The choice of attributes that the parameters make."""
    return Shown(_names(parameters.get("attributes")), _names(parameters.get("excludedAttributes")))


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name for part in (text or "").split(",") if (name := part.strip()))


def search_request(parameters: dict[str, str], limits: LimitsSettings) -> SearchRequest:
    """The search that the parameters ask for. Raises InvalidValue for a malformed number or sort order."""
    return make_search_request(
        limits,
        filter=parameters.get("filter"),
        sort_by=parameters.get("sortBy") or None,
        sort_order=parameters.get("sortOrder"),
        start=_integer("startIndex", parameters.get("startIndex")),
        count=_integer("count", parameters.get("count")),
        choice=shown(parameters),
    )


def make_search_request(
    limits: LimitsSettings,
    *,
    filter: str | None,
    sort_by: str | None,
    sort_order: str | None,
    start: int | None,
    count: int | None,
    choice: Shown,
) -> SearchRequest:
    """A search with defaults and limits applied: start below 1 counts as 1, count below 0 as 0, and no more than
    `max_results` are given (section 3.4.2.4)."""
    order = (sort_order or "ascending").lower()
    if order not in ("ascending", "descending"):
        raise InvalidValue("sortOrder: must be ascending or descending")
    wanted = limits.page_size if count is None else count
    window = Window(min(max(start or 1, 1), _LAST_INDEX), min(max(wanted, 0), limits.max_results))
    return SearchRequest(filter, sort_by, order == "descending", window, choice)


def _integer(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not _INTEGER.fullmatch(text):
        raise InvalidValue(f"{name}: must be an integer")
    return int(text)


def preconditions(request: Request) -> Preconditions:
    """The conditions that the headers make; dates that are no HTTP dates are ignored."""
    sent = request.environ
    if _CONDITIONS.isdisjoint(sent):
        return UNCONDITIONAL
    if_match, if_none_match = sent.get("HTTP_IF_MATCH"), sent.get("HTTP_IF_NONE_MATCH")
    return Preconditions(
        None if if_match is None else _tags(if_match),
        None if if_none_match is None else _tags(if_none_match),
        _date(sent.get("HTTP_IF_MODIFIED_SINCE")) if request.method in ("GET", "HEAD") else None,
        _date(sent.get("HTTP_IF_UNMODIFIED_SINCE")),
    )


def _tags(text: str) -> tuple[str, ...]:
    tags: list[str] = []
    position = 0
    while position < len(text) and (match := _TAG.match(text, position)):
        # A star in quotes is a tag, and no version has it.
        if match.group(2) != "*":
            tags.append(match.group(3) or match.group(2))
        position = match.end()
    # What is no entity tag matches no version.
    return tuple(tags)


def _date(text: str | None) -> datetime | None:
    try:
        moment = parse_date(text)
        return moment.astimezone(UTC) if moment else None
    except OverflowError:
        return None
