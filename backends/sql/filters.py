"""Bound filters as SQL conditions, in two steps.

`lower` takes the operands out of a filter: what remains is equal for equal structures, so that a statement is made
once and used for every value. It also moves negation down to the leaves, where absent values (NULL) are dealt with.
`Conditions` makes a condition of what remains. Both are exact; nothing that a filter says is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    and_,
    bindparam,
    false,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.sql.elements import Grouping

from app.scim.attributes import Attribute
from app.scim.filter.evaluate import element_matches, reference_element
from app.scim.filter.nodes import And, Bound, Compare, Constant, Not, Present, Some
from app.scim.query import Reference
from app.scim.registry import ID, META_CREATED, META_LAST_MODIFIED, META_VERSION, Lookup, ResourceType
from backends.sql.dialects import Dialect
from backends.sql.operands import Check, question
from backends.sql.tables import Layout, Link, MultiValued, Tables, display

_WIDEST = 50
"""Terms side by side in one level: SQLite allows a depth of 1000, and counts each further term as one."""


@dataclass(frozen=True, slots=True)
class Fixed:
    value: bool


@dataclass(frozen=True, slots=True)
class Leaf:
    """A test of the comparison form of an attribute; `names` are the parameters that hold the operands."""

    attribute: Attribute
    test: Check
    names: tuple[str, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class OneOf:
    """Some value of a multi-valued attribute or relation satisfies `where`, or none where `negated`."""

    attribute: Attribute
    where: Node
    negated: bool


@dataclass(frozen=True, slots=True)
class Every:
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    items: tuple[Node, ...]


Node = Fixed | Leaf | OneOf | Every | Either


@dataclass(slots=True)
class _Lowering:
    relations: Mapping[str, Attribute]
    parameters: dict[str, Any] = field(default_factory=dict)

    def node(self, bound: Bound, negated: bool) -> Node:
        while isinstance(bound, Not):
            bound, negated = bound.item, not negated
        if isinstance(bound, Constant):
            return Fixed(bound.value != negated)
        if isinstance(bound, Compare | Present):
            return self._leaf(bound, negated)
        if isinstance(bound, Some):
            where = self.node(bound.where, negated=False)
            return Fixed(negated) if where == Fixed(False) else OneOf(bound.attribute, where, negated)
        return _combined((self.node(i, negated) for i in bound.items), every=isinstance(bound, And) != negated)

    def _leaf(self, bound: Compare | Present, negated: bool) -> Node:
        relation = self.relations.get(bound.attribute.path)
        if relation is not None:
            return Fixed(_holds_for_all(bound, relation) != negated)
        if isinstance(bound, Present):
            return Leaf(bound.attribute, Check.HELD, (), negated)
        asked = question(bound)
        if asked.test is Check.NEVER:
            return Fixed(negated)
        names = []
        for operand in asked.operands:
            names.append(f"p{len(self.parameters)}")
            self.parameters[names[-1]] = operand
        return Leaf(bound.attribute, asked.test, tuple(names), negated)


def _combined(items: Iterable[Node], *, every: bool) -> Node:
    kept: list[Node] = []
    kind = Every if every else Either
    for item in items:
        if isinstance(item, Fixed):
            if item.value != every:
                return item
        elif isinstance(item, kind):
            kept.extend(item.items)
        else:
            kept.append(item)
    if len(kept) == 1:
        return kept[0]
    return kind(tuple(kept)) if kept else Fixed(every)


def _holds_for_all(bound: Compare | Present, relation: Attribute) -> bool:
    """A test of a sub-attribute that all values of a relation have in common: `type`, and that there is a `$ref`."""
    if bound.attribute.name != "type":
        return True
    kinds = [k for sub in relation.sub_attributes for k in sub.reference_types]
    return element_matches(bound, relation, reference_element(relation, Reference("", kinds[0])))


def shared_parts(kind: ResourceType) -> Mapping[str, Attribute]:
    """The sub-attributes that all values of a relation have in common, with the relation."""
    relations = [relation.attribute for relation in kind.relations.values()]
    return {sub.path: a for a in relations for sub in a.sub_attributes if sub.name in ("type", "$ref")}


def lower(bound: Bound | None, shared: Mapping[str, Attribute]) -> tuple[Node, dict[str, Any]]:
    """The structure of a filter, and its operands by parameter name. `shared` is what `shared_parts` gives."""
    lowering = _Lowering(shared)
    node: Node = Fixed(True) if bound is None else lowering.node(bound, negated=False)
    return node, lowering.parameters


Resolve = Callable[[Attribute], ColumnElement[Any]]


class Conditions:
    """Makes conditions on the resources of one kind, as they stand in `layout.table`."""

    def __init__(self, layout: Layout, tables: Tables, dialect: Dialect) -> None:
        self._layout = layout
        self._tables = tables
        self._dialect = dialect

    def condition(self, node: Node) -> ColumnElement[bool]:
        """The condition that holds for exactly the resources that satisfy the filter; never NULL."""
        return self._any(node, self.key)

    def key(self, attribute: Attribute) -> ColumnElement[Any]:
        """The comparison form of a singular leaf, stored or looked up. Raises KeyError for what is not kept."""
        table = self._layout.table
        if attribute is ID:
            return table.c.id
        if attribute is META_CREATED:
            return table.c.created
        if attribute is META_LAST_MODIFIED:
            return table.c.modified
        if attribute is META_VERSION:
            return self._dialect.text_of(table.c.version)
        lookup = self._layout.type.lookups.get(attribute.path)
        return self._looked_up(lookup) if lookup else self._layout.fields[attribute.path].key

    def first_key(self, within: Attribute, attribute: Attribute) -> ColumnElement[Any]:
        """The comparison form in the primary value, else the first, of a multi-valued attribute."""
        values, owner = self._values()
        multi = self._layout.multi[within.path]
        primary = [f.column for p, f in multi.fields.items() if p == f"{within.path}.primary"]
        order = [values.c[c.name].is_not(true()) for c in primary]
        chosen = select(_in(values, multi.fields[attribute.path].key)).where(
            owner == self._layout.table.c.id, values.c.attribute == multi.name
        )
        ordered = chosen.order_by(*order, values.c.position).limit(1)
        return ordered.correlate(self._layout.table).scalar_subquery()

    def _looked_up(self, lookup: Lookup) -> ColumnElement[Any]:
        target = self._tables.layouts[lookup.kind]
        other = target.table.alias()
        found = other.c.id if lookup.source == "id" else other.c[target.fields[lookup.source].key.name]
        via = self._layout.fields[lookup.via].column
        return select(found).where(other.c.id == via).correlate(self._layout.table).scalar_subquery()

    def _any(self, node: Node, resolve: Resolve) -> ColumnElement[bool]:
        if isinstance(node, Fixed):
            return true() if node.value else false()
        if isinstance(node, Leaf):
            return self._leaf(node, resolve(node.attribute))
        if isinstance(node, OneOf):
            return self._one_of(node)
        join = and_ if isinstance(node, Every) else or_
        return _joined(join, [self._any(item, resolve) for item in node.items])

    def _leaf(self, leaf: Leaf, column: ColumnElement[Any]) -> ColumnElement[bool]:
        if leaf.test is Check.HELD:
            return column.is_(None) if leaf.negated else column.is_not(None)
        holds = self._test(leaf, column)
        return or_(column.is_(None), not_(holds)) if leaf.negated else holds

    def _test(self, leaf: Leaf, column: ColumnElement[Any]) -> ColumnElement[bool]:
        first = bindparam(leaf.names[0], type_=column.type)
        if leaf.test is Check.EQ:
            return column == first
        if leaf.test is Check.GT:
            return column > first
        if leaf.test is Check.GE:
            return column >= first
        if leaf.test is Check.LT:
            return column < first
        if leaf.test is Check.LE:
            return column <= first
        if leaf.test is Check.PART:
            return self._dialect.contains(column, first) > 0
        if leaf.test is Check.END:
            return self._dialect.ends(column, bindparam(leaf.names[1], type_=Integer)) == first
        return and_(column >= first, column < bindparam(leaf.names[1], type_=column.type))

    def _one_of(self, node: OneOf) -> ColumnElement[bool]:
        link = self._tables.links.get((self._layout.type.name, node.attribute.path))
        if link is not None:
            source = self._linked(link, node)
        else:
            source = self._valued(self._layout.multi[node.attribute.path], node)
        id = self._layout.table.c.id
        if not node.negated and self._is_selective(node):
            # Few rows are named: starting from them is far quicker than asking about each resource.
            return id.in_(source.select)
        exists = source.select.where(source.near == id).correlate(self._layout.table).exists()
        return not_(exists) if node.negated else exists

    def _is_selective(self, node: OneOf) -> bool:
        """Whether every row that satisfies it is found through an index."""
        link = self._tables.links.get((self._layout.type.name, node.attribute.path))
        if link is not None:
            return _is_selective(node.where, frozenset((f"{node.attribute.path}.value",)))
        fields = self._layout.multi[node.attribute.path].fields
        return _is_selective(node.where, frozenset(path for path, field in fields.items() if field.indexed))

    def _valued(self, multi: MultiValued, node: OneOf) -> _Source:
        values, owner = self._values()
        where = self._any(node.where, lambda leaf: _in(values, multi.fields[leaf.path].key))
        return _Source(owner, select(owner).where(values.c.attribute == multi.name, where))

    def _linked(self, link: Link, node: OneOf) -> _Source:
        rows, far = link.table.alias(), link.target.table.alias()
        shown = display(link.target, far, keys=True)
        joined = False

        def resolve(leaf: Attribute) -> ColumnElement[Any]:
            nonlocal joined
            if leaf.name == "value":
                return _in(rows, link.far)
            if leaf.name == "display":
                joined = True
                return shown
            raise KeyError(leaf.path)

        where = self._any(node.where, resolve)
        near = _in(rows, link.near)
        chosen = select(near).select_from(rows).where(where)
        if joined:
            chosen = chosen.join(far, far.c.id == _in(rows, link.far))
        return _Source(near, chosen)

    def _values(self) -> tuple[FromClause, ColumnElement[Any]]:
        values, owner = self._layout.values, self._layout.owner
        assert values is not None
        assert owner is not None
        alias = values.alias()
        return alias, _in(alias, owner)


@dataclass(frozen=True, slots=True)
class _Source:
    """Rows that belong to resources: `select` gives the ids of their resources, from the column `near`."""

    near: ColumnElement[Any]
    select: Select[Any]


def _is_selective(where: Node, indexed: frozenset[str]) -> bool:
    if isinstance(where, Every):
        return any(_is_selective(item, indexed) for item in where.items)
    if isinstance(where, Either):
        return all(_is_selective(item, indexed) for item in where.items)
    if not isinstance(where, Leaf) or where.negated:
        return False
    return where.test in (Check.EQ, Check.RANGE) and where.attribute.path in indexed


def _in(source: FromClause, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column of a table as it stands in an alias of the table."""
    found = source.corresponding_column(column)  # type: ignore[arg-type]
    assert found is not None
    return found


class _Closed(Grouping[bool]):
    """Brackets that stay: the library would put the terms of an ordinary group beside those around it."""

    inherit_cache = True
    operator = None


def _joined(join: Callable[..., ColumnElement[bool]], terms: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
    if len(terms) <= _WIDEST:
        return join(*terms)
    size = -(-len(terms) // _WIDEST)
    groups = [_joined(join, terms[start : start + size]) for start in range(0, len(terms), size)]
    return join(*(_Closed(group) for group in groups))
