"""How many statements a call sends, and that the usual searches find their rows through an index."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from app.scim.filter.bind import bind
from app.scim.filter.nodes import And, Or
from app.scim.filter.parse import DEFAULT_LIMITS, parse_filter
from app.scim.query import Change, Delta, Draft, Query, Window
from app.scim.registry import ENTERPRISE_SCHEMA, Registry
from backends.sql.backend import SqlBackend
from tests.sql.watching import Watch

NUMBER = f"{ENTERPRISE_SCHEMA}:employeeNumber"
MANAGER_NAME = f"{ENTERPRISE_SCHEMA}:manager.displayName"
MANAGER = f"{ENTERPRISE_SCHEMA}:manager.value"


def _people(backend: SqlBackend, count: int) -> list[str]:
    made: list[str] = []
    for n in range(count):
        emails = [{"value": f"p{n}@corp.example", "type": "work"}, {"value": f"home{n}@corp.example"}]
        values = {"userName": f"p{n}@corp.example", "externalId": f"x{n}", "emails": emails, NUMBER: f"{n}"}
        if made:
            values[MANAGER] = made[n // 2]
        made.append(backend.create("User", Draft(values)).id)
    return made


def _query(registry: Registry, filter: str, kind: str = "User", **window: int) -> Query:
    bound = bind(parse_filter(filter), registry.type(kind))
    return Query(registry.type(kind).readable, bound, window=Window(**window))


def test_reading_takes_one_statement(backend: SqlBackend, registry: Registry, watch: Watch) -> None:
    """One statement reads a resource whole, with derived and multi-valued slots, or the one that a filter names, or a
    page of them."""
    ann, bob = _people(backend, 2)
    backend.update("User", bob, Change({MANAGER: ann}))
    everything = registry.type("User").readable
    assert len(watch.sent(lambda: backend.get("User", bob, everything))) == 1
    for filter in ('userName eq "P1@corp.example"', f'id eq "{bob}" and active pr'):
        assert len(watch.sent(partial(backend.search, "User", _query(registry, filter)))) == 1, filter
    for want in (everything, frozenset({"userName", MANAGER_NAME})):
        assert len(watch.sent(partial(backend.search, "User", Query(want)))) == 1, want


def test_the_total_is_counted_only_when_the_page_does_not_tell(backend: SqlBackend, watch: Watch) -> None:
    """A full page, and one beyond the end, need a count; count 0 needs nothing but one."""
    _people(backend, 3)
    needed = {(1, 3): 2, (1, 4): 1, (2, 5): 1, (1, 2): 2, (4, 5): 2, (1, 0): 1}
    for (start, count), number in needed.items():
        query = Query(frozenset({"userName"}), window=Window(start, count))
        assert len(watch.sent(partial(backend.search, "User", query))) == number, (start, count)
        page = backend.search("User", query)
        assert (page.total, len(page.items)) == (3, max(0, min(count, 3 - start + 1)))


def test_changing_takes_few_statements(backend: SqlBackend, watch: Watch) -> None:
    """Begin, lock, write, commit, and one to look and one or two to write for values or members; none for a no-op."""
    ann, bob = _people(backend, 2)
    team = backend.create("Group", Draft({"displayName": "Team"})).id

    def change(kind: str, id: str, change: Change) -> int:
        return len(watch.sent(lambda: backend.update(kind, id, change)))

    assert change("User", ann, Change({"title": "Dr", "nickName": "A"})) == 4
    assert change("User", ann, Change({"title": "Dr"})) == 3
    assert change("User", ann, Change({"emails": [{"value": "new@corp.example"}]})) == 7
    assert change("Group", team, Change({}, {"members": Delta(add=(ann, bob))})) == 6
    assert change("Group", team, Change({}, {"members": Delta(add=(ann,))})) == 4
    assert change("Group", team, Change({}, {"members": Delta(remove=(bob,))})) == 5


def test_values_and_members_go_in_together(backend: SqlBackend, watch: Watch) -> None:
    """All values of a new user with one statement, members some dozens at a time; and each is there afterwards."""
    lists = {
        "emails": [{"value": "ann@corp.example", "type": "work", "primary": True}, {"value": "ann@home.example"}],
        "phoneNumbers": [{"value": "+47 5550 1122", "type": "work"}],
        "entitlements": [{"value": f"part {number}", "display": None} for number in range(3)],
    }
    draft = Draft({"userName": "ann", **lists})
    made: list[str] = []
    assert len(watch.sent(lambda: made.append(backend.create("User", draft).id))) == 4
    stored = {**lists, "entitlements": [{"value": f"part {number}"} for number in range(3)]}
    assert backend.get("User", made[0], frozenset(lists)).values == stored
    people = [backend.create("User", Draft({"userName": f"p{number}"})).id for number in range(150)]
    group = Draft({"displayName": "Crew"}, {"members": tuple(people)})
    assert len(watch.sent(lambda: made.append(backend.create("Group", group).id))) == 8
    assert {reference.id for _, reference in backend.related("Group", [made[1]], "members")} == set(people)


def test_a_statement_is_made_once_for_all_values(backend: SqlBackend, registry: Registry, watch: Watch) -> None:
    """Filters that differ in their values only are one statement; no value is part of its text."""
    names = ["ann", "' OR 1=1 --", "%", "x" * 300, "é"]
    texts = []
    for name in names:
        query = _query(registry, f"userName eq {json.dumps(name)} or emails[value sw {json.dumps(name)}]")
        texts += watch.sent(partial(backend.search, "User", query))
    assert len(set(texts[:4])) == 1
    assert not any(name in statement for name in names[:2] for statement in texts)


SEARCHES = {
    'userName eq "p7@corp.example"': "uq_scim_users_user_name",
    'externalId eq "x7"': "ix_scim_users_external_id",
    'userName sw "p77"': "uq_scim_users_user_name",
    'emails[type eq "work" and value eq "p7@corp.example"]': "ix_scim_user_values_value",
    'emails.value eq "p7@corp.example"': "ix_scim_user_values_value",
    f'{ENTERPRISE_SCHEMA}:manager eq "nobody"': "ix_scim_users_manager_value",
    f'{NUMBER} eq "7"': "ix_scim_users_employee_number",
}


@pytest.fixture
def explain(backend: SqlBackend, watch: Watch, database: str) -> Callable[[Query], str]:
    """A function that gives the plan of a search, after the database has learnt how its rows are distributed."""
    _people(backend, 600)
    analyse = {"sqlite": "ANALYZE", "postgresql": "ANALYZE"}.get(database, "ANALYZE TABLE scim_users, scim_user_values")
    prefix = {"sqlite": "EXPLAIN QUERY PLAN "}.get(database, "EXPLAIN ")
    with backend.engine.connect() as connection:
        connection.execute(text(analyse))

    def plan(query: Query) -> str:
        plans: list[Any] = []

        def explain(cursor: Any, statement: str, parameters: Any) -> None:
            if not statement.startswith("EXPLAIN"):
                other = cursor.connection.cursor()
                other.execute(prefix + statement, parameters)
                plans.extend(other.fetchall())
                other.close()

        watch.callbacks.append(explain)
        backend.search("User", query)
        watch.callbacks.remove(explain)
        return "\n".join(map(str, plans))

    return plan


def test_usual_searches_use_an_index(explain: Callable[[Query], str], registry: Registry) -> None:
    """What the main client asks before each write is answered through an index, not by reading every user."""
    for filter, index in SEARCHES.items():
        assert index in explain(_query(registry, filter)), filter


def test_filters_of_hundreds_of_terms(backend: SqlBackend, registry: Registry) -> None:
    """Wide filters, and deep ones of alternating terms, are answered exactly."""
    _people(backend, 3)
    page = backend.search("User", _query_wide(registry, " or ", 1500, 'userName eq "p1@corp.example"'))
    assert page.total == 1
    assert backend.search("User", _query_wide(registry, " and ", 1500, 'userName ne "p1@corp.example"')).total == 2
    deep = 'userName eq "p0@corp.example"'
    for n in range(DEFAULT_LIMITS.depth):
        deep = f'({deep}) or title eq "{n}"' if n % 2 else f"({deep}) and userName pr"
    assert backend.search("User", _query(registry, deep)).total == 1


def _query_wide(registry: Registry, join: str, terms: int, last: str) -> Query:
    op = "eq" if join == " or " else "ne"
    kind = registry.type("User")
    bound = [bind(parse_filter(f'nickName {op} "n{n}"'), kind) for n in range(terms)]
    bound.append(bind(parse_filter(last), kind))
    return Query(frozenset(), Or(tuple(bound)) if join == " or " else And(tuple(bound)))


@pytest.mark.parametrize("size", [100, 3000])
def test_related_streams_in_pages(backend: SqlBackend, watch: Watch, size: int) -> None:
    """A relation comes by pages of at most a thousand rows, in the order of the ids, with no connection between."""
    people = sorted(_bulk(backend, size))
    team = backend.create("Group", Draft({"displayName": "Crowd"}, {"members": tuple(people)})).id
    other = backend.create("Group", Draft({"displayName": "Other"}, {"members": tuple(people[:2])})).id
    stream = backend.related("Group", [team, other, "unknown"], "members")
    pairs = []
    sent = watch.sent(lambda: pairs.append(next(stream)))
    assert len(sent) == 1
    assert backend.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    sent += watch.sent(lambda: pairs.extend(stream))
    assert sorted((near, r.id) for near, r in pairs) == [(near, r.id) for near, r in pairs]
    assert [r.id for near, r in pairs if near == team] == people
    assert [r.id for near, r in pairs if near == other] == people[:2]
    assert len(sent) <= 2 + size // 1000 + 1


def test_a_large_replacement(backend: SqlBackend) -> None:
    """Replacing thousands of members by others keeps exactly those, in ranges; by the same it is no change."""
    people = _bulk(backend, 2600)
    keep = (*people[:1200], *people[1900:])
    team = backend.create("Group", Draft({"displayName": "Crowd"}, {"members": tuple(people[:2000])}))
    stamp = backend.update("Group", team.id, Change({}, {"members": Delta(add=keep, clear=True)}))
    assert [r.id for _, r in backend.related("Group", [team.id], "members")] == sorted(keep)
    assert backend.update("Group", team.id, Change({}, {"members": Delta(add=keep, clear=True)})) == stamp
    assert stamp != team.stamp


def _bulk(backend: SqlBackend, count: int) -> list[str]:
    """Users without more than a name, made in one statement."""
    made = [f"user-{n * 7919 % 100003:06}" for n in range(count)]
    insert = text(
        "INSERT INTO scim_users (id, version, created, modified, user_name, user_name_key) "
        "VALUES (:id, 1, '2024-01-01 00:00:00.000000', '2024-01-01 00:00:00.000000', :name, :key)"
    )
    with backend.engine.connect() as connection:
        connection.execute(insert, [{"id": id, "name": id, "key": id} for id in made])
    return made
