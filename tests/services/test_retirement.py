"""Who is retired through SCIM, and who was put aside by another program."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.control import ControlStore
from app.scim.query import Draft, Window
from app.scim.registry import load
from app.services import retirement
from app.services.adoption import Adoption
from app.services.retirement import RetiredHere
from backends.base import Capability
from backends.errors import NotFound
from config.settings import LifecycleSettings
from tests.support.controls import new_control
from tests.support.reference import ReferenceBackend


@pytest.fixture
def control(tmp_path: Path) -> Iterator[ControlStore]:
    store = ControlStore(new_control(tmp_path / "control.db"))
    yield store
    store.close()


@pytest.mark.parametrize("marks", [True, False])
def test_only_where_the_store_does_not_mark_them_they_are_the_managed_ones(
    control: ControlStore, monkeypatch: pytest.MonkeyPatch, *, marks: bool
) -> None:
    """Whichever way one asks."""
    monkeypatch.setattr(retirement, "_PAGE", 2)
    backend = ReferenceBackend(load())
    if not marks:
        backend.capabilities &= ~Capability.MARKS_RETIRED
    ids = [backend.create("User", Draft({"userName": f"u{n}"})).id for n in range(7)]
    for id in ids:
        backend.retire("User", id)
    managed = [ids[n] for n in (1, 2, 5)]
    control.managed.claim("User", managed, "11111111-1111-1111-1111-111111111111")
    expected = ids if marks else managed
    here = RetiredHere(backend, Adoption(control.managed, backend, backend.registry, LifecycleSettings()))
    everyone = list(here.everyone(frozenset()))
    assert [user.id for user in everyone] == expected
    assert [user.id for user in here.among(backend.retired("User", frozenset()).items)] == expected
    page = here.page(frozenset(), Window(2, 2))
    assert (page.total, [user.id for user in page.items]) == (len(expected), expected[1:3])
    for id in ids:
        if id in expected:
            here.require(id)
        else:
            with pytest.raises(NotFound):
                here.require(id)
