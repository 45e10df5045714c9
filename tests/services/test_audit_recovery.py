"""What is found out of writes whose process ended before it knew what became of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.control import AuditRecord, ControlStore, Wanted
from app.control.audit_models import FOUND_DONE, FOUND_NOT_DONE, FOUND_UNCLEAR
from app.scim.query import Change, Delta, Draft, Resource
from app.scim.registry import Registry, load
from app.services.audit import Recovery, Spools, lines
from app.services.audit.spool import Spool
from app.services.journal import Actor, Journal, Operation, Recording, Write
from backends.base import Capability
from tests.support.controls import new_control
from tests.support.reference import ReferenceBackend

ACTOR = Actor("11111111-1111-1111-1111-111111111111", "entra")
_EVERYTHING = frozenset(("userName", "displayName", "title", "active", "emails"))


class _Lines:
    """A journal that a process keeps until it is killed."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def begin(self, write: Write) -> None:
        self._spool.append(lines.intent(write, time.time_ns() // 1000))

    def end(self, write: Write) -> None:
        self._spool.append(lines.outcome(write, time.time_ns() // 1000))


class World:
    """A store, the trail, and a process that is killed."""

    def __init__(self, registry: Registry, control: ControlStore, directory: Path) -> None:
        self.backend = ReferenceBackend(registry)
        self._types = registry
        self._directory = directory
        self._trail = control.audit
        self._recovery = Recovery(control.audit, Spools(directory), self.backend, registry, grace=0)

    def serve_only(self, *kinds: str) -> None:
        """The next process serves no other kinds than these."""
        types = tuple(type for type in self._types.types if type.name in kinds)
        self._recovery._registry = replace(self._types, types=types)

    def killed(self, *writes: tuple[Write, dict[str, Any], bool]) -> None:
        """A process tells of these writes (each with what it intends, and whether it lives to know the outcome)."""
        spool = Spool(self._directory)
        journal: Journal = _Lines(spool)
        for write, intended, known in writes:
            recording = Recording(journal, self._types.type(write.kind), write)
            recording.intend(**intended)
            if known:
                journal.end(write)
        spool.close()

    def found(self, meanwhile: Sequence[Write] = ()) -> list[AuditRecord]:
        """The records after the next process has looked after what was left. What living ones did `meanwhile` comes
        into the trail when it waits for them."""

        def catch_up() -> None:
            told = [lines.outcome(write, time.time_ns() // 1000) for write in meanwhile]
            self._trail.append([story.entry() for story in lines.take_in(told, {})])

        self._recovery.run(catch_up)
        assert Spools(self._directory).state().without_outcome == 0
        assert self._trail.verify().wrong is None
        return list(self._trail.records(Wanted()))

    def outcome(self, operation: Operation, id: str | None, kind: str = "User", **intended: Any) -> str:
        """What is found of one write that was left."""
        self.killed((Write(ACTOR, operation, kind, id), intended, False))
        return self.found()[-1].outcome

    def user(self, name: str = "mira", **values: Any) -> Resource:
        """A user that is stored before the write."""
        made = self.backend.create("User", Draft({"userName": name, **values}))
        time.sleep(0.002)
        return made


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    url = new_control(tmp_path / "control.db")
    control = ControlStore(url)
    yield World(load(), control, tmp_path / "audit")
    control.close()


@pytest.fixture(autouse=True)
def _exact_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Store and service have one clock here."""
    monkeypatch.setattr("app.services.audit.recovery._SLACK", 0)


VALUES = {"userName": "Mira", "title": "Pilot", "password": "s3cret", "emails": [{"value": "m@x", "type": "work"}]}


def test_a_creation_that_was_made(world: World) -> None:
    write = Write(ACTOR, "create", "User")
    world.killed((write, {"values": VALUES}, False))
    made = world.backend.create("User", Draft(VALUES))
    (record,) = world.found()
    assert (record.outcome, record.resource_id) == (FOUND_DONE, made.id)
    assert record.version == made.stamp.version


def test_a_creation_that_was_not_made(world: World) -> None:
    assert world.outcome("create", None, values=VALUES) == FOUND_NOT_DONE


def test_a_creation_that_another_was_before(world: World) -> None:
    world.user("MIRA", title="Pilot")
    assert world.outcome("create", None, values=VALUES) == FOUND_NOT_DONE


def test_a_creation_that_was_asked_for_again(world: World) -> None:
    """The client's next request was made by another process, and has its record."""
    world.killed((Write(ACTOR, "create", "User"), {"values": VALUES}, False))
    made = world.backend.create("User", Draft(VALUES))
    again = Write(ACTOR, "create", "User", made.id, version=made.stamp.version, outcome="done")
    world.killed((again, {"values": VALUES}, True))
    assert sorted(record.outcome for record in world.found()) == ["done", FOUND_NOT_DONE]


@pytest.mark.parametrize("title", ["Pilot", "Captain"], ids=["same", "other"])
def test_a_creation_that_another_client_made(world: World, title: str) -> None:
    """By a process that lives; its record is on its way into the trail."""
    left = Write(ACTOR, "create", "User")
    world.killed((left, {"values": VALUES}, False))
    made = world.backend.create("User", Draft({**VALUES, "title": title}))
    hr = Actor("22222222-2222-2222-2222-222222222222", "hr")
    theirs = Write(hr, "create", "User", made.id, version=made.stamp.version, outcome="done")
    records = {record.record: record for record in world.found([theirs])}
    assert (records[left.key].outcome, records[left.key].resource_id) == (FOUND_NOT_DONE, None)
    assert records[theirs.key].outcome == "done"


def test_two_creations_of_which_one_was_made(world: World) -> None:
    world.killed(*((Write(ACTOR, "create", "User"), {"values": VALUES}, False) for _ in range(2)))
    world.backend.create("User", Draft(VALUES))
    assert [record.outcome for record in world.found()] == [FOUND_DONE, FOUND_NOT_DONE]


def test_a_creation_that_was_changed_since(world: World) -> None:
    world.killed((Write(ACTOR, "create", "User"), {"values": VALUES}, False))
    made = world.backend.create("User", Draft(VALUES))
    world.backend.update("User", made.id, Change({"title": "Captain"}))
    assert [record.outcome for record in world.found()] == [FOUND_UNCLEAR]


def test_a_group_is_found_by_its_name(world: World) -> None:
    user = world.user()
    members = {"members": Delta(add=(user.id,))}
    intended = {"values": {"displayName": "Pilots"}, "relations": members}
    world.killed((Write(ACTOR, "create", "Group"), intended, False))
    world.backend.create("Group", Draft({"displayName": "Pilots"}, {"members": (user.id,)}))
    assert [record.outcome for record in world.found()] == [FOUND_DONE]


@pytest.mark.parametrize("known", [True, False], ids=["read", "blind"])
@pytest.mark.parametrize("made", [True, False], ids=["made", "not-made"])
def test_a_change(world: World, known: bool, made: bool) -> None:
    user = world.user(title="Pilot")
    before = {"before": {"title": "Pilot"}, "read": frozenset(("title", "active"))} if known else {}
    intended = {"values": {"title": "Captain", "active": False}, **before}
    world.killed((Write(ACTOR, "patch", "User", user.id), intended, False))
    change = Change({"title": "Captain", "active": False})
    version = world.backend.update("User", user.id, change).version if made else None
    (record,) = world.found()
    assert (record.outcome, record.version) == (FOUND_DONE if made else FOUND_NOT_DONE, version)


def test_a_value_that_was_to_be_taken_away(world: World) -> None:
    user = world.user(title="Pilot")
    assert world.outcome("patch", user.id, values={"title": None}) == FOUND_NOT_DONE
    world.backend.update("User", user.id, Change({"title": None}))
    assert world.outcome("patch", user.id, values={"title": None}) == FOUND_DONE


def test_a_change_of_something_else_since(world: World) -> None:
    user = world.user(title="Pilot")
    world.killed((Write(ACTOR, "patch", "User", user.id), {"values": {"title": "Captain"}}, False))
    world.backend.update("User", user.id, Change({"active": True}))
    assert [record.outcome for record in world.found()] == [FOUND_UNCLEAR]


def test_a_change_that_is_known_to_be_the_one_before(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the clocks of store and service can't be compared."""
    monkeypatch.setattr("app.services.audit.recovery._SLACK", 10**12)
    user = world.user(title="Pilot")
    stamp = world.backend.update("User", user.id, Change({"title": "Officer"}))
    first = Write(ACTOR, "patch", "User", user.id, version=stamp.version, outcome="done")
    second = Write(ACTOR, "patch", "User", user.id)
    world.killed((first, {"values": {"title": "Officer"}}, True), (second, {"values": {"title": "Captain"}}, False))
    assert [record.outcome for record in world.found()] == ["done", FOUND_NOT_DONE]


def test_a_password_that_no_one_can_read(world: World) -> None:
    """Nothing was written since: then it was not set either; else no one knows."""
    user = world.user()
    assert world.outcome("patch", user.id, values={"password": "s3cret"}) == FOUND_NOT_DONE
    world.killed((Write(ACTOR, "patch", "User", user.id), {"values": {"password": "s3cret"}}, False))
    world.backend.update("User", user.id, Change({"title": "Captain"}))
    assert world.found()[-1].outcome == FOUND_UNCLEAR


@pytest.mark.parametrize(
    ("delta", "outcomes"),
    [
        (Delta(add=("c",)), (FOUND_NOT_DONE, FOUND_DONE)),
        (Delta(remove=("a",)), (FOUND_NOT_DONE, FOUND_DONE)),
        (Delta(add=("c",), remove=("a",)), (FOUND_NOT_DONE, FOUND_DONE)),
        (Delta(clear=True), (FOUND_NOT_DONE, FOUND_DONE)),
        (Delta(add=("a",), clear=True), (FOUND_NOT_DONE, FOUND_DONE)),
        (Delta(add=("a", "b"), clear=True), (FOUND_DONE, FOUND_DONE)),
    ],
)
def test_members(world: World, delta: Delta, outcomes: tuple[str, str]) -> None:
    users = {name: world.user(name).id for name in "abc"}
    group = world.backend.create("Group", Draft({"displayName": "g"}, {"members": (users["a"], users["b"])}))
    time.sleep(0.002)
    meant = Delta(tuple(users[n] for n in delta.add), tuple(users[n] for n in delta.remove), delta.clear)
    intended: dict[str, Any] = {"values": {}, "relations": {"members": meant}}
    assert world.outcome("patch", group.id, "Group", **intended) == outcomes[0]
    world.killed((Write(ACTOR, "patch", "Group", group.id), intended, False))
    world.backend.update("Group", group.id, Change(relations={"members": meant}))
    assert world.found()[-1].outcome == outcomes[1]


def _known(world: World, kind: str, id: str, change: Change) -> None:
    """A later write, which another process has made and told of."""
    stamp = world.backend.update(kind, id, change)
    write = Write(ACTOR, "patch", kind, id, version=stamp.version, outcome="done")
    world.killed((write, {"values": change.values, "relations": change.relations}, True))


def test_a_change_after_which_known_ones_touched_something_else(world: World) -> None:
    """What it was to change would show; of what they changed nothing can be told."""
    user = world.user(title="Pilot")
    world.killed(
        (Write(ACTOR, "patch", "User", user.id), {"values": {"title": "Captain"}}, False),
        (Write(ACTOR, "patch", "User", user.id), {"values": {"active": False}}, False),
    )
    _known(world, "User", user.id, Change({"active": True}))
    assert sorted(record.outcome for record in world.found()) == ["done", FOUND_NOT_DONE, FOUND_UNCLEAR]


def test_members_after_known_changes_of_others(world: World) -> None:
    users = {name: world.user(name).id for name in "abcd"}
    group = world.backend.create("Group", Draft({"displayName": "g"}, {"members": (users["a"],)}))
    for delta in (Delta(add=(users["b"],)), Delta(add=(users["c"],)), Delta(remove=(users["a"],))):
        intended: dict[str, Any] = {"values": {}, "relations": {"members": delta}}
        world.killed((Write(ACTOR, "patch", "Group", group.id), intended, False))
    time.sleep(0.002)
    world.backend.delete("User", users["c"])
    _known(world, "Group", group.id, Change(relations={"members": Delta(add=(users["d"],))}))
    outcomes = {}
    for record in world.found()[1:]:
        delta = orjson.loads(record.changes)["members"]["members"]
        (name,) = (name for name, id in users.items() if id in (*delta["add"], *delta["remove"]))
        outcomes[name] = record.outcome
    assert outcomes == {"b": FOUND_NOT_DONE, "c": FOUND_UNCLEAR, "a": FOUND_NOT_DONE}


def test_somebody_who_was_gone_before_becoming_a_member(world: World) -> None:
    """Such a write is refused whole, whatever has become of the group since."""
    gone, other = world.user("gone").id, world.user("other").id
    group = world.backend.create("Group", Draft({"displayName": "g"}))
    world.backend.delete("User", gone)
    deletion = Write(ACTOR, "delete", "User", gone, outcome="done")
    left = Write(ACTOR, "patch", "Group", group.id)
    relations = {"members": Delta(add=(other, gone))}
    world.killed((deletion, {"values": {}}, True), (left, {"values": {}, "relations": relations}, False))
    world.backend.delete("User", other)
    world.backend.update("Group", group.id, Change({"displayName": "h"}))
    assert {record.record: record.outcome for record in world.found()}[left.key] == FOUND_NOT_DONE


@pytest.mark.parametrize("delta", [Delta(remove=("b",)), Delta(clear=True)])
def test_members_that_a_known_change_named_since(world: World, delta: Delta) -> None:
    user = world.user("b").id
    group = world.backend.create("Group", Draft({"displayName": "g"}))
    intended: dict[str, Any] = {"values": {}, "relations": {"members": Delta(add=(user,))}}
    world.killed((Write(ACTOR, "patch", "Group", group.id), intended, False))
    world.backend.update("Group", group.id, Change(relations={"members": Delta(add=(user,))}))
    meant = Delta(remove=tuple(user for _ in delta.remove), clear=delta.clear)
    _known(world, "Group", group.id, Change(relations={"members": meant}))
    assert world.found()[-1].outcome == FOUND_UNCLEAR


def test_a_slot_of_which_a_later_write_may_have_been(world: World) -> None:
    """A write without an answer takes the proof away, as one that was made does."""
    user = world.user(title="Pilot")
    left = Write(ACTOR, "patch", "User", user.id)
    lost = Write(ACTOR, "patch", "User", user.id, outcome="Unavailable (unclear)")
    world.killed((left, {"values": {"title": "Captain"}}, False), (lost, {"values": {"title": "Officer"}}, True))
    world.backend.update("User", user.id, Change({"title": "Captain"}))
    world.backend.update("User", user.id, Change({"title": "Officer"}))
    _known(world, "User", user.id, Change({"active": True}))
    assert {record.record: record.outcome for record in world.found()}[left.key] == FOUND_UNCLEAR


def test_what_may_have_come_back_before_it_went(world: World) -> None:
    """Whether it was there when it was to be changed nobody knows."""
    for restored, outcome in (("NotFound", FOUND_NOT_DONE), ("Unavailable (unclear)", FOUND_UNCLEAR)):
        user = world.user(f"mira-{len(restored)}")
        world.backend.delete("User", user.id)
        gone = Write(ACTOR, "delete", "User", user.id, outcome="done")
        back = Write(ACTOR, "restore", "User", user.id, outcome=restored)
        left = Write(ACTOR, "patch", "User", user.id)
        world.killed((gone, {"values": {}}, True), (back, {"values": {}}, True), (left, {"values": {}}, False))
        assert {record.record: record.outcome for record in world.found()}[left.key] == outcome


@pytest.mark.parametrize("operation", ["delete", "retire"])
def test_what_was_to_go(world: World, operation: Operation) -> None:
    user = world.user(title="Pilot")
    before = {"userName": "mira", "title": "Pilot"}
    intended: dict[str, Any] = {"values": dict.fromkeys(before), "before": before, "read": _EVERYTHING}
    assert world.outcome(operation, user.id, **intended) == FOUND_NOT_DONE
    world.backend.delete("User", user.id)
    assert world.outcome(operation, user.id, **intended) == FOUND_DONE


def test_a_retirement_that_had_begun(world: World) -> None:
    """A directory locks first, and moves later: what was begun is done."""
    user = world.user(title="Pilot")
    before = {"userName": "mira", "title": "Pilot"}
    intended: dict[str, Any] = {"values": dict.fromkeys(before), "before": before, "read": _EVERYTHING}
    world.backend.update("User", user.id, Change({"active": False}))
    assert world.outcome("retire", user.id, **intended) == FOUND_DONE
    assert [one.id for one in world.backend.retired("User", frozenset()).items] == [user.id]


@pytest.mark.parametrize("late", [False, True], ids=["in the trail", "on its way"])
def test_a_retirement_before_somebody_was_deactivated(world: World, late: bool) -> None:
    """Who is locked by a write that is known was not about to be retired."""
    user = world.user(title="Pilot")
    before = {"userName": "mira", "title": "Pilot"}
    intended: dict[str, Any] = {"values": dict.fromkeys(before), "before": before, "read": _EVERYTHING}
    world.killed((Write(ACTOR, "retire", "User", user.id), intended, False))
    stamp = world.backend.update("User", user.id, Change({"active": False}))
    lock = Write(ACTOR, "patch", "User", user.id, outcome="done", version=stamp.version, after={"active": False})
    if not late:
        world.killed((lock, {"values": {"active": False}}, True))
    outcomes = {record.operation: record.outcome for record in world.found([lock] if late else [])}
    assert outcomes == {"retire": FOUND_NOT_DONE, "patch": "done"}
    assert world.backend.get("User", user.id, frozenset({"active"})).values == {"active": False}


@pytest.mark.parametrize("named", [True, False], ids=["named", "nameless"])
def test_a_retired_user_who_was_to_go_for_ever(world: World, named: bool) -> None:
    user = world.user()
    world.backend.retire("User", user.id)
    values = {"userName": "mira"} if named else {}
    intended: dict[str, Any] = {"values": dict.fromkeys(values), "before": values, "read": _EVERYTHING}
    assert world.outcome("delete", user.id, **intended) == FOUND_NOT_DONE
    world.backend.purge("User", user.id)
    assert world.outcome("delete", user.id, **intended) == FOUND_DONE


def test_a_retired_user_who_can_not_be_looked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store was set up to keep the retired, and is not any more."""
    user, other = world.user(), world.user("bo")
    retired = Write(ACTOR, "retire", "User", user.id, outcome="done")
    purge, delete = (Write(ACTOR, "delete", "User", id) for id in (user.id, other.id))
    world.killed((retired, {"values": {}}, True), (purge, {"values": {}}, False), (delete, {"values": {}}, False))
    world.backend.retire("User", user.id)
    world.backend.delete("User", other.id)
    monkeypatch.setattr(world.backend, "capabilities", world.backend.capabilities & ~Capability.RETIRE)
    outcomes = {record.record: record.outcome for record in world.found()}
    assert (outcomes[purge.key], outcomes[delete.key]) == (FOUND_UNCLEAR, FOUND_DONE)


def test_what_is_no_more(world: World) -> None:
    assert world.outcome("patch", "gone", values={"title": "Captain"}) == FOUND_UNCLEAR
    assert world.outcome("restore", "gone", values={}) == FOUND_NOT_DONE


@pytest.mark.parametrize(
    ("operation", "kind", "intended"),
    [
        ("create", "Group", {"values": {"displayName": "g"}}),
        ("delete", "Group", {"values": {}}),
        ("patch", "User", {"values": {}, "relations": {"friends": Delta(clear=True)}}),
    ],
)
def test_what_has_no_place_any_more_keeps_no_other(
    world: World, operation: Operation, kind: str, intended: dict[str, Any]
) -> None:
    """The process that ended served a kind or had a relation that the present one has not."""
    world.serve_only("User")
    user = world.user(title="Pilot").id
    strange = Write(ACTOR, operation, kind, None if operation == "create" else user)
    other = Write(ACTOR, "patch", "User", user)
    world.killed((strange, intended, False), (other, {"values": {"title": "Captain"}}, False))
    outcomes = {record.record: record.outcome for record in world.found()}
    assert outcomes == {strange.key: FOUND_UNCLEAR, other.key: FOUND_NOT_DONE}


def test_a_write_that_is_young_waits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its store may still be at it."""
    world._recovery._grace = 60
    world.killed((Write(ACTOR, "create", "User"), {"values": VALUES}, False))
    assert world._recovery.run(lambda: None).waiting == 1
    world._recovery._grace = 0
    assert world._recovery.run(lambda: None).settled == 1


def test_what_was_left_while_the_store_is_away_is_looked_after_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = world.user()
    done = Write(ACTOR, "patch", "User", user.id, outcome="done")
    left = Write(ACTOR, "patch", "User", user.id)
    world.killed((done, {"values": {"title": "a"}}, True), (left, {"values": {"title": "b"}}, False))
    with monkeypatch.context() as patched:

        def away(*_: object) -> Resource:
            raise ConnectionError

        patched.setattr(world.backend, "get", away)
        with suppress(ConnectionError):
            world._recovery.run(lambda: None)
    assert [record.outcome for record in world.found()] == ["done", FOUND_NOT_DONE]
