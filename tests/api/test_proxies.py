"""Whose address counts when proxies stand in front of the service."""

from __future__ import annotations

from typing import Any

import pytest

from app.api.proxies import TrustedProxies

TRUSTED = ("192.0.2.0/28", "2001:db8::5")


def _seen(peer: str, forwarded: str | None, proto: str | None = None) -> tuple[str, str]:
    seen: list[tuple[str, str]] = []

    def application(environ: dict[str, Any], start: Any) -> list[bytes]:
        seen.append((environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]))
        return []

    environ = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http"}
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded
    if proto is not None:
        environ["HTTP_X_FORWARDED_PROTO"] = proto
    TrustedProxies(application, TRUSTED)(environ, lambda *_: lambda _: None)
    return seen[0]


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.3", "198.51.100.7", "198.51.100.7"),
        ("192.0.2.3", "203.0.113.9, 198.51.100.7, 192.0.2.4", "198.51.100.7"),
        ("192.0.2.3", None, "192.0.2.3"),
        ("192.0.2.3", "192.0.2.4", "192.0.2.3"),
        ("2001:db8::5", "2001:db8::77", "2001:db8::77"),
        ("198.51.100.1", "203.0.113.9", "198.51.100.1"),
        ("", "203.0.113.9", ""),
        ("192.0.2.3", "198.51.100.7:50311", "198.51.100.7"),
        ("192.0.2.3", "[2001:db8::77]:50311", "2001:db8::77"),
        ("192.0.2.3", "198.51.100.7:50311, 192.0.2.4:443", "198.51.100.7"),
        ("192.0.2.3", "unknown", "unknown"),
        ("::ffff:192.0.2.3", "198.51.100.7", "198.51.100.7"),
        ("::ffff:198.51.100.1", "203.0.113.9", "::ffff:198.51.100.1"),
    ],
)
def test_client_address(peer: str, forwarded: str | None, expected: str) -> None:
    """Only a trusted peer may say for whom it asks, and what an outsider claims through it does not count.
    Some write a port; a socket for both protocols shows IPv4 addresses in another form."""
    assert _seen(peer, forwarded)[0] == expected


def test_scheme() -> None:
    """A trusted proxy tells that the client came over HTTPS; a stranger can't."""
    assert _seen("192.0.2.3", "198.51.100.7", "https")[1] == "https"
    assert _seen("198.51.100.1", "203.0.113.9", "https")[1] == "http"
