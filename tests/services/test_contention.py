"""Changes of one resource at the same time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.services import contention
from app.services.contention import Contention
from backends.errors import Unavailable, VersionMismatch

ANN = ("User", "ann")


def _told(_: VersionMismatch) -> None:
    pass


def test_a_change_that_loses_is_made_again() -> None:
    told: list[VersionMismatch] = []
    outcomes = iter([VersionMismatch(), VersionMismatch(), None])

    def attempt() -> str:
        if (error := next(outcomes)) is not None:
            raise error
        return "done"

    assert Contention().settle(ANN, attempt, told.append) == "done"
    assert len(told) == 2


def test_who_is_told_may_end_it() -> None:
    """A client that names a version is refused, and the queue is free for the next one."""
    settled = Contention()

    def refuse(error: VersionMismatch) -> None:
        raise KeyError from error

    def lose() -> None:
        raise VersionMismatch

    with pytest.raises(KeyError):
        settled.settle(ANN, lose, refuse)
    assert settled.settle(ANN, lambda: "done", _told) == "done"


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contention, "_PATIENCE_SECONDS", 0.1)

    def lose() -> None:
        raise VersionMismatch

    with pytest.raises(Unavailable):
        Contention().settle(ANN, lose, _told)


def test_of_many_who_read_and_write_none_is_refused() -> None:
    """However long a change takes: without a queue the slow ones would lose to the quick ones."""
    settled, version, lock = Contention(), [0], threading.Lock()

    def change(pause: float) -> None:
        def attempt() -> None:
            read = version[0]
            threading.Event().wait(pause)
            with lock:
                if version[0] != read:
                    raise VersionMismatch
                version[0] += 1

        settled.settle(ANN, attempt, _told)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(change, [0.001, 0.001, 0.03] * 20))
    assert version == [60]


def test_those_behind_do_not_keep_what_the_first_one_needs() -> None:
    """Two connections are held by those who wait, and the one who is first in the queue has none: somebody goes on."""
    settled, connections, together = Contention(), threading.Semaphore(2), threading.Barrier(2)
    inside = threading.Event()
    done: list[str] = []

    def holding(name: str) -> None:
        lost = [True]

        def attempt() -> None:
            if lost.pop() if lost else False:
                together.wait(10)
                inside.wait(10)
                raise VersionMismatch
            done.append(name)

        with connections:
            settled.settle(ANN, attempt, _told)

    def needing() -> None:
        first = [True]

        def attempt() -> None:
            if first.pop() if first else False:
                raise VersionMismatch
            inside.set()
            with connections:
                done.append("first")

        settled.settle(ANN, attempt, _told)

    threads = [threading.Thread(target=holding, args=(name,)) for name in ("one", "other")]
    threads.append(threading.Thread(target=needing))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done) == ["first", "one", "other"]
