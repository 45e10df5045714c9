"""The entries of one resource type: where they are, and how they are found by id, by DN and by filter."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TypeVar

from app.scim.query import ResourceId, Slot
from app.scim.registry import ResourceType
from backends.errors import NotFound
from backends.ldap import dn
from backends.ldap.drivers.base import Connection, Entry, Found, LdapError, Only, Scope, Search, SortKey
from backends.ldap.drivers.controls import MATCHED_VALUES
from backends.ldap.entries import Content, Entries
from backends.ldap.faults import NO_SUCH_OBJECT
from backends.ldap.pool import Directory
from backends.ldap.recent import Recent
from backends.ldap.servers import Server
from backends.ldap.subschema import Subschema
from config.directory import Kind, KindBindings

T = TypeVar("T")

Tops = Sequence[str] | None
"""The DNs at the tops of the subtrees that are searched, none of them in another; None for the whole branch."""

AT_ONCE = 100
"""The most entries that one filter asks for by name."""

NOTHING = ("1.1",)
SORT_CONTROL = "1.2.840.113556.1.4.473"

_log = logging.getLogger(__name__)


class Branch:
    """The part of the directory that holds one resource type. Every method raises LdapError and ConnectionLost."""

    def __init__(
        self,
        directory: Directory,
        type: ResourceType,
        bindings: KindBindings,
        server: Server,
        subschema: Subschema,
        page_size: int,
        controls: frozenset[str] = frozenset(),
    ) -> None:
        self.directory = directory
        self.type = type
        self.bindings = bindings
        self.server = server
        self.subschema = subschema
        self.entries = Entries(type, bindings, server, subschema)
        self.recent = Recent()
        self._page_size = page_size
        self.sorts = SORT_CONTROL in controls
        self._counts = server.counts_rest and self.sorts
        self.tells_values = MATCHED_VALUES in controls

    def within(self, filter: str) -> str:
        """The filter, for entries of this type only."""
        return dn.all_of((self.bindings.filter, filter))

    def one(self, filter: str, attributes: Sequence[str]) -> Entry | None:
        """The entry that a filter on an id finds, or None."""
        found = self.few(filter, attributes)
        return found[0] if found else None

    def few(self, filter: str, attributes: Sequence[str], limit: int = 0) -> tuple[Entry, ...]:
        """The entries of a search that is known to find not many; `limit` is a size limit, 0 for none."""
        return self._ask(self._search(filter, attributes, size_limit=limit)).entries

    def few_with(self, only: Only, attributes: Sequence[str]) -> tuple[Entry, ...]:
        """The entries that have one of those values, each with these attributes and those of the values that it has.
        Only where `tells_values`."""
        filter = dn.any_of(dn.equality(only.attribute, value) for value in only.values)
        return self._ask(self._search(filter, (*attributes, only.attribute), only=only)).entries

    def by_id(self, id: ResourceId, attributes: Sequence[str]) -> Entry:
        """The entry of a resource. Raises NotFound, for an id of any shape."""
        filter = self.server.id_filter(id)
        entry = None if filter is None else self.one(filter, attributes)
        if entry is None:
            raise NotFound
        return entry

    def by_ids(self, ids: Iterable[ResourceId], attributes: Sequence[str]) -> dict[ResourceId, Entry]:
        """The entries of those ids that there are."""
        filters = [f for f in map(self.server.id_filter, dict.fromkeys(ids)) if f is not None]
        found = {}
        for chunk in chunks(filters, AT_ONCE):
            for entry in self.few(dn.any_of(chunk), (self.server.id, *attributes)):
                found[self.id_of(entry)] = entry
        return found

    def by_dns(self, dns: Iterable[str], attributes: Sequence[str]) -> dict[str, Entry]:
        """The entries of this type that have one of those DNs, by `dn.key`."""
        found = {}
        # 389 Directory Server makes one letter of two, in references to an entry and not in its DN.
        spelled = self.server.dn_attribute if self.server.kind is Kind.DS389 else None
        wanted = attributes if spelled is None else (*attributes, spelled)
        for chunk in chunks(dict.fromkeys(dns), AT_ONCE):
            filters = [dn.equality(self.server.dn_attribute, name) for name in chunk]
            for entry in self.few(dn.any_of(filters), wanted):
                found[dn.key(entry.dn)] = entry
                other = None if spelled is None else entry.first(spelled)
                if other is not None:
                    found.setdefault(dn.key(other.decode("utf-8", "replace")), entry)
        return found

    def holds(self, name: str, filter: str) -> bool:
        """Whether the entry of that DN is there and satisfies a filter."""
        return self._at(Search(name, Scope.BASE, filter, NOTHING)) is not None

    def at(self, name: str, attributes: Sequence[str]) -> Entry | None:
        """The entry of that DN, or None."""
        return self._at(Search(name, Scope.BASE, "(objectClass=*)", tuple(attributes)))

    def _at(self, search: Search) -> Entry | None:
        try:
            found = self._ask(search).entries
        except LdapError as error:
            if error.code == NO_SUCH_OBJECT:
                return None
            raise
        return found[0] if found else None

    def first(
        self, filter: str, attributes: Sequence[str], count: int, tops: Tops = None
    ) -> tuple[tuple[Entry, ...], bool]:
        """The first entries of those that a filter finds, in the order of `all`, and whether there may be more."""
        entries: list[Entry] = []
        places = self._places(tops)
        for number, top in enumerate(places, 1):
            found = self._if_there(top, partial(self._ask, self._search(filter, attributes, page=count, base=top)))
            entries.extend(found.entries)
            if found.cookie or len(entries) >= count:
                return tuple(entries[:count]), bool(found.cookie) or number < len(places) or len(entries) > count
        return tuple(entries), False

    def count(self, filter: str, tops: Tops = None) -> int:
        """The number of entries that a filter finds: told by the server where it can, else counted page by page."""
        return sum(self._counted(filter, top) for top in self._places(tops))

    def _counted(self, filter: str, top: str) -> int:
        if self._counts:
            try:
                return self._told(filter, top)
            except LdapError as error:
                # Only so many of these are served at a time.
                _log.info("the directory does not count: %s", error)
        return sum(1 for _ in self.all(filter, NOTHING, tops=(top,)))

    def _told(self, filter: str, top: str) -> int:
        sort = SortKey(self.server.id)

        def count(connection: Connection) -> int:
            found = connection.search(self._search(filter, NOTHING, page=1, sort=sort, base=top))
            if not found.cookie:
                return len(found.entries)
            # The server keeps the sorted result until it is told that nobody wants the rest.
            connection.resume(self._search(filter, NOTHING, cookie=found.cookie, sort=sort, base=top))
            return len(found.entries) + found.size

        return self.directory.run(count, idempotent=True)

    def all(
        self, filter: str, attributes: Sequence[str], sort: SortKey | None = None, tops: Tops = None
    ) -> Iterator[Entry]:
        """Every entry that a filter finds, page by page, in an order that stays the same while nothing changes, or by
        the server's rule for an attribute (then at most one top is given). A connection is held while they are read."""
        with self.directory.session() as connection:
            for top in self._places(tops):
                search = self._search(filter, attributes, page=self._page_size, sort=sort, base=top)
                found = self._if_there(top, partial(connection.search, search))
                yield from found.entries
                while found.cookie:
                    found = connection.resume(replace(search, cookie=found.cookie))
                    yield from found.entries

    def _places(self, tops: Tops) -> Sequence[str]:
        return (self.bindings.base,) if tops is None else tops

    def _if_there(self, top: str, search: Callable[[], Found]) -> Found:
        """What is found below an entry; nothing where that has gone, unless it is the base itself."""
        try:
            return search()
        except LdapError as error:
            if error.code == NO_SUCH_OBJECT and top != self.bindings.base:
                return Found(())
            raise

    def id_of(self, entry: Entry) -> ResourceId:
        """The id of an entry that was read with its id attribute."""
        octets = entry.first(self.server.id)
        return self.server.read_id(octets) if octets else ""

    def content(self, entry: Entry, want: frozenset[Slot] | None = None) -> Content:
        """What the entry says; see Entries."""
        return self.entries.content(entry, want)

    def _search(
        self,
        filter: str,
        attributes: Sequence[str],
        *,
        size_limit: int = 0,
        page: int = 0,
        cookie: bytes = b"",
        sort: SortKey | None = None,
        only: Only | None = None,
        base: str | None = None,
    ) -> Search:
        return Search(
            base or self.bindings.base,
            Scope.SUBTREE,
            self.within(filter),
            tuple(dict.fromkeys(attributes)),
            size_limit=size_limit,
            page=page,
            cookie=cookie,
            sort=sort,
            only=only,
        )

    def _ask(self, search: Search) -> Found:
        return self.directory.run(partial(_search, search=search), idempotent=True)


def _search(connection: Connection, search: Search) -> Found:
    return connection.search(search)


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of at most that size."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
