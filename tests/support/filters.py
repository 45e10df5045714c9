"""Filters made from a resource type and from the values that are there: every leaf, bound trees and filter text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from hypothesis import strategies as st

from app.scim.attributes import Attribute, Type
from app.scim.filter.evaluate import View, reference_element
from app.scim.filter.nodes import And, Bound, Compare, Constant, Not, Op, Or, Present, Some
from app.scim.registry import ID, META_CREATED, META_LAST_MODIFIED, META_VERSION, Registry, ResourceType
from app.scim.types import comparable, format_instant

T = TypeVar("T")
Operand = str | bool | int | float

_EQUAL = (Op.EQ,)
_PARTS = (Op.CO, Op.SW, Op.EW)
_ORDER = (Op.GT, Op.GE, Op.LT, Op.LE)
_OPERATORS: Mapping[Type, tuple[Op, ...]] = {
    Type.STRING: (*_EQUAL, *_PARTS, *_ORDER),
    Type.BOOLEAN: _EQUAL,
    Type.INTEGER: (*_EQUAL, *_ORDER),
    Type.DECIMAL: (*_EQUAL, *_ORDER),
    Type.DATE_TIME: (*_EQUAL, *_ORDER),
    Type.BINARY: _EQUAL,
    Type.REFERENCE: (*_EQUAL, *_PARTS),
}
_ABSENT: Mapping[Type, tuple[Any, ...]] = {
    Type.STRING: ("", "absent", "~", "Ångström", "\U0010ffff"),
    Type.BOOLEAN: (True, False),
    Type.INTEGER: (4, -(2**63), 2**53, 1.5, 1e300),
    Type.DECIMAL: (0, 0.3, -7, 2**53 + 1, 1e300),
    Type.DATE_TIME: ("2011-05-13T04:42:34.5Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"),
    Type.BINARY: ("YWJk",),
    Type.REFERENCE: ("", "https://", "HTTPS://A.EXAMPLE/PATH"),
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """Something that a filter can ask about: `attribute`, or that part of each value of `owner`."""

    kind: str
    attribute: Attribute
    owner: Attribute | None = None

    def __str__(self) -> str:
        path = self.attribute.path.rpartition(":")[2]
        return f"{self.kind}.{path}"

    @property
    def operators(self) -> tuple[Op, ...]:
        """The operators that bound filters apply to the leaf."""
        return _EQUAL if self.attribute is META_VERSION else _OPERATORS[self.attribute.type]

    def about(self, test: Bound) -> Bound:
        """A test of the attribute as a filter on resources."""
        return test if self.owner is None else Some(self.owner, test)

    def values(self, view: View) -> Iterable[Any]:
        """The comparison forms of what a resource has there."""
        if self.owner is None:
            return _single(self.attribute, view)
        if self.owner.name in view.relations:
            elements: Iterable[Any] = [reference_element(self.owner, r) for r in view.relations[self.owner.name]]
        else:
            elements = view.resource.values.get(self.owner.path, ())
        simple = self.owner is self.attribute
        found = [e if simple else e.get(self.attribute.name) for e in elements]
        return [comparable(self.attribute, v) for v in found if v is not None]


def _single(attribute: Attribute, view: View) -> list[Any]:
    resource = view.resource
    common = {
        ID: resource.id,
        META_CREATED: format_instant(resource.created),
        META_LAST_MODIFIED: format_instant(resource.stamp.modified),
        META_VERSION: resource.stamp.version,
    }
    if attribute in common:
        return [common[attribute]]
    value = resource.values.get(attribute.path)
    return [] if value is None else [comparable(attribute, value)]


def leaves(registry: Registry) -> list[Leaf]:
    """Everything that a bound filter can compare, of every resource type."""
    return [leaf for t in registry.types for leaf in _leaves(t)]


def _leaves(resource_type: ResourceType) -> Iterator[Leaf]:
    for common in (ID, META_CREATED, META_LAST_MODIFIED, META_VERSION):
        yield Leaf(resource_type.name, common)
    derived = [lookup.attribute for lookup in resource_type.lookups.values() if lookup.source != "id"]
    related = [relation.attribute for relation in resource_type.relations.values()]
    stored = [a for slot, a in resource_type.slots.items() if slot in resource_type.readable]
    for attribute in (*stored, *derived, *related):
        if not attribute.multi_valued:
            yield Leaf(resource_type.name, attribute)
        for part in attribute.sub_attributes or (attribute,) if attribute.multi_valued else ():
            if not part.refers_to_resources:
                yield Leaf(resource_type.name, part, attribute)


def operands(leaf: Leaf, views: Sequence[View], extra: Iterable[Operand] = ()) -> list[Operand]:
    """Operands in comparison form: values that are there, their parts, near misses, and `extra`."""
    there = sorted({v for view in views for v in leaf.values(view)}, key=lambda v: (str(type(v)), v))
    near: list[Operand] = [*_ABSENT[leaf.attribute.type], *extra]
    made = {str(v): v for v in (comparable(leaf.attribute, v) for v in near)}
    made.update((str(v), v) for v in there)
    if leaf.attribute.type in (Type.STRING, Type.REFERENCE):
        made.update((part, part) for v in there for part in (v[:2], v[-2:], v[1:-1], v + "x", v.swapcase()) if part)
    return list(made.values())


Pools = Mapping[Leaf, Sequence[Operand]]


def pools(registry: Registry, kind: str, views: Sequence[View], extra: Iterable[Operand]) -> Pools:
    """For each leaf of a kind the operands to draw from; `extra` text goes to those that hold text."""
    texts = list(extra)
    return {
        leaf: operands(leaf, views, texts if leaf.attribute.type is Type.STRING else ())
        for leaf in leaves(registry)
        if leaf.kind == kind
    }


def bound_filters(choices: Pools) -> st.SearchStrategy[Bound]:
    """Bound filters of any shape over those leaves."""
    single = [leaf for leaf in choices if leaf.owner is None]
    owners: dict[Attribute, list[Leaf]] = {}
    for leaf in choices:
        if leaf.owner is not None:
            owners.setdefault(leaf.owner, []).append(leaf)
    values = [
        _trees(_tests(parts, choices), 4).map(partial(Some, owner))
        for owner, parts in sorted(owners.items(), key=lambda item: item[0].path)
    ]
    return _trees(st.one_of(_tests(single, choices), _any_of(values)), 10)


def _tests(among: Sequence[Leaf], choices: Pools) -> st.SearchStrategy[Bound]:
    compared = _any_of(
        [
            st.builds(
                Compare,
                st.just(leaf.attribute),
                st.sampled_from(leaf.operators),
                st.sampled_from(choices[leaf]),
            )
            for leaf in among
        ]
    )
    rare = st.sampled_from([*(Present(leaf.attribute) for leaf in among), Constant(True), Constant(False)])
    return st.one_of(compared, compared, compared, rare)


def _any_of(made: Sequence[st.SearchStrategy[T]]) -> st.SearchStrategy[T]:
    """One of many strategies that exist already: `one_of` would try the first ones most."""
    return st.sampled_from(range(len(made))).flatmap(made.__getitem__)


def _trees(tests: st.SearchStrategy[Bound], most: int) -> st.SearchStrategy[Bound]:
    def extend(inner: st.SearchStrategy[Bound]) -> st.SearchStrategy[Bound]:
        several = st.lists(inner, min_size=1, max_size=3).map(tuple)
        return st.one_of(st.builds(Not, inner), st.builds(And, several), st.builds(Or, several))

    return st.recursive(tests, extend, max_leaves=most)


def filter_texts(choices: Pools) -> st.SearchStrategy[str]:
    """Filters as clients write them: in the grammar of RFC 7644 Figure 1, within the operators that fit each type."""
    plain = [leaf for leaf in choices if leaf.attribute is not META_VERSION]
    owned = [leaf for leaf in plain if leaf.owner is not None and leaf.owner is not leaf.attribute]

    def expression(leaf: Leaf, path: str) -> st.SearchStrategy[str]:
        tests = [st.just(f"{path} pr")]
        if leaf.attribute.name != "id" and not leaf.attribute.path.startswith("meta."):
            tests.append(st.sampled_from((f"{path} eq null", f"{path} ne null")))
        operators = st.sampled_from((*leaf.operators, Op.NE))
        values = st.sampled_from(choices[leaf]).map(json.dumps)
        compared = st.tuples(operators, values).map(lambda t: f"{path} {t[0].value.title()} {t[1]}")
        return st.one_of(compared, compared, *tests)

    def bracketed(leaf: Leaf) -> st.SearchStrategy[str]:
        assert leaf.owner is not None
        owner = leaf.owner
        inner = _any_of([expression(o, o.attribute.name) for o in owned if o.owner is owner])
        return _combined(inner, 3).map(lambda text: f"{owner.path}[{text}]")

    single = _any_of([expression(leaf, leaf.attribute.path) for leaf in plain])
    values = _any_of([bracketed(leaf) for leaf in owned])
    return _combined(st.one_of(single, values), 5)


def _combined(tests: st.SearchStrategy[str], most: int) -> st.SearchStrategy[str]:
    def extend(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        pair = st.tuples(inner, st.sampled_from(("and", "or", "AND", "Or")), inner)
        return st.one_of(
            inner.map(lambda text: f"not ({text})"),
            pair.map(" ".join),
            pair.map(lambda parts: f"({' '.join(parts)})"),
        )

    return st.recursive(tests, extend, max_leaves=most)
