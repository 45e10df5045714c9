"""The one generic service: every SCIM operation on every resource type, over the store's contract."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from app.scim.attributes import Mutability as Mutable
from app.scim.errors import Mutability
from app.scim.patch.apply import net_change
from app.scim.patch.operations import Operation
from app.scim.patch.plan import Plan, plan
from app.scim.projection import Projection
from app.scim.query import Change, Delta, Draft, Reference, Resource, ResourceId, Slot, Stamp, Value
from app.scim.registry import Registry, ResourceType
from app.scim.representation import Representation
from app.services.adoption import ADOPTED, Adoption
from app.services.brakes import Brakes
from app.services.journal import Actor, Journal, Recording, Write, recorded
from app.services.preconditions import PreconditionFailed, Preconditions
from app.services.remit import narrowed, narrowed_draft
from app.services.replicas import on_one_replica
from app.services.retirement import Retirement
from app.services.shown import Representations, Shown
from backends.base import Backend
from backends.errors import Duplicate, NotFound, Unavailable, VersionMismatch

T = TypeVar("T")

_ACTIVE: Slot = "active"
_ATTEMPTS = 12
"""How often a read-modify-write is tried when others change the same resource in between."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A resource as it is to be sent: its document (None where none is due), its id and its stamp."""

    document: dict[str, Any] | None
    id: ResourceId
    stamp: Stamp


class Resources:
    """Operations of RFC 7644 section 3 on stored resources.

    Raises what the core and the store report; which statuses those are is not known here. `base` is the SCIM base
    URI without a trailing slash.
    """

    def __init__(
        self,
        backend: Backend,
        registry: Registry,
        representations: Representations,
        journal: Journal,
        adoption: Adoption,
        brakes: Brakes,
        retirement: Retirement,
    ) -> None:
        self._backend = backend
        self._registry = registry
        self._representations = representations
        self._journal = journal
        self._adoption = adoption
        self._brakes = brakes
        self._retirement = retirement

    @on_one_replica
    def get(self, kind: str, id: ResourceId, shown: Shown, conditions: Preconditions) -> Answer:
        """The resource (section 3.4.1). Raises NotFound, NotModified, PreconditionFailed."""
        view = self._representations.of(self._registry.type(kind), shown)
        resource = self._backend.get(kind, id, view.projection.want)
        conditions.check_read(resource.stamp)
        return self._answer(resource, view)

    @on_one_replica
    def create(self, kind: str, draft: Draft, shown: Shown, actor: Actor) -> Answer:
        """The new resource (section 3.3), or one that was retired and comes back, or one that was there before and is
        adopted: then it has what the draft says and keeps the rest.

        Raises Duplicate, Unadoptable, UnknownReference, RejectedValue.
        """
        resource_type = self._registry.type(kind)
        names = (*draft.values, *draft.relations)
        with recorded(self._journal, resource_type, Write(actor, "create", kind, attributes=names)) as recording:
            draft = narrowed_draft(resource_type, draft)
            view = self._representations.of(resource_type, shown, frozenset(draft.values))
            retired = self._retirement.returning(kind, draft)
            if retired is not None:
                return self._restore(resource_type, retired, draft, view, recording)
            found = self._adoption.by_email(kind, draft)
            if found is None:
                try:
                    return self._create(resource_type, draft, view, recording)
                except Duplicate:
                    recording.withdraw()
                    found = self._adoption.by_name(kind, draft)
                    if found is None:
                        raise
            return self._adopt(resource_type, found, draft, view, recording)

    def _create(self, resource_type: ResourceType, draft: Draft, view: Representation, recording: Recording) -> Answer:
        kind = resource_type.name
        recording.intend(draft.values, {name: Delta(add=ids) for name, ids in draft.relations.items()})
        resource = self._backend.create(kind, draft)
        recording.done(resource.stamp, id=resource.id)
        self._adoption.created(kind, resource.id)
        if self._needs_lookup(resource_type, view.projection, draft.values):
            resource = self._backend.get(kind, resource.id, view.projection.want)
        return self._answer(resource, view, inverse=False)

    def _restore(
        self, resource_type: ResourceType, retired: Resource, draft: Draft, view: Representation, recording: Recording
    ) -> Answer:
        """The answer to a create whose resource was deleted before."""
        kind = resource_type.name
        recording.write.operation, recording.write.id = "restore", retired.id
        values = {slot: value for slot, value in draft.values.items() if retired.values.get(slot) != value}
        if _ACTIVE in resource_type.slots and _ACTIVE not in draft.values:
            values[_ACTIVE] = True
        recording.intend(values, before=retired.values, read=resource_type.readable)
        resource = self._backend.restore(kind, retired.id, Change(values))
        recording.done(resource.stamp)
        self._adoption.claim(kind, resource.id, recording.write.actor)
        if self._needs_lookup(resource_type, view.projection, resource.values):
            resource = self._backend.get(kind, resource.id, view.projection.want)
        return self._answer(resource, view, inverse=False)

    def _adopt(
        self, resource_type: ResourceType, found: Resource, draft: Draft, view: Representation, recording: Recording
    ) -> Answer:
        """The answer to a create whose resource was there before."""
        self._adoption.admit(found, recording.write.actor)
        recording.write.operation, recording.write.id = "adopt", found.id
        values = {slot: value for slot, value in draft.values.items() if found.values.get(slot) != value}
        change = Change(values, {name: Delta(add=ids) for name, ids in draft.relations.items()})
        try:
            answer = self._commit(resource_type, found, resource_type.readable, change, view, recording)
        except VersionMismatch as error:
            # Somebody else changes it at this moment; the client asks again.
            raise Unavailable(retry_after=1) from error
        self._adoption.claim(found.kind, found.id, recording.write.actor)
        return answer

    @on_one_replica
    def replace(
        self, kind: str, id: ResourceId, draft: Draft, shown: Shown, conditions: Preconditions, actor: Actor
    ) -> Answer:
        """The resource after a PUT (section 3.5.1): what the draft does not hold is cleared, except a
        password, which no client can read back, and what is immutable.

        Raises NotFound, PreconditionFailed, Mutability for another value of an immutable attribute, and what create
        raises.
        """
        resource_type = self._registry.type(kind)
        names = (*draft.values, *draft.relations)

        def attempt(view: Representation, recording: Recording) -> Answer:
            before = self._backend.get(kind, id, resource_type.readable)
            conditions.check_write(before.stamp)
            change = _replacement(resource_type, before.values, draft)
            return self._commit(resource_type, before, resource_type.readable, change, view, recording)

        with recorded(self._journal, resource_type, Write(actor, "replace", kind, id, names)) as recording:
            view = self._representations.of(resource_type, shown, frozenset(draft.values))
            with self._adoption.of_changed(recording.write):
                return self._retrying(lambda: attempt(view, recording), conditions, recording)

    @on_one_replica
    def patch(
        self,
        kind: str,
        id: ResourceId,
        operations: Sequence[Operation],
        shown: Shown | None,
        conditions: Preconditions,
        actor: Actor,
    ) -> Answer:
        """The resource after a PATCH (section 3.5.2), all operations or none; no document where `shown` is None.

        Members are changed as deltas: the members that a group has are not read. Raises NotFound,
        PreconditionFailed, and what the core and `Backend.update` report.
        """
        resource_type = self._registry.type(kind)
        with recorded(self._journal, resource_type, Write(actor, "patch", kind, id)) as recording:
            planned = plan(resource_type, operations, dialect=actor.dialect, base=self._representations.base)
            names = (*sorted(planned.touches), *(planned.blind or ()), *planned.deltas, *planned.unresolved)
            recording.write.attributes, recording.write.notes = names, planned.notes
            with self._adoption.of_changed(recording.write):
                return self._retrying(
                    lambda: self._patch(resource_type, id, planned, shown, conditions, recording), conditions, recording
                )

    def _patch(
        self,
        resource_type: ResourceType,
        id: ResourceId,
        planned: Plan,
        shown: Shown | None,
        conditions: Preconditions,
        recording: Recording,
    ) -> Answer:
        kind = resource_type.name
        written = planned.touches.union(planned.blind or ())
        view = self._representations.of(resource_type, shown, written) if shown is not None else None
        planned = self._resolved(kind, id, planned)
        if planned.blind is not None and not conditions.given:
            blind = narrowed(resource_type, Change(planned.blind, planned.deltas))
            self._brakes.allow_change(recording.write.actor, kind, id, blind)
            recording.intend(blind.values, blind.relations)
            stamp = self._backend.update(kind, id, blind)
            recording.done(stamp)
            if view is None:
                return Answer(None, id, stamp)
            return self._answer(self._backend.get(kind, id, view.projection.want), view)
        want = planned.touches & resource_type.readable
        if view is not None:
            want |= view.projection.want
        before = self._backend.get(kind, id, want)
        conditions.check_write(before.stamp)
        change = Change(net_change(planned, resource_type, before.values), planned.deltas)
        return self._commit(resource_type, before, want, change, view, recording)

    @on_one_replica
    def delete(self, kind: str, id: ResourceId, conditions: Preconditions, actor: Actor) -> None:
        """The resource is gone (section 3.6), or retired. Raises NotFound, PreconditionFailed."""
        resource_type = self._registry.type(kind)
        kept = resource_type.readable.intersection(resource_type.slots)
        with recorded(self._journal, resource_type, Write(actor, "delete", kind, id)) as recording:
            retires = self._retirement.of_deleted(kind)
            if retires:
                recording.write.operation = "retire"
            if self._adoption.require(kind, id, actor):
                recording.write.notes = (ADOPTED,)
            before: Resource | None = None
            # What is no more is deleted all the same: of that the back end may still keep something.
            with suppress(NotFound):
                before = self._backend.get(kind, id, kept)
            if before is not None:
                conditions.check_write(before.stamp)
                self._brakes.allow_delete(actor)
                recording.intend(dict.fromkeys(before.values), before=before.values, read=kept)
            elif conditions.given:
                raise NotFound(kind)
            try:
                expect = before.stamp.version if before is not None and conditions.given else None
                remove = self._backend.retire if retires else self._backend.delete
                remove(kind, id, expect=expect)
            except VersionMismatch as error:
                raise PreconditionFailed from error
            recording.done(None)

    def _commit(
        self,
        resource_type: ResourceType,
        before: Resource,
        read: frozenset[Slot],
        change: Change,
        view: Representation | None,
        recording: Recording,
    ) -> Answer:
        """Make the change and answer; `read` are the slots that `before` would have if they were assigned."""
        change, stamp = narrowed(resource_type, change), before.stamp
        if not change.empty:
            actor = recording.write.actor
            self._brakes.allow_change(actor, resource_type.name, before.id, change, before.values)
            recording.intend(change.values, change.relations, before=before.values, read=read)
            stamp = self._backend.update(resource_type.name, before.id, change, expect=before.stamp.version)
        recording.done(stamp, changed=stamp != before.stamp)
        if view is None:
            return Answer(None, before.id, stamp)
        if self._needs_lookup(resource_type, view.projection, change.values):
            after = self._backend.get(resource_type.name, before.id, view.projection.want)
        else:
            values = {s: v for s, v in {**before.values, **change.values}.items() if v is not None}
            after = replace(before, stamp=stamp, values=values)
        return self._answer(after, view)

    def _retrying(self, attempt: Callable[[], T], conditions: Preconditions, recording: Recording) -> T:
        for number in range(_ATTEMPTS):
            try:
                return attempt()
            except VersionMismatch as error:
                if conditions.given:
                    raise PreconditionFailed from error
                recording.withdraw()
                time.sleep(random.uniform(0, 0.002 * 2 ** min(number, 6)))  # noqa: S311 - spreads contenders, no secret
        raise Unavailable(retry_after=1)

    def _resolved(self, kind: str, id: ResourceId, planned: Plan) -> Plan:
        """The plan with every delta known; a relation that a filter asks more of than ids is streamed once."""
        for name in planned.unresolved:
            planned = planned.resolve(name, (r for _, r in self._backend.related(kind, [id], name)))
        return planned

    @staticmethod
    def _needs_lookup(resource_type: ResourceType, projection: Projection, written: Mapping[Slot, Value]) -> bool:
        return any(s in projection.want and lookup.via in written for s, lookup in resource_type.lookups.items())

    def _answer(self, resource: Resource, view: Representation, *, inverse: bool = True) -> Answer:
        """`inverse` is false for a resource that nothing can refer to yet."""
        relations: dict[str, list[Reference]] = {}
        for name in view.projection.relations:
            if inverse or view.projection.resource_type.relations[name].stored:
                relations[name] = [r for _, r in self._backend.related(resource.kind, [resource.id], name)]
        return Answer(view.write(resource, relations), resource.id, resource.stamp)


def _replacement(resource_type: ResourceType, before: Mapping[Slot, Value], draft: Draft) -> Change:
    values: dict[Slot, Value | None] = {}
    for slot, attribute in resource_type.slots.items():
        old, new = before.get(slot), draft.values.get(slot)
        if new == old or (new is None and attribute.mutability in (Mutable.WRITE_ONLY, Mutable.IMMUTABLE)):
            continue
        if attribute.mutability is Mutable.IMMUTABLE and old is not None:
            raise Mutability(f"{attribute.path}: can't be changed once it is set")
        values[slot] = new
    relations = {
        name: Delta(add=draft.relations.get(name, ()), clear=True)
        for name, relation in resource_type.relations.items()
        if relation.stored
    }
    return Change(values, relations)
