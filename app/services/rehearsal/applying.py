"""Doing what was rehearsed: each net change is made in the store by the ordinary way and leaves the rehearsal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from app.control import Copy, Managed, Origin, Rehearsal, Who
from app.control.rehearsal import Writing
from app.scim.query import Resource, ResourceId, Slot, Stamp
from app.services.journal import Actor, Journal, Operation, Write, recorded
from app.services.rehearsal.beneath import Beneath
from app.services.rehearsal.copies import note, noted
from app.services.rehearsal.journal import REHEARSED
from app.services.rehearsal.making import Changed, Making, Sent, there
from app.services.rehearsal.net import Action, Item, Key, Net
from backends.base import Backend
from backends.errors import NotFound, StoreError, VersionMismatch

_OPERATOR = Actor("operator", "operator")
_OPERATIONS: Mapping[Action, Operation] = {
    "create": "create",
    "restore": "restore",
    "update": "patch",
    "retire": "retire",
    "delete": "delete",
    "purge": "delete",
}


class Result(StrEnum):
    """What became of an item."""

    APPLIED = "applied"
    CONFLICT = "conflict"
    """The resource is not what it was when it was rehearsed."""
    REFUSED = "refused"
    """The store did not make it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an item; `text` says why it was not made, or what of it could not be. `id` is that of the resource
    in the store."""

    item: Item
    result: Result
    id: ResourceId
    text: str = ""


class Applying:
    """Makes the net changes of a rehearsal in the store `backend`, each with a record in `journal` by the integration
    that rehearsed it.

    What has changed in the store since it was rehearsed is left alone and stays in the rehearsal, and so does what the
    store refuses. Resources that were new get the store's ids. A password was not kept and has to be sent again.
    """

    def __init__(self, backend: Backend, rehearsal: Rehearsal, managed: Managed, journal: Journal) -> None:
        self._backend = backend
        self._rehearsal = rehearsal
        self._managed = managed
        self._journal = journal
        self._beneath = Beneath(backend)
        self._net = Net(rehearsal, self._beneath)
        self._making = Making(backend, rehearsal)
        self._ours: set[Key] = set()

    def run(self) -> Iterator[Outcome]:
        """Make one change after the other; each is told when it is made or can't be. A change may leave something that
        can be done when another one was made, such as the manager of a circle."""
        failed: dict[Key, str] = {}
        items = self._net.items()
        changed = self._changed_meanwhile(items)
        while items:
            begun: set[Key] = set()
            for item in items:
                if item.key in failed:
                    continue
                outcome = self._apply(item, changed.get(item.key))
                if outcome.result is not Result.APPLIED:
                    failed[item.key] = outcome.text
                begun.add(item.key)
                yield outcome
            items = [item for item in self._net.items() if item.key not in failed and self._is_new(item, begun)]
        self._finish()

    def _is_new(self, item: Item, begun: set[Key]) -> bool:
        """Whether the item is what is left of one that was made in the last round, and can be made now. What clients
        rehearse meanwhile is left for the next time."""
        if item.key not in self._ours or item.key in begun:
            return False
        sent = self._making.sent(self._backend.registry.type(item.copy.kind), item)
        return bool(sent.values or any(not delta.empty for delta in sent.relations.values()))

    def _changed_meanwhile(self, items: list[Item]) -> dict[Key, str]:
        """Those of the resources that are not in the version that was rehearsed on, each with what is to be told."""
        found: dict[Key, str] = {}
        copies = {item.key: item.copy for item in items if item.copy.basis is not None}
        for kind in {kind for kind, _ in copies}:
            stored = [c.id for (k, _), c in copies.items() if k == kind and c.origin is Origin.STORE]
            live = self._beneath.among(kind, stored)
            for id in stored:
                if id not in live:
                    found[kind, id] = "it is no longer there"
                elif live[id].stamp.version != copies[kind, id].basis:
                    found[kind, id] = "it was changed in the store since it was rehearsed"
        for (kind, id), copy in copies.items():
            if copy.origin is Origin.RETIRED and self._beneath.retired(kind, id, frozenset()) is None:
                found[kind, id] = "it is no longer retired"
        return found

    def _apply(self, item: Item, changed: str | None) -> Outcome:
        id = self._making.id_of(item)
        if changed is not None:
            return Outcome(item, Result.CONFLICT, id, changed)
        resource_type = self._backend.registry.type(item.copy.kind)
        sent = self._making.sent(resource_type, item)
        write = self._write(item, id)
        try:
            with recorded(self._journal, resource_type, write) as recording:
                before = there(item.before)
                recording.intend(sent.values, sent.relations, before=before, read=frozenset(item.before))
                made = self._making.make(resource_type, item, sent)
                recording.done(made.stamp if isinstance(made, Resource) else made, id=_id(made, id))
        except Changed as error:
            return Outcome(item, Result.CONFLICT, id, str(error))
        except VersionMismatch:
            return Outcome(item, Result.CONFLICT, id, "it was changed in the store at the same moment")
        except NotFound:
            return Outcome(item, Result.CONFLICT, id, "it is no longer there")
        except StoreError as error:
            return Outcome(item, Result.REFUSED, id, str(error))
        id = _id(made, id)
        self._leave(item, id, made.stamp if isinstance(made, Resource) else made, sent)
        if item.action in ("create", "restore", "update"):
            self._managed.claim(resource_type.name, [id], write.actor.integration_id)
        told = f"{', '.join(item.secrets)} was not kept: it has to be sent again" if item.secrets else ""
        return Outcome(item, Result.APPLIED, id, told)

    def _write(self, item: Item, id: ResourceId) -> Write:
        kind = item.copy.kind
        operation = _OPERATIONS[item.action]
        if item.action == "update" and self._rehearsal.claimed(kind, [id]):
            operation = "adopt"
        write = Write(_actor(item.copy.who), operation, kind, None if item.action == "create" else id)
        write.attributes, write.notes, write.name = (*item.after, *item.relations), (REHEARSED,), item.name
        return write

    def _leave(self, item: Item, id: ResourceId, stamp: Stamp | None, sent: Sent) -> None:
        """What was made leaves the rehearsal; what of it was not, or was rehearsed meanwhile, stays there as a change
        of what the store has now."""
        kind, here = item.copy.kind, self._making.id_of(item)
        with self._rehearsal.writing() as writing:
            copy = self._rehearsal.find(kind, [here]).get(here)
            if id != here:
                self._making.ids[item.key] = id
                for holder, via in self._referring(kind, here):
                    writing.put(replace(holder, values={**holder.values, via: id}))
                writing.rename_far(here, id)
            if copy is None:
                return
            writing.drop(kind, here)
            if stamp is not None and (sent.left or copy.revision != item.copy.revision or not copy.present):
                self._stay(writing, replace(copy, id=id, basis=stamp.version), item, sent)

    def _stay(self, writing: Writing, copy: Copy, item: Item, sent: Sent) -> None:
        """Keep the copy as one of a resource that the store has as it was sent."""
        kind, values = copy.kind, dict(copy.values)
        for lookup in self._backend.registry.type(kind).lookups.values():
            if lookup.via in values:
                values[lookup.via] = self._making.ids.get((lookup.kind, values[lookup.via]), values[lookup.via])
        before = there({**item.copy.before, **sent.values})
        kept = replace(copy, origin=Origin.STORE, before=before, values=values, secrets={}, cleared=())
        writing.put(kept)
        self._ours.add((kind, copy.id))
        names = {noted(lookup.via) for lookup in self._backend.registry.type(kind).lookups.values()}
        for name, far in sent.left.items():
            if name not in names:
                writing.relate(kind, copy.id, name, far, added=True)
        note(writing, self._backend.registry.type(kind), None, kept)

    def _referring(self, kind: str, id: ResourceId) -> Iterator[tuple[Copy, Slot]]:
        for resource_type in self._backend.registry.types:
            for via in {lookup.via for lookup in resource_type.lookups.values() if lookup.kind == kind}:
                nears = [near for near, _ in self._rehearsal.relating(resource_type.name, noted(via), [id])]
                found = self._rehearsal.find(resource_type.name, nears)
                yield from ((copy, via) for copy in found.values() if (copy.kind, copy.id) != (kind, id))

    def _finish(self) -> None:
        """What was only claimed is managed; what has nothing left to be made leaves the rehearsal."""
        for kind, id, integration_id in self._rehearsal.claims():
            if not self._rehearsal.find(kind, [id]):
                self._managed.claim(kind, [id], integration_id)
                with self._rehearsal.writing() as writing:
                    writing.release(kind, id)
        waiting = {item.key for item in self._net.items()}
        for resource_type in self._backend.registry.types:
            for copy in list(self._rehearsal.copies(resource_type.name)):
                if (copy.kind, copy.id) not in waiting:
                    with self._rehearsal.writing() as writing:
                        now = self._rehearsal.find(copy.kind, [copy.id]).get(copy.id)
                        if now is not None and now.revision == copy.revision:
                            writing.drop(copy.kind, copy.id)


def _actor(who: Who) -> Actor:
    return Actor(who.integration_id, who.name) if who.integration_id else _OPERATOR


def _id(made: Resource | Stamp | None, id: ResourceId) -> ResourceId:
    return made.id if isinstance(made, Resource) else id
