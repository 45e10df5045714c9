"""Many callers at once: no change is lost, none is half done, and nobody is turned away."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from app.scim.query import Change, Delta, Resource
from app.scim.registry import ENTERPRISE_SCHEMA, Registry
from backends.base import Backend, Capability
from backends.errors import NotFound, UnknownReference
from tests.conformance.conftest import Race
from tests.conformance.helpers import found, group, groups, members, search, user, users

THREADS = 16
TURNS = 50


def _toggle(*, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()) -> Change:
    return Change(relations={"members": Delta(add, remove)})


def test_parallel_membership_changes_all_count(backend: Backend, race: Race, registry: Registry) -> None:
    """Sixteen threads add and remove members of one group; afterwards exactly what each left in is there, from both
    sides, and every change that did something had its own version."""
    people = [p.id for p in users(backend, THREADS * 4)]
    team = backend.create("Group", group("Team", people[::2]))

    def work(thread: int) -> tuple[set[str], set[str]]:
        own = people[thread * 4 : thread * 4 + 4]
        there = {p for p in own if p in people[::2]}
        chance = random.Random(thread)
        versions = set()
        for _ in range(TURNS):
            wanted = {p for p in own if chance.random() < 0.5}
            stamp = backend.update(
                "Group", team.id, _toggle(add=tuple(wanted), remove=tuple(p for p in own if p not in wanted))
            )
            if wanted != there:
                versions.add(stamp.version)
            there = wanted
        return there, versions

    results = race([partial(work, n) for n in range(THREADS)])
    assert [r for r in results if isinstance(r, Exception)] == []
    assert members(backend, team.id) == set().union(*(there for there, _ in results))
    for there, _ in results:
        assert all(groups(backend, p) == {team.id} for p in there)
    versions = [version for _, seen in results for version in seen]
    assert len(set(versions)) == len(versions)


def test_parallel_changes_of_the_same_members(backend: Backend, race: Race) -> None:
    """Threads that add and remove the same members in different order do not stop each other; who added last is in."""
    people = [p.id for p in users(backend, 8)]
    team = backend.create("Group", group("Team"))

    def work(thread: int) -> None:
        chance = random.Random(thread)
        for _ in range(TURNS // 2):
            chosen = chance.sample(people, 4)
            change = _toggle(add=tuple(chosen)) if chance.random() < 0.5 else _toggle(remove=tuple(chosen))
            backend.update("Group", team.id, change)
        backend.update("Group", team.id, _toggle(add=tuple(chance.sample(people, 8))))

    results = race([partial(work, n) for n in range(8)])
    assert results == [None] * 8
    assert members(backend, team.id) == set(people)


def test_parallel_changes_of_different_slots(backend: Backend, race: Race) -> None:
    """Threads that change different slots of one user without an expectation all have their effect."""
    ann = backend.create("User", user("ann"))
    slots = ("title", "nickName", "displayName", "locale", "userType", "name.givenName", "timezone", "externalId")

    def work(slot: str) -> None:
        for n in range(15):
            backend.update("User", ann.id, Change({slot: f"{slot} {n}"}))

    assert race([partial(work, s) for s in slots]) == [None] * len(slots)
    assert dict(backend.get("User", ann.id, frozenset(slots)).values) == {slot: f"{slot} 14" for slot in slots}


def test_parallel_creates(backend: Backend, race: Race) -> None:
    """Different resources that are created at once are all there, each with its id."""

    def work(thread: int) -> list[str]:
        return [backend.create("User", user(f"u{thread}.{n}", emails=[{"value": f"{n}"}])).id for n in range(10)]

    results = race([partial(work, n) for n in range(8)])
    ids = {id for created in results for id in created}
    assert len(ids) == 80
    assert found(backend, "User", None) == ids


def test_membership_of_users_that_are_being_deleted(backend: Backend, race: Race) -> None:
    """When users are deleted while they are added to groups, each addition either succeeds or names the user as
    unknown, and in the end no group holds a deleted one."""
    people = [p.id for p in users(backend, 24)]
    teams = [backend.create("Group", group(f"T{n}", people[:4])) for n in range(3)]

    def add(team: Resource, order: list[str]) -> list[Any]:
        outcomes: list[Any] = []
        for person in order:
            try:
                outcomes.append(backend.update("Group", team.id, _toggle(add=(person,))))
            except UnknownReference as refusal:
                outcomes.append(refusal.ids == (person,))
        return outcomes

    def remove() -> list[Any]:
        return [backend.delete("User", person) for person in people[:12]]

    calls: list[Callable[[], Any]] = [partial(add, t, people) for t in teams]
    results = race([*calls, remove])
    assert [r for r in results if isinstance(r, Exception)] == []
    assert all(outcome is not False for outcomes in results[:3] for outcome in outcomes)
    assert found(backend, "User", None) == set(people[12:])
    assert all(members(backend, t.id) == set(people[12:]) for t in teams)


def test_a_group_that_is_being_deleted(backend: Backend, race: Race) -> None:
    """When a group is deleted while its members change, each change succeeds or finds no group; no user keeps it."""
    people = [p.id for p in users(backend, 8)]
    for turn in range(5):
        team = backend.create("Group", group(f"Team {turn}", people[:2]))
        calls: list[Callable[[], Any]] = [
            partial(backend.update, "Group", team.id, _toggle(add=(p,))) for p in people[2:]
        ]
        results = race([*calls, partial(backend.delete, "Group", team.id)])
        assert results[-1] is None
        assert {type(r).__name__ for r in results[:-1]} <= {"Stamp", "NotFound"}
        assert [groups(backend, p) for p in people] == [set()] * 8


def test_reads_during_writes(backend: Backend, race: Race, registry: Registry) -> None:
    """A reader sees each resource whole, before or after a change and never between, and always gets an answer."""
    first = {"displayName": "one", "emails": [{"value": "one@a"}, {"value": "one@b"}], "title": "one"}
    second = {"displayName": "two", "emails": [{"value": "two@a"}], "title": "two"}
    ann = backend.create("User", user("ann", **first))
    want = frozenset(first)

    def write() -> None:
        for n in range(60):
            backend.update("User", ann.id, Change(second if n % 2 == 0 else first))

    def read() -> list[dict[str, Any]]:
        seen = []
        for _ in range(40):
            seen.append(dict(backend.get("User", ann.id, want).values))
            seen.extend(dict(item.values) for item in search(backend, "User", want=want)[0])
        return seen

    results = race([write, read, read, read])
    assert [r for r in results if isinstance(r, Exception)] == []
    assert [s for r in results[1:] for s in r if s not in (first, second)] == []


@pytest.mark.req("P-3.6-05")
def test_of_parallel_deletions_one_succeeds(backend: Backend, race: Race) -> None:
    """Of deletions of one resource at one moment one succeeds and the others find nothing."""
    people = users(backend, 5)
    backend.create("Group", group("Team", people))
    for person in people:
        results = race([partial(backend.delete, "User", person.id)] * 6)
        assert sorted(type(r).__name__ for r in results) == ["NoneType"] + ["NotFound"] * 5
        assert isinstance(next(r for r in results if r is not None), NotFound)


def test_who_manages_and_who_is_managed_are_deleted_at_once(backend: Backend, race: Race) -> None:
    """Each deletion succeeds, although it takes out references of resources that are going too."""
    manager = f"{ENTERPRISE_SCHEMA}:manager.value"
    for turn in range(5):
        head = backend.create("User", user(f"head{turn}"))
        others = [backend.create("User", user(f"u{turn}.{n}", **{manager: head.id})) for n in range(7)]
        assert race([partial(backend.delete, "User", u.id) for u in (head, *others)]) == [None] * 8
    assert found(backend, "User", None) == set()


@pytest.mark.needs(Capability.ATOMIC_EXPECT)
def test_of_a_deletion_and_a_change_of_one_version_one_succeeds(backend: Backend, race: Race) -> None:
    """A resource that was changed after it was read is not deleted, and one that is deleted is not changed."""
    for turn in range(10):
        ann = backend.create("User", user(f"ann{turn}"))
        deletion = partial(backend.delete, "User", ann.id, expect=ann.stamp.version)
        change = partial(backend.update, "User", ann.id, Change({"title": "x"}), expect=ann.stamp.version)
        deleted, changed = race([deletion, change])
        assert (type(deleted).__name__, type(changed).__name__) in {
            ("NoneType", "NotFound"),
            ("NoneType", "VersionMismatch"),
            ("VersionMismatch", "Stamp"),
        }
        assert found(backend, "User", None) == (set() if deleted is None else {ann.id})
        if deleted is not None:
            backend.delete("User", ann.id)
