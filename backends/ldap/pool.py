"""Connections to replicas of one directory: shared by threads, with failover and return."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from backends.ldap.drivers.base import Access, Address, Connection, ConnectionLost, LdapError, TimedOut
from backends.ldap.metering import Counts, Metered

T = TypeVar("T")

_INVALID_CREDENTIALS = 49
_FRESH_SECONDS = 0.1
"""For so long a connection that has just been used is good without a look."""
_ELSEWHERE = frozenset({51, 52})
"""busy and unavailable: another server may be neither (RFC 4511 appendix A.2)."""


@dataclass(slots=True)
class _Pin:
    """The one server that a thread has settled on."""

    server: _Server | None = None
    home: Metered | None = None
    wrote: bool = False
    used: float = 0.0
    """When its connection was given back to it, by `time.monotonic`."""


@dataclass(slots=True)
class _Server:
    """A server and what is known of it. `passed_over_until` is a time of the clock, 0 while nothing is wrong."""

    number: int
    address: Address
    idle: list[Metered] = field(default_factory=list)
    passed_over_until: float = 0.0


class Directory:
    """Connections to the servers at `addresses`, which are in order of preference and hold the same data.

    At most `size` connections are open; a thread uses one at a time, and one more for each session inside a session, so
    that `size` must be above the number of threads where sessions are nested. Nothing is connected before the first
    session, so that an object made before a fork can be used after it. Safe for threads.

    A server that can't be reached, does not answer, or refuses the bind with busy or unavailable is passed over for
    `retry_after` seconds, after which one session tries it again; when all are passed over, all are tried in order. New
    sessions return to a preferred server when it is back.

    A bind that is refused with invalidCredentials (49) is not tried on another server, and for `retry_after` seconds
    not tried again on any: it would fail there too, and directories lock accounts that fail often.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        access: Access,
        connect: Callable[[Address, Access], Connection],
        *,
        size: int,
        retry_after: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not addresses or size < 1:
            raise ValueError("a directory needs a server and room for a connection")
        self._servers = [_Server(number, address) for number, address in enumerate(addresses)]
        self._access = access
        self._connect = connect
        self._size = size
        self._retry_after = retry_after
        self._clock = clock
        self._changed = threading.Condition()
        self._open: set[Metered] = set()
        self._opening = 0
        self._closed = False
        self._refusal: tuple[float, LdapError] | None = None
        self._past = Counts()
        self._local = threading.local()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The servers, in order of preference."""
        return tuple(server.address for server in self._servers)

    @property
    def access(self) -> Access:
        """How connections are made, and as whom."""
        return self._access

    def connect(self, address: Address, access: Access) -> Connection:
        """A connection of its own, which is not shared and not counted; who asks for it closes it."""
        return self._connect(address, access)

    @property
    def counts(self) -> Counts:
        """All that was done so far. Exact while no session is open in another thread."""
        with self._changed:
            return _sum(self._past, self._open)

    def session(self) -> _Session:
        """A connection for this thread alone. A session inside a session gets another connection; inside `pinned` it is
        to the same server.

        Entering it raises ConnectionLost when no server can be reached, or when no connection becomes free within the
        connect time-out, and LdapError when a bind is refused.
        """
        return _Session(self._take, self._end)

    def _end(self, connection: Metered, server: _Server, writes: int, error: BaseException | None) -> None:
        """A session is over, which began after so many writes; `error` is what it raises."""
        lost = isinstance(error, ConnectionLost) and not isinstance(error, _NoRoom)
        if lost:
            # A server that was restarted has cut its other connections too; one that hangs answers on none.
            self._let_go(server)
        pin = self._pin()
        if pin is not None:
            pin.wrote = pin.wrote or connection.writes > writes
        if lost or not (error is None or isinstance(error, Exception)):
            # What is no Exception may have come in the middle of a response; any other is not about this connection.
            self._discard(connection)
        elif pin is not None and pin.home is None and pin.server is server:
            pin.home, pin.used = connection, time.monotonic()
        else:
            self._give_back(connection, server)

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """All sessions of this thread inside it are on one server, the outermost ones on one connection: the thread
        reads what it wrote, whatever the delay of replication.

        As long as nothing was written, it may settle on another server when the first is lost; afterwards the loss of
        the server raises ConnectionLost until the end of the block. Inside another `pinned` it changes nothing.
        """
        if self._pin() is not None:
            yield
            return
        pin = self._local.pin = _Pin()
        try:
            yield
        finally:
            self._local.pin = None
            if pin.home is not None and pin.server is not None:
                self._give_back(pin.home, pin.server)

    def run(self, call: Callable[[Connection], T], *, idempotent: bool) -> T:
        """What `call` returns on a session. When its connection turns out to be dead (not when the server was only too
        slow) and the call is idempotent, it is called once more on a fresh connection.

        A call that writes is never repeated: with a connection the write may have arrived. A server that can't be
        connected to is found out before anything is sent, and any call goes on to the next one.
        """
        connected = False
        try:
            with self.session() as connection:
                connected = True
                return call(connection)
        except ConnectionLost as lost:
            if not connected or not idempotent or isinstance(lost, TimedOut):
                raise
        with self.session() as connection:
            return call(connection)

    def close(self) -> None:
        """Afterwards no idle connection is open, and those in use are closed when their sessions end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for server in self._servers:
            self._let_go(server)

    def _pin(self) -> _Pin | None:
        return getattr(self._local, "pin", None)

    def _take(self) -> tuple[Metered, _Server]:
        now = time.monotonic()
        deadline = now + self._access.connect_timeout
        pin = self._pin()
        if pin is None:
            return self._take_from(self._servers, deadline)
        if pin.server is None:
            connection, pin.server = self._take_from(self._servers, deadline)
            return connection, pin.server
        home, pin.home = pin.home, None
        if home is not None:
            if now - pin.used < _FRESH_SECONDS or home.usable():
                return home, pin.server
            self._discard(home)
        try:
            return self._take_from([pin.server], deadline)
        except ConnectionLost as lost:
            if pin.wrote or isinstance(lost, _NoRoom):
                raise
        connection, pin.server = self._take_from(self._servers, deadline)
        return connection, pin.server

    def _take_from(self, servers: Sequence[_Server], deadline: float) -> tuple[Metered, _Server]:
        """A connection to the first of the servers that has one to give, those that are passed over at last."""
        failure: Exception | None = None
        for server in self._in_order(servers):
            try:
                return self._connection_to(server, deadline), server
            except _NoRoom:
                raise
            except ConnectionLost as lost:
                failure = failure or lost
            except LdapError as refused:
                if refused.code not in _ELSEWHERE:
                    raise
                failure = failure or refused
            self._pass_over(server)
        raise failure or ConnectionLost("no server")

    def _in_order(self, servers: Sequence[_Server]) -> Iterator[_Server]:
        """The servers to try. One whose time is over is tried by one thread; to the others it is passed over still."""
        later = []
        for server in servers:
            with self._changed:
                now = self._clock()
                if now < server.passed_over_until:
                    later.append(server)
                    continue
                if server.passed_over_until:
                    server.passed_over_until = now + self._retry_after
            yield server
        yield from later

    def _connection_to(self, server: _Server, deadline: float) -> Metered:
        """An idle connection that is still good, or a new one."""
        while (idle := self._idle_or_room(server, deadline)) is not None:
            if idle.usable():
                return idle
            self._discard(idle)
        return self._new(server)

    def _idle_or_room(self, server: _Server, deadline: float) -> Metered | None:
        """An idle connection to the server, or None with room kept for a new one."""
        while True:
            with self._changed:
                if self._closed:
                    raise _NoRoom("the directory is closed")
                if server.idle:
                    return server.idle.pop()
                if len(self._open) + self._opening < self._size:
                    self._opening += 1
                    return None
                spare = next((other.idle.pop(0) for other in reversed(self._servers) if other.idle), None)
                if spare is None:
                    if not self._changed.wait(max(deadline - time.monotonic(), 0)):
                        raise _NoRoom(f"all {self._size} connections are in use")
                    continue
            self._discard(spare)

    def _new(self, server: _Server) -> Metered:
        """A new connection, for which room was made by counting it as opening."""
        connection: Metered | None = None
        try:
            self._refuse_again()
            connection = Metered(self._connect(server.address, self._access))
        except LdapError as refused:
            if refused.code == _INVALID_CREDENTIALS and self._refusal is None:
                self._refusal = (self._clock() + self._retry_after, refused)
            raise
        finally:
            with self._changed:
                self._opening -= 1
                if connection is not None:
                    self._open.add(connection)
                    self._refusal = None
                    server.passed_over_until = 0.0
                self._changed.notify()
        for other in self._servers[server.number + 1 :]:
            self._let_go(other)
        return connection

    def _refuse_again(self) -> None:
        refusal = self._refusal
        if refusal is None:
            return
        until, error = refusal
        if self._clock() < until:
            raise LdapError(error.code, error.message, error.matched)
        self._refusal = None

    def _pass_over(self, server: _Server) -> None:
        with self._changed:
            server.passed_over_until = self._clock() + self._retry_after
        self._let_go(server)

    def _let_go(self, server: _Server) -> None:
        with self._changed:
            idle, server.idle = server.idle, []
        for connection in idle:
            self._discard(connection)

    def _give_back(self, connection: Metered, server: _Server) -> None:
        with self._changed:
            better = any(not other.passed_over_until for other in self._servers[: server.number])
            if not self._closed and not better:
                server.idle.append(connection)
                self._changed.notify()
                return
        self._discard(connection)

    def _discard(self, connection: Metered) -> None:
        with self._changed:
            self._forget(connection)
        connection.close()

    def _forget(self, connection: Metered) -> None:
        """Makes room. Holds the lock; what the connection has counted is kept."""
        if connection in self._open:
            self._open.remove(connection)
            self._past = _sum(self._past, [connection])
            self._changed.notify()


class _Session:
    """A connection taken for a block, and ended with what the block raises."""

    __slots__ = ("_end", "_has", "_take", "_writes")

    def __init__(
        self,
        take: Callable[[], tuple[Metered, _Server]],
        end: Callable[[Metered, _Server, int, BaseException | None], None],
    ) -> None:
        self._take = take
        self._end = end

    def __enter__(self) -> Connection:
        self._has = connection, _ = self._take()
        self._writes = connection.writes
        return connection

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._end(*self._has, self._writes, error)


class _NoRoom(ConnectionLost):
    """No connection is to be had, which says nothing about any server."""


def _sum(past: Counts, connections: Iterable[Metered]) -> Counts:
    operations = Counter(past.operations)
    entries, values = past.entries, past.values
    for connection in connections:
        operations.update(connection.operations)
        entries += connection.entries
        values += connection.values
    return Counts(operations, entries, values)
