"""Makes the steps of an undo: each is a write like any other, and has its own record."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import replace

from app.scim.query import Change, Delta, ResourceId, Slot, Value
from app.services.journal import Journal, Recording, Write, recorded
from app.services.undo.history import LIFE, same, undo_note
from app.services.undo.models import OPERATOR, Conflict, Made, Step
from app.services.undo.records import Records
from app.services.undo.scene import find_retired, kept_slots
from backends.base import Backend
from backends.errors import (
    Duplicate,
    NotFound,
    Protected,
    RejectedValue,
    StoreError,
    UnknownReference,
    VersionMismatch,
)

_ATTEMPTS = 12
_CHANGED = "it was changed meanwhile"

Member = tuple[str, ResourceId]
"""A relation and a far end of it."""


class _Changed(Exception):
    """The resource is not what it was looked at."""


class Maker:
    """Makes steps in a store. `guarded` is the same store as writes have to see it."""

    def __init__(self, backend: Backend, guarded: Backend, journal: Journal, records: Records) -> None:
        self._backend = backend
        self._guarded = guarded
        self._journal = journal
        self._records = records

    def make(self, steps: tuple[Step, ...], told: Callable[[Step], None]) -> Made:
        """Afterwards the steps are made, but for those that turned out to be conflicts. `told` is called with each that
        is made.

        One that needs a name or a member that another has or brings is tried again after the others, and in the end
        without the members that are not there. Raises what a store reports when it can't be used; what is made by then
        stays made.
        """
        made: list[Step] = []
        conflicts: list[Conflict] = []
        waiting: list[tuple[Step, StoreError]] = []
        left = list(steps)
        while left:
            waiting = []
            before = len(made)
            for step in left:
                try:
                    done, found = self._made(step)
                    conflicts += found
                    if done is not None:
                        made.append(done)
                        told(done)
                except (Duplicate, UnknownReference, RejectedValue) as error:
                    waiting.append((step, error))
            left = [step for step, _ in waiting]
            if len(made) == before:
                left, found = self._without_absent(waiting)
                conflicts += found
        conflicts += [_refused(step, _why(error)) for step, error in waiting]
        return Made(tuple(made), tuple(conflicts))

    def _without_absent(self, waiting: list[tuple[Step, StoreError]]) -> tuple[list[Step], list[Conflict]]:
        """The steps without the members that are not there, each of which is a conflict; no steps where there are no
        such members."""
        left: list[Step] = []
        conflicts: list[Conflict] = []
        for step, error in waiting:
            absent = self._absent(step, error) if isinstance(error, UnknownReference) else []
            left.append(_without(step, absent))
            conflicts += [_left_out(step, key, "the member is not there") for key in absent]
        return (left, conflicts) if conflicts else ([], [])

    def _absent(self, step: Step, error: UnknownReference) -> list[Member]:
        """The members that the store has refused, looked for where it did not say which."""
        relation = error.relation
        if relation not in step.relations:
            return []
        added, named = step.relations[relation].add, frozenset(error.ids)
        target = self._backend.registry.type(step.kind).relations[relation].target
        absent = [far for far in added if far in named] or [far for far in added if not self._is_there(target, far)]
        return [(relation, far) for far in absent]

    def _is_there(self, kind: str, id: ResourceId) -> bool:
        try:
            self._guarded.get(kind, id, frozenset())
        except NotFound:
            return False
        return True

    def _made(self, step: Step) -> tuple[Step | None, list[Conflict]]:
        """The step as it was made, None where nothing was left of it, and its conflicts."""
        with self._backend.together():
            try:
                match step.operation:
                    case "patch":
                        return self._change(step)
                    case "restore":
                        self._restore(step)
                    case _:
                        self._remove(step)
            except _Changed:
                return None, [_refused(step, _CHANGED)]
            except NotFound:
                return None, [_refused(step, "it is not there, or protected and hidden")]
            except Protected as error:
                return None, [_refused(step, str(error))]
        return step, []

    def _change(self, step: Step) -> tuple[Step | None, list[Conflict]]:
        over = self._written_since(step)
        refused, step = [_left_out(step, key, _CHANGED) for key in over], _without(step, over)
        for number in range(_ATTEMPTS):
            found = self._backend.get(step.kind, step.id, frozenset(step.values))
            present = {slot: found.values.get(slot) for slot in step.values}
            kept = {slot: v for slot, v in step.values.items() if same(slot, present[slot], step.before[slot])}
            others = [slot for slot in step.values if slot not in kept]
            conflicts = [*refused, *(_changed(step, slot, present[slot]) for slot in others)]
            part = replace(step, values=kept, before={slot: present[slot] for slot in kept})
            if not kept and not step.relations:
                return None, conflicts
            try:
                with self._recorded(part) as recording:
                    recording.intend(kept, part.relations, before=found.values, read=frozenset(kept))
                    expect = found.stamp.version if kept else None
                    stamp = self._guarded.update(step.kind, step.id, Change(kept, part.relations), expect=expect)
                    recording.done(stamp, changed=stamp != found.stamp)
                return part, conflicts
            except VersionMismatch:
                time.sleep(random.uniform(0, 0.002 * 2 ** min(number, 6)))  # noqa: S311 - spreads contenders, no secret
        raise _Changed

    def _written_since(self, step: Step) -> list[Member]:
        """The members whom records that came in since the step was planned name: the store does not tell who wrote."""
        keys = [(name, far) for name, delta in step.relations.items() for far in (*delta.add, *delta.remove)]
        history = self._records.again(step.kind, step.id) if keys else None
        return [key for key in keys if history is not None and history.is_written_since(step.planned, key)]

    def _restore(self, step: Step) -> None:
        history = self._records.again(step.kind, step.id)
        found = find_retired(self._backend, self._records, step.kind, step.id)
        if found is None or found.stamp.version != step.version or history.is_written_since(step.planned, LIFE):
            raise _Changed
        if any(not same(slot, found.values.get(slot), old) for slot, old in step.before.items()):
            raise _Changed
        with self._recorded(step) as recording:
            kept = kept_slots(self._backend, step.kind)
            recording.intend(step.values, before=found.values, read=kept)
            recording.done(self._guarded.restore(step.kind, step.id, Change(step.values)).stamp)

    def _remove(self, step: Step) -> None:
        kept = kept_slots(self._backend, step.kind)
        found = self._backend.get(step.kind, step.id, kept)
        slots = found.values.keys() | step.before.keys()
        if any(not same(slot, found.values.get(slot), step.before.get(slot)) for slot in slots):
            raise _Changed
        if step.version not in (None, found.stamp.version):
            raise _Changed
        with self._recorded(step) as recording:
            recording.intend(dict.fromkeys(found.values), before=found.values, read=kept)
            remove = self._guarded.retire if step.operation == "retire" else self._guarded.delete
            try:
                remove(step.kind, step.id, expect=found.stamp.version)
            except VersionMismatch as error:
                raise _Changed from error
            recording.done(None)

    def _recorded(self, step: Step) -> AbstractContextManager[Recording]:
        names = (*step.values, *step.relations) if step.operation in ("patch", "restore") else ()
        write = Write(OPERATOR, step.operation, step.kind, step.id, names, (undo_note(step.records),))
        write.name = step.name or None
        return recorded(self._journal, self._backend.registry.type(step.kind), write)


def _without(step: Step, members: Collection[Member]) -> Step:
    """The step, which leaves these members as they are."""
    out = frozenset(members)

    def left(name: str, ids: tuple[ResourceId, ...]) -> tuple[ResourceId, ...]:
        return tuple(far for far in ids if (name, far) not in out)

    relations = {name: Delta(left(name, d.add), left(name, d.remove)) for name, d in step.relations.items()}
    return replace(step, relations={name: delta for name, delta in relations.items() if delta.add or delta.remove})


def _refused(step: Step, reason: str) -> Conflict:
    return Conflict(step.records, step.kind, step.id, step.name, reason)


def _left_out(step: Step, member: Member, reason: str) -> Conflict:
    (relation, far), who = member, (step.kind, step.id, step.name)
    recorded = far in step.relations[relation].remove
    return Conflict(step.records, *who, reason, relation, member=far, recorded=recorded)


def _changed(step: Step, slot: Slot, present: Value | None) -> Conflict:
    return Conflict(
        step.records, step.kind, step.id, step.name, _CHANGED, slot, recorded=step.before[slot], present=present
    )


def _why(error: StoreError) -> str:
    match error:
        case Duplicate(attribute=attribute):
            return f"another one has that {attribute or 'value'} now"
        case UnknownReference(relation=relation):
            return f"a member of {relation} is not there any more"
        case _:
            return str(error)
