"""Histories of provisioning, made at random: several integrations, people who were there before, leavers who come back,
what is undone, and a service that is killed or started anew in between. Whatever happens, strangers stay as they are,
the chain of the audit holds, its records alone give the state of the store, and nobody's id ever changes."""

from __future__ import annotations

import itertools
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from sqlalchemy import text
from werkzeug.serving import make_server

from app.control import Access, AuditRecord, ControlStore, Only, Remit, Wanted, upgrade
from app.factory import Running, create_app
from app.scim.filter.nodes import Compare, Op
from app.scim.query import Query, Resource, ResourceId, Window
from app.scim.registry import Registry
from app.scim.types import comparable
from app.services.audit import Recovery
from app.services.audit.opening import open_spools
from app.services.linked import with_links
from app.services.undo import Undo
from backends.base import Backend
from backends.sql.backend import SqlBackend
from tests.api.schemas import api_registry
from tests.support.dying import Point, Request, killed_in
from tests.support.replay import MANAGER, Replay
from tests.support.service import ENTERPRISE, GROUP, PATCH_OP, SCIM_JSON, USER, Client, QuietHandler, quiet
from tests.support.strangers import Look, stranger, strangers

pytestmark = pytest.mark.every_store

HISTORIES = {"sqlite": 325, "postgresql": 80, "mariadb": 45, "openldap": 30, "389ds": 10, "samba": 10}
"""500 together."""
STEPS = 24
LOCALS, PEOPLE, GROUPS = 2, 6, 2
_CLOCK_SECONDS = 3


class World:
    """A store with strangers in it, and before it one service after another, each history with a control store of its
    own."""

    def __init__(self, name: str, backend: Backend, registry: Registry, home: Path) -> None:
        self.backend = backend
        self._registry = registry
        self._home = home
        self._template = home / "control.db"
        self._numbers = itertools.count(1)
        self._server = make_server("127.0.0.1", 0, lambda *_: [], threaded=True, request_handler=QuietHandler)
        self._tokens = self._integrations(f"sqlite:///{self._template}")
        self._spare: list[tuple[int, list[Look]]] = []
        self._strangers = strangers(backend, [f"s{number}-{name}" for number in range(3)])
        for _ in range(HISTORIES[name]):
            self._spare.append(self._people(next(self._numbers)))
        self._age()
        self._as_they_are = self._strangers()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Requests are answered until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        base = f"http://127.0.0.1:{self._server.port}/scim/v2"
        self.clients = [Client(base, token) for token in self._tokens]
        try:
            yield
        finally:
            for client in self.clients:
                client.close()
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def begin(self) -> tuple[int, list[Look]]:
        """A new history: its number, and what looks at its people who are there already."""
        if not self._spare:
            self._spare.append(self._people(next(self._numbers)))
            self._age()
        number, looks = self._spare.pop(0)
        home = self._home / str(number)
        home.mkdir()
        shutil.copy(self._template, home / "control.db")
        self.settings = quiet(home, self._server.port)
        self.control = ControlStore(f"sqlite:///{home / 'control.db'}")
        self.store = with_links(self.backend, self.control.links)
        self.start()
        return number, looks

    def start(self) -> None:
        """A service that knows what the files say and no more."""
        self._server.app = create_app(self.settings, self.backend, self._registry)

    def stop(self) -> None:
        """The service ends as it should."""
        self.catch_up()
        self._running.control.close()

    def catch_up(self) -> None:
        """What was written so far is in the trail."""
        self._running.audit.close()

    def records(self) -> list[AuditRecord]:
        """All records of the history."""
        self.catch_up()
        return list(self.control.audit.records(Wanted()))

    @property
    def undo(self) -> Undo:
        """What an operator undoes with while the service runs."""
        return Undo(self.control.audit, self.store, self._running.audit)

    @property
    def _running(self) -> Running:
        running: Running = self._server.app.extensions["landfall"]  # type: ignore[attr-defined]
        return running

    def end(self) -> None:
        """The history is over."""
        self.stop()
        self.recover()
        chain = self.control.audit.verify()
        assert (chain.wrong, chain.fault) == (None, "")
        assert self._strangers() == self._as_they_are

    def recover(self) -> None:
        """What killed processes left is in the trail."""
        spools = open_spools(self.settings)
        recovery = Recovery(self.control.audit, spools, self.store, self.store.registry, grace=0)
        assert recovery.run(lambda: None).waiting == 0

    def killed_in(self, who: int, method: str, path: str, document: Mapping[str, Any] | None, point: Point) -> None:
        """The request is sent to a process of its own, which ends in the midst of it."""
        self.catch_up()
        request = Request(method, path, document, self._tokens[who])
        killed_in(self.backend, api_registry, self.settings, request, point)
        self.recover()

    def _integrations(self, url: str) -> list[str]:
        """Two that may do everything, and one that has to do with users only."""
        upgrade(url)
        control = ControlStore(url)
        remits = {"HR": Remit(), "Entra ID": Remit(), "helpdesk": Remit(only=Only.USERS)}
        tokens = []
        for name, remit in remits.items():
            integration = control.create_integration(name, Access.FULL, remit=remit)
            tokens.append(control.add_bearer(integration.id, None).value)
        control.close()
        return tokens

    def _people(self, number: int) -> tuple[int, list[Look]]:
        names = ((name_of(person, 0, number), address_of(person, number)) for person in range(LOCALS))
        return number, [stranger(self.backend, name, address) for name, address in names]

    def _age(self) -> None:
        """Nobody who is there could have been made or changed through SCIM a moment ago: of such a one the service
        would wait for the record, and whether a killed process has changed it could not be told by the time."""
        if isinstance(self.backend, SqlBackend):
            with self.backend.engine.begin() as connection:
                then = "'2026-01-01 00:00:00'"
                connection.execute(text(f"UPDATE scim_users SET created = {then}, modified = {then}"))
        else:
            time.sleep(_CLOCK_SECONDS)


def name_of(person: int, variant: int, number: int) -> str:
    return f"p{person}{'abc'[variant]}-{number}@tern.example"


def address_of(person: int, number: int) -> str:
    return f"p{person}-{number}@mail.example"


_PERSON = st.integers(0, PEOPLE - 1)
_TEAM = st.integers(0, GROUPS - 1)
_WHO = st.integers(0, 2)
_FULL = st.integers(0, 1)
_VARIANT = st.integers(0, 2)
_SOME = st.lists(_PERSON, max_size=3, unique=True)
_ACTIVE = st.booleans()
_TEXT = st.sampled_from(("", "Dr", "Pilot", "Ångström"))
_POINT: st.SearchStrategy[Point] = st.sampled_from(("before", "after"))


class History(RuleBasedStateMachine):
    """People are known by a number: whatever they are called, they have one address and one id for ever."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.number, looks = self.world.begin()
        self.looks = dict(enumerate(looks))
        self.as_they_were = {person: look() for person, look in self.looks.items()}
        self.named: set[int] = set()
        self.crashed = self.restarted = False
        self.ids: dict[int, ResourceId] = {}
        self.made: set[ResourceId] = set()
        self.teams: dict[int, ResourceId] = {}
        self.strangers: dict[int, ResourceId] = {}
        self.known: dict[ResourceId, dict[str, Any]] = {}
        for person in self.looks:
            (found,) = self._found("User", "userName", name_of(person, 0, self.number))
            self.strangers[person] = found.id
            self.known[found.id] = self._stored("User", found.id)

    @initialize(people=st.lists(_PERSON, min_size=2, max_size=4, unique=True), who=_FULL)
    def begin(self, people: list[int], who: int) -> None:
        """The first cycle of a client."""
        for person in people:
            self.join(person, who, 0, "Dr", None, None)
        self.found_team(0, who, people)

    @rule(person=_PERSON, who=_WHO, variant=_VARIANT, title=_TEXT, active=_ACTIVE | st.none(), boss=st.none() | _PERSON)
    def join(self, person: int, who: int, variant: int, title: str, active: bool | None, boss: int | None) -> None:
        """A client creates a user, who may be there, be someone else's, or have left."""
        answer = self._send(who, "POST", "/Users", self._person(person, variant, title, active, boss))
        assert answer.status_code in (201, 400, 409), answer.text
        if answer.status_code == 201:
            self._is(person, answer.json()["id"])

    @rule(
        person=_PERSON,
        who=_WHO,
        slot=st.sampled_from(("title", "displayName", "active", "userName", "boss")),
        value=_TEXT,
        active=_ACTIVE,
        variant=_VARIANT,
        boss=_PERSON,
        guarded=st.booleans(),
    )
    def change(
        self,
        person: int,
        who: int,
        slot: str,
        value: str,
        active: bool,
        variant: int,
        boss: int,
        guarded: bool,
    ) -> None:
        """A client changes one value of a user, or takes it away."""
        if (path := self._path(person)) is None:
            return
        headers = {"If-Match": self.world.clients[who].get(path).headers.get("ETag", "*")} if guarded else {}
        operation = self._operation(person, slot, value, active, variant, boss)
        answer = self._send(who, "PATCH", path, {"schemas": [PATCH_OP], "Operations": [operation]}, **headers)
        assert answer.status_code in (200, 204, 400, 404, 409, 412), answer.text

    @rule(person=_PERSON, who=_WHO, variant=_VARIANT, title=_TEXT, active=_ACTIVE | st.none(), boss=st.none() | _PERSON)
    def put(self, person: int, who: int, variant: int, title: str, active: bool | None, boss: int | None) -> None:
        """A client replaces a user."""
        if (path := self._path(person)) is not None:
            answer = self._send(who, "PUT", path, self._person(person, variant, title, active, boss))
            assert answer.status_code in (200, 400, 404, 409), answer.text

    @rule(person=_PERSON, who=_WHO)
    def leave(self, person: int, who: int) -> None:
        """A client deletes a user."""
        if (path := self._path(person)) is not None:
            assert self._send(who, "DELETE", path, None).status_code in (204, 404)

    @rule(team=_TEAM, who=_WHO, people=_SOME)
    def found_team(self, team: int, who: int, people: list[int]) -> None:
        """A client creates a group."""
        document = {"schemas": [GROUP], "displayName": f"team{team}-{self.number}", "members": self._members(people)}
        answer = self._send(who, "POST", "/Groups", document)
        assert answer.status_code in (201, 400, 403, 409), answer.text
        if answer.status_code == 201:
            self.teams[team] = answer.json()["id"]

    @rule(team=_TEAM, who=_WHO, people=_SOME, op=st.sampled_from(("add", "remove", "replace")))
    def change_team(self, team: int, who: int, people: list[int], op: str) -> None:
        """A client changes who is in a group."""
        if team in self.teams:
            operation = {"op": op, "path": "members", "value": self._members(people)}
            answer = self._send(who, "PATCH", f"/Groups/{self.teams[team]}", _patch(operation))
            assert answer.status_code in (200, 204, 400, 403, 404), answer.text

    @rule(team=_TEAM, who=_WHO)
    def disband(self, team: int, who: int) -> None:
        """A client deletes a group."""
        if team in self.teams:
            answer = self._send(who, "DELETE", f"/Groups/{self.teams[team]}", None)
            assert answer.status_code in (204, 403, 404), answer.text

    @precondition(lambda self: not self.crashed)
    @rule(
        person=_PERSON,
        who=_WHO,
        point=_POINT,
        what=st.sampled_from(("join", "change", "leave")),
        variant=_VARIANT,
        title=_TEXT,
        slot=st.sampled_from(("title", "active", "userName")),
        active=_ACTIVE,
    )
    def crash_with_user(
        self, person: int, who: int, point: Point, what: str, variant: int, title: str, slot: str, active: bool
    ) -> None:
        """The process is killed while it writes a user."""
        self.crashed = True
        path = self._path(person)
        self.named.add(person)
        if what == "join":
            self.world.killed_in(who, "POST", "/Users", self._person(person, variant, title, active, None), point)
        elif path is not None and what == "change":
            operation = self._operation(person, slot, title, active, variant, person)
            self.world.killed_in(who, "PATCH", path, _patch(operation), point)
        elif path is not None:
            self.world.killed_in(who, "DELETE", path, None, point)

    @precondition(lambda self: not self.crashed)
    @rule(team=_TEAM, who=_FULL, people=_SOME, point=_POINT, op=st.sampled_from(("add", "remove", "replace")))
    def crash_with_team(self, team: int, who: int, people: list[int], point: Point, op: str) -> None:
        """The process is killed while it writes a group."""
        if team in self.teams:
            self.crashed = True
            operation = {"op": op, "path": "members", "value": self._members(people)}
            self.world.killed_in(who, "PATCH", f"/Groups/{self.teams[team]}", _patch(operation), point)

    @rule(back=st.integers(0, 7), count=st.integers(1, 3))
    def undo(self, back: int, count: int) -> None:
        """An operator undoes some of the last records, as far as that goes. What is undone can't be undone again."""
        records = self.world.records()
        chosen = records[max(0, len(records) - back - count) : len(records) - back]
        undoing = self.world.undo.of(chosen)
        made = self.world.undo.make(undoing)
        assert (made.steps, made.conflicts) == (undoing.steps, ())
        assert self.world.undo.of(chosen).steps == ()

    @precondition(lambda self: not self.restarted)
    @rule()
    def restart(self) -> None:
        """The service ends, and another one begins."""
        self.restarted = True
        self.world.stop()
        self.world.start()

    def teardown(self) -> None:
        """What must hold after every history."""
        self.world.end()
        for person, look in self.looks.items():
            assert person in self.named or look() == self.as_they_were[person]
        records = self.world.records()
        assert [r.outcome for r in records if r.outcome == "open" or r.outcome.startswith("unclear")] == []
        self._assert_replayed(Replay(self.known).of(records))
        self.world.control.close()

    def _assert_replayed(self, replay: Replay) -> None:
        """The store holds what the records alone say that it holds."""
        for id, values in replay.users.items():
            stored = self._stored("User", id)
            if MANAGER not in values and MANAGER in stored:
                assert stored.pop(MANAGER) == replay.lasting.get(id)
            assert stored == {"active": True, **values}
        assert {r.id for r in self._retired()} == replay.retired.keys()
        assert replay.users.keys() | replay.retired.keys() >= self.made
        for id, values in replay.groups.items():
            assert self._stored("Group", id) == values
            members = {reference.id for _, reference in self.world.store.related("Group", [id], "members")}
            assert members == replay.members[id]
        present = (f"team{team}-{self.number}" for team in range(GROUPS))
        found = {group.id for name in present for group in self._found("Group", "displayName", name)}
        assert found == replay.groups.keys()

    def _retired(self) -> Sequence[Resource]:
        names = [name_of(p, v, self.number) for p, v in itertools.product(range(PEOPLE), range(3))]
        addresses = [address_of(person, self.number) for person in range(PEOPLE)]
        return self.world.store.retired("User", frozenset(), [*names, *addresses], Window(1, 100)).items

    def _send(self, who: int, method: str, path: str, document: Any, **headers: str) -> httpx.Response:
        return self.world.clients[who].request(
            method, path, json=document, headers={"Content-Type": SCIM_JSON, **headers}
        )

    def _person(self, person: int, variant: int, title: str, active: bool | None, boss: int | None) -> dict[str, Any]:
        """Who is known and there keeps the name, so that nobody else can come to be with the same address."""
        self.named.add(person)
        name = name_of(person, variant, self.number)
        if (path := self._path(person)) is not None:
            answer = self.world.clients[0].get(path, params={"attributes": "userName"})
            name = answer.json()["userName"] if answer.status_code == 200 else name
        document: dict[str, Any] = {
            "schemas": [USER],
            "userName": name,
            "externalId": f"E{person}-{self.number}",
            "emails": [{"type": "work", "value": address_of(person, self.number)}],
        }
        if title:
            document["title"] = title
        if active is not None:
            document["active"] = active
        if boss is not None and boss in self.ids:
            document[ENTERPRISE] = {"manager": {"value": self.ids[boss]}}
        return document

    def _operation(self, person: int, slot: str, value: str, active: bool, variant: int, boss: int) -> dict[str, Any]:
        if slot == "active":
            return {"op": "replace", "path": "active", "value": active}
        if slot == "userName":
            return {"op": "replace", "path": "userName", "value": name_of(person, variant, self.number)}
        if slot == "boss":
            path = f"{ENTERPRISE}:manager"
            return {"op": "replace", "path": path, "value": {"value": self.ids.get(boss, "nobody")}}
        return {"op": "replace", "path": slot, "value": value} if value else {"op": "remove", "path": slot}

    def _members(self, people: list[int]) -> list[dict[str, str]]:
        return [{"value": self.ids[person]} for person in people if person in self.ids]

    def _path(self, person: int) -> str | None:
        """Where the person is: of those who were there before, the client may find out."""
        if person not in self.ids and person in self.looks:
            self.ids[person] = self.strangers[person]
        if person not in self.ids:
            return None
        self.named.add(person)
        return f"/Users/{self.ids[person]}"

    def _is(self, person: int, id: ResourceId) -> None:
        assert self.ids.setdefault(person, id) == id
        self.made.add(id)

    def _found(self, kind: str, slot: str, value: str) -> Sequence[Resource]:
        attribute = self.world.store.registry.type(kind).slots[slot]
        same = Compare(attribute, Op.EQ, comparable(attribute, value))
        return self.world.store.search(kind, Query(frozenset(), same)).items

    def _stored(self, kind: str, id: ResourceId) -> dict[str, Any]:
        """Every value that can be written and read."""
        resource_type = self.world.store.registry.type(kind)
        wanted = resource_type.readable.intersection(resource_type.slots)
        values = dict(self.world.store.get(kind, id, wanted).values)
        return {"active": True, **values} if kind == "User" else values


def _patch(operation: Mapping[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH_OP], "Operations": [operation]}


def test_any_history(store_name: str, backend: Backend, registry: Registry, tmp_path: Path) -> None:
    world = World(store_name, backend, registry, tmp_path)
    with world.listening():
        machine = type("HistoryOfStore", (History,), {"world": world})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=HISTORIES[store_name],
                stateful_step_count=STEPS,
                derandomize=True,
                deadline=None,
                database=None,
                phases=(Phase.generate,),
                suppress_health_check=list(HealthCheck),
            ),
        )
