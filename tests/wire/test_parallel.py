"""Many clients change one group at the same time, on two workers."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection

import pytest

from tests.support.service import PATCH_OP, SCIM_JSON, USER, Client
from tests.wire.landfall import Landfall

THREADS = 16
REQUESTS = 200
OWN = 10


def _operation(add: bool, style: int, user: str) -> dict[str, object]:
    """Adding or removing one member, in each of the shapes that clients send."""
    value = [{"$ref": None, "value": user}]
    if add:
        return {"op": ("Add", "add")[style % 2], "path": "members", "value": value}
    if style % 2:
        return {"op": "remove", "path": f'members[value eq "{user}"]'}
    return {"op": "Remove", "path": "members", "value": value}


class _Changer(threading.Thread):
    """Adds and removes its own users, in an order of its own; `members` are those that must be left."""

    def __init__(self, connection: HTTPConnection, path: str, authorization: str, users: list[str], seed: int) -> None:
        super().__init__()
        self._connection = connection
        self._path = path
        self._headers = {"Authorization": authorization, "Content-Type": SCIM_JSON}
        self._operations = self._plan(users, random.Random(seed))
        self.members: set[str] = set()
        self.answers: list[int] = []

    def _plan(self, users: list[str], chance: random.Random) -> Iterator[dict[str, object]]:
        for number in range(REQUESTS):
            user, add = chance.choice(users), chance.random() < 0.6
            yield _operation(add, number, user)
            (self.members.add if add else self.members.discard)(user)

    def run(self) -> None:
        with closing(self._connection):
            for operation in self._operations:
                body = json.dumps({"schemas": [PATCH_OP], "Operations": [operation]})
                self._connection.request("PATCH", self._path, body, self._headers)
                response = self._connection.getresponse()
                response.read()
                self.answers.append(response.status)


@pytest.mark.req("P-3.5.2-20")
def test_no_change_of_members_is_lost(service: Landfall, client: Client, name: str) -> None:
    """16 threads on two workers send 200 changes each; each is answered 204, and the group ends as they say."""
    users = [client.user(f"{name}-{number}@tern.example")["id"] for number in range(THREADS * OWN)]
    always = client.user(f"{name}-always@tern.example")["id"]
    group = client.group(f"{name} crowd", always)["id"]
    path, authorization = f"/scim/v2/Groups/{group}", client.headers["Authorization"]
    changers = [
        _Changer(connection, path, authorization, users[number * OWN : (number + 1) * OWN], seed=number)
        for number, connection in enumerate(service.connections(THREADS // 2))
    ]
    for changer in changers:
        changer.start()
    for changer in changers:
        changer.join()
    assert {status for changer in changers for status in changer.answers} == {204}
    assert [len(changer.answers) for changer in changers] == [REQUESTS] * THREADS
    wanted = {always}.union(*(changer.members for changer in changers))
    members = client.get(f"/Groups/{group}").json()["members"]
    assert len(members) == len(wanted)
    assert {member["value"] for member in members} == wanted
    # Seen from the users the memberships are the same.
    assert client.found("/Users", f'groups.value eq "{group}"') == wanted


@pytest.mark.req("P-3.3-11")
def test_users_created_at_the_same_time_under_one_name(service: Landfall, client: Client, name: str) -> None:
    """One is created, every other attempt is told of the conflict, and the name is found once."""
    statuses: list[int] = []
    headers = {"Authorization": client.headers["Authorization"], "Content-Type": SCIM_JSON}

    def create(number: int, connection: HTTPConnection) -> None:
        document = {"schemas": [USER], "userName": name.upper() if number % 2 else name}
        with closing(connection):
            connection.request("POST", "/scim/v2/Users", json.dumps(document), headers)
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)

    threads = [threading.Thread(target=create, args=pair) for pair in enumerate(service.connections(6))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [409] * 11
    assert len(client.found("/Users", f'userName eq "{name}"')) == 1


@pytest.mark.req("H-13-01")
def test_one_of_many_conditional_writes_wins(service: Landfall, client: Client, name: str) -> None:
    """All replace the version that all have read: one does, the others are told that it has changed."""
    user = client.user(name)
    answers: list[tuple[int, int]] = []
    headers = {
        "Authorization": client.headers["Authorization"],
        "Content-Type": SCIM_JSON,
        "If-Match": user["meta"]["version"],
    }

    def replace(number: int, connection: HTTPConnection) -> None:
        document = {"schemas": [USER], "userName": name, "title": f"Writer {number}"}
        with closing(connection):
            connection.request("PUT", f"/scim/v2/Users/{user['id']}", json.dumps(document), headers)
            response = connection.getresponse()
            response.read()
            answers.append((response.status, number))

    threads = [threading.Thread(target=replace, args=pair) for pair in enumerate(service.connections(6))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(status for status, _ in answers) == [200] + [412] * 11
    winner = next(number for status, number in answers if status == 200)
    assert client.get(f"/Users/{user['id']}").json()["title"] == f"Writer {winner}"
