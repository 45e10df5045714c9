"""Retired users: out of sight of everything but what is there for them, and back as they were."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from app.scim.query import Change, Delta, Draft, Resource, ResourceId, Value, Window
from app.scim.registry import Registry
from backends.base import Backend, Capability
from backends.errors import Duplicate, NotFound, UnknownReference, VersionMismatch
from tests.conformance.conftest import Race
from tests.conformance.helpers import (
    DEPARTMENT,
    EVERYTHING,
    HOSTILE,
    MANAGER,
    MANAGER_NAME,
    ODD_IDS,
    found,
    group,
    groups,
    members,
    state,
    user,
    users,
)
from tests.support.values import full_user

pytestmark = pytest.mark.needs(Capability.RETIRE)

NOTHING: frozenset[str] = frozenset()
NAMES = frozenset({"userName", "emails"})
Read = Callable[[Resource], Resource]


def retired(backend: Backend, names: list[str] | None = None) -> list[ResourceId]:
    """The ids of the retired users, in their order, as many as the total says."""
    page = backend.retired("User", NOTHING, names, Window(1, EVERYTHING))
    assert page.total == len(page.items)
    return [item.id for item in page.items]


def emails(*addresses: str) -> list[Value]:
    """Values of `emails`."""
    return [{"value": address, "type": "work"} for address in addresses]


def test_a_retired_user_is_not_there(backend: Backend, registry: Registry) -> None:
    """No call knows the id any more, but those that are for retired users."""
    ann, bob = users(backend, 2)
    backend.create("Group", group("Team", [ann, bob]))
    assert retired(backend) == []
    backend.retire("User", ann.id)
    with pytest.raises(NotFound):
        backend.get("User", ann.id, NOTHING)
    with pytest.raises(NotFound):
        backend.update("User", ann.id, Change({"title": "x"}))
    with pytest.raises(NotFound):
        backend.delete("User", ann.id)
    with pytest.raises(NotFound):
        backend.retire("User", ann.id)
    with pytest.raises(NotFound):
        backend.retire("User", ann.id, expect=ann.stamp.version)
    assert found(backend, "User", None) == {bob.id}
    assert list(backend.related("User", [ann.id], "groups")) == []
    with pytest.raises(UnknownReference) as refusal:
        backend.create("Group", group("Other", [ann]))
    assert refusal.value.ids == (ann.id,)
    assert retired(backend) == [ann.id]
    assert set(state(backend, registry, ("User",))) == {bob.id}


def test_what_referred_to_a_retired_user(backend: Backend, read: Read) -> None:
    """Groups have lost it and those that it managed have no manager; all of them have another version, and others
    have the same."""
    ann, bob, cid = users(backend, 3)
    backend.update("User", bob.id, Change({MANAGER: ann.id}))
    one = backend.create("Group", group("One", [ann, bob]))
    two = backend.create("Group", group("Two", [ann]))
    other = backend.create("Group", group("Other", [bob]))
    before = {resource.id: read(resource) for resource in (bob, cid, one, two, other)}
    assert before[bob.id].values[MANAGER] == ann.id
    backend.retire("User", ann.id)
    after = {id: read(resource) for id, resource in before.items()}
    assert MANAGER not in after[bob.id].values
    assert [members(backend, g.id) for g in (one, two, other)] == [{bob.id}, set(), {bob.id}]
    moved = {id for id, resource in after.items() if resource.stamp != before[id].stamp}
    assert moved == {bob.id, one.id, two.id}


def test_retired_users_show_what_they_had(backend: Backend, registry: Registry) -> None:
    """Every value is there as it was, apart from what follows from others; the time is that of retiring."""
    slack = timedelta(seconds=2)
    draft = full_user(registry, "full@corp.example")
    full = backend.create("User", Draft({s: v for s, v in draft.values.items() if s != MANAGER}))
    earliest = datetime.now(UTC) - slack
    backend.retire("User", full.id)
    readable = registry.type("User").readable
    (kept,) = backend.retired("User", readable).items
    assert (kept.kind, kept.id, kept.created) == ("User", full.id, full.created)
    assert dict(kept.values) == {slot: value for slot, value in full.values.items() if slot in readable}
    assert earliest <= kept.stamp.modified <= datetime.now(UTC) + slack
    (some,) = backend.retired("User", frozenset({"title", "nickName"})).items
    assert dict(some.values) == {slot: full.values[slot] for slot in ("title", "nickName")}


def test_retired_users_are_found_by_name_and_address(backend: Backend) -> None:
    """Each userName and each e-mail address counts, of whatever case and width, whole and nothing else."""
    ann = backend.create("User", user("Ann@corp.example", emails=emails("a.one@corp.example", "A.Two@corp.example")))
    bob = backend.create("User", user("bob", displayName="Ann@corp.example", emails=emails("shared@corp.example")))
    cid = backend.create("User", user("Ｃid", emails=emails("SHARED@corp.example")))
    live = backend.create("User", user("live", emails=emails("shared@corp.example")))
    for person in (ann, bob, cid):
        backend.retire("User", person.id)
    assert retired(backend, ["ann@CORP.example"]) == [ann.id]
    assert retired(backend, ["A.ONE@corp.example"]) == retired(backend, ["a.two@corp.example"]) == [ann.id]
    assert retired(backend, ["Shared@corp.example"]) == [bob.id, cid.id]
    assert retired(backend, ["cid"]) == retired(backend, ["CID", "nobody"]) == [cid.id]
    assert retired(backend, ["bob", "ann@corp.example", "a.one@corp.example"]) == [ann.id, bob.id]
    for names in ([], [""], ["ann"], ["corp.example"], ["live"], ["Ann@corp.example "], ["\0"], ["\ud800"], *HOSTILE):
        assert retired(backend, list(names)) == []
    assert found(backend, "User", None) == {live.id}


def test_hostile_names_are_found(backend: Backend) -> None:
    """Wildcards, quotes and escapes in a userName or an address stand for themselves."""
    made = {}
    for n, text in enumerate(HOSTILE):
        made[text] = backend.create("User", user(text, emails=emails(f"{text}@x")))
        other = backend.create("User", user(f"other{n}", emails=emails(f"other{n}@x")))
        backend.retire("User", made[text].id)
        backend.retire("User", other.id)
    for text, resource in made.items():
        same = [made[t].id for t in HOSTILE if t.lower() == text.lower()]
        assert retired(backend, [text]) == same == [resource.id]
        assert retired(backend, [f"{text}@x"]) == [resource.id]


def test_order_windows_and_totals(backend: Backend) -> None:
    """First come those that were retired first, whenever they were made; every window is part of that order and tells
    the whole number."""
    people = users(backend, 7)
    order = [people[n].id for n in (3, 0, 6, 1, 5)]
    for id in order:
        backend.retire("User", id)
    times = [item.stamp.modified for item in backend.retired("User", NOTHING).items]
    assert retired(backend) == order
    assert times == sorted(times)
    for start in (-1, 0, 1, 2, 4, 5, 6, 99):
        for count in (-1, 0, 1, 2, 5, 99):
            page = backend.retired("User", NOTHING, None, Window(start, count))
            first = max(start, 1) - 1
            assert page.total == 5
            assert [item.id for item in page.items] == order[first : first + max(count, 0)]
    chosen = ["user3@corp.example", "user6@corp.example", "user1@corp.example", "user2@corp.example"]
    page = backend.retired("User", frozenset({"userName"}), chosen, Window(2, 1))
    assert page.total == 3
    assert [item.values["userName"] for item in page.items] == ["user6@corp.example"]


def test_back_as_it_was(backend: Backend, read: Read, registry: Registry) -> None:
    """A user comes back under its id with its time of creation and all its values, in a version that it never had."""
    boss = backend.create("User", user("boss", displayName="The Boss"))
    draft = full_user(registry, "full@corp.example")
    full = backend.create("User", Draft({**draft.values, MANAGER: boss.id}))
    before = read(full)
    backend.retire("User", full.id)
    restored = backend.restore("User", full.id, Change())
    assert read(full) == restored
    assert (restored.id, restored.created) == (full.id, full.created)
    assert dict(restored.values) == dict(before.values)
    assert restored.values[MANAGER_NAME] == "The Boss"
    assert restored.stamp.version not in (full.stamp.version, before.stamp.version)
    assert retired(backend) == []
    with pytest.raises(NotFound):
        backend.restore("User", full.id, Change())
    assert found(backend, "User", None) == {boss.id, full.id}
    stamp = backend.update("User", full.id, Change({"title": "changed"}), expect=restored.stamp.version)
    assert read(full).stamp == stamp


@pytest.mark.parametrize("active", [True, False, None], ids=str)
def test_active_comes_back(backend: Backend, read: Read, active: bool | None) -> None:
    """Who was active is active again and who was not is not; nothing is made of no value."""
    values = {} if active is None else {"active": active}
    ann = backend.create("User", user("ann", **values))
    backend.retire("User", ann.id)
    shown = backend.retired("User", frozenset({"active"})).items[0].values
    restored = backend.restore("User", ann.id, Change())
    assert shown == values
    assert {slot: value for slot, value in restored.values.items() if slot == "active"} == values
    assert read(ann) == restored


@pytest.mark.parametrize("before", [True, False, None], ids=str)
@pytest.mark.parametrize("after", [True, False], ids=str)
def test_active_may_change_on_the_way(backend: Backend, read: Read, before: bool | None, after: bool) -> None:
    """The change decides, whatever was before."""
    ann = backend.create("User", user("ann", **({} if before is None else {"active": before})))
    backend.retire("User", ann.id)
    assert backend.restore("User", ann.id, Change({"active": after})).values["active"] is after
    assert read(ann).values["active"] is after


def test_back_with_a_change(backend: Backend, read: Read) -> None:
    """Values of the change are there and what it takes away is not; all others are as they were."""
    boss = backend.create("User", user("boss"))
    draft = user("ann", title="Dr", nickName="A", displayName="Ann", emails=emails("ann@corp.example"))
    ann = backend.create("User", Draft({**draft.values, DEPARTMENT: "R&D", "active": True}))
    backend.retire("User", ann.id)
    change = {
        "userName": "Ann.New",
        "title": None,
        "emails": emails("new@corp.example", "ann@corp.example"),
        "name.givenName": "Ann",
        MANAGER: boss.id,
        "active": True,
    }
    restored = backend.restore("User", ann.id, Change(change))
    expected = {**draft.values, DEPARTMENT: "R&D", **{s: v for s, v in change.items() if v is not None}}
    del expected["title"]
    # What the manager is called follows from there.
    kept = {slot: value for slot, value in restored.values.items() if slot in expected}
    assert kept == expected
    assert "title" not in restored.values
    assert read(ann) == restored
    backend.create("User", user("ann"))
    with pytest.raises(Duplicate):
        backend.create("User", user("ann.new"))


def test_groups_and_references_do_not_come_back(backend: Backend, read: Read) -> None:
    """A user who is back is in no group and manages nobody, and who managed it before and is gone does not."""
    boss, ann, bob = users(backend, 3)
    backend.update("User", ann.id, Change({MANAGER: boss.id}))
    backend.update("User", bob.id, Change({MANAGER: ann.id}))
    team = backend.create("Group", group("Team", [ann, bob]))
    backend.retire("User", ann.id)
    backend.retire("User", boss.id)
    stamp = read(team).stamp
    restored = backend.restore("User", ann.id, Change())
    assert MANAGER not in restored.values
    assert MANAGER not in read(bob).values
    backend.restore("User", boss.id, Change())
    assert MANAGER not in read(ann).values
    assert groups(backend, ann.id) == set()
    assert members(backend, team.id) == {bob.id}
    assert read(team).stamp == stamp
    backend.update("Group", team.id, Change(relations={"members": Delta((ann.id,))}))
    assert members(backend, team.id) == {ann.id, bob.id}


def test_back_as_its_own_manager(backend: Backend, read: Read) -> None:
    """A change may name the user itself."""
    ann = backend.create("User", user("ann", displayName="Ann"))
    backend.retire("User", ann.id)
    restored = backend.restore("User", ann.id, Change({MANAGER: ann.id, "title": "x"}))
    assert (restored.values[MANAGER], restored.values[MANAGER_NAME]) == (ann.id, "Ann")
    assert read(ann) == restored


def test_the_name_is_free_meanwhile(backend: Backend, read: Read) -> None:
    """Another user may have the name and the address. As long as it does, the first one can't come back under it; it
    can under another one."""
    ann = backend.create("User", user("ann", emails=emails("ann@corp.example"), displayName="First"))
    backend.retire("User", ann.id)
    second = backend.create("User", user("ANN", emails=emails("ann@corp.example"), displayName="Second"))
    assert second.id != ann.id
    for change in (Change(), Change({"title": "x", "userName": "Ann"})):
        with pytest.raises(Duplicate) as refusal:
            backend.restore("User", ann.id, change)
        assert refusal.value.attribute == "userName"
    assert read(second) == second
    assert retired(backend, ["ann"]) == [ann.id]
    (kept,) = backend.retired("User", frozenset({"userName", "displayName", "title"})).items
    assert dict(kept.values) == {"userName": "ann", "displayName": "First"}
    restored = backend.restore("User", ann.id, Change({"userName": "ann2"}))
    assert (restored.values["userName"], restored.values["displayName"]) == ("ann2", "First")
    assert found(backend, "User", None) == {ann.id, second.id}
    assert read(second) == second


def test_several_of_one_name_are_retired(backend: Backend, read: Read) -> None:
    """Users that had one name after the other are all retired, are told apart by their ids, and each can come back."""
    people = []
    for n in range(4):
        people.append(backend.create("User", user("ann", title=f"t{n}", emails=emails("ann@corp.example"))))
        backend.retire("User", people[-1].id)
    ids = [p.id for p in people]
    assert len(set(ids)) == 4
    assert retired(backend, ["ann"]) == retired(backend, ["ann@corp.example"]) == ids
    kept = backend.retired("User", frozenset({"userName", "title"})).items
    assert [dict(item.values) for item in kept] == [{"userName": "ann", "title": f"t{n}"} for n in range(4)]
    for n in (2, 0, 3):
        restored = backend.restore("User", ids[n], Change())
        assert dict(restored.values) == {"userName": "ann", "title": f"t{n}", "emails": emails("ann@corp.example")}
        assert read(people[n]) == restored
        backend.retire("User", ids[n])
    assert retired(backend) == [ids[1], ids[2], ids[0], ids[3]]


def test_retiring_again_and_again(backend: Backend, read: Read) -> None:
    """A user can go and come back any number of times; nothing of it changes and no version comes twice."""
    ann = backend.create("User", user("ann", title="Dr", active=True, emails=emails("ann@corp.example")))
    versions = {ann.stamp.version}
    for n in range(1, 4):
        backend.retire("User", ann.id)
        restored = backend.restore("User", ann.id, Change())
        versions.add(restored.stamp.version)
        assert restored.values == ann.values
        assert read(ann) == restored
        assert len(versions) == n + 1


def test_purging(backend: Backend) -> None:
    """A purged user is nowhere; others that are retired, and those that are not, stay."""
    ann, bob, cid = users(backend, 3)
    backend.retire("User", ann.id)
    backend.retire("User", bob.id)
    backend.purge("User", ann.id)
    assert retired(backend) == [bob.id]
    assert retired(backend, ["user0@corp.example"]) == []
    for call in (backend.purge, partial(backend.restore, change=Change()), backend.retire, backend.delete):
        with pytest.raises(NotFound):
            call("User", ann.id)
    with pytest.raises(NotFound):
        backend.purge("User", cid.id)
    assert found(backend, "User", None) == {cid.id}
    assert backend.create("User", user("user0@corp.example")).id != ann.id


@pytest.mark.parametrize("call", ["retire", "restore", "purge"])
def test_odd_ids_are_not_found(backend: Backend, call: str) -> None:
    """An id of any shape, and that of a group or of a user that is there, is NotFound where it is no such user's."""
    ann = backend.create("User", user("ann"))
    team = backend.create("Group", group("Team"))
    calls: dict[str, Callable[[ResourceId], Any]] = {
        "retire": lambda id: backend.retire("User", id),
        "restore": lambda id: backend.restore("User", id, Change({"title": "x"})),
        "purge": lambda id: backend.purge("User", id),
    }
    for id in (*ODD_IDS, team.id, *(() if call == "retire" else (ann.id,))):
        with pytest.raises(NotFound):
            calls[call](id)
    assert found(backend, "User", None) == {ann.id}
    assert found(backend, "Group", None) == {team.id}


def test_expected_versions(backend: Backend, registry: Registry) -> None:
    """Who expects a version that is not the present one retires nobody, and changes nothing; with the present one it
    is done."""
    ann, bob = users(backend, 2)
    backend.update("User", bob.id, Change({MANAGER: ann.id}))
    backend.create("Group", group("Team", [ann]))
    current = backend.update("User", ann.id, Change({"title": "x"}))
    before = state(backend, registry)
    for wrong in (ann.stamp.version, *ODD_IDS):
        if wrong == current.version:
            continue
        with pytest.raises(VersionMismatch):
            backend.retire("User", ann.id, expect=wrong)
    assert state(backend, registry) == before
    assert retired(backend) == []
    backend.retire("User", ann.id, expect=current.version)
    assert retired(backend) == [ann.id]


@pytest.mark.needs(Capability.ATOMIC_EXPECT)
def test_of_retiring_and_a_change_of_one_version_one_succeeds(backend: Backend, race: Race) -> None:
    """A user that was changed after it was read is not retired, and one that is retired is not changed."""
    for turn in range(8):
        ann = backend.create("User", user(f"ann{turn}"))
        expect = ann.stamp.version
        gone, changed = race(
            [
                partial(backend.retire, "User", ann.id, expect=expect),
                partial(backend.update, "User", ann.id, Change({"title": "x"}), expect=expect),
            ]
        )
        assert (type(gone).__name__, type(changed).__name__) in {
            ("NoneType", "NotFound"),
            ("NoneType", "VersionMismatch"),
            ("VersionMismatch", "Stamp"),
        }
        assert found(backend, "User", None) == (set() if gone is None else {ann.id})
        if gone is not None:
            backend.retire("User", ann.id)
        kept = backend.retired("User", frozenset({"title"}), [f"ann{turn}"]).items
        assert [dict(item.values) for item in kept] == [{} if gone is None else {"title": "x"}]


def test_of_parallel_calls_one_succeeds(backend: Backend, race: Race) -> None:
    """Of calls that retire a user at one moment one succeeds and the others find nothing; so it is with those that
    restore it, and with those that purge it."""
    ann = backend.create("User", user("ann"))
    backend.create("Group", group("Team", [ann]))
    expected = ["NotFound"] * 4
    for _ in range(3):
        outcomes = race([partial(backend.retire, "User", ann.id)] * 5)
        assert sorted(type(r).__name__ for r in outcomes) == sorted(["NoneType", *expected])
        assert retired(backend) == [ann.id]
        outcomes = race([partial(backend.restore, "User", ann.id, Change({"title": "x"}))] * 5)
        assert sorted(type(r).__name__ for r in outcomes) == sorted(["Resource", *expected])
        assert found(backend, "User", None) == {ann.id}
    backend.retire("User", ann.id)
    outcomes = race([partial(backend.purge, "User", ann.id)] * 5)
    assert sorted(type(r).__name__ for r in outcomes) == sorted(["NoneType", *expected])
    assert retired(backend) == []


@pytest.mark.needs(Capability.ATOMIC_UNIQUENESS)
def test_of_a_return_and_a_new_user_of_one_name_one_succeeds(backend: Backend, race: Race) -> None:
    """Of a user who comes back and a new one of that name at one moment, one is there and the other is a Duplicate."""
    for turn in range(6):
        ann = backend.create("User", user(f"ann{turn}"))
        backend.retire("User", ann.id)
        outcomes = race(
            [
                partial(backend.restore, "User", ann.id, Change()),
                partial(backend.create, "User", user(f"Ann{turn}")),
            ]
        )
        assert sorted(type(r).__name__ for r in outcomes) == ["Duplicate", "Resource"]
        there = next(r for r in outcomes if isinstance(r, Resource))
        assert found(backend, "User", None) == {there.id}
        assert retired(backend) == ([] if there.id == ann.id else [ann.id])
        backend.delete("User", there.id)
        if there.id != ann.id:
            backend.purge("User", ann.id)


def test_members_of_users_that_are_being_retired(backend: Backend, race: Race) -> None:
    """When users are retired while they are added to groups, in the end no group has one of them, nor has it when they
    are back."""
    people = [p.id for p in users(backend, 12)]
    teams = [backend.create("Group", group(f"T{n}", people[:4])) for n in range(2)]

    def add(team: Resource) -> None:
        for person in people:
            try:
                backend.update("Group", team.id, Change(relations={"members": Delta((person,))}))
            except UnknownReference as refusal:
                assert refusal.ids == (person,)

    def go() -> None:
        for person in people[:6]:
            backend.retire("User", person)

    assert race([*(partial(add, team) for team in teams), go]) == [None] * 3
    assert retired(backend) == people[:6]
    assert all(members(backend, team.id) == set(people[6:]) for team in teams)
    for person in people[:6]:
        backend.restore("User", person, Change())
    assert all(members(backend, team.id) == set(people[6:]) for team in teams)


def test_many_retired_users_cost_the_others_nothing(
    backend: Backend, cost: Callable[[Callable[[], object]], dict[str, int]]
) -> None:
    """A search does the same work whether or not there are retired users."""
    users(backend, 3)

    def look() -> None:
        assert len(found(backend, "User", None)) == 3

    look()
    before = cost(look)
    for person in users(backend, 10, "gone"):
        backend.retire("User", person.id)
    assert cost(look) == before
