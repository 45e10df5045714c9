"""A store part of which is protected, what is put into it, and what is the same after a refusal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from app.scim.query import Change, Delta, Draft, Query, ResourceId, Window
from app.services.protected import with_protection
from backends.base import Backend
from backends.errors import Protected
from config.settings import ProtectedSettings, Settings
from tests.conformance.helpers import MANAGER_NAME

USERS = 'userType eq "Admin"'
GROUPS = 'displayName sw "Domain"'
"""What is protected where nothing else is said."""

SEEN = frozenset({"userName", "title", MANAGER_NAME})
"""What is looked at of a user."""


def guarded(inner: Backend, users: str | None = USERS, groups: str | None = GROUPS, *, hidden: bool = False) -> Backend:
    """The store of which that is protected."""
    return with_protection(inner, Settings(protected=ProtectedSettings(users, groups, hidden=hidden)))


def user(backend: Backend, name: str, **values: Any) -> ResourceId:
    """The id of a new user."""
    return backend.create("User", Draft({"userName": name, **values})).id


def group(backend: Backend, name: str, *members: ResourceId) -> ResourceId:
    """The id of a new group."""
    return backend.create("Group", Draft({"displayName": name}, {"members": members})).id


def everything(backend: Backend) -> dict[str, Any]:
    """All that a store holds, stamps included."""
    found: dict[str, Any] = {}
    for kind, type in ((t.name, t) for t in backend.registry.types):
        items = backend.search(kind, Query(type.readable, window=Window(1, 1000))).items
        found[kind] = {item.id: item for item in items}
        for relation in type.relations:
            found[f"{kind}.{relation}"] = sorted(
                (o, r.id) for o, r in backend.related(kind, list(found[kind]), relation)
            )
    return found


def refused(inner: Backend, call: Callable[[], object], error: type[Exception] = Protected) -> str:
    """What was reported; nothing has changed."""
    before = everything(inner)
    with pytest.raises(error) as caught:
        call()
    assert everything(inner) == before
    return str(caught.value)


def delta(*, add: Sequence[str] = (), remove: Sequence[str] = (), clear: bool = False) -> Change:
    """A change of members."""
    return Change(relations={"members": Delta(tuple(add), tuple(remove), clear)})


def members(backend: Backend, id: ResourceId) -> set[ResourceId]:
    """The ids of a group's members."""
    return {reference.id for _, reference in backend.related("Group", [id], "members")}
