"""URIs of resources (RFC 7643 sections 2.3.7 and 2.4): which resource does one name?"""

from __future__ import annotations

import re
import string
from urllib.parse import SplitResult, urljoin, urlsplit

from app.scim.query import ResourceId

_VERSION = re.compile(r"/v\d+(?:\.\d+)?$", re.IGNORECASE | re.ASCII)
_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})", re.ASCII)
_UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~")
_PORTS = {"http": 80, "https": 443}


def located_id(uri: str, base: str, endpoint: str) -> ResourceId | None:
    """The id of the resource at `endpoint` (`/Users`) that the URI names, or None when it names no such resource.

    A relative URI counts from `base`, the SCIM base URI without a trailing slash. URIs are compared as RFC 3986
    section 6.2 normalises them; the API version in front of the endpoint makes no difference.
    """
    try:
        found = urlsplit(urljoin(f"{base}/", uri))
        same_origin = _origin(found) == _origin(urlsplit(base))
    except ValueError:
        return None
    head, _, id = _normal_path(found.path).rpartition("/")
    if not id or not same_origin or found.query or found.fragment or not head.endswith(endpoint):
        return None
    own = _normal_path(urlsplit(base).path).rstrip("/")
    return id if _VERSION.sub("", head.removesuffix(endpoint)) == _VERSION.sub("", own) else None


def last_segment(uri: str) -> ResourceId:
    """The id at the end of a reference, wherever it points to."""
    return uri.rstrip("/").rpartition("/")[2]


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _normal_path(path: str) -> str:
    return _ENCODED.sub(_decoded, urljoin("/", path))


def _decoded(match: re.Match[str]) -> str:
    char = chr(int(match[1], 16))
    return char if char in _UNRESERVED else match[0].upper()
