"""Operands that no column could hold are compared as exactly as others."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from app.scim.attributes import Attribute
from app.scim.filter.evaluate import View, matches
from app.scim.filter.nodes import Bound, Compare, Not, Op
from app.scim.query import Draft, Query, Resource
from backends.sql.backend import SqlBackend
from tests.support.probe import probe, probed

REGISTRY = probed()
USER = REGISTRY.type("User")
TEXTS = ("a", "ab", "a\ud7ff", "a\ue000", "b", "\U0010ffff", "\U0010ffffz", "\ud7ff\ud7ff")
ODD_TEXTS = ("a\0", "a\0b", "\0", "a\ud800", "a\udfffz", "\ud800", "\U0010ffff", "a\ud7ff", "\U0010ffff\U0010ffff")
NUMBERS = (0, 1, 2, -1, 2**53, 2**63 - 1, -(2**63))
ODD_NUMBERS = (1.5, -0.5, 0.0, 2**53 + 1, 2**63, -(2**63) - 1, 2**70, -(10**400), 10**400, 1e300, math.inf, -math.inf)
ORDER = (Op.EQ, Op.GT, Op.GE, Op.LT, Op.LE)


@pytest.fixture
def store(sql_url: str) -> Iterator[SqlBackend]:
    """Users with and without each of the texts and numbers."""
    backend = SqlBackend(sql_url, REGISTRY)
    backend.create_schema()
    for n, text in enumerate((None, *TEXTS)):
        backend.create("User", Draft({"userName": f"t{n}", **({probe("badgeCode"): text} if text else {})}))
    for n, number in enumerate(NUMBERS):
        kept = {probe("level"): number, probe("ratio"): float(number)}
        backend.create("User", Draft({"userName": f"n{n}", **kept}))
    yield backend
    backend.close()


def _agrees(store: SqlBackend, everyone: tuple[Resource, ...], bound: Bound) -> bool:
    expected = {r.id for r in everyone if matches(bound, View(r))}
    return {r.id for r in store.search("User", Query(frozenset(), bound)).items} == expected


def _attribute(name: str) -> Attribute:
    return USER.slots[probe(name)]


def test_odd_operands_mean_what_the_evaluator_says(store: SqlBackend) -> None:
    """NUL, lone surrogates, fractions of integers and numbers beyond every column: each operator, and its negation."""
    everyone = store.search("User", Query(USER.readable)).items
    asked = [Compare(_attribute("badgeCode"), op, t) for t in ODD_TEXTS for op in (*ORDER, Op.CO, Op.SW, Op.EW)]
    asked += [Compare(_attribute(a), op, n) for a in ("level", "ratio") for n in ODD_NUMBERS for op in ORDER]
    wrong = [bound for test in asked for bound in (test, Not(test)) if not _agrees(store, everyone, bound)]
    assert wrong == []
