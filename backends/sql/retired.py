"""Retired resources: out of the tables that everything else reads, whole in one row each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import BigInteger, bindparam, delete, func, insert, select
from sqlalchemy.sql import ClauseElement

from app.scim.attributes import Uniqueness
from app.scim.fold import fold
from app.scim.query import Page, Resource, ResourceId, Slot, Stamp, Value, Window
from backends.errors import NotFound
from backends.sql.columns import moment
from backends.sql.operands import storable
from backends.sql.prepared import Session
from backends.sql.tables import Layout, Tables

_EMAILS: Slot = "emails"
_LARGEST = 2**31 - 1

Read = Callable[[ClauseElement, Mapping[str, Any]], Sequence[Sequence[Any]]]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a retired resource was: `values` has its slots, `hashes` those that are never returned."""

    version: int
    created: datetime
    values: Mapping[Slot, Value]
    hashes: Mapping[Slot, str]


class Retired:
    """The retired resources of one kind."""

    def __init__(self, layout: Layout, tables: Tables) -> None:
        table, names = tables.retired, tables.retired_names
        self._kind = layout.type.name
        self._unique = [s for s, a in layout.type.slots.items() if a.uniqueness is not Uniqueness.NONE]
        of_kind = table.c.kind == self._kind
        one = of_kind & (table.c.id == bindparam("row_id", type_=table.c.id.type))
        self._insert = insert(table)
        self._names_table = names
        self._delete = delete(table).where(one)
        self._hold = select(table.c.version, table.c.created, table.c.content).where(one).with_for_update()
        named = select(names.c.id).where(
            names.c.kind == self._kind, names.c.name.in_(bindparam("names", expanding=True))
        )
        row = select(table.c.id, table.c.version, table.c.created, table.c.retired_at, table.c.content)
        window = row.order_by(table.c.retired_at, table.c.id)
        window = window.limit(bindparam("count", type_=BigInteger)).offset(bindparam("skip", type_=BigInteger))
        count = select(func.count()).select_from(table)
        self._pages = {False: window.where(of_kind), True: window.where(of_kind, table.c.id.in_(named))}
        self._counts = {False: count.where(of_kind), True: count.where(of_kind, table.c.id.in_(named))}

    def put(self, session: Session, resource: Resource, hashes: Mapping[Slot, str], now: datetime) -> None:
        """Keep a resource that is about to be deleted."""
        content = orjson.dumps({"values": resource.values, "hashes": hashes}).decode()
        key = {"kind": self._kind, "id": resource.id}
        session.execute(
            self._insert,
            {
                **key,
                "version": int(resource.stamp.version),
                "created": resource.created,
                "retired_at": now,
                "content": content,
            },
        )
        names = [{**key, "name": name} for name in dict.fromkeys(map(fold, self._names(resource.values)))]
        if names:
            session.insert(self._names_table, names)

    def take(self, session: Session, id: ResourceId) -> Kept:
        """What was kept of a resource, which is not retired any more afterwards. Raises NotFound."""
        row = session.execute(self._hold, {"row_id": id}).first()
        if row is None:
            raise NotFound
        content = orjson.loads(row[2])
        session.execute(self._delete, {"row_id": id})
        return Kept(row[0], moment(row[1]), content["values"], content["hashes"])

    def page(self, read: Read, want: frozenset[Slot], names: Sequence[str] | None, window: Window) -> Page:
        """The resources in the window, first retired first, and the number of all that have one of the names."""
        folded = [] if names is None else [name for name in map(fold, names) if storable(name)]
        if names is not None and not folded:
            return Page(0, ())
        by_name = names is not None
        parameters: dict[str, Any] = {"names": folded} if by_name else {}
        skip, count = max(window.start, 1) - 1, min(window.count, _LARGEST)
        if count <= 0 or skip > _LARGEST:
            return Page(read(self._counts[by_name], parameters)[0][0], ())
        rows = read(self._pages[by_name], {**parameters, "skip": skip, "count": count})
        items = tuple(self._resource(row, want) for row in rows)
        if len(items) < count and (items or not skip):
            return Page(skip + len(items), items)
        total: int = read(self._counts[by_name], parameters)[0][0]
        return Page(max(total, skip + len(items) if items else 0), items)

    def _names(self, values: Mapping[Slot, Value]) -> Iterator[str]:
        yield from (values[slot] for slot in self._unique if slot in values)
        yield from (email["value"] for email in values.get(_EMAILS, ()) if "value" in email)

    def _resource(self, row: Sequence[Any], want: frozenset[Slot]) -> Resource:
        id, version, created, retired_at, content = row
        held = orjson.loads(content)["values"]
        values = {slot: held[slot] for slot in want if slot in held}
        return Resource(self._kind, id, moment(created), Stamp(str(version), moment(retired_at)), values)
