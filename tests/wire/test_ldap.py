"""Two workers on a directory: many clients at once, and a directory that is killed again and again."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import selected_directories
from tests.support.directories import Directory, OpenLDAP
from tests.support.service import PATCH_OP, SCIM_JSON, USER, Client
from tests.wire.landfall import Landfall, directory_settings, serving, until

THREADS = 16
REQUESTS = 100
OWN = 4
KILLS = 20
KINDS = [
    pytest.param(kind, id=kind, marks=pytest.mark.xdist_group(f"directory-{kind}")) for kind in selected_directories()
]


def _body(op: str, *members: str) -> str:
    operation = {"op": op, "path": "members", "value": [{"value": member} for member in members]}
    return json.dumps({"schemas": [PATCH_OP], "Operations": [operation]})


class _Changer(threading.Thread):
    """Adds and removes its own users; `members` are those that must be left."""

    def __init__(self, connection: HTTPConnection, path: str, authorization: str, users: list[str], seed: int) -> None:
        super().__init__()
        self._connection, self._path, self._users = connection, path, users
        self._headers = {"Authorization": authorization, "Content-Type": SCIM_JSON}
        self._chance = random.Random(seed)
        self.members: set[str] = set()
        self.answers: list[int] = []

    def run(self) -> None:
        with closing(self._connection):
            for _ in range(REQUESTS):
                user, add = self._chance.choice(self._users), self._chance.random() < 0.6
                self._connection.request("PATCH", self._path, _body("add" if add else "remove", user), self._headers)
                response = self._connection.getresponse()
                response.read()
                self.answers.append(response.status)
                (self.members.add if add else self.members.discard)(user)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.req("P-3.5.2-20")
def test_no_change_of_members_is_lost(kind: str, directory_servers: Callable[[str], Directory], tmp_path: Path) -> None:
    """16 threads on two workers send 100 changes each; each is answered 204, and the group ends as they say, seen from
    both sides."""
    server = directory_servers(kind)
    tree = server.new_tree()
    home = tmp_path / "home"
    with serving(Landfall(home, directory_settings(server, tree, home))) as landfall:
        client = landfall.client("tests")
        users = [client.user(f"u{number}@tern.example")["id"] for number in range(THREADS * OWN)]
        group = client.group("crowd")["id"]
        path, authorization = f"/scim/v2/Groups/{group}", client.headers["Authorization"]
        changers = [
            _Changer(connection, path, authorization, users[number * OWN : (number + 1) * OWN], seed=number)
            for number, connection in enumerate(landfall.connections(THREADS // 2))
        ]
        for changer in changers:
            changer.start()
        for changer in changers:
            changer.join()
        assert {status for changer in changers for status in changer.answers} == {204}
        assert [len(changer.answers) for changer in changers] == [REQUESTS] * THREADS
        wanted = set().union(*(changer.members for changer in changers))
        members = client.get(f"/Groups/{group}").json()["members"]
        assert len(members) == len(wanted)
        assert {member["value"] for member in members} == wanted
        assert client.found("/Users", f'groups.value eq "{group}"') == wanted
    server.empty(tree)


class _Load(threading.Thread):
    """Writes and reads until it is told to stop, and remembers what was answered and what was done."""

    def __init__(self, landfall: Landfall, authorization: str, group: str, number: int) -> None:
        super().__init__()
        self._client = httpx.Client(
            base_url=landfall.scim_url, timeout=60, headers={"Authorization": authorization, "Content-Type": SCIM_JSON}
        )
        self._group, self._number = group, number
        self.stopping = threading.Event()
        self.answered = threading.Semaphore(0)
        self.statuses: set[int] = set()
        self.users: dict[str, str] = {}
        self.tried: dict[str, str] = {}
        self.members: set[str] = set()
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            with self._client:
                count = 0
                while not self.stopping.is_set():
                    self._round(count)
                    count += 1
        except BaseException as error:
            self.failure = error

    def _round(self, count: int) -> None:
        name = f"load{self._number}.{count}@tern.example"
        document = {"schemas": [USER], "userName": name, "title": "new", "nickName": "new"}
        created = self._send("POST", "/Users", document)
        if created.status_code != 201:
            return
        user = str(created.json()["id"])
        self.users[user] = "new"
        operations = [{"op": "replace", "path": path, "value": "changed"} for path in ("title", "nickName")]
        if self._send("PATCH", f"/Users/{user}", {"schemas": [PATCH_OP], "Operations": operations}).is_success:
            self.users[user] = "changed"
        else:
            self.tried[user] = "changed"
        if self._send("PATCH", self._group, json.loads(_body("add", user))).is_success:
            self.members.add(user)
        self._send("GET", f"/Users/{user}", None)

    def _send(self, method: str, path: str, document: Any) -> httpx.Response:
        response = self._client.request(method, path, content=None if document is None else json.dumps(document))
        self.statuses.add(response.status_code)
        if response.is_success:
            self.answered.release()
        return response


@pytest.fixture
def own_openldap() -> Iterator[OpenLDAP]:
    with OpenLDAP() as server:
        yield server


@pytest.mark.skipif("openldap" not in selected_directories(), reason="BACKENDS does not name openldap")
@pytest.mark.xdist_group("directory-openldap")
@pytest.mark.req("P-3.12-12")
def test_a_directory_that_is_killed_again_and_again(own_openldap: OpenLDAP, tmp_path: Path) -> None:
    """Each request is answered, with success or with 503; whatever was answered with success is in the directory, and
    nothing is half done; requests succeed again each time that the directory is back; and no worker ends."""
    tree = own_openldap.new_tree()
    home = tmp_path / "home"
    with serving(Landfall(home, directory_settings(own_openldap, tree, home))) as landfall:
        client = landfall.client("tests")
        group = f"/Groups/{client.group('crowd')['id']}"
        workers = landfall.workers()
        loads = [_Load(landfall, client.headers["Authorization"], group, number) for number in range(4)]
        for load in loads:
            load.start()
        try:
            for _ in range(KILLS):
                for load in loads:
                    # What was answered before the kill does not tell that requests are answered again.
                    while load.answered.acquire(blocking=False):
                        pass
                    assert load.answered.acquire(timeout=60)
                own_openldap.kill()
                own_openldap.start()
        finally:
            for load in loads:
                load.stopping.set()
            for load in loads:
                load.join()
        assert [load.failure for load in loads] == [None] * len(loads)
        statuses = set().union(*(load.statuses for load in loads))
        assert {200, 201, 503} <= statuses <= {200, 201, 204, 503}
        assert landfall.workers() == workers
        until(lambda: client.get(group).status_code == 200)
        _all_is_there(client, group, loads)


def _all_is_there(client: Client, group: str, loads: list[_Load]) -> None:
    found: dict[str, dict[str, Any]] = {}
    while True:
        page = client.get("/Users", params={"startIndex": str(len(found) + 1), "count": "500"}).json()
        found.update({user["id"]: user for user in page.get("Resources", ())})
        if len(found) >= page["totalResults"]:
            break
    for load in loads:
        for user, text in load.users.items():
            held = {found[user].get("title"), found[user].get("nickName")}
            assert held in ({text}, {load.tried.get(user, text)})
    members = {member["value"] for member in client.get(group).json().get("members", ())}
    assert set().union(*(load.members for load in loads)) <= members <= found.keys()
    assert all(user.get("title") == user.get("nickName") for user in found.values())
