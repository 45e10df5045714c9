"""Connections by python-ldap, which is OpenLDAP's client library libldap."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from threading import Thread
from typing import Any, NoReturn, TypeVar

import ldap
from ldap.controls import RequestControl, ResponseControl
from ldap.ldapobject import SimpleLDAPObject

from backends.ldap.drivers import controls
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
from backends.ldap.drivers.sockets import has_news, listens, sever

T = TypeVar("T")

_COMPARE_FALSE = 5
_COMPARE_TRUE = 6
_NO_PASSWORD = 49
_KEEPALIVE_SECONDS = 60
_OPERATIONS = (ldap.MOD_ADD, ldap.MOD_DELETE, ldap.MOD_REPLACE)


def connect(address: Address, access: Access) -> Connection:
    """A new connection, bound as `access` says (anonymously with an empty `bind_dn`), within the connect time-out.

    Raises ConnectionLost or one of its kinds, or LdapError when the bind is refused. A name without a password is
    refused with 49 and never sent: servers take that for an anonymous bind (RFC 4513 section 5.1.2).
    """
    if access.bind_dn and not access.password:
        raise LdapError(_NO_PASSWORD, "a bind without a password")
    outcome: Future[LibldapConnection] = Future()
    Thread(target=_open_for, args=(outcome, address, access), name=f"connect to {address}", daemon=True).start()
    try:
        return outcome.result(access.connect_timeout)
    except FutureTimeout:
        if outcome.cancel():
            raise TimedOut(f"{address}: no connection in time") from None
        return outcome.result()


class LibldapConnection(Connection):
    """A connection of libldap."""

    def __init__(self, address: Address, library: SimpleLDAPObject, response_timeout: float) -> None:
        self.address = address
        self._library = library
        self._response_timeout = response_timeout
        self._lost = False

    def search(self, search: Search) -> Found:
        """See Connection."""
        rows, answers = self._exchange(
            lambda: self._library.search_ext(
                search.base,
                int(search.scope),
                search.filter,
                list(search.attributes) or None,
                attrsonly=int(search.types_only),
                serverctrls=_requests(controls.of_search(search)),
                sizelimit=search.size_limit,
            )
        )
        entries = [_entry(dn, values, search.types_only) for dn, values in rows if dn is not None]
        return self._understood(lambda: controls.found(search, entries, len(rows) - len(entries), answers))

    def compare(self, dn: str, attribute: str, value: bytes) -> bool:
        """See Connection."""
        try:
            self._exchange(lambda: self._library.compare_ext(dn, attribute, value))
        except LdapError as answer:
            if answer.code in (_COMPARE_FALSE, _COMPARE_TRUE):
                return answer.code == _COMPARE_TRUE
            raise
        raise ConnectionLost(f"{self.address}: a comparison without an outcome")

    def add(self, dn: str, attributes: Attributes, *, read: Sequence[str] = ()) -> Entry | None:
        """See Connection."""
        values = [(name, list(values)) for name, values in attributes.items()]
        sent = _requests(controls.of_write(None, read))
        return self._write(lambda: self._library.add_ext(dn, values, serverctrls=sent))

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
        listed = [(_OPERATIONS[c.operation], c.attribute, list(c.values) or None) for c in changes]
        sent = _requests(controls.of_write(assertion, read))
        return self._write(lambda: self._library.modify_ext(dn, listed, serverctrls=sent), timeout)

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
        sent = _requests(controls.of_write(assertion, read))
        return self._write(lambda: self._library.rename(dn, rdn, superior, int(not keep_old), serverctrls=sent))

    def delete(self, dn: str, *, assertion: str | None = None) -> None:
        """See Connection."""
        sent = _requests(controls.of_write(assertion, ()))
        self._exchange(lambda: self._library.delete_ext(dn, serverctrls=sent))

    def set_password(self, dn: str, password: str) -> None:
        """See Connection."""
        self._exchange(lambda: self._library.passwd(dn, None, password))

    def usable(self) -> bool:
        """See Connection."""
        try:
            return not self._lost and not has_news(self._library.fileno())
        except ldap.LDAPError:
            return False

    def close(self) -> None:
        """See Connection."""
        self._lost = True
        _drop(self._library)

    def _write(self, start: Callable[[], int], timeout: float | None = None) -> Entry | None:
        _, answers = self._exchange(start, timeout)
        return self._understood(lambda: controls.after_write(answers))

    def _exchange(
        self, start: Callable[[], int], timeout: float | None = None
    ) -> tuple[list[tuple[str | None, Any]], dict[str, bytes]]:
        """What came back for the request that `start` sends: the entries, and the values of controls."""
        if self._lost:
            raise ConnectionLost(f"{self.address}: the connection is closed")
        seconds = self._response_timeout if timeout is None else timeout
        try:
            _, rows, _, answers, _, _ = self._library.result4(
                start(), all=1, timeout=seconds, resp_ctrl_classes=_ANSWERS
            )
        except ldap.LDAPError as cause:
            self._fail(cause)
        return rows or [], {answer.controlType: answer.encodedControlValue for answer in answers}

    def _fail(self, cause: ldap.LDAPError) -> NoReturn:
        error = _server_error(cause)
        # A result without a message ID answers nothing: it is a notice of disconnection (RFC 4511 section 4.4.1).
        if error is not None and "msgid" in _details(cause):
            raise error from None
        if isinstance(cause, ldap.FILTER_ERROR):
            raise ValueError("a filter that is not of RFC 4515") from None  # noqa: TRY004
        self._lose()
        if isinstance(cause, ldap.TIMEOUT):
            raise TimedOut(f"{self.address}: no response in time") from None
        raise ConnectionLost(f"{self.address}: {_description(cause)}") from None

    def _understood(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except (ValueError, IndexError):
            self._lose()
            raise ConnectionLost(f"{self.address}: the server sent what is no LDAP") from None

    def _lose(self) -> None:
        """Nothing can be sent any more. An unbind behind a request that was only sent in part crashes GnuTLS."""
        self._lost = True
        with suppress(ldap.LDAPError, OSError, ValueError):
            sever(self._library.fileno())


def _open_for(outcome: Future[LibldapConnection], address: Address, access: Access) -> None:
    """Connects in a thread that can be left alone: libldap makes the socket wait in the middle of a TLS handshake, for
    as long as the server pleases, and before the handshake is over nobody else can get at the socket to end it.
    """
    try:
        connection = _open(address, access)
    except (LdapError, ConnectionLost) as failure:
        with suppress(InvalidStateError):
            outcome.set_exception(failure)
        return
    try:
        outcome.set_result(connection)
    except InvalidStateError:
        connection.close()


def _open(address: Address, access: Access) -> LibldapConnection:
    deadline = time.monotonic() + access.connect_timeout
    library = SimpleLDAPObject(_url(address))
    secured = False
    try:
        _configure(library, address, access)
        if address.tls is Tls.START_TLS:
            library.start_tls_s()
        secured = address.tls is Tls.START_TLS
        number = library.simple_bind(access.bind_dn, access.password if access.bind_dn else "")
        secured = True
        # libldap waits for no answer longer than it is told as long as the socket does not wait itself.
        os.set_blocking(library.fileno(), False)
        library.result3(number, all=1, timeout=max(deadline - time.monotonic(), 0.001))
    except ldap.LDAPError as cause:
        _drop(library)
        raise _connect_failure(address, cause, secured, deadline) from None
    except OSError as cause:
        _drop(library)
        raise TlsFailed(f"{address}: {cause}") from None
    library.set_option(ldap.OPT_TIMEOUT, access.response_timeout)
    return LibldapConnection(address, library, access.response_timeout)


class _Answer(ResponseControl):  # type: ignore[misc]
    """A control of a response as octets."""

    def __init__(self) -> None:
        super().__init__()
        self.encodedControlValue = b""

    def decodeControlValue(self, encodedControlValue: bytes | None) -> None:  # noqa: N802, N803
        """Hook of python-ldap: keeps the octets."""
        self.encodedControlValue = encodedControlValue or b""


_ANSWERS = dict.fromkeys(controls.ANSWERS, _Answer)


def _url(address: Address) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{'ldaps' if address.tls is Tls.LDAPS else 'ldap'}://{host}:{address.port}"


def _configure(library: SimpleLDAPObject, address: Address, access: Access) -> None:
    """Options of this one connection; those of the machine's ldap.conf and of the process do not weaken them."""
    library.set_option(ldap.OPT_PROTOCOL_VERSION, ldap.VERSION3)
    library.set_option(ldap.OPT_REFERRALS, ldap.OPT_OFF)
    library.set_option(ldap.OPT_DEREF, ldap.DEREF_NEVER)
    library.set_option(ldap.OPT_SIZELIMIT, ldap.NO_LIMIT)
    library.set_option(ldap.OPT_TIMELIMIT, ldap.NO_LIMIT)
    library.set_option(ldap.OPT_NETWORK_TIMEOUT, access.connect_timeout)
    library.set_option(ldap.OPT_TIMEOUT, access.connect_timeout)
    # Without, libldap 2.5 with GnuTLS spins for ever when a server accepts the connection and then keeps silent in TLS.
    library.set_option(ldap.OPT_CONNECT_ASYNC, ldap.OPT_ON)
    # For the end of what waits although nobody is there any more.
    library.set_option(ldap.OPT_X_KEEPALIVE_IDLE, _KEEPALIVE_SECONDS)
    library.set_option(ldap.OPT_X_KEEPALIVE_INTERVAL, _KEEPALIVE_SECONDS)
    library.set_option(ldap.OPT_X_KEEPALIVE_PROBES, 3)
    if address.tls is Tls.NONE:
        return
    library.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
    library.set_option(ldap.OPT_X_TLS_PROTOCOL_MIN, ldap.OPT_X_TLS_PROTOCOL_TLS1_2)
    if access.ca_file is not None:
        library.set_option(ldap.OPT_X_TLS_CACERTFILE, access.ca_file)
    try:
        library.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
    except ValueError:
        raise OSError(f"the certificates of {access.ca_file or 'the system'} can't be read") from None


def _connect_failure(
    address: Address, cause: ldap.LDAPError, secured: bool, deadline: float
) -> LdapError | ConnectionLost:
    error = _server_error(cause)
    if error is not None:
        return error if secured else TlsFailed(f"{address}: the server refused StartTLS: {error}")
    left = deadline - time.monotonic()
    if isinstance(cause, ldap.TIMEOUT) or left <= 0 or _details(cause).get("errno") == errno.ETIMEDOUT:
        return TimedOut(f"{address}: no connection in time")
    # libldap reports a certificate that it does not trust in the same way as a server that is not there.
    if address.tls is not Tls.NONE and not secured and listens(address, left):
        return TlsFailed(f"{address}: the certificate is not trusted or for another host, or there is no TLS in common")
    return ConnectionLost(f"{address}: {_description(cause)}")


def _server_error(cause: ldap.LDAPError) -> LdapError | None:
    """The result that the server sent, or None for an error of the library's own."""
    details = _details(cause)
    code = details.get("result", -1)
    return LdapError(code, details.get("info", ""), details.get("matched", "")) if code > 0 else None


def _details(cause: ldap.LDAPError) -> dict[str, Any]:
    return cause.args[0] if cause.args and isinstance(cause.args[0], dict) else {}


def _description(cause: ldap.LDAPError) -> str:
    details = _details(cause)
    return str(details.get("info") or details.get("desc") or type(cause).__name__)


def _requests(listed: Iterable[Control]) -> list[RequestControl] | None:
    return [RequestControl(control.oid, True, control.value) for control in listed] or None


def _entry(dn: str, values: dict[str, list[bytes]], types_only: bool) -> Entry:
    return Entry(dn, {name.lower(): found for name, found in values.items() if found or types_only})


def _drop(library: SimpleLDAPObject) -> None:
    """Afterwards the socket is given back."""
    try:
        library.unbind_ext()
    except (ldap.LDAPError, AttributeError):
        return
