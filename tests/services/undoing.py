"""A store with clients that write to it through the service, a record of each write in the trail at once, and undo."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from app.control import AuditRecord, ControlStore, Entry, Wanted
from app.scim.patch.operations import operations_from
from app.scim.query import Change, Delta, Draft, ResourceId, Slot
from app.services.adoption import Adoption
from app.services.audit import lines
from app.services.brakes import Brakes
from app.services.journal import Actor, Write
from app.services.preconditions import Preconditions
from app.services.resources import Resources
from app.services.retirement import Retirement
from app.services.shown import DEFAULT, Representations
from app.services.undo import Made, Undo, Undoing
from backends.base import Backend
from backends.errors import NotFound
from config.settings import BrakesSettings, LifecycleSettings
from tests.conformance.helpers import MANAGER
from tests.support.controls import new_control
from tests.support.earlier import Earlier
from tests.support.stores import Opened, Store, selected

ENTRA = Actor("11111111-1111-1111-1111-111111111111", "entra")
HR = Actor("22222222-2222-2222-2222-222222222222", "hr")
ANY = Preconditions()
SOME = Preconditions(if_match=("*",))
"""A condition that always holds: what it is asked with is read before it is written."""

STORES = ("reference", "linked", "sqlite", "postgresql", "openldap")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test on each of these stores that is selected."""
    stores = [s for s in selected(variants=True) if s.name in STORES]
    groups = {s.name: pytest.mark.xdist_group(f"{metafunc.module.__name__}-{s.name}") for s in stores}
    parameters = [pytest.param(s, id=s.name, marks=groups[s.name]) for s in stores]
    metafunc.parametrize("undo_store", parameters, indirect=True, scope="module")


@pytest.fixture(scope="module")
def undo_store(request: pytest.FixtureRequest) -> Iterator[Opened]:
    """One store of the kind for all tests."""
    chosen: Store = request.param
    with chosen.open(request) as opened:
        yield opened


@pytest.fixture
def control(tmp_path: Path) -> Iterator[ControlStore]:
    url = new_control(tmp_path / "control.db")
    control = ControlStore(url)
    yield control
    control.close()


@pytest.fixture
def world(undo_store: Opened, control: ControlStore) -> World:
    """The store without anybody."""
    undo_store.empty()
    return World(undo_store.backend, control)


def reporting_to(boss: str) -> dict[str, Any]:
    """The values of who has that manager."""
    return {MANAGER: boss}


class TrailJournal:
    """A journal whose records are in the trail as soon as a write has ended, in the order of the writes."""

    def __init__(self, control: ControlStore) -> None:
        self._trail = control.audit
        self._begun: dict[str, lines.Story] = {}
        self._times = itertools.count(time.time_ns() // 1000)

    def now(self) -> int:
        """A time after that of every record, in microseconds since 1970."""
        return next(self._times)

    def begin(self, write: Write) -> None:
        lines.take_in([lines.intent(write, self.now())], self._begun)

    def end(self, write: Write) -> None:
        ended = lines.take_in([lines.outcome(write, self.now())], self._begun)
        self._trail.append([story.entry() for story in ended])


class World:
    """What clients do gives the number of its record."""

    def __init__(self, backend: Backend, control: ControlStore, guarded: Backend | None = None) -> None:
        self.backend = Earlier(backend)
        self.control = control
        self.journal = TrailJournal(control)
        self._guarded = guarded
        self.resources = self._service(LifecycleSettings())

    def _service(self, lifecycle: LifecycleSettings) -> Resources:
        backend, registry = self.backend, self.backend.registry
        brakes = BrakesSettings(deactivations=0, deletions=0, member_removals=0)
        return Resources(
            backend,
            registry,
            Representations(registry, "https://scim.example/scim/v2"),
            self.journal,
            Adoption(self.control.managed, backend, registry, lifecycle),
            Brakes(self.control.brakes, self.control.managed, backend, brakes),
            Retirement(backend, registry, lifecycle),
        )

    def long_there(self, kind: str, draft: Draft) -> ResourceId:
        """Another program has made it, long before there were clients."""
        return self.backend.put(kind, draft).id

    def deletes(self) -> None:
        """From now on users are removed when they are deleted."""
        self.resources = self._service(LifecycleSettings(delete="remove"))

    def user(self, name: str, who: Actor = ENTRA, **values: Any) -> ResourceId:
        """A client creates a user."""
        return self.resources.create("User", Draft({"userName": name, **values}), DEFAULT, who).id

    def group(self, name: str, *members: ResourceId, who: Actor = ENTRA) -> ResourceId:
        """A client creates a group."""
        return self.resources.create("Group", Draft({"displayName": name}, {"members": members}), DEFAULT, who).id

    def blind(self, id: ResourceId, who: Actor = ENTRA, kind: str = "User", **values: Any) -> int:
        """A PATCH that reads nothing of what it changes."""
        return self._patched(kind, id, values, ANY, who)

    def patch(self, id: ResourceId, who: Actor = ENTRA, kind: str = "User", **values: Any) -> int:
        """A PATCH that has the values before in its record."""
        return self._patched(kind, id, values, SOME, who)

    def _patched(
        self, kind: str, id: ResourceId, values: Mapping[str, Any], conditions: Preconditions, who: Actor
    ) -> int:
        operations = [
            {"op": "remove", "path": path} if value is None else {"op": "replace", "path": path, "value": value}
            for path, value in values.items()
        ]
        self.resources.patch(kind, id, operations_from(operations), None, conditions, who)
        return self.last

    def put(self, kind: str, id: ResourceId, members: tuple[ResourceId, ...] = (), **values: Any) -> int:
        """A client replaces a resource."""
        relations = {"members": members} if kind == "Group" else {}
        self.resources.replace(kind, id, Draft(values, relations), DEFAULT, ANY, ENTRA)
        return self.last

    def members(
        self,
        group: ResourceId,
        *,
        add: tuple[ResourceId, ...] = (),
        remove: tuple[ResourceId, ...] = (),
        who: Actor = ENTRA,
    ) -> int:
        """A client lets users into a group, and takes others out."""
        operations = [{"op": "add", "path": "members", "value": [{"value": id} for id in add]}] if add else []
        operations += [{"op": "remove", "path": f'members[value eq "{id}"]'} for id in remove]
        self.resources.patch("Group", group, operations_from(operations), None, ANY, who)
        return self.last

    def replace_members(self, group: ResourceId, *members: ResourceId) -> int:
        """A client says who is in a group, and nobody else."""
        value = [{"value": id} for id in members]
        operations = operations_from([{"op": "replace", "path": "members", "value": value}])
        self.resources.patch("Group", group, operations, None, ANY, ENTRA)
        return self.last

    def delete(self, id: ResourceId, kind: str = "User", who: Actor = ENTRA) -> int:
        """A client deletes a resource."""
        self.resources.delete(kind, id, ANY, who)
        return self.last

    @property
    def last(self) -> int:
        """The number of the last record."""
        return self.records()[-1].seq

    def records(self, *numbers: int) -> list[AuditRecord]:
        """Those records, or all."""
        return [r for r in self.control.audit.records(Wanted()) if not numbers or r.seq in numbers]

    def of(self, *numbers: int, trusting: bool = False, retires: bool = True) -> Undoing:
        """What it takes to undo these records."""
        records = self.records(*numbers) if numbers else []
        return self.undo(retires=retires).of(records, trusting=trusting)

    def undo(self, *, retires: bool = True) -> Undo:
        """Undo as the command has it."""
        return Undo(self.control.audit, self.backend, self.journal, guarded=self._guarded, retires=retires)

    def undone(self, *numbers: int, trusting: bool = False, retires: bool = True) -> tuple[Undoing, Made]:
        """The records are undone; what was seen is what was made, and a second time there is nothing to do."""
        undoing = self.of(*numbers, trusting=trusting, retires=retires)
        made = self.undo(retires=retires).make(undoing)
        again = self.of(*numbers, trusting=trusting, retires=retires)
        assert again.steps == ()
        return undoing, made

    def undone_once(self, *numbers: int) -> tuple[Undoing, Made]:
        """The records are undone, as far as can be."""
        undoing = self.of(*numbers)
        return undoing, self.undo().make(undoing)

    def cleanly(self, *numbers: int) -> int:
        """The records are undone, with one step and without a conflict; the number of its record."""
        undoing, made = self.undone(*numbers)
        assert (undoing.conflicts, made.conflicts, len(undoing.steps)) == ((), (), 1), undoing
        assert made.steps == undoing.steps
        return self.last

    def reasons(self, *numbers: int, **options: bool) -> dict[str, str]:
        """Nothing but conflicts comes of undoing these: what each is about, and why."""
        before = self.last
        undoing, made = self.undone(*numbers, **options)
        assert (undoing.steps, made.steps, self.last) == ((), (), before)
        return {c.member or c.slot: c.reason for c in (*undoing.conflicts, *made.conflicts)}

    def value(self, id: ResourceId, slot: Slot, kind: str = "User") -> Any:
        """What is there."""
        return self.backend.get(kind, id, frozenset({slot})).values.get(slot)

    def is_there(self, id: ResourceId, kind: str = "User") -> bool:
        """Whether clients see it."""
        try:
            self.backend.get(kind, id, frozenset())
        except NotFound:
            return False
        return True

    def is_retired(self, id: ResourceId) -> bool:
        """Whether it is among the retired."""
        return id in {user.id for user in self.backend.retired("User", frozenset()).items}

    def in_group(self, group: ResourceId) -> set[ResourceId]:
        """Who is in it."""
        return {reference.id for _, reference in self.backend.related("Group", [group], "members")}

    def elsewhere(self, id: ResourceId, kind: str = "User", add: tuple[ResourceId, ...] = (), **values: Any) -> None:
        """Another program changes it, past the service."""
        relations = {"members": Delta(add)} if add else {}
        self.backend.update(kind, id, Change(values, relations))

    def append(
        self, like: AuditRecord, changes: Mapping[str, Any], operation: str = "patch", outcome: str = "done"
    ) -> int:
        """The number of a new record of the same resource and client."""
        entry = Entry(
            record=uuid4().hex,
            at=self.journal.now(),
            integration_id=like.integration_id,
            actor=like.actor,
            operation=operation,
            kind=like.kind,
            resource_id=like.resource_id,
            name=like.name,
            outcome=outcome,
            version=None,
            changes=orjson.dumps(changes).decode(),
        )
        (record,) = self.control.audit.append([entry])
        return record.seq
