"""The one generic service: every SCIM operation on every resource type, over the store's contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress

from app.scim.attributes import Mutability as Mutable
from app.scim.errors import Mutability
from app.scim.patch.apply import net_change
from app.scim.patch.operations import Operation
from app.scim.patch.plan import Plan, plan
from app.scim.query import Change, Delta, Draft, Resource, ResourceId, Slot, Value
from app.scim.registry import Registry, ResourceType
from app.scim.representation import Representation
from app.services.adoption import ADOPTED, Adoption
from app.services.arrivals import Arrivals
from app.services.brakes import COUNTED, Brakes
from app.services.commits import Answer, Commits
from app.services.contention import Contention
from app.services.journal import Actor, Journal, Recording, Write, recorded
from app.services.preconditions import PreconditionFailed, Preconditions
from app.services.remit import narrowed_draft
from app.services.replicas import in_turn, on_one_replica
from app.services.retirement import Retirement
from app.services.shown import Representations, Shown
from backends.base import Backend, Capability
from backends.errors import NotFound, VersionMismatch


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
        self._commits = Commits(backend, brakes)
        self._contention = Contention()
        self._arrivals = Arrivals(backend, self._commits, adoption, retirement)

    @on_one_replica
    def get(self, kind: str, id: ResourceId, shown: Shown, conditions: Preconditions) -> Answer:
        """The resource (section 3.4.1). Raises NotFound, NotModified, PreconditionFailed."""
        view = self._representations.of(self._registry.type(kind), shown)
        resource = self._backend.get(kind, id, view.projection.want)
        conditions.check_read(resource.stamp)
        return self._commits.answer(resource, view)

    @in_turn
    def create(self, kind: str, draft: Draft, shown: Shown, actor: Actor) -> Answer:
        """The new resource (section 3.3), or one that was retired and comes back, or one that was there before and is
        adopted: then it has what the draft says and keeps the rest.

        Raises Duplicate, Unadoptable, UnknownReference, RejectedValue.
        """
        resource_type = self._registry.type(kind)
        names = (*draft.values, *draft.relations)
        with recorded(self._journal, resource_type, Write(actor, "create", kind, attributes=names)) as recording:
            part = narrowed_draft(resource_type, draft)
            view = self._representations.of(resource_type, shown, frozenset(part.values))
            return self._arrivals.arrive(resource_type, draft, part, view, recording)

    @in_turn
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
            return self._commits.commit(resource_type, before, resource_type.readable, change, view, recording)

        with recorded(self._journal, resource_type, Write(actor, "replace", kind, id, names)) as recording:
            view = self._representations.of(resource_type, shown, frozenset(draft.values))
            with self._adoption.of_changed(recording.write):
                return self._settled(lambda: attempt(view, recording), conditions, recording)

    @in_turn
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
            with self._adoption.of_changed(recording.write) as adopts:
                return self._settled(
                    lambda: self._patch(resource_type, id, planned, shown, conditions, recording, adopts=adopts),
                    conditions,
                    recording,
                )

    def _patch(
        self,
        resource_type: ResourceType,
        id: ResourceId,
        planned: Plan,
        shown: Shown | None,
        conditions: Preconditions,
        recording: Recording,
        *,
        adopts: bool,
    ) -> Answer:
        kind = resource_type.name
        written = planned.touches.union(planned.blind or ())
        view = self._representations.of(resource_type, shown, written) if shown is not None else None
        planned = self._resolved(kind, id, planned)
        # What was read for the answer then serves the change, which would read it again.
        reads_first = view is not None and Capability.KEEPS_READ in self._backend.capabilities
        if planned.blind is not None and not (reads_first or conditions.given or adopts):
            return self._commits.commit_unread(
                resource_type, id, Change(planned.blind, planned.deltas), view, recording
            )
        # What was there before the first write is worth a read: nobody else knows it.
        want = (written if adopts else planned.touches | written & COUNTED) & resource_type.readable
        if view is not None:
            want |= view.projection.want
        before = self._backend.get(kind, id, want)
        conditions.check_write(before.stamp)
        change = Change(net_change(planned, resource_type, before.values), planned.deltas)
        return self._commits.commit(resource_type, before, want, change, view, recording)

    @in_turn
    def delete(self, kind: str, id: ResourceId, conditions: Preconditions, actor: Actor) -> None:
        """The resource is gone (section 3.6), or retired. Raises NotFound, PreconditionFailed."""
        resource_type = self._registry.type(kind)
        kept = resource_type.readable.intersection(resource_type.slots)
        with recorded(self._journal, resource_type, Write(actor, "delete", kind, id)) as recording:
            retires = self._retirement.of_deleted(kind)
            if retires:
                recording.write.operation = "retire"
            adopts = self._adoption.require(kind, id, actor)
            if adopts:
                recording.write.notes = (ADOPTED,)
            before: Resource | None = None
            # What is no more is deleted all the same: of that the back end may still keep something.
            with suppress(NotFound):
                before = self._backend.get(kind, id, kept)
            if before is not None:
                conditions.check_write(before.stamp)
            elif conditions.given:
                raise NotFound(kind)
            expect = before.stamp.version if before is not None and conditions.given else None
            remove = self._backend.retire if retires else self._backend.delete
            try:
                with nullcontext() if before is None else self._brakes.deleting(actor, kind, id):
                    if before is not None:
                        recording.intend(dict.fromkeys(before.values), before=before.values, read=kept)
                    remove(kind, id, expect=expect)
            except VersionMismatch as error:
                raise PreconditionFailed from error
            recording.done(None)
            if adopts and retires:
                self._adoption.created(kind, id)

    def _settled(self, attempt: Callable[[], Answer], conditions: Preconditions, recording: Recording) -> Answer:
        def lost(error: VersionMismatch) -> None:
            if conditions.given:
                raise PreconditionFailed from error
            recording.withdraw()

        write = recording.write
        return self._contention.settle((write.kind, write.id or ""), attempt, lost)

    def _resolved(self, kind: str, id: ResourceId, planned: Plan) -> Plan:
        """The plan with every delta known; a relation that a filter asks more of than ids is streamed once."""
        for name in planned.unresolved:
            planned = planned.resolve(name, (r for _, r in self._backend.related(kind, [id], name)))
        return planned


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
