"""What the back end asks of an LDAP client library (RFC 4511), and what comes back: octets, never library objects."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum

Attributes = Mapping[str, Sequence[bytes]]
"""Values by attribute description."""

_BUSY = 51
_PAUSES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Seconds."""


class Scope(IntEnum):
    """Search scopes of RFC 4511 section 4.5.1.2."""

    BASE = 0
    ONE = 1
    SUBTREE = 2


class Operation(IntEnum):
    """Modification operations of RFC 4511 section 4.6."""

    ADD = 0
    DELETE = 1
    REPLACE = 2


@dataclass(frozen=True, slots=True)
class Modification:
    """One change of an attribute; without values DELETE and REPLACE take the whole attribute away."""

    operation: Operation
    attribute: str
    values: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry, or the part of it that was asked for.

    `attributes` has names in lower case, with their options (`member;range=0-1499`), and no empty lists, or only empty
    ones when types alone were asked for.
    """

    dn: str
    attributes: Attributes

    def first(self, name: str) -> bytes | None:
        """The first value of the attribute with that lower-case name, or None."""
        values = self.attributes.get(name)
        return values[0] if values else None


@dataclass(frozen=True, slots=True)
class SortKey:
    """Server side sorting (RFC 2891)."""

    attribute: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Only:
    """Values of an attribute, by its rule for equality."""

    attribute: str
    values: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search returned.

    `cookie` continues a paged search on the same connection (RFC 2696); empty when there is no more. `size` is what
    the server says the size of a paged result is. References to other servers (RFC 4511 section 4.5.3) are left out and
    counted in `references`.
    """

    entries: tuple[Entry, ...]
    cookie: bytes = b""
    size: int = 0
    references: int = 0


@dataclass(frozen=True, slots=True)
class Search:
    """A search. `attributes` names what is wanted; ("1.1",) is no attribute at all. `page` is the number of entries in
    a page of RFC 2696; 0 for an unpaged search or, with a cookie, the end of a paged one. `size_limit` 0 means none.
    `filter` is text of RFC 4515. With `only`, no other values of that attribute are returned (RFC 3876)."""

    base: str
    scope: Scope
    filter: str
    attributes: tuple[str, ...]
    size_limit: int = 0
    page: int = 0
    cookie: bytes = b""
    sort: SortKey | None = None
    types_only: bool = False
    only: Only | None = None


class Tls(Enum):
    """How a connection is protected."""

    LDAPS = "ldaps"
    START_TLS = "starttls"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Address:
    """One directory server."""

    host: str
    port: int
    tls: Tls

    def __str__(self) -> str:
        return f"{'ldaps' if self.tls is Tls.LDAPS else 'ldap'}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Access:
    """How to connect and who to be. `ca_file` None means the certificates that the system trusts; certificate and host
    name are always verified. Times are in seconds. An empty `bind_dn` means an anonymous connection (for the root DSE).
    """

    bind_dn: str
    password: str = field(repr=False)
    ca_file: str | None = None
    connect_timeout: float = 5.0
    response_timeout: float = 15.0


class LdapError(Exception):
    """The server answered with a result code that is not success (RFC 4511 section 4.1.9).

    `message` is the server's diagnostic message: for logs, never for clients.
    """

    def __init__(self, code: int, message: str = "", matched: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.matched = matched


class ConnectionLost(Exception):
    """The server can't be reached or went away; what was asked last may or may not have been done."""


class TimedOut(ConnectionLost):
    """The server did not answer within the response time-out; the connection can't be used any more."""


class TlsFailed(ConnectionLost):
    """The server's certificate is not trusted, is for another host, or TLS could not be agreed."""


class Connection(ABC):
    """One connection, bound as the service account; used by one thread at a time.

    Every method raises LdapError, or ConnectionLost after which the connection is only good for `close`. Control values
    are critical where leaving them out would change what is done (assertion, post-read, paging, sorting, values).
    """

    address: Address

    @abstractmethod
    def search(self, search: Search) -> Found:
        """The entries found. A size limit that was reached (result code 4) raises LdapError."""

    def resume(self, search: Search) -> Found:
        """What a search with the cookie of its last page returns, its end among them."""
        # slapd answers with a sorted page before it takes the next request for it: such a one is busy for a moment.
        for pause in _PAUSES:
            try:
                return self.search(search)
            except LdapError as error:
                if error.code != _BUSY:
                    raise
                time.sleep(pause)
        return self.search(search)

    @abstractmethod
    def compare(self, dn: str, attribute: str, value: bytes) -> bool:
        """Whether the entry has the value (RFC 4511 section 4.10)."""

    @abstractmethod
    def add(self, dn: str, attributes: Attributes, *, read: Sequence[str] = ()) -> Entry | None:
        """Afterwards the entry exists. With `read`, its attributes of these names by post-read (RFC 4527)."""

    @abstractmethod
    def modify(
        self,
        dn: str,
        changes: Sequence[Modification],
        *,
        assertion: str | None = None,
        read: Sequence[str] = (),
        timeout: float | None = None,
    ) -> Entry | None:
        """Afterwards all changes are made, or none. `assertion` is a filter that must hold (RFC 4528; result code 122
        when it does not). `timeout` in seconds replaces the response time-out for this one operation."""

    @abstractmethod
    def rename(
        self,
        dn: str,
        rdn: str,
        *,
        superior: str | None = None,
        keep_old: bool = False,
        assertion: str | None = None,
        read: Sequence[str] = (),
    ) -> Entry | None:
        """Afterwards the entry has the new RDN, without the values of the old one unless `keep_old`, below `superior`
        if that is given (RFC 4511 section 4.9)."""

    @abstractmethod
    def delete(self, dn: str, *, assertion: str | None = None) -> None:
        """Afterwards there is no such entry."""

    @abstractmethod
    def set_password(self, dn: str, password: str) -> None:
        """Password modify (RFC 3062): the server hashes it by its own policy."""

    @abstractmethod
    def usable(self) -> bool:
        """False when the server has closed an idle connection, told without sending anything."""

    @abstractmethod
    def close(self) -> None:
        """Unbind and give back the socket; never raises."""
