"""The client: prepared requests over kept connections, from a process of its own so that its work is not counted."""

from __future__ import annotations

import json
import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

CONNECTIONS = 4
_HOST = "127.0.0.1"


class Unexpected(Exception):
    """An answer with another status than the case calls for."""


class Connection:
    """One kept connection that reads no more of an answer than it needs."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((_HOST, port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request: bytes, wanted: int) -> bytes:
        """The body of the answer. Raises Unexpected."""
        self._socket.sendall(request)
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._receive()
        status, body = int(received[9:12]), received[end + 4 :]
        missing = _length(received[: end + 2]) - len(body)
        while missing > 0:
            part = self._receive()
            body, missing = body + part, missing - len(part)
        if status != wanted:
            raise Unexpected(f"{request[:200]!r} was answered {status}: {body[:500]!r}")
        return body

    def close(self) -> None:
        """No more requests."""
        self._socket.close()

    def _receive(self) -> bytes:
        received = self._socket.recv(1 << 20)
        if not received:
            raise Unexpected("the connection was closed")
        return received


def make_request(method: str, target: str, token: str | None = None, document: Any = None) -> bytes:
    """The octets of a request; the client's usual headers, no more."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {_HOST}", "Accept: application/scim+json"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    body = b"" if document is None else json.dumps(document).encode()
    if body:
        lines += ["Content-Type: application/scim+json; charset=utf-8", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Load:
    """Sends requests from another process."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def seconds(self, port: int, requests: Sequence[bytes], wanted: int) -> float:
        """How long it took to have all of them answered, each connection taking its share of neighbours."""
        share = -(-len(requests) // CONNECTIONS)
        shares = [requests[start : start + share] for start in range(0, len(requests), share)]
        return self._pool.submit(_drive, port, shares, wanted).result()

    def each(self, port: int, requests: Sequence[tuple[bytes, int]]) -> list[float]:
        """Seconds that each of these requests took, one after another on one connection."""
        return self._pool.submit(_time_each, port, requests).result()


@contextmanager
def client() -> Iterator[Load]:
    """A client process, started afresh so that it shares nothing with this one."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield Load(pool)


_kept: dict[int, list[Connection]] = {}
"""Connections of the client process by port."""


def _drive(port: int, shares: Sequence[Sequence[bytes]], wanted: int) -> float:
    connections = _kept.setdefault(port, [])
    connections += [Connection(port) for _ in shares[len(connections) :]]
    connections = connections[: len(shares)]
    faults: list[Exception] = []

    def work(connection: Connection, requests: Sequence[bytes]) -> None:
        try:
            for request in requests:
                connection.send(request, wanted)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(connections, shares, strict=True)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if faults:
        raise faults[0]
    return seconds


def _time_each(port: int, requests: Sequence[tuple[bytes, int]]) -> list[float]:
    connection = Connection(port)
    times = []
    for request, wanted in requests:
        started = time.perf_counter()
        connection.send(request, wanted)
        times.append(time.perf_counter() - started)
    connection.close()
    return times


def _length(head: bytes) -> int:
    """The Content-Length in a head whose lines all end in CRLF; 0 where there is none."""
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0
