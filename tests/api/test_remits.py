"""Integrations that have to do with a part of the store, over HTTP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.control import Access, Only, Outside, Remit
from app.scim.registry import Registry
from backends.base import Backend
from config.settings import BrakesSettings
from tests.api.expect import new_user, refused, unchanged
from tests.support.service import GROUP, USER, Client, Service, running


def limited(service: Service, name: str, remit: Remit) -> tuple[str, Client]:
    """The id of a new integration with that remit, and its client."""
    integration = service.control.create_integration(f"limited {name}", Access.FULL, remit=remit)
    return integration.id, Client(service.settings.scim_url, service.control.add_bearer(integration.id, None).value)


def own(name: str) -> str:
    return f'userName ew "{name}" or displayName ew "{name}"'


@pytest.mark.every_store
def test_users_and_groups_outside_a_filter(client: Client, service: Service, name: str) -> None:
    inside, outside = (new_user(client, f"{which}-{name}", title=which) for which in ("inside", "outside"))
    ids = [path.rpartition("/")[2] for path in (inside, outside)]
    team, other = (f"/Groups/{client.group(f'{which} {name}', *ids)['id']}" for which in ("Team", "Other"))
    _, some = limited(service, name, Remit(users='title eq "inside"', groups='displayName sw "Team"'))
    with some, unchanged(client, outside, other):
        assert some.found("/", own(name)) == {ids[0], team.rpartition("/")[2]}
        for path in (outside, other):
            refused(some.get(path), 404)
            for response in (
                some.delete(path),
                some.change(path, {"op": "replace", "path": "displayName", "value": "x"}),
                some.change(path, {"op": "add", "path": "displayName", "value": "x"}, **{"If-Match": "*"}),
            ):
                assert "not among those that this integration may change" in refused(response, 403)
        refused(some.put(outside, json={"schemas": [USER], "userName": f"x-{name}", "title": "inside"}), 403)
        refused(some.create("/Users", {"schemas": [USER], "userName": f"new-{name}"}), 403)
        refused(some.change(inside, {"op": "replace", "path": "title", "value": "outside"}), 403)
        refused(some.delete("/Users/nobody"), 404)
        assert [m["value"] for m in some.get(team).json()["members"]] == [ids[0]]
        assert some.put(team, json={"schemas": [GROUP], "displayName": f"Team {name}"}).status_code == 200
    assert [m["value"] for m in client.get(team).json()["members"]] == [ids[1]]


def test_one_kind_only(client: Client, service: Service, name: str) -> None:
    user = new_user(client, f"a-{name}")
    group = f"/Groups/{client.group(f'G {name}', user.rpartition('/')[2])['id']}"
    _, users = limited(service, name, Remit(only=Only.USERS))
    with users, unchanged(client, group):
        assert "groups" not in users.get(user).json()
        refused(users.get(group), 404)
        assert users.get("/Groups").json()["totalResults"] == 0
        refused(users.create("/Groups", {"schemas": [GROUP], "displayName": f"H {name}"}), 403)
        refused(users.delete(group), 403)
    assert client.delete(user).status_code == 204


def test_attributes_that_it_may_not_write(client: Client, service: Service, name: str) -> None:
    user = new_user(client, f"a-{name}", title="before", nickName="before")
    remit = Remit(attributes=("userName", "title", "externalId"))
    id, some = limited(service, name, remit)
    document = {"schemas": [USER], "userName": f"a-{name}", "title": "after", "nickName": "after"}
    both = {"op": "replace", "value": {"title": "after", "nickName": "after"}}
    with some:
        with unchanged(client, user):
            for response in (
                some.change(user, both),
                some.change(user, both, **{"If-Match": "*"}),
                some.put(user, json=document),
                some.create("/Users", {**document, "userName": f"b-{name}"}),
            ):
                assert "may not write nickName" in refused(response, 403)
        service.control.set_remit(id, replace(remit, outside=Outside.KEEP))
        for response in (some.change(user, both), some.put(user, json=document)):
            assert (response.json()["title"], response.json()["nickName"]) == ("after", "before")
        made = some.create("/Users", {**document, "userName": f"b-{name}"})
        assert made.status_code == 201
        assert "nickName" not in made.json()
    assert client.get(user).json()["nickName"] == "before"


def test_a_change_of_the_remit_holds_for_the_next_request(client: Client, service: Service, name: str) -> None:
    user = new_user(client, f"a-{name}")
    id, some = limited(service, name, Remit())
    with some:
        assert some.get(user).status_code == 200
        service.control.set_remit(id, Remit(only=Only.GROUPS))
        refused(some.get(user), 404)
        service.control.set_remit(id, Remit())
        assert some.get(user).status_code == 200
    assert client.get(user).status_code == 200


def test_a_brake_does_not_tell_who_is_in_a_group_outside(
    backend: Backend, registry: Registry, tmp_path: Path, name: str
) -> None:
    """Who may not see the group gets the same answer for a member as for anybody else, however full the measure is."""
    with running(backend, registry, tmp_path, brakes=BrakesSettings(member_removals=1, share=0)) as service:
        client = service.client()
        people = [client.user(f"{which}-{name}")["id"] for which in ("in", "too", "out")]
        other = f"/Groups/{client.group(f'Other {name}', *people[:2])['id']}"
        _, some = limited(service, name, Remit(groups='displayName sw "Team"'))
        with some, unchanged(client, other):
            for filter in (f'display eq "in-{name}" or display eq "too-{name}"', f'display eq "out-{name}"'):
                removal = {"op": "remove", "path": f"members[{filter}]"}
                refused(some.change(other, removal), 403)
            refused(some.put(other, json={"schemas": [GROUP], "displayName": f"Other {name}"}), 403)
            refused(some.change(other, {"op": "remove", "path": "members"}), 403)
        assert service.control.brakes.applied() == []
