"""Undo puts back what a record says was there before, and never what something else has come over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from app.control import ControlStore
from app.scim.query import Change, Draft, ResourceId, Stamp, Version
from app.services.around import Around
from app.services.undo import Made, Undo, Undoing
from backends.base import Backend
from backends.errors import Unavailable
from tests.conformance.helpers import MANAGER
from tests.services import undoing
from tests.services.fenced import guarded
from tests.services.undoing import HR, World, reporting_to
from tests.support.stores import Opened

pytest_generate_tests = undoing.pytest_generate_tests
undo_store, control, world = undoing.undo_store, undoing.control, undoing.world


def emails(*addresses: str) -> list[dict[str, str]]:
    return [{"value": address, "type": kind} for address, kind in zip(addresses, ("work", "home"), strict=False)]


class TestValues:
    def test_are_put_back(self, world: World) -> None:
        user = world.user("mira", title="Pilot", emails=emails("mira@tern.example"), active=True)
        changed = world.patch(
            user, userName="mia", title="Captain", displayName="Mia", active=False, emails=emails("a@x", "b@x")
        )
        number = world.cleanly(changed)
        assert world.value(user, "userName") == "mira"
        assert world.value(user, "title") == "Pilot"
        assert world.value(user, "displayName") is None
        assert world.value(user, "active") is not False
        assert world.value(user, "emails") == emails("mira@tern.example")
        (record,) = world.records(number)
        changes = orjson.loads(record.changes)
        assert (record.actor, record.operation, record.outcome, record.name) == ("operator", "patch", "done", "mira")
        assert changes["notes"] == [f"undo of {changed}"]
        assert (changes["before"]["title"], changes["after"]["title"]) == ("Captain", "Pilot")
        assert changes["after"]["displayName"] is None
        assert world.control.audit.verify().wrong is None

    def test_of_a_put_are_put_back(self, world: World) -> None:
        user = world.user("mira", title="Pilot", displayName="Mira")
        changed = world.put("User", user, userName="mira", nickName="m")
        world.cleanly(changed)
        values = {slot: world.value(user, slot) for slot in ("title", "displayName", "nickName")}
        assert values == {"title": "Pilot", "displayName": "Mira", "nickName": None}

    def test_that_were_not_read_are_those_of_the_last_record_before(self, world: World) -> None:
        user = world.user("mira", title="Pilot")
        first, second = world.blind(user, title="Officer"), world.blind(user, title="Captain", nickName="m")
        (record,) = world.records(second)
        assert "before" not in orjson.loads(record.changes)
        world.cleanly(second)
        assert (world.value(user, "title"), world.value(user, "nickName")) == ("Officer", None)
        world.cleanly(first)
        assert world.value(user, "title") == "Pilot"

    def test_that_nobody_knows_are_left(self, world: World) -> None:
        """Nothing of one who was there before was read, nor is there an earlier record of that."""
        user = world.long_there("User", Draft({"userName": "mira", "title": "Pilot"}))
        world.blind(user, HR, nickName="m")
        changed = world.blind(user, title="Captain")
        assert world.reasons(changed) == {"title": "what it was before is not known"}
        assert world.value(user, "title") == "Captain"

    def test_before_a_retirement_are_known(self, world: World) -> None:
        user = world.user("mira", title="Pilot", nickName="m")
        world.delete(user)
        assert world.user("mira", title="Officer") == user
        changed = world.blind(user, title="Captain", nickName="c")
        world.cleanly(changed)
        assert (world.value(user, "title"), world.value(user, "nickName")) == ("Officer", "m")

    def test_that_another_client_wrote_since_are_left(self, world: World) -> None:
        user = world.user("mira", title="Pilot", nickName="m")
        changed = world.patch(user, title="Captain", nickName="c")
        later = world.patch(user, HR, title="Officer")
        undoing, made = world.undone(changed)
        (conflict,) = undoing.conflicts
        assert (conflict.slot, conflict.recorded, conflict.present) == ("title", "Captain", "Officer")
        assert conflict.reason == f"record {later} (hr) wrote it since"
        assert (conflict.records, made.conflicts) == ((changed,), ())
        assert (world.value(user, "title"), world.value(user, "nickName")) == ("Officer", "m")

    def test_that_another_program_wrote_since_are_left(self, world: World) -> None:
        user = world.user("mira", title="Pilot")
        changed = world.patch(user, title="Captain")
        world.elsewhere(user, title="Officer")
        assert world.reasons(changed) == {"title": "it was changed since, and not over SCIM"}
        assert world.value(user, "title") == "Officer"

    def test_that_came_to_be_the_same_again_are_left(self, world: World) -> None:
        """Who wrote it last meant it."""
        user = world.user("mira", title="Pilot")
        changed = world.patch(user, title="Captain")
        one = world.patch(user, HR, title="Officer")
        world.patch(user, HR, title="Captain")
        assert world.reasons(changed) == {"title": f"record {one} (hr) wrote it since"}
        assert world.value(user, "title") == "Captain"

    def test_that_another_client_wrote_before_are_put_back(self, world: World) -> None:
        user = world.user("mira", title="Pilot")
        world.blind(user, HR, title="Officer")
        world.cleanly(world.blind(user, title="Captain"))
        assert world.value(user, "title") == "Officer"

    def test_that_are_as_before_are_no_work(self, world: World) -> None:
        user = world.user("mira", title="Pilot")
        changed = world.patch(user, title="Captain")
        world.patch(user, HR, title="Pilot")
        undoing = world.of(changed)
        assert (undoing.steps, undoing.conflicts) == ((), ())
        assert [(idle.record, idle.reason) for idle in undoing.idle] == [(changed, "nothing of it is left to undo")]

    def test_a_password_is_not_put_back(self, world: World) -> None:
        user = world.user("mira", title="Pilot", password="Correct-horse-1")
        changed = world.patch(user, title="Captain", password="Battery-staple-2")
        undoing, _ = world.undone(changed)
        assert [(c.slot, c.reason) for c in undoing.conflicts] == [("password", "a secret is not kept")]
        assert world.value(user, "title") == "Pilot"

    def test_that_a_record_left_as_they_were_are_no_work(self, world: World) -> None:
        user = world.user("mira", title="Pilot")
        same = world.blind(user, title="Pilot")
        world.elsewhere(user, title="Captain")
        assert [idle.record for idle in world.of(same).idle] == [same]

    def test_a_manager_is_put_back(self, world: World) -> None:
        boss, chief = world.user("boss"), world.user("chief")
        user = world.user("mira", **reporting_to(boss))
        changed = world.patch(user, **reporting_to(chief))
        world.cleanly(changed)
        assert world.value(user, MANAGER) == boss

    def test_a_manager_who_left_is_not(self, world: World) -> None:
        boss, chief = world.user("boss"), world.user("chief")
        user = world.user("mira", **reporting_to(boss))
        changed = world.patch(user, **reporting_to(chief))
        world.delete(boss)
        assert world.reasons(changed) == {MANAGER: "whom it named before is retired"}
        assert world.value(user, MANAGER) == chief

    def test_a_manager_who_had_left_before_is_nobody(self, world: World) -> None:
        boss, chief = world.user("boss"), world.user("chief")
        user = world.user("mira", **reporting_to(boss))
        world.delete(boss)
        assert world.user("boss") == boss
        world.cleanly(world.blind(user, **reporting_to(chief)))
        assert world.value(user, MANAGER) is None

    def test_a_name_that_another_has_now(self, world: World) -> None:
        user = world.user("mira")
        changed = world.patch(user, userName="mia")
        world.user("mira")
        undoing, made = world.undone_once(changed)
        assert (len(undoing.steps), undoing.conflicts, made.steps) == (1, (), ())
        assert [c.reason for c in made.conflicts] == ["another one has that userName now"]
        assert world.value(user, "userName") == "mia"


class TestMembers:
    def test_who_came_goes_and_who_went_comes(self, world: World) -> None:
        a, b, c = (world.user(name) for name in "abc")
        group = world.group("Pilots", a, b)
        changed = world.members(group, add=(c,), remove=(a,))
        world.cleanly(changed)
        assert world.in_group(group) == {a, b}
        (delta,) = orjson.loads(world.records(world.last)[0].changes)["members"].values()
        assert delta == {"add": [a], "remove": [c], "clear": False}

    def test_who_was_there_before_stays(self, world: World) -> None:
        """A client may add who is there, and remove who is not."""
        a, b, c = (world.user(name) for name in "abc")
        group = world.group("Pilots", a)
        changed = world.members(group, add=(a, b), remove=(c,))
        world.cleanly(changed)
        assert world.in_group(group) == {a}

    def test_who_was_there_before_and_went_since_stays_out(self, world: World) -> None:
        a, b = world.user("a"), world.user("b")
        group = world.group("Pilots", a, b)
        again = world.members(group, add=(a,))
        world.members(group, remove=(a,), who=HR)
        undoing = world.of(again)
        assert ([idle.record for idle in undoing.idle], undoing.conflicts) == ([again], ())

    def test_who_had_left_before_was_none(self, world: World) -> None:
        """By leaving the store one leaves the group, which has no record of that."""
        a, b = world.user("a"), world.user("b")
        group = world.group("Pilots", a, b)
        world.delete(a)
        assert world.user("a") == a
        world.cleanly(world.members(group, add=(a,)))
        assert world.in_group(group) == {b}

    def test_who_is_known_to_nobody(self, world: World) -> None:
        """Whether they were members of a group that was there before the audit is not known."""
        a, b, c = (world.user(name) for name in "abc")
        group = world.long_there("Group", Draft({"displayName": "Old"}, {"members": (a, b)}))
        changed = world.members(group, add=(c,), remove=(b,))
        assert world.reasons(changed) == {
            c: "whether it was a member before is not known",
            b: "whether it was none before is not known",
        }
        world.undone(changed, trusting=True)
        assert world.in_group(group) == {a, b}

    def test_who_is_known_by_an_earlier_record(self, world: World) -> None:
        a, b = world.user("a"), world.user("b")
        group = world.long_there("Group", Draft({"displayName": "Old"}, {"members": (b,)}))
        world.members(group, add=(a,), who=HR)
        again = world.members(group, add=(a,))
        assert [idle.record for idle in world.of(again).idle] == [again]
        world.cleanly(world.members(group, remove=(a,)))
        assert world.in_group(group) == {a, b}

    def test_whom_another_client_named_since(self, world: World) -> None:
        a, b = world.user("a"), world.user("b")
        group = world.group("Pilots", b)
        changed = world.members(group, add=(a,))
        out = world.members(group, remove=(a,), who=HR)
        assert [idle.record for idle in world.of(changed).idle] == [changed]
        world.members(group, add=(a,), who=HR)
        assert world.reasons(changed) == {a: f"record {out} (hr) changed that since"}
        assert world.in_group(group) == {a, b}

    def test_who_is_gone(self, world: World) -> None:
        a, b = world.user("a"), world.user("b")
        group = world.group("Pilots", a, b)
        changed = world.members(group, remove=(a,))
        world.delete(a)
        assert world.reasons(changed) == {a: "the member is retired"}

    def test_all_that_were_replaced(self, world: World) -> None:
        a, b, c, d = (world.user(name) for name in "abcd")
        group = world.group("Pilots", a, b)
        world.members(group, add=(c,))
        changed = world.replace_members(group, a, d)
        assert world.in_group(group) == {a, d}
        world.cleanly(changed)
        assert world.in_group(group) == {a, b, c}

    def test_all_that_were_replaced_by_a_put(self, world: World) -> None:
        a, b = world.user("a"), world.user("b")
        group = world.group("Pilots", a)
        world.cleanly(world.put("Group", group, (b,), displayName="Copilots"))
        assert (world.in_group(group), world.value(group, "displayName", "Group")) == ({a}, "Pilots")

    def test_all_that_were_replaced_and_not_all_known(self, world: World) -> None:
        a, b, c = (world.user(name) for name in "abc")
        group = world.long_there("Group", Draft({"displayName": "Old"}, {"members": (a,)}))
        world.members(group, add=(b,))
        changed = world.replace_members(group, c)
        undoing, _ = world.undone(changed)
        assert [c.reason for c in undoing.conflicts] == [
            "it replaced all members, and not all that were there before are known"
        ]
        assert world.in_group(group) == {b, c}

    def test_a_large_change(self, world: World) -> None:
        people = [world.user(f"u{number}") for number in range(60)]
        group = world.group("Pilots", people[0])
        world.cleanly(world.members(group, add=tuple(people[1:])))
        assert world.in_group(group) == {people[0]}


class TestLives:
    def test_who_was_created_is_retired(self, world: World) -> None:
        user = world.user("mira", title="Pilot", password="Correct-horse-1")
        created = world.last
        number = world.cleanly(created)
        assert (world.is_there(user), world.is_retired(user)) == (False, True)
        (record,) = world.records(number)
        assert (record.operation, orjson.loads(record.changes)["before"]["title"]) == ("retire", "Pilot")
        world.cleanly(number)
        assert (world.value(user, "title"), world.is_retired(user)) == ("Pilot", False)

    def test_who_was_created_is_removed_where_users_are(self, world: World) -> None:
        world.deletes()
        user = world.user("mira")
        undoing, made = world.undone(world.last, retires=False)
        assert ([s.operation for s in made.steps], undoing.steps[0].notes) == (["delete"], ("is removed for good",))
        assert (world.is_there(user), world.is_retired(user)) == (False, False)
        assert world.reasons(world.last, retires=False) == {"": "what was deleted can't come back under its id"}

    def test_who_was_changed_since_stays(self, world: World) -> None:
        user = world.user("mira")
        created = world.last
        later = world.patch(user, HR, title="Captain")
        assert world.reasons(created) == {"": f"record {later} (hr) changed it since"}
        assert world.is_there(user)

    def test_who_was_changed_by_another_program_stays(self, world: World) -> None:
        user = world.user("mira", title="Pilot")
        created = world.last
        world.elsewhere(user, title="Captain")
        assert world.reasons(created) == {"title": "it was changed since, and not over SCIM"}
        assert world.is_there(user)

    def test_a_creation_after_its_changes_were_undone(self, world: World) -> None:
        user = world.user("mira")
        created = world.last
        world.cleanly(world.patch(user, title="Captain"))
        world.cleanly(created)
        assert world.is_retired(user)

    def test_a_group_that_was_created_is_removed(self, world: World) -> None:
        user = world.user("mira")
        group = world.group("Pilots", user)
        number = world.cleanly(world.last)
        assert not world.is_there(group, "Group")
        assert world.reasons(number) == {"": "what was deleted can't come back under its id"}

    def test_a_group_that_others_joined_stays(self, world: World) -> None:
        a, b = world.user("a"), world.user("b")
        group = world.group("Pilots", a)
        created = world.last
        world.elsewhere(group, "Group", (b,))
        assert world.reasons(created) == {b: "it came in since, and not over SCIM"}
        assert world.is_there(group, "Group")

    def test_who_was_retired_comes_back_into_its_groups(self, world: World) -> None:
        user, other = world.user("mira", title="Pilot", active=True), world.user("other")
        stays, left = world.group("Pilots", user, other), world.group("Guests", user, other)
        gone = world.group("Gone", user, other)
        world.members(left, remove=(user,))
        added = world.group("Added", other)
        world.members(added, add=(user,))
        retired = world.delete(user)
        world.delete(gone, "Group")
        undoing, made = world.undone(retired)
        assert (made.steps[0].operation, made.steps[0].id) == ("restore", user)
        assert {s.id for s in made.steps} == {user, stays, added}
        assert (undoing.conflicts, made.conflicts) == ((), ())
        assert undoing.steps[0].notes == ("comes back into 2 groups: those that the audit tells of",)
        assert (world.value(user, "title"), world.value(user, "active") is not False) == ("Pilot", True)
        assert (world.in_group(stays), world.in_group(added)) == ({user, other}, {user, other})
        assert world.in_group(left) == {other}

    def test_who_was_retired_stays_out_of_groups_that_were_written_since(self, world: World) -> None:
        user, other = world.user("mira"), world.user("other")
        group = world.group("Pilots", user, other)
        retired = world.delete(user)
        world.replace_members(group, other)
        world.cleanly(retired)
        assert world.in_group(group) == {other}

    def test_who_comes_back_reports_to_nobody_who_left(self, world: World) -> None:
        """The record says so."""
        boss = world.user("boss")
        user = world.user("mira", **reporting_to(boss))
        retired = world.delete(user)
        world.delete(boss)
        number = world.cleanly(retired)
        assert world.value(user, MANAGER) is None
        assert orjson.loads(world.records(number)[0].changes).get("after", {}).get(MANAGER, None) is None

    def test_who_was_retired_twice_stays_out_of_groups_that_were_lost_the_first_time(self, world: World) -> None:
        user, other = world.user("mira"), world.user("other")
        group = world.group("Pilots", user, other)
        world.delete(user)
        assert world.user("mira") == user
        world.cleanly(world.delete(user))
        assert world.in_group(group) == {other}

    def test_who_was_renamed_by_others_is_found_among_the_retired(self, world: World) -> None:
        """No record tells the name."""
        user = world.user("mira", title="Pilot")
        entry = world.records(world.last)[0]
        world.backend.update("User", user, Change({"userName": "mia"}))
        world.backend.retire("User", user)
        world.cleanly(world.append(entry, {}, "retire"))
        assert world.value(user, "userName") == "mia"

    def test_a_creation_goes_with_a_secret_that_came_later(self, world: World) -> None:
        user = world.user("mira")
        created = world.last
        secret = world.blind(user, password="Correct-horse-1")
        assert world.of(created).conflicts[0].reason == f"record {secret} (entra) changed it since"
        assert len(world.of(secret).conflicts) == 1
        world.cleanly(created, secret)
        assert world.is_retired(user)

    def test_a_creation_stays_where_a_later_change_of_it_stands(self, world: World) -> None:
        user = world.user("mira")
        created, changed = world.last, world.blind(user, title="Captain")
        world.elsewhere(user, title="Officer")
        assert world.reasons(created, changed) == {
            "title": "it was changed since, and not over SCIM",
            "": f"record {changed} (entra) changed it since",
        }
        assert world.value(user, "title") == "Officer"

    def test_a_group_goes_with_those_in_it(self, world: World) -> None:
        group = world.group("Pilots")
        created = world.last
        user = world.user("mira")
        numbers = (created, world.last)
        world.elsewhere(group, "Group", (user,))
        undoing, made = world.undone(*numbers)
        assert (undoing.conflicts, made.conflicts) == ((), ())
        assert (world.is_there(group, "Group"), world.is_retired(user)) == (False, True)

    def test_who_came_back_already_is_no_work(self, world: World) -> None:
        user = world.user("mira")
        retired = world.delete(user)
        assert world.user("mira") == user
        assert [idle.record for idle in world.of(retired).idle] == [retired]

    def test_who_was_retired_again_stays_so(self, world: World) -> None:
        user = world.user("mira")
        retired = world.delete(user)
        assert world.user("mira", HR) == user
        returned, again = world.last, world.delete(user, who=HR)
        assert world.reasons(retired) == {"": f"records {again} (hr), {returned} (hr) changed it since"}

    def test_who_was_purged_stays_gone(self, world: World) -> None:
        user = world.user("mira")
        retired = world.delete(user)
        world.backend.purge("User", user)
        assert world.reasons(retired) == {"": "it was removed for good since"}

    def test_who_came_back_is_retired_again_as_before(self, world: World) -> None:
        user = world.user("mira", title="Pilot", active=False)
        world.delete(user)
        assert world.user("mira", title="Captain", nickName="m") == user
        returned = world.last
        undoing, made = world.undone(returned)
        assert [s.operation for s in made.steps] == ["patch", "retire"]
        assert (undoing.conflicts, made.conflicts, world.is_retired(user)) == ((), (), True)
        (kept,) = world.backend.retired("User", frozenset({"title", "nickName", "active"})).items
        assert dict(kept.values) == {"title": "Pilot", "active": False}

    def test_a_change_of_one_who_is_retired(self, world: World) -> None:
        user = world.user("mira", title="Pilot")
        changed = world.patch(user, title="Captain")
        world.delete(user, who=HR)
        assert world.reasons(changed) == {"": "is retired"}

    def test_a_change_of_one_who_is_gone(self, world: World) -> None:
        world.deletes()
        user = world.user("mira", title="Pilot")
        changed = world.patch(user, title="Captain")
        world.delete(user)
        assert world.reasons(changed) == {"": "is not there any more"}

    def test_an_adoption_is_undone_and_stays_managed(self, world: World) -> None:
        user = world.long_there("User", Draft({"userName": "mira", "title": "Pilot", "nickName": "m"}))
        assert world.user("MIRA", title="Captain") == user
        (record,) = world.records(world.last)
        assert record.operation == "adopt"
        undoing, _ = world.undone(record.seq)
        assert (undoing.conflicts, undoing.steps[0].notes) == ((), ("stays managed",))
        assert (world.value(user, "userName"), world.value(user, "title")) == ("mira", "Pilot")
        assert world.control.managed.among("User", [user]) == {user}


class TestSeveral:
    def test_each_value_is_that_before_the_first(self, world: World) -> None:
        user = world.user("mira", title="Pilot")
        numbers = [world.blind(user, title=title) for title in ("A", "B", "C")]
        number = world.cleanly(*numbers)
        assert world.value(user, "title") == "Pilot"
        assert orjson.loads(world.records(number)[0].changes)["notes"] == [f"undo of {', '.join(map(str, numbers))}"]

    def test_what_another_client_wrote_in_between_is_put_back(self, world: World) -> None:
        """As if the later one was undone first: then the earlier one is not there to be undone."""
        user = world.user("mira", title="Pilot")
        first = world.blind(user, title="A")
        theirs = world.blind(user, HR, title="B")
        last = world.blind(user, title="C")
        undoing, _ = world.undone(first, last)
        assert world.value(user, "title") == "B"
        assert [(c.records, c.reason) for c in undoing.conflicts] == [
            ((first,), f"record {theirs} (hr) wrote it since")
        ]

    def test_what_can_not_be_undone_keeps_what_came_before_it(self, world: World) -> None:
        user = world.user("mira", title="Pilot")
        first, last = world.blind(user, title="A"), world.blind(user, title="B")
        theirs = world.blind(user, HR, title="C")
        undoing, _ = world.undone(first, last)
        assert [(c.records, c.reason) for c in undoing.conflicts] == [((last,), f"record {theirs} (hr) wrote it since")]
        assert world.value(user, "title") == "C"

    def test_a_life_from_its_beginning(self, world: World) -> None:
        """Created, changed, let into a group, and all of it undone."""
        other = world.user("other", HR)
        group = world.group("Pilots", other, who=HR)
        user = world.user("mira")
        numbers = [world.last, world.blind(user, title="Captain"), world.members(group, add=(user,))]
        undoing, made = world.undone(*numbers)
        assert (undoing.conflicts, made.conflicts) == ((), ())
        assert [s.operation for s in made.steps] == ["patch", "patch", "retire"]
        assert (world.is_retired(user), world.in_group(group)) == (True, {other})

    def test_a_life_to_its_end(self, world: World) -> None:
        """Changed, taken out of a group and deleted, and all of it undone: by one write of each."""
        user, other = world.user("mira", title="Pilot"), world.user("other")
        group = world.group("Pilots", user, other)
        numbers = [
            world.blind(user, title="Captain"),
            world.members(group, remove=(user,)),
            world.delete(user),
        ]
        undoing, made = world.undone(*numbers)
        assert (undoing.conflicts, made.conflicts) == ((), ())
        assert [s.operation for s in made.steps] == ["restore", "patch"]
        assert (world.value(user, "title"), world.in_group(group)) == ("Pilot", {user, other})

    def test_deleted_and_come_back(self, world: World) -> None:
        """Nothing but what was changed on the way is left to undo, and the groups that were lost."""
        user, other = world.user("mira", title="Pilot"), world.user("other")
        group = world.group("Pilots", user, other)
        deleted = world.delete(user)
        assert world.user("mira", title="Captain") == user
        undoing, made = world.undone(deleted, world.last)
        assert [(s.operation, s.id) for s in made.steps] == [("patch", user), ("patch", group)]
        assert (world.value(user, "title"), world.in_group(group)) == ("Pilot", {user, other})
        assert undoing.conflicts == ()

    def test_names_that_changed_hands(self, world: World) -> None:
        a, b = world.user("a"), world.user("b")
        numbers = [world.patch(a, userName="c"), world.patch(b, userName="a"), world.patch(a, userName="b")]
        _, made = world.undone_once(*numbers[:2])
        assert made.steps == ()
        undoing, made = world.undone(*numbers[1:])
        assert (world.value(a, "userName"), world.value(b, "userName")) == ("c", "b")
        assert (undoing.conflicts, made.conflicts) == ((), ())
        world.cleanly(numbers[0])
        assert world.value(a, "userName") == "a"

    def test_a_name_that_gets_free_on_the_way(self, world: World) -> None:
        a, b = world.user("a"), world.user("b")
        numbers = [world.patch(a, userName="c"), world.patch(b, userName="a"), world.patch(a, title="Captain")]
        undoing, made = world.undone(*numbers)
        assert [s.id for s in undoing.steps] == [a, b]
        assert ([s.id for s in made.steps], made.conflicts) == ([b, a], ())
        assert (world.value(a, "userName"), world.value(b, "userName")) == ("a", "b")

    def test_one_after_another_is_the_same(self, world: World) -> None:
        def history() -> tuple[str, str, list[int]]:
            number = len(world.records())
            user, other = world.user(f"mira{number}", title="Pilot"), world.user(f"other{number}", HR)
            group = world.group(f"Pilots{number}", other, who=HR)
            numbers = [
                world.blind(user, title="A", nickName="a"),
                world.members(group, add=(user,)),
                world.blind(user, HR, nickName="theirs"),
                world.patch(user, title="B", userName=f"mia{number}"),
                world.delete(user),
            ]
            return user, group, [n for n in numbers if n != numbers[2]]

        (one, one_group, together), (two, two_group, apart) = history(), history()
        world.undone(*together)
        for number in reversed(apart):
            world.undone(number)
        for slot in ("title", "nickName"):
            assert world.value(one, slot) == world.value(two, slot)
        assert (world.value(one, "title"), world.value(one, "nickName")) == ("Pilot", "theirs")
        assert (one in world.in_group(one_group), two in world.in_group(two_group)) == (False, False)


class TestUndone:
    def test_an_undo_can_be_undone(self, world: World) -> None:
        user, other = world.user("mira", title="Pilot"), world.user("other")
        group = world.group("Pilots", other)
        first, second = world.blind(user, title="Captain"), world.members(group, add=(user,))
        undo_first, undo_second = world.cleanly(first), world.cleanly(second)
        again = world.cleanly(undo_first)
        world.cleanly(undo_second)
        assert (world.value(user, "title"), world.in_group(group)) == ("Captain", {user, other})
        world.cleanly(again)
        assert world.value(user, "title") == "Pilot"

    def test_what_was_undone_is_as_if_it_had_not_been(self, world: World) -> None:
        """Another client's change that was undone is no conflict; if that is undone again, it is one."""
        user = world.user("mira", title="Pilot")
        mine = world.blind(user, title="Captain")
        theirs = world.blind(user, HR, title="Officer")
        undo = world.cleanly(theirs)
        assert world.of(mine).conflicts == ()
        world.cleanly(undo)
        assert world.reasons(mine) == {"title": f"record {theirs} (hr) wrote it since"}
        world.cleanly(theirs)
        world.cleanly(mine)
        assert world.value(user, "title") == "Pilot"

    def test_what_made_no_difference_is_in_nobodys_way(self, world: World) -> None:
        """Nothing is written to undo it, so that no record says that it was undone."""
        user = world.user("mira", title="Pilot")
        created = world.last
        first, second = world.blind(user, title="A"), world.blind(user, title="B")
        again = world.blind(user, title="B")
        assert [idle.record for idle in world.of(again).idle] == [again]
        for number in (second, first, created):
            world.cleanly(number)
        assert world.is_retired(user)

    def test_all_of_it_a_second_time(self, world: World) -> None:
        """Come back, changed, and retired again by that being undone."""
        user = world.user("mira", title="Pilot")
        world.delete(user)
        assert world.user("mira", title="A") == user
        numbers = [world.last, world.blind(user, title="B"), world.blind(user, title="Pilot")]
        world.undone(*numbers)
        undoing = world.of(*numbers)
        assert (undoing.steps, undoing.conflicts, world.is_retired(user)) == ((), (), True)

    def test_what_was_undone_and_done_again_by_another(self, world: World) -> None:
        user = world.user("mira", title="Pilot")
        mine = world.blind(user, title="Captain")
        world.cleanly(mine)
        theirs = world.blind(user, HR, title="Captain")
        assert world.reasons(mine) == {"title": f"it was undone before, and record {theirs} (hr) wrote it again"}

    def test_only_the_operator_undoes(self, world: World) -> None:
        """Whatever a client's leniencies are called: no note of its is taken for an undo."""
        user = world.user("mira", title="Pilot")
        mine = world.blind(user, title="Captain")
        entry = world.records(mine)[0]
        changes = {"after": {"title": "Officer"}, "notes": [f"undo of {mine}"]}
        world.elsewhere(user, title="Officer")
        world.append(entry, changes)
        assert world.reasons(mine) == {"title": f"record {world.last} (entra) wrote it since"}


class TestNothing:
    def test_to_undo(self, world: World) -> None:
        user = world.user("mira", title="Pilot")
        world.user("other")
        with pytest.raises(Exception, match="taken"):
            world.put("User", user, userName="other")
        failed = world.last
        unchanged = world.patch(user, title="Pilot")
        undoing = world.of(failed, unchanged)
        assert (undoing.steps, undoing.conflicts) == ((), ())
        assert {idle.record: idle.reason for idle in undoing.idle} == {
            failed: "it was not made (Duplicate)",
            unchanged: "it changed nothing",
        }

    def test_is_known(self, world: World) -> None:
        """A write of which nobody knows if it was made, and one whose values were too many."""
        world.user("mira", title="Pilot")
        entry = world.records(world.last)[0]
        unclear = world.append(entry, {"after": {"title": "x"}}, "patch", "unclear (found after a crash)")
        omitted = world.append(entry, {"omitted": {"octets": 1, "sha256": "0"}}, "patch")
        undoing = world.of(unclear, omitted)
        assert {c.records[0]: c.reason for c in undoing.conflicts} == {
            unclear: "whether it was made is not known",
            omitted: "its values were too many to keep",
        }

    @pytest.mark.parametrize(
        ("changes", "outcome"),
        [
            ({"omitted": {"octets": 1, "sha256": "0"}}, "done"),
            ({"after": {"title": "x"}}, "unclear (found after a crash)"),
        ],
    )
    def test_is_known_of_what_was_before(self, world: World, changes: dict[str, Any], outcome: str) -> None:
        user = world.user("mira", title="Pilot")
        world.append(world.records(world.last)[0], changes, "patch", outcome)
        assert world.reasons(world.blind(user, title="Captain")) == {"title": "what it was before is not known"}

    def test_is_known_of_what_came_since(self, world: World) -> None:
        user = world.user("mira", title="Pilot")
        changed = world.blind(user, title="Captain")
        omitted = world.append(world.records(changed)[0], {"omitted": {"octets": 1, "sha256": "0"}})
        assert world.reasons(changed) == {"title": f"record {omitted} (entra) wrote it since"}


def test_protected_resources_stay(undo_store: Opened, control: ControlStore) -> None:
    undo_store.empty()
    world = World(undo_store.backend, control, guarded(undo_store.backend, 'userType eq "Admin"', None))
    root, ann = world.user("root", userType="Admin", title="Root"), world.user("ann", title="Pilot")
    cec = world.user("cec", userType="Admin")
    numbers = [world.blind(root, title="A"), world.blind(ann, title="A"), world.delete(cec)]
    undoing, made = world.undone_once(*numbers)
    said = "this user is protected: the operator of this service lets no client change it"
    assert {c.id: c.reason for c in undoing.conflicts} == {root: said, cec: said}
    assert ([s.id for s in made.steps], made.conflicts) == ([ann], ())
    assert (world.value(root, "title"), world.value(ann, "title")) == ("A", "Pilot")


class _Interfering(Around):
    """A store in which `first` happens right before the next write."""

    def __init__(self, inner: Backend, first: Callable[[], object]) -> None:
        super().__init__(inner)
        self._first: list[Callable[[], object]] = [first]

    def update(self, kind: str, id: ResourceId, change: Change, *, expect: Version | None = None) -> Stamp:
        if self._first:
            self._first.pop()()
        return super().update(kind, id, change, expect=expect)

    def retire(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        if self._first:
            self._first.pop()()
        super().retire(kind, id, expect=expect)


class TestAtOnce:
    """Between the last look and the write."""

    @staticmethod
    def made(world: World, number: int, first: Callable[[], object]) -> Made:
        undo = Undo(world.control.audit, world.backend, world.journal, guarded=_Interfering(world.backend, first))
        return undo.make(undo.of(world.records(number)))

    def test_a_value_changes(self, world: World) -> None:
        user = world.user("mira", title="Pilot")
        made = self.made(world, world.blind(user, title="Captain"), lambda: world.blind(user, HR, title="Officer"))
        assert ([c.slot for c in made.conflicts], made.steps) == (["title"], ())
        assert world.value(user, "title") == "Officer"

    def test_something_else_changes(self, world: World) -> None:
        user = world.user("mira", title="Pilot")
        made = self.made(world, world.blind(user, title="Captain"), lambda: world.blind(user, HR, nickName="m"))
        assert (made.conflicts, len(made.steps)) == ((), 1)
        assert (world.value(user, "title"), world.value(user, "nickName")) == ("Pilot", "m")

    def test_who_was_created_changes(self, world: World) -> None:
        user = world.user("mira")
        made = self.made(world, world.last, lambda: world.blind(user, HR, title="Officer"))
        assert [c.reason for c in made.conflicts] == ["it was changed meanwhile"]
        assert world.value(user, "title") == "Officer"

    def test_the_store_goes_away(self, world: World) -> None:
        """What was made by then is in the audit; the same again makes the rest."""
        a, b = world.user("a", title="Pilot"), world.user("b", title="Pilot")
        numbers = [world.blind(id, title="Captain") for id in (a, b)]
        undoing = world.of(*numbers)

        def away() -> None:
            raise Unavailable

        world.undo().make(Undoing(undoing.steps[:1]))
        undo = Undo(world.control.audit, world.backend, world.journal, guarded=_Interfering(world.backend, away))
        with pytest.raises(Unavailable):
            undo.make(Undoing(undoing.steps[1:]))
        assert [record.outcome for record in world.records()[-2:]] == ["done", "Unavailable (unclear)"]
        assert {world.value(id, "title") for id in (a, b)} == {"Pilot", "Captain"}
        world.cleanly(*numbers)
        assert {world.value(id, "title") for id in (a, b)} == {"Pilot"}


class TestMeanwhile:
    """Between looking and making."""

    def test_a_value_changes(self, world: World) -> None:
        user = world.user("mira", title="Pilot", nickName="m")
        undoing = world.of(world.blind(user, title="Captain", nickName="c"))
        world.blind(user, HR, title="Officer")
        made = world.undo().make(undoing)
        assert [(c.slot, c.reason, c.present) for c in made.conflicts] == [
            ("title", "it was changed meanwhile", "Officer")
        ]
        assert (world.value(user, "title"), world.value(user, "nickName")) == ("Officer", "m")

    def test_something_else_changes(self, world: World) -> None:
        user = world.user("mira", title="Pilot")
        undoing = world.of(world.blind(user, title="Captain"))
        world.blind(user, HR, nickName="m")
        assert world.undo().make(undoing).conflicts == ()
        assert (world.value(user, "title"), world.value(user, "nickName")) == ("Pilot", "m")

    def test_who_was_created_changes(self, world: World) -> None:
        user = world.user("mira")
        undoing = world.of(world.last)
        world.blind(user, HR, title="Officer")
        assert [c.reason for c in world.undo().make(undoing).conflicts] == ["it was changed meanwhile"]
        assert world.is_there(user)

    def test_a_group_gets_members(self, world: World) -> None:
        a, b = world.user("a"), world.user("b")
        group = world.group("Pilots", a)
        undoing = world.of(world.last)
        world.members(group, add=(b,), who=HR)
        assert [c.reason for c in world.undo().make(undoing).conflicts] == ["it was changed meanwhile"]
        assert world.in_group(group) == {a, b}

    def test_who_was_retired_comes_back(self, world: World) -> None:
        user = world.user("mira")
        undoing = world.of(world.delete(user))
        assert world.user("mira", HR, title="Captain") == user
        assert [c.reason for c in world.undo().make(undoing).conflicts] == ["it was changed meanwhile"]
        assert world.value(user, "title") == "Captain"

    def test_it_goes(self, world: World) -> None:
        world.deletes()
        user = world.user("mira", title="Pilot")
        undoing = world.of(world.blind(user, title="Captain"))
        world.delete(user, who=HR)
        assert [c.reason for c in world.undo().make(undoing).conflicts] == ["it is not there, or protected and hidden"]
