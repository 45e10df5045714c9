"""What filters mean, on a few resources made for each question (RFC 7644 section 3.4.2.2)."""

from __future__ import annotations

from itertools import cycle

import pytest

from app.scim.filter.nodes import And, Compare, Constant, Not, Op, Or, Present, Some
from app.scim.query import Draft
from app.scim.registry import Registry
from app.scim.types import comparable
from backends.base import Backend
from tests.conformance.helpers import HOSTILE, attribute_of, found, group, user, users
from tests.support.filters import leaves, operands
from tests.support.probe import probe


@pytest.mark.req("P-3.4.2.2-22")
def test_leaves_in_brackets_meet_one_value(backend: Backend, registry: Registry) -> None:
    """Both halves inside brackets hold for one and the same value; outside each may hold for another."""
    emails, value, kind = (attribute_of(registry, p) for p in ("emails", "emails.value", "emails.type"))
    one = backend.create("User", user("one", emails=[{"value": "x@a", "type": "work"}, {"value": "y@a"}]))
    two = backend.create(
        "User", user("two", emails=[{"value": "x@a", "type": "home"}, {"value": "y@a", "type": "work"}])
    )
    is_x, is_work = Compare(value, Op.EQ, "x@a"), Compare(kind, Op.EQ, "work")
    assert found(backend, "User", Some(emails, And((is_x, is_work)))) == {one.id}
    assert found(backend, "User", And((Some(emails, is_x), Some(emails, is_work)))) == {one.id, two.id}
    assert found(backend, "User", Some(emails, And((is_x, Not(is_work))))) == {two.id}
    assert found(backend, "User", Some(emails, Not(Or((is_x, Present(kind)))))) == {one.id}
    assert found(backend, "User", Not(Some(emails, Not(Present(kind))))) == {two.id}


@pytest.mark.req("P-3.4.2.2-26")
def test_absent_values_compare_false(backend: Backend, registry: Registry) -> None:
    """No comparison holds for an absent value, and the negation of each does."""
    bare = backend.create("User", user("bare"))
    for leaf in leaves(registry):
        if leaf.kind != "User" or leaf.attribute.path in ("id", "userName") or leaf.attribute.path.startswith("meta."):
            continue
        chosen = zip(leaf.operators, cycle(operands(leaf, ())), strict=False)
        tests = [leaf.about(Compare(leaf.attribute, op, operand)) for op, operand in chosen]
        assert found(backend, "User", Or(tuple(tests))) == set(), leaf
        assert found(backend, "User", And(tuple(Not(test) for test in tests))) == {bare.id}, leaf


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_only_text(backend: Backend, registry: Registry, text: str) -> None:
    """Wildcards, quotes and escapes are found as what they are by every operator, and match nothing else."""
    name, emails, value = (attribute_of(registry, p) for p in ("displayName", "emails", "emails.value"))
    emailed = [{"value": f"<{text}>"}]
    it = backend.create("User", user("it", displayName=f"<{text}>", emails=emailed))
    backend.create("User", user("other", displayName="<xyz>", emails=[{"value": "<xyz>"}]))
    folded = str(comparable(name, text))
    operand = {Op.EQ: f"<{folded}>", Op.SW: f"<{folded}", Op.EW: f"{folded}>", Op.CO: folded}
    for op, wanted in operand.items():
        assert found(backend, "User", Compare(name, op, wanted)) == {it.id}
        assert found(backend, "User", Some(emails, Compare(value, op, wanted))) == {it.id}


@pytest.mark.req("P-3.4.2.2-20")
@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("ALPHA", "alpha"),
        ("e\u0301", "é"),
        ("ＡＢＣ", "abc"),
        ("Straße", "strasse"),
        ("ΣΊΣΥΦΟΣ", "σίσυφοσ"),
        ("İ", "i\u0307"),
        ("ſ", "s"),
        ("ﬁ", "fi"),
        ("\u212a", "k"),
        ("ÅÄÖ", "åäö"),
    ],
)
def test_case_and_forms_do_not_matter(backend: Backend, registry: Registry, stored: str, asked: str) -> None:
    """Where case does not count, strings are found by their folded form; where it counts, only exactly."""
    ann = backend.create("User", user("ann", displayName=stored, externalId=stored, emails=[{"value": stored}]))
    name, external, emails, value = (
        attribute_of(registry, p) for p in ("displayName", "externalId", "emails", "emails.value")
    )
    for op in (Op.EQ, Op.CO, Op.SW, Op.EW):
        assert found(backend, "User", Compare(name, op, asked)) == {ann.id}
        assert found(backend, "User", Some(emails, Compare(value, op, asked))) == {ann.id}
        assert found(backend, "User", Compare(external, op, asked)) == set()
        assert found(backend, "User", Compare(external, op, stored)) == {ann.id}


def test_accents_and_blanks_matter(backend: Backend, registry: Registry) -> None:
    """An accent, a blank at the end and an invisible character make another string, with and without case."""
    name, external = attribute_of(registry, "displayName"), attribute_of(registry, "externalId")
    texts = ("e", "é", "e ", " e", "e\u200b", "e\t", "ee")
    ids = {t: backend.create("User", user(f"u{n}", displayName=t, externalId=t)).id for n, t in enumerate(texts)}
    for text in texts:
        for attribute in (name, external):
            assert found(backend, "User", Compare(attribute, Op.EQ, text)) == {ids[text]}
            for op, test in ((Op.SW, str.startswith), (Op.EW, str.endswith)):
                assert found(backend, "User", Compare(attribute, op, text)) == {
                    i for t, i in ids.items() if test(t, text)
                }


def test_order_is_by_code_point(backend: Backend, registry: Registry) -> None:
    """`gt`, `ge`, `lt` and `le` order text by code points of the comparison form, beyond the first plane too."""
    texts = ("", "\t", " ", "!", "10", "9", "Z", "_", "a", "a ", "ab", "é", "ﬀ", "山", "\ue000", "\uffee", "\U0001f600")
    external, name = attribute_of(registry, "externalId"), attribute_of(registry, "displayName")
    ids = {t: backend.create("User", user(f"u{n}", externalId=t, displayName=t)).id for n, t in enumerate(texts) if t}
    for attribute in (external, name):
        forms = {id: str(comparable(attribute, t)) for t, id in ids.items()}
        for text in texts:
            asked = str(comparable(attribute, text))
            for op, holds in ((Op.GT, str.__gt__), (Op.GE, str.__ge__), (Op.LT, str.__lt__), (Op.LE, str.__le__)):
                wanted = {id for id, form in forms.items() if holds(form, asked)}
                assert found(backend, "User", Compare(attribute, op, asked)) == wanted, (op, text)


@pytest.mark.req("S-2.3.5-02")
def test_times_are_instants(backend: Backend, registry: Registry) -> None:
    """dateTimes written with other offsets and fractions are equal when they are one instant, else ordered by time."""
    slot = probe("hired")
    if slot not in registry.type("User").slots:
        return
    attribute = registry.type("User").slots[slot]
    texts = (
        "2024-01-01T00:00:00Z",
        "2024-01-01T01:30:00+01:30",
        "2023-12-31T23:59:59.999999Z",
        "2024-01-01T00:00:00-00:01",
    )
    ids = [backend.create("User", Draft({"userName": f"u{n}", slot: t})).id for n, t in enumerate(texts)]
    moment = "2024-01-01T00:00:00.000000Z"
    assert found(backend, "User", Compare(attribute, Op.EQ, moment)) == {ids[0], ids[1]}
    assert found(backend, "User", Compare(attribute, Op.LT, moment)) == {ids[2]}
    assert found(backend, "User", Compare(attribute, Op.GT, moment)) == {ids[3]}
    assert found(backend, "User", Compare(attribute, Op.LE, moment)) == {ids[0], ids[1], ids[2]}


def test_a_filter_sees_the_store_as_it_is(backend: Backend, registry: Registry) -> None:
    """What was written before a search is found by it, by its new value and not by the old one."""
    ann, bob = users(backend, 2)
    members = registry.type("Group").relations["members"].attribute
    value = members.sub("value")
    assert value is not None
    team = backend.create("Group", group("Team", [ann]))
    assert found(backend, "Group", Some(members, Compare(value, Op.EQ, ann.id))) == {team.id}
    backend.delete("User", ann.id)
    assert found(backend, "Group", Some(members, Compare(value, Op.EQ, ann.id))) == set()
    assert found(backend, "Group", Not(Some(members, Constant(True)))) == {team.id}
    assert found(backend, "User", None) == {bob.id}
