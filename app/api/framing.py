"""Bodies that end before their announced length, or come in broken chunks (RFC 9112 section 8)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class WholeBodies:
    """WSGI middleware: reading a body that is not as announced raises OSError, for which Werkzeug answers 400."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH")
        if length or "HTTP_TRANSFER_ENCODING" in environ:
            environ["wsgi.input"] = _Body(environ["wsgi.input"], int(length) if length and length.isdecimal() else 0)
        return self._application(environ, start_response)


class _Body:
    """The input of a request of at least `length` octets."""

    def __init__(self, stream: Any, length: int) -> None:
        self._stream = stream
        self._missing = length

    def read(self, size: int = -1) -> bytes:
        try:
            octets: bytes = self._stream.read(size)
        except Exception as error:
            # Every server has exceptions of its own for chunks that are none.
            raise OSError("the body is broken") from error
        self._missing -= len(octets)
        if not octets and size != 0 and self._missing > 0:
            raise OSError("the body is shorter than announced")
        return octets
