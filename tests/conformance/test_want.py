"""What a read returns: the wanted slots that have a value, stored or derived, and nothing more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.scim.query import Change, Draft, Resource
from app.scim.registry import Registry
from backends.base import Backend
from tests.conformance.helpers import MANAGER, MANAGER_NAME, MANAGER_REF, group, search, user, users
from tests.support.values import full_user

Read = Callable[[Resource], Resource]
OF_MANAGER = frozenset({MANAGER, MANAGER_REF, MANAGER_NAME})


def test_only_wanted_slots_come_back(backend: Backend, registry: Registry) -> None:
    """Each slot alone, and some together, bring exactly themselves, by get and by search."""
    draft = full_user(registry, "ann@corp.example")
    created = backend.create("User", draft)
    slots = sorted(draft.values)
    for want in (frozenset(), *(frozenset({s}) for s in slots), frozenset(slots[::3]), frozenset({"emails", "title"})):
        expected = {slot: draft.values[slot] for slot in want}
        got = backend.get("User", created.id, want)
        assert dict(got.values) == expected
        assert search(backend, "User", want=want) == ([got], 1)


def test_nothing_wanted_still_tells_id_and_stamp(backend: Backend) -> None:
    """With an empty want the id, the kind, the time of creation and the stamp are there, and no value."""
    created = backend.create("User", user("ann@corp.example", title="Dr"))
    bare = backend.get("User", created.id, frozenset())
    assert bare == Resource("User", created.id, created.created, created.stamp, {})


def test_wanted_slots_without_value_are_absent(backend: Backend, registry: Registry) -> None:
    """A wanted slot that has no value is not in the values, also when a neighbour in the result has one."""
    bare, full = backend.create("User", user("ann@corp.example")), full_user(registry, "bob@corp.example")
    other = backend.create("User", full)
    want = registry.type("User").readable
    items = {item.id: dict(item.values) for item in search(backend, "User", want=want)[0]}
    assert items == {bare.id: {"userName": "ann@corp.example"}, other.id: dict(full.values)}


def test_values_stay_with_their_resource(backend: Backend) -> None:
    """In a search over many resources each gets its own values of a multi-valued attribute, in order."""
    emails = {}
    for n in range(25):
        own = [{"value": f"{n}.{k}@corp.example"} for k in range(n % 4)]
        emails[backend.create("User", user(f"u{n}", **({"emails": own} if own else {}))).id] = own
    items, _ = search(backend, "User", want=frozenset({"emails"}))
    assert {item.id: item.values.get("emails", []) for item in items} == emails


@pytest.mark.req("S-4.3-02", "S-4.3-03")
def test_manager_is_derived(backend: Backend) -> None:
    """`manager.$ref` and `manager.displayName` follow from the manager that exists, as it is now."""
    boss = backend.create("User", user("boss@corp.example", displayName="The Boss"))
    ann = backend.create("User", Draft({"userName": "ann@corp.example", MANAGER: boss.id}))
    assert backend.get("User", ann.id, OF_MANAGER).values == {
        MANAGER: boss.id,
        MANAGER_REF: boss.id,
        MANAGER_NAME: "The Boss",
    }
    backend.update("User", boss.id, Change({"displayName": "Boss Two"}))
    assert backend.get("User", ann.id, frozenset({MANAGER_NAME})).values == {MANAGER_NAME: "Boss Two"}
    backend.update("User", boss.id, Change({"displayName": None}))
    assert backend.get("User", ann.id, OF_MANAGER).values == {MANAGER: boss.id, MANAGER_REF: boss.id}
    found = [i.values for i in search(backend, "User", want=OF_MANAGER)[0] if i.id == ann.id]
    assert found == [{MANAGER: boss.id, MANAGER_REF: boss.id}]


@pytest.mark.parametrize("dangling", ["nobody", "x" * 500, "'", "山", "%", "0"])
def test_a_manager_that_does_not_exist(backend: Backend, dangling: str) -> None:
    """A dangling `manager.value` is stored and returned as it is; nothing is derived from it."""
    ann = backend.create("User", Draft({"userName": "ann@corp.example", MANAGER: dangling}))
    assert backend.get("User", ann.id, OF_MANAGER).values == {MANAGER: dangling}
    assert [i.values for i in search(backend, "User", want=OF_MANAGER)[0]] == [{MANAGER: dangling}]


def test_a_group_is_no_manager(backend: Backend) -> None:
    """The id of a group in `manager.value` derives nothing, for a manager is a user."""
    team = backend.create("Group", group("Team"))
    ann = backend.create("User", Draft({"userName": "ann@corp.example", MANAGER: team.id}))
    assert backend.get("User", ann.id, OF_MANAGER).values == {MANAGER: team.id}


@pytest.mark.req("P-3.6-03")
def test_deleting_a_manager_clears_the_reference(backend: Backend, read: Read) -> None:
    """When the manager is deleted, whoever had it has no manager afterwards, and a new version."""
    boss, other = users(backend, 2, "boss")
    reports = [backend.create("User", Draft({"userName": f"u{n}", MANAGER: boss.id})) for n in range(3)]
    elsewhere = backend.create("User", Draft({"userName": "x", MANAGER: other.id}))
    dangling = backend.create("User", Draft({"userName": "y", MANAGER: boss.id.upper() + "?"}))
    backend.delete("User", boss.id)
    for report in reports:
        after = read(report)
        assert dict(after.values) == {"userName": report.values["userName"]}
        assert after.stamp.version != report.stamp.version
    assert backend.get("User", elsewhere.id, OF_MANAGER).values[MANAGER] == other.id
    assert backend.get("User", dangling.id, OF_MANAGER).values == {MANAGER: boss.id.upper() + "?"}
    assert read(elsewhere).stamp == elsewhere.stamp


def test_people_who_manage_themselves_and_each_other(backend: Backend, read: Read) -> None:
    """Circles of managers can be stored, read and deleted."""
    ann, bob = users(backend, 2)
    backend.update("User", ann.id, Change({MANAGER: ann.id}))
    assert backend.get("User", ann.id, OF_MANAGER).values[MANAGER_NAME] == "User 0"
    backend.update("User", ann.id, Change({MANAGER: bob.id}))
    backend.update("User", bob.id, Change({MANAGER: ann.id}))
    backend.delete("User", ann.id)
    assert MANAGER not in read(bob).values
