"""Two nodes, each with its own connections and memory, write the same entries at once: no write is lost."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator

import pytest

from app.scim.query import Change, Delta, Draft
from backends.errors import Duplicate, VersionMismatch
from backends.ldap.backend import LdapBackend
from tests.ldap.store import opened
from tests.ldap.test_faults import members, names, new_group, new_user
from tests.support.directories import Directory, Tree

THREADS = 4
ROUNDS = 25
TITLE = frozenset({"title"})


@pytest.fixture
def nodes(directory: Directory, tree: Tree) -> Iterator[tuple[LdapBackend, LdapBackend]]:
    """Two back ends on one tree."""
    with opened(directory, tree) as one, opened(directory, tree) as other:
        yield one, other


def together(nodes: tuple[LdapBackend, LdapBackend], work: Callable[[LdapBackend, int], None]) -> None:
    """Do the work in several threads on each node; the first failure is raised."""
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(nodes[number % 2], number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2 * THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_values_of_one_user(nodes: tuple[LdapBackend, LdapBackend]) -> None:
    """Each thread writes one slot, half of them in attributes, half in the record: the last value of each is there."""
    slots = ("title", "displayName", "name.givenName", "userType", "nickName", "locale", "timezone", "profileUrl")
    ann = new_user(nodes[0], "ann@corp.example")

    def work(node: LdapBackend, number: int) -> None:
        for round in range(ROUNDS):
            node.update("User", ann.id, Change({slots[number]: f"{number}.{round}"}))

    together(nodes, work)
    wanted = {slot: f"{number}.{ROUNDS - 1}" for number, slot in enumerate(slots)}
    for node in nodes:
        assert dict(node.get("User", ann.id, frozenset(slots)).values) == wanted


def test_a_counter(nodes: tuple[LdapBackend, LdapBackend]) -> None:
    """Each write is on condition of the version that was read: the counter counts every one."""
    ann = nodes[0].create("User", Draft({"userName": "ann@corp.example", "title": "0"})).id

    def work(node: LdapBackend, _: int) -> None:
        done = 0
        while done < ROUNDS // 2:
            seen = node.get("User", ann, TITLE)
            try:
                node.update(
                    "User", ann, Change({"title": str(int(seen.values["title"]) + 1)}), expect=seen.stamp.version
                )
            except VersionMismatch:
                continue
            done += 1

    together(nodes, work)
    for node in nodes:
        assert node.get("User", ann, TITLE).values == {"title": str(2 * THREADS * (ROUNDS // 2))}


def test_members_of_one_group(nodes: tuple[LdapBackend, LdapBackend]) -> None:
    """Each thread adds and removes people of its own, and all of them the same others; the group ends as they say."""
    people = [new_user(nodes[0], f"p{n}@corp.example").id for n in range(2 * THREADS * 3)]
    shared = [new_user(nodes[0], f"s{n}@corp.example").id for n in range(3)]
    team = new_group(nodes[0], "Team")
    wanted: set[str] = set()

    def work(node: LdapBackend, number: int) -> None:
        chance = random.Random(number)
        own, held = people[number * 3 : number * 3 + 3], set[str]()
        for _ in range(ROUNDS):
            person = chance.choice(own)
            add = chance.random() < 0.6
            both = (person, chance.choice(shared))
            node.update("Group", team.id, Change(relations={"members": Delta(both) if add else Delta(remove=both)}))
            (held.add if add else held.discard)(person)
        node.update("Group", team.id, Change(relations={"members": Delta(tuple(shared))}))
        wanted.update(held)

    together(nodes, work)
    for node in nodes:
        found = members(node, team)
        assert len(found) == len(set(found))
        assert set(found) - set(shared) == wanted
    nodes[0].update("Group", team.id, Change(relations={"members": Delta(tuple(shared))}))
    assert set(members(nodes[1], team)) == wanted | set(shared)


def test_names_are_given_once(nodes: tuple[LdapBackend, LdapBackend]) -> None:
    """Of the users of one name, and of the groups, that are made at once one is made."""
    made: list[str] = []

    def work(node: LdapBackend, number: int) -> None:
        for round in range(3):
            name = f"same{round}@corp.example"
            try:
                made.append(new_user(node, name.upper() if number % 3 else name).id)
            except Duplicate as refusal:
                assert refusal.attribute == "userName"

    together(nodes, work)
    assert len(made) == 3
    assert len(names(nodes[0])) == 3
