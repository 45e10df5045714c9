"""The statements that change the resources of one kind; each method runs within a transaction of the caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Select, Update, bindparam, delete, insert, null, select, update

from app.scim.query import Delta, Resource, ResourceId, Slot, Stamp, Value, Version
from backends.errors import NotFound, RejectedValue, VersionMismatch
from backends.sql import rows
from backends.sql.columns import moment
from backends.sql.database import Contended
from backends.sql.prepared import Session
from backends.sql.queries import Queries
from backends.sql.relations import Relations, chunks
from backends.sql.retired import Retired
from backends.sql.tables import Field, Layout, Link, Tables

_KEPT_STATEMENTS = 200
_SENT_AT_ONCE = 2**24
"""Octets that a server gives back in one column, if not more: the usual `max_allowed_packet` of MariaDB."""
_OCTETS_IN_JSON = 6
"""That a character may take there."""


class Writer:
    """Changes resources of one kind. Values are given with secrets already hashed (`rows.hashed`)."""

    def __init__(
        self, layout: Layout, tables: Tables, queries: Queries, relations: Mapping[str, Relations], retired: Retired
    ) -> None:
        self._layout = layout
        self._relations = relations
        self._retired = retired
        self._held = lru_cache(_KEPT_STATEMENTS)(queries.one)
        self._lock = lru_cache(_KEPT_STATEMENTS)(self._make_lock)
        self._id = layout.table.c.id == bindparam("row_id", type_=layout.table.c.id.type)
        self._insert = insert(layout.table)
        self._update = update(layout.table).where(self._id)
        self._delete = delete(layout.table).where(self._id)
        if layout.values is not None and layout.owner is not None:
            owner = layout.owner == bindparam("owner", type_=layout.owner.type)
            names = layout.values.c.attribute.in_(bindparam("names", expanding=True))
            self._delete_values = delete(layout.values).where(owner, names)
        self._inverse = [
            (link, tables.layouts[link.target.type.name])
            for (kind, _), link in tables.links.items()
            if kind == layout.type.name and not link.stored
        ]
        near = {link.name: link.near == bindparam("near", type_=link.near.type) for link, _ in self._inverse}
        self._referrers = {link.name: select(link.far).where(near[link.name]) for link, _ in self._inverse}
        self._unlink = {link.name: delete(link.table).where(near[link.name]) for link, _ in self._inverse}
        self._bump = {holder.type.name: _bumping(holder, _ids(holder)) for _, holder in self._inverse}
        self._forget = [
            _bumping(holder, field.column == bindparam("row_id", type_=field.column.type)).values(
                dict.fromkeys((column.name for column in field.columns), null())
            )
            for holder, field in _references_to(layout, tables)
        ]
        self._there = {lookup.via: _by_id(tables.layouts[lookup.kind]) for lookup in layout.type.lookups.values()}

    def create(
        self, session: Session, id: ResourceId, now: datetime, values: Mapping[Slot, Value],
        relations: Mapping[str, Sequence[ResourceId]],
    ) -> None:  # fmt: skip
        """Insert a resource of version 1 with its values and relations."""
        stamps = {"version": 1, "created": now, "modified": now}
        self._put(session, id, stamps, values, {name: Delta(add=tuple(ids)) for name, ids in relations.items()})

    def update(
        self, session: Session, id: ResourceId, now: datetime, values: Mapping[Slot, Value | None],
        relations: Mapping[str, Delta], expect: Version | None,
    ) -> Stamp:  # fmt: skip
        """Change what is not so yet; the stamp afterwards, which is the old one when all was so already."""
        single = tuple(sorted(values.keys() - self._layout.multi.keys()))
        row = session.execute(self._lock(single), {"row_id": id}).first()
        version, modified, held = _checked(row, expect)
        changed = {slot: values[slot] for slot, old in zip(single, held, strict=True) if old != values[slot]}
        several = self._changed_lists(session, id, {s: v for s, v in values.items() if s in self._layout.multi})
        stamped = {"version": version + 1, "modified": now, "row_id": id}
        if changed:
            # Before the relations, so that a duplicate is what is reported when there is an unknown member too.
            session.execute(self._update, {**rows.columns(self._layout, changed), **stamped})
        self._replace_lists(session, id, several)
        self._check_size(session, id, {**changed, **several})
        linked = [self._relations[name].apply(session, id, delta) for name, delta in relations.items()]
        if not (changed or several or any(linked)):
            return Stamp(str(version), moment(modified))
        if not changed:
            session.execute(self._update, stamped)
        return Stamp(str(version + 1), now)

    def delete(self, session: Session, id: ResourceId, now: datetime, expect: Version | None) -> None:
        """Delete the resource with all that refers to it; what referred to it has a new version.

        The resources at the far end are locked before the resource itself, in the order in which a change of
        members locks. A membership that comes between is noticed by the number of rows. Raises Contended then.
        """
        self._leave(session, id, now, expect, ())
        session.execute(self._delete, {"row_id": id})

    def retire(self, session: Session, id: ResourceId, now: datetime, expect: Version | None) -> None:
        """Delete the resource as `delete` does, and keep what it was."""
        slots = tuple(self._layout.secrets)
        held = self._leave(session, id, now, expect, slots)
        hashes = {slot: text for slot, text in zip(slots, held, strict=True) if text is not None}
        self._retired.put(session, self._read(session, id, self._own), hashes, now)
        session.execute(self._delete, {"row_id": id})

    def restore(
        self, session: Session, id: ResourceId, now: datetime, values: Mapping[Slot, Value | None],
        relations: Mapping[str, Delta],
    ) -> Resource:  # fmt: skip
        """Insert a retired resource again, with these values in place of those that it had."""
        kept = self._retired.take(session, id)
        held = {**kept.values, **kept.hashes}
        for via in self._there.keys() & held.keys() - values.keys():
            if not session.execute(self._there[via], {"row_id": held[via]}).rows:
                del held[via]
        after = {slot: value for slot, value in {**held, **values}.items() if value is not None}
        stamps = {"version": kept.version + 1, "created": kept.created, "modified": now}
        self._put(session, id, stamps, after, relations)
        return self._read(session, id, self._layout.type.readable)

    def purge(self, session: Session, id: ResourceId) -> None:
        """Forget a retired resource."""
        self._retired.take(session, id)

    @property
    def _own(self) -> frozenset[Slot]:
        """The readable slots that do not follow from other resources."""
        return frozenset((*self._layout.fields, *self._layout.multi))

    def _read(self, session: Session, id: ResourceId, slots: frozenset[Slot]) -> Resource:
        reading = self._held(slots)
        return reading.resources(session.execute(reading.statement, {"id": id}).rows)[0]

    def _put(
        self, session: Session, id: ResourceId, stamps: Mapping[str, Any], values: Mapping[Slot, Value],
        relations: Mapping[str, Delta],
    ) -> None:  # fmt: skip
        session.execute(self._insert, {"id": id, **stamps, **rows.columns(self._layout, values)})
        self._add_lists(session, id, {s: v for s, v in values.items() if s in self._layout.multi})
        self._check_size(session, id, values)
        for name, delta in relations.items():
            self._relations[name].apply(session, id, delta)

    def _leave(
        self, session: Session, id: ResourceId, now: datetime, expect: Version | None, slots: tuple[Slot, ...]
    ) -> Sequence[Any]:
        """Take out all that refers to a resource, which is locked; what it has in these slots."""
        moved = [self._touch_referrers(session, id, now, link, holder) for link, holder in self._inverse]
        _, _, held = _checked(session.execute(self._lock(slots), {"row_id": id}).first(), expect)
        for (link, _), expected in zip(self._inverse, moved, strict=True):
            if session.execute(self._unlink[link.name], {"near": id}).rowcount != expected:
                raise Contended
        for forget in self._forget:
            session.execute(forget, {"row_id": id, "now": now})
        return held

    def _touch_referrers(self, session: Session, id: ResourceId, now: datetime, link: Link, holder: Layout) -> int:
        """Give every resource whose stored relation holds the id a new version; how many there are."""
        found = [row[0] for row in session.execute(self._referrers[link.name], {"near": id}).rows]
        bump = self._bump[holder.type.name]
        return sum(session.execute(bump, {"ids": ids, "now": now}).rowcount for ids in chunks(sorted(found)))

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
        self, session: Session, id: ResourceId, values: Mapping[Slot, Value | None]
    ) -> Mapping[Slot, Value | None]:
        if not values:
            return {}
        held = self._read(session, id, frozenset(values)).values
        return {slot: value for slot, value in values.items() if held.get(slot) != value}

    def _replace_lists(self, session: Session, id: ResourceId, values: Mapping[Slot, Value | None]) -> None:
        if values:
            names = [self._layout.multi[slot].name for slot in values]
            session.execute(self._delete_values, {"owner": id, "names": names})
            self._add_lists(session, id, values)

    def _add_lists(self, session: Session, id: ResourceId, values: Mapping[Slot, Value | None]) -> None:
        given = [(slot, value) for slot, value in values.items() if value]
        new = [row for slot, value in given for row in rows.value_rows(self._layout, id, slot, value)]
        if new and self._layout.values is not None:
            session.insert(self._layout.values, new)

    def _check_size(self, session: Session, id: ResourceId, values: Mapping[Slot, Value | None]) -> None:
        """Raises RejectedValue when the resource can't be read again with what was written: every page that holds one
        that is too large for the server would fail. Short values are never too much together."""
        readable = self._layout.type.readable
        if sum(map(rows.length, values.values())) * _OCTETS_IN_JSON * len(readable) < _SENT_AT_ONCE:
            return
        longest = max(values, key=lambda slot: rows.length(values[slot]))
        try:
            self._read(session, id, readable)
        except (orjson.JSONDecodeError, TypeError):
            # MariaDB cuts an array that is too long, and gives NULL for one within it.
            raise RejectedValue(longest, "makes the resource larger than the database can give back") from None


def _checked(row: Any, expect: Version | None) -> tuple[int, Any, Sequence[Any]]:
    if row is None:
        raise NotFound
    if expect is not None and expect != str(row[0]):
        raise VersionMismatch
    return row[0], row[1], row[2:]


def _bumping(layout: Layout, which: ColumnElement[bool]) -> Update:
    """Gives resources a new version at the time `now`."""
    now = bindparam("now", type_=layout.table.c.modified.type)
    return update(layout.table).where(which).values(version=layout.table.c.version + 1, modified=now)


def _ids(layout: Layout) -> ColumnElement[bool]:
    return layout.table.c.id.in_(bindparam("ids", expanding=True))


def _by_id(layout: Layout) -> Select[Any]:
    """Finds the resource whose id is the parameter `row_id`."""
    return select(layout.table.c.id).where(layout.table.c.id == bindparam("row_id", type_=layout.table.c.id.type))


def _references_to(layout: Layout, tables: Tables) -> list[tuple[Layout, Field]]:
    """The fields of any kind that hold the id of a resource of this one."""
    found: list[tuple[Layout, Field]] = []
    for holder in tables.layouts.values():
        lookups = holder.type.lookups.values()
        vias = dict.fromkeys(lookup.via for lookup in lookups if lookup.kind == layout.type.name)
        found.extend((holder, holder.fields[via]) for via in vias)
    return found
