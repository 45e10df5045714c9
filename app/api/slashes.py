"""Tenant URLs are pasted with and without a trailing slash, so paths come with `//` and with a slash at the end."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_REPEATED = re.compile("//+")


class TolerantSlashes:
    """WSGI middleware: repeated slashes become one and a trailing one goes, without a redirect."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path: str = environ.get("PATH_INFO", "")
        if "//" in path or (path.endswith("/") and len(path) > 1):
            environ["PATH_INFO"] = _REPEATED.sub("/", path).rstrip("/") or "/"
        return self._application(environ, start_response)
