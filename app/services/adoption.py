"""Resources that were there before the identity provider came: when it may take charge of them."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Lock

from app.control.managed import Managed
from app.scim.filter.nodes import And, Bound, Compare, Op, Some
from app.scim.query import Draft, Query, Resource, ResourceId, Slot, Value, Window
from app.scim.registry import Registry, ResourceType
from app.scim.types import comparable
from app.services.journal import Actor, Write
from backends.base import Backend
from backends.errors import Duplicate
from config.settings import LifecycleSettings

ADOPTED = "adopted"
"""The note of a write by which a resource came to be managed."""

_EMAILS, _WORK = "emails", "work"
_REMEMBERED = 100_000
_NEW = timedelta(seconds=30)
_LOOKS, _PAUSE = 10, 0.08
_LOOKED_AT = 20
_NAMES = ("userName", "displayName")


class Unadoptable(Exception):
    """A new resource is to be one that exists already and that may not be adopted. `detail` is for clients."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class NotManaged(Unadoptable):
    """A change is of a resource that is not managed and may not be adopted."""


class Adoption:
    """Decides on resources that are not managed. What is managed never ceases to be, so that it is remembered."""

    def __init__(self, managed: Managed, backend: Backend, registry: Registry, settings: LifecycleSettings) -> None:
        self._managed = managed
        self._backend = backend
        self._registry = registry
        self._settings = settings
        self._known: OrderedDict[tuple[str, ResourceId], None] = OrderedDict()
        self._lock = Lock()

    def by_email(self, kind: str, draft: Draft) -> Resource | None:
        """The one resource that is not managed and has a work e-mail of the draft, with all its readable slots.

        Raises Unadoptable when there are more, and Duplicate when a managed one has it although no two may.
        """
        resource_type = self._registry.type(kind)
        wanted = work_emails(draft.values)
        if _EMAILS not in resource_type.slots or not wanted:
            return None
        found: dict[ResourceId, Resource] = {}
        for value in dict.fromkeys(wanted):
            found.update((r.id, r) for r in self._search(resource_type, _has_work_email(resource_type, value)))
        free = self._free(kind, found)
        if self._settings.unique_email and len(free) < len(found):
            raise Duplicate(_EMAILS)
        return self._only(free, "work e-mail")

    def by_name(self, kind: str, draft: Draft) -> Resource | None:
        """The one resource that is not managed and has the draft's userName or, of a group, displayName."""
        resource_type = self._registry.type(kind)
        name = next((name for name in _NAMES if name in draft.values), None)
        if name is None:
            return None
        attribute = resource_type.slots[name]
        filter = Compare(attribute, Op.EQ, comparable(attribute, draft.values[name]))
        return self._only(self._free(kind, {r.id: r for r in self._search(resource_type, filter)}), name)

    def admit(self, resource: Resource, actor: Actor) -> None:
        """Return when a create may adopt the resource. Raises Unadoptable."""
        what = "an account" if resource.kind == "User" else "a group"
        if self._settings.adoption == "refuse":
            raise Unadoptable(f"{what} of this name or e-mail exists and is not managed here; adoption is switched off")
        if self._settings.adoption == "approve" and not self._approved(resource, actor):
            raise Unadoptable(
                f"{what} of this name or e-mail exists and is not managed here; an operator has to approve its adoption"
            )

    @contextmanager
    def of_changed(self, write: Write) -> Iterator[None]:
        """A write to a resource that is there, in the block. It adopts one that was not managed: the write notes that
        then. Raises NotManaged when that may not be, NotFound."""
        assert write.id is not None
        adopts = self.require(write.kind, write.id, write.actor)
        yield
        if adopts:
            write.notes = (*write.notes, ADOPTED)
            self.claim(write.kind, write.id, write.actor)

    def require(self, kind: str, id: ResourceId, actor: Actor) -> bool:
        """Whether a write to a resource that is there is the first one. Raises NotManaged when that may not be,
        NotFound."""
        if self.is_managed(kind, id):
            return False
        slots = self._registry.type(kind).slots
        names = frozenset(name for name in _NAMES if name in slots)
        resource = self._backend.get(kind, id, names)
        if not self._free(kind, {id: resource}):
            self._remember(kind, [id])
            return False
        if self._settings.adoption == "match":
            return True
        if self._settings.adoption == "refuse" or not self._approved(resource, actor):
            raise NotManaged("the resource is not managed here, and its adoption is switched off or not yet approved")
        return True

    def is_managed(self, kind: str, id: ResourceId) -> bool:
        """Whether the resource was created or adopted through SCIM."""
        if (kind, id) in self._known:
            return True
        managed = id in self._managed.among(kind, [id])
        if managed:
            self._remember(kind, [id])
        return managed

    def created(self, kind: str, id: ResourceId) -> None:
        """The resource is new, and managed as soon as its record is in the audit trail."""
        self._remember(kind, [id])

    def claim(self, kind: str, id: ResourceId, actor: Actor) -> None:
        """Afterwards the resource is managed."""
        self._managed.claim(kind, [id], actor.integration_id)
        self._remember(kind, [id])

    def _remember(self, kind: str, ids: Iterable[ResourceId]) -> None:
        with self._lock:
            for id in ids:
                self._known[kind, id] = None
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    def _approved(self, resource: Resource, actor: Actor) -> bool:
        name = next((str(resource.values[name]) for name in _NAMES if name in resource.values), "")
        return self._managed.ask(resource.kind, resource.id, name, actor.integration_id)

    def _search(self, resource_type: ResourceType, filter: Bound) -> tuple[Resource, ...]:
        query = Query(resource_type.readable, filter, window=Window(1, _LOOKED_AT))
        return self._backend.search(resource_type.name, query).items

    def _free(self, kind: str, found: dict[ResourceId, Resource]) -> list[Resource]:
        """Those that are not managed. Of one that is new the record of its creation may be on its way."""
        free = dict(found)
        for _ in range(_LOOKS):
            managed = self._managed.among(kind, list(free)) if free else frozenset()
            free = {id: resource for id, resource in free.items() if id not in managed}
            recently = datetime.now(UTC) - _NEW
            if not any(resource.created > recently for resource in free.values()):
                break
            time.sleep(_PAUSE)
        return list(free.values())

    @staticmethod
    def _only(free: list[Resource], what: str) -> Resource | None:
        if len(free) > 1:
            raise Unadoptable(
                f"{len(free)} accounts that are not managed here have this {what}; only one of them may have it"
            )
        return free[0] if free else None


def work_emails(values: Mapping[Slot, Value]) -> list[str]:
    """The addresses of type work."""
    emails = values.get(_EMAILS, ())
    return [e["value"] for e in emails if str(e.get("type", "")).lower() == _WORK and e.get("value")]


def _has_work_email(resource_type: ResourceType, value: str) -> Bound:
    emails = resource_type.slots[_EMAILS]
    parts = {sub.name: sub for sub in emails.sub_attributes}
    tests: list[Bound] = [Compare(parts["value"], Op.EQ, comparable(parts["value"], value))]
    if "type" in parts:
        tests.append(Compare(parts["type"], Op.EQ, comparable(parts["type"], _WORK)))
    return Some(emails, And(tuple(tests)))
