"""Many clients change one group at the same time, on two workers."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import httpx

from tests.support.service import PATCH_OP, Client
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

    def __init__(self, url: str, headers: dict[str, str], users: list[str], seed: int) -> None:
        super().__init__()
        self._url = url
        self._headers = headers
        self._requests = self._plan(users, random.Random(seed))
        self.members: set[str] = set()
        self.answers: list[int] = []

    def _plan(self, users: list[str], chance: random.Random) -> Iterator[dict[str, object]]:
        for number in range(REQUESTS):
            user, add = chance.choice(users), chance.random() < 0.6
            yield _operation(add, number, user)
            (self.members.add if add else self.members.discard)(user)

    def run(self) -> None:
        with httpx.Client(headers=self._headers, timeout=60) as client:
            for operation in self._requests:
                body = {"schemas": [PATCH_OP], "Operations": [operation]}
                self.answers.append(client.patch(self._url, json=body).status_code)


def test_no_change_of_members_is_lost(service: Landfall, client: Client, name: str) -> None:
    """16 threads send 200 changes each; every one is answered 204, and the group ends as the changes say."""
    users = [client.user(f"{name}-{number}@tern.example")["id"] for number in range(THREADS * OWN)]
    always = client.user(f"{name}-always@tern.example")["id"]
    group = client.group(f"{name} crowd", always)
    headers = {"Authorization": client.headers["Authorization"]}
    url = f"{service.scim_url}/Groups/{group['id']}"
    changers = [
        _Changer(url, headers, users[number * OWN : (number + 1) * OWN], seed=number) for number in range(THREADS)
    ]
    served = {pid: _requests_of(pid) for pid in service.workers()}
    for changer in changers:
        changer.start()
    for changer in changers:
        changer.join()
    assert {status for changer in changers for status in changer.answers} == {204}
    assert [len(changer.answers) for changer in changers] == [REQUESTS] * THREADS
    wanted = {always}.union(*(changer.members for changer in changers))
    members = client.get(f"/Groups/{group['id']}").json()["members"]
    assert len(members) == len(wanted)
    assert {member["value"] for member in members} == wanted
    # Seen from the users the memberships are the same.
    assert client.found("/Users", f'groups.value eq "{group["id"]}"') == wanted
    # Both workers took part.
    assert all(_requests_of(pid) > before for pid, before in served.items())


def test_users_created_at_the_same_time_under_one_name(service: Landfall, client: Client, name: str) -> None:
    """One is created, every other attempt is told of the conflict, and the name is found once."""
    statuses: list[int] = []
    headers = {"Authorization": client.headers["Authorization"]}

    def create(number: int) -> None:
        spelt = name.upper() if number % 2 else name
        answer = httpx.post(f"{service.scim_url}/Users", json={"userName": spelt}, headers=headers, timeout=60)
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [409] * 11
    assert len(client.found("/Users", f'userName eq "{name}"')) == 1


def _requests_of(pid: int) -> int:
    """A number that grows with the work of a process: its switches to other threads by its own will."""
    from pathlib import Path

    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        status = (task / "status").read_text()
        total += int(status.partition("voluntary_ctxt_switches:")[2].split()[0])
    return total
