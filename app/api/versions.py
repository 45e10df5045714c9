"""Other protocol versions in the path (RFC 7644 section 3.13)."""

from __future__ import annotations

import re

from flask import Flask, request

from app.scim.errors import InvalidVersion

_VERSIONED = re.compile(r"^/scim/v(\d{1,9})(?:/|$)", re.ASCII)


def register(app: Flask, version: str) -> None:
    """Afterwards `/scim/v{n}` for every n but the one that is served is refused with invalidVers."""

    def refuse_other_versions() -> None:
        found = _VERSIONED.match(request.path)
        if found and found.group(1) != version:
            raise InvalidVersion(f"version {found.group(1)} of the protocol is not served; use version {version}")

    app.before_request(refuse_other_versions)
