"""The one generic service: every SCIM operation on every resource type, over the store's contract."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
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
from app.services.journal import Actor, Journal, Write, recorded
from app.services.preconditions import PreconditionFailed, Preconditions
from app.services.replicas import on_one_replica
from app.services.shown import Representations, Shown
from backends.base import Backend
from backends.errors import Unavailable, VersionMismatch

T = TypeVar("T")

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
        self, backend: Backend, registry: Registry, representations: Representations, journal: Journal
    ) -> None:
        self._backend = backend
        self._registry = registry
        self._representations = representations
        self._journal = journal

    @on_one_replica
    def get(self, kind: str, id: ResourceId, shown: Shown, conditions: Preconditions) -> Answer:
        """The resource (section 3.4.1). Raises NotFound, NotModified, PreconditionFailed."""
        view = self._representations.of(self._registry.type(kind), shown)
        resource = self._backend.get(kind, id, view.projection.want)
        conditions.check_read(resource.stamp)
        return self._answer(resource, view)

    @on_one_replica
    def create(self, kind: str, draft: Draft, shown: Shown, actor: Actor) -> Answer:
        """The new resource (section 3.3). Raises Duplicate, UnknownReference, RejectedValue."""
        resource_type = self._registry.type(kind)
        names = (*draft.values, *draft.relations)
        view = self._representations.of(resource_type, shown, frozenset(draft.values))
        with recorded(self._journal, Write(actor, "create", kind, attributes=names)) as write:
            resource = self._backend.create(kind, draft)
            write.id = resource.id
        if self._needs_lookup(resource_type, view.projection, draft.values):
            resource = self._backend.get(kind, resource.id, view.projection.want)
        return self._answer(resource, view, inverse=False)

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
        view = self._representations.of(resource_type, shown, frozenset(draft.values))

        def attempt(write: Write) -> Answer:
            before = self._backend.get(kind, id, resource_type.readable)
            conditions.check_write(before.stamp)
            change = _replacement(resource_type, before.values, draft)
            return self._commit(resource_type, before, change, view, write)

        with recorded(self._journal, Write(actor, "replace", kind, id, names)) as write:
            return self._retrying(lambda: attempt(write), conditions)

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
        planned = plan(resource_type, operations, dialect=actor.dialect, base=self._representations.base)
        names = (*sorted(planned.touches), *(planned.blind or ()), *planned.deltas, *planned.unresolved)
        with recorded(self._journal, Write(actor, "patch", kind, id, names, planned.notes)) as write:
            return self._retrying(lambda: self._patch(resource_type, id, planned, shown, conditions, write), conditions)

    def _patch(
        self,
        resource_type: ResourceType,
        id: ResourceId,
        planned: Plan,
        shown: Shown | None,
        conditions: Preconditions,
        write: Write,
    ) -> Answer:
        kind = resource_type.name
        written = planned.touches.union(planned.blind or ())
        view = self._representations.of(resource_type, shown, written) if shown is not None else None
        planned = self._resolved(kind, id, planned)
        if planned.blind is not None and not conditions.given:
            stamp = self._backend.update(kind, id, Change(planned.blind, planned.deltas))
            if view is None:
                return Answer(None, id, stamp)
            return self._answer(self._backend.get(kind, id, view.projection.want), view)
        want = planned.touches & resource_type.readable
        before = self._backend.get(kind, id, want | view.projection.want if view else want)
        conditions.check_write(before.stamp)
        change = Change(net_change(planned, resource_type, before.values), planned.deltas)
        return self._commit(resource_type, before, change, view, write)

    @on_one_replica
    def delete(self, kind: str, id: ResourceId, conditions: Preconditions, actor: Actor) -> None:
        """The resource is gone (section 3.6). Raises NotFound, PreconditionFailed."""
        with recorded(self._journal, Write(actor, "delete", kind, id)):
            expect = None
            if conditions.given:
                stamp = self._backend.get(kind, id, frozenset()).stamp
                conditions.check_write(stamp)
                expect = stamp.version
            try:
                self._backend.delete(kind, id, expect=expect)
            except VersionMismatch as error:
                raise PreconditionFailed from error

    def _commit(
        self,
        resource_type: ResourceType,
        before: Resource,
        change: Change,
        view: Representation | None,
        write: Write,
    ) -> Answer:
        stamp = before.stamp
        write.changed = not change.empty
        if not change.empty:
            stamp = self._backend.update(resource_type.name, before.id, change, expect=before.stamp.version)
            write.changed = stamp != before.stamp
        if view is None:
            return Answer(None, before.id, stamp)
        if self._needs_lookup(resource_type, view.projection, change.values):
            after = self._backend.get(resource_type.name, before.id, view.projection.want)
        else:
            values = {s: v for s, v in {**before.values, **change.values}.items() if v is not None}
            after = replace(before, stamp=stamp, values=values)
        return self._answer(after, view)

    def _retrying(self, attempt: Callable[[], T], conditions: Preconditions) -> T:
        for number in range(_ATTEMPTS):
            try:
                return attempt()
            except VersionMismatch as error:
                if conditions.given:
                    raise PreconditionFailed from error
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
