"""A back end whose requests a test sees coming, so that it can do something between two of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from app.scim.registry import load
from backends.ldap.backend import LdapBackend
from backends.ldap.drivers import LDAP3, connector
from backends.ldap.drivers.base import Access, Address, Connection, Tls
from backends.ldap.pool import Directory
from config.directory import Bindings
from tests.ldap.links import access, address
from tests.support.directories import Directory as Server
from tests.support.directories import Tree
from tests.support.ldapstores import POOL, bindings_for

OPERATIONS = ("search", "add", "modify", "rename", "delete", "set_password")


@dataclass
class Hooks:
    """What is done right before the next request of a kind, once; and the requests that were sent, in order.
    `connect_timeout` is for connections from now on, in seconds."""

    before: dict[str, Callable[[], object]] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    connect_timeout: float = 20.0

    def connect(self, address: Address, access: Access) -> Connection:
        """A real connection whose requests are told first."""
        connection = connector(LDAP3)(address, replace(access, connect_timeout=self.connect_timeout))
        for operation in OPERATIONS:
            setattr(connection, operation, self._told(operation, getattr(connection, operation)))
        return connection

    def _told(self, operation: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def send(*arguments: Any, **named: Any) -> Any:
            hook = self.before.pop(operation, None)
            if hook is not None:
                hook()
            self.sent.append(operation)
            return call(*arguments, **named)

        return send


@contextmanager
def hooked(
    servers: Server | Sequence[Server],
    tree: Tree,
    *,
    bindings: Bindings | None = None,
    response_timeout: float = 60.0,
    retry_after: float = 30.0,
    tls: Tls = Tls.LDAPS,
) -> Iterator[tuple[LdapBackend, Hooks]]:
    """A back end on one or more servers that hold the tree, and its hooks."""
    among = [servers] if isinstance(servers, Server) else list(servers)
    hooks = Hooks()
    who = replace(access(among[0]), response_timeout=response_timeout)
    addresses = [address(server, tls) for server in among]
    directory = Directory(addresses, who, hooks.connect, size=POOL, retry_after=retry_after)
    backend = LdapBackend(directory, bindings or bindings_for(among[0].kind, tree), load())
    try:
        yield backend, hooks
    finally:
        backend.close()
