"""Queries on one resource type or on all of them (RFC 7644 section 3.4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from app.scim.errors import InvalidPath, TooMany
from app.scim.filter.bind import bind
from app.scim.filter.evaluate import View, sort_value
from app.scim.filter.nodes import Bound
from app.scim.filter.parse import Limits, parse_filter
from app.scim.paths import bind_sort
from app.scim.query import Query, Reference, Resource, ResourceId, Sort, Window
from app.scim.registry import Registry, ResourceType
from app.scim.representation import Representation
from app.services.replicas import on_one_replica
from app.services.shown import Representations, Shown
from backends.base import Backend

_MERGE_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What a client asks for; filter and sortBy are text, None where not given."""

    filter: str | None = None
    sort_by: str | None = None
    descending: bool = False
    window: Window = field(default_factory=Window)
    shown: Shown = field(default_factory=Shown)


@dataclass(frozen=True, slots=True)
class Results:
    """The number of all matches, and the documents of those in the window."""

    total: int
    documents: list[dict[str, Any]]


class Search:
    """Searches the store and writes what is found."""

    def __init__(self, backend: Backend, registry: Registry, representations: Representations, limits: Limits) -> None:
        self._backend = backend
        self._registry = registry
        self._representations = representations
        self._limits = limits
        self._bound = lru_cache(maxsize=256)(self._bind)

    @on_one_replica
    def run(self, kinds: Sequence[str], request: SearchRequest) -> Results:
        """The results over the kinds, in their order where no order is asked for. Raises InvalidFilter, InvalidPath,
        Sensitive, TooMany."""
        types = [self._registry.type(kind) for kind in kinds]
        sorts = self._sorts(types, request)
        if len(types) == 1:
            return self._one(types[0], request, sorts[0], request.window)
        if any(sorts):
            return self._merged(types, request, sorts)
        return self._one_after_another(types, request)

    def _one(self, resource_type: ResourceType, request: SearchRequest, sort: Sort | None, window: Window) -> Results:
        view = self._representations.of(resource_type, request.shown)
        bound = self._filter(resource_type, request)
        page = self._backend.search(resource_type.name, Query(view.projection.want, bound, sort, window))
        return Results(page.total, self._write(page.items, view))

    def _one_after_another(self, types: Sequence[ResourceType], request: SearchRequest) -> Results:
        total = 0
        documents: list[dict[str, Any]] = []
        for resource_type in types:
            start = max(1, request.window.start - total)
            count = request.window.count - len(documents)
            found = self._one(resource_type, request, None, Window(start, count))
            total += found.total
            documents += found.documents
        return Results(total, documents)

    def _merged(self, types: Sequence[ResourceType], request: SearchRequest, sorts: Sequence[Sort | None]) -> Results:
        """Each type is sorted by its store; the heads of all are merged. Types without the attribute have no value."""
        end = request.window.start - 1 + request.window.count
        if end > _MERGE_LIMIT:
            raise TooMany(f"sorted results over all types are given up to the {_MERGE_LIMIT}th only")
        total = 0
        heads: list[tuple[Any, Resource, Representation]] = []
        for resource_type, sort in zip(types, sorts, strict=True):
            view = self._representations.of(resource_type, request.shown)
            slot = (
                frozenset({(sort.within or sort.attribute).path} & resource_type.slots.keys()) if sort else frozenset()
            )
            query = Query(view.projection.want | slot, self._filter(resource_type, request), sort, Window(1, end))
            page = self._backend.search(resource_type.name, query)
            total += page.total
            heads += [(sort_value(sort, View(r)) if sort else None, r, view) for r in page.items]
        valued = sorted((h for h in heads if h[0] is not None), key=lambda h: h[0], reverse=request.descending)
        without = [h for h in heads if h[0] is None]
        ordered = [*without, *valued] if request.descending else [*valued, *without]
        chosen = ordered[request.window.start - 1 : end]
        return Results(total, [d for _, resource, view in chosen for d in self._write([resource], view)])

    def _filter(self, resource_type: ResourceType, request: SearchRequest) -> Bound | None:
        return None if request.filter is None else self._bound(resource_type, request.filter)

    def _bind(self, resource_type: ResourceType, text: str) -> Bound:
        return bind(parse_filter(text, self._limits), resource_type, base=self._representations.base)

    def _sorts(self, types: Sequence[ResourceType], request: SearchRequest) -> list[Sort | None]:
        if request.sort_by is None:
            return [None] * len(types)
        sorts = [bind_sort(request.sort_by, t, descending=request.descending) for t in types]
        if not any(sorts):
            raise InvalidPath(f"'{request.sort_by[:80]}' is not an attribute to sort by")
        return sorts

    def _write(self, resources: Sequence[Resource], view: Representation) -> list[dict[str, Any]]:
        if not resources:
            return []
        ids = [resource.id for resource in resources]
        relations: dict[ResourceId, dict[str, list[Reference]]] = {}
        for name in view.projection.relations:
            for owner, reference in self._backend.related(resources[0].kind, ids, name):
                relations.setdefault(owner, {}).setdefault(name, []).append(reference)
        return [view.write(resource, relations.get(resource.id, {})) for resource in resources]
