"""What the tests of drivers and pool share: addresses of servers, accounts, entries that every kind of server takes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from typing import Any

from backends.ldap.drivers import LDAP3, PYTHON_LDAP, ber, connector
from backends.ldap.drivers.base import Access, Address, Connection, LdapError, Scope, Search, Tls
from tests.support.directory_base import Directory, Tree

DRIVERS = (LDAP3, PYTHON_LDAP)
SOON = 1.0
"""Seconds: a time-out that a test waits for."""
_NUMBERS = count(1)


def address(server: Directory, tls: Tls = Tls.LDAPS) -> Address:
    """Where the server listens for that way of protection."""
    return Address(server.host, server.ldaps_port if tls is Tls.LDAPS else server.port, tls)


def access(server: Directory, *, connect_timeout: float = 20.0, response_timeout: float = 60.0) -> Access:
    """The service account of the server."""
    return Access(
        server.service_dn,
        server.service_password,
        ca_file=str(server.ca_file),
        connect_timeout=connect_timeout,
        response_timeout=response_timeout,
    )


def connected(driver: str, server: Directory, tls: Tls = Tls.LDAPS, **differences: Any) -> Connection:
    """A new connection of that driver as the service account; other keywords are fields of Access."""
    return connector(driver)(address(server, tls), replace(access(server), **differences))


def person(server: Directory, tree: Tree, name: str | None = None) -> tuple[str, dict[str, list[bytes]]]:
    """DN and attributes of a new user."""
    name = name or f"link{next(_NUMBERS)}"
    attributes = {"cn": [name.encode()], "sn": [b"Lovelace"], "description": [b"first"]}
    if server.kind == "active-directory":
        attributes |= {"objectClass": [b"user"], "sAMAccountName": [name.encode()]}
    else:
        attributes |= {"objectClass": [b"inetOrgPerson"]}
    return f"cn={name},{tree.people}", attributes


def base_search(dn: str, *attributes: str) -> Search:
    """A read of one entry."""
    return Search(dn, Scope.BASE, "(objectClass=*)", attributes)


def ask_until_lost(call: Callable[[], object]) -> None:
    """Ask a server that was told to stop, which finishes what it is at, until a call raises ConnectionLost."""
    while True:
        with suppress(LdapError):
            call()


@contextmanager
def listener(backlog: int = 8) -> Iterator[socket.socket]:
    """A socket that accepts connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as server:
        yield server


@contextmanager
def black_hole() -> Iterator[int]:
    """A port that does not even refuse: its queue of connections is full."""
    with listener(backlog=0) as server:
        waiting = [socket.socket() for _ in range(3)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        try:
            yield server.getsockname()[1]
        finally:
            for client in waiting:
                client.close()


def answering(request: bytes, operation: int) -> bytes:
    """The response of success to that request."""
    start, _ = ber.content_at(request, 0)
    _, end = ber.content_at(request, start)
    return ber.tlv(ber.SEQUENCE, request[start:end] + ber.tlv(operation, b"\x0a\x01\x00\x04\x00\x04\x00"))


@contextmanager
def scripted(*answers: Callable[[bytes], bytes], then_silent: bool = False) -> Iterator[int]:
    """A port whose one connection gets these answers to its requests, and then its end or silence."""
    done = threading.Event()
    with listener() as server:

        def answer() -> None:
            client, _ = server.accept()
            with client:
                for octets in answers:
                    client.sendall(octets(client.recv(4096)))
                if then_silent:
                    done.wait()

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            done.set()
            thread.join()
