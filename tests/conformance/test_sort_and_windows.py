"""Order and windows of results: the whole is sorted, then cut (RFC 7644 sections 3.4.2.3 and 3.4.2.4)."""

from __future__ import annotations

from functools import partial

import pytest

from app.scim.attributes import Type
from app.scim.filter.evaluate import matches
from app.scim.filter.nodes import Bound, Compare, Not, Op, Present
from app.scim.query import Draft, Query, Sort
from app.scim.registry import META_VERSION, Registry
from backends.base import Backend, Capability
from tests.conformance.helpers import attribute_of, search, user
from tests.conformance.population import Population
from tests.support.filters import Leaf, leaves
from tests.support.reference import order_key

SORTED = pytest.mark.needs(Capability.SORT)


def _sorts(registry: Registry, kind: str) -> list[Sort]:
    """Each order that can be asked for, one way."""
    relations = {relation.attribute for relation in registry.type(kind).relations.values()}
    return [
        Sort(leaf.attribute, leaf.owner)
        for leaf in leaves(registry)
        if leaf.kind == kind and leaf.owner not in relations and _has_order(leaf)
    ]


def _has_order(leaf: Leaf) -> bool:
    return leaf.attribute.type is not Type.BINARY and leaf.attribute is not META_VERSION


@SORTED
@pytest.mark.req("P-3.4.2.3-02", "P-3.4.2.3-03", "P-3.4.2.3-04", "P-3.4.2.3-05", "P-3.4.2.3-06")
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("kind", ["User", "Group"])
def test_each_leaf_as_order(population: Population, kind: str, descending: bool) -> None:
    """Every attribute orders the whole result by its comparison form, by the primary value where there are several;
    who has none comes last, and first when descending."""
    views = {v.resource.id: v for v in population.views[kind]}
    for each in _sorts(population.registry, kind):
        sort = Sort(each.attribute, each.within, descending)
        items, total = search(population.backend, kind, sort=sort)
        keys = [order_key(sort, views[item.id]) for item in items]
        assert keys == sorted(keys, reverse=descending), sort
        assert total == len(items) == len(views)
        assert {item.id for item in items} == set(views)


@SORTED
@pytest.mark.req("P-3.4.2.3-07", "P-3.4.2-08")
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("path", ["userName", "active", "title", "emails.value", "meta.created"])
def test_sorted_windows_make_the_whole(population: Population, path: str, descending: bool) -> None:
    """Windows that follow each other hold the sorted result, each resource once, though many have equal keys."""
    leaf = next(i for i in leaves(population.registry) if i.kind == "User" and i.attribute.path == path)
    sort = Sort(leaf.attribute, leaf.owner, descending)
    whole, total = search(population.backend, "User", sort=sort)
    for size in (1, 7, 59, 60, 61):
        pages = [
            search(population.backend, "User", sort=sort, start=start, count=size)
            for start in range(1, total + 1, size)
        ]
        assert [item.id for items, _ in pages for item in items] == [item.id for item in whole]
        assert {page_total for _, page_total in pages} == {total}


@pytest.mark.req("P-3.4.2-04", "P-3.4.2-08", "P-3.4.2.4-02")
@pytest.mark.parametrize("kind", ["User", "Group"])
def test_unsorted_windows_make_the_whole(population: Population, kind: str) -> None:
    """Without an order the windows still hold each resource once, in an order that is the same every time."""
    whole, total = search(population.backend, kind)
    assert search(population.backend, kind) == (whole, total)
    for size in (1, 3, 9, 10, 11, 1000):
        items = [
            item
            for start in range(1, total + 1, size)
            for item in search(population.backend, kind, start=start, count=size)[0]
        ]
        assert items == whole


@SORTED
@pytest.mark.req("P-3.4.2.3-07", "P-3.4.2-04")
def test_filter_order_and_window_together(population: Population) -> None:
    """A window of a filtered and sorted result is a part of what the evaluator finds, in order; total counts all."""
    name = attribute_of(population.registry, "userName")
    active = attribute_of(population.registry, "active")
    filters: list[Bound] = [Compare(active, Op.EQ, True), Not(Present(active)), Compare(name, Op.CO, "b")]
    for each in filters:
        matching = [v for v in population.views["User"] if matches(each, v)]
        assert len(matching) > 5
        for descending in (False, True):
            sort = Sort(name, None, descending)
            matching.sort(key=partial(order_key, sort), reverse=descending)
            items, total = search(population.backend, "User", each, sort=sort, start=3, count=4)
            assert [item.id for item in items] == [v.resource.id for v in matching[2:6]]
            assert total == len(matching)


@pytest.mark.req("P-3.4.2.4-03", "P-3.4.2.4-06")
def test_windows_beyond_the_result(population: Population) -> None:
    """A window past the end, however far, and one of no length are empty; the total stays."""
    backend = population.backend
    for start in (61, 62, 10**6, 2**31, 2**63, 10**30):
        assert search(backend, "User", start=start, count=10) == ([], 60)
    for start in (1, 30, 61, 10**30):
        assert search(backend, "User", start=start, count=0) == ([], 60)
    assert len(search(backend, "User", start=60, count=10)[0]) == 1
    assert len(search(backend, "User", start=1, count=10**30)[0]) == 60


@pytest.mark.req("P-3.4.2-02")
def test_an_empty_store_has_empty_windows(backend: Backend, registry: Registry) -> None:
    """With no resource, or none that matches, total is 0 and there are no items."""
    name = attribute_of(registry, "userName")
    assert search(backend, "User") == search(backend, "Group") == ([], 0)
    backend.create("User", user("ann"))
    for count in (0, 1, 100):
        assert search(backend, "User", Compare(name, Op.EQ, "bob"), count=count) == ([], 0)
    assert backend.search("User", Query(frozenset())).total == 1


@SORTED
@pytest.mark.req("P-3.4.2.3-03")
def test_the_primary_value_decides(backend: Backend, registry: Registry) -> None:
    """With several values order goes by the primary one, else by the first; a primary value without the part asked
    for counts as none."""
    emails = {
        "c": [{"value": "1@a"}, {"value": "3@a", "primary": True}],
        "b": [{"value": "2@a"}, {"value": "0@a"}],
        "a": [{"value": "1@a", "primary": False}, {"value": "9@a"}],
        "d": [{"value": "4@a", "primary": True}, {"value": "0@a"}],
        "e": [{"value": "0@a"}, {"type": "work", "primary": True}],
    }
    ids = {backend.create("User", user(n, emails=values)).id: n for n, values in emails.items()}
    ids[backend.create("User", user("f")).id] = "f"
    value, within = attribute_of(registry, "emails.value"), attribute_of(registry, "emails")
    up = [ids[i.id] for i in search(backend, "User", sort=Sort(value, within))[0]]
    down = [ids[i.id] for i in search(backend, "User", sort=Sort(value, within, descending=True))[0]]
    assert up[:4] == ["a", "b", "c", "d"]
    assert down[2:] == ["d", "c", "b", "a"]
    assert set(up[4:]) == set(down[:2]) == {"e", "f"}


@SORTED
@pytest.mark.req("P-3.4.2.3-06")
def test_case_counts_only_where_it_does(backend: Backend, registry: Registry) -> None:
    """displayName is ordered without case, externalId by code points."""
    for n, text in enumerate(("b", "A", "C", "a", "B", "_", "é", "É", "z")):
        backend.create("User", Draft({"userName": f"u{n}", "displayName": text, "externalId": text}))
    for slot, wanted in (("externalId", "ABC_abzÉé"), ("displayName", "_aabbczéé")):
        sort = Sort(attribute_of(registry, slot))
        texts = [i.values[slot] for i in search(backend, "User", sort=sort, want=frozenset({slot}))[0]]
        assert "".join(texts if slot == "externalId" else [t.lower() for t in texts]) == wanted
