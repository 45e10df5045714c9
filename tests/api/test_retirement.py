"""Leavers: who is deactivated keeps everything but the door; who is deleted is kept aside and comes back as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.scim.registry import Registry
from app.services import retirement
from backends.base import Backend
from config.settings import LifecycleSettings
from tests.support.service import USER, Client, running

pytestmark = pytest.mark.every_store


def deleted(client: Client, name: str, **attributes: Any) -> str:
    """The id of a user who was created and deleted."""
    id = str(client.user(name, **attributes)["id"])
    assert client.delete(f"/Users/{id}").status_code == 204
    return id


def work(address: str) -> list[dict[str, Any]]:
    return [{"type": "work", "value": address, "primary": True}]


def test_who_is_deactivated_stays_in_its_groups(client: Client, name: str) -> None:
    user = client.user(name, active=True)["id"]
    group = client.group(f"team {name}", user)["id"]
    assert client.change(f"/Users/{user}", {"op": "replace", "path": "active", "value": False}).status_code == 200
    assert client.get(f"/Users/{user}").json()["active"] is False
    assert [member["value"] for member in client.get(f"/Groups/{group}").json()["members"]] == [user]


def test_who_is_deleted_is_gone_for_clients(client: Client, name: str) -> None:
    user, boss = client.user(name)["id"], client.user(f"boss-{name}")["id"]
    group = client.group(f"team {name}", user, boss)["id"]
    before = client.get("/Users", params={"count": "0"}).json()["totalResults"]
    assert client.delete(f"/Users/{user}").status_code == 204
    assert client.get(f"/Users/{user}").status_code == 404
    assert client.delete(f"/Users/{user}").status_code == 404
    assert client.change(f"/Users/{user}", {"op": "replace", "path": "title", "value": "x"}).status_code == 404
    assert client.found("/Users", f'userName eq "{name}"') == set()
    assert client.get("/Users", params={"count": "0"}).json()["totalResults"] == before - 1
    assert [member["value"] for member in client.get(f"/Groups/{group}").json()["members"]] == [boss]


def test_who_comes_back_is_the_same(client: Client, name: str) -> None:
    """By the userName, with what the request says and what it had, active, and in no group."""
    user = client.user(name, title="Keeper", displayName="Before", active=True)["id"]
    group = client.group(f"team {name}", user)["id"]
    assert client.delete(f"/Users/{user}").status_code == 204
    answer = client.create("/Users", {"schemas": [USER], "userName": name.upper(), "displayName": "After"})
    assert (answer.status_code, answer.json()["id"]) == (201, user)
    assert answer.headers["Location"].endswith(f"/Users/{user}")
    again = client.get(f"/Users/{user}").json()
    assert (again["userName"], again["displayName"], again["title"]) == (name.upper(), "After", "Keeper")
    assert again["active"] is True
    assert "groups" not in again
    assert "members" not in client.get(f"/Groups/{group}").json()
    assert client.found("/Users", f'userName eq "{name}"') == {user}


def test_who_comes_back_with_another_name(client: Client, name: str) -> None:
    """By the work e-mail."""
    user = deleted(client, f"old-{name}", emails=work(f"mail-{name}"))
    answer = client.create("/Users", {"schemas": [USER], "userName": name, "emails": work(f"MAIL-{name}")})
    assert (answer.status_code, answer.json()["id"]) == (201, user)
    assert client.get(f"/Users/{user}").json()["userName"] == name


def test_who_has_somebody_elses_name_or_email_does_not_come_back_as_that_one(client: Client, name: str) -> None:
    """A userName is compared with userNames, a work e-mail with work e-mails."""
    gone = {
        deleted(client, f"mum-{name}", emails=[{"type": "home", "value": f"family-{name}"}]),
        deleted(client, f"named-{name}"),
        deleted(client, f"third-{name}", emails=work(f"kid-{name}")),
    }
    for user, address in (("son", "family"), ("other", "named"), ("kid", "nothing")):
        new = {"schemas": [USER], "userName": f"{user}-{name}", "emails": work(f"{address}-{name}")}
        answer = client.create("/Users", new)
        assert answer.status_code == 201
        assert answer.json()["id"] not in gone


def test_of_two_with_one_work_email_none_comes_back(client: Client, name: str) -> None:
    """Someone who has it as a private one makes the other no less unique."""
    first = deleted(client, f"a-{name}", emails=work(f"mail-{name}"))
    home = deleted(client, f"b-{name}", emails=[{"type": "home", "value": f"mail-{name}"}])
    new = {"schemas": [USER], "userName": f"c-{name}", "emails": work(f"mail-{name}")}
    assert client.create("/Users", new).json()["id"] == first
    assert client.delete(f"/Users/{first}").status_code == 204
    second = deleted(client, f"d-{name}", title="x")
    work_of_second = {"schemas": [USER], "userName": f"d-{name}", "emails": work(f"mail-{name}")}
    assert client.create("/Users", work_of_second).json()["id"] == second
    assert client.delete(f"/Users/{second}").status_code == 204
    answer = client.create("/Users", {**new, "userName": f"e-{name}"})
    assert answer.status_code == 201
    assert answer.json()["id"] not in {first, second, home}


def test_of_more_than_are_looked_at_none_comes_back_by_an_email(
    client: Client, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows then whether another one has it."""
    monkeypatch.setattr(retirement, "_LOOKED_AT", 1)
    gone = {deleted(client, f"a-{name}", emails=work(f"mail-{name}"))}
    gone.add(deleted(client, f"b-{name}", emails=[{"type": "home", "value": f"mail-{name}"}]))
    new = {"schemas": [USER], "userName": f"c-{name}", "emails": work(f"mail-{name}")}
    assert client.create("/Users", new).json()["id"] not in gone


def test_who_was_deactivated_before(client: Client, name: str) -> None:
    """Whether someone is active who comes back is as the request says."""
    user = deleted(client, name, active=False)
    answer = client.create("/Users", {"schemas": [USER], "userName": name, "active": False})
    assert (answer.status_code, answer.json()["id"], answer.json()["active"]) == (201, user, False)
    assert client.change(f"/Users/{user}", {"op": "replace", "path": "active", "value": True}).json()["active"] is True


def test_a_leaver_can_leave_again(client: Client, name: str) -> None:
    user = deleted(client, name)
    for _ in range(2):
        assert client.user(name)["id"] == user
        assert client.delete(f"/Users/{user}").status_code == 204
    assert client.get(f"/Users/{user}").status_code == 404


def test_where_they_are_removed(backend: Backend, registry: Registry, tmp_path: Path, name: str) -> None:
    with running(backend, registry, tmp_path, lifecycle=LifecycleSettings(delete="remove")) as service:
        client = service.client()
        assert client.user(name)["id"] != deleted(client, f"gone-{name}")
        user = deleted(client, f"again-{name}")
        assert client.user(f"again-{name}")["id"] != user
