"""A back end that has no place for externalId, with the control store's links in place of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace

from app.control import ControlUnavailable, Held, Link, Links
from app.control.links import holds
from app.control.tables import LINK_LENGTH
from app.scim.filter.evaluate import View, sort_value
from app.scim.filter.nodes import Bound
from app.scim.query import (
    Change,
    Draft,
    Page,
    Query,
    Reference,
    Resource,
    ResourceId,
    Slot,
    Sort,
    Stamp,
    Value,
    Version,
    Window,
)
from app.scim.registry import EXTERNAL_ID, ID, META_LAST_MODIFIED, Registry, ResourceType
from app.services.linked_filters import Rewriting, any_of, combined, parts
from backends.base import FIRST_PAGE, Backend, Capability, Finding, Trial
from backends.errors import NotFound, RejectedValue, StoreError, TooManyCandidates, VersionMismatch

_SLOT: Slot = EXTERNAL_ID.path
_NOTHING: frozenset[Slot] = frozenset()
_IDS = 100
"""How many ids one search of the inner store names."""


def with_links(backend: Backend, links: Links) -> Backend:
    """The back end itself when each of its resource types has a place for externalId, else one that is Linked."""
    return Linked(backend, links) if _without_place(backend.registry) else backend


class Linked(Backend):
    """The store `inner`, completed: where a resource type of it has no externalId, that is kept in `links`.

    A version is that of the inner store with the revision of the link; a resource was last changed when either was. A
    write that expects a version or has an externalId holds the link until both stores have it, so that of two with one
    expectation one fails. `candidates` is the most links or resources that one search may look at one by one. Every
    method may also raise ControlUnavailable.

    There is no transaction over both stores: the inner one is written first, then the link, and a reader may come
    between. When the service ends there, or the control store fails, then

    - after `create` the resource has no externalId. Where the service is still there it deletes the resource again, so
      that the request can be repeated; else that is refused as a duplicate, and the externalId is set as soon as the
      client finds the resource by its name and updates it.
    - after `update` the other values are new and the externalId is the old one; the same request again sets it.
    - after `delete` a link is left. No search gives it, for ids do not come back; a second DELETE removes it, unless
      the store can retire.
    - after `restore` the resource has the externalId that it had. Where the service is still there it retires the
      resource again.

    The link of a resource stays while that is retired. What is not found may be retired: in a store that can retire
    no link is removed for that.
    """

    def __init__(self, inner: Backend, links: Links, *, candidates: int = 10_000) -> None:
        self._inner = inner
        self._links = links
        self._candidates = candidates
        self._kinds = _without_place(inner.registry)
        self.capabilities = inner.capabilities
        self.registry = replace(inner.registry, types=tuple(_with_place(t) for t in inner.registry.types))

    def check(self) -> None:
        self._inner.check()

    def findings(self, *, write: bool) -> Iterator[Finding]:
        yield from self._inner.findings(write=write)

    def close(self) -> None:
        self._inner.close()

    def together(self, *, changes: bool = False) -> AbstractContextManager[object]:
        return self._inner.together(changes=changes)

    def trial(self) -> AbstractContextManager[Trial]:
        # Of the store itself alone: the control store would be written to.
        raise NotImplementedError

    def get(self, kind: str, id: ResourceId, want: frozenset[Slot]) -> Resource:
        if kind not in self._kinds:
            return self._inner.get(kind, id, want)
        return self._joined(kind, [self._inner.get(kind, id, want - {_SLOT})], want)[0]

    def search(self, kind: str, query: Query) -> Page:
        if kind not in self._kinds:
            return self._inner.search(kind, query)
        filter = None if query.filter is None else self._rewritten(kind, query.filter)
        inner = replace(query, want=query.want - {_SLOT}, filter=filter)
        if query.sort is not None and query.sort.attribute in (EXTERNAL_ID, META_LAST_MODIFIED):
            page = self._ordered(kind, inner, query.sort)
        else:
            page = self._inner.search(kind, inner)
        return Page(page.total, self._joined(kind, page.items, query.want))

    def create(self, kind: str, draft: Draft) -> Resource:
        if kind not in self._kinds:
            return self._inner.create(kind, draft)
        external_id = _storable(draft.values.get(_SLOT))
        resource = self._inner.create(kind, replace(draft, values=_others(draft.values)))
        if external_id is None:
            return _join(resource, None, _NOTHING)
        try:
            link = self._links.add(kind, resource.id, external_id, resource.stamp.modified)
        except ControlUnavailable:
            with suppress(StoreError):
                self._inner.delete(kind, resource.id, expect=resource.stamp.version)
            raise
        return _join(resource, link, frozenset({_SLOT}))

    def update(self, kind: str, id: ResourceId, change: Change, *, expect: Version | None = None) -> Stamp:
        if kind not in self._kinds:
            return self._inner.update(kind, id, change, expect=expect)
        if expect is None and _SLOT not in change.values:
            link = self._links.find(kind, [id]).get(id)
            return combined(self._inner.update(kind, id, change), link)
        new = _storable(change.values.get(_SLOT))
        others = replace(change, values=_others(change.values))
        with self._held(kind, id) as held:
            stamp = self._change(kind, id, others, self._expected(kind, id, expect, held.link))
            if _SLOT in change.values and new != held.link.external_id:
                held.assign(new, after=combined(stamp, held.link).modified)
        return combined(stamp, held.link)

    def delete(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        if kind not in self._kinds:
            self._inner.delete(kind, id, expect=expect)
        elif expect is None:
            try:
                self._inner.delete(kind, id)
            except NotFound:
                if not self._retires:
                    self._links.forget(kind, id)
                raise
            self._links.forget(kind, id)
        else:
            with self._held(kind, id) as held:
                self._inner.delete(kind, id, expect=self._expected(kind, id, expect, held.link))
                held.forget()

    def retire(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        if kind not in self._kinds or expect is None:
            self._inner.retire(kind, id, expect=expect)
        else:
            with self._held(kind, id) as held:
                self._inner.retire(kind, id, expect=self._expected(kind, id, expect, held.link))

    def retired(
        self, kind: str, want: frozenset[Slot], names: Sequence[str] | None = None, window: Window = FIRST_PAGE
    ) -> Page:
        page = self._inner.retired(kind, want - {_SLOT} if kind in self._kinds else want, names, window)
        if kind not in self._kinds:
            return page
        joined = self._joined(kind, page.items, want)
        pairs = zip(page.items, joined, strict=True)
        # It was retired after the last change of its link.
        items = (replace(new, stamp=replace(new.stamp, modified=old.stamp.modified)) for old, new in pairs)
        return Page(page.total, tuple(items))

    def restore(self, kind: str, id: ResourceId, change: Change) -> Resource:
        if kind not in self._kinds:
            return self._inner.restore(kind, id, change)
        new = _storable(change.values.get(_SLOT))
        resource = self._inner.restore(kind, id, replace(change, values=_others(change.values)))
        try:
            if _SLOT in change.values:
                with self._held(kind, id) as held:
                    if new != held.link.external_id:
                        held.assign(new, after=combined(resource.stamp, held.link).modified)
            return self._joined(kind, [resource], frozenset({_SLOT}))[0]
        except ControlUnavailable:
            with suppress(StoreError):
                self._inner.retire(kind, id, expect=resource.stamp.version)
            raise

    def purge(self, kind: str, id: ResourceId) -> None:
        self._inner.purge(kind, id)
        if kind in self._kinds:
            self._links.forget(kind, id)

    def related(self, kind: str, ids: Sequence[ResourceId], relation: str) -> Iterator[tuple[ResourceId, Reference]]:
        return self._inner.related(kind, ids, relation)

    def knows(self, kind: str, names: Sequence[str]) -> bool:
        return self._inner.knows(kind, names)

    def within(self, kind: str, ids: Sequence[ResourceId], bases: Sequence[str]) -> frozenset[ResourceId]:
        return self._inner.within(kind, ids, bases)

    def may_land_within(self, kind: str, values: Mapping[Slot, Value], bases: Sequence[str]) -> bool:
        return self._inner.may_land_within(kind, values, bases)

    def lands_within(self, kind: str, values: Mapping[Slot, Value], bases: Sequence[str]) -> bool:
        return self._inner.lands_within(kind, values, bases)

    def subtree_fault(self, base: str) -> str | None:
        return self._inner.subtree_fault(base)

    @property
    def _retires(self) -> bool:
        return Capability.RETIRE in self._inner.capabilities

    def _change(self, kind: str, id: ResourceId, others: Change, expect: Version | None) -> Stamp:
        """An empty change is worth a write only for the expectation."""
        if others.empty and expect is None:
            return self._inner.get(kind, id, _NOTHING).stamp
        return self._inner.update(kind, id, others, expect=expect)

    @contextmanager
    def _held(self, kind: str, id: ResourceId) -> Iterator[Held]:
        """The link of a resource, held. A link that is left of a resource that is no more is removed, if it can't be
        retired or the link was only made for this."""
        made = False
        while True:
            gone: NotFound | None = None
            with self._links.held(kind, id) as held:
                if held is not None:
                    try:
                        yield held
                    except NotFound as error:
                        gone = error
                        if made or not self._retires:
                            held.forget()
            if gone is not None:
                raise gone
            if held is not None:
                return
            # Raises NotFound: no link is made for an id that a client has made up.
            self._inner.get(kind, id, _NOTHING)
            self._links.ensure(kind, id)
            made = True

    def _expected(self, kind: str, id: ResourceId, expect: Version | None, link: Link) -> Version | None:
        """The version that is then expected of the inner store. Raises VersionMismatch where the link is not in the
        expected one, and NotFound rather than that."""
        if expect is None:
            return None
        version, revision = parts(expect)
        if revision != link.revision:
            self._inner.get(kind, id, _NOTHING)
            raise VersionMismatch(kind)
        return version

    def _rewritten(self, kind: str, filter: Bound) -> Bound:
        return Rewriting(kind, self._inner, self._links, self._candidates).rewrite(filter)

    def _ordered(self, kind: str, query: Query, sort: Sort) -> Page:
        """The page in an order that the inner store does not know. Raises TooManyCandidates."""
        everything = replace(query, want=_NOTHING, sort=None, window=Window(1, self._candidates))
        page = self._inner.search(kind, everything)
        if page.total > self._candidates:
            raise TooManyCandidates
        valued = [(sort_value(sort, View(r)), r.id) for r in self._joined(kind, page.items, frozenset({_SLOT}))]
        valued.sort(key=lambda pair: (pair[0] is None, pair[0] or ""), reverse=sort.descending)
        start = max(query.window.start, 1) - 1
        chosen = [id for _, id in valued[start : start + max(query.window.count, 0)]]
        return Page(page.total, tuple(self._read(kind, chosen, query.want)))

    def _read(self, kind: str, ids: Sequence[ResourceId], want: frozenset[Slot]) -> Iterator[Resource]:
        """Those of the resources that are still there, in that order."""
        for start in range(0, len(ids), _IDS):
            some = ids[start : start + _IDS]
            page = self._inner.search(kind, Query(want, any_of(some), window=Window(1, len(some))))
            found = {resource.id: resource for resource in page.items}
            yield from (found[id] for id in some if id in found)

    def _joined(self, kind: str, resources: Sequence[Resource], want: frozenset[Slot]) -> tuple[Resource, ...]:
        found = self._links.find(kind, [resource.id for resource in resources])
        return tuple(_join(resource, found.get(resource.id), want) for resource in resources)


def _without_place(registry: Registry) -> frozenset[str]:
    return frozenset(t.name for t in registry.types if _SLOT not in t.slots)


def _with_place(type: ResourceType) -> ResourceType:
    if _SLOT in type.slots:
        return type
    place = type.common.index(ID) + 1
    return replace(type, common=(*type.common[:place], EXTERNAL_ID, *type.common[place:]))


def _others(values: Mapping[Slot, Value | None]) -> dict[Slot, Value | None]:
    return {slot: value for slot, value in values.items() if slot != _SLOT}


def _join(resource: Resource, link: Link | None, want: frozenset[Slot]) -> Resource:
    values = resource.values
    if link is not None and link.external_id is not None and _SLOT in want:
        values = {**values, _SLOT: link.external_id}
    return replace(resource, stamp=combined(resource.stamp, link), values=values)


def _storable(external_id: Value | None) -> str | None:
    """The externalId itself. Raises RejectedValue for one that no link can have."""
    if external_id is not None and not holds(external_id):
        raise RejectedValue(_SLOT, f"may have {LINK_LENGTH} characters, none of them NUL")
    checked: str | None = external_id
    return checked
