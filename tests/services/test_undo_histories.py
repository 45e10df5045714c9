"""Whatever clients wrote since some moment: when all of it is undone, the store is as it was at that moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.control import AuditRecord, ControlStore
from app.scim.query import Query, Window
from app.services.journal import Actor
from app.services.undo.history import parsed
from backends.base import Backend
from backends.errors import Duplicate, NotFound, UnknownReference
from tests.services.undoing import ENTRA, HR, World
from tests.support.controls import new_control

PEOPLE = 3
_EXPECTED = (Duplicate, NotFound, UnknownReference)

_person, _group = st.integers(0, PEOPLE - 1), st.integers(0, 1)
_who = st.sampled_from((ENTRA, HR))
_title = st.sampled_from(("A", "B", None))
_some = st.lists(_person, unique=True, max_size=PEOPLE)
Fact = tuple[str, str]

_write = st.one_of(
    st.tuples(st.just("join"), _person, _who, _title),
    st.tuples(st.just("leave"), _person, _who),
    st.tuples(st.sampled_from(("patch", "blind")), _person, _who, _title, st.booleans()),
    st.tuples(st.just("put"), _person, _title),
    st.tuples(st.just("group"), _group, _some),
    st.tuples(st.sampled_from(("add", "remove", "replace", "put group")), _group, _some),
)


class _History:
    """Makes generated writes; who and what they are about is known by a number."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._people: dict[int, str] = {}
        self._groups: dict[int, str] = {}

    def write(self, what: str, number: int, *rest: Any) -> None:
        """One write, which may be refused."""
        with suppress(*_EXPECTED):
            if what in ("group", "add", "remove", "replace", "put group"):
                self._write_group(what, number, *rest)
            elif what == "join":
                who, title = rest
                values = {} if title is None else {"title": title}
                self._people[number] = self.world.user(f"p{number}", who, **values)
            elif number in self._people:
                self._write_user(what, self._people[number], number, *rest)

    def _write_user(self, what: str, id: str, number: int, *rest: Any) -> None:
        match what, rest:
            case "leave", (who,):
                self.world.delete(id, who=who)
            case "put", (title,):
                self.world.put("User", id, userName=f"p{number}", **({} if title is None else {"title": title}))
            case _, (who, title, active):
                change = self.world.patch if what == "patch" else self.world.blind
                change(id, who, title=title, active=active)

    def _write_group(self, what: str, number: int, some: list[int]) -> None:
        members = tuple(self._people[person] for person in some if person in self._people)
        if what == "group":
            self._groups[number] = self.world.group(f"g{number}", *members)
        elif number in self._groups:
            id = self._groups[number]
            match what:
                case "add":
                    self.world.members(id, add=members)
                case "remove":
                    self.world.members(id, remove=members)
                case "replace":
                    self.world.replace_members(id, *members)
                case _:
                    self.world.put("Group", id, members, displayName=f"g{number}")

    def make(self, writes: list[tuple[Any, ...]]) -> list[AuditRecord]:
        """Their records."""
        count = len(self.world.records())
        for write in writes:
            self.write(*write)
        return self.world.records()[count:]

    def last_written_by(self, who: Actor, records: list[AuditRecord]) -> set[Fact]:
        """What in `facts` was last written by that client; of who came or went since then only that."""
        last: dict[Fact, str] = {}
        names = {id: f"p{number}" for number, id in self._people.items()}
        names |= {id: f"g{number}" for number, id in self._groups.items()}
        for record in (record for record in records if record.outcome == "done"):
            told, name = parsed(record), names[record.resource_id or ""]
            if told.record.operation in ("create", "restore", "retire"):
                last = {fact: by for fact, by in last.items() if name not in fact}
                last[name, ""] = record.integration_id
            for slot in told.after:
                last[name, slot] = record.integration_id
            for delta in told.relations.values():
                for far in names if delta.clear else (*delta.add, *delta.remove):
                    last[name, names[far]] = record.integration_id
        lives = {name for (name, what), by in last.items() if not what and by == who.integration_id}
        return {
            (n, w)
            for (n, w), by in last.items()
            if by == who.integration_id and n in lives and (w[:1] != "p" or w in lives)
        }

    def facts(self) -> dict[Fact, Any]:
        """All that is in the store, by what is at most one value: who is there, a slot, a member."""
        found: dict[Fact, Any] = {}
        people = {id: f"p{number}" for number, id in self._people.items()}
        for _, id, values, members in self.snapshot():
            name = people.get(id) or next(f"g{number}" for number, group in self._groups.items() if group == id)
            found[name, ""] = True
            found.update(((name, slot), value) for slot, value in values.items())
            found.update(((name, people[far]), True) for far in members or ())
        return found

    def snapshot(self) -> Any:
        """All that is in the store."""
        backend = self.world.backend
        found: list[Any] = []
        for resource_type in backend.registry.types:
            wanted = resource_type.readable.intersection(resource_type.slots)
            for item in backend.search(resource_type.name, Query(wanted, window=Window(1, 100))).items:
                values = {**item.values, "active": item.values.get("active") is not False}
                members = self.world.in_group(item.id) if resource_type.name == "Group" else None
                found.append((resource_type.name, item.id, values, members))
        return sorted(found, key=repr)


_SETTINGS = settings(
    max_examples=20,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)

Begin = Callable[[], AbstractContextManager[_History]]


@pytest.fixture
def begin(store: Callable[[], Backend], tmp_path_factory: pytest.TempPathFactory) -> Begin:
    """Makes an empty store, with a control store of its own."""

    @contextmanager
    def begin() -> Iterator[_History]:
        url = new_control(tmp_path_factory.mktemp("control") / "control.db")
        with closing(ControlStore(url)) as control:
            yield _History(World(store(), control))
            assert control.audit.verify().wrong is None

    return begin


@pytest.mark.parametrize("together", [True, False], ids=["together", "one-by-one"])
def test_all_that_was_written_since(begin: Begin, together: bool) -> None:
    @_SETTINGS
    @given(before=st.lists(_write, max_size=15), since=st.lists(_write, min_size=1, max_size=10))
    def check(before: list[tuple[Any, ...]], since: list[tuple[Any, ...]]) -> None:
        with begin() as history:
            history.make(before)
            snapshot = history.snapshot()
            numbers = [record.seq for record in history.make(since)]
            for run in [numbers] if together else [[number] for number in reversed(numbers)]:
                undoing, made = history.world.undone_once(*run)
                assert (undoing.conflicts, made.conflicts) == ((), ())
            assert history.snapshot() == snapshot
            again = history.world.of(*numbers)
            assert (again.steps, again.conflicts) == ((), ())

    check()


def test_what_one_client_wrote(begin: Begin) -> None:
    """At once it is the same as one after another, and nothing that another client wrote last is touched."""

    @_SETTINGS
    @given(writes=st.lists(_write, min_size=1, max_size=25))
    def check(writes: list[tuple[Any, ...]]) -> None:
        with begin() as one, begin() as two:
            records = one.make(writes)
            others = one.last_written_by(HR, records)
            before = one.facts()
            numbers = [record.seq for record in records if record.integration_id == ENTRA.integration_id]
            two.make(writes)
            one.world.undone_once(*numbers)
            for number in reversed(numbers):
                two.world.undone_once(number)
            assert one.facts() == two.facts()
            assert {fact: one.facts().get(fact) for fact in others} == {fact: before.get(fact) for fact in others}

    check()
