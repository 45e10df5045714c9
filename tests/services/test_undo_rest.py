"""Undo that was made in part, and undo in which not everybody can come back."""

from __future__ import annotations

import orjson
import pytest

from app.control import ControlStore
from app.scim.query import Change, Delta, Draft, ResourceId, Stamp, Version
from app.services.around import Around
from app.services.undo import Undo
from backends.base import Backend
from backends.errors import Unavailable
from tests.conformance.helpers import MANAGER
from tests.services import undoing
from tests.services.fenced import guarded
from tests.services.undoing import HR, World, reporting_to
from tests.support.stores import Opened

pytest_generate_tests = undoing.pytest_generate_tests
undo_store, control, world = undoing.undo_store, undoing.control, undoing.world


class _Failing(Around):
    """A store that goes away with the first write of a kind of operation."""

    def __init__(self, inner: Backend, operation: str) -> None:
        super().__init__(inner)
        self._operation = operation

    def update(self, kind: str, id: ResourceId, change: Change, *, expect: Version | None = None) -> Stamp:
        if self._operation == "update":
            raise Unavailable
        return super().update(kind, id, change, expect=expect)

    def retire(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        if self._operation == "retire":
            raise Unavailable
        super().retire(kind, id, expect=expect)


def interrupted(world: World, operation: str, *numbers: int) -> None:
    """The records are undone up to the first such write of the store."""
    undo = Undo(world.control.audit, world.backend, world.journal, guarded=_Failing(world.backend, operation))
    with pytest.raises(Unavailable):
        undo.make(undo.of(world.records(*numbers)))


class TestTheRest:
    """The same records again, after the store went away in the midst of it."""

    def test_the_groups_of_who_came_back(self, world: World) -> None:
        user, other = world.user("mira"), world.user("other")
        one, two = world.group("Pilots", user, other), world.group("Guests", user, other)
        retired = world.delete(user)
        interrupted(world, "update", retired)
        assert (world.is_there(user), world.in_group(one)) == (True, {other})
        world.replace_members(two, other)
        world.cleanly(retired)
        assert (world.in_group(one), world.in_group(two)) == ({user, other}, {other})

    def test_who_was_let_in_and_taken_out_elsewhere_stays_out(self, world: World) -> None:
        user, other = world.user("mira"), world.user("other")
        group = world.group("Pilots", user, other)
        retired = world.delete(user)
        world.undone(retired)
        world.backend.update("Group", group, Change(relations={"members": Delta(remove=(user,))}))
        assert [idle.record for idle in world.of(retired).idle] == [retired]

    def test_who_was_let_in_and_retired_by_the_operator_is_let_in_again(self, world: World) -> None:
        user, other = world.user("mira"), world.user("other")
        group = world.group("Pilots", user, other)
        retired = world.delete(user)
        world.undone(retired)
        (restored,) = (record.seq for record in world.records() if record.operation == "restore")
        world.cleanly(restored)
        assert world.in_group(group) == {other}
        undoing, made = world.undone(retired)
        assert (undoing.conflicts, made.conflicts, world.in_group(group)) == ((), (), {user, other})

    def test_who_was_retired_and_came_back_since_stays_out(self, world: World) -> None:
        user, other = world.user("mira"), world.user("other")
        world.group("Pilots", user, other)
        retired = world.delete(user)
        interrupted(world, "update", retired)
        world.delete(user, who=HR)
        assert world.user("mira", HR) == user
        assert [idle.record for idle in world.of(retired).idle] == [retired]

    def test_the_retirement_of_who_had_come_back(self, world: World) -> None:
        user = world.user("mira", title="Pilot", active=False)
        world.delete(user)
        assert world.user("mira", title="Captain") == user
        returned = world.last
        interrupted(world, "retire", returned)
        assert (world.value(user, "title"), world.is_there(user)) == ("Pilot", True)
        undoing, made = world.undone(returned)
        assert ([s.operation for s in made.steps], undoing.conflicts, made.conflicts) == (["retire"], (), ())
        (kept,) = world.backend.retired("User", frozenset({"title", "active"})).items
        assert dict(kept.values) == {"title": "Pilot", "active": False}

    def test_what_was_put_back_and_changed_elsewhere(self, world: World) -> None:
        user = world.user("mira", title="Pilot")
        world.delete(user)
        assert world.user("mira", title="Captain") == user
        returned = world.last
        interrupted(world, "retire", returned)
        world.elsewhere(user, title="Officer")
        assert world.reasons(returned) == {"title": "it was changed since, and not over SCIM"}
        assert world.is_there(user)

    def test_a_creation_stays_where_half_of_a_change_is_left(self, world: World) -> None:
        user = world.user("mira")
        created = world.last
        changed = world.patch(user, HR, title="Captain", nickName="m")
        world.elsewhere(user, nickName="n")
        world.undone(changed)
        world.elsewhere(user, nickName="m")
        assert world.reasons(created) == {"": f"record {changed} (hr) changed it since"}


class TestNotAll:
    """Some of those who were retired can't come back."""

    def test_where_another_has_the_name(self, world: World) -> None:
        people, other = {name: world.user(name) for name in "abc"}, world.user("other")
        group = world.group("Pilots", other, *people.values())
        numbers = {name: world.delete(id) for name, id in people.items()}
        world.backend.create("User", Draft({"userName": "b"}))
        _, made = world.undone_once(*numbers.values())
        assert {(c.id, c.slot, c.member): c.reason for c in made.conflicts} == {
            (people["b"], "", None): "another one has that userName now",
            (group, "members", people["b"]): "the member is not there",
        }
        assert world.in_group(group) == {other, people["a"], people["c"]}

    def test_where_nobody_else_comes_back(self, world: World) -> None:
        user, other = world.user("a"), world.user("other")
        group = world.group("Pilots", other, user)
        retired = world.delete(user)
        world.backend.create("User", Draft({"userName": "a"}))
        _, made = world.undone_once(retired)
        assert ({c.id for c in made.conflicts}, made.steps) == ({user, group}, ())

    def test_where_one_is_protected(self, undo_store: Opened, control: ControlStore) -> None:
        undo_store.empty()
        world = World(undo_store.backend, control, guarded(undo_store.backend, 'userType eq "Admin"', None))
        user, root, other = world.user("a"), world.user("root", userType="Admin"), world.user("other")
        group = world.group("Pilots", other, user, root)
        numbers = [world.delete(user), world.delete(root)]
        undoing, made = world.undone_once(*numbers)
        assert [c.id for c in undoing.conflicts] == [root]
        assert [(s.operation, s.records) for s in made.steps] == [
            ("restore", (numbers[0],)),
            ("patch", (numbers[0],)),
        ]
        assert (made.conflicts, world.in_group(group)) == ((), {other, user})


class TestManager:
    """Who comes back reports to whom it reported."""

    def test_who_is_not_provisioned_yet(self, world: World) -> None:
        user = world.user("mira", **reporting_to("not-yet-there"))
        number = world.cleanly(world.delete(user))
        assert "after" not in orjson.loads(world.records(number)[0].changes)

    def test_who_was_not_there_before(self, world: World) -> None:
        boss = world.user("boss")
        user = world.user("mira", **reporting_to("not-yet-there"))
        world.cleanly(world.patch(user, **reporting_to(boss)))
        assert world.value(user, MANAGER) == "not-yet-there"

    def test_who_is_removed(self, world: World) -> None:
        boss = world.user("boss")
        user = world.user("mira", **reporting_to(boss))
        retired = world.delete(user)
        world.deletes()
        world.delete(boss)
        undoing, _ = world.undone(retired)
        assert (undoing.conflicts, world.value(user, MANAGER)) == ((), None)


class TestOpen:
    """What clients write while the operator is asked."""

    def test_a_member_is_replaced(self, world: World) -> None:
        user, other = world.user("a"), world.user("b")
        group = world.group("Pilots", user, other)
        undoing = world.of(world.delete(user))
        world.replace_members(group, other)
        made = world.undo().make(undoing)
        assert [(c.id, c.slot, c.member, c.reason) for c in made.conflicts] == [
            (group, "members", user, "it was changed meanwhile")
        ]
        assert (world.is_there(user), world.in_group(group)) == (True, {other})

    def test_a_member_is_named_again(self, world: World) -> None:
        a, b = world.user("a"), world.user("b")
        group = world.group("Pilots", a, b)
        undoing = world.of(world.members(group, remove=(a, b)))
        world.members(group, remove=(a,), who=HR)
        made = world.undo().make(undoing)
        assert [c.member for c in made.conflicts] == [a]
        assert ([s.relations["members"].add for s in made.steps], world.in_group(group)) == ([(b,)], {b})

    def test_who_was_retired_comes_back_and_goes_again(self, world: World) -> None:
        user = world.user("mira")
        undoing = world.of(world.delete(user))
        assert world.user("mira", HR) == user
        world.delete(user, who=HR)
        assert [c.reason for c in world.undo().make(undoing).conflicts] == ["it was changed meanwhile"]
        assert world.is_retired(user)

    def test_who_was_retired_comes_back_and_goes_again_elsewhere(self, world: World) -> None:
        user = world.user("mira")
        undoing = world.of(world.delete(user))
        world.backend.restore("User", user, Change())
        world.backend.retire("User", user)
        assert [c.reason for c in world.undo().make(undoing).conflicts] == ["it was changed meanwhile"]
        assert world.is_retired(user)


class TestTooLarge:
    def test_what_was_before_a_retirement_is_not_known(self, world: World) -> None:
        """Of its record the values are not kept."""
        user = world.user("mira", title="Pilot")
        entry = world.records(world.last)[0]
        world.backend.retire("User", user)
        world.append(entry, {"omitted": {"octets": 1, "sha256": "0"}}, "retire")
        assert world.user("mira") == user
        assert world.reasons(world.blind(user, title="Captain")) == {"title": "what it was before is not known"}
        assert world.value(user, "title") == "Captain"


@pytest.mark.parametrize("outcome", ["unclear (found after a crash)", "Unavailable (unclear)"])
def test_nobody_knows_whether_it_was_made(world: World, outcome: str) -> None:
    user = world.user("mira", title="Pilot")
    unclear = world.append(world.records(world.last)[0], {"after": {"title": "Officer"}}, outcome=outcome)
    assert world.reasons(unclear) == {"": "whether it was made is not known"}
    assert world.reasons(world.blind(user, title="Captain")) == {"title": "what it was before is not known"}
