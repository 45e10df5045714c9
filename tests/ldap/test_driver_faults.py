"""Servers that are not there, hang, die, or are not who they should be."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.ldap.drivers import connector
from backends.ldap.drivers.base import (
    Access,
    Address,
    Connection,
    ConnectionLost,
    Modification,
    Operation,
    TimedOut,
    Tls,
    TlsFailed,
)
from tests.ldap.links import (
    DRIVERS,
    SOON,
    access,
    answering,
    ask_until_lost,
    base_search,
    black_hole,
    connected,
    listener,
    scripted,
)
from tests.support.directories import Directory, OpenLDAP
from tests.support.directory_tls import Authority, authority
from tests.support.servers import free_port

pytestmark = pytest.mark.parametrize("driver", DRIVERS)

WAYS = pytest.mark.parametrize("tls", list(Tls), ids=lambda tls: tls.value)
SECURE = pytest.mark.parametrize("tls", [Tls.LDAPS, Tls.START_TLS], ids=lambda tls: tls.value)
READ = base_search("", "*")


@pytest.fixture(scope="module")
def shown() -> Iterator[OpenLDAP]:
    """An OpenLDAP with a right certificate for another host."""
    with OpenLDAP(authority().identity("directory.example")) as server:
        yield server


@pytest.fixture
def hanging(directory: Directory) -> Iterator[Directory]:
    """Each kind of server, which goes on after the test whatever happened."""
    yield directory
    directory.resume()


@pytest.fixture
def mortal(directory: Directory) -> Iterator[Directory]:
    """Each kind of server, which runs again after the test."""
    yield directory
    directory.start()


def impatient(port: int, driver: str, tls: Tls) -> Connection:
    """A connection to a port of this machine that must be there soon."""
    who = Access("cn=x", "y", ca_file=None, connect_timeout=SOON, response_timeout=SOON)
    return connector(driver)(Address("127.0.0.1", port, tls), who)


def wait_for_the_end(connection: Connection) -> None:
    """Until an idle connection knows that the server is gone, whose processes may end one after the other."""
    while connection.usable():
        time.sleep(0.01)


@SECURE
def test_another_authority_is_not_trusted(driver: str, directory: Directory, tls: Tls, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(Authority().certificate_pem)
    with pytest.raises(TlsFailed):
        connected(driver, directory, tls, ca_file=str(other))
    connected(driver, directory, tls).close()


@SECURE
def test_the_system_does_not_trust_it_either(driver: str, openldap: OpenLDAP, tls: Tls) -> None:
    with pytest.raises(TlsFailed):
        connected(driver, openldap, tls, ca_file=None)


@SECURE
def test_a_certificate_for_another_host_is_refused(driver: str, shown: OpenLDAP, tls: Tls) -> None:
    with pytest.raises(TlsFailed):
        connected(driver, shown, tls)


@SECURE
def test_a_file_of_certificates_that_is_not_there(driver: str, openldap: OpenLDAP, tls: Tls, tmp_path: Path) -> None:
    with pytest.raises(TlsFailed):
        connected(driver, openldap, tls, ca_file=str(tmp_path / "none.pem"))


def test_a_file_of_certificates_that_is_replaced_is_read_again(driver: str, openldap: OpenLDAP, tmp_path: Path) -> None:
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(Authority().certificate_pem)
    with pytest.raises(TlsFailed):
        connected(driver, openldap, ca_file=str(trusted))
    trusted.unlink()
    trusted.write_bytes(authority().certificate_pem)
    connected(driver, openldap, ca_file=str(trusted)).close()


def test_tls_where_the_server_speaks_in_the_clear(driver: str, openldap: OpenLDAP) -> None:
    with pytest.raises(TlsFailed):
        connector(driver)(Address(openldap.host, openldap.port, Tls.LDAPS), access(openldap))


def test_a_server_that_refuses_start_tls(driver: str) -> None:
    def refusal(request: bytes) -> bytes:
        return answering(request, 0x78).replace(b"\x0a\x01\x00", b"\x0a\x01\x02")

    with scripted(refusal) as port, pytest.raises(TlsFailed):
        impatient(port, driver, Tls.START_TLS)


@WAYS
def test_nobody_listens(driver: str, tls: Tls) -> None:
    with pytest.raises(ConnectionLost) as lost:
        impatient(free_port(), driver, tls)
    assert not isinstance(lost.value, TlsFailed | TimedOut)


def test_a_host_without_address(driver: str) -> None:
    who = Access("cn=x", "y", connect_timeout=SOON)
    with pytest.raises(ConnectionLost):
        connector(driver)(Address("nobody.invalid", 636, Tls.LDAPS), who)


@WAYS
def test_a_host_that_drops_packets(driver: str, tls: Tls) -> None:
    with black_hole() as port, pytest.raises(TimedOut):
        impatient(port, driver, tls)


@WAYS
def test_a_server_that_accepts_and_is_silent(driver: str, tls: Tls) -> None:
    with listener() as server, pytest.raises(TimedOut):
        impatient(server.getsockname()[1], driver, tls)


def test_a_server_that_is_silent_in_the_handshake_of_start_tls(driver: str) -> None:
    agreed = scripted(lambda request: answering(request, 0x78), then_silent=True)
    with agreed as port, pytest.raises(TimedOut):
        impatient(port, driver, Tls.START_TLS)


@pytest.mark.parametrize("sent", [b"\x16", b"\x16\x03\x03\x00\x7a\x02\x00"], ids=["one-octet", "part-of-a-record"])
def test_a_server_that_stops_in_the_middle_of_the_handshake(driver: str, sent: bytes) -> None:
    for _ in range(3):
        with scripted(lambda _: sent, then_silent=True) as port, pytest.raises(TimedOut):
            impatient(port, driver, Tls.LDAPS)


@WAYS
def test_a_server_that_does_not_read(driver: str, hanging: Directory, tls: Tls) -> None:
    """A request that is larger than all buffers on the way."""
    if hanging.kind == "active-directory" and tls is Tls.NONE:
        tls = Tls.LDAPS
    connection = connected(driver, hanging, tls, response_timeout=SOON)
    hanging.suspend()
    with pytest.raises(TimedOut):
        ask_until_lost(lambda: connection.add("cn=x", {"cn": [bytes(20_000_000)]}))
    connection.close()


def test_a_server_that_stops_in_the_middle_of_a_response(driver: str) -> None:
    with scripted(
        lambda request: answering(request, 0x61), lambda request: answering(request, 0x65)[:6], then_silent=True
    ) as port:
        connection = impatient(port, driver, Tls.NONE)
        with pytest.raises(TimedOut):
            connection.search(READ)
        assert not connection.usable()
        connection.close()


@SECURE
def test_a_server_that_hangs(driver: str, hanging: Directory, tls: Tls) -> None:
    connection = connected(driver, hanging, tls, response_timeout=SOON)
    assert len(connection.search(READ).entries) == 1
    hanging.suspend()
    with pytest.raises(TimedOut):
        ask_until_lost(lambda: connection.search(READ))
    assert not connection.usable()
    with pytest.raises(ConnectionLost):
        connection.search(READ)
    connection.close()
    with pytest.raises(TimedOut):
        connected(driver, hanging, tls, connect_timeout=SOON)


def test_the_timeout_of_one_operation(driver: str, hanging: Directory) -> None:
    """Without it the test would wait for an hour."""
    connection = connected(driver, hanging, response_timeout=3600)
    hanging.suspend()
    with pytest.raises(TimedOut):
        ask_until_lost(lambda: connection.modify("cn=x", [Modification(Operation.DELETE, "sn")], timeout=SOON))
    connection.close()


@SECURE
def test_a_server_that_dies_and_comes_back(driver: str, mortal: Directory, tls: Tls) -> None:
    idle = connected(driver, mortal, tls)
    asked = connected(driver, mortal, tls)
    assert idle.usable()
    mortal.kill()
    wait_for_the_end(idle)
    with pytest.raises(ConnectionLost) as lost:
        asked.search(READ)
    assert not isinstance(lost.value, TimedOut)
    assert not asked.usable()
    with pytest.raises(ConnectionLost):
        asked.add("cn=x", {"cn": [b"x"]})
    idle.close()
    asked.close()
    with pytest.raises(ConnectionLost):
        connected(driver, mortal, tls, connect_timeout=SOON)
    mortal.start()
    again = connected(driver, mortal, tls)
    assert len(again.search(READ).entries) == 1
    again.close()


def test_an_orderly_stop_is_noticed_on_an_idle_connection(driver: str, mortal: Directory) -> None:
    connection = connected(driver, mortal)
    assert connection.usable()
    mortal.stop()
    wait_for_the_end(connection)
    connection.close()
