"""Undo as commands and tests use it: look at it first, then make it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from app.control import AuditRecord, AuditTrail, Wanted
from app.scim.query import ResourceId
from app.services.fence import Fenced
from app.services.journal import UNCHANGED, Journal
from app.services.undo.history import LIFE, Key, Told, parsed
from app.services.undo.making import Maker
from app.services.undo.models import Conflict, Idle, Made, Step, Undoing
from app.services.undo.planning import Memberships, Planner
from app.services.undo.records import Records
from app.services.undo.scene import Life, Scene, Seen, find_retired
from backends.base import Backend, Capability
from backends.errors import NotFound, Protected


class Undo:
    """Undoes records of the audit trail.

    What it writes goes through `guarded` and is told to `journal` as writes of the operator, whose notes name the
    records that they undo: so they can be undone themselves. `backend` is the same store, read without protection.
    With `retires` a user whose creation is undone is retired where the store can do that, else removed.

    A value is put back where the present one is what the record left, and no later record of another write that still
    holds says otherwise. To undo several records comes to the same as to undo one after another, the latest first.
    """

    def __init__(
        self,
        trail: AuditTrail,
        backend: Backend,
        journal: Journal,
        *,
        guarded: Backend | None = None,
        retires: bool = True,
    ) -> None:
        self._trail = trail
        self._backend = backend
        self._journal = journal
        self._guarded = guarded or backend
        self._retires = retires and Capability.RETIRE in backend.capabilities

    def of(self, records: Iterable[AuditRecord], *, trusting: bool = False) -> Undoing:
        """What it takes to undo these records; the store is only read. A PATCH of members does not tell who was one
        before: where no earlier record does either that is a conflict, or with `trusting` taken to be as the client
        seems to have thought.

        Raises ControlUnavailable and what a store reports.
        """
        planned = max((record.seq for record in self._trail.latest(Wanted(), 1)), default=0)
        chosen = sorted((parsed(record) for record in records), key=lambda told: told.order, reverse=True)
        known = Records(self._trail)
        scene = Scene(self._backend, known)
        conflicts: list[Conflict] = []
        idle: list[Idle] = []
        ready: list[Told] = []
        for told in chosen:
            if told.made and self._is_served(told):
                ready.append(told)
            elif told.made or told.unclear:
                why = "the store has no such kind" if told.made else "whether it was made is not known"
                conflicts.append(_unusable(told, why))
            else:
                idle.append(Idle(told.seq, _never_made(told)))
        self._fetch(known, ready)
        created = {(t.record.kind, t.record.resource_id or "") for t in ready if t.record.operation == "create"}
        memberships = self._memberships(known, ready)
        planner = Planner(scene, known, memberships, created, retires=self._retires, trusting=trusting)
        with self._backend.together():
            for told in ready:
                planner.take_back(told, self._backend.registry.type(told.record.kind))
            steps, refused = self._allowed(known, scene, planner.notes)
            refused += [_unwritable(seen) for seen in scene.touched if seen.stays_retired]
        dated = tuple(replace(step, planned=planned) for step in steps)
        return Undoing(dated, (*conflicts, *planner.conflicts, *refused), (*idle, *planner.idle))

    def make(self, undoing: Undoing, told: Callable[[Step], None] = lambda _: None) -> Made:
        """Afterwards the steps are made, each if what it changes is still what was looked at. `told` is called with
        each that is made. The conflicts are those that came to light only now.

        Raises ControlUnavailable, Unavailable and what else a store reports that can't be used. Steps that were made by
        then stay made, and the same records can be undone again.
        """
        maker = Maker(self._backend, self._guarded, self._journal, Records(self._trail))
        return maker.make(undoing.steps, told)

    def _is_served(self, told: Told) -> bool:
        return told.record.resource_id is not None and any(
            t.name == told.record.kind for t in self._backend.registry.types
        )

    @staticmethod
    def _fetch(known: Records, ready: list[Told]) -> None:
        ids: dict[str, list[ResourceId]] = defaultdict(list)
        for told in ready:
            ids[told.record.kind].append(told.record.resource_id or "")
        for kind, some in ids.items():
            known.fetch(kind, some)

    def _memberships(self, known: Records, ready: list[Told]) -> Memberships:
        """For those whose retiring is undone the groups that they may come back into."""
        ids = [told.record.resource_id or "" for told in ready if told.record.operation == "retire"]
        found: dict[ResourceId, list[tuple[str, str, ResourceId]]] = defaultdict(list)
        if not ids:
            return found
        for holder in self._backend.registry.types:
            for name, relation in holder.relations.items():
                if relation.stored and relation.target == "User":
                    for far, holders in known.naming(holder.name, name, ids).items():
                        known.fetch(holder.name, holders)
                        found[far] += [(holder.name, name, id) for id in holders]
        return found

    def _steps(self, scene: Scene, notes: Mapping[tuple[str, ResourceId], list[str]]) -> list[Step]:
        """In the order in which what one needs is there: groups let members in after these have come back, and are
        changed or removed before others leave them."""
        early: list[Step] = []
        late: list[Step] = []
        changes: list[Step] = []
        removals: list[Step] = []
        for seen in scene.touched:
            holds = any(relation.stored for relation in self._backend.registry.type(seen.kind).relations.values())
            for step in self._steps_of(seen, tuple(notes.get((seen.kind, seen.id), ())), holds=holds):
                if step.operation in ("patch", "restore"):
                    (changes if holds else early).append(step)
                else:
                    (removals if holds else late).append(step)
        return [*early, *changes, *removals, *late]

    def _steps_of(self, seen: Seen, notes: tuple[str, ...], *, holds: bool) -> Iterator[Step]:
        values, members = seen.changed_values(), seen.changed_members()
        before = {slot: seen.found_values.get(slot) for slot in values}
        keys: list[Key] = [*values, *((n, far) for n, d in members.items() for far in (*d.add, *d.remove))]
        who = (seen.kind, seen.id, seen.name)
        # Also what needs no write because it comes and goes on the way.
        everything = _causes(seen, list(seen.causes))
        leaves = seen.found is Life.THERE and seen.life is not Life.THERE
        if seen.found is Life.THERE and seen.life is not Life.GONE and keys:
            mine = () if leaves else notes
            yield Step("patch", *who, _causes(seen, keys), values, before, members, notes=mine)
        if seen.found is Life.RETIRED and seen.life is Life.THERE:
            causes = _causes(seen, [LIFE, *keys])
            yield Step("restore", *who, causes, values, before, version=seen.version, notes=notes)
        if leaves and seen.life is Life.RETIRED:
            yield Step("retire", *who, everything, before=seen.values, notes=(*notes, *self._groups(seen)))
        if leaves and seen.life is Life.GONE:
            held, version = seen.found_values, seen.version if holds else None
            final = (*notes, *self._groups(seen), "is removed for good")
            yield Step("delete", *who, everything, before=held, version=version, notes=final)

    def _groups(self, seen: Seen) -> Iterator[str]:
        relations = self._backend.registry.type(seen.kind).relations
        for name in (name for name, relation in relations.items() if not relation.stored):
            count = sum(1 for _ in self._backend.related(seen.kind, [seen.id], name))
            if count:
                yield f"leaves {count} {name}"

    def _allowed(
        self, known: Records, scene: Scene, notes: Mapping[tuple[str, ResourceId], list[str]]
    ) -> tuple[list[Step], list[Conflict]]:
        """The steps that protection lets through, and those that it does not. Who can't come back is let in nowhere."""
        steps = self._steps(scene, notes)
        refused: dict[tuple[str, ResourceId], Conflict] = {}
        for step in steps:
            why = self._hindrance(known, step)
            if why is not None:
                refused[step.kind, step.id] = Conflict(step.records, step.kind, step.id, step.name, why)
                if step.operation == "restore":
                    scene.keep_out(step.kind, step.id)
        left = self._steps(scene, notes) if refused else steps
        return [step for step in left if (step.kind, step.id) not in refused], list(refused.values())

    def _hindrance(self, known: Records, step: Step) -> str | None:
        """Why protection does not let a step through, None where it does."""
        guarded = self._guarded
        if not isinstance(guarded, Fenced):
            return None
        try:
            if step.operation == "patch":
                guarded.admit(step.kind, step.id, step.values)
            elif step.operation != "restore":
                guarded.admit_removal(step.kind, step.id)
            elif find_retired(guarded, known, step.kind, step.id) is None:
                raise guarded.outside(step.kind)
        except (Protected, NotFound) as error:
            return str(error) if isinstance(error, Protected) else "it is protected"
        return None


def _causes(seen: Seen, keys: Iterable[Key]) -> tuple[int, ...]:
    return tuple(sorted({cause for key in keys for cause in seen.causes[key]}, reverse=True))


def _never_made(told: Told) -> str:
    return "it changed nothing" if told.record.outcome == UNCHANGED else f"it was not made ({told.record.outcome})"


def _unwritable(seen: Seen) -> Conflict:
    """Of one who is retired no value can be written."""
    return Conflict(_causes(seen, seen.changed_values()), seen.kind, seen.id, seen.name, "is retired")


def _unusable(told: Told, reason: str) -> Conflict:
    record = told.record
    return Conflict((record.seq,), record.kind, record.resource_id, record.name or "", reason)
