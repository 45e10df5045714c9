"""Each method is one step: when it raises, nothing has changed."""

from __future__ import annotations

import pytest

from app.scim.query import Change, Delta, Draft
from app.scim.registry import Registry
from backends.base import Backend
from backends.errors import Duplicate, UnknownReference, VersionMismatch
from tests.conformance.helpers import MANAGER, group, state, user, users
from tests.support.values import full_user


def test_an_unknown_member_stops_the_whole_change(backend: Backend, registry: Registry) -> None:
    """A change of name, of values and of several members does nothing when one member is unknown."""
    ann, bob = users(backend, 2)
    team = backend.create("Group", group("Team", [ann]))
    before = state(backend, registry)
    delta = Delta(add=(bob.id, "nobody"), remove=(ann.id,))
    with pytest.raises(UnknownReference):
        backend.update("Group", team.id, Change({"displayName": "New", "externalId": "x"}, {"members": delta}))
    with pytest.raises(UnknownReference):
        backend.update("Group", team.id, Change(relations={"members": Delta(("nobody",), clear=True)}))
    assert state(backend, registry) == before


def test_a_duplicate_stops_the_whole_change(backend: Backend, registry: Registry) -> None:
    """A taken userName beside new e-mail addresses and other slots leaves them all as they were."""
    backend.create("User", user("taken"))
    ann = backend.create("User", full_user(registry, "ann"))
    before = state(backend, registry)
    with pytest.raises(Duplicate):
        backend.update("User", ann.id, Change({**full_user(registry, "x", variant=1).values, "userName": "TAKEN"}))
    with pytest.raises(Duplicate):
        backend.update("User", ann.id, Change({"emails": None, "title": None, "userName": "Taken", MANAGER: ann.id}))
    assert state(backend, registry) == before


def test_a_taken_group_name_stops_the_membership_change(backend: Backend, registry: Registry) -> None:
    """A taken displayName beside a delta leaves the members as they were."""
    ann, bob = users(backend, 2)
    backend.create("Group", group("Taken"))
    team = backend.create("Group", group("Team", [ann]))
    before = state(backend, registry)
    for delta in (Delta((bob.id,), (ann.id,)), Delta(clear=True)):
        with pytest.raises(Duplicate):
            backend.update("Group", team.id, Change({"displayName": "taken"}, {"members": delta}))
    assert state(backend, registry) == before


def test_a_stale_version_stops_the_whole_change(backend: Backend, registry: Registry) -> None:
    """A change of values and members that expects another version does nothing."""
    ann, bob = users(backend, 2)
    team = backend.create("Group", group("Team", [ann]))
    backend.update("Group", team.id, Change({"externalId": "1"}))
    before = state(backend, registry)
    change = Change({"displayName": "New"}, {"members": Delta((bob.id,), clear=True)})
    with pytest.raises(VersionMismatch):
        backend.update("Group", team.id, change, expect=team.stamp.version)
    assert state(backend, registry) == before


def test_a_refused_create_leaves_nothing(backend: Backend, registry: Registry) -> None:
    """A create that is refused leaves no resource, no value and no membership, and its name free."""
    (ann,) = users(backend, 1)
    backend.create("Group", group("Taken", [ann]))
    before = state(backend, registry)
    with pytest.raises(Duplicate):
        backend.create("Group", group("TAKEN", [ann]))
    with pytest.raises(UnknownReference):
        backend.create("Group", group("New", [ann, "nobody"]))
    with pytest.raises(Duplicate):
        backend.create("User", full_user(registry, str(ann.values["userName"]).upper()))
    assert state(backend, registry) == before
    backend.create("Group", group("New", [ann]))


def test_given_values_belong_to_the_store(backend: Backend, registry: Registry) -> None:
    """What a caller does to lists it gave, or was given, does not reach the store."""
    emails = [{"value": "a@corp.example"}]
    ann = backend.create("User", Draft({"userName": "ann", "emails": emails}))
    before = state(backend, registry)
    emails[0]["value"] = "changed"
    emails.append({"value": "added"})
    got = backend.get("User", ann.id, frozenset({"emails"}))
    got.values["emails"].clear()
    assert state(backend, registry) == before
