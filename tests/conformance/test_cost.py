"""What a call costs grows with the change, not with the resource.

LANDFALL_BIG_GROUP is the size of the large group (10000), of which a server gets its share.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from app.scim.filter.nodes import And, Compare, Op, Some
from app.scim.query import Change, Delta, Query, Resource, ResourceId, Window
from app.scim.registry import Registry
from backends.base import Backend
from tests.conformance.helpers import attribute_of, group, members, search, user
from tests.support.stores import Opened, Store

SMALL = 100
BIG = int(os.environ.get("LANDFALL_BIG_GROUP", "10000"))

Cost = Callable[[Callable[[], object]], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Crowd:
    """A store with a small and a large group, and two people who are in neither."""

    backend: Backend
    registry: Registry
    people: tuple[ResourceId, ...]
    outsiders: tuple[ResourceId, ...]
    small: Resource
    big: Resource


@pytest.fixture(scope="module")
def crowd(opened: Opened, store: Store) -> Iterator[Crowd]:
    """The crowd; each test puts back what it took."""
    opened.empty()
    backend, big = opened.backend, max(SMALL * 10, round(BIG * store.share))
    people = _people(opened, big + 2)
    inside = people[:big]
    made = {size: backend.create("Group", group(f"Crowd of {size}")) for size in (SMALL, big)}
    for size, team in made.items():
        for start in range(0, size, 1000):
            backend.update("Group", team.id, _delta(add=inside[start : min(start + 1000, size)]))
    yield Crowd(backend, store.registry, inside, people[big:], made[SMALL], made[big])
    opened.empty()


def _people(opened: Opened, count: int) -> tuple[ResourceId, ...]:
    """That many new users."""
    names = [f"person{n}@corp.example" for n in range(count)]
    if opened.load is None:
        return tuple(opened.backend.create("User", user(name)).id for name in names)
    opened.load(names)
    page = opened.backend.search("User", Query(frozenset({"userName"}), window=Window(1, count)))
    ids = {resource.values["userName"]: resource.id for resource in page.items}
    return tuple(ids[name] for name in names)


def _delta(*, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()) -> Change:
    return Change(relations={"members": Delta(add, remove)})


def _compare(crowd: Crowd, cost: Cost, call: Callable[[Resource], Any], undo: Callable[[Resource], Any]) -> None:
    """The call costs something, and the same for both groups."""
    costs = []
    for team in (crowd.small, crowd.big):
        call(team)
        undo(team)
        costs.append(cost(partial(call, team)))
        undo(team)
    assert costs[0] == costs[1]
    assert any(costs[0].values())


def test_adding_a_member(crowd: Crowd, cost: Cost) -> None:
    """Adding one member costs the same in a group of a hundred and in one of thousands."""
    (outsider, _), backend = crowd.outsiders, crowd.backend
    _compare(
        crowd,
        cost,
        lambda team: backend.update("Group", team.id, _delta(add=(outsider,))),
        lambda team: backend.update("Group", team.id, _delta(remove=(outsider,))),
    )


def test_removing_a_member(crowd: Crowd, cost: Cost) -> None:
    """Removing one member costs the same in a group of a hundred and in one of thousands."""
    backend, member = crowd.backend, crowd.people[SMALL // 2]
    _compare(
        crowd,
        cost,
        lambda team: backend.update("Group", team.id, _delta(remove=(member,))),
        lambda team: backend.update("Group", team.id, _delta(add=(member,))),
    )


def test_changes_that_change_nothing(crowd: Crowd, cost: Cost) -> None:
    """Adding who is in and removing who is not costs the same in both groups."""
    backend, member, outsider = crowd.backend, crowd.people[1], crowd.outsiders[0]
    change = _delta(add=(member,), remove=(outsider,))
    _compare(crowd, cost, lambda team: backend.update("Group", team.id, change), lambda team: None)


def test_reading_without_members(crowd: Crowd, cost: Cost) -> None:
    """Reading a group by id and by name costs the same in both groups."""
    backend, readable = crowd.backend, crowd.registry.type("Group").readable
    name = attribute_of(crowd.registry, "displayName", "Group")
    _compare(crowd, cost, lambda team: backend.get("Group", team.id, readable), lambda team: None)

    def by_name(team: Resource) -> None:
        filter = Compare(name, Op.EQ, str(team.values["displayName"]).lower())
        assert backend.search("Group", Query(readable, filter)).total == 1

    _compare(crowd, cost, by_name, lambda team: None)


def test_renaming(crowd: Crowd, cost: Cost) -> None:
    """Changing a slot of a group costs the same in both groups."""
    backend = crowd.backend
    _compare(
        crowd,
        cost,
        lambda team: backend.update("Group", team.id, Change({"externalId": "x"})),
        lambda team: backend.update("Group", team.id, Change({"externalId": None})),
    )


def test_asking_for_one_member(crowd: Crowd, cost: Cost) -> None:
    """Finding out by a filter whether one user is in a group costs the same in both groups."""
    backend, relation = crowd.backend, crowd.registry.type("Group").relations["members"].attribute
    name, value = attribute_of(crowd.registry, "displayName", "Group"), relation.sub("value")
    assert value is not None
    is_member = Some(relation, Compare(value, Op.EQ, crowd.people[3]))

    def ask(team: Resource) -> None:
        named = Compare(name, Op.EQ, str(team.values["displayName"]).lower())
        assert backend.search("Group", Query(frozenset(), And((named, is_member)))).total == 1

    _compare(crowd, cost, ask, lambda team: None)


def test_the_groups_of_a_user(crowd: Crowd, cost: Cost) -> None:
    """Reading the groups of a user costs by their number, not by their size."""
    backend = crowd.backend
    both, one = crowd.people[0], crowd.people[SMALL]
    assert len(list(backend.related("User", [both], "groups"))) == 2
    assert [r.id for _, r in backend.related("User", [one], "groups")] == [crowd.big.id]
    outsider = crowd.outsiders[0]
    costs = []
    for team in (crowd.small, crowd.big):
        backend.update("Group", team.id, _delta(add=(outsider,)))
        costs.append(cost(lambda: list(backend.related("User", [outsider], "groups"))))
        backend.update("Group", team.id, _delta(remove=(outsider,)))
    assert costs[0] == costs[1]
    assert any(costs[0].values())


def test_a_large_relation_streams(crowd: Crowd, cost: Cost) -> None:
    """A relation of thousands comes whole, each member once; its beginning costs less than all of it."""
    backend, team = crowd.backend, crowd.big
    assert members(backend, team.id) == set(crowd.people)
    both = [near for near, _ in backend.related("Group", [crowd.small.id, team.id], "members")]
    assert (both.count(crowd.small.id), both.count(team.id)) == (SMALL, len(crowd.people))
    assert len(both) == SMALL + len(crowd.people)
    first = cost(lambda: next(iter(backend.related("Group", [team.id], "members"))))
    whole = cost(lambda: list(backend.related("Group", [team.id], "members")))
    assert any(first[what] < much for what, much in whole.items())


def test_a_window_of_many(crowd: Crowd) -> None:
    """A window deep in thousands of users holds as many as it is long, and the total counts all."""
    everyone = len(crowd.people) + 2
    items, total = search(crowd.backend, "User", start=everyone - 7, count=10)
    assert (len(items), total) == (8, everyone)
    query = Query(frozenset({"userName"}), window=Window(1, 0))
    assert crowd.backend.search("User", query).total == everyone
