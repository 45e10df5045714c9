"""Workers and databases that go away, hang and come back."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import httpx
import pytest

from tests.conftest import selected_backends
from tests.support.servers import DatabaseServer
from tests.support.service import ERROR, PATCH_OP, SCIM_JSON, USER, Client
from tests.wire.landfall import Landfall, serving, until

_SERVERS = ("postgresql", "mariadb")
_CONTROL_SECONDS = 20
"""How long a request waits for a control store that hangs: for one statement, and some time for the machine."""
_SHORT = {"LANDFALL_SQL_CONNECT_TIMEOUT_SECONDS": "2", "LANDFALL_SQL_STATEMENT_TIMEOUT_SECONDS": "2"}


class Outage:
    """A store that can be taken away and given back. `reads` says whether reading suffers too."""

    reads = True

    def begin(self) -> None:
        """Afterwards the store is of no use."""

    def end(self) -> None:
        """Afterwards it is as before."""


class LockedFile(Outage):
    """SQLite, where another program holds the only right to write."""

    reads = False

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    def begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def end(self) -> None:
        self._connection.close()


class DeadServer(Outage):
    """A database server that has been killed."""

    def __init__(self, server: DatabaseServer) -> None:
        self._server = server

    def begin(self) -> None:
        # The test's servers write late: an orderly stop puts on disk what was stored so far.
        self._server.stop()
        self._server.start()
        self._server.kill()

    def end(self) -> None:
        self._server.start()


class HungServer(Outage):
    """A database server that takes connections and says nothing."""

    def __init__(self, server: DatabaseServer) -> None:
        self._server = server

    def begin(self) -> None:
        self._server.suspend()

    def end(self) -> None:
        self._server.resume()


_OUTAGES = [
    pytest.param(kind, how, id=f"{kind}-{how}", marks=pytest.mark.xdist_group(f"outage-{kind}"))
    for kind in selected_backends()
    for how in (("killed", "hung") if kind in _SERVERS else ("locked",))
]


@pytest.mark.parametrize(("kind", "how"), _OUTAGES)
@pytest.mark.req("P-3.12-12", "H-10.2.3-01")
def test_a_store_that_goes_away_is_answered_with_503_until_it_is_back(
    kind: str,
    how: str,
    new_database: Callable[[str], str],
    database_servers: Callable[[str], DatabaseServer],
    tmp_path: Path,
) -> None:
    """Nothing has to be restarted, and what was refused was not done."""
    url = new_database(kind)
    with serving(Landfall(tmp_path / "home", {"LANDFALL_SQL_URL": url, **_SHORT})) as landfall:
        client = landfall.client("outage")
        user = client.user("mira.solberg@tern.example", title="Pilot")
        path = f"/Users/{user['id']}"
        outage = _outage(how, url, lambda: database_servers(kind))
        outage.begin()
        try:
            late = {"schemas": [USER], "userName": "late@tern.example"}
            change = {"op": "replace", "path": "title", "value": "Captain"}
            _expect_unavailable(client.change(path, change))
            _expect_unavailable(client.create("/Users", late))
            _expect_unavailable(client.delete(path))
            if outage.reads:
                _expect_unavailable(client.get(path))
                _expect_unavailable(client.search("/Users", 'userName eq "mira.solberg@tern.example"'))
                assert httpx.get(f"{landfall.url}/readyz", timeout=30).status_code == 503
            assert httpx.get(f"{landfall.url}/healthz", timeout=30).status_code == 200
        finally:
            outage.end()
        until(lambda: client.get(path).status_code == 200)
        assert client.get(path).json() == user
        assert client.found("/Users", 'userName eq "late@tern.example"') == set()
        assert client.change(path, change).json()["title"] == "Captain"
        assert httpx.get(f"{landfall.url}/readyz", timeout=30).status_code == 200


@pytest.mark.parametrize(("kind", "how"), [outage for outage in _OUTAGES if outage.values[0] in _SERVERS])
@pytest.mark.req("H-10.2.3-01")
def test_a_control_store_that_goes_away_is_answered_with_503_until_it_is_back(
    kind: str,
    how: str,
    new_database: Callable[[str], str],
    database_servers: Callable[[str], DatabaseServer],
    tmp_path: Path,
) -> None:
    """Nobody waits for it for ever, and it is not said that it is ready."""
    url = new_database(kind)
    with serving(Landfall(tmp_path / "home", {"LANDFALL_CONTROL_URL": url})) as landfall:
        client = landfall.client("outage")
        user = client.user("mira.solberg@tern.example")
        client.timeout = 90
        outage = _outage(how, url, lambda: database_servers(kind))
        outage.begin()
        try:
            began = time.monotonic()
            _expect_unavailable(client.get(f"/Users/{user['id']}"))
            assert time.monotonic() - began < _CONTROL_SECONDS
            began = time.monotonic()
            assert httpx.get(f"{landfall.url}/readyz", timeout=90).status_code == 503
            assert time.monotonic() - began < _CONTROL_SECONDS
        finally:
            outage.end()
        until(lambda: client.get(f"/Users/{user['id']}").status_code == 200)
        assert client.create("/Users", {"schemas": [USER], "userName": "late@tern.example"}).status_code == 201


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.xdist_group(f"outage-{kind}"))
        for kind in selected_backends()
        if kind in _SERVERS
    ],
)
def test_two_stores_that_hang_are_waited_for_at_once(
    kind: str,
    new_database: Callable[[str], str],
    database_servers: Callable[[str], DatabaseServer],
    tmp_path: Path,
) -> None:
    """A load balancer that asks does not wait for one after the other."""
    stores = {"LANDFALL_SQL_URL": new_database(kind), "LANDFALL_CONTROL_URL": new_database(kind)}
    with serving(Landfall(tmp_path / "home", stores)) as landfall:
        server = database_servers(kind)
        server.suspend()
        try:
            began = time.monotonic()
            answer = httpx.get(f"{landfall.url}/readyz", timeout=90)
            assert time.monotonic() - began < _CONTROL_SECONDS
            assert (answer.status_code, answer.json()["unavailable"]) == (503, ["store", "control"])
        finally:
            server.resume()
        until(lambda: httpx.get(f"{landfall.url}/readyz", timeout=90).status_code == 200)


def _outage(how: str, url: str, server: Callable[[], DatabaseServer]) -> Outage:
    if how == "locked":
        return LockedFile(Path(url.removeprefix("sqlite:///")))
    return DeadServer(server()) if how == "killed" else HungServer(server())


def _expect_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    document = answer.json()
    assert document["schemas"] == [ERROR]
    assert document["status"] == "503"
    # Nothing of the address, the driver or the statement.
    assert not [word for word in ("127.0.0.1", "psycopg", "pymysql", "sqlite", "SELECT") if word in answer.text]


def test_a_worker_that_is_killed_is_replaced(service: Landfall, client: Client, name: str) -> None:
    """The other worker goes on at once, and the new one knows what the old one knew."""
    user = client.user(name)
    headers = {"Authorization": client.headers["Authorization"]}
    victim, *others = service.workers()
    os.kill(victim, signal.SIGKILL)
    assert others
    until(lambda: len(service.workers() - {victim}) == 2)
    for connection in service.connections():
        connection.request("GET", f"/scim/v2/Users/{user['id']}", headers=headers)
        response = connection.getresponse()
        response.read()
        assert response.status == 200
        connection.close()


def test_a_worker_killed_in_the_midst_of_writing_leaves_nothing_half_done(
    service: Landfall, client: Client, name: str
) -> None:
    """A group gets all of the members of a request or none, and nobody waits for the dead one."""
    members = [{"value": client.user(f"{name}-{number}")["id"]} for number in range(50)]
    path, authorization = f"/Groups/{client.group(name)['id']}", client.headers["Authorization"]
    for _ in range(3):
        connection, other = service.connections()
        other.close()
        victim = service.worker_of(connection)
        writer = threading.Thread(target=_write_until_cut_off, args=(connection, path, authorization, members))
        with httpx.Client(base_url=service.scim_url, headers={"Authorization": authorization}, timeout=30) as reader:
            before = reader.get(path).headers["ETag"]
            writer.start()
            until(lambda seen=before: reader.get(path).headers["ETag"] != seen)  # type: ignore[misc]
            os.kill(victim, signal.SIGKILL)
        writer.join()
        until(lambda dead=victim: len(service.workers() - {dead}) == 2)  # type: ignore[misc]
        with httpx.Client(base_url=service.scim_url, headers={"Authorization": authorization}, timeout=30) as reader:
            assert len(reader.get(path).json().get("members", [])) in (0, len(members))


def _write_until_cut_off(connection: HTTPConnection, path: str, authorization: str, members: object) -> None:
    headers = {"Authorization": authorization, "Content-Type": SCIM_JSON}
    with closing(connection), suppress(ConnectionError, HTTPException):
        for op in itertools.cycle(("add", "remove")):
            body = {"schemas": [PATCH_OP], "Operations": [{"op": op, "path": "members", "value": members}]}
            connection.request("PATCH", f"/scim/v2{path}", json.dumps(body), headers)
            connection.getresponse().read()
