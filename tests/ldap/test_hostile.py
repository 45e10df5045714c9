"""Texts that are made to be misread by filters, DNs, attributes and terminals: each comes back as it was, is found by
what it is and by nothing else, and nothing outside of the tree is touched.

The examples are the same in every run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.scim.filter.evaluate import View, matches
from app.scim.filter.nodes import Bound, Compare, Not, Op, Some
from app.scim.query import Change, Delta, Draft, Query, Resource, ResourceId
from app.scim.registry import ID
from app.scim.types import comparable
from backends.errors import NotFound, UnknownReference
from backends.ldap.backend import LdapBackend
from tests.ldap.store import opened
from tests.ldap.test_faults import members, new_group, new_user
from tests.support.directories import Directory, Tree

SETTINGS = settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
SPELLED = (
    "*",
    "*)(uid=*))(|(uid=*",
    "admin)(|(userPassword=*)",
    ")(objectClass=*",
    "\\2a\\29\\00",
    "\\",
    "\x00",
    "a\x00b",
    "cn=admin,dc=example,dc=test",
    ",ou=groups",
    "#04024869",
    '"a, b"',
    "a+uid=b",
    " leading",
    "trailing ",
    "  ",
    "\u202egnp.exe",
    "\u05e9\u05dc\u05d5\u05dd",
    "👩\u200d👩\u200d👧",
    "e\u0301",
    "\u00e9",
    "\u0130i\u0131I",
    "ß",
    "\ufb01",
    "\ufeffx",
    "\U0010ffff",
    "x" * 300,
    "é, " * 100,
    "<GUID=00000000000000000000000000000000>",
    "dn:caseExactMatch:=x",
    "uid:1.2.840.113556.1.4.803:=1",
)
TEXTS = st.one_of(
    st.sampled_from(SPELLED),
    st.text("()*\\&|!=<>~,+;\"'#/ \x00\n\tabA0é", min_size=1, max_size=30),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    st.builds(lambda one, n: one * n, st.sampled_from(("*", "\\", "(", ",", "é", "\x00", "🙂")), st.integers(290, 310)),
)
OPERATORS = (Op.EQ, Op.CO, Op.SW, Op.EW, Op.GT, Op.GE, Op.LT, Op.LE)
SLOTS = ("userName", "displayName", "externalId", "nickName")
DECOYS = ("ann@corp.example", "*", "a", "\\2a", "x" * 299)

# The server itself writes these when others sign in or are made, the pools when their RIDs run out.
_RIDS = {"ridnextrid", "ridallocationpool", "ridpreviousallocationpool", "ridusedpool", "ridavailablepool"}
_VOLATILE = {"usnchanged", "whenchanged", "lastlogon", "logoncount", "lastlogontimestamp", "nsuniqueid", *_RIDS}


def _rest(server: Directory, tree: Tree) -> str:
    """A digest of every entry of the directory that is not below the bases of the tree."""
    total = hashlib.sha256()
    with server.session() as connection:
        pages = connection.extend.standard.paged_search(
            server.suffix, "(objectClass=*)", attributes=["*"], paged_size=500
        )
        entries = {str(p["dn"]): p["raw_attributes"] for p in pages if p["type"] == "searchResEntry"}
    for dn in sorted(entries):
        if dn.lower().endswith((f",{tree.people.lower()}", f",{tree.groups.lower()}")):
            continue
        total.update(dn.encode() + b"\0")
        for name in sorted(entries[dn]):
            if name.lower() not in _VOLATILE:
                total.update(name.encode() + b"=" + b"\1".join(sorted(entries[dn][name])) + b"\0")
    return total.hexdigest()


@pytest.fixture(scope="module")
def tree(directory: Directory) -> Iterator[Tree]:
    """A tree for all of these tests, next to one with people and a group, which must stay as it is."""
    neighbour, tree = directory.new_tree(), directory.new_tree()
    with opened(directory, neighbour) as backend:
        new_group(backend, "neighbours", new_user(backend, "neighbour@corp.example"))
    yield tree
    for each in (tree, neighbour):
        directory.empty(each)


@pytest.fixture(scope="module")
def backend(directory: Directory, tree: Tree) -> Iterator[LdapBackend]:
    with opened(directory, tree) as backend:
        yield backend


@pytest.fixture(scope="module")
def decoys(backend: LdapBackend) -> list[Resource]:
    """Users who are found when a text is misread."""
    return [
        backend.create("User", Draft({**dict.fromkeys(SLOTS, name), "userName": f"{name}{number}"}))
        for number, name in enumerate(DECOYS)
    ]


@pytest.fixture(autouse=True)
def untouched(directory: Directory, tree: Tree, backend: LdapBackend, decoys: list[Resource]) -> Iterator[None]:
    """Everything outside of the tree is after the test what it was before."""
    before = _rest(directory, tree)
    yield
    assert _rest(directory, tree) == before


def _ids(backend: LdapBackend, kind: str, filter: Bound) -> set[ResourceId]:
    return {r.id for r in backend.search(kind, Query(frozenset(), filter)).items}


def _compare(backend: LdapBackend, kind: str, slot: str, op: Op, text: str) -> Compare:
    attribute = backend.registry.type(kind).slots[slot]
    return Compare(attribute, op, comparable(attribute, text))


def test_users(backend: LdapBackend, decoys: list[Resource]) -> None:
    """Each slot comes back verbatim after a creation and after a change, and each filter finds what the evaluator finds
    among the user and its neighbours."""
    wanted = frozenset(SLOTS)

    @SETTINGS
    @given(st.fixed_dictionaries(dict.fromkeys(SLOTS, TEXTS)), st.sampled_from(SLOTS), TEXTS)
    def check(values: dict[str, str], slot: str, operand: str) -> None:
        user = backend.create("User", Draft(values))
        try:
            seen = backend.get("User", user.id, wanted)
            assert dict(seen.values) == values
            everyone = [*decoys, seen]
            for op in OPERATORS:
                for text in (values[slot], operand, values[slot][: len(values[slot]) // 2 + 1]):
                    filter = _compare(backend, "User", slot, op, text)
                    found = {r.id for r in everyone if matches(filter, View(r))}
                    assert _ids(backend, "User", filter) == found, (op, text)
                    others = {r.id for r in everyone} - found
                    assert _ids(backend, "User", Not(filter)) == others, (op, text)
            backend.update("User", user.id, Change({slot: f"{operand}.{values[slot]}"}))
            changed = {**values, slot: f"{operand}.{values[slot]}"}
            assert dict(backend.get("User", user.id, wanted).values) == changed
        finally:
            backend.delete("User", user.id)

    check()


def test_groups(backend: LdapBackend, decoys: list[Resource]) -> None:
    """Members and names of a group stay right through a renaming of it and of its member."""

    @SETTINGS
    @given(TEXTS, TEXTS, TEXTS)
    def check(user_name: str, name: str, new_name: str) -> None:
        user = backend.create("User", Draft({"userName": f"u{user_name}"}))
        team = None
        try:
            team = backend.create("Group", Draft({"displayName": name}, {"members": (user.id, decoys[0].id)}))
            assert set(members(backend, team)) == {user.id, decoys[0].id}
            assert _ids(backend, "Group", _compare(backend, "Group", "displayName", Op.EQ, name)) == {team.id}
            backend.update("Group", team.id, Change({"displayName": new_name}))
            backend.update("User", user.id, Change({"userName": f"v{new_name}"}))
            assert backend.get("Group", team.id, frozenset({"displayName"})).values == {"displayName": new_name}
            assert [r.display for _, r in backend.related("User", [user.id], "groups")] == [new_name]
            backend.update("Group", team.id, Change(relations={"members": Delta(remove=(decoys[0].id,))}))
            assert members(backend, team) == [user.id]
            backend.delete("User", user.id)
            assert members(backend, team) == []
        finally:
            _gone(backend, "User", user.id)
            if team is not None:
                backend.delete("Group", team.id)

    check()


def _gone(backend: LdapBackend, kind: str, id: ResourceId) -> None:
    try:
        backend.delete(kind, id)
    except NotFound:
        return


def _not_found(call: Callable[[], object]) -> None:
    with pytest.raises(NotFound):
        call()


def test_ids(backend: LdapBackend, decoys: list[Resource]) -> None:
    """A text that is no id finds nothing, changes nothing and is nobody's member."""
    team = new_group(backend, "Team", decoys[0])
    groups = backend.registry.type("User").relations["groups"]
    value = next(s for s in groups.attribute.sub_attributes if s.name == "value")

    @SETTINGS
    @given(st.one_of(TEXTS, TEXTS.map(lambda text: decoys[0].id + text), TEXTS.map(lambda text: text + decoys[0].id)))
    def check(id: str) -> None:
        for kind in ("User", "Group"):
            _not_found(partial(backend.get, kind, id, frozenset({"displayName"})))
            _not_found(partial(backend.update, kind, id, Change({"displayName": "taken over"})))
            _not_found(partial(backend.delete, kind, id))
            assert _ids(backend, kind, Compare(ID, Op.EQ, id)) == set()
        assert list(backend.related("User", [id, decoys[0].id], "groups")) == list(
            backend.related("User", [decoys[0].id], "groups")
        )
        with pytest.raises(UnknownReference) as refusal:
            backend.update("Group", team.id, Change(relations={"members": Delta((decoys[1].id, id))}))
        assert refusal.value.ids == (id,)
        with pytest.raises(UnknownReference):
            backend.create("Group", Draft({"displayName": "New"}, {"members": (id,)}))
        backend.update("Group", team.id, Change(relations={"members": Delta(remove=(id,))}))
        assert _ids(backend, "User", Some(groups.attribute, Compare(value, Op.EQ, comparable(value, id)))) == set()
        assert members(backend, team) == [decoys[0].id]

    check()
    for decoy in decoys:
        assert dict(backend.get("User", decoy.id, frozenset(SLOTS)).values) == dict(decoy.values)
    backend.delete("Group", team.id)
