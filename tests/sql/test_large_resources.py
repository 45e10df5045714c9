"""Resources with much in them: all of it comes back, or what is too much is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.scim.query import Change, Draft, Query
from app.scim.registry import Extension, Registry, Schema
from backends.errors import RejectedValue
from backends.sql.backend import SqlBackend

MANY = "urn:example:params:scim:schemas:extension:many:2.0:User"
PARTS = 130
MIB = 2**20


def test_more_columns_than_a_function_takes(sql_url: str, registry: Registry) -> None:
    """More attributes, and more sub-attributes of a multi-valued one, than databases take arguments come back."""
    names = [f"part{n}" for n in range(PARTS)]
    attributes: list[dict[str, Any]] = [{"name": name, "type": "integer"} for name in names]
    lists = {"name": "sets", "type": "complex", "multiValued": True, "subAttributes": attributes}
    schema = Schema.parse({"id": MANY, "name": "Many", "attributes": [*attributes, lists]}, extension=True)
    user = registry.type("User")
    wide = replace(user, extensions=(*user.extensions, Extension(schema, required=False)))
    backend = SqlBackend(sql_url, replace(registry, types=(wide, registry.type("Group"))))
    backend.create_schema()
    sets = [{name: n for n, name in enumerate(names) if n % 2}, {names[-1]: 2**63 - 1}, {names[0]: -(2**63)}]
    values = {"userName": "ann", **{f"{MANY}:{name}": n for n, name in enumerate(names)}, f"{MANY}:sets": sets}
    id = backend.create("User", Draft(values)).id
    assert backend.get("User", id, frozenset(values)).values == values
    assert [item.values for item in backend.search("User", Query(frozenset(values))).items] == [values]
    backend.close()


@pytest.mark.parametrize(
    "change",
    [
        {"x509Certificates": [{"value": letter * 5 * MIB} for letter in "abcd"]},
        {"emails": [{"value": "ann@corp.example", "display": "\x01" * 5 * MIB}]},
        {"profileUrl": "p" * 9 * MIB, "userType": "\x01" * 3 * MIB},
    ],
    ids=["together", "in one", "singular"],
)
def test_what_could_not_be_read_again_is_refused(backend: SqlBackend, change: dict[str, Any]) -> None:
    """A resource that the database could not give back is not written, and so harms no page."""
    want = frozenset({"userName", *change})
    id = backend.create("User", Draft({"userName": "ann"})).id
    before = backend.get("User", id, want)
    try:
        backend.update("User", id, Change(change))
    except RejectedValue:
        assert backend.get("User", id, want) == before
    else:
        assert backend.get("User", id, want).values == {"userName": "ann", **change}
    assert [item.id for item in backend.search("User", Query(want)).items] == [id]
