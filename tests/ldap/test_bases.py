"""Integrations that are limited to subtrees of a directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from app.control import Access, Only, Remit
from app.scim.filter.bind import bind
from app.scim.filter.parse import parse_filter
from app.scim.paths import bind_sort
from app.scim.query import Change, Delta, Draft, Query, ResourceId, Window, Within
from app.scim.registry import load
from app.services.remit import OutsideRemit, Remitted, enter, leave
from backends.base import Backend
from backends.errors import NotFound, TooManyCandidates, UnknownReference
from backends.ldap.backend import LdapBackend
from backends.ldap.subtrees import tops
from tests.api.expect import refused as refused_over_http
from tests.ldap.store import Beside, opened, with_users
from tests.ldap.test_subtrees import MANAGER, TITLE, below, delta, members
from tests.support.directories import Directory, Tree
from tests.support.ldapstores import bindings_for, directory_of
from tests.support.service import GROUP, USER, Client, running

MANAGER_NAME = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.displayName"
WINDOW = Window(1, 10)


@dataclass(frozen=True, slots=True)
class House:
    """A directory with two people and a group in a subtree, and two and one beside it; `limited` sees the subtree."""

    plain: LdapBackend
    limited: Backend
    bases: tuple[str, ...]
    ann: ResourceId
    abe: ResourceId
    team: ResourceId
    out: ResourceId
    boss: ResourceId
    other: ResourceId

    def found(self, backend: Backend, kind: str, text: str | None = None, window: Window = WINDOW) -> set[ResourceId]:
        """The ids that a filter finds; the total is the number of them."""
        filter = None if text is None else bind(parse_filter(text), backend.registry.type(kind))
        page = backend.search(kind, Query(frozenset(), filter, window=window))
        assert window.count < page.total or page.total == len(page.items)
        return {item.id for item in page.items}


@pytest.fixture
def house(directory: Directory, tree: Tree, beside: Beside, backend: LdapBackend) -> Iterator[House]:
    inside = below(tree, beside, "berlin")
    # Another spelling of the same names.
    bases = tuple(dn.upper().replace(",", " , ", 1) for dn in (inside.people, inside.groups))
    with ExitStack() as stack:
        there = stack.enter_context(opened(directory, inside))
        stack.callback(leave)
        boss = backend.create("User", Draft({"userName": "boss@corp.example", "displayName": "Boss"})).id
        out = backend.create("User", Draft({"userName": "out@corp.example", "title": "before"})).id
        ann = there.create("User", Draft({"userName": "ann@corp.example", "title": "before"})).id
        backend.update("User", ann, Change({MANAGER: boss}))
        abe = there.create("User", Draft({"userName": "abe@corp.example", "title": "before"})).id
        team = there.create("Group", Draft({"displayName": "Team"}, {"members": (ann,)})).id
        backend.update("Group", team, delta(add=(out,)))
        other = backend.create("Group", Draft({"displayName": "Other"}, {"members": (ann, out)})).id
        yield House(backend, Remitted(backend), bases, ann, abe, team, out, boss, other)


def ask(house: House, *, writes: bool = False, **limits: object) -> None:
    """Afterwards this thread asks for an integration that is limited to the subtrees."""
    enter(replace(Remit(bases=house.bases), **limits), writes=writes)  # type: ignore[arg-type]


def refused(calls: Mapping[str, Callable[[], object]]) -> None:
    for name, call in calls.items():
        try:
            call()
        except OutsideRemit as error:
            assert "not be among those" in error.detail or "not among those" in error.detail, name
        else:
            pytest.fail(f"{name} was let through")


def test_what_is_elsewhere_is_not_there_for_reading(house: House) -> None:
    limited = house.limited
    ask(house)
    assert house.found(limited, "User") == {house.ann, house.abe}
    assert house.found(limited, "Group") == {house.team}
    for kind, id in (("User", house.out), ("Group", house.other), ("User", "nobody")):
        with pytest.raises(NotFound):
            limited.get(kind, id, frozenset())
    assert limited.get("User", house.ann, frozenset({"title", MANAGER_NAME})).values == {"title": "before"}
    assert members(limited, house.team) == {house.ann}
    groups = [reference.id for _, reference in limited.related("User", [house.ann], "groups")]
    assert groups == [house.team]
    found = {
        'title eq "before"': {house.ann, house.abe},
        'not (title eq "before")': set(),
        f'id eq "{house.out}"': set(),
        'groups.display eq "Other"': set(),
        'groups.display eq "Team"': {house.ann},
        f'{MANAGER_NAME} eq "Boss"': set(),
    }
    assert {text: house.found(limited, "User", text) for text in found} == found
    assert house.found(limited, "Group", f'members eq "{house.out}"') == set()
    assert house.found(limited, "Group", f'members eq "{house.ann}"') == {house.team}
    assert house.found(limited, "Group", 'members[value pr and not (display eq "x")]') == {house.team}


def test_windows_and_order(house: House) -> None:
    """One of several people at a time, with the subtree of the groups beside that of the users."""
    ask(house)
    users = house.limited.registry.type("User")
    for sort in (None, bind_sort("userName", users, descending=False), bind_sort("title", users, descending=True)):
        query = Query(frozenset({"userName"}), sort=sort)
        pages = [house.limited.search("User", replace(query, window=Window(n, 1))) for n in (1, 2, 3)]
        assert [(page.total, len(page.items)) for page in pages] == [(2, 1), (2, 1), (2, 0)]
        names = [item.values["userName"] for page in pages for item in page.items]
        assert set(names) == {"ann@corp.example", "abe@corp.example"}
        if sort is not None and not sort.descending:
            assert names == ["abe@corp.example", "ann@corp.example"]
        assert house.limited.search("User", replace(query, window=Window(1, 0))).total == 2


def test_what_is_elsewhere_is_not_written(house: House) -> None:
    limited, plain = house.limited, house.plain
    everything = plain.registry.type("User").readable
    before = plain.get("User", house.out, everything)
    ask(house, writes=True)
    refused(
        {
            "read": partial(limited.get, "User", house.out, frozenset()),
            "update": partial(limited.update, "User", house.out, Change({"title": "after"})),
            "rename": partial(limited.update, "User", house.out, Change({"userName": "ann2@corp.example"})),
            "retire": partial(limited.retire, "User", house.out),
            "delete": partial(limited.delete, "User", house.out),
            "members": partial(limited.update, "Group", house.other, delta(clear=True)),
            "away": partial(limited.delete, "Group", house.other),
            "create": partial(limited.create, "User", Draft({"userName": "eve@corp.example"})),
            "team": partial(limited.create, "Group", Draft({"displayName": "New"})),
        }
    )
    with pytest.raises(NotFound):
        limited.update("User", "nobody", Change({"title": "after"}))
    with pytest.raises(UnknownReference):
        limited.update("Group", house.team, delta(add=(house.out,)))
    assert plain.get("User", house.out, everything) == before
    assert house.found(plain, "User") == {house.ann, house.abe, house.out, house.boss}
    assert house.found(plain, "Group") == {house.team, house.other}


def test_what_is_inside_is_written_and_stays_inside(house: House, beside: Beside) -> None:
    limited = house.limited
    ask(house, writes=True)
    limited.update("User", house.ann, Change({"title": "after", "userName": "anne@corp.example"}))
    limited.update("Group", house.team, Change({"displayName": "Crew"}))
    assert limited.get("User", house.ann, TITLE).values == {"title": "after"}
    assert house.plain.within("User", [house.ann], house.bases) == {house.ann}
    assert house.plain.within("Group", [house.team], house.bases) == {house.team}
    # Who is not seen stays a member.
    limited.update("Group", house.team, Change(relations={"members": Delta((house.abe,), clear=True)}))
    assert members(limited, house.team) == {house.abe}
    assert members(house.plain, house.team) == {house.abe, house.out}
    limited.delete("User", house.abe)
    limited.delete("Group", house.team)
    assert house.found(limited, "User") == {house.ann}
    assert house.found(limited, "Group") == set()


def test_a_filter_and_a_kind_beside_the_subtree(house: House) -> None:
    house.plain.update("User", house.abe, Change({"title": "other"}))
    ask(house, writes=True, users='title eq "before"', only=Only.USERS)
    limited = house.limited
    assert house.found(limited, "User") == {house.ann}
    assert house.found(limited, "Group") == set()
    refused(
        {
            "place": partial(limited.update, "User", house.out, Change({"title": "before"})),
            "value": partial(limited.update, "User", house.abe, Change({"title": "before"})),
            "leaving": partial(limited.update, "User", house.ann, Change({"title": "other"})),
        }
    )
    house.plain.update("Group", house.team, delta(add=(house.abe,)))
    ask(house, users='title eq "before"')
    assert members(limited, house.team) == {house.ann}
    assert house.found(limited, "Group", 'members[not (display eq "x")]') == {house.team}


def test_where_a_new_user_would_be_decides(house: House, directory: Directory, tree: Tree, beside: Beside) -> None:
    """Also of one who was retired. The place is the first of the list that is there."""
    below(tree, beside, "munich")
    place = f"{tree.people[:2]}={{title}},{tree.people}"
    bindings = with_users(bindings_for(directory.kind, tree), placement=(place,))
    with opened(directory, tree, bindings) as placing:
        limited = Remitted(placing)
        ask(house, writes=True)
        eve = {"userName": "eve@corp.example"}
        made = limited.create("User", Draft({**eve, "title": "Berlin"}))
        assert placing.within("User", [made.id], house.bases) == {made.id}
        refused(
            {
                title: partial(limited.create, "User", Draft({"userName": "mal@corp.example", "title": title}))
                for title in ("munich", "nowhere")
            }
        )
        mel = placing.create("User", Draft({"userName": "mel@corp.example", "title": "munich"})).id
        placing.retire("User", mel)
        limited.retire("User", made.id)
        page = limited.retired("User", TITLE)
        assert [(item.id, item.values) for item in page.items] == [(made.id, {"title": "Berlin"})]
        refused(
            {
                "elsewhere": partial(limited.restore, "User", mel, Change({"title": "Berlin"})),
                "leaving": partial(limited.restore, "User", made.id, Change({"title": "munich"})),
            }
        )
        assert limited.restore("User", made.id, Change({"nickName": "Eve"})).id == made.id
        assert placing.within("User", [made.id], house.bases) == {made.id}


def test_subtrees_that_are_not_there_or_in_one_another(house: House, directory: Directory, tree: Tree) -> None:
    """A subtree that is gone holds nobody, and nobody is counted twice."""
    gone = f"{tree.people[:2]}=gone,{tree.people}"
    ask(house, bases=(gone,))
    assert house.found(house.limited, "User") == set()
    assert house.found(house.limited, "User", 'title eq "x" or userName pr') == set()
    ask(house, bases=(gone, *house.bases, house.bases[0].lower()))
    assert house.found(house.limited, "User") == {house.ann, house.abe}
    for whole in ((tree.people, *house.bases), (tree.people.partition(",")[2],)):
        ask(house, bases=whole)
        assert house.found(house.limited, "User") == {house.ann, house.abe, house.out, house.boss}
    two = tuple(dn for dn in (house.bases[0], f"{tree.people[:2]}=gone,{tree.people}"))
    ask(house, bases=two)
    assert house.found(house.limited, "User", window=Window(2, 1)) < {house.ann, house.abe}


def test_people_outside_are_counted_up_to_a_bound(house: House, directory: Directory, tree: Tree) -> None:
    bindings = bindings_for(directory.kind, tree)
    few = LdapBackend(directory_of(directory), bindings, load(), candidates=1)
    try:
        outside = Query(frozenset(), within=Within(house.bases, outside=True))
        assert house.plain.search("User", outside).total == 2
        assert few.search("Group", outside).total == 1
        with pytest.raises(TooManyCandidates):
            few.search("User", outside)
    finally:
        few.close()


def test_what_is_wrong_with_a_subtree(house: House, tree: Tree) -> None:
    for base in (*house.bases, tree.people, tree.groups, tree.people.partition(",")[2]):
        assert house.plain.subtree_fault(base) is None
    assert "there is no entry" in str(house.plain.subtree_fault(f"{tree.people[:2]}=gone,{tree.people}"))
    fault = house.plain.subtree_fault("ou=elsewhere,dc=other,dc=example")
    assert fault is not None
    assert tree.people in fault
    assert tree.groups in fault


def test_a_write_costs_no_more_than_with_a_filter(house: House) -> None:
    directory = house.plain.directory

    def cost(title: str, remit: Remit) -> int:
        enter(remit, writes=True)
        before = directory.counts
        house.limited.update("User", house.ann, Change({"title": title}))
        return sum(directory.counts.since(before).operations.values())

    cost("first", Remit())
    plain = cost("a", Remit())
    assert cost("b", Remit(users="userName pr")) == plain + 1
    assert cost("c", Remit(bases=house.bases)) == plain + 1


def test_over_http(house: House, tmp_path: Path) -> None:
    leave()
    with running(house.plain, load(), tmp_path) as service:
        integration = service.control.create_integration("Berlin", Access.FULL, remit=Remit(bases=house.bases))
        assert service.control.find_integration("Berlin").remit.bases == house.bases
        token = service.control.add_bearer(integration.id, None).value
        with Client(service.settings.scim_url, token) as client:
            assert client.get("/Users").json()["totalResults"] == 2
            refused_over_http(client.get(f"/Users/{house.out}"), 404)
            for response in (
                client.delete(f"/Users/{house.out}"),
                client.change(f"/Users/{house.out}", {"op": "replace", "path": "title", "value": "x"}),
                client.create("/Users", {"schemas": [USER], "userName": "eve@corp.example"}),
                client.create("/Groups", {"schemas": [GROUP], "displayName": "New"}),
            ):
                assert "among those that this integration may change" in refused_over_http(response, 403)
            path = f"/Users/{house.ann}"
            assert client.change(path, {"op": "replace", "path": "title", "value": "x"}).json()["title"] == "x"


@pytest.mark.parametrize(
    ("bases", "found"),
    [
        (("ou=a,dc=org", "OU=A, dc=org", "ou=b,ou=a,dc=org"), ["OU=A, dc=org"]),
        (("ou=b,ou=a,dc=org", "ou=c,dc=org"), ["ou=b,ou=a,dc=org", "ou=c,dc=org"]),
        (("ou=a,dc=org", "dc=org"), ["dc=org"]),
        (("dc=net", "ou=a,dc=net", "ou=adc=org"), []),
    ],
    ids=["nested", "apart", "whole", "elsewhere"],
)
def test_subtrees_that_are_searched(bases: tuple[str, ...], found: list[str]) -> None:
    assert tops("dc=org", bases) == found
