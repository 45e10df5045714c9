"""What a change of a group costs does not depend on how many members it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from sqlalchemy import MetaData, insert

from app.scim.query import Change, Delta, Draft
from app.scim.registry import Registry
from backends.sql.backend import SqlBackend
from tests.support.sqlcost import measure

SMALL, LARGE = 100, 100_000
_CHUNK = 10_000


def _fill(backend: SqlBackend, sizes: Mapping[str, int]) -> tuple[str, str]:
    """People as many as the largest group has, and one more who is in none; the ids of a member and of that one."""
    tables = MetaData()
    tables.reflect(backend.engine)
    now = datetime.now(UTC)
    ids = [f"person-{n:06}" for n in range(max(sizes.values()) + 1)]
    with backend.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        people = insert(tables.tables["scim_users"])
        for chunk in (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK)):
            names = [{"id": i, "version": 1, "created": now, "modified": now} for i in chunk]
            connection.execute(people, [{**n, "user_name": n["id"], "user_name_key": n["id"]} for n in names])
        members = insert(tables.tables["scim_group_members"])
        for group, size in sizes.items():
            for start in range(0, size, _CHUNK):
                rows = [{"group_id": group, "user_id": i} for i in ids[start : min(start + _CHUNK, size)]]
                connection.execute(members, rows)
        connection.exec_driver_sql("COMMIT")
    return ids[0], ids[-1]


@pytest.mark.req("P-3.4.2.5-09", "P-3.5.2-20")
def test_cost_of_a_change_of_members(backend: SqlBackend, registry: Registry) -> None:
    """Adding one member, removing one and reading without members take the same statements, and read the same number
    of rows, in a group of 100 and in one of 100,000."""
    groups = {size: backend.create("Group", Draft({"displayName": f"Group of {size}"})).id for size in (SMALL, LARGE)}
    member, outsider = _fill(backend, {groups[size]: size for size in groups})
    calls: Mapping[str, Callable[[str], Any]] = {
        "add one": lambda group: backend.update("Group", group, _members(add=(outsider,))),
        "remove one": lambda group: backend.update("Group", group, _members(remove=(member,))),
        "add a member": lambda group: backend.update("Group", group, _members(add=(outsider,))),
        "read without members": lambda group: backend.get("Group", group, registry.type("Group").readable),
    }
    for what, call in calls.items():
        small, large = (measure(partial(call, groups[size])) for size in (SMALL, LARGE))
        counted = {key: (small[key], large[key]) for key in ("statements", "rows")}
        assert counted["statements"][0] > 0, what
        assert small["statements"] == large["statements"], (what, counted)
        assert small["rows"] == large["rows"], (what, counted)


def _members(*, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()) -> Change:
    return Change(relations={"members": Delta(add, remove)})
