"""Whoever the identity provider has never named is left alone: the same to the last octet after a random provisioning
run."""

from __future__ import annotations

import random
from pathlib import Path

import httpx
import pytest

from app.scim.registry import Registry
from backends.base import Backend
from tests.support.service import ENTERPRISE, GROUP, USER, Client, running
from tests.support.strangers import strangers

pytestmark = pytest.mark.every_store

WRITES = 150


def test_strangers_stay_as_they_are(backend: Backend, registry: Registry, tmp_path: Path, name: str) -> None:
    names = [f"s{number}-{name}" for number in range(4)]
    look = strangers(backend, names)
    before = look()
    assert before
    with running(backend, registry, tmp_path) as service:
        assert Provisioning(service.client(), name, random.Random(20261126)).run() > WRITES * 0.9
        assert look() == before
        # What the client names is another matter.
        (id,) = service.client().found("/Users", f'userName eq "{names[0]}"')
        changed = service.client().change(f"/Users/{id}", {"op": "replace", "path": "title", "value": "Known"})
        assert changed.status_code == 200
        assert look() != before


class Provisioning:
    """An identity provider with people and groups of its own, and names that are nearly those of strangers."""

    def __init__(self, client: Client, name: str, chance: random.Random) -> None:
        self._client = client
        self._name = name
        self._chance = chance
        self._people: list[str] = []
        self._groups: list[str] = []
        self._number = 0

    def run(self) -> int:
        """Send every kind of request at random; gives how many succeeded."""
        succeeded = 0
        for _ in range(WRITES):
            self._number += 1
            possible = [self._person]
            if len(self._people) > 3:
                possible += [self._team, self._change, self._change, self._leave]
            if self._groups:
                possible += [self._join, self._join, self._rename]
            if len(self._groups) > 2:
                possible.append(self._disband)
            succeeded += self._chance.choice(possible)().is_success
        return succeeded

    def _person(self) -> httpx.Response:
        emails = [{"type": self._chance.choice(["work", "home"]), "value": f"m{self._number}-{self._name}"}]
        values = {"displayName": "Stranger", "title": "Dr", "active": self._chance.random() < 0.8, "emails": emails}
        if self._people:
            values[ENTERPRISE] = {"manager": {"value": self._chance.choice(self._people)}}
        name = f"u{self._number}-{self._name}"
        answer = self._client.create("/Users", {"schemas": [USER], "userName": name, **values})
        self._people.append(answer.json()["id"])
        return answer

    def _team(self) -> httpx.Response:
        members = [{"value": id} for id in self._some()]
        name = f"team{self._number}-{self._name}"
        answer = self._client.create("/Groups", {"schemas": [GROUP], "displayName": name, "members": members})
        self._groups.append(answer.json()["id"])
        return answer

    def _change(self) -> httpx.Response:
        choices = [("displayName", "Stranger"), ("active", False), ("userName", f"r{self._number}-{self._name}")]
        path, value = self._chance.choice(choices)
        operation = {"op": "replace", "path": path, "value": value}
        return self._client.change(f"/Users/{self._chance.choice(self._people)}", operation)

    def _join(self) -> httpx.Response:
        members = [{"value": id} for id in self._some()]
        operation = {"op": self._chance.choice(["add", "remove", "replace"]), "path": "members", "value": members}
        return self._client.change(f"/Groups/{self._chance.choice(self._groups)}", operation)

    def _rename(self) -> httpx.Response:
        operation = {"op": "replace", "path": "displayName", "value": f"renamed{self._number}-{self._name}"}
        return self._client.change(f"/Groups/{self._chance.choice(self._groups)}", operation)

    def _leave(self) -> httpx.Response:
        return self._client.delete(f"/Users/{self._people.pop(self._chance.randrange(len(self._people)))}")

    def _disband(self) -> httpx.Response:
        return self._client.delete(f"/Groups/{self._groups.pop(self._chance.randrange(len(self._groups)))}")

    def _some(self) -> list[str]:
        return self._chance.sample(self._people, min(3, len(self._people)))
