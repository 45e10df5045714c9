"""Rehearsed stores of the conformance suite, in which half of what a test creates was there before the rehearsal."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import pytest
from sqlalchemy import create_engine

from app.control import ControlStore, Rehearsal, upgrade
from app.control.tables import rehearsed, rehearsed_claims, rehearsed_relations
from app.scim.filter.nodes import Compare, Op
from app.scim.query import Change, Draft, Query, Resource, ResourceId, Stamp, Version
from app.services.rehearsal import Bounds, Rehearsing
from app.services.rehearsal.beneath import NOTHING, Beneath
from app.services.rehearsal.copies import own_slots, unique_values
from backends.base import Backend
from backends.errors import Duplicate, RejectedValue
from tests.support.sqlcost import measure

Measured = Mapping[str, int]
Inner = tuple[Backend, Callable[[], None]]
"""A store, and what empties it."""


class HalfThere(Rehearsing):
    """A rehearsed store that puts two of every four new resources of a kind into the store beneath, as if they had been
    there before, where nothing that the rehearsal has changed forbids it. It knows how each of those was."""

    def __init__(self, inner: Backend, rehearsal: Rehearsal, bounds: Bounds | None) -> None:
        super().__init__(inner, rehearsal, bounds=bounds)
        self._below = Beneath(inner)
        self._made: dict[tuple[str, ResourceId], Resource] = {}
        self._one_at_a_time = threading.RLock()
        self._turns: Counter[str] = Counter()

    def create(self, kind: str, draft: Draft) -> Resource:
        with self._one_at_a_time:
            self._turns[kind] += 1
            if self._turns[kind] % 4 in (1, 2) and self._could_be_there(kind, draft):
                try:
                    made = self._inner.create(kind, draft)
                except (Duplicate, RejectedValue):
                    # The rehearsal has given the name away and the store has not, or the store has no room for it.
                    return super().create(kind, draft)
                self._made[kind, made.id] = self._whole(kind, made.id)
                return made
            return super().create(kind, draft)

    def update(self, kind: str, id: ResourceId, change: Change, *, expect: Version | None = None) -> Stamp:
        if not list(unique_values(self.registry.type(kind), change.values)):
            return super().update(kind, id, change, expect=expect)
        with self._one_at_a_time:
            return super().update(kind, id, change, expect=expect)

    def restore(self, kind: str, id: ResourceId, change: Change) -> Resource:
        with self._one_at_a_time:
            return super().restore(kind, id, change)

    def forget(self) -> None:
        """Afterwards it is known of no resource how it was."""
        self._made.clear()

    def assert_untouched(self) -> None:
        """The store beneath has what was put there, and nothing else, each as it was."""
        for resource_type in self.registry.types:
            kind = resource_type.name
            made = {id: resource for (k, id), resource in self._made.items() if k == kind}
            assert self._inner.search(kind, Query(NOTHING)).total == len(made)
            assert {id: self._whole(kind, id) for id in made} == made

    def _whole(self, kind: str, id: ResourceId) -> Resource:
        return self._inner.get(kind, id, own_slots(self.registry.type(kind)))

    def _could_be_there(self, kind: str, draft: Draft) -> bool:
        resource_type = self.registry.type(kind)
        names = list(unique_values(resource_type, draft.values))
        if any(self.search(kind, Query(NOTHING, Compare(a, Op.EQ, form))).total for a, form in names):
            return False
        far = {(lookup.kind, draft.values.get(lookup.via)) for lookup in resource_type.lookups.values()}
        far |= {(resource_type.relations[name].target, id) for name, ids in draft.relations.items() for id in ids}
        others = [(target, id) for target, id in far if id is not None]
        return all(
            id in self._below.among(target, [id]) and not self._rehearsal.find(target, [id]) for target, id in others
        )


@contextmanager
def opened(
    request: pytest.FixtureRequest, control_kind: str, inner: AbstractContextManager[Inner], bounds: Bounds | None
) -> Iterator[tuple[Backend, Callable[[], None], Callable[[Callable[[], object]], Measured]]]:
    """The rehearsed store around `inner`; what empties it, which fails where the store beneath was written to; and what
    measures a call in statements: the ids of what was changed
    are read by each search, so that rows are not to be compared."""
    new_database: Callable[[str], str] = request.getfixturevalue("new_database")
    url = new_database(control_kind)
    upgrade(url)
    control, engine = ControlStore(url), create_engine(url)
    with inner as (store, empty_store):
        backend = HalfThere(store, control.rehearsal, bounds)

        def empty() -> None:
            backend.assert_untouched()
            backend.forget()
            empty_store()
            with engine.begin() as connection:
                for table in (rehearsed, rehearsed_relations, rehearsed_claims):
                    connection.execute(table.delete())

        def counted(call: Callable[[], object]) -> Measured:
            return {"statements": measure(call)["statements"]}

        try:
            yield backend, empty, counted
            backend.assert_untouched()
        finally:
            control.close()
            engine.dispose()
