"""What the control store promises of externalIds, on every database."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from app.control import Access, ControlStore, Link
from app.control.links import holds
from app.control.tables import LINK_LENGTH
from tests.control.clock import Clock

MADE = datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=UTC)
TEXTS = ("e", "E", "é", "e\u0301", "e ", " e", "e\u200b", "%", "'", "\\", "😀", "山" * LINK_LENGTH, "x" * LINK_LENGTH)


def test_text_is_kept_and_found_exactly(store: ControlStore) -> None:
    for number, text in enumerate(TEXTS):
        store.links.add("User", f"id{number}", text, MADE)
    for number, text in enumerate(TEXTS):
        link = Link(f"id{number}", text, 1, MADE)
        assert store.links.find("User", [link.resource_id]) == {link.resource_id: link}
        assert store.links.named("User", text, 100) == [link]
    assert store.links.find("Group", ["id0"]) == {}
    assert store.links.named("Group", "e", 100) == []


@pytest.mark.parametrize("text", ["x" * (LINK_LENGTH + 1), "nul\0", "\ud800"])
def test_text_that_no_link_can_have_is_told_and_found_nowhere(store: ControlStore, text: str) -> None:
    assert not holds(text)
    assert store.links.named("User", text, 1) == []
    assert all(holds(kept) for kept in TEXTS)


@pytest.mark.parametrize("id", ["", "\0", "\ud800", "x" * 100_000, "' OR '1'='1"])
def test_hostile_ids_have_no_link(store: ControlStore, id: str) -> None:
    assert store.links.find("User", [id]) == {}
    with store.links.held("User", id) as held:
        assert held is None
    store.links.forget("User", id)


def test_each_change_has_its_revision_and_a_later_time(store: ControlStore, clock: Clock) -> None:
    link = store.links.add("User", "ann", "E-1", MADE)
    for external_id in ("E-2", None, "E-1"):
        with store.links.held("User", "ann") as held:
            assert held is not None
            assert held.link == link
            changed = held.assign(external_id, after=link.changed)
        assert store.links.find("User", ["ann"]) == {"ann": changed}
        assert (changed.external_id, changed.revision) == (external_id, link.revision + 1)
        assert changed.changed > link.changed
        link = changed
    assert link.changed == datetime.fromtimestamp(clock(), UTC) + timedelta(microseconds=2)


def test_what_is_only_held_is_no_link(store: ControlStore) -> None:
    store.links.ensure("User", "ann")
    store.links.ensure("User", "ann")
    assert store.links.find("User", ["ann"]) == {}
    assert store.links.changed_since("User", MADE, 9) == []
    with store.links.held("User", "ann") as held:
        assert held is not None
        assert held.link.revision == 0


def test_a_block_that_fails_changes_nothing(store: ControlStore) -> None:
    link = store.links.add("User", "ann", "E-1", MADE)
    with pytest.raises(LookupError), store.links.held("User", "ann") as held:  # noqa: PT012 - the block is what fails
        assert held is not None
        held.assign("E-2", after=MADE)
        held.forget()
        raise LookupError
    assert store.links.find("User", ["ann"]) == {"ann": link}


def test_a_forgotten_link_is_gone(store: ControlStore) -> None:
    for id in ("ann", "bob"):
        store.links.add("User", id, "E-1", MADE)
    store.links.forget("User", "ann")
    with store.links.held("User", "bob") as held:
        assert held is not None
        held.forget()
    assert store.links.named("User", "E-1", 9) == []


def test_no_more_are_read_than_asked_for(store: ControlStore) -> None:
    for number in range(5):
        store.links.add("User", f"id{number}", "same", MADE + timedelta(seconds=number))
    with store.links.held("User", "id0") as held:
        assert held is not None
        held.assign(None, after=MADE)
    assert [len(store.links.named("User", "same", most)) for most in (2, 9)] == [2, 4]
    assert [len(store.links.assigned("User", most)) for most in (2, 9)] == [2, 4]
    since = MADE + timedelta(seconds=3)
    assert {link.resource_id for link in store.links.changed_since("User", since, 9)} == {"id0", "id3", "id4"}
    assert len(store.links.changed_since("User", since, 2)) == 2


def test_many_are_found_at_once(store: ControlStore) -> None:
    for number in range(0, 1100, 100):
        store.links.add("User", f"id{number}", "x", MADE)
    found = store.links.find("User", [f"id{number}" for number in range(1100)])
    assert set(found) == {f"id{number}" for number in range(0, 1100, 100)}


def test_links_change_no_decision(store: ControlStore) -> None:
    before = store.generation()
    store.links.add("User", "ann", "E-1", MADE)
    with store.links.held("User", "ann") as held:
        assert held is not None
        held.assign("E-2", after=MADE)
    store.links.forget("User", "ann")
    assert store.generation() == before


def test_other_writers_do_not_wait_for_a_holder(open_store: Callable[[], ControlStore]) -> None:
    mine, other = open_store(), open_store()
    mine.links.ensure("User", "ann")
    with mine.links.held("User", "ann") as held:
        assert held is not None
        held.assign("E-1", after=MADE)
        other.create_integration("entra", Access.FULL)
        other.links.ensure("User", "bob")
        assert other.links.find("User", ["ann"]) == {}
    assert other.links.find("User", ["ann"]) == {"ann": held.link}


def test_holders_in_several_processes_follow_one_another(open_store: Callable[[], ControlStore]) -> None:
    """Each reads the revision that the one before left, though the first of them found nothing to hold."""
    stores = [open_store() for _ in range(4)]

    def work(store: ControlStore) -> list[int]:
        seen = []
        for number in range(5):
            store.links.ensure("User", "ann")
            with store.links.held("User", "ann") as held:
                assert held is not None
                seen.append(held.assign(f"E-{number}", after=MADE).revision)
        return seen

    with ThreadPoolExecutor(len(stores)) as pool:
        seen = [revision for done in pool.map(work, stores) for revision in done]
    assert sorted(seen) == list(range(1, 21))
