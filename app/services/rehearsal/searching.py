"""Searches of a rehearsed store: those of the store beneath without what was changed, and that, in one order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from sys import maxsize
from typing import Any

from app.control import Copy, Fate, Origin, Rehearsal
from app.scim.filter.evaluate import View, sort_value
from app.scim.filter.nodes import And, Bound, Not
from app.scim.fold import fold
from app.scim.query import Page, Query, Resource, ResourceId, Slot, Sort, Stamp, Window
from app.scim.registry import ResourceType
from app.services.rehearsal.beneath import NOTHING, any_of, pieces
from app.services.rehearsal.copies import apart, key_of
from app.services.rehearsal.filters import Rewriting
from app.services.rehearsal.seen import Chosen, Seen, names_of
from backends.errors import TooManyCandidates

_NAMED = 300
"""How many ids one search counts."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one search asks at most: changed resources that a search of the store beneath excepts by name, resources
    on one page of it, changed resources that a test of a relation names, and resources that are put in order here
    because the store beneath can't."""

    excepted: int = 200
    page: int = 500
    named: int = 1000
    candidates: int = 10_000


@dataclass(frozen=True, slots=True)
class _Live:
    """A search of the store beneath, whose matches count but for those that are `hidden`."""

    kind: str
    query: Query
    hidden: frozenset[ResourceId]

    def window(self, skip: int, count: int, *also: Bound) -> Query:
        """The search with another window, for those that satisfy these filters too."""
        filters = (*(() if self.query.filter is None else (self.query.filter,)), *also)
        filter = And(filters) if len(filters) > 1 else filters[0] if filters else None
        return replace(self.query, filter=filter, window=Window(skip + 1, count))


class Searching:
    """Searches live and retired resources."""

    def __init__(self, seen: Seen, bounds: Bounds) -> None:
        self._seen = seen
        self._rehearsal: Rehearsal = seen.rehearsal
        self._inner = seen.beneath.inner
        self._registry = seen.beneath.registry
        self._bounds = bounds

    def search(self, kind: str, query: Query) -> Page:
        """As `Backend.search`. Raises TooManyCandidates also for a test of what other resources say of which too many
        were changed."""
        resource_type = self._registry.type(kind)
        touched = self._rehearsal.touched(kind)
        copies = list(self._rehearsal.copies(kind, fate=Fate.PRESENT, key=key_of(resource_type, query.filter)))
        # One that came in between the two reads is in the second only.
        hidden = touched.union(copy.id for copy in copies if copy.origin is not Origin.NEW)
        ours = Chosen(self._seen, resource_type, query).of(copies)
        rewriting = Rewriting(self._registry, self._rehearsal, kind, self._bounds.named)
        filter = None if query.filter is None else rewriting.rewritten(query.filter)
        asked = query.want | self._sorting(resource_type, query.sort)
        live = replace(query, filter=filter, want=asked | self._seen.vias(kind, asked))
        total, items = self._merged(_Live(kind, live, hidden), ours)
        return Page(total, tuple(self._seen.completed(kind, items, query.want, {resource.id for resource in ours})))

    def _merged(self, live: _Live, ours: list[Resource]) -> tuple[int, list[Resource]]:
        """The number of all matches and those in the window. The store's come before ours that are equal in order."""
        sort, window = live.query.sort, live.query.window
        first, count = max(window.start, 1) - 1, max(window.count, 0)
        if sort is None:
            total, items = self._unchanged(live, first, count)
            rest = ours[max(first - total, 0) : max(first + count - total, 0)]
            return total + len(ours), [*items, *rest]
        if self._moves(live.kind, sort):
            total, items = self._all_unchanged(live)
            skipped = 0
        else:
            # What precedes these in the store precedes the window too, whatever of ours is before them.
            skipped = max(first - len(ours), 0)
            total, items = self._unchanged(live, skipped, count + first - skipped if count else 0)
        merged = sorted([*items, *ours], key=lambda r: order(sort, r), reverse=sort.descending)
        return total + len(ours), merged[first - skipped : first - skipped + count]

    def _unchanged(self, live: _Live, skip: int, count: int) -> tuple[int, list[Resource]]:
        """The number of unchanged matches, and `count` of them after the first `skip`."""
        if len(live.hidden) > self._bounds.excepted:
            return self._walked(live, skip, count)
        others = (Not(any_of(sorted(live.hidden))),) if live.hidden else ()
        page = self._inner.search(live.kind, live.window(skip, count, *others))
        return page.total, list(page.items)

    def _walked(self, live: _Live, skip: int, count: int) -> tuple[int, list[Resource]]:
        """The same, where too many are changed to except them by name: the store is read from the first match on."""
        size = self._bounds.page
        page = self._inner.search(live.kind, live.window(0, size))
        if page.total <= size:
            left = [resource for resource in page.items if resource.id not in live.hidden]
            return len(left), left[skip : skip + count]
        total = page.total - self._hidden_matches(live)
        found: list[Resource] = []
        passed, start = 0, 0
        while len(found) < count and page.items:
            left = [resource for resource in page.items if resource.id not in live.hidden]
            found += left[max(skip - passed, 0) :]
            passed, start = passed + len(left), start + size
            page = self._inner.search(live.kind, live.window(start, size))
        return total, found[:count]

    def _hidden_matches(self, live: _Live) -> int:
        """How many of the hidden ones satisfy the filter in the store."""
        bare = replace(live, query=replace(live.query, want=NOTHING, sort=None))
        parts = (bare.window(0, 0, any_of(some)) for some in pieces(sorted(live.hidden), _NAMED))
        return sum(self._inner.search(live.kind, part).total for part in parts)

    def _all_unchanged(self, live: _Live) -> tuple[int, list[Resource]]:
        """All of them, whose order the store does not know: it follows from resources that were changed."""
        total, items = self._unchanged(
            replace(live, query=replace(live.query, sort=None)), 0, self._bounds.candidates + 1
        )
        if total > self._bounds.candidates:
            raise TooManyCandidates
        return total, self._seen.completed(live.kind, items, live.query.want)

    def _moves(self, kind: str, sort: Sort) -> bool:
        """Whether the order follows from resources some of which were changed."""
        lookup = self._registry.type(kind).lookups.get(sort.attribute.path)
        return lookup is not None and bool(self._rehearsal.touched(lookup.kind))

    @staticmethod
    def _sorting(resource_type: ResourceType, sort: Sort | None) -> frozenset[Slot]:
        """What has to be read to put resources in order."""
        path = "" if sort is None else (sort.within or sort.attribute).path
        return frozenset((path,)) & (resource_type.slots.keys() | resource_type.lookups.keys())

    def retired(self, kind: str, want: frozenset[Slot], names: Sequence[str] | None, window: Window) -> Page:
        """As `Backend.retired`."""
        folded = None if names is None else set(map(fold, names))
        hidden = self._rehearsal.touched(kind)
        chosen = [c for c in self._rehearsal.copies(kind, fate=Fate.RETIRED) if _is_named(c.values, folded)]
        gone = [c for c in self._rehearsal.copies(kind, origin=Origin.RETIRED) if _is_named(c.before, folded)]
        ours = [_retired(copy, want) for copy in sorted(chosen, key=lambda c: (c.modified, c.revision))]
        total = self._inner.retired(kind, NOTHING, names, Window(1, 0)).total - len(gone) + len(ours)
        first, count = max(window.start, 1) - 1, max(window.count, 0)
        everyone = _in_time(self._all_retired(kind, want, names, hidden), ours)
        return Page(total, tuple(islice(everyone, min(first, maxsize), min(first + count, maxsize))))

    def _all_retired(
        self, kind: str, want: frozenset[Slot], names: Sequence[str] | None, hidden: frozenset[ResourceId]
    ) -> Iterator[Resource]:
        start, total = 1, 1
        while start <= total:
            page = self._inner.retired(kind, want, names, Window(start, self._bounds.page))
            yield from (resource for resource in page.items if resource.id not in hidden)
            start, total = start + self._bounds.page, page.total


def order(sort: Sort, resource: Resource) -> tuple[bool, Any]:
    """What ascending order goes by; reversed it gives descending order, with absent values first."""
    value = sort_value(sort, View(resource))
    return (value is None, 0 if value is None else value)


def _is_named(values: Any, folded: set[str] | None) -> bool:
    return folded is None or bool(folded & names_of(values))


def _retired(copy: Copy, want: frozenset[Slot]) -> Resource:
    values = {slot: value for slot, value in copy.values.items() if slot in want}
    return Resource(copy.kind, copy.id, copy.created, Stamp(copy.version, copy.modified), apart(values))


def _in_time(live: Iterator[Resource], ours: Sequence[Resource]) -> Iterator[Resource]:
    """All, first retired first; both are in that order."""
    rest = list(reversed(ours))
    for resource in live:
        while rest and rest[-1].stamp.modified < resource.stamp.modified:
            yield rest.pop()
        yield resource
    yield from reversed(rest)
