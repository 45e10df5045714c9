"""The statements that read resources, and what their rows mean.

A resource is one row of one statement, so that what comes back is one moment's truth. All that is singular is one
column and the values of the multi-valued slots another, each a JSON array that the database makes: a driver spends
several times as long on a column, or on a row, for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
)

from app.scim.attributes import Attribute, Type, Uniqueness
from app.scim.query import Resource, Slot, Sort, Stamp
from app.scim.registry import ID, META_CREATED, META_LAST_MODIFIED, META_VERSION
from backends.sql.columns import moment
from backends.sql.dialects import Dialect
from backends.sql.filters import Conditions, Every, Leaf, Node
from backends.sql.operands import Check
from backends.sql.tables import Layout, MultiValued, Tables

_POSITION = itemgetter(1)
_NEVER_NULL = frozenset((ID, META_CREATED, META_LAST_MODIFIED, META_VERSION))
_ARGUMENTS = 90
"""Columns in one JSON array: a function of PostgreSQL takes 100 arguments, one of SQLite 127."""

_Column = tuple[ColumnElement[Any], Attribute]
Convert = Callable[[Any], Any]

_CONVERTED: Mapping[Type, Convert] = {Type.BOOLEAN: bool, Type.DECIMAL: float}
"""What makes the value of what JSON has in its place: not every database has booleans, and 5.0 may come as 5."""


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """Columns gathered in JSON arrays of at most `_ARGUMENTS` each: for each name its place in them together, and what
    converts it."""

    places: tuple[tuple[str, int, Convert | None], ...]

    def values(self, pieces: Sequence[Sequence[Any]]) -> dict[str, Any]:
        """What is there, by name."""
        parts = pieces[0] if len(pieces) == 1 else [*chain.from_iterable(pieces)]
        return {
            name: part if convert is None else convert(part)
            for name, place, convert in self.places
            if (part := parts[place]) is not None
        }


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A statement whose rows are an array of id, version, created, modified and the pieces of the `singular` slots, and
    an array of the values of multi-valued slots where some are wanted. `multi` is by a slot's name in the table: the
    slot and the parts of a value. The only part of a simple value has no name."""

    kind: str
    statement: Select[Any]
    singular: Gathered
    multi: Mapping[str, tuple[Slot, Gathered]]

    def resources(self, rows: Sequence[Sequence[Any]]) -> list[Resource]:
        """The resources that the rows hold, in their order."""
        return [self._resource(row) for row in rows]

    def _resource(self, row: Sequence[Any]) -> Resource:
        id, version, made, changed, *pieces = orjson.loads(row[0])
        values = self.singular.values(pieces) if pieces else {}
        if self.multi and row[1]:
            self._add(values, orjson.loads(row[1]))
        created = moment(made)
        modified = created if changed == made else moment(changed)
        return Resource(self.kind, id, created, Stamp(str(version), modified), values)

    def _add(self, values: dict[Slot, Any], found: list[list[Any]]) -> None:
        """Put each value behind those of its slot. They are ordered here, since not every database can do it while it
        gathers."""
        found.sort(key=_POSITION)
        for attribute, _, *pieces in found:
            slot, parts = self.multi[attribute]
            if value := parts.values(pieces):
                values.setdefault(slot, []).append(value.get("", value))


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
        """Reads the matches in a window, in order; parameters `skip` and `count`, and those of the filter. Only ids and
        keys are sorted: not every database would put off the making of arrays until it knows which rows it needs."""
        table = self._layout.table
        order = [(key.label(f"order_{n}"), descending) for n, (key, descending) in enumerate(self._order(sort))]
        found = select(table.c.id, *(label for label, _ in order)).where(self._conditions.condition(where))
        window = found.order_by(*_directed(order), table.c.id)
        window = window.limit(bindparam("count", type_=BigInteger)).offset(bindparam("skip", type_=BigInteger))
        page = window.subquery("page")
        other = table.alias("resource")
        keys = _directed([(page.c[label.name], descending) for label, descending in order])
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
        slots: dict[Slot, _Column] = {
            slot: (table.c[field.column.name], field.attribute)
            for slot, field in self._layout.fields.items()
            if slot in want
        }
        source = self._look_up(want, table, source, slots)
        singular = Gathered(_places((s, n, attribute) for n, (s, (_, attribute)) in enumerate(slots.items())))
        whole = self._dialect.array(
            table.c.id, table.c.version, table.c.created, table.c.modified, *self._pieces(slots.values())
        )
        chosen: list[ColumnElement[Any]] = [self._dialect.whole(whole)]
        multi: Mapping[str, tuple[Slot, Gathered]] = {}
        if self._multi(want):
            values, multi = self._values(want, table)
            chosen.append(values)
        statement: Select[Any] = select(*chosen).select_from(source).where(where).order_by(*order)
        return Reading(self._layout.type.name, statement, singular, multi)

    def _look_up(
        self,
        want: frozenset[Slot],
        table: FromClause,
        source: FromClause,
        slots: dict[Slot, _Column],
    ) -> FromClause:
        """Join each resource that wanted slots are looked up in, once, and add those to the slots."""
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
            found = others[reached].c
            if lookup.source == "id":
                slots[slot] = (found.id, ID)
            else:
                field = target.fields[lookup.source]
                slots[slot] = (found[field.column.name], field.attribute)
        return source

    def _values(
        self, want: frozenset[Slot], table: FromClause
    ) -> tuple[ColumnElement[str], Mapping[str, tuple[Slot, Gathered]]]:
        """The column that holds the wanted values of a resource, and what they are made of there."""
        layout, wanted = self._layout, self._multi(want)
        assert layout.values is not None
        assert layout.owner is not None
        values = layout.values.alias("value")
        where = values.c[layout.owner.name] == table.c.id
        if len(wanted) < len(layout.multi):
            where = and_(where, values.c.attribute.in_([multi.name for _, multi in wanted]))
        fields = {f.column.name: f for _, multi in wanted for f in multi.fields.values()}
        pieces = self._pieces((values.c[name], field.attribute) for name, field in fields.items())
        item = self._dialect.array(values.c.attribute, values.c.position, *pieces)
        order = {name: place for place, name in enumerate(fields)}
        multi = {m.name: (slot, Gathered(_places(_parts(m, order)))) for slot, m in wanted}
        return select(self._dialect.gathered(item)).where(where).scalar_subquery(), multi

    def _pieces(self, columns: Iterable[_Column]) -> list[ColumnElement[Any]]:
        exact, array = self._dialect.exact, self._dialect.array
        parts = [exact(column) if a.type is Type.DECIMAL else column for column, a in columns]
        return [array(*parts[start : start + _ARGUMENTS]) for start in range(0, len(parts), _ARGUMENTS)]


def _parts(multi: MultiValued, order: Mapping[str, int]) -> Iterator[tuple[str, int, Attribute]]:
    """The parts of a value: name, place, definition."""
    for field in multi.fields.values():
        yield "" if multi.simple else field.attribute.name, order[field.column.name], field.attribute


def _places(parts: Iterable[tuple[str, int, Attribute]]) -> tuple[tuple[str, int, Convert | None], ...]:
    return tuple((name, place, _CONVERTED.get(attribute.type)) for name, place, attribute in parts)


def _directed(order: Sequence[tuple[ColumnElement[Any], bool]]) -> list[ColumnElement[Any]]:
    return [key.desc() if descending else key for key, descending in order]
