"""Request bodies as JSON (RFC 8259), refused early where a lenient parser would guess."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NoReturn

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.http import parse_options_header
from werkzeug.wsgi import get_input_stream

from app.scim.errors import InvalidSyntax, InvalidValue

_MEDIA_TYPES = frozenset(("application/scim+json", "application/json"))


def read_json(request: Request, max_depth: int) -> Any:
    """The JSON value of the body.

    Raises UnsupportedMediaType for another media type, InvalidSyntax for what is no JSON in UTF-8, repeats a name in
    one object or is nested deeper than `max_depth`, InvalidValue for NUL and lone surrogates, and RequestEntityTooLarge
    past the limit of the application (at the limit already where the body comes in chunks).
    """
    environ = request.environ
    if _media_type(environ.get("CONTENT_TYPE", "")) not in _MEDIA_TYPES:
        raise UnsupportedMediaType("the body must be application/scim+json or application/json")
    limit = request.max_content_length
    # What `request.get_data` would do, which looks the limit up twice more.
    octets = get_input_stream(environ, max_content_length=limit).read()
    if limit is not None and len(octets) >= limit and request.content_length is None:
        # Werkzeug cuts a body of unknown length off at the limit and reports nothing.
        raise RequestEntityTooLarge
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidSyntax("the body is not in UTF-8") from None
    return parse_json(text, max_depth)


@lru_cache(maxsize=64)
def _media_type(header: str) -> str:
    """The media type that a Content-Type header names, without its parameters (RFC 9110 section 8.3.1)."""
    return parse_options_header(header)[0].lower()


def parse_json(text: str, max_depth: int) -> Any:
    """The JSON value of a text; raises as `read_json` does."""
    try:
        value = _decoder.decode(text)
    except RecursionError:
        raise InvalidSyntax("the body is nested too deeply") from None
    except ValueError:
        raise InvalidSyntax("the body is not valid JSON") from None
    if text.count("{") + text.count("[") > max_depth and _deeper_than(value, max_depth):
        raise InvalidSyntax(f"the body is nested deeper than {max_depth} levels")
    if "\\u" in text and any(_has_forbidden_character(s) for s in _strings(value)):
        raise InvalidValue("the body holds a character that is not allowed")
    return value


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidSyntax("an object of the body names a member twice")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidSyntax(f"{name} is not a JSON value")


# `json.loads` would make one for each body, which takes longer than to read it.
_decoder = json.JSONDecoder(object_pairs_hook=_unique_members, parse_constant=_refuse_constant)


def _deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit + 1):
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in _children(outer)]
        if not level:
            return False
    return True


def _children(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else list(value)


def _strings(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            waiting.extend(item.keys())
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _has_forbidden_character(text: str) -> bool:
    return "\0" in text or (not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text))
