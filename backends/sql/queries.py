"""The statements that read resources, and what their rows mean.

A resource and its multi-valued slots come in one statement, so that what comes back is one moment's truth: each value
is a row, which repeats the columns of its resource. For pages of many that is wasteful; there the values may be read by
a second statement, which also tells the versions that they belong to. Values are put in order here: a database would
do it with whole rows, in MariaDB by way of a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

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

from app.scim.attributes import Uniqueness
from app.scim.query import Resource, ResourceId, Slot, Sort, Stamp
from app.scim.registry import ID, META_CREATED, META_LAST_MODIFIED, META_VERSION
from backends.sql.columns import moment
from backends.sql.filters import Conditions, Every, Leaf, Node
from backends.sql.operands import Check
from backends.sql.tables import Layout, MultiValued, Tables

_NEVER_NULL = frozenset((ID, META_CREATED, META_LAST_MODIFIED, META_VERSION))
_FIRST = 4
"""Place of the first slot: before it come id, version, created and modified."""


Rows = Sequence[Sequence[Any]]
Held = dict[ResourceId, tuple[int, dict[Slot, Any]]]
"""The number of the version, and slots, of some resources."""


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """Where in a row a value of a multi-valued slot is: `attribute` is the place of the slot's name in the table, after
    it comes the value's position in the slot; for that name `parts` gives the slot, the names of the parts, and what
    takes them out of the row. The only part of a simple attribute has no name."""

    attribute: int
    parts: Mapping[str, tuple[Slot, tuple[str, ...], Callable[[Sequence[Any]], tuple[Any, ...]]]]

    def in_order(self, rows: Rows) -> Rows:
        """The rows by the positions of their values."""
        place = self.attribute + 1
        return sorted(rows, key=lambda row: row[place] or 0) if len(rows) > 1 else rows

    def add(self, values: dict[Slot, Any], row: Sequence[Any]) -> None:
        """Put the value that the row holds behind those of its slot; a row may hold none."""
        known = self.parts.get(row[self.attribute])
        if known is not None:
            slot, names, take = known
            item = {name: part for name, part in zip(names, take(row), strict=True) if part is not None}
            if item:
                values.setdefault(slot, []).append(item.get("", item))


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A statement whose rows begin with id, version, created and modified, then the singular `slots` in order."""

    kind: str
    statement: Select[Any]
    slots: tuple[Slot, ...]
    lists: Lists | None

    def at_most_one(self, rows: Rows) -> list[Resource]:
        """The resource that the rows hold, if there are rows; all are of the same one."""
        return self.resources(self.lists.in_order(rows) if self.lists else rows)

    def resources(self, rows: Rows, held: Held | None = None) -> list[Resource]:
        """The resources that the rows hold, in their order; each one's rows are together. `held` are further slots."""
        found: list[Resource] = []
        id, end = "", _FIRST + len(self.slots)
        values: dict[Slot, Any] = {}
        for row in rows:
            if row[0] != id:
                id = row[0]
                singular = zip(self.slots, row[_FIRST:end], strict=True)
                values = {slot: value for slot, value in singular if value is not None}
                if held is not None:
                    values.update(held[id][1])
                stamp = Stamp(str(row[1]), moment(row[3]))
                found.append(Resource(self.kind, id, moment(row[2]), stamp, values))
            if self.lists is not None:
                self.lists.add(values, row)
        return found

    def lists_of(self, rows: Rows) -> Held:
        """The version and the multi-valued slots of each resource that the rows hold."""
        found: Held = {}
        assert self.lists is not None
        for row in self.lists.in_order(rows):
            entry = found.get(row[0])
            if entry is None:
                entry = found[row[0]] = (row[1], {})
            self.lists.add(entry[1], row)
        return found


class Queries:
    """Makes the statements that read one kind. Each is worth keeping: making it costs more than running it."""

    def __init__(self, layout: Layout, tables: Tables, conditions: Conditions) -> None:
        self._layout = layout
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

    def several(self, want: frozenset[Slot]) -> Reading:
        """Reads the resources whose ids are the parameter `ids`, in no order of theirs."""
        table = self._layout.table
        return self._reading(want, table, table, table.c.id.in_(bindparam("ids", expanding=True)))

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
        lists = None
        if self._multi(want):
            source, position, lists = self._join_values(want, table, source, chosen)
            order = [*order, position] if order else ()
        statement = select(*chosen).select_from(source).where(where).order_by(*order)
        return Reading(self._layout.type.name, statement, tuple(slots), lists)

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

    def _join_values(
        self, want: frozenset[Slot], table: FromClause, source: FromClause, chosen: list[ColumnElement[Any]]
    ) -> tuple[FromClause, ColumnElement[Any], Lists]:
        """Join the values and select what is wanted of them; the source, what to order them by, and where they are."""
        layout, wanted = self._layout, self._multi(want)
        assert layout.values is not None
        assert layout.owner is not None
        values = layout.values.alias("value")
        on = values.c[layout.owner.name] == table.c.id
        if len(wanted) < len(layout.multi):
            on = and_(on, values.c.attribute.in_([multi.name for _, multi in wanted]))
        names = list(dict.fromkeys(f.column.name for _, multi in wanted for f in multi.fields.values()))
        first = len(chosen)
        chosen.extend((values.c.attribute, values.c.position, *(values.c[name] for name in names)))
        places = {name: first + 2 + n for n, name in enumerate(names)}
        parts = {multi.name: (slot, *_parts(multi, places)) for slot, multi in wanted}
        return source.outerjoin(values, on), values.c.position, Lists(first, parts)


def _parts(
    multi: MultiValued, places: Mapping[str, int]
) -> tuple[tuple[str, ...], Callable[[Sequence[Any]], tuple[Any, ...]]]:
    """The names of the parts of a value, and what takes them out of a row."""
    fields = multi.fields.values()
    where = [places[field.column.name] for field in fields]
    if multi.simple:
        return ("",), lambda row: (row[where[0]],)
    if len(where) == 1:
        return tuple(field.attribute.name for field in fields), lambda row: (row[where[0]],)
    return tuple(field.attribute.name for field in fields), itemgetter(*where)


def _windowed(statement: Select[Any]) -> Select[Any]:
    return statement.limit(bindparam("count", type_=BigInteger)).offset(bindparam("skip", type_=BigInteger))


def _directed(order: Sequence[tuple[ColumnElement[Any], bool]]) -> list[ColumnElement[Any]]:
    return [key.desc() if descending else key for key, descending in order]


def _raw(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """As the driver returns it: `moment` is called once for each resource, not for each row."""
    return type_coerce(column, NULLTYPE)
