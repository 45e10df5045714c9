"""Properties of PATCH over generated operations."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.scim.errors import ScimError
from app.scim.patch.apply import apply
from app.scim.patch.operations import Operation, operations_from
from app.scim.patch.plan import plan
from app.scim.query import Delta, Reference
from tests.core.patch_helpers import ENTERPRISE, GROUP, USER, after

IDS = st.sampled_from("abcdef")
MEMBER_OPS: st.SearchStrategy[tuple[str, list[str]]] = st.one_of(
    st.tuples(st.sampled_from(["add", "remove", "replace"]), st.lists(IDS, max_size=4)),
    st.tuples(st.just("clear"), st.just([])),
    st.tuples(st.just("filter"), st.lists(IDS, min_size=1, max_size=2)),
    st.tuples(st.just("named"), st.lists(IDS, min_size=1, max_size=2)),
)


def member_operation(kind: str, ids: list[str]) -> dict[str, Any]:
    if kind == "clear":
        return {"op": "remove", "path": "members"}
    if kind == "filter":
        return {"op": "remove", "path": "members[" + " or ".join(f'value eq "{i}"' for i in ids) + "]"}
    if kind == "named":
        return {"op": "remove", "path": "members[" + " or ".join(f'value sw "{i}"' for i in ids) + "]"}
    return {"op": kind, "path": "members", "value": [{"value": i} for i in ids]}


def one_by_one(held: frozenset[str], operations: list[tuple[str, list[str]]]) -> frozenset[str]:
    for kind, ids in operations:
        if kind == "add":
            held |= set(ids)
        elif kind == "replace":
            held = frozenset(ids)
        elif kind == "clear":
            held = frozenset()
        else:
            held -= set(ids)
    return held


@settings(max_examples=300, deadline=None)
@given(st.frozensets(IDS), st.lists(MEMBER_OPS, max_size=8))
def test_the_folded_delta_is_the_sequence(held: frozenset[str], operations: list[tuple[str, list[str]]]) -> None:
    made = plan(GROUP, operations_from([member_operation(*o) for o in operations]))
    for name in made.unresolved:
        made = made.resolve(name, (Reference(i, "User") for i in sorted(held)))
    delta = made.deltas.get("members", Delta())
    assert after(delta, held) == one_by_one(held, operations)
    assert not set(delta.add) & set(delta.remove)
    assert len(set(delta.add)) == len(delta.add)


TEXT = st.sampled_from(["", "a", "b", "True", "work", "home", '{"value":"x"}', "\0", "\ud800", "Ünïcode"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.floats(allow_nan=True), TEXT)
NAMES = st.sampled_from(["value", "type", "primary", "display", "$ref", "givenName", "Value", "x", "members", "emails"])
KEYS = st.one_of(NAMES, st.sampled_from(["name.givenName", ENTERPRISE, f"{ENTERPRISE}:manager", "emails[0]", "a.b.c"]))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=6,
)
PATHS = st.one_of(
    st.sampled_from(
        [
            "userName",
            "active",
            "name",
            "name.givenName",
            "emails",
            "emails.type",
            'emails[type eq "work"]',
            'emails[type eq "work"].value',
            'emails[type eq "home" and primary eq true].primary',
            'emails[not (type co "o")].display',
            "roles",
            "manager",
            ENTERPRISE,
            f"{ENTERPRISE}:department",
            "members",
            'members[value eq "a"]',
            "members[display pr].value",
            "displayName",
            "id",
            "meta.created",
            "schemas",
            "groups",
            "password",
            "x509Certificates",
            None,
        ]
    ),
    st.text('[]"().:$ eqandor\\aEMils', max_size=12),
)
OPERATIONS = st.lists(
    st.builds(
        Operation, st.sampled_from(["add", "remove", "replace", "Replace", "move"]), PATHS, VALUES, st.booleans()
    ),
    max_size=5,
)
EMAILS = st.lists(
    st.fixed_dictionaries({"value": st.sampled_from("abc"), "type": st.sampled_from(["work", "home"])}),
    min_size=1,
    max_size=3,
)


def _is_fit_for_a_slot(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_fit_for_a_slot(v) for v in value)
    if isinstance(value, dict):
        return bool(value) and all(_is_fit_for_a_slot(v) for v in value.values())
    return value is not None and value != ""


@settings(max_examples=600, deadline=None)
@given(OPERATIONS, EMAILS, st.sampled_from(["rfc", "entra"]), st.sampled_from([USER, GROUP]))
def test_any_operations_leave_fit_values_or_a_refusal(
    operations: list[Operation], emails: list[dict[str, Any]], dialect: Any, resource_type: Any
) -> None:
    values = {"userName": "mira", "emails": emails} if resource_type is USER else {"displayName": "SG Night Shift"}
    before, sent = copy.deepcopy(values), copy.deepcopy(operations)
    try:
        made = plan(resource_type, operations, dialect=dialect)
        left = apply(made, resource_type, values)
    except ScimError as error:
        assert error.detail
    else:
        assert all(_is_fit_for_a_slot(v) for v in left.values())
        assert resource_type.required_slots <= left.keys()
        for slot in left.keys() & {"emails", "roles"}:
            assert sum(e.get("primary") is True for e in left[slot]) <= 1
        again = apply(made, resource_type, values)
        assert again == left
    assert values == before
    assert repr(operations) == repr(sent)


@settings(max_examples=200, deadline=None)
@given(st.recursive(SCALARS, lambda i: st.lists(i, max_size=3) | st.dictionaries(st.text(max_size=5), i, max_size=3)))
def test_any_body_is_read_or_refused(body: Any) -> None:
    try:
        found = operations_from(body)
    except ScimError as error:
        assert error.detail
    else:
        assert len(found) == len(body)


@settings(max_examples=200, deadline=None)
@given(OPERATIONS, EMAILS)
def test_a_net_change_known_without_reading_is_the_one_made(operations: list[Operation], emails: list[Any]) -> None:
    try:
        made = plan(USER, operations)
    except ScimError:
        return
    if made.blind is None:
        assert made.touches
        return
    values = {"userName": "mira", "emails": emails, "title": "Pilot"}
    expected = {**values, **made.blind}
    assert apply(made, USER, values) == {s: v for s, v in expected.items() if v is not None}
