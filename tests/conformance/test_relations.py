"""Membership: changed by deltas on the group, read as a stream from both sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from app.scim.query import Change, Delta, Draft, Reference, Resource, ResourceId
from app.scim.registry import Registry
from backends.base import Backend
from backends.errors import UnknownReference
from tests.conformance.helpers import ODD_IDS, found, group, groups, members, state, user, users

Read = Callable[[Resource], Resource]


Member = Resource | ResourceId


def _delta(*, add: Sequence[Member] = (), remove: Sequence[Member] = (), clear: bool = False) -> Change:
    return Change(relations={"members": Delta(_ids(add), _ids(remove), clear)})


def _ids(members: Sequence[Member]) -> tuple[ResourceId, ...]:
    return tuple(m.id if isinstance(m, Resource) else m for m in members)


@pytest.mark.req("S-4.2-04")
def test_a_group_starts_with_its_members(backend: Backend) -> None:
    """The members of a draft are members afterwards, seen from both sides; relations are no values."""
    ann, bob, cat = users(backend, 3)
    team = backend.create("Group", group("Team", [ann, bob]))
    assert dict(team.values) == {"displayName": "Team"}
    assert members(backend, team.id) == {ann.id, bob.id}
    assert [groups(backend, p.id) for p in (ann, bob, cat)] == [{team.id}, {team.id}, set()]


@pytest.mark.req("S-4.2-02")
def test_add_and_remove(backend: Backend, read: Read) -> None:
    """A delta adds and removes what it names and leaves the other members; the group has a new version."""
    ann, bob, cat, dan = users(backend, 4)
    team = backend.create("Group", group("Team", [ann, bob]))
    stamp = backend.update("Group", team.id, _delta(add=[cat, dan], remove=[ann]))
    assert members(backend, team.id) == {bob.id, cat.id, dan.id}
    assert [groups(backend, p.id) for p in (ann, bob, cat)] == [set(), {team.id}, {team.id}]
    assert read(team).stamp == stamp
    assert stamp.version != team.stamp.version


def test_clear(backend: Backend) -> None:
    """A clearing delta takes all members out, and what it adds is all there is afterwards."""
    ann, bob, cat = users(backend, 3)
    team, other = backend.create("Group", group("Team", [ann, bob])), backend.create("Group", group("Other", [ann]))
    backend.update("Group", team.id, _delta(clear=True, add=[bob, cat]))
    assert members(backend, team.id) == {bob.id, cat.id}
    backend.update("Group", team.id, _delta(clear=True))
    assert members(backend, team.id) == set()
    assert members(backend, other.id) == {ann.id}
    backend.update("Group", team.id, _delta(add=[ann]))
    assert members(backend, team.id) == {ann.id}


@pytest.mark.req("S-3.1-18", "P-3.14-06")
def test_what_is_already_so_is_no_change(backend: Backend, read: Read) -> None:
    """Adding members, removing who is none, clearing the empty and replacing by the same keep the stamp."""
    ann, bob, cat = users(backend, 3)
    team, empty = backend.create("Group", group("Team", [ann, bob])), backend.create("Group", group("Empty"))
    no_ops = [
        _delta(add=[ann]),
        _delta(add=[ann, bob], remove=[cat]),
        _delta(remove=[cat]),
        _delta(remove=["unknown", "", "'", "x" * 5000]),
        _delta(clear=True, add=[bob, ann]),
        _delta(clear=True, add=[bob, ann], remove=[cat]),
    ]
    for change in no_ops:
        assert backend.update("Group", team.id, change) == team.stamp
    assert backend.update("Group", empty.id, _delta(clear=True)) == empty.stamp
    assert read(team) == team
    assert members(backend, team.id) == {ann.id, bob.id}


def test_a_member_named_twice_is_one(backend: Backend) -> None:
    """A relation is a set: an id that is named twice, at creation or in a delta, is there once."""
    ann, bob = users(backend, 2)
    team = backend.create("Group", group("Team", [ann, ann]))
    backend.update("Group", team.id, _delta(add=[bob, ann, bob]))
    assert members(backend, team.id) == {ann.id, bob.id}
    backend.update("Group", team.id, _delta(remove=[bob, bob]))
    assert members(backend, team.id) == {ann.id}


def test_changes_of_others_are_kept(backend: Backend) -> None:
    """Partly new additions and partly present removals do what is left to do."""
    ann, bob, cat = users(backend, 3)
    team = backend.create("Group", group("Team", [ann]))
    first = backend.update("Group", team.id, _delta(add=[ann, bob]))
    second = backend.update("Group", team.id, _delta(remove=[cat, ann]))
    assert members(backend, team.id) == {bob.id}
    assert len({team.stamp.version, first.version, second.version}) == 3


@pytest.mark.req("S-2.3.7-04")
def test_unknown_members_are_named_and_refused_whole(backend: Backend, registry: Registry) -> None:
    """Ids of no user, of any shape, are all named by UnknownReference and nothing changes, not even for known ones."""
    ann, bob = users(backend, 2)
    gone = backend.create("User", user("gone"))
    backend.delete("User", gone.id)
    team = backend.create("Group", group("Team", [ann]))
    before = state(backend, registry)
    unknown = [*ODD_IDS, gone.id, bob.id + " ", bob.id[:-1]]
    attempts: list[Callable[[], object]] = [
        lambda: backend.update("Group", team.id, _delta(add=[bob, *unknown])),
        lambda: backend.update("Group", team.id, _delta(clear=True, add=[*unknown, bob])),
        lambda: backend.create("Group", group("New", [bob, *unknown])),
    ]
    for attempt in attempts:
        with pytest.raises(UnknownReference) as refusal:
            attempt()
        assert refusal.value.relation == "members"
        assert sorted(refusal.value.ids) == sorted(unknown)
        assert state(backend, registry) == before


@pytest.mark.req("S-4.2-05")
def test_a_group_is_no_member(backend: Backend) -> None:
    """The id of a group, also the group's own, is an unknown member."""
    team, other = backend.create("Group", group("Team")), backend.create("Group", group("Other"))
    for wrong in (team.id, other.id):
        with pytest.raises(UnknownReference) as refusal:
            backend.update("Group", team.id, _delta(add=[wrong]))
        assert refusal.value.ids == (wrong,)
    assert members(backend, team.id) == set()


@pytest.mark.req("S-4.2-08", "P-3.6-03")
def test_a_deleted_user_is_in_no_group(backend: Backend, read: Read) -> None:
    """Deleting a user takes it out of its groups, which have new versions; the others keep theirs."""
    ann, bob = users(backend, 2)
    teams = [backend.create("Group", group(f"T{n}", chosen)) for n, chosen in enumerate(([ann, bob], [ann], [bob]))]
    backend.delete("User", ann.id)
    assert [members(backend, t.id) for t in teams] == [{bob.id}, set(), {bob.id}]
    moved = [read(t).stamp.version != t.stamp.version for t in teams]
    assert moved == [True, True, False]
    assert list(backend.related("User", [ann.id], "groups")) == []


@pytest.mark.req("P-3.6-03")
def test_a_deleted_group_is_in_no_user(backend: Backend, read: Read) -> None:
    """Deleting a group takes it from its members, who are unchanged otherwise."""
    ann, bob = users(backend, 2)
    team, other = backend.create("Group", group("Team", [ann, bob])), backend.create("Group", group("Other", [ann]))
    backend.delete("Group", team.id)
    assert (groups(backend, ann.id), groups(backend, bob.id)) == ({other.id}, set())
    assert list(backend.related("Group", [team.id], "members")) == []
    assert [read(p) for p in (ann, bob)] == [ann, bob]


def test_membership_does_not_move_the_users_stamp(backend: Backend, read: Read) -> None:
    """Being added to and removed from groups leaves a user's version and time of modification."""
    ann, bob = users(backend, 2)
    team = backend.create("Group", group("Team", [ann]))
    backend.update("Group", team.id, _delta(add=[bob], remove=[ann]))
    backend.update("Group", team.id, Change({"displayName": "Renamed"}))
    backend.delete("Group", team.id)
    assert [read(p) for p in (ann, bob)] == [ann, bob]


def test_values_and_members_change_in_one_step(backend: Backend, read: Read) -> None:
    """One change may hold values and deltas; it gives one new version."""
    ann, bob = users(backend, 2)
    team = backend.create("Group", group("Team", [ann]))
    change = Change({"displayName": "New", "externalId": "G"}, {"members": Delta((bob.id,), (ann.id,))})
    stamp = backend.update("Group", team.id, change)
    assert dict(read(team).values) == {"displayName": "New", "externalId": "G"}
    assert read(team).stamp == stamp
    assert members(backend, team.id) == {bob.id}


def test_references_tell_kind_and_display(backend: Backend) -> None:
    """A reference carries kind, id and the current display name of the far end, None where it has none."""
    ann = backend.create("User", user("ann", displayName="Ann É"))
    bob = backend.create("User", user("bob"))
    team = backend.create("Group", group('Team "A"', [ann, bob]))
    far = {r for _, r in backend.related("Group", [team.id], "members")}
    assert far == {Reference(ann.id, "User", "Ann É"), Reference(bob.id, "User", None)}
    assert [r for _, r in backend.related("User", [bob.id], "groups")] == [Reference(team.id, "Group", 'Team "A"')]
    backend.update("User", ann.id, Change({"displayName": "Ann Two"}))
    backend.update("Group", team.id, Change({"displayName": "B"}))
    assert Reference(ann.id, "User", "Ann Two") in {r for _, r in backend.related("Group", [team.id], "members")}
    assert [r for _, r in backend.related("User", [ann.id], "groups")] == [Reference(team.id, "Group", "B")]


def test_many_are_asked_at_once(backend: Backend) -> None:
    """One call reads the relation of many resources, passing over unknown ids and empty relations."""
    people = users(backend, 12)
    teams = [backend.create("Group", group(f"T{n}", people[:n])) for n in range(6)]
    asked = [teams[5].id, "unknown", *ODD_IDS, teams[0].id, people[0].id, teams[2].id]
    pairs = [(near, far.id) for near, far in backend.related("Group", asked, "members")]
    assert len(pairs) == len(set(pairs)) == 7
    assert set(pairs) == {(teams[n].id, p.id) for n in (5, 2) for p in people[:n]}
    inverse = {(near, far.id) for near, far in backend.related("User", [p.id for p in people], "groups")}
    assert inverse == {(p.id, teams[n].id) for n in range(6) for p in people[:n]}
    assert list(backend.related("Group", [], "members")) == []


def test_order_is_stable(backend: Backend) -> None:
    """Two reads of a relation that did not change give one order."""
    team = backend.create("Group", group("Team", users(backend, 40)))
    once, twice = (list(backend.related("Group", [team.id], "members")) for _ in range(2))
    assert once == twice


def test_a_stream_may_be_left_unread(backend: Backend) -> None:
    """A stream that is dropped after its first pair holds nothing up: the group can be changed and deleted at once."""
    people = users(backend, 5)
    team = backend.create("Group", group("Team", people))
    stream = backend.related("Group", [team.id], "members")
    next(iter(stream))
    backend.update("Group", team.id, _delta(remove=[people[0]]))
    del stream
    backend.delete("Group", team.id)
    assert found(backend, "Group", None) == set()


def test_members_of_a_user_that_was_created_again(backend: Backend) -> None:
    """A user created again after deletion is in none of the groups of its predecessor."""
    old = backend.create("User", user("ann"))
    team = backend.create("Group", group("Team", [old]))
    backend.delete("User", old.id)
    new = backend.create("User", Draft({"userName": "ann"}))
    assert groups(backend, new.id) == members(backend, team.id) == set()
