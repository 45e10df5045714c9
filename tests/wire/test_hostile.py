"""Requests that no well-meaning client sends, on the wire as they are."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from tests.support.service import ERROR, GROUP, PATCH_OP, USER, Client
from tests.wire.landfall import Landfall

_TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Raw:
    """What came back before the server closed the connection; `status` is 0 when it said nothing."""

    status: int
    head: str
    body: bytes


def _exchange(service: Landfall, octets: bytes, *, leave: bool = True) -> Raw:
    """Send octets, close the sending side, and read to the end. A server that never ends it fails the test."""
    received = b""
    with socket.create_connection(("127.0.0.1", service.port), timeout=_TIMEOUT_SECONDS) as connection:
        try:
            connection.sendall(octets)
            if leave:
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                received += part
        except (ConnectionResetError, BrokenPipeError):
            pass
    head, _, body = received.partition(b"\r\n\r\n")
    text = head.decode("latin-1")
    return Raw(int(text.split(" ")[1]) if text.startswith("HTTP/") else 0, text, body)


def _head(client: Client, method: str, target: str, *lines: str) -> bytes:
    fixed = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: {client.headers['Authorization']}"]
    return "\r\n".join([*fixed, "Connection: close", *lines, "", ""]).encode("latin-1")


def _still_serves(client: Client) -> None:
    assert client.get("/Users", params={"count": "0"}).status_code == 200


@pytest.mark.parametrize(
    "length",
    ["abc", "-1", "+5", "5, 6", "0x10", "1e3", "", " ", "99999999999999999999999", "5\r\nContent-Length: 6", "²"],
)
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_a_broken_content_length(service: Landfall, client: Client, name: str, length: str, method: str) -> None:
    """It is the client's fault, never the server's, and nothing is created."""
    body = json.dumps({"schemas": [USER], "userName": name}).encode()
    target = "/scim/v2/Users" if method == "POST" else "/scim/v2/Users/nobody"
    lines = ("Content-Type: application/scim+json", f"Content-Length: {length}")
    answer = _exchange(service, _head(client, method, target, *lines) + body)
    assert 400 <= answer.status < 500, answer
    assert client.found("/Users", f'userName eq "{name}"') == set()


def test_a_body_shorter_than_announced(service: Landfall, client: Client, name: str) -> None:
    """The client leaves in the middle of its own body."""
    body = json.dumps({"schemas": [USER], "userName": name}).encode()
    lines = ("Content-Type: application/scim+json", f"Content-Length: {len(body) + 100}")
    answer = _exchange(service, _head(client, "POST", "/scim/v2/Users", *lines) + body)
    assert answer.status == 400, answer
    assert client.found("/Users", f'userName eq "{name}"') == set()


def test_two_framings_at_once(service: Landfall, client: Client, name: str) -> None:
    """Content-Length with chunks is how requests are smuggled past a proxy (RFC 9112 section 6.3)."""
    inner = _head(client, "DELETE", "/scim/v2/Users/nobody")
    lines = ("Content-Type: application/scim+json", "Content-Length: 4", "Transfer-Encoding: chunked")
    answer = _exchange(service, _head(client, "POST", "/scim/v2/Users", *lines) + b"0\r\n\r\n" + inner)
    assert 400 <= answer.status < 500, answer
    assert b"HTTP/1.1" not in answer.body
    _still_serves(client)


@pytest.mark.parametrize(
    "chunk", [b"zz\r\n{}\r\n0\r\n\r\n", b"-5\r\n{}\r\n0\r\n\r\n", b"5\r\n{}", b"fffffffffffffffff\r\n{}"]
)
def test_broken_chunks(service: Landfall, client: Client, chunk: bytes) -> None:
    """A size that is none, and a body that ends too early."""
    lines = ("Content-Type: application/scim+json", "Transfer-Encoding: chunked")
    answer = _exchange(service, _head(client, "POST", "/scim/v2/Users", *lines) + chunk)
    assert answer.status == 400, answer
    lines = ("Content-Type: application/x-www-form-urlencoded", "Transfer-Encoding: chunked")
    answer = _exchange(service, _head(client, "POST", "/oauth/token", *lines) + chunk)
    assert answer.status == 400, answer
    # In the form of that endpoint (RFC 6749 section 5.2).
    assert json.loads(answer.body)["error"] == "invalid_request"


def test_a_body_in_chunks_is_taken(service: Landfall, client: Client, name: str) -> None:
    """RFC 9112 section 7.1."""
    body = json.dumps({"schemas": [USER], "userName": name}).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[n : n + 9]), body[n : n + 9]) for n in range(0, len(body), 9))
    lines = ("Content-Type: application/scim+json", "Transfer-Encoding: chunked")
    answer = _exchange(service, _head(client, "POST", "/scim/v2/Users", *lines) + chunks + b"0\r\n\r\n")
    assert answer.status == 201, answer
    assert len(client.found("/Users", f'userName eq "{name}"')) == 1


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_over_the_limit(service: Landfall, client: Client, chunked: bool) -> None:
    """413 in SCIM form, also where no length announced it."""
    size = 11 * 1024 * 1024
    piece = b"x" * 65536
    if chunked:
        lines = ("Content-Type: application/scim+json", "Transfer-Encoding: chunked")
        body = (b"%x\r\n%s\r\n" % (len(piece), piece)) * (size // len(piece)) + b"0\r\n\r\n"
    else:
        lines = ("Content-Type: application/scim+json", f"Content-Length: {size}")
        body = b""
    answer = _exchange(service, _head(client, "POST", "/scim/v2/Users", *lines) + body)
    # A client that still sends when the answer comes may find the connection reset before it has read it.
    assert answer.status == 413 or (chunked and answer.status == 0), answer
    if answer.status:
        assert json.loads(answer.body)["schemas"] == [ERROR]
    _still_serves(client)


@pytest.mark.parametrize(
    "id",
    [
        "%0d%0aSet-Cookie:%20taken=1",
        "x%0aSet-Cookie:taken=1",
        "%E5%98%8A%E5%98%8DSet-Cookie:x",
        "%00",
        "..%2f..%2foauth",
        "%ff%fe",
        "a" * 5000,
        "%2e%2e/Users",
        "'%20OR%201=1--",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
@pytest.mark.req("S-9.2-02")
def test_an_id_of_any_shape_is_not_found(service: Landfall, client: Client, id: str, method: str) -> None:
    """Encoded line breaks in an id never become header lines."""
    for endpoint, schema in (("Users", USER), ("Groups", GROUP)):
        body = _body(method, schema)
        lines = ("Content-Type: application/scim+json", f"Content-Length: {len(body)}") if body else ()
        answer = _exchange(service, _head(client, method, f"/scim/v2/{endpoint}/{id}", *lines) + body)
        assert answer.status == 404 or (id == "%2e%2e/Users" and answer.status in (404, 405)), answer
        assert "set-cookie" not in answer.head.lower()
        assert json.loads(answer.body)["schemas"] == [ERROR]


def _body(method: str, schema: str) -> bytes:
    if method == "PUT":
        return json.dumps({"schemas": [schema], "userName": "nobody", "displayName": "Nobody"}).encode()
    if method == "PATCH":
        operation = {"op": "replace", "path": "displayName", "value": "Nobody"}
        return json.dumps({"schemas": [PATCH_OP], "Operations": [operation]}).encode()
    return b""


@pytest.mark.parametrize(
    "target",
    [
        "/scim/v2/Users?filter=userName+eq+%22%0d%0aSet-Cookie:taken=1%22",
        "/scim/v2/Users?attributes=%0d%0aSet-Cookie:taken=1",
        "/scim/v2/Schemas/%0d%0aSet-Cookie:taken=1",
        "/scim/v2/%0d%0aSet-Cookie:taken=1",
        "/oauth/token?x=%0d%0aSet-Cookie:taken=1",
        "/%0d%0aSet-Cookie:taken=1//",
    ],
)
@pytest.mark.req("S-9.2-02")
def test_line_breaks_elsewhere_in_the_address(service: Landfall, client: Client, target: str) -> None:
    """Neither in a header nor as a fault of the server."""
    answer = _exchange(service, _head(client, "GET", target))
    assert 200 <= answer.status < 500, answer
    assert "set-cookie" not in answer.head.lower()


@pytest.mark.parametrize(
    "octets",
    [
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET /scim/v2/Users HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /scim/v2/Users HTTP/1.1\r\nHost: x\r\nBroken header\r\n\r\n",
        b"GET /scim/v2/Users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
        b"GET /scim/v2/Users?" + b"a" * 2_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /scim/v2/Users HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        b"PATCH /scim/v2/Users/\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["blank", "tls", "short", "version", "header", "octets", "long", "many", "raw"],
)
def test_what_is_hardly_http(service: Landfall, client: Client, octets: bytes) -> None:
    """A 4xx, a 505 for another version of HTTP, or nothing; and the service goes on."""
    answer = _exchange(service, octets)
    assert answer.status in (0, 505) or 400 <= answer.status < 500, answer
    _still_serves(client)


def test_an_id_with_a_line_break_stays_in_its_line_of_the_log(service: Landfall, client: Client, name: str) -> None:
    """Nobody can write a line of the log of their own."""
    forged = f"{name}\r\n2026-01-01T00:00:00Z [info] delete outcome=done"
    assert client.delete(f"/Users/{quote(forged, safe='')}").status_code == 404
    (line,) = (line for line in service.output.splitlines() if name in line)
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z \[info\] retire kind=User ", line)
    assert f" id={forged!r} " in line
    assert line.endswith(" outcome=NotFound")
