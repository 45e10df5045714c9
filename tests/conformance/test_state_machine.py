"""Any sequence of calls leaves the store and the reference in the same state, with the same answers on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.scim.query import Change, Delta, Draft, Resource, ResourceId, Slot, Stamp, Value, Window
from app.scim.registry import Registry
from backends.base import Backend
from backends.errors import Duplicate, NotFound, StoreError, UnknownReference, VersionMismatch
from tests.conformance.helpers import EVERYTHING, MANAGER, views
from tests.support.probe import probed
from tests.support.reference import ReferenceBackend
from tests.support.stores import Opened, Store
from tests.support.values import some_values

EXAMPLES = 50
STEPS = 30

_NAMES = st.sampled_from(("ann", "Ann", "ANN", "bob", "Ｂob", "é", "e\u0301", "o'%_"))
# Others than those of people: Active Directory may refuse a person who is called as a group is.
_TEAM_NAMES = st.sampled_from(("crew", "Crew", "CREW", "team", "Ｃrew", "ê", "e\u0302", "t'%_"))
_USER_VALUES = some_values(probed().type("User"), most=6)
_EXPECT = st.sampled_from(("none", "none", "current", "first"))


class Twin(RuleBasedStateMachine):
    """Drives a store and the reference with the same calls; ids and versions are known by the pair that was issued."""

    people = Bundle("people")
    teams = Bundle("teams")

    def __init__(self, store: Backend, registry: Registry) -> None:
        super().__init__()
        self.store, self.registry = store, registry
        self.model = ReferenceBackend(registry)
        self.versions: dict[ResourceId, list[tuple[str, str]]] = {}
        self.store_id: dict[ResourceId, ResourceId] = {}
        self.followed: set[ResourceId] = set()
        self.stamps: dict[str, tuple[dict[ResourceId, Stamp], ...]] = {k: ({}, {}) for k in ("User", "Group")}

    @rule(target=people, name=_NAMES, values=_USER_VALUES, boss=st.none() | people)
    def create_user(self, name: str, values: dict[Slot, Value], boss: ResourceId | None) -> Any:
        """Create a user in both, with a manager who may be gone."""
        model = {**values, "userName": name}
        store = dict(model)
        if boss is not None and boss not in self.retired:
            model[MANAGER], store[MANAGER] = boss, self.store_id[boss]
        return self._create("User", Draft(model), Draft(store))

    @rule(target=teams, name=_TEAM_NAMES, chosen=st.lists(people, max_size=4))
    def create_group(self, name: str, chosen: list[ResourceId]) -> Any:
        """Create a group in both, with members that may be gone."""
        model = Draft({"displayName": name}, {"members": tuple(chosen)})
        store = Draft({"displayName": name}, {"members": tuple(self.store_id[p] for p in chosen)})
        return self._create("Group", model, store)

    @rule(
        person=people,
        values=_USER_VALUES,
        name=st.none() | _NAMES,
        gone=st.lists(st.sampled_from(("title", "emails", "displayName", MANAGER)), max_size=2),
        boss=st.none() | people,
        expect=_EXPECT,
    )
    def change_user(
        self,
        person: ResourceId,
        values: dict[Slot, Value],
        name: str | None,
        gone: list[Slot],
        boss: ResourceId | None,
        expect: str,
    ) -> None:
        """Assign and unassign slots, name and manager among them."""
        change: dict[Slot, Value | None] = {**values, **dict.fromkeys(gone)}
        if name is not None:
            change["userName"] = name
            # Where members are names of entries, the groups change with these.
            self.followed = {self.store_id[far.id] for _, far in self.model.related("User", [person], "groups")}
        model, store = dict(change), dict(change)
        if boss is not None and boss not in self.retired:
            model[MANAGER], store[MANAGER] = boss, self.store_id[boss]
        self._update("User", person, Change(model), Change(store), expect)

    @rule(
        team=teams,
        add=st.lists(st.one_of(people, people, people, teams), max_size=3),
        remove=st.lists(people, max_size=3),
        clear=st.booleans(),
        name=st.none() | _TEAM_NAMES,
        expect=_EXPECT,
    )
    def change_group(
        self,
        team: ResourceId,
        add: list[ResourceId],
        remove: list[ResourceId],
        clear: bool,
        name: str | None,
        expect: str,
    ) -> None:
        """Apply a delta, with or without a new name."""
        values = {} if name is None else {"displayName": name}
        out = [p for p in remove if p not in add]
        model = Delta(tuple(add), tuple(out), clear)
        store = Delta(tuple(self.store_id[p] for p in add), tuple(self.store_id[p] for p in out), clear)
        self._update("Group", team, Change(values, {"members": model}), Change(values, {"members": store}), expect)

    @rule(person=people, expect=_EXPECT)
    def delete_user(self, person: ResourceId, expect: str) -> None:
        """Delete a user, who may be gone."""
        self._delete("User", person, expect)

    @rule(team=teams, expect=_EXPECT)
    def delete_group(self, team: ResourceId, expect: str) -> None:
        """Delete a group, which may be gone."""
        self._delete("Group", team, expect)

    @rule(person=people, expect=_EXPECT)
    def retire_user(self, person: ResourceId, expect: str) -> None:
        """Retire a user, who may be gone or retired."""
        versions = self._expected("User", person, expect)
        wanted = self._outcome(lambda: self.model.retire("User", person, expect=versions[0]))
        got = self._outcome(lambda: self.store.retire("User", self.store_id[person], expect=versions[1]))
        self._assert_same(wanted, got)

    @precondition(lambda self: self.retired)
    @rule(
        which=st.integers(0, 5),
        values=_USER_VALUES,
        name=st.none() | _NAMES,
        gone=st.lists(st.sampled_from(("title", "emails", "displayName", MANAGER)), max_size=2),
        boss=st.none() | people,
    )
    def restore_user(
        self,
        which: int,
        values: dict[Slot, Value],
        name: str | None,
        gone: list[Slot],
        boss: ResourceId | None,
    ) -> None:
        """Restore a retired user with a change."""
        person = self.retired[which % len(self.retired)]
        change: dict[Slot, Value | None] = {**values, **dict.fromkeys(gone)}
        if name is not None:
            change["userName"] = name
        model, store = dict(change), dict(change)
        if boss is not None and boss not in self.retired:
            model[MANAGER], store[MANAGER] = boss, self.store_id[boss]
        wanted = self._outcome(lambda: self.model.restore("User", person, Change(model)))
        got = self._outcome(lambda: self.store.restore("User", self.store_id[person], Change(store)))
        self._assert_same(wanted, got)
        if not isinstance(wanted, StoreError):
            assert self._comparable(got, {}) == self._comparable(wanted, self.store_id)
            assert got.stamp == self.store.get("User", got.id, frozenset()).stamp

    @precondition(lambda self: len(self.retired) > 1)
    @rule(person=people)
    def purge_user(self, person: ResourceId) -> None:
        """Purge a user, who may not be retired."""
        wanted = self._outcome(lambda: self.model.purge("User", person))
        self._assert_same(wanted, self._outcome(lambda: self.store.purge("User", self.store_id[person])))

    @property
    def retired(self) -> list[ResourceId]:
        """The ids of the retired users in the reference."""
        return [item.id for item in self.model.retired("User", frozenset(), None, Window(1, EVERYTHING)).items]

    @invariant()
    def same_retired(self) -> None:
        """Both have retired the same users in the same order; what they refer to may be missing."""
        want = self.registry.type("User").readable - {MANAGER}
        store, model = (b.retired("User", want, None, Window(1, EVERYTHING)) for b in (self.store, self.model))
        assert store.total == model.total == len(store.items)
        assert [(r.id, dict(r.values)) for r in store.items] == [
            (self.store_id[r.id], dict(r.values)) for r in model.items
        ]

    @invariant()
    def same_state(self) -> None:
        """Both hold the same, but for ids, times and versions, and the same stamps have moved since the last step."""
        for kind in ("User", "Group"):
            store, model = self._whole(self.store, kind, {}), self._whole(self.model, kind, self.store_id)
            assert {id: held for id, (held, _) in store.items()} == {id: held for id, (held, _) in model.items()}
            moved = [
                {id for id, (_, stamp) in now.items() if id in before and before[id] != stamp}
                for now, before in zip((store, model), self.stamps[kind], strict=True)
            ]
            assert moved[0] - self.followed == moved[1] - self.followed
            self.stamps[kind] = tuple({id: stamp for id, (_, stamp) in now.items()} for now in (store, model))
        self.followed = set()

    def _whole(
        self, backend: Backend, kind: str, ids: dict[ResourceId, ResourceId]
    ) -> dict[ResourceId, tuple[Any, Stamp]]:
        found = {}
        for view in views(backend, self.registry, kind):
            values = self._comparable(view.resource, ids)
            relations = {
                name: sorted((ids.get(r.id, r.id), r.kind, r.display or "") for r in far)
                for name, far in view.relations.items()
            }
            found[ids.get(view.resource.id, view.resource.id)] = ((values, relations), view.resource.stamp)
        return found

    def _comparable(self, resource: Resource, ids: dict[ResourceId, ResourceId]) -> dict[Slot, Value]:
        return {
            slot: ids.get(value, value) if ":manager." in slot else value for slot, value in resource.values.items()
        }

    def _create(self, kind: str, model: Draft, store: Draft) -> Any:
        wanted = self._outcome(lambda: self.model.create(kind, model))
        got = self._outcome(lambda: self.store.create(kind, store))
        self._assert_same(wanted, got)
        if isinstance(wanted, StoreError):
            return multiple()
        assert dict(got.values) == dict(store.values)
        self.store_id[wanted.id] = got.id
        self.versions[wanted.id] = [(wanted.stamp.version, got.stamp.version)]
        return wanted.id

    def _update(self, kind: str, id: ResourceId, model: Change, store: Change, expect: str) -> None:
        versions = self._expected(kind, id, expect)
        before = self._stamps(kind, id)
        wanted = self._outcome(lambda: self.model.update(kind, id, model, expect=versions[0]))
        got = self._outcome(lambda: self.store.update(kind, self.store_id[id], store, expect=versions[1]))
        self._assert_same(wanted, got)
        after = self._stamps(kind, id)
        assert [a == b for a, b in zip(before, after, strict=True)] in ([True, True], [False, False])
        if not isinstance(wanted, StoreError):
            assert (wanted, got) == after

    def _delete(self, kind: str, id: ResourceId, expect: str) -> None:
        versions = self._expected(kind, id, expect)
        wanted = self._outcome(lambda: self.model.delete(kind, id, expect=versions[0]))
        got = self._outcome(lambda: self.store.delete(kind, self.store_id[id], expect=versions[1]))
        self._assert_same(wanted, got)

    def _expected(self, kind: str, id: ResourceId, expect: str) -> tuple[str | None, str | None]:
        if expect == "none":
            return None, None
        if expect == "first":
            return self.versions[id][0]
        model, store = self._stamps(kind, id)
        return (model.version, store.version) if model is not None else self.versions[id][0]

    def _stamps(self, kind: str, id: ResourceId) -> tuple[Any, Any]:
        model = self._outcome(lambda: self.model.get(kind, id, frozenset()).stamp)
        store = self._outcome(lambda: self.store.get(kind, self.store_id[id], frozenset()).stamp)
        if isinstance(model, StoreError):
            self._assert_same(model, store)
            return None, None
        return model, store

    def _outcome(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (Duplicate, NotFound, UnknownReference, VersionMismatch) as refusal:
            return refusal

    def _assert_same(self, wanted: Any, got: Any) -> None:
        if isinstance(wanted, Duplicate) and isinstance(got, UnknownReference):
            # Which of two faults is told is free; the reference looks for duplicates first.
            known = {self.store_id[view.resource.id] for view in views(self.model, self.registry, "User")}
            assert got.ids
            assert not known & set(got.ids)
            return
        assert type(wanted) is type(got)
        if isinstance(wanted, Duplicate):
            assert got.attribute == wanted.attribute
        if isinstance(wanted, UnknownReference):
            assert sorted(got.ids) == sorted(self.store_id.get(id, id) for id in wanted.ids)


def test_any_sequence_of_calls(opened: Opened, store: Store) -> None:
    """Whatever is done to both, answers, refusals, stamps that move or stay, and the whole state agree."""

    class Fresh(Twin):
        def __init__(self) -> None:
            opened.empty()
            super().__init__(opened.backend, store.registry)

    run_state_machine_as_test(
        Fresh,
        settings=settings(
            max_examples=max(1, round(EXAMPLES * store.share)),
            stateful_step_count=STEPS,
            derandomize=True,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )
