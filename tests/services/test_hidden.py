"""What is hidden is for clients as if it were not there, and stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from app.scim.filter.bind import bind
from app.scim.filter.parse import parse_filter
from app.scim.paths import bind_sort
from app.scim.query import Change, Query, ResourceId, Window
from app.services import veil
from backends.base import Backend
from backends.errors import Duplicate, NotFound, Protected, TooManyCandidates, UnknownReference
from tests.conformance.helpers import MANAGER, MANAGER_NAME, MANAGER_REF
from tests.services.fenced import SEEN, delta, group, guarded, members, refused, user


def test_a_write_finds_nothing_that_is_hidden(inner: Backend) -> None:
    backend = guarded(inner, hidden=True)
    root = user(inner, "root", userType="Admin")
    domain, team = group(inner, "Domain Admins", root), group(inner, "Team")
    calls: tuple[Callable[[], object], ...] = (
        partial(backend.update, "User", root, Change({"title": "x"})),
        partial(backend.update, "User", root, Change({"userType": None})),
        partial(backend.delete, "User", root),
        partial(backend.get, "User", root, SEEN),
        partial(backend.update, "Group", domain, delta(clear=True)),
        partial(backend.delete, "Group", domain),
        partial(backend.get, "Group", domain, frozenset()),
    )
    for call in calls:
        refused(inner, call, NotFound)
    refused(inner, partial(user, backend, "ROOT"), Duplicate)
    refused(inner, partial(user, backend, "eve", userType="Admin"), Protected)
    refused(inner, partial(backend.update, "Group", team, delta(add=[root])), UnknownReference)
    refused(inner, partial(group, backend, "New", root), UnknownReference)


def test_a_hidden_member_stays(inner: Backend) -> None:
    backend = guarded(inner, hidden=True)
    root, ann, bob = user(inner, "root", userType="Admin"), user(inner, "ann"), user(inner, "bob")
    team = group(inner, "Team", root, ann)
    backend.update("Group", team, delta(add=[bob], remove=[root]))
    assert members(inner, team) == {root, ann, bob}
    assert members(backend, team) == {ann, bob}
    backend.update("Group", team, delta(add=[bob], clear=True))
    assert members(inner, team) == {root, bob}
    backend.update("Group", team, delta(clear=True))
    assert members(inner, team) == {root}
    assert members(backend, team) == set()


def test_a_user_in_a_hidden_group_is_not_deleted(inner: Backend) -> None:
    backend = guarded(inner, hidden=True)
    ann = user(inner, "ann")
    group(inner, "Domain Users", ann)
    refused(inner, partial(backend.delete, "User", ann), Protected)
    assert list(backend.related("User", [ann], "groups")) == []


@dataclass(frozen=True, slots=True)
class Twins:
    """A store with hidden resources, seen as clients see it, and one that never had them. Ids differ, names do not."""

    seen: Backend
    plain: Backend
    ids: tuple[Mapping[str, ResourceId], Mapping[str, ResourceId]]

    def found(self, which: int, kind: str, text: str | None, sort: str | None = None) -> tuple[int, list[Any]]:
        """Total and what is told of each, in order where there is one."""
        backend = (self.seen, self.plain)[which]
        type = backend.registry.type(kind)
        for name in ("ann", "root", "dee"):
            text = text and text.replace(f"<{name}>", self.ids[which].get(name, "nobody"))
        filter = None if text is None else bind(parse_filter(text), type)
        order = None if sort is None else bind_sort(sort, type, descending=False)
        page = backend.search(kind, Query(type.readable - {MANAGER, MANAGER_REF}, filter, order, Window(1, 50)))
        relation = next(iter(type.relations))
        far: dict[str, set[str | None]] = {}
        for owner, reference in backend.related(kind, [item.id for item in page.items], relation):
            far.setdefault(owner, set()).add(reference.display)
        told = [(dict(item.values), far.get(item.id)) for item in page.items]
        return page.total, told if sort else sorted(
            told, key=lambda one: str(one[0].get("userName", one[0].get("displayName")))
        )


PEOPLE: tuple[tuple[str, str | None, str | None], ...] = (
    ("root", "Admin", None),
    ("dee", "admin", "root"),
    ("ann", None, "root"),
    ("bob", "Staff", "ann"),
    ("cec", "Staff", None),
)
TEAMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Domain Admins", ("root", "ann")),
    ("Team", ("root", "ann", "bob")),
    ("Other", ("root", "dee")),
    ("Empty", ()),
)


def fill(backend: Backend, *, whole: bool) -> dict[str, ResourceId]:
    ids: dict[str, ResourceId] = {}
    for name, sort, manager in PEOPLE:
        if whole or str(sort).lower() != "admin":
            values = {"displayName": name.title(), "userType": sort, MANAGER: ids.get(manager or "")}
            ids[name] = user(backend, name, **{slot: value for slot, value in values.items() if value})
    for name, people in TEAMS:
        if whole or not name.startswith("Domain"):
            group(backend, name, *(ids[p] for p in people if p in ids))
    return ids


@pytest.fixture
def twins(store: Callable[[], Backend]) -> Twins:
    inner, plain = store(), store()
    return Twins(guarded(inner, hidden=True), plain, (fill(inner, whole=True), fill(plain, whole=False)))


FILTERS = (
    ("User", None),
    ("User", 'userName sw "r" or userName sw "a"'),
    ("User", 'not (userName eq "ann")'),
    ("User", 'userType eq "Admin"'),
    ("User", 'id eq "<root>"'),
    ("User", "groups pr"),
    ("User", "not (groups pr)"),
    ("User", 'groups.display sw "Domain"'),
    ("User", 'groups.display ne "Team"'),
    ("User", 'groups[display co "o" and not (value eq "x")]'),
    ("User", f"{MANAGER_NAME} pr"),
    ("User", f'{MANAGER_NAME} eq "Root"'),
    ("User", f'{MANAGER_NAME} ne "Root"'),
    ("User", f'{MANAGER_NAME} eq "Ann"'),
    ("User", f"{MANAGER} pr"),
    ("User", f"not ({MANAGER} pr)"),
    ("User", f'{MANAGER} eq "<root>"'),
    ("User", f'{MANAGER} ne "<root>"'),
    ("User", f'{MANAGER} sw "<root>" or userName eq "bob"'),
    ("User", f'{MANAGER} eq "<ann>"'),
    ("Group", None),
    ("Group", 'displayName co "a"'),
    ("Group", "members pr"),
    ("Group", "not (members pr)"),
    ("Group", 'members eq "<root>"'),
    ("Group", 'members ne "<root>"'),
    ("Group", 'members eq "<ann>"'),
    ("Group", 'members[value eq "<root>" or value eq "<ann>"]'),
    ("Group", 'members[display eq "Dee"]'),
    ("Group", 'members[value eq "<dee>" and display pr] or displayName eq "Team"'),
    ("Group", 'members.type eq "User"'),
    ("Group", 'members[not (display eq "Ann")]'),
)


@pytest.mark.parametrize(("kind", "text"), FILTERS, ids=range(len(FILTERS)))
def test_what_is_hidden_is_as_if_it_were_not_there(twins: Twins, kind: str, text: str | None) -> None:
    assert twins.found(0, kind, text) == twins.found(1, kind, text)


def test_lists_have_no_gaps(twins: Twins) -> None:
    for kind, sort in (("User", "userName"), ("Group", "displayName")):
        assert twins.found(0, kind, None, sort) == twins.found(1, kind, None, sort)
        total = twins.plain.search(kind, Query(frozenset(), window=Window(1, 0))).total
        windows = [twins.seen.search(kind, Query(frozenset(), window=Window(n, 1))) for n in range(1, total + 2)]
        assert [(page.total, len(page.items)) for page in windows] == [(total, 1)] * total + [(total, 0)]
        assert len({item.id for page in windows for item in page.items}) == total


def test_what_is_derived_from_someone_hidden_is_not_told(twins: Twins) -> None:
    ann, bob = twins.ids[0]["ann"], twins.ids[0]["bob"]
    for want in (frozenset({MANAGER}), frozenset({MANAGER_NAME, MANAGER_REF}), frozenset({MANAGER, MANAGER_NAME})):
        assert twins.seen.get("User", ann, want).values == {}
        page = twins.seen.search("User", Query(want))
        assert {item.id: item.values for item in page.items if item.values} == {
            bob: {slot: "Ann" if slot == MANAGER_NAME else ann for slot in want}
        }


def test_a_manager_that_does_not_exist_is_not_a_hidden_one(twins: Twins) -> None:
    bob = twins.ids[0]["bob"]
    twins.seen.update("User", bob, Change({MANAGER: "gone"}))
    for text in (f'{MANAGER} eq "gone"', f"{MANAGER} pr"):
        filter = bind(parse_filter(text), twins.seen.registry.type("User"))
        (found,) = twins.seen.search("User", Query(frozenset({MANAGER, MANAGER_NAME}), filter)).items
        assert (found.id, found.values) == (bob, {MANAGER: "gone"})


def test_a_hidden_manager_stays(inner: Backend) -> None:
    """Who can't see it can't mean to take it away; whoever names another manager replaces it."""
    backend = guarded(inner, hidden=True)
    root, bob = user(inner, "root", userType="Admin"), user(inner, "bob")
    ann = user(inner, "ann", **{MANAGER: root})
    stamp = inner.get("User", ann, frozenset()).stamp
    assert backend.update("User", ann, Change({MANAGER: None})) == stamp
    backend.update("User", ann, Change({MANAGER: None, "title": "x"}))
    assert inner.get("User", ann, frozenset({MANAGER, "title"})).values == {MANAGER: root, "title": "x"}
    backend.update("User", ann, Change({MANAGER: bob}))
    assert inner.get("User", ann, frozenset({MANAGER})).values == {MANAGER: bob}
    backend.update("User", ann, Change({MANAGER: None}))
    assert inner.get("User", ann, frozenset({MANAGER})).values == {}


def test_what_is_hidden_is_related_to_nothing(inner: Backend) -> None:
    """Whoever names a hidden resource is not told of its members either, whatever else it names."""
    backend = guarded(inner, hidden=True)
    ann, root = user(inner, "ann"), user(inner, "root", userType="Admin")
    domain, team = group(inner, "Domain Admins", ann), group(inner, "Team", ann, root)
    assert list(backend.related("Group", [domain], "members")) == []
    assert [(near, far.id) for near, far in backend.related("Group", [domain, team], "members")] == [(team, ann)]
    assert list(backend.related("User", [root], "groups")) == []
    assert [(near, far.id) for near, far in backend.related("User", [root, ann], "groups")] == [(ann, team)]
    one_kind = guarded(inner, users=None, hidden=True)
    assert list(one_kind.related("Group", [domain], "members")) == []
    assert {far.id for _, far in one_kind.related("Group", [domain, team], "members")} == {ann, root}


def test_a_filter_that_would_have_to_except_too_many_is_refused(twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(veil, "_NAMED", 1)
    for text in ('members eq "<root>"', 'members eq "<ann>"', 'members[value eq "<dee>" and display pr]'):
        assert twins.found(0, "Group", text) == twins.found(1, "Group", text)
    for text in ("members pr", 'members ne "<root>"'):
        with pytest.raises(TooManyCandidates):
            twins.found(0, "Group", text)
    assert twins.found(0, "User", "groups pr") == twins.found(1, "User", "groups pr")


def test_a_filter_with_too_many_terms_is_refused(twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not seen is excepted from each term: of one request there is so much and no more."""
    monkeypatch.setattr(veil, "_EXCEPTED", 5)
    two = 'members.display eq "Ann" or members.display eq "Bob"'
    assert twins.found(0, "Group", two) == twins.found(1, "Group", two)
    for text in (f'{two} or members[display eq "Dee"]', f'{MANAGER} pr or {MANAGER_NAME} sw "a" or {MANAGER_NAME} pr'):
        kind = "Group" if "members" in text else "User"
        with pytest.raises(TooManyCandidates):
            twins.found(0, kind, text)


def test_who_is_not_seen_is_looked_for_once(twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    beyond = veil.Veil._beyond

    def counted(self: veil.Veil, kind: str, *rest: Any) -> tuple[ResourceId, ...]:
        calls.append(kind)
        return beyond(self, kind, *rest)

    monkeypatch.setattr(veil.Veil, "_beyond", counted)
    twins.found(0, "Group", 'members.display eq "Ann" or members.display eq "Bob" or members pr')
    assert calls == ["User"]
