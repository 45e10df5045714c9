"""Servers that die, hang, come back, take no writes, or give up: each call ends as `backends.errors` says, and nothing
is half done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

import pytest

from app.scim.query import Change, Delta, Draft, Query, Resource
from backends.errors import StoreError, Unavailable
from backends.ldap.backend import LdapBackend
from tests.ldap.hooks import Hooks, hooked
from tests.ldap.links import SOON
from tests.support.directories import Directory, Tree

PAIR = frozenset({"title", "nickName"})
"""One is in an attribute, the other in the record: a change of both that is half done shows."""


@pytest.fixture
def mortal(directory: Directory) -> Iterator[Directory]:
    """Each kind of server, which is there again after the test."""
    yield directory
    directory.start()


def pair(text: str) -> Change:
    """A change of both of them to the same text."""
    return Change(dict.fromkeys(PAIR, text))


def held(backend: LdapBackend, user: Resource) -> set[str]:
    """The texts that they have: one, unless something is half done."""
    return set(backend.get("User", user.id, PAIR).values.values())


def new_user(backend: LdapBackend, name: str) -> Resource:
    return backend.create("User", Draft({"userName": name, "active": True, **dict.fromkeys(PAIR, "before")}))


def new_group(backend: LdapBackend, name: str, *members: Resource) -> Resource:
    return backend.create("Group", Draft({"displayName": name}, {"members": tuple(m.id for m in members)}))


def members(backend: LdapBackend, group: Resource) -> list[str]:
    return [reference.id for _, reference in backend.related("Group", [group.id], "members")]


def adding(*people: str) -> Change:
    return Change(relations={"members": Delta(people)})


def names(backend: LdapBackend, kind: str = "User", slot: str = "userName") -> set[str]:
    return {str(r.values[slot]) for r in backend.search(kind, Query(frozenset({slot}))).items}


def every_call(backend: LdapBackend, user: Resource, group: Resource) -> dict[str, Callable[[], object]]:
    """One of each sort of call that a client causes."""
    return {
        "get": partial(backend.get, "User", user.id, PAIR),
        "search": partial(backend.search, "User", Query(PAIR)),
        "related": lambda: members(backend, group),
        **every_write(backend, user, group),
    }


def every_write(backend: LdapBackend, user: Resource, group: Resource) -> dict[str, Callable[[], object]]:
    """One of each sort of write. None of them changes anything when it fails."""
    return {
        "create": partial(backend.create, "User", Draft({"userName": "late@corp.example"})),
        "create a group": partial(backend.create, "Group", Draft({"displayName": "Late"}, {"members": (user.id,)})),
        "update": partial(backend.update, "User", user.id, pair("after")),
        "rename": partial(backend.update, "User", user.id, Change({"userName": "new@corp.example"})),
        "password": partial(backend.update, "User", user.id, Change({"password": "Battery-Staple-2?"})),
        "add a member": partial(backend.update, "Group", group.id, adding(user.id)),
        "clear": partial(backend.update, "Group", group.id, Change(relations={"members": Delta(clear=True)})),
        "delete a group": partial(backend.delete, "Group", group.id),
        "delete": partial(backend.delete, "User", user.id),
    }


def refused(calls: dict[str, Callable[[], object]]) -> dict[str, type[BaseException] | None]:
    """How each call ends."""
    ends: dict[str, type[BaseException] | None] = {}
    for name, call in calls.items():
        try:
            call()
        except StoreError as error:
            ends[name] = type(error)
        else:
            ends[name] = None
    return ends


class Writer(threading.Thread):
    """Changes one user again and again until a call fails, and after each change makes another user a member."""

    def __init__(self, backend: LdapBackend, number: int, team: Resource, answered: threading.Semaphore) -> None:
        super().__init__()
        self._backend, self._number, self._team, self._answered = backend, number, team, answered
        self.user = new_user(backend, f"w{number}@corp.example")
        self.last = -1
        self.members: list[str] = []
        self.end: BaseException | None = None

    def run(self) -> None:
        try:
            while True:
                self._backend.update("User", self.user.id, pair(str(self.last + 1)))
                self.last += 1
                made = new_user(self._backend, f"w{self._number}.{self.last}@corp.example").id
                self._backend.update("Group", self._team.id, adding(made))
                self.members.append(made)
                self._answered.release()
        except BaseException as error:
            self.end = error


def test_killed_in_the_midst_of_requests(mortal: Directory, tree: Tree) -> None:
    """Every call under way ends with Unavailable; each answered write is kept, and the one that was under way is done
    as a whole or not at all."""
    with hooked(mortal, tree) as (backend, _):
        always = new_user(backend, "always@corp.example")
        team = new_group(backend, "Team", always)
        answered = threading.Semaphore(0)
        writers = [Writer(backend, number, team, answered) for number in range(6)]
        for writer in writers:
            writer.start()
        for _ in range(30):
            answered.acquire()
        mortal.kill()
        for writer in writers:
            writer.join()
        assert [type(writer.end) for writer in writers] == [Unavailable] * len(writers)
        mortal.start()
        for writer in writers:
            assert held(backend, writer.user) in ({str(writer.last)}, {str(writer.last + 1)}, {"before"})
            if writer.last >= 0:
                assert held(backend, writer.user) != {"before"}
        found = members(backend, team)
        assert {always.id, *(m for writer in writers for m in writer.members)} <= set(found)
        assert len(found) == len(set(found)) <= 1 + sum(len(writer.members) + 1 for writer in writers)


@pytest.mark.parametrize("step", ["search", "add", "modify", "rename", "delete"])
def test_killed_right_before_a_request(step: str, mortal: Directory, tree: Tree) -> None:
    """A call that can't be sent fails, and is not sent later. A user who is being deleted was taken out of groups
    first, so that no group ever names an entry that is not there. Active Directory has the new userName before the
    entry is renamed."""
    call = {"search": "get", "add": "create", "modify": "update", "rename": "rename", "delete": "delete"}[step]
    with hooked(mortal, tree) as (backend, hooks):
        user = new_user(backend, "ann@corp.example")
        team = new_group(backend, "Team", user)
        hooks.before[step] = mortal.kill
        hooks.sent.clear()
        assert refused({call: every_call(backend, user, team)[call]}) == {call: Unavailable}
        assert hooks.sent.count(step) == 1
        mortal.start()
        assert held(backend, user) == {"before"}
        assert members(backend, team) == [user.id] or step == "delete"
        renamed = step == "rename" and mortal.kind == "active-directory"
        assert names(backend) == {"new@corp.example" if renamed else "ann@corp.example"}


@pytest.mark.parametrize("step", ["search", "add", "modify", "delete"])
def test_restarted_right_before_a_request(step: str, mortal: Directory, tree: Tree) -> None:
    """A read is done on a new connection. A write is not sent again: with the old connection it may have arrived."""
    call = {"search": "get", "add": "create", "modify": "update", "delete": "delete a group"}[step]
    with hooked(mortal, tree) as (backend, hooks):
        user = new_user(backend, "ann@corp.example")
        team = new_group(backend, "Team", user)

        def restart() -> None:
            mortal.kill()
            mortal.start()

        hooks.before[step] = restart
        hooks.sent.clear()
        ends = refused({call: every_call(backend, user, team)[call]})
        assert ends == {call: None if step == "search" else Unavailable}
        assert hooks.sent.count(step) == (2 if step == "search" else 1)
        assert held(backend, user) == {"before"}
        assert members(backend, team) == [user.id]


def test_restarted(mortal: Directory, tree: Tree) -> None:
    """After a restart the next calls are answered as if nothing had been, writes too."""
    with hooked(mortal, tree) as (backend, _):
        user = new_user(backend, "ann@corp.example")
        team = new_group(backend, "Team")
        mortal.stop()
        mortal.start()
        backend.update("User", user.id, pair("after"))
        backend.update("Group", team.id, adding(user.id))
        assert held(backend, user) == {"after"}
        assert members(backend, team) == [user.id]


def patient(call: Callable[[], object]) -> None:
    """Do something on a busy machine although the server is given little time."""
    for _ in range(20):
        try:
            call()
        except Unavailable:
            continue
        return
    call()


@contextmanager
def hanging(server: Directory, hooks: Hooks, call: Callable[[], object]) -> Iterator[None]:
    """The server, which says nothing any more: a server that is told to stop finishes what it is at."""
    server.suspend()
    hooks.connect_timeout = SOON
    try:
        with suppress(Unavailable):
            while True:
                call()
        yield
    finally:
        server.resume()
        hooks.connect_timeout = 20


def test_hung(mortal: Directory, tree: Tree, backend: LdapBackend) -> None:
    """Every call ends with Unavailable, although the server never says a word; afterwards all is as before."""
    user = new_user(backend, "ann@corp.example")
    team = new_group(backend, "Team", user)
    with hooked(mortal, tree, response_timeout=SOON) as (hasty, hooks):
        read = partial(hasty.get, "User", user.id, PAIR)
        patient(read)
        with hanging(mortal, hooks, read):
            ends = refused(every_call(hasty, user, team))
        assert set(ends.values()) == {Unavailable}, ends
        patient(read)
    assert held(backend, user) == {"before"}
    assert members(backend, team) == [user.id]
    assert names(backend) == {"ann@corp.example"}


def test_hung_in_the_midst_of_a_write(mortal: Directory, tree: Tree, backend: LdapBackend) -> None:
    """It ends with Unavailable and is not sent again; what the server does of it later it does as a whole."""
    user = new_user(backend, "ann@corp.example")
    with hooked(mortal, tree, response_timeout=SOON) as (hasty, hooks):
        read = partial(hasty.get, "User", user.id, PAIR)
        patient(read)
        hooks.sent.clear()
        with ExitStack() as stack:
            hooks.before["modify"] = lambda: stack.enter_context(hanging(mortal, hooks, read))
            with pytest.raises(Unavailable):
                hasty.update("User", user.id, pair("after"))
        assert hooks.sent.count("modify") <= 1
    assert held(backend, user) in ({"before"}, {"after"})
    backend.update("User", user.id, pair("last"))
    assert held(backend, user) == {"last"}
