"""How brakes count over time and over workers, which tests/api can't wait for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from app.control import ControlStore
from app.control.models import Spent
from app.scim.query import Change, Delta, Draft, Reference, Resource, ResourceId, Slot
from app.scim.registry import load
from app.services.around import Around
from app.services.brakes import Braked, Brakes
from app.services.journal import Actor
from backends.base import Backend
from backends.errors import Protected, Unavailable
from config.settings import BrakesSettings
from tests.control.clock import Clock
from tests.support.controls import new_control
from tests.support.reference import ReferenceBackend

WHO = Actor("1" * 36, "hasty")
AWAY = Change({"active": False})
WINDOW_MINUTES = 10


class Workers:
    """Worker processes with a control store and a clock in common; users are deactivated by one after the other."""

    def __init__(self, control: ControlStore, backend: Backend, clock: Clock) -> None:
        self.control, self.clock = control, clock
        self.user = backend.create("User", Draft({"userName": "ann", "active": True})).id
        self._backend = backend
        self._all: list[Brakes] = []

    def hire(self, count: int, limit: int) -> None:
        settings = BrakesSettings(deactivations=limit, share=0, window_minutes=WINDOW_MINUTES)
        spending, managed = self.control.brakes, self.control.managed
        self._all = [Brakes(spending, managed, self._backend, settings, self.clock) for _ in range(count)]

    def deactivate(self, number: int, store: Callable[[], Any] = lambda: None) -> None:
        """As one of the workers does; `store` is what becomes of the write."""
        with self._all[number % len(self._all)].changing(WHO, "User", self.user, AWAY, {"active": True}):
            store()

    @property
    def spent(self) -> int:
        return self.control.brakes.spent(WINDOW_MINUTES).get((WHO.integration_id, "deactivations"), 0)


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    url, clock = new_control(tmp_path / "control.db"), Clock()
    control = ControlStore(url, clock=clock)
    yield Workers(control, ReferenceBackend(load()), clock)
    control.close()


@pytest.mark.parametrize(("count", "seconds", "at_once"), [(1, 61, 1), (1, 20, 1), (4, 15, 1), (1, 61, 2), (2, 70, 3)])
def test_slow_traffic_counts_as_what_it_is(workers: Workers, count: int, seconds: int, at_once: int) -> None:
    """Whatever is reserved and not used is given back: beside that of each worker's last reservation."""
    limit = 1000
    workers.hire(count, limit)
    for number in range(2 * WINDOW_MINUTES * 60 // seconds):
        for _ in range(at_once):
            workers.deactivate(number)
        workers.clock.forward(seconds)
    real = at_once * WINDOW_MINUTES * 60 / seconds
    assert real - 2 * at_once * 60 / seconds - at_once <= workers.spent <= real + at_once + count * limit // 50


def test_one_worker_stops_at_the_limit_and_asks_seldom(workers: Workers) -> None:
    workers.hire(1, 200)
    counts = []
    for _ in range(200):
        workers.deactivate(0)
        counts.append(workers.spent)
    assert counts[-1] == 200
    assert len(set(counts)) <= 60
    with pytest.raises(Braked):
        workers.deactivate(0)


def test_several_workers_stop_at_the_limit_or_a_little_earlier(workers: Workers) -> None:
    workers.hire(4, 200)
    done = 0
    with suppress(Braked):
        while done <= 200:
            workers.deactivate(done)
            done += 1
    assert 200 - 4 * 200 // 50 <= done <= 200


def test_what_the_store_refuses_counts_as_nothing(workers: Workers) -> None:
    """Unlike that of which nobody knows whether it was done."""
    workers.hire(1, 3)

    def refuse() -> None:
        raise Protected

    def fail() -> None:
        raise Unavailable

    for _ in range(5):
        with pytest.raises(Protected):
            workers.deactivate(0, refuse)
    assert workers.spent == 0
    for spent in (1, 2, 3):
        with pytest.raises(Unavailable):
            workers.deactivate(0, fail)
        assert workers.spent == spent
    with pytest.raises(Braked):
        workers.deactivate(0)


@pytest.mark.parametrize(
    "change",
    [
        Change({"title": "x", "active": True}),
        Change({"active": None}),
        Change({"displayName": "x"}, {"members": Delta(add=("a", "b"))}),
        Change(),
    ],
)
def test_what_harms_nobody_costs_nothing(workers: Workers, change: Change) -> None:
    """Neither the store nor the control store is asked."""
    calls: list[str] = []

    class Watched(Around):
        def get(self, kind: str, id: ResourceId, want: frozenset[Slot]) -> Resource:
            calls.append("get")
            return super().get(kind, id, want)

        def related(
            self, kind: str, ids: Sequence[ResourceId], relation: str
        ) -> Iterator[tuple[ResourceId, Reference]]:
            calls.append("related")
            return super().related(kind, ids, relation)

    backend, control = Watched(ReferenceBackend(load())), workers.control
    team = backend.create("Group", Draft({"displayName": "Team"})).id
    brakes = Brakes(control.brakes, control.managed, backend, BrakesSettings(share=0))
    with brakes.changing(WHO, "Group", team, change):
        pass
    assert (calls, control.brakes.spent(WINDOW_MINUTES)) == ([], {})
    with brakes.changing(WHO, "Group", team, Change(relations={"members": Delta(remove=("a",))})):
        pass
    assert (calls, control.brakes.spent(WINDOW_MINUTES)) == (["related"], {})


def test_giving_back_after_a_release_makes_no_room(workers: Workers) -> None:
    workers.hire(1, 3)
    spending = workers.control.brakes

    def release() -> None:
        spending.release(WHO.integration_id)
        raise Protected

    with pytest.raises(Protected):
        workers.deactivate(0, release)
    assert workers.spent == 0
    assert spending.spend(WHO.integration_id, "deactivations", 4, limit=3, minutes=60, applies=False) is Spent.EXCEEDS
    assert (workers.spent, spending.applied()) == (0, [])
