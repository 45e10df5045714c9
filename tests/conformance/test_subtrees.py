"""Which resources are in a subtree of a directory: where there is none, and in one that nothing is in, none is."""

from __future__ import annotations

import pytest

from backends.base import Backend
from tests.conformance.helpers import ODD_IDS, group, user

NOWHERE = ("ou=nowhere,dc=nowhere,dc=example",)


@pytest.mark.parametrize("bases", [(), NOWHERE], ids=["none", "nowhere"])
def test_nothing_is_in_a_subtree_that_is_not_there(backend: Backend, bases: tuple[str, ...]) -> None:
    ann = backend.create("User", user("ann@corp.example"))
    team = backend.create("Group", group("Team"))
    for kind, id in (("User", ann.id), ("Group", team.id)):
        assert backend.within(kind, [id, *ODD_IDS], bases) == frozenset()
        assert backend.within(kind, [], bases) == frozenset()
    assert not backend.may_land_within("User", {"userName": "bob@corp.example"}, bases)
    assert not backend.may_land_within("Group", {"displayName": "Other"}, bases)
