"""What of brakes is given back, and what is asked for without applying one, on every database."""

from __future__ import annotations

from app.control import ControlStore
from app.control.models import Spent
from tests.control.clock import Clock

MINE, OTHER = "0" * 36, "1" * 36


def _spent(store: ControlStore) -> int:
    return store.brakes.spent(60).get((MINE, "deletions"), 0)


def test_what_would_be_too_much_can_be_asked(store: ControlStore) -> None:
    """Nothing is counted by it, and no brake applied; where one is applied that is told."""

    def ask(count: int, *, applies: bool = False) -> Spent:
        return store.brakes.spend(MINE, "deletions", count, limit=5, minutes=60, applies=applies)

    assert [ask(3), ask(3), ask(3), ask(2), ask(1)] == [
        Spent.ALLOWED,
        Spent.EXCEEDS,
        Spent.EXCEEDS,
        Spent.ALLOWED,
        Spent.EXCEEDS,
    ]
    assert (_spent(store), store.brakes.applied()) == (5, [])
    assert [ask(1, applies=True), ask(1)] == [Spent.APPLIES, Spent.APPLIED]


def test_what_is_given_back_counts_no_more(store: ControlStore, clock: Clock) -> None:
    """In the minute in which it was spent, so that it does not count less when that is long ago."""
    for _ in range(2):
        assert store.brakes.spend(MINE, "deletions", 3, limit=9, minutes=60) is Spent.ALLOWED
        clock.forward(120)
    store.brakes.give_back(OTHER, "deletions", 3)
    store.brakes.give_back(MINE, "deactivations", 3)
    store.brakes.give_back(MINE, "deletions", 4)
    assert _spent(store) == 6
    store.brakes.give_back(MINE, "deletions", 2, age=240)
    assert _spent(store) == 4
    clock.forward(57 * 60)
    assert _spent(store) == 3
    store.brakes.give_back(MINE, "deletions", 3)
    assert _spent(store) == 0
