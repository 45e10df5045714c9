"""The statements that read resources, and what their rows mean.

One statement reads resources with everything that is wanted of them, so that what comes back is one moment's truth:
each value of a multi-valued slot is a row, which repeats the columns of its resource.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
    type_coerce,
)
from sqlalchemy.types import NULLTYPE

from app.scim.query import Resource, Slot, Sort, Stamp
from app.scim.registry import ID, META_CREATED, META_LAST_MODIFIED, META_VERSION
from backends.sql.columns import moment
from backends.sql.filters import Conditions, Node
from backends.sql.tables import Layout, Tables

_NEVER_NULL = frozenset((ID, META_CREATED, META_LAST_MODIFIED, META_VERSION))
_FIRST_VALUE = 4
"""Columns before the values: id, version, created, modified."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A statement and where in its rows the wanted slots are. `singular`: slot and place; `attribute` is the place of
    the name of the multi-valued slot, or -1; `multi` gives for that name the slot and its parts, each a name and place,
    of which the only one of a simple attribute has no name."""

    kind: str
    statement: Select[Any]
    singular: tuple[tuple[Slot, int], ...]
    attribute: int
    multi: dict[str, tuple[Slot, tuple[tuple[str, int], ...]]]

    def resources(self, rows: Iterable[Sequence[Any]]) -> list[Resource]:
        """The resources that the rows hold, in their order."""
        found: list[Resource] = []
        id = None
        values: dict[Slot, Any] = {}
        for row in rows:
            if row[0] != id:
                id = row[0]
                values = {slot: row[place] for slot, place in self.singular if row[place] is not None}
                stamp = Stamp(str(row[1]), moment(row[3]))
                found.append(Resource(self.kind, id, moment(row[2]), stamp, values))
            if self.attribute >= 0 and row[self.attribute] in self.multi:
                slot, parts = self.multi[row[self.attribute]]
                item = {name: row[place] for name, place in parts if row[place] is not None}
                if item:
                    values.setdefault(slot, []).append(item.get("", item))
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
        return self._reading(want, table, [], only=table.c.id == bindparam("id", type_=table.c.id.type))

    def page(self, want: frozenset[Slot], where: Node, sort: Sort | None) -> Reading:
        """Reads the matches in a window, in order; parameters `skip` and `count`, and those of the filter."""
        table = self._layout.table
        order = self._order(sort)
        labelled = [key.label(f"order_{n}") for n, (key, _) in enumerate(order)]
        chosen = (
            select(table.c.id, *labelled)
            .where(self._conditions.condition(where))
            .order_by(*_directed([key for key, _ in order], order), table.c.id)
            .limit(bindparam("count", type_=BigInteger))
            .offset(bindparam("skip", type_=BigInteger))
            .subquery("page")
        )
        other = table.alias("resource")
        keys = [chosen.c[label.name] for label in labelled]
        return self._reading(want, other, [*_directed(keys, order), chosen.c.id], page=chosen)

    def count(self, where: Node) -> Select[Any]:
        """Counts all matches."""
        table = self._layout.table
        return select(func.count()).select_from(table).where(self._conditions.condition(where))

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
        order: list[ColumnElement[Any]],
        *,
        only: ColumnElement[bool] | None = None,
        page: FromClause | None = None,
    ) -> Reading:
        source: FromClause = table if page is None else page.join(table, table.c.id == page.c.id)
        chosen: list[ColumnElement[Any]] = [table.c.id, table.c.version, _raw(table.c.created), _raw(table.c.modified)]
        singular: list[tuple[Slot, int]] = []
        for slot, field in self._layout.fields.items():
            if slot in want:
                singular.append((slot, len(chosen)))
                chosen.append(table.c[field.column.name])
        source = self._look_up(want, table, source, chosen, singular)
        attribute, multi = -1, {}
        if want & self._layout.multi.keys():
            attribute = len(chosen)
            source, place = self._join_values(want, table, source, chosen)
            multi = self._multi_places(want, chosen, attribute)
            order = [*order, place]
        statement = select(*chosen).select_from(source).order_by(*order)
        if only is not None:
            statement = statement.where(only)
        return Reading(self._layout.type.name, statement, tuple(singular), attribute, multi)

    def _look_up(
        self,
        want: frozenset[Slot],
        table: FromClause,
        source: FromClause,
        chosen: list[ColumnElement[Any]],
        singular: list[tuple[Slot, int]],
    ) -> FromClause:
        """Join each resource that wanted slots are looked up in, once."""
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
            singular.append((slot, len(chosen)))
            chosen.append(others[reached].c[name])
        return source

    def _join_values(
        self, want: frozenset[Slot], table: FromClause, source: FromClause, chosen: list[ColumnElement[Any]]
    ) -> tuple[FromClause, ColumnElement[Any]]:
        """Join the values, select what is wanted of them, and return with the source the column to order them by."""
        layout = self._layout
        assert layout.values is not None
        assert layout.owner is not None
        values = layout.values.alias("value")
        on = values.c[layout.owner.name] == table.c.id
        names = [multi.name for slot, multi in layout.multi.items() if slot in want]
        if len(names) < len(layout.multi):
            on = and_(on, values.c.attribute.in_(names))
        fields = (f for slot, m in layout.multi.items() if slot in want for f in m.fields.values())
        columns = dict.fromkeys(f.column.name for f in fields)
        chosen.extend((values.c.attribute, *(values.c[name] for name in columns)))
        return source.outerjoin(values, on), values.c.position

    def _multi_places(
        self, want: frozenset[Slot], chosen: list[ColumnElement[Any]], first: int
    ) -> dict[str, tuple[Slot, tuple[tuple[str, int], ...]]]:
        places = {getattr(column, "name", ""): n for n, column in enumerate(chosen) if n >= first}
        return {
            multi.name: (
                slot,
                tuple(
                    ("" if multi.simple else field.attribute.name, places[field.column.name])
                    for field in multi.fields.values()
                ),
            )
            for slot, multi in self._layout.multi.items()
            if slot in want
        }


def _directed(
    keys: Sequence[ColumnElement[Any]], order: Sequence[tuple[ColumnElement[Any], bool]]
) -> list[ColumnElement[Any]]:
    return [key.desc() if descending else key for key, (_, descending) in zip(keys, order, strict=True)]


def _raw(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """As the driver returns it: `moment` is called once for each resource, not for each row."""
    return type_coerce(column, NULLTYPE)
