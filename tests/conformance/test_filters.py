"""Filters, one by one: every leaf with every operator, and the shapes that are easy to get wrong.

What a filter finds is what the evaluator finds in the same resources (RFC 7644 section 3.4.2.2).
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from app.scim.attributes import Type
from app.scim.filter.bind import bind
from app.scim.filter.evaluate import matches
from app.scim.filter.nodes import And, Bound, Compare, Constant, Not, Op, Or, Present, Some
from app.scim.filter.parse import parse_filter
from app.scim.registry import ID
from app.scim.types import comparable
from tests.conformance.helpers import HOSTILE, MANAGER_NAME, MANAGER_REF, attribute_of, found, search
from tests.conformance.population import Population
from tests.support.filters import Leaf, Operand, leaves, operands
from tests.support.stores import Store

HOSTILE_LEAVES = frozenset(
    {
        "User.userName",
        "User.displayName",
        "User.externalId",
        "User.emails.value",
        "User.labels",
        "User.milestones.code",
        "User.manager.displayName",
        "User.profileUrl",
        "Group.displayName",
        "Group.members.display",
        "Group.members.value",
        "User.id",
    }
)


def expected(population: Population, kind: str, filter: Bound) -> set[str]:
    """The ids of those that the evaluator finds."""
    return {view.resource.id for view in population.views[kind] if matches(filter, view)}


def assert_found(population: Population, kind: str, filters: Iterable[Bound]) -> None:
    """Each filter finds what the evaluator finds; all that do not are named."""
    wrong = []
    for each in filters:
        there, wanted = found(population.backend, kind, each), expected(population, kind, each)
        if there != wanted:
            wrong.append(f"{each}: {len(there - wanted)} too many, {len(wanted - there)} missing")
    assert wrong == []


def _grid_operands(leaf: Leaf, population: Population, store: Store) -> list[Operand]:
    """A slow store gets every third hostile operand, and two of the others."""
    few = store.share <= 0.1
    hostile = HOSTILE[:: 3 if few else 1] if str(leaf) in HOSTILE_LEAVES else ()
    pool = operands(leaf, population.views[leaf.kind])
    step = max(1, len(pool) // (2 if few else 5))
    return [*pool[::step], *(comparable(leaf.attribute, text) for text in hostile)]


@pytest.mark.req("P-3.4.2.2-02", "P-3.4.2.2-14", "P-3.4.2.2-15", "P-3.4.2.2-16", "P-3.4.2.2-17", "P-3.4.2.2-31")
def test_each_leaf_with_each_operator(population: Population, leaf: Leaf, store: Store) -> None:
    """Presence and every operator that fits, with operands that are there, nearly there, absent and hostile, find
    what the evaluator finds, and so do their negations."""
    tests: list[Bound] = [Present(leaf.attribute)]
    for operand in _grid_operands(leaf, population, store):
        tests.extend(Compare(leaf.attribute, op, operand) for op in leaf.operators)
    assert_found(population, leaf.kind, [leaf.about(test) for test in tests])
    assert_found(population, leaf.kind, [Not(leaf.about(test)) for test in tests[::4]])
    if leaf.owner is not None:
        assert_found(population, leaf.kind, [leaf.about(Not(test)) for test in tests[::4]])


def test_the_population_is_as_it_was_made(population: Population) -> None:
    """What the filters are tried on has the values it was given, and enough of each for a filter to go wrong on."""
    for kind in ("User", "Group"):
        stored = {v.resource.id: v for v in population.views[kind]}
        drafts = {id: population.drafts[id] for id in stored}
        for id, draft in drafts.items():
            kept = {s: v for s, v in stored[id].resource.values.items() if ":manager." not in s}
            assert kept == dict(draft.values)
            assert {r.id for r in stored[id].relations.get("members", ())} == set(draft.relations.get("members", ()))
    assert len(population.drafts) == sum(map(len, population.views.values())) == 70
    for leaf in leaves(population.registry):
        having = sum(bool(list(leaf.values(v))) for v in population.views[leaf.kind])
        assert having > 2, leaf


@pytest.mark.parametrize("kind", ["User", "Group"])
def test_constants(population: Population, kind: str) -> None:
    """True finds all and false none, alone, negated, and in empty and mixed junctions."""
    yes, no = Constant(True), Constant(False)
    present = Present(attribute_of(population.registry, "displayName", kind))
    everything: list[Bound] = [yes, Not(no), And(()), And((yes, yes)), Or((no, yes)), Not(Or(())), Or((present, yes))]
    nothing: list[Bound] = [no, Not(yes), Or(()), Or((no, no)), And((yes, no)), Not(And(())), And((present, no))]
    assert_found(population, kind, [*everything, *nothing, And((present, yes)), Or((present, no))])
    assert all(len(found(population.backend, kind, f)) == len(population.views[kind]) for f in everything)
    assert not any(found(population.backend, kind, f) for f in nothing)


def test_some_value_against_none(population: Population) -> None:
    """`Some`, its negation, and negation inside are three questions; without any value `Some` is false."""
    filters: list[Bound] = []
    for attribute in population.registry.type("User").attributes:
        if not attribute.multi_valued or attribute.name in ("schemas",):
            continue
        part = attribute.sub("type") or attribute.sub("value") or attribute
        test = Compare(part, Op.EQ, "work") if part.type is Type.STRING else Present(part)
        shapes: list[Bound] = [Constant(True), Constant(False), test, Not(test), And((test, Present(part))), Or(())]
        filters += [s for where in shapes for s in (Some(attribute, where), Not(Some(attribute, where)))]
    assert_found(population, "User", filters)


@pytest.mark.req("S-3.1-04", "S-3.1-10")
def test_common_attributes(population: Population) -> None:
    """id, times and version of each resource find it; an externalId never acts as an id."""
    for kind, views in population.views.items():
        resources = [v.resource for v in views]
        for leaf in leaves(population.registry)[:4]:
            values = [next(iter(leaf.values(v))) for v in views]
            assert_found(
                population, kind, [Compare(leaf.attribute, op, v) for op in leaf.operators for v in values[::7]]
            )
        for resource in resources[::5]:
            assert found(population.backend, kind, Compare(ID, Op.EQ, resource.id)) == {resource.id}
            assert found(population.backend, kind, Compare(ID, Op.EQ, resource.id.swapcase() + "x")) == set()
        externals = {r.values["externalId"] for r in resources if "externalId" in r.values}
        assert externals
        assert not any(found(population.backend, kind, Compare(ID, Op.EQ, e)) for e in externals)


def test_relations(population: Population) -> None:
    """`members` and `groups` are found by id, by display name, by presence, and by two of them at once."""
    for kind, name in (("Group", "members"), ("User", "groups")):
        relation = population.registry.type(kind).relations[name].attribute
        value, display = relation.sub("value"), relation.sub("display")
        assert value is not None
        assert display is not None
        far = sorted({r.id for v in population.views[kind] for r in v.relations[name]})
        by_id = [Some(relation, Compare(value, Op.EQ, id)) for id in (*far, "unknown", "", "'", "%")]
        names = {r.display for v in population.views[kind] for r in v.relations[name] if r.display}
        by_name = [Some(relation, Compare(display, Op.SW, str(comparable(display, n))[:1])) for n in sorted(names)]
        pairs: list[Bound] = [And((a, b)) for a, b in zip(by_id, by_id[3:], strict=False)]
        mixed: list[Bound] = [Some(relation, And((Compare(value, Op.EQ, far[0]), Present(display))))]
        every: list[Bound] = [Some(relation, Constant(True)), Some(relation, Not(Present(display)))]
        both = [*by_id, *by_name, *pairs, *mixed, *every]
        assert_found(population, kind, [*both, *(Not(f) for f in both[::3])])


@pytest.mark.req("S-4.3-04")
def test_derived_slots(population: Population) -> None:
    """`manager.displayName` and `manager.$ref` are asked about as they are at the moment; absent for a dangling one."""
    slots = population.registry.type("User").lookups
    name, reference = slots[MANAGER_NAME].attribute, slots[MANAGER_REF].attribute
    held = {v.resource.values[MANAGER_NAME] for v in population.views["User"] if MANAGER_NAME in v.resource.values}
    assert held
    tests: list[Bound] = [Present(name), Present(reference)]
    tests += [Compare(name, op, str(comparable(name, h))) for h in held for op in (Op.EQ, Op.CO, Op.GT)]
    assert_found(population, "User", [*tests, *(Not(t) for t in tests)])


@pytest.mark.parametrize("size", [300])
def test_long_junctions(population: Population, size: int) -> None:
    """Hundreds of terms in one Or or And are answered exactly."""
    registry = population.registry
    name, emails, value = (attribute_of(registry, p) for p in ("userName", "emails", "emails.value"))
    names = [str(comparable(name, v.resource.values["userName"])) for v in population.views["User"]]
    asked = [*names[::2], *(f"nobody{n}" for n in range(size - len(names[::2])))]
    either = Or(tuple(Compare(name, Op.EQ, a) for a in asked))
    mails = Or(tuple(Some(emails, Compare(value, Op.SW, f"{chr(97 + n % 26)}{n}")) for n in range(size)))
    none = And(tuple(Not(Compare(name, Op.EQ, a)) for a in asked))
    ids = Or(tuple(Compare(ID, Op.EQ, v.resource.id) for v in population.views["User"]) * 5)
    mixed = Or((Compare(name, Op.CO, "bob"), *(Compare(name, Op.EQ, a) for a in asked)))
    assert_found(population, "User", [either, mails, none, ids, mixed])


def test_deep_trees(population: Population) -> None:
    """Fifty levels of Not, And and Or are answered exactly."""
    active, name = attribute_of(population.registry, "active"), attribute_of(population.registry, "displayName")
    tree: Bound = Compare(active, Op.EQ, True)
    trees = []
    for n in range(50):
        other = Compare(name, Op.GT, chr(33 + n * 2))
        tree = (Not(tree), And((tree, Not(other))), Or((tree, other)))[n % 3]
        trees.append(tree)
    assert_found(population, "User", trees[::7] + trees[-1:])


@pytest.mark.parametrize(
    "text",
    [
        'userName sw "ANN" and not (emails pr)',
        'emails[type eq "work" and value co "A"] or phoneNumbers[not (primary eq true)]',
        'emails[type eq "work"].value co "a"',
        "emails eq null and name pr",
        'name.familyName ne "alpha" and groups pr',
        'groups.display co "team" or not (groups[type eq "direct"])',
        'schemas eq "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"',
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.displayName pr",
        'meta.created gt "2000-01-01T00:00:00Z" and meta.resourceType eq "User"',
        "emails.primary eq false",
        'title eq "%" or title co "_" or title ew "\\\\"',
        'unknownAttribute ne "x" and userName pr',
    ],
)
def test_filter_text(population: Population, text: str) -> None:
    """A filter in a client's words finds what the evaluator finds."""
    filter = bind(parse_filter(text), population.registry.type("User"))
    assert_found(population, "User", [filter, Not(filter)])


def test_items_of_a_filtered_search(population: Population) -> None:
    """The items of a search carry the wanted slots, times and stamps of their resources."""
    title = attribute_of(population.registry, "title")
    want = frozenset({"title", "emails", MANAGER_NAME})
    items, total = search(population.backend, "User", Present(title), want=want)
    stored = {v.resource.id: v.resource for v in population.views["User"]}
    assert total == len(items) > 5
    for item in items:
        resource = stored[item.id]
        assert (item.created, item.stamp, item.kind) == (resource.created, resource.stamp, "User")
        assert dict(item.values) == {s: v for s, v in resource.values.items() if s in want}
