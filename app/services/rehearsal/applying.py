"""Doing what was rehearsed: each net change is made in the store by the ordinary way and leaves the rehearsal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.control import Copy, Managed, Origin, Rehearsal, Who
from app.scim.query import Resource, ResourceId, Stamp
from app.services.journal import Actor, Journal, Operation, Write, recorded
from app.services.rehearsal.beneath import Beneath
from app.services.rehearsal.journal import REHEARSED
from app.services.rehearsal.making import Changed, Making, Sent, there, without_missing
from app.services.rehearsal.net import Action, Item, Key, Net
from app.services.rehearsal.remains import Remains
from backends.base import Backend
from backends.errors import NotFound, StoreError, Unavailable, VersionMismatch

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
    WAITING = "waiting"
    """What it refers to is not in the store yet, or a client has rehearsed on it meanwhile."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an item; `text` says why it was not made, or what of it could not be. `id` is that of the resource
    in the store."""

    item: Item
    result: Result
    id: ResourceId
    text: str = ""
    unavailable: Unavailable | None = None
    """Why nothing can be made at all, where that is so."""


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
        self._remains = Remains(rehearsal, backend.registry, self._making)

    def run(self) -> Iterator[Outcome]:
        """Make one change after the other; each is told when it is made or can't be. A change may leave something that
        can be done when another one was made, such as the manager of a circle; what still waits in the end is told
        then. Raises Unavailable when the store can't be reached, after the change was told that was to be made."""
        failed: set[Key] = set()
        items = self._net.items()
        changed = self._changed_meanwhile(items)
        while items:
            begun: set[Key] = set()
            for item in items:
                if item.key in failed:
                    continue
                outcome = self._apply(item, changed.get(item.key))
                if outcome is None:
                    continue
                if outcome.result is not Result.APPLIED:
                    failed.add(item.key)
                begun.add(item.key)
                yield outcome
                if outcome.unavailable is not None:
                    raise outcome.unavailable
            items = [item for item in self._net.items() if item.key not in failed and self._is_new(item, begun)]
        yield from self._waiting(failed)
        self._finish()

    def _waiting(self, told: set[Key]) -> Iterator[Outcome]:
        """What is left of changes that were made, because what it refers to could not be."""
        for item in self._net.items():
            if item.key in self._remains.keys and item.key not in told:
                sent = self._sent(item)
                if sent.left:
                    yield Outcome(item, Result.WAITING, item.copy.id, _left(sent))

    def _is_new(self, item: Item, begun: set[Key]) -> bool:
        """Whether the item is what is left of one that was made in the last round, and can be made now. What clients
        rehearse meanwhile is left for the next time."""
        key, remains = item.key, self._remains
        return key in remains.keys and (key in remains.waiting or key not in begun) and not self._sent(item).empty

    def _sent(self, item: Item) -> Sent:
        return self._making.sent(self._backend.registry.type(item.copy.kind), item)

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

    def _apply(self, item: Item, changed: str | None) -> Outcome | None:
        """What becomes of an item; None where a client has taken it back meanwhile."""
        kind, id = item.copy.kind, self._making.id_of(item)
        now = self._rehearsal.find(kind, [id]).get(id)
        if now is None:
            return None
        if now.revision != item.copy.revision:
            return Outcome(item, Result.WAITING, id, "it was rehearsed on meanwhile")
        if changed is not None:
            return Outcome(item, Result.CONFLICT, id, changed)
        sent = self._sent(item)
        if item.action == "update" and sent.left and sent.empty and not item.secrets:
            return Outcome(item, Result.WAITING, id, _left(sent))
        try:
            made = self._make(item, id, sent)
        except Changed as error:
            return Outcome(item, Result.CONFLICT, id, str(error))
        except VersionMismatch:
            return Outcome(item, Result.CONFLICT, id, "it was changed in the store at the same moment")
        except NotFound:
            return Outcome(item, Result.CONFLICT, id, "it is no longer there")
        except Unavailable as error:
            return Outcome(item, Result.REFUSED, id, str(error), error)
        except StoreError as error:
            return Outcome(item, Result.REFUSED, id, str(error))
        id = _id(made, id)
        self._remains.leave(item, id, made, sent)
        if item.action in ("create", "restore", "update"):
            self._managed.claim(kind, [id], _actor(item.copy.who).integration_id)
        return Outcome(item, Result.APPLIED, id, "; ".join(_told(item)))

    def _make(self, item: Item, id: ResourceId, sent: Sent) -> Resource | Stamp | None:
        resource_type = self._backend.registry.type(item.copy.kind)
        with recorded(self._journal, resource_type, self._write(item, id)) as recording:
            live = self._making.found(resource_type, item)
            values, before = sent.values, there(item.before)
            read = frozenset(item.before)
            if live is not None:
                before = dict(live.values)
            if live is not None and item.action != "update":
                values, read = dict.fromkeys(live.values), frozenset(live.values)
            recording.intend(values, sent.relations, before=before, read=read)
            made = self._making.make(resource_type, item, sent, live)
            recording.done(made.stamp if isinstance(made, Resource) else made, id=_id(made, id))
        return made

    def _write(self, item: Item, id: ResourceId) -> Write:
        kind = item.copy.kind
        operation = _OPERATIONS[item.action]
        if item.action == "update" and self._rehearsal.claimed(kind, [id]):
            operation = "adopt"
        write = Write(_actor(item.copy.who), operation, kind, None if item.action == "create" else id)
        write.attributes, write.notes, write.name = (*item.after, *item.relations), (REHEARSED,), item.name
        return write

    def _finish(self) -> None:
        """What was only claimed is managed; what has nothing left to be made leaves the rehearsal."""
        waiting = {item.key for item in self._net.items()}
        for kind, id, integration_id in self._rehearsal.claims():
            if (kind, id) not in waiting:
                self._managed.claim(kind, [id], integration_id)
                with self._rehearsal.writing() as writing:
                    writing.release(kind, id)
        for resource_type in self._backend.registry.types:
            for copy in list(self._rehearsal.copies(resource_type.name)):
                if (copy.kind, copy.id) not in waiting:
                    self._forget(copy)

    def _forget(self, copy: Copy) -> None:
        with self._rehearsal.writing() as writing:
            now = self._rehearsal.find(copy.kind, [copy.id]).get(copy.id)
            if now is not None and now.revision == copy.revision:
                writing.drop(copy.kind, copy.id)


def _actor(who: Who) -> Actor:
    return Actor(who.integration_id, who.name) if who.integration_id else _OPERATOR


def _id(made: Resource | Stamp | None, id: ResourceId) -> ResourceId:
    return made.id if isinstance(made, Resource) else id


def _told(item: Item) -> Iterator[str]:
    """What of an item that was made could not be."""
    if item.secrets:
        yield f"{', '.join(item.secrets)} was not kept: it has to be sent again"
    yield from without_missing(item)


def _left(sent: Sent) -> str:
    return "; ".join(f"{name}: {len(far)} not in the store yet" for name, far in sent.left.items())
