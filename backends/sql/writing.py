"""The statements that change the resources of one kind; each method runs within a transaction of the caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, delete, insert, select, update

from app.scim.query import Delta, ResourceId, Slot, Stamp, Value, Version
from backends.errors import NotFound, VersionMismatch
from backends.sql import rows
from backends.sql.columns import moment
from backends.sql.database import Contended
from backends.sql.queries import Queries
from backends.sql.relations import Relations, chunks
from backends.sql.tables import Field, Layout, Link, Tables

_KEPT_STATEMENTS = 200


class Writer:
    """Changes resources of one kind. Values are given with secrets already hashed (`rows.hashed`)."""

    def __init__(self, layout: Layout, tables: Tables, queries: Queries, relations: Mapping[str, Relations]) -> None:
        self._layout = layout
        self._relations = relations
        self._held = lru_cache(_KEPT_STATEMENTS)(queries.one)
        self._lock = lru_cache(_KEPT_STATEMENTS)(self._make_lock)
        self._id = layout.table.c.id == bindparam("row_id", type_=layout.table.c.id.type)
        self._inverse = [
            (link, tables.layouts[link.target.type.name])
            for (kind, _), link in tables.links.items()
            if kind == layout.type.name and not link.stored
        ]
        self._references = _references_to(layout, tables)

    def create(
        self, connection: Connection, id: ResourceId, now: datetime, values: Mapping[Slot, Value],
        relations: Mapping[str, Sequence[ResourceId]],
    ) -> None:  # fmt: skip
        """Insert a resource of version 1 with its values and relations."""
        layout = self._layout
        row = {"id": id, "version": 1, "created": now, "modified": now, **rows.columns(layout, values)}
        connection.execute(insert(layout.table), row)
        self._insert_values(connection, id, {s: v for s, v in values.items() if s in layout.multi})
        for name, ids in relations.items():
            self._relations[name].apply(connection, id, Delta(add=tuple(ids)))

    def update(
        self, connection: Connection, id: ResourceId, now: datetime, values: Mapping[Slot, Value | None],
        relations: Mapping[str, Delta], expect: Version | None,
    ) -> Stamp:  # fmt: skip
        """Change what is not so yet; the stamp afterwards, which is the old one when all was so already."""
        single = tuple(sorted(values.keys() - self._layout.multi.keys()))
        row = connection.execute(self._lock(single), {"row_id": id}).first()
        version, modified, held = _checked(row, expect)
        changed = {slot: values[slot] for slot, old in zip(single, held, strict=True) if old != values[slot]}
        several = self._changed_lists(connection, id, {s: v for s, v in values.items() if s in self._layout.multi})
        self._replace_values(connection, id, several)
        linked = [self._relations[name].apply(connection, id, delta) for name, delta in relations.items()]
        if not (changed or several or any(linked)):
            return Stamp(str(version), moment(modified))
        new = {**rows.columns(self._layout, changed), "version": version + 1, "modified": now, "row_id": id}
        connection.execute(update(self._layout.table).where(self._id), new)
        return Stamp(str(version + 1), now)

    def delete(self, connection: Connection, id: ResourceId, now: datetime, expect: Version | None) -> None:
        """Delete the resource with all that refers to it; what referred to it has a new version.

        The resources at the far end are locked before the resource itself, in the order in which a change of
        members locks. A membership that comes between is noticed by the number of rows. Raises Contended then.
        """
        moved = [self._touch_referrers(connection, id, now, link, holder) for link, holder in self._inverse]
        _checked(connection.execute(self._lock(()), {"row_id": id}).first(), expect)
        for (link, _), expected in zip(self._inverse, moved, strict=True):
            near = link.near == bindparam("near", type_=link.near.type)
            if connection.execute(delete(link.table).where(near), {"near": id}).rowcount != expected:
                raise Contended
        for holder, field in self._references:
            gone = dict.fromkeys(column.name for column in field.columns)
            bumped = {"version": holder.table.c.version + 1, "modified": now}
            connection.execute(update(holder.table).where(field.column == id).values({**gone, **bumped}))
        connection.execute(delete(self._layout.table).where(self._id), {"row_id": id})

    def _touch_referrers(
        self, connection: Connection, id: ResourceId, now: datetime, link: Link, holder: Layout
    ) -> int:
        """Give every resource whose stored relation holds the id a new version; how many there are."""
        table = holder.table
        ids = select(link.far).where(link.near == bindparam("near", type_=link.near.type))
        found = [row[0] for row in connection.execute(ids, {"near": id})]
        moved = 0
        for chunk in chunks(sorted(found)):
            bump = update(table).where(table.c.id.in_(chunk)).values(version=table.c.version + 1, modified=now)
            moved += connection.execute(bump).rowcount
        return moved

    def _make_lock(self, slots: tuple[Slot, ...]) -> Select[Any]:
        """Selects version, time of modification and these slots of a resource, which no one else changes then."""
        table = self._layout.table
        kept = {**self._layout.secrets, **{slot: field.column for slot, field in self._layout.fields.items()}}
        return (
            select(table.c.version, table.c.modified, *(kept[s] for s in slots))
            .where(self._id)
            .with_for_update(key_share=True)
        )

    def _changed_lists(
        self, connection: Connection, id: ResourceId, values: Mapping[Slot, Value | None]
    ) -> Mapping[Slot, Value | None]:
        if not values:
            return {}
        reading = self._held(frozenset(values))
        held = reading.resources(connection.execute(reading.statement, {"id": id}).fetchall())[0].values
        return {slot: value for slot, value in values.items() if held.get(slot) != value}

    def _replace_values(self, connection: Connection, id: ResourceId, values: Mapping[Slot, Value | None]) -> None:
        if not values:
            return
        layout = self._layout
        assert layout.values is not None
        assert layout.owner is not None
        mine = and_(
            layout.owner == bindparam("owner", type_=layout.owner.type),
            layout.values.c.attribute.in_(bindparam("names", expanding=True)),
        )
        names = [layout.multi[slot].name for slot in values]
        connection.execute(delete(layout.values).where(mine), {"owner": id, "names": names})
        self._insert_values(connection, id, values)

    def _insert_values(self, connection: Connection, id: ResourceId, values: Mapping[Slot, Value | None]) -> None:
        given = [(slot, value) for slot, value in values.items() if value]
        new = [row for slot, value in given for row in rows.value_rows(self._layout, id, slot, value)]
        if new and self._layout.values is not None:
            connection.execute(insert(self._layout.values), new)


def _checked(row: Any, expect: Version | None) -> tuple[int, Any, Sequence[Any]]:
    if row is None:
        raise NotFound
    if expect is not None and expect != str(row[0]):
        raise VersionMismatch
    return row[0], row[1], row[2:]


def _references_to(layout: Layout, tables: Tables) -> list[tuple[Layout, Field]]:
    """The fields of any kind that hold the id of a resource of this one."""
    found: list[tuple[Layout, Field]] = []
    for holder in tables.layouts.values():
        lookups = holder.type.lookups.values()
        vias = dict.fromkeys(lookup.via for lookup in lookups if lookup.kind == layout.type.name)
        found.extend((holder, holder.fields[via]) for via in vias)
    return found
