"""Connections by ldap3.

ldap3 finds the server, connects, starts TLS, binds and unbinds. Requests and responses pass over its socket as octets
that are written and read here: its own way builds an ASN.1 object and several dictionaries for each value, which costs
four to ten times the processor time, takes spaces off the ends of filter values, and knows no deadline for a whole
response.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import NoReturn

import ldap3
from ldap3.core.exceptions import LDAPExceptionError

from backends.ldap.drivers import ber, controls, messages
from backends.ldap.drivers.base import (
    Access,
    Address,
    Attributes,
    Connection,
    ConnectionLost,
    Entry,
    Found,
    LdapError,
    Modification,
    Search,
    TimedOut,
    Tls,
    TlsFailed,
)
from backends.ldap.drivers.controls import Control
from backends.ldap.drivers.messages import Tag
from backends.ldap.drivers.sockets import has_news

_CHUNK = 1 << 17
_COMPARE_FALSE = 5
_COMPARE_TRUE = 6
_NO_PASSWORD = 49


def connect(address: Address, access: Access) -> Connection:
    """A new connection, bound as `access` says (anonymously with an empty `bind_dn`), within the connect time-out.

    Raises ConnectionLost or one of its kinds, or LdapError when the bind is refused. A name without a password is
    refused with 49 and never sent: servers take that for an anonymous bind (RFC 4513 section 5.1.2).
    """
    if access.bind_dn and not access.password:
        raise LdapError(_NO_PASSWORD, "a bind without a password")
    deadline = time.monotonic() + access.connect_timeout
    tls = _Tls(address, access, deadline)
    server = ldap3.Server(
        address.host,
        port=address.port,
        get_info=ldap3.NONE,
        tls=tls,
        use_ssl=address.tls is Tls.LDAPS,
        connect_timeout=access.connect_timeout,
        mode=ldap3.IP_SYSTEM_DEFAULT,
    )
    library = ldap3.Connection(
        server,
        user=access.bind_dn or None,
        password=access.password or None,
        auto_referrals=False,
        check_names=False,
    )
    try:
        library.open(read_server_info=False)
        if address.tls is Tls.START_TLS:
            library.socket.settimeout(_left(deadline))
            library.start_tls(read_server_info=False)
        library.socket.settimeout(_left(deadline))
        library.bind(read_server_info=False)
    except (LDAPExceptionError, OSError, ValueError) as cause:
        _drop(library)
        raise _reason(address, tls, cause) from None
    library.password = None
    if not library.bound:
        result = library.result
        _drop(library)
        raise LdapError(result["result"], result["message"], result["dn"])
    return Ldap3Connection(address, library, access.response_timeout)


class Ldap3Connection(Connection):
    """A connection whose socket, TLS and bind are ldap3's."""

    def __init__(self, address: Address, library: ldap3.Connection, response_timeout: float) -> None:
        self.address = address
        self._library = library
        self._socket = library.socket
        self._response_timeout = response_timeout
        # Above all numbers that ldap3 took for StartTLS and bind.
        self._numbers = count(1000)
        self._data = b""
        self._at = 0
        self._lost = False

    def search(self, search: Search) -> Found:
        """See Connection."""
        entries: list[Entry] = []
        references = 0
        deadline = time.monotonic() + self._response_timeout
        number = self._send(messages.search(search), controls.of_search(search), deadline)
        try:
            while True:
                tag, data, at = self._receive(number, deadline)
                if tag == Tag.ENTRY:
                    entries.append(controls.entry_at(data, at, search.types_only))
                elif tag == Tag.REFERENCE:
                    references += 1
                else:
                    answers = self._result(Tag.DONE, tag, data, at).answers
                    return controls.found(search, entries, references, answers)
        except (ValueError, IndexError):
            self._malformed()

    def compare(self, dn: str, attribute: str, value: bytes) -> bool:
        """See Connection."""
        request = messages.compare(dn, attribute, value)
        result = self._exchange(request, (), Tag.COMPARED, success=(_COMPARE_FALSE, _COMPARE_TRUE))
        return result.code == _COMPARE_TRUE

    def add(self, dn: str, attributes: Attributes, *, read: Sequence[str] = ()) -> Entry | None:
        """See Connection."""
        return self._write(messages.add(dn, attributes), controls.of_write(None, read), Tag.ADDED)

    def modify(
        self,
        dn: str,
        changes: Sequence[Modification],
        *,
        assertion: str | None = None,
        read: Sequence[str] = (),
        timeout: float | None = None,
    ) -> Entry | None:
        """See Connection."""
        return self._write(messages.modify(dn, changes), controls.of_write(assertion, read), Tag.MODIFIED, timeout)

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
        """See Connection."""
        return self._write(
            messages.rename(dn, rdn, superior, keep_old=keep_old), controls.of_write(assertion, read), Tag.RENAMED
        )

    def delete(self, dn: str, *, assertion: str | None = None) -> None:
        """See Connection."""
        self._exchange(messages.delete(dn), controls.of_write(assertion, ()), Tag.DELETED)

    def set_password(self, dn: str, password: str) -> None:
        """See Connection."""
        self._exchange(messages.set_password(dn, password), (), Tag.EXTENDED)

    def usable(self) -> bool:
        """See Connection."""
        return not self._lost and not has_news(self._socket.fileno())

    def close(self) -> None:
        """See Connection."""
        lost, self._lost = self._lost, True
        if not lost:
            try:
                # An unbind that would have to wait is not worth it.
                self._socket.settimeout(0.1)
                self._library.unbind()
            except (LDAPExceptionError, OSError):
                pass
        _drop(self._library)

    def _write(
        self, request: bytes, sent: Iterable[Control], expected: Tag, timeout: float | None = None
    ) -> Entry | None:
        result = self._exchange(request, sent, expected, timeout)
        try:
            return controls.after_write(result.answers)
        except (ValueError, IndexError):
            self._malformed()

    def _exchange(
        self,
        request: bytes,
        sent: Iterable[Control],
        expected: Tag,
        timeout: float | None = None,
        success: tuple[int, ...] = (0,),
    ) -> messages.Result:
        deadline = time.monotonic() + (self._response_timeout if timeout is None else timeout)
        number = self._send(request, sent, deadline)
        try:
            return self._result(expected, *self._receive(number, deadline), success=success)
        except (ValueError, IndexError):
            self._malformed()

    def _result(
        self, expected: Tag, tag: int, data: bytes, at: int, success: tuple[int, ...] = (0,)
    ) -> messages.Result:
        # Samba refuses a critical control by the response to an extended request, whatever the request was.
        if tag not in (expected, Tag.EXTENDED):
            raise ber.Malformed("a response to something else")
        result = messages.result_at(data, at)
        if result.code not in success:
            raise LdapError(result.code, result.message, result.matched)
        if tag != expected:
            raise ber.Malformed("a response to something else")
        return result

    def _send(self, request: bytes, sent: Iterable[Control], deadline: float) -> int:
        if self._lost:
            raise ConnectionLost(f"{self.address}: the connection is closed")
        number = next(self._numbers)
        try:
            self._socket.settimeout(_left(deadline))
            self._socket.sendall(messages.message(number, request, sent))
        except OSError as cause:
            self._fail(cause)
        return number

    def _receive(self, number: int, deadline: float) -> tuple[int, bytes, int]:
        """The next response to that request: its tag, the message, and where the operation begins in it."""
        while True:
            data = self._message(deadline)
            answered, tag, at = messages.operation_at(data)
            if answered == number:
                if tag != Tag.INTERMEDIATE:
                    return tag, data, at
            elif answered == 0:
                self._lost = True
                raise ConnectionLost(f"{self.address}: the server ended the connection: {_notice(data, at)}")
            else:
                raise ber.Malformed("a response to another request")

    def _message(self, deadline: float) -> bytes:
        """The next whole message; what came with it stays for the next call."""
        data, at = self._data, self._at
        while (size := ber.size_at(data, at)) is None or at + size > len(data):
            chunks = [data[at:]]
            missing = 2 if size is None else size - len(chunks[0])
            while missing > 0:
                chunks.append(self._chunk(deadline))
                missing -= len(chunks[-1])
            data, at = b"".join(chunks), 0
        self._data, self._at = data, at + size
        return data[at : at + size]

    def _chunk(self, deadline: float) -> bytes:
        try:
            self._socket.settimeout(_left(deadline))
            chunk: bytes = self._socket.recv(_CHUNK)
        except OSError as cause:
            self._fail(cause)
        if not chunk:
            self._fail(ConnectionResetError("the server closed the connection"))
        return chunk

    def _fail(self, cause: OSError) -> NoReturn:
        self._lost = True
        if isinstance(cause, TimeoutError):
            raise TimedOut(f"{self.address}: no response in time") from None
        raise ConnectionLost(f"{self.address}: {cause}") from None

    def _malformed(self) -> NoReturn:
        self._lost = True
        raise ConnectionLost(f"{self.address}: the server sent what is no LDAP") from None


class _Tls(ldap3.Tls):  # type: ignore[misc]
    """TLS from a context that is read once, within the deadline, with OpenSSL's own check of the host name."""

    def __init__(self, address: Address, access: Access, deadline: float) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._host = address.host
        self._ca_file = access.ca_file
        self._deadline = deadline
        self.failure: Exception | None = None

    def wrap_socket(self, connection: ldap3.Connection, do_handshake: bool = False) -> None:
        """Hook of ldap3: afterwards the connection's socket is protected. Keeps the cause of a failure."""
        try:
            context = _context(self._ca_file, _age(self._ca_file))
            connection.socket.settimeout(_left(self._deadline))
            connection.socket = context.wrap_socket(connection.socket, server_hostname=self._host)
        except (OSError, ValueError) as cause:
            self.failure = cause
            raise


@lru_cache(maxsize=16)
def _context(ca_file: str | None, age: int) -> ssl.SSLContext:
    """Kept, for reading the system's certificates takes longer than all the rest. `age` reads a replaced file anew."""
    return ssl.create_default_context(cafile=ca_file)


def _age(ca_file: str | None) -> int:
    return 0 if ca_file is None else Path(ca_file).stat().st_mtime_ns


def _reason(address: Address, tls: _Tls, cause: Exception) -> ConnectionLost:
    if isinstance(cause, TimeoutError) or isinstance(tls.failure, TimeoutError):
        return TimedOut(f"{address}: no connection in time")
    if tls.failure is not None:
        return TlsFailed(f"{address}: {tls.failure}")
    if isinstance(cause, ldap3.core.exceptions.LDAPStartTLSError):
        return TlsFailed(f"{address}: {cause}")
    return ConnectionLost(f"{address}: {cause}")


def _left(deadline: float) -> float:
    """Seconds until then. Raises TimeoutError when there are none: zero would make a socket non-blocking."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _notice(data: bytes, at: int) -> str:
    try:
        return messages.result_at(data, at).message
    except (ValueError, IndexError):
        return ""


def _drop(library: ldap3.Connection) -> None:
    """Afterwards the socket is given back, whatever state the connection was in."""
    library.password = None
    if library.socket is not None:
        library.strategy.close()
        # ldap3 keeps the socket of a connection that it never regarded as open.
        if library.socket is not None:
            library.socket.close()
