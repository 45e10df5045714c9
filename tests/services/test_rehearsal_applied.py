"""What applying a rehearsal makes of passwords, leavers, names, adoptions and members who are gone, and of what is
changed while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.control import Wanted
from app.scim.query import Change, Delta, Draft, Query, Resource
from backends.base import Backend
from tests.conformance.helpers import MANAGER, group, members, user, users
from tests.services.rehearsing import NOTHING, WHO, Stage, found, staged


@pytest.fixture
def stage(store: Callable[[], Backend], tmp_path: Path) -> Iterator[Stage]:
    """An empty one."""
    with staged(store(), tmp_path) as stage:
        yield stage


def names(stage: Stage, team: Resource) -> set[str]:
    """The names of those whom the store has in a group."""
    found = (stage.store.get("User", id, frozenset({"userName"})) for id in members(stage.store, team.id))
    return {str(resource.values["userName"]) for resource in found}


def retired(backend: Backend, want: frozenset[str]) -> list[dict[str, Any]]:
    """What is wanted of those who left, by name."""
    found = (dict(resource.values) for resource in backend.retired("User", want).items)
    return sorted(found, key=lambda values: str(values["userName"]))


def test_a_password_that_is_removed(stage: Stage) -> None:
    """It is a change as long as there may be one, which is shown and made, also where one was set before."""
    ann = stage.store.create("User", user("ann", password="correct-horse"))
    view = stage.view
    new = view.create("User", user("new"))
    assert view.update("User", new.id, Change({"password": None})).version == new.stamp.version
    first = view.update("User", ann.id, Change({"password": None}))
    assert first.version != ann.stamp.version
    assert view.update("User", ann.id, Change({"password": None})).version == first.version
    view.update("User", ann.id, Change({"password": "another-horse"}))
    view.update("User", ann.id, Change({"password": None}))
    told = {item.name: (item.action, dict(item.after), item.secrets) for item in stage.items()}
    assert told["ann"] == ("update", {"password": None}, ())
    assert told["new"] == ("create", {"userName": "new"}, ())
    assert stage.results() == {"ann": "applied: ", "new": "applied: "}
    # Removed again it would be in the same version, for there is none any more.
    now = stage.store.get("User", ann.id, NOTHING).stamp.version
    assert now != ann.stamp.version
    assert stage.store.update("User", ann.id, Change({"password": None})).version == now
    assert stage.control.rehearsal.counts() == {}


def test_the_record_of_a_leaver_has_what_it_was(stage: Stage) -> None:
    """As that of a deletion has: with the changes that were made right before, and as the store has it."""
    boss, ann, bob = users(stage.store, 3)
    view = stage.view
    new = view.create("User", Draft({"userName": "new", "title": "Clerk"}))
    view.update("User", ann.id, Change({"title": "Head", MANAGER: boss.id}))
    for one in (new, ann):
        view.retire("User", one.id)
    view.delete("User", bob.id)
    assert set(stage.results().values()) == {"applied: "}
    records = list(stage.control.audit.records(Wanted()))
    ends = {r.name: orjson.loads(r.changes) for r in records if r.operation in ("retire", "delete")}
    display = {"displayName": "User 1", "userName": "user1@corp.example"}
    assert ends["user1@corp.example"]["before"] == {**display, "title": "Head", MANAGER: boss.id}
    assert ends["user2@corp.example"]["before"] == {"displayName": "User 2", "userName": "user2@corp.example"}
    assert ends["new"]["before"] == {"title": "Clerk", "userName": "new"}
    assert ends["new"]["after"] == {"title": None, "userName": None}


def test_a_name_of_one_who_leaves(stage: Stage) -> None:
    """Who takes it comes after the leaver, also where that had it in the rehearsal only, or was restored for that."""
    one, two, three, back = (stage.store.create("User", user(name)) for name in ("one", "two", "three", "back"))
    stage.store.retire("User", back.id)
    view = stage.view
    view.update("User", one.id, Change({"userName": "taken"}))
    view.retire("User", one.id)
    view.update("User", two.id, Change({"userName": "taken"}))
    new = view.create("User", user("new"))
    view.retire("User", new.id)
    view.update("User", three.id, Change({"userName": "new"}))
    view.restore("User", back.id, Change({"title": "x"}))
    view.retire("User", back.id)
    view.create("User", user("back"))
    assert {outcome.result.value for outcome in stage.apply()} == {"applied"}
    assert (found(stage.store, "taken").id, found(stage.store, "new").id) == (two.id, three.id)
    assert stage.control.rehearsal.counts() == {}


def test_a_name_that_several_leave_with(stage: Stage) -> None:
    """Each comes and leaves before the next one, and nobody stays."""
    view = stage.view
    for name in ("one", "two", "three"):
        new = view.create("User", Draft({"userName": name, "title": name}))
        view.update("User", new.id, Change({"userName": "shared"}))
        view.retire("User", new.id)
    assert [action for action, _, _ in stage.told()] == ["create", "retire"] * 3
    assert {outcome.result.value for outcome in stage.apply()} == {"applied"}
    assert stage.store.search("User", Query(NOTHING)).total == 0
    assert [user["userName"] for user in retired(stage.store, frozenset({"userName"}))] == ["shared"] * 3
    assert stage.control.rehearsal.counts() == {}


def test_who_comes_back_needs_the_name(stage: Stage) -> None:
    """Who has the name of one who is restored gives it up first."""
    back = stage.store.create("User", user("back"))
    stage.store.retire("User", back.id)
    other = stage.store.create("User", user("back"))
    stage.view.update("User", other.id, Change({"userName": "other"}))
    stage.view.restore("User", back.id, Change())
    assert stage.told() == [("update", "User", "other"), ("restore", "User", "back")]
    assert set(stage.results().values()) == {"applied: "}


def test_a_leaver_who_is_its_own_manager(stage: Stage) -> None:
    """Leaves without a manager, as in any store, and is applied at once."""
    ann = stage.store.create("User", user("ann"))
    stage.store.update("User", ann.id, Change({MANAGER: ann.id}))
    new = stage.view.create("User", user("new"))
    stage.view.update("User", new.id, Change({MANAGER: new.id}))
    for one in (ann, new):
        stage.view.retire("User", one.id)
    want = frozenset({"userName", MANAGER})
    wanted = [{"userName": "ann"}, {"userName": "new"}]
    assert retired(stage.view, want) == wanted
    assert [(o.item.action, o.result.value) for o in stage.apply()] == [
        ("create", "applied"), ("retire", "applied"), ("retire", "applied"),
    ]  # fmt: skip
    for left in stage.store.retired("User", want).items:
        assert MANAGER not in stage.store.restore("User", left.id, Change()).values


def test_a_manager_who_has_left_before(stage: Stage) -> None:
    """Who is given one keeps it, as the client sees it, and who had one before does not."""
    boss, ann, bob = users(stage.store, 3)
    stage.store.update("User", bob.id, Change({MANAGER: boss.id}))
    view = stage.view
    view.retire("User", boss.id)
    view.update("User", ann.id, Change({MANAGER: boss.id}))
    new = view.create("User", Draft({"userName": "new", MANAGER: boss.id}))
    want = frozenset({MANAGER})
    assert view.get("User", new.id, want).values == {MANAGER: boss.id}
    assert set(stage.results().values()) == {"applied: "}
    for name in ("user1@corp.example", "new"):
        assert found(stage.store, name).values == {MANAGER: boss.id}
    assert found(stage.store, "user2@corp.example").values == {}


def test_whose_manager_leaves_first(stage: Stage) -> None:
    """Who is given another one is no conflict where the one before has left already, for somebody waits for its name;
    the record has what was there then."""
    boss, ann, bob, cid = users(stage.store, 4)
    stage.store.update("User", ann.id, Change({MANAGER: boss.id}))
    view = stage.view
    view.update("User", bob.id, Change({"title": "Boss"}))
    view.update("User", ann.id, Change({MANAGER: cid.id}))
    view.retire("User", boss.id)
    view.update("User", bob.id, Change({"userName": "user0@corp.example"}))
    assert [name for _, _, name in stage.told()] == ["user0@corp.example", "user0@corp.example", "user1@corp.example"]
    assert set(stage.results().values()) == {"applied: "}
    assert found(stage.store, "user1@corp.example").values == {MANAGER: cid.id}
    (record,) = (r for r in stage.control.audit.records(Wanted()) if r.resource_id == ann.id)
    changes = orjson.loads(record.changes)
    assert (changes["before"], changes["after"]) == ({MANAGER: None}, {MANAGER: cid.id})


def test_managers_of_each_other(stage: Stage) -> None:
    """One who comes back gets the new manager as soon as the store has that."""
    back = stage.store.create("User", user("back"))
    stage.store.retire("User", back.id)
    view = stage.view
    view.restore("User", back.id, Change({"title": "x"}))
    new = view.create("User", Draft({"userName": "new", MANAGER: back.id}))
    view.update("User", back.id, Change({MANAGER: new.id}))
    assert [(o.item.action, o.item.name, o.result.value) for o in stage.apply()] == [
        ("restore", "back", "applied"), ("create", "new", "applied"), ("update", "back", "applied"),
    ]  # fmt: skip
    assert found(stage.store, "back").values == {"title": "x", MANAGER: found(stage.store, "new").id}
    assert stage.control.rehearsal.counts() == {}


def test_who_leaves_after_its_manager(stage: Stage) -> None:
    """Is kept without one, as it was when it left."""
    boss, ann = users(stage.store, 2)
    stage.store.update("User", ann.id, Change({MANAGER: boss.id}))
    for one in (boss, ann):
        stage.view.retire("User", one.id)
    assert stage.told() == [("retire", "User", "user0@corp.example"), ("retire", "User", "user1@corp.example")]
    assert set(stage.results().values()) == {"applied: "}
    kept = retired(stage.store, frozenset({"userName", MANAGER}))
    assert kept == [{"userName": "user0@corp.example"}, {"userName": "user1@corp.example"}]


@pytest.mark.parametrize("way", ["member", "user"])
def test_all_members_are_sent_of_a_group_that_moved(stage: Stage, way: str) -> None:
    """Those who are not sent go, also where the store has taken out itself who is taken out in the rehearsal."""
    ann, bob, cid = users(stage.store, 3)
    team = stage.store.create("Group", group("Team", [ann, bob, cid]))
    for backend in (stage.view, stage.store):
        if way == "member":
            backend.update("Group", team.id, Change(relations={"members": Delta((), (cid.id,))}))
        else:
            backend.delete("User", cid.id)
    stage.view.update("Group", team.id, Change(relations={"members": Delta((ann.id,), clear=True)}))
    assert members(stage.view, team.id) == {ann.id}


def test_adoptions_without_a_change(stage: Stage) -> None:
    """What was adopted is managed when the rehearsal was applied, also where a change came to nothing or only follows
    from another one, and not where it is in conflict."""
    ann, bob, cid = users(stage.store, 3)
    team = stage.store.create("Group", group("Team", [bob]))
    for kind, id in (("User", ann.id), ("User", cid.id), ("Group", team.id)):
        stage.adopt(kind, id)
    stage.view.update("User", ann.id, Change({"title": "x"}))
    stage.view.update("User", ann.id, Change({"title": None}))
    stage.view.delete("User", bob.id)
    stage.view.update("User", cid.id, Change({"title": "x"}))
    stage.store.update("User", cid.id, Change({"title": "real"}))
    stage.apply()
    assert stage.control.managed.among("User", [ann.id, cid.id]) == {ann.id}
    assert stage.control.managed.among("Group", [team.id]) == {team.id}
    assert stage.control.rehearsal.claims() == [("User", cid.id, WHO.integration_id)]


@pytest.mark.parametrize("copied", [False, True])
def test_members_who_are_gone(stage: Stage, copied: bool) -> None:
    """Who was added and is no longer in the store is left out and named; the others are added, to a new group and to
    one that there was. Where nobody is left to be added nothing is made."""
    gone, ann = users(stage.store, 2)
    old, idle = (stage.store.create("Group", group(name)) for name in ("Old", "Idle"))
    if copied:
        stage.view.update("User", gone.id, Change({"title": "x"}))
    stage.view.create("Group", group("New", [gone, ann]))
    stage.view.update("Group", old.id, Change(relations={"members": Delta((gone.id, ann.id))}))
    stage.view.update("Group", idle.id, Change(relations={"members": Delta((gone.id,))}))
    stage.store.delete("User", gone.id)
    results = stage.results()
    assert results.pop("user0@corp.example", "conflict: it is no longer there") == "conflict: it is no longer there"
    text = f"applied: members: no longer there: {gone.id}"
    assert results == {"New": text, "Old": text}
    for team in stage.store.search("Group", Query(frozenset({"displayName"}))).items:
        assert names(stage, team) == (set() if team.id == idle.id else {"user1@corp.example"})
    assert stage.control.rehearsal.counts() == ({"User": 1} if copied else {})


def test_what_is_changed_while_it_runs_is_not_deleted(stage: Stage) -> None:
    """A resource that others change after applying has begun is in conflict, also a group whose members alone change,
    and one whose version applying has moved itself; what applying has moved alone is deleted."""
    first, boss, report, other, kept = users(stage.store, 5)
    view = stage.view
    for one in (report, other):
        stage.store.update("User", one.id, Change({MANAGER: boss.id}))
    free, full, team = (stage.store.create("Group", group(name, [boss])) for name in ("Free", "Full", "Team"))
    view.update("User", first.id, Change({"title": "x"}))
    # Whoever takes its name makes the boss leave before all others.
    view.delete("User", boss.id)
    view.create("User", user("user1@corp.example"))
    for one in (report, other, kept):
        view.delete("User", one.id)
    for one in (free, full, team):
        view.delete("Group", one.id)
    with stage.applying() as made:
        results: dict[str, str] = {}
        for outcome in made:
            results[f"{outcome.item.action} {outcome.item.name}"] = outcome.result.value
            if len(results) == 1:
                stage.store.update("User", other.id, Change({"title": "real"}))
                stage.store.update("User", kept.id, Change({"title": "real"}))
                stage.store.update("Group", full.id, Change({"displayName": "Fuller"}))
    conflicts = {name for name, result in results.items() if result == "conflict"}
    assert conflicts == {"delete user3@corp.example", "delete user4@corp.example", "delete Full"}
    assert set(results.values()) == {"conflict", "applied"}
    assert found(stage.store, "user3@corp.example").values == {"title": "real"}


def between(stage: Stage, rehearse: Callable[[], None]) -> dict[str, str]:
    """What becomes of each change when clients rehearse after the first one was made."""
    with stage.applying() as made:
        first = next(made)
        rehearse()
        rest = list(made)
    return {outcome.item.name: f"{outcome.result}: {outcome.text}" for outcome in (first, *rest)}


def test_what_is_rehearsed_while_it_runs_waits(stage: Stage) -> None:
    """A resource that clients write to meanwhile is left for the next time, with all that was rehearsed."""
    first, ann, bob, cid = users(stage.store, 4)
    team = stage.store.create("Group", group("Team", [cid]))
    view = stage.view
    view.update("User", first.id, Change({"title": "x"}))
    view.update("User", ann.id, Change({"title": "x"}))
    view.retire("User", bob.id)
    view.update("Group", team.id, Change(relations={"members": Delta((ann.id, first.id), (cid.id,))}))

    def rehearse() -> None:
        view.update("User", ann.id, Change({"nickName": "late"}))
        view.restore("User", bob.id, Change({"title": "back"}))
        view.update("Group", team.id, Change(relations={"members": Delta((cid.id,), (ann.id,))}))

    waits = "waiting: it was rehearsed on meanwhile"
    assert between(stage, rehearse) == {
        "user0@corp.example": "applied: ",
        "user1@corp.example": waits,
        "user2@corp.example": waits,
        "Team": waits,
    }
    assert set(stage.results().values()) == {"applied: "}
    assert found(stage.store, "user1@corp.example").values == {"title": "x"}
    assert stage.store.get("User", ann.id, frozenset({"nickName"})).values == {"nickName": "late"}
    assert found(stage.store, "user2@corp.example").values == {"title": "back"}
    assert members(stage.store, team.id) == {cid.id, first.id}
    assert stage.control.rehearsal.counts() == {}


def test_who_is_taken_back_while_it_runs(stage: Stage) -> None:
    """A new user whom the client deletes before its turn is not created."""
    (first,) = users(stage.store, 1)
    view = stage.view
    view.update("User", first.id, Change({"title": "x"}))
    view.create("User", user("one"))
    two = view.create("User", user("two"))
    results = between(stage, lambda: view.delete("User", two.id))
    assert "two" not in results
    assert results["one"] == "applied: "
    assert stage.store.search("User", Query(NOTHING)).total == 2
    assert stage.control.rehearsal.counts() == {}


def test_what_is_rehearsed_while_the_store_makes_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the store's answer and the end of a change clients take it back, add to it, or set a password: what they
    see then is what the next time makes."""
    ann, bob, cid, dan, gil = users(stage.store, 5)
    team = stage.store.create("Group", group("Team", [cid, gil]))
    view, store = stage.view, stage.store
    view.update("User", ann.id, Change({"title": "x", "password": "correct-horse"}))
    view.update("Group", team.id, Change(relations={"members": Delta((ann.id, bob.id), (cid.id, gil.id))}))
    update = store.update

    def late(kind: str, id: str, *arguments: Any, **named: Any) -> Any:
        stamp = update(kind, id, *arguments, **named)
        if kind == "User":
            view.update("User", id, Change({"title": None, "nickName": "late"}))
        else:
            view.update("Group", id, Change(relations={"members": Delta((cid.id, dan.id), (ann.id,))}))
        return stamp

    monkeypatch.setattr(store, "update", late)
    assert {outcome.result.value for outcome in stage.apply()} == {"applied"}
    monkeypatch.undo()
    assert members(store, team.id) == {ann.id, bob.id}
    wanted = {bob.id, cid.id, dan.id}
    assert members(view, team.id) == wanted
    (person, change) = stage.items()
    assert dict(person.after) == {"title": None, "nickName": "late"}
    assert (set(change.relations["members"].add), change.relations["members"].remove) == ({cid.id, dan.id}, (ann.id,))
    assert set(stage.results().values()) == {"applied: "}
    assert members(store, team.id) == wanted
    assert found(store, "user0@corp.example").values == {}
    assert stage.control.rehearsal.counts() == {}


def test_who_leaves_or_comes_back_while_the_store_makes_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new user whom the client deletes while it is created is deleted the next time, and is not seen until then; one
    who is restored while it is retired is restored."""
    (ann,) = users(stage.store, 1)
    view, store = stage.view, stage.store
    new = view.create("User", user("new"))
    view.retire("User", ann.id)
    create, retire = store.create, store.retire

    def late_create(kind: str, draft: Draft) -> Resource:
        made = create(kind, draft)
        view.delete("User", new.id)
        return made

    def late_retire(kind: str, id: str, **named: Any) -> None:
        retire(kind, id, **named)
        view.restore("User", id, Change({"title": "back"}))

    monkeypatch.setattr(store, "create", late_create)
    monkeypatch.setattr(store, "retire", late_retire)
    assert {outcome.result.value for outcome in stage.apply()} == {"applied"}
    monkeypatch.undo()
    seen = view.search("User", Query(frozenset({"userName", "title"}))).items
    assert [dict(resource.values) for resource in seen] == [{"userName": "user0@corp.example", "title": "back"}]
    assert sorted(stage.told()) == [("delete", "User", "new"), ("restore", "User", "user0@corp.example")]
    assert set(stage.results().values()) == {"applied: "}
    assert found(store, "user0@corp.example").values == {"title": "back"}
    assert stage.control.rehearsal.counts() == {}
