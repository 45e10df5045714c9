"""The contract of `backends.base` on a relational database."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from datetime import UTC, datetime
from functools import lru_cache

from sqlalchemy import Engine, false, select

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
    Version,
    Window,
)
from app.scim.registry import Registry
from backends.base import FIRST_PAGE, Backend, Capability, Trial
from backends.errors import NotFound, StoreError, Unavailable
from backends.sql import rows, tables
from backends.sql.database import Database
from backends.sql.dialects import Timeouts
from backends.sql.faults import Faults
from backends.sql.filters import Conditions, Node, lower, shared_parts
from backends.sql.known import Known
from backends.sql.queries import Queries
from backends.sql.relations import Relations, possible
from backends.sql.retired import Retired
from backends.sql.tables import Layout, Tables
from backends.sql.writing import Writer
from config.errors import ConfigError, Fault

_KEPT_STATEMENTS = 500
_LARGEST = 2**31 - 1


def new_uuid() -> str:
    return str(uuid.uuid4())


def utc_now() -> datetime:
    return datetime.now(UTC)


class _Kind:
    """What belongs to one kind: its statements, made once for each structure of a request."""

    def __init__(self, layout: Layout, built: Tables, database: Database) -> None:
        kind = layout.type.name
        self.layout = layout
        self.shared = shared_parts(layout.type)
        self.relations = {name: Relations(link) for (k, name), link in built.links.items() if k == kind}
        stored = {name: r for name, r in self.relations.items() if built.links[kind, name].stored}
        queries = Queries(layout, built, Conditions(layout, built, database.dialect), database.dialect)
        self.one = lru_cache(_KEPT_STATEMENTS)(queries.one)
        self.page = lru_cache(_KEPT_STATEMENTS)(queries.page)
        self.count = lru_cache(_KEPT_STATEMENTS)(queries.count)
        self.match = lru_cache(_KEPT_STATEMENTS)(queries.match)
        self.names_one = queries.names_one
        self.retired = Retired(layout, built)
        self.known = Known(layout, built)
        self.writer = Writer(layout, built, queries, stored, self.retired)


class SqlBackend(Backend):
    """Users and groups in the database at `url`, a SQLAlchemy address as `config.sql_url.normalise` gives it.

    Up to `pool_size` connections are kept. `connect_timeout` and `statement_timeout` are in seconds; a server that
    does not answer by then is Unavailable. `new_id` issues ids (at most 64 characters), `now` tells the time in UTC.
    No connection is made before the first call, so that it may be constructed before a fork.
    """

    capabilities = (
        Capability.SORT
        | Capability.ATOMIC_EXPECT
        | Capability.ATOMIC_UNIQUENESS
        | Capability.EMPTY_RELATION
        | Capability.RETIRE
        | Capability.MARKS_RETIRED
    )

    def __init__(
        self,
        url: str,
        registry: Registry,
        *,
        pool_size: int = 10,
        connect_timeout: int = 5,
        statement_timeout: int = 15,
        new_id: Callable[[], str] = new_uuid,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.registry = registry
        self._tables = tables.build(registry)
        relations = {link.table.name: link.name for link in self._tables.links.values() if link.stored}
        faults = Faults(self._tables.unique, relations)
        self._database = Database(url, faults, Timeouts(connect_timeout, statement_timeout), pool_size)
        self._kinds = {
            kind: _Kind(layout, self._tables, self._database) for kind, layout in self._tables.layouts.items()
        }
        self._new_id = new_id
        self._now = now

    @property
    def engine(self) -> Engine:
        """The engine, for those who count its statements or look at its tables."""
        return self._database.engine

    def create_schema(self) -> None:
        """Create every table that is missing, without a record of migrations. For tests and throw-away databases."""
        self._tables.metadata.create_all(self.engine)

    def check(self) -> None:
        for table in self._tables.metadata.sorted_tables:
            try:
                self._database.read(select(table).where(false()), {})
            except Unavailable:
                raise
            except StoreError as error:
                text = f"the table {table.name} is missing, not up to date or not readable: run `landfall db upgrade`"
                raise ConfigError([Fault("sql.url", text)]) from error

    def close(self) -> None:
        self.engine.dispose()

    def together(self, *, changes: bool = False) -> AbstractContextManager[object]:
        return self._database.together(changes=changes)

    @contextmanager
    def trial(self) -> Iterator[Trial]:
        with self._database.trying() as database:
            tried = copy(self)
            tried._database = database
            yield Trial(tried, "sql", database.taken)

    def get(self, kind: str, id: ResourceId, want: frozenset[Slot]) -> Resource:
        if not possible(id):
            raise NotFound
        reading = self._kinds[kind].one(want)
        found = reading.resources(self._database.read(reading.statement, {"id": id}))
        if not found:
            raise NotFound
        return found[0]

    def search(self, kind: str, query: Query) -> Page:
        chosen = self._kinds[kind]
        where, parameters = lower(query.filter, chosen.shared)
        skip, count = max(query.window.start, 1) - 1, min(query.window.count, _LARGEST)
        if count <= 0 or skip > _LARGEST:
            return Page(self._total(chosen, where, parameters), ())
        if chosen.names_one(where):
            match = chosen.match(query.want, where)
            found = match.resources(self._database.read(match.statement, parameters))
            return Page(len(found), tuple(found[skip : skip + count]))
        page = chosen.page(query.want, where, query.sort)
        window = {**parameters, "skip": skip, "count": count}
        items = tuple(page.resources(self._database.read(page.statement, window)))
        if len(items) < count and (items or not skip):
            return Page(skip + len(items), items)
        return Page(max(self._total(chosen, where, parameters), skip + len(items) if items else 0), items)

    def create(self, kind: str, draft: Draft) -> Resource:
        chosen, id, now = self._kinds[kind], self._new_id(), self._now()
        values = rows.hashed(chosen.layout, draft.values)
        self._database.write(lambda c: chosen.writer.create(c, id, now, values, draft.relations))
        readable = {slot: value for slot, value in draft.values.items() if slot not in chosen.layout.secrets}
        return Resource(kind, id, now, Stamp("1", now), readable)

    def update(self, kind: str, id: ResourceId, change: Change, *, expect: Version | None = None) -> Stamp:
        if not possible(id):
            raise NotFound
        chosen = self._kinds[kind]
        values = rows.hashed(chosen.layout, change.values)
        now = self._now()
        return self._database.write(lambda c: chosen.writer.update(c, id, now, values, change.relations, expect))

    def delete(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        if not possible(id):
            raise NotFound
        now = self._now()
        self._database.write(lambda c: self._kinds[kind].writer.delete(c, id, now, expect))

    def retire(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        if not possible(id):
            raise NotFound
        now = self._now()
        self._database.write(lambda c: self._kinds[kind].writer.retire(c, id, now, expect))

    def retired(
        self, kind: str, want: frozenset[Slot], names: Sequence[str] | None = None, window: Window = FIRST_PAGE
    ) -> Page:
        return self._kinds[kind].retired.page(self._database.read, want, names, window)

    def knows(self, kind: str, names: Sequence[str]) -> bool:
        return self._kinds[kind].known.has(self._database.read, names)

    def restore(self, kind: str, id: ResourceId, change: Change) -> Resource:
        if not possible(id):
            raise NotFound
        chosen, now = self._kinds[kind], self._now()
        values = rows.hashed(chosen.layout, change.values)
        return self._database.write(lambda c: chosen.writer.restore(c, id, now, values, change.relations))

    def purge(self, kind: str, id: ResourceId) -> None:
        if not possible(id):
            raise NotFound
        self._database.write(lambda c: self._kinds[kind].writer.purge(c, id))

    def related(self, kind: str, ids: Sequence[ResourceId], relation: str) -> Iterator[tuple[ResourceId, Reference]]:
        return self._kinds[kind].relations[relation].stream(self._database.read, ids)

    def _total(self, chosen: _Kind, where: Node, parameters: dict[str, object]) -> int:
        total: int = self._database.read(chosen.count(where), parameters)[0][0]
        return total
