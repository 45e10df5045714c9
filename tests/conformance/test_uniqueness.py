"""Values that must be unique, in the comparison form of their attribute, one holder at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from app.scim.query import Change, Draft, Resource
from app.scim.registry import Registry
from backends.base import Backend, Capability
from backends.errors import Duplicate, RejectedValue
from tests.conformance.conftest import Race
from tests.conformance.helpers import group, search, state, user

Read = Callable[[Resource], Resource]

SLOT = {"User": "userName", "Group": "displayName"}
SAME = [
    ("Ann", "ann"),
    ("ANN@CORP.example", "ann@corp.EXAMPLE"),
    ("é", "e\u0301"),
    ("É", "e\u0301"),
    ("ＡＮＮ", "ann"),
    ("Straße", "STRASSE"),
    ("ΣΑΣ", "σας"),
    ("Å", "\u212b"),
    ("ﾊﾝ", "ハン"),
    ("100%", "100%"),
]
DIFFERENT = [
    ("ann", "ann "),
    ("ann", " ann"),
    ("ann", "an"),
    ("a_n", "ann"),
    ("a%", "ann"),
    ("e", "é"),
    ("o", "ø"),
    ("ss", "s"),
    ("i", "ı"),
    ("ann", "ann\u200b"),
    ("\\", "\\\\"),
    ("1", "01"),
    ("😀", "😁"),
    ("ハ", "バ"),
    ("は", "ハ"),
]


@pytest.mark.req("P-3.3-07", "P-5-01")
@pytest.mark.parametrize("kind", ["User", "Group"])
@pytest.mark.parametrize(("held", "wanted"), SAME, ids=str)
def test_equal_values_conflict(backend: Backend, registry: Registry, kind: str, held: str, wanted: str) -> None:
    """A value equal but for case, width or normalisation is a Duplicate of its slot, at creation and in a change."""
    slot = SLOT[kind]
    backend.create(kind, Draft({slot: held}))
    other = backend.create(kind, Draft({slot: "other"}))
    before = state(backend, registry)
    with pytest.raises(Duplicate) as refusal:
        backend.create(kind, Draft({slot: wanted}))
    assert refusal.value.attribute == slot
    with pytest.raises(Duplicate) as refusal:
        backend.update(kind, other.id, Change({slot: wanted}))
    assert refusal.value.attribute == slot
    assert state(backend, registry) == before


@pytest.mark.parametrize("kind", ["User", "Group"])
@pytest.mark.parametrize(("one", "two"), DIFFERENT, ids=str)
def test_different_values_live_side_by_side(backend: Backend, kind: str, one: str, two: str) -> None:
    """Values that only look alike, or that a wildcard would match, are no conflict."""
    slot = SLOT[kind]
    backend.create(kind, Draft({slot: one}))
    backend.create(kind, Draft({slot: two}))
    stored = [item.values[slot] for item in search(backend, kind, want=frozenset({slot}))[0]]
    assert sorted(stored) == sorted([one, two])


@pytest.mark.parametrize("kind", ["User", "Group"])
def test_long_values_differ_to_their_end(backend: Backend, kind: str) -> None:
    """Two long values that differ only at their end are no conflict, and equal ones are one, unless they are refused
    for their length."""
    slot, stem = SLOT[kind], "山" * 3000
    try:
        backend.create(kind, Draft({slot: stem + "a"}))
    except RejectedValue as refusal:
        assert refusal.attribute == slot
        return
    backend.create(kind, Draft({slot: stem + "b"}))
    with pytest.raises(Duplicate):
        backend.create(kind, Draft({slot: stem + "A"}))


@pytest.mark.parametrize("kind", ["User", "Group"])
def test_a_resource_is_no_duplicate_of_itself(backend: Backend, read: Read, kind: str) -> None:
    """A resource may take its own value in another case; it is stored as given, as a change."""
    slot = SLOT[kind]
    created = backend.create(kind, Draft({slot: "Ann"}))
    stamp = backend.update(kind, created.id, Change({slot: "ANN"}))
    assert stamp.version != created.stamp.version
    assert dict(read(created).values) == {slot: "ANN"}
    assert backend.update(kind, created.id, Change({slot: "ANN"})) == stamp


@pytest.mark.req("P-3.6-04")
@pytest.mark.parametrize("kind", ["User", "Group"])
def test_a_value_that_was_given_up_is_free(backend: Backend, kind: str) -> None:
    """After a deletion or a change the value can be taken by another resource."""
    slot = SLOT[kind]
    first = backend.create(kind, Draft({slot: "Ann"}))
    backend.delete(kind, first.id)
    second = backend.create(kind, Draft({slot: "ann"}))
    backend.update(kind, second.id, Change({slot: "bob"}))
    third = backend.create(kind, Draft({slot: "ANN"}))
    assert len({first.id, second.id, third.id}) == 3


@pytest.mark.req("S-2.3.6-02", "S-3.1-10")
def test_other_values_may_repeat(backend: Backend) -> None:
    """externalId, displayName of users, addresses and certificates may be equal in two resources."""
    for n in range(2):
        backend.create(
            "User",
            user(
                f"u{n}",
                externalId="E-1",
                displayName="Same",
                emails=[{"value": "same@corp.example"}],
                x509Certificates=[{"value": "YWJj"}],
            ),
        )
    assert search(backend, "User")[1] == 2


def test_kinds_do_not_share_values(backend: Backend) -> None:
    """A user and a group may bear one name."""
    backend.create("User", user("staff", displayName="staff"))
    backend.create("Group", group("staff"))
    assert (search(backend, "User")[1], search(backend, "Group")[1]) == (1, 1)


@pytest.mark.req("P-3.3-11")
@pytest.mark.needs(Capability.ATOMIC_UNIQUENESS)
@pytest.mark.parametrize("kind", ["User", "Group"])
def test_of_racing_creates_one_succeeds(backend: Backend, race: Race, kind: str) -> None:
    """Of many creates with one value at one moment exactly one succeeds and the others are Duplicates."""
    slot = SLOT[kind]
    for turn in range(5):
        names = [name for n in range(4) for name in (f"Ann{turn}", f"ann{turn}", f"ANN{turn}")]
        results = race([partial(backend.create, kind, Draft({slot: name})) for name in names])
        made = [r for r in results if isinstance(r, Resource)]
        assert len(made) == 1
        assert [type(r) for r in results if r is not made[0]] == [Duplicate] * 11
        assert search(backend, kind)[1] == turn + 1


@pytest.mark.needs(Capability.ATOMIC_UNIQUENESS)
def test_of_racing_renames_one_succeeds(backend: Backend, race: Race) -> None:
    """Of many resources that take one value at one moment exactly one gets it."""
    people = [backend.create("User", user(f"u{n}")) for n in range(8)]
    change = Change({"userName": "wanted"})
    results = race([partial(backend.update, "User", p.id, change) for p in people])
    assert sorted(type(r).__name__ for r in results) == ["Duplicate"] * 7 + ["Stamp"]
    names = sorted(i.values["userName"] for i in search(backend, "User", want=frozenset({"userName"}))[0])
    assert names.count("wanted") == 1
