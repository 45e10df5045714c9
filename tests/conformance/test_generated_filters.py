"""Filters that nobody thought of: generated ones find what the evaluator finds.

LANDFALL_FILTER_EXAMPLES is their number (1000); the choice is the same in every run.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.scim.filter.bind import bind
from app.scim.filter.evaluate import matches
from app.scim.filter.nodes import Bound
from app.scim.filter.parse import parse_filter
from tests.conformance.helpers import HOSTILE, found
from tests.conformance.population import Population
from tests.support.filters import bound_filters, filter_texts, pools
from tests.support.stores import Store

EXAMPLES = int(os.environ.get("LANDFALL_FILTER_EXAMPLES", "1000"))
SETTINGS = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


def _strategies(population: Population, kind: str) -> tuple[st.SearchStrategy[Bound], st.SearchStrategy[str]]:
    choices = pools(population.registry, kind, population.views[kind], HOSTILE)
    return bound_filters(choices), filter_texts(choices)


def _assert_found(population: Population, kind: str, filter: Bound) -> None:
    wanted = {view.resource.id for view in population.views[kind] if matches(filter, view)}
    assert found(population.backend, kind, filter) == wanted


@pytest.mark.req("P-3.4.2.2-02", "P-3.4.2.2-31")
@pytest.mark.parametrize(("kind", "share"), [("User", 0.7), ("Group", 0.3)])
def test_bound_filters(population: Population, store: Store, kind: str, share: float) -> None:
    """Trees of any leaves, junctions and negations find exactly what the evaluator finds."""
    bounds, _ = _strategies(population, kind)

    @settings(SETTINGS, max_examples=max(1, round(EXAMPLES * store.filters * share)))
    @given(bounds)
    def check(filter: Bound) -> None:
        _assert_found(population, kind, filter)

    check()


@pytest.mark.req("P-3.4.2.2-02", "P-3.4.2.2-12")
@pytest.mark.parametrize("kind", ["User", "Group"])
def test_filter_texts(population: Population, store: Store, kind: str) -> None:
    """Filters in the RFC's grammar, parsed and bound, find exactly what the evaluator finds."""
    _, texts = _strategies(population, kind)
    resource_type = population.registry.type(kind)

    @settings(SETTINGS, max_examples=max(1, round(EXAMPLES * store.filters / 10)))
    @given(texts)
    def check(text: str) -> None:
        _assert_found(population, kind, bind(parse_filter(text), resource_type))

    check()
