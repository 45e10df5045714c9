"""The store beneath a rehearsal, asked in the few ways that the rehearsal needs; nothing is written to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from app.control.rehearsal import storable
from app.scim.filter.nodes import And, Bound, Or
from app.scim.query import Query, Resource, ResourceId, Slot, Window
from app.scim.registry import ID, Registry, Relation
from app.services.rules import same_id
from app.services.veil import refers_to
from backends.base import Backend

T = TypeVar("T")

NOTHING: frozenset[Slot] = frozenset()
IDS = 100
"""How many ids one search names."""
_PAGE = 500


class Beneath:
    """Reads of the store `inner`."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.registry: Registry = inner.registry

    def among(
        self, kind: str, ids: Iterable[ResourceId], want: frozenset[Slot] = NOTHING
    ) -> dict[ResourceId, Resource]:
        """Those of the resources that there are, by id."""
        found: dict[ResourceId, Resource] = {}
        for some in pieces((id for id in dict.fromkeys(ids) if id and storable(id)), IDS):
            page = self.inner.search(kind, Query(want, any_of(some), window=Window(1, len(some))))
            found.update((resource.id, resource) for resource in page.items)
        return found

    def matching(self, kind: str, filter: Bound) -> Iterator[ResourceId]:
        """The ids of all resources that satisfy a filter."""
        start, total = 1, 1
        while start <= total:
            page = self.inner.search(kind, Query(NOTHING, filter, window=Window(start, _PAGE)))
            yield from (resource.id for resource in page.items)
            start, total = start + _PAGE, page.total

    def related(self, kind: str, near: ResourceId, name: str, far: Iterable[ResourceId]) -> set[ResourceId]:
        """Those of the resources `far` that a resource is related to."""
        relation = self.relation(kind, name)
        found: set[ResourceId] = set()
        for some in pieces((id for id in dict.fromkeys(far) if id and storable(id)), IDS):
            filter = And((any_of(some), self._relates(relation, near)))
            page = self.inner.search(relation.target, Query(NOTHING, filter, window=Window(1, len(some))))
            found.update(resource.id for resource in page.items)
        return found

    def retired(self, kind: str, id: ResourceId, want: frozenset[Slot]) -> Resource | None:
        """The retired resource of that id; all retired ones are read until it is found."""
        start, total = 1, 1
        while start <= total:
            page = self.inner.retired(kind, want, None, Window(start, _PAGE))
            for resource in page.items:
                if resource.id == id:
                    return resource
            start, total = start + _PAGE, page.total
        return None

    def relation(self, kind: str, name: str) -> Relation:
        """The relation of that name."""
        return self.registry.type(kind).relations[name]

    def _relates(self, relation: Relation, near: ResourceId) -> Bound:
        return refers_to(self.relation(relation.target, relation.inverse).attribute, near)


def any_of(ids: Iterable[ResourceId]) -> Bound:
    """Holds for the resources with these ids."""
    return Or(tuple(same_id(ID, id) for id in ids))


def pieces(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of at most that size."""
    rest = iter(items)
    while piece := list(islice(rest, size)):
        yield piece
