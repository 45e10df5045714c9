"""Expected versions: a write happens on the version that its caller has seen, or not at all (RFC 7644 section 3.14)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from app.scim.query import Change, Delta, Resource, Stamp
from app.scim.registry import Registry
from backends.base import Backend, Capability
from backends.errors import Duplicate, NotFound, UnknownReference, VersionMismatch
from tests.conformance.conftest import Race
from tests.conformance.helpers import ODD_IDS, found, group, members, state, user, users

Read = Callable[[Resource], Resource]


@pytest.mark.req("P-3.14-05")
def test_the_current_version_is_accepted(backend: Backend, read: Read) -> None:
    """Each version that a write returned, or a read showed, is accepted by the next write."""
    ann = backend.create("User", user("ann"))
    stamp = ann.stamp
    for n in range(3):
        stamp = backend.update("User", ann.id, Change({"title": f"t{n}"}), expect=stamp.version)
    assert read(ann).stamp == stamp
    assert read(ann).values["title"] == "t2"
    backend.delete("User", ann.id, expect=read(ann).stamp.version)
    assert found(backend, "User", None) == set()


@pytest.mark.req("P-3.14-04")
def test_another_version_changes_nothing(backend: Backend, registry: Registry) -> None:
    """A write that expects a version that was, or never was, is a VersionMismatch and changes nothing."""
    ann, bob = users(backend, 2)
    team = backend.create("Group", group("Team", [ann]))
    backend.update("User", ann.id, Change({"title": "new"}))
    backend.update("Group", team.id, Change(relations={"members": Delta((bob.id,))}))
    before = state(backend, registry)
    for wrong in (ann.stamp.version, *ODD_IDS):
        if wrong == before[ann.id].resource.stamp.version:
            continue
        with pytest.raises(VersionMismatch):
            backend.update("User", ann.id, Change({"title": "x", "userName": "y"}), expect=wrong)
        with pytest.raises(VersionMismatch):
            backend.delete("User", ann.id, expect=wrong)
    with pytest.raises(VersionMismatch):
        backend.update("Group", team.id, Change(relations={"members": Delta(clear=True)}), expect=team.stamp.version)
    with pytest.raises(VersionMismatch):
        backend.delete("Group", team.id, expect=team.stamp.version)
    assert state(backend, registry) == before


@pytest.mark.req("P-3.14-04")
@pytest.mark.parametrize("change", [Change(), Change({"title": "same"}), Change({"nickName": None})], ids=str)
def test_a_no_op_minds_the_expected_version(backend: Backend, change: Change) -> None:
    """A change that would change nothing is refused on a wrong version and keeps the stamp on the right one."""
    ann = backend.create("User", user("ann", title="same"))
    assert backend.update("User", ann.id, change, expect=ann.stamp.version) == ann.stamp
    with pytest.raises(VersionMismatch):
        backend.update("User", ann.id, change, expect=ann.stamp.version + "0")


@pytest.mark.req("P-3.14-04")
def test_a_membership_no_op_minds_the_expected_version(backend: Backend) -> None:
    """A delta that would change nothing is refused on a wrong version and keeps the stamp on the right one."""
    ann = backend.create("User", user("ann"))
    team = backend.create("Group", group("Team", [ann]))
    same = Change(relations={"members": Delta((ann.id,))})
    assert backend.update("Group", team.id, same, expect=team.stamp.version) == team.stamp
    with pytest.raises(VersionMismatch):
        backend.update("Group", team.id, same, expect=team.stamp.version + "0")


def test_the_version_after_a_membership_change(backend: Backend) -> None:
    """A membership change makes the earlier version stale for values too, and the other way round."""
    ann = backend.create("User", user("ann"))
    team = backend.create("Group", group("Team"))
    add, rename = Change(relations={"members": Delta((ann.id,))}), Change({"displayName": "New"})
    second = backend.update("Group", team.id, add, expect=team.stamp.version)
    with pytest.raises(VersionMismatch):
        backend.update("Group", team.id, rename, expect=team.stamp.version)
    third = backend.update("Group", team.id, rename, expect=second.version)
    with pytest.raises(VersionMismatch):
        backend.update("Group", team.id, Change(relations={"members": Delta(clear=True)}), expect=second.version)
    backend.update("Group", team.id, Change(relations={"members": Delta(clear=True)}), expect=third.version)
    assert members(backend, team.id) == set()


def test_a_failed_write_keeps_the_version(backend: Backend, read: Read) -> None:
    """After a refusal the version that was current still is."""
    ann, bob = users(backend, 2)
    team = backend.create("Group", group("Team"))
    with pytest.raises(Duplicate):
        backend.update("User", ann.id, Change({"userName": bob.values["userName"]}), expect=ann.stamp.version)
    with pytest.raises(UnknownReference):
        backend.update("Group", team.id, Change(relations={"members": Delta(("x",))}), expect=team.stamp.version)
    assert read(ann).stamp == ann.stamp
    backend.update("User", ann.id, Change({"title": "x"}), expect=ann.stamp.version)
    backend.update("Group", team.id, Change({"displayName": "x"}), expect=team.stamp.version)


def test_versions_do_not_come_back(backend: Backend) -> None:
    """A resource that returns to earlier values has a version that it never had before."""
    ann = backend.create("User", user("ann", title="a"))
    seen = [ann.stamp.version]
    changes = [Change({"title": title}) for title in ("b", "a", None, "a")]
    seen += [backend.update("User", ann.id, change).version for change in changes]
    assert len(set(seen)) == 5


@pytest.mark.req("P-3.14-04")
@pytest.mark.needs(Capability.ATOMIC_EXPECT)
def test_of_racing_updates_one_wins(backend: Backend, race: Race, read: Read) -> None:
    """Of many updates that expect one version exactly one succeeds, and its value is the one stored."""
    ann = backend.create("User", user("ann"))
    for turn in range(5):
        seen = read(ann).stamp.version
        changes = [Change({"title": f"t{turn}.{n}", "nickName": f"n{n}"}) for n in range(8)]
        results = race([partial(backend.update, "User", ann.id, c, expect=seen) for c in changes])
        wins = [n for n, r in enumerate(results) if isinstance(r, Stamp)]
        assert len(wins) == 1
        assert [type(r) for n, r in enumerate(results) if n not in wins] == [VersionMismatch] * 7
        kept = read(ann)
        assert kept.stamp == results[wins[0]]
        assert (kept.values["title"], kept.values["nickName"]) == (f"t{turn}.{wins[0]}", f"n{wins[0]}")


@pytest.mark.needs(Capability.ATOMIC_EXPECT)
def test_of_racing_membership_changes_one_wins(backend: Backend, race: Race) -> None:
    """Of many deltas that expect one version of a group exactly one is applied."""
    people = users(backend, 8)
    team = backend.create("Group", group("Team"))
    changes = [Change(relations={"members": Delta((p.id,))}) for p in people]
    results = race([partial(backend.update, "Group", team.id, c, expect=team.stamp.version) for c in changes])
    wins = [n for n, r in enumerate(results) if isinstance(r, Stamp)]
    assert len(wins) == 1
    assert [type(r) for n, r in enumerate(results) if n not in wins] == [VersionMismatch] * 7
    assert members(backend, team.id) == {people[wins[0]].id}


@pytest.mark.needs(Capability.ATOMIC_EXPECT)
def test_of_racing_deletes_one_wins(backend: Backend, race: Race) -> None:
    """Of many deletions of one resource exactly one succeeds; the others find nothing."""
    ann = backend.create("User", user("ann"))
    results = race([partial(backend.delete, "User", ann.id, expect=ann.stamp.version)] * 8)
    assert sorted(str(type(r)) for r in results) == sorted(map(str, [type(None)] + [NotFound] * 7))
