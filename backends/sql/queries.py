"""The statements that read resources, and what their rows mean.

A resource is one row of one statement, so that what comes back is one moment's truth. The values of all its
multi-valued slots are one column, a JSON array that the database makes: a row for each would cost several times that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    and_,
    bindparam,
    func,
    select,
    true,
    type_coerce,
)
from sqlalchemy.types import NULLTYPE

from app.scim.attributes import Type, Uniqueness
from app.scim.query import Resource, Slot, Sort, Stamp
from app.scim.registry import ID, META_CREATED, META_LAST_MODIFIED, META_VERSION
from backends.sql.columns import moment
from backends.sql.dialects import Dialect
from backends.sql.filters import Conditions, Every, Leaf, Node
from backends.sql.operands import Check
from backends.sql.tables import Layout, MultiValued, Tables

_POSITION = itemgetter(1)
_NEVER_NULL = frozenset((ID, META_CREATED, META_LAST_MODIFIED, META_VERSION))
_FIRST = 4
"""Place of the first slot: before it come id, version, created and modified."""

_ARGUMENTS = 90
"""Parts in one JSON array: a function of PostgreSQL takes 100 arguments, one of SQLite 127."""

Convert = Callable[[Any], Any]

_CONVERTED: Mapping[Type, Convert] = {Type.BOOLEAN: bool, Type.DECIMAL: float}
"""What makes the value of what JSON has in its place: not every database has booleans, and 5.0 may come as 5."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The values of one multi-valued slot: for each part its name, its place in what was gathered of a value, and what
    converts it. The only part of a simple attribute has no name."""

    slot: Slot
    places: tuple[tuple[str, int, Convert | None], ...]

    def value(self, gathered: Sequence[Any]) -> Any:
        """The value; None when nothing of it is there."""
        item = {}
        for name, place, convert in self.places:
            part = gathered[place]
            if part is not None:
                item[name] = part if convert is None else convert(part)
        return item.get("", item) if item else None


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A statement whose rows begin with id, version, created and modified, then the singular `slots` in order; where
    multi-valued slots are wanted, their values are last. `parts` are by the slot's name in the table."""

    kind: str
    statement: Select[Any]
    slots: tuple[Slot, ...]
    parts: Mapping[str, Parts]

    def resources(self, rows: Sequence[Sequence[Any]]) -> list[Resource]:
        """The resources that the rows hold, in their order."""
        return [self._resource(row) for row in rows]

    def _resource(self, row: Sequence[Any]) -> Resource:
        values = {slot: value for slot, value in zip(self.slots, row[_FIRST:], strict=False) if value is not None}
        if self.parts and row[-1]:
            self._add(values, orjson.loads(row[-1]))
        created = moment(row[2])
        modified = created if row[3] == row[2] else moment(row[3])
        return Resource(self.kind, row[0], created, Stamp(str(row[1]), modified), values)

    def _add(self, values: dict[Slot, Any], gathered: list[list[Any]]) -> None:
        """Put the values in order behind those of their slots. They are ordered here, since not every database can do
        it while it gathers."""
        gathered.sort(key=_POSITION)
        for attribute, _, *pieces in gathered:
            parts = self.parts[attribute]
            value = parts.value(pieces[0] if len(pieces) == 1 else [*chain.from_iterable(pieces)])
            if value is not None:
                values.setdefault(parts.slot, []).append(value)


class Queries:
    """Makes the statements that read one kind. Each is worth keeping: making it costs more than running it."""

    def __init__(self, layout: Layout, tables: Tables, conditions: Conditions, dialect: Dialect) -> None:
        self._layout = layout
        self._dialect = dialect
        self._tables = tables
        self._conditions = conditions

    def one(self, want: frozenset[Slot]) -> Reading:
        """Reads the resource whose id is the parameter `id`."""
        table = self._layout.table
        return self._reading(want, table, table, table.c.id == bindparam("id", type_=table.c.id.type))

    def match(self, want: frozenset[Slot], where: Node) -> Reading:
        """Reads the match of a filter that names one."""
        table = self._layout.table
        return self._reading(want, table, table, self._conditions.condition(where))

    def page(self, want: frozenset[Slot], where: Node, sort: Sort | None) -> Reading:
        """Reads the matches in a window, in order; parameters `skip` and `count`, and those of the filter."""
        table = self._layout.table
        order = self._order(sort)
        condition = self._conditions.condition(where)
        if not self._multi(want):
            reading = self._reading(want, table, table, condition, [*_directed(order), table.c.id])
            return replace(reading, statement=_windowed(reading.statement))
        labelled = [(key.label(f"order_{n}"), descending) for n, (key, descending) in enumerate(order)]
        chosen = select(table.c.id, *(label for label, _ in labelled)).where(condition)
        page = _windowed(chosen.order_by(*_directed(order), table.c.id)).subquery("page")
        other = table.alias("resource")
        keys = _directed([(page.c[label.name], descending) for label, descending in labelled])
        return self._reading(want, other, page.join(other, other.c.id == page.c.id), true(), [*keys, page.c.id])

    def count(self, where: Node) -> Select[Any]:
        """Counts all matches."""
        table = self._layout.table
        return select(func.count()).select_from(table).where(self._conditions.condition(where))

    def names_one(self, where: Node) -> bool:
        """Whether the filter can't hold for two resources, because it demands an id or a value that is unique."""
        if isinstance(where, Every):
            return any(self.names_one(item) for item in where.items)
        if not isinstance(where, Leaf) or where.negated or where.test is not Check.EQ:
            return False
        attribute = where.attribute
        return attribute is ID or (
            attribute.uniqueness is not Uniqueness.NONE and attribute.path in self._layout.fields
        )

    def _multi(self, want: frozenset[Slot]) -> list[tuple[Slot, MultiValued]]:
        return [(slot, multi) for slot, multi in self._layout.multi.items() if slot in want]

    def _order(self, sort: Sort | None) -> list[tuple[ColumnElement[Any], bool]]:
        """Keys, each with True for descending. Absent values are last, and first in descending order."""
        if sort is None:
            return [(self._layout.table.c.created, False)]
        if sort.within is not None:
            key = self._conditions.first_key(sort.within, sort.attribute)
        else:
            key = self._conditions.key(sort.attribute)
            if sort.attribute in _NEVER_NULL or sort.attribute.path in self._layout.type.required_slots:
                return [(key, sort.descending)]
        return [(key.is_(None), sort.descending), (key, sort.descending)]

    def _reading(
        self,
        want: frozenset[Slot],
        table: FromClause,
        source: FromClause,
        where: ColumnElement[bool],
        order: Sequence[ColumnElement[Any]] = (),
    ) -> Reading:
        chosen: list[ColumnElement[Any]] = [table.c.id, table.c.version, _raw(table.c.created), _raw(table.c.modified)]
        slots = [slot for slot in self._layout.fields if slot in want]
        chosen.extend(table.c[self._layout.fields[slot].column.name] for slot in slots)
        source = self._look_up(want, table, source, chosen, slots)
        parts: Mapping[str, Parts] = {}
        if self._multi(want):
            gathered, parts = self._values(want, table)
            chosen.append(gathered)
        statement = select(*chosen).select_from(source).where(where).order_by(*order)
        return Reading(self._layout.type.name, statement, tuple(slots), parts)

    def _look_up(
        self,
        want: frozenset[Slot],
        table: FromClause,
        source: FromClause,
        chosen: list[ColumnElement[Any]],
        slots: list[Slot],
    ) -> FromClause:
        """Join each resource that wanted slots are looked up in, once, and select those."""
        others: dict[tuple[Slot, str], FromClause] = {}
        for slot, lookup in self._layout.type.lookups.items():
            if slot not in want:
                continue
            target = self._tables.layouts[lookup.kind]
            reached = (lookup.via, lookup.kind)
            if reached not in others:
                others[reached] = target.table.alias(f"looked_up_{len(others)}")
                via = table.c[self._layout.fields[lookup.via].column.name]
                source = source.outerjoin(others[reached], others[reached].c.id == via)
            name = "id" if lookup.source == "id" else target.fields[lookup.source].column.name
            slots.append(slot)
            chosen.append(others[reached].c[name])
        return source

    def _values(self, want: frozenset[Slot], table: FromClause) -> tuple[ColumnElement[str], Mapping[str, Parts]]:
        """The column that holds the wanted values of a resource, and what they are made of there."""
        layout, wanted = self._layout, self._multi(want)
        assert layout.values is not None
        assert layout.owner is not None
        values = layout.values.alias("value")
        where = values.c[layout.owner.name] == table.c.id
        if len(wanted) < len(layout.multi):
            where = and_(where, values.c.attribute.in_([multi.name for _, multi in wanted]))
        fields = {f.column.name: f for _, multi in wanted for f in multi.fields.values()}
        columns = [
            self._dialect.exact(values.c[name]) if field.attribute.type is Type.DECIMAL else values.c[name]
            for name, field in fields.items()
        ]
        array = self._dialect.array
        pieces = [array(*columns[start : start + _ARGUMENTS]) for start in range(0, len(columns), _ARGUMENTS)]
        item = array(values.c.attribute, values.c.position, *pieces)
        places = {name: place for place, name in enumerate(fields)}
        parts = {multi.name: Parts(slot, _places(multi, places)) for slot, multi in wanted}
        return select(self._dialect.gathered(item)).where(where).scalar_subquery(), parts


def _places(multi: MultiValued, places: Mapping[str, int]) -> tuple[tuple[str, int, Convert | None], ...]:
    return tuple(
        ("" if multi.simple else f.attribute.name, places[f.column.name], _CONVERTED.get(f.attribute.type))
        for f in multi.fields.values()
    )


def _windowed(statement: Select[Any]) -> Select[Any]:
    return statement.limit(bindparam("count", type_=BigInteger)).offset(bindparam("skip", type_=BigInteger))


def _directed(order: Sequence[tuple[ColumnElement[Any], bool]]) -> list[ColumnElement[Any]]:
    return [key.desc() if descending else key for key, descending in order]


def _raw(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """As the driver returns it: `moment` is called once for each resource, not for each row."""
    return type_coerce(column, NULLTYPE)
