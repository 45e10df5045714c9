"""Searches: the directory finds the candidates, `app.scim.filter.evaluate` decides where a server's rules differ from
SCIM's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter

from app.scim.filter.evaluate import View, matches, sort_value
from app.scim.query import Page, Query, Reference, Resource, ResourceId, Slot, Sort
from app.scim.registry import ID, META_CREATED, META_LAST_MODIFIED, META_VERSION
from backends.errors import TooManyCandidates
from backends.ldap.branch import AT_ONCE, Branch, chunks
from backends.ldap.drivers.base import Entry, SortKey
from backends.ldap.entries import Content
from backends.ldap.filters import ALL, Candidates, Compiler, needs
from backends.ldap.members import Members
from backends.ldap.references import References
from backends.ldap.subtrees import elsewhere, tops

_STAMPS = frozenset((ID, META_CREATED, META_LAST_MODIFIED, META_VERSION))
_FIRST = 1000
"""A window that ends within so many entries is read with the first page."""


class Searching:
    """Searches of one resource type. `candidates` is the most entries that one search may test or order itself."""

    def __init__(
        self, branch: Branch, compiler: Compiler, references: References, members: Members, candidates: int
    ) -> None:
        self._branch = branch
        self._compiler = compiler
        self._references = references
        self._members = members
        self._candidates = candidates

    def search(self, query: Query) -> Page:
        """Exactly the matches in the window, in order, and their total. Raises TooManyCandidates."""
        found = ALL if query.filter is None else self._compiler.compile(query.filter)
        if found.nothing or self._tops(query) == []:
            return Page(0, ())
        skip, count = max(query.window.start, 1) - 1, max(query.window.count, 0)
        if query.sort is None and found.exact:
            return self._exact(query, found.filter, skip, count)
        try:
            return self._tested(query, found, skip, count)
        except TooManyCandidates:
            key = self._key(query) if found.exact else None
            if key is None:
                raise
            return self._window(query, self._all(query, found.filter, (self._branch.server.id,), key), skip, count)

    def _exact(self, query: Query, filter: str, skip: int, count: int) -> Page:
        """The window of what the directory finds, and the number of it: entries outside the window are only counted."""
        names_only, tops = (self._branch.server.id,), self._tops(query)
        if skip + count > _FIRST or (query.within is not None and query.within.outside):
            return self._window(query, self._all(query, filter, names_only), skip, count)
        if not count:
            return Page(self._branch.count(filter, tops), ())
        # What is before the window is not read whole, unless that is less than another search.
        whole = skip <= count
        attributes = self._branch.entries.attributes_for(query.want) if whole else names_only
        entries, more = self._branch.first(filter, attributes, skip + count, tops)
        total = self._branch.count(filter, tops) if more else len(entries)
        if not whole:
            return Page(total, self._by_ids(query, [self._branch.id_of(entry) for entry in entries[skip:]]))
        contents = [self._branch.content(entry, query.want) for entry in entries[skip:]]
        return Page(total, tuple(self._resources(contents, query.want)))

    def _window(self, query: Query, entries: Iterator[Entry], skip: int, count: int) -> Page:
        """The window of entries of which only the ids are known."""
        ids: list[ResourceId] = []
        total = 0
        for entry in entries:
            if skip <= total < skip + count:
                ids.append(self._branch.id_of(entry))
            total += 1
        return Page(total, self._by_ids(query, ids))

    def _by_ids(self, query: Query, ids: Sequence[ResourceId]) -> tuple[Resource, ...]:
        found = self._branch.by_ids(ids, self._branch.entries.attributes_for(query.want))
        contents = [self._branch.content(found[id], query.want) for id in ids if id in found]
        return tuple(self._resources(contents, query.want))

    def _all(
        self, query: Query, filter: str, attributes: Sequence[str], sort: SortKey | None = None
    ) -> Iterator[Entry]:
        """Every entry that a filter finds where the query looks for it. Raises TooManyCandidates where it looks outside
        of subtrees and more are found there than one search may test."""
        entries = self._branch.all(filter, attributes, sort, self._tops(query))
        if query.within is None or not query.within.outside:
            yield from entries
            return
        for number, entry in enumerate(elsewhere(entries, query.within.bases)):
            if number >= self._candidates:
                raise TooManyCandidates
            yield entry

    def _tops(self, query: Query) -> list[str] | None:
        """The subtrees that hold what the query looks for, None for everywhere."""
        if query.within is None or query.within.outside:
            return None
        return tops(self._branch.bindings.base, query.within.bases)

    def _key(self, query: Query) -> SortKey | None:
        """The key by which the directory itself sorts, by its own rules; None where it can't, or nothing is to be
        sorted."""
        sort = query.sort
        if sort is None or len(self._tops(query) or ()) > 1:
            return None
        single = self._branch.bindings.singles.get(sort.attribute.path)
        if single is None or sort.within is not None or not self._branch.sorts:
            return None
        return SortKey(single.attribute, sort.descending)

    def _tested(self, query: Query, found: Candidates, skip: int, count: int) -> Page:
        asked = needs(found.rest, self._branch.type)
        slots = asked.slots | _sort_slots(query.sort)
        everything = slots | query.want
        views: list[View] = []
        for chunk in chunks(self._read(query, found.filter, everything), AT_ONCE * 5):
            views.extend(
                view
                for view in self._views(chunk, everything, asked.relations)
                if found.rest is None or matches(found.rest, view)
            )
        if query.sort is not None:
            views = _ordered(views, query.sort)
        items = tuple(_projected(view.resource, query.want) for view in views[skip : skip + count])
        return Page(len(views), items)

    def _read(self, query: Query, filter: str, slots: frozenset[Slot]) -> Iterator[Content]:
        attributes = self._branch.entries.attributes_for(slots)
        for number, entry in enumerate(self._all(query, filter, attributes)):
            if number >= self._candidates:
                raise TooManyCandidates
            yield self._branch.content(entry, slots)

    def _views(self, contents: Sequence[Content], want: frozenset[Slot], relations: frozenset[str]) -> Iterator[View]:
        resources = self._resources(contents, want)
        related = {name: self._related(name, [c.id for c in contents]) for name in relations}
        for resource in resources:
            yield View(resource, {name: far.get(resource.id, ()) for name, far in related.items()})

    def _related(self, name: str, ids: Sequence[ResourceId]) -> Mapping[ResourceId, list[Reference]]:
        stored = self._branch.type.relations[name].stored
        pairs = self._members.of_groups(ids) if stored else self._members.of_users(ids)
        found: dict[ResourceId, list[Reference]] = {}
        for id, reference in pairs:
            found.setdefault(id, []).append(reference)
        return found

    def _resources(self, contents: Sequence[Content], want: frozenset[Slot]) -> list[Resource]:
        self._branch.recent.name(contents)
        following = self._references.follow(contents, want)
        pairs = zip(contents, following, strict=True)
        return [self._branch.entries.resource(content, derived, want) for content, derived in pairs]


def _projected(resource: Resource, want: frozenset[Slot]) -> Resource:
    values = {slot: value for slot, value in resource.values.items() if slot in want}
    return Resource(resource.kind, resource.id, resource.created, resource.stamp, values)


def _sort_slots(sort: Sort | None) -> frozenset[Slot]:
    if sort is None or sort.attribute in _STAMPS:
        return frozenset()
    return frozenset({(sort.within or sort.attribute).path})


def _ordered(views: Sequence[View], sort: Sort) -> list[View]:
    """Ascending with absent values last, or the reverse of that; equal ones by id, so that windows fit together."""
    keyed = [
        ((value is None, 0 if value is None else value), view) for view in views for value in (sort_value(sort, view),)
    ]
    keyed.sort(key=lambda pair: pair[1].resource.id)
    keyed.sort(key=itemgetter(0), reverse=sort.descending)
    return [view for _, view in keyed]
