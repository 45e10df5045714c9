"""Create, read, change and delete: values verbatim, ids for ever, stamps that tell of every visible change."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.scim.query import Change, Delta, Draft, Resource
from app.scim.registry import Registry
from backends.base import Backend
from backends.errors import NotFound, RejectedValue
from tests.conformance.helpers import (
    DEPARTMENT,
    ODD_IDS,
    VERBATIM,
    found,
    group,
    search,
    state,
    user,
    users,
)
from tests.support.stores import Store
from tests.support.values import full_user

Read = Callable[[Resource], Resource]


def test_declares_what_it_promises(backend: Backend, store: Store) -> None:
    """The capabilities are those that the store is registered with, and a check of a running store passes."""
    assert backend.capabilities == store.capabilities
    backend.check()


@pytest.mark.req("S-3.1-03", "P-3.4.1-01")
def test_create_then_get(backend: Backend, read: Read) -> None:
    """A created resource is returned with its slots and is read back equal."""
    values = {"userName": "ann@corp.example", "name.givenName": "Ann", "active": True, DEPARTMENT: "R&D"}
    created = backend.create("User", Draft(values))
    assert created.kind == "User"
    assert created.id
    assert dict(created.values) == values
    assert read(created) == created


@pytest.mark.req("S-2.4-10", "S-4.3-01")
def test_every_slot_round_trips(backend: Backend, read: Read, registry: Registry) -> None:
    """Each readable slot of the schema keeps its value, with types and order, beside all the others."""
    draft = full_user(registry, "full@corp.example")
    created = backend.create("User", draft)
    kept = read(created)
    assert dict(kept.values) == dict(draft.values)
    for slot, value in kept.values.items():
        assert type(value) is type(draft.values[slot]), slot
    assert set(kept.values) == registry.type("User").readable - registry.type("User").lookups.keys()


@pytest.mark.req("S-2.3.1-01")
@pytest.mark.parametrize("slot", ["displayName", "externalId"])
def test_text_is_kept_verbatim(backend: Backend, slot: str) -> None:
    """Text comes back code point for code point: scripts, emoji, blanks at both ends, case, line breaks, wildcards."""
    for n, text in enumerate(VERBATIM):
        created = backend.create("User", user(f"u{n}@corp.example", **{slot: text}))
        assert created.values[slot] == text
        assert backend.get("User", created.id, frozenset({slot})).values == {slot: text}
    stored = {i.values[slot] for i in search(backend, "User", want=frozenset({slot}))[0]}
    assert stored == set(VERBATIM)


@pytest.mark.req("S-2.3.1-01")
def test_text_inside_values_is_kept_verbatim(backend: Backend, read: Read) -> None:
    """Text in sub-attributes of a multi-valued attribute comes back code point for code point."""
    emails = [{"value": f"{n}@corp.example", "display": text} for n, text in enumerate(VERBATIM)]
    created = backend.create("User", user("ann@corp.example", emails=emails))
    assert read(created).values["emails"] == emails


@pytest.mark.req("S-2.3.1-01")
@pytest.mark.parametrize("slot", ["userName", "displayName", "externalId", "profileUrl", DEPARTMENT])
@pytest.mark.parametrize("text", ["a" * 5000, "山" * 5000, "😀" * 20_000, "b" * 300_000], ids=lambda t: str(len(t)))
def test_long_text_is_kept_or_refused(backend: Backend, read: Read, slot: str, text: str) -> None:
    """A very long value comes back whole, or is refused as a value of its slot with nothing stored."""
    values = {"userName": "ann@corp.example", slot: text}
    try:
        created = backend.create("User", Draft(values))
    except RejectedValue as refusal:
        assert refusal.attribute == slot
        assert search(backend, "User")[1] == 0
    else:
        assert dict(read(created).values) == values


def test_values_of_a_multi_valued_attribute_keep_order(backend: Backend, read: Read) -> None:
    """The values of a multi-valued attribute stay in the order they were given, also after they are replaced."""
    emails = [{"value": f"{n}@corp.example", "type": "work"} for n in (3, 1, 2, 10, 0)]
    created = backend.create("User", user("ann@corp.example", emails=emails))
    assert read(created).values["emails"] == emails
    turned = [*reversed(emails), {"value": "new@corp.example", "primary": True}]
    backend.update("User", created.id, Change({"emails": turned}))
    assert read(created).values["emails"] == turned


def test_order_of_values_is_part_of_them(backend: Backend, read: Read) -> None:
    """The same values in another order are a change."""
    emails = [{"value": "a@corp.example"}, {"value": "b@corp.example"}]
    created = backend.create("User", user("ann@corp.example", emails=emails))
    stamp = backend.update("User", created.id, Change({"emails": emails[::-1]}))
    assert stamp.version != created.stamp.version
    assert read(created).values["emails"] == emails[::-1]


@pytest.mark.req("S-2.5-01", "S-2.5-02")
def test_unassigning(backend: Backend, read: Read) -> None:
    """A slot set to None is absent afterwards, singular and multi-valued alike; the others keep their values."""
    draft = user("ann@corp.example", title="Dr", nickName="A", emails=[{"value": "a@corp.example"}])
    created = backend.create("User", draft)
    stamp = backend.update("User", created.id, Change({"title": None, "emails": None}))
    kept = read(created)
    assert dict(kept.values) == {"userName": "ann@corp.example", "nickName": "A"}
    assert kept.stamp == stamp != created.stamp


@pytest.mark.req("S-3.1-18", "P-3.14-06")
@pytest.mark.parametrize(
    "change",
    [
        Change(),
        Change({"displayName": "Ann"}),
        Change({"title": None, "phoneNumbers": None}),
        Change({"active": True, "emails": [{"primary": True, "value": "a@corp.example"}]}),
    ],
    ids=["empty", "same", "absent", "same list"],
)
def test_no_op_keeps_the_stamp(backend: Backend, read: Read, change: Change) -> None:
    """A change to what is already there keeps version and time of modification."""
    emails = [{"value": "a@corp.example", "primary": True}]
    created = backend.create("User", user("ann@corp.example", displayName="Ann", active=True, emails=emails))
    assert backend.update("User", created.id, change) == created.stamp
    assert read(created) == created


@pytest.mark.req("P-3.14-06")
@pytest.mark.parametrize(
    "values",
    [
        {"displayName": "ann"},
        {"displayName": "Ann "},
        {"title": "Dr"},
        {"active": False},
        {"emails": [{"value": "A@corp.example"}]},
        {"emails": [{"value": "a@corp.example", "type": "work"}]},
        {"emails": [{"value": "a@corp.example", "primary": False}]},
        {"displayName": "ann", "title": None},
    ],
    ids=str,
)
def test_each_visible_change_moves_the_stamp(backend: Backend, read: Read, values: dict[str, Any]) -> None:
    """Whatever differs to a reader, if only by case or a blank, gives a new version, and is stored."""
    draft = user("ann@corp.example", displayName="Ann", active=True, emails=[{"value": "a@corp.example"}])
    created = backend.create("User", draft)
    stamp = backend.update("User", created.id, Change(values))
    kept = read(created)
    assert stamp.version != created.stamp.version
    assert kept.stamp == stamp
    assert kept.created == created.created
    assert {slot: kept.values.get(slot) for slot in values} == values


@pytest.mark.req("S-3.1-12", "S-3.1-14")
def test_times(backend: Backend, read: Read) -> None:
    """Created and modified are equal at first and aware times of now; a change moves modified on and leaves created."""
    slack = timedelta(seconds=2)
    earliest = datetime.now(UTC) - slack
    created = backend.create("User", user("ann@corp.example"))
    assert created.created == created.stamp.modified
    assert created.created.utcoffset() == timedelta(0)
    assert earliest <= created.created <= datetime.now(UTC) + slack
    seen = [created.stamp]
    for n in range(50):
        seen.append(backend.update("User", created.id, Change({"title": f"t{n}"})))
        if seen[-1].modified > created.created:
            break
        time.sleep(0.1)
    assert seen[-1].modified > created.created
    assert seen == sorted(seen, key=lambda s: s.modified)
    assert len({s.version for s in seen}) == len(seen)
    kept = read(created)
    assert kept.created == created.created
    assert kept.stamp == seen[-1]
    assert kept.stamp.modified.utcoffset() == timedelta(0)


def test_update_changes_only_what_it_names(backend: Backend, read: Read, registry: Registry) -> None:
    """A change of one slot leaves every other slot, of this resource and of others, as it was."""
    draft = full_user(registry, "ann@corp.example")
    other = backend.create("User", full_user(registry, "bob@corp.example"))
    created = backend.create("User", draft)
    backend.update("User", created.id, Change({"name.givenName": "Changed"}))
    assert dict(read(created).values) == {**draft.values, "name.givenName": "Changed"}
    assert read(other) == other


def test_every_slot_can_be_changed_and_unassigned(backend: Backend, read: Read, registry: Registry) -> None:
    """One change gives every slot another value, and another one unassigns every slot that is not required."""
    first, second = full_user(registry, "ann@corp.example"), full_user(registry, "bea@corp.example", variant=1)
    created = backend.create("User", first)
    assert all(first.values[slot] != value for slot, value in second.values.items())
    backend.update("User", created.id, Change(second.values))
    assert dict(read(created).values) == dict(second.values)
    backend.update("User", created.id, Change({slot: None for slot in second.values if slot != "userName"}))
    assert dict(read(created).values) == {"userName": "bea@corp.example"}


@pytest.mark.req("P-3.6-02", "P-3.6-03", "P-3.6-05")
def test_delete(backend: Backend, registry: Registry) -> None:
    """Afterwards the id is unknown to every method and the resource is in no search; others stay."""
    gone, stays = users(backend, 2)
    backend.delete("User", gone.id)
    with pytest.raises(NotFound):
        backend.get("User", gone.id, registry.type("User").readable)
    with pytest.raises(NotFound):
        backend.update("User", gone.id, Change({"title": "x"}))
    with pytest.raises(NotFound):
        backend.delete("User", gone.id)
    assert list(backend.related("User", [gone.id], "groups")) == []
    assert found(backend, "User", None) == {stays.id}


@pytest.mark.req("S-3.1-04", "S-3.1-05", "S-3.1-07", "P-3.6-04")
def test_ids_are_never_given_twice(backend: Backend) -> None:
    """Ids differ over kinds and over time: a resource created again after its deletion has a new one."""
    seen: list[str] = []
    for _ in range(5):
        person, team = backend.create("User", user("ann@corp.example")), backend.create("Group", group("Team"))
        seen += [person.id, team.id]
        backend.delete("User", person.id)
        backend.delete("Group", team.id)
    assert len(set(seen)) == len(seen)
    assert not [id for id in seen if "bulkid" in id.lower()]


@pytest.mark.req("P-3.4.1-01", "P-3.4.1-02")
@pytest.mark.parametrize("kind", ["User", "Group"])
def test_unknown_ids_of_any_shape(backend: Backend, registry: Registry, kind: str) -> None:
    """An id that was never issued for the kind, whatever it looks like, is NotFound and nothing else."""
    person, team = backend.create("User", user("ann@corp.example")), backend.create("Group", group("Team"))
    own, other = (person, team) if kind == "User" else (team, person)
    before = state(backend, registry)
    for id in (*ODD_IDS, other.id, own.id + " ", f" {own.id}", own.id[:-1], own.id + "\0", own.id + "'"):
        with pytest.raises(NotFound):
            backend.get(kind, id, frozenset())
        with pytest.raises(NotFound):
            backend.update(kind, id, Change({"externalId": "x"}))
        with pytest.raises(NotFound):
            backend.update(kind, id, Change({"externalId": "x"}), expect="1")
        with pytest.raises(NotFound):
            backend.delete(kind, id)
        relation = next(iter(registry.type(kind).relations))
        assert list(backend.related(kind, [id], relation)) == []
    assert state(backend, registry) == before


def test_groups_live_like_users(backend: Backend, read: Read) -> None:
    """A group is created, read, changed and deleted by the same rules."""
    created = backend.create("Group", Draft({"displayName": "Staff", "externalId": "G-1"}))
    assert read(created) == created
    stamp = backend.update("Group", created.id, Change({"displayName": "All Staff", "externalId": None}))
    assert dict(read(created).values) == {"displayName": "All Staff"}
    assert read(created).stamp == stamp
    backend.delete("Group", created.id)
    assert search(backend, "Group") == ([], 0)


def test_a_password_is_taken_and_not_given(backend: Backend, read: Read) -> None:
    """A write-only value is accepted at creation and in a change, and no read returns it."""
    created = backend.create("User", user("ann@corp.example", password="correct horse"))
    backend.update("User", created.id, Change({"password": "battery staple"}))
    assert dict(read(created).values) == {"userName": "ann@corp.example"}


def test_an_empty_relation_part_changes_nothing(backend: Backend) -> None:
    """A change whose deltas are empty is a no-op."""
    team = backend.create("Group", group("Team", users(backend, 2)))
    assert backend.update("Group", team.id, Change(relations={"members": Delta()})) == team.stamp
