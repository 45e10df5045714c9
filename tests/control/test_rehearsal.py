"""What a rehearsal keeps, on each database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from app.control import ControlStore, Copy, Fate, Key, Origin, Who
from app.control.rehearsal import PAGE, digest
from tests.conformance.helpers import ODD_IDS, VERBATIM

Open = Callable[[], ControlStore]
THEN = datetime(2024, 2, 29, 23, 59, 59, 123456, UTC)


def copy(id: str, place: int, **changes: object) -> Copy:
    """A new user of that id."""
    values = {"userName": id, "active": True, "emails": [{"value": "a@x", "primary": True}]}
    given = {"place": place, "revision": place, "values": values, "origin": Origin.NEW, **changes}
    return Copy("User", id, created=THEN, modified=THEN, **given)  # type: ignore[arg-type]


def test_a_copy_comes_back_as_it_was(store: ControlStore) -> None:
    """Everything of it, text of any kind among it; the last one that was put counts."""
    texts = {f"slot{number}": text for number, text in enumerate(VERBATIM)}
    full = copy(
        "x", 1, values=texts, before={"n": 2**63 - 1, "f": 0.1}, basis="7.1", secrets={"password": True},
        cleared=("members",), fate=Fate.RETIRED, origin=Origin.STORE, name_hash=digest("x"),
        external_hash=digest("e"), who=Who("id", "Ünal"),
    )  # fmt: skip
    with store.rehearsal.writing() as writing:
        writing.put(copy("x", 1))
        writing.put(full)
    assert store.rehearsal.find("User", ["x", "y"]) == {"x": full}
    assert store.rehearsal.find("Group", ["x"]) == {}
    assert store.rehearsal.touched("User") == {"x"}
    assert list(store.rehearsal.copies("User", fate=Fate.PRESENT)) == []
    assert list(store.rehearsal.copies("User", fate=Fate.RETIRED, origin=Origin.STORE)) == [full]
    with store.rehearsal.writing() as writing:
        writing.drop("User", "x")
    assert store.rehearsal.counts() == {}


def test_copies_are_found_by_their_keys(store: ControlStore) -> None:
    """By id, hash and mark, in the order in which they came in, over several pages."""
    with store.rehearsal.writing() as writing:
        for place in range(1, 2 * PAGE + 2):
            one = copy(f"u{place:05}", place, name_hash=digest(str(place)), external_hash=digest(str(place % 2)))
            writing.put(one)
        writing.relate("User", "u00007", "emails=", [digest("a"), digest("b")], added=True)
        writing.relate("User", "u00003", "emails=", [digest("a")], added=True)
    found = [one.place for one in store.rehearsal.copies("User")]
    assert found == list(range(1, 2 * PAGE + 2))

    def by(**key: object) -> list[int]:
        return [one.place for one in store.rehearsal.copies("User", key=Key(**key))]  # type: ignore[arg-type]

    assert by(id="u00009") == by(name_hash=digest("9")) == [9]
    assert len(by(external_hash=digest("0"))) == PAGE
    assert by(mark=("emails=", digest("a"))) == [3, 7]
    assert by(mark=("emails=", digest("b"))) == [7]
    assert by(mark=("emails=", digest("c"))) == by(id="x" * 300) == by(id="\0") == []


def test_relations(store: ControlStore) -> None:
    """What is added and removed, from both sides and in pages; ids that are nearly alike are others."""
    far = [f"m{number:05}" for number in range(PAGE + 3)]
    with store.rehearsal.writing() as writing:
        writing.relate("Group", "g", "members", far, added=True)
        writing.relate("Group", "g", "members", ["gone", "GONE", "gone "], added=False)
        writing.relate("Group", "h", "members", [far[0]], added=True)
    rehearsal = store.rehearsal
    assert list(rehearsal.related("Group", "g", "members", added=True)) == far
    assert list(rehearsal.related("Group", "g", "members", added=True, most=3)) == far[:3]
    assert set(rehearsal.related("Group", "g", "members", added=False)) == {"gone", "GONE", "gone "}
    assert rehearsal.relating("Group", "members", [far[0], "gone"]) == [("g", far[0]), ("h", far[0])]
    asked = rehearsal.changes("Group", "members", ["g", "h"], [far[0], "gone", *ODD_IDS])
    assert asked == {("g", far[0]): True, ("h", far[0]): True, ("g", "gone"): False}
    with rehearsal.writing() as writing:
        writing.relate("Group", "g", "members", ["gone"], added=True)
        writing.unrelate("Group", "h", "members")
        writing.rename_far(far[0], "renamed")
    assert rehearsal.changes("Group", "members", ["g", "h"], ["gone", far[0], "renamed"]) == {
        ("g", "gone"): True,
        ("g", "renamed"): True,
    }
    with rehearsal.writing() as writing:
        writing.discard()
    assert list(rehearsal.related("Group", "g", "members", added=True)) == []


@pytest.mark.parametrize("id", ODD_IDS, ids=range(len(ODD_IDS)))
def test_ids_that_are_none(store: ControlStore, id: str) -> None:
    """An id of any shape can be asked for."""
    assert store.rehearsal.find("User", [id]) == {}
    assert store.rehearsal.claimed("User", [id]) == frozenset()
    assert store.rehearsal.relating("User", "members", [id]) == []


def test_writers_follow_one_another(open_store: Open) -> None:
    """Of writers in several processes each sees what the one before has written, and no number is given twice."""
    turns, seen = 25, []

    def work(store: ControlStore) -> None:
        for _ in range(turns):
            with store.rehearsal.writing() as writing:
                before = store.rehearsal.find("User", ["x"]).get("x")
                count = 0 if before is None else int(before.values["count"])
                number = writing.next()
                writing.put(copy("x", 1, revision=number, values={"count": count + 1}))
            seen.append(number)

    threads = [threading.Thread(target=work, args=(open_store(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = open_store()
    assert store.rehearsal.find("User", ["x"])["x"].values == {"count": 4 * turns}
    assert sorted(seen) == list(range(1, 4 * turns + 1))
    with store.rehearsal.writing() as writing:
        writing.discard()
    with store.rehearsal.writing() as writing:
        assert writing.next() == 4 * turns + 1


def test_many_writers_of_one_process(store: ControlStore) -> None:
    """More of them than there are connections: each reads while it writes, and none is turned away."""
    failed: list[Exception] = []

    def work(number: int) -> None:
        try:
            with store.rehearsal.writing() as writing:
                assert store.rehearsal.find("User", [f"u{number}"]) == {}
                writing.put(copy(f"u{number}", writing.next()))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(48)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert store.rehearsal.counts() == {"User": 48}
