"""A store with people in it, what an identity provider then asks for, and what comes of that, told without ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.scim.query import Draft, Query, Window
from app.scim.registry import ENTERPRISE_SCHEMA
from backends.base import Backend
from tests.support.service import ENTERPRISE, GROUP, SCIM_JSON, USER, Client

MANAGER = f"{ENTERPRISE_SCHEMA}:manager.value"
Snapshot = Mapping[str, Any]


def settle(backend: Backend) -> None:
    """People and groups who were there before."""

    def user(name: str, **values: Any) -> str:
        work = [{"value": f"{name}@tern.example", "type": "work"}]
        return backend.create(
            "User", Draft({"userName": name, "displayName": name.title(), "emails": work, **values})
        ).id

    dan = user("dan", active=True)
    ann, bob, cid = user("ann", **{MANAGER: dan}), user("bob", title="Clerk"), user("cid", nickName="C")
    gus, hal = user("gus", title="Old hand"), user("hal")
    backend.create("Group", Draft({"displayName": "Staff"}, {"members": (ann, bob, dan)}))
    backend.create("Group", Draft({"displayName": "Old"}, {"members": (cid, dan)}))
    backend.create("Group", Draft({"displayName": "Readers"}, {"members": (hal, gus, dan)}))


def provision(client: Client) -> None:
    """What an identity provider sends; every request succeeds."""
    eve = client.user("eve", displayName="Eve", **{ENTERPRISE: {"department": "R&D"}})["id"]
    fay = client.user("fay", displayName="Fay", active=False, **{ENTERPRISE: {"manager": {"value": eve}}})["id"]
    _change(client, f"/Users/{eve}", {"op": "add", "path": f"{ENTERPRISE}:manager", "value": {"value": fay}})
    ann, cid, dan, gus = (_id(client, "Users", f'userName eq "{name}"') for name in ("ann", "cid", "dan", "gus"))
    _change(client, f"/Users/{ann}", {"op": "replace", "value": {"title": "Head", "displayName": "Ann Two"}})
    bob = client.user("BOB", title="Chief")["id"]
    _change(client, f"/Users/{bob}", {"op": "replace", "path": "userName", "value": "robert"})
    client.user("bob", displayName="Another Bob")
    put = {"schemas": [USER], "userName": "cid", "displayName": "Cid", "emails": [{"value": "c@tern.example"}]}
    _done(client.put(f"/Users/{cid}", json=put, headers={"Content-Type": SCIM_JSON}), 200)
    client.group("New", eve, ann)
    staff = _id(client, "Groups", 'displayName eq "Staff"')
    _change(client, f"/Groups/{staff}", {"op": "remove", "path": f'members[value eq "{bob}"]'})
    _change(client, f"/Groups/{staff}", {"op": "add", "path": "members", "value": [{"value": fay}]})
    _change(client, f"/Groups/{staff}", {"op": "replace", "path": "displayName", "value": "Everyone"})
    readers = _id(client, "Groups", 'displayName eq "Readers"')
    group = {"schemas": [GROUP], "displayName": "Readers", "members": [{"value": cid}, {"value": fay}]}
    _done(client.put(f"/Groups/{readers}", json=group, headers={"Content-Type": SCIM_JSON}), 200)
    _done(client.delete(f"/Users/{dan}"), 204)
    old = _id(client, "Groups", 'displayName eq "Old"')
    _done(client.delete(f"/Groups/{old}"), 204)
    _done(client.delete(f"/Users/{client.user('ivy')['id']}"), 204)
    _done(client.delete(f"/Users/{gus}"), 204)
    assert client.user("gus", nickName="Back")["id"] == gus


def snapshot(backend: Backend) -> Snapshot:
    """Everything that a store holds, by names."""
    names = {"User": "userName", "Group": "displayName"}
    found: dict[str, Any] = {}
    called: dict[str, str] = {}
    for kind, name in names.items():
        want = backend.registry.type(kind).readable
        page = backend.search(kind, Query(want, window=Window(1, 1000)))
        assert page.total == len(page.items)
        called.update((r.id, f"{kind} {r.values[name]}") for r in page.items)
        found.update((called[r.id], dict(r.values)) for r in page.items)
        for near, far in backend.related(
            kind, [r.id for r in page.items], next(iter(backend.registry.type(kind).relations))
        ):
            found[called[near]].setdefault("related", []).append(far.id)
    for values in found.values():
        for slot, value in values.items():
            if ":manager." in slot:
                values[slot] = called.get(value, value)
        if "related" in values:
            values["related"] = sorted(called[id] for id in values["related"])
    retired = backend.retired("User", frozenset({"userName", "title", "displayName"}), None, Window(1, 100))
    found["retired"] = [dict(resource.values) for resource in retired.items]
    return found


def _id(client: Client, endpoint: str, filter: str) -> str:
    (found,) = client.found(f"/{endpoint}", filter)
    return found


def _change(client: Client, path: str, operation: Mapping[str, Any]) -> None:
    _done(client.change(path, operation), 200, 204)


def _done(response: Any, *codes: int) -> None:
    assert response.status_code in codes, response.text
