"""What of the store an integration has to do with, for the request that is being answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache

import structlog

from app.control import Only, Outside, Remit
from app.scim.filter.parse import parse_attr_path
from app.scim.query import (
    Change,
    Delta,
    Draft,
    Page,
    Query,
    Reference,
    Resource,
    ResourceId,
    Slot,
    Stamp,
    Value,
    Version,
    Window,
)
from app.scim.registry import Registry, ResourceType
from app.services.around import Around
from app.services.fence import Fenced
from app.services.rules import ALL, NONE, InvalidRule, Rule, bind_rule
from backends.base import FIRST_PAGE, Backend, Capability
from backends.errors import NotFound
from config.ldap_text import is_dn

EVERYTHING = Remit()
_REMITS = 256
_ACTIVE: Slot = "active"

_log = structlog.get_logger("landfall.remit")


@dataclass(frozen=True, slots=True)
class _Asking:
    remit: Remit = EVERYTHING
    writes: bool = False


_NOBODY = _Asking()
_asking: ContextVar[_Asking] = ContextVar("landfall_remit", default=_NOBODY)


class OutsideRemit(Exception):
    """The integration may not write this; `detail` is for clients."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


def enter(remit: Remit, *, writes: bool) -> None:
    """Afterwards what this thread asks of a Remitted store is asked by an integration with that remit. `writes` says
    that the request is a write, which is then told 403 of what exists and is outside, and not 404 as a read is."""
    _asking.set(_Asking(remit, writes))


def leave() -> None:
    """Afterwards this thread asks for nobody in particular, and sees everything."""
    _asking.set(_NOBODY)


def check_remit(remit: Remit, registry: Registry) -> list[str]:
    """What can't be used of a remit with these resource types, in words for an operator; nothing when all can. Of its
    subtrees the store knows more, by `Backend.subtree_fault`."""
    faults = []
    for kind, text in _filters(remit):
        try:
            bind_rule(text, registry.type(kind))
        except InvalidRule as error:
            faults.append(f"filter of {kind.lower()}s: {error.detail}")
    faults += [f"'{base}' is not a DN" for base in remit.bases if not is_dn(base)]
    known = {name for type in registry.types for name in remit.attributes if _parts(type, name)}
    faults += [f"'{name}' is not an attribute that can be written" for name in remit.attributes if name not in known]
    return faults


def narrowed(resource_type: ResourceType, change: Change) -> Change:
    """The change as far as the integration that asks may make it. Raises OutsideRemit where its remit refuses the rest
    instead of leaving it as it is."""
    remit = _asking.get().remit
    if not remit.attributes:
        return change
    allowed = _writable(resource_type, remit.attributes)
    others = [name for name in (*change.values, *change.relations) if name not in allowed]
    if not others:
        return change
    if remit.outside is Outside.REFUSE:
        raise OutsideRemit(f"this integration may not write {', '.join(sorted(others))}")
    return Change(
        {slot: value for slot, value in change.values.items() if slot in allowed},
        {name: delta for name, delta in change.relations.items() if name in allowed},
    )


def narrowed_draft(resource_type: ResourceType, draft: Draft) -> Draft:
    """The new resource as far as the integration that asks may make it. Raises OutsideRemit also where nothing can be
    made without an attribute that it may not write."""
    whole = Change(draft.values, {name: Delta(ids) for name, ids in draft.relations.items() if ids})
    part = narrowed(resource_type, whole)
    if part is whole:
        return draft
    missing = sorted(resource_type.required_slots & draft.values.keys() - part.values.keys())
    if missing:
        raise OutsideRemit(f"this integration may not write {', '.join(missing)}, and so can't create")
    return Draft(part.values, {name: delta.add for name, delta in part.relations.items()})


class Remitted(Around):
    """The store `inner`; a request of an integration with a remit sees and writes only what is in it.

    Where an integration has none this costs nothing. A remit whose filter can't be used with this store has nothing of
    that kind in it, and one with subtrees nothing at all in a store that is no directory.
    """

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self._fenced = lru_cache(maxsize=_REMITS)(self._make)

    def get(self, kind: str, id: ResourceId, want: frozenset[Slot]) -> Resource:
        return self._asked().get(kind, id, want)

    def search(self, kind: str, query: Query) -> Page:
        return self._asked().search(kind, query)

    def create(self, kind: str, draft: Draft) -> Resource:
        return self._asked().create(kind, narrowed_draft(self.registry.type(kind), draft))

    def update(self, kind: str, id: ResourceId, change: Change, *, expect: Version | None = None) -> Stamp:
        return self._asked().update(kind, id, narrowed(self.registry.type(kind), change), expect=expect)

    def delete(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        self._asked().delete(kind, id, expect=expect)

    def retire(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        self._asked().retire(kind, id, expect=expect)

    def retired(
        self, kind: str, want: frozenset[Slot], names: Sequence[str] | None = None, window: Window = FIRST_PAGE
    ) -> Page:
        return self._asked().retired(kind, want, names, window)

    def restore(self, kind: str, id: ResourceId, change: Change) -> Resource:
        # That who comes back is active is the service's doing: no remit is asked.
        own = {_ACTIVE: True} if change.values.get(_ACTIVE) is True else {}
        asked = {slot: value for slot, value in change.values.items() if slot not in own}
        part = narrowed(self.registry.type(kind), replace(change, values=asked))
        return self._asked().restore(kind, id, replace(part, values={**part.values, **own}))

    def related(self, kind: str, ids: Sequence[ResourceId], relation: str) -> Iterator[tuple[ResourceId, Reference]]:
        return self._asked().related(kind, ids, relation)

    def admit(self, kind: str, id: ResourceId, values: Mapping[Slot, Value | None]) -> None:
        """Return when neither the remit nor what is protected forbids an update with these values. Raises what `update`
        would raise of these, NotFound."""
        for fence in self._fences():
            fence.admit(kind, id, values)

    def admit_removal(self, kind: str, id: ResourceId) -> None:
        """As `admit`, of a deletion."""
        for fence in self._fences():
            fence.admit_removal(kind, id)

    def _fences(self) -> list[Fenced]:
        asked = self._asked()
        stores = (self._inner,) if asked is self._inner else (asked, self._inner)
        return [store for store in stores if isinstance(store, Fenced)]

    def _asked(self) -> Backend:
        remit = _asking.get().remit
        # What may be written of a resource is not a matter of which are seen.
        seen = replace(remit, attributes=(), outside=Outside.REFUSE) if remit.attributes else remit
        return self._inner if seen == EVERYTHING else self._fenced(seen)

    def _make(self, remit: Remit) -> Backend:
        if remit.bases and Capability.SUBTREES not in self.capabilities:
            _log.error("an integration is limited to subtrees, and the store is no directory; nothing is let through")
            return _Fence(self._inner, {type.name: NONE for type in self.registry.types})
        return _Fence(self._inner, {type.name: r for type in self.registry.types if (r := _rule(remit, type))})


class _Fence(Fenced):
    """The part of a store that a remit names."""

    def __init__(self, inner: Backend, inside: dict[str, Rule]) -> None:
        super().__init__(inner, inside, hides=True)

    def get(self, kind: str, id: ResourceId, want: frozenset[Slot]) -> Resource:
        try:
            return super().get(kind, id, want)
        except NotFound:
            if not _asking.get().writes:
                raise
            self._inner.get(kind, id, frozenset())
            raise self.outside(kind) from None

    def outside(self, kind: str) -> Exception:
        return OutsideRemit(f"this {kind.lower()} is not among those that this integration may change")

    def leaving(self, kind: str) -> Exception:
        return OutsideRemit(
            f"with these values the {kind.lower()} would not be among those that this integration may change"
        )


def _rule(remit: Remit, resource_type: ResourceType) -> Rule | None:
    """Which resources of a type are in the remit, None for all."""
    if remit.only is not None and resource_type.name != _KINDS[remit.only]:
        return NONE
    text = dict(_filters(remit)).get(resource_type.name)
    if text is None:
        return replace(ALL, bases=remit.bases) if remit.bases else None
    try:
        return replace(bind_rule(text, resource_type), bases=remit.bases)
    except InvalidRule as error:
        _log.error("a filter of an integration can't be used; nothing is let through", filter=text, why=error.detail)
        return NONE


_KINDS = {Only.USERS: "User", Only.GROUPS: "Group"}


def _filters(remit: Remit) -> Iterator[tuple[str, str]]:
    for kind, text in (("User", remit.users), ("Group", remit.groups)):
        if text is not None:
            yield kind, text


@lru_cache(maxsize=_REMITS)
def _writable(resource_type: ResourceType, names: tuple[str, ...]) -> frozenset[str]:
    """The slots and relations that are meant."""
    return frozenset(part for name in names for part in _parts(resource_type, name))


def _parts(resource_type: ResourceType, name: str) -> list[str]:
    """The slots or the relation that an attribute is made of; none where the type has no such attribute."""
    path = parse_attr_path(name)
    attribute = None if path is None else resource_type.find(path)
    if attribute is None:
        return []
    if attribute.name in resource_type.relations:
        return [attribute.name] if resource_type.relations[attribute.name].stored else []
    owned = (slot for slot in resource_type.slots if resource_type.parents.get(slot) is attribute)
    return [attribute.path] if attribute.path in resource_type.slots else list(owned)
