"""What the control store keeps of managed resources and of brakes, on every database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.control import Access, ControlStore
from app.control.models import Spent
from tests.control.clock import Clock

MINE, OTHER = "0" * 36, "1" * 36


def test_what_is_claimed_is_managed(store: ControlStore) -> None:
    store.managed.claim("User", ["a", "b"], MINE)
    store.managed.claim("User", ["b"], OTHER)
    store.managed.claim("Group", ["c"], MINE)
    assert store.managed.among("User", ["a", "b", "c", "d"]) == {"a", "b"}
    assert store.managed.among("User", []) == frozenset()
    assert (store.managed.count("User"), store.managed.count("Group")) == (2, 1)
    store.managed.release("User", "a")
    assert store.managed.among("User", ["a", "b"]) == {"b"}


def test_many_ids_at_once(store: ControlStore) -> None:
    ids = [f"id{number}" for number in range(1200)]
    store.managed.claim("User", ids[:700], MINE)
    assert store.managed.among("User", ids) == set(ids[:700])


@pytest.mark.parametrize("id", ["", "\0", "\ud800", "x" * 100_000, "' OR '1'='1", "A", "a "])
def test_ids_are_compared_exactly(store: ControlStore, id: str) -> None:
    store.managed.claim("User", ["a"], MINE)
    assert store.managed.among("User", [id]) == frozenset()


def test_an_approval_is_asked_for_once_and_ends_with_the_adoption(store: ControlStore) -> None:
    for _ in range(2):
        assert not store.managed.ask("User", "a", "ann", MINE)
    (candidate,) = store.managed.waiting()
    assert (candidate.kind, candidate.resource_id, candidate.name, candidate.approved) == ("User", "a", "ann", False)
    assert not store.managed.approve("b")
    assert store.managed.approve("a")
    assert store.managed.ask("User", "a", "ann", MINE)
    assert [c.approved for c in store.managed.waiting()] == [True]
    store.managed.claim("User", ["a"], MINE)
    assert store.managed.waiting() == []


def test_an_approval_is_for_the_integration_that_asked(store: ControlStore) -> None:
    mine, other = (store.create_integration(name, Access.FULL).id for name in ("mine", "other"))
    assert not store.managed.ask("User", "a", "ann", mine)
    assert not store.managed.ask("User", "a", "ann", other)
    assert store.managed.approve("a")
    assert not store.managed.ask("User", "a", "ann", other)
    assert [(c.integration_id, c.approved) for c in store.managed.waiting()] == [(mine, True)]
    assert store.managed.ask("User", "a", "ann", mine)


def test_when_the_integration_that_asked_is_revoked_another_one_asks_anew(store: ControlStore) -> None:
    mine, other, third = (store.create_integration(name, Access.FULL).id for name in ("mine", "other", "third"))
    assert not store.managed.ask("User", "a", "ann", mine)
    assert store.managed.approve("a")
    store.revoke_integration(mine)
    assert not store.managed.ask("User", "a", "ann", other)
    assert not store.managed.ask("User", "a", "ann", third)
    assert [(c.integration_id, c.approved) for c in store.managed.waiting()] == [(other, False)]
    assert store.managed.approve("a")
    assert store.managed.ask("User", "a", "ann", other)


def test_two_processes_claim_at_once(open_store: Callable[[], ControlStore]) -> None:
    stores = [open_store() for _ in range(4)]
    ids = [f"id{number}" for number in range(20)]
    with ThreadPoolExecutor(len(stores)) as pool:
        list(pool.map(lambda store: store.managed.claim("User", ids, MINE), stores))
    assert stores[0].managed.among("User", ids) == set(ids)


def test_a_brake_lets_so_many_through(store: ControlStore) -> None:
    def spend(count: int, effect: str = "deletions", who: str = MINE) -> Spent:
        return store.brakes.spend(who, effect, count, limit=5, minutes=60)

    found = [spend(2), spend(3), spend(1), spend(1)]
    assert found == [Spent.ALLOWED, Spent.ALLOWED, Spent.APPLIES, Spent.APPLIED]
    assert spend(5, "deactivations") is Spent.ALLOWED
    assert spend(5, who=OTHER) is Spent.ALLOWED
    assert store.brakes.spent(60) == {(MINE, "deletions"): 6, (MINE, "deactivations"): 5, (OTHER, "deletions"): 5}
    (brake,) = store.brakes.applied()
    assert (brake.integration_id, brake.effect, brake.limit) == (MINE, "deletions", 5)
    assert store.brakes.release(OTHER) == 0
    assert store.brakes.release(MINE, "deletions") == 1
    assert store.brakes.applied() == []
    assert spend(5) is Spent.ALLOWED


def test_a_window_moves_on(store: ControlStore, clock: Clock) -> None:
    """What was long ago counts no more, and a brake that is applied stays."""

    def spend(count: int) -> Spent:
        return store.brakes.spend(MINE, "deletions", count, limit=5, minutes=10)

    assert spend(5) is Spent.ALLOWED
    clock.forward(11 * 60)
    assert store.brakes.spent(10) == {}
    assert [spend(5), spend(1)] == [Spent.ALLOWED, Spent.APPLIES]
    clock.forward(24 * 3600)
    assert spend(1) is Spent.APPLIED


def test_of_many_at_once_no_more_than_the_limit_come_through(open_store: Callable[[], ControlStore]) -> None:
    stores = [open_store() for _ in range(4)]

    def spend(number: int) -> Spent:
        return stores[number % 4].brakes.spend(MINE, "deletions", 1, limit=25, minutes=10)

    with ThreadPoolExecutor(8) as pool:
        found = Counter(pool.map(spend, range(60)))
    assert found == {Spent.ALLOWED: 25, Spent.APPLIES: 1, Spent.APPLIED: 34}


def test_nothing_of_this_alters_a_decision(store: ControlStore) -> None:
    integration = store.create_integration("one", Access.FULL)
    before = store.generation()
    store.managed.claim("User", ["a"], integration.id)
    store.brakes.spend(integration.id, "deletions", 9, limit=5, minutes=10)
    assert store.generation() == before
