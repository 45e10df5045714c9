"""The pool on real servers: limits, failover and return, pins, repetition, and what it counts."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from backends.ldap.drivers import connector
from backends.ldap.drivers.base import (
    Access,
    Address,
    Connection,
    ConnectionLost,
    LdapError,
    Modification,
    Operation,
    Scope,
    Search,
    TimedOut,
    Tls,
)
from backends.ldap.pool import Directory
from tests.ldap.links import DRIVERS, SOON, access, address, answering, ask_until_lost, base_search, person, scripted
from tests.support.directories import OpenLDAP
from tests.support.servers import free_port

READ = base_search("", "namingContexts")
RETRY = 30.0


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Connects:
    """Connects by a driver, and knows where to it did and tried."""

    def __init__(self, driver: str) -> None:
        self.tried: list[int] = []
        self.open: list[Connection] = []
        self._connect = connector(driver)
        self._lock = threading.Lock()

    def __call__(self, address: Address, access: Access) -> Connection:
        with self._lock:
            self.tried.append(address.port)
        connection = self._connect(address, access)
        with self._lock:
            self.open.append(connection)
        return connection


@pytest.fixture(params=DRIVERS)
def connects(request: pytest.FixtureRequest) -> Connects:
    """The connections of one test by each driver."""
    return Connects(request.param)


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[OpenLDAP, OpenLDAP]]:
    """Two servers."""
    with OpenLDAP() as first, OpenLDAP() as second:
        yield first, second


@pytest.fixture
def pair(servers: tuple[OpenLDAP, OpenLDAP]) -> Iterator[tuple[OpenLDAP, OpenLDAP]]:
    """Two servers that run before and after each test."""
    yield servers
    for server in servers:
        server.resume()
        server.start()


@pytest.fixture
def first(pair: tuple[OpenLDAP, OpenLDAP]) -> OpenLDAP:
    """The preferred server."""
    return pair[0]


@pytest.fixture
def second(pair: tuple[OpenLDAP, OpenLDAP]) -> OpenLDAP:
    """The other server."""
    return pair[1]


@pytest.fixture
def clock() -> Clock:
    """The time for servers that are passed over."""
    return Clock()


Pool = Callable[..., Directory]


@pytest.fixture
def pool(connects: Connects, clock: Clock) -> Iterator[Pool]:
    """Makes directories of servers, which are closed at the end."""
    made: list[Directory] = []

    def make(*servers: OpenLDAP, size: int = 4, **times: float) -> Directory:
        directory = Directory(
            [address(server) for server in servers],
            access(servers[0], **times),
            connects,
            size=size,
            retry_after=RETRY,
            clock=clock,
        )
        made.append(directory)
        return directory

    yield make
    for directory in made:
        directory.close()
    assert not any(connection.usable() for connection in connects.open)


def port(directory: Directory) -> int:
    """The server that a new session is on, and which answers."""
    with directory.session() as connection:
        assert len(connection.search(READ).entries) == 1
        return connection.address.port


def port_of_read(directory: Directory) -> int:
    """The server that answers a read."""

    def read(connection: Connection) -> int:
        assert len(connection.search(READ).entries) == 1
        return connection.address.port

    return directory.run(read, idempotent=True)


def test_nothing_is_connected_before_the_first_session(pool: Pool, first: OpenLDAP, connects: Connects) -> None:
    directory = pool(first)
    assert connects.tried == []
    with directory.pinned():
        assert connects.tried == []
    port(directory)
    assert connects.tried == [first.ldaps_port]


def test_a_forked_child_connects_for_itself(pool: Pool, first: OpenLDAP, connects: Connects) -> None:
    directory = pool(first)
    child = os.fork()
    if child == 0:
        good = False
        try:
            good = port(directory) == first.ldaps_port
        finally:
            os._exit(0 if good else 1)
    assert port(directory) == first.ldaps_port
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(connects.open) == 1


def test_a_connection_is_used_again_the_last_one_first(pool: Pool, first: OpenLDAP, connects: Connects) -> None:
    directory = pool(first)
    with directory.session() as outer, directory.session() as inner:
        assert outer is not inner
        taken = [outer, inner]
    # The inner one was given back first.
    with directory.session() as again:
        assert again is taken[0]
    assert len(connects.tried) == 2


def test_no_more_than_the_size_are_open(pool: Pool, first: OpenLDAP, connects: Connects) -> None:
    directory = pool(first, size=3)
    barrier = threading.Barrier(3, timeout=30)

    def three_at_a_time(_: int) -> int:
        with directory.session() as connection:
            barrier.wait()
            return len(connection.search(READ).entries)

    with ThreadPoolExecutor(9) as threads:
        assert sum(threads.map(three_at_a_time, range(9))) == 9
    assert len(connects.tried) == 3


def test_waiting_for_a_connection_ends(pool: Pool, first: OpenLDAP, connects: Connects) -> None:
    directory = pool(first, size=1, connect_timeout=SOON)
    with directory.session() as connection:
        with pytest.raises(ConnectionLost, match="in use"):
            port(directory)
        # Nobody's connection was lost by that.
        assert len(connection.search(READ).entries) == 1
    assert port(directory) == first.ldaps_port
    assert len(connects.tried) == 1


def test_who_waits_gets_the_connection_that_is_given_back(pool: Pool, first: OpenLDAP, connects: Connects) -> None:
    directory = pool(first, size=1)
    with ThreadPoolExecutor(1) as threads:
        with directory.session():
            waiting = threads.submit(port, directory)
        assert waiting.result(30) == first.ldaps_port
    assert len(connects.tried) == 1


def test_who_waits_gets_the_room_of_a_connection_that_was_lost(pool: Pool, first: OpenLDAP, connects: Connects) -> None:
    directory = pool(first, size=1)
    with ThreadPoolExecutor(1) as threads:
        waiting = []

        def lose(_: Connection) -> None:
            waiting.append(threads.submit(port, directory))
            raise ConnectionLost("on purpose")

        with pytest.raises(ConnectionLost, match="on purpose"):
            directory.run(lose, idempotent=False)
        assert waiting[0].result(30) == first.ldaps_port
    assert len(connects.tried) == 2


def test_errors_of_the_server_and_of_the_caller_keep_the_connection(
    pool: Pool, first: OpenLDAP, connects: Connects
) -> None:
    directory = pool(first)
    for error in (LdapError(32), KeyError("x"), ValueError("x")):
        with pytest.raises(type(error)), directory.session():
            raise error
    assert port(directory) == first.ldaps_port
    assert len(connects.tried) == 1


def test_what_interrupts_a_session_ends_the_connection(pool: Pool, first: OpenLDAP, connects: Connects) -> None:
    """It may have come in the middle of a response."""
    directory = pool(first)
    with pytest.raises(KeyboardInterrupt), directory.session():
        raise KeyboardInterrupt
    assert not connects.open[0].usable()
    assert port(directory) == first.ldaps_port
    assert len(connects.tried) == 2


def test_a_restart_is_healed_without_the_caller_noticing(pool: Pool, first: OpenLDAP, connects: Connects) -> None:
    directory = pool(first)
    with directory.session(), directory.session(), directory.session():
        pass
    first.kill()
    first.start()
    assert port(directory) == first.ldaps_port
    assert len(connects.tried) == 4


def test_a_single_server_that_is_back_is_used_at_once(pool: Pool, first: OpenLDAP) -> None:
    directory = pool(first)
    first.stop()
    for _ in range(2):
        with pytest.raises(ConnectionLost):
            port(directory)
    first.start()
    assert port(directory) == first.ldaps_port


def test_failover_and_return(pool: Pool, first: OpenLDAP, second: OpenLDAP, connects: Connects, clock: Clock) -> None:
    directory = pool(first, second)
    assert port(directory) == first.ldaps_port
    first.stop()
    assert port(directory) == second.ldaps_port
    first.start()
    clock.now += RETRY - 1
    connects.tried.clear()
    assert port(directory) == second.ldaps_port
    assert connects.tried == []
    clock.now += 1
    assert port(directory) == first.ldaps_port
    assert connects.tried == [first.ldaps_port]
    # The connection to the other server is let go.
    assert [c.address.port for c in connects.open if c.usable()] == [first.ldaps_port]


def test_a_server_that_is_still_away_is_passed_over_again(
    pool: Pool, first: OpenLDAP, second: OpenLDAP, connects: Connects, clock: Clock
) -> None:
    directory = pool(first, second)
    first.stop()
    assert port(directory) == second.ldaps_port
    clock.now += RETRY
    assert port(directory) == second.ldaps_port
    assert port(directory) == second.ldaps_port
    assert connects.tried == [first.ldaps_port, second.ldaps_port, first.ldaps_port]


def test_a_connection_that_comes_back_late_to_the_less_preferred_server_is_closed(
    pool: Pool, first: OpenLDAP, second: OpenLDAP, connects: Connects, clock: Clock
) -> None:
    directory = pool(first, second)
    first.stop()
    with directory.session() as late:
        assert late.address.port == second.ldaps_port
        first.start()
        clock.now += RETRY
        assert port(directory) == first.ldaps_port
        assert len(late.search(READ).entries) == 1
    assert [c.address.port for c in connects.open if c.usable()] == [first.ldaps_port]


def test_when_all_are_away_the_first_reason_is_told_and_all_were_tried(
    pool: Pool, first: OpenLDAP, second: OpenLDAP, connects: Connects
) -> None:
    directory = pool(first, second)
    first.stop()
    second.stop()
    for _ in range(2):
        connects.tried.clear()
        with pytest.raises(ConnectionLost, match=str(first.ldaps_port)):
            port(directory)
        assert connects.tried == [first.ldaps_port, second.ldaps_port]


def test_a_server_that_hangs_is_passed_over_when_it_lets_nobody_in(
    pool: Pool, first: OpenLDAP, second: OpenLDAP
) -> None:
    directory = pool(first, second, connect_timeout=SOON, response_timeout=SOON)
    with directory.session(), directory.session():
        pass
    first.suspend()
    with pytest.raises(TimedOut), directory.session() as connection:
        ask_until_lost(lambda: connection.search(READ))
    # The other idle connection to it is not waited for.
    assert port(directory) == second.ldaps_port


@pytest.mark.parametrize("code", [51, 52], ids=["busy", "unavailable"])
def test_a_server_that_is_too_busy_to_bind_is_passed_over(connects: Connects, second: OpenLDAP, code: int) -> None:
    def refusal(request: bytes) -> bytes:
        return answering(request, 0x61).replace(b"\x0a\x01\x00", bytes((10, 1, code)))

    with scripted(refusal) as busy:
        where = [Address("127.0.0.1", busy, Tls.NONE), address(second)]
        directory = Directory(where, access(second), connects, size=2)
        assert port(directory) == second.ldaps_port
        directory.close()


def test_wrong_credentials_are_not_tried_everywhere_nor_all_the_time(
    first: OpenLDAP, second: OpenLDAP, connects: Connects, clock: Clock
) -> None:
    wrong = Access(first.service_dn, "wrong", ca_file=str(first.ca_file))
    where = [address(first), address(second)]
    directory = Directory(where, wrong, connects, size=2, retry_after=RETRY, clock=clock)
    for _ in range(3):
        with pytest.raises(LdapError) as refused, directory.session():
            pass
        assert refused.value.code == 49
    assert connects.tried == [first.ldaps_port]
    clock.now += RETRY
    with pytest.raises(LdapError), directory.session():
        pass
    assert connects.tried == [first.ldaps_port] * 2
    directory.close()


def test_pinned_sessions_stay_on_their_server(pool: Pool, first: OpenLDAP, second: OpenLDAP, clock: Clock) -> None:
    directory = pool(first, second)
    first.stop()
    with directory.pinned():
        assert port(directory) == second.ldaps_port
        first.start()
        clock.now += RETRY
        with ThreadPoolExecutor(1) as threads:
            assert threads.submit(port, directory).result(30) == first.ldaps_port
        assert port(directory) == second.ldaps_port
        with directory.session() as outer, directory.session() as inner, directory.pinned():
            assert {outer.address.port, inner.address.port, port(directory)} == {second.ldaps_port}
    assert port(directory) == first.ldaps_port


def test_pinned_sessions_one_after_the_other_are_one_connection(
    pool: Pool, first: OpenLDAP, connects: Connects
) -> None:
    directory = pool(first)
    with directory.pinned():
        with directory.session() as home:
            pass
        # Another thread does not take it away in between.
        with ThreadPoolExecutor(1) as threads:
            threads.submit(port, directory).result(30)
        with directory.session() as again, directory.session() as other:
            assert again is home
            assert other is not home
    assert len(connects.tried) == 2


def test_a_paged_search_survives_a_session_inside_it(pool: Pool, first: OpenLDAP) -> None:
    tree = first.new_tree()
    directory = pool(first)
    names = {f"page{number}" for number in range(7)}
    with directory.session() as connection:
        for name in names:
            connection.add(*person(first, tree, name))
    found: list[str] = []
    with directory.pinned(), directory.session() as outer:
        cookie = b""
        while True:
            page = outer.search(Search(tree.people, Scope.ONE, "(sn=*)", ("cn",), page=2, cookie=cookie))
            with directory.session() as inner:
                for entry in page.entries:
                    found += [v.decode() for v in inner.search(base_search(entry.dn, "cn")).entries[0].attributes["cn"]]
            cookie = page.cookie
            if not cookie:
                break
    assert sorted(found) == sorted(names)
    first.empty(tree)


def test_a_pin_moves_while_nothing_was_written(pool: Pool, first: OpenLDAP, second: OpenLDAP) -> None:
    directory = pool(first, second)
    with directory.pinned():
        assert port_of_read(directory) == first.ldaps_port
        first.stop()
        assert port_of_read(directory) == second.ldaps_port
        first.start()
        assert port_of_read(directory) == second.ldaps_port


def test_a_pin_does_not_move_after_a_write(pool: Pool, first: OpenLDAP, second: OpenLDAP) -> None:
    tree = first.new_tree()
    directory = pool(first, second)
    with directory.pinned():
        with directory.session() as connection:
            connection.add(*person(first, tree))
        first.stop()
        for _ in range(2):
            with pytest.raises(ConnectionLost):
                port(directory)
    assert port(directory) == second.ldaps_port
    first.start()
    first.empty(tree)


def dying(server: OpenLDAP, call: Callable[[Connection], object]) -> Callable[[Connection], object]:
    """A call before whose first try the server is restarted, when the connection has been chosen already."""
    tries: list[Connection] = []

    def attempt(connection: Connection) -> object:
        tries.append(connection)
        if len(tries) == 1:
            server.kill()
            server.start()
        return call(connection)

    return attempt


def test_a_read_is_repeated_on_a_fresh_connection(pool: Pool, first: OpenLDAP, connects: Connects) -> None:
    directory = pool(first)
    with directory.session(), directory.session():
        pass
    found = directory.run(dying(first, lambda c: len(c.search(READ).entries)), idempotent=True)
    assert found == 1
    assert len(connects.tried) == 3


def test_a_read_is_repeated_once(pool: Pool, first: OpenLDAP) -> None:
    directory = pool(first)
    tries = []

    def lost(connection: Connection) -> None:
        tries.append(connection)
        raise ConnectionLost("again")

    with pytest.raises(ConnectionLost, match="again"):
        directory.run(lost, idempotent=True)
    assert len(tries) == 2
    assert tries[0] is not tries[1]


def test_a_write_is_never_repeated(pool: Pool, first: OpenLDAP) -> None:
    directory = pool(first)
    change = [Modification(Operation.REPLACE, "sn", (b"x",))]
    with pytest.raises(ConnectionLost):
        directory.run(dying(first, lambda c: c.modify("cn=x", change)), idempotent=False)
    assert directory.counts.operations["modify"] == 1
    with pytest.raises(LdapError):
        directory.run(lambda c: c.modify("cn=x", change), idempotent=False)
    assert directory.counts.operations["modify"] == 2


def test_a_write_goes_on_to_a_server_that_can_be_reached(pool: Pool, first: OpenLDAP, second: OpenLDAP) -> None:
    tree = second.new_tree()
    directory = pool(first, second)
    port(directory)
    first.stop()
    dn, attributes = person(second, tree)
    directory.run(lambda c: c.add(dn, attributes), idempotent=False)
    assert directory.run(lambda c: c.compare(dn, "cn", attributes["cn"][0]), idempotent=True) is True
    second.empty(tree)


def test_a_read_that_was_too_slow_is_not_repeated(connects: Connects) -> None:
    with scripted(lambda request: answering(request, 0x61), then_silent=True) as silent:
        where = [Address("127.0.0.1", silent, Tls.NONE)]
        who = Access("cn=x", "y", connect_timeout=SOON, response_timeout=SOON)
        directory = Directory(where, who, connects, size=2)
        with pytest.raises(TimedOut):
            directory.run(lambda connection: connection.search(READ), idempotent=True)
        assert len(connects.tried) == 1
        directory.close()


def test_counts_are_exact(pool: Pool, first: OpenLDAP, connects: Connects) -> None:
    tree = first.new_tree()
    directory, other = pool(first), pool(first)
    people = [person(first, tree) for _ in range(4)]

    def work(who: tuple[str, dict[str, list[bytes]]]) -> None:
        dn, attributes = who
        with directory.session() as c, directory.session() as d:
            added = c.add(dn, attributes, read=["cn", "sn"])
            assert added is not None
            for _ in range(5):
                assert len(d.search(base_search(dn, "cn", "sn", "description")).entries) == 1
            assert d.compare(dn, "cn", attributes["cn"][0])
            with pytest.raises(LdapError):
                c.delete("cn=nobody," + dn)

    before = directory.counts
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(work, people))
    spent = directory.counts.since(before)
    connected = spent.operations["connect"]
    assert dict(spent.operations) == {"add": 4, "search": 20, "compare": 4, "delete": 4, "connect": connected}
    assert spent.total == 32
    assert (spent.entries, spent.values) == (4 + 20, 4 * 2 + 20 * 3)
    assert connected == len(connects.tried)
    # What a connection that is gone has counted is kept, and nothing is another directory's.
    directory.close()
    assert directory.counts.since(before) == spent
    assert other.counts.total == 0
    first.empty(tree)


def test_a_closed_directory(pool: Pool, first: OpenLDAP, connects: Connects) -> None:
    directory = pool(first)
    port(directory)
    with directory.session() as connection:
        directory.close()
        assert len(connection.search(READ).entries) == 1
    assert not any(c.usable() for c in connects.open)
    with pytest.raises(ConnectionLost, match="closed"):
        port(directory)


def test_closing_wakes_who_waits(pool: Pool, first: OpenLDAP) -> None:
    directory = pool(first, size=1)
    with ThreadPoolExecutor(1) as threads, directory.session():
        waiting = threads.submit(port, directory)
        directory.close()
        with pytest.raises(ConnectionLost):
            waiting.result(30)


def test_many_threads_through_failures(
    pool: Pool, first: OpenLDAP, second: OpenLDAP, connects: Connects, clock: Clock
) -> None:
    """Reads go on while the preferred server is killed and comes back, with more threads than connections."""
    directory = pool(first, second, size=3)
    stop = threading.Event()

    def read(_: int) -> int:
        done = 0
        while not stop.is_set():
            with directory.pinned():
                done += directory.run(lambda c: len(c.search(READ).entries), idempotent=True)
                clock.now += 0.1
        return done

    with ThreadPoolExecutor(6) as threads:
        readers = [threads.submit(read, number) for number in range(6)]
        try:
            for _ in range(2):
                first.kill()
                first.start()
        finally:
            stop.set()
        assert all(reader.result(60) > 0 for reader in readers)
    assert sum(connection.usable() for connection in connects.open) <= 3


def test_a_directory_needs_a_server_and_room(connects: Connects) -> None:
    with pytest.raises(ValueError, match="server"):
        Directory([], Access("", ""), connects, size=1)
    with pytest.raises(ValueError, match="room"):
        Directory([Address("127.0.0.1", free_port(), Tls.NONE)], Access("", ""), connects, size=0)


def test_no_secret_is_in_its_representation(pool: Pool, first: OpenLDAP) -> None:
    directory = pool(first)
    with directory.session() as connection:
        assert first.service_password not in repr(directory) + repr(connection) + repr(directory.counts)
