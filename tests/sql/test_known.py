"""Whether anyone is known by a name is one statement, and right for every name that a store can hold."""

from __future__ import annotations

import pytest

from app.scim.query import Change, Draft
from backends.sql.backend import SqlBackend
from tests.sql.watching import Watch

ADDRESS = {"emails": [{"value": "Ann.Straße@Corp.example", "type": "home"}]}


@pytest.mark.parametrize("name", ["Ann.Straße@Corp.example", "ann.STRASSE@corp.EXAMPLE"])
def test_an_address(backend: SqlBackend, name: str) -> None:
    """Of those who are there, and of those who are retired."""
    id = backend.create("User", Draft({"userName": "ann", **ADDRESS})).id
    assert backend.knows("User", ["nobody@corp.example", name])
    backend.retire("User", id)
    assert backend.knows("User", [name])
    backend.purge("User", id)
    assert not backend.knows("User", [name])


def test_a_user_name_counts_of_the_retired_alone(backend: SqlBackend) -> None:
    id = backend.create("User", Draft({"userName": "Ann"})).id
    assert not backend.knows("User", ["ann"])
    backend.retire("User", id)
    assert backend.knows("User", ["ANN"])
    assert not backend.knows("Group", ["ann"])
    backend.restore("User", id, Change())
    assert not backend.knows("User", ["ann"])


@pytest.mark.parametrize("name", ["", "%", "nobody' OR 1=1 --", "a\0b", "\ud800", "x" * 5000])
def test_nobody(backend: SqlBackend, name: str) -> None:
    backend.retire("User", backend.create("User", Draft({"userName": "ann", **ADDRESS})).id)
    assert not backend.knows("User", [name])


def test_one_statement(backend: SqlBackend, watch: Watch) -> None:
    names = [f"{n}@corp.example" for n in range(200)]
    assert len(watch.sent(lambda: backend.knows("User", names))) == 1
