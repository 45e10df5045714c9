"""Resources that were there before the identity provider came: when it may take charge of them."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Lock

from app.control.managed import Managed
from app.scim.filter.nodes import And, Bound, Compare, Op, Or, Some
from app.scim.fold import fold
from app.scim.query import Draft, Query, Resource, ResourceId, Slot, Value, Window
from app.scim.registry import Registry, ResourceType
from app.scim.types import comparable
from app.services.journal import Actor, Write
from backends.base import Backend
from backends.errors import Duplicate
from config.settings import LifecycleSettings

ADOPTED = "adopted"
"""The note of a write by which a resource came to be managed."""

_USER_NAME, _EMAILS, _WORK = "userName", "emails", "work"
_WORK_EMAIL = "work e-mail"
_REMEMBERED = 100_000
_NEW = timedelta(seconds=30)
_LOOKS, _PAUSE = 25, 0.08
_AT_ONCE, _LOOKED_AT = 100, 1000
"""How many resources one search reads, and how many are looked at that have the same name or e-mail."""

_TERMS = 100
"""How many e-mails one search asks about."""

LOOKED_FOR = 200
"""By how many work e-mails of a request someone is looked for."""

_NAMES = ("userName", "displayName")


class Unadoptable(Exception):
    """A new resource is to be one that exists already and that may not be adopted. `detail` is for clients."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class NotManaged(Unadoptable):
    """A change is of a resource that is not managed and may not be adopted."""


class Adoption:
    """Decides on resources that are not managed. What is managed is remembered, where it never ceases to be."""

    def __init__(self, managed: Managed, backend: Backend, registry: Registry, settings: LifecycleSettings) -> None:
        self._managed = managed
        self._backend = backend
        self._registry = registry
        self._settings = settings
        self._known: OrderedDict[tuple[str, ResourceId], None] = OrderedDict()
        self._lock = Lock()

    def by_email(self, kind: str, draft: Draft, *, written: bool = True) -> Resource | None:
        """The one resource that is not managed and has one of the first LOOKED_FOR work e-mails of the draft, with all
        its readable slots.

        Raises Unadoptable when there are more, or too many to look at, and Duplicate when a managed one has it although
        no two may: if the e-mails are to be `written`.
        """
        resource_type = self._registry.type(kind)
        wanted = work_emails(draft.values)[:LOOKED_FOR]
        if _EMAILS not in resource_type.slots or not wanted:
            return None
        found: dict[ResourceId, Resource] = {}
        for start in range(0, len(wanted), _TERMS):
            filter = _has_work_email(resource_type, wanted[start : start + _TERMS])
            found.update(self._search(resource_type, filter, _WORK_EMAIL))
        free = self._free(kind, found)
        if written and self._settings.unique_email and len(free) < len(found):
            raise Duplicate(_EMAILS)
        return self._only(free, _WORK_EMAIL)

    def by_name(self, kind: str, draft: Draft) -> Resource | None:
        """The one resource that is not managed and has the draft's userName or, of a group, displayName."""
        resource_type = self._registry.type(kind)
        name = next((name for name in _NAMES if name in draft.values), None)
        if name is None:
            return None
        attribute = resource_type.slots[name]
        filter = Compare(attribute, Op.EQ, comparable(attribute, draft.values[name]))
        return self._only(self._free(kind, self._search(resource_type, filter, name)), name)

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
    def of_changed(self, write: Write) -> Iterator[bool]:
        """A write to a resource that is there, in the block. It adopts one that was not managed: the write notes that
        then. Raises NotManaged when that may not be, NotFound."""
        assert write.id is not None
        adopts = self.require(write.kind, write.id, write.actor)
        yield adopts
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

    def managed_ones(self, kind: str, resources: Sequence[Resource]) -> list[Resource]:
        """Those of the resources that were created or adopted through SCIM."""
        free = {resource.id for resource in self._free(kind, {resource.id: resource for resource in resources})}
        return [resource for resource in resources if resource.id not in free]

    def created(self, kind: str, id: ResourceId) -> None:
        """The resource is new, or was retired unmanaged: it is managed as soon as its record is in the audit trail."""
        self._remember(kind, [id])

    def claim(self, kind: str, id: ResourceId, actor: Actor) -> None:
        """Afterwards the resource is managed."""
        self._managed.claim(kind, [id], actor.integration_id)
        self._remember(kind, [id])

    def _remember(self, kind: str, ids: Iterable[ResourceId]) -> None:
        if not self._managed.lasting:
            return
        with self._lock:
            for id in ids:
                self._known[kind, id] = None
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    def _approved(self, resource: Resource, actor: Actor) -> bool:
        name = next((str(resource.values[name]) for name in _NAMES if name in resource.values), "")
        return self._managed.ask(resource.kind, resource.id, name, actor.integration_id)

    def _search(self, resource_type: ResourceType, filter: Bound, what: str) -> dict[ResourceId, Resource]:
        """All that have the name or e-mail. Raises Unadoptable when there are too many to look at."""
        found: dict[ResourceId, Resource] = {}
        start, total = 1, 1
        while start <= total:
            query = Query(resource_type.readable, filter, window=Window(start, _AT_ONCE))
            page = self._backend.search(resource_type.name, query)
            if page.total > _LOOKED_AT:
                raise Unadoptable(
                    f"more than {_LOOKED_AT} accounts have this {what}: too many to see which of them is meant"
                )
            found.update((resource.id, resource) for resource in page.items)
            start, total = start + _AT_ONCE, page.total
        return found

    def _free(self, kind: str, found: dict[ResourceId, Resource]) -> list[Resource]:
        """Those that are not managed. Of one that is new the record of its creation may be on its way."""
        free = {id: resource for id, resource in found.items() if (kind, id) not in self._known}
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


def names_of(values: Mapping[Slot, Value]) -> list[str]:
    """What an arriving user may be known by: its userName, if it has one, and the first LOOKED_FOR work e-mails."""
    return [*([values[_USER_NAME]] if _USER_NAME in values else []), *work_emails(values)[:LOOKED_FOR]]


def work_emails(values: Mapping[Slot, Value]) -> list[str]:
    """The addresses of type work, each once whatever the case of its letters."""
    emails = values.get(_EMAILS, ())
    distinct: dict[str, str] = {}
    for email in emails:
        if str(email.get("type", "")).lower() == _WORK and email.get("value"):
            distinct.setdefault(fold(email["value"]), email["value"])
    return list(distinct.values())


def _has_work_email(resource_type: ResourceType, values: Sequence[str]) -> Bound:
    """Holds for who has one of the work e-mails."""
    emails = resource_type.slots[_EMAILS]
    parts = {sub.name: sub for sub in emails.sub_attributes}
    one = [Compare(parts["value"], Op.EQ, comparable(parts["value"], value)) for value in values]
    tests: list[Bound] = [one[0] if len(one) == 1 else Or(tuple(one))]
    if "type" in parts:
        tests.append(Compare(parts["type"], Op.EQ, comparable(parts["type"], _WORK)))
    return Some(emails, And(tuple(tests)))
