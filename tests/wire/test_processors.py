"""Each worker stays on one processor, where there is one for each."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.processors import Processors, free_place
from tests.wire.landfall import Landfall, until

USABLE = frozenset(os.sched_getaffinity(0))


def _processors(service: Landfall) -> dict[int, frozenset[int]]:
    """For each worker the processors of all its threads."""
    return {
        worker: frozenset().union(*(os.sched_getaffinity(int(t.name)) for t in Path(f"/proc/{worker}/task").iterdir()))
        for worker in service.workers()
    }


@pytest.fixture
def start(tmp_path: Path) -> Iterator[type[Landfall]]:
    """Starts a service, which is stopped after the test."""
    started: list[Landfall] = []

    class Started(Landfall):
        def start(self) -> None:
            started.append(self)
            super().start()

    yield Started
    for service in started:
        service.stop()


def test_each_has_one_of_its_own(start: type[Landfall], tmp_path: Path) -> None:
    """One that replaces another takes the processor that has become free."""
    service = start(tmp_path / "home")
    service.start()
    until(lambda: len(service.workers()) == 2)
    before = _processors(service)
    if len(USABLE) < 2:
        assert set(before.values()) == {USABLE}
        return
    assert sorted(map(len, before.values())) == [1, 1]
    assert len(frozenset().union(*before.values())) == 2
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(service.workers() - {victim}) == 2)
    until(lambda: sorted(map(sorted, _processors(service).values())) == sorted(map(sorted, before.values())))


@pytest.mark.parametrize(
    "variables",
    [{"LANDFALL_SERVER_PIN_WORKERS": "false"}, {"LANDFALL_SERVER_WORKERS": str(len(USABLE) + 1)}],
    ids=["switched-off", "too-many-workers"],
)
def test_the_system_decides(start: type[Landfall], tmp_path: Path, variables: dict[str, str]) -> None:
    service = start(tmp_path / "home", variables)
    service.start()
    assert set(_processors(service).values()) == {USABLE}


def test_places() -> None:
    assert [free_place([]), free_place([0, 1]), free_place([1, 2]), free_place([0, 2])] == [0, 2, 0, 1]


def test_what_a_system_does_not_allow_is_left() -> None:
    processors = Processors(1)
    processors._usable = [10_000]
    processors.keep(0)
    assert os.sched_getaffinity(0) == USABLE
