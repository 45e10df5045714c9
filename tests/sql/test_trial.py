"""A trial: what the database would be sent, as statements that do it, and nothing of it stays."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from app.scim.query import Change, Delta, Draft, Query, Resource, Window
from app.scim.registry import Registry
from backends.base import Backend
from backends.errors import Duplicate, NotFound, Unavailable
from backends.sql.backend import SqlBackend
from tests.conformance.helpers import VERBATIM, group, members, state, user, users
from tests.sql.watching import Watch
from tests.support.values import full_user

WANT = frozenset({"userName", "displayName", "externalId", "emails"})


def run(backend: SqlBackend, statements: list[str]) -> None:
    """Run statements as they are, without parameters, through the driver itself."""
    connection = backend.engine.raw_connection()
    try:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()
    finally:
        connection.close()


def everyone(backend: Backend) -> list[Resource]:
    """All users, with what text they have."""
    return list(backend.search("User", Query(WANT, window=Window(1, 1000))).items)


def test_statements_do_what_was_tried(backend: SqlBackend, registry: Registry) -> None:
    """Creations, changes, memberships, retiring and deletions are seen within the trial, gone after it, and made by the
    statements that it gave; each is given once."""
    ann, bob = users(backend, 2)
    team = backend.create("Group", group("Team", [ann]))
    before = state(backend, registry)
    with backend.trial() as tried:
        assert tried.language == "sql"
        assert tried.taken() == []
        full = tried.backend.create("User", full_user(registry, "full"))
        tried.backend.update("Group", team.id, Change({"displayName": "New"}, {"members": Delta((full.id, bob.id))}))
        tried.backend.update("User", bob.id, Change({"emails": [{"value": "b@x.example"}], "title": "Dr"}))
        first = tried.taken()
        tried.backend.retire("User", ann.id)
        statements = [*first, *tried.taken()]
        assert tried.taken() == []
        assert members(tried.backend, team.id) == {full.id, bob.id}
        within = state(tried.backend, registry)
    assert state(backend, registry) == before
    run(backend, statements)
    assert state(backend, registry) == within
    assert [resource.id for resource in backend.retired("User", frozenset()).items] == [ann.id]


def test_text_is_written_as_it_is(backend: SqlBackend) -> None:
    """Quotes, marks of parameters, escapes and other scripts stand in the statements so that they come back."""
    with backend.trial() as tried:
        for number, text in enumerate(VERBATIM):
            values = {"displayName": text, "externalId": text, "emails": [{"value": text}]}
            tried.backend.create("User", Draft({"userName": f"{number} {text}", **values}))
        statements = tried.taken()
    assert everyone(backend) == []
    run(backend, statements)
    found = {str(resource.values["userName"]).partition(" ")[0]: resource.values for resource in everyone(backend)}
    for number, text in enumerate(VERBATIM):
        values = {"displayName": text, "externalId": text, "emails": [{"value": text}]}
        assert dict(found[str(number)]) == {"userName": f"{number} {text}", **values}


def test_what_is_refused_leaves_nothing_and_stops_nothing(backend: SqlBackend) -> None:
    """A refusal undoes its own write only; what was tried before stays, and more can be tried."""
    (ann,) = users(backend, 1)
    with backend.trial() as tried:
        tried.backend.create("User", user("first"))
        with pytest.raises(Duplicate):
            tried.backend.create("User", user("FIRST", emails=[{"value": "x"}]))
        with pytest.raises(Duplicate):
            tried.backend.update("User", ann.id, Change({"userName": "first"}))
        with pytest.raises(NotFound):
            tried.backend.delete("User", "nobody")
        tried.backend.create("User", user("second"))
        statements = tried.taken()
        assert len(everyone(tried.backend)) == 3
    assert [s.split()[:3] for s in statements] == [["INSERT", "INTO", "scim_users"]] * 2
    assert [r.id for r in everyone(backend)] == [ann.id]


def test_a_trial_that_fails_is_rolled_back(backend: SqlBackend) -> None:
    """Nothing stays of it, and the connection is as good as before."""

    def fail() -> None:
        with backend.trial() as tried:
            tried.backend.create("User", user("ann"))
            raise KeyError(1)

    with pytest.raises(KeyError):
        fail()
    assert everyone(backend) == []
    backend.create("User", user("ann"))
    assert len(everyone(backend)) == 1


@pytest.mark.parametrize("times", [1, 100])
def test_a_write_that_saw_half_of_another_is_tried_again(backend: SqlBackend, watch: Watch, times: int) -> None:
    """As outside of a trial: once it is not disturbed any more it is made, and told to be so once; else the database is
    busy, and the trial goes on."""
    ann, bob = users(backend, 2)
    backend.create("Group", group("Team", [ann, bob]))
    disturbed: list[str] = []

    def disturb(cursor: Any, text: str, _: Any) -> None:
        if text.startswith("DELETE FROM scim_group_members WHERE") and len(disturbed) < times:
            disturbed.append(text)
            cursor.connection.cursor().execute("DELETE FROM scim_group_members")

    with backend.trial() as tried:
        watch.callbacks.append(disturb)
        with nullcontext() if times == 1 else pytest.raises(Unavailable):
            tried.backend.delete("User", ann.id)
        watch.callbacks.clear()
        assert disturbed
        statements = tried.taken()
        tried.backend.create("User", user("cid"))
        assert len(everyone(tried.backend)) == (2 if times == 1 else 3)
    assert [s.split()[0] for s in statements] == (["UPDATE", "DELETE", "UPDATE", "DELETE"] if times == 1 else [])
