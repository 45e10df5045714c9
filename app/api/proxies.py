"""The address and scheme of a client behind trusted proxies."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from app.addresses import read_address

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class TrustedProxies:
    """WSGI middleware: where the peer is a trusted proxy, REMOTE_ADDR becomes the last address in X-Forwarded-For that
    is not one, and the scheme that of X-Forwarded-Proto. From anyone else these headers mean nothing."""

    def __init__(self, application: WSGIApplication, trusted: Sequence[str]) -> None:
        self._application = application
        self._trusted: list[_Network] = [ipaddress.ip_network(text, strict=False) for text in trusted]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if self._trusts(environ.get("REMOTE_ADDR", "")):
            hops = [hop.strip() for hop in environ.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
            client = next((hop for hop in reversed(hops) if not self._trusts(hop)), None)
            if client:
                # Without its port, which is another for each connection: failures are counted for the address.
                environ["REMOTE_ADDR"] = str(read_address(client) or client)
            scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").rpartition(",")[2].strip().lower()
            if scheme in ("http", "https"):
                environ["wsgi.url_scheme"] = scheme
        return self._application(environ, start_response)

    def _trusts(self, address: str) -> bool:
        found = read_address(address)
        return found is not None and any(found in network for network in self._trusted)
