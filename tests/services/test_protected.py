"""What is protected stays as it is, whatever a client asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from inspect import signature

import pytest

from app.scim.query import Change, Page, Query, Reference, Resource, ResourceId, Slot
from app.scim.registry import load
from app.services.around import Around
from app.services.fence import Fenced
from app.services.linked import Linked
from app.services.protected import with_protection
from app.services.remit import Remitted
from backends.base import Backend
from backends.errors import NotFound
from config.errors import ConfigError
from config.settings import ProtectedSettings, Settings
from tests.conformance.helpers import MANAGER, MANAGER_NAME
from tests.services.fenced import SEEN, delta, group, guarded, members, refused, user
from tests.support.reference import ReferenceBackend


def test_a_store_of_which_nothing_is_protected_is_left_alone(inner: Backend) -> None:
    assert with_protection(inner, Settings()) is inner
    assert guarded(inner, None, None, hidden=True) is inner


def test_a_protected_user_is_not_changed(inner: Backend) -> None:
    backend = guarded(inner)
    root, ann = user(inner, "root", userType="admin", title="Root"), user(inner, "ann")
    stamp = inner.get("User", root, frozenset()).stamp
    for change in (Change({"title": "x"}), Change({"userType": None}), Change({"active": False}), Change()):
        said = refused(inner, partial(backend.update, "User", root, change))
        assert said == "this user is protected: the operator of this service lets no client change it"
        refused(inner, partial(backend.update, "User", root, change, expect=stamp.version))
    refused(inner, partial(backend.delete, "User", root))
    refused(inner, partial(backend.delete, "User", root, expect=stamp.version))
    assert backend.get("User", root, SEEN).values == {"userName": "root", "title": "Root"}
    backend.update("User", ann, Change({"title": "Pilot", "userType": "Staff"}))
    assert backend.get("User", ann, SEEN).values == {"userName": "ann", "title": "Pilot"}
    backend.delete("User", ann)
    for call in (partial(backend.update, "User", ann, Change({"title": "x"})), partial(backend.delete, "User", ann)):
        refused(inner, call, NotFound)


def test_nothing_becomes_protected_by_a_write(inner: Backend) -> None:
    backend = guarded(inner, 'userType eq "Admin" and emails[type eq "work" and value ew "@corp.example"]')
    ann = user(inner, "ann", userType="Admin")
    bob = user(inner, "bob", emails=[{"type": "work", "value": "bob@corp.example"}])
    team = group(inner, "Team")
    work = [{"type": "work", "value": "ANN@CORP.EXAMPLE"}]
    said = refused(inner, partial(backend.update, "User", ann, Change({"emails": work})))
    assert said == "with these values the user would be protected: no client may make such a one"
    refused(inner, partial(backend.update, "User", bob, Change({"userType": "ADMIN", "title": "x"})))
    refused(inner, partial(user, backend, "cec", userType="admin", emails=work))
    refused(inner, partial(backend.update, "Group", team, Change({"displayName": "Domain Users"})))
    refused(inner, partial(group, backend, "domain guests"))
    backend.update("User", ann, Change({"emails": work, "userType": None}))
    user(backend, "cec", userType="Admin")
    group(backend, "Guests of the domain")


def test_the_members_of_a_protected_group_stay(inner: Backend) -> None:
    backend = guarded(inner)
    root, ann, bob = user(inner, "root", userType="Admin"), user(inner, "ann"), user(inner, "bob")
    domain, team = group(inner, "Domain Admins", root, ann), group(inner, "Team", ann)
    changes = [
        delta(add=[bob]),
        delta(remove=[ann]),
        delta(remove=[bob]),
        delta(clear=True),
        delta(add=[root, ann], clear=True),
        Change({"displayName": "Team 2"}),
    ]
    for change in changes:
        refused(inner, partial(backend.update, "Group", domain, change))
    refused(inner, partial(backend.delete, "Group", domain))
    # The user itself is not changed by this.
    backend.update("Group", team, delta(add=[root], remove=[ann]))
    assert members(inner, team) == {root}
    backend.update("Group", team, delta(remove=[root]))
    assert members(inner, team) == set()
    backend.delete("Group", team)


def test_a_deletion_changes_nothing_that_is_protected(inner: Backend) -> None:
    backend = guarded(inner)
    ann, bob, cec = user(inner, "ann"), user(inner, "bob"), user(inner, "cec")
    domain = group(inner, "Domain Admins", ann)
    group(inner, "Team", ann, bob, cec)
    root = user(inner, "root", userType="Admin", **{MANAGER: bob})
    for id in (ann, bob):
        said = refused(inner, partial(backend.delete, "User", id))
        assert said.startswith("the user can't be deleted: it is a member of a protected group or the manager of")
    backend.delete("User", cec)
    inner.update("Group", domain, delta(remove=[ann]))
    inner.update("User", root, Change({MANAGER: None}))
    backend.delete("User", ann)
    backend.delete("User", bob)


def test_a_retired_user_is_as_protected_as_another(inner: Backend) -> None:
    backend = guarded(inner)
    root, ann, bob = user(inner, "root", userType="Admin"), user(inner, "ann"), user(inner, "bob", title="x")
    group(inner, "Domain Admins", ann)
    for id in (root, ann):
        refused(inner, partial(backend.retire, "User", id))
    backend.retire("User", bob)
    inner.retire("User", root)
    page = backend.retired("User", frozenset({"title"}))
    assert (page.total, [(one.id, one.values) for one in page.items]) == (1, [(bob, {"title": "x"})])
    assert backend.retired("User", frozenset(), ["root"]).total == 0
    refused(inner, partial(backend.restore, "User", root, Change()))
    refused(inner, partial(backend.restore, "User", bob, Change({"userType": "admin"})))
    refused(inner, partial(backend.restore, "User", ann, Change()), NotFound)
    assert inner.retired("User", frozenset()).total == 2
    assert backend.restore("User", bob, Change({"title": "y"})).id == bob
    assert backend.get("User", bob, SEEN).values == {"userName": "bob", "title": "y"}


def test_nothing_of_the_contract_goes_round_a_fence() -> None:
    """A method that the contract gets must be thought of here too."""
    methods = {name for name, value in vars(Backend).items() if callable(value) and not name.startswith("_")}
    for around in (Around, Linked):
        assert methods <= vars(around).keys()
    of_resources = {name for name in methods if "kind" in signature(getattr(Backend, name)).parameters}
    told_to_operators_only = {"within", "may_land_within", "lands_within", "purge"}
    # It only spares searches, which have a fence.
    spares = {"knows"}
    for fence in (Fenced, Remitted):
        assert of_resources - told_to_operators_only - spares <= vars(fence).keys()


class Counting(Around):
    """Counts what is asked of a store."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.calls: Counter[str] = Counter()

    def get(self, kind: str, id: ResourceId, want: frozenset[Slot]) -> Resource:
        self.calls["read"] += 1
        return super().get(kind, id, want)

    def search(self, kind: str, query: Query) -> Page:
        self.calls["read"] += 1
        return super().search(kind, query)

    def related(self, kind: str, ids: Sequence[ResourceId], relation: str) -> Iterator[tuple[ResourceId, Reference]]:
        self.calls["read"] += 1
        return super().related(kind, ids, relation)


@pytest.mark.parametrize("hidden", [False, True])
def test_what_protection_costs(inner: Backend, hidden: bool) -> None:
    """A write needs one read more, a deletion one for each kind that has a rule, and a create none."""
    counting = Counting(inner)
    ann, bob = user(inner, "ann"), user(inner, "bob")
    team = group(inner, "Team", ann)

    def cost(call: Callable[[], object]) -> int:
        counting.calls.clear()
        call()
        return counting.calls["read"]

    both, users = guarded(counting, hidden=hidden), guarded(counting, groups=None, hidden=hidden)
    for backend, group_costs, deletions in ((both, 1, (1, 2)), (users, 0, (0, 1))):
        assert cost(partial(user, backend, f"eve{group_costs}")) == 0
        assert cost(partial(backend.update, "User", ann, Change({"title": f"x{group_costs}"}))) == 1
        assert cost(partial(backend.get, "User", ann, frozenset({"title"}))) == 1
        assert cost(partial(backend.search, "User", Query(frozenset({"title"})))) == 1
        change = delta(add=[bob]) if group_costs else delta(remove=[bob])
        assert cost(partial(backend.update, "Group", team, change)) == group_costs + hidden
        spare, gone = group(inner, f"Spare{group_costs}"), user(inner, f"gone{group_costs}")
        assert cost(partial(backend.delete, "Group", spare)) == deletions[0]
        assert cost(partial(backend.delete, "User", gone)) == deletions[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("userType eq", "is expected at the end"),
        ('titel eq "x"', "'titel' is not an attribute of User in this store"),
        ('emails[kind eq "x"]', "'emails[kind]' is not an attribute of User in this store"),
        ('urn:example:2.0:User:x eq "x"', "is not an attribute of User"),
        ('groups.display eq "x"', "depends on other resources"),
        ('groups[display eq "x"]', "depends on other resources"),
        (f'{MANAGER_NAME} eq "x"', "depends on other resources"),
        ('meta.lastModified gt "2024-01-01T00:00:00Z"', "can't be asked about here"),
        ('schemas eq "x"', "can't be asked about here"),
        ('password eq "x"', "can't be asked about"),
        ("active gt true", "can't be applied"),
    ],
)
def test_a_filter_that_can_not_be_used_is_named(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        guarded(ReferenceBackend(load()), text, 'members eq "x"')
    faults = {fault.key: fault.message for fault in caught.value.faults}
    assert said in faults["protected.users"]
    assert "depends on other resources" in faults["protected.groups"]


def test_subtrees_are_of_directories_and_are_not_hidden() -> None:
    def faults(protected: ProtectedSettings, kind: str) -> dict[str, str]:
        with pytest.raises(ConfigError) as caught:
            with_protection(ReferenceBackend(load()), Settings(backend=kind, protected=protected))
        return {fault.key: fault.message for fault in caught.value.faults}

    bases = ("ou=admins,dc=example,dc=org",)
    assert faults(ProtectedSettings(bases=bases), "sql") == {
        "protected.bases": 'can only be set when backend is "ldap"'
    }
    found = faults(ProtectedSettings(bases=bases, hidden=True), "ldap")
    assert set(found) == {"protected.hidden"}
    assert "can't leave out a subtree" in found["protected.hidden"]


@pytest.mark.parametrize(
    "text",
    ['userName eq "x"', "name pr", "emails pr", 'emails eq "x"', 'id eq "x"', f'{MANAGER} eq "x"', 'externalId sw "x"'],
    ids=range(7),
)
def test_filters_that_can_be_used(text: str) -> None:
    assert guarded(ReferenceBackend(load()), text) is not None
