"""A back end around another, which does what the other does until a subclass says otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

from app.scim.query import (
    Change,
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
from backends.base import FIRST_PAGE, Backend, Finding, Trial


class Around(Backend):
    """The store `inner` itself."""

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self.capabilities = inner.capabilities
        self.registry = inner.registry

    def check(self) -> None:
        self._inner.check()

    def findings(self, *, write: bool) -> Iterator[Finding]:
        yield from self._inner.findings(write=write)

    def close(self) -> None:
        self._inner.close()

    def together(self, *, changes: bool = False) -> AbstractContextManager[object]:
        return self._inner.together(changes=changes)

    def trial(self) -> AbstractContextManager[Trial]:
        # Of the store itself alone: a trial would go round what this one adds to it.
        raise NotImplementedError

    def get(self, kind: str, id: ResourceId, want: frozenset[Slot]) -> Resource:
        return self._inner.get(kind, id, want)

    def search(self, kind: str, query: Query) -> Page:
        return self._inner.search(kind, query)

    def create(self, kind: str, draft: Draft) -> Resource:
        return self._inner.create(kind, draft)

    def update(self, kind: str, id: ResourceId, change: Change, *, expect: Version | None = None) -> Stamp:
        return self._inner.update(kind, id, change, expect=expect)

    def delete(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        self._inner.delete(kind, id, expect=expect)

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

    def retire(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        self._inner.retire(kind, id, expect=expect)

    def retired(
        self, kind: str, want: frozenset[Slot], names: Sequence[str] | None = None, window: Window = FIRST_PAGE
    ) -> Page:
        return self._inner.retired(kind, want, names, window)

    def restore(self, kind: str, id: ResourceId, change: Change) -> Resource:
        return self._inner.restore(kind, id, change)

    def purge(self, kind: str, id: ResourceId) -> None:
        self._inner.purge(kind, id)
